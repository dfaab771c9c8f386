"""A forward pass: bytes, FLOPs and links, and the time they take."""

from dataclasses import replace
from itertools import pairwise
from math import inf, isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.fabric import fabric_of
from inferplan.core.hardware import Gpu
from inferplan.core.memory import kv_bytes_per_token, state_bytes, weights
from inferplan.core.parallelism import Layout
from inferplan.core.performance import PARTS, SHARES, TIMES, Pass, forward_pass, roofline
from inferplan.core.precision import Precision
from inferplan.core.serving_laws import Options, Service, marginal_s, pipelined, serve, static_batch
from inferplan.core.speed.collectives import ring_all_reduce_s
from inferplan.core.speed.efficiency import Efficiency, Kind, best_product, efficiency
from inferplan.core.speed.load import Load
from inferplan.core.speed.machine import Machine, machine_of
from inferplan.core.speed.pass_amounts import Amounts, Batch, pass_amounts
from inferplan.core.speed.work import work_of
from shapes import dense, h100, layouts, model, precision, sparse

LLAMA_70B = model(dense())
MIXTRAL = model(sparse())
BF16 = precision(bits=16)
FP8 = replace(precision(bits=8), compute="fp8")
FITTED = efficiency(Kind(generation="hopper", engine="vllm", arithmetic="native"))
NO_QUEUES = ("prefill_interference", "prompt_queue")
IDEAL = Efficiency(
    **{field: 0.0 if field.endswith("_s") or field in NO_QUEUES else 1.0 for field in Efficiency.__slots__}
)

LAYOUTS = layouts(pp=st.sampled_from([1, 2, 4]))


def joined(layout: Layout, form: Precision = BF16, reached: Efficiency | None = None) -> Machine:
    links = fabric_of(h100(), layout, node_size=8, network=50e9)
    found = machine_of(h100(), form, links, reached or FITTED)
    assert found is not None
    return found


def step(layout: Layout, *, decode: int = 1, context: float = 0, reached: Efficiency | None = None) -> Pass:
    one = work_of(LLAMA_70B, BF16, tp=layout.tp, kv_bits=16)
    return forward_pass(one, joined(layout, reached=reached), layout, Batch(decode=decode, context=context))


def service(*, sequences: int = 1, context: float = 8192, layout: Layout | None = None, tokens: int = 500) -> Service:
    layout = layout or Layout(tp=4)
    load = Load(sequences=sequences, context=context, input_tokens=tokens, output_tokens=tokens)
    return serve(work_of(LLAMA_70B, BF16, tp=layout.tp, kv_bits=16), joined(layout), layout, load)


def test_an_ideal_decode_step_reads_the_layers_and_the_head_once() -> None:
    """Llama 70B BF16 on 4 ranks: (141.1 GB less the embedding of 2.1 GB) / 4 at 3.35 TB/s = 10.4 ms."""
    read = (70_553_706_496 - 128_256 * 8192) * 2 / 4
    assert step(Layout(tp=4), reached=IDEAL).weights_s == pytest.approx(read / 3.35e12)


def test_a_head_that_is_the_embedding_is_read_and_computed_like_any_other() -> None:
    """Llama 3.2 1B: 128,256 x 2,048 parameters, stored once, on two ranks half each."""
    tied = work_of(MODELS["meta-llama/Llama-3.2-1B-Instruct"], BF16, tp=2, kv_bits=16)
    assert tied.head_params == 128_256 * 2048 / 2
    assert tied.head_bytes == 128_256 * 2048 * 2 / 2


def test_an_ideal_decode_step_reads_the_kv_cache_of_every_sequence() -> None:
    """64 x 8,192 tokens x 327,680 B / 4 ranks at 3.35 TB/s = 12.8 ms."""
    taken = step(Layout(tp=4), decode=64, context=8192, reached=IDEAL).kv_cache_s
    assert taken == pytest.approx(64 * 8192 * 327_680 / 4 / 3.35e12)


def test_an_ideal_prefill_computes_two_operations_per_parameter_and_token() -> None:
    """1,000 tokens through the 68,451,041,280 linear parameters, the head for the last token only, at the 80 % of
    989 TFLOP/s that the best product was measured to reach."""
    one = work_of(LLAMA_70B, BF16, tp=1, kv_bits=16)
    layout = Layout()
    m = joined(layout, reached=IDEAL)
    found = pass_amounts(one, m, layout, Batch(prompts=1, prompt=1000))
    flops = 2 * 1000 * 68_451_041_280 + 2 * 128_256 * 8192
    assert found.matrix_s + found.half_matrix_s == pytest.approx(flops / (0.80 * 989e12))
    assert found.cache_read_s == 0


@given(read=st.floats(1e-9, 10), computed=st.floats(1e-9, 10))
def test_computing_hides_partly_behind_reading(read: float, computed: float) -> None:
    together = roofline(read, computed)
    assert max(read, computed) <= together * (1 + 1e-9)
    assert together <= (read + computed) * (1 + 1e-9)


def test_attention_costs_4_operations_per_query_element_layer_and_pair() -> None:
    """Half of the pairs of a causal prompt, 1,000 x 1,000 / 2, and each token as if it attended over 4,096 more."""
    one = work_of(LLAMA_70B, BF16, tp=1, kv_bits=16)
    m, layout = joined(Layout(), reached=IDEAL), Layout()
    with_it, without = (
        forward_pass(w, m, layout, Batch(prompts=1, prompt=1000)).compute_s
        for w in (one, replace(one, attention_flops_per_pair=0))
    )
    assert with_it - without == pytest.approx(4 * 64 * 128 * 80 * 1000 * (1000 / 2 + 4096) / (0.80 * 989e12))


def test_an_all_reduce_over_8_gpus_moves_7_quarters_of_the_payload() -> None:
    """1 GB over 450 GB/s: 2 x 7/8 / 450 s."""
    assert ring_all_reduce_s(1e9, tp=8, bandwidth=450e9) == pytest.approx(1.75 / 450)


def test_one_gpu_reduces_nothing() -> None:
    assert ring_all_reduce_s(1e9, tp=1, bandwidth=450e9) == 0
    assert step(Layout()).collectives_s == 0


def test_each_layer_reduces_the_hidden_state_of_every_token_twice() -> None:
    """2 x 80 rings over 8 GPUs of 64 tokens x 8,192 x 2 B, at 450 GB/s."""
    taken = step(Layout(tp=8), decode=64, reached=IDEAL).collectives_s
    assert taken == pytest.approx(160 * 1.75 * 64 * 8192 * 2 / 450e9)


def test_a_stage_boundary_costs_one_hand_over_of_the_hidden_state() -> None:
    """16,384 B over InfiniBand at 50 GB/s."""
    assert step(Layout(pp=16), reached=IDEAL).collectives_s == pytest.approx(15 * 16_384 / 50e9)


@pytest.mark.parametrize("network", [0.1e9, 5e9, 50e9, 5e12])
@pytest.mark.parametrize("batch", [Batch(decode=4096, context=500), Batch(decode=16), Batch(prompts=64, prompt=2000)])
def test_a_batch_that_is_sent_between_nodes_takes_the_shorter_of_whole_and_halves(network: float, batch: Batch) -> None:
    """min(whole + sent, max(2 x half, sent)): 16 ranks, half of them in the other node, so that half of what each sends
    leaves: 2 x 32 layers x tokens / 16 x 8 experts x 4,096 x 1.5 B, at 0.9 of the network over that half.
    """
    layout = Layout(attention_dp=16)
    one = work_of(model(sparse(experts=64, active=8, width=2048)), BF16, tp=1, kv_bits=16, attention_dp=16)
    links = fabric_of(h100(), layout, node_size=8, network=network)
    near = replace(links, wide=False, exchange_bandwidth=inf)
    on, apart = (machine_of(h100(), BF16, joins, IDEAL) for joins in (links, near))
    assert on is not None
    assert apart is not None
    whole, half = (
        forward_pass(one, apart, layout, some).total_s
        for some in (batch, batch._replace(decode=batch.decode / 2, prompts=batch.prompts / 2))
    )
    sent = 2 * 32 * batch.tokens / 16 * 8 * 4096 * 1.5 / (network / 0.5) / 0.9
    assert forward_pass(one, on, layout, batch).total_s == pytest.approx(min(whole + sent, max(2 * half, sent)))


def test_an_indexer_scores_every_key_before_a_token_also_those_of_a_cached_prefix() -> None:
    """DeepSeek V3.2: 61 layers x 64 heads x 128 x 2 FLOP a pair; 1,000 tokens after 3,000, each of which sees 3,500."""
    one = work_of(MODELS["deepseek-ai/DeepSeek-V3.2"], FP8, tp=8, kv_bits=16)
    found = pass_amounts(one, joined(Layout(tp=8)), Layout(tp=8), Batch(prompts=1, prompt=1000, cached=3000))
    assert found.index_s == pytest.approx(61 * 64 * 128 * 2 * 1000 * 3500 / (0.72 * 1979e12))


def test_where_every_token_has_keys_of_its_own_hopper_pads_the_heads_of_a_rank_to_its_smallest_product() -> None:
    """DeepSeek V3.2: 128 heads over 8 GPUs are 16 rows, of 64; over two none is padded. R1's tokens share products."""
    picking, sharing = "deepseek-ai/DeepSeek-V3.2", "deepseek-ai/DeepSeek-R1"
    assert prompt_attention_s(picking, tp=8) == pytest.approx(prompt_attention_s(picking, tp=2))
    assert prompt_attention_s(picking, tp=2) == pytest.approx(prompt_attention_s(picking, tp=1) / 2)
    assert prompt_attention_s(sharing, tp=8) == pytest.approx(prompt_attention_s(sharing, tp=1) / 8)
    b200 = [prompt_attention_s(picking, tp=tp, gpu=GPUS["b200-sxm"]) for tp in (1, 8)]
    assert b200[1] == pytest.approx(b200[0] / 8)


def test_prompts_attend_to_picked_tokens_over_the_latent_itself_and_no_longer_with_the_context() -> None:
    """DeepSeek V3.2: 128 heads x (512 + 64 + 512) x 2 FLOP for each of 2,048 tokens, of 61 layers, of 1,000 tokens."""
    found = [prompt_attention_s("deepseek-ai/DeepSeek-V3.2", tp=1, cached=some) for some in (10_000, 100_000)]
    flops = 1000 * 2048 * 61 * 128 * (512 + 64 + 512) * 2
    assert found == [pytest.approx(flops / joined(Layout()).half_flops)] * 2


def prompt_attention_s(name: str, *, tp: int, cached: int = 10_000, gpu: Gpu | None = None) -> float:
    """Attention of 1,000 tokens of a prompt after so many others, at rated speed. [s]"""
    layout, on = Layout(tp=tp), gpu or h100()
    machine = machine_of(on, FP8, fabric_of(on, layout, node_size=8, network=50e9), FITTED)
    assert machine
    work = work_of(MODELS[name], FP8, tp=tp, kv_bits=16)
    return pass_amounts(work, machine, layout, Batch(prompts=1, prompt=1000, cached=cached)).prompt_attention_s


def test_an_indexer_writes_and_reads_a_score_of_every_pair() -> None:
    """DeepSeek V3.2: 8 B in 61 layers for each of 1,000 tokens and the 3,500 before it, beside the cached keys."""
    work = work_of(MODELS["deepseek-ai/DeepSeek-V3.2"], FP8, tp=8, kv_bits=16)
    read = pass_amounts(work, joined(Layout(tp=8)), Layout(tp=8), Batch(prompts=1, prompt=1000, cached=3000))
    scores = 61 * 1000 * 3500 * 8
    assert read.cache_read_s == pytest.approx((scores + work.cache_read(3000)) / joined(Layout(tp=8)).bandwidth)


def test_residual_streams_beyond_one_go_through_memory_at_every_block() -> None:
    """DeepSeek V4 Flash: 3 streams of 4,096, read or written 4 times in each of 86 blocks, in 16 bit."""
    streamed = MODELS["deepseek-ai/DeepSeek-V4-Flash"]
    single = replace(streamed, architecture=replace(streamed.architecture, streams=1))
    works = [work_of(one, FP8, tp=8, kv_bits=8) for one in (streamed, single)]
    on = joined(Layout(tp=8))
    four, one = (pass_amounts(work, on, Layout(tp=8), Batch(decode=64)).cache_read_s for work in works)
    assert four - one == pytest.approx(64 * 3 * 4 * 86 * 4096 * 2 / on.bandwidth)


def test_each_prompt_of_a_pass_reads_what_is_cached_before_it() -> None:
    """Llama 70B: 80 layers, 8 heads of 128, keys and values of 2 B: 3,000 tokens before each of two prompts."""
    one = work_of(LLAMA_70B, BF16, tp=1, kv_bits=16)
    found = pass_amounts(one, joined(Layout()), Layout(), Batch(prompts=2, prompt=1000, cached=3000))
    assert found.cache_read_s == pytest.approx(2 * 3000 * 2 * 80 * 8 * 128 * 2 / 3.35e12)


def test_a_mixture_of_experts_reads_only_what_its_batch_touches() -> None:
    """Mixtral, one token: a quarter of the experts; a large batch reads them all."""
    one = work_of(MIXTRAL, BF16, tp=1, kv_bits=16)
    layout, m = Layout(), joined(Layout(), reached=IDEAL)
    single, many = (forward_pass(one, m, layout, Batch(decode=n)).weights_s * 3.35e12 for n in (1, 4096))
    always = one.dense_bytes + one.head_bytes
    assert single == pytest.approx(always + one.expert_bytes / 4)
    assert many == pytest.approx(always + one.expert_bytes)


def test_the_work_of_a_rank_is_the_models_weights_and_cache_divided() -> None:
    one = work_of(LLAMA_70B, FP8, tp=4, kv_bits=8)
    held = weights(LLAMA_70B, FP8)
    assert (one.dense_bytes + one.head_bytes) * 4 == pytest.approx(held.total - held.embedding)
    assert one.kv_bytes_per_token * 4 == kv_bytes_per_token(LLAMA_70B.architecture, kv_bits=8)


def test_more_ranks_than_kv_heads_read_copies_of_the_cache() -> None:
    wide, even = (work_of(LLAMA_70B, BF16, tp=tp, kv_bits=16).kv_bytes_per_token for tp in (16, 8))
    assert wide == even


def test_a_format_is_computed_in_its_own_arithmetic_only_where_the_gpu_has_it() -> None:
    links = fabric_of(h100(), Layout(), node_size=8, network=50e9)

    def flops(gpu: Gpu, form: Precision) -> float:
        found = machine_of(gpu, form, links, FITTED)
        assert found is not None
        return found.matrix_flops

    ampere = replace(h100(), flops={"bf16": 312e12})
    assert flops(h100(), FP8) == pytest.approx(0.72 * 1979e12)
    assert flops(ampere, FP8) == pytest.approx(0.80 * 312e12)
    assert flops(h100(), replace(FP8, weight_only=True)) == pytest.approx(0.80 * 989e12)


@pytest.mark.parametrize(
    ("gpu", "compute", "tera"),
    [
        ("a100-80gb-sxm", "bf16", 271.2),
        ("h100-sxm", "bf16", 794.5),
        ("h100-sxm", "fp8", 1402.6),
        ("h200-sxm", "fp8", 1453.4),
        ("b200-sxm", "bf16", 1745),
        ("b200-sxm", "fp8", 3432.5),
        ("b300-sxm", "bf16", 1769),
        ("b300-sxm", "fp8", 3353.3),
        ("mi300x", "bf16", 668.4),
        ("mi355x", "bf16", 1565),
        ("gaudi-2", "fp8", 826.5),
        ("gaudi-3", "bf16", 1243),
    ],
)
def test_the_best_product_is_what_was_measured_with_matrices_of_the_best_shape(
    gpu: str, compute: str, tera: float
) -> None:
    assert best_product(GPUS[gpu], compute) == pytest.approx(tera * 1e12, rel=0.02)


def test_an_architecture_that_nobody_measured_is_taken_to_be_like_hopper() -> None:
    assert best_product(GPUS["a100-80gb-sxm"], "fp8") is None
    unmeasured = replace(h100(), architecture="one that nobody measured")
    assert best_product(unmeasured, "fp8") == best_product(h100(), "fp8")


def test_check_bits_among_the_data_take_a_sixteenth_of_what_is_read() -> None:
    """L40S: 864 GB/s, 46,068 of 49,152 MiB; RTX A6000, whose check bits are off by default: 768 GB/s, 49,140 MiB."""
    assert GPUS["l40s"].read_bandwidth == pytest.approx(810e9)
    assert GPUS["rtx-a6000"].read_bandwidth == 768e9
    assert GPUS["h100-sxm"].read_bandwidth == 3350e9


def test_a_gpu_of_unknown_arithmetic_gives_no_machine() -> None:
    links = fabric_of(h100(), Layout(), node_size=8, network=50e9)
    assert machine_of(replace(h100(), flops={"int8": 1e12}), BF16, links, FITTED) is None


def test_the_answer_to_a_lone_request_is_its_first_token_and_the_others() -> None:
    alone = service()
    assert alone.tokens_per_s == pytest.approx(500 / (alone.ttft_s + 499 * alone.tpot_s))
    assert alone.requests_per_s == pytest.approx(alone.tokens_per_s / 500)


def test_the_first_token_waits_for_the_front_end_the_prompt_and_steps_of_others() -> None:
    """An idle engine begins a lone prompt at once; one that decodes for another finishes what it has begun."""
    (alone, two), e = (service(sequences=n) for n in (1, 2)), FITTED
    assert alone.ttft_s == pytest.approx(e.front_end_s + alone.prefill.total_s)
    steps = e.first_token_steps * two.decode.total_s
    assert two.ttft_s == pytest.approx(e.front_end_s + steps + (1 + e.prompt_queue) * two.prefill.total_s)


def test_prompts_that_are_waited_for_before_the_first_token_do_not_disturb_after_it() -> None:
    """Without queueing all of another's prompt falls between one's tokens; where all of it is waited for, none does."""
    layout, one = Layout(tp=4), work_of(LLAMA_70B, BF16, tp=4, kv_bits=16)
    load = Load(sequences=10, context=1000, input_tokens=500, output_tokens=100)
    tpot = {}
    for queue in (0.0, 0.25, 1.0):
        reached = replace(FITTED, prefill_interference=1.0, prompt_queue=queue)
        tpot[queue] = serve(one, joined(layout, reached=reached), layout, load).tpot_s
    undisturbed = serve(one, joined(layout, reached=replace(FITTED, prefill_interference=0.0)), layout, load).tpot_s
    assert tpot[1.0] == undisturbed
    assert tpot[0.25] - undisturbed == pytest.approx(0.75 * (tpot[0.0] - undisturbed))


@given(prompt=st.integers(1, 200_000), output=st.integers(1, 4000), layout=LAYOUTS)
def test_a_lone_users_tokens_take_what_its_context_takes_however_long_its_own_prompt_is(
    prompt: int, output: int, layout: Layout
) -> None:
    one = work_of(LLAMA_70B, BF16, tp=layout.tp, kv_bits=16)
    load = Load(sequences=1, context=200_000, input_tokens=prompt, output_tokens=output)
    found = serve(one, joined(layout), layout, load)
    assert found.tpot_s == found.decode.total_s


def test_each_further_user_puts_a_prompt_of_its_own_between_the_tokens_of_the_others() -> None:
    layout, one = Layout(tp=4), work_of(LLAMA_70B, BF16, tp=4, kv_bits=16)
    on = (one, joined(layout, reached=replace(FITTED, prefill_interference=1.0, prompt_queue=0.0)), layout)
    between = {}
    for users in (1, 2, 5):
        found = serve(*on, Load(sequences=users, context=9000, input_tokens=8000, output_tokens=100))
        between[users] = 100 * (found.tpot_s - found.decode.total_s) / marginal_s(*on, 8000)
    assert between == pytest.approx({1: 0, 2: 1, 5: 4})


def test_stages_share_the_prompts_that_come_between_tokens() -> None:
    """Of 8 x 8,000 tokens for 100 each, with all of a prompt between tokens: 7 of them / 100, in 4 stages a quarter."""
    layout, one = Layout(tp=2, pp=4), work_of(LLAMA_70B, BF16, tp=2, kv_bits=16)
    on = (one, joined(layout, reached=replace(FITTED, prefill_interference=1.0, prompt_queue=0.0)), layout)
    found = serve(*on, Load(sequences=8, context=9000, input_tokens=8000, output_tokens=100))
    assert found.tpot_s - found.decode.total_s == pytest.approx(7 / 100 * marginal_s(*on, 8000) / 4)


def test_the_prompts_that_a_first_token_waits_for_are_shared_out_over_the_groups_of_a_replica() -> None:
    """17 users on 16 groups: 16 others, one of them on each group, of which the share `prompt_queue` is waited for."""
    layout = Layout(tp=1, attention_dp=16)
    one = work_of(MIXTRAL, BF16, tp=1, kv_bits=16, attention_dp=16)
    reached = replace(FITTED, prompt_queue=0.5, first_token_steps=0.0, front_end_s=0.0)
    load = Load(sequences=17, context=9000, input_tokens=8000, output_tokens=1000)
    found = serve(one, joined(layout, reached=reached), layout, load)
    assert found.ttft_s == pytest.approx(found.prefill.total_s * (1 + 0.5))


def test_a_lone_user_of_ranks_that_share_experts_disturbs_nobody_and_two_disturb_each_other() -> None:
    layout = Layout(tp=1, attention_dp=8)
    one = work_of(MIXTRAL, BF16, tp=1, kv_bits=16, attention_dp=8)
    load = Load(sequences=1, context=9000, input_tokens=8000, output_tokens=100)
    alone, two = (serve(one, joined(layout), layout, replace(load, sequences=n)) for n in (1, 2))
    assert alone.tpot_s == alone.decode.total_s
    assert two.tpot_s > two.decode.total_s


def test_a_slot_that_is_never_idle_spends_its_own_prompt_too() -> None:
    found = service(tokens=8000)
    assert found.offline_tokens_per_s < 1 / found.tpot_s


def test_a_pipeline_works_on_as_many_batches_as_it_has_stages() -> None:
    """10 sequences in 4 stages: batches of 3."""
    layout = Layout(tp=2, pp=4)
    assert service(sequences=10, layout=layout).decode == step(layout, decode=3, context=8192)


LOADS = st.tuples(st.integers(1, 2000), st.integers(1, 200_000))


@given(sequences=st.integers(1, 2000), short=st.integers(1, 10**6), long=st.integers(1, 10**6), layout=LAYOUTS)
def test_tokens_come_no_faster_in_longer_contexts(sequences: int, short: int, long: int, layout: Layout) -> None:
    times = [service(sequences=sequences, context=n, layout=layout).tpot_s for n in sorted((short, long))]
    assert times == sorted(times)


@given(few=st.integers(1, 5000), many=st.integers(1, 5000), layout=LAYOUTS)
def test_each_user_waits_no_less_where_more_are_served(few: int, many: int, layout: Layout) -> None:
    a, b = (service(sequences=n, layout=layout) for n in sorted((few, many)))
    assert a.tpot_s <= b.tpot_s
    assert a.ttft_s <= b.ttft_s


@given(load=LOADS, layout=LAYOUTS)
def test_everything_that_a_replica_delivers_is_finite_and_positive(load: tuple[int, int], layout: Layout) -> None:
    sequences, context = load
    one = service(sequences=sequences, context=context, layout=layout)
    figures = (one.ttft_s, one.tpot_s, one.tokens_per_s, one.requests_per_s, one.decode.weights_s)
    assert all(isfinite(figure) and figure > 0 for figure in figures)


def test_amounts_and_parts_stand_in_the_order_in_which_they_are_added_up() -> None:
    assert Amounts._fields == (*SHARES, *TIMES)
    assert Pass._fields == tuple(PARTS)


@given(load=LOADS, layout=LAYOUTS)
def test_the_parts_of_a_step_add_up(load: tuple[int, int], layout: Layout) -> None:
    sequences, context = load
    one = step(layout, decode=sequences, context=context)
    assert one.total_s == pytest.approx(sum(one))


@given(sequences=st.integers(1, 1000))
def test_throughput_is_at_most_every_user_at_full_decode_speed(sequences: int) -> None:
    one = service(sequences=sequences)
    assert one.tokens_per_s <= sequences / one.tpot_s * (1 + 1 / 499)


@given(sequences=st.integers(1, 500), tokens=st.integers(1, 4000))
def test_fp8_is_never_slower_than_16_bit_on_hopper(sequences: int, tokens: int) -> None:
    layout = Layout(tp=4)
    load = Load(sequences=sequences, context=tokens, input_tokens=tokens, output_tokens=tokens)
    half, whole = (
        serve(work_of(LLAMA_70B, form, tp=4, kv_bits=16), joined(layout, form), layout, load) for form in (FP8, BF16)
    )
    assert half.tpot_s <= whole.tpot_s
    assert half.ttft_s <= whole.ttft_s


@given(factor=st.floats(0.1, 10), sequences=st.integers(1, 100))
def test_seconds_scale_with_bytes_over_bandwidth(factor: float, sequences: int) -> None:
    """Dimensions: a device of f times the bandwidth, the arithmetic and the links takes 1/f of the ideal time."""
    layout = Layout(tp=4)
    one, m = work_of(LLAMA_70B, BF16, tp=4, kv_bits=16), joined(layout, reached=IDEAL)
    links = replace(
        m.fabric,
        tensor_bandwidth=m.fabric.tensor_bandwidth * factor,
        stage_bandwidth=m.fabric.stage_bandwidth * factor,
    )
    faster = replace(
        m,
        bandwidth=m.bandwidth * factor,
        matrix_flops=m.matrix_flops * factor,
        half_flops=m.half_flops * factor,
        fabric=links,
    )
    before, after = (forward_pass(one, x, layout, Batch(decode=sequences, context=4096)).total_s for x in (m, faster))
    assert after * factor == pytest.approx(before)


def test_a_latent_is_read_whole_by_every_rank_and_a_prompt_computes_it_expanded() -> None:
    """DeepSeek-V3: 61 x 576 x 2 B a token; 4 x 128 x (512 + 32) FLOP in decode, 2 x 128 x (192 + 128) in a prompt."""
    one, eight = (work_of(MODELS["deepseek-ai/DeepSeek-V3"], BF16, tp=tp, kv_bits=16) for tp in (1, 8))
    assert one.kv_bytes_per_token == eight.kv_bytes_per_token == 70_272
    assert one.decode_flops(1) == 61 * 4 * 128 * (512 + 32)
    assert one.prompt_flops(2) == 61 * 2 * 128 * (192 + 128)


def test_a_windowed_layer_reads_no_more_than_its_window() -> None:
    mistral = work_of(MODELS["mistralai/Mistral-7B-v0.1"], BF16, tp=1, kv_bits=16)
    assert mistral.cache_read(1000) == 1000 * 131_072
    assert mistral.cache_read(4096) == mistral.cache_read(100_000) == 2**29


def test_a_state_is_read_and_written_whatever_the_context() -> None:
    hybrid = MODELS["Qwen/Qwen3-Next-80B-A3B-Instruct"]
    assert work_of(hybrid, BF16, tp=2, kv_bits=16).cache_read(0) == state_bytes(hybrid.architecture)


def test_what_an_indexer_leaves_out_is_not_read() -> None:
    """DeepSeek-V3.2 reads 2,048 latents and every index key."""
    sparse_latent = work_of(MODELS["deepseek-ai/DeepSeek-V3.2"], BF16, tp=8, kv_bits=16)
    assert sparse_latent.cache_read(100_000) == 61 * 2 * (2048 * 576 + 100_000 * 128)


DEEPSEEK = MODELS["deepseek-ai/DeepSeek-V3"]


def amounts(layout: Layout, *, decode: float = 0, prompts: int = 0, tokens: int = 1000) -> Amounts:
    one = work_of(DEEPSEEK, FP8, tp=layout.tp, kv_bits=16, attention_dp=layout.attention_dp)
    links = fabric_of(h100(), layout, node_size=8, network=50e9)
    on = machine_of(h100(), FP8, links, FITTED)
    assert on is not None
    return pass_amounts(one, on, layout, Batch(decode=decode, context=4096, prompts=prompts, prompt=tokens))


def test_data_parallel_attention_shares_experts_and_sequences_and_repeats_the_rest() -> None:
    """64 sequences on 8 ranks: the experts as with tensor parallelism over 8, an eighth of the latents on each."""
    data, tensor, alone = (amounts(one, decode=64) for one in (Layout(attention_dp=8), Layout(tp=8), Layout()))
    assert data.expert_read_s == pytest.approx(tensor.expert_read_s)
    assert data.expert_matrix_s == pytest.approx(tensor.expert_matrix_s)
    assert data.cache_read_s == pytest.approx(tensor.cache_read_s / 8)
    assert data.dense_read_s == alone.dense_read_s
    assert data.sequences == 8


def test_data_parallel_attention_exchanges_tokens_instead_of_reducing() -> None:
    """2 x 58 all-to-alls of 8 tokens x 7 other ranks x 7,168 x 1.5 B at 450 GB/s; no all-reduce at TP 1."""
    found = amounts(Layout(attention_dp=8), decode=64)
    assert (found.all_reduces, found.all_to_alls) == (0, 2 * 58)
    assert found.link_s == pytest.approx(116 * 8 * 7 * 7168 * 1.5 / 450e9)
    assert amounts(Layout(tp=2, attention_dp=4), decode=64).all_reduces == 2 * 61 - 58


def test_only_the_boundary_of_stages_is_handed_over() -> None:
    assert amounts(Layout(tp=2, pp=4), decode=8).stage_sends == 3
    assert amounts(Layout(attention_dp=8), decode=8).stage_sends == amounts(Layout(), decode=8).all_to_alls == 0


def test_a_lone_sequence_is_on_one_rank() -> None:
    assert amounts(Layout(attention_dp=8), decode=1).sequences == 1
    assert amounts(Layout(attention_dp=8), prompts=1).matrix_s == amounts(Layout(), prompts=1).matrix_s


@given(context=st.integers(1, 10**6), other=st.integers(1, 10**6))
def test_a_longer_prompt_takes_no_less_time(context: int, other: int) -> None:
    short, long = (service(tokens=n).prefill.total_s for n in sorted((context, other)))
    assert short <= long


def test_throughput_saturates() -> None:
    """Of every doubling of the users, the tokens per second gain less."""
    rates = [service(sequences=2**n).offline_tokens_per_s for n in range(12)]
    gains = [after / before for before, after in pairwise(rates)]
    assert gains == sorted(gains, reverse=True)
    assert 1 <= gains[-1] < 1.1


@given(sequences=st.integers(1, 2000))
def test_a_link_without_latency_never_loses(sequences: int) -> None:
    layout = Layout(tp=8)
    quick = replace(FITTED, all_reduce_s=0)
    assert (
        step(layout, decode=sequences, reached=quick).total_s <= step(layout, decode=sequences, reached=FITTED).total_s
    )


def test_who_has_no_slot_waits_for_one() -> None:
    """64 clients, 32 slots: the first token waits for one more answer of 500 tokens, and the prompt before it."""
    one, m, layout = work_of(LLAMA_70B, BF16, tp=4, kv_bits=16), joined(Layout(tp=4)), Layout(tp=4)
    load = Load(sequences=32, context=750, input_tokens=500, output_tokens=500)
    free, full = (serve(one, m, layout, replace(load, sequences=n, slots=32)) for n in (32, 64))
    assert full.tpot_s == free.tpot_s
    assert full.ttft_s == pytest.approx(free.ttft_s + 500 * 32 / free.offline_tokens_per_s)


def test_who_gives_way_while_others_wait_is_computed_again() -> None:
    """40 clients, 32 slots: 500 tokens of every request once more, a whole prompt, so that prompts disturb twice."""
    one, m, layout = work_of(LLAMA_70B, BF16, tp=4, kv_bits=16), joined(Layout(tp=4)), Layout(tp=4)
    load = Load(sequences=40, context=750, input_tokens=500, output_tokens=500, slots=32)
    kept, given = (serve(one, m, layout, replace(load, preempts=ways)) for ways in (False, True))
    step_s = kept.decode.total_s
    assert given.decode == kept.decode
    assert given.tpot_s - step_s == pytest.approx(2 * (kept.tpot_s - step_s))
    assert 32 / given.offline_tokens_per_s - step_s == pytest.approx(2 * (32 / kept.offline_tokens_per_s - step_s))
    assert given.ttft_s > kept.ttft_s


@pytest.mark.parametrize("sequences", [1, 31, 32])
def test_nobody_gives_way_where_nobody_waits(sequences: int) -> None:
    one, m, layout = work_of(LLAMA_70B, BF16, tp=4, kv_bits=16), joined(Layout(tp=4)), Layout(tp=4)
    load = Load(sequences=sequences, context=750, input_tokens=500, output_tokens=500, slots=32, preempts=True)
    assert serve(one, m, layout, load) == serve(one, m, layout, replace(load, preempts=False))


def test_a_batch_without_prompts_takes_a_step_for_each_token() -> None:
    """32 tokens after nothing, in the middle 16: what a benchmark of decoding alone times."""
    layout, one = Layout(tp=4), work_of(LLAMA_70B, BF16, tp=4, kv_bits=16)
    found = static_batch(one, joined(layout), layout, batch=8, prompt=0, output=32)
    assert found.step_s == step(layout, decode=8, context=16).total_s
    assert found.total_s == pytest.approx(32 * found.step_s)


def test_a_batch_takes_its_prompts_and_a_step_for_each_further_token() -> None:
    one, m, layout = work_of(LLAMA_70B, BF16, tp=4, kv_bits=16), joined(Layout(tp=4)), Layout(tp=4)
    first = forward_pass(one, m, layout, Batch(prompts=8, prompt=100)).total_s
    each = forward_pass(one, m, layout, Batch(decode=8, context=120)).total_s
    taken = static_batch(one, m, layout, batch=8, prompt=100, output=40).total_s
    assert taken == pytest.approx(first + 39 * each)


def test_the_steps_of_a_prompt_fill_a_pipeline() -> None:
    """8 steps in 4 stages: 11 of 32 stage times."""
    assert pipelined(Layout(pp=4), 4096, Options(step_tokens=512, at_once=4)) == 11 / 32
