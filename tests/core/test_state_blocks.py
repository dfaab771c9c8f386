"""A sequence of a model with recurrent states needs a block of the pool, and vLLM counts them when it starts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_files import rows
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine import Engine
from inferplan.core.engine_memory import Pool, pool
from inferplan.core.engines import vllm_defaults
from inferplan.core.parallelism import Layout

REFUSED = rows("published_state_blocks.tsv")
HYBRID = "Qwen/Qwen3.6-27B"


def started(id_: str, gpu: str = "h100-sxm", precision: str = "fp8", *, version: int = 28, share: float = 0.9) -> Pool:
    """The pool of one GPU with the defaults of vLLM's server."""
    tokens, sequences = vllm_defaults.default_batching(GPUS[gpu], version)
    asked = Engine(version=version, memory_utilization=share, max_num_seqs=sequences, max_num_batched_tokens=tokens)
    return with_engine(id_, asked, gpu, precision)


def with_engine(id_: str, asked: Engine, gpu: str = "h100-sxm", precision: str = "fp8") -> Pool:
    return pool(MODELS[id_], FORMATS[precision], GPUS[gpu], Layout(), asked, kv_bits=16)


@pytest.mark.parametrize("run", REFUSED, ids=lambda run: run["id"])
def test_the_lowered_max_num_seqs_would_have_started_where_vllm_refused_its_default(run: dict[str, str]) -> None:
    found = started(
        run["model"], run["gpu"], run["precision"], version=int(run["vllm"]), share=float(run["utilization"])
    )
    default = vllm_defaults.default_batching(GPUS[run["gpu"]], int(run["vllm"]))[1]
    assert default == int(run["sequences"]) > int(run["blocks"])
    assert found.lowered_max_num_seqs is not None
    assert int(run["blocks"]) / 5 < found.lowered_max_num_seqs <= int(run["blocks"])


def test_the_blocks_of_qwen3_6_27b_on_one_h100_are_within_2_percent() -> None:
    """856 of 16 layers x 784 tokens x 4,096 B at a share of 0.95: vllm-project/recipes, pull request 551.

    It was within 1 % while graphs were taken for 0.6 GiB more than vLLM sets aside for them: what 1,024 sequences take
    beside that of a vocabulary of 248,320 is missing.
    """
    tokens, sequences = vllm_defaults.default_batching(GPUS["h100-sxm"], 22)
    asked = Engine(version=22, memory_utilization=0.95, max_num_seqs=sequences, max_num_batched_tokens=tokens)
    found = with_engine(HYBRID, replace(asked, keeps_max_num_seqs=True))
    assert found.lowered_max_num_seqs is None
    assert found.holding is not None
    assert found.holding.sequences == pytest.approx(856, rel=0.02)


def test_the_blocks_of_qwen3_8_27b_on_one_l40s_are_within_a_percent() -> None:
    """184 at vLLM's default of 256 sequences and 2,048 tokens on 0.26; the graphs had been taken for 13 blocks more."""
    (run,) = (one for one in REFUSED if one["id"] == "l40s-qwen3.8-27b")
    asked = Engine(
        version=26, memory_utilization=0.9, max_num_seqs=256, max_num_batched_tokens=2048, keeps_max_num_seqs=True
    )
    found = with_engine(run["model"], asked, "l40s")
    assert found.holding is not None
    assert found.holding.sequences == pytest.approx(int(run["blocks"]), rel=0.012)


@pytest.mark.parametrize(
    ("id_", "missing"),
    [("h100-qwen3.8-27b", 0.124), ("pro6000-qwen3.8-27b", 0.177), ("pro6000-qwen3.8-27b-bf16", 0.243)],
)
def test_pools_of_first_starts_of_qwen3_8_27b_on_0_27_are_known_to_be_smaller(id_: str, missing: float) -> None:
    """In shares of what was printed. What is refused compiles just then, which is charged as activation.

    It is not the sequences: a second start of the same H100, with 256 and all of it compiled, is within 0.5 %. Those of
    the workstation are of the recipe's own image, a development build: 0.27 had 603 blocks at a smaller share (below).
    """
    (run,) = (one for one in REFUSED if one["id"] == id_)
    asked = Engine(
        version=27,
        memory_utilization=float(run["utilization"]),
        max_num_seqs=1024,
        max_num_batched_tokens=8192,
        keeps_max_num_seqs=True,
    )
    found = with_engine(run["model"], asked, run["gpu"], run["precision"]).holding
    assert found is not None
    assert found.sequences is not None
    assert found.sequences / int(run["blocks"]) - 1 == pytest.approx(missing, abs=0.002)


@pytest.mark.parametrize("id_", ["pro6000s-qwen3.8-27b-v027", "pro6000s-qwen3.8-27b-v029"])
def test_first_starts_of_qwen3_8_27b_in_16_bit_on_a_pro_6000_have_the_blocks_that_are_said(id_: str) -> None:
    """603 and 635 with 1,024 sequences: 1.7 and 2.0 % more than predicted.

    On 0.29 the pool of a start that compiled for 21 s was that of one which found it all, to the block: a model that
    sees looks its embeddings up before what is compiled.
    """
    (run,) = (one for one in REFUSED if one["id"] == id_)
    asked = Engine(
        version=int(run["vllm"]),
        memory_utilization=0.9,
        max_num_seqs=1024,
        max_num_batched_tokens=8192,
        keeps_max_num_seqs=True,
    )
    found = with_engine(run["model"], asked, run["gpu"], run["precision"]).holding
    assert found is not None
    assert found.sequences == pytest.approx(int(run["blocks"]), rel=0.021)


def test_a_number_that_the_caller_chose_stays_where_the_pool_has_the_blocks() -> None:
    asked = Engine(version=28, memory_utilization=0.9, max_num_seqs=700, max_num_batched_tokens=8192)
    assert with_engine(HYBRID, asked).lowered_max_num_seqs is None
    assert with_engine(HYBRID, replace(asked, max_num_seqs=900)).lowered_max_num_seqs == 512


@pytest.mark.parametrize("id_", ["meta-llama/Llama-3.1-8B-Instruct", "google/gemma-3-27b-it", "openai/gpt-oss-20b"])
def test_without_states_max_num_seqs_is_never_lowered(id_: str) -> None:
    assert started(id_, precision="bf16").lowered_max_num_seqs is None


def test_before_0_20_and_without_graphs_max_num_seqs_is_not_lowered() -> None:
    asked = Engine(version=28, memory_utilization=0.9, max_num_seqs=1024, max_num_batched_tokens=8192)
    assert with_engine(HYBRID, asked).lowered_max_num_seqs == 512
    assert with_engine(HYBRID, replace(asked, version=19)).lowered_max_num_seqs is None
    assert with_engine(HYBRID, replace(asked, cuda_graphs=False)).lowered_max_num_seqs is None


STATES = sorted(id_ for id_, model in MODELS.items() if any(mixer.state for _, mixer in model.architecture.mixers))


@given(
    id_=st.sampled_from(STATES),
    gpu=st.sampled_from(["h100-sxm", "l40s", "rtx-5090", "b200-sxm"]),
    sequences=st.sampled_from([1, 64, 256, 1024, 4096]),
    share=st.sampled_from([0.5, 0.8, 0.95]),
)
def test_the_lowered_max_num_seqs_is_a_power_of_two_below_what_was_asked_and_what_the_pool_has(
    id_: str, gpu: str, sequences: int, share: float
) -> None:
    asked = Engine(version=28, memory_utilization=share, max_num_seqs=sequences, max_num_batched_tokens=2048)
    found = with_engine(id_, asked, gpu)
    if found.lowered_max_num_seqs is not None:
        assert found.holding is not None
        assert found.holding.sequences is not None
        assert 1 <= found.lowered_max_num_seqs < sequences
        assert found.lowered_max_num_seqs <= found.holding.sequences
        assert found.lowered_max_num_seqs.bit_count() == 1
