"""Whole blocks of KV cache, as vLLM hands them out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_files import rows
from inferplan.catalog.models import MODELS
from inferplan.core.architecture import Architecture, DenseFfn, LayerGroup
from inferplan.core.engines.drafts import with_draft
from inferplan.core.engines.kv_blocks import Blocks, Kind, Spec, batches_in_flight, cut
from inferplan.core.engines.kv_coverage import not_modelled
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import GatedDelta
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB
from shapes import dense, engine

RUNS = rows("published_kv_blocks.tsv")
FULL = Attention(heads=32, kv_heads=8, head_dim=128)


def mixed(first: int, second: int, window: int = 1024) -> Architecture:
    ffn = DenseFfn(intermediate=8192)
    groups = (
        LayerGroup(count=first, attention=replace(FULL, window=window), ffn=ffn),
        LayerGroup(count=second, attention=FULL, ffn=ffn),
    )
    return Architecture(hidden=4096, vocab=32000, groups=groups, max_positions=131072)


def blocks_of(id_: str, *, tp: int = 1, bits: float = 16, tokens: int = 8192, version: int = 19) -> Blocks:
    architecture = MODELS[id_].architecture
    return cut(architecture, Layout(tp=tp), kv_bits=bits, engine=engine(version=version, tokens=tokens))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run["id"])
def test_tokens_and_concurrency_are_what_vllm_printed(run: dict[str, str]) -> None:
    """To what the two decimals of the printed GiB leave open."""
    version = int(run["vllm"].split(".")[1])
    model, drafts = MODELS[run["model"]], int(run["drafts"])
    blocks = cut(
        (with_draft(model) if drafts else model).architecture,
        Layout(tp=int(run["tp"])),
        kv_bits=float(run["kv_bits"]),
        engine=replace(
            engine(version=version, tokens=int(run["batched_tokens"])),
            prefix_caching=run["prefix_caching"] == "1",
            drafts=drafts,
        ),
    )
    context, pool = int(run["context"]), float(run["kv_gib"])
    numbers = {int((pool + cut_off) * GIB // blocks.block_bytes) for cut_off in (0, 0.005)}
    printed = {blocks.printed(number, context=context, version=version): number for number in numbers}
    tokens = min(printed, key=lambda tokens: abs(tokens - int(run["kv_tokens"])))
    assert tokens == pytest.approx(int(run["kv_tokens"]), rel=0.0005)
    assert printed[tokens] / blocks.per_sequence(context) == pytest.approx(float(run["concurrency"]), rel=0.002)


@pytest.mark.parametrize(
    ("id_", "bits", "tokens"),
    [
        ("Qwen/Qwen3.6-35B-A3B", 8, 2096),
        ("Qwen/Qwen3.6-35B-A3B", 16, 1056),
        ("Qwen/Qwen3.5-4B", 16, 528),
        ("Qwen/Qwen3.8-27B", 16, 784),
        ("Qwen/Qwen3.8-27B", 8, 1568),
    ],
)
def test_the_attention_block_grows_to_the_page_of_a_state_as_logged(id_: str, bits: float, tokens: int) -> None:
    assert blocks_of(id_, bits=bits).tokens == tokens


@pytest.mark.parametrize(
    ("id_", "tp", "drafts", "tokens"),
    [
        ("Qwen/Qwen3.8-27B", 1, 1, 800),
        ("Qwen/Qwen3.8-27B", 1, 7, 832),
        ("Qwen/Qwen3.8-27B", 2, 2, 800),
        ("Qwen/Qwen3.5-27B", 2, 5, 816),
    ],
)
def test_a_drafted_token_makes_the_tail_of_a_convolution_and_so_the_block_longer_as_logged(
    id_: str, tp: int, drafts: int, tokens: int
) -> None:
    """vLLM 0.17 to 0.29 with MTP and DFlash2: (3 + drafts) x 10,240 x 2 B and 48 x 128 x 128 x 4 B in a state."""
    drafting = replace(engine(version=28), drafts=drafts)
    assert cut(MODELS[id_].architecture, Layout(tp=tp), kv_bits=16, engine=drafting).tokens == tokens


def test_two_drafted_tokens_of_qwen3_8_27b_need_the_7_gib_that_vllm_refused_to_have() -> None:
    """RTX 5090, vLLM 0.26, fp8 cache, MTP: 7.0 GiB for 196,608 tokens; 6.42 GiB were there, for at most 177,600."""
    drafting = replace(engine(version=26, tokens=2048), drafts=2)
    blocks = cut(with_draft(MODELS["Qwen/Qwen3.8-27B"]).architecture, Layout(), kv_bits=8, engine=drafting)
    assert (blocks.tokens, blocks.per_sequence(196_608)) == (1600, 123 + 3 * (2 + 2))
    assert blocks.per_sequence(196_608) * blocks.block_bytes / GIB == pytest.approx(7.0, abs=0.05)
    number = int(6.42 * GIB // blocks.block_bytes)
    assert blocks.per_sequence(177_600) == number
    assert blocks.per_sequence(177_601) > number


def test_kimi_linear_keeps_75_840_tokens_as_vllm_0_11_printed() -> None:
    """On two RTX 3090 (vllm-project/vllm 28228): blocks of 960, a multiple of 64, 4 groups, 128 for 120,000 tokens."""
    plain = replace(engine(version=11, tokens=64_000), prefix_caching=False)
    architecture = MODELS["moonshotai/Kimi-Linear-48B-A3B-Instruct"].architecture
    blocks = cut(architecture, Layout(tp=2), kv_bits=16, engine=plain)
    number = int(2.295 * GIB // blocks.block_bytes)
    assert (blocks.tokens, blocks.per_sequence(120_000), number) == (960, 125 + 3, 318)
    assert blocks.printed(number, context=120_000, version=11) == 75_840
    assert number / blocks.per_sequence(120_000) == pytest.approx(2.48, abs=0.005)


def test_kimi_k3_on_eight_gpus_has_blocks_of_768() -> None:
    """12 heads of 128 x 128 x 4 B and 3 x 3 x 1,536 x 2 B over 1,152 B are 706.7 tokens: 6 x 128."""
    blocks = blocks_of("moonshotai/Kimi-K3", tp=8, version=28)
    assert blocks.tokens == 768


def test_pooled_index_keys_stand_in_the_page_of_their_latent_and_a_block_keeps_those_not_pooled_yet() -> None:
    """GLM-5.3-Flash on eight GPUs: 640 x (1,024 + 132 / 4) B in each of 11 layers; 205 + 4 x 2 + 1 blocks."""
    blocks = blocks_of("zai-org/GLM-5.3-Flash", tp=8, version=28)
    assert (blocks.tokens, blocks.block_bytes) == (640, 11 * 640 * 1057)
    assert blocks.per_sequence(131_072) == 205 + 4 * 2 + 1


@pytest.mark.parametrize(
    ("id_", "tp", "bits", "context", "blocks"),
    [
        ("Qwen/Qwen3.6-35B-A3B", 1, 8, 131072, 69),
        ("Qwen/Qwen3.8-27B", 1, 8, 32768, 27),
        ("Qwen/Qwen3.8-27B", 2, 16, 262144, 341),
        ("Qwen/Qwen3.8-27B", 2, 8, 262144, 174),
    ],
)
def test_a_sequence_takes_the_blocks_that_published_tokens_follow_from(
    id_: str, tp: int, bits: float, context: int, blocks: int
) -> None:
    assert blocks_of(id_, tp=tp, bits=bits).per_sequence(context) == blocks


def test_gpt_oss_120b_on_four_gpus_holds_284_sequences_by_its_two_groups() -> None:
    """18 sliding and 18 full layers; at 131,072 tokens 8,192 blocks, and 137 of the window and 2,048 in flight."""
    blocks = blocks_of("openai/gpt-oss-120b", tp=4, tokens=2048)
    assert [(number, spec.kind) for number, spec in blocks.groups] == [(1, "sliding"), (1, "full")]
    assert blocks.per_sequence(131072) == 8192 + 137


def test_gemma_3_27b_pads_62_layers_to_70() -> None:
    blocks = blocks_of("google/gemma-3-27b-it")
    assert sum(number for number, _ in blocks.groups) * 10 == 70


def test_layers_with_smaller_pages_take_larger_blocks() -> None:
    """Gemma 4 31B: 16 sliding KV heads of 256 against 4 full ones of 512, so 16 and 32 tokens."""
    kinds = {spec.kind: spec.block_tokens for _, spec in blocks_of("google/gemma-4-31B-it").groups}
    assert kinds == {"sliding": 16, "full": 32}


def test_gemma_4_31b_printed_55000_tokens_before_windows_were_counted() -> None:
    blocks = blocks_of("google/gemma-4-31B-it", tokens=2048)
    number = int(50 * GIB // blocks.block_bytes)
    assert blocks.printed(number, context=131072, version=20) == pytest.approx(55_000, rel=0.01)
    assert blocks.printed(number, context=131072, version=21) == pytest.approx(525_000, rel=0.02)


@pytest.mark.parametrize("tp", [1, 2, 4, 8])
def test_a_latent_takes_as_much_on_every_rank_however_many_there_are(tp: int) -> None:
    """DeepSeek-V3: 61 x 576 x 2 B; 46.80 GiB hold 715,072 tokens."""
    blocks = blocks_of("deepseek-ai/DeepSeek-V3", tp=tp)
    assert blocks.block_bytes == 16 * 70_272
    assert int(46.80 * GIB // blocks.block_bytes) * blocks.tokens == pytest.approx(715_072, rel=0.0005)


def test_a_sparse_latent_in_8_bit_takes_656_bytes_and_its_index_key_132() -> None:
    blocks = blocks_of("deepseek-ai/DeepSeek-V3.2", tp=8, bits=8)
    assert blocks.block_bytes == 64 * 61 * (656 + 132)


def test_without_scales_a_sparse_latent_in_8_bit_takes_a_byte_an_element() -> None:
    """GLM-5.2: 78 latents of 576 B and 21 index keys of 132 B; a GB200 printed 50.62 GiB for 1,139,456 tokens."""
    glm, plain = MODELS["zai-org/GLM-5.2"].architecture, replace(engine(version=26), latent_scales=False)
    blocks = cut(glm, Layout(tp=4), kv_bits=8, engine=plain)
    assert blocks.block_bytes == 64 * (78 * 576 + 21 * 132)
    assert int(50.62 * GIB // blocks.block_bytes) * blocks.tokens == pytest.approx(1_139_456, rel=0.0002)


@pytest.mark.parametrize(("tp", "heads"), [(1, 8), (4, 2), (16, 1)])
def test_scales_of_keys_and_of_values_stand_beside_each_head_of_a_token(tp: int, heads: int) -> None:
    """Llama 3.1 8B with 4 B each: vLLM 0.24, v1/kv_cache_interface.py, 2 x tokens x heads x (head size + 4)."""
    llama, scaled = MODELS["meta-llama/Llama-3.1-8B-Instruct"].architecture, replace(engine(), head_scale_bytes=4)
    assert cut(llama, Layout(tp=tp), kv_bits=8, engine=scaled).block_bytes == 32 * 2 * 16 * heads * (128 + 4)


@pytest.mark.parametrize(
    ("id_", "version"),
    [
        ("zai-org/GLM-5.3-Flash", 29),
        ("MiniMaxAI/MiniMax-Text-01", 28),
        ("MiniMaxAI/MiniMax-M3", 27),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", 28),
        ("XiaomiMiMo/MiMo-V2-Flash", 27),
        ("thinkingmachines/Inkling", 28),
    ],
)
def test_what_is_not_known_of_vllms_cache_is_said_and_not_guessed(id_: str, version: int) -> None:
    assert not_modelled(MODELS[id_].architecture, version=version)


def test_index_keys_beside_keys_and_values_are_two_bytes_an_element_in_pages_of_128_tokens() -> None:
    """MiniMax-M3 on 8 ranks: 60 layers of one head of 128 + 128, and 57 index keys of 128 that stay in BF16.

    vLLM's recipe for it: "`--kv-cache-dtype fp8` [...] for ~1.5x the KV pool", in blocks of 128.
    """
    wide, narrow = (blocks_of("MiniMaxAI/MiniMax-M3", tp=8, bits=bits) for bits in (16, 8))
    assert (wide.tokens, wide.block_bytes) == (128, 128 * (60 * 256 * 2 + 57 * 128 * 2))
    assert narrow.block_bytes == 128 * (60 * 256 + 57 * 128 * 2)
    assert wide.block_bytes / narrow.block_bytes == pytest.approx(1.5, abs=0.02)
    assert (wide.is_uniform, wide.per_sequence(131_072)) == (True, 1024)


@pytest.mark.parametrize(("tp", "sliding", "full", "page"), [(4, 2, 1, 20_480), (8, 1, 1, 10_240)])
def test_values_narrower_than_keys_take_their_own_width(tp: int, sliding: int, full: int, page: int) -> None:
    """MiMo-V2-Flash: 39 windowed layers of 8 heads and 9 full ones of 4, of 192 + 128, so groups of nine layers.

    Source: vLLM 0.28, vllm/v1/kv_cache_interface.py: heads x tokens x (head_size + head_size_v) x 2 B.
    """
    blocks = blocks_of("XiaomiMiMo/MiMo-V2-Flash", tp=tp)
    assert page == 16 * sliding * (192 + 128) * 2
    assert blocks.block_bytes == 9 * page
    assert {spec.kind: (number, spec.block_tokens) for number, spec in blocks.groups} == {
        "full": (1, 16 * sliding // full),
        "sliding": (5, 16),
    }


@pytest.mark.parametrize(("version", "tokens"), [(24, 960), (26, 960), (27, 1024), (28, 1024)])
def test_a_block_of_latents_grows_by_64_tokens_to_the_page_of_a_state_and_by_128_since_0_27(
    version: int, tokens: int
) -> None:
    """Kimi Linear, two ranks: a state of (32 x 128 x 128 x 4 B + 3 x 3 x 4,096 x 2 B) / 2 is 942.2 latents of 1,152 B.

    Source: vLLM 0.11, vllm/model_executor/models/config.py, and 0.28, vllm/platforms/interface.py.
    """
    kimi = MODELS["moonshotai/Kimi-Linear-48B-A3B-Instruct"].architecture
    groups = cut(kimi, Layout(tp=2), kv_bits=16, engine=engine(version=version)).groups
    assert {spec.kind: spec.block_tokens for _, spec in groups} == {"state": 1, "full": tokens}


@pytest.mark.parametrize("drafts", [0, 2])
def test_the_convolution_of_kimis_delta_attention_keeps_a_token_more_for_each_that_is_drafted(drafts: int) -> None:
    """Kimi Linear, two ranks: (32 x 128 x 128 x 4 B + (3 + drafts) x 3 x 4,096 x 2 B) / 2.

    Source: vLLM, vllm/model_executor/layers/mamba/mamba_utils.py, `kda_state_shape`: conv_kernel_size - 1 + num_spec.
    """
    kimi = MODELS["moonshotai/Kimi-Linear-48B-A3B-Instruct"].architecture
    groups = cut(kimi, Layout(tp=2), kv_bits=16, engine=replace(engine(version=28), drafts=drafts)).groups
    (state,) = (spec for _, spec in groups if spec.kind == "state")
    assert state.bytes == pytest.approx((32 * 128 * 128 * 4 + (3 + drafts) * 3 * 4096 * 2) / 2)


def test_index_keys_pooled_beside_a_latent_are_counted_since_vllm_serves_them() -> None:
    """0.28 stops at the weights of GLM-5.3-Flash (vllm-project/vllm 54062)."""
    flash = MODELS["zai-org/GLM-5.3-Flash"].architecture
    assert "since 0.30" in (not_modelled(flash, version=29) or "")
    assert not_modelled(flash, version=30) is None


def test_index_keys_pooled_beside_keys_and_values_are_counted_one_version_before() -> None:
    """Qwen3.8 Flash Next's class came with 0.29."""
    flash = MODELS["Qwen/Qwen3.8-Flash-Next"].architecture
    assert "since 0.29" in (not_modelled(flash, version=28) or "")
    assert not_modelled(flash, version=29) is None


def test_lightning_attention_is_counted_while_vllm_served_it() -> None:
    minimax = MODELS["MiniMaxAI/MiniMax-Text-01"].architecture
    assert not_modelled(minimax, version=23) is None
    assert not_modelled(dense(), version=28) is None


def test_qwen3_5_printed_its_tokens_without_what_states_save_up_to_0_20() -> None:
    """Qwen3.5-35B-A3B on 0.17, fp8 cache: 284 blocks of 2,096 tokens over 4 groups, 22 for a sequence of 32,768."""
    blocks = blocks_of("Qwen/Qwen3.5-35B-A3B", bits=8, version=17)
    number = int(5.69 * GIB // blocks.block_bytes)
    assert (number, blocks.tokens, blocks.per_sequence(32768)) == (284, 2096, 3 * 2 + 16)
    assert blocks.printed(number, context=32768, version=17) == blocks.printed(number, context=32768, version=20)
    assert blocks.printed(number, context=32768, version=20) == 148_816
    assert blocks.printed(number, context=32768, version=21) == 423_005
    assert number / blocks.per_sequence(32768) == pytest.approx(12.91, abs=0.005)


@pytest.mark.parametrize(
    ("version", "sliding", "full", "size"),
    [
        (17, 20, 24, 24),
        (17, 20, 25, 20),
        (18, 20, 25, 25),
        (28, 20, 29, 29),
        (18, 20, 30, 20),
        (28, 30, 20, 20),
        (28, 10, 52, 10),
    ],
)
def test_kinds_of_layers_make_one_group_each_where_their_counts_are_close(
    version: int, sliding: int, full: int, size: int
) -> None:
    """Close is less than 1.25 times as many up to 0.17, and less than 1.5 times since."""
    blocks = cut(mixed(sliding, full), Layout(), kv_bits=16, engine=engine(version=version))
    assert blocks.block_bytes == size * 16 * FULL.kv_width * 2 * 2
    assert [number for number, _ in blocks.groups] == [-(-sliding // size), -(-full // size)]


@pytest.mark.parametrize(("pp", "layers"), [(1, 126), (2, 63), (4, 32), (5, 26), (16, 8)])
def test_the_fullest_stage_of_an_uneven_pipeline_decides_how_large_a_block_is(pp: int, layers: int) -> None:
    """Llama 3.1 405B on 8 ranks: 16 tokens of one head of 128, a key and a value of 2 B, in 32 of 126 layers of four.

    Source of the uneven split: vLLM, vllm/distributed/utils.py, `get_pp_indices`.
    """
    model = MODELS["meta-llama/Llama-3.1-405B-Instruct"]
    blocks = cut(model.architecture, Layout(tp=8, pp=pp), kv_bits=16, engine=engine())
    assert blocks.block_bytes == layers * 16 * 128 * 2 * 2


@pytest.mark.parametrize(("version", "pp", "batches"), [(25, 1, 1), (25, 4, 1), (26, 1, 2), (26, 2, 3), (28, 4, 5)])
def test_a_window_leaves_room_for_every_batch_in_flight_since_0_26(version: int, pp: int, batches: int) -> None:
    blocks = cut(mixed(12, 12), Layout(pp=pp), kv_bits=16, engine=engine(version=version, tokens=2048))
    assert blocks.in_flight == 2048 * batches
    (_, windowed), (_, full) = blocks.groups
    window = -(-(1023 + 2048 * batches) // 16) + 1
    assert windowed.blocks(10**6, in_flight=blocks.in_flight, state_blocks=1) == window
    assert blocks.per_sequence(10**6) == window + 62_500
    assert full.kind == "full"


@pytest.mark.parametrize(("version", "pp", "batches"), [(28, 1, 2), (28, 4, 4), (29, 1, 2), (29, 4, 5)])
def test_stages_have_one_batch_more_in_flight_on_the_second_runner(version: int, pp: int, batches: int) -> None:
    """gpt-oss has experts, so the first runner takes it up to 0.28."""
    told = engine(version=version, tokens=2048)
    assert batches_in_flight(MODELS["openai/gpt-oss-120b"].architecture, Layout(pp=pp), told) == batches


@pytest.mark.parametrize(
    ("id_", "version", "checkpoints", "blocks", "tokens"),
    [
        ("Qwen/Qwen3.6-35B-A3B", 31, False, 2, 1056),
        ("Qwen/Qwen3.6-35B-A3B", 32, False, 2, 1056),
        ("Qwen/Qwen3.6-35B-A3B", 33, True, 3, 1088),
        ("Qwen/Qwen3.6-35B-A3B", 33, False, 2, 1056),
        ("Qwen/Qwen3.8-27B", 33, True, 3, 832),
        ("Qwen/Qwen3.5-4B", 33, True, 3, 576),
    ],
)
def test_since_0_33_gated_delta_keeps_a_state_inside_a_prompt_where_kernels_hand_it_out(
    id_: str, version: int, *, checkpoints: bool, blocks: int, tokens: int
) -> None:
    """A block of attention is then a multiple of 64 tokens, not of 16."""
    told = replace(engine(version=version), state_checkpoints=checkpoints)
    found = cut(MODELS[id_].architecture, Layout(), kv_bits=16, engine=told)
    assert (found.state_blocks, found.tokens) == (blocks, tokens)
    plain = cut(MODELS[id_].architecture, Layout(), kv_bits=16, engine=replace(told, prefix_caching=False))
    older = cut(MODELS[id_].architecture, Layout(), kv_bits=16, engine=engine(version=28))
    assert (plain.state_blocks, plain.tokens) == (1, older.tokens)


def test_since_0_32_mamba_2_keeps_a_state_inside_a_prompt_on_every_gpu_and_the_block_as_it_was() -> None:
    """Nemotron Nano 2: three blocks of each group of states, two up to 0.31; drafted tokens come on top."""
    shape = MODELS["nvidia/NVIDIA-Nemotron-Nano-9B-v2"].architecture
    before, since, drafting = (
        cut(shape, Layout(), kv_bits=16, engine=replace(engine(version=version), drafts=drafts))
        for version, drafts in ((31, 0), (32, 0), (33, 2))
    )
    assert (before.state_blocks, since.state_blocks, drafting.state_blocks) == (2, 3, 5)
    assert before.tokens == since.tokens


@pytest.mark.parametrize("ranks", [1, 2, 8])
def test_context_parallel_ranks_multiply_tokens_and_divide_what_a_sequence_takes(ranks: int) -> None:
    v3 = MODELS["deepseek-ai/DeepSeek-V3"].architecture
    blocks = cut(v3, Layout(tp=8), kv_bits=16, engine=replace(engine(), context_parallel=ranks))
    assert blocks.printed(1000, context=32768, version=28) == 16_000 * ranks
    assert blocks.per_sequence(32_768) == 2048 / ranks
    assert blocks.per_sequence(32_769) == 2048 / ranks + 1


def test_without_windows_windowed_layers_keep_every_token_in_one_group() -> None:
    blocks = cut(mixed(12, 36), Layout(), kv_bits=16, engine=replace(engine(), windows=False))
    assert blocks.is_uniform
    assert blocks.block_bytes == 48 * 16 * FULL.kv_width * 2 * 2
    assert blocks.per_sequence(131_072) == 8192
    assert blocks.printed(10, context=131_072, version=28) == 160


def test_without_windows_states_stay_states() -> None:
    architecture = MODELS["Qwen/Qwen3.5-4B"].architecture
    on, off = (cut(architecture, Layout(), kv_bits=16, engine=replace(engine(), windows=w)) for w in (True, False))
    assert on == off


@pytest.mark.parametrize(
    ("kind", "blocks"), [("sliding", 1 + (1023 + 2049) // 16), ("chunked", 1 + (1024 + 2048) // 16), ("full", 625)]
)
def test_chunks_are_whole_and_windows_end_before_the_token_that_sees_them(kind: Kind, blocks: int) -> None:
    one = Spec(kind=kind, bytes=1024, layers=12, window=1024)
    assert one.blocks(10_000, in_flight=2049, state_blocks=1) == blocks


@pytest.mark.parametrize("version", [20, 21])
def test_windows_alone_are_counted_like_windows_among_others(version: int) -> None:
    """Every layer has a window, so that blocks are not tokens: a pool holds more than they add up to since 0.21."""
    (near, _) = mixed(12, 12).groups
    alone = replace(mixed(12, 12), groups=(near,))
    blocks = cut(alone, Layout(), kv_bits=16, engine=engine(version=version, tokens=2048))
    assert not blocks.is_uniform
    tokens = blocks.printed(1930, context=131_072, version=version)
    assert tokens == (1930 * 16 if version == 20 else 10 * 131_072)


@given(context=st.integers(1, 10**6), more=st.integers(1, 10**6), sliding=st.integers(1, 60), full=st.integers(1, 60))
def test_a_longer_context_never_takes_fewer_blocks_and_a_full_window_no_more(
    context: int, more: int, sliding: int, full: int
) -> None:
    short, long = sorted((context, more))
    blocks = cut(mixed(sliding, full), Layout(), kv_bits=16, engine=engine(version=19, tokens=2048))
    assert blocks.per_sequence(short) <= blocks.per_sequence(long)
    (number, windowed), _ = blocks.groups
    assert number * windowed.blocks(10**6, in_flight=2048, state_blocks=1) == number * 193


@given(sliding=st.integers(1, 60), full=st.integers(1, 60))
def test_groups_have_room_for_every_layer(sliding: int, full: int) -> None:
    blocks = cut(mixed(sliding, full), Layout(), kv_bits=16, engine=engine(version=19, tokens=2048))
    size = blocks.block_bytes / (16 * FULL.kv_width * 2 * 2)
    assert all(number * size >= layers for (number, _), layers in zip(blocks.groups, (sliding, full), strict=True))


@given(context=st.integers(1, 10**6), tp=st.sampled_from([1, 2, 4, 8]))
def test_a_state_takes_as_many_blocks_whatever_the_context(context: int, tp: int) -> None:
    delta = GatedDelta(key_heads=16, value_heads=32, key_dim=128, value_dim=128, convolution=4)
    ffn = DenseFfn(intermediate=8192)
    groups = (LayerGroup(count=30, attention=delta, ffn=ffn), LayerGroup(count=10, attention=FULL, ffn=ffn))
    hybrid = Architecture(hidden=2048, vocab=32000, groups=groups, max_positions=131072, state_bytes=4)
    plain = replace(engine(), prefix_caching=False)
    blocks = cut(hybrid, Layout(tp=tp), kv_bits=16, engine=plain)
    assert blocks.per_sequence(context) == 3 + -(-context // blocks.tokens)


@given(heads=st.integers(1, 128), tp=st.sampled_from([2, 4, 8, 16]))
def test_a_latent_layer_keeps_what_makes_latents_on_every_rank(heads: int, tp: int) -> None:
    latent = Latent(heads=heads, query_rank=1536, kv_rank=512, nope_dim=128, rope_dim=64, value_dim=128)
    assert 1 / tp < latent.share(7168, tp) < 1
    assert latent.share(7168, 1) == pytest.approx(1)
