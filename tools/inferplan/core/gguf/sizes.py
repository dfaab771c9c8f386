"""What a mix takes of a model's layers and ends: the bits of each class of tensors, and of each layer."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from inferplan.core.architecture import Architecture
from inferplan.core.gguf.block_types import BITS, stored
from inferplan.core.gguf.mixes import OF_70B, Place, Traits, embedding_type, head_type, type_of
from inferplan.core.gguf.tensors import Tensor, layer_tensors
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import GatedDelta

Class = Mapping[str, tuple[float, int]]
"""The bits and the parameters of each class of tensors, by the field of `Parameters`."""


class Stored(NamedTuple):
    """What a mix takes: the classes of every layer, and a weight of the token embedding and of the head. [bits]"""

    layers: tuple[Class, ...]
    embedding: float
    output_head: float

    def bits(self, *kinds: str) -> float:
        """The mean over all layers of what a weight of these classes takes; 0 where there are none. [bits]"""
        found = [layer[kind] for layer in self.layers for kind in kinds if kind in layer]
        weights = sum(params for _, params in found)
        return sum(bits for bits, _ in found) / weights if weights else 0.0


@lru_cache(maxsize=256)
def stored_in(architecture: Architecture, mix: str) -> Stored:
    """What a mix takes of an architecture."""
    traits = _traits(architecture)
    tensors = [list(layer_tensors(architecture.hidden, group)) for group in architecture.groups]
    layers = [_sized(placed, mix, traits) for placed in _placed([tensors[kind] for kind in architecture.sequence])]
    head = BITS[head_type(mix, architecture.hidden, traits)]
    embedding = head if architecture.tied_embeddings else BITS[stored(embedding_type(mix), architecture.hidden)]
    return Stored(layers=tuple(layers), embedding=embedding, output_head=head)


def _traits(architecture: Architecture) -> Traits:
    """What the rules ask for. KV heads are the first layer's, of which recurrent ones but Qwen's delta nets state none.

    Source: llama.cpp, src/llama-hparams.cpp, `n_gqa`; src/models/llama.cpp, qwen2.cpp, deci.cpp (80 layers).
    """
    experts = architecture.experts.experts if architecture.experts else 0
    first = next(iter(architecture.groups[architecture.sequence[0]].mixers), None)
    if isinstance(first, GatedDelta):
        first = next((one for _, one in architecture.mixers if isinstance(one, Attention)), None)
    sharing = 0
    if isinstance(first, Attention):
        sharing = first.heads // first.kv_heads
    elif isinstance(first, Latent):
        sharing = first.heads
    return Traits(
        experts=experts,
        sharing=sharing,
        is_70b=not experts and architecture.layers == OF_70B and sharing > 1,
        is_falcon=any(group.joined and getattr(group.attention, "fused", False) for group in architecture.groups),
    )


def _placed(layers: list[list[Tensor]]) -> Iterator[list[tuple[Tensor, Place]]]:
    """The tensors of every layer with their places."""
    values = sum(tensor.role == "value" for layer in layers for tensor in layer)
    value = down = 0
    for at, layer in enumerate(layers):
        placed: list[tuple[Tensor, Place]] = []
        for tensor in layer:
            placed.append((tensor, Place(layer=at, layers=len(layers), value=value, values=values, down=down)))
            value += tensor.role == "value"
            down += tensor.role == "down"
        yield placed


def _sized(placed: list[tuple[Tensor, Place]], mix: str, traits: Traits) -> Class:
    """The bits and parameters of each class of one layer."""
    sums: defaultdict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for tensor, place in placed:
        bits, params = sums[tensor.kind]
        kind = stored(type_of(mix, tensor.role, place, traits), tensor.row)
        sums[tensor.kind] = bits + BITS[kind] * tensor.params, params + tensor.params
    return dict(sums)
