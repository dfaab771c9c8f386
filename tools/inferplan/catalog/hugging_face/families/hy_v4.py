"""Hy4: gated MLA with sinks, whose indexer most layers share, and residual streams that are gated but not mixed (iHC).

Source: transformers 5.24, `HYV4Config`, `HYV4HyperConnection`, `HYV4HyperHead`; the sum is the published total's.
"""

from dataclasses import replace

from inferplan.catalog.hugging_face.families.deepseek_v4 import joining_params, streams_of
from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.latent import indexer, indexer_types, latent
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of


def mixers(keys: Keys) -> Mixers:
    """MLA, by default with an indexer of its own in the first layer and in every fourth from the second on."""
    layers, picks = layers_of(keys), indexer(keys)
    one = replace(latent(keys), output_gate=True, sinks=True)
    default = ["shared" if number and (number - 1) % 4 else "full" for number in range(layers)]
    owning, sharing = replace(one, indexer=picks), replace(one, indexer=replace(picks, owned=False))
    return [(owning if kind == "full" else sharing,) for kind in indexer_types(keys, layers, default=default)]


def extras(keys: Keys) -> Extras:
    """Two gates of the streams for each block, and their joining at the end."""
    streams = streams_of(keys)
    gates = 2 * (2 * streams * (streams * hidden_of(keys) + 1) + 2)
    gating = layers_of(keys) * gates + joining_params(keys)
    return Extras(other_params=gating, wide_params=gating, streams=streams)
