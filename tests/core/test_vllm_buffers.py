"""What vLLM takes beside its tensors, as published logs have it: buffers of libraries, CUDA graphs."""

from math import ceil

import pytest

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.architecture import Architecture
from inferplan.core.engine_memory import rank_memory
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB
from inferplan.core.vllm_buffers import captured_graphs, graph_memory, largest_graph, non_torch
from shapes import dense, engine, sparse


def gib(size: float) -> float:
    return round(size / GIB, 9)


@pytest.mark.parametrize(
    ("gpu", "version", "tp", "size"),
    [
        ("h100-sxm", 17, 1, 0.13),
        ("h100-sxm", 18, 1, 0.25),
        ("h100-sxm", 18, 2, 0.55),
        ("h100-sxm", 19, 2, 2.07),
        ("h100-sxm", 19, 4, 2.15),
        ("b200-sxm", 19, 2, 2.07),
        ("rtx-pro-6000-blackwell-server", 19, 2, 0.23),
        ("rtx-5090", 19, 1, 0.09),
        ("a100-80gb-sxm", 19, 1, 0.09),
        ("a100-80gb-sxm", 19, 2, 0.23),
        ("rtx-4090", 19, 2, 0.23),
        ("mi300x", 19, 2, 0.23),
        ("l40s", 19, 1, 0.09),
        ("t4", 19, 1, 0.03),
        ("t4", 6, 1, 0.29),
        ("h100-sxm", 6, 1, 0.39),
        ("h100-sxm", 7, 1, 0.13),
    ],
)
def test_library_buffers_follow_gpu_tensor_degree_and_version(gpu: str, version: int, tp: int, size: float) -> None:
    assert gib(non_torch(engine(version=version), Layout(tp=tp), GPUS[gpu])) == size


def test_stages_add_their_buffers() -> None:
    assert gib(non_torch(engine(version=19), Layout(pp=2), GPUS["h100-sxm"])) == 0.25 + 0.07


@pytest.mark.parametrize(
    ("sequences", "version", "graphs"),
    [(1024, 19, 51 + 51), (512, 19, 51 + 51), (256, 19, 51 + 35), (256, 11, 67 + 35), (256, 10, 67), (1, 19, 2 + 1)],
)
def test_graphs_are_captured_by_pieces_to_512_tokens_and_whole_for_decode_since_0_11(
    sequences: int, version: int, graphs: int
) -> None:
    """1, 2, 4, 31 steps of 8 below 256, 17 steps of 16 to 512, or 33 of 8 up to 0.11; whole ones to `max_num_seqs`."""
    assert captured_graphs(engine(version=version, sequences=sequences)) == graphs


@pytest.mark.parametrize(
    ("gpu", "version", "largest"),
    [("b200-sxm", 28, 1024), ("gb300", 28, 1024), ("b200-sxm", 27, 512), ("h200-sxm", 28, 512), ("rtx-5090", 28, 512)],
)
def test_graphs_go_up_to_1024_tokens_on_datacenter_blackwell_since_0_28(gpu: str, version: int, largest: int) -> None:
    """32 steps of 16 more by pieces, and 32 more whole, for 1,024 sequences."""
    assert largest_graph(GPUS[gpu], version) == largest
    assert captured_graphs(engine(version=28), largest) == 2 * (51 + (32 if largest == 1024 else 0))
    r1, fp8 = MODELS["deepseek-ai/DeepSeek-R1"], FORMATS["fp8"]
    graphs = rank_memory(r1, fp8, GPUS[gpu], Layout(tp=8), engine(version=version)).graphs / GIB
    weight = 61 + 58 * 0.4 + 61
    assert graphs == pytest.approx(0.37 + 0.016 * ceil(weight) * (83 if largest == 1024 else 51) / 51, rel=0.01)


def test_graphs_take_as_much_less_as_fewer_are_captured() -> None:
    """Llama 70B: 0.37 GiB, and for 80 layers 0.016 GiB each where 102 graphs are captured."""
    all_of_them, fewer = (graph_memory(dense(), engine(version=19, sequences=n), Layout()) for n in (1024, 256))
    assert gib(all_of_them) == pytest.approx(0.37 + 0.016 * 80)
    assert gib(fewer) == pytest.approx(0.37 + 0.016 * 80 * 86 / 102)


@pytest.mark.parametrize(
    ("id_", "version", "layout", "sequences", "logged"),
    [
        ("Qwen/Qwen3.8-27B", 26, Layout(), 1, 0.05),
        ("MiniMaxAI/MiniMax-M2.5", 19, Layout(tp=4), 10, 0.19),
        ("Qwen/Qwen3.8-27B", 26, Layout(), 16, 0.2),
    ],
)
def test_few_sequences_leave_few_graphs_and_little_for_them(
    id_: str, version: int, layout: Layout, sequences: int, logged: float
) -> None:
    """RTX 5090, H100 and L40S: 3, 9 and 12 graphs; 0.40, 0.49 and 0.49 GiB were said. To 0.2 GiB, never too little."""
    told = engine(version=version, sequences=sequences)
    assert 0 <= gib(graph_memory(MODELS[id_].architecture, told, layout)) - logged <= 0.2


def test_few_graphs_take_their_share_of_what_all_do_since_0_11() -> None:
    """One sequence and 80 layers: graphs of 1 and 2 tokens, since 0.11 one for decode too; 18 take all of 0.37 GiB."""
    before, since = (gib(graph_memory(dense(), engine(version=n, sequences=1), Layout())) for n in (10, 11))
    assert before == pytest.approx(0.37 + 80 * 0.016 * 2 / 102)
    assert since == pytest.approx(0.37 * 3 / 18 + 80 * 0.016 * 3 / 102)


@pytest.mark.parametrize(
    ("architecture", "layers"),
    [(dense(layers=32), 32), (sparse(layers=30), 42), (MODELS["deepseek-ai/DeepSeek-V2-Lite"].architecture, 65)],
    ids=["dense", "experts", "latents and experts"],
)
def test_layers_with_experts_and_latents_capture_larger_graphs(architecture: Architecture, layers: int) -> None:
    """Experts by 0.4 of a layer, latents by a layer: DeepSeek-V2-Lite has 27 + 27 + 26 x 0.4, made whole."""
    size = graph_memory(architecture, engine(version=19), Layout())
    assert gib(size) == pytest.approx(0.37 + 0.016 * layers)


@pytest.mark.parametrize(("architecture", "layers"), [(dense(layers=32), 32), (sparse(layers=30), 102)])
def test_packed_experts_capture_graphs_of_two_layers_more(architecture: Architecture, layers: int) -> None:
    size = graph_memory(architecture, engine(version=19), Layout(), packed_experts=True)
    assert gib(size) == pytest.approx(0.37 + 0.016 * layers)


def test_a_stage_captures_the_graphs_of_its_own_layers() -> None:
    assert gib(graph_memory(dense(), engine(version=19), Layout(pp=3))) == pytest.approx(0.37 + 0.016 * 27)
