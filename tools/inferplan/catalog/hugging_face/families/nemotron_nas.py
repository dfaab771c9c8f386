"""Llama-Nemotron: a search has given each layer KV heads and a width of its own, or left attention or block out."""

import re
from collections.abc import Mapping
from typing import cast

from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.ffn import Blocks
from inferplan.catalog.hugging_face.layers.heads import Mixers, head_dim_of
from inferplan.catalog.hugging_face.reading.keys import LARGEST, Keys
from inferplan.catalog.hugging_face.reading.layer_runs import packed, unpacked
from inferplan.catalog.hugging_face.reading.sizes import heads_of, hidden_of, layers_of
from inferplan.core.architecture import DenseFfn
from inferplan.core.layers.attention import Attention

BLOCK_CONFIGS = "block_configs"
WIDTH_MULTIPLE = 256
"""A block's width is rounded up to a multiple of it. [elements]"""
ABSENT = "-"
"""What stands for attention or a block that a layer does not have."""

_WORD = re.compile(r"(\d{1,5}|-)_(\d{1,8}|-)")


def mixers(keys: Keys) -> Mixers:
    """Attention where a layer has it; the heads of a group share one KV head. Source: `DeciLMDecoderLayer`."""
    heads = heads_of(keys)
    head_dim = head_dim_of(keys, heads)
    return [_attention(keys, heads, head_dim, group) for group, _ in _layers(keys)]


def _attention(keys: Keys, heads: int, head_dim: int, group: str) -> tuple[Attention, ...]:
    """The attention of one layer, if it has one; `group` is the number of heads that share a KV head."""
    if group == ABSENT:
        return ()
    size = max(1, int(group))
    if heads % size:
        keys.contradiction(f"{keys.name(BLOCK_CONFIGS)}: groups of {size} do not divide the {heads} attention heads")
    return (Attention(heads=heads, kv_heads=max(1, heads // size), head_dim=head_dim),)


def blocks(keys: Keys) -> Blocks:
    """The dense block of each layer, where it has one."""
    return [None if width == ABSENT else DenseFfn(intermediate=max(1, int(width))) for _, width in _layers(keys)]


def extras(keys: Keys) -> Extras:
    """A norm before every attention and every block that is there."""
    return Extras(norm_params=sum(part != ABSENT for layer in _layers(keys) for part in layer) * hidden_of(keys))


def _layers(keys: Keys) -> list[tuple[str, str]]:
    """The heads per KV head and the width of each layer's block, "-" where it has no attention or no block."""
    layers, value = layers_of(keys), keys.values.get(BLOCK_CONFIGS)
    if value is None:
        keys.missing(BLOCK_CONFIGS)
        return []
    words = unpacked(value, layers) if isinstance(value, str) else _read(value, hidden_of(keys))
    found = [match.groups() for word in words or () if (match := _WORD.fullmatch(word))]
    if words is None or len(found) != len(words):
        keys.wrong(BLOCK_CONFIGS, "a list of attention and ffn, each with its size or no_op")
        return []
    if len(words) != layers:
        keys.contradiction(f"{keys.name(BLOCK_CONFIGS)} has {len(words)} entries for {layers} layers")
    keys.keep(BLOCK_CONFIGS, packed(words), None)
    return [(str(group), str(width)) for group, width in found]


def _read(value: object, hidden: int) -> tuple[str, ...] | None:
    """One word per layer from a list of objects; None where it is no list."""
    if not isinstance(value, list):
        return None
    return tuple(_word(one, hidden) for one in cast("list[object]", value))


def _word(layer: object, hidden: int) -> str:
    """One layer as "<heads per KV head>_<width>"; an empty word where it is not understood."""
    attention, ffn = _part(layer, "attention"), _part(layer, "ffn")
    if attention is None or ffn is None or attention.get("replace_with_linear") or ffn.get("replace_with_linear"):
        return ""
    group = ABSENT if attention.get("no_op") is True else attention.get("n_heads_in_group")
    width = ABSENT if ffn.get("no_op") is True else _width(ffn.get("ffn_mult"), hidden)
    return f"{group}_{width}"


def _part(layer: object, name: str) -> Mapping[str, object] | None:
    """The attention or the block of a layer."""
    value = cast("Mapping[str, object]", layer).get(name) if isinstance(layer, dict) else None
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else None


def _width(mult: object, hidden: int) -> int | None:
    """int(2 × mult × hidden / 3), rounded up to a multiple of 256. [elements]

    Source: DeciLM modeling_decilm.py, `_ffn_mult_to_intermediate_size`.

    >>> _width(5.25, 8192)
    28672
    """
    if isinstance(mult, bool) or not isinstance(mult, int | float) or not 0 < mult < 1000:
        return None
    width = -(-int(2 * mult * hidden / 3) // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
    return width if width <= LARGEST else None
