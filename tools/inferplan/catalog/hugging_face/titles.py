"""The title of a model that is read from a config."""

import re
from typing import cast

from inferplan.catalog.hugging_face.names import OWN
from inferplan.catalog.hugging_face.reading.keys import Keys

LONGEST_NAME = 36
"""Characters of a name that drawings and sentences show."""

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,63})?")


def title(root: Keys, params: int) -> str:
    """The name or the class of a config with its size, such as "LlamaForCausalLM, 8.03B (your config.json)"."""
    name = _name(root)
    short = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."
    return f"{short}, {_size(params)}{OWN}"


def _name(root: Keys) -> str:
    """`_name_or_path` where it is a plain name, else the architecture's class, else the model type."""
    path = root.text("_name_or_path")
    if path and _SAFE.fullmatch(path):
        root.keep("_name_or_path", path, None)
        return path
    classes = root.values.get("architectures")
    first = cast("list[object]", classes)[0] if isinstance(classes, list) and classes else None
    if isinstance(first, str) and _SAFE.fullmatch(first):
        root.keep("architectures", [first], None)
        return first
    type_ = root.text("model_type") or ""
    return type_ if _SAFE.fullmatch(type_) else "model"


def _size(params: int) -> str:
    """Parameters in thousands, millions, billions or trillions, with three digits.

    >>> [_size(count) for count in (8_030_261_248, 494_032_768, 1_026_408_209_408)]
    ['8.03B', '494M', '1.03T']
    """
    unit, size = next(
        (u, s) for u, s in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3), ("", 1)) if params >= s or s == 1
    )
    value = params / size
    return f"{value:.{max(0, 2 - len(str(int(value))) + 1)}f}{unit}"
