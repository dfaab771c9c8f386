"""How tensor parallelism slices routed experts, and how kernels for MXFP4 pad the slices."""

from math import ceil

from inferplan.core.engine import Engine
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout, expert_share
from inferplan.core.precision import Precision

MXFP4_COLUMNS = 128
"""Kernels for MXFP4 pad the columns of a slice to a multiple of these. [elements]"""
MXFP4_HIDDEN = 256
"""And the hidden width to a multiple of these. [elements]"""
MUCH_PADDED = 1.1
"""The memory of padded slices over that of whole experts from which vLLM's tensor groups are given whole ones here.

It is a choice: gpt-oss (1.04) is served in slices, DeepSeek V4.1 on eight GPUs (1.33) with whole experts.
"""


def round_up(size: float, multiple: int) -> int:
    """⌈size / multiple⌉ × multiple."""
    return ceil(size / multiple) * multiple


def expert_slices(shard: Layout, *, whole: bool = False) -> int:
    """The slices that each expert is cut into: tp, or 1 where ranks hold whole experts."""
    return shard.tp if shard.ep == 1 and not whole else 1


def held_share(shard: Layout, experts: int, *, whole: bool = False) -> float:
    """What the busiest rank holds of the experts; of a tensor group's `whole` ones ⌈experts / tp⌉. [fraction]"""
    return ceil(experts / shard.tp) / experts if whole and shard.ep == 1 else expert_share(shard, experts)


def cuts_blocks(model: Model, precision: Precision, tp: int) -> bool:
    """Whether `tp` slices of an expert would end within a block that shares a scale; then ranks hold whole experts.

    Source: vLLM, pull request 48173 and recipes, MiniMax-M2 ("pure TP8 is not supported", TP+EP is): 1536 / 8 = 192 is
    no multiple of 128. SGLang refuses it in the same words.
    """
    experts, block = model.architecture.experts, model.block(precision.id)
    return bool(block and experts and experts.intermediate % (tp * block))


def padded_slices(model: Model, precision: Precision, tp: int) -> float:
    """A rank's `tp` slices of all experts over its share of whole ones, as kernels for MXFP4 pad both. [ratio]

    tp ranks × ⌈columns / tp⌉ to whole 128 × experts / (⌈experts / tp⌉ × tp × padded columns); 1 in other formats.

    >>> from inferplan.catalog.formats import FORMATS
    >>> from inferplan.catalog.models import MODELS
    >>> v41, oss = MODELS["deepseek-ai/DeepSeek-V4.1-Flash"], MODELS["openai/gpt-oss-120b"]
    >>> [round(padded_slices(one, FORMATS["mxfp4"], 8), 2) for one in (v41, oss)]
    [1.33, 1.04]
    """
    experts = model.architecture.experts
    if experts is None or precision.id != "mxfp4":
        return 1.0
    sliced = experts.experts * round_up(experts.intermediate / tp, MXFP4_COLUMNS)
    return sliced / (ceil(experts.experts / tp) * round_up(experts.intermediate, MXFP4_COLUMNS))


def takes_whole(engine: Engine) -> bool:
    """Whether a tensor group is told to hold whole experts where slices would be padded much: vLLM's without adapters.

    Limits: what the padding of other engines takes was not read; adapters are then in slices of experts.
    """
    return engine.name == "vllm" and not engine.adapters


def stays_whole(model: Model, precision: Precision, tp: int) -> bool:
    """Whether slices over `tp` ranks would be padded to `MUCH_PADDED` times whole experts, or more.

    Source: eight H100 of 0.31 hold DeepSeek V4.1 Flash by tensor and expert parallelism in 36.3 GiB each; slices of 288
    columns would be padded to 384, 11 GiB more.
    """
    return padded_slices(model, precision, tp) >= MUCH_PADDED


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


def expert_padding(model: Model, precision: Precision, shard: Layout, *, marlin: bool, whole: bool = False) -> float:
    """Padded over real size of a rank's MXFP4 experts, 1 in other formats. [ratio]

    Marlin kernels (`marlin`, and always on several ranks) pad the columns of a rank to a multiple of 128 and the hidden
    width to one of 256: gpt-oss 2,944 × 3,072 on one GPU. Others pad one of the widths: to 3,072 on one H100. Ranks of
    a tensor group may hold `whole` experts.

    Limits: Humming's kernels, which vLLM 0.33 prefers on Hopper for all but gpt-oss, pad columns to 64 alone.
    Source: vLLM, oracle/mxfp4.py, `mxfp4_round_up_hidden_size_and_intermediate_size`; published logs of gpt-oss on
    one H100 (within 0.3 %), on two (0.9 %), on one A100 (0.3 %) and on four (0.4 %).
    """
    experts, slices = model.architecture.experts, expert_slices(shard, whole=whole)
    if experts is None or precision.id != "mxfp4":
        return 1.0
    columns, hidden = experts.intermediate / slices, experts.expert_hidden or model.architecture.hidden
    wide = round_up(hidden, MXFP4_HIDDEN) / hidden
    return wide * round_up(columns, MXFP4_COLUMNS) / columns if marlin or whole or slices > 1 else wide
