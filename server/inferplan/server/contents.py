"""What the resources of the catalog hold. Imported when the first of them is read: the catalog is behind it."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python

from inferplan.catalog import prices
from inferplan.catalog._shelf import Shelf
from inferplan.catalog.asked_gpus import describe_your_own
from inferplan.catalog.formats import FORMATS, KV_FORMATS, PrecisionRow, format_rows
from inferplan.catalog.glossary import GLOSSARY, Term
from inferplan.catalog.gpus import GPUS, GpuRow, gpu_rows
from inferplan.catalog.models import MODELS, ModelRow, model_rows
from inferplan.catalog.presets import PRESETS, Preset
from inferplan.tools._words import gib


@dataclass(frozen=True, kw_only=True)
class Content:
    """One section of the catalog.

    `rows` are its items in full; `line` is an item in one line, empty for one that is not listed; `beside` is what the
    list has beside its items.
    """

    name: str
    shelf: Shelf[Any]
    rows: Callable[[], Mapping[str, Any]]
    line: Callable[[Any], str]
    beside: Callable[[], Mapping[str, Any]] = dict[str, Any]

    def index(self) -> str:
        """Every id with one line."""
        lines = {id_: line for id_, row in self.rows().items() if (line := self.line(row))}
        return compact({self.name: lines} | to_jsonable_python(self.beside(), exclude_none=True))

    def item(self, name: str) -> str:
        """One item in full, by any name that people say. Raises `UnknownName`."""
        id_ = self.shelf.id_of(name)
        return compact({"id": id_} | to_jsonable_python(self.rows()[id_], exclude_none=True))

    def near(self, name: str) -> list[str]:
        """The nearest ids to an unknown name; empty where an item has the name."""
        return [] if self.knows(name) else self.shelf.nearest(name)

    def knows(self, name: str) -> bool:
        """Whether an item goes by this name."""
        return self.shelf.only(name) is not None


def compact(value: object) -> str:
    """JSON without the spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _model(row: ModelRow) -> str:
    active = f" ({row.params_active / 1e9:,.3g}B active)" if row.params_active != row.params_total else ""
    return f"{row.title}: {row.params_total / 1e9:,.3g}B{active}, {row.shape.context:,} tokens"


def _gpu(row: GpuRow) -> str:
    return f"{row.title}: {gib(row.memory)}, {row.bandwidth_gb_s:,.0f} GB/s"


def _format(row: PrecisionRow) -> str:
    return f"{row.title}: {row.bits:g} bits per weight, quality {row.quality}"


def _kv_formats() -> dict[str, str]:
    return {id_: f"{kv.title}: {kv.bits:g} bits per element" for id_, kv in KV_FORMATS.items()}


def _preset(row: Preset) -> str:
    return f"{row.title}: {row.scenario} {row.model} in {row.precision}, users at once: {row.concurrent_users}"


def _term(row: Term) -> str:
    return f"{row.title}: {row.meaning.partition('. ')[0].rstrip('.')}"


_RENTALS: tuple[prices.RentalKind, ...] = ("on_demand", "spot", "reserved_1y", "reserved_3y")


def _price_rows() -> dict[str, dict[str, Any]]:
    """What each GPU costs to rent, buy and own, where that is known."""
    return {gpu: {kind: price for kind, price in _prices_of(gpu) if price} for gpu in GPUS}


def _prices_of(gpu: str) -> Iterator[tuple[str, object]]:
    for kind in _RENTALS:
        quote = prices.rental(gpu, kind)
        yield f"rental_{kind}", quote and _quote(quote)
    yield "purchase", prices.purchase(gpu)
    yield "owned_all_in", prices.ownership_cost(gpu)


def _quote(quote: prices.Quote) -> dict[str, Any]:
    """A quote with what distinguishes its offers."""
    said = {"provider", "instance", "region", "usd_per_gpu_hour", "date", "source"}
    return {
        "usd_per_gpu_hour": {name: round(getattr(quote, name), 4) for name in ("low", "median", "high")},
        "kind": quote.kind,
        "offers": [row.model_dump(mode="json", include=said, exclude_none=True) for row in quote.rows],
    }


def _price(found: Mapping[str, Any]) -> str:
    rentals = [(kind, found[f"rental_{kind}"]["usd_per_gpu_hour"]) for kind in _RENTALS if f"rental_{kind}" in found]
    bought = [f"purchase {found['purchase'].usd_per_gpu:,.0f}"] if "purchase" in found else []
    return "; ".join([*(f"{kind} {usd['median']:.2f}" for kind, usd in rentals), *bought])


def _price_notes() -> dict[str, Any]:
    return {
        "as_of": prices.AS_OF,
        "units": "rental: median over providers, USD per GPU-hour; purchase: USD per GPU",
        "facility": dict(prices.FACILITY),
    }


_ALL = (
    Content(name="models", shelf=MODELS, rows=model_rows, line=_model),
    Content(name="gpus", shelf=GPUS, rows=gpu_rows, line=_gpu, beside=lambda: {"your_own": describe_your_own()}),
    Content(
        name="formats", shelf=FORMATS, rows=format_rows, line=_format, beside=lambda: {"kv_formats": _kv_formats()}
    ),
    Content(name="prices", shelf=GPUS, rows=_price_rows, line=_price, beside=_price_notes),
    Content(name="presets", shelf=PRESETS, rows=lambda: PRESETS, line=_preset),
    Content(name="glossary", shelf=GLOSSARY, rows=lambda: GLOSSARY, line=_term),
)
CONTENTS: Mapping[str, Content] = {content.name: content for content in _ALL}
