"""Defaults of transformers for keys that a config leaves out, by model type; only of keys that are read.

Source: PyPI transformers 5.24.0, the configuration class of each type.
"""

from collections.abc import Mapping

_TABLE = """
afmoe: hidden_size=2048 intermediate_size=6144 max_position_embeddings=16384 moe_intermediate_size=1408
    num_attention_heads=16 num_dense_layers=1 num_experts=64 num_experts_per_tok=6 num_hidden_layers=32
    num_shared_experts=2 sliding_window=1024 vocab_size=200192
apertus: hidden_size=4096 intermediate_size=14336 max_position_embeddings=65536 num_attention_heads=32
    num_hidden_layers=32 vocab_size=131072
apertus1p5_text: hidden_size=4096 intermediate_size=14336 max_position_embeddings=65536 num_attention_heads=32
    num_hidden_layers=32 vocab_size=266752
arcee: hidden_size=2560 intermediate_size=18432 max_position_embeddings=4096 num_attention_heads=32
    num_hidden_layers=32 vocab_size=32000
axk1: hidden_size=7168 intermediate_size=18432 kv_lora_rank=512 max_position_embeddings=32768
    moe_intermediate_size=2048 n_routed_experts=192 n_shared_experts=1 num_attention_heads=64 num_experts_per_tok=8
    num_hidden_layers=61 num_local_experts=192 q_lora_rank=1536 qk_nope_head_dim=128 qk_rope_head_dim=64
    v_head_dim=128 vocab_size=163840
axk2: first_k_dense_replace=1 gated_norm_rank=16 hidden_size=2048 index_head_dim=128 index_n_heads=16 index_topk=2048
    intermediate_size=5120 kv_lora_rank=128 max_position_embeddings=131072 moe_intermediate_size=512
    n_routed_experts=128 n_shared_experts=1 num_attention_heads=32 num_experts_per_tok=8 num_hidden_layers=48
    num_local_experts=128 q_lora_rank=384 qk_nope_head_dim=64 qk_rope_head_dim=32 v_head_dim=64 vocab_size=163840
bloom: hidden_size=64 n_head=8 n_layer=2 num_attention_heads=8 num_hidden_layers=2 vocab_size=250880
cohere: hidden_size=8192 intermediate_size=22528 max_position_embeddings=8192 num_attention_heads=64
    num_hidden_layers=40 vocab_size=256000
cohere2: hidden_size=8192 intermediate_size=22528 max_position_embeddings=8192 num_attention_heads=64
    num_hidden_layers=40 sliding_window=4096 vocab_size=256000
cwm: head_dim=128 hidden_size=6144 intermediate_size=21504 max_position_embeddings=131072 num_attention_heads=48
    num_hidden_layers=64 num_key_value_heads=8 sliding_window=8192 vocab_size=128256
deepseek_ocr2_text: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 moe_intermediate_size=1407
    n_routed_experts=64 n_shared_experts=2 num_attention_heads=32 num_hidden_layers=32 vocab_size=102400
deepseek_v2: hidden_size=4096 intermediate_size=11008 kv_lora_rank=512 max_position_embeddings=2048
    moe_intermediate_size=1407 n_routed_experts=64 n_shared_experts=2 num_attention_heads=32 num_hidden_layers=32
    q_lora_rank=1536 qk_nope_head_dim=128 qk_rope_head_dim=64 v_head_dim=128 vocab_size=102400
deepseek_v3: first_k_dense_replace=3 hidden_size=7168 intermediate_size=18432 kv_lora_rank=512
    max_position_embeddings=4096 moe_intermediate_size=2048 n_routed_experts=256 n_shared_experts=1
    num_attention_heads=128 num_experts_per_tok=8 num_hidden_layers=61 num_local_experts=256 q_lora_rank=1536
    qk_nope_head_dim=128 qk_rope_head_dim=64 v_head_dim=128 vocab_size=129280
deepseek_v32: first_k_dense_replace=3 hidden_size=7168 index_head_dim=128 index_n_heads=64 index_topk=2048
    intermediate_size=18432 kv_lora_rank=512 max_position_embeddings=163840 moe_intermediate_size=2048
    n_routed_experts=256 n_shared_experts=1 num_attention_heads=128 num_experts_per_tok=8 num_hidden_layers=61
    num_local_experts=256 q_lora_rank=1536 qk_nope_head_dim=128 qk_rope_head_dim=64 v_head_dim=128 vocab_size=129280
deepseek_v4: hc_mult=4 head_dim=512 hidden_size=4096 index_head_dim=128 index_n_heads=64 index_topk=512
    max_position_embeddings=1048576 moe_intermediate_size=2048 n_routed_experts=256 n_shared_experts=1
    num_attention_heads=64 num_experts_per_tok=6 num_hidden_layers=43 num_key_value_heads=1 o_groups=8 o_lora_rank=1024
    q_lora_rank=1024 sliding_window=128 vocab_size=129280
dots3_note_text: first_k_dense_replace=1 hidden_size=5120 index_head_dim=128 index_n_heads=64 index_topk=2048
    intermediate_size=13824 kv_lora_rank=512 max_position_embeddings=524288 moe_intermediate_size=1536
    n_routed_experts=256 n_shared_experts=1 num_attention_heads=128 num_experts_per_tok=8 num_hidden_layers=46
    num_local_experts=256 q_lora_rank=1024 qk_nope_head_dim=128 qk_rope_head_dim=64
    shared_experts_intermediate_size=1536 v_head_dim=128 vocab_size=152064
dots1: hidden_size=4608 intermediate_size=10944 max_position_embeddings=2048 max_window_layers=62
    moe_intermediate_size=1408 num_attention_heads=32 num_hidden_layers=62 sliding_window=4096 vocab_size=152064
ernie4_5: head_dim=128 hidden_size=1024 intermediate_size=3072 max_position_embeddings=131072 num_attention_heads=16
    num_hidden_layers=18 num_key_value_heads=2 vocab_size=103424
ernie4_5_moe: hidden_size=2560 intermediate_size=12288 max_position_embeddings=131072 moe_intermediate_size=1536
    moe_k=6 moe_num_experts=64 moe_num_shared_experts=2 num_attention_heads=20 num_hidden_layers=28
    num_key_value_heads=4 vocab_size=103424
ernie4_5_vl_moe_text: hidden_size=2560 intermediate_size=12288 max_position_embeddings=131072 moe_k=6
    moe_num_shared_experts=2 num_attention_heads=20 num_hidden_layers=28 num_key_value_heads=4
    tie_word_embeddings=true vocab_size=103424
exaone: hidden_size=4096 intermediate_size=14336 max_position_embeddings=4096 num_attention_heads=32
    num_hidden_layers=32 num_key_value_heads=8 num_layers=32 vocab_size=102400
exaone4: hidden_size=4096 intermediate_size=16384 max_position_embeddings=2048 num_attention_heads=32
    num_hidden_layers=32 sliding_window=4096 vocab_size=102400
exaone_moe: first_k_dense_replace=1 hidden_size=4096 intermediate_size=16384 max_position_embeddings=2048
    moe_intermediate_size=1024 num_attention_heads=32 num_experts=64 num_experts_per_tok=8 num_hidden_layers=32
    num_shared_experts=1 sliding_window=4096 vocab_size=102400
falcon_mamba: conv_kernel=4 expand=2 hidden_size=768 num_hidden_layers=32 state_size=16 vocab_size=50280
mamba: conv_kernel=4 expand=2 hidden_size=768 num_hidden_layers=32 state_size=16 vocab_size=50280
mamba2: conv_kernel=4 expand=2 head_dim=64 hidden_size=4096 n_groups=8 num_heads=128 num_hidden_layers=64
    state_size=128 vocab_size=32768
falcon: hidden_size=4544 max_position_embeddings=2048 num_attention_heads=71 num_hidden_layers=32 vocab_size=65024
falcon_h1: hidden_size=4096 intermediate_size=14336 mamba_d_ssm=1024 mamba_d_state=256 mamba_n_heads=128
    max_position_embeddings=8192 num_attention_heads=32 num_hidden_layers=32 num_key_value_heads=8 vocab_size=128000
gemma: head_dim=256 hidden_size=3072 intermediate_size=24576 max_position_embeddings=8192 num_attention_heads=16
    num_hidden_layers=28 vocab_size=256000
gemma2: head_dim=256 hidden_size=2304 intermediate_size=9216 max_position_embeddings=8192 num_attention_heads=8
    num_hidden_layers=26 num_key_value_heads=4 sliding_window=4096 vocab_size=256000
gemma3_text: head_dim=256 hidden_size=2304 intermediate_size=9216 max_position_embeddings=131072 num_attention_heads=8
    num_hidden_layers=26 num_key_value_heads=4 sliding_window=4096 vocab_size=262208
gemma3n_text: altup_num_inputs=4 head_dim=256 hidden_size=2048 hidden_size_per_layer_input=256
    intermediate_size=16384 laurel_rank=64 max_position_embeddings=32768 num_attention_heads=8 num_hidden_layers=35
    num_key_value_heads=2 num_kv_shared_layers=15 sliding_window=512 vocab_size=262400 vocab_size_per_layer_input=262144
gemma4_text: head_dim=256 hidden_size=2304 hidden_size_per_layer_input=256 intermediate_size=9216
    max_position_embeddings=131072 num_attention_heads=8 num_hidden_layers=30 num_key_value_heads=4 sliding_window=512
    vocab_size=262144 vocab_size_per_layer_input=262144
gemma4_unified_text: head_dim=256 hidden_size=2304 intermediate_size=9216 max_position_embeddings=262144
    num_attention_heads=8 num_hidden_layers=30 num_key_value_heads=4 sliding_window=1024 vocab_size=262144
glm: attention_bias=true hidden_size=4096 intermediate_size=13696 max_position_embeddings=131072
    num_attention_heads=32 num_hidden_layers=40 num_key_value_heads=2 vocab_size=151552
glm4: attention_bias=true hidden_size=4096 intermediate_size=13696 max_position_embeddings=131072
    num_attention_heads=32 num_hidden_layers=40 num_key_value_heads=2 vocab_size=151552
glm4_moe: first_k_dense_replace=1 hidden_size=4096 intermediate_size=10944 max_position_embeddings=131072
    moe_intermediate_size=1408 n_routed_experts=128 n_shared_experts=1 num_attention_heads=96 num_experts_per_tok=8
    num_hidden_layers=46 num_key_value_heads=8 num_local_experts=128 vocab_size=151552
glm4_moe_lite: hidden_size=2048 intermediate_size=10240 kv_lora_rank=512 max_position_embeddings=202752
    moe_intermediate_size=1536 n_routed_experts=64 n_shared_experts=1 num_attention_heads=20 num_experts_per_tok=4
    num_hidden_layers=47 num_local_experts=64 q_lora_rank=768 qk_nope_head_dim=192 qk_rope_head_dim=64 v_head_dim=256
    vocab_size=154880
glm4v_moe_text: attention_bias=true first_k_dense_replace=1 hidden_size=4096 intermediate_size=10944
    max_position_embeddings=65536 moe_intermediate_size=1408 n_routed_experts=128 n_shared_experts=1
    num_attention_heads=96 num_experts_per_tok=8 num_hidden_layers=46 num_key_value_heads=8 num_local_experts=128
    vocab_size=151424
glm5_next_text: first_k_dense_replace=3 hc_mult=4 hidden_size=4096 index_head_dim=128 index_kpool=16 index_n_heads=32
    index_topk=2048 intermediate_size=12288 kv_lora_rank=512 linear_conv_kernel_dim=4 linear_head_dim=128
    linear_num_heads=64 max_position_embeddings=1048576 moe_intermediate_size=2048 n_routed_experts=288
    n_shared_experts=1 num_attention_heads=64 num_experts_per_tok=8 num_hidden_layers=45 num_local_experts=288
    q_lora_rank=1536 qk_nope_head_dim=256 qk_rope_head_dim=0 v_head_dim=256 vocab_size=154880
glm_ocr_text: hidden_size=1024 intermediate_size=4096 max_position_embeddings=131072 num_attention_heads=16
    num_hidden_layers=16 num_key_value_heads=8 vocab_size=59392
glm_moe_dsa: first_k_dense_replace=3 hidden_size=6144 index_head_dim=128 index_n_heads=32 index_topk=2048
    intermediate_size=12288 kv_lora_rank=512 max_position_embeddings=202752 moe_intermediate_size=2048
    n_routed_experts=256 n_shared_experts=1 num_attention_heads=64 num_experts_per_tok=8 num_hidden_layers=78
    num_local_experts=256 q_lora_rank=2048 qk_nope_head_dim=192 qk_rope_head_dim=64 v_head_dim=256 vocab_size=154880
gpt2: n_embd=768 n_head=12 n_layer=12 n_positions=1024 vocab_size=50257
gptj: n_embd=4096 n_head=16 n_layer=28 n_positions=2048 rotary_dim=64 vocab_size=50400
gpt_bigcode: n_embd=768 n_head=12 n_layer=12 n_positions=1024 vocab_size=50257
gpt_neox: attention_bias=true hidden_size=6144 intermediate_size=24576 max_position_embeddings=2048
    num_attention_heads=64 num_hidden_layers=44 vocab_size=50432
gpt_oss: attention_bias=true head_dim=64 hidden_size=2880 intermediate_size=2880 max_position_embeddings=131072
    num_attention_heads=64 num_experts=128 num_experts_per_tok=4 num_hidden_layers=36 num_key_value_heads=8
    num_local_experts=128 sliding_window=128 vocab_size=201088
granite: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 num_attention_heads=32
    num_hidden_layers=32 vocab_size=32000
granite_swa: hidden_size=2560 intermediate_size=8192 max_position_embeddings=8192 num_attention_heads=20
    num_hidden_layers=24 num_key_value_heads=4 sliding_window=128 tie_word_embeddings=true vocab_size=100352
granitemoe: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 num_attention_heads=32
    num_experts_per_tok=2 num_hidden_layers=32 num_local_experts=8 vocab_size=32000
granitemoe_swa: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 num_attention_heads=32
    num_experts_per_tok=2 num_hidden_layers=32 num_local_experts=8 shared_intermediate_size=0 sliding_window=128
    vocab_size=32000
granitemoehybrid: hidden_size=4096 intermediate_size=11008 mamba_d_state=256 mamba_n_heads=128
    max_position_embeddings=2048 num_attention_heads=32 num_experts_per_tok=2 num_hidden_layers=32 num_local_experts=8
    vocab_size=32000
granitemoeshared: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 num_attention_heads=32
    num_experts_per_tok=2 num_hidden_layers=32 num_local_experts=8 shared_intermediate_size=0 vocab_size=32000
helium: head_dim=128 hidden_size=2560 intermediate_size=7040 max_position_embeddings=4096 num_attention_heads=20
    num_hidden_layers=24 vocab_size=48000
hunyuan_v1_dense: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 num_attention_heads=32
    num_hidden_layers=32 vocab_size=290943
hunyuan_vl_text: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 num_attention_heads=32
    num_hidden_layers=32 tie_word_embeddings=true vocab_size=290943
hunyuan_v1_moe: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 moe_topk=1
    num_attention_heads=32 num_experts=1 num_hidden_layers=32 vocab_size=290943
hy_v3: head_dim=128 hidden_size=4096 intermediate_size=13312 max_position_embeddings=131072 moe_intermediate_size=1536
    num_attention_heads=64 num_experts=192 num_experts_per_tok=8 num_hidden_layers=80 num_key_value_heads=8
    num_shared_experts=1 vocab_size=120832
hy_v4: first_k_dense_replace=1 hc_mult=4 hidden_size=2816 index_head_dim=128 index_n_heads=16 index_topk=2048
    intermediate_size=6912 kv_lora_rank=512 max_position_embeddings=262144 moe_intermediate_size=768
    n_routed_experts=256 n_shared_experts=1 num_attention_heads=32 num_experts_per_tok=8 num_hidden_layers=34
    num_local_experts=256 q_lora_rank=1536 qk_nope_head_dim=192 qk_rope_head_dim=64 v_head_dim=256 vocab_size=120832
hy_v4_vl_text: first_k_dense_replace=1 hc_mult=4 hidden_size=6144 index_head_dim=128 index_n_heads=32
    index_topk=2048 intermediate_size=18432 kv_lora_rank=512 max_position_embeddings=262144 moe_intermediate_size=2048
    n_routed_experts=256 n_shared_experts=1 num_attention_heads=64 num_experts_per_tok=8 num_hidden_layers=78
    num_local_experts=256 q_lora_rank=2048 qk_nope_head_dim=192 qk_rope_head_dim=64 v_head_dim=256 vocab_size=120832
inkling_text: conv_kernel_size=4 d_rel=16 head_dim=128 hidden_size=6144 intermediate_size=24576
    max_position_embeddings=131072 moe_intermediate_size=3072 n_routed_experts=256 n_shared_experts=2
    num_attention_heads=64 num_experts_per_tok=6 num_hidden_layers=66 num_key_value_heads=8 num_local_experts=256
    rel_extent=1024 sliding_window_size=512 swa_head_dim=128 swa_num_attention_heads=64 swa_num_key_value_heads=16
    vocab_size=201024
internlm3: hidden_size=4096 intermediate_size=10240 max_position_embeddings=32768 num_attention_heads=32
    num_hidden_layers=48 num_key_value_heads=2 vocab_size=128512
iquestcoder: head_dim=128 hidden_size=5120 intermediate_size=27648 max_position_embeddings=131072
    num_attention_heads=40 num_hidden_layers=80 num_key_value_heads=8 vocab_size=76800
jais2: attention_bias=true hidden_size=3328 intermediate_size=26624 max_position_embeddings=8192 mlp_bias=true
    num_attention_heads=26 num_hidden_layers=32 vocab_size=150272
jamba: attn_layer_offset=4 attn_layer_period=8 expert_layer_offset=1 expert_layer_period=2 hidden_size=4096
    intermediate_size=14336 mamba_d_conv=4 mamba_d_state=16 mamba_expand=2 max_position_embeddings=262144
    num_attention_heads=32 num_experts=16 num_experts_per_tok=2 num_hidden_layers=32 num_key_value_heads=8
    vocab_size=65536
kimi_linear: hidden_size=2304 intermediate_size=9216 kv_lora_rank=512 max_position_embeddings=1048576
    moe_intermediate_size=1024 num_attention_heads=32 num_experts_per_tok=8 num_hidden_layers=27 qk_nope_head_dim=128
    qk_rope_head_dim=64 v_head_dim=128 vocab_size=163840
kolibri1: head_dim=128 hidden_size=2560 max_position_embeddings=262144 moe_intermediate_size=512
    num_attention_heads=48 num_experts=384 num_experts_per_tok=6 num_hidden_layers=50 num_key_value_heads=4
    shared_expert_intermediate_size=512 sliding_window=513 vocab_size=128000
lfm2: conv_L_cache=3 hidden_size=2560 intermediate_size=12288 max_position_embeddings=128000 num_attention_heads=32
    num_hidden_layers=32 num_key_value_heads=8 vocab_size=65536
lfm2_moe: conv_L_cache=3 hidden_size=2048 intermediate_size=7168 max_position_embeddings=128000
    moe_intermediate_size=1792 num_attention_heads=32 num_dense_layers=2 num_experts=32 num_experts_per_tok=4
    num_hidden_layers=32 num_key_value_heads=8 vocab_size=65536
lfm3: conv_L_cache=7 head_dim=128 hidden_size=2048 intermediate_size=7680 max_position_embeddings=128000
    num_attention_heads=16 num_hidden_layers=24 num_key_value_heads=4 sliding_window=256 use_attention_gate=true
    vocab_size=128000
llama: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 num_attention_heads=32
    num_hidden_layers=32 vocab_size=32000
llama4_text: hidden_size=5120 intermediate_size=8192 intermediate_size_mlp=16384 max_position_embeddings=131072
    num_attention_heads=40 num_experts_per_tok=1 num_hidden_layers=48 num_key_value_heads=8 num_local_experts=16
    vocab_size=202048
longcat_flash: expert_ffn_hidden_size=2048 ffn_hidden_size=12288 hidden_size=6144 kv_lora_rank=512
    max_position_embeddings=131072 moe_topk=12 n_routed_experts=512 num_attention_heads=64 num_layers=28
    q_lora_rank=1536 qk_nope_head_dim=128 qk_rope_head_dim=64 v_head_dim=128 vocab_size=131072 zero_expert_num=256
mellum: head_dim=128 hidden_size=2304 max_position_embeddings=131072 moe_intermediate_size=896 num_attention_heads=32
    num_experts=64 num_experts_per_tok=8 num_hidden_layers=28 num_key_value_heads=4 sliding_window=1024
    vocab_size=98304
mimo_v2_flash: head_dim=192 max_position_embeddings=131072 moe_intermediate_size=2048 n_routed_experts=256
    num_attention_heads=64 num_experts_per_tok=8 num_hidden_layers=48 num_key_value_heads=4 sliding_window=129
    v_head_dim=128 vocab_size=152576
minimax: hidden_size=4096 intermediate_size=14336 max_position_embeddings=131072 num_attention_heads=32
    num_experts_per_tok=2 num_hidden_layers=32 num_key_value_heads=8 num_local_experts=8 vocab_size=32000
minimax_m2: head_dim=128 hidden_size=3072 intermediate_size=1536 max_position_embeddings=196608 num_attention_heads=48
    num_experts_per_tok=8 num_hidden_layers=62 num_key_value_heads=8 num_local_experts=256 vocab_size=200064
minimax_m3: dense_intermediate_size=12288 head_dim=128 hidden_size=6144 intermediate_size=3072
    max_position_embeddings=524288 n_shared_experts=1 num_attention_heads=64 num_experts_per_tok=4 num_hidden_layers=60
    num_key_value_heads=4 num_local_experts=128 vocab_size=200064
minicpm3: hidden_size=2560 intermediate_size=6400 kv_lora_rank=256 max_position_embeddings=32768 num_attention_heads=40
    num_hidden_layers=62 q_lora_rank=768 qk_nope_head_dim=64 qk_rope_head_dim=32 vocab_size=73448
ministral: hidden_size=4096 intermediate_size=14336 max_position_embeddings=131072 num_attention_heads=32
    num_hidden_layers=32 num_key_value_heads=8 sliding_window=4096 vocab_size=32000
ministral3: hidden_size=4096 intermediate_size=14336 max_position_embeddings=262144 num_attention_heads=32
    num_hidden_layers=34 num_key_value_heads=8 vocab_size=131072
mistral: hidden_size=4096 intermediate_size=14336 max_position_embeddings=131072 num_attention_heads=32
    num_hidden_layers=32 num_key_value_heads=8 sliding_window=4096 vocab_size=32000
mistral4: hidden_size=4096 intermediate_size=12288 kv_lora_rank=256 max_position_embeddings=1048576
    moe_intermediate_size=2048 n_routed_experts=128 n_shared_experts=1 num_attention_heads=32 num_experts_per_tok=4
    num_hidden_layers=36 num_local_experts=128 q_lora_rank=1024 qk_nope_head_dim=64 qk_rope_head_dim=64 v_head_dim=128
    vocab_size=131072
mistral_large4_text: first_k_dense_replace=1 hidden_size=6144 index_head_dim=128 index_n_heads=32 index_topk=2048
    intermediate_size=24576 kv_lora_rank=512 max_position_embeddings=1048576 moe_intermediate_size=6144
    n_routed_experts=128 n_shared_experts=1 num_attention_heads=64 num_experts_per_tok=4 num_hidden_layers=72
    num_local_experts=128 qk_nope_head_dim=64 qk_rope_head_dim=64 v_head_dim=128 vocab_size=204800
mixtral: hidden_size=4096 intermediate_size=14336 max_position_embeddings=131072 num_attention_heads=32
    num_experts_per_tok=2 num_hidden_layers=32 num_key_value_heads=8 num_local_experts=8 vocab_size=32000
mllama_text_model: hidden_size=4096 intermediate_size=14336 max_position_embeddings=131072 num_attention_heads=32
    num_hidden_layers=40 num_key_value_heads=8 vocab_size=128256
molmo2_text: head_dim=128 hidden_size=4096 intermediate_size=12288 max_position_embeddings=36864
    num_attention_heads=32 num_hidden_layers=36 num_key_value_heads=8 vocab_size=151936
muse_glimmer_text: head_dim=128 hidden_size=6656 intermediate_size=19968 max_position_embeddings=131072
    num_attention_heads=32 num_hidden_layers=52 num_key_value_heads=2 sliding_window=2048 vocab_size=202048
nemotron: hidden_size=6144 intermediate_size=24576 max_position_embeddings=4096 num_attention_heads=48
    num_hidden_layers=32 vocab_size=256000
nemotron_h: conv_kernel=4 hidden_size=4096 intermediate_size=21504 mamba_head_dim=64 mamba_num_heads=128
    max_position_embeddings=4096 moe_intermediate_size=7688 moe_shared_expert_intermediate_size=7688 n_groups=8
    n_routed_experts=8 num_attention_heads=32 num_experts_per_tok=2 num_key_value_heads=8 ssm_state_size=128
    vocab_size=131072
olmo: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 num_attention_heads=32
    num_hidden_layers=32 vocab_size=50304
olmo2: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 num_attention_heads=32
    num_hidden_layers=32 vocab_size=50304
olmo3: hidden_size=4096 intermediate_size=11008 max_position_embeddings=2048 num_attention_heads=32
    num_hidden_layers=32 sliding_window=4096 vocab_size=50304
olmo_hybrid: hidden_size=3840 intermediate_size=11008 linear_conv_kernel_dim=4 max_position_embeddings=65536
    num_attention_heads=30 num_hidden_layers=32 vocab_size=100352
olmoe: hidden_size=2048 intermediate_size=2048 max_position_embeddings=4096 num_attention_heads=16 num_experts=64
    num_experts_per_tok=8 num_hidden_layers=16 vocab_size=50304
opt: enable_bias=true ffn_dim=3072 hidden_size=768 num_attention_heads=12 num_hidden_layers=12 vocab_size=50272
phi: hidden_size=2048 intermediate_size=8192 max_position_embeddings=2048 num_attention_heads=32 num_hidden_layers=24
    vocab_size=51200
phi3: hidden_size=3072 intermediate_size=8192 max_position_embeddings=4096 num_attention_heads=32 num_hidden_layers=32
    vocab_size=32064
phi4_multimodal: hidden_size=3072 intermediate_size=8192 max_position_embeddings=131072 num_attention_heads=32
    num_hidden_layers=32 num_key_value_heads=8 vocab_size=200064
phimoe: hidden_size=4096 intermediate_size=6400 max_position_embeddings=131072 num_attention_heads=32
    num_experts_per_tok=2 num_hidden_layers=32 num_key_value_heads=8 num_local_experts=16 vocab_size=32064
qwen2: hidden_size=4096 intermediate_size=22016 max_position_embeddings=32768 num_attention_heads=32
    num_hidden_layers=32 sliding_window=4096 vocab_size=151936
qwen2_5_omni_text: hidden_size=3584 intermediate_size=18944 max_position_embeddings=32768 max_window_layers=28
    num_attention_heads=28 num_hidden_layers=28 num_key_value_heads=4 sliding_window=32768 vocab_size=152064
qwen2_5_vl_text: hidden_size=8192 intermediate_size=29568 max_position_embeddings=32768 max_window_layers=80
    num_attention_heads=64 num_hidden_layers=80 num_key_value_heads=8 sliding_window=4096 vocab_size=152064
qwen2_moe: hidden_size=2048 intermediate_size=5632 max_position_embeddings=32768 moe_intermediate_size=1408
    num_attention_heads=16 num_experts=60 num_experts_per_tok=4 num_hidden_layers=24 qkv_bias=true
    shared_expert_intermediate_size=5632 sliding_window=4096 vocab_size=151936
qwen2_vl_text: hidden_size=8192 intermediate_size=29568 max_position_embeddings=32768 max_window_layers=80
    num_attention_heads=64 num_hidden_layers=80 num_key_value_heads=8 sliding_window=4096 vocab_size=152064
qwen3: hidden_size=4096 intermediate_size=22016 max_position_embeddings=32768 num_attention_heads=32
    num_hidden_layers=32 sliding_window=4096 vocab_size=151936
qwen3_5_moe_text: head_dim=256 hidden_size=2048 linear_conv_kernel_dim=4 linear_key_head_dim=128
    linear_num_key_heads=16 linear_num_value_heads=32 linear_value_head_dim=128 max_position_embeddings=32768
    moe_intermediate_size=512 num_attention_heads=16 num_experts=256 num_experts_per_tok=8 num_hidden_layers=40
    num_key_value_heads=2 shared_expert_intermediate_size=512 vocab_size=248320
qwen3_5_text: hidden_size=4096 intermediate_size=12288 linear_conv_kernel_dim=4 linear_key_head_dim=128
    linear_num_key_heads=16 linear_num_value_heads=32 linear_value_head_dim=128 max_position_embeddings=32768
    num_attention_heads=16 num_hidden_layers=32 num_key_value_heads=4 vocab_size=248320
qwen3_moe: hidden_size=2048 intermediate_size=6144 max_position_embeddings=32768 moe_intermediate_size=768
    num_attention_heads=32 num_experts=128 num_experts_per_tok=8 num_hidden_layers=24 num_key_value_heads=4
    sliding_window=4096 vocab_size=151936
qwen3_next: head_dim=256 hidden_size=2048 intermediate_size=5632 linear_conv_kernel_dim=4 linear_key_head_dim=128
    linear_num_key_heads=16 linear_num_value_heads=32 linear_value_head_dim=128 max_position_embeddings=32768
    moe_intermediate_size=512 num_attention_heads=16 num_experts=512 num_experts_per_tok=10 num_hidden_layers=48
    num_key_value_heads=2 shared_expert_intermediate_size=512 vocab_size=151936
qwen3_omni_moe_text: hidden_size=2048 intermediate_size=18944 max_position_embeddings=32768 moe_intermediate_size=768
    num_attention_heads=28 num_experts=128 num_experts_per_tok=8 num_hidden_layers=28 num_key_value_heads=4
    vocab_size=3584
qwen3_vl_moe_text: hidden_size=2048 intermediate_size=5632 max_position_embeddings=128000 moe_intermediate_size=1408
    num_attention_heads=16 num_experts=60 num_experts_per_tok=4 num_hidden_layers=24 tie_word_embeddings=true
    vocab_size=151936
qwen3_vl_text: hidden_size=4096 intermediate_size=22016 max_position_embeddings=128000 num_attention_heads=32
    num_hidden_layers=32 vocab_size=151936
qwen4_exp_text: hc_count=4 hc_lowrank=320 head_dim=256 hidden_size=2048 linear_conv_kernel_dim=4
    linear_key_head_dim=128 linear_num_key_heads=16 linear_num_value_heads=32 linear_value_head_dim=128
    max_position_embeddings=32768 moe_intermediate_size=512 num_attention_heads=16 num_experts=512
    num_experts_per_tok=10 num_hidden_layers=40 num_key_value_heads=2 shared_expert_intermediate_size=512
    vocab_size=248320
sarvam_mla: first_k_dense_replace=1 hidden_size=4096 intermediate_size=16384 kv_lora_rank=512
    max_position_embeddings=4096 moe_intermediate_size=2048 n_routed_experts=128 n_shared_experts=1
    num_attention_heads=64 num_experts=128 num_experts_per_tok=8 num_hidden_layers=32 num_local_experts=128
    num_shared_experts=1 qk_nope_head_dim=128 qk_rope_head_dim=64 v_head_dim=128 vocab_size=262144
sarvam_moe: first_k_dense_replace=1 head_dim=64 hidden_size=4096 intermediate_size=8192 max_position_embeddings=131072
    moe_intermediate_size=1024 n_routed_experts=128 n_shared_experts=1 num_attention_heads=64 num_experts=128
    num_experts_per_tok=6 num_hidden_layers=19 num_key_value_heads=4 num_local_experts=128 num_shared_experts=1
    use_qk_norm=true vocab_size=262144
seed_oss: attention_bias=true head_dim=128 hidden_size=4096 intermediate_size=27648 max_position_embeddings=524288
    num_attention_heads=80 num_hidden_layers=64 num_key_value_heads=8 vocab_size=155136
smollm3: hidden_size=2048 intermediate_size=11008 max_position_embeddings=32768 num_attention_heads=16
    num_hidden_layers=36 num_key_value_heads=4 vocab_size=128256
solar_open: head_dim=128 hidden_size=4096 max_position_embeddings=131072 moe_intermediate_size=1280
    n_routed_experts=128 n_shared_experts=1 num_attention_heads=64 num_experts_per_tok=8 num_hidden_layers=48
    num_key_value_heads=8 num_local_experts=128 vocab_size=196608
stablelm: hidden_size=2560 intermediate_size=6912 max_position_embeddings=4096 num_attention_heads=32
    num_hidden_layers=32 vocab_size=50304
starcoder2: hidden_size=3072 intermediate_size=12288 max_position_embeddings=4096 num_attention_heads=24
    num_hidden_layers=30 num_key_value_heads=2 use_bias=true vocab_size=49152
youtu: hidden_size=2048 intermediate_size=6144 kv_lora_rank=512 max_position_embeddings=131072 num_attention_heads=16
    num_hidden_layers=32 q_lora_rank=1536 qk_nope_head_dim=128 qk_rope_head_dim=64 v_head_dim=128 vocab_size=128256
"""


def _value(text: str) -> float:
    """A number or truth value from its text.

    >>> [_value(text) for text in ("8", "0.25", "true")]
    [8, 0.25, True]
    """
    if text in ("true", "false"):
        return text == "true"
    return float(text) if "." in text else int(text)


def _rows(table: str) -> dict[str, dict[str, float]]:
    """The keys of each type from the text of a table: "type: key=value key=value", over any number of lines."""
    rows: dict[str, dict[str, float]] = {}
    for word in table.split():
        if word.endswith(":"):
            rows[word[:-1]] = {}
        else:
            key, _, text = word.partition("=")
            rows[next(reversed(rows))][key] = _value(text)
    return rows


DEFAULTS: Mapping[str, Mapping[str, float]] = _rows(_TABLE)
"""By model type: what each key means where it is missing."""
