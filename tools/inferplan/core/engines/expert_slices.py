"""How tensor parallelism slices routed experts, and how kernels for MXFP4 pad the slices."""

from math import ceil

from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision

MXFP4_COLUMNS = 128
"""Kernels for MXFP4 pad the columns of a slice to a multiple of these. [elements]"""
MXFP4_HIDDEN = 256
"""And the hidden width to a multiple of these. [elements]"""


def round_up(size: float, multiple: int) -> int:
    """⌈size / multiple⌉ × multiple."""
    return ceil(size / multiple) * multiple


def expert_slices(shard: Layout) -> int:
    """The slices that each expert is cut into: tp, or 1 where ranks hold whole experts."""
    return shard.tp if shard.ep == 1 else 1


def cuts_blocks(model: Model, precision: Precision, tp: int) -> bool:
    """Whether `tp` slices of an expert would end within a block that shares a scale; then ranks hold whole experts.

    Source: vLLM, pull request 48173 and recipes, MiniMax-M2 ("pure TP8 is not supported", TP+EP is): 1536 / 8 = 192 is
    no multiple of 128. SGLang refuses it in the same words.
    """
    experts, block = model.architecture.experts, model.block(precision.id)
    return bool(block and experts and experts.intermediate % (tp * block))


def padded_experts(columns: float, hidden: int, precision: Precision) -> tuple[float, float]:
    """Columns and hidden width of an expert's slice as MXFP4's kernels pad them; unchanged in other formats. [elements]

    >>> from inferplan.catalog.formats import FORMATS
    >>> padded_experts(2880, 2880, FORMATS["mxfp4"]), padded_experts(192.0, 2048, FORMATS["bf16"])
    ((2944, 3072), (192.0, 2048))
    """
    return (
        (round_up(columns, MXFP4_COLUMNS), round_up(hidden, MXFP4_HIDDEN))
        if precision.id == "mxfp4"
        else (columns, hidden)
    )


def expert_padding(model: Model, precision: Precision, shard: Layout, *, marlin: bool) -> float:
    """Padded over real size of a rank's MXFP4 experts, 1 in other formats. [ratio]

    Marlin kernels (`marlin`, and always on several ranks) pad the columns of a rank to a multiple of 128 and the hidden
    width to one of 256: gpt-oss 2,944 × 3,072 on one GPU. Others pad one of the widths: to 3,072 on one H100.

    Source: vLLM, oracle/mxfp4.py, `mxfp4_round_up_hidden_size_and_intermediate_size`; published logs of gpt-oss on
    one H100 (within 0.3 %), on two (0.9 %), on one A100 (0.3 %) and on four (0.4 %).
    """
    experts, slices = model.architecture.experts, expert_slices(shard)
    if experts is None or precision.id != "mxfp4":
        return 1.0
    columns, hidden = experts.intermediate / slices, experts.expert_hidden or model.architecture.hidden
    wide = round_up(hidden, MXFP4_HIDDEN) / hidden
    return wide * round_up(columns, MXFP4_COLUMNS) / columns if marlin or slices > 1 else wide
