"""A caller who asks for what an engine does not run is told so, and what to take instead."""

from collections.abc import Iterator

from inferplan.catalog.engines import ENGINES, refusal
from inferplan.catalog.formats import FORMATS
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


def _ways_out(on: Serving, *, engines: bool) -> Iterator[str]:
    """Formats that it loads there, engines that load the format there, an older version, another GPU."""
    if (found := on.refusal) is None:
        return
    if found.form and (near := _nearest(on)):
        yield f"precision {words.join(near, last='or')}"
    others = [name for name in ENGINES if refusal(name, on.gpu, on.precision, version=_newest()) is None]
    if engines and others:
        yield f"engine {words.join(others, last='or')}"
    if found.since and refusal(on.engine.name, on.gpu, on.precision, version=found.since - 1) is None:
        yield f'overrides="engine_version={settings()["engine_version"].shown(found.since - 1)}"'
    if found.gpu:
        yield "another gpu"


def _newest() -> int:
    """The version of vLLM that is planned for where none is given."""
    return int(settings()["engine_version"].default or 0)


def _nearest(on: Serving) -> list[str]:
    """Formats of about as many bits that the engine loads on this GPU, else the one nearest in bits."""
    loaded = [
        form for form in FORMATS.values() if refusal(on.engine.name, on.gpu, form, version=on.engine.version) is None
    ]

    def apart(bits: float) -> float:
        return max(bits / on.precision.bits_per_weight, on.precision.bits_per_weight / bits)

    near = [form.id for form in loaded if apart(form.bits_per_weight) <= NEAR]
    return near[:NAMED] or [form.id for form in sorted(loaded, key=lambda form: apart(form.bits_per_weight))[:1]]
