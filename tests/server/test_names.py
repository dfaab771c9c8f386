"""What people call a model or a format elsewhere is taken, or answered in one sentence with what to ask for."""

from typing import Any

import pytest
from mcp import Client

from results import texts

FOUR = '"int4", "awq", "gptq", "nvfp4", "mxfp4", "nf4", "q4_k_m", "q4_k_s"'
EIGHT = '"fp8", "int8", "w8a16", "gptq-int8", "bnb-int8", "mxfp8", "q8_0"'
OPENAI = (
    "cannot be self-hosted: OpenAI does not publish its weights; plan an open model in its place, as "
    '"openai/gpt-oss-120b" or "openai/gpt-oss-20b", a size class such as "70B", or the text of a config.json.'
)


async def told(client: Client, **asked: str) -> str:
    answer = await client.call_tool("estimate_vram", {"model": "70B", **asked})
    assert answer.is_error
    return texts(answer).removeprefix("`estimate_vram`: 1 problem. ")


async def taken(client: Client, **asked: str) -> dict[str, Any]:
    """The arguments as they were understood."""
    answer = await client.call_tool("estimate_vram", {"model": "70B", **asked})
    assert answer.structured_content is not None
    return answer.structured_content["inputs"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("4bit", f'"4bit" is a width, not a format; take one of 4 bits: {FOUR}.'),
        ("4-bit", f'"4-bit" is a width, not a format; take one of 4 bits: {FOUR}.'),
        ("4 Bits", f'"4 Bits" is a width, not a format; take one of 4 bits: {FOUR}.'),
        ("4-bit quantization", f'"4-bit quantization" is a width, not a format; take one of 4 bits: {FOUR}.'),
        ("8bit", f'"8bit" is a width, not a format; take one of 8 bits: {EIGHT}.'),
        ("16-bit", '"16-bit" is a width, not a format; take one of 16 bits: "fp16", "bf16".'),
        ("32-bit", '"32-bit" is a width, not a format; take one of 32 bits: "fp32".'),
        ("6bit", '"6bit" is a width, not a format; take one of 6 bits: "q6_k".'),
        (
            "1.58bit",
            '"1.58bit" is a width, not a format; take one of 2 bits, the nearest: "q2_k", "q2_k_s", "iq2_m".',
        ),
    ],
)
async def test_a_width_is_answered_with_the_formats_that_have_it(client: Client, said: str, sentence: str) -> None:
    assert await told(client, precision=said) == f"`precision`: {sentence}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "runs_in", "near"),
    [
        ("exl2", "ExLlamaV2", '"iq2_m" for 2, "int4" for 4, "q5_k_m" for 6, "fp8" for 8'),
        ("EXL2 4.65bpw", "ExLlamaV2", '"q4_k_s" for 4.65'),
        ("exl3-3.5bpw", "ExLlamaV3", '"iq3_xs" for 3.5'),
        ("hqq", "Hugging Face Transformers", '"int4" for 4, "fp8" for 8'),
        ("aqlm 2bit", "Hugging Face Transformers", '"iq2_m" for 2'),
        ("mlx-4bit", "MLX on Apple silicon", '"int4" for 4'),
    ],
)
async def test_a_format_of_another_program_is_answered_with_the_nearest_in_bits(
    client: Client, said: str, runs_in: str, near: str
) -> None:
    sentence = f'"{said}" runs in {runs_in}, which inferplan does not plan; nearest in bits: {near}.'
    assert await told(client, precision=said) == f"`precision`: {sentence}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "formats"), [("quark", '"mxfp4", "fp8", "int4"'), ("auto-round", '"gptq", "awq"'), ("ModelOpt", '"nvfp4"')]
)
async def test_a_toolkit_is_answered_with_formats_of_its_checkpoints(client: Client, said: str, formats: str) -> None:
    sentence = await told(client, precision=said)
    made = f'"{said}" says how a checkpoint was made, not its format; ask for that of the weights, as {formats}'
    assert sentence.startswith(f"`precision`: {made}")
    assert sentence.endswith(", or pass its config.json as the model.")


@pytest.mark.anyio
async def test_a_width_of_the_cache_is_answered_with_formats_of_the_cache(client: Client) -> None:
    sentence = '"8-bit" is a width, not a format; take one of 8 bits: "fp8", "int8", "q8_0".'
    assert await told(client, kv_precision="8-bit") == f"`kv_precision`: {sentence}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "form"),
    [("int 4", "int4"), ("fp 8", "fp8"), ("32-bit float", "fp32"), ("4-bit AWQ", "awq"), ("BF 16", "bf16")],
)
async def test_a_format_that_is_meant_alone_is_taken(client: Client, said: str, form: str) -> None:
    assert (await taken(client, precision=said))["precision"] == form


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "model"),
    [
        ("a 70B model", "70B"),
        ("dense 70B", "70B"),
        ("70B dense model", "70B"),
        ("the 70B", "70B"),
        ("a dense 70B-parameter LLM", "70B"),
        ("70 billion parameter model", "70B"),
        ("a 745B mixture of experts", "745B MoE"),
        ("Llama 70B model", "meta-llama/Llama-3.3-70B-Instruct"),
        ("the llama 3.3 70b model", "meta-llama/Llama-3.3-70B-Instruct"),
        ("Meta's Llama 3.1 70B", "meta-llama/Llama-3.1-70B-Instruct"),
    ],
)
async def test_a_model_is_found_among_words_of_a_sentence(client: Client, said: str, model: str) -> None:
    assert (await taken(client, model=said))["model"] == model


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("an 8B model", '"8B" is a size, not a model; of about that size: "meta-llama/Llama-3.1-8B-Instruct"'),
        ("a Llama model", 'model "Llama" could be any of'),
        ("dense 745B", 'no model "dense 745B"; nearest: "745B MoE"'),
        ("a 70B model in FP8", 'no model "70B FP8"; ask for model "70B" with precision "fp8"'),
    ],
)
async def test_a_sentence_that_names_no_one_model_is_answered_as_the_name_in_it(
    client: Client, said: str, sentence: str
) -> None:
    assert (await told(client, model=said)).startswith(f"`model`: {sentence}")


@pytest.mark.anyio
@pytest.mark.parametrize("said", ["gpt4", "gpt-4o", "GPT 5", "gpt-5.2-mini", "o4-mini", "ChatGPT", "openai/gpt-4.1"])
async def test_a_closed_model_is_said_to_be_one_with_open_models_to_plan_instead(client: Client, said: str) -> None:
    assert await told(client, model=said) == f'`model`: "{said}" {OPENAI}'


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "maker"),
    [
        ("claude sonnet", "Anthropic"),
        ("claude-3-5-sonnet-20241022", "Anthropic"),
        ("anthropic/claude-sonnet-4.5:nitro", "Anthropic"),
        ("gemini 2.5 pro", "Google"),
        ("google/gemini-2.5-flash", "Google"),
    ],
)
async def test_whose_closed_model_it_is_is_said(client: Client, said: str, maker: str) -> None:
    assert f"cannot be self-hosted: {maker} does not publish its weights" in await told(client, model=said)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "gpt-oss:latest",
            '"gpt-oss:latest" says no size; ask for one of "openai/gpt-oss-120b", "openai/gpt-oss-20b".',
        ),
        (
            "mixtral:latest",
            (
                '"mixtral:latest" says no size; ask for one of "mistralai/Mixtral-8x7B-Instruct-v0.1", '
                '"mistralai/Mixtral-8x22B-Instruct-v0.1".'
            ),
        ),
        (
            "mixtral:8x22b-instruct-v0.1-q4_0",
            (
                'no model "mixtral:8x22b-instruct-v0.1-q4_0"; ask for model "mistralai/Mixtral-8x22B-Instruct-v0.1" '
                'with a precision of 4 bits: "q4_k_m", "q4_k_s", "iq4_nl", "iq4_xs".'
            ),
        ),
        (
            "llama3.3:70b-instruct-q4_K_M",
            (
                'no model "llama3.3:70b-instruct-q4_K_M"; ask for model "meta-llama/Llama-3.3-70B-Instruct" with '
                'precision "q4_k_m".'
            ),
        ),
        (
            "gemma3:27b-it-qat",
            ('no model "gemma3:27b-it-qat"; ask for model "google/gemma-3-27b-it" with its precision, as "q4_k_m".'),
        ),
        (
            "llama 3.3 70b 8-bit",
            (
                'no model "llama 3.3 70b 8-bit"; ask for model "meta-llama/Llama-3.3-70B-Instruct" with a precision '
                f"of 8 bits: {EIGHT}."
            ),
        ),
    ],
)
async def test_a_tag_is_answered_with_the_model_and_the_format_that_it_means(
    client: Client, said: str, sentence: str
) -> None:
    assert await told(client, model=said) == f"`model`: {sentence}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "model"),
    [
        ("llama3.3:latest", "meta-llama/Llama-3.3-70B-Instruct"),
        ("Phi4:Latest", "microsoft/phi-4"),
        ("qwen3:32b", "Qwen/Qwen3-32B"),
        ("70b:latest", "70B"),
        ("ollama run llama3.3:70b", "meta-llama/Llama-3.3-70B-Instruct"),
        ("https://ollama.com/library/gpt-oss:20b", "openai/gpt-oss-20b"),
        ("library/llama3.3", "meta-llama/Llama-3.3-70B-Instruct"),
        ("meta-llama/Llama-3.3-70B-Instruct:latest", "meta-llama/Llama-3.3-70B-Instruct"),
        ("openai/gpt-oss-120b:free", "openai/gpt-oss-120b"),
        ("gpt-oss:120b-cloud", "openai/gpt-oss-120b"),
        ("kimi-k2:1t-cloud", "moonshotai/Kimi-K2-Instruct"),
        ("glm-4.6:cloud", "zai-org/GLM-4.6"),
        ("granite4:small-h", "ibm-granite/granite-4.0-h-small"),
        ("mistral-nemo:12b", "mistralai/Mistral-Nemo-Instruct-2407"),
    ],
)
async def test_a_tag_that_says_nothing_of_the_weights_changes_nothing(client: Client, said: str, model: str) -> None:
    assert (await taken(client, model=said))["model"] == model


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "said", "both"),
    [
        ("gpu", "A100/H100", '"a100-80gb-sxm", "h100-sxm"'),
        ("gpu", "H100 / A100", '"h100-sxm", "a100-80gb-sxm"'),
        ("precision", "FP8/FP16", '"fp8", "fp16"'),
        ("kv_precision", "fp16/fp8", '"fp16", "fp8"'),
        ("engine", "vllm/sglang", '"vllm", "sglang"'),
        ("model", "qwen3-8b / qwen3-32b", '"Qwen/Qwen3-8B", "Qwen/Qwen3-32B"'),
    ],
)
async def test_two_names_with_a_slash_between_are_answered_with_both(
    client: Client, name: str, said: str, both: str
) -> None:
    told_so = await told(client, **{name: said})
    assert told_so.startswith(f"`{name}`: ")
    assert f'"{said}" could be any of 2; nearest: {both}' in told_so


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "said", "meant"),
    [
        ("gpu", "nvidia/H100", "h100-sxm"),
        ("gpu", "aws/p5.48xlarge", "h100-sxm"),
        ("precision", "fp8/e4m3", "fp8"),
        ("model", "minimax/minimax-m2", "MiniMaxAI/MiniMax-M2"),
        ("model", "unsloth/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
    ],
)
async def test_whose_a_name_is_may_stand_before_it(client: Client, name: str, said: str, meant: str) -> None:
    assert (await taken(client, **{name: said}))[name] == meant


@pytest.mark.anyio
async def test_a_word_for_nothing_is_told_to_leave_the_argument_out(client: Client) -> None:
    """Engines have flags whose default is "auto"; a known format in its place would be another than the released."""
    assert (await told(client, kv_precision="auto")).endswith("; leave it out for the default.")
    assert (await told(client, precision="default")).endswith("; leave it out for the default.")
    for asked in ({"precision": "fp9"}, {"model": "auto"}):
        assert "leave it out" not in await told(client, **asked)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "said", "nearest"),
    [
        ("precision", "fp8,int4", '"fp8", "int4"'),
        ("precision", "fp8_sparse", '"fp8"'),
        ("gpu", "H100 or A100", '"h100-sxm", "a100-80gb-sxm"'),
        ("engine", "vllm==0.10.0", '"vllm"'),
        ("model", "llama 3.3 70b, qwen3 32b", '"meta-llama/Llama-3.3-70B-Instruct", "Qwen/Qwen3-32B"'),
        ("model", "@cf/meta/llama-3.3-70b-instruct-fast", '"meta-llama/Llama-3.3-70B-Instruct"'),
    ],
)
async def test_names_within_a_name_are_the_nearest(client: Client, name: str, said: str, nearest: str) -> None:
    assert f'"{said}"; nearest: {nearest}' in await told(client, **{name: said})
