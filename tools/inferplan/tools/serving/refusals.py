"""Refusals: what an engine does not run, in one sentence with what to take instead."""

from collections.abc import Iterator

from inferplan.catalog import engines as catalog
from inferplan.catalog.engines import Refusal, refusal
from inferplan.catalog.formats import FORMATS, KV_FORMATS, KvFormat
from inferplan.core.engine import ENGINES, EngineName
from inferplan.core.engines.kv_coverage import pools_index_keys
from inferplan.core.engines.vllm_defaults import is_compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.precision import BITS_PER_BYTE, Precision
from inferplan.tools import _words as words
from inferplan.tools._settings import settings
from inferplan.tools.serving.adapters import offered_engines, refuse_adapters
from inferplan.tools.serving.runnable import SHARED_TOKENS
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import default_version

POOLED_IN_16_BIT = frozenset(("vllm", "sglang", "tensorrt-llm"))
"""Engines that stop at an 8-bit cache of GLM-5.3-Flash: sgl-project/sglang 36830, TensorRT-LLM pull request 19136,
vllm-project/vllm 55221 and 57713 (on Hopper; on Blackwell its recipe asks for one, of a layout that no log shows)."""
CACHED_AS_COMPUTED = frozenset(("vllm", "sglang", "tensorrt-llm"))
"""Engines whose flags take no wider element of the KV cache than the model computes in: vLLM's CacheConfig and SGLang's
server arguments know none of 32 bit, which is what "auto" gives a model in FP32."""
NAMED = 3
"""Formats named as a way out."""
NEAR = 1.2
"""Ratio of bits up to which a format can stand in for another."""


def refuse(on: Serving, *, engines: bool = False) -> None:
    """Raise a ValueError that names the ways out, where the engine does not run the format on the GPU.

    Or where the memory of the LoRA adapters asked for is not known, or no tensor group can share out a cache as asked.
    `engines` says that the tool takes every engine as an argument; others take those that the planner has as overrides.
    """
    if on.refusal:
        raise ValueError(f"{on.refused}; take {', or '.join(_ways_out(on, engines=engines))}")
    refuse_adapters(on, engines=engines)
    refuse_sharing(on)


def refuse_sharing(on: Serving) -> None:
    """Raise a ValueError where no tensor group has the ranks for the decode context parallelism asked for."""
    if on.degrees or on.not_modelled:
        return
    ranks, group = on.engine.context_parallel, on.sharing_group
    each = f", {ranks:,} for each of {group // ranks:,} KV heads" if group > ranks else ""
    joined = f"none is legal among the {on.domain:,} x {on.gpu.title} that are joined"
    raise ValueError(
        f'"{SHARED_TOKENS}={ranks}" takes a tensor group of {group:,} GPUs or a multiple{each}, and '
        f"{joined if on.domain > 1 else f'{on.gpu.title} stands alone'}; leave it out, or take another gpu"
    )


def refuse_cache(on: Serving, kv_precision: str | None, *, engines: bool = False) -> None:
    """Raise a ValueError that names the ways out, where the engine keeps no KV cache of the model in a format."""
    if kv_precision is None or (said := _no_cache(on, asked := KV_FORMATS[kv_precision])) is None:
        return
    kept = [one.id for one in KV_FORMATS.values() if _no_cache(on, one) is None]
    ways = [f"kv_precision {words.join(kept, last='or')}"]
    others = [name for name in asked.stored_by if not _is_wider(asked, on, name)]
    if on.engine.name in others and on.engine.version < asked.since:
        ways.append(f'overrides="engine_version={_shown(asked.since)}"')
    elif on.engine.name not in others and (offered := offered_engines(others, engines=engines)):
        ways.append(offered)
    raise ValueError(f"{said} in {asked.title}; take {', or '.join(ways)}")


def _no_cache(on: Serving, asked: KvFormat) -> str | None:
    """What the engine does not keep in a format, as the beginning of a sentence; None where it keeps all."""
    if not asked.is_kept_by(on.engine.name, on.engine.version):
        known = on.engine.name in asked.stored_by
        return f"{on.engine_name if known else catalog.ENGINES[on.engine.name].title} keeps no KV cache"
    if _is_wider(asked, on, on.engine.name):
        return f"{on.engine_name} keeps no KV cache of {on.precision.title} weights"
    if on.engine.name == "vllm" and is_compressed(on.model.architecture) and asked.bits != BITS_PER_BYTE:
        return f"{on.engine_name} keeps no compressed keys"
    mixers = [mixer for _, mixer in on.model.architecture.mixers]
    pooled = any(isinstance(mixer, Latent) and pools_index_keys(mixer) for mixer in mixers)
    if pooled and asked.bits <= BITS_PER_BYTE and on.engine.name in POOLED_IN_16_BIT:
        return f"{on.engine_name} is not known to keep the KV cache of {on.model.title}"
    if asked.head_scale_bytes and any(part.heads is None for mixer in mixers for part in mixer.cached):
        return f"{on.engine_name} keeps no latents"
    return None


def _is_wider(asked: KvFormat, on: Serving, engine: str) -> bool:
    """Whether a format has more bits than an engine keeps beside weights in the format asked for."""
    return engine in CACHED_AS_COMPUTED and asked.bits > BITS_PER_BYTE * on.precision.element_bytes


def _shown(version: int) -> str:
    """`0.28`: a version of vLLM as people write it."""
    return settings()["engine_version"].shown(version)


def _ways_out(on: Serving, *, engines: bool) -> Iterator[str]:
    """What to take instead: formats loaded there, engines that load the format, an older version, another GPU."""
    if (found := on.refusal) is None:
        return
    if found.form and (near := _nearest(on, on.engine.name, on.engine.version)):
        yield f"precision {words.join(near, last='or')}"
    yield from _engines(on, found, engines=engines)
    if not engines and on.precision.is_gguf and _loads("llama.cpp", on, on.precision):
        yield "estimate_vram with engine llama.cpp"
    if found.since and refusal(on.engine.name, on.gpu, on.precision, version=found.since - 1) is None:
        yield f'overrides="engine_version={_shown(found.since - 1)}"'
    if found.gpu:
        yield "another gpu"


def _engines(on: Serving, found: Refusal, *, engines: bool) -> Iterator[str]:
    """The engines that load the format on this GPU; where none does for the GPU's sake, others in another format."""
    loading = [name for name in ENGINES if name != on.engine.name and _loads(name, on, on.precision)]
    if loading:
        yield from filter(None, [offered_engines(loading, engines=engines)])
    elif not found.form:
        others = ((offered_engines([name], engines=engines), _nearest(on, name, default_version())) for name in ENGINES)
        yield from (f"{name} with precision {words.join(near, last='or')}" for name, near in others if name and near)


def _loads(engine: EngineName, on: Serving, form: Precision) -> bool:
    """Whether an engine, vLLM in the default version, loads a format on this GPU."""
    return refusal(engine, on.gpu, form, version=default_version()) is None


def _nearest(on: Serving, engine: EngineName, version: int) -> list[str]:
    """Formats of about as many bits that an engine loads on this GPU, else the one nearest in bits."""
    offered = (form for form in FORMATS.values() if not form.is_llm_int8)
    loaded = [form for form in offered if refusal(engine, on.gpu, form, version=version) is None]

    def apart(form: Precision) -> float:
        ratio = form.bits_per_weight / on.precision.bits_per_weight
        return max(ratio, 1 / ratio)

    near = [form.id for form in loaded if apart(form) <= NEAR]
    return near[:NAMED] or [form.id for form in sorted(loaded, key=apart)[:1]]
