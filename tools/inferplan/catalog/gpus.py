"""Accelerators: memory as the driver reports it, bandwidth, dense peaks, links."""

from functools import cache
from itertools import chain
from math import ceil
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from inferplan.catalog._shelf import Entry, Shelf, Stock, words
from inferplan.catalog._table import TitledRow, document, read_rows
from inferplan.core.hardware import Gpu
from inferplan.core.units import GB, GIB, MIB, TERA

_FILE = "gpus.toml"

LABEL_SHARE = 0.98
"""Assumed share of the label [GiB] that a driver reports, where no log was found.

Drivers that were read report 93.8 % (T4, ECC on) to 100 % of the label in GiB.
"""

ENGINE_SHARE = 0.985
"""Assumed share of the driver's total that an engine sees, where no log was found.

Devices that were read: 98.1 % (A10G) to 99.7 % (B300), all of it on cards of AMD; the CUDA runtime keeps the rest.
"""

KIN = 3
"""Letters from which a word of an architecture or machine identifies it: not the M of Apple's M4."""

VENDORS = {
    "nvidia": "NVIDIA",
    "amd": "AMD",
    "intel": "Intel",
    "apple": "Apple",
    "google": "Google",
    "aws": "AWS",
    "huawei": "Huawei",
}
"""The vendors' names as they are written."""

Compute = Literal["fp32", "bf16", "fp16", "fp8", "int8", "int4", "fp4"]


class Link(BaseModel):
    """The scale-up link of a device: bandwidth one way per device [GB/s], and how many devices it joins.

    A `mesh` has a wire for each pair, no switch: the bandwidth is the sum of those of one device.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: str
    gb_s: PositiveFloat
    span: PositiveInt
    mesh: bool = False


class HostLink(BaseModel):
    """The link to the host, one way [GB/s]; without a rate where its width is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: str
    gb_s: PositiveFloat | None = None


class GpuRow(TitledRow):
    """One accelerator in the units of its sources: MiB, GiB, GB/s, TFLOP/s, W.

    `status` is "verified" (read in the sources), "datasheet" (the vendor's figures, not read again),
    "announced" or "third-party". `inline_ecc` says that check bits are stored among the data, `devices` as how many
    of them software counts one. `machines` are what it is sold in, beside others of its kind: a name of theirs names
    it together with its first alias. `guide_menu` marks the GPUs that the guide offers.
    """

    machines: tuple[str, ...] = ()
    vendor: str
    architecture: str
    kind: Literal["datacenter", "consumer", "workstation", "unified"]
    year: int = Field(ge=2016, le=2027)
    memory_mib: PositiveInt | None = None
    memory_label_gib: PositiveFloat | None = None
    engine_gib: PositiveFloat | None = None
    engine_share_of_label: float | None = Field(default=None, gt=0, le=1)
    bandwidth_gb_s: PositiveFloat
    tflops: dict[Compute, PositiveFloat]
    link: Link | None = None
    host: HostLink | None = None
    node_size: PositiveInt
    power_watts: PositiveFloat | None = None
    inline_ecc: bool = False
    devices: PositiveInt = 1
    status: Literal["verified", "datasheet", "announced", "third-party"]
    guide_menu: bool = False
    note: str | None = None

    @model_validator(mode="after")
    def _one_memory(self) -> "GpuRow":
        given = [one for one in (self.memory_mib, self.memory_label_gib) if one is not None]
        if len(given) != 1 and not (given and self.kind == "unified"):
            raise ValueError("give memory_mib (as the driver prints it) or memory_label_gib, not both of a card")
        if self.engine_share_of_label and self.memory_label_gib is None:
            raise ValueError("engine_share_of_label needs memory_label_gib")
        return self

    @property
    def memory(self) -> int:
        """Memory that the driver reports of an empty device. [B]"""
        if self.memory_mib is not None:
            return self.memory_mib * MIB
        return round((self.memory_label_gib or 0) * LABEL_SHARE * GIB)

    @property
    def engine_memory(self) -> int:
        """Memory that a serving engine sees. [B]"""
        if self.engine_gib is not None:
            return round(self.engine_gib * GIB)
        if self.engine_share_of_label is not None and self.memory_label_gib is not None:
            return round(self.engine_share_of_label * self.memory_label_gib * GIB)
        return round(self.memory * ENGINE_SHARE)

    @property
    def label_gib(self) -> float:
        """Memory as sold: the row's label, else the next whole GiB, check bits included. [GiB]

        An L40S, of which the driver reports 44.99 GiB, is sold as 48; an H100 of 79.65 as 80.
        """
        return self.memory_label_gib or ceil(self.memory / GIB * (16 / 15 if self.inline_ecc else 1))

    @property
    def names(self) -> tuple[str, ...]:
        """Other names: its aliases, and each machine with the first alias, on either side."""
        sold = ((f"{one} {chip}", f"{chip} {one}") for one in self.machines for chip in self.aliases[:1])
        return (*self.aliases, *chain.from_iterable(sold))

    @property
    def kin(self) -> frozenset[str]:
        """Words that suggest it but never name it: vendor, architecture ("hopper"), machines."""
        said = (VENDORS[self.vendor], self.architecture.partition(" ")[0], *self.machines)
        return frozenset(word for one in said for word in words(one) if word.isalpha() and len(word) >= KIN)

    def gpu(self) -> Gpu:
        """The row as the formulas take it."""
        return Gpu(
            id=self.id,
            title=self.title,
            vendor=self.vendor,
            architecture=self.architecture,
            kind=self.kind,
            memory=self.memory,
            engine_memory=self.engine_memory,
            bandwidth=self.bandwidth_gb_s * GB,
            flops={compute: rate * TERA for compute, rate in self.tflops.items()},
            link=self.link.name if self.link else None,
            link_bandwidth=self.link.gb_s * GB if self.link else None,
            link_span=self.link.span if self.link else 1,
            link_mesh=self.link is not None and self.link.mesh,
            pcie=self.host.name if self.host else None,
            pcie_bandwidth=self.host.gb_s * GB if self.host and self.host.gb_s else None,
            node_size=self.node_size,
            power_watts=self.power_watts,
            status=self.status,
            inline_ecc=self.inline_ecc,
            devices=self.devices,
        )


@cache
def gpu_rows() -> dict[str, GpuRow]:
    """Every row by id, with what `Gpu` leaves out: year, basis of the engine's memory, note, sources."""
    return {row.id: row for row in read_rows(_FILE, "gpu", GpuRow)}


def _stock() -> Stock[Gpu]:
    entries = tuple(
        Entry(id=row.id, title=row.title, aliases=row.names, value=row.gpu(), kin=row.kin)
        for row in gpu_rows().values()
    )
    return Stock(entries=entries, noise=frozenset(document(_FILE)["noise"]))


GPUS: Shelf[Gpu] = Shelf(kind="GPU", load=_stock)


@cache
def _guide_menu() -> tuple[str, ...]:
    chosen = (row for row in gpu_rows().values() if row.guide_menu)
    return tuple(row.id for row in sorted(chosen, key=lambda row: row.bandwidth_gb_s))


def __getattr__(name: str) -> tuple[str, ...]:
    """`GUIDE_MENU`: ids of the GPUs that the guide offers, slowest memory first, read when first asked for."""
    if name == "GUIDE_MENU":
        return _guide_menu()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
