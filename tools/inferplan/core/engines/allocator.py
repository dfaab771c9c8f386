"""What PyTorch's allocator adds to the matrices of a rank, as it rounds large tensors up."""

from collections.abc import Iterator
from math import ceil

from inferplan.core.architecture import ExpertFfn, LayerGroup
from inferplan.core.engines.expert_slices import MXFP4_COLUMNS, MXFP4_HIDDEN, expert_slices, held_share, round_up
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.model import NativeBits
from inferplan.core.parallelism import Layout, expert_share, shared_share
from inferplan.core.precision import BITS_PER_BYTE, Precision
from inferplan.core.units import MIB


def allocated(size: float) -> float:
    """What PyTorch's allocator takes for a tensor: from 10 MiB on, whole 2 MiB where at most 1 MiB is left over. [B]

    Source: PyTorch, c10/cuda/CUDACachingAllocator.cpp (a rest above 1 MiB is split off and used again); it accounts
    for the 0.06 GiB by which published logs of Qwen2.5-7B exceed parameters x 2 bytes.

    >>> [allocated(mebibytes * MIB) / MIB for mebibytes in (7, 12, 31.5, 24.5)]
    [7.0, 12.0, 32.0, 24.5]
    """
    whole = ceil(size / (2 * MIB)) * 2 * MIB
    return whole if size >= 10 * MIB and whole - size <= MIB else size


def layer_rounding(
    hidden: int,
    group: LayerGroup,
    precision: Precision,
    shard: Layout,
    bits: NativeBits,
    *,
    marlin: bool,
    whole: bool = False,
) -> float:
    """Σ allocated - size over the fused matrices of one layer on one rank of a stage. [B]

    Scales and zero points, the fractions of a bit, are tensors of their own, and too small to be rounded, but for the
    scales of MXFP4 experts in Marlin kernels, one tensor for all experts. Experts in MXFP4 are padded to whole tiles,
    and count without rounding. Ranks of a tensor group may hold `whole` experts.
    """
    if precision.id == "mxfp4":
        sizes = _expert_scales(hidden, group, shard, whole=whole) if marlin else iter(())
    else:
        sizes = _matrices(hidden, group, shard, bits)
    return sum([allocated(size) - size for size in sizes])


def _expert_scales(hidden: int, group: LayerGroup, shard: Layout, *, whole: bool) -> Iterator[float]:
    """The scales of a layer's MXFP4 experts on one rank, gate-up and down: 1 B for 32 padded elements. [B]"""
    if isinstance(ffn := group.ffn, ExpertFfn):
        slices = expert_slices(shard, whole=whole)
        columns = round_up(ffn.intermediate / slices, MXFP4_COLUMNS)
        wide = round_up(ffn.expert_hidden or hidden, MXFP4_HIDDEN)
        held = ffn.experts * held_share(shard, ffn.experts, whole=whole) * slices
        yield from (held * wide * columns * matrices / 32 for matrices in (2 if ffn.gated else 1, 1))


def _matrices(hidden: int, group: LayerGroup, shard: Layout, bits: NativeBits) -> Iterator[float]:
    """The fused matrices of one layer on one rank, without scales: query-key-value, output, gate-up, down. [B]

    Limits: of latent mixers the output matrix only, of recurrent ones none; a class that is stored in several formats
    counts with its mean bits.
    """
    tp, mixing = shard.tp, hidden * int(bits.mixers) / BITS_PER_BYTE
    for mixer in group.mixers:
        if isinstance(mixer, Attention) and not mixer.expands:
            query, kv = mixer.query_width / tp, mixer.head_dim * max(1.0, mixer.kv_heads / tp)
            gate = query if mixer.output_gate else 0
            yield mixing * (query + gate + 2 * kv)
        if isinstance(mixer, Attention | Latent):
            yield mixing * mixer.output_width / tp
    for columns, width in _ffn_columns(group, shard, bits):
        yield hidden * columns * int(width) / BITS_PER_BYTE


def _ffn_columns(group: LayerGroup, shard: Layout, bits: NativeBits) -> Iterator[tuple[float, float]]:
    """The columns of the gate-up and the down matrix of each feed-forward block, and their bits.

    The routed experts of a rank count as one block, with all columns side by side.
    """
    ffn, tp = group.ffn, shard.tp
    if isinstance(ffn, ExpertFfn):
        blocks = (
            (ffn.experts * expert_share(shard, ffn.experts) * ffn.intermediate, bits.routed_experts),
            (shared_share(shard) * ffn.shared_intermediate, bits.ffn),
            (ffn.dense_intermediate / tp, bits.ffn),
        )
    else:
        blocks = (((ffn.intermediate if ffn else 0) / tp, bits.ffn),)
    for columns, width in blocks:
        yield columns * (2 if ffn and ffn.gated else 1), width
        yield columns, width
