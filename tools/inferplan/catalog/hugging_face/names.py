"""How models outside the catalogue are named, for callers that need none of the readers."""

import re

OWN = " (your config.json)"
"""The mark of a model that is read from a config, in its title."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?<![.-])"
_ID = re.compile(rf"(?!.*(?:--|\.\.)){_NAME}/{_NAME}(?<!\.git)")


def is_repository_id(text: str) -> bool:
    """Whether a text is "owner/name" as hubs write it.

    >>> is_repository_id("Qwen/Qwen3-8B"), is_repository_id("70B"), is_repository_id("a/..")
    (True, False, False)
    """
    return bool(_ID.fullmatch(text))
