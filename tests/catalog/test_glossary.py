"""Every key term of the guide is explained, and every cross-reference leads somewhere."""

import pytest

from inferplan.catalog.glossary import GLOSSARY, Term

GUIDE_TERMS = [
    "VRAM",
    "KV cache",
    "overhead",
    "precision",
    "FP32",
    "FP16 / BF16",
    "FP8",
    "INT4",
    "quantization",
    "sign / exponent / mantissa",
    "sign",
    "exponent",
    "mantissa",
    "tensor parallelism",
    "TP",
    "pipeline parallelism",
    "PP",
    "data parallelism",
    "DP",
    "NVLink",
    "InfiniBand",
    "node",
    "dense model",
    "mixture of experts",
    "MoE",
    "router",
    "active parameters",
    "on-demand",
    "reserved instance",
    "own hardware",
    "breakeven",
]
FIELD_TERMS = [
    "TTFT",
    "TPOT",
    "ITL",
    "prefill",
    "decode",
    "continuous batching",
    "GQA",
    "MQA",
    "MHA",
    "MLA",
    "sliding-window attention",
    "expert parallelism",
    "all-reduce",
    "pipeline bubble",
    "roofline",
    "memory bandwidth",
    "MFU",
    "PagedAttention",
    "chunked prefill",
    "prefix caching",
    "context window",
    "PUE",
    "colocation",
    "residual",
    "utilization",
    "GB vs GiB",
    "NVFP4",
    "MXFP4",
    "AWQ",
    "GPTQ",
    "GGUF",
]


@pytest.mark.parametrize("said", [*GUIDE_TERMS, *FIELD_TERMS])
def test_a_term_is_found_by_what_people_call_it(said: str) -> None:
    assert GLOSSARY.find(said).meaning


@pytest.mark.parametrize("term", GLOSSARY.values(), ids=lambda term: term.id)
def test_a_term_is_explained_in_one_to_three_sentences_with_a_source(term: Term) -> None:
    assert 40 <= len(term.meaning) <= 400
    assert term.meaning.endswith(".")
    assert term.meaning.count(". ") <= 2
    assert term.source


@pytest.mark.parametrize("term", GLOSSARY.values(), ids=lambda term: term.id)
def test_a_term_points_to_terms_that_exist_and_not_to_itself(term: Term) -> None:
    assert set(term.see_also) <= set(GLOSSARY) - {term.id}
