"""Two models side by side in sentences, and the arithmetic behind them."""

from collections.abc import Iterator
from dataclasses import dataclass

from inferplan.catalog.asked_models import OWN, shown_id
from inferplan.catalog.formats import FORMATS
from inferplan.core import memory, sparsity
from inferplan.core.architecture import ExpertFfn
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision
from inferplan.core.units import GB, GIGA
from inferplan.tools import _words as words
from inferplan.tools._models import narrow_release
from inferplan.tools.money.unit_cost import Rent, price_of_million
from inferplan.tools.serving.serving import Serving

MUCH_OF_IT = 0.05
"""Share of the active parameters from which the input embedding is told apart."""
FEW, MANY = 1, 32
"""Batch sizes of one user and of a busy server. [sequences]"""
FLOP_PER_PARAMETER = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One of the two models on its GPUs, with its usual deployment and the price of its GPUs."""

    on: Serving
    placed: Layout | None
    rent: Rent | None

    @property
    def model(self) -> Model:
        """The model."""
        return self.on.model

    @property
    def name(self) -> str:
        """The title of the model; of a described one without the words that mark it as the caller's."""
        return self.model.title.removesuffix(OWN)

    @property
    def release(self) -> Precision | None:
        """The format that the model is released in, where that has fewer than 16 bits; else None."""
        own = narrow_release(self.model.id)
        return FORMATS[own] if own else None

    @property
    def experts(self) -> ExpertFfn | None:
        """The routed block; None of a dense model."""
        return self.model.architecture.experts

    @property
    def active_share(self) -> float:
        """Active over total parameters. [fraction]"""
        return sparsity.active_fraction(total_params=self.model.total_params, active_params=self.model.active_params)

    @property
    def usd_per_million_tokens(self) -> float | None:
        """The price of tokens, input and output together; None without a price or layout. [USD per million tokens]"""
        return price_of_million(self.on, self.rent)

    @property
    def multiplied(self) -> int:
        """The parameters that a token is multiplied with: the active ones, but an embedding that is looked up."""
        return self.model.active_params - (self.model.parameters.embedding if self._looks_up else 0)

    @property
    def flop_per_token(self) -> float:
        """2 × those multiplied: compute of one token without attention over the context. [FLOP]"""
        return FLOP_PER_PARAMETER * self.multiplied

    def touched(self, batch: int) -> float | None:
        """Distinct experts per layer that a decode step reads, in the mean; None of a dense model. [experts]"""
        routed = self.experts
        if routed is None:
            return None
        return sparsity.experts_touched(tokens=batch, experts=routed.experts, active=routed.active)

    @property
    def gathered(self) -> float:
        """An embedding that is looked up: a step gathers a row a token, and reads no more. [B]"""
        return self.on.weights.embedding if self._looks_up else 0.0

    @property
    def _looks_up(self) -> bool:
        """Whether the input embedding is looked up alone: a checkpoint's with a head of its own.

        A tied embedding is multiplied as the head; of a size class all parameters count, as in the guide.
        """
        return bool(self.model.parameters.output_head) and not self.model.is_size_class

    def read(self, batch: int) -> float:
        """Weights that a decode step over `batch` sequences reads. [B]"""
        routed, stored = self.experts, self.on.weights
        return sparsity.step_weight_bytes(
            always_bytes=stored.total - stored.routed_experts - stored.lookup - self.gathered,
            routed_bytes=stored.routed_experts * (routed.text_share if routed else 1),
            tokens=batch,
            experts=routed.experts if routed else 1,
            active=routed.active if routed else 1,
        )


def compute_ratio(dense: Side, moe: Side) -> float:
    """Compute per token of the second model over that of the first. [ratio]"""
    return sparsity.compute_ratio(active_params=moe.multiplied, reference_active_params=dense.multiplied)


def crossover(dense: Side, moe: Side) -> int | None:
    """The batch size from which the other model reads less per token; None where there is none. [sequences]"""
    return sparsity.crossover_batch(moe.read, dense.read)


def relative(ratio: float) -> str:
    """A ratio in words.

    >>> relative(52 / 70), relative(1), relative(1.25), relative(10.64)
    ('26 % less', 'the same', '25 % more', '10.6x')
    """
    if round(100 * ratio) == 100:
        return "the same"
    if ratio >= 2:
        return f"{words.significant(ratio)}x"
    return f"{abs(100 * (ratio - 1)):.0f} % {'less' if ratio < 1 else 'more'}"


def summary(dense: Side, moe: Side) -> Iterator[str]:
    """The sentences of the summary, to be pasted into a design document."""
    yield _introduced(dense)
    if dense.model.id == moe.model.id:
        yield _holds(dense)
        yield "Both sides of this comparison are the same model."
        return
    yield _introduced(moe)
    yield _compute_sentence(dense, moe)
    yield _memory_sentence(dense, moe)
    yield from _release_sentences(dense, moe)
    yield from _price_sentence(dense, moe)
    yield _reading_sentence(dense, moe)


def _introduced(side: Side) -> str:
    """The parameters that are loaded, and those that compute a token."""
    model, experts = side.model, side.experts
    total = words.params(model.total_params)
    if experts is None:
        return f"{_named(model)} is dense: all {total} parameters compute every token."
    return (
        f"{_named(model)} routes each token to {experts.active} of {experts.experts} experts per layer: "
        f"{words.params(model.active_params)} of its {total} parameters compute it ({100 * side.active_share:.1f} %"
        f"{_looked_up(side)})."
    )


def _looked_up(side: Side) -> str:
    """The active parameters as makers count them who leave out the input embedding, where that is much of them.

    A token looks its row up; an embedding that is the output head too is multiplied. OpenAI says 3.6 B of gpt-oss 20B.
    """
    if side.model.active_params - side.multiplied < MUCH_OF_IT * side.model.active_params:
        return ""
    return f"; {words.params(side.multiplied)} without the input embedding, which is looked up"


def _named(model: Model) -> str:
    """`The 70B class`, or a checkpoint by its title."""
    return f"The {model.title}" if model.is_size_class else model.title


def _compute_sentence(dense: Side, moe: Side) -> str:
    """Compute per token, and total parameters, of the second model against the first."""
    compute, size = compute_ratio(dense, moe), moe.model.total_params / dense.model.total_params
    link = "despite" if (compute < 1) != (size < 1) else "with"
    change = relative(compute)
    taken = f"{change} the" if change.endswith("x") else change if change != "the same" else "the same"
    return f"{_named(moe.model)} takes {taken} compute per token {link} {_times(size)}x the parameters."


def _times(ratio: float) -> str:
    """A ratio; of two nearly alike with the digits that tell them apart.

    >>> _times(1.0079), _times(10.64), _times(0.37)
    ('1.01', '10.6', '0.37')
    """
    return f"{ratio:.2f}" if round(ratio, 1) == 1 else words.significant(ratio)


def _memory_sentence(dense: Side, moe: Side) -> str:
    """The weights of both models, and the GPUs that hold them."""
    idle = "; all of them are loaded, though few compute" if moe.experts else ""
    ours, theirs = moe.on.precision, dense.on.precision
    other = f" in {theirs.title}" if theirs.id != ours.id else ""
    return f"In {ours.title} its weights take {_needs(moe)}, against {_needs(dense)}{other}{idle}."


def _release_sentences(dense: Side, moe: Side) -> Iterator[str]:
    """For models released in fewer bits than compared in: what they then take."""
    for side in (moe, dense):
        own = side.release
        if own is not None and own.bits_per_weight < side.on.precision.bits_per_weight:
            taken = memory.weights(side.model, own).total
            gpus = words.devices(memory.devices_for(taken, side.on.gpu.memory), side.on.gpu.title)
            yield f"{side.model.title} is released in {own.title}: {words.gb(taken)}, {gpus} by memory alone."


def _price_sentence(dense: Side, moe: Side) -> Iterator[str]:
    """The price of a million tokens of both, where both have one."""
    theirs, ours = moe.usd_per_million_tokens, dense.usd_per_million_tokens
    if theirs is not None and ours is not None and moe.rent is not None:
        price, against = map(words.unit_price, (theirs, ours))
        yield f"A million tokens cost {price} {moe.rent.paid}{moe.on.under}, against {against}."


def _needs(side: Side) -> str:
    """`1,490 GB (18 H100 by memory alone, 24 in a legal deployment)`."""
    devices = f"{side.on.gpus_by_weights:,} {side.on.gpu.title}"
    if side.placed is None:
        devices += " by memory alone, " + ("deployment not known" if side.on.is_unknown else "no legal deployment")
    elif side.placed.gpus != side.on.gpus_by_weights:
        devices += f" by memory alone, {side.placed.gpus:,} in a legal deployment"
    return f"{words.gb(side.on.weights.total)} ({devices})"


def _holds(side: Side) -> str:
    """The memory of a model that is compared with itself."""
    return f"In {side.on.precision.title} its weights take {_needs(side)}."


def _reading_sentence(dense: Side, moe: Side) -> str:
    """The weights read per token at a small and a large batch, which touches more experts."""
    if not dense.experts and not moe.experts:
        return "Both are dense: a decode step reads the same weights at every batch size."
    reads = [
        f"{words.gb(moe.read(batch) / batch)} at batch {batch} (against {words.gb(dense.read(batch) / batch)})"
        for batch in (FEW, MANY)
    ]
    touched = moe.touched(MANY)
    of = moe.experts.experts if moe.experts else 0
    where = "" if touched is None else f", where {words.significant(touched)} of {of} experts are touched"
    return f"Per token a decode step reads {words.join(reads)} of its weights{where}{_turning(dense, moe)}."


def _turning(dense: Side, moe: Side) -> str:
    """The batch size from which the order of both is reversed, or that it never is."""
    batch = crossover(dense, moe)
    less = moe.read(FEW) < dense.read(FEW)
    if batch is None:
        return "; the order stays at every batch"
    return f"; from batch {batch:,} on it reads {'more' if less else 'less'} than the other"


def formula(dense: Side, moe: Side) -> Iterator[str]:
    """The lines of arithmetic: active parameters, ratios, experts touched."""
    for side in [moe] if dense.model.id == moe.model.id else [dense, moe]:
        if (experts := side.experts) is not None:
            routed = side.model.parameters.routed_experts
            always = side.model.total_params - routed
            routed *= experts.text_share
            yield (
                f"{shown_id(side.model)}: {always / GIGA:,.1f} B always + {experts.active}/{experts.experts} x "
                f"{routed / GIGA:,.1f} B routed = {side.model.active_params / GIGA:,.1f} B active"
            )
    multiplied = [side.multiplied for side in (moe, dense)]
    apart = ", input embeddings left out" if multiplied != [side.model.active_params for side in (moe, dense)] else ""
    first, second = (params / GIGA for params in multiplied)
    yield f"compute ratio = {first:,.1f} / {second:,.1f} B{apart} = {first / second:.4f}"
    weigh = [side.on.weights.total / GB for side in (moe, dense)]
    yield f"memory ratio = {weigh[0]:,.1f} / {weigh[1]:,.1f} GB = {weigh[0] / weigh[1]:.2f}"
    if routed := moe.experts or dense.experts:
        yield f"touched(batch) = {routed.experts} x (1 - (1 - {routed.active}/{routed.experts})^batch)"
