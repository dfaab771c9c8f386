"""A caller who asks for what an engine does not run is told so, and what to take instead."""

from collections.abc import Iterator

from inferplan.catalog import engines as catalog
from inferplan.catalog.engines import Refusal, refusal
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.core.engine import ENGINES, EngineName
from inferplan.core.precision import Precision
from inferplan.tools import _words as words
from inferplan.tools._assumptions import settings
from inferplan.tools._serving import Serving

NAMED = 3
"""Formats that are offered."""
NEAR = 1.2
"""The ratio of bits up to which one format can stand in for another."""


def refuse(on: Serving, *, engines: bool = False) -> None:
    """Raise a ValueError, one sentence with the ways out, where the engine does not run the format on the GPU.

    The tool takes an engine where other `engines` are offered.
    """
    if on.refusal:
        raise ValueError(f"{on.refused}; take {', or '.join(_ways_out(on, engines=engines))}")


def refuse_cache(engine: EngineName, kv_precision: str | None, *, engines: bool = False) -> None:
    """The same where the engine keeps no KV cache in the format asked for."""
    if kv_precision is None or engine in (asked := KV_FORMATS[kv_precision]).stored_by:
        return
    ways = [f"kv_precision {words.join([one.id for one in KV_FORMATS.values() if engine in one.stored_by], last='or')}"]
    ways += [f"engine {words.join([*asked.stored_by], last='or')}"] if engines else []
    raise ValueError(f"{catalog.ENGINES[engine].title} keeps no KV cache in {asked.title}; take {', or '.join(ways)}")


def _ways_out(on: Serving, *, engines: bool) -> Iterator[str]:
    """Formats that it loads there, engines that load the format there, an older version, another GPU."""
    if (found := on.refusal) is None:
        return
    if found.form and (near := _nearest(on, on.engine.name, on.engine.version)):
        yield f"precision {words.join(near, last='or')}"
    if engines:
        yield from _engines(on, found)
    elif on.precision.is_gguf and refusal("llama.cpp", on.gpu, on.precision, version=on.engine.version) is None:
        yield "estimate_vram with engine llama.cpp"
    if found.since and refusal(on.engine.name, on.gpu, on.precision, version=found.since - 1) is None:
        yield f'overrides="engine_version={settings()["engine_version"].shown(found.since - 1)}"'
    if found.gpu:
        yield "another gpu"


def _engines(on: Serving, found: Refusal) -> Iterator[str]:
    """Those that load the format on this GPU; where none does and the format is not at fault, one in another format."""
    newest = int(settings()["engine_version"].default or 0)
    loading = [name for name in ENGINES if refusal(name, on.gpu, on.precision, version=newest) is None]
    if loading:
        yield f"engine {words.join([*loading], last='or')}"
    elif not found.form:
        others = ((name, _nearest(on, name, newest)) for name in ENGINES)
        yield from (f"engine {name} with precision {words.join(near, last='or')}" for name, near in others if near)


def _nearest(on: Serving, engine: EngineName, version: int) -> list[str]:
    """Formats of about as many bits that an engine loads on this GPU, else the one nearest in bits."""
    loaded = [form for form in FORMATS.values() if refusal(engine, on.gpu, form, version=version) is None]

    def apart(form: Precision) -> float:
        ratio = form.bits_per_weight / on.precision.bits_per_weight
        return max(ratio, 1 / ratio)

    near = [form.id for form in loaded if apart(form) <= NEAR]
    return near[:NAMED] or [form.id for form in sorted(loaded, key=apart)[:1]]
