"""Families of mixtures of experts whose attention has query, key and value heads."""

from collections.abc import Mapping
from dataclasses import replace

from inferplan.catalog.hugging_face.families import (
    dbrx,
    ernie4_5_vl,
    granite,
    inkling,
    laguna,
    llama4,
    mimo_v2,
    minimax,
    step3,
)
from inferplan.catalog.hugging_face.families.family import Family
from inferplan.catalog.hugging_face.layers.expert_layers import (
    after_dense,
    after_first,
    by_frequency,
    from_start_to_end,
    sparse_step,
)
from inferplan.catalog.hugging_face.layers.ffn import Blocks, DenseLayers, MoeLayers
from inferplan.catalog.hugging_face.layers.heads import (
    BIAS_FLAG,
    QK_NORM,
    SINKS,
    WIDE_QK_NORM,
    AttentionLayers,
    Heads,
)
from inferplan.catalog.hugging_face.layers.multi_token import MultiTokenLayers
from inferplan.catalog.hugging_face.layers.windows import (
    after_dense_prefix,
    every_layer,
    first_full_in_four,
    from_max_window_layers,
    from_max_window_layers_if_used,
    full_unless_listed,
    local_global,
    one_full_in,
)
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, Keys

AFTER_FIRST_K = after_dense("first_k_dense_replace")
DEEPSEEK_EXPERTS = MoeLayers(
    count=("n_routed_experts", "num_local_experts"), shared_experts=("n_shared_experts",), where=AFTER_FIRST_K
)
SARVAM_EXPERTS = replace(
    DEEPSEEK_EXPERTS,
    count=("n_routed_experts", "num_experts", "num_local_experts"),
    shared_experts=("n_shared_experts", "num_shared_experts"),
    shared_each=("moe_shared_expert_intermediate_size",),
)
"""Under the names of transformers, or of the checkpoints."""
DEEPSEEK_MTP = MultiTokenLayers(embeddings=2, correction_bias=True)
SHARED_BY_WIDTH = MoeLayers(count=("num_experts",), shared_width=("shared_expert_intermediate_size",))
QWEN_SHARED_EXPERT = replace(SHARED_BY_WIDTH, shared_gate=True)
"""Qwen3.5's: a gated shared expert in every layer."""
QWEN2_EXPERTS = replace(QWEN_SHARED_EXPERT, where=sparse_step)
_SHARED_BY_COUNT = MoeLayers(count=("num_experts",), shared_experts=("num_shared_experts",), where=AFTER_FIRST_K)
_MIXTRAL_EXPERTS = MoeLayers(count=("num_local_experts",), width=("intermediate_size",))
_LOCAL_OR_NUM = ("num_local_experts", "num_experts")


def _minicpm_blocks(keys: Keys) -> Blocks:
    """Dense blocks; experts in every layer where there are any. Source: vLLM 0.33, `MiniCPMDecoderLayer`."""
    experts = keys.optional("num_experts", high=LARGEST_COUNT)
    return replace(_MIXTRAL_EXPERTS, count=("num_experts",))(keys) if experts else DenseLayers()(keys)


MOE_FAMILIES: Mapping[str, Family] = {
    "afmoe": Family(
        refused=("attention_bias",),
        mixers=AttentionLayers(
            heads=Heads(qk_norm="per_head", output_gate=True),
            windows=one_full_in(4, "global_attn_every_n_layers"),
        ),
        blocks=replace(_SHARED_BY_COUNT, where=after_dense("num_dense_layers"), correction_bias=True),
        norms=4,
    ),
    "bailing_moe_v2": Family(
        mixers=AttentionLayers(
            heads=Heads(qkv_bias="use_qkv_bias", output_bias="use_bias", qk_norm="per_head", qk_norm_flag="use_qk_norm")
        ),
        blocks=_SHARED_BY_COUNT,
    ),
    "cohere2_moe": Family(
        refused=("attention_bias",),
        mixers=AttentionLayers(windows=after_dense_prefix),
        blocks=replace(
            _SHARED_BY_COUNT,
            width=("intermediate_size",),
            dense=DenseLayers(width=("prefix_dense_intermediate_size",)),
        ),
        norms=1,
        tied=True,
    ),
    "dbrx": Family(mixers=dbrx.mixers, blocks=dbrx.blocks),
    "deepseek": Family(refused=("attention_bias",), mixers=AttentionLayers(), blocks=DEEPSEEK_EXPERTS),
    "dots1": Family(mixers=AttentionLayers(heads=QK_NORM, windows=from_max_window_layers), blocks=DEEPSEEK_EXPERTS),
    "ernie4_5_moe": Family(
        refused=("use_bias",),
        mixers=AttentionLayers(heads=Heads(qkv_bias="use_bias", output_bias="use_bias")),
        blocks=MoeLayers(
            count=("moe_num_experts",),
            active=("moe_k",),
            shared_experts=("moe_num_shared_experts",),
            where=from_start_to_end,
            dense=DenseLayers(bias="use_bias"),
            bias="use_bias",
        ),
        head_bias="use_bias",
        tied=True,
        multi_token=MultiTokenLayers(norms=4, dense=True),
    ),
    "ernie4_5_moe_vl": Family(refused=("use_bias",), mixers=AttentionLayers(), blocks=ernie4_5_vl.blocks, tied=True),
    "exaone_moe": Family(
        mixers=AttentionLayers(heads=Heads(qk_norm="per_head"), windows=local_global),
        blocks=replace(_SHARED_BY_COUNT, where=after_dense("first_k_dense_replace", "first_last_k_dense_replace")),
        multi_token=MultiTokenLayers(dense=True),
    ),
    "glm4_moe": Family(
        mixers=AttentionLayers(heads=Heads(qkv_bias="attention_bias", qk_norm="per_head", qk_norm_flag="use_qk_norm")),
        blocks=DEEPSEEK_EXPERTS,
        multi_token=DEEPSEEK_MTP,
    ),
    "gpt_oss": Family(
        mixers=AttentionLayers(heads=SINKS, windows=one_full_in(2, None)),
        blocks=MoeLayers(
            count=_LOCAL_OR_NUM,
            active=("num_experts_per_tok", "experts_per_token"),
            width=("intermediate_size",),
            bias=True,
            router_bias=True,
        ),
    ),
    "granitemoe": Family(mixers=AttentionLayers(heads=BIAS_FLAG), blocks=granite.EXPERTS),
    "granitemoe_swa": Family(
        mixers=AttentionLayers(heads=SINKS, windows=first_full_in_four), blocks=granite.shared_blocks
    ),
    "granitemoeshared": Family(mixers=AttentionLayers(heads=BIAS_FLAG), blocks=granite.shared_blocks),
    "hunyuan_v1_moe": Family(
        mixers=AttentionLayers(heads=QK_NORM),
        blocks=MoeLayers(
            count=("num_experts",),
            active=("moe_topk",),
            width=("moe_intermediate_size", "intermediate_size"),
            shared_experts=("num_shared_expert",),
            shared_default=1,
        ),
    ),
    "hy_v3": Family(
        refused=("mlp_bias",),
        mixers=AttentionLayers(heads=QK_NORM),
        blocks=_SHARED_BY_COUNT,
        multi_token=MultiTokenLayers(),
    ),
    "inkling_text": Family(
        refused=("q_bias", "o_bias", "tie_word_embeddings"),
        mixers=inkling.mixers,
        blocks=inkling.blocks,
        extras=inkling.extras,
        multi_token=inkling.drafting,
    ),
    "kolibri1": Family(
        mixers=AttentionLayers(heads=QK_NORM, windows=one_full_in(5, None)),
        blocks=replace(SHARED_BY_WIDTH, count=_LOCAL_OR_NUM),
        norms=4,
    ),
    "laguna": Family(
        refused=("attention_bias",), mixers=laguna.mixers, blocks=replace(SHARED_BY_WIDTH, where=after_first)
    ),
    "llama4_text": Family(mixers=llama4.mixers, blocks=llama4.BLOCKS),
    "mellum": Family(
        mixers=AttentionLayers(heads=QK_NORM, windows=full_unless_listed),
        blocks=MoeLayers(count=_LOCAL_OR_NUM),
        local_rope=True,
    ),
    "mimo_v2_flash": Family(
        mixers=mimo_v2.mixers,
        blocks=MoeLayers(count=("n_routed_experts",), shared_experts=("n_shared_experts",), where=by_frequency),
    ),
    "minicpm": Family(
        refused=("attention_bias", "mlp_bias"), mixers=AttentionLayers(), blocks=_minicpm_blocks, tied=True
    ),
    "minimax_m2": Family(mixers=AttentionLayers(heads=Heads(qk_norm="full_width")), blocks=_MIXTRAL_EXPERTS),
    "minimax_m3": Family(
        mixers=minimax.sparse,
        blocks=MoeLayers(
            count=("num_local_experts",),
            width=("moe_intermediate_size", "intermediate_size"),
            shared_experts=("n_shared_experts",),
            where=by_frequency,
            dense=DenseLayers(width=("dense_intermediate_size",)),
        ),
    ),
    "mixtral": Family(mixers=AttentionLayers(windows=every_layer), blocks=_MIXTRAL_EXPERTS),
    "olmoe": Family(
        mixers=AttentionLayers(heads=WIDE_QK_NORM),
        blocks=MoeLayers(count=("num_experts",), width=("intermediate_size",)),
    ),
    "phimoe": Family(
        mixers=AttentionLayers(heads=BIAS_FLAG, windows=every_layer),
        blocks=_MIXTRAL_EXPERTS,
        norm_bias=True,
        head_bias="lm_head_bias",
    ),
    "qwen2_moe": Family(
        mixers=AttentionLayers(heads=Heads(qkv_bias="qkv_bias"), windows=from_max_window_layers_if_used),
        blocks=QWEN2_EXPERTS,
    ),
    "qwen3_moe": Family(
        mixers=AttentionLayers(heads=QK_NORM, windows=from_max_window_layers_if_used),
        blocks=MoeLayers(count=("num_experts", "num_local_experts"), where=sparse_step),
    ),
    "sarvam_moe": Family(
        refused=("attention_bias", "use_qkv_bias"),
        mixers=AttentionLayers(heads=Heads(qk_norm="per_head", qk_norm_flag="use_qk_norm")),
        blocks=SARVAM_EXPERTS,
    ),
    "solar_open": Family(refused=("attention_bias",), mixers=AttentionLayers(heads=BIAS_FLAG), blocks=DEEPSEEK_EXPERTS),
    "step3p5": Family(
        refused=("attention_bias", "mlp_bias"),
        mixers=step3.mixers,
        blocks=step3.blocks,
        multi_token=MultiTokenLayers(embeddings=1, dense=True, sliding=True),
    ),
}
"""By `model_type`."""
