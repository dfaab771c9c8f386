"""The weights of the busiest rank: slices, stages and copies."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.architecture import Architecture
from inferplan.core.engine import Engine
from inferplan.core.engines.allocator import allocated
from inferplan.core.engines.rank_weights import rank_weights, stage_weights
from inferplan.core.engines.vllm_memory import loader
from inferplan.core.engines.weight_loading import Loader
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.memory import weights
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB, MIB
from inferplan.tools.validation.short_form import ShortForm
from shapes import dense, layouts, model, precision, sparse

LLAMA_8B = model(dense(layers=32, hidden=4096, heads=32, ffn=14336))
LLAMA_70B = model(dense())
BF16 = precision(bits=16)
MARLIN, FIRST_ENGINE, DOUBLED = Loader(marlin=True), Loader(first_engine=True), Loader(doubled_keys=True)
LAYOUTS = layouts(pp=st.integers(1, 80))


def small(**changes: int) -> Model:
    """Matrices below the 10 MiB from which the allocator rounds; 640 words fill whole rows."""
    return model(replace(dense(layers=2, hidden=256, heads=4, kv_heads=2, head_dim=64, ffn=512, vocab=640), **changes))


@pytest.mark.parametrize(
    ("mebibytes", "taken"),
    [(9.5, 9.5), (10, 10), (31, 32), (31.5, 32), (24.5, 24.5), (129.5, 130), (259, 260), (64.75, 64.75)],
)
def test_the_allocator_rounds_large_tensors_to_2_mib_unless_the_rest_is_worth_splitting(
    mebibytes: float, taken: float
) -> None:
    assert allocated(mebibytes * MIB) == taken * MIB


@pytest.mark.parametrize("tp", [1, 2, 4, 8])
def test_without_replication_tensor_parallelism_divides_the_matrices_and_repeats_norms_and_rope(tp: int) -> None:
    parts = weights(LLAMA_70B, BF16)
    shared = parts.replicated + 131_072 * 128 * 2
    held = (parts.total - parts.replicated) / tp + shared
    assert rank_weights(LLAMA_70B, BF16, Layout(tp=tp)) == pytest.approx(held, rel=1e-12)


def test_more_ranks_than_kv_heads_repeat_the_kv_projections() -> None:
    """Llama 70B on 16 ranks: 4 query heads and a whole KV head each, so that two ranks hold the same one."""
    parts = weights(LLAMA_70B, BF16)
    attention = 80 * 8192 * (2 * 4 * 128 + 2 * 128) * 2
    shared = parts.replicated + 131_072 * 128 * 2
    rest = (parts.ffn + parts.embedding + parts.output_head) / 16
    assert rank_weights(LLAMA_70B, BF16, Layout(tp=16)) == pytest.approx(attention + rest + shared, rel=1e-12)


@pytest.mark.parametrize(("vocab", "rows"), [(640, 640), (641, 704), (703, 704), (704, 704), (100, 128)])
@pytest.mark.parametrize("pp", [1, 2])
def test_embedding_and_head_are_padded_to_64_rows(vocab: int, rows: int, pp: int) -> None:
    """Each of the two matrices takes 256 x 2 B a row; with two stages each of them holds one."""
    more = rank_weights(small(vocab=vocab), BF16, Layout(pp=pp)) - rank_weights(small(), BF16, Layout(pp=pp))
    assert more == pytest.approx((rows - 640) * 256 * 2 * (2 if pp == 1 else 1))


@pytest.mark.parametrize(("id_", "size"), [("bf16", 2), ("fp16", 2), ("fp8", 2), ("awq", 2), ("fp32", 4)])
@pytest.mark.parametrize("layout", [Layout(), Layout(tp=2), Layout(pp=2)], ids=["one", "tensor", "stages"])
def test_the_table_of_rotations_is_on_every_rank_in_the_element_that_the_model_runs_in(
    id_: str, size: int, layout: Layout
) -> None:
    """Llama-3.1-8B: 131,072 positions x 128 x 2 B = 32 MiB; 64 MiB in fp32, where 29.98 GiB were printed."""
    format_ = FORMATS[id_]
    long, short = (
        rank_weights(model(replace(LLAMA_8B.architecture, max_positions=n)), format_, layout) for n in (131_072, 1)
    )
    assert long - short == pytest.approx(131_071 * 128 * size)


def test_llama_3_1_8b_in_fp32_weighs_what_vllm_printed() -> None:
    assert rank_weights(LLAMA_8B, FORMATS["fp32"], Layout()) / GIB == pytest.approx(29.98, abs=0.005)


@pytest.mark.parametrize(
    ("id_", "precision_id", "tp", "gib", "within"),
    [
        ("google/gemma-2-27b-it", "bf16", 1, 50.72, 0.001),
        ("google/gemma-2-2b-it", "bf16", 1, 4.90, 0.001),
        ("google/gemma-3-12b-it", "bf16", 1, 23.31, 0.001),  # with its vision tower and two tables of rotations
        ("deepseek-ai/DeepSeek-V2-Lite", "bf16", 1, 29.43, 0.003),  # with 0.11 GiB of absorbed copies
        ("openai/gpt-oss-120b", "mxfp4", 1, 64.38, 0.003),
        ("openai/gpt-oss-20b", "mxfp4", 1, 13.47, 0.003),
        ("openai/gpt-oss-20b", "mxfp4", 2, 7.01, 0.0091),
    ],
)
def test_weights_of_every_family_are_what_vllm_printed_for_it(
    id_: str, precision_id: str, tp: int, gib: float, within: float
) -> None:
    ours = rank_weights(MODELS[id_], FORMATS[precision_id], Layout(tp=tp)) / GIB
    assert ours == pytest.approx(gib, rel=within)


def test_16_bit_latents_are_worked_on_with_views_since_vllm_0_24() -> None:
    """DeepSeek-V2-Lite loaded 29.43 GiB on 0.19, 29.32 on 0.24; of FP8 copies stay: 27 x 16 x 512 x 256 x 2 B."""
    lite, views = MODELS["deepseek-ai/DeepSeek-V2-Lite"], Loader(latent_views=True)
    assert rank_weights(lite, FORMATS["bf16"], Layout(), views) / GIB == pytest.approx(29.32, abs=0.005)
    before, since = (rank_weights(lite, FORMATS["bf16"], Layout(), loader) for loader in (Loader(), views))
    assert before - since == 27 * 16 * 512 * 256 * 2
    assert rank_weights(lite, FORMATS["fp8"], Layout(), views) == rank_weights(lite, FORMATS["fp8"], Layout())


V4, V41 = (MODELS[f"deepseek-ai/DeepSeek-{name}-Flash"] for name in ("V4", "V4.1"))
MXFP4 = FORMATS["mxfp4"]


def test_projections_of_n_grams_are_split_by_columns_in_the_format_of_linear_layers() -> None:
    """DeepSeek V4.1: two of 6,144 x 5 x 5,120 in FP8, 0.04 GiB on each of eight ranks, not 0.59 in 16 bit."""
    held = {tp: rank_weights(V41, MXFP4, Layout(tp=tp), MARLIN) for tp in (1, 8)}
    whole, without = (replace(V41, architecture=replace(V41.architecture, ngram_params=n)) for n in (314_572_800, 0))
    assert 2 * 6144 * 5 * 5120 == 314_572_800
    assert held[8] - rank_weights(without, MXFP4, Layout(tp=8), MARLIN) == pytest.approx(314_572_800 / 8)
    assert weights(whole, MXFP4).total - weights(without, MXFP4).total == pytest.approx(314_572_800)
    assert held[1] > held[8]


def test_glm_5_3_flash_has_its_attention_in_16_bit_and_experts_in_fp8() -> None:
    """1.37 and 4.68 billion parameters of mixers; of its BF16 checkpoint all matrices are in 16 bit."""
    fp8, half = (MODELS[f"zai-org/GLM-5.3-Flash{name}"] for name in ("", "-BF16"))
    mixers = (1_374_058_752 + 4_682_897_792) * 2
    assert weights(fp8, FORMATS["fp8"]).attention == weights(half, BF16).attention == mixers
    assert weights(half, BF16).routed_experts == 2 * weights(fp8, FORMATS["fp8"]).routed_experts


def test_whole_experts_of_a_tensor_group_are_not_padded_as_slices_are() -> None:
    """DeepSeek V4.1 over 8: slices of 288 columns are padded to 384, so that 33.62 GiB of experts take 11.21 more."""
    engine = Engine(version=31, max_num_seqs=64, max_num_batched_tokens=8192)
    loads = loader(GPUS["h100-sxm"], engine)
    own, sliced = (rank_weights(V41, MXFP4, Layout(tp=8), one) for one in (loads, replace(loads, whole_experts=False)))
    experts = weights(V41, MXFP4).routed_experts / 8
    assert experts / GIB == pytest.approx(33.62, abs=0.01)
    assert sliced - own == pytest.approx(experts / 3, rel=1e-3)
    assert own / GIB == pytest.approx(36.32, rel=0.011)


@pytest.mark.parametrize(("name", "tp"), [("deepseek-ai/DeepSeek-V4.1-Flash", 2), ("openai/gpt-oss-120b", 8)])
def test_experts_that_are_padded_little_or_not_are_sliced(name: str, tp: int) -> None:
    """2,304 / 2 is nine times 128; 360 columns of gpt-oss are padded to 384, whole ones of 2,880 to 2,944."""
    either = (rank_weights(MODELS[name], MXFP4, Layout(tp=tp), Loader(whole_experts=one)) for one in (True, False))
    assert len(set(either)) == 1


def test_vllm_loads_the_mixing_of_streams_in_32_bit_and_compressors_in_16() -> None:
    """DeepSeek V4: 33,884,439 x 2 B more; of 21 layers (2 x 4,096 + 4) x 1,280 + 640 and 64 x 4,096 at 1 B more.

    Of 20 that pool 128 tokens, (2 x 4,096 + 128) x 512 + 512.
    """
    pooled = 21 * ((2 * 4096 + 4) * 1280 + 640 + 64 * 4096) + 20 * ((2 * 4096 + 128) * 512 + 512)
    wide, plain = (rank_weights(V4, MXFP4, Layout(tp=8), Loader(wide_mixing=one)) for one in (True, False))
    assert wide - plain == pytest.approx(33_884_439 * 2 + pooled)


@pytest.mark.parametrize(
    ("id_", "wide"),
    [
        ("deepseek-ai/DeepSeek-V4.1-Flash", 39_323_760),
        ("tencent/Hy4-preview", 30_770_717),
        ("Qwen/Qwen3.8-Flash-Next", 0),
    ],
)
def test_what_mixes_streams_is_loaded_in_32_bit_but_qwens(id_: str, wide: int) -> None:
    """V4.1: 40 layers x 2 x (24 x (4 x 5,120 + 1) + 3); its norms of n-grams stay in 16 bit."""
    loads = (Loader(wide_mixing=one) for one in (True, False))
    more, plain = (rank_weights(MODELS[id_], BF16, Layout(tp=8), one) for one in loads)
    assert more - plain == pytest.approx(2 * wide)


def test_deepseek_v4_keeps_two_tables_of_64_rotations_in_32_bit() -> None:
    short = replace(V4, architecture=replace(V4.architecture, max_positions=1))
    longer = rank_weights(V4, MXFP4, Layout(tp=8)) - rank_weights(short, MXFP4, Layout(tp=8))
    assert longer == pytest.approx(2 * 1_048_575 * 64 * 4)


def test_vllm_keeps_what_indexers_pick_once_or_of_qwen_in_each_layer() -> None:
    """4 B x 8,192 tokens x 512 (DeepSeek V4) and x 12 layers x 2,052 (Qwen3.8 Flash Next), on every rank."""
    next_ = MODELS["Qwen/Qwen3.8-Flash-Next"]
    for model_, form, kept in ((V4, MXFP4, 512), (next_, BF16, 12 * 2052)):
        for tp in (2, 8):
            more, none = (rank_weights(model_, form, Layout(tp=tp), Loader(batched_tokens=n)) for n in (8192, 0))
            assert more - none == pytest.approx(4 * 8192 * kept)


@pytest.mark.parametrize(("version", "drafts", "kept"), [(24, 0, True), (28, 0, False), (28, 1, True)])
def test_deepseek_v4_keeps_the_streams_of_a_step_for_drafts_once_on_the_last_stage(
    *, version: int, drafts: int, kept: bool
) -> None:
    """4 streams x 4,096 x 2 B x 32,768 tokens = 1 GiB."""
    engine = Engine(version=version, drafts=drafts, max_num_seqs=4, max_num_batched_tokens=32_768)
    loads = loader(GPUS["h100-sxm"], engine)
    own, less = (
        stage_weights(V4, MXFP4, Layout(tp=2, pp=2), one) for one in (loads, replace(loads, keeps_streams=False))
    )
    assert own[0] == less[0]
    assert own[1] - less[1] == pytest.approx(GIB if kept else 0)


@pytest.mark.parametrize(
    ("id_", "tp", "gib"), [("openai/gpt-oss-20b", 1, 13.72), ("openai/gpt-oss-120b", 4, 17.22)], ids=["one", "four"]
)
def test_marlin_kernels_pad_mxfp4_experts_as_logged_on_a100(id_: str, tp: int, gib: float) -> None:
    ours = rank_weights(MODELS[id_], FORMATS["mxfp4"], Layout(tp=tp), MARLIN) / GIB
    assert ours == pytest.approx(gib, rel=0.004)


@pytest.mark.parametrize(
    ("loader", "tp", "padding", "rounded"),
    [
        (Loader(), 1, 3072 / 2880, 0),
        (MARLIN, 1, 2944 * 3072 / 2880**2, 0.75),
        (Loader(), 2, 1536 * 3072 / (1440 * 2880), 0),
        (MARLIN, 4, 768 * 3072 / (720 * 2880), 0),
        (MARLIN, 8, 384 * 3072 / (360 * 2880), 0),
    ],
    ids=["one H100", "one A100", "two", "four", "eight"],
)
def test_mxfp4_experts_are_padded_to_whole_tiles(loader: Loader, tp: int, padding: float, rounded: float) -> None:
    """gpt-oss: 2,880 columns to a multiple of 128 on each rank where Marlin works, and 2,880 rows to 3,072.

    The scales of a layer's gate-up matrices are then 17.25 MiB on one GPU, for which the allocator takes 18.
    """
    oss, mxfp4 = MODELS["openai/gpt-oss-20b"], FORMATS["mxfp4"]
    blocks = tuple(replace(group, ffn=None) for group in oss.architecture.groups)
    without = replace(oss, architecture=replace(oss.architecture, groups=blocks))
    routers = weights(oss, mxfp4).replicated - weights(without, mxfp4).replicated
    ours, less = (rank_weights(one, mxfp4, Layout(tp=tp), loader) for one in (oss, without))
    experts = weights(oss, mxfp4).routed_experts * padding / tp
    assert ours - less - routers == pytest.approx(experts + oss.architecture.layers * rounded * MIB)


@pytest.mark.parametrize(
    ("id_", "gib", "within"), [("google/gemma-4-31B-it", 58.99, 0.002), ("google/gemma-4-26B-A4B-it", 48.50, 0.0003)]
)
def test_gemma_4_is_loaded_with_its_keys_twice_and_two_tables_of_rotations(id_: str, gib: float, within: float) -> None:
    """Published logs of vLLM 0.26 on a B300 and 0.19 on an A100; without them 0.43 and 0.15 GiB less."""
    gemma = MODELS[id_]
    once, twice = (rank_weights(gemma, FORMATS["bf16"], Layout(), one) / GIB for one in (Loader(), DOUBLED))
    assert twice == pytest.approx(gib, rel=within)
    keys = {"google/gemma-4-31B-it": 10 * 4 * 512 * 5376, "google/gemma-4-26B-A4B-it": 5 * 2 * 512 * 2816}[id_]
    assert (twice - once) * GIB == pytest.approx(2 * keys, rel=1e-6)


@pytest.mark.parametrize(("tp", "heads"), [(1, 4), (2, 2), (4, 1), (8, 1)])
def test_doubled_keys_are_sharded_by_heads(tp: int, heads: int) -> None:
    gemma, layout = MODELS["google/gemma-4-31B-it"], Layout(tp=tp)
    once, twice = (rank_weights(gemma, FORMATS["bf16"], layout, one) for one in (Loader(), DOUBLED))
    assert twice - once == pytest.approx(2 * 10 * heads * 512 * 5376)


def test_doubled_keys_are_in_the_stages_of_a_pipeline_too() -> None:
    gemma = MODELS["google/gemma-4-31B-it"]
    once, twice = (sum(stage_weights(gemma, FORMATS["bf16"], Layout(pp=2), one)) for one in (Loader(), DOUBLED))
    assert twice - once == pytest.approx(2 * 10 * 4 * 512 * 5376)


def test_packed_weights_are_rounded_without_their_scales() -> None:
    """A published log of Qwen2.5-32B AWQ: 18.14 GiB; 0.125 GiB are 2 MiB in each of 64 layers."""
    qwen = MODELS["Qwen/Qwen2.5-32B-Instruct"]
    assert rank_weights(qwen, FORMATS["awq"], Layout()) / GIB == pytest.approx(18.14, rel=0.0006)


def test_what_is_not_mxfp4_is_not_padded() -> None:
    assert rank_weights(model(sparse(width=14_337)), BF16, Layout(), MARLIN) == rank_weights(
        model(sparse(width=14_337)), BF16, Layout()
    )


def kimi_vl() -> Model:
    """Kimi-VL-A3B: DeepSeek-V2-Lite's layers, 163,840 words, MoonViT."""
    form = ShortForm.model_validate(
        {"H": 2048, "L": 27, "nh": 16, "nkv": 0, "hd": 0, "I": 1408, "V": 163_840, "tie": False, "pos": 131_072}
        | {"mla": [512, 64, 128, 128, None], "E": 64, "topk": 6, "shared": 2816, "dense": 1, "dI": 11_264}
        | {"vis": "moonvit"}
    )
    return model(form.build("Kimi-VL-A3B-Instruct"))


@pytest.mark.parametrize(("tp", "gib", "within"), [(1, 30.74, 0.003), (2, 15.53, 0.006)])
def test_kimi_vl_weighs_what_vllm_printed_with_its_tower(tp: int, gib: float, within: float) -> None:
    """vLLM 0.19 on one and two H100: the tower is shared out, but its projector is on every rank."""
    assert rank_weights(kimi_vl(), BF16, Layout(tp=tp)) / GIB == pytest.approx(gib, rel=within)


@pytest.mark.parametrize("layout", [Layout(), Layout(tp=4), Layout(tp=4, pp=2)], ids=["one", "tensor", "stages"])
def test_of_a_vision_tower_the_projector_is_on_every_rank_of_the_first_stage(layout: Layout) -> None:
    blind, seeing = (
        stage_weights(small(vision_params=params, vision_replicated=kept), BF16, layout)
        for params, kept in ((0, 0), (40_000, 8_000))
    )
    assert seeing[0] - blind[0] == pytest.approx((32_000 / layout.tp + 8_000) * 2)
    assert seeing[1:] == blind[1:]


def test_deepseek_v3_keeps_a_quarter_of_a_gib_of_absorbed_copies_on_each_of_eight_ranks() -> None:
    """61 layers x 512 x 16 heads x (128 + 128) x 2 B; the norms and latents' projections are on every rank."""
    v3 = MODELS["deepseek-ai/DeepSeek-V3"]
    latents = [mixer for _, mixer in v3.architecture.mixers if isinstance(mixer, Latent)]
    assert 61 * latents[0].absorbed_params(8) * 2 == 61 * 512 * 16 * 256 * 2
    assert rank_weights(v3, FORMATS["fp8"], Layout(tp=8)) * 8 > weights(v3, FORMATS["fp8"]).total


def test_deepseek_r1_on_the_first_engine_loads_what_it_printed_on_the_first_of_two_stages() -> None:
    """vLLM 0.7.2, tensor 8 x pipeline 2: 39.66 GiB."""
    stages = stage_weights(MODELS["deepseek-ai/DeepSeek-R1"], FORMATS["fp8"], Layout(tp=8, pp=2), FIRST_ENGINE)
    assert stages[0] / GIB == pytest.approx(39.66, rel=0.01)


@pytest.mark.parametrize(("id_", "size"), [("bf16", 2), ("fp8", 1)])
def test_the_first_engine_keeps_latents_multiplied_into_their_neighbours(id_: str, size: int) -> None:
    """DeepSeek-R1 on 8 ranks, 61 layers of 16 heads: 16 x 512 x (1,536 + 7,168), and 1,536 x 16 x 64 x 2 B."""
    r1 = MODELS["deepseek-ai/DeepSeek-R1"]
    first, today = (rank_weights(r1, FORMATS[id_], Layout(tp=8), loader) for loader in (FIRST_ENGINE, Loader()))
    assert first - today == pytest.approx(61 * (16 * 512 * (1536 + 7168) * size + 1536 * 16 * 64 * 2))


def test_the_first_engine_loads_models_without_latents_as_the_newest_does() -> None:
    assert rank_weights(LLAMA_70B, BF16, Layout(tp=8), FIRST_ENGINE) == rank_weights(LLAMA_70B, BF16, Layout(tp=8))


def test_the_last_of_four_stages_holds_its_layers_and_the_head() -> None:
    """Llama 8B in 4 stages of 8 layers: 8 x 436,224,000 B + 1,050,673,152 B + RoPE = 4.26 GiB, as vLLM printed."""
    assert rank_weights(LLAMA_8B, BF16, Layout(pp=4)) / GIB == pytest.approx(4.26, abs=0.005)


def test_what_is_left_over_goes_to_the_stages_before_the_last_and_to_the_last_on_the_first_engine() -> None:
    """Five equal layers in three stages are 2, 2 and 1; on the first engine 1, 1 and 3."""
    five = small_layers(5)
    layer = stage_weights(small_layers(6), BF16, Layout(pp=3))[1] / 2
    now, before = (stage_weights(five, BF16, Layout(pp=3), loader) for loader in (Loader(), FIRST_ENGINE))
    ends = 640 * 256 * 2
    assert now == pytest.approx((2 * layer + ends, 2 * layer, layer + ends), rel=1e-4)
    assert before == pytest.approx((layer + ends, layer, 3 * layer + ends), rel=1e-4)


def small_layers(count: int) -> Model:
    """So few positions that rotations take nothing to speak of."""
    shape = dense(layers=count, hidden=256, heads=4, kv_heads=2, head_dim=64, ffn=512, vocab=640)
    return model(replace(shape, max_positions=0))


@pytest.mark.parametrize(
    ("id_", "tp", "tokens", "gib"),
    [
        ("Qwen/Qwen3-VL-8B-Instruct", 1, 8192, 16.78),  # vLLM 0.19: 16.58 without
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", 4, 2048, 14.7708),  # four RTX 3090: 14.736 without
    ],
)
def test_qwen3_vl_is_loaded_with_buffers_for_what_its_tower_adds(id_: str, tp: int, tokens: int, gib: float) -> None:
    """Three times the tokens of a step by the hidden width, on every rank, as vLLM printed it."""
    layout, one = Layout(tp=tp), MODELS[id_]
    loaded = rank_weights(one, FORMATS["bf16"], layout, Loader(batched_tokens=tokens))
    assert loaded / GIB == pytest.approx(gib, rel=0.001)
    assert loaded - rank_weights(one, FORMATS["bf16"], layout) == 3 * tokens * one.architecture.hidden * 2


STAGED = Loader(stage_copies=True)
"""What vLLM does, which builds embedding and head of some models on every stage."""


def test_qwen3_moe_has_embedding_and_head_on_both_stages_as_vllm_printed() -> None:
    """vLLM 0.10.1 on GH200, four ranks in each of two stages: 7.3272 GiB; with the ends alone it would be 7.18."""
    qwen, layout = MODELS["Qwen/Qwen3-30B-A3B-Instruct-2507"], Layout(tp=4, pp=2)
    first, _ = stage_weights(qwen, FORMATS["bf16"], layout, STAGED)
    assert first / GIB == pytest.approx(7.3272, rel=0.001)
    head = 151_936 * 2048 * 2 / 4
    assert first - stage_weights(qwen, FORMATS["bf16"], layout)[0] == pytest.approx(head)


@pytest.mark.parametrize(
    ("id_", "more"),
    [
        ("Qwen/Qwen3-235B-A22B", [1, 2, 2, 1]),  # embedding and head
        ("Qwen/Qwen3.5-397B-A17B", [0, 1, 1, 1]),  # the embedding
        ("google/gemma-3-27b-it", [0, 1, 1, 0]),  # one tensor is both
        ("Qwen/Qwen3-32B", [0, 0, 0, 0]),
        ("deepseek-ai/DeepSeek-V3", [0, 0, 0, 0]),
    ],
)
def test_what_a_model_builds_everywhere_is_on_every_stage(id_: str, more: list[int]) -> None:
    one, layout, bf16 = MODELS[id_], Layout(pp=4), FORMATS["bf16"]
    rows = -(-one.architecture.vocab // 64) * 64 * one.architecture.hidden * 2
    stages = zip(stage_weights(one, bf16, layout, STAGED), stage_weights(one, bf16, layout), strict=True)
    assert [built - needed for built, needed in stages] == pytest.approx([count * rows for count in more])


def test_one_stage_has_one_of_each() -> None:
    qwen, bf16 = MODELS["Qwen/Qwen3-235B-A22B"], FORMATS["bf16"]
    assert stage_weights(qwen, bf16, Layout(tp=8), STAGED) == stage_weights(qwen, bf16, Layout(tp=8))


def test_a_tied_head_is_loaded_again_on_the_last_stage() -> None:
    tied, untied = (stage_weights(model(dense(layers=4, tied=tied)), BF16, Layout(pp=2)) for tied in (True, False))
    assert tied == untied


@pytest.mark.parametrize("id_", ["deepseek-ai/DeepSeek-R1", "Qwen/Qwen3-Next-80B-A3B-Instruct", "openai/gpt-oss-120b"])
@pytest.mark.parametrize("pp", [2, 3, 5])
def test_stages_of_unlike_layers_hold_the_model_together_and_the_heaviest_is_no_lighter_than_its_share(
    id_: str, pp: int
) -> None:
    whole, stage = (rank_weights(MODELS[id_], FORMATS["fp8"], Layout(pp=n)) for n in (1, pp))
    assert whole / pp <= stage < whole


def test_three_dense_layers_make_the_first_stage_of_deepseek_the_lighter_one() -> None:
    """61 layers in two stages of 31 and 30: 28 and 30 of them have experts."""
    r1 = MODELS["deepseek-ai/DeepSeek-R1"]
    even = rank_weights(r1, FORMATS["fp8"], Layout(tp=8)) / 2
    assert rank_weights(r1, FORMATS["fp8"], Layout(tp=8, pp=2)) / even == pytest.approx(60 / 58, rel=0.01)


@pytest.mark.parametrize(("id_", "pp"), [("openai/gpt-oss-20b", 2), ("openai/gpt-oss-20b", 3)])
def test_stages_of_padded_experts_add_up_to_one_stage_and_the_repeated_table(id_: str, pp: int) -> None:
    rope = 131_072 * 64 * 2
    oss, mxfp4 = MODELS[id_], FORMATS["mxfp4"]
    (whole,) = stage_weights(oss, mxfp4, Layout(), MARLIN)
    assert sum(stage_weights(oss, mxfp4, Layout(pp=pp), MARLIN)) == pytest.approx(whole + (pp - 1) * rope, rel=1e-6)


def test_the_stages_of_a_model_with_tower_latents_and_experts_add_up_to_one_stage_and_the_repeated_table() -> None:
    kimi, rope = kimi_vl(), 131_072 * 64 * 2
    (whole,) = stage_weights(kimi, BF16, Layout(tp=2))
    assert sum(stage_weights(kimi, BF16, Layout(tp=2, pp=3))) == pytest.approx(whole + 2 * rope, rel=1e-6)


@given(layout=LAYOUTS)
def test_all_ranks_together_hold_at_least_the_whole_model(layout: Layout) -> None:
    assert rank_weights(LLAMA_70B, BF16, layout) * layout.replica >= weights(LLAMA_70B, BF16).total


@given(size=st.floats(1, 2**34))
def test_the_allocator_takes_no_less_than_the_tensor_and_at_most_a_mebibyte_more(size: float) -> None:
    assert size <= allocated(size) <= size + MIB


@given(vocab=st.integers(1, 10**6), tp=st.sampled_from([1, 2, 4, 8]))
def test_a_larger_vocabulary_never_weighs_less(vocab: int, tp: int) -> None:
    def of(words: int) -> Architecture:
        return replace(LLAMA_8B.architecture, vocab=words)

    sizes = [rank_weights(model(of(words)), BF16, Layout(tp=tp)) for words in (vocab, vocab + 1)]
    assert sizes == sorted(sizes)


def test_kernels_for_awq_on_hopper_keep_zero_points_in_16_bit() -> None:
    """Qwen2.5 7B: 28 x (3584 x (4608 + 3584) + 3 x 3584 x 18944) weights, of which 128 share 12 bits more, 0.071 GiB.

    It took 5.38 GiB on an H200 (vLLM 0.31, Machete), 5.29 on an RTX 3090 (0.22).
    """
    qwen, awq = MODELS["Qwen/Qwen2.5-7B-Instruct"], FORMATS["awq"]
    wide, plain = (rank_weights(qwen, awq, Layout(), Loader(wide_zeros=wide)) for wide in (True, False))
    linear = 28 * (3584 * (4608 + 3584) + 3 * 3584 * 18944)
    assert wide - plain == pytest.approx(linear * 12 / 128 / 8, rel=2e-3)
    on_h200, on_3090 = (
        loader(GPUS[id_], Engine(version=31, max_num_seqs=1, max_num_batched_tokens=1))
        for id_ in ("h200-sxm", "rtx-3090")
    )
    assert (on_h200.wide_zeros, on_3090.wide_zeros) == (True, False)
    assert 5.38 - wide / GIB == pytest.approx(5.29 - plain / GIB, abs=0.02)


@pytest.mark.parametrize("id_", ["70B", "Qwen/Qwen3-30B-A3B"])
def test_zero_points_are_as_stored_of_experts_and_of_size_classes(id_: str) -> None:
    """Of Qwen3 30B-A3B the attention alone: 0.94 billion parameters are 11 MB."""
    found, awq = MODELS[id_], FORMATS["awq"]
    wide, plain = (rank_weights(found, awq, Layout(), Loader(wide_zeros=wide)) for wide in (True, False))
    assert wide - plain == pytest.approx(
        0 if found.is_size_class else found.parameters.attention * 12 / 128 / 8, rel=0.01
    )


def test_zero_points_of_each_stage_add_up_to_those_of_all() -> None:
    qwen, awq = MODELS["Qwen/Qwen2.5-7B-Instruct"], FORMATS["awq"]
    one, two = (
        [sum(stage_weights(qwen, awq, Layout(pp=pp), Loader(wide_zeros=wide))) for wide in (True, False)]
        for pp in (1, 2)
    )
    assert one[0] - one[1] == pytest.approx(two[0] - two[1], rel=1e-3)
