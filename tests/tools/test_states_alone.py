"""Models that keep a state for each session and nothing of each token: Mamba, Falcon Mamba, Mamba-2.

Totals are the published one of Mamba 2.8B and what transformers 5.24 builds, on torch's "meta" device, of the configs
of Falcon Mamba 7B and Codestral Mamba 7B. Sizes of states: vLLM 0.33, mamba_utils.py, `mamba1_state_shape`.
"""

import json
from typing import Any

import pytest

from configs import problem
from inferplan.catalog.hugging_face.config import described
from inferplan.core.memory import kv_bytes_per_token, kv_cache_bytes, state_bytes
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB
from inferplan.tools._assumptions import Ledger
from inferplan.tools.parallelism import TOOL as PLAN
from inferplan.tools.preset import TOOL as PRESET
from inferplan.tools.serving.settings import serving
from inferplan.tools.vram import TOOL as VRAM
from inferplan.tools.vram import HardwareRow, VramAnswer

Config = dict[str, Any]

MAMBA: Config = {"model_type": "mamba", "hidden_size": 2560, "num_hidden_layers": 64, "vocab_size": 50280}
FALCON_MAMBA: Config = {
    "model_type": "falcon_mamba",
    "expand": 16,
    "hidden_size": 4096,
    "intermediate_size": 8192,
    "num_hidden_layers": 64,
    "tie_word_embeddings": False,
    "time_step_rank": 256,
    "vocab_size": 65024,
}
CODESTRAL: Config = {"model_type": "mamba2", "hidden_size": 4096, "num_hidden_layers": 64, "vocab_size": 32768}

STATES = {
    "mamba": 64 * 5120 * (3 + 16) * 2,
    "falcon_mamba": 64 * 8192 * (3 + 16) * 2,
    "mamba2": 64 * ((8192 + 2 * 8 * 128) * 3 + 8192 * 128) * 2,
}
"""A session's convolutions of three tokens and states, in 16 bit. [B]"""


def ask(config: Config, **arguments: Any) -> VramAnswer:
    return VRAM.ask({"model": json.dumps(config), "precision": "bf16", **arguments})


def h100(answer: VramAnswer) -> HardwareRow:
    return next(row for row in answer.hardware if row.gpu == "h100-sxm")


@pytest.mark.parametrize(
    ("config", "params"), [(MAMBA, 2_768_345_600), (FALCON_MAMBA, 7_272_665_088), (CODESTRAL, 7_285_403_648)]
)
def test_layers_of_states_alone_are_counted_to_the_last_parameter(config: Config, params: int) -> None:
    one = described(json.dumps(config)).model
    assert one.total_params == params
    assert described(one.id).model.architecture == one.architecture


@pytest.mark.parametrize("config", [MAMBA, FALCON_MAMBA, CODESTRAL])
def test_a_session_takes_its_state_whatever_its_length(config: Config) -> None:
    one = described(json.dumps(config)).model.architecture
    sizes = {kv_cache_bytes(one, context, kv_bits=16) for context in (1, 4096, 10**8)}
    assert sizes == {STATES[config["model_type"]]} == {state_bytes(one)}
    assert kv_bytes_per_token(one, kv_bits=16) == 0


@pytest.mark.parametrize("key", ["mamba_ssm_dtype", "mamba_ssm_cache_dtype"])
def test_states_may_be_kept_in_32_bit(key: str) -> None:
    plain, wide = (described(json.dumps({**MAMBA, **more})).model.architecture for more in ({}, {key: "float32"}))
    assert state_bytes(wide) - state_bytes(plain) == 64 * 5120 * 16 * 2


def test_the_rank_of_time_steps_is_a_sixteenth_of_the_hidden_size_where_it_is_automatic() -> None:
    stated, automatic = ({**MAMBA, "time_step_rank": value} for value in (160, "auto"))
    assert described(json.dumps(stated)).model.total_params == described(json.dumps(automatic)).model.total_params
    half = described(json.dumps({**MAMBA, "time_step_rank": 80})).model.total_params
    assert described(json.dumps(stated)).model.total_params - half == 64 * 80 * 2 * 5120


@pytest.mark.parametrize("config", [MAMBA, CODESTRAL])
def test_projections_with_a_bias_and_convolutions_without_are_refused(config: Config) -> None:
    assert '"use_bias": true is not supported' in problem({**config, "use_bias": True})
    assert '"use_conv_bias": false is not supported' in problem({**config, "use_conv_bias": False})


def test_vllm_holds_as_many_sessions_as_states_fit_at_any_length() -> None:
    """vLLM 0.28: one page a sequence over all layers, so that the pool over the state is what it holds."""
    asked = {"gpu": "h100-sxm", "concurrent_users": 2000, "overrides": "max_num_seqs=2048"}
    short, long = (ask(CODESTRAL, context_window=tokens, **asked) for tokens in (1024, 1_000_000))
    row, same = h100(short), h100(long)
    assert row.max_concurrent_users == same.max_concurrent_users
    assert row.deploy == same.deploy
    assert short.kv_bytes_per_token == 0
    assert short.kv_cache_gb == pytest.approx(2000 * STATES["mamba2"] / 1e9)


def test_the_sessions_of_one_gpu_are_its_pool_over_a_state() -> None:
    one = ask(CODESTRAL, gpu="h100-sxm", overrides="max_num_seqs=2048, cuda_graphs=false")
    line = next(line for line in one.formula if line.startswith("KV pool"))
    pool = float(line.rpartition(" GiB = ")[0].rpartition("= ")[2]) * GIB
    assert h100(one).max_concurrent_users == pytest.approx(pool / STATES["mamba2"], abs=1)


def test_prefix_caching_is_off_by_default_and_takes_a_further_state_where_it_is_asked_for() -> None:
    """vLLM 0.28, config/model.py, `is_prefix_caching_supported`: attention-free models do not have it."""
    bounds = "max_num_seqs=2048, cuda_graphs=false"
    usual, kept = (
        h100(ask(CODESTRAL, gpu="h100-sxm", overrides=bounds + more)).max_concurrent_users
        for more in ("", ", prefix_caching=1")
    )
    assert usual
    assert kept == usual // 2


def test_a_plan_takes_any_context_and_says_that_no_log_was_held_against_it() -> None:
    plan = PLAN.ask({"model": json.dumps(FALCON_MAMBA), "gpu": "h100-sxm", "context_window": 10_000_000})
    assert plan.fits
    assert plan.max_concurrent_users == 1024
    assert "--max-model-len 10000000" in (plan.launch or "")
    assert any("no published log was held against it" in one.why for one in plan.assumptions)
    sized = ask(FALCON_MAMBA, gpu="h100-sxm")
    assert "or 1 at any length" in sized.summary
    assert "trained for" not in sized.summary
    assert h100(sized).longest_context is None


@pytest.mark.parametrize(("config", "is_staged"), [(MAMBA, True), (FALCON_MAMBA, True), (CODESTRAL, False)])
def test_vllm_splits_mamba_into_stages_and_mamba_2_not(config: Config, *, is_staged: bool) -> None:
    """vLLM 0.28 to 0.33: of the two classes, MambaForCausalLM alone is `SupportsPP`."""
    id_ = described(json.dumps(config)).model.id
    on = serving(Ledger({}), model=id_, precision="bf16", gpu="h100-sxm")
    assert on.starts(Layout(pp=2)) == is_staged
    assert bool(list(on.any_stages(8))) == is_staged


def test_a_preset_answers_for_states_alone() -> None:
    answer = PRESET.ask({"preset": "production", "model": json.dumps(FALCON_MAMBA)})
    assert answer.verdict.startswith("Yes")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"engine": "sglang"}, "SGLang's pool for states alone is not modelled"),
        ({"engine": "tensorrt-llm"}, "TensorRT-LLM's four cache managers"),
        ({"engine": "llama.cpp"}, "llama.cpp's compute buffer for states alone is not modelled"),
        ({"overrides": "engine_version=24"}, "vLLM's pages for states alone are known since 0.28"),
    ],
)
@pytest.mark.parametrize("config", [FALCON_MAMBA, CODESTRAL])
def test_what_is_not_known_of_an_engine_is_said(config: Config, asked: dict[str, Any], reason: str) -> None:
    answer = ask(config, gpu="h100-sxm", **asked)
    assert reason in answer.summary
    assert h100(answer).deploy is None
