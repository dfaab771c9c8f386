"""What a family of transformers is described by, and what of a few families no trait describes."""

from collections.abc import Callable
from dataclasses import dataclass

from inferplan.catalog.hugging_face._attention import Heads, Mixers, Plain, hidden_of, layers_of
from inferplan.catalog.hugging_face._ffn import Blocks, Dense
from inferplan.catalog.hugging_face._gemma import NO_ENDS, Ends
from inferplan.catalog.hugging_face._keys import CONTEXT, HEADS, Keys
from inferplan.catalog.hugging_face._multi_token import NONE, Further

Count = int | Callable[[Keys], int]
DENSE = Dense()


def no_ends(_keys: Keys) -> Ends:
    """No tensors beyond layers, embedding, head and final norm."""
    return NO_ENDS


def apart(_keys: Keys) -> bool:
    """Blocks one after the other."""
    return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What the layers and the ends of a family follow from.

    Blocks that read the same input may be `joined` before ranks exchange them.
    `tied` and `state_bytes` are what a config means that does not say; `ends` are further tensors.
    Windowed layers that rotate otherwise than full ones have a `local_rope`. Flags in `unlike` change the tensors in
    ways that no published model has, and are refused.
    """

    mixers: Callable[[Keys], Mixers]
    blocks: Callable[[Keys], Blocks] = DENSE
    norms: Count = 2
    norm_bias: bool = False
    joined: Callable[[Keys], bool] = apart
    final_norms: int = 1
    head_bias: bool | str = False
    tied: bool | None = False
    state_bytes: Count | None = None
    local_rope: bool = False
    unlike: tuple[str, ...] = ()
    ends: Callable[[Keys], Ends] = no_ends
    further: Further = NONE


def falcon_norms(keys: Keys) -> int:
    """One or two, by decoder and parallel attention. Source: transformers, `FalconDecoderLayer`."""
    if keys.flag("new_decoder_architecture"):
        return keys.optional("num_ln_in_parallel_attn", low=1, high=2) or 2
    return 1 if keys.flag("parallel_attn", default=True) else 2


def falcon_joined(keys: Keys) -> bool:
    """In parallel unless told otherwise, and always in the new decoder. Source: transformers, `FalconDecoderLayer`."""
    return keys.flag("new_decoder_architecture") or keys.flag("parallel_attn", default=True)


def falcon_mixers(keys: Keys) -> Mixers:
    """One KV head unless told otherwise; grouped in the new decoder. Source: transformers, `FalconAttention`."""
    groups = "num_kv_heads" if keys.has("num_kv_heads") else "n_head_kv"
    new, many = keys.flag("new_decoder_architecture"), not keys.flag("multi_query", default=True)
    named = keys.values.get(groups)
    heads = next((keys.values[key] for key in ("num_attention_heads", "n_head") if keys.has(key)), None)
    keys.values = {**keys.values, "num_key_value_heads": named if new and named else heads if new or many else 1}
    mixers = Plain(heads=Heads(qkv_bias="bias", output_bias="bias"))(keys)
    keys.read.pop("num_key_value_heads", None)
    if new and named:
        keys.keep(groups, named, None)
    return mixers


def bigcode_mixers(keys: Keys) -> Mixers:
    """One KV head for all heads unless told otherwise. Source: transformers, `GPTBigCodeAttention`."""
    shared = keys.flag("multi_query", default=True)
    keys.values = {**keys.values, "num_key_value_heads": 1 if shared else keys.integer(*HEADS)}
    mixers = Plain(heads=Heads(qkv_bias=True, output_bias=True))(keys)
    keys.read.pop("num_key_value_heads", None)
    return mixers


def bigcode_ends(keys: Keys) -> Ends:
    """Learned positions. Source: transformers, `GPTBigCodeModel.wpe`."""
    return Ends(other_params=keys.integer(*CONTEXT, default=1024) * hidden_of(keys))


def opt_ends(keys: Keys) -> Ends:
    """Learned positions, two more than the context. Source: transformers, `OPTLearnedPositionalEmbedding`."""
    hidden = hidden_of(keys)
    if keys.integer("word_embed_proj_dim", default=hidden) != hidden:
        keys.unsupported("word_embed_proj_dim", "the projections of OPT-350M are not modelled")
    if not keys.flag("do_layer_norm_before", default=True):
        keys.unsupported("do_layer_norm_before", "only OPT-350M has it")
    return Ends(other_params=(keys.integer(*CONTEXT, default=2048) + 2) * hidden)


def bloom_ends(keys: Keys) -> Ends:
    """The norm of the embedding. Source: transformers, `BloomModel.word_embeddings_layernorm`."""
    return Ends(other_params=2 * hidden_of(keys))


def mllama_ends(keys: Keys) -> Ends:
    """8 more rows of embedding, which have no head. Source: transformers, `MllamaTextModel`."""
    return Ends(other_params=8 * hidden_of(keys))


def hyperclovax_norms(keys: Keys) -> int:
    """One before and one behind each block, unless told otherwise. Source: transformers, `HyperCLOVAXDecoderLayer`."""
    return 4 if keys.flag("use_post_norm", default=True) else 2


def kimi_ends(keys: Keys) -> Ends:
    """Two norms and two queries a layer, and two more at the end, where earlier outputs are attended to (Kimi K3).

    Source: vLLM 0.33, models/kimi_k3/nvidia/model.py; the sum is the published total's.
    """
    if not keys.optional("attn_res_block_size"):
        return NO_ENDS
    return Ends(other_params=(4 * layers_of(keys) + 2) * hidden_of(keys))


def stablelm_norms(keys: Keys) -> int:
    """One norm where both blocks of a layer run in parallel. Source: transformers, `StableLmDecoderLayer`."""
    return 1 if keys.flag("use_parallel_residual") else 2


def phi_mixers(keys: Keys) -> Mixers:
    """Biases everywhere. Source: transformers, `PhiAttention`."""
    if keys.flag("qk_layernorm"):
        keys.unsupported("qk_layernorm", "no published Phi has it")
    return Plain(heads=Heads(qkv_bias=True, output_bias=True))(keys)
