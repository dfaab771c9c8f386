"""The checkpoint that is served where a release has one in FP8 beside it, and who then holds whole experts."""

from dataclasses import replace

from inferplan.catalog.models import MODELS
from inferplan.core.engines.expert_slices import cuts_blocks, stays_whole, takes_whole
from inferplan.core.parallelism import Layout
from inferplan.tools.serving.serving import Serving

RELEASED_BESIDE = "fp8"
"""The format in which checkpoints are released beside those of 16 bit."""


def as_published(on: Serving, layout: Layout) -> Serving:
    """The same of the checkpoint in FP8 that is released beside one of 16 bit, where one is: it is what people serve.

    Not where it leaves layers in 16 bit, which the format counted does not, nor where this layout would divide its
    blocks of scales, nor where tensor groups share experts under other engines than vLLM: SGLang exchanges tokens
    otherwise of a checkpoint in blocks, and takes room for it.

    Source: vllm-project/recipes, which serve zai-org/GLM-5-FP8 and the like, and quantise online where there is none.
    """
    own = MODELS.get(f"{on.model.id}-{RELEASED_BESIDE.upper()}") or MODELS.get(f"{on.model.id}-{RELEASED_BESIDE}")
    if (
        on.precision.id != RELEASED_BESIDE
        or own is None
        or own.native_bits
        or (layout.ep > 1 and on.engine.name != "vllm")
    ):
        return on
    published = replace(on, model=own)
    return published if layout.tp in published.degrees else on


def experts_over(on: Serving, layout: Layout) -> int:
    """GPUs that share out the experts, each of them whole ones; 1 where each holds a slice of all.

    A tensor group does so too where slices would end within a block of scales, TensorRT-LLM's aside, and vLLM's where
    kernels for MXFP4 would pad slices much.
    """
    if on.experts is None or layout.ep > 1 or on.engine.name == "tensorrt-llm":
        return layout.ep
    cuts = cuts_blocks(as_published(on, layout).model, on.precision, layout.tp)
    return layout.tp if cuts or pads_much(on, layout) else 1


def pads_much(on: Serving, layout: Layout) -> bool:
    """Whether slices of experts over a tensor group would be padded so much that its ranks hold whole ones."""
    return layout.ep == 1 and takes_whole(on.engine) and stays_whole(on.model, on.precision, layout.tp)
