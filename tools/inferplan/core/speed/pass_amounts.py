"""What one forward pass over a batch asks of the busiest rank: seconds at rated speed, and counts of fixed costs.

`performance` makes the time of a pass of these amounts. Units: bytes, FLOP, seconds, tokens.
"""

from collections.abc import Iterator
from typing import NamedTuple

from inferplan.core.parallelism import Layout
from inferplan.core.sparsity import expert_coverage
from inferplan.core.speed.collectives import Collective, cache_exchanges, collectives
from inferplan.core.speed.machine import Machine
from inferplan.core.speed.work import SCORE_BYTES, Work


class Batch(NamedTuple):
    """What one pass computes: the next token of `decode` running sequences, and `prompts` whole prompts.

    A running sequence attends over `context` tokens; its pass also computes `drafted` further tokens, which share one
    read of its cache. A prompt has `prompt` new tokens after `cached` ones. Numbers may be means.
    """

    decode: float = 0
    context: float = 0
    drafted: int = 0
    prompts: float = 0
    prompt: float = 0
    cached: float = 0

    @property
    def decoded(self) -> float:
        """Tokens computed for running sequences, drafted ones included."""
        return self.decode * (1 + self.drafted)

    @property
    def tokens(self) -> float:
        """All tokens that pass through the layers: decode and prefill."""
        return self.decoded + self.prompts * self.prompt

    @property
    def halved(self) -> "Batch":
        """One of the two microbatches of two-batch overlap: one computes while the other communicates."""
        return self._replace(decode=self.decode / 2, prompts=self.prompts / 2)

    def on_rank(self, layout: Layout) -> "Batch":
        """The part of the busiest tensor group under data-parallel attention: an even share, but a lone one is whole.

        >>> Batch(decode=64, prompts=1, prompt=500).on_rank(Layout(attention_dp=8)).tokens
        508.0
        """
        ranks = layout.attention_dp
        if ranks == 1:
            return self
        decode, prompts = (max(min(number, 1.0), number / ranks) for number in (self.decode, self.prompts))
        return self._replace(decode=decode, prompts=prompts)


class Amounts(NamedTuple):
    """What one pass asks of the busiest rank: seconds at rated speed (`*_s`), then counts of what has a fixed cost.

    `half_matrix_s` is of matrix products in 16 bit (half precision) beside those in the weights' own arithmetic;
    `link_s` and `bus_s` are of collectives over fast links and over the host's bus.
    """

    dense_read_s: float
    expert_read_s: float
    cache_read_s: float
    matrix_s: float
    half_matrix_s: float
    expert_matrix_s: float
    attention_s: float
    prompt_attention_s: float
    index_s: float
    link_s: float
    bus_s: float
    layers: float
    expert_layers: float
    latent_layers: float
    recurrent_layers: float
    index_layers: float
    all_reduces: float
    all_to_alls: float
    stage_sends: float
    sequences: float


def pass_amounts(w: Work, m: Machine, layout: Layout, batch: Batch) -> Amounts:
    """The amounts of one pass over a batch, on the busiest rank.

    Weights are read once per pass, of the experts those that the batch activates; the KV cache is read once per running
    sequence; residual streams beyond one go through memory at every block. Matrix products cost 2 FLOP per parameter
    and token. A token of a prompt attends over half of the prompt on average, all that is cached before it, and
    `prompt_overhead` tokens more. Pipeline stages run one after the other.

    Limits: no overlap of communication and computation; the products inside recurrent layers are not counted.
    """
    local, tokens = batch.on_rank(layout), batch.tokens
    decoded, local_tokens, context, cached = local.decoded, local.tokens, batch.context, batch.cached
    prefilled = local.prompts * batch.prompt
    sampled = decoded + local.prompts if prefilled else decoded
    touched = expert_coverage(tokens=tokens, experts=w.experts, active=w.active) if w.experts else 0.0
    padding = m.expert_padding * touched * w.experts / w.active if w.experts and prefilled else 0.0
    sent = list(pass_collectives(w, m, layout, local_tokens))
    number = {one.what: one.number for one in sent}
    return Amounts(
        dense_read_s=(w.dense_bytes + w.head_bytes) / m.bandwidth,
        expert_read_s=touched * w.expert_bytes / m.bandwidth,
        cache_read_s=(local.decode * w.cache_read(context) + _prefill_read(w, m, local) + local_tokens * w.stream_bytes)
        / m.bandwidth,
        matrix_s=2 * local_tokens * w.dense_params / m.matrix_flops,
        half_matrix_s=2 * (local_tokens * w.half_params + sampled * w.head_params) / m.half_flops,
        expert_matrix_s=2 * (tokens + padding) * w.active_expert_params / m.matrix_flops,
        attention_s=decoded * w.decode_flops(context) / m.half_flops,
        prompt_attention_s=prefilled
        * w.prompt_flops(batch.prompt, cached + m.prompt_overhead, tile=m.tile_rows)
        / m.half_flops,
        index_s=(decoded * context + prefilled * (cached + batch.prompt / 2)) * w.index_flops_per_pair / m.index_flops,
        link_s=sum([one.rated_s for one in sent if not one.over_network and not one.over_bus]),
        bus_s=sum([one.rated_s for one in sent if not one.over_network and one.over_bus]),
        layers=w.layers,
        expert_layers=w.expert_layers,
        latent_layers=w.latent_layers,
        recurrent_layers=w.recurrent_layers,
        index_layers=w.index_layers,
        all_reduces=number.get("all-reduce", 0.0),
        all_to_alls=number.get("all-to-all", 0.0),
        stage_sends=number.get("stage send", 0.0),
        sequences=local.decode,
    )


def _prefill_read(w: Work, m: Machine, local: Batch) -> float:
    """What the prompts of a rank read beside weights: the cache before them, scores of indexers, and activations. [B]

    Activations between products are counted under llama.cpp alone.
    """
    tokens = local.prompts * local.prompt
    scores = tokens * (local.cached + local.prompt / 2) * w.index_scores_per_pair * SCORE_BYTES
    cached = local.prompts * w.cache_read(local.cached) if local.cached else 0.0
    moved = tokens * w.layers * w.hidden * m.activation_traffic if m.activation_traffic else 0.0
    return cached + scores + moved


def pass_collectives(w: Work, m: Machine, layout: Layout, tokens: float) -> Iterator[Collective]:
    """The collectives of a pass over so many `tokens` on each tensor group: see `collectives`."""
    return collectives(
        layout,
        m.fabric,
        tokens=tokens,
        hidden=w.hidden,
        sums=w.sums,
        expert_layers=w.expert_layers,
        active=w.active,
    )


def context_parallel_collectives(w: Work, m: Machine, layout: Layout, batch: Batch) -> Iterator[Collective]:
    """The collectives of ranks that each hold a part of a sequence's tokens, in a pass over this batch."""
    if w.context_parallel:
        local = batch.on_rank(layout)
        cached_bytes = local.prompts * batch.cached * w.kv_bytes_per_token if batch.cached else 0.0
        yield from cache_exchanges(w.context_parallel, m.fabric, decoded=local.decoded, cached_bytes=cached_bytes)
