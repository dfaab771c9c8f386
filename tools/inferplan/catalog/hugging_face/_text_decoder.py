"""The text decoder that a config describes: its keys and its model type, alone or inside a multimodal model."""

from collections.abc import Mapping
from difflib import get_close_matches

from inferplan.catalog._json import quoted
from inferplan.catalog.hugging_face.families.known import KNOWN_TYPES, defaults_of
from inferplan.catalog.hugging_face.families.unread import UNREAD
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.problems import ConfigProblem, listed
from inferplan.catalog.hugging_face.reading.sizes import STATED, TEXT_CONFIGS
from inferplan.catalog.hugging_face.vision.multimodal_types import OWN_DECODER, TEXT_DECODERS

_NO_DEFAULTS: Mapping[str, object] = {}


def known_model_types() -> tuple[str, ...]:
    """Every `model_type` that is read, in alphabetical order."""
    return tuple(sorted({*KNOWN_TYPES, *TEXT_DECODERS}))


def text_decoder(root: Keys) -> tuple[Keys, str]:
    """The keys of the text decoder, with the defaults of transformers, and its model type.

    Raises `ConfigProblem` where the type is missing or not known.
    """
    stated = _type(root)
    root.keep("model_type", stated, None)
    nested = next((key for key in TEXT_CONFIGS if isinstance(root.values.get(key), dict)), None)
    if nested is None:
        type_ = _known(TEXT_DECODERS.get(stated, stated))
        root.defaults = {key: value for key, value in defaults_of(type_).items() if key not in STATED}
        return root, type_
    if stated not in TEXT_DECODERS:
        _known(stated)
    inner = root.child(nested, defaults=_NO_DEFAULTS)
    assert inner is not None  # noqa: S101 - its value is an object
    assumed = TEXT_DECODERS.get(stated)
    type_ = _known(assumed if assumed and stated in OWN_DECODER else _type(inner, assumed))
    inner.keep("model_type", type_, assumed)
    inner.defaults = defaults_of(type_)
    return inner, type_


def _type(keys: Keys, default: str | None = None) -> str:
    """The `model_type` of an object; raises `ConfigProblem` where it has none."""
    value = keys.values.get("model_type", default)
    if not isinstance(value, str) or not value:
        raise ConfigProblem(f'config.json: needs {keys.name("model_type")}, such as "llama" or "qwen3_moe"')
    return value


def _known(type_: str) -> str:
    """The type of a text decoder; raises `ConfigProblem` where it is not read, with why or with the nearest types."""
    if type_ in KNOWN_TYPES:
        return type_
    if reason := UNREAD.get(type_):
        raise ConfigProblem(f"config.json: model_type {quoted(type_)} is not read: {reason}")
    known = known_model_types()
    near = get_close_matches(type_[:60].lower(), known, n=3, cutoff=0.4) or ["llama", "qwen3_moe"]
    names = listed((f'"{one}"' for one in near), "or")
    raise ConfigProblem(f"config.json: no model_type {quoted(type_)} among the {len(known)} known; nearest: {names}")
