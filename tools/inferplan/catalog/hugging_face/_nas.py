"""Llama-Nemotron: layers that a search has thinned out, each with attention and a block of its own, or without."""

import re
from collections.abc import Mapping
from typing import cast

from inferplan.catalog.hugging_face._attention import Mixers, head_dim_of, hidden_of, layers_of
from inferplan.catalog.hugging_face._ffn import Blocks
from inferplan.catalog.hugging_face._gemma import Ends
from inferplan.catalog.hugging_face._keys import HEADS, LARGEST, Keys
from inferplan.catalog.hugging_face._runs import packed, unpacked
from inferplan.core.architecture import DenseFfn
from inferplan.core.layers.attention import Attention

KEY = "block_configs"
MULTIPLE = 256
"""What a block's width is rounded up to."""

_WORD = re.compile(r"(\d{1,5}|-)_(\d{1,8}|-)")


def mixers(keys: Keys) -> Mixers:
    """Attention where a layer has any; heads in a group share one KV head. Source: `DeciLMDecoderLayer`."""
    heads = keys.integer(*HEADS, high=10**5)
    head_dim = head_dim_of(keys, heads)
    return [_attention(keys, heads, head_dim, group) for group, _ in _layers(keys)]


def _attention(keys: Keys, heads: int, head_dim: int, group: str) -> tuple[Attention, ...]:
    """The attention of one layer, or nothing."""
    if group == "-":
        return ()
    size = max(1, int(group))
    if heads % size:
        keys.contrary(f"{keys.name(KEY)}: groups of {size} do not divide the {heads} attention heads")
    return (Attention(heads=heads, kv_heads=max(1, heads // size), head_dim=head_dim),)


def blocks(keys: Keys) -> Blocks:
    """The dense block of each layer, where it has one."""
    return [None if width == "-" else DenseFfn(intermediate=max(1, int(width))) for _, width in _layers(keys)]


def ends(keys: Keys) -> Ends:
    """A norm before every attention and every block that is there."""
    return Ends(norm_params=sum(part != "-" for layer in _layers(keys) for part in layer) * hidden_of(keys))


def _layers(keys: Keys) -> list[tuple[str, str]]:
    """Heads in a group and width of each layer, `-` where there is none."""
    layers, value = layers_of(keys), keys.values.get(KEY)
    if value is None:
        keys.problems.missing[keys.name(KEY)] = None
        return []
    words = unpacked(value, layers) if isinstance(value, str) else _read(value, hidden_of(keys))
    found = [match.groups() for word in words or () if (match := _WORD.fullmatch(word))]
    if words is None or len(found) != len(words):
        keys.wrong(KEY, "a list of attention and ffn, each with its size or no_op")
        return []
    if len(words) != layers:
        keys.contrary(f"{keys.name(KEY)} has {len(words)} entries for {layers} layers")
    keys.keep(KEY, packed(words), None)
    return [(str(group), str(width)) for group, width in found]


def _read(value: object, hidden: int) -> tuple[str, ...] | None:
    """The words of a list of objects."""
    if not isinstance(value, list):
        return None
    return tuple(_word(one, hidden) for one in cast("list[object]", value))


def _word(layer: object, hidden: int) -> str:
    """One layer as "heads-in-group_width"; an empty word where it is not understood."""
    attention, ffn = _part(layer, "attention"), _part(layer, "ffn")
    if attention is None or ffn is None or attention.get("replace_with_linear") or ffn.get("replace_with_linear"):
        return ""
    group = "-" if attention.get("no_op") is True else attention.get("n_heads_in_group")
    width = "-" if ffn.get("no_op") is True else _width(ffn.get("ffn_mult"), hidden)
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
    width = -(-int(2 * mult * hidden / 3) // MULTIPLE) * MULTIPLE
    return width if width <= LARGEST else None
