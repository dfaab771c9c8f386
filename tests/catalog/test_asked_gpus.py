"""GPUs as people name them, and their own, described by how they differ from one of the catalogue."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.asked_gpus import LONGEST_DESCRIPTION, Description, GpuProblem, gpu_id, gpu_of, shown_gpu
from inferplan.catalog.gpus import GPUS, gpu_rows
from inferplan.core.units import GIB


def described(**keys: object) -> str:
    return json.dumps(keys)


@pytest.mark.parametrize(
    ("said", "id_"),
    [
        ("H200", "h200-sxm"),
        ("l40s 48gb", "l40s"),
        ("L4-24GB", "l4"),
        ("NVIDIA T4 16 GB", "t4"),
        ("A10 24 GiB", "a10"),
        ("B300 288GB", "b300-sxm"),
        ("RTX 4090 24G", "rtx-4090"),
        ("4090 (24GB)", "rtx-4090"),
        ("A100-80G", "a100-80gb-sxm"),
        ("A100 40g", "a100-40gb-sxm"),
    ],
)
def test_a_gpu_may_be_named_with_the_memory_that_it_has(said: str, id_: str) -> None:
    assert gpu_id(said) == id_


@pytest.mark.parametrize("said", ["l40s 80gb", "t4 24gb", "h100 40gb"])
def test_a_gpu_with_other_memory_is_no_such_gpu(said: str) -> None:
    with pytest.raises(GpuProblem, match=f'no GPU "{said}"'):
        gpu_id(said)


@pytest.mark.parametrize(
    ("said", "like", "has", "gib"),
    [("M4 Max 64GB", "apple-m4-max", 128, 64), ("h100 96gb", "h100-sxm", 80, 96), ("L40S 80G", "l40s", 48, 80)],
)
def test_a_gpu_with_other_memory_is_answered_with_its_description(said: str, like: str, has: int, gib: int) -> None:
    with pytest.raises(GpuProblem) as caught:
        gpu_id(said)
    problem, _, own = str(caught.value).partition("gpu=")
    assert problem == f'no GPU "{said}"; {like} has {has} GiB; describe yours, as '
    assert gpu_of(gpu_id(own)).product == like
    assert json.loads(own)["memory_gib"] == gib


@pytest.mark.parametrize(
    ("said", "near"),
    [
        ("16 gb", '"t4", "v100-16gb-sxm2"'),
        ("16GiB", '"t4", "v100-16gb-sxm2"'),
        ("48gb", '"l40s"'),
        ("80gb", '"h100-sxm", "a100-80gb-sxm"'),
    ],
)
def test_a_size_alone_names_no_gpu_though_one_row_alone_has_it_in_its_name(said: str, near: str) -> None:
    for text in (said, described(like=said)):
        with pytest.raises(GpuProblem, match=rf'^"{said}" is the memory of a GPU, not its name; with so much: {near}'):
            gpu_id(text)


@pytest.mark.parametrize(
    "said",
    [
        *("8x H100", "8 x h100", "H100:8", "h100x8", "h100 * 8", "8 H100", "8 H100s", "H100 (x8)", "HGX H100 8-GPU"),
        *("8 GPUs of H100", "8-GPU H100", "2 nodes of 4xH100", "2x4xH100", "2 servers with 4 H100s"),
        *("H100 8 GPUs", "8x H100 80GB", "H100 SXM 80GB x8", "8 × H100 (80 GB)", "a3-highgpu-8g", "A3-MegaGPU-8g"),
    ],
)
def test_a_number_of_gpus_is_told_to_be_asked_for_beside_the_name(said: str) -> None:
    with pytest.raises(GpuProblem) as caught:
        gpu_id(said)
    assert str(caught.value).startswith('name one GPU, gpu "h100-sxm", and how many in total_gpus (8)')


@pytest.mark.parametrize("said", ["2x DGX H100", "2 HGX H100", "DGX H100 x2", "2x p5.48xlarge", "2 nodes of H100"])
def test_a_number_of_machines_is_not_taken_for_one_of_gpus(said: str) -> None:
    with pytest.raises(GpuProblem) as caught:
        gpu_id(said)
    together = "how many its machines have together in total_gpus"
    assert str(caught.value).startswith(f'name one GPU, gpu "h100-sxm", and {together}')


@pytest.mark.parametrize("said", ["jetson thor", "groq", "l40x", "zzzz"])
def test_a_gpu_that_is_not_here_is_answered_with_how_to_describe_it_and_that_works(said: str) -> None:
    with pytest.raises(GpuProblem, match=f'^no GPU "{said}"; (nearest|known are)') as caught:
        gpu_id(said)
    shown = str(caught.value).partition("gpu=")[2]
    assert gpu_of(gpu_id(shown)).bandwidth == 864e9


@pytest.mark.parametrize(
    "said", ["rtx 4070 laptop", "RTX 4070 Laptop GPU", "NVIDIA GeForce RTX 4070 (Mobile)", "4070 max-q"]
)
def test_a_laptops_gpu_is_not_taken_for_the_desktops_of_its_name(said: str) -> None:
    with pytest.raises(GpuProblem) as caught:
        gpu_id(said)
    assert "a laptop's has another chip and memory than rtx-4070; describe your own" in str(caught.value)
    assert gpu_of(gpu_id(str(caught.value).partition("gpu=")[2]))


def test_a_name_of_two_gpus_is_answered_with_both_and_nothing_else() -> None:
    with pytest.raises(GpuProblem) as caught:
        gpu_id("v100")
    assert str(caught.value) == 'GPU "v100" could be any of 2; nearest: "v100-16gb-sxm2", "v100-32gb-sxm2"'


def test_what_is_not_described_is_that_of_the_gpu_that_it_is_like() -> None:
    own, like = gpu_of(gpu_id(described(like="H100"))), GPUS["h100-sxm"]
    alike = (
        "memory",
        "engine_memory",
        "bandwidth",
        "flops",
        "link",
        "link_bandwidth",
        "link_span",
        "node_size",
        "kind",
    )
    assert [getattr(own, name) for name in alike] == [getattr(like, name) for name in alike]
    assert (own.title, own.product, shown_gpu(own)) == ("GPU like H100 SXM5 80GB", "h100-sxm", own.title)


@pytest.mark.parametrize(
    ("like", "gib", "known"),
    [
        ("h100", 141, "h200-sxm"),
        ("h100", 96, "h20"),
        ("h100", 94, "h100-nvl"),
        ("a100-80gb", 40, "a100-40gb-sxm"),
        ("b200", 186, "gb200"),
        ("b300", 278, "gb300"),
        ("mi300x", 256, "mi325x"),
        ("4090", 16, "rtx-4080"),
        ("5090", 16, "rtx-5080"),
        ("a10", 48, "l40s"),
        ("m3 ultra", 128, "apple-m4-max"),
        ("tpu v5e", 32, "tpu-v6e"),
    ],
)
def test_memory_is_as_much_of_its_label_as_of_the_gpu_that_it_is_like(like: str, gib: float, known: str) -> None:
    """What drivers and engines were seen to report of both, or the rows assume: `gpus.toml` has the logs."""
    own, real = gpu_of(gpu_id(described(like=like, memory_gib=gib))), GPUS[known]
    assert own.memory == pytest.approx(real.memory, rel=0.0005)
    assert own.engine_memory == pytest.approx(real.engine_memory, rel=0.01)


@pytest.mark.parametrize("id_", GPUS)
def test_a_gpu_of_the_same_label_has_the_same_memory(id_: str) -> None:
    like = GPUS[id_]
    own = gpu_of(gpu_id(described(like=id_, memory_gib=gpu_rows()[id_].label_gib)))
    assert (own.memory, own.engine_memory) == pytest.approx((like.memory, like.engine_memory), abs=1)


def test_a_machine_that_keeps_memory_for_itself_is_named_by_what_it_is_sold_with() -> None:
    """Strix Halo is sold with up to 128 GB, of which a kernel limit of 124 GiB leaves the GPU so much."""
    assert GPUS["ryzen-ai-max-395"].memory == 124 * GIB
    assert gpu_of(gpu_id(described(like="strix halo", memory_gib=64))).memory == 62 * GIB
    with pytest.raises(GpuProblem, match="ryzen-ai-max-395 has 128 GiB"):
        gpu_id("ryzen ai max 64gb")


def test_what_the_driver_prints_is_taken_as_it_is() -> None:
    own = gpu_of(gpu_id(described(like="h100", memory_mib=143_771)))
    assert own.memory == GPUS["h200-sxm"].memory


def test_power_and_servers_are_those_that_are_said_else_those_of_the_gpu_that_it_is_like() -> None:
    """The L20 draws 275 W where the L40S draws 350."""
    said, unsaid = gpu_of(gpu_id(described(like="l40s", power_watts=275, gpus_per_node=2))), GPUS["l40s"]
    assert (said.power_watts, said.node_size) == (275, 2)
    left = gpu_of(gpu_id(described(like="l40s", memory_gib=96)))
    assert (left.power_watts, left.node_size) == (unsaid.power_watts, unsaid.node_size) == (350, 8)


def test_peaks_of_other_formats_follow_that_of_16_bit() -> None:
    """L20: 119.5 TFLOP/s in BF16, 239 in FP8, in the proportion of the L40S, 362 to 733."""
    own = gpu_of(gpu_id(described(like="l40s", tflops=119.5)))
    assert own.flops["bf16"] == pytest.approx(119.5e12)
    assert own.flops["fp8"] == pytest.approx(239e12, rel=0.02)
    assert set(own.flops) == set(GPUS["l40s"].flops)


def test_a_size_that_no_gpu_has_is_answered_with_how_to_describe_one() -> None:
    with pytest.raises(GpuProblem, match=r'^"999gb" is the memory of a GPU, not its name; describe your own by one it'):
        gpu_id("999gb")


def test_links_are_given_taken_away_or_left_as_they_are() -> None:
    """An A800 is an A100 with NVLink of 200 GB/s one way instead of 300."""
    a800 = gpu_of(gpu_id(described(like="a100-80gb", link_gb_s=200)))
    assert (a800.link, a800.link_bandwidth, a800.link_span) == ("NVLink 3", 200e9, GPUS["a100-80gb-sxm"].link_span)
    none = gpu_of(gpu_id(described(like="h100", link_gb_s=0)))
    assert (none.link, none.link_bandwidth, none.link_span) == (None, None, 1)
    new = gpu_of(gpu_id(described(like="l40s", link_gb_s=100, link_gpus=4, pcie_gb_s=64, gpus_per_node=4)))
    assert (new.link_bandwidth, new.link_span, new.pcie_bandwidth, new.node_size) == (100e9, 4, 64e9, 4)
    with pytest.raises(GpuProblem, match='"link_gpus" needs "link_gb_s" above 0: the GPU that it is like has no link'):
        gpu_id(described(like="l40s", link_gpus=4))
    with pytest.raises(GpuProblem, match='"link_gpus" needs "link_gb_s" above 0: 0 is for no link'):
        gpu_id(described(like="h100", link_gb_s=0, link_gpus=8))


def test_a_link_within_a_server_joins_no_more_gpus_than_the_server_has() -> None:
    """Four MI300X: three of seven wires of 64 GB/s. The NVLink of a rack leaves the server whatever its size."""
    h100 = gpu_of(gpu_id(described(like="h100", gpus_per_node=4)))
    assert (h100.link_span, h100.link_bandwidth, h100.joins_nodes) == (4, 450e9, False)
    assert gpu_of(gpu_id(described(like="h100", gpus_per_node=4, link_gb_s=200))).joins_nodes is False
    assert gpu_of(gpu_id(described(like="h100", gpus_per_node=16))).link_span == 8
    mi300x = gpu_of(gpu_id(described(like="mi300x", gpus_per_node=4)))
    assert (mi300x.link_span, mi300x.link_bandwidth) == (4, pytest.approx(3 * 64e9))
    assert gpu_of(gpu_id(described(like="gb200", gpus_per_node=8))).link_span == 72
    rack = gpu_of(gpu_id(described(like="b300", link_gpus=72, gpus_per_node=4)))
    assert (rack.link_span, rack.joins_nodes) == (72, True)


def test_a_bus_of_another_rate_is_not_named_as_that_of_the_gpu_that_it_is_like() -> None:
    buses = {
        like: gpu_of(gpu_id(described(like=like, pcie_gb_s=64, gpus_per_node=4)))
        for like in ("h100", "l40s", "apple-m4-max", "tpu-v6e")
    }
    assert {like: gpu.pcie for like, gpu in buses.items()} == {
        "h100": "PCIe Gen5 x16",
        "l40s": "PCIe",
        "apple-m4-max": "PCIe",
        "tpu-v6e": "PCIe",
    }
    assert {gpu.pcie_bandwidth for gpu in buses.values()} == {64e9}


def test_what_it_is_like_may_be_named_with_its_memory() -> None:
    assert gpu_of(gpu_id(described(like="L40S 48GB"))).product == "l40s"
    with pytest.raises(GpuProblem, match=r'^"like": no GPU "l40s 80gb"'):
        gpu_id(described(like="l40s 80gb"))


def test_a_description_is_its_own_id_however_it_is_written() -> None:
    id_ = gpu_id('\n{"memory_gib": 96.0,  "like": "H100 80GB"}')
    assert id_ == gpu_id(id_) == '{"like":"h100-sxm","memory_gib":96}'
    assert gpu_of(id_) is gpu_of(gpu_id('{"like":"h100","memory_gib":96}'))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", 'what GPU of the catalogue it is "like", as {"like": "l40s"'),
        ('{"like":"l40x"}', '"like": no GPU "l40x"; nearest: "l40"'),
        ('{"like":"l40s","memory":48}', '"memory" is no key of a description; did you mean '),
        ('{"like":"l40s","hbm":48}', '"hbm" is no key of a description; it takes like, title, memory_gib'),
        ('{"like":"l40s","memory_gib":"48"}', '"memory_gib" takes a number from 1 to 100,000; got "48"'),
        ('{"like":"l40s","memory_gib":true}', '"memory_gib" takes a number from 1 to 100,000; got true'),
        ('{"like":"l40s","memory_gib":NaN}', "got NaN"),
        ('{"like":"l40s","link_gb_s":1e-300}', '"link_gb_s" takes 0 for no link, or a number from 0.1; got 1e-300'),
        ('{"like":"l40s","tflops":1e999}', "got Infinity"),
        ('{"like":"l40s","gpus_per_node":0}', '"gpus_per_node" takes a whole number from 1 to 1,024; got 0'),
        ('{"like":"l40s","memory_gib":48,"memory_mib":46068}', "say the same; keep one"),
        ('{"like":"l40s","title":"a\\nb"}', '"title" takes a plain name of at most 40 characters'),
        ('{"like":"l40s","like":"h100"}', "has each key once"),
        ('{"like":{"a":1}}', '"like" takes the name of a GPU of the catalogue; got an object'),
        ('{"like":"l40s"', "a description is one JSON object"),
        ('{"a":' * 200, "a description is one JSON object"),
        ('{"like":"l40s","title":"' + "a" * LONGEST_DESCRIPTION, "at most 1,000 characters, not 1,024"),
    ],
)
def test_what_is_wrong_with_a_description_is_said_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(GpuProblem) as caught:
        gpu_id(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["h100", "t4"])
)


@given(st.dictionaries(st.sampled_from([*Description.model_fields, "x"]), VALUES) | st.text(max_size=50))
def test_any_description_is_a_gpu_or_one_sentence(said: object) -> None:
    text = json.dumps(said) if isinstance(said, dict) else "{" + str(said)
    problem = None
    try:
        gpu = gpu_of(gpu_id(text))
        assert min(gpu.memory, gpu.engine_memory, gpu.bandwidth, *gpu.flops.values(), gpu.node_size) > 0
    except GpuProblem as found:
        problem = str(found)
    assert problem is None or 0 < len(problem) < 600


@pytest.mark.parametrize(
    ("said", "like", "gib", "gb_s", "tflops"),
    [
        ("A100 MIG 3g.40gb", "a100-80gb-sxm", 40, 1019.5, 133.7),
        ("a100 1g.5gb", "a100-40gb-sxm", 5, 194.4, 44.6),
        ("H100 1g.20gb", "h100-sxm", 20, 837.5, 141.3),
        ("a30 1g.6gb", "a30", 6, 233.2, 41.2),
    ],
)
def test_a_mig_slice_is_answered_with_its_description(
    said: str, like: str, gib: int, gb_s: float, tflops: float
) -> None:
    """An eighth of an A100 has 2,039 / 8 GB/s, a seventh of it 312 / 7 TFLOP/s; an A30 is cut into quarters."""
    with pytest.raises(GpuProblem, match="a MIG slice is described by its part, as gpu=") as caught:
        gpu_id(said)
    own = str(caught.value).partition("gpu=")[2]
    read = json.loads(own)
    assert (read["like"], read["memory_gib"], read["bandwidth_gb_s"], read["tflops"]) == (like, gib, gb_s, tflops)
    assert gpu_of(gpu_id(own)).link is None


@pytest.mark.parametrize("said", ["3g.40gb", "rtx 4090 1g.5gb"])
def test_a_mig_slice_of_no_gpu_that_is_cut_so_is_asked_for_by_that_gpu(said: str) -> None:
    with pytest.raises(GpuProblem, match=r'is asked for with the GPU that it is cut from, as "a100 3g\.40gb"'):
        gpu_id(said)
