"""DBRX: heads and experts are described in objects of their own. Source: transformers, `DbrxConfig`."""

from inferplan.catalog.hugging_face.layers.ffn import Blocks, MoeLayers
from inferplan.catalog.hugging_face.layers.heads import Mixers, head_dim_of, kv_heads_of
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import heads_of, layers_of
from inferplan.core.layers.attention import Attention

EXPERTS = MoeLayers(count=("moe_num_experts",), active=("moe_top_k",), width=("ffn_hidden_size",))


def mixers(keys: Keys) -> Mixers:
    """The KV heads are those of `attn_config`; the head size follows from hidden size and heads."""
    heads = heads_of(keys)
    attention = _part(keys, "attn_config")
    if not attention.has("kv_n_heads"):
        attention.missing("kv_n_heads")
    kv_heads = kv_heads_of(attention, heads, "kv_n_heads")
    one = Attention(heads=heads, kv_heads=kv_heads, head_dim=head_dim_of(keys, heads), fused=True)
    return [(one,)] * layers_of(keys)


def blocks(keys: Keys) -> Blocks:
    """The experts of `ffn_config` in every layer."""
    return [EXPERTS.read(_part(keys, "ffn_config"))] * layers_of(keys)


def _part(keys: Keys, name: str) -> Keys:
    """One of the objects; a missing one is read as empty."""
    return keys.child(name, defaults={}) or Keys({}, problems=keys.problems, defaults={}, where=f"{name}.")
