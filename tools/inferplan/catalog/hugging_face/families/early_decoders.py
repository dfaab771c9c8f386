"""Decoders from before Llama's form: learned positions, one KV head for all, norms and biases of their own.

BLOOM, Falcon, GPTBigCode (StarCoder), OPT, Phi and StableLM.
"""

from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.ffn import Blocks
from inferplan.catalog.hugging_face.layers.heads import BIASED, FUSED_BIASED, AttentionLayers, Heads, Mixers
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import CONTEXT, HEADS, hidden_of, layers_of
from inferplan.core.architecture import DenseFfn

KV_HEADS = "num_key_value_heads"


def bloom_blocks(keys: Keys) -> Blocks:
    """4 × hidden, without a gate, with biases. Source: transformers, `BloomMLP`."""
    return _ungated(keys, 4 * hidden_of(keys), bias=True)


def bloom_extras(keys: Keys) -> Extras:
    """The norm of the embedding. Source: transformers, `BloomModel.word_embeddings_layernorm`."""
    return Extras(other_params=2 * hidden_of(keys))


def falcon_mixers(keys: Keys) -> Mixers:
    """One KV head, unless the config says otherwise. Source: transformers, `FalconAttention`."""
    key = "num_kv_heads" if keys.has("num_kv_heads") else "n_head_kv"
    new, multi_head = keys.flag("new_decoder_architecture"), not keys.flag("multi_query", default=True)
    stated = keys.values.get(key)
    heads = next((keys.values[name] for name in ("num_attention_heads", "n_head") if keys.has(name)), None)
    kv_heads = stated if new and stated else heads if new or multi_head else 1
    mixers = _with_kv_heads(keys, kv_heads, Heads(qkv_bias="bias", output_bias="bias", fused=True))
    if new and stated:
        keys.keep(key, stated, None)
    return mixers


def falcon_blocks(keys: Keys) -> Blocks:
    """`ffn_hidden_size` or 4 × hidden, without a gate. Source: transformers, `FalconMLP`."""
    width = keys.integer("ffn_hidden_size", default=4 * hidden_of(keys))
    return _ungated(keys, width, bias=keys.flag("bias"))


def falcon_norms(keys: Keys) -> int:
    """One or two, by decoder and parallel attention. Source: transformers, `FalconDecoderLayer`."""
    if keys.flag("new_decoder_architecture"):
        return keys.optional("num_ln_in_parallel_attn", low=1, high=2) or 2
    return 1 if keys.flag("parallel_attn", default=True) else 2


def falcon_joined(keys: Keys) -> bool:
    """In the new decoder always, else where `parallel_attn` is not off. Source: transformers, `FalconDecoderLayer`."""
    return keys.flag("new_decoder_architecture") or keys.flag("parallel_attn", default=True)


def bigcode_mixers(keys: Keys) -> Mixers:
    """One KV head where `multi_query` is not off. Source: transformers, `GPTBigCodeAttention`."""
    shared = keys.flag("multi_query", default=True)
    return _with_kv_heads(keys, 1 if shared else keys.integer(*HEADS), FUSED_BIASED)


def bigcode_blocks(keys: Keys) -> Blocks:
    """`n_inner` or 4 × hidden, without a gate, with biases. Source: transformers, `GPTBigCodeMLP`."""
    width = keys.integer("n_inner", "intermediate_size", default=4 * hidden_of(keys))
    return _ungated(keys, width, bias=True)


def bigcode_extras(keys: Keys) -> Extras:
    """Learned positions. Source: transformers, `GPTBigCodeModel.wpe`."""
    return Extras(other_params=keys.integer(*CONTEXT, default=1024) * hidden_of(keys))


def opt_extras(keys: Keys) -> Extras:
    """Learned positions, two more than the context. Source: transformers, `OPTLearnedPositionalEmbedding`."""
    hidden = hidden_of(keys)
    if keys.integer("word_embed_proj_dim", default=hidden) != hidden:
        keys.unsupported("word_embed_proj_dim", "the projections of OPT-350M are not modelled")
    if not keys.flag("do_layer_norm_before", default=True):
        keys.unsupported("do_layer_norm_before", "only OPT-350M has it")
    return Extras(other_params=(keys.integer(*CONTEXT, default=2048) + 2) * hidden)


def phi_mixers(keys: Keys) -> Mixers:
    """All projections have a bias. Source: transformers, `PhiAttention`."""
    if keys.flag("qk_layernorm"):
        keys.unsupported("qk_layernorm", "no published Phi has it")
    return AttentionLayers(heads=BIASED)(keys)


def stablelm_norms(keys: Keys) -> int:
    """One where both blocks of a layer are parallel, else two. Source: transformers, `StableLmDecoderLayer`."""
    return 1 if keys.flag("use_parallel_residual") else 2


def _with_kv_heads(keys: Keys, kv_heads: object, heads: Heads) -> Mixers:
    """Attention with a number of KV heads that other keys than the usual one say."""
    keys.substitute(KV_HEADS, kv_heads)
    mixers = AttentionLayers(heads=heads)(keys)
    keys.read.pop(KV_HEADS, None)
    return mixers


def _ungated(keys: Keys, width: int, *, bias: bool) -> Blocks:
    """Blocks of two projections in every layer."""
    return [DenseFfn(intermediate=width, gated=False, bias=bias)] * layers_of(keys)
