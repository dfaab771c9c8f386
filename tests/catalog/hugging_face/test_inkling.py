"""Inkling's configs in both forms, the checkpoint's and the one that transformers saves: each makes the same layers.

Totals are those of transformers 5.24, `InklingForConditionalGeneration`, on torch's "meta" device, and of checkpoints.
"""

import json
from typing import Any

import pytest

from configs import problem
from inferplan.catalog.hugging_face.config import described
from inferplan.catalog.models import MODELS

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


LOCAL = [0, 2, 4, 5, 6, 7]
DRAFTING = {"mtp_config": {"num_nextn_predict_layers": 8, "local_layer_ids": LOCAL, "chain_hidden_post_norm": False}}
DRAFTING_SAVED = {"num_mtp_layers": 8, "mtp_local_layer_ids": LOCAL}
ENCODERS = {
    "audio_config": {"n_mel_bins": 80, "mel_vocab_size": 16},
    "vision_config": {"patch_size": 40, "temporal_patch_size": 2, "n_channels": 3, "n_layers": 4},
}


def wrapped(decoder: dict[str, Any], **changed: Any) -> str:
    return json.dumps({"model_type": "inkling_mm_model", "text_config": {**decoder, **changed}})


@pytest.mark.parametrize(
    ("config", "id_", "biases", "published"),
    [
        ({"text_config": CHECKPOINT, **DRAFTING}, "thinkingmachines/Inkling", 64 * 256, 952_377_623_626),
        ({"text_config": {**SAVED, **DRAFTING_SAVED}}, "thinkingmachines/Inkling", 64 * 256, 952_377_623_626),
        ({"text_config": SMALL, **DRAFTING}, "thinkingmachines/Inkling-Small", 40 * 256, 265_956_439_090),
    ],
    ids=["checkpoint", "saved", "small"],
)
def test_both_forms_have_the_layers_of_the_catalogued_model_and_the_published_total(
    config: dict[str, Any], id_: str, biases: int, published: int
) -> None:
    """Decoder, encoders, layers for further tokens and the biases that correct routers, which are buffers here."""
    one = described(json.dumps({"model_type": "inkling_mm_model", **config, **ENCODERS}))
    architecture, drafting = one.model.architecture, one.model.architecture.multi_token
    assert drafting is not None
    assert one.model.total_params + architecture.vision_params + drafting.params + biases == published
    assert architecture == MODELS[id_].architecture
    assert one.notes == ()
    assert described(one.model.id).model.architecture == architecture
    assert len(one.model.id) < 1300


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


@pytest.mark.parametrize(
    ("changed", "more"),
    [
        ({"local_layer_ids": []}, 6 * 6144 * (8 * 128 - 16 * 128) * 2 + 6 * (512 * 16 - 8 * 4 * 128 * 2)),
        ({"chain_hidden_post_norm": True}, 6144),
    ],
    ids=["all of them full", "a norm for all"],
)
def test_layers_for_further_tokens_attend_as_listed_and_may_share_a_norm(changed: dict[str, Any], more: int) -> None:
    """vLLM 0.33, models/inkling/nvidia/mtp.py; full layers have 8 KV heads of 16, and biases of 1,024 places of 512."""
    found = [
        described(json.dumps({"model_type": "inkling_mm_model", "text_config": CHECKPOINT, "mtp_config": one}))
        for one in (DRAFTING["mtp_config"], {**DRAFTING["mtp_config"], **changed})
    ]
    usual, other = (one.model.architecture.multi_token for one in found)
    assert usual is not None
    assert other is not None
    assert other.params - usual.params == more


def test_steps_of_an_image_encoder_that_no_published_inkling_has_are_said_not_to_be_counted() -> None:
    other = {**ENCODERS, "vision_config": {"n_layers": 24}}
    one = described(json.dumps({"model_type": "inkling_mm_model", "text_config": CHECKPOINT, **other}))
    assert [note for note in one.notes if "vision tower" in note] == list(one.notes)
    assert one.model.architecture.vision_params == (80 * 16 + 1) * 6144
