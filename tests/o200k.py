"""What a text, or a JSON document written as short as can be, takes of a model's context: tokens of o200k."""

import json
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it opens its own data in a way that Python 3.11 deprecates
    from bpe_openai import get_encoding  # pyright: ignore[reportMissingTypeStubs]

    _ENCODING = get_encoding("o200k_base")


def tokens(said: object) -> int:
    """Tokens of a text as it is, or of a document as JSON."""
    return len(_ENCODING.encode_ordinary(said if isinstance(said, str) else compact(said)))


def compact(document: object) -> str:
    """JSON without spaces."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
