"""Lookups by model and layout that many servings share, cached: tensor degrees, pipelines, error bands."""

from functools import lru_cache

from inferplan.core import parallelism
from inferplan.core.error_bands import Band, Law, Level, attention_of, band
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.speed.efficiency import Kind


@lru_cache(maxsize=1024)
def degrees_of(model: Model, domain: int, block: int) -> tuple[int, ...]:
    """The tensor-parallel degrees of a model within a domain of GPUs."""
    return parallelism.tensor_degrees(model.architecture, domain=domain, block=block)


@lru_cache(maxsize=1024)
def pipelines(degrees: tuple[int, ...], layers: int, split: int, least: int) -> tuple[Layout, ...]:
    """Layouts of these tensor degrees in at least `least` stages of `split` layers, smallest first."""
    offered = [pp for pp in parallelism.depths(split, least) if pp <= layers]
    return tuple(
        sorted((Layout(tp=tp, pp=pp) for tp in degrees for pp in offered), key=lambda one: (one.replica, one.pp))
    )


@lru_cache(maxsize=1024)
def band_of(model: Model, kind: Kind, law: Law, level: Level) -> Band:
    """The error band of a model's runs, by law and level, on one kind of GPU, format and engine."""
    return band(law, kind=kind, attention=attention_of(model.architecture), level=level)
