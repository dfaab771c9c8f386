"""What drafting tokens takes of a GPU: the layers that draft, and their keys and values."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine_memory import pools, session_bytes
from inferplan.core.engines.drafts import draft_bytes, draft_share, with_draft
from inferplan.core.memory import kv_bytes_per_token
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.speed.work import work_of
from inferplan.tools.registry import TOOLS_BY_NAME
from shapes import engine

R1, LLAMA = MODELS["deepseek-ai/DeepSeek-R1"], MODELS["meta-llama/Llama-3.3-70B-Instruct"]
BF16 = FORMATS["bf16"]
SOME = ["deepseek-ai/DeepSeek-R1", "Qwen/Qwen3-Next-80B-A3B-Instruct", "google/gemma-2-9b-it", "Qwen/Qwen3-30B-A3B"]


def test_a_models_own_predictor_is_what_its_checkpoint_stores_beyond_the_model() -> None:
    """DeepSeek-R1: 13,463,426,304 parameters in 16 bit, shared out over eight GPUs in tensor or expert parallel."""
    for layout in (Layout(tp=8), Layout(tp=1, attention_dp=8)):
        assert draft_bytes(R1, BF16, layout) == 13_463_426_304 * 2 / 8


def test_of_several_layers_that_predict_each_passes_one_token() -> None:
    """MiMo-V2-Flash has three, 987,820,224 parameters in all: a draft is a third of them over the decoder's."""
    mimo = MODELS["XiaomiMiMo/MiMo-V2-Flash"]
    decoder = mimo.total_params - 2 * 152_576 * 4096
    assert draft_share(mimo) == pytest.approx(987_820_224 / 3 / decoder)


def test_without_one_a_draft_is_one_layer_in_16_bit() -> None:
    """Llama 3.3 70B: (68,451,041,280 + 80 x 2 x 8,192 + 8,192) / 80 parameters x 2 B over two GPUs, in FP8 too."""
    layer = (68_451_041_280 + 80 * 2 * 8192 + 8192) / 80
    for form in ("bf16", "fp8"):
        assert draft_bytes(LLAMA, FORMATS[form], Layout(tp=2)) == pytest.approx(layer * 2 / 2)


@pytest.mark.parametrize(("model", "layers"), [(R1, 61), (LLAMA, 80)], ids=["latents", "heads"])
def test_the_cache_has_one_layer_more(model: Model, layers: int) -> None:
    alone, drafted = (kv_bytes_per_token(one.architecture, kv_bits=16) for one in (model, with_draft(model)))
    assert drafted / alone == pytest.approx((layers + 1) / layers)


@pytest.mark.parametrize("id_", SOME)
def test_what_layers_alternate_stays_in_order_and_the_draft_comes_last(id_: str) -> None:
    alone, drafted = (one.architecture for one in (MODELS[id_], with_draft(MODELS[id_])))
    more = drafted.layers - alone.layers
    assert more >= 1
    assert drafted.sequence[: alone.layers] == alone.sequence
    assert len(drafted.sequence) == drafted.layers


@given(id_=st.sampled_from(SOME), tp=st.sampled_from([1, 2, 4, 8]), context=st.integers(1, 100_000))
def test_drafting_never_leaves_more_room(id_: str, tp: int, context: int) -> None:
    model, on, plain = MODELS[id_], GPUS["b300-sxm"], engine(version=28)
    both = [pools(model, BF16, on, one, kv_bits=16) for one in (plain, replace(plain, drafts=3))]
    alone, drafted = (one.of(Layout(tp=tp), context) for one in both)
    assert drafted.memory.pool < alone.memory.pool
    assert drafted.sessions(context) <= alone.sessions(context)
    sizes = [
        session_bytes(model, Layout(tp=tp), one, context=context, kv_bits=16)
        for one in (plain, replace(plain, drafts=3))
    ]
    assert sizes[0] <= sizes[1]


def test_users_who_are_drafted_for_are_fewer_and_the_weights_shown_are_more() -> None:
    asked = {"model": "deepseek r1", "precision": "fp8", "gpu": "h200", "total_gpus": 8}
    plain, drafted = (
        TOOLS_BY_NAME["estimate_vram"].ask({**asked, "overrides": overrides})
        for overrides in ("", "speculative_tokens=1")
    )
    users = [next(row for row in one.hardware if row.gpu == "h200-sxm") for one in (plain, drafted)]
    assert users[1].max_concurrent_users < users[0].max_concurrent_users
    assert drafted.gpu_gib.weights - plain.gpu_gib.weights == pytest.approx(13.463 / 8 / 1.0737, abs=0.02)
    said = {entry.name: entry.why for entry in drafted.assumptions}
    assert said["speculative_tokens"] == "you said so"


def test_a_pass_that_drafts_computes_its_share_of_all_but_the_head() -> None:
    """R1's predictor has 13.46 of the decoder's 669.17 billion: all but the head shrinks so."""
    whole, share = work_of(R1, FORMATS["fp8"], tp=8, kv_bits=16), draft_share(R1)
    draft = whole.drafting(share)
    assert share == pytest.approx(13.463426304 / 669.173046272)
    for part in ("dense_bytes", "expert_bytes", "dense_params", "half_params", "active_expert_params"):
        assert getattr(draft, part) == pytest.approx(share * getattr(whole, part))
    assert (draft.head_params, draft.head_bytes) == (whole.head_params, whole.head_bytes)
    assert 61 * draft.cache_read(4000) == pytest.approx(whole.cache_read(4000))


@pytest.mark.parametrize(
    ("id_", "experts", "latents", "kept"),
    [
        ("deepseek-ai/DeepSeek-R1", 1, 1, (512 + 64) * 2),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 1, 0, 2 * 2 * 256 * 2),
        ("google/gemma-3-27b-it", 0, 0, 2 * 16 * 128 * 2),
        ("meta-llama/Llama-3.3-70B-Instruct", 0, 0, 2 * 8 * 128 * 2),
    ],
)
def test_a_draft_passes_one_layer_that_keeps_every_token(id_: str, experts: int, latents: int, kept: int) -> None:
    """Its cache is that of a layer which keeps all, also where 36 of 48 keep a state, and 52 of 62 a window. [B/token]

    Its ranks add up twice, behind attention and behind what follows. Source: vLLM, qwen3_next_mtp.py and
    deepseek_mtp.py, whose layer is one of the decoder's.
    """
    model = MODELS[id_]
    draft = work_of(model, BF16, tp=1, kv_bits=16).drafting(draft_share(model))
    assert (draft.layers, draft.expert_layers, draft.latent_layers, draft.recurrent_layers) == (1, experts, latents, 0)
    assert draft.sums == 2
    assert draft.cache_read(100_000) == pytest.approx(100_000 * kept)


def test_attention_of_a_draft_is_that_of_one_layer() -> None:
    """Gemma 3 27B: 32 heads of 128, 2 FLOP for a query's product with a key and 2 for that with a value."""
    gemma = MODELS["google/gemma-3-27b-it"]
    draft = work_of(gemma, BF16, tp=1, kv_bits=16).drafting(draft_share(gemma))
    assert draft.decode_flops(100_000) == pytest.approx(100_000 * 4 * 32 * 128)


def test_a_layer_that_predicts_tokens_has_one_indexer_not_those_of_all_layers() -> None:
    """DeepSeek V3.2: 64 heads of 128 score a key, 2 x 64 x 128 FLOP a pair of tokens and layer, on each rank whole."""
    v32 = MODELS["deepseek-ai/DeepSeek-V3.2"]
    whole = work_of(v32, FORMATS["fp8"], tp=8, kv_bits=16)
    draft = whole.drafting(draft_share(v32))
    assert (whole.index_layers, draft.index_layers) == (61, 1)
    assert whole.index_flops_per_pair == pytest.approx(61 * 2 * 64 * 128)
    assert draft.index_flops_per_pair == pytest.approx(2 * 64 * 128)
