"""ChatGLM2, ChatGLM3 and GLM-4 9B in their checkpoints' own form, whose keys have names of Megatron.

Source: vLLM 0.33, transformers_utils/configs/chatglm.py, `ChatGLMConfig`; model_executor/models/chatglm.py,
`GLMAttention`, `GLMMLP`, `GLMTransformer`.
"""

from inferplan.catalog.hugging_face.families.family import Family
from inferplan.catalog.hugging_face.layers.ffn import DenseLayers
from inferplan.catalog.hugging_face.layers.heads import AttentionLayers, Heads

TYPE = "chatglm"
_NAMES = {
    "padded_vocab_size": "vocab_size",
    "kv_channels": "head_dim",
    "multi_query_group_num": "num_key_value_heads",
    "ffn_hidden_size": "intermediate_size",
}
"""Names of ChatGLM, each with the usual one; the padded vocabulary is what embedding and head have."""
ROTATED = 0.5
"""The share of a head that rotates, whatever the config says."""

FAMILY = Family(
    refused=("add_bias_linear",),
    mixers=AttentionLayers(heads=Heads(qkv_bias="add_qkv_bias")),
    blocks=DenseLayers(),
)


def with_usual_names(config: dict[str, object]) -> dict[str, object]:
    """The config under the names that other types have; another type's config as it is."""
    if config.get("model_type") != TYPE:
        return config
    shared = config.get("multi_query_attention") is True
    names = {own: usual for own, usual in _NAMES.items() if own in config and (shared or "query" not in own)}
    usual = {name: config[own] for own, name in names.items()}
    return {"partial_rotary_factor": ROTATED, **config, **usual}
