"""Typed reading of one object of a config.json: each key with its bounds and default, and a record of what was read."""

from collections.abc import Mapping, Sequence
from typing import cast

from inferplan.catalog._json import quoted
from inferplan.catalog.hugging_face.reading.layer_runs import packed, unpacked
from inferplan.catalog.hugging_face.reading.problems import Problems

LARGEST = 10**8
"""No width, vocabulary or other size is larger. [elements]"""
LARGEST_COUNT = 10**5
"""No number of heads or experts, and no width of a head, is larger."""
LARGEST_FACTOR = 1000
"""No convolution kernel, expansion factor, or number of shared experts or residual streams is larger."""
MOST_LAYERS = 1000


class Keys:
    """The keys of one object of a config.

    `defaults` are those of its configuration class in transformers. `read` holds the keys that were read and that
    differ from what would be assumed without them: the model follows from these alone, and its id is made of them.
    `notes` are sentences for the user; nested objects share them.
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
        """The key as a message has it: quoted, with the object that it is in."""
        return f'"{self._where}{key}"'

    def missing(self, key: str) -> None:
        """Record a key that the model cannot be read without."""
        self.problems.missing[self.name(key)] = None

    def wrong(self, key: str, must: str) -> None:
        """Record a value of the wrong type or out of bounds, with what it `must` be."""
        self.problems.wrong[f"{self.name(key)} must be {must}, not {quoted(self.values.get(key))}"] = None

    def unsupported(self, key: str, why: str) -> None:
        """Record a setting whose parameters are not known."""
        self.problems.wrong[f"{self.name(key)}: {quoted(self.values.get(key))} is not supported ({why})"] = None

    def refuse(self, key: str, what: str) -> None:
        """Record what the value of a key does that is not supported, as a clause."""
        self.problems.wrong[f"{self.name(key)} {what}, which is not supported"] = None

    def contradiction(self, what: str) -> None:
        """Record a contradiction between values."""
        self.problems.contrary[what] = None

    def has(self, key: str) -> bool:
        """Whether the key is given and not null."""
        return self.values.get(key) is not None

    def given(self, names: Sequence[str]) -> str:
        """Which of the names of a key the config uses; the first where it uses none."""
        return next((name for name in names if self.has(name)), names[0])

    def substitute(self, key: str, value: object) -> None:
        """Read the key as if the config gave this value; other readers of the same object are not affected."""
        self.values = {**self.values, key: value}

    def keep(self, key: str, value: object, assumed: object) -> None:
        """Record a value that was read, unless it is what would be assumed without the key."""
        if value != assumed or isinstance(value, bool) != isinstance(assumed, bool):
            self.read[key] = value

    def integer(self, *names: str, default: int | None = None, low: int = 1, high: int = LARGEST) -> int:
        """A whole number from `low` to `high`. A missing or wrong one is recorded, and read as the default or `low`."""
        key = self.given(names)
        assumed = self._assumed(names, default)
        if not self.has(key):
            if assumed is None:
                self.missing(names[0])
            return low if assumed is None else assumed
        value = self._whole(key, low, high)
        if value is None:
            return low if assumed is None else assumed
        self.keep(key, value, assumed)
        return value

    def optional(self, *names: str, default: int | None = None, low: int = 0, high: int = LARGEST) -> int | None:
        """A whole number from `low` to `high`, or None where it is null, or neither given nor assumed."""
        key = next((name for name in names if name in self.values), names[0])
        assumed = self._assumed(names, default)
        if key not in self.values:
            return assumed
        value = None if self.values[key] is None else self._whole(key, low, high)
        self.keep(key, value, assumed)
        return value

    def _assumed(self, names: Sequence[str], default: int | None) -> int | None:
        """The default of transformers for a key, else the reader's."""
        found = next((self.defaults[name] for name in names if name in self.defaults), default)
        return found if isinstance(found, int) else default

    def _whole(self, key: str, low: int, high: int) -> int | None:
        """The value as a whole number in bounds; otherwise None, and the value is recorded as wrong."""
        value = _uniform(self.values[key])
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.wrong(key, f"a whole number from {low} to {high}")
            return None
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """true or false; a wrong value is recorded, and read as the default."""
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
        """A finite number from `low` to `high`; a wrong one is recorded, and read as the default."""
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
        """One of the `allowed` words; another value is recorded as wrong, and read as the default."""
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
        """A text that is not empty, else None."""
        value = self.values.get(key)
        return value if isinstance(value, str) and value else None

    def per_layer(
        self, key: str, layers: int, *, allowed: Sequence[str] | Sequence[int], default: Sequence[str] | Sequence[int]
    ) -> tuple[str, ...]:
        """One word or number per layer, as text: from a list of all layers, or from runs as `packed` writes them."""
        assumed = tuple(str(one) for one in default)
        if not self.has(key):
            return assumed
        words = [str(one) for one in allowed]
        found = _words(self.values[key], layers)
        if found is None or not set(found) <= set(words):
            self.wrong(key, "a list, one for each layer, of " + ", ".join(words))
            return assumed
        if len(found) != layers:
            self.contradiction(f"{self.name(key)} has {len(found)} entries for {layers} layers")
            return assumed
        self.keep(key, packed(found), packed(assumed))
        return found

    def layer_numbers(self, key: str, layers: int, *, first: int = 0) -> frozenset[int] | None:
        """A list of layer numbers, counted from `first`; None where there is none, or where it is wrong."""
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
        """The object under a key, or None where there is none; what is read of it counts as read here."""
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


def _uniform(value: object) -> object:
    """The value that all entries of a list have (Hunyuan lists one per layer); anything else as it is."""
    if not isinstance(value, list) or not value:
        return cast("object", value)
    items = cast("list[object]", value)
    return items[0] if all(one == items[0] and type(one) is type(items[0]) for one in items) else items


def _words(value: object, layers: int) -> tuple[str, ...] | None:
    """The entries of a list, or of runs, as text; None where the value is neither."""
    if isinstance(value, str):
        return unpacked(value, layers)
    if not isinstance(value, list):
        return None
    return tuple(str(int(one) if isinstance(one, bool) else one) for one in cast("list[object]", value))
