"""GPUs: memory as drivers report it, links, and the names people say."""

import pytest

from inferplan.catalog import gpus
from inferplan.catalog._shelf import UnknownName
from inferplan.catalog.gpus import ENGINE_SHARE, GPUS, LABEL_SHARE, GpuRow, gpu_rows
from inferplan.catalog.prices import AS_OF
from inferplan.core.units import GIB, MIB

SAID = [
    ("h100", "h100-sxm"),
    ("H100", "h100-sxm"),
    ("h100 80gb", "h100-sxm"),
    ("H100 80 GB", "h100-sxm"),
    ("h100-80gb", "h100-sxm"),
    ("H100 SXM", "h100-sxm"),
    ("h100 sxm5", "h100-sxm"),
    ("nvidia-h100-80gb-hbm3", "h100-sxm"),
    ("NVIDIA H100 80GB HBM3", "h100-sxm"),
    ("NVIDIA H100 PCIe", "h100-pcie"),
    ("h100 pcie", "h100-pcie"),
    ("H100 NVL", "h100-nvl"),
    ("p5.48xlarge", "h100-sxm"),
    ("h200", "h200-sxm"),
    ("NVIDIA H200", "h200-sxm"),
    ("H200 141GB", "h200-sxm"),
    ("b200", "b200-sxm"),
    ("B200 192GB", "b200-sxm"),
    ("b300", "b300-sxm"),
    ("gb200", "gb200"),
    ("GB200 NVL72", "gb200"),
    ("gh200", "gh200-96gb"),
    ("a100", "a100-80gb-sxm"),
    ("A100 80GB", "a100-80gb-sxm"),
    ("a100-80gb", "a100-80gb-sxm"),
    ("A100 40GB", "a100-40gb-sxm"),
    ("NVIDIA A100-SXM4-80GB", "a100-80gb-sxm"),
    ("NVIDIA A100-SXM4-40GB", "a100-40gb-sxm"),
    ("A100 80GB PCIe", "a100-80gb-pcie"),
    ("4090", "rtx-4090"),
    ("RTX4090", "rtx-4090"),
    ("rtx 4090", "rtx-4090"),
    ("GeForce 4090", "rtx-4090"),
    ("NVIDIA GeForce RTX 4090", "rtx-4090"),
    ("5090", "rtx-5090"),
    ("RTX A6000", "rtx-a6000"),
    ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
    ("l4", "l4"),
    ("L40", "l40"),
    ("L40S", "l40s"),
    ("Tesla T4", "t4"),
    ("a10g", "a10g"),
    ("MI300X", "mi300x"),
    ("mi300", "mi300x"),
    ("AMD Instinct MI300X", "mi300x"),
    ("mi355x", "mi355x"),
    ("Gaudi 3", "gaudi-3"),
    ("gaudi3", "gaudi-3"),
    ("m4 max", "apple-m4-max"),
    ("Apple M3 Ultra", "apple-m3-ultra"),
    ("M3 Ultra 512GB", "apple-m3-ultra"),
    ("M4 Pro", "apple-m4-pro"),
    ("m5 max", "apple-m5-max"),
    ("g6e.12xlarge", "l40s"),
    ("g4dn.xlarge", "t4"),
    ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx-pro-6000-blackwell-server"),
    ("tpu v7", "tpu-v7x"),
    ("tpu v6e", "tpu-v6e"),
    ("trn2", "trainium2"),
    ("dgx spark", "dgx-spark-gb10"),
    ("strix halo", "ryzen-ai-max-395"),
    ("Mac Studio M3 Ultra", "apple-m3-ultra"),
    ("M4 Max MacBook Pro", "apple-m4-max"),
    ("GB200 rack", "gb200"),
    ("Standard_ND96isr_H100_v5", "h100-sxm"),
]


@pytest.mark.parametrize(("said", "id_"), SAID)
def test_a_gpu_is_found_by_what_people_call_it(said: str, id_: str) -> None:
    assert GPUS.find(said).id == id_


@pytest.mark.parametrize("said", ["rtx 6000", "a100 pcie", "v100", "rtx", "blackwell", "nvidia", "100", "max"])
def test_a_name_that_fits_several_gpus_is_not_guessed(said: str) -> None:
    with pytest.raises(UnknownName):
        GPUS.find(said)


def test_a_gpu_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r'^no GPU "h10"; nearest: "h100-sxm"'):
        GPUS.find("h10")


@pytest.mark.parametrize(
    ("said", "mib"),
    [
        ("3060", 12288),
        ("rtx 4060", 8188),
        ("4060ti 16gb", 16380),
        ("4070", 12282),
        ("GeForce RTX 4070 Ti SUPER", 16376),
    ],
)
def test_cards_of_one_series_are_told_apart(said: str, mib: int) -> None:
    assert GPUS.find(said).memory == mib * 2**20


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("mac mini", 'GPU "mac mini" could be any of 2; nearest: "apple-m4-pro", "apple-m5-pro"'),
        ("hopper", 'GPU "hopper" could be any of 10; nearest: "h100-sxm", "h200-sxm", "h100-pcie"'),
        ("blackwell", 'GPU "blackwell" could be any of 18; nearest: "b200-sxm", "b300-sxm", "gb200"'),
        ("amd", 'GPU "amd" could be any of 10; nearest: "mi300x", "mi325x", "mi350x"'),
        ("apple silicon", 'no GPU "apple silicon"; nearest: "apple-m4-pro", "apple-m5-pro", "apple-m2-max"'),
        ("macbook m4 max", 'no GPU "macbook m4 max"; nearest: "apple-m4-max", "apple-m2-max", "apple-m3-max"'),
        ("intel max 1550", 'no GPU "intel max 1550"; nearest: "gaudi-2", "gaudi-3", "arc-pro-b60"'),
        ("turing", 'no GPU "turing"; nearest: "t4"'),
        ("5060 ti", 'GPU "5060 ti" could be any of 2; nearest: "rtx-5060-ti-8gb", "rtx-5060-ti-16gb"'),
    ],
)
def test_who_names_a_maker_an_architecture_or_a_machine_is_told_of_those(said: str, answer: str) -> None:
    with pytest.raises(UnknownName) as caught:
        GPUS.find(said)
    assert str(caught.value) == answer


def test_a_mac_studio_is_any_of_the_chips_that_it_is_sold_with() -> None:
    """Of 2023 with M2 Max and Ultra, of 2025 with M4 Max and M3 Ultra, of 2026 with M5 Max and Ultra."""
    with pytest.raises(UnknownName) as caught:
        GPUS.find("mac studio")
    chips = [f'"apple-m{chip}"' for chip in ("2-max", "2-ultra", "3-ultra", "4-max", "5-max", "5-ultra")]
    assert str(caught.value) == f'GPU "mac studio" could be any of 6; nearest: {", ".join(chips)}'


def test_an_ambiguous_gpu_is_answered_with_what_it_may_mean() -> None:
    assert GPUS.nearest("a100 pcie") == ["a100-40gb-pcie", "a100-80gb-pcie"]


@pytest.mark.parametrize("said", ["m4", "Apple M5", "m4 max 64gb", "mac studio"])
def test_a_chip_or_a_memory_that_is_not_catalogued_is_not_taken_for_its_largest_relative(said: str) -> None:
    with pytest.raises(UnknownName):
        GPUS.find(said)


@pytest.mark.parametrize("row", gpu_rows().values(), ids=lambda row: row.id)
def test_every_row_is_sane_and_sourced(row: GpuRow) -> None:
    gpu = GPUS[row.id]
    assert 0 < gpu.engine_memory <= gpu.memory
    assert gpu.bandwidth >= 200e9
    assert gpu.flops
    assert row.source
    assert row.checked <= AS_OF
    assert row.year <= AS_OF.year
    assert gpu.link_span >= 1
    assert (gpu.link is None) == (gpu.link_bandwidth is None)
    assert gpu.link is not None or gpu.link_span == 1


@pytest.mark.parametrize(("faster", "slower"), [("fp8", "bf16"), ("fp4", "fp8"), ("int4", "int8"), ("bf16", "fp32")])
def test_fewer_bits_never_run_at_less_than_half_the_rate(faster: str, slower: str) -> None:
    for gpu in GPUS.values():
        rates = (gpu.peak_flops(faster), gpu.peak_flops(slower))
        if all(rates):
            assert (rates[0] or 0) >= (rates[1] or 0) / 2, gpu.id


def test_an_h100_reports_81559_mib_and_lends_79_18_gib() -> None:
    h100 = GPUS["h100-sxm"]
    assert h100.memory == 81_559 * MIB
    assert h100.engine_memory == pytest.approx(79.18 * GIB)
    assert (h100.bandwidth, h100.half_flops, h100.peak_flops("fp8")) == (3.35e12, 989e12, 1979e12)
    assert (h100.link_bandwidth, h100.link_span, h100.node_size) == (450e9, 8, 8)
    assert h100.pcie_bandwidth == 64e9


@pytest.mark.parametrize(
    ("id_", "engine_gib"),
    [
        ("a100-80gb-sxm", 79.15),
        ("a100-40gb-sxm", 39.56),
        ("l4", 22.16),
        ("rtx-3090", 23.58),
        ("rtx-4090", 23.55),
        ("rtx-5090", 31.36),
        ("t4", 14.74),
        ("h100-nvl", 93.02),
        ("mi300x", 191.98),
        ("dgx-spark-gb10", 121.7),
        ("h200-sxm", 139.72),
        ("b300-sxm", 267.69),
        ("gb200", 184.31),
        ("gb300", 276.5),
        ("mi325x", 255.98),
        ("mi355x", 287.98),
        ("a10g", 22.06),
        ("rtx-a6000", 47.4),
        ("radeon-ai-pro-r9700", 31.86),
    ],
)
def test_what_an_engine_sees_is_what_its_log_says(id_: str, engine_gib: float) -> None:
    assert GPUS[id_].engine_memory / GIB == pytest.approx(engine_gib, abs=1e-6)


def test_an_amd_driver_keeps_nothing_of_its_total_for_itself() -> None:
    """Of the six AMD cards whose allocations failed in public logs, PyTorch named the driver's total each time."""
    read = [row for row in gpu_rows().values() if row.vendor == "amd" and row.engine_gib]
    assert len(read) == 6
    assert all(row.engine_gib == pytest.approx(row.memory / GIB, abs=0.01) for row in read)


def test_check_bits_stand_among_the_data_where_the_driver_reports_fifteen_sixteenths_of_the_label() -> None:
    """T4, L4, A10, A40, L40, L40S: 15,360 of 16,384 MiB and the like; stacked memory has bits of its own."""
    labels = [1024 * gib for gib in (16, 24, 32, 40, 48, 64, 80, 96)]
    shares = {id_: [(row.memory_mib or 0) / label for label in labels] for id_, row in gpu_rows().items()}
    short = {id_ for id_, of in shares.items() if any(abs(share - 15 / 16) < 0.001 for share in of)}
    assert short == {id_ for id_, row in gpu_rows().items() if row.inline_ecc}
    assert {"l4", "l40s", "a40"} < short


def test_memory_that_no_driver_was_seen_to_report_is_98_percent_of_the_label() -> None:
    b100 = GPUS["b100"]
    assert b100.memory == round(192 * LABEL_SHARE * GIB)
    assert b100.engine_memory == round(b100.memory * ENGINE_SHARE)


def test_the_assumed_shares_lie_within_what_was_measured() -> None:
    measured = [row.engine_memory / row.memory for row in gpu_rows().values() if row.engine_gib and row.memory_mib]
    assert min(measured) < ENGINE_SHARE < max(measured)


def test_only_devices_from_ada_and_hopper_on_compute_in_fp8() -> None:
    """NVIDIA compute capability 8.9 and 9.0 brought FP8; Ampere, Turing and Volta have none."""
    for gpu in GPUS.values():
        if gpu.vendor == "nvidia" and gpu.architecture in {"Ampere", "Turing", "Volta"}:
            assert gpu.peak_flops("fp8") is None, gpu.id
    assert all(GPUS[id_].peak_flops("fp8") for id_ in ("l4", "l40s", "rtx-4090", "h100-sxm", "b200-sxm", "mi300x"))


def test_links_join_as_many_gpus_as_they_do() -> None:
    spans = {id_: GPUS[id_].link_span for id_ in ("rtx-3090", "rtx-4090", "h100-sxm", "gb200", "gb300", "mi300x")}
    assert spans == {
        "rtx-3090": 2,
        "rtx-4090": 1,
        "h100-sxm": 8,
        "gb200": 72,
        "gb300": 72,
        "mi300x": 8,
    }


def test_the_guides_menu_is_its_six_gpus() -> None:
    menu = ("rtx-4090", "a100-40gb-sxm", "a100-80gb-sxm", "h100-sxm", "h200-sxm", "b200-sxm")
    assert menu == gpus.GUIDE_MENU


def test_what_is_only_announced_says_so() -> None:
    assert {id_ for id_, gpu in GPUS.items() if gpu.status == "announced"} == {
        "b100",
        "vr200",
        "mi455x",
        "ascend-950dt",
    }


def test_a_row_with_two_memories_is_refused() -> None:
    h100 = gpu_rows()["h100-sxm"]
    with pytest.raises(ValueError, match=r"memory_mib .* or memory_label_gib, not both"):
        GpuRow.model_validate(h100.model_dump() | {"memory_label_gib": 80, "source": ["a"]}, context={"a": "A"})
