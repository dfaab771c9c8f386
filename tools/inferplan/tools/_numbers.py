"""Numbers as people write them, taken where they can be read in one way only."""

import re

POINTED = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+")
"""What is a whole number where points part thousands, and a fraction where a point parts decimals."""
LONGEST = 60
"""Characters of what may be a number."""
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?")
_COMMA = re.compile(r"-?[\d.]+,[\d.,]*")
_SHORT = re.compile(r"(\d+)(?:\.(\d+))?\s?([km])", re.IGNORECASE)
_ZEROS = {"k": 3, "m": 6}


def plain(text: str) -> str:
    """A number without what parts its thousands. Raises a ValueError where that may as well part its decimals.

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
    """The same of a number that has no decimals; "50k" and "2M" are 50,000 and 2,000,000.

    >>> whole("50,000"), whole("50k"), whole("1.5M"), whole("many")
    ('50000', 50000, 1500000, 'many')
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
    """Several points part thousands; one may part decimals, and does where it can be a `fraction`."""
    if said.count(".") > 1:
        return said.replace(".", "")
    if fraction:
        return said
    raise ValueError(f'"{said}" may be {said.replace(".", ",")} or {float(said):g}; write it without a point')


def _in_full(said: str) -> str | int:
    """`2M` as 2,000,000; what is not short, or would not be whole, as it is."""
    short = _SHORT.fullmatch(said)
    if short is None:
        return said
    decimals = short[2] or ""
    number, rest = divmod(int(short[1] + decimals) * 10 ** _ZEROS[short[3].lower()], 10 ** len(decimals))
    return said if rest else number
