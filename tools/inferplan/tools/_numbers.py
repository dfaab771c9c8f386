"""Numbers as people write them, accepted where they can be read in only one way."""

import re
from collections.abc import Mapping
from functools import cache

POINTED = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+")
"""A number that is whole where points group thousands, and a fraction where a point marks decimals."""
LONGEST = 60
"""Characters beyond which a text is not read as a number."""
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?")
_COMMA = re.compile(r"-?[\d.]+,[\d.,]*")
_SUFFIX = "k|m|b|thousand|million|billion"
_SHORT = re.compile(rf"(\d+)(?:\.(\d+))?(?:\s?({_SUFFIX})|e\+?(\d{{1,2}}))", re.IGNORECASE)
_ZEROS = {"k": 3, "t": 3, "m": 6, "b": 9}
_DIGITS = r"[-+]?[\d.,][\d.,_'\N{RIGHT SINGLE QUOTATION MARK}\s]*"
_NUMBER = re.compile(rf"{_DIGITS}(?:e[-+]?\d+|{_SUFFIX})?", re.IGNORECASE)
_PER = r"\s*(?:/|\bper\b|\ban?\b)\s*"
_OF_GPU = rf"{_PER}(?:gpu(?:{_PER}|[\s-]+))?"
_USD = r"(?:\$|usd|(?:us )?dollars?)?"
_HOUR = r"h(?:(?:ou)?rs?)?"
_FRONT = re.compile(r"(?:us)?\$\s*|usd\s+", re.IGNORECASE)
UNITS: Mapping[str, Mapping[str, int]] = {
    "users": {"users?|sessions?": 0},
    "tokens": {"tokens?|toks?": 0},
    "GPUs": {"gpus?": 0},
    "requests/day": {rf"(?:req(?:uest)?s?)?{_PER}day|req(?:uest)?s?": 0},
    "requests/s": {rf"(?:req(?:uest)?s?)?{_PER}s(?:ec(?:ond)?)?|[rq]ps": 0},
    "ranks": {"ranks?": 0},
    "adapters": {"adapters?": 0},
    "share": {"%|percent": -2},
    "us": {"(?:u|\N{MICRO SIGN}|\N{GREEK SMALL LETTER MU})s|microseconds?": 0, "ms|milliseconds?": 3},
    "ms": {"ms|msecs?|milliseconds?": 0, "s|secs?|seconds?": 3},
    "h": {_HOUR: 0},
    "years": {"y(?:(?:ea)?rs?)?": 0},
    "GB/s": {"(?-i:GB/s|GBps)": 0},
    "kW": {"kw": 0, "w(?:atts?)?": -3},
    "USD": {rf"k\s*{_USD}(?:{_PER}gpu)?": 3, rf"{_USD}(?:{_PER}gpu)?": 0},
    "USD/h": {rf"{_USD}(?:{_OF_GPU}{_HOUR})?": 0},
    "USD/year": {rf"k\s*{_USD}(?:{_PER}y(?:ea)?r?)?": 3, rf"{_USD}(?:{_PER}y(?:ea)?r?)?": 0},
    "USD/kWh": {rf"{_USD}(?:{_PER}kwh)?": 0},
    "USD/kW/month": {rf"{_USD}(?:{_PER}kw)?(?:{_PER}mo(?:nth)?)?": 0},
    "USD/M": {rf"{_USD}(?:{_PER}(?:1 ?)?m(?:illion|tok)?(?: tok(?:en)?s?)?)?": 0},
}
"""By unit: patterns of what people write behind a number, and the power of ten that each stands for."""


def measured(text: str, unit: str) -> tuple[str, int]:
    """The number in a text without its unit, and the power of ten that the unit stands for; other texts as they are.

    >>> measured("95%", "share"), measured("$2.50/h", "USD/h"), measured("0.5 s", "ms"), measured("8", "GPUs")
    (('95', -2), ('2.50', 0), ('0.5', 3), ('8', 0))
    >>> measured("20 tok/s", "ms"), measured("32k tokens", "tokens")
    (('20 tok/s', 0), ('32k', 0))
    """
    said = text.strip()
    if unit not in UNITS or len(said) > LONGEST:
        return text, 0
    if unit.startswith("USD") and (front := _FRONT.match(said)):
        said = said[front.end() :]
    for pattern, power in _patterns(unit):
        found = pattern.search(said)
        if found and _NUMBER.fullmatch(said, endpos=found.start()):
            return said[: found.start()], power
    return said, 0


@cache
def _patterns(unit: str) -> tuple[tuple[re.Pattern[str], int], ...]:
    """The compiled patterns of a unit, with their powers of ten."""
    return tuple((re.compile(rf"\s*(?:{said})$", re.IGNORECASE), power) for said, power in UNITS[unit].items())


def times_ten(number: str, power: int) -> float:
    """The number times a power of ten, rounded to binary once.

    >>> times_ten("12.3", -2), times_ten("0.5", 3)
    (0.123, 500.0)
    """
    return float(f"{number}e{power}" if power else number)


def plain(text: str) -> str:
    """A number without thousands separators. Raises a ValueError where one may be a decimal mark.

    >>> plain("50,000"), plain(" 1_000 "), plain("1 000"), plain("10,00,000"), plain("1.000.000"), plain("0.5")
    ('50000', '1000', '1000', '1000000', '1000000', '0.5')
    >>> plain("8,5")
    Traceback (most recent call last):
    ...
    ValueError: "8,5" has a comma that parts no thousands; write decimals with a point
    """
    said = text.strip().replace("_", "")
    if len(said) > LONGEST:
        return said
    parted = re.sub(r"[\s'\N{RIGHT SINGLE QUOTATION MARK}]", ",", said)
    if _GROUPED.fullmatch(parted):
        return parted.replace(",", "")
    if _COMMA.fullmatch(said):
        raise ValueError(f'"{said}" has a comma that parts no thousands; write decimals with a point')
    if POINTED.fullmatch(said):
        return _without_points(said, fraction=not said.endswith(".000"))
    return said


def whole(text: str) -> str | int:
    """A whole number without thousands separators; "50k" and "2 million" in full. Raises a ValueError where ambiguous.

    >>> whole("50,000"), whole("50k"), whole("1.5 million"), whole("1e6"), whole("many")
    ('50000', 50000, 1500000, 1000000, 'many')
    >>> whole("1.200")
    Traceback (most recent call last):
    ...
    ValueError: "1.200" may be 1,200 or 1.2; write it without a point
    """
    said = plain(text)
    if len(said) > LONGEST:
        return said
    if POINTED.fullmatch(said):
        return _without_points(said, fraction=False)
    return _in_full(said)


def _without_points(said: str, *, fraction: bool) -> str:
    """A number without the points that group thousands; one point is a decimal mark where `fraction` allows it."""
    if said.count(".") > 1:
        return said.replace(".", "")
    if fraction:
        return said
    raise ValueError(f'"{said}" may be {said.replace(".", ",")} or {float(said):g}; write it without a point')


def _in_full(said: str) -> str | int:
    """`2M` and `2e6` as 2000000; what has no suffix, or would not be whole, as it is."""
    short = _SHORT.fullmatch(said)
    if short is None:
        return said
    decimals = short[2] or ""
    zeros = _ZEROS[short[3][0].lower()] if short[3] else int(short[4])
    number, rest = divmod(int(short[1] + decimals) * 10**zeros, 10 ** len(decimals))
    return said if rest else number
