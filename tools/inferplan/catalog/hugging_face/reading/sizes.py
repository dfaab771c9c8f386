"""Names that configs use for the sizes that all of them give, and for the text decoder's own config."""

from typing import cast

from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, MOST_LAYERS, Keys
from inferplan.core.architecture import ANY_CONTEXT

HIDDEN = ("hidden_size", "n_embd", "n_embed", "d_model")
LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads")
CONTEXT = (
    "max_position_embeddings",
    "seq_length",
    "max_sequence_length",
    "model_max_length",
    "n_positions",
    "max_seq_len",
)

STATED = frozenset({*HIDDEN, *LAYERS, *HEADS, "vocab_size", "intermediate_size"})
"""Sizes that a config has to give itself; only in a nested text config may they be left to the defaults."""

TEXT_CONFIGS = ("text_config", "llm_config", "language_config")
"""Where multimodal configs keep that of their text decoder; older ones have its keys beside their own."""


def layers_of(keys: Keys) -> int:
    """The number of decoder layers."""
    return keys.integer(*LAYERS, high=MOST_LAYERS)


def hidden_of(keys: Keys) -> int:
    """The hidden size, which is the width of the residual stream. [elements]"""
    return keys.integer(*HIDDEN)


def heads_of(keys: Keys) -> int:
    """The number of attention heads."""
    return keys.integer(*HEADS, high=LARGEST_COUNT)


def context_of(keys: Keys) -> int:
    """The longest context that the model was trained for, before any scaling of positions. [tokens]"""
    return keys.integer(*CONTEXT, high=ANY_CONTEXT)


def cut_to_decoder(keys: Keys, key: str, layers: int) -> None:
    """Cut a required list off behind the decoder's layers, where it goes on with multi-token-prediction layers."""
    value = keys.values.get(key)
    if isinstance(value, list):
        keys.substitute(key, cast("list[object]", value)[:layers])
    elif value is None:
        keys.missing(key)
