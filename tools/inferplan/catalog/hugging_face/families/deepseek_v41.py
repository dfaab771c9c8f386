"""DeepSeek-V4.1: a few layers make compressed keys for all of them, and n-grams of tokens look up rows (Engram).

Source: DeepSeek-V4.1-Flash config.json; vLLM 0.33, models/deepseek_v41. The tensors of these forms make the published
`total_size` of its checkpoint to the byte.
"""

from dataclasses import replace
from typing import cast

from inferplan.catalog.hugging_face.families.deepseek_v4 import RATIOS, mixing_params, streams_of, windowed
from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.latent import indexer
from inferplan.catalog.hugging_face.layers.multi_token import MOST_MTP_LAYERS, NUM_NEXTN
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, Keys
from inferplan.catalog.hugging_face.reading.sizes import cut_to_decoder, hidden_of, layers_of
from inferplan.core.architecture import Architecture, ExpertFfn, LayerGroup, MultiToken
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.parameters import layer_params

ENGRAM_LAYERS, ENGRAM_ROWS = "engram_layer_ids", "engram_num_embeddings"
TARGETS = "dspark_target_layer_ids"
MOST_ROWS = 10**10
"""No table of n-grams is longer. [rows]"""


def mixers(keys: Keys) -> Mixers:
    """A window in every layer, and beyond it keys of one or two tokens, which the last source before it has made.

    Some layers pick keys by an indexer of their own, the others use an earlier one's choice.
    """
    layers, one = layers_of(keys), replace(windowed(keys), learned_positions=False)
    cut_to_decoder(keys, RATIOS, layers)
    ratios = keys.per_layer(RATIOS, layers, allowed=(0, 1, 2), default=[0] * layers)
    sources = _listed(keys, "kv_source_layer_ids", layers)
    picking = _listed(keys, "index_source_layer_ids", layers)
    picks = indexer(keys)

    def attention(number: int, ratio: int) -> Compressed:
        own = replace(picks, compress=ratio) if number in picking else None
        return replace(one, compress=ratio, source=number in sources, indexer=own) if ratio else one

    return [(attention(number, int(ratio)),) for number, ratio in enumerate(ratios)]


def _listed(keys: Keys, key: str, layers: int) -> list[int]:
    """The layers of a list, in order; none where it is missing."""
    found = sorted(keys.layer_numbers(key, layers) or ())
    keys.keep(key, found, [])
    return found


def extras(keys: Keys) -> Extras:
    """The mixing of streams in every layer, which are not joined at the end, and the tables of n-grams.

    What a token looks up is projected to a key of each stream and a value for all, and gated by two norms a stream.
    """
    layers, streams, hidden = layers_of(keys), streams_of(keys), hidden_of(keys)
    mixing = layers * mixing_params(keys)
    looking = _listed(keys, ENGRAM_LAYERS, layers)
    if not looking:
        return Extras(other_params=mixing, wide_params=mixing, streams=streams)
    width = keys.integer("engram_head_dim", high=LARGEST_COUNT)
    columns = (keys.integer("engram_max_ngram_size", low=2) - 1) * keys.integer("engram_n_heads", high=LARGEST_COUNT)
    return Extras(
        other_params=mixing + len(looking) * 2 * streams * hidden,
        lookup_params=sum(_rows(keys, len(looking))) * width,
        ngram_layers=len(looking),
        ngram_params=len(looking) * columns * width * (streams + 1) * hidden,
        wide_params=mixing,
        streams=streams,
    )


def _rows(keys: Keys, tables: int) -> list[int]:
    """The rows of each table of n-grams."""
    value = keys.values.get(ENGRAM_ROWS)
    items = cast("list[object]", value) if isinstance(value, list) else []
    rows = [one for one in items if isinstance(one, int) and not isinstance(one, bool) and 1 <= one <= MOST_ROWS]
    if len(rows) != tables or len(items) != tables:
        keys.wrong(ENGRAM_ROWS, f"a list of {tables} whole numbers from 1 to {MOST_ROWS}")
        return []
    keys.keep(ENGRAM_ROWS, rows, None)
    return rows


def drafting(keys: Keys, body: Architecture, last: LayerGroup) -> MultiToken | None:
    """DSpark: layers with a window alone and fewer experts, which draft several tokens at once.

    The first projects the states of some decoder layers; the last has a chain of `dspark_markov_rank` between tokens,
    and a confidence. Each router has the bias that corrects its scores.
    """
    layers = keys.optional(NUM_NEXTN, default=0, high=MOST_MTP_LAYERS)
    if not layers:
        return None
    hidden, block = body.hidden, last.ffn
    if isinstance(block, ExpertFfn):
        block = replace(block, experts=keys.integer("dspark_n_routed_experts", high=LARGEST_COUNT))
    group = LayerGroup(count=1, attention=windowed(keys), ffn=block)
    layer = sum(params for _, params in layer_params(hidden, group)) + mixing_params(keys)
    bias = block.experts if isinstance(block, ExpertFfn) else 0
    entry = hidden + len(_listed(keys, TARGETS, body.layers)) * hidden**2
    chain = keys.integer("dspark_markov_rank")
    end = hidden + 2 * body.vocab * chain + hidden + chain
    return MultiToken(layers=layers, params=layers * (layer + bias) + entry + end, method="dspark")
