"""Inkling's configs in both forms, the checkpoint's and the one that transformers saves: each makes the same layers.

Totals are those of transformers 5.24, `InklingForConditionalGeneration`, on torch's "meta" device. Its dense blocks
have a scale each, which the catalogue's rows, derived from published totals, do not count.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from configs import problem
from inferplan.catalog.hugging_face.config import described
from inferplan.catalog.models import MODELS
from inferplan.core.architecture import Architecture, DenseFfn

STATED: dict[str, Any] = {
    "d_rel": 16,
    "head_dim": 128,
    "hidden_size": 6144,
    "model_max_length": 1048576,
    "n_routed_experts": 256,
    "n_shared_experts": 2,
    "num_attention_heads": 64,
    "num_experts_per_tok": 6,
    "num_hidden_layers": 66,
    "num_key_value_heads": 8,
    "rel_extent": 1024,
    "sliding_window_size": 512,
    "swa_head_dim": 128,
    "swa_num_attention_heads": 64,
    "swa_num_key_value_heads": 16,
    "vocab_size": 201024,
}
CHECKPOINT = {
    **STATED,
    "model_type": "inkling_model",
    "dense_intermediate_size": 24576,
    "dense_mlp_idx": 2,
    "intermediate_size": 3072,
    "local_layer_ids": [number for number in range(66) if (number + 1) % 6],
    "sconv_kernel_size": 4,
    "use_embed_norm": True,
    "use_sconv": True,
}
SAVED = {
    **STATED,
    "model_type": "inkling_text",
    "conv_kernel_size": 4,
    "intermediate_size": 24576,
    "layer_types": [*["hybrid_sliding"] * 5, "hybrid"] * 11,
    "mlp_layer_types": ["dense"] * 2 + ["sparse"] * 64,
    "moe_intermediate_size": 3072,
}
SMALL = {
    **CHECKPOINT,
    "dense_intermediate_size": 16384,
    "hidden_size": 4096,
    "intermediate_size": 2048,
    "local_layer_ids": [number for number in range(42) if (number + 1) % 6],
    "num_attention_heads": 32,
    "num_hidden_layers": 42,
    "swa_num_attention_heads": 32,
    "swa_num_key_value_heads": 8,
}


def wrapped(decoder: dict[str, Any], **changed: Any) -> str:
    return json.dumps({"model_type": "inkling_mm_model", "text_config": {**decoder, **changed}})


def without_scales(architecture: Architecture) -> Architecture:
    """The architecture as the catalogue has it: no scale of dense blocks, no tower, no MTP layers."""
    groups = [
        replace(one, ffn=replace(one.ffn, extra_params=0)) if isinstance(one.ffn, DenseFfn) else one
        for one in architecture.groups
    ]
    return replace(architecture, groups=tuple(groups), vision_params=0, multi_token=None)


@pytest.mark.parametrize(
    ("decoder", "id_", "params"),
    [
        (CHECKPOINT, "thinkingmachines/Inkling", 947_025_547_842),
        (SAVED, "thinkingmachines/Inkling", 947_025_547_842),
        (SMALL, "thinkingmachines/Inkling-Small", 263_655_189_034),
    ],
    ids=["checkpoint", "saved", "small"],
)
def test_both_forms_have_the_layers_of_the_catalogued_model(decoder: dict[str, Any], id_: str, params: int) -> None:
    model = described(wrapped(decoder)).model
    assert model.total_params == params
    assert without_scales(model.architecture) == without_scales(MODELS[id_].architecture)
    assert described(model.id).model.architecture == model.architecture
    assert len(model.id) < 1100


def test_what_the_class_leaves_out_has_no_dense_block() -> None:
    """transformers, `InklingTextConfig()`: 66 layers of experts."""
    assert described(wrapped({})).model.total_params == 975_340_270_146


def test_layers_listed_as_local_have_the_window_and_heads_of_their_own() -> None:
    architecture = described(wrapped(CHECKPOINT, local_layer_ids=[0, 65])).model.architecture
    groups = [architecture.groups[number] for number in architecture.sequence]
    windows = [one.mixers[0].cached[0].window for one in groups]
    assert windows == [512, *[None] * 64, 512]
    assert [one.mixers[0].cached[0].heads for one in groups] == [16, *[8] * 64, 16]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"use_sconv": False}, '"text_config.use_sconv": false is not supported'),
        ({"shared_expert_sink": False}, '"text_config.shared_expert_sink": false is not supported'),
        ({"swa_v_head_dim": 64}, '"text_config.swa_v_head_dim": 64 is not supported'),
        ({"swa_num_key_value_heads": 12}, "12 does not divide the 64 attention heads"),
        ({"q_bias": True}, '"text_config.q_bias": true is not supported'),
    ],
    ids=str,
)
def test_what_is_not_modelled_is_said(changed: dict[str, Any], said: str) -> None:
    assert said in problem(json.loads(wrapped(CHECKPOINT, **changed)))


@pytest.mark.parametrize("said", [{"mtp_config": {"num_nextn_predict_layers": 8}}, {}], ids=["checkpoint", "saved"])
def test_layers_for_further_tokens_are_said_not_to_be_counted(said: dict[str, Any]) -> None:
    decoder = CHECKPOINT if said else {**SAVED, "num_mtp_layers": 8}
    whole = described(json.dumps({"model_type": "inkling_mm_model", "text_config": decoder, **said}))
    assert [note for note in whole.notes if note.startswith("The layers for further tokens")]
    assert described(whole.model.id).notes == whole.notes
    assert whole.model.total_params == 947_025_547_842
