"""Shelves: rows that are asked for by name, found by what people call them, never by a guess."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property, lru_cache
from typing import Generic, TypeVar

T = TypeVar("T")

LONGEST_NAME = 200
"""Longer names are refused before anything is compared. [characters]"""

FEW = 8
"""Names up to which all are listed in an error; of more, the first few."""
CLOSE_ENOUGH = 0.55
"""Share of matching characters from which a name is suggested."""
SAME_WORD = 0.7
"""Share of matching characters from which a word may be a slip for another that begins with the same letter."""
MOST_WORDS = 12
"""The most words that a name within another may have."""
SHORTEST = 3
"""The shortest word that says of which family a row is. [letters]"""

_GLUE = re.compile(r"(?<=\d)\s+(?=(?:b|gb|gib)\b)|(?:(?<=\bint)|(?<=fp)|(?<=\bbf))[\s_-]+(?=\d)")
_VERSION = re.compile(r"(?<=\d)(?<!q\d)_(?=\d\b)")
_SPLIT = re.compile(r"(?<=[a-z])(?<!int)(?<!fp)(?<!bf)(?=\d)(?<!\ba(?=[\d.]+b\b))|(?<=\d)(?=[a-z]{2})")
_WORD = re.compile(r"\d+(?:\.\d+)+|[^\W_]+")


class UnknownName(LookupError):  # noqa: N818 - the name says what it is: a name that is not known
    """No row, or no single row, goes by this name. The message is one actionable sentence."""

    def __init__(self, *, kind: str, name: str, nearest: Sequence[str], message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name
        self.nearest = tuple(nearest)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry(Generic[T]):
    """A row on a shelf: id, title, other names, and its value.

    The words in `kin` are shared with other rows, such as the vendor's: they suggest the row but never name it.
    """

    id: str
    title: str
    aliases: tuple[str, ...]
    value: T
    kin: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """All names, each once; of "owner/name" also the name alone."""
        given = (self.id, self.title, *self.aliases)
        return tuple(dict.fromkeys((*given, *(name.rpartition("/")[2] for name in given))))


@dataclass(frozen=True, kw_only=True, slots=True)
class Stock(Generic[T]):
    """The rows of a shelf, and words without meaning in its names, as "nvidia" or "instruct".

    The words in `describing`, as "large", tell rows of a family apart, and of themselves make no kin.
    """

    entries: tuple[Entry[T], ...]
    noise: frozenset[str] = frozenset()
    describing: frozenset[str] = frozenset()


def words(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case and without spaces, dashes and underscores; numbers stay whole.

    So do formats and active parameters: the 4 of "Int4" is no version, the 14B of "A14B" no size.

    >>> words("Llama3.3_70B-Instruct"), words("Super-v1_5")
    (('llama', '3.3', '70b', 'instruct'), ('super', 'v', '1.5'))
    >>> words("Qwen2-57B-A14B-Instruct-GPTQ-Int4")
    ('qwen', '2', '57b', 'a14b', 'instruct', 'gptq', 'int4')
    >>> words("H100 80 GB")
    ('h', '100', '80', 'gb')
    """
    text = unicodedata.normalize("NFKC", name).casefold().replace("+", " plus ")
    return tuple(_WORD.findall(_SPLIT.sub(" ", _VERSION.sub(".", _GLUE.sub("", text)))))


def key(spoken: Iterable[str]) -> str:
    """The words as one key, in which dots count as spaces.

    >>> key(words("Llama-3.3-70B")) == key(words("llama 3 3 70b"))
    True
    """
    return " ".join(spoken).replace(".", " ")


class Shelf(Mapping[str, T], Generic[T]):
    """Rows by id in the order of their file, loaded when first used.

    Indexing takes an id, `find` any name. `advice` may replace the error for a name that no row has.
    """

    def __init__(
        self,
        *,
        kind: str,
        load: Callable[[], Stock[T]],
        hint: str = "",
        advice: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self.kind = kind
        self._load = load
        self._hint = hint
        self._advice = advice

    def __getitem__(self, id_: str) -> T:
        return self._entries[id_].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Shelf(kind={self.kind!r})"

    def find(self, name: str) -> T:
        """The row's value for a name. Raises `UnknownName` where no row, or more than one, goes by it."""
        return self[self.id_of(name)]

    def knows(self, name: str) -> bool:
        """Whether at least one row goes by this name."""
        return len(name) <= LONGEST_NAME and bool(self._candidates(name))

    def id_of(self, name: str) -> str:
        """The id of the row for a name. Raises `UnknownName` where no row, or more than one, goes by it."""
        if len(name) > LONGEST_NAME:
            raise self._too_long(name)
        candidates = self._candidates(name)
        if len(candidates) != 1:
            raise self._unknown(name, candidates)
        return candidates[0]

    def only(self, name: str) -> str | None:
        """The id of the one row that goes by this name; None where there is none, or more than one."""
        candidates = self._candidates(name) if len(name) <= LONGEST_NAME else []
        return candidates[0] if len(candidates) == 1 else None

    def named(self, name: str) -> str | None:
        """The id of the one row that has exactly this name, not only its words; else None."""
        ids = self._named(name) if len(name) <= LONGEST_NAME else []
        return ids[0] if len(ids) == 1 else None

    def holding(self, name: str) -> list[str]:
        """Ids of the rows whose id and title hold every word of this name."""
        return self._holding(self._meant(words(name))) if len(name) <= LONGEST_NAME else []

    def nearest(self, name: str, n: int = 3) -> list[str]:
        """Ids of rows that a name may mean: those that go by it, else those named in it, then those that are alike."""
        if len(name) > LONGEST_NAME:
            return []
        return (self._candidates(name) or list(dict.fromkeys((*self._within(name), *self._alike(name)))))[:n]

    def complete(self, prefix: str, limit: int = 100) -> list[str]:
        """Ids of rows for what somebody has typed: those with a name that begins so, then those that contain it."""
        typed = key(words(prefix[:LONGEST_NAME]))
        begins = [id_ for id_, keys in self._keys.items() if any(k.startswith(typed) for k in keys)]
        holds = [id_ for id_, keys in self._keys.items() if any(typed in k for k in keys)]
        return list(dict.fromkeys([*begins, *holds]))[:limit]

    @cached_property
    def _stock(self) -> Stock[T]:
        return self._load()

    @cached_property
    def _entries(self) -> dict[str, Entry[T]]:
        """The rows by id. Raises a ValueError where two rows have the same id."""
        entries = {entry.id: entry for entry in self._stock.entries}
        if len(entries) != len(self._stock.entries):
            raise ValueError(f"two rows of one id among the {self.kind} rows")
        return entries

    @cached_property
    def _spoken(self) -> dict[str, list[tuple[str, ...]]]:
        """The words of every name, by id."""
        return {entry.id: [words(name) for name in entry.names] for entry in self._stock.entries}

    @cached_property
    def _keys(self) -> dict[str, list[str]]:
        """The key of every name, by id."""
        return {id_: [key(name) for name in names] for id_, names in self._spoken.items()}

    @cached_property
    def _index(self) -> dict[str, list[str]]:
        """Ids by the keys of all names."""
        return self._by_key(self._spoken)

    @cached_property
    def _repositories(self) -> dict[str, list[str]]:
        """Ids by the keys of names with an owner, with and without it: a repository name means no other row."""
        owned = ((entry.id, [name for name in entry.names if "/" in name]) for entry in self._stock.entries)
        return self._by_key(
            {id_: [words(part) for name in names for part in (name, name.rpartition("/")[2])] for id_, names in owned}
        )

    def _by_key(self, names: Mapping[str, Iterable[tuple[str, ...]]]) -> dict[str, list[str]]:
        """Ids by the key of each of their names, with and without words that have no meaning."""
        index: dict[str, list[str]] = {}
        for id_, spoken in names.items():
            for k in {key(form) for name in spoken for form in (name, self._meant(name))}:
                index.setdefault(k, []).append(id_)
        return index

    @cached_property
    def _vocabulary(self) -> dict[str, frozenset[str]]:
        """The words of each row's id and title; an alias ("kimi dev 72b") has to be given in full."""
        return {entry.id: frozenset((*words(entry.id), *words(entry.title))) for entry in self._stock.entries}

    @cached_property
    def _kin(self) -> dict[str, frozenset[str]]:
        """The words that each row shares with others, of rows that have any."""
        return {entry.id: entry.kin for entry in self._stock.entries if entry.kin}

    def _kindred(self, name: str) -> tuple[list[str], bool]:
        """Ids of the rows that share words with a name, and whether it consists of shared words alone."""
        spoken = frozenset(words(name))
        asked = spoken & frozenset().union(*self._kin.values())
        return [id_ for id_, kin in self._kin.items() if asked and asked <= kin], spoken == asked

    def _meant(self, spoken: Sequence[str]) -> tuple[str, ...]:
        """The words without those that have no meaning."""
        return tuple(word for word in spoken if word not in self._stock.noise)

    def _candidates(self, name: str) -> list[str]:
        """Ids of the rows that go by a name, by the strictest reading that any row answers."""
        if (found := self._named(name)) or self._is_repository(name):
            return found
        kindred, alone = self._kindred(name) if self._kin else ([], False)
        return kindred if alone and len(kindred) > 1 else self._holding(self._meant(words(name)))

    def _is_repository(self, name: str) -> bool:
        """Whether a name is "owner/name", on a shelf that has such names."""
        return "/" in name and bool(self._repositories)

    def _named(self, name: str) -> list[str]:
        """Ids of the rows that have this name, owner included; of "A100/H100", which is no owner's, both."""
        if name in self._entries:
            return [name]
        index = self._repositories if self._is_repository(name) else self._index
        *before, last = name.split("/")
        if (found := self._listed(name, index)) or not before:
            return found
        found = self._listed(last, index)
        named = [part for part in before if found and not _is_owner(part, last)]
        others = [id_ for part in named for id_ in self._listed(part, self._index)]
        return list(dict.fromkeys((*others, *found)))

    def _listed(self, name: str, index: Mapping[str, list[str]]) -> list[str]:
        """Ids of the rows that an index has under a name, with or without its words that have no meaning."""
        spoken = words(name)
        for form in (spoken, self._meant(spoken)):
            if form and (ids := index.get(key(form))):
                return ids
        return []

    def _holding(self, spoken: Sequence[str]) -> list[str]:
        """Ids of the rows whose id and title hold all of these words; numbers alone match nothing."""
        if not any(word[:1].isalpha() or word[-1:].isalpha() for word in spoken):
            return []
        asked = frozenset(spoken)
        return [id_ for id_, known in self._vocabulary.items() if asked <= known]

    def _within(self, name: str) -> list[str]:
        """Ids of rows whose whole name stands in this one, as both of "fp8 and int4".

        One word is enough where rows have no families: "70b" alone, of "llama 5 70b", is not what is meant.
        """
        spoken = words(name)
        fewest = 2 if self._stock.describing else 1
        found: list[str] = []
        start = 0
        while start < len(spoken):
            ends = range(min(len(spoken), start + MOST_WORDS), start + fewest - 1, -1)
            end = next((end for end in ends if key(spoken[start:end]) in self._index), start)
            found += self._index[key(spoken[start:end])] if end > start else []
            start = max(end, start + 1)
        return found

    def _alike(self, name: str) -> list[str]:
        """Ids of rows whose names read like this one, closest first.

        For a name with words of a kin, the rows of that kin, however they read; for another, rows of its family: Mamba
        reads like Jamba, and is no kin.
        """
        kindred, _ = self._kindred(name) if self._kin else ([], False)
        matcher = SequenceMatcher(autojunk=False)
        matcher.set_seq2(key(words(name)))
        asked = self._of_family(words(name))
        alike = kindred or [id_ for id_ in self._keys if self._is_of(id_, asked)]
        score = {id_: max(_ratio(matcher, k) for k in self._keys[id_]) for id_ in alike}
        close = [id_ for id_, value in score.items() if kindred or value >= CLOSE_ENOUGH]
        return sorted(close, key=lambda id_: -score[id_])

    def _of_family(self, spoken: Iterable[str]) -> list[str]:
        """The words that may name a family: of letters, and neither without meaning nor describing.

        None where no words of the stock are describing: only models come in families.
        """
        if not self._stock.describing:
            return []
        others = self._stock.noise | self._stock.describing
        return [word for word in spoken if len(word) >= SHORTEST and word.isalpha() and word not in others]

    def _is_of(self, id_: str, asked: Sequence[str]) -> bool:
        """Whether a row may be of a family asked for, each word of which may be a slip; any row where none is."""
        return not asked or any(_is_slip(word, known) for name in self._spoken[id_] for known in name for word in asked)

    def _unknown(self, name: str, candidates: Sequence[str]) -> UnknownName:
        """The error for a name without a row, or with several, with the nearest names or the advice."""
        said = " ".join(name.split())
        nearest = self.nearest(name)
        lead = f'no {self.kind} "{said}"'
        if len(candidates) > 1:
            lead = f'{self.kind} "{said}" could be any of {len(candidates)}'
            nearest = list(candidates) if len(candidates) <= FEW else nearest
        close = f"nearest: {quoted_list(nearest)}{self._hint}"
        known = f"known are: {quoted_list(list(self))}"
        if len(self) > FEW:
            known = f"known are, among {len(self)}: {quoted_list(list(self)[:3])}"
        message = (None if candidates else self._advice(said)) or f"{lead}; {close if nearest else known}"
        return UnknownName(kind=self.kind, name=said, nearest=nearest, message=message)

    def _too_long(self, name: str) -> UnknownName:
        """The error for a name beyond `LONGEST_NAME`."""
        message = f"a {self.kind} name has at most {LONGEST_NAME} characters, not {len(name):,}"
        return UnknownName(kind=self.kind, name=name[:40], nearest=(), message=message)


def quoted_list(ids: Iterable[str]) -> str:
    """`"a", "b"`: ids in quotes, as errors list them."""
    return ", ".join(f'"{id_}"' for id_ in ids)


def _is_owner(part: str, name: str) -> bool:
    """Whether what stands before a slash says no more than the name behind it, as in "minimax/minimax-m2".

    >>> _is_owner("minimax", "MiniMax-M2"), _is_owner("A100", "H100")
    (True, False)
    """
    return set(words(part)) <= set(words(name))


@lru_cache(maxsize=16384)
def _is_slip(word: str, known: str) -> bool:
    """Whether a word may be meant for a known one: both begin alike, and so does most of the rest.

    >>> _is_slip("lama", "llama"), _is_slip("gptoss", "gpt"), _is_slip("mamba", "jamba"), _is_slip("bert", "be")
    (True, True, False, False)
    """
    if word[0] != known[0] or len(known) < SHORTEST:
        return False
    begins = word.startswith(known) or known.startswith(word)
    return begins or SequenceMatcher(None, word, known, autojunk=False).ratio() >= SAME_WORD


def _ratio(matcher: SequenceMatcher[str], text: str) -> float:
    """The similarity of two keys, from 0 to 1; 0 at once where they cannot be close enough."""
    matcher.set_seq1(text)
    if matcher.real_quick_ratio() < CLOSE_ENOUGH or matcher.quick_ratio() < CLOSE_ENOUGH:
        return 0.0
    return matcher.ratio()
