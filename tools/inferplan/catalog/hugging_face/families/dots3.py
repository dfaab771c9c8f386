"""dots3: gated MLA with an indexer in some layers, and latents of a window in the others, with sizes of their own.

Source: transformers 5.24, `Dots3NoteTextConfig`, `Dots3NoteTextAttention`, `Dots3NoteTextIndexer`.
"""

from collections.abc import Mapping
from dataclasses import replace

from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.latent import indexer, latent
from inferplan.catalog.hugging_face.layers.windows import FULL, SLIDING
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, Keys
from inferplan.catalog.hugging_face.reading.per_layer import PER_LAYER, gather
from inferplan.catalog.hugging_face.reading.sizes import layers_of
from inferplan.core.layers.latent_attention import Latent

INDEXED = "indexed_attention"
"""A word of `layer_types`; the checkpoint has "full_attention" in its place, unless `use_dsa` is off."""
OWN = "swa_"
"""What the checkpoint writes before the keys of its sliding layers."""
_SLIDING: Mapping[str, int] = {
    "num_attention_heads": 64,
    "q_lora_rank": 1024,
    "kv_lora_rank": 1024,
    "qk_nope_head_dim": 192,
    "v_head_dim": 128,
    "head_dim": 256,
}
"""What the keys of sliding layers mean where they are missing."""
_FOLLOWING = ("num_key_value_heads", "qk_rope_head_dim")
"""Further ones, which follow: all heads have keys of their own, and what rotates is the rest of a head."""
_OWN = {name: OWN + name for name in (*_SLIDING, *_FOLLOWING)}


def mixers(keys: Keys) -> Mixers:
    """A window in three layers of four but in the first, by default."""
    kinds = _kinds(keys, layers_of(keys))
    gather(keys, {number for number, kind in enumerate(kinds) if kind == SLIDING}, _OWN, kind="sliding")
    full = _gated(latent(keys))
    found = {FULL: full}
    if INDEXED in kinds:
        found[INDEXED] = replace(full, indexer=indexer(keys))
    if SLIDING in kinds:
        found[SLIDING] = _sliding(keys)
    return [(found[kind],) for kind in kinds]


def _kinds(keys: Keys, layers: int) -> tuple[str, ...]:
    """Whether each layer has an indexer, a window, or neither."""
    slides = keys.flag("use_sliding_window", default=True)
    default = [SLIDING if slides and number > 1 and number % 4 != 1 else INDEXED for number in range(layers)]
    kinds = keys.per_layer("layer_types", layers, allowed=(FULL, SLIDING, INDEXED), default=default)
    if keys.has(PER_LAYER) and not keys.has("use_dsa"):
        return kinds
    old, new = (FULL, INDEXED) if keys.flag("use_dsa", default=True) else (INDEXED, FULL)
    return tuple(new if kind == old else kind for kind in kinds)


def _sliding(keys: Keys) -> Latent:
    """The attention of a layer that attends over a window."""
    sizes = {key: keys.integer(OWN + key, default=usual, high=LARGEST_COUNT) for key, usual in _SLIDING.items()}
    rotated = max(1, sizes["head_dim"] - sizes["qk_nope_head_dim"])
    one = Latent(
        heads=sizes["num_attention_heads"],
        kv_rank=sizes["kv_lora_rank"],
        nope_dim=sizes["qk_nope_head_dim"],
        rope_dim=keys.integer(OWN + "qk_rope_head_dim", default=rotated, high=LARGEST_COUNT),
        value_dim=sizes["v_head_dim"],
        query_rank=sizes["q_lora_rank"],
        window=keys.integer("sliding_window", "sliding_window_size", default=512),
    )
    return _gated(one)


def _gated(one: Latent) -> Latent:
    """With a gate of each head, and a norm of what rotates of the keys."""
    return replace(one, head_gate=True, extra_params=one.extra_params + one.rope_dim)
