"""LoRA adapters asked for by `overrides`: every tool that plans memory counts them, and the command starts them."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from data_files import DATA
from inferplan.catalog.models import MODELS
from inferplan.tools.registry import TOOLS_BY_NAME
from inferplan.tools.validation.memory_validation import validate
from inferplan.tools.validation.report import Report

LLAMA = {"model": "llama 3.1 8b", "precision": "bf16", "gpu": "h100-sxm"}
QWEN = {"model": "qwen3 30b a3b", "precision": "bf16", "gpu": "h100-sxm"}

UNREAD = "qwen3 next 80b a3b instruct"
MODULES = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj"


def ask(tool: str, **arguments: Any) -> dict[str, Any]:
    return TOOLS_BY_NAME[tool].ask(arguments).structured()


def text(tool: str, **arguments: Any) -> str:
    return TOOLS_BY_NAME[tool].ask(arguments).text()


def pool(**arguments: Any) -> dict[str, float]:
    return ask("estimate_vram", **arguments)["gpu_gib"]


# --- against what vLLM printed ---------------------------------------------------------------------------------------


def published() -> Report:
    return validate(json.loads((DATA / "memory_cases_adapters.json").read_text(encoding="utf-8"))["cases"])


def test_weights_with_buffers_are_those_of_published_starts() -> None:
    errors = {
        one.id: one.predicted["weights_gib_per_gpu"] / one.measured["weights_gib_per_gpu"] - 1
        for one in published().outcomes
    }
    assert len(errors) == 4
    assert max(map(abs, errors.values())) < 0.003
    assert sum(abs(error) < 0.0007 for error in errors.values()) == 3


def test_graphs_of_starts_since_the_second_engine_are_within_a_tenth_of_a_gib() -> None:
    found = {
        one.id: one.predicted["cuda_graph_gib"] for one in published().outcomes if "cuda_graph_gib" in one.predicted
    }
    assert found["uns-qwen3-8b-fp8-l4"] == pytest.approx(1.12, abs=0.1)
    assert found["uns-llama32-1b-fp8block-l4"] == pytest.approx(1.15, abs=0.1)


# --- memory ----------------------------------------------------------------------------------------------------------


def test_eight_adapters_of_rank_32_take_2_gb_of_llama_8b_out_of_the_pool() -> None:
    """8 × 32 × 2 B × (32 layers × 81,920 + 2 × 132,352): A and B of seven matrices, embedding and head."""
    each = 8192 + 2 * 5120 + 8192 + 2 * 18432 + 18432
    size = 8 * 32 * 2 * (32 * each + 2 * 132352) / 2**30
    plain, held = pool(**LLAMA), pool(**LLAMA, overrides="lora_adapters=8, lora_rank=32")
    assert "adapters" not in plain
    assert held["adapters"] == pytest.approx(size, abs=0.02)
    assert plain["kv_pool"] - held["kv_pool"] == pytest.approx(
        held["adapters"] + held["graphs"] - plain["graphs"], abs=0.02
    )


def test_a_rank_alone_asks_for_one_adapter_and_no_adapters_for_none() -> None:
    one = pool(**LLAMA, overrides="lora_rank=64")
    assert one == pool(**LLAMA, overrides="lora_adapters=1, lora_rank=64")
    assert pool(**LLAMA, overrides="lora_adapters=0, lora_rank=64") == pool(**LLAMA)


def test_users_become_fewer_with_adapters_and_more_where_ranks_share_out_all_of_them() -> None:
    asked = {**QWEN, "total_gpus": 4, "concurrent_users": 50}
    plain, held, sharded = (
        ask("plan_parallelism", **asked, overrides=overrides)["max_concurrent_users"]
        for overrides in ("", "lora_adapters=8", "lora_adapters=8, lora_sharded=1")
    )
    assert held < sharded < plain


def test_what_does_not_fit_for_adapters_is_offered_to_share_them_out() -> None:
    asked = {"model": "llama 3.3 70b", "precision": "fp8", "gpu": "h100-sxm", "total_gpus": 2, "concurrent_users": 20}
    given = "lora_adapters=24, lora_rank=32"
    answer = TOOLS_BY_NAME["estimate_vram"].ask({**asked, "overrides": given})
    assert not answer.fits
    (offered,) = (one for one in answer.changes if "lora_sharded" in str(one.change))
    assert offered.change == {"overrides": f"{given}, lora_sharded=1"}
    assert ask("estimate_vram", **asked, **offered.change)["fits"]


def test_sglang_which_cannot_share_them_out_is_not_offered_to() -> None:
    asked = {"model": "llama 3.3 70b", "precision": "fp8", "gpu": "h100-sxm", "total_gpus": 4, "concurrent_users": 20}
    answer = TOOLS_BY_NAME["estimate_vram"].ask(
        {**asked, "engine": "sglang", "overrides": "lora_adapters=100, lora_rank=32"}
    )
    assert answer.fits is False
    assert "memory_utilization" in str(answer.changes)
    assert "lora_sharded" not in str(answer.changes)


def test_sharing_out_alone_asks_sglang_which_cannot_for_no_adapter() -> None:
    """One was counted, beside the word that nothing depended on what was given."""
    asked = {"model": "llama 3.1 8b", "engine": "sglang"}
    plain, told = (TOOLS_BY_NAME["estimate_vram"].ask(asked | one) for one in ({}, {"overrides": "lora_sharded=1"}))
    assert "lora_sharded = 1 (given, but nothing here depends on it)" in told.text()
    assert (told.hardware, told.launch) == (plain.hardware, plain.launch)


@pytest.mark.parametrize(
    ("model", "precision", "engine", "said"),
    [
        ("qwen3 30b a3b", "fp8", "vllm", True),
        ("qwen3 30b a3b", "bf16", "vllm", False),
        ("gpt-oss 20b", "mxfp4", "vllm", False),
        ("llama 3.1 8b", "fp8", "vllm", False),
        ("llama 3.1 8b", "fp8", "sglang", False),
    ],
)
def test_quantised_experts_are_said_to_need_kernels_that_adapt_them(
    model: str, precision: str, engine: str, *, said: bool
) -> None:
    found = ask("estimate_vram", model=model, precision=precision, engine=engine, overrides="lora_rank=8")
    names = [one["name"] for one in found["assumptions"] if "lora" in one["name"]]
    assert names == ["lora_buffers", "lora_speed", "lora_kernels"][: 3 if said else 2]


def test_the_formula_and_the_paragraph_say_what_adapters_take() -> None:
    said = text("estimate_vram", **LLAMA, overrides="lora_adapters=8, lora_rank=24")
    assert "8 LoRA adapters of rank 32 take 1.4 GiB of each GPU." in said
    assert " - LoRA 1.38 - activations" in said
    assert "lora_buffers = 8 adapters of rank 32 (for every linear layer, embedding and head" in said
    assert "lora_speed = counted (as if every request had one" in said
    assert " - LoRA 1.38 - activations" in text(
        "plan_parallelism", **LLAMA, total_gpus=1, overrides="lora_adapters=8, lora_rank=24"
    )


@pytest.mark.parametrize(
    ("tool", "asked"),
    [
        ("compare_costs", {**QWEN, "requests_per_day": 400_000}),
        ("run_preset", {"preset": "team", **QWEN, "concurrent_users": 120}),
        ("compare_quantization", {**QWEN, "concurrent_users": 120}),
        ("compare_moe_dense", {"dense_model": "llama 3.3 70b", "moe_model": "qwen3 235b a22b", "precision": "fp8"}),
    ],
)
def test_every_tool_that_places_a_model_counts_adapters(tool: str, asked: dict[str, Any]) -> None:
    plain, held = ask(tool, **asked), ask(tool, **asked, overrides="lora_adapters=16, lora_rank=64")
    assert "lora_speed" in {one["name"] for one in held["assumptions"]}
    repeated = ("assumptions", "inputs", "next_steps")
    assert {name: held[name] for name in held if name not in repeated} != {
        name: plain[name] for name in plain if name not in repeated
    }


def test_a_verdict_with_adapters_stands_where_the_mixture_beside_the_model_could_have_none() -> None:
    """SGLang's buffers are known of dense models alone, and the guide's mixture is only set beside the model."""
    asked = {"preset": "team", **LLAMA}
    plain, held = (ask("run_preset", **asked, overrides=f"engine=sglang{one}") for one in ("", ", lora_rank=16"))
    assert held["sections"]["moe"] == plain["sections"]["moe"]
    assert (
        held["sections"]["parallelism"]["max_concurrent_users"]
        < plain["sections"]["parallelism"]["max_concurrent_users"]
    )


def test_tokens_take_longer_with_adapters_of_vllm_and_the_answer_says_when_their_time_is_not_counted() -> None:
    """Sixteen users of Llama 3.1 8B on an H200: 7.6 ms a token without, 8.8 with one adapter, 11.4 with eight."""
    asked = LLAMA | {"gpu": "h200-sxm", "total_gpus": 1, "concurrent_users": 16}
    tpot = {
        given: ask("plan_parallelism", **asked, overrides=given)["tpot_ms"]
        for given in ("lora_rank=16", "lora_adapters=8, lora_rank=16", "lora_adapters=8, lora_rank=128")
    }
    assert ask("plan_parallelism", **asked)["tpot_ms"] * 1.1 < min(tpot.values())
    assert list(tpot.values()) == sorted(tpot.values())
    elsewhere = {"engine=sglang", "engine=sglang, lora_adapters=8"}
    untimed = [ask("plan_parallelism", **asked, overrides=given) for given in sorted(elsewhere)]
    assert untimed[0]["tpot_ms"] == untimed[1]["tpot_ms"]
    assert {one["name"]: one["value"] for one in untimed[1]["assumptions"]}["lora_speed"] == "not counted"


def test_experts_are_shared_by_groups_of_one_gpu_of_a_server_with_adapters() -> None:
    asked = {"model": "deepseek v3", "precision": "fp8", "gpu": "h200-sxm", "total_gpus": 16, "concurrent_users": 64}
    given = {"objective": "throughput", "overrides": "lora_adapters=1, lora_rank=8"}
    found = TOOLS_BY_NAME["plan_parallelism"].ask(asked | given)
    assert {one.tp for one in (found, *found.alternatives) if one.ep > 1} == {1}


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "overrides", "flags"),
    [
        ("vllm", "lora_adapters=8, lora_rank=24", "--enable-lora --max-loras 8 --max-lora-rank 32"),
        ("vllm", "lora_sharded=1", "--enable-lora --max-loras 1 --max-lora-rank 16 --fully-sharded-loras"),
        (
            "sglang",
            "lora_adapters=8, lora_rank=24",
            f"--enable-lora --max-loras-per-batch 8 --max-lora-rank 24 --lora-target-modules {MODULES}",
        ),
    ],
)
def test_the_command_makes_room_for_what_was_counted(engine: str, overrides: str, flags: str) -> None:
    command = ask("estimate_vram", **LLAMA, engine=engine, overrides=overrides)["launch"]
    assert flags in command
    assert "lora" not in ask("estimate_vram", **LLAMA, engine=engine)["launch"]


# --- what is not known -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"engine": "llama.cpp", "precision": "q8_0"}, "only vLLM's and SGLang's are; take engine vllm or leave"),
        ({"engine": "tensorrt-llm"}, "only vLLM's and SGLang's are; take engine vllm or leave the lora settings out"),
        ({"overrides": "lora_rank=8, engine_version=0.9"}, 'take overrides="engine_version=0.12" or leave'),
        (
            {"model": "qwen3.5 9b"},
            "no source was read that says which of its layers take them; leave",
        ),
        ({"model": "phi-4", "engine": "sglang"}, "of SGLang only those of dense models with separate query, key and"),
    ],
)
def test_adapters_are_refused_in_one_sentence_where_no_rule_is_known(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ask("estimate_vram", **{**LLAMA, "overrides": "lora_rank=8", **asked})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("tool", "asked"),
    [
        ("plan_parallelism", {"model": UNREAD}),
        ("plan_parallelism", {"model": UNREAD, "gpu": "any"}),
        ("compare_costs", {"model": UNREAD, "requests_per_day": 1000}),
        ("run_preset", {"model": UNREAD, "preset": "team"}),
        ("compare_quantization", {"model": UNREAD}),
        ("compare_moe_dense", {"moe_model": UNREAD}),
    ],
)
def test_the_other_tools_refuse_them_too(tool: str, asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="is not known here: no source was read"):
        ask(tool, **asked, overrides="lora_rank=8")


def test_a_config_is_adapted_as_its_family_is() -> None:
    llama = MODELS["meta-llama/Llama-3.1-8B-Instruct"].architecture
    config = {
        "model_type": "llama",
        "hidden_size": llama.hidden,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": llama.vocab,
        "max_position_embeddings": llama.max_positions,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    asked = {**LLAMA, "overrides": "lora_adapters=4"}
    assert pool(**{**asked, "model": json.dumps(config)})["adapters"] == pool(**asked)["adapters"]
