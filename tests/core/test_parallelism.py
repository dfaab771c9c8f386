"""Layouts: which degrees are legal, what they divide, and the links between their GPUs."""

from dataclasses import replace
from itertools import pairwise, product
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.fabric import fabric_of
from inferplan.core.parallelism import (
    Layout,
    pipeline_bubble,
    replica_layouts,
    smallest_replica,
    stage_ranges,
    tensor_degrees,
)
from inferplan.core.placement import domain_size, first_gpu, nodes
from shapes import dense, h100, layouts, sparse

LLAMA_405B = dense(layers=126, hidden=16384, heads=128, ffn=53248)
NODE_SIZES = st.sampled_from([1, 2, 3, 4, 6, 8, 12, 16, 64, 72, 576])


@pytest.mark.parametrize(
    ("layout", "strategy"),
    [
        (Layout(), "none"),
        (Layout(dp=4), "data"),
        (Layout(tp=2), "tensor"),
        (Layout(tp=2, dp=8), "tensor+data"),
        (Layout(tp=8, pp=2), "tensor+pipeline"),
        (Layout(tp=8, pp=2, dp=2), "tensor+pipeline+data"),
        (Layout(pp=3), "pipeline"),
        (Layout(attention_dp=8), "data"),
        (Layout(tp=2, attention_dp=4), "tensor+data"),
        (Layout(pp=2, attention_dp=4), "pipeline+data"),
    ],
)
def test_each_combination_has_the_guides_name(layout: Layout, strategy: str) -> None:
    assert layout.strategy == strategy


@pytest.mark.parametrize(
    ("model", "degrees"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", (1, 2, 4, 8)),
        ("Qwen/Qwen2.5-7B-Instruct", (1, 2, 4)),  # 28 heads
        ("microsoft/phi-4", (1, 2)),  # 40 heads, but 10 KV heads
        ("Qwen/Qwen2.5-0.5B-Instruct", (1, 2)),  # 14 heads, 2 KV heads
        ("405B", (1, 2, 4, 8)),
        ("745B MoE", (1, 2, 4, 8)),
    ],
)
def test_tensor_degrees_are_those_that_the_heads_allow(model: str, degrees: tuple[int, ...]) -> None:
    assert tensor_degrees(MODELS[model].architecture, domain=8) == degrees


def test_the_guides_degrees_of_3_5_6_and_7_are_never_offered() -> None:
    for node_size in range(1, 9):
        assert not {3, 5, 6, 7} & set(tensor_degrees(LLAMA_405B, domain=node_size))


def test_405b_in_two_stages_is_layers_1_to_63_and_64_to_126() -> None:
    assert stage_ranges(126, 2) == ((1, 63), (64, 126))


@pytest.mark.parametrize("id_", MODELS)
def test_every_model_of_the_catalog_has_at_least_one_legal_degree(id_: str) -> None:
    assert tensor_degrees(MODELS[id_].architecture, domain=8)[0] == 1


@given(
    heads=st.integers(1, 128),
    kv_heads=st.integers(1, 128),
    ffn=st.integers(1, 60000),
    node_size=NODE_SIZES,
)
def test_degrees_are_powers_of_two_in_the_node_that_divide_heads_and_columns(
    heads: int, kv_heads: int, ffn: int, node_size: int
) -> None:
    degrees = tensor_degrees(dense(heads=heads, kv_heads=kv_heads, ffn=ffn), domain=node_size)
    assert list(degrees) == sorted(degrees)
    for tp in degrees:
        assert tp.bit_count() == 1
        assert tp <= node_size
        assert heads % tp == ffn % tp == 0
        assert kv_heads % tp == 0 or tp % kv_heads == 0


@given(layers=st.integers(1, 1000), pp=st.integers(1, 1000))
def test_stages_partition_the_layers_and_differ_by_at_most_one(layers: int, pp: int) -> None:
    if pp > layers:
        return
    ranges = stage_ranges(layers, pp)
    sizes = [last - first + 1 for first, last in ranges]
    assert len(ranges) == pp
    assert ranges[0][0] == 1
    assert ranges[-1][1] == layers
    assert all(after[0] == before[1] + 1 for before, after in pairwise(ranges))
    assert max(sizes) - min(sizes) <= 1
    assert sizes[-1] == min(sizes)
    assert sizes[:-1] == sorted(sizes[:-1])


@given(pp=st.integers(1, 64), batches=st.integers(1, 10_000))
def test_the_bubble_is_a_share_that_more_batches_shrink_and_more_stages_grow(pp: int, batches: int) -> None:
    bubble = pipeline_bubble(pp, batches)
    assert 0 <= bubble < 1
    assert pipeline_bubble(pp, batches + 1) <= bubble <= pipeline_bubble(pp + 1, batches)


def test_two_stages_with_four_batches_idle_a_fifth_of_the_time() -> None:
    assert pipeline_bubble(2, 4) == pytest.approx(1 / 5)


def test_replicas_are_tried_in_the_order_of_the_guides_rules() -> None:
    """One GPU, tensor in the node, then tensor 8 with ever more stages."""
    tried = list(replica_layouts(LLAMA_405B, degrees=(1, 2, 4, 8)))
    assert tried[:6] == [Layout(tp=1), Layout(tp=2), Layout(tp=4), Layout(tp=8), Layout(tp=8, pp=2), Layout(tp=8, pp=3)]
    assert len(tried) == len(set(tried)) == 4 * 126


@given(need=st.integers(1, 2000), gpus=st.integers(1, 2000))
def test_the_first_layout_that_fits_within_the_gpus_is_taken(need: int, gpus: int) -> None:
    found = smallest_replica(LLAMA_405B, degrees=(1, 2, 4, 8), fits=lambda layout: layout.replica >= need, gpus=gpus)
    if found is None:
        assert not any(need <= one.replica <= gpus for one in replica_layouts(LLAMA_405B, degrees=(1, 2, 4, 8)))
    else:
        assert need <= found.replica <= gpus


def test_nothing_fits_where_no_layout_is_accepted() -> None:
    assert smallest_replica(sparse(), degrees=(1, 2, 4, 8), fits=lambda _: False) is None


@pytest.mark.parametrize(
    ("layout", "node_size", "servers"),
    [
        (Layout(tp=8, pp=2, dp=2), 8, 4),
        (Layout(tp=2, dp=4), 8, 1),
        (Layout(tp=4, dp=3), 8, 2),
        (Layout(tp=2, pp=3, dp=4), 8, 3),
        (Layout(tp=4, dp=2), 6, 2),
        (Layout(dp=100_000), 8, 12_500),
    ],
)
def test_nodes_are_filled_with_whole_tensor_groups(layout: Layout, node_size: int, servers: int) -> None:
    assert nodes(layout, node_size=node_size) == servers


LAYOUTS = layouts(pp=st.integers(1, 20), dp=st.integers(1, 20))


@given(layout=LAYOUTS, node_size=st.integers(8, 80))
def test_no_gpu_is_in_two_groups_and_no_group_in_two_nodes(layout: Layout, node_size: int) -> None:
    taken: list[int] = []
    for replica in range(layout.dp):
        for stage in range(layout.pp):
            first = first_gpu(layout, replica=replica, stage=stage, node_size=node_size, domain=node_size)
            group = range(first, first + layout.tp)
            assert group[0] // node_size == group[-1] // node_size
            taken += group
    assert taken == sorted(set(taken))
    assert len(taken) == layout.gpus
    assert taken[-1] // node_size + 1 == nodes(layout, node_size=node_size)


RACK = replace(h100(), link_span=72, node_size=4)


@given(
    layout=st.builds(
        Layout,
        tp=st.sampled_from([1, 2, 4, 8, 16, 32, 64]),
        pp=st.integers(1, 20),
        dp=st.integers(1, 8),
        attention_dp=st.integers(1, 8),
    ),
    node_size=st.integers(1, 80),
)
def test_where_a_link_joins_nodes_groups_take_few_of_them_and_leave_no_domain(layout: Layout, node_size: int) -> None:
    domain = domain_size(RACK, node_size=node_size)
    if layout.tp > domain:
        return
    every = product(range(layout.dp), range(layout.pp), range(layout.attention_dp))
    where = {"node_size": node_size, "domain": domain}
    firsts = [first_gpu(layout, replica=one, stage=stage, group=group, **where) for one, stage, group in every]
    assert domain % node_size == 0
    assert domain <= max(72, node_size)
    assert all(after - before >= layout.tp for before, after in pairwise(firsts))
    spans = [(first // node_size, (first + layout.tp - 1) // node_size) for first in firsts]
    assert all(last - first < ceil(layout.tp / node_size) for first, last in spans)
    assert all(first // domain == (first + layout.tp - 1) // domain for first in firsts)
    taken = {node for first, last in spans for node in range(first, last + 1)}
    assert len(taken) == nodes(layout, node_size=node_size)
    replicas = batched(firsts, layout.pp * layout.attention_dp)
    reaches = any(one[0] // domain != one[-1] // domain for one in replicas)
    joined = fabric_of(RACK, layout, node_size=node_size, network=50e9)
    assert (joined.stage_link == "InfiniBand") == reaches
    assert joined.tensor_link == "NVLink 4"


def batched(numbers: list[int], size: int) -> list[list[int]]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


@given(layout=LAYOUTS, node_size=st.sampled_from([8, 16, 32, 64]))
def test_where_tensor_groups_tile_the_node_gpus_are_numbered_without_gaps(layout: Layout, node_size: int) -> None:
    assert nodes(layout, node_size=node_size) == ceil(layout.gpus / node_size)


@given(layout=LAYOUTS, node_size=st.integers(8, 80))
def test_stages_use_the_network_exactly_where_some_replica_reaches_into_another_node(
    layout: Layout, node_size: int
) -> None:
    def node(replica: int, stage: int) -> int:
        return first_gpu(layout, replica=replica, stage=stage, node_size=node_size, domain=node_size) // node_size

    reaches = any(node(replica, 0) != node(replica, layout.pp - 1) for replica in range(layout.dp))
    joined = fabric_of(h100(), layout, node_size=node_size, network=50e9)
    assert (joined.stage_bandwidth == 50e9) == reaches
    assert (joined.stage_link == "InfiniBand") == reaches


def test_a_tensor_group_within_the_span_talks_over_the_scale_up_link() -> None:
    joined = fabric_of(h100(), Layout(tp=8), node_size=8, network=50e9)
    assert (joined.tensor_link, joined.tensor_bandwidth) == ("NVLink 4", 450e9)


def test_a_tensor_group_beyond_the_span_talks_over_the_host_bus() -> None:
    joined = fabric_of(h100(link_span=2), Layout(tp=4), node_size=8, network=50e9)
    assert (joined.tensor_link, joined.tensor_bandwidth) == ("PCIe Gen5 x16", 64e9)


@pytest.mark.parametrize(("tp", "groups", "leaving"), [(1, 16, 1 / 2), (2, 8, 1 / 2), (8, 2, 1 / 2), (8, 4, 3 / 4)])
def test_of_an_exchange_what_is_sent_to_the_ranks_of_other_nodes_leaves(tp: int, groups: int, leaving: float) -> None:
    """16 ranks in nodes of 8 send half of it over the network, 32 three quarters, however wide their tensor groups."""
    joined = fabric_of(h100(), Layout(tp=tp, attention_dp=groups), node_size=8, network=50e9)
    assert joined.wide
    assert joined.exchange_bandwidth == pytest.approx(50e9 / leaving)


def test_without_link_and_bus_everything_goes_over_the_network() -> None:
    bare = replace(h100(), link=None, link_bandwidth=None, link_span=1, pcie=None, pcie_bandwidth=None)
    joined = fabric_of(bare, Layout(tp=4), node_size=8, network=12.5e9)
    assert (joined.tensor_link, joined.tensor_bandwidth) == ("InfiniBand", 12.5e9)


def test_in_a_mesh_a_tensor_group_has_the_wires_between_its_own_gpus() -> None:
    """MI300X: seven links of 64 GB/s, one to each peer, so that two GPUs have one of them and four have three each."""
    mi300x = GPUS["mi300x"]
    joined = [fabric_of(mi300x, Layout(tp=tp), node_size=8, network=50e9).tensor_bandwidth for tp in (2, 4, 8)]
    assert joined == pytest.approx([64e9, 192e9, 448e9])
    staged = fabric_of(mi300x, Layout(tp=4, pp=2), node_size=8, network=50e9)
    assert (staged.stage_link, staged.stage_bandwidth) == ("Infinity Fabric mesh", pytest.approx(64e9))
    exchanged = fabric_of(mi300x, Layout(attention_dp=4), node_size=8, network=50e9)
    assert (exchanged.exchange_link, exchanged.exchange_bandwidth) == ("Infinity Fabric mesh", pytest.approx(192e9))
    assert fabric_of(GPUS["h100-sxm"], Layout(tp=2), node_size=8, network=50e9).tensor_bandwidth == 450e9


def test_of_gaudi_3_each_pair_has_three_ports_of_200_gigabits() -> None:
    assert GPUS["gaudi-3"].link_among(2) == pytest.approx(75e9)
    assert GPUS["gaudi-3"].link_among(8) == 525e9
