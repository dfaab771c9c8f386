"""Which combinations of engine, GPU and format have an answer."""

from typing import cast

from inferplan.catalog.engines import refusal
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.core.engine import EngineName

NEWEST = 28


def runs(gpu: object, precision: object, engine: object = "vllm") -> bool:
    """Whether the engine is not known to refuse the format on the GPU, in its newest version."""
    name = cast("EngineName", engine)
    return refusal(name, GPUS[str(gpu)], FORMATS[str(precision)], version=NEWEST) is None
