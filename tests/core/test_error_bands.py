"""How far published runs lie from their predictions, and which of them a question is like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.models import MODELS
from inferplan.core.error_bands import ENOUGH, Law, attention_of, band
from inferplan.core.speed.efficiency import Kind
from inferplan.core.speed.speed_bands import BANDS

LAWS: tuple[Law, ...] = ("tpot", "ttft", "offline", "static", "single", "prompt", "slots")
KINDS = st.builds(
    Kind,
    generation=st.sampled_from(["hopper", "ampere", "blackwell", "cdna", "local", "local_stacked"]),
    engine=st.sampled_from(["vllm", "sglang", "tensorrt-llm", "llama.cpp", "other"]),
    arithmetic=st.sampled_from(["native", "fp4", "weight-only"]),
)
ATTENTIONS = st.sampled_from(["plain", "windowed", "latent", "sparse", "recurrent"])


@given(law=st.sampled_from(LAWS), kind=KINDS, attention=ATTENTIONS)
def test_every_kind_of_prediction_has_a_band_around_it_that_widens_with_its_level(
    law: Law, kind: Kind, attention: str
) -> None:
    half, most = (band(law, kind=kind, attention=attention, level=level) for level in (50, 90))
    assert most.low <= half.low <= 1 <= half.high <= most.high
    assert most.low < most.high
    assert half.n == most.n >= ENOUGH


@pytest.mark.parametrize(
    ("model", "attention"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", "plain"),
        ("openai/gpt-oss-120b", "windowed"),
        ("deepseek-ai/DeepSeek-R1", "latent"),
        ("deepseek-ai/DeepSeek-V3.2", "sparse"),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", "recurrent"),
    ],
)
def test_models_are_grouped_by_what_mixes_their_tokens(model: str, attention: str) -> None:
    assert attention_of(MODELS[model].architecture) == attention


def test_few_runs_make_a_band_wider_than_their_quantiles() -> None:
    kind = Kind(generation="hopper", engine="vllm", arithmetic="native")
    found = band("tpot", kind=kind, attention="plain")
    n, quantiles = BANDS["tpot", "vllm", "hopper", "plain"]
    assert found.n == n
    assert found.low < quantiles[50][0] < quantiles[50][1] < found.high


def test_a_kind_without_runs_of_its_own_is_told_apart() -> None:
    kind = Kind(generation="cdna", engine="vllm", arithmetic="native")
    assert not band("static", kind=kind, attention="sparse").alike
    assert band("static", kind=kind, attention="plain").here
    assert not band("tpot", kind=kind, attention="plain").here
