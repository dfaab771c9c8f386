"""The traits that describe a family of transformers, whose readers make layers and parameters of a config's keys."""

from collections.abc import Callable
from dataclasses import dataclass

from inferplan.catalog.hugging_face.layers.ffn import Blocks, DenseLayers
from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.multi_token import MultiTokenReader
from inferplan.catalog.hugging_face.reading.keys import Keys


@dataclass(frozen=True, kw_only=True, slots=True)
class Extras:
    """Tensors of a checkpoint beyond layers, embedding, output head and final norm. [parameters]

    `lookup_params` are tables of which a token gathers a few rows, those of n-grams in `ngram_layers`, where
    `ngram_params` project them; `norm_params` norms, `other_params` all others, of which vLLM loads `wide_params` in 32
    bit. Between blocks `streams` hidden states are passed on.
    """

    other_params: int = 0
    lookup_params: int = 0
    ngram_layers: int = 0
    ngram_params: int = 0
    wide_params: int = 0
    norm_params: int = 0
    streams: int = 1


NO_EXTRAS = Extras()
GATED_BLOCKS = DenseLayers()


def no_extras(_keys: Keys) -> Extras:
    """No further tensors."""
    return NO_EXTRAS


def never(_keys: Keys) -> bool:
    """Not whatever the config says."""
    return False


def always(_keys: Keys) -> bool:
    """Whatever the config says."""
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What mixes the tokens of a family's layers, their feed-forward blocks, and what its ends have.

    A trait is a value, or the name of the flag that decides, or a reader of the config. `norms` are those of one layer;
    with `joined`, both blocks of a layer read the same input, and their outputs are summed before the all-reduce.
    `tied` (embedding and output head are one tensor) and `state_bytes` (of an element of recurrent states) hold where
    the config does not say. `local_rope`: windowed layers rotate by another base than full ones. With `any_context` no
    config says a longest context, as positions are not encoded. Flags in `refused` change the tensors in ways that no
    published model has. `head_rows` is the key of how many tokens the output head has rows for, where that may differ
    from the vocabulary.
    """

    mixers: Callable[[Keys], Mixers]
    blocks: Callable[[Keys], Blocks] = GATED_BLOCKS
    norms: int | Callable[[Keys], int] = 2
    norm_bias: bool = False
    joined: Callable[[Keys], bool] = never
    final_norms: int = 1
    head_bias: bool | str = False
    head_rows: str | None = None
    tied: bool = False
    state_bytes: int | Callable[[Keys], int] = 2
    local_rope: bool = False
    any_context: bool = False
    refused: tuple[str, ...] = ()
    extras: Callable[[Keys], Extras] = no_extras
    multi_token: MultiTokenReader | None = None
