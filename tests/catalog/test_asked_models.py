"""Looking up any model that can be asked for: one id, one object, and as few questions to a hub as can be."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from huggingface_hub import constants

from inferplan.catalog import outside_models
from inferplan.catalog._advice_closed import closed_advice, closed_rows
from inferplan.catalog.asked_models import UnknownModel, model_id, model_of, only_on_hub, provenance, shown_id
from inferplan.catalog.builds import BuildRow, build_rows
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.hugging_face import hub
from inferplan.catalog.hugging_face.config import described
from inferplan.catalog.hugging_face.hub import Repository, Stored, StoredTensors
from inferplan.catalog.hugging_face.hub_models import hub_model
from inferplan.catalog.models import MODELS
from inferplan.core.memory import class_bits
from inferplan.core.model import Model, NativeBits
from loopback_hub import LoopbackHub, answer, loopback_hub

ID = "someone/tiny-llama"
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "vocab_size": 256,
}
MIXING, FFN = 2 * (2 * 64 * 64 + 2 * 32 * 64), 2 * 3 * 64 * 128


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A hub on this machine in place of the configured one; huggingface_hub reads the environment but once."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    outside_models.forget()
    hub.forget()
    with loopback_hub() as running:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.url + template)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        yield running
    outside_models.forget()
    hub.forget()


def test_names_of_the_catalogue_are_what_the_catalogue_makes_of_them() -> None:
    assert model_id("llama 3.3 70b") == MODELS.id_of("llama 3.3 70b")
    assert all(model_of(id_) is MODELS[id_] for id_ in MODELS)
    assert provenance("70B") is None
    with pytest.raises(UnknownModel, match='no model "lama 3 70b"; nearest'):
        model_id("lama 3 70b")


@pytest.mark.parametrize(
    ("said", "model", "form"),
    [
        ("llama3.1:70b-instruct-q4_K_M", "meta-llama/Llama-3.1-70B-Instruct", "q4_k_m"),
        ("hf.co/unsloth/Qwen3-30B-A3B-GGUF:Q4_K_M", "Qwen/Qwen3-30B-A3B", "q4_k_m"),
        ("llama 3.3 70b fp8", "meta-llama/Llama-3.3-70B-Instruct", "fp8"),
        ("llama-4-maverick-17b-128e-instruct-fp8", "meta-llama/Llama-4-Maverick-17B-128E-Instruct", "fp8"),
        ("https://huggingface.co/QuantTrio/GLM-4.6-AWQ", "zai-org/GLM-4.6", "awq"),
        ("unsloth/Llama-3.3-70B-Instruct-bnb-4bit", "meta-llama/Llama-3.3-70B-Instruct", "nf4"),
        ("nvidia/DeepSeek-R1-FP4", "deepseek-ai/DeepSeek-R1", "nvfp4"),
        ("google/gemma-4-31B-it-qat-w4a16-ct", "google/gemma-4-31B-it", "int4"),
        ("RedHatAI/Muse-Glimmer-30B-FP8-block", "meta-models/Muse-Glimmer-30B", "fp8"),
        ("Inferact/Muse-Glimmer-30B-NVFP4-W4A4", "meta-models/Muse-Glimmer-30B", "nvfp4"),
    ],
)
def test_a_format_within_a_name_is_told_to_be_asked_for_as_one(said: str, model: str, form: str) -> None:
    """Names as Ollama, llama.cpp and the owners of quantised checkpoints write them; nobody else's build is guessed."""
    with pytest.raises(UnknownModel, match=re.escape(f'ask for model "{model}" with precision "{form}"')):
        model_id(said)
    assert model_id(model) == model
    assert FORMATS.id_of(form) == form


@pytest.mark.parametrize(
    ("said", "model", "form"),
    [
        ("GLM-4.5-FP8", "zai-org/GLM-4.5", "fp8"),
        ("Qwen2.5-3B-Instruct awq", "Qwen/Qwen2.5-3B-Instruct", "awq"),
    ],
)
def test_another_models_build_in_the_format_that_was_said_is_not_taken_for_it(said: str, model: str, form: str) -> None:
    """Of 353 billion parameters, GLM 4.5 was answered by GLM-4.5-Air-FP8, of 107 billion."""
    with pytest.raises(UnknownModel, match=re.escape(f'ask for model "{model}" with precision "{form}"')):
        model_id(said)


def test_a_name_that_nothing_goes_by_is_answered_with_how_to_describe_the_model() -> None:
    with pytest.raises(
        UnknownModel, match=r'^no model "snowflake arctic"; .*; or pass the text of its config.json as the model$'
    ):
        model_id("snowflake arctic")
    with pytest.raises(UnknownModel, match=r'^model "llama 4" could be any of 3; nearest: [^;]*$'):
        model_id("llama 4")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("cogito:70b", "deepcogito/cogito-v1-preview-llama-70B"),
        ("ollama run cogito-2.1:671b", "deepcogito/cogito-671b-v2.1"),
        ("llama guard 4", "meta-llama/Llama-Guard-4-12B"),
        ("llama guard 3", "meta-llama/Llama-Guard-3-8B"),
        ("deepseek-coder-v2:16b", "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct"),
        ("llama4:128x17b", "meta-llama/Llama-4-Maverick-17B-128E-Instruct"),
        ("hermes3:8b", "NousResearch/Hermes-3-Llama-3.1-8B"),
        ("codellama:70b", "codellama/CodeLlama-70b-Instruct-hf"),
        ("qwen/qwen3-coder:free", "Qwen/Qwen3-Coder-480B-A35B-Instruct"),
        ("cohere/command-r-08-2024", "CohereLabs/c4ai-command-r-08-2024"),
        ("prime-intellect/intellect-3", "PrimeIntellect/INTELLECT-3"),
        ("LLM360/K2-Think", "IFM/K2-Think"),
    ],
)
def test_a_name_of_ollamas_library_or_of_a_router_is_the_checkpoint_it_stands_for(said: str, meant: str) -> None:
    assert model_id(said) == meant


@pytest.mark.parametrize(
    ("said", "meant", "mistaken"),
    [
        ("devstral:24b", "mistralai/Devstral-Small-2505", "mistralai/Devstral-Small-2-24B-Instruct-2512"),
        ("granite4:micro", "ibm-granite/granite-4.0-micro", "ibm-granite/granite-4.0-h-micro"),
        ("smollm:1.7b", "HuggingFaceTB/SmolLM-1.7B-Instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct"),
        ("wizardlm2:8x22b", "alpindale/WizardLM-2-8x22B", "mistralai/Mixtral-8x22B-Instruct-v0.1"),
    ],
)
def test_a_name_is_not_taken_for_that_of_a_relative(said: str, meant: str, mistaken: str) -> None:
    assert model_id(said) == meant
    assert MODELS[meant] != MODELS[mistaken]


@pytest.mark.parametrize("said", ["deepseek-chat", "DeepSeek Reasoner", "deepseek/deepseek-chat"])
def test_a_name_that_only_an_api_had_is_answered_with_what_it_served_and_until_when(said: str) -> None:
    """Both were retired on 2026-07-24; the checkpoints that were called after them have their own names."""
    with pytest.raises(UnknownModel) as caught:
        model_id(said)
    told = 'was served by the API of DeepSeek until 2026-07-24, as "deepseek-ai/DeepSeek-V4-Flash" in the end'
    assert str(caught.value).startswith(f'"{said}" {told}; ')
    assert not only_on_hub(said)
    assert model_id(f"{said}-v3.1".replace("DeepSeek Reasoner", "deepseek-chat")) == "deepseek-ai/DeepSeek-V3.1"


def test_a_build_of_the_model_in_the_format_that_was_said_is_taken_for_it() -> None:
    assert model_id("qwen2.5-coder-32b-instruct int4") == "Qwen/Qwen2.5-Coder-32B-Instruct-GPTQ-Int4"
    assert model_id("glm-4.6v fp8") == "zai-org/GLM-4.6V-FP8"
    assert model_id("glm-4.6 fp8") == "zai-org/GLM-4.6-FP8"


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ("unsloth/gpt-oss-120b-GGUF", 'its precision, as "q4_k_m"'),
        ("hf.co/unsloth/gpt-oss-120b-GGUF:UD-Q4_K_XL", 'a precision of 4 bits: "q4_k_m", "q4_k_s", "iq4_nl", "iq4_xs"'),
    ],
)
def test_a_gguf_repository_is_told_to_be_asked_for_by_model_and_format(said: str, form: str) -> None:
    with pytest.raises(UnknownModel, match=f'ask for model "openai/gpt-oss-120b" with {form}'):
        model_id(said)


@pytest.mark.parametrize("said", ["gemma-3-27b-it-qat-q4_0-gguf", "gemma-3-27b-it-q4_0.gguf"])
def test_a_gguf_type_that_is_no_format_is_known_by_its_width_wherever_the_name_ends(said: str) -> None:
    with pytest.raises(UnknownModel, match='ask for model "google/gemma-3-27b-it" with a precision of 4 bits: '):
        model_id(said)


@pytest.mark.parametrize("said", ["bge-m3", "qwen3-embedding:8b", "nomic-embed-text", "qwen3 reranker 4b"])
def test_models_that_generate_no_text_are_not_answered_with_ones_that_do(said: str) -> None:
    with pytest.raises(UnknownModel, match="embedding models and rerankers generate no text") as told:
        model_id(said)
    assert "nearest" not in str(told.value)


@pytest.mark.parametrize("name", [name for row in closed_rows() for name in row.names])
def test_a_closed_model_is_asked_for_on_no_hub_and_every_open_one_named_instead_is_here(name: str) -> None:
    row = next(row for row in closed_rows() if name in row.names)
    assert not MODELS.knows(name)
    assert not only_on_hub(f"{row.owners[0]}/{name.replace(' ', '-')}")
    assert set(row.open) <= set(MODELS)
    with pytest.raises(UnknownModel, match=f"{row.maker} does not publish its weights"):
        model_id(f"{name} 2.5 preview")


@pytest.mark.parametrize("said", ["gpt4all", "gpt2", "gpt-j 6b", "claude distill 8b", "geminix", "someone/gpt-4o", ""])
def test_a_name_that_goes_on_otherwise_is_no_closed_model(said: str) -> None:
    assert closed_advice(said) is None


def test_no_model_of_the_catalogue_goes_by_the_name_of_a_closed_one() -> None:
    assert [id_ for id_ in MODELS if closed_advice(id_) or closed_advice(MODELS[id_].title)] == []


def test_every_model_is_found_by_its_id_with_a_tag_that_says_nothing() -> None:
    assert [id_ for id_ in MODELS if "/" in id_ and model_id(f"{id_}:latest") != id_] == []


@pytest.mark.parametrize("page", ["https://huggingface.co/{}/tree/main", "hf.co/{}", "https://huggingface.co/{}?x=1"])
def test_the_page_of_a_repository_is_the_repository(page: str) -> None:
    assert model_id(page.format("meta-llama/Llama-3.3-70B-Instruct")) == "meta-llama/Llama-3.3-70B-Instruct"
    assert only_on_hub(page.format("nobody/nothing-1b"))


@pytest.mark.parametrize("row", build_rows(), ids=lambda row: row.id)
def test_a_published_build_is_a_model_released_in_its_own_format(row: BuildRow) -> None:
    built, model = model_of(model_id(row.id.upper())), MODELS[row.model]
    assert (built.id, built.native_precision) == (row.id, row.precision)
    assert built.architecture is model.architecture
    form = FORMATS[row.precision]
    assert class_bits(built, form) == (row.bits if row.apart else class_bits(model, form))
    assert built.own_kv_bits(row.precision) == model.own_kv_bits(row.precision)
    assert model_of(row.id) is built
    assert not only_on_hub(row.id)


@pytest.mark.parametrize("name", ["Llama-3.3-70B-Instruct-{}", "DeepSeek-R1-0528-{}-v2", "DeepSeek-V3-0324-{}"])
def test_a_build_of_nvidia_goes_by_the_name_that_it_had_before(name: str) -> None:
    """Guides of TensorRT-LLM and SGLang's cookbook name nvidia/DeepSeek-R1-0528-FP4-v2, the hub ...-NVFP4-v2."""
    assert model_id(f"nvidia/{name.format('FP4')}") == f"nvidia/{name.format('NVFP4')}"
    assert not only_on_hub(f"nvidia/{name.format('FP4')}")
    assert only_on_hub(f"somebody/{name.format('FP4')}")


def test_a_build_of_another_owner_is_not_taken_for_one_that_is_known() -> None:
    with pytest.raises(UnknownModel):
        model_id("somebody/Gemma-4-31B-IT-NVFP4")


def test_a_config_has_a_short_text_as_its_id_and_one_model() -> None:
    short = model_id(json.dumps(LLAMA, indent=8))
    assert model_id(short) == short
    assert json.loads(short).items() <= LLAMA.items()
    assert model_of(short) is model_of(short)
    assert model_of(model_id(json.dumps(LLAMA))) is model_of(short)
    assert short not in MODELS
    assert shown_id(model_of(short)) == model_of(short).title
    assert shown_id(MODELS["70B"]) == "70B"


def test_a_repository_is_one_model_however_often_it_is_asked_for(loopback: LoopbackHub) -> None:
    loopback.publish(ID, LLAMA, only={"model.norm.weight": ("BF16", [64])})
    assert only_on_hub(ID)
    assert model_id(ID) == ID
    one, asked = model_of(ID), len(loopback.asked)
    assert model_of(model_id(ID)) is one
    assert len(loopback.asked) == asked
    assert (one.id, one.title, shown_id(one)) == (ID, ID, ID)


def test_a_long_name_is_cut_where_it_is_shown(loopback: LoopbackHub) -> None:
    long = f"someone/{'x' * 90}"
    loopback.publish(long, LLAMA)
    assert model_of(model_id(long)).title == f"someone/{'x' * 37}..."


def test_only_the_latest_are_kept(loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_models, "REMEMBERED", 2)
    for name in ("a", "b", "c"):
        loopback.publish(f"someone/{name}", LLAMA)
        model_id(f"someone/{name}")
    assert provenance("someone/a") is None
    assert provenance("someone/c")


def test_what_was_missing_for_now_is_asked_for_again_but_not_at_once(
    loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.publish(ID, LLAMA)
    loopback.answer(ID, "model.safetensors.index.json", answer(503))
    model_id(ID)
    one, asked = model_of(ID), len(loopback.asked)
    assert model_of(model_id(ID)) is one
    assert len(loopback.asked) == asked
    monkeypatch.setattr(outside_models, "ASK_AGAIN_SECONDS", 0.0)
    assert model_of(model_id(ID)) is not one
    assert len(loopback.asked) > asked


def test_what_is_missing_for_good_is_not_asked_for_again(
    loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_models, "ASK_AGAIN_SECONDS", 0.0)
    loopback.publish(ID, LLAMA)
    model_id(ID)
    one, asked = model_of(ID), len(loopback.asked)
    assert model_of(model_id(ID)) is one
    assert len(loopback.asked) == asked


def bits(config: dict[str, Any], *, mixers: int, ffn: int) -> NativeBits | None:
    """The bits of a repository that stores this. [B]"""
    tensors = StoredTensors(mixers=Stored(bytes=mixers), ffn=Stored(bytes=ffn))
    return hub_model(Repository(id=ID, revision="main", config=json.dumps(config), tensors=tensors)).model.native_bits


FP8 = {**LLAMA, "quantization_config": {"quant_method": "fp8"}}


def test_bits_are_those_of_the_files_where_the_checkpoint_is_quantised() -> None:
    own = NativeBits(mixers=round(8 + 512 / MIXING, 4), ffn=16, routed_experts=16, lookup=16)
    assert bits(FP8, mixers=MIXING + 64, ffn=2 * FFN) == own
    assert bits(LLAMA, mixers=MIXING + 64, ffn=2 * FFN) is None


def test_a_repository_is_what_its_config_says_but_for_its_name_and_bits() -> None:
    config = json.dumps({**FP8, "model_type": "gemma2"})
    ours = hub_model(Repository(id=ID, revision="main", config=config)).model
    said = described(config).model
    assert said.lora == "linear"
    assert said.needs_bf16
    for one in {field.name for field in fields(Model)} - {"id", "title", "architecture"}:
        assert getattr(ours, one) == getattr(said, one), one


@pytest.mark.parametrize("stored", [0, MIXING // 100, 5 * MIXING])
def test_bits_that_cannot_be_right_leave_those_of_the_config(stored: int) -> None:
    assert bits(FP8, mixers=stored, ffn=FFN) is None


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("70", '"70" is a size, not a model; did you mean the size class "70B"?'),
        ("405", '"405" is a size, not a model; did you mean the size class "405B"?'),
        ("8B", '"8B" is a size, not a model; of about that size: "meta-llama/Llama-3.1-8B-Instruct", '),
        (
            "1T",
            '"1T" is a size, not a model; of about that size: "inclusionAI/Ling-1T", "moonshotai/Kimi-K2-Instruct", ',
        ),
        (
            "671b",
            '"671b" is a size, not a model; of about that size: "deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-R1',
        ),
        ("90000B", '"90000B" is a size, not a model; size classes are "7B", "13B", "70B", "405B", "745B MoE"'),
    ],
)
def test_a_size_that_is_no_class_is_answered_with_what_has_it_and_with_the_classes(said: str, told: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        model_id(said)
    assert str(caught.value).startswith(told)
    assert "?" in told or str(caught.value).endswith('"405B", "745B MoE"')


def test_a_class_is_named_by_its_size() -> None:
    assert [model_id(said) for said in ("7b", "13 B", "405B", "745b")] == ["7B", "13B", "405B", "745B MoE"]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("千问3 8b", "Qwen/Qwen3-8B"),
        ("通义千问2.5 72b", "Qwen/Qwen2.5-72B-Instruct"),
        ("深度求索 r1", "deepseek-ai/DeepSeek-R1"),
        ("书生·浦语3 8b", "internlm/internlm3-8b-instruct"),
    ],
)
def test_the_makers_own_names_in_other_scripts_are_understood(said: str, meant: str) -> None:
    assert model_id(said) == meant


@pytest.mark.parametrize("said", ["文心一言", "ГигаЧат", "월 8b", "لاما 3 70b", "яндекс gpt"])
def test_other_names_in_other_scripts_are_answered_without_models_that_merely_share_a_number(said: str) -> None:
    """The nearest to "월 8b" were said to be Aya 23 8B."""
    with pytest.raises(UnknownModel) as refused:
        model_id(said)
    assert str(refused.value) == (
        f'no model "{said}"; models go by names in Latin letters here, as "qwen3 8b"; '
        "or pass the text of its config.json as the model"
    )


def test_a_makers_name_in_another_script_without_a_version_is_answered_with_its_models() -> None:
    with pytest.raises(UnknownModel, match=r'^model "qwen" could be any of .*; nearest: "Qwen/'):
        model_id("通义千问")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("whisper large v3", "models that write down speech are none of text and are not planned"),
        ("stable diffusion xl", "models that draw images generate no text and are not planned"),
        ("bge-m3", "embedding models and rerankers generate no text and are not planned"),
        (
            "sentence-transformers/all-MiniLM-L6-v2",
            "embedding models and rerankers generate no text and are not planned",
        ),
    ],
)
def test_models_of_another_kind_are_said_to_be_so_and_nothing_else(said: str, why: str) -> None:
    """Whisper was nearest to Mistral Large, and an embedding model was to be looked up on a hub."""
    with pytest.raises(UnknownModel) as refused:
        model_id(said)
    assert str(refused.value) == f'no model "{said}"; {why}'
