"""Models: published totals, the names people say, and the five size classes."""

import re

import pytest

from inferplan.catalog._shelf import UnknownName
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.models import MODELS, ModelRow, model_rows
from inferplan.catalog.prices import AS_OF
from inferplan.core.architecture import ExpertFfn
from inferplan.core.engines.rank_weights import rank_weights
from inferplan.core.layers.attention import Attention
from inferplan.core.memory import kv_bytes_per_token
from inferplan.core.parallelism import Layout
from inferplan.core.parameters import count
from inferplan.core.units import GIB

SIZE_CLASSES = ["7B", "13B", "70B", "405B", "745B MoE"]

SAID = [
    ("7B", "7B"),
    ("7b", "7B"),
    ("13b", "13B"),
    ("70b", "70B"),
    ("70 B", "70B"),
    ("70B-class", "70B"),
    ("70b class", "70B"),
    ("70B model", "70B"),
    ("405b", "405B"),
    ("745b", "745B MoE"),
    ("745b moe", "745B MoE"),
    ("745B-MoE", "745B MoE"),
    ("moe", "745B MoE"),
    ("mixture of experts", "745B MoE"),
    ("llama 3.3 70b", "meta-llama/Llama-3.3-70B-Instruct"),
    ("Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
    ("meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
    ("META-LLAMA/LLAMA-3.3-70B-INSTRUCT", "meta-llama/Llama-3.3-70B-Instruct"),
    ("llama3.3 70b", "meta-llama/Llama-3.3-70B-Instruct"),
    ("llama 3 3 70b", "meta-llama/Llama-3.3-70B-Instruct"),
    ("llama_3.3_70b", "meta-llama/Llama-3.3-70B-Instruct"),
    ("unsloth/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
    ("llama 70b", "meta-llama/Llama-3.3-70B-Instruct"),
    ("llama3.3", "meta-llama/Llama-3.3-70B-Instruct"),
    ("llama 8b", "meta-llama/Llama-3.1-8B-Instruct"),
    ("Llama 3.1 8B", "meta-llama/Llama-3.1-8B-Instruct"),
    ("Meta-Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
    ("llama 3.1 405b", "meta-llama/Llama-3.1-405B-Instruct"),
    ("llama 3 8b instruct", "meta-llama/Meta-Llama-3-8B"),
    ("llama 3 70b", "meta-llama/Meta-Llama-3-70B"),
    ("llama-2-7b", "meta-llama/Llama-2-7b-hf"),
    ("llama 2 70b chat", "meta-llama/Llama-2-70b-hf"),
    ("qwen3 32b", "Qwen/Qwen3-32B"),
    ("Qwen 3 32B", "Qwen/Qwen3-32B"),
    ("qwen3-4b", "Qwen/Qwen3-4B"),
    ("qwen3 235b", "Qwen/Qwen3-235B-A22B"),
    ("qwen3-235b-a22b", "Qwen/Qwen3-235B-A22B"),
    ("qwen3 coder", "Qwen/Qwen3-Coder-480B-A35B-Instruct"),
    ("qwen 2.5 72b", "Qwen/Qwen2.5-72B-Instruct"),
    ("qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct"),
    ("qwq", "Qwen/QwQ-32B"),
    ("mistral 7b", "mistralai/Mistral-7B-Instruct-v0.3"),
    ("mixtral", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
    ("Mixtral 8x22B", "mistralai/Mixtral-8x22B-Instruct-v0.1"),
    ("mistral large 2", "mistralai/Mistral-Large-Instruct-2407"),
    ("command r", "CohereLabs/c4ai-command-r-v01"),
    ("command r+", "CohereLabs/c4ai-command-r-plus"),
    ("phi4", "microsoft/phi-4"),
    ("phi-3-mini", "microsoft/Phi-3-mini-128k-instruct"),
    ("phi-3 medium", "microsoft/Phi-3-medium-128k-instruct"),
    ("phi-3-mini 4k", "microsoft/Phi-3-mini-4k-instruct"),
    ("exaone3.5:7.8b", "LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct"),
    ("falcon-h1 7b", "tiiuae/Falcon-H1-7B-Instruct"),
    ("glm 4.6", "zai-org/GLM-4.6"),
    ("glm-4.5-air", "zai-org/GLM-4.5-Air"),
    ("minimax m2", "MiniMaxAI/MiniMax-M2"),
    ("r1 distill 70b", "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"),
    ("dbrx", "databricks/dbrx-instruct"),
    ("grok 1", "xai-org/grok-1"),
    ("deepseek r1", "deepseek-ai/DeepSeek-R1"),
    ("deepseek v3", "deepseek-ai/DeepSeek-V3"),
    ("gpt-oss-120b", "openai/gpt-oss-120b"),
    ("gpt oss 20b", "openai/gpt-oss-20b"),
    ("gemma 3 27b", "google/gemma-3-27b-it"),
    ("kimi k2", "moonshotai/Kimi-K2-Instruct"),
    ("mistral 7b v0.1", "mistralai/Mistral-7B-v0.1"),
    ("qwen3 next", "Qwen/Qwen3-Next-80B-A3B-Instruct"),
    ("llama 4 scout", "meta-llama/Llama-4-Scout-17B-16E-Instruct"),
    ("glm 5", "zai-org/GLM-5"),
    ("jamba 1.5 mini", "ai21labs/AI21-Jamba-Mini-1.5"),
]


@pytest.mark.parametrize(("said", "id_"), SAID)
def test_a_model_is_found_by_what_people_call_it(said: str, id_: str) -> None:
    assert MODELS.find(said).id == id_


@pytest.mark.parametrize("said", ["llama", "8b", "32b", "qwen3", "mistral", "deepseek r1 distill", "falcon instruct b"])
def test_a_name_that_fits_several_models_is_not_guessed(said: str) -> None:
    with pytest.raises(UnknownName):
        MODELS.find(said)


@pytest.mark.parametrize(
    "said",
    ["llama 3.3 8b", "Llama-3.3-70B-Instruct-FP8", "qwen 34b", "kimi 9", "gpt", "gemma 3 28b", "3.3", "instruct"],
)
def test_a_model_that_is_not_catalogued_is_not_mistaken_for_another(said: str) -> None:
    with pytest.raises(UnknownName):
        MODELS.find(said)


@pytest.mark.parametrize("said", ["llama 5", "nemotron 5", "qwen 4", "qwen4-32b", "llama 4.5", "gemma 5"])
def test_a_version_that_is_not_here_is_no_number_of_a_revision_or_a_format(said: str) -> None:
    """Super-v1_5 is no Llama 5, Qwen2.5 in GPTQ-Int4 no Qwen 4."""
    with pytest.raises(UnknownName, match=f'no model "{said}"'):
        MODELS.find(said)


def test_a_size_is_that_of_all_parameters_not_of_the_active_ones() -> None:
    assert "Qwen/Qwen2-57B-A14B-Instruct" not in MODELS.nearest("qwen 14b", 100)
    assert MODELS.id_of("qwen2 57b a14b") == "Qwen/Qwen2-57B-A14B-Instruct"


def test_a_slip_of_the_pen_is_answered_with_the_models_it_may_mean() -> None:
    with pytest.raises(UnknownName) as caught:
        MODELS.find("lama 3 70b")
    assert caught.value.nearest[:2] == ("meta-llama/Meta-Llama-3-70B", "meta-llama/Llama-3.3-70B-Instruct")
    assert str(caught.value).endswith('or a size class such as "70B"')


def test_completion_knows_families() -> None:
    assert "Qwen/Qwen3-32B" in MODELS.complete("qwen3")
    completed = MODELS.complete("llama 3.3")
    assert completed[0] == "meta-llama/Llama-3.3-70B-Instruct"
    assert set(completed[1:]) == {f"nvidia/Llama-3_3-Nemotron-Super-49B-{version}" for version in ("v1", "v1_5")}


def test_the_size_classes_come_first_and_are_the_guides_five() -> None:
    assert list(MODELS)[:5] == SIZE_CLASSES
    assert [id_ for id_, model in MODELS.items() if model.is_size_class] == SIZE_CLASSES


@pytest.mark.parametrize("row", model_rows().values(), ids=lambda row: row.id)
def test_the_shape_counts_up_to_the_published_parameters_exactly(row: ModelRow) -> None:
    model = MODELS[row.id]
    assert model.total_params == row.params_total
    assert model.active_params == row.params_active


LICENCE_NOT_READ = {
    "deepcogito/cogito-v1-preview-llama-3B",
    "deepcogito/cogito-v1-preview-qwen-32B",
    "deepcogito/cogito-v1-preview-llama-70B",
}
"""Whose geometry was read and counted, and when they were released, but not the licence, which is left out."""


@pytest.mark.parametrize("row", model_rows().values(), ids=lambda row: row.id)
def test_every_row_is_sane_and_sourced(row: ModelRow) -> None:
    architecture = MODELS[row.id].architecture
    attentions = [mixer for _, mixer in architecture.mixers if isinstance(mixer, Attention)]
    assert all(one.heads % one.kv_heads == 0 for one in attentions)
    assert row.params_active <= row.params_total
    assert row.source
    assert row.checked <= AS_OF
    assert row.precision in FORMATS
    assert (row.released or "") <= AS_OF.isoformat()
    assert row.stands_for is None or row.stands_for in MODELS
    assert row.size_class or "/" in row.id
    assert row.size_class or (row.released and bool(row.license) == (row.id not in LICENCE_NOT_READ))
    assert (row.params_active < row.params_total) == bool(architecture.experts or architecture.lookup_params)


@pytest.mark.parametrize(
    ("id_", "parameters"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", 70_553_706_496),  # Hugging Face safetensors total
        ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
        ("meta-llama/Llama-3.1-405B-Instruct", 405_853_388_800),
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 46_702_792_704),
        ("Qwen/Qwen3-235B-A22B", 235_093_634_560),
    ],
)
def test_famous_checkpoints_have_their_published_size(id_: str, parameters: int) -> None:
    assert MODELS[id_].total_params == parameters


@pytest.mark.parametrize(
    ("id_", "figures"),
    [
        ("7B", (7e9, 32, 4096, 32, 32, 128)),
        ("13B", (13e9, 40, 5120, 40, 40, 128)),
        ("70B", (70e9, 80, 8192, 64, 8, 128)),
        ("405B", (405e9, 126, 16384, 128, 8, 128)),
        ("745B MoE", (745e9, 64, 8192, 64, 8, 128)),
    ],
)
def test_a_size_class_has_the_guides_figures(id_: str, figures: tuple[float, ...]) -> None:
    """Parameters, layers, hidden width, heads, KV heads, head dimension."""
    model, shape = MODELS[id_], MODELS[id_].architecture
    plain = shape.plain
    assert plain is not None
    heads = (plain.heads, plain.kv_heads, plain.head_dim)
    assert (model.total_params, shape.layers, shape.hidden, *heads) == figures


def test_the_moe_class_activates_2_of_128_experts_and_52_billion_parameters() -> None:
    moe = MODELS["745B MoE"]
    experts = moe.architecture.experts
    assert isinstance(experts, ExpertFfn)
    assert (experts.experts, experts.active, moe.active_params) == (128, 2, 52_000_000_000)


def test_the_shape_of_the_moe_class_comes_within_1_percent_of_its_name() -> None:
    """(745 - 52) B / (126/128) = 704 B routed = 64 layers x 128 experts x 3 x 8192 x 3497; 3520 = 55 x 64."""
    moe = MODELS["745B MoE"]
    assert count(moe.architecture).total == pytest.approx(745e9, rel=0.01)
    assert count(moe.architecture).routed_experts == pytest.approx(704e9, rel=3520 / 3497 - 1 + 1e-4)
    assert moe.parameters.routed_experts == 704_000_000_000


def test_large_size_classes_have_nearly_the_shape_of_what_they_stand_for() -> None:
    for id_ in ("70B", "405B"):
        assert count(MODELS[id_].architecture).total == pytest.approx(MODELS[id_].total_params, rel=0.01)


@pytest.mark.parametrize("said", ["ibm-granite/granite-4.0-nano", "Qwen/Qwen-72B", "meta-llama/Llama-3.3-7B"])
def test_a_repository_that_is_not_here_is_no_other_one_with_such_words_in_its_name(said: str) -> None:
    """Qwen 72B keeps eight times as much a token as Qwen 2.5 72B."""
    assert not MODELS.knows(said)
    assert MODELS.nearest(said)


@pytest.mark.parametrize("name", ["R1", "R1-0528", "V3", "V3-0324"])
def test_a_build_stands_for_both_models_whose_layers_it_has(name: str) -> None:
    build = MODELS[f"deepseek-ai/DeepSeek-{name}"].build("nvfp4")
    assert build is not None
    assert build.id.startswith(f"nvidia/DeepSeek-{name[:2]}")


def test_a_model_like_another_has_none_of_its_builds() -> None:
    assert MODELS["Qwen/Qwen3-30B-A3B"].build("nvfp4")
    assert MODELS["Qwen/Qwen3-30B-A3B-Instruct-2507"].build("nvfp4") is None


def test_granite_4_micro_is_not_the_hybrid_of_nearly_that_name() -> None:
    plain, hybrid = (MODELS.find(f"ibm-granite/granite-4.0-{name}").architecture for name in ("micro", "h-micro"))
    assert kv_bytes_per_token(plain, kv_bits=16) == 10 * kv_bytes_per_token(hybrid, kv_bits=16)


def test_a_copy_under_another_owner_is_the_same_model() -> None:
    assert MODELS.id_of("unsloth/Llama-3.3-70B-Instruct") == "meta-llama/Llama-3.3-70B-Instruct"


@pytest.mark.parametrize(
    ("repository", "context", "precision"),
    [
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", 262144, "bf16"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507-FP8", 262144, "fp8"),
        ("Qwen/Qwen3-4B-Thinking-2507", 262144, "bf16"),
        ("Qwen/Qwen3-235B-A22B-Thinking-2507-FP8", 262144, "fp8"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", 262144, "bf16"),
        ("Qwen/Qwen3-30B-A3B-FP8", 40960, "fp8"),
        ("Qwen/Qwen3-14B-AWQ", 40960, "awq"),
        ("Qwen/Qwen2.5-Math-7B-Instruct", 4096, "bf16"),
        ("Qwen/Qwen2.5-VL-7B-Instruct-AWQ", 128000, "awq"),
        ("Qwen/Qwen2.5-Coder-32B-Instruct-GPTQ-Int4", 32768, "gptq"),
        ("zai-org/GLM-4.6V-FP8", 131072, "fp8"),
        ("deepseek-ai/DeepSeek-R1-0528", 163840, "fp8"),
    ],
)
def test_a_repository_is_answered_with_its_own_context_and_format(
    repository: str, context: int, precision: str
) -> None:
    model = MODELS.find(repository)
    assert (model.id, model.architecture.max_positions) == (repository, context)
    assert FORMATS[FORMATS.id_of(model.native_precision)].id == precision


def test_a_name_without_a_size_is_not_the_smaller_namesake() -> None:
    """GLM-4.6V has 106.9 B parameters, its Flash 9.4 B."""
    assert [MODELS.find(name).id for name in ("GLM-4.6V", "glm 4.6v flash")] == [
        "zai-org/GLM-4.6V",
        "zai-org/GLM-4.6V-Flash",
    ]


def test_a_row_that_is_like_another_has_its_layers_and_of_its_shape_what_it_states() -> None:
    """Granite 3.1 8B has four tokens fewer than 3.3 8B in its vocabulary, and 4 x 4,096 parameters fewer."""
    older, newer = (MODELS[f"ibm-granite/granite-{version}-8b-instruct"] for version in ("3.1", "3.3"))
    assert older.architecture.groups == newer.architecture.groups
    assert newer.total_params - older.total_params == 4 * 4096
    assert set(model_rows()[older.id].aliases).isdisjoint(model_rows()[newer.id].aliases)


def test_positions_with_sections_for_time_height_and_width_keep_four_rows_of_rotations() -> None:
    """`mrope_section` stands in the configs of Qwen3.8 27B and Flash-Next, not in that of 2.4T, which is text only."""
    rows = {
        name: MODELS[f"Qwen/Qwen3.8-{name}"].architecture.rope_tables for name in ("27B", "Flash-Next", "2.4T-A95B")
    }
    assert rows == {"27B": 4, "Flash-Next": 4, "2.4T-A95B": 1}
    layout, bf16 = Layout(), FORMATS["bf16"]
    printed = (51.35, 51.1)  # vLLM 0.27.1 at 786,432 positions by YaRN, and a build of August 2026 at 262,144
    loaded = rank_weights(MODELS["Qwen/Qwen3.8-27B"], bf16, layout) / GIB
    assert loaded == pytest.approx(printed[1], rel=0.001)
    longer = 4 * 2 * (786432 - 262144) * 64 / GIB
    assert loaded + longer == pytest.approx(printed[0], rel=0.001)


def test_a_title_hyphenates_the_month_of_a_release_and_has_no_prefix_of_a_repository() -> None:
    """Cohere writes "Command R 08-2024", and "c4ai-" is a prefix of its repositories alone."""
    odd = [model.title for model in MODELS.values() if re.search(r"\b\d{2} 20\d{2}\b|c4ai", model.title, re.IGNORECASE)]
    assert odd == []


@pytest.mark.parametrize("said", ["mamba 2.8b", "rwkv 7b", "pythia 6.9b", "mpt 7b"])
def test_a_model_of_no_family_here_is_not_answered_with_names_that_only_read_alike(said: str) -> None:
    """Mamba was nearest to Jamba, Aya and Llama; MPT to OPT."""
    assert MODELS.nearest(said) == []


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("lama 3.1 8b", "meta-llama/"),
        ("mistrl 7b", "mistralai/"),
        ("falcon mamba", "tiiuae/falcon"),
        ("gptoss 120b large", "openai/gpt-oss"),
        ("the deepsek v3", "deepseek-ai/"),
    ],
)
def test_a_slip_is_answered_with_names_of_its_family(said: str, meant: str) -> None:
    near = MODELS.nearest(said)
    assert near
    assert near[0].startswith(meant)
