"""Mixture-of-experts arithmetic: what is loaded, what computes, and what a batch reads.

Conventions: `experts` routed experts per layer, `active` of which the router picks for each token. Parameters are
split into routed ones and always-active ones (attention, embeddings, shared experts, routers, norms).
"""

from bisect import bisect_left
from collections.abc import Callable
from math import expm1, log1p

LARGEST_BATCH = 2**20
"""Sequences beyond which no step is looked at."""


def routed_params(*, total_params: float, active_params: float, experts: int, active: int) -> float:
    """(total - active) / (1 - k/E): parameters in routed experts. [parameters]

    What a token leaves idle is the share 1 - k/E of the routed experts, and nothing else.

    Limits: every layer has the same number of experts; k < E (with k = E nothing is idle, and the split cannot
    be read off the totals).

    >>> routed_params(total_params=745e9, active_params=52e9, experts=128, active=2) / 1e9
    704.0
    """
    return (total_params - active_params) * experts / (experts - active)


def active_fraction(*, total_params: float, active_params: float) -> float:
    """active / total: the share of the parameters that computes one token. [fraction]

    >>> round(active_fraction(total_params=745e9, active_params=52e9), 6)
    0.069799
    """
    return active_params / total_params


def compute_ratio(*, active_params: float, reference_active_params: float) -> float:
    """active / reference: arithmetic per token relative to another model, at 2 FLOP a parameter. [ratio]

    Limits: the matrix products with weights; attention over the context comes on top, in both models.

    Source: Kaplan et al. 2020, arXiv 2001.08361, section 2.1 (forward pass, 2N FLOP per token).

    >>> round(compute_ratio(active_params=52e9, reference_active_params=70e9), 6)
    0.742857
    """
    return active_params / reference_active_params


def expert_coverage(*, tokens: float, experts: int, active: int) -> float:
    """phi(T) = 1 - (1 - k/E)^T: the share of a layer's experts that a batch of T tokens touches. [fraction]

    Limits: tokens choose uniformly and independently. Real routers are skewed and neighboring tokens agree, so
    that a batch touches fewer experts: an upper estimate of the weights read.

    Source: the chance that T independent tokens all miss one expert is (1 - k/E)^T.

    >>> [round(expert_coverage(tokens=t, experts=128, active=2), 4) for t in (1, 8, 64, 256)]
    [0.0156, 0.1184, 0.635, 0.9823]
    """
    if active >= experts:
        return 1.0 if tokens > 0 else 0.0
    return -expm1(tokens * log1p(-active / experts))


def experts_touched(*, tokens: float, experts: int, active: int) -> float:
    """E × phi(T): experts of one layer whose weights a batch of T tokens reads. [experts]

    >>> round(experts_touched(tokens=8, experts=128, active=2), 1)
    15.2
    """
    return experts * expert_coverage(tokens=tokens, experts=experts, active=active)


def step_weight_bytes(*, always_bytes: float, routed_bytes: float, tokens: float, experts: int, active: int) -> float:
    """always + phi(T) × routed: weights that one decode step over T sequences reads. [B]

    A dense model has no routed bytes: it reads all of its weights at every batch size.

    Limits: those of `expert_coverage`; tables of which a step gathers T rows belong in neither.

    >>> step_weight_bytes(always_bytes=82e9, routed_bytes=1408e9, tokens=1, experts=128, active=2) / 1e9
    104.0
    """
    coverage = expert_coverage(tokens=tokens, experts=experts, active=active)
    return always_bytes + coverage * routed_bytes


def crossover_batch(first: Callable[[int], float], second: Callable[[int], float]) -> int | None:
    """The smallest batch at which the order of two models' reads is another than at batch 1; None if there is none.

    Against a dense model that reads D bytes it is ⌈ln(1 - (D - always) / routed) / ln(1 - k/E)⌉.

    Limits: batches are doubled until the order changes, so that one which changes twice in between is overlooked.

    >>> mixture = lambda batch: 82e9 + 1408e9 * expert_coverage(tokens=batch, experts=128, active=2)
    >>> crossover_batch(mixture, lambda batch: 140e9), crossover_batch(mixture, lambda batch: 1600e9)
    (3, None)
    """

    def order(batch: int) -> int:
        one, other = first(batch), second(batch)
        return (one > other) - (one < other)

    before, batch = order(1), 2
    while order(batch) == before:
        batch *= 2
        if batch > LARGEST_BATCH:
            return None
    between = range(batch // 2 + 1, batch + 1)
    return between[bisect_left(between, 1, key=lambda n: order(n) != before)]
