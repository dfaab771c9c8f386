"""A.X K2: MLA whose queries and output gate are one projection, and norms with a gate of low rank.

Source: transformers 5.24, `AXK2Attention`, `AXK2GatedRMSNorm`, `AXK2DecoderLayer`; the sum is the published total's.
"""

from dataclasses import replace

from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.families.moe_families import AFTER_FIRST_K
from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.latent import indexer, latent
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of


def mixers(keys: Keys) -> Mixers:
    """MLA with an indexer in every layer; what gates outputs reads two latents of a query, as its queries do.

    `extra_params` are what that projection has more than queries from one latent and a gate from the hidden state.
    """
    one = replace(latent(keys), output_gate=True, indexer=indexer(keys))
    rank = one.query_rank or 0
    joined = 2 * rank * (one.query_width + one.output_width)
    apart = rank * one.query_width + hidden_of(keys) * one.output_width
    return [(replace(one, extra_params=one.extra_params + joined - apart),)] * layers_of(keys)


def extras(keys: Keys) -> Extras:
    """The gates of norms: of every layer's first, and of the second where it has experts."""
    layers = layers_of(keys)
    gated = layers + sum(AFTER_FIRST_K(keys, layers))
    return Extras(other_params=gated * 2 * hidden_of(keys) * keys.integer("gated_norm_rank"))
