"""Weights and KV cache by the guide's formula and by a model's own tensors."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.models import MODELS
from inferplan.core.memory import (
    devices_for,
    kv_bytes_per_token,
    kv_cache_bytes,
    overhead,
    state_bytes,
    weights,
)
from inferplan.core.model import Nominal
from inferplan.core.units import GB
from shapes import dense, model, precision, sparse

LLAMA_70B = model(dense())
CLASS_70B = replace(LLAMA_70B, nominal=Nominal(total=70 * GB, active=70 * GB))

BITS = st.sampled_from([2, 3, 4, 4.25, 6, 8, 16, 32])


@pytest.mark.parametrize(("bits", "gigabytes"), [(32, 280), (16, 140), (8, 70), (4, 35)])
def test_a_70b_class_weighs_its_parameters_times_the_guides_bytes_to_the_byte(bits: float, gigabytes: int) -> None:
    assert weights(CLASS_70B, precision(bits=bits)).total == gigabytes * GB


def test_a_size_class_spends_the_nominal_bits_whatever_the_format_really_spends() -> None:
    assert weights(CLASS_70B, precision(bits=8.004, nominal=8, scope="linear")).total == 70 * GB


def test_a_checkpoint_in_fp8_keeps_embedding_head_and_norms_in_16_bit() -> None:
    """Llama 3.3 70B: 68,451,041,280 linear x 8.004 bit + 2,102,665,216 others x 16 bit = 72.69 GB."""
    held = weights(LLAMA_70B, precision(bits=8.004, nominal=8, scope="linear"))
    assert held.total == pytest.approx(68_451_041_280 * 8.004 / 8 + 2_102_665_216 * 2)
    assert held.embedding == held.output_head == 128256 * 8192 * 2


@pytest.mark.parametrize(
    ("layers", "kv_heads", "bits", "expected"),
    [(32, 32, 16, 524_288), (80, 8, 8, 163_840), (80, 8, 16, 327_680), (126, 8, 16, 516_096)],
    ids=["Llama 2 7B", "70B FP8", "70B FP16", "405B FP16"],
)
def test_a_token_takes_a_key_and_a_value_in_each_head_and_layer(
    layers: int, kv_heads: int, bits: int, expected: int
) -> None:
    assert kv_bytes_per_token(dense(layers=layers, kv_heads=kv_heads), kv_bits=bits) == expected


def test_the_guides_overhead_is_15_percent_of_both() -> None:
    assert overhead(70e9, 30e9) == pytest.approx(15e9)


@pytest.mark.parametrize(("need", "devices"), [(0, 1), (1, 1), (80, 1), (80.001, 2), (160, 2), (161, 3)])
def test_devices_are_counted_up_and_never_zero(need: float, devices: int) -> None:
    assert devices_for(need, 80) == devices


@given(bits=BITS)
def test_weights_are_linear_in_bits(bits: float) -> None:
    for one in (LLAMA_70B, model(sparse())):
        whole = weights(one, precision(bits=16)).total
        assert weights(one, precision(bits=bits)).total == pytest.approx(whole * bits / 16)


@given(bits=BITS, more=BITS)
def test_more_bits_never_weigh_less(bits: float, more: float) -> None:
    low, high = sorted((bits, more))
    assert weights(LLAMA_70B, precision(bits=low)).total <= weights(LLAMA_70B, precision(bits=high)).total


@given(bits=BITS)
def test_the_parts_of_the_weights_add_up_to_every_parameter(bits: float) -> None:
    for one in (LLAMA_70B, model(sparse(shared=4096))):
        assert weights(one, precision(bits=bits)).total == pytest.approx(one.total_params * bits / 8)


@given(bits=BITS)
def test_an_8_bit_cache_is_half_of_a_16_bit_one(bits: float) -> None:
    assert kv_bytes_per_token(dense(), kv_bits=bits / 2) * 2 == kv_bytes_per_token(dense(), kv_bits=bits)


@given(need=st.floats(0, 1e18), capacity=st.floats(1e9, 1e12))
def test_the_devices_hold_the_need_and_one_fewer_would_not(need: float, capacity: float) -> None:
    devices = devices_for(need, capacity)
    assert devices * capacity >= need * (1 - 1e-12)
    assert devices == 1 or (devices - 1) * capacity < need * (1 + 1e-12)


@given(context=st.integers(4096, 10**6), longer=st.integers(0, 10**6))
def test_a_window_that_is_full_takes_no_more(context: int, longer: int) -> None:
    mistral = MODELS["mistralai/Mistral-7B-v0.1"].architecture
    full, fuller = (kv_cache_bytes(mistral, tokens, kv_bits=16) for tokens in (context, context + longer))
    assert full == fuller == 2**29
    assert kv_bytes_per_token(mistral, kv_bits=16) == 0


@given(context=st.integers(0, 10**6), bits=st.sampled_from([4, 8, 16]))
def test_with_plain_attention_the_cache_of_a_sequence_is_tokens_times_rate(context: int, bits: float) -> None:
    assert kv_cache_bytes(dense(), context, kv_bits=bits) == context * kv_bytes_per_token(dense(), kv_bits=bits)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 36 * (3 * (2 * 16 * 128 + 32 * 128) * 2 + 32 * 128 * 128 * 2)),
        ("zai-org/GLM-5.3-Flash", 34 * (3 * (3 * 64 * 128) * 2 + 64 * 128 * 128 * 4)),
        ("MiniMaxAI/MiniMax-Text-01", 70 * 64 * 128 * 128 * 4),
        ("nvidia/Nemotron-H-8B-Base-8K", 24 * (3 * (128 * 64 + 2 * 8 * 128) * 2 + 128 * 64 * 128 * 4)),
        ("ai21labs/AI21-Jamba-Mini-1.5", 28 * (3 * 8192 * 2 + 8192 * 16 * 2)),
        ("LiquidAI/LFM2-1.2B", 10 * 2 * 2048 * 2),
    ],
)
def test_a_sequence_keeps_the_states_of_its_recurrent_layers_whatever_its_length(name: str, state: int) -> None:
    """Layers x ((convolution - 1) x channels x 2 B + matrices x the bytes of an element), by each model's config."""
    architecture = MODELS[name].architecture
    assert state_bytes(architecture) == state
    short, long = (kv_cache_bytes(architecture, context, kv_bits=16) for context in (1000, 2000))
    assert long - short == (short - state) > 0
