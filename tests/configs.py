"""Published config.json files, each with its catalogued model, and one that is changed key by key."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from data_files import DATA
from inferplan.catalog.hugging_face.config import ConfigProblem, described
from inferplan.catalog.models import MODELS
from inferplan.core.model import Model, NativeBits

FOLDER = DATA / "configs"
FOUND = dict(
    line.split("\t")
    for line in (FOLDER / "models.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
"""Which catalogued model each config is of."""

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 8192,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}

FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
MX = {"dtype": "fp4", "qscheme": "per_group", "group_size": 32, "scale_format": "e8m0", "is_dynamic": False}
"""How AMD Quark describes weights in MXFP4."""


@cache
def text_of(slug: str) -> str:
    return (FOLDER / f"{slug}.json").read_text(encoding="utf-8")


def read(slug: str) -> Model:
    return described(text_of(slug)).model


def catalogued(slug: str) -> Model:
    return MODELS[FOUND[slug]]


def llama(**changed: Any) -> Model:
    return described(json.dumps({**LLAMA, **changed})).model


def changed_in(slug: str, **changed: Any) -> Model:
    return described(json.dumps({**json.loads(text_of(slug)), **changed})).model


def problem(config: object) -> str:
    text = config if isinstance(config, str) else json.dumps(config)
    with pytest.raises(ConfigProblem) as raised:
        described(text)
    return str(raised.value)


def bits_of(quantization: Mapping[str, Any], **changed: Any) -> tuple[str, NativeBits | None]:
    model = llama(quantization_config=quantization, **changed)
    return model.native_precision, model.native_bits


def groups(**weights: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}
