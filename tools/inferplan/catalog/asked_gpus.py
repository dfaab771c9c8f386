"""GPUs that can be asked for: those of the catalogue, and the caller's own, described by how they differ from one.

A description is the text of a JSON object. It is also the id of the GPU, so that answers can echo it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inferplan.catalog._advice_slice import slice_advice
from inferplan.catalog._json import loads, quoted
from inferplan.catalog._shelf import LONGEST_NAME, UnknownName
from inferplan.catalog.gpus import GPUS, gpu_rows
from inferplan.core.hardware import Gpu
from inferplan.core.units import GB, GIB, MIB, TERA

__all__ = [
    "DESCRIBED",
    "EXAMPLE",
    "KEYS",
    "GpuProblem",
    "describe_your_own",
    "gpu_id",
    "gpu_of",
    "is_described",
    "shown_gpu",
]

DESCRIBED = "described"
"""The status of a GPU that the caller describes."""
LONGEST_DESCRIPTION = 1000
"""Longer descriptions are refused unread. [characters]"""
EXAMPLE = '{"like": "l40s", "memory_gib": 48, "bandwidth_gb_s": 864, "tflops": 119.5}'
"""An example of a description."""
OWN = f"describe your own by one it is like, as gpu={EXAMPLE}"

UNITS = (
    "memory_gib as sold or memory_mib as the driver prints; tflops dense, in BF16 where the other has it, else FP16, "
    "else FP32; links one way per GPU, 0 for none"
)
"""The units of the keys."""

_COUNT = re.compile(
    r"(?P<first>\d{1,6})(?:\s*[x×*]\s*|[\s-]*gpus?\s+(?:of\s+)?|\s+)(?P<name>.+)"
    r"|(?P<of>.+?)(?:[\s(,]*[x×*:]\s*(?P<last>\d{1,6})|[\s(,]+(?P<these>\d{1,6})[ -]?gpus?)\)?"
    r"|(?P<machine>\w+-\w*gpu)-(?P<inside>\d{1,2})g"
)
_NODES = re.compile(r"(?:nodes?|servers?|machines?|hosts?|boxes)\s*(?:of|with|[x×*:,])?\s*(?P<inside>.+)")
_MACHINE = re.compile(r"\b[dh]gx\b(?! spark)|\.\d*xlarge\b|^[gp]\d|-\w+gpu\b|-standard\b|_v\d\b")
MOST_INSIDE = 128
"""The most GPUs that are taken for those of one machine."""
_MEMORY = re.compile(r"(?P<name>.+?)[ _(-]*\b(?P<label>\d{1,5}) ?(?:g|gb|gib)\)?")
_SIZE = re.compile(r"\s*(?P<label>\d{1,5}) ?(?:g|gb|gib)\s*", re.IGNORECASE)
_LAPTOP = re.compile(r"[\s(_-]*\b(?:laptop|mobile|notebook|max-?q)\b(?:\s+gpu)?\)?", re.IGNORECASE)
SIZED = 3
"""GPUs named for a size of memory alone."""


class GpuProblem(ValueError):  # noqa: N818 - the name says what it is: what is wrong with a name or a description
    """A name or description that is not understood. The message is one actionable sentence."""


class Description(BaseModel):
    """How a GPU differs from one of the catalogue: sold memory [GiB] or what the driver prints [MiB], rates [GB/s].

    `tflops` is the dense peak in 16 bit [TFLOP/s]; those of other formats follow in the proportion of the GPU that it
    is like. `link_gb_s` is one way and per GPU, 0 where there is no link, which joins `link_gpus`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)

    like: str = Field(min_length=1, max_length=LONGEST_NAME)
    title: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ().+/_-]{0,39}$")
    memory_gib: float | None = Field(default=None, ge=1, le=100_000)
    memory_mib: int | None = Field(default=None, ge=1024, le=100_000_000)
    bandwidth_gb_s: float | None = Field(default=None, ge=1, le=1_000_000)
    tflops: float | None = Field(default=None, ge=0.1, le=1_000_000)
    link_gb_s: float | None = Field(default=None, ge=0, le=100_000)
    link_gpus: int | None = Field(default=None, ge=2, le=100_000)
    pcie_gb_s: float | None = Field(default=None, ge=1, le=10_000)
    gpus_per_node: int | None = Field(default=None, ge=1, le=1024)
    power_watts: float | None = Field(default=None, ge=1, le=100_000)


KEYS = tuple(Description.model_fields)
"""The keys of a description."""


def describe_your_own() -> dict[str, Any]:
    """How to describe a GPU that is not catalogued: an example, and all keys with their units."""
    return {"gpu": json.loads(EXAMPLE), "keys": list(KEYS), "units": UNITS}


def is_described(said: str) -> bool:
    """Whether a text is meant as a description.

    >>> is_described(EXAMPLE), is_described("H200")
    (True, False)
    """
    return said.startswith("{")


def gpu_id(said: str) -> str:
    """The id of a GPU by name or description. Raises `GpuProblem` where there is none.

    >>> gpu_id("H200"), gpu_id("l40s 48 GB")
    ('h200-sxm', 'l40s')
    >>> gpu_id('{"memory_gib": 96.0, "like": "H100"}')
    '{"like":"h100-sxm","memory_gib":96}'
    """
    said = said.lstrip("\ufeff \t\r\n")
    if is_described(said):
        return _described(_text(_read(said))).id
    if id_ := _known(said):
        return id_
    if advice := slice_advice(said) or _counted(said) or _with_other_memory(said) or _of_a_laptop(said):
        raise GpuProblem(advice)
    try:
        return GPUS.id_of(said)
    except UnknownName as unknown:
        raise GpuProblem(str(unknown) if GPUS.knows(said) else f"{unknown}; or {OWN}") from None


def gpu_of(id_: str) -> Gpu:
    """The GPU of an id; a described one is cached."""
    return _described(id_) if is_described(id_) else GPUS[id_]


def shown_gpu(gpu: Gpu) -> str:
    """A GPU's id for a table; of a described one, its title."""
    return gpu.title if gpu.status == DESCRIBED else gpu.id


def _known(said: str) -> str | None:
    """The id of the one GPU with this name, also with its memory behind it ("L40S 48GB"); None where there is none.

    Raises `GpuProblem` for a size alone.
    """
    if size := _SIZE.fullmatch(said):
        raise GpuProblem(_sized(said.strip(), int(size["label"])))
    if id_ := GPUS.only(said):
        return id_
    if (found := _labelled(said)) is None:
        return None
    name, label = found
    if id_ := GPUS.only(f"{name} {label}gb"):
        return id_
    return id_ if (id_ := GPUS.only(name)) and _has(id_, label) else None


def _sized(said: str, label: int) -> str:
    """The advice for a size alone, which names no GPU even where only one has it in its name."""
    ids = [id_ for id_ in GPUS if _has(id_, label)]
    near = f"with so much: {', '.join(map(quoted, ids[:SIZED]))}; or " if ids else ""
    return f"{quoted(said)} is the memory of a GPU, not its name; {near}{OWN}"


def _labelled(said: str) -> tuple[str, int] | None:
    """A name, and the memory that stands behind it [GB or GiB]; None without."""
    found = _MEMORY.fullmatch(said.strip().casefold()) if len(said) <= LONGEST_NAME else None
    return found and (found["name"], int(found["label"]))


def _has(id_: str, label: int) -> bool:
    """Whether a GPU has about this much memory, in GB or GiB."""
    held = GPUS[id_].memory
    return any(abs(held - label * unit) <= LABEL_TOLERANCE * held for unit in (GB, GIB))


def _with_other_memory(said: str) -> str | None:
    """The advice for a GPU's name with another memory than it has: how to describe that one; else None."""
    if (found := _labelled(said)) is None or (id_ := GPUS.only(found[0])) is None or not found[1]:
        return None
    own = json.dumps({"like": id_, "memory_gib": found[1]})
    return f"no GPU {quoted(said.strip())}; {id_} has {gpu_rows()[id_].label_gib:g} GiB; describe yours, as gpu={own}"


def _of_a_laptop(said: str) -> str | None:
    """The advice for a laptop's GPU, which is named as a desktop's but has another chip and memory; else None."""
    name = _LAPTOP.sub(" ", said) if len(said) <= LONGEST_NAME else said
    if name == said or (id_ := GPUS.only(name)) is None:
        return None
    return f"no GPU {quoted(said.strip())}; a laptop's has another chip and memory than {id_}; {OWN}"


LABEL_TOLERANCE = 0.07
"""How far a GPU's memory may be from its label: of a T4, 15 of 16 GiB are left. [fraction]"""


def _counted(said: str) -> str | None:
    """The advice for a name with a number of GPUs: "8x H100", "2 nodes of 8xH100", "a3-highgpu-8g"; else None."""
    found = _gpus_in(said.strip().casefold()) if len(said) <= LONGEST_NAME else None
    if found is None:
        return None
    id_, count = found
    many = f"how many in total_gpus ({count})" if count else "how many its machines have together in total_gpus"
    return f'name one GPU, gpu "{id_}", and {many}, where a tool takes it'


def _gpus_in(said: str) -> tuple[str, int] | None:
    """A GPU and how many of it a text counts, 0 where it counts machines without saying how many each has; else None.

    >>> _gpus_in("8x h100"), _gpus_in("2 nodes of 8xh100"), _gpus_in("2x dgx h100"), _gpus_in("h100")
    (('h100-sxm', 8), ('h100-sxm', 16), ('h100-sxm', 0), None)
    """
    found = _COUNT.fullmatch(said)
    if found is None:
        return None
    count = int(found["first"] or found["last"] or found["these"] or found["inside"])
    name = found["name"] or found["of"] or found["machine"]
    nodes = _NODES.fullmatch(name)
    name = nodes["inside"] if nodes else name
    if id_ := _known(name) or _known(name.removesuffix("s")):
        of_machines = nodes or (_MACHINE.search(name) and not (found["these"] or found["inside"]))
        return id_, 0 if of_machines else count
    inside = _gpus_in(name)
    return (inside[0], count * inside[1]) if inside and inside[1] <= MOST_INSIDE else None


def _read(said: str) -> Description:
    """The description in a text. Raises `GpuProblem` where it is not one."""
    if len(said) > LONGEST_DESCRIPTION:
        raise GpuProblem(
            f"a description has at most {LONGEST_DESCRIPTION:,} characters, not {len(said):,}; as {EXAMPLE}"
        )
    try:
        found = Description.model_validate(_parsed(said))
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise GpuProblem("; ".join(dict.fromkeys(map(_problem, details[:MOST_PROBLEMS])))) from None
    if found.memory_gib and found.memory_mib:
        raise GpuProblem('"memory_gib" and "memory_mib" say the same; keep one')
    if found.link_gb_s and found.link_gb_s < SLOWEST_LINK:
        raise GpuProblem(f'"link_gb_s" takes 0 for no link, or a number from {SLOWEST_LINK:g}; got {found.link_gb_s:g}')
    try:
        return found.model_copy(update={"like": _known(found.like) or GPUS.id_of(found.like)})
    except UnknownName as unknown:
        raise GpuProblem(f'"like": {unknown}') from None


SLOWEST_LINK = 0.1
"""The slowest link that counts as one: Ethernet of 1 Gb/s has 0.125. [GB/s]"""
MOST_PROBLEMS = 3
"""Problems of a description that are reported."""


def _parsed(said: str) -> Any:
    """The JSON document of a text. Raises `GpuProblem` where it is none."""
    try:
        return loads(said, twice=lambda _: GpuProblem("a description has each key once"))
    except GpuProblem:
        raise
    except (ValueError, RecursionError):
        raise GpuProblem(f"a description is one JSON object, as {EXAMPLE}") from None


def _problem(detail: Mapping[str, Any]) -> str:
    """One problem as a clause: the key, and what it takes."""
    name = str(detail["loc"][0])
    if detail["type"] == "missing":
        return f'a description says what GPU of the catalogue it is "like", as {EXAMPLE}'
    if detail["type"] == "extra_forbidden":
        near = get_close_matches(name[:40], KEYS, n=2)
        known = ", ".join(KEYS)
        meant = f"did you mean {' or '.join(map(quoted, near))}?" if near else f"it takes {known}"
        return f"{quoted(name)} is no key of a description; {meant}"
    return f'"{name}" takes {_takes(name)}; got {quoted(detail["input"])}'


def _takes(name: str) -> str:
    """`a number from 1 to 100,000`: the values of a key."""
    schema = Description.model_json_schema()["properties"][name]
    value = schema.get("anyOf", [schema])[0]
    if value["type"] == "string":
        return "a plain name of at most 40 characters" if name == "title" else "the name of a GPU of the catalogue"
    kind = "a whole number" if value["type"] == "integer" else "a number"
    return f"{kind} from {value['minimum']:,} to {value['maximum']:,}"


def _text(found: Description) -> str:
    """A description in its canonical form."""
    given = found.model_dump(exclude_none=True)
    short = {name: int(v) if isinstance(v, float) and v.is_integer() else v for name, v in given.items()}
    return json.dumps(short, separators=(",", ":"))


@lru_cache(maxsize=256)
def _described(id_: str) -> Gpu:
    """The GPU of a description in its canonical form."""
    found = _read(id_)
    like = GPUS[found.like]
    memory = _memory(like, found)
    return replace(
        like,
        id=id_,
        like=like.id,
        status=DESCRIBED,
        title=found.title or f"GPU like {like.title}",
        memory=memory,
        engine_memory=round(memory * like.engine_memory / like.memory),
        bandwidth=found.bandwidth_gb_s * GB if found.bandwidth_gb_s else like.bandwidth,
        flops=_flops(like, found.tflops),
        node_size=found.gpus_per_node or like.node_size,
        power_watts=found.power_watts or like.power_watts,
        **_bus(like, found),
        **_link(like, found),
    )


def _memory(like: Gpu, found: Description) -> int:
    """Memory that the driver reports: the same share of its label as of the GPU that it is like. [B]

    Drivers report 99.56 % of the 80 GiB of an H100, and within 0.02 % as much of an H20's 96 and an H200's 141.
    """
    if found.memory_gib:
        return round(found.memory_gib * like.memory / gpu_rows()[like.id].label_gib)
    return found.memory_mib * MIB if found.memory_mib else like.memory


def _flops(like: Gpu, tflops: float | None) -> dict[str, float]:
    """Peaks by format: those of the GPU that it is like, scaled by the ratio of the 16-bit peaks. [FLOP/s]"""
    if tflops is None:
        return dict(like.flops)
    own = like.half_flops
    return {form: peak * tflops * TERA / own for form, peak in like.flops.items()} if own else {"bf16": tflops * TERA}


def _bus(like: Gpu, found: Description) -> dict[str, Any]:
    """The fields of the host link, where its rate is another: then its generation is not known."""
    if found.pcie_gb_s is None or found.pcie_gb_s * GB == like.pcie_bandwidth:
        return {}
    return {"pcie": "PCIe", "pcie_bandwidth": found.pcie_gb_s * GB}


def _link(like: Gpu, found: Description) -> dict[str, Any]:
    """The fields of the scale-up link: as described, else that of the GPU that it is like, within a node."""
    rate = like.link_bandwidth if found.link_gb_s is None else found.link_gb_s * GB
    if not rate:
        if found.link_gpus:
            why = "the GPU that it is like has no link" if found.link_gb_s is None else "0 is for no link"
            raise GpuProblem(f'"link_gpus" needs "link_gb_s" above 0: {why}')
        return {"link": None, "link_bandwidth": None, "link_span": 1, "link_mesh": False}
    span = found.link_gpus or _span(like, found.gpus_per_node or like.node_size)
    among = rate if found.link_gb_s or found.link_gpus else like.link_among(span)
    return {"link": like.link or "link", "link_bandwidth": among, "link_span": span}


def _span(like: Gpu, node_size: int) -> int:
    """GPUs joined by the link where not described: a link that stays within a node joins no more than it has."""
    if like.link is None:
        return node_size
    return like.link_span if like.joins_nodes else min(like.link_span, node_size)
