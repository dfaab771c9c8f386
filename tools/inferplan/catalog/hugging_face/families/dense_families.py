"""Families of dense decoders: attention with query, key and value heads, and one feed-forward block per layer."""

from collections.abc import Mapping
from dataclasses import replace

from inferplan.catalog.hugging_face.families import chatglm, gemma3n, gemma4, minicpm3, mllama, molmo2, nemotron_nas
from inferplan.catalog.hugging_face.families import early_decoders as early
from inferplan.catalog.hugging_face.families.family import Family, always
from inferplan.catalog.hugging_face.layers.ffn import DenseLayers
from inferplan.catalog.hugging_face.layers.heads import (
    BIAS_FLAG,
    FUSED,
    FUSED_BIASED,
    QK_NORM,
    QKV_BIAS_FLAG,
    SINKS,
    WIDE_QK_NORM,
    AttentionLayers,
    Heads,
    Mixers,
)
from inferplan.catalog.hugging_face.layers.multi_token import MultiTokenLayers
from inferplan.catalog.hugging_face.layers.windows import (
    every_layer,
    first_full_in_four,
    from_max_window_layers_if_used,
    full_unless_listed,
    local_global,
    one_full_in,
    one_full_in_four_from_last,
    sliding_unless_listed,
)
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of


def _hyperclovax_norms(keys: Keys) -> int:
    """One before and, unless switched off, one behind each block. Source: transformers, `HyperCLOVAXDecoderLayer`."""
    return 4 if keys.flag("use_post_norm", default=True) else 2


def _helium_mixers(keys: Keys) -> Mixers:
    """The output has no bias, and is as wide as it reads. Source: transformers 5.24, `HeliumAttention`."""
    one, hidden = QKV_BIAS_FLAG.read(keys), hidden_of(keys)
    if one.output_width != hidden:
        keys.contradiction(f"heads that are {one.output_width} wide in all are not the hidden size of {hidden}")
    return AttentionLayers(heads=QKV_BIAS_FLAG)(keys)


_LLAMA = Family(mixers=AttentionLayers(heads=BIAS_FLAG), blocks=DenseLayers(bias="mlp_bias"))
_LAYER_NORM_QK = Heads(
    qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="per_head_layernorm", qk_norm_flag="use_qk_norm"
)
_USE_BIAS = Heads(qkv_bias="use_bias", output_bias="use_bias")

DENSE_FAMILIES: Mapping[str, Family] = {
    "apertus": Family(mixers=AttentionLayers(heads=QK_NORM), blocks=DenseLayers(gated=False, extra_params=2)),
    "apertus1p5_text": Family(
        mixers=AttentionLayers(heads=QK_NORM),
        blocks=DenseLayers(gated=False, extra_params=2),
        head_rows="output_vocab_size",
    ),
    "arcee": Family(mixers=AttentionLayers(heads=BIAS_FLAG), blocks=DenseLayers(gated=False, bias="mlp_bias")),
    "baichuan": Family(mixers=AttentionLayers()),
    "bloom": Family(
        mixers=AttentionLayers(heads=FUSED_BIASED),
        blocks=early.bloom_blocks,
        norm_bias=True,
        tied=True,
        extras=early.bloom_extras,
    ),
    "chatglm": chatglm.FAMILY,
    "cohere": Family(mixers=AttentionLayers(heads=_LAYER_NORM_QK), norms=1, tied=True),
    "cohere2": Family(mixers=AttentionLayers(heads=BIAS_FLAG, windows=one_full_in(4)), norms=1, tied=True),
    "cwm": Family(mixers=AttentionLayers(windows=first_full_in_four), blocks=DenseLayers(bias="mlp_bias")),
    "ernie4_5": Family(
        mixers=AttentionLayers(heads=_USE_BIAS),
        blocks=DenseLayers(bias="use_bias"),
        head_bias="use_bias",
        tied=True,
    ),
    "exaone": Family(refused=("attention_bias", "mlp_bias"), mixers=AttentionLayers()),
    "exaone4": Family(mixers=AttentionLayers(heads=Heads(qk_norm="per_head"), windows=local_global)),
    "falcon": Family(
        mixers=early.falcon_mixers,
        blocks=early.falcon_blocks,
        norms=early.falcon_norms,
        norm_bias=True,
        joined=early.falcon_joined,
        tied=True,
    ),
    "gemma": Family(mixers=AttentionLayers(heads=BIAS_FLAG), tied=True),
    "gemma2": Family(mixers=AttentionLayers(heads=BIAS_FLAG, windows=one_full_in(2, None)), norms=4, tied=True),
    "gemma3_text": Family(
        mixers=AttentionLayers(heads=QK_NORM, windows=one_full_in(6)), norms=4, tied=True, local_rope=True
    ),
    "gemma3n_text": Family(
        refused=("attention_bias",),
        mixers=gemma3n.mixers,
        blocks=gemma3n.blocks,
        norms=4,
        tied=True,
        local_rope=True,
        extras=gemma3n.extras,
    ),
    "gemma4_text": Family(
        mixers=gemma4.mixers, blocks=gemma4.blocks, norms=gemma4.norms, tied=True, extras=gemma4.extras
    ),
    "glm": Family(mixers=AttentionLayers(heads=QKV_BIAS_FLAG)),
    "glm4": Family(mixers=AttentionLayers(heads=QKV_BIAS_FLAG), norms=4),
    "glm4v_text": Family(mixers=AttentionLayers(heads=Heads(qkv_bias=True)), norms=4),
    "glm_ocr_text": Family(mixers=AttentionLayers(), norms=4, multi_token=MultiTokenLayers(norms=7, embeddings=2)),
    "gpt2": Family(
        refused=("add_cross_attention",),
        mixers=AttentionLayers(heads=FUSED_BIASED),
        blocks=early.bigcode_blocks,
        norm_bias=True,
        tied=True,
        extras=early.bigcode_extras,
    ),
    "gptj": Family(
        mixers=AttentionLayers(),
        blocks=early.bigcode_blocks,
        norms=1,
        norm_bias=True,
        joined=always,
        head_bias=True,
    ),
    "gpt_bigcode": Family(
        mixers=early.bigcode_mixers,
        blocks=early.bigcode_blocks,
        norm_bias=True,
        tied=True,
        extras=early.bigcode_extras,
    ),
    "gpt_neox": Family(
        mixers=AttentionLayers(heads=replace(BIAS_FLAG, fused=True)),
        blocks=DenseLayers(gated=False, bias=True),
        norm_bias=True,
    ),
    "granite": _LLAMA,
    "granite_swa": Family(
        mixers=AttentionLayers(heads=SINKS, windows=first_full_in_four), blocks=DenseLayers(bias="mlp_bias")
    ),
    "helium": Family(mixers=_helium_mixers, blocks=DenseLayers(bias="mlp_bias")),
    "hunyuan_v1_dense": Family(mixers=AttentionLayers(heads=QK_NORM)),
    "hyperclovax": Family(
        mixers=AttentionLayers(heads=BIAS_FLAG), blocks=DenseLayers(bias="mlp_bias"), norms=_hyperclovax_norms
    ),
    "internlm2": Family(mixers=AttentionLayers(heads=Heads(qkv_bias="bias", output_bias="bias"))),
    "internlm3": Family(refused=("bias", "qkv_bias", "attention_bias", "mlp_bias"), mixers=AttentionLayers()),
    "jais2": Family(
        mixers=AttentionLayers(heads=BIAS_FLAG), blocks=DenseLayers(gated=False, bias="mlp_bias"), norm_bias=True
    ),
    "llama": _LLAMA,
    "mimo": Family(
        mixers=AttentionLayers(heads=QKV_BIAS_FLAG, windows=from_max_window_layers_if_used),
        multi_token=MultiTokenLayers(),
    ),
    "minicpm3": Family(mixers=minicpm3.mixers, blocks=DenseLayers(bias="mlp_bias"), tied=True),
    "ministral": Family(mixers=AttentionLayers(windows=sliding_unless_listed)),
    "ministral3": Family(mixers=AttentionLayers(windows=full_unless_listed)),
    "mistral": Family(mixers=AttentionLayers(windows=every_layer)),
    "mllama_text_model": Family(mixers=mllama.mixers, extras=mllama.extras),
    "molmo2_text": Family(mixers=molmo2.mixers, extras=molmo2.extras),
    "muse_glimmer_text": Family(
        refused=("attention_bias",),
        mixers=AttentionLayers(heads=Heads(output_gate=True), windows=one_full_in_four_from_last),
        norms=4,
    ),
    "nemotron": Family(
        mixers=AttentionLayers(heads=BIAS_FLAG), blocks=DenseLayers(gated=False, bias="mlp_bias"), norm_bias=True
    ),
    "nemotron-nas": Family(mixers=nemotron_nas.mixers, blocks=nemotron_nas.blocks, norms=0, extras=nemotron_nas.extras),
    "olmo": Family(mixers=AttentionLayers(heads=BIAS_FLAG), norms=0, final_norms=0),
    "olmo2": Family(mixers=AttentionLayers(heads=WIDE_QK_NORM)),
    "olmo3": Family(mixers=AttentionLayers(heads=WIDE_QK_NORM, windows=one_full_in(4, None))),
    "opt": Family(
        mixers=AttentionLayers(heads=Heads(qkv_bias="enable_bias", output_bias="enable_bias")),
        blocks=DenseLayers(width=("ffn_dim",), gated=False, bias="enable_bias"),
        norm_bias=True,
        tied=True,
        extras=early.opt_extras,
    ),
    "phi": Family(
        refused=("tie_word_embeddings",),
        mixers=early.phi_mixers,
        blocks=DenseLayers(gated=False, bias=True),
        norms=1,
        norm_bias=True,
        head_bias=True,
    ),
    "phi3": Family(mixers=AttentionLayers(heads=FUSED, windows=every_layer)),
    "qwen2": Family(mixers=AttentionLayers(heads=Heads(qkv_bias=True), windows=from_max_window_layers_if_used)),
    "qwen3": Family(mixers=AttentionLayers(heads=QK_NORM, windows=from_max_window_layers_if_used)),
    "seed_oss": Family(
        mixers=AttentionLayers(heads=Heads(qkv_bias="attention_bias", output_bias="attention_out_bias")),
        blocks=DenseLayers(bias="mlp_bias"),
    ),
    "smollm3": Family(
        refused=("use_sliding_window",),
        mixers=AttentionLayers(heads=BIAS_FLAG, windows=full_unless_listed),
        blocks=DenseLayers(bias="mlp_bias"),
        tied=True,
    ),
    "stablelm": Family(
        mixers=AttentionLayers(
            heads=Heads(qkv_bias="use_qkv_bias", qk_norm="per_head_layernorm", qk_norm_flag="qk_layernorm")
        ),
        norms=early.stablelm_norms,
        norm_bias=True,
    ),
    "starcoder2": Family(
        mixers=AttentionLayers(heads=_USE_BIAS, windows=every_layer),
        blocks=DenseLayers(gated=False, bias="use_bias"),
        norm_bias=True,
        tied=True,
    ),
}
"""By `model_type`. Gemma 4's 26B-A4B has experts beside its dense blocks; Mllama's layers may be cross-attention."""
