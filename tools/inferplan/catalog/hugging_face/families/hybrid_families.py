"""Families with recurrent layers: Mamba, Gated DeltaNet, Kimi Delta Attention, lightning attention, convolutions."""

from collections.abc import Mapping
from dataclasses import replace

from inferplan.catalog.hugging_face.families import (
    falcon_h1,
    glm5_next,
    granite,
    jamba,
    kimi_linear,
    lfm2,
    ling,
    mamba,
    minimax,
    nemotron_h,
    qwen4_exp,
)
from inferplan.catalog.hugging_face.families.family import Family
from inferplan.catalog.hugging_face.families.moe_families import (
    AFTER_FIRST_K,
    DEEPSEEK_EXPERTS,
    QWEN2_EXPERTS,
    QWEN_SHARED_EXPERT,
)
from inferplan.catalog.hugging_face.layers.expert_layers import after_dense, by_period
from inferplan.catalog.hugging_face.layers.ffn import DenseLayers, MoeLayers
from inferplan.catalog.hugging_face.layers.heads import QK_NORM, WIDE_QK_NORM
from inferplan.catalog.hugging_face.layers.multi_token import NUM_MTP, NUM_MTP_LAYERS, NUM_NEXTN, MultiTokenLayers
from inferplan.catalog.hugging_face.layers.recurrent import GatedDeltaLayers

_QWEN_DELTA = GatedDeltaLayers(heads=replace(QK_NORM, output_gate=True))
_QWEN_MTP = MultiTokenLayers(count=(NUM_MTP, NUM_NEXTN))

HYBRID_FAMILIES: Mapping[str, Family] = {
    "bailing_hybrid": Family(
        refused=("use_bias", "use_qkv_bias", "use_mla_nope", "multi_gate"),
        mixers=ling.mixers,
        blocks=MoeLayers(
            count=("num_experts", "num_local_experts"),
            active=("num_experts_per_tok", "num_experts_per_token"),
            shared_experts=("num_shared_experts", "n_shared_experts"),
            shared_each=("moe_shared_expert_intermediate_size",),
            where=AFTER_FIRST_K,
        ),
        state_bytes=ling.state_bytes,
        multi_token=MultiTokenLayers(count=(NUM_NEXTN, NUM_MTP_LAYERS), correction_bias=True),
    ),
    "falcon_h1": Family(mixers=falcon_h1.mixers, blocks=DenseLayers(bias="mlp_bias")),
    "glm5_next_text": Family(
        refused=("attention_bias",),
        mixers=glm5_next.mixers,
        blocks=DEEPSEEK_EXPERTS,
        state_bytes=4,
        extras=glm5_next.extras,
        multi_token=MultiTokenLayers(correction_bias=True, latent=True),
    ),
    "granitemoehybrid": Family(mixers=granite.mixers, blocks=granite.shared_blocks),
    "jamba": Family(
        mixers=jamba.mixers,
        blocks=MoeLayers(count=("num_experts",), width=("intermediate_size",), where=by_period),
    ),
    "kimi_linear": Family(
        mixers=kimi_linear.mixers, blocks=kimi_linear.blocks, state_bytes=4, extras=kimi_linear.extras
    ),
    "falcon_mamba": mamba.FIRST,
    "lfm2": Family(mixers=lfm2.mixers, blocks=lfm2.blocks, tied=True),
    "lfm2_moe": Family(
        mixers=lfm2.mixers,
        blocks=MoeLayers(
            count=("num_experts",), where=after_dense("num_dense_layers", listed=False), correction_bias=True
        ),
        tied=True,
    ),
    "lfm3": Family(mixers=lfm2.with_windows, norms=lfm2.sandwich_norms, tied=True, local_rope=True),
    "mamba": mamba.FIRST,
    "mamba2": mamba.SECOND,
    "minimax": Family(
        mixers=minimax.lightning,
        blocks=MoeLayers(count=("num_local_experts",), width=("intermediate_size",)),
        state_bytes=4,
    ),
    "nemotron_h": Family(
        refused=("attention_bias", "mlp_bias", "tie_word_embeddings"),
        mixers=nemotron_h.mixers,
        blocks=nemotron_h.blocks,
        norms=1,
        state_bytes=4,
    ),
    "olmo_hybrid": Family(mixers=GatedDeltaLayers(heads=WIDE_QK_NORM)),
    "qwen3_5_moe_text": Family(
        refused=("attention_bias",), mixers=_QWEN_DELTA, blocks=QWEN_SHARED_EXPERT, multi_token=_QWEN_MTP
    ),
    "qwen3_5_text": Family(refused=("attention_bias",), mixers=_QWEN_DELTA, multi_token=_QWEN_MTP),
    "qwen3_next": Family(refused=("attention_bias",), mixers=_QWEN_DELTA, blocks=QWEN2_EXPERTS),
    "qwen4_exp_text": Family(
        refused=("attention_bias",),
        mixers=qwen4_exp.mixers,
        blocks=QWEN_SHARED_EXPERT,
        norms=0,
        final_norms=0,
        state_bytes=4,
        extras=qwen4_exp.extras,
        multi_token=replace(_QWEN_MTP, extra_params=qwen4_exp.mtp_params),
    ),
}
"""By `model_type`. `state_bytes` is 4 where engines keep states in fp32. [B]"""
