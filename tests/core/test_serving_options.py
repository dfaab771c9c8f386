"""Speculative decoding, prefix caches and chunked prompts: hand-worked passes of an ideal machine, then laws."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.fabric import fabric_of
from inferplan.core.hardware import Gpu
from inferplan.core.parallelism import Layout
from inferplan.core.performance import Pass
from inferplan.core.serving_laws import Options, Service, decode_pass, prefill_pass, serve
from inferplan.core.speed.efficiency import Efficiency, Kind, efficiency
from inferplan.core.speed.load import Load
from inferplan.core.speed.machine import Machine, machine_of
from inferplan.core.speed.pass_amounts import Batch, pass_amounts
from inferplan.core.speed.work import work_of
from shapes import dense, h100, model, precision, sparse

LLAMA_70B = model(dense())
MIXTRAL = model(sparse())
BF16 = precision(bits=16)
LAYOUT = Layout(tp=4)
FITTED = efficiency(Kind(generation="hopper", engine="vllm", arithmetic="native"))
IDEAL = Efficiency(**{field: 0.0 if field.endswith("_s") else 1.0 for field in Efficiency.__slots__})
DRAFTS = st.builds(Options, drafted=st.integers(1, 8), acceptance=st.floats(0, 1), draft_share=st.floats(0.001, 0.1))
OPTIONS = st.builds(
    Options,
    step_tokens=st.integers(16, 100_000),
    hit_rate=st.floats(0, 1),
    drafted=st.integers(0, 8),
    acceptance=st.floats(0, 1),
    draft_share=st.floats(0.001, 0.1),
)


def on(reached: Efficiency = FITTED, gpu: Gpu | None = None) -> Machine:
    links = fabric_of(h100(), LAYOUT, node_size=8, network=50e9)
    found = machine_of(gpu or h100(), BF16, links, reached)
    assert found is not None
    return found


WORK = work_of(LLAMA_70B, BF16, tp=4, kv_bits=16)


def prompt(tokens: float, options: Options, reached: Efficiency = FITTED) -> Pass:
    return prefill_pass(WORK, on(reached), LAYOUT, tokens, options)


def service(options: Options, *, sequences: float = 32, tokens: float = 2000) -> Service:
    load = Load(sequences=sequences, context=4000, input_tokens=tokens, output_tokens=500)
    return serve(WORK, on(), LAYOUT, load, options)


def test_three_drafts_of_which_half_are_accepted_make_nearly_two_tokens_a_step() -> None:
    """1 + 1/2 + 1/4 + 1/8."""
    assert Options(drafted=3, acceptance=0.5).tokens_per_step == 1.875
    assert Options(drafted=3, acceptance=1).tokens_per_step == 4
    assert Options(acceptance=0.9).tokens_per_step == 1


def test_drafts_are_verified_in_one_pass_that_reads_weights_and_cache_once() -> None:
    """8 sequences of 1,000 tokens with 3 drafts: 4 times the products and the head, the reading of one step."""
    plain, verified = (
        pass_amounts(WORK, on(), LAYOUT, Batch(decode=8, context=1000, drafted=drafted)) for drafted in (0, 3)
    )
    assert verified.dense_read_s == plain.dense_read_s
    assert verified.cache_read_s == plain.cache_read_s
    assert verified.matrix_s == 4 * plain.matrix_s
    assert verified.half_matrix_s == 4 * plain.half_matrix_s
    assert verified.attention_s == 4 * plain.attention_s
    assert verified.link_s == 4 * plain.link_s
    assert (verified.sequences, verified.layers) == (plain.sequences, plain.layers)


def test_more_experts_are_touched_by_the_drafts_of_a_batch() -> None:
    """Mixtral, one sequence: 2 of 8 experts; with a draft 1 - (3/4)^2 of them."""
    one = work_of(MIXTRAL, BF16, tp=1, kv_bits=16)
    read = [pass_amounts(one, on(), Layout(), Batch(decode=1, drafted=k)).expert_read_s for k in (0, 1)]
    assert read[1] / read[0] == pytest.approx((1 - 0.75**2) / 0.25)


def test_a_draft_runs_through_one_layer_and_the_whole_head() -> None:
    """An eightieth of Llama's layers, and 128,256 x 8,192 x 2 B / 4, for each of 3 drafts at 3.35 TB/s."""
    drafted = Options(drafted=3, acceptance=0, draft_share=1 / 80)
    extra = decode_pass(WORK, on(IDEAL), LAYOUT, running=1, context=0, options=drafted).weights_s
    alone = decode_pass(WORK, on(IDEAL), LAYOUT, running=1, context=0).weights_s
    assert extra - alone == pytest.approx(3 * (WORK.dense_bytes / 80 + 128_256 * 8192 * 2 / 4) / 3.35e12)


def test_a_scheduler_spends_its_time_for_a_sequence_once_a_step_and_not_for_each_draft() -> None:
    """64 sequences, with 3 drafts and without: the layers of a draft are an eightieth of Llama's, 3 times."""
    plain, drafted = (
        decode_pass(WORK, on(), LAYOUT, running=64, context=1000, options=Options(drafted=n, draft_share=1 / 80))
        for n in (0, 3)
    )
    assert drafted.fixed_s - plain.fixed_s == pytest.approx(3 * FITTED.layer_s)


@given(options=DRAFTS, sequences=st.integers(1, 500))
def test_drafts_that_are_never_accepted_only_cost(options: Options, sequences: int) -> None:
    never, without = (service(one, sequences=sequences) for one in (replace(options, acceptance=0), Options()))
    assert never.tpot_s > without.tpot_s


@given(options=DRAFTS, other=st.floats(0, 1))
def test_the_more_drafts_are_accepted_the_faster(options: Options, other: float) -> None:
    low, high = sorted((options.acceptance, other))
    assert service(replace(options, acceptance=high)).tpot_s <= service(replace(options, acceptance=low)).tpot_s * (
        1 + 1e-9
    )


def test_a_cached_prefix_is_read_but_not_computed() -> None:
    """4,000 tokens of which 3,000 are cached: 1,000 through the matrices, each seeing 3,500 in the mean; the cache of
    3,000 x 327,680 B / 4 at 3.35 TB/s."""
    plain, cached = prompt(1000, Options(), IDEAL), prompt(4000, Options(hit_rate=0.75), IDEAL)
    assert cached.kv_cache_s == pytest.approx(3000 * 327_680 / 4 / 3.35e12)
    attention = 4 * 64 * 128 * 80 / 4 * 1000 / (0.80 * 989e12)
    assert cached.compute_s - plain.compute_s == pytest.approx(attention * (3500 - 500), rel=0.01)


@given(tokens=st.integers(2, 100_000))
def test_of_a_prompt_that_is_cached_whole_the_last_token_is_computed(tokens: int) -> None:
    hit = pass_amounts(WORK, on(), LAYOUT, Batch(prompts=1, prompt=1, cached=tokens - 1))
    whole = prompt(tokens, Options(hit_rate=1))
    assert whole.weights_s == pytest.approx(hit.dense_read_s / FITTED.bandwidth)
    assert whole.kv_cache_s == pytest.approx(hit.cache_read_s / FITTED.bandwidth)


@given(rate=st.floats(0, 1), other=st.floats(0, 1), tokens=st.integers(1, 50_000))
def test_the_more_is_cached_the_sooner_the_first_token_comes_and_the_less_is_disturbed(
    rate: float, other: float, tokens: int
) -> None:
    less, more = (service(Options(hit_rate=one), tokens=tokens) for one in sorted((rate, other)))
    assert more.ttft_s <= less.ttft_s * (1 + 1e-9)
    assert more.tpot_s <= less.tpot_s * (1 + 1e-9)
    assert more.tokens_per_s >= less.tokens_per_s * (1 - 1e-9)


def test_a_prompt_of_two_steps_reads_the_weights_twice_and_its_first_half_once() -> None:
    """4,096 tokens in steps of 2,048: as much arithmetic, twice the weights, 2,048 tokens of cache read by the second
    step (in the mean 1,024 by each)."""
    whole, halves = (prompt(4096, Options(step_tokens=size), IDEAL) for size in (4096, 2048))
    assert halves.weights_s == pytest.approx(2 * whole.weights_s)
    assert halves.kv_cache_s == pytest.approx(2048 * 327_680 / 4 / 3.35e12)
    amounts = [
        pass_amounts(WORK, on(), LAYOUT, Batch(prompts=1, prompt=size, cached=before))
        for size, before in ((4096, 0), (2048, 0), (2048, 2048))
    ]
    whole_s, first_s, second_s = (one.prompt_attention_s for one in amounts)
    assert first_s + second_s == pytest.approx(whole_s)


@given(tokens=st.integers(1, 200_000), size=st.integers(16, 200_000), other=st.integers(16, 200_000))
def test_smaller_steps_never_make_a_prompt_quicker(tokens: int, size: int, other: int) -> None:
    small, large = sorted((size, other))
    assert prompt(tokens, Options(step_tokens=small)).total_s >= prompt(tokens, Options(step_tokens=large)).total_s * (
        1 - 1e-9
    )


@given(short=st.integers(1, 100_000), long=st.integers(1, 100_000), options=OPTIONS)
def test_a_longer_prompt_never_takes_less_time_whatever_the_options(short: int, long: int, options: Options) -> None:
    a, b = (prompt(n, options).total_s for n in sorted((short, long)))
    assert a <= b * (1 + 1e-9)
