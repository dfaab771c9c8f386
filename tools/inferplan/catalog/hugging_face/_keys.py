"""Typed reading of one object of a config: every key with its default, and a record of what was read."""

from collections.abc import Mapping, Sequence
from typing import cast

from inferplan.catalog.hugging_face._runs import packed, unpacked
from inferplan.catalog.hugging_face._text import Problems, quoted

LARGEST = 10**8
"""No width, vocabulary, context or count of a model is larger. [elements]"""

MOST_LAYERS = 1000

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
"""Sizes that a config has to state itself; in a nested text config the defaults of transformers hold for them too."""


class Keys:
    """The keys of one object of a config.

    `defaults` are those of the configuration class in transformers. `read` holds the keys that were read and differ
    from what would be assumed without them: they are all that the model follows from.
    """

    def __init__(
        self, values: Mapping[str, object], *, problems: Problems, defaults: Mapping[str, object], where: str = ""
    ) -> None:
        self.values = values
        self.defaults = defaults
        self.problems = problems
        self.read: dict[str, object] = {}
        self.notes: dict[str, None] = {}
        self._where = where

    def name(self, key: str) -> str:
        """The key as a message has it, with the object that it stands in."""
        return f'"{self._where}{key}"'

    def wrong(self, key: str, must: str) -> None:
        """Record a value that cannot be."""
        self.problems.wrong[f"{self.name(key)} must be {must}, not {quoted(self.values.get(key))}"] = None

    def contrary(self, what: str) -> None:
        """Record a contradiction between values."""
        self.problems.contrary[what] = None

    def unsupported(self, key: str, why: str) -> None:
        """Record a setting whose parameters are not known here."""
        self.problems.wrong[f"{self.name(key)}: {quoted(self.values.get(key))} is not supported ({why})"] = None

    def has(self, key: str) -> bool:
        """Whether the key is given and not null."""
        return self.values.get(key) is not None

    def given(self, names: Sequence[str]) -> str:
        """Which of the names a key goes by here; the first where none is given."""
        return next((name for name in names if self.has(name)), names[0])

    def keep(self, key: str, value: object, assumed: object) -> None:
        """Remember a value that was read, unless it is what would be assumed anyway."""
        if value != assumed or isinstance(value, bool) != isinstance(assumed, bool):
            self.read[key] = value

    def integer(self, *names: str, default: int | None = None, low: int = 1, high: int = LARGEST) -> int:
        """A whole number in bounds; a stand-in where there is a problem, which is recorded."""
        key = self.given(names)
        assumed = self._assumed(names, default)
        if not self.has(key):
            if assumed is None:
                self.problems.missing[self.name(names[0])] = None
            return low if assumed is None else assumed
        value = self._whole(key, low, high)
        if value is None:
            return low if assumed is None else assumed
        self.keep(key, value, assumed)
        return value

    def optional(self, *names: str, default: int | None = None, low: int = 0, high: int = LARGEST) -> int | None:
        """A whole number in bounds, or None where it is null or neither given nor assumed."""
        key = next((name for name in names if name in self.values), names[0])
        assumed = self._assumed(names, default)
        if key not in self.values:
            return assumed
        value = None if self.values[key] is None else self._whole(key, low, high)
        self.keep(key, value, assumed)
        return value

    def _assumed(self, names: Sequence[str], default: int | None) -> int | None:
        """What transformers assumes for a key, else what the reader does."""
        found = next((self.defaults[name] for name in names if name in self.defaults), default)
        return found if isinstance(found, int) else default

    def _whole(self, key: str, low: int, high: int) -> int | None:
        """The value as a whole number in bounds; None, and a problem, where it is not."""
        value = _same(self.values[key])
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.wrong(key, f"a whole number from {low} to {high}")
            return None
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """true or false."""
        found = self.defaults.get(key, default)
        assumed = found if isinstance(found, bool) else default
        if not self.has(key):
            return assumed
        value = self.values[key]
        if not isinstance(value, bool):
            self.wrong(key, "true or false")
            return assumed
        self.keep(key, value, assumed)
        return value

    def number(self, key: str, *, default: float, low: float = 0.0, high: float = 1e6) -> float:
        """A finite number in bounds."""
        found = self.defaults.get(key, default)
        assumed = float(found) if isinstance(found, int | float) else default
        if not self.has(key):
            return assumed
        value = self.values[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.wrong(key, f"a number from {low:g} to {high:g}")
            return assumed
        self.keep(key, value, assumed)
        return float(value)

    def word(self, key: str, *, allowed: Sequence[str], default: str) -> str:
        """One of some words."""
        found = self.defaults.get(key, default)
        assumed = found if isinstance(found, str) else default
        if not self.has(key):
            return assumed
        value = self.values[key]
        if not isinstance(value, str) or value not in allowed:
            self.wrong(key, "one of " + ", ".join(allowed))
            return assumed
        self.keep(key, value, assumed)
        return value

    def text(self, key: str) -> str | None:
        """Any text, or None."""
        value = self.values.get(key)
        return value if isinstance(value, str) and value else None

    def per_layer(
        self, key: str, layers: int, *, allowed: Sequence[str] | Sequence[int], default: Sequence[str] | Sequence[int]
    ) -> tuple[str, ...]:
        """One word or number a layer, as text: a list of all layers, or runs that repeat, as `packed` writes them."""
        assumed = tuple(str(one) for one in default)
        if not self.has(key):
            return assumed
        words = [str(one) for one in allowed]
        found = _words(self.values[key], layers)
        if found is None or not set(found) <= set(words):
            self.wrong(key, "a list, one for each layer, of " + ", ".join(words))
            return assumed
        if len(found) != layers:
            self.contrary(f"{self.name(key)} has {len(found)} entries for {layers} layers")
            return assumed
        self.keep(key, packed(found), packed(assumed))
        return found

    def layer_numbers(self, key: str, layers: int, *, first: int = 0) -> frozenset[int] | None:
        """Numbers of layers, the first layer being `first`; None where none are given."""
        value = self.values.get(key)
        if value is None:
            return None
        items = cast("list[object]", value) if isinstance(value, list) else [None]
        numbers = frozenset(one for one in items if isinstance(one, int) and not isinstance(one, bool))
        if len(numbers) != len(items) or not all(first <= one < first + layers for one in numbers):
            self.wrong(key, f"a list of layers from {first} to {first + layers - 1}, none twice")
            return None
        return numbers

    def child(self, key: str, *, defaults: Mapping[str, object]) -> "Keys | None":
        """The object under a key, or None where there is none."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.wrong(key, "an object")
            return None
        values = cast("dict[str, object]", value)
        one = Keys(values, problems=self.problems, defaults=defaults, where=f"{self._where}{key}.")
        one.notes = self.notes
        self.read[key] = one.read
        return one


def _same(value: object) -> object:
    """The value that all entries of a list are (Hunyuan has one a layer); anything else as it is."""
    if not isinstance(value, list) or not value:
        return cast("object", value)
    items = cast("list[object]", value)
    return items[0] if all(one == items[0] and type(one) is type(items[0]) for one in items) else items


def _words(value: object, layers: int) -> tuple[str, ...] | None:
    """The entries of a list or of runs, as text; None where the value is neither."""
    if isinstance(value, str):
        return unpacked(value, layers)
    if not isinstance(value, list):
        return None
    return tuple(str(int(one) if isinstance(one, bool) else one) for one in cast("list[object]", value))
