"""Which combinations of engine, GPU and format have an answer."""

from collections.abc import Mapping
from typing import cast

from inferplan.catalog.engines import refusal
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine import EngineName
from inferplan.core.engines.kv_coverage import pools_index_keys
from inferplan.core.layers.latent_attention import Latent

NEWEST = 28


def runs(gpu: object, precision: object, engine: object = "vllm") -> bool:
    """Whether the engine is not known to refuse the format on the GPU, in its newest version."""
    name = cast("EngineName", engine)
    return refusal(name, GPUS[str(gpu)], FORMATS[str(precision)], version=NEWEST) is None


def keeps(asked: Mapping[str, object]) -> bool:
    """Whether vLLM's newest version is not known to refuse the cache that a question asks for, none being its own."""
    if "kv_precision" not in asked:
        return True
    architecture, form = MODELS[str(asked["model"])].architecture, KV_FORMATS[str(asked["kv_precision"])]
    if form.id == "fp32" and asked["precision"] != "fp32":
        return False
    parts = [part for _, mixer in architecture.mixers for part in mixer.cached]
    if any(part.what == "compressed keys" for part in parts):
        return form.id == "fp8"
    if any(isinstance(mixer, Latent) and pools_index_keys(mixer) for _, mixer in architecture.mixers):
        return form.bits > 8
    return form.head_scale_bytes == 0 or all(part.heads is not None for part in parts)
