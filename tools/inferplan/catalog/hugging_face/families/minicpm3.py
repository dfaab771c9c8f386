"""MiniCPM3: MLA whose latent vLLM expands: it caches the keys and values of every head, as wide as each other.

Source: transformers 5.24, `MiniCPM3Attention`; vLLM 0.33, vllm/model_executor/models/minicpm3.py, which pads values.
"""

from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.latent import latent
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import heads_of, hidden_of, layers_of
from inferplan.core.layers.attention import Attention

EXPANDED = "Its cache is that of vLLM: keys and values of every head, not the latent that they are made of."


def mixers(keys: Keys) -> Mixers:
    """Attention over all that is made of the latent; values are as wide as hidden / heads where nothing is said."""
    if not keys.has("v_head_dim"):
        keys.substitute("v_head_dim", max(1, hidden_of(keys) // heads_of(keys)))
    one = latent(keys)
    keys.notes[EXPANDED] = None
    width = max(one.nope_dim + one.rope_dim, one.value_dim)
    return [(Attention(heads=one.heads, kv_heads=one.heads, head_dim=width, expands=one),)] * layers_of(keys)
