"""The families of transformers that the reader knows: what mixes tokens, what each token passes through, and norms."""

from collections.abc import Mapping

from inferplan.catalog.hugging_face import _bailing as bailing
from inferplan.catalog.hugging_face import _ernie as ernie_vl
from inferplan.catalog.hugging_face import _family as own
from inferplan.catalog.hugging_face import _ffn as ffn
from inferplan.catalog.hugging_face import _gemma as gemma
from inferplan.catalog.hugging_face import _gemma3n as gemma3n
from inferplan.catalog.hugging_face import _longcat as longcat
from inferplan.catalog.hugging_face import _nas as nas
from inferplan.catalog.hugging_face import _recurrent as recurrent
from inferplan.catalog.hugging_face import _step as step
from inferplan.catalog.hugging_face import _streams as streams
from inferplan.catalog.hugging_face._attention import (
    Heads,
    Plain,
    after_prefix,
    crossed,
    every_layer,
    from_last,
    from_layer,
    full_unless_typed,
    laguna,
    lettered,
    llama4,
    mimo_v2,
    minimax_m3,
    one_full_in,
    sliding_unless_typed,
)
from inferplan.catalog.hugging_face._family import Family
from inferplan.catalog.hugging_face._ffn import Dense, Routed, after_dense
from inferplan.catalog.hugging_face._latent import Latents, kimi_linear
from inferplan.catalog.hugging_face._multi_token import Further

BOTH = Heads(qkv_bias="attention_bias", output_bias="attention_bias")
QUERY = Heads(qkv_bias="attention_bias")
QK = Heads(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="per_head")
WIDE = Heads(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="full_width")
BIASED = Heads(qkv_bias=True, output_bias=True)
GATED_DELTA = recurrent.gated_delta(
    Heads(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="per_head", output_gate=True)
)
DEEPSEEK = Routed(
    count=("n_routed_experts", "num_local_experts"),
    shared_experts=("n_shared_experts",),
    where=after_dense("first_k_dense_replace"),
)
QWEN_MOE = Routed(count=("num_experts", "num_local_experts"), where=ffn.sparse_step)
QWEN_SHARED = Routed(
    count=("num_experts",),
    shared_width=("shared_expert_intermediate_size",),
    shared_gate=True,
    where=ffn.sparse_step,
)


LLAMA = Family(mixers=Plain(heads=BOTH), blocks=Dense(bias="mlp_bias"))
MISTRAL = Family(mixers=Plain(windows=every_layer))
QWEN2 = Family(mixers=Plain(heads=Heads(qkv_bias=True), windows=from_layer))
QWEN3 = Family(mixers=Plain(heads=QK, windows=from_layer))
QWEN3_MOE = Family(mixers=Plain(heads=QK, windows=from_layer), blocks=QWEN_MOE)
GEMMA3 = Family(mixers=Plain(heads=QK, windows=one_full_in(6)), norms=4, tied=True, local_rope=True)
GEMMA4 = Family(mixers=gemma.mixers, blocks=gemma.blocks, norms=gemma.norms, tied=True, ends=gemma.ends)
QWEN_FURTHER = Further(key="mtp_num_hidden_layers", names=("mtp_num_hidden_layers", "num_nextn_predict_layers"))
DEEPSEEK_FURTHER = Further(key="num_nextn_predict_layers", ends=2, corrected=True)
LING_FURTHER = Further(
    key="num_nextn_predict_layers", names=("num_nextn_predict_layers", "num_mtp_layers"), corrected=True
)
QWEN3_NEXT = Family(unlike=("attention_bias",), mixers=GATED_DELTA, blocks=QWEN_SHARED)
QWEN3_5 = Family(unlike=("attention_bias",), mixers=GATED_DELTA, further=QWEN_FURTHER)
QWEN3_5_MOE = Family(
    unlike=("attention_bias",),
    mixers=GATED_DELTA,
    blocks=Routed(count=("num_experts",), shared_width=("shared_expert_intermediate_size",), shared_gate=True),
    further=QWEN_FURTHER,
)
DEEPSEEK_V3 = Family(mixers=Latents(), blocks=DEEPSEEK, further=DEEPSEEK_FURTHER)
LAGUNA = Routed(
    count=("num_experts",),
    shared_width=("shared_expert_intermediate_size",),
    where=ffn.first_dense,
)
GLM4_MOE = Family(
    mixers=Plain(heads=Heads(qkv_bias="attention_bias", qk_norm="per_head", qk_norm_flag="use_qk_norm")),
    blocks=DEEPSEEK,
    further=DEEPSEEK_FURTHER,
)
EXAONE4 = Heads(qk_norm="per_head")
BIG_MISTRAL = Family(mixers=Plain(windows=full_unless_typed))
BAILING = Family(
    mixers=Plain(
        heads=Heads(qkv_bias="use_qkv_bias", output_bias="use_bias", qk_norm="per_head", qk_norm_flag="use_qk_norm")
    ),
    blocks=Routed(
        count=("num_experts",), shared_experts=("num_shared_experts",), where=after_dense("first_k_dense_replace")
    ),
)

FAMILIES: Mapping[str, Family] = {
    "afmoe": Family(
        unlike=("attention_bias",),
        mixers=Plain(
            heads=Heads(qk_norm="per_head", output_gate=True),
            windows=one_full_in(4, "global_attn_every_n_layers"),
        ),
        blocks=Routed(
            count=("num_experts",),
            shared_experts=("num_shared_experts",),
            where=after_dense("num_dense_layers"),
            router="corrected",
        ),
        norms=4,
    ),
    "apertus": Family(mixers=Plain(heads=QK), blocks=Dense(gated=False, extra_params=2)),
    "arcee": Family(mixers=Plain(heads=BOTH), blocks=Dense(gated=False, bias="mlp_bias")),
    "axk1": Family(mixers=Latents(), blocks=DEEPSEEK, norms=3),
    "bailing_hybrid": Family(
        unlike=("use_bias", "use_qkv_bias", "use_mla_nope", "multi_gate"),
        mixers=bailing.mixers,
        blocks=Routed(
            count=("num_experts", "num_local_experts"),
            active=("num_experts_per_tok", "num_experts_per_token"),
            shared_experts=("num_shared_experts", "n_shared_experts"),
            shared_each=("moe_shared_expert_intermediate_size",),
            where=after_dense("first_k_dense_replace"),
        ),
        state_bytes=bailing.state_bytes,
        further=LING_FURTHER,
    ),
    "bailing_moe_v2": BAILING,
    "bloom": Family(mixers=Plain(heads=BIASED), blocks=ffn.four_times, norm_bias=True, tied=True, ends=own.bloom_ends),
    "cohere": Family(
        mixers=Plain(
            heads=Heads(
                qkv_bias="attention_bias",
                output_bias="attention_bias",
                qk_norm="per_head_layernorm",
                qk_norm_flag="use_qk_norm",
            )
        ),
        norms=1,
        tied=True,
    ),
    "cohere2_moe": Family(
        unlike=("attention_bias",),
        mixers=Plain(windows=after_prefix),
        blocks=Routed(
            count=("num_experts",),
            width=("intermediate_size",),
            shared_experts=("num_shared_experts",),
            where=after_dense("first_k_dense_replace"),
            dense=Dense(width=("prefix_dense_intermediate_size",)),
        ),
        norms=1,
        tied=True,
    ),
    "cohere2": Family(mixers=Plain(heads=BOTH, windows=one_full_in(4)), norms=1, tied=True),
    "deepseek": Family(unlike=("attention_bias",), mixers=Plain(), blocks=DEEPSEEK),
    "deepseek_v2": Family(unlike=("mlp_bias",), mixers=Latents(), blocks=DEEPSEEK),
    "deepseek_v3": DEEPSEEK_V3,
    "deepseek_v32": Family(mixers=Latents(indexers=True), blocks=DEEPSEEK, further=DEEPSEEK_FURTHER),
    "deepseek_v4": Family(
        unlike=("attention_bias",),
        mixers=streams.mixers,
        blocks=DEEPSEEK,
        ends=streams.ends,
        further=Further(key="num_nextn_predict_layers", corrected=True, near=True, more=streams.further),
    ),
    "dots1": Family(mixers=Plain(heads=QK, windows=from_last), blocks=DEEPSEEK),
    "ernie4_5": Family(
        mixers=Plain(heads=Heads(qkv_bias="use_bias", output_bias="use_bias")),
        blocks=Dense(bias="use_bias"),
        head_bias="use_bias",
        tied=True,
    ),
    "ernie4_5_moe": Family(
        unlike=("use_bias",),
        mixers=Plain(heads=Heads(qkv_bias="use_bias", output_bias="use_bias")),
        blocks=Routed(
            count=("moe_num_experts",),
            active=("moe_k",),
            shared_experts=("moe_num_shared_experts",),
            where=ffn.ernie,
            dense=Dense(bias="use_bias"),
            bias="use_bias",
        ),
        head_bias="use_bias",
        tied=True,
        further=Further(key="num_nextn_predict_layers", norms=4, dense=True),
    ),
    "ernie4_5_moe_vl": Family(unlike=("use_bias",), mixers=Plain(heads=Heads()), blocks=ernie_vl.blocks, tied=True),
    "exaone": Family(unlike=("attention_bias", "mlp_bias"), mixers=Plain()),
    "exaone4": Family(mixers=Plain(heads=EXAONE4, windows=lettered)),
    "exaone_moe": Family(
        mixers=Plain(heads=EXAONE4, windows=lettered),
        blocks=Routed(
            count=("num_experts",),
            shared_experts=("num_shared_experts",),
            where=after_dense("first_k_dense_replace", "first_last_k_dense_replace"),
        ),
        further=Further(key="num_nextn_predict_layers", norms=5, dense=True),
    ),
    "falcon": Family(
        mixers=own.falcon_mixers,
        blocks=ffn.falcon,
        norms=own.falcon_norms,
        norm_bias=True,
        joined=own.falcon_joined,
        tied=True,
    ),
    "falcon_h1": Family(mixers=recurrent.falcon_h1, blocks=Dense(bias="mlp_bias")),
    "gemma": Family(mixers=Plain(heads=BOTH), tied=True),
    "gemma2": Family(mixers=Plain(heads=BOTH, windows=one_full_in(2, None)), norms=4, tied=True),
    "gemma3_text": GEMMA3,
    "gemma3n_text": Family(
        unlike=("attention_bias",),
        mixers=gemma3n.mixers,
        blocks=gemma3n.blocks,
        norms=4,
        tied=True,
        local_rope=True,
        ends=gemma3n.ends,
    ),
    "gemma4_text": GEMMA4,
    "glm": Family(mixers=Plain(heads=QUERY)),
    "glm4": Family(mixers=Plain(heads=QUERY), norms=4),
    "glm4v_text": Family(mixers=Plain(heads=Heads(qkv_bias=True)), norms=4),
    "glm4_moe": GLM4_MOE,
    "glm4_moe_lite": Family(mixers=Latents(), blocks=DEEPSEEK, further=DEEPSEEK_FURTHER),
    "glm_moe_dsa": Family(
        mixers=Latents(indexers=True), blocks=DEEPSEEK, further=Further(key="num_nextn_predict_layers", corrected=True)
    ),
    "gpt_bigcode": Family(
        mixers=own.bigcode_mixers, blocks=ffn.bigcode, norm_bias=True, tied=True, ends=own.bigcode_ends
    ),
    "gpt_neox": Family(mixers=Plain(heads=BOTH), blocks=Dense(gated=False, bias=True), norm_bias=True),
    "gpt_oss": Family(
        mixers=Plain(
            heads=Heads(qkv_bias="attention_bias", output_bias="attention_bias", sinks=True),
            windows=one_full_in(2, None),
        ),
        blocks=Routed(
            count=("num_local_experts", "num_experts"),
            active=("num_experts_per_tok", "experts_per_token"),
            width=("intermediate_size",),
            bias=True,
            router_bias=True,
        ),
    ),
    "granite": LLAMA,
    "granitemoe": Family(mixers=Plain(heads=BOTH), blocks=ffn.granite(shared=False)),
    "granitemoeshared": Family(mixers=Plain(heads=BOTH), blocks=ffn.granite(shared=True)),
    "granitemoehybrid": Family(mixers=recurrent.granite_hybrid, blocks=ffn.granite(shared=True)),
    "hunyuan_v1_dense": Family(mixers=Plain(heads=QK)),
    "hunyuan_v1_moe": Family(
        mixers=Plain(heads=QK),
        blocks=Routed(
            count=("num_experts",),
            active=("moe_topk",),
            width=("moe_intermediate_size", "intermediate_size"),
            shared_experts=("num_shared_expert",),
            shared_default=1,
        ),
    ),
    "hyperclovax": Family(mixers=Plain(heads=BOTH), blocks=Dense(bias="mlp_bias"), norms=own.hyperclovax_norms),
    "hy_v3": Family(
        unlike=("mlp_bias",),
        mixers=Plain(heads=QK),
        blocks=Routed(
            count=("num_experts",),
            shared_experts=("num_shared_experts",),
            where=after_dense("first_k_dense_replace"),
        ),
        further=Further(key="num_nextn_predict_layers"),
    ),
    "internlm2": Family(mixers=Plain(heads=Heads(qkv_bias="bias", output_bias="bias"))),
    "internlm3": Family(unlike=("bias", "qkv_bias", "attention_bias", "mlp_bias"), mixers=Plain()),
    "baichuan": Family(mixers=Plain()),
    "jamba": Family(
        mixers=recurrent.jamba,
        blocks=Routed(count=("num_experts",), width=("intermediate_size",), where=ffn.jamba_period),
    ),
    "kimi_linear": Family(mixers=kimi_linear, blocks=ffn.kimi, state_bytes=4, ends=own.kimi_ends),
    "kolibri1": Family(
        mixers=Plain(heads=QK, windows=one_full_in(5, None)),
        blocks=Routed(count=("num_local_experts", "num_experts"), shared_width=("shared_expert_intermediate_size",)),
        norms=4,
    ),
    "laguna": Family(unlike=("attention_bias",), mixers=laguna, blocks=LAGUNA),
    "lfm2": Family(mixers=recurrent.short_conv, blocks=ffn.lfm2, tied=True),
    "lfm2_moe": Family(
        mixers=recurrent.short_conv,
        blocks=Routed(count=("num_experts",), where=after_dense("num_dense_layers", listed=None), router="corrected"),
        tied=True,
    ),
    "llama": LLAMA,
    "llama4_text": Family(mixers=llama4, blocks=ffn.LLAMA4),
    "longcat_flash": Family(unlike=("router_bias",), mixers=longcat.mixers, blocks=longcat.blocks),
    "mellum": Family(
        mixers=Plain(heads=QK, windows=full_unless_typed),
        blocks=Routed(count=("num_local_experts", "num_experts")),
        local_rope=True,
    ),
    "mimo": Family(mixers=Plain(heads=QUERY, windows=from_layer), further=Further(key="num_nextn_predict_layers")),
    "mimo_v2_flash": Family(
        mixers=mimo_v2,
        blocks=Routed(count=("n_routed_experts",), shared_experts=("n_shared_experts",), where=ffn.by_frequency),
    ),
    "minimax": Family(
        mixers=recurrent.lightning,
        blocks=Routed(count=("num_local_experts",), width=("intermediate_size",)),
        state_bytes=4,
    ),
    "minimax_m2": Family(
        mixers=Plain(heads=Heads(qk_norm="full_width")),
        blocks=Routed(count=("num_local_experts",), width=("intermediate_size",)),
    ),
    "minimax_m3": Family(
        mixers=minimax_m3,
        blocks=Routed(
            count=("num_local_experts",),
            width=("moe_intermediate_size", "intermediate_size"),
            shared_experts=("n_shared_experts",),
            where=ffn.by_frequency,
            dense=Dense(width=("dense_intermediate_size",)),
        ),
    ),
    "ministral3": BIG_MISTRAL,
    "ministral": Family(mixers=Plain(windows=sliding_unless_typed)),
    "mistral": MISTRAL,
    "mistral4": Family(mixers=Latents(), blocks=DEEPSEEK),
    "mixtral": Family(
        mixers=Plain(windows=every_layer),
        blocks=Routed(count=("num_local_experts",), width=("intermediate_size",)),
    ),
    "mllama_text_model": Family(mixers=crossed, ends=own.mllama_ends),
    "nemotron": Family(mixers=Plain(heads=BOTH), blocks=Dense(gated=False, bias="mlp_bias"), norm_bias=True),
    "nemotron-nas": Family(mixers=nas.mixers, blocks=nas.blocks, norms=0, ends=nas.ends),
    "nemotron_h": Family(
        unlike=("tie_word_embeddings",), mixers=recurrent.nemotron_h, blocks=ffn.nemotron, norms=1, state_bytes=4
    ),
    "olmo": Family(mixers=Plain(heads=BOTH), norms=0, final_norms=0),
    "olmo2": Family(mixers=Plain(heads=WIDE)),
    "olmo3": Family(mixers=Plain(heads=WIDE, windows=one_full_in(4, None))),
    "olmo_hybrid": Family(mixers=recurrent.gated_delta(WIDE)),
    "olmoe": Family(mixers=Plain(heads=WIDE), blocks=Routed(count=("num_experts",), width=("intermediate_size",))),
    "opt": Family(
        mixers=Plain(heads=Heads(qkv_bias="enable_bias", output_bias="enable_bias")),
        blocks=Dense(width=("ffn_dim",), gated=False, bias="enable_bias"),
        norm_bias=True,
        tied=True,
        ends=own.opt_ends,
    ),
    "phi": Family(
        unlike=("tie_word_embeddings",),
        mixers=own.phi_mixers,
        blocks=Dense(gated=False, bias=True),
        norms=1,
        norm_bias=True,
        head_bias=True,
    ),
    "phi3": Family(mixers=Plain(windows=every_layer)),
    "phimoe": Family(
        mixers=Plain(heads=BOTH, windows=every_layer),
        blocks=Routed(count=("num_local_experts",), width=("intermediate_size",)),
        norm_bias=True,
        head_bias="lm_head_bias",
    ),
    "qwen2": QWEN2,
    "qwen2_moe": Family(mixers=Plain(heads=Heads(qkv_bias="qkv_bias"), windows=from_layer), blocks=QWEN_SHARED),
    "qwen3": QWEN3,
    "qwen3_moe": QWEN3_MOE,
    "qwen3_next": QWEN3_NEXT,
    "qwen3_5_text": QWEN3_5,
    "qwen3_5_moe_text": QWEN3_5_MOE,
    "seed_oss": Family(
        mixers=Plain(heads=Heads(qkv_bias="attention_bias", output_bias="attention_out_bias")),
        blocks=Dense(bias="mlp_bias"),
    ),
    "smollm3": Family(
        unlike=("use_sliding_window",),
        mixers=Plain(heads=BOTH, windows=full_unless_typed),
        blocks=Dense(bias="mlp_bias"),
        tied=True,
    ),
    "solar_open": Family(unlike=("attention_bias",), mixers=Plain(heads=BOTH), blocks=DEEPSEEK),
    "stablelm": Family(
        mixers=Plain(heads=Heads(qkv_bias="use_qkv_bias", qk_norm="per_head_layernorm", qk_norm_flag="qk_layernorm")),
        norms=own.stablelm_norms,
        norm_bias=True,
    ),
    "step3p5": Family(
        unlike=("attention_bias",),
        mixers=step.mixers,
        blocks=step.blocks,
        further=Further(key="num_nextn_predict_layers", ends=1, dense=True, near=True),
    ),
    "starcoder2": Family(
        mixers=Plain(heads=Heads(qkv_bias="use_bias", output_bias="use_bias"), windows=every_layer),
        blocks=Dense(gated=False, bias="use_bias"),
        norm_bias=True,
        tied=True,
    ),
}

ALIASES: Mapping[str, str] = {
    "bailing_moe": "bailing_moe_v2",
    "deci": "nemotron-nas",
    "deepseek_ref": "deepseek_v4",
    "ernie4_5_vl_moe_text": "ernie4_5_moe_vl",
    "exaone4_5_text": "exaone4",
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "glm4v_moe_text": "glm4_moe",
    "hunyuan": "hunyuan_v1_moe",
    "kimi_k2": "deepseek_v3",
    "minimax_m1": "minimax",
    "minimax_m3_vl_text": "minimax_m3",
    "minimax_text_01": "minimax",
    "mimo_v2": "mimo_v2_flash",
    "qwen2_5_vl_text": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen3_vl_moe_text": "qwen3_moe",
    "qwen3_vl_text": "qwen3",
    "yi": "llama",
}
"""Model types that count as another family does."""
