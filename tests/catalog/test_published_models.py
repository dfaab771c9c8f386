"""Every model of the catalog against published figures: parameters by tensor class, KV cache and state, exactly."""

import pytest

from data_files import rows
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.models import MODELS, layer_letters, model_rows
from inferplan.core.engines.rank_weights import rank_weights
from inferplan.core.layers.attention import Attention
from inferplan.core.memory import (
    cached_parts,
    kv_bytes_per_token,
    kv_cache_bytes,
    multi_token_bytes,
    state_bytes,
    vision_bytes,
    weights,
)
from inferplan.core.parallelism import Layout, tensor_degrees
from inferplan.core.parameters import count

PUBLISHED = {row["id"]: row for row in rows("published_models.tsv")}
CLASSES = (
    "embedding",
    "output_head",
    "attention",
    "linear_attention",
    "dense_ffn",
    "routed_experts",
    "shared_experts",
    "router",
    "norms",
)


@pytest.mark.parametrize("id_", PUBLISHED)
def test_every_tensor_class_counts_up_to_the_published_parameters(id_: str) -> None:
    published, parts = PUBLISHED[id_], count(MODELS[id_].architecture)
    assert {name: getattr(parts, name) for name in CLASSES} == {name: int(published[name]) for name in CLASSES}
    assert parts.other + parts.lookup + parts.ngram == int(published["other"])
    assert (parts.total, MODELS[id_].active_params) == (int(published["total"]), int(published["active"]))


@pytest.mark.parametrize("id_", PUBLISHED)
def test_one_sequence_takes_the_published_kv_cache_and_state(id_: str) -> None:
    published, architecture = PUBLISHED[id_], MODELS[id_].architecture
    contexts = (8192, 32768, 131072)
    taken = {context: kv_cache_bytes(architecture, context, kv_bits=16) for context in contexts}
    assert taken == {context: int(published[f"kv_{context}"]) for context in contexts}
    assert state_bytes(architecture) == int(published["state"])


LIKE = {row["id"]: row for row in rows("published_checkpoints.tsv")}


@pytest.mark.parametrize("id_", LIKE)
def test_a_checkpoint_like_another_has_the_layers_and_the_published_parameters_of_it(id_: str) -> None:
    """Some totals count scales too, and a tied head that is stored once more."""
    row, parts = LIKE[id_], MODELS[id_].parameters
    base = MODELS[row["like"]]
    assert (model_rows()[id_].like, parts) == (base.id, base.parameters)
    more = int(row["published"]) - int(row["published_like"])
    if base.architecture.tied_embeddings and more >= parts.embedding:
        more -= parts.embedding
    scales = parts.total / int(row["scaled"]) if row["scaled"] else 0
    assert 0 <= more <= 1.02 * scales


def test_the_catalog_holds_the_published_models_and_the_size_classes_and_nothing_else() -> None:
    assert set(PUBLISHED) == {id_ for id_, row in model_rows().items() if not row.size_class}
    assert len(PUBLISHED) == 616


@pytest.mark.parametrize(
    ("id_", "gib"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", 10.00),
        ("meta-llama/Llama-3.1-405B-Instruct", 15.75),
        ("mistralai/Mistral-7B-v0.1", 0.50),
        ("deepseek-ai/DeepSeek-V3", 2.145),
        ("openai/gpt-oss-120b", 1.129),
        ("google/gemma-3-27b-it", 2.906),
        ("Qwen/Qwen3-235B-A22B", 5.875),
    ],
)
def test_one_32k_sequence_in_16_bit(id_: str, gib: float) -> None:
    assert kv_cache_bytes(MODELS[id_].architecture, 32768, kv_bits=16) / 2**30 == pytest.approx(gib, abs=0.0005)


@pytest.mark.parametrize("id_", PUBLISHED)
def test_a_longer_context_never_takes_less_and_windows_and_states_fill_up(id_: str) -> None:
    architecture = MODELS[id_].architecture
    taken = [kv_cache_bytes(architecture, context, kv_bits=16) for context in (0, 1, 100, 4096, 65536, 131072)]
    assert taken == sorted(taken)
    assert taken[0] == state_bytes(architecture)
    assert taken[-1] - taken[-2] == 65536 * kv_bytes_per_token(architecture, kv_bits=16)


@pytest.mark.parametrize("id_", PUBLISHED)
def test_no_rank_holds_less_than_its_share_and_a_latent_is_held_whole(id_: str) -> None:
    for _, part in cached_parts(MODELS[id_].architecture):
        held = [part.on_rank(tp) for tp in (1, 2, 4, 8, 16)]
        assert held[0] == part.elements
        assert all(one * tp >= part.elements for one, tp in zip(held, (1, 2, 4, 8, 16), strict=True))
        assert (held[-1] == part.elements) == (part.heads is None or part.heads == 1)


@pytest.mark.parametrize("id_", PUBLISHED)
def test_all_ranks_together_hold_every_mixer_at_least_once(id_: str) -> None:
    hidden = MODELS[id_].architecture.hidden
    for _, mixer in MODELS[id_].architecture.mixers:
        assert mixer.share(hidden, 1) == pytest.approx(1)
        assert all(mixer.share(hidden, tp) * tp >= 1 for tp in (2, 8))


def test_a_model_whose_layers_differ_has_no_one_attention() -> None:
    for id_ in ("openai/gpt-oss-20b", "deepseek-ai/DeepSeek-V3", "Qwen/Qwen3-Next-80B-A3B-Instruct"):
        assert MODELS[id_].architecture.plain is None
    assert isinstance(MODELS["Qwen/Qwen3-32B"].architecture.plain, Attention)


@pytest.mark.parametrize(
    ("id_", "gb"),
    [
        ("moonshotai/Kimi-K2-Thinking", 594.2),  # 594 GB published: INT4 experts, the rest in 16 bit
        ("moonshotai/Kimi-K3", 1559.9),  # 1.56 TB published: MXFP4 experts
        ("openai/gpt-oss-120b", 65.2),  # 60.8 GiB
        ("MiniMaxAI/MiniMax-M3-MXFP8", 441.9),  # 423.67 GB, 13.24 billion scales, 2.5 billion in 16 bit
    ],
)
def test_a_checkpoint_that_is_quantised_in_parts_weighs_what_is_published(id_: str, gb: float) -> None:
    model = MODELS[id_]
    assert weights(model, FORMATS[model.native_precision]).total / 1e9 == pytest.approx(gb, rel=0.002)


def test_deepseek_v3_by_hand() -> None:
    """Low-rank query, latent, up-projection and output of 61 layers; 512 + 64 elements cached for all 128 heads."""
    parts = count(MODELS["deepseek-ai/DeepSeek-V3"].architecture)
    query, latent = 7168 * 1536 + 1536 + 1536 * 128 * 192, 7168 * 576 + 512
    assert parts.attention == 61 * (query + latent + 512 * 128 * 256 + 128 * 128 * 7168)
    assert kv_bytes_per_token(MODELS["deepseek-ai/DeepSeek-V3"].architecture, kv_bits=16) == 61 * 576 * 2


def test_ernie_vl_by_hand() -> None:
    """Beside the layers of the 21B, 27 × 64 experts of 512 columns that no token of text passes, and their router."""
    sees, reads = MODELS["baidu/ERNIE-4.5-VL-28B-A3B-PT"], MODELS["baidu/ERNIE-4.5-21B-A3B-PT"]
    experts, router = 27 * 64 * 3 * 2560 * 512, 27 * 64 * 2560
    assert sees.total_params - reads.total_params == experts + router
    assert sees.active_params - reads.active_params == router
    held = [weights(model, FORMATS["fp8"]).routed_experts for model in (sees, reads)]
    assert held[0] / held[1] == pytest.approx((1536 + 512) / 1536)


@pytest.mark.parametrize(
    ("of", "version", "hidden", "rank"), [("Flash", "0731", 4096, 256), ("Pro", "0813", 7168, 512)]
)
def test_dspark_by_hand(of: str, version: str, hidden: int, rank: int) -> None:
    """Three layers, each the predicting one of the first release without its two projections; and what they share.

    Projections of three layers' outputs, two tables, the head of hyper-connections, norms and a measure of confidence.
    Published totals are 304,180,418,494 and 1,650,497,936,906, of which 2,337,280 and 2,349,312 are no weights.
    """
    first, later = (model_rows()[f"deepseek-ai/DeepSeek-V4-{of}{end}"] for end in ("", f"-{version}"))
    streams = 4 * 4 * hidden + 5
    layer = first.mtp_params - 2 * hidden**2 - 3 * hidden - streams
    shared = 3 * hidden**2 + 2 * 129_280 * rank + streams + 2 * hidden + (hidden + rank)
    assert later.mtp_params == 3 * layer + shared
    total, other = {"0731": (304_180_418_494, 2_337_280), "0813": (1_650_497_936_906, 2_349_312)}[version]
    assert later.params_total + later.mtp_params + other == total


def test_ling_by_hand() -> None:
    """Of 80 layers 10 keep a latent, the others a matrix of 128 × 128 for each of 64 heads in 16 bit."""
    ling = MODELS["inclusionAI/Ling-2.6-1T"].architecture
    assert kv_bytes_per_token(ling, kv_bits=16) == 10 * (512 + 64) * 2
    assert state_bytes(ling) == 70 * 64 * 128 * 128 * 2
    assert tensor_degrees(ling, domain=16) == (1, 2, 4, 8)  # groups of heads are normed on one GPU


def test_layer_letters_repeat_letters_and_groups() -> None:
    assert layer_letters("W2 (C H)2 C") == "WWCHCHC"
    assert layer_letters("(M -)2 F") == "M-M-F"


@pytest.mark.parametrize("id_", PUBLISHED)
def test_the_kind_of_every_layer_is_known_in_order(id_: str) -> None:
    architecture = MODELS[id_].architecture
    counts = [architecture.sequence.count(number) for number in range(len(architecture.groups))]
    assert counts == [group.count for group in architecture.groups]


def test_the_names_that_people_gave_their_models_are_not_ambiguous() -> None:
    for id_, row in model_rows().items():
        for alias in row.aliases:
            assert MODELS.find(alias).id == id_, alias


def test_what_a_total_cannot_prove_is_labelled() -> None:
    labelled = [row for row in model_rows().values() if row.unverified or row.inferred or row.verification != "exact"]
    assert len(labelled) == 119
    assert "attention layer positions" in model_rows()["LiquidAI/LFM2-1.2B"].unverified


def test_layers_for_further_tokens_and_vision_towers_are_counted_apart() -> None:
    """DeepSeek-V3 stores 671.03 B and 13.46 B more for its second token; Gemma 3 12B a tower of 0.42 B."""
    v3, gemma = MODELS["deepseek-ai/DeepSeek-V3"], MODELS["google/gemma-3-12b-it"]
    assert multi_token_bytes(v3, FORMATS["bf16"]) == 2 * 13_463_426_304
    assert multi_token_bytes(gemma, FORMATS["bf16"]) == vision_bytes(v3) == 0
    assert vision_bytes(gemma) == 2 * (12_187_325_040 - gemma.total_params)
    assert rank_weights(gemma, FORMATS["bf16"], Layout()) > gemma.total_params * 2 + vision_bytes(gemma)
