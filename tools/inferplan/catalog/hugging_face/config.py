"""A model from the text of its Hugging Face `config.json`: read where it is understood, refused by name where not.

Every number follows from the keys of the config and, where it leaves one out, from the default of its configuration
class in transformers. A family whose arithmetic is not verified is refused.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from inferplan.catalog.hugging_face._architecture import architecture_of, layers_in
from inferplan.catalog.hugging_face._own_forms import in_usual_form
from inferplan.catalog.hugging_face._text_decoder import known_model_types, text_decoder
from inferplan.catalog.hugging_face._thinker import note_speaking
from inferplan.catalog.hugging_face.families.first_versions import first_vllm
from inferplan.catalog.hugging_face.families.lora import adapted
from inferplan.catalog.hugging_face.families.remote_code import needs_remote_code
from inferplan.catalog.hugging_face.layers.multi_token import NUM_MTP, NUM_MTP_LAYERS, NUM_NEXTN
from inferplan.catalog.hugging_face.quantization.released import released_in
from inferplan.catalog.hugging_face.reading.document import LONGEST_CONFIG, parsed
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.problems import ConfigProblem, Problems
from inferplan.catalog.hugging_face.titles import title
from inferplan.catalog.hugging_face.vision.multimodal_types import HEARING, TEXT_DECODERS
from inferplan.core.architecture import Architecture
from inferplan.core.model import Model
from inferplan.core.parameters import count

__all__ = ["LONGEST_CONFIG", "ConfigProblem", "Described", "described", "known_model_types", "read"]

OVERFLOWING = frozenset({"gemma2", "gemma3", "gemma3_text", "glm4"})
"""Types that overflow in FP16. Source: vLLM 0.24 and 0.28, vllm/config/model.py, `_FLOAT16_NOT_SUPPORTED_MODELS`."""

MOST_PARAMETERS = 10**15
"""A config that makes more is refused. [parameters]"""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Described:
    """A model as its config describes it, and in `notes` what the reader left out or assumed. Compared by identity."""

    model: Model
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=256)
def described(text: str) -> Described:
    """The model that the text of a config.json describes; raises `ConfigProblem`, and nothing else, where it cannot.

    Cached by text. The id of the model is itself a config: the few keys that everything follows from.
    """
    return read(parsed(text))


def read(config: dict[str, object]) -> Described:
    """The model that a config.json describes, of the object that it holds; raises `ConfigProblem` where it cannot."""
    problems = Problems()
    root = Keys(in_usual_form(config), problems=problems, defaults={})
    body, type_ = text_decoder(root)
    note_speaking(root)
    layers = layers_in(body, type_)
    problems.raise_any()
    architecture = architecture_of(root, body, type_, layers)
    released = released_in(root, body, type_, architecture)
    params = count(architecture).total
    named = title(root, params)
    problems.raise_any()
    _check_size(params)
    types = (type_, str(root.values.get("model_type")))
    uncounted, remote_code = tuple(_uncounted(root, body, architecture)), needs_remote_code(root)
    model = Model(
        id=json.dumps(root.read, sort_keys=True, separators=(",", ":")),
        title=named,
        architecture=architecture,
        native_precision=released.format,
        native_bits=released.bits,
        native_kv_bits=released.kv_bits,
        weight_block=released.block,
        remote_code=remote_code,
        needs_bf16=root.values.get("model_type") in OVERFLOWING,
        lora=adapted(*types),
        vllm_since=first_vllm(*types),
    )
    return Described(model=model, notes=(*root.notes, *uncounted))


def _uncounted(root: Keys, body: Keys, architecture: Architecture) -> Iterator[str]:
    """Notes on what the config or its model type has beyond the model: MTP layers, a vision tower."""
    key = next((key for key in (NUM_NEXTN, NUM_MTP, NUM_MTP_LAYERS) if body.values.get(key)), None)
    if key and not architecture.multi_token:
        body.keep(key, 1, None)
        yield f"The layers for further tokens ({key}) are not counted."
    if root.values.get("model_type") in TEXT_DECODERS.keys() - HEARING and not root.has("vision_config"):
        yield "The config has no vision_config: a vision tower is not counted."


def _check_size(params: int) -> None:
    """Refuse more parameters than any model has."""
    if params > MOST_PARAMETERS:
        raise ConfigProblem("config.json: these sizes make more than a quadrillion parameters; check the widths")
