"""A model from the text of its Hugging Face `config.json`: read where it is understood, refused by name where not.

Every number follows from the keys of the config and, where it leaves one out, from the default of its configuration
class in transformers. A family whose arithmetic is not verified is refused.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache

from inferplan.catalog.hugging_face._adapters import adapted
from inferplan.catalog.hugging_face._attention import hidden_of
from inferplan.catalog.hugging_face._code import brings_code
from inferplan.catalog.hugging_face._defaults import DEFAULTS
from inferplan.catalog.hugging_face._families import ALIASES, FAMILIES
from inferplan.catalog.hugging_face._family import Family
from inferplan.catalog.hugging_face._keys import STATED, Keys
from inferplan.catalog.hugging_face._precision import native_precision
from inferplan.catalog.hugging_face._rope import max_positions, rope_tables, rotary_dim
from inferplan.catalog.hugging_face._stages import stage_copies
from inferplan.catalog.hugging_face._text import LONGEST_CONFIG, ConfigProblem, Problems, listed, parsed, quoted
from inferplan.catalog.hugging_face._vision import OWN_DECODER, WRAPPERS, vision_of
from inferplan.catalog.hugging_face.titles import title
from inferplan.core.architecture import Architecture, DenseFfn, ExpertFfn, LayerGroup, Mixer
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.model import Model
from inferplan.core.parameters import count

__all__ = ["LONGEST_CONFIG", "ConfigProblem", "Described", "described", "known_model_types", "read"]

TEXT = ("text_config", "llm_config", "language_config")
"""Where wrappers keep the config of their text decoder."""

OVERFLOWING = frozenset({"gemma2", "gemma3", "gemma3_text", "glm4"})
"""What overflows in FP16, by vLLM 0.24 and 0.28, vllm/config/model.py, `_FLOAT16_NOT_SUPPORTED_MODELS`."""

MOST_PARAMETERS = 10**15

Layer = tuple[tuple[Mixer, ...], DenseFfn | ExpertFfn | None]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Described:
    """A model as its config describes it, and in `notes` what the reader left out or assumed. Compared by identity."""

    model: Model
    notes: tuple[str, ...] = ()


def known_model_types() -> tuple[str, ...]:
    """Every `model_type` that is read, in alphabetical order."""
    return tuple(sorted({*FAMILIES, *ALIASES, *WRAPPERS}))


@lru_cache(maxsize=256)
def described(text: str) -> Described:
    """The model that the text of a config.json describes; raises `ConfigProblem`, and nothing else, where it cannot.

    Remembered by text. The id of the model is a config itself: the few keys that everything follows from.
    """
    return read(parsed(text))


def read(config: dict[str, object]) -> Described:
    """The same of what the text holds."""
    problems = Problems()
    root = Keys(config, problems=problems, defaults={})
    body, type_ = _body(root)
    layers = _layers(body, _family(type_))
    problems.raise_any()
    architecture = _architecture(root, body, type_, layers)
    released = native_precision(root, body, architecture)
    named = title(root, count(architecture).total)
    problems.raise_any()
    _check_size(architecture)
    uncounted, code = _uncounted(root, body, architecture), brings_code(root)
    model = Model(
        id=json.dumps(root.read, sort_keys=True, separators=(",", ":")),
        title=named,
        architecture=architecture,
        native_precision=released.format,
        native_bits=released.bits,
        native_kv_bits=released.kv_bits,
        weight_block=released.block,
        remote_code=code,
        needs_bf16=root.values.get("model_type") in OVERFLOWING,
        lora=adapted(type_, str(root.values.get("model_type"))),
    )
    return Described(model=model, notes=(*root.notes, *uncounted))


def _body(root: Keys) -> tuple[Keys, str]:
    """The keys of the text decoder, and its type; older wrappers keep them beside the vision config."""
    wrapper = _type(root)
    root.keep("model_type", wrapper, None)
    nested = next((key for key in TEXT if isinstance(root.values.get(key), dict)), None)
    if nested is None:
        type_ = _known(WRAPPERS.get(wrapper) or wrapper)
        root.defaults = {key: value for key, value in _defaults(type_).items() if key not in STATED}
        return root, type_
    if wrapper not in WRAPPERS and ALIASES.get(wrapper, wrapper) not in FAMILIES:
        raise _unknown(wrapper)
    inner = root.child(nested, defaults={})
    assert inner is not None  # noqa: S101 - its value is an object
    assumed = WRAPPERS.get(wrapper)
    type_ = _known(assumed if assumed and wrapper in OWN_DECODER else _type(inner, assumed))
    inner.keep("model_type", type_, assumed)
    inner.defaults = _defaults(type_)
    return inner, type_


def _known(type_: str) -> str:
    """The type of a decoder, if it is known."""
    if ALIASES.get(type_, type_) not in FAMILIES:
        raise _unknown(type_)
    return type_


def _defaults(type_: str) -> Mapping[str, float]:
    """What transformers assumes for a type, else for the family that it counts like."""
    return DEFAULTS.get(type_, DEFAULTS.get(ALIASES.get(type_, type_), {}))


def _type(keys: Keys, default: str | None = None) -> str:
    """The `model_type` of an object; raises `ConfigProblem` where it has none."""
    value = keys.values.get("model_type", default)
    if not isinstance(value, str) or not value:
        raise ConfigProblem(f'config.json: needs {keys.name("model_type")}, such as "llama" or "qwen3_moe"')
    return value


def _unknown(type_: str) -> ConfigProblem:
    """What to say about a family that is not read."""
    known = known_model_types()
    near = get_close_matches(type_[:60].lower(), known, n=3, cutoff=0.4) or ["llama", "qwen3_moe"]
    names = listed((f'"{one}"' for one in near), "or")
    return ConfigProblem(f"config.json: no model_type {quoted(type_)} among the {len(known)} known; nearest: {names}")


def _family(type_: str) -> Family:
    """The family that a known type counts like."""
    return FAMILIES[ALIASES.get(type_, type_)]


def _layers(body: Keys, family: Family) -> tuple[tuple[LayerGroup, ...], tuple[int, ...]]:
    """The kinds of layers, and the kind of each where kinds alternate; what else is missing is noted too."""
    for flag in family.unlike:
        if body.flag(flag):
            body.unsupported(flag, "no published model of this family has it")
    layers: list[Layer] = list(zip(family.mixers(body), family.blocks(body), strict=False))
    body.integer("vocab_size")
    max_positions(body)
    norms = family.norms if isinstance(family.norms, int) else family.norms(body)
    counts = Counter(layers)
    kinds = {layer: number for number, layer in enumerate(counts)}
    order = tuple(kinds[layer] for layer in layers)
    joined = family.joined(body)
    groups = tuple(_group(layer, number, norms, family, joined=joined) for layer, number in counts.items())
    return groups, order if list(order) != sorted(order) else ()


def _group(layer: Layer, number: int, norms: int, family: Family, *, joined: bool) -> LayerGroup:
    """So many layers of one kind."""
    mixers, block = layer
    return LayerGroup(
        count=number,
        attention=mixers[0] if mixers else None,
        beside=mixers[1] if len(mixers) > 1 else None,
        ffn=block,
        norms=norms,
        norm_bias=family.norm_bias,
        joined=joined,
    )


def _architecture(
    root: Keys, body: Keys, type_: str, layers: tuple[tuple[LayerGroup, ...], tuple[int, ...]]
) -> Architecture:
    """The decoder: its layers, and what stands at its ends."""
    family, (groups, order) = _family(type_), layers
    ends = family.ends(body)
    bare = Architecture(
        hidden=hidden_of(body),
        vocab=body.integer("vocab_size"),
        groups=groups,
        order=order,
        max_positions=max_positions(body),
        tied_embeddings=_tied(root, body, family),
        head_bias=body.flag(family.head_bias) if isinstance(family.head_bias, str) else family.head_bias,
        final_norms=family.final_norms,
        state_bytes=_state_bytes(body, family),
        rope_tables=rope_tables(body, type_, local=family.local_rope and _windowed(groups)),
        stage_copies=stage_copies(type_),
        other_params=ends.other_params,
        lookup_params=ends.lookup_params,
        norm_params=ends.norm_params,
    )
    params, tower = vision_of(root, bare.hidden)
    return replace(
        bare,
        rotary_dim=None if _latent(groups) else rotary_dim(body, bare.rope_dim),
        multi_token=family.further.read(body, bare, groups[order[-1] if order else -1]),
        vision_params=params,
        vision=tower,
    )


def _windowed(groups: Sequence[LayerGroup]) -> bool:
    """Whether some layers see a window."""
    return any(isinstance(mixer, Attention) and mixer.window for group in groups for mixer in group.mixers)


def _latent(groups: Sequence[LayerGroup]) -> bool:
    """Whether some layers keep latents: their config states what rotates by itself."""
    return any(isinstance(mixer, Latent) for group in groups for mixer in group.mixers)


def _uncounted(root: Keys, body: Keys, architecture: Architecture) -> Sequence[str]:
    """What the config has, or its wrapper means, that is not in the model."""
    notes: list[str] = []
    further = next((key for key in ("num_nextn_predict_layers", "mtp_num_hidden_layers") if body.values.get(key)), None)
    if further and not architecture.multi_token:
        body.keep(further, 1, None)
        notes.append(f"The layers for further tokens ({further}) are not counted.")
    if root.values.get("model_type") in WRAPPERS and not root.has("vision_config"):
        notes.append("The config has no vision_config: a vision tower is not counted.")
    return notes


def _tied(root: Keys, body: Keys, family: Family) -> bool:
    """Whether embedding and head are one tensor: as the decoder says, or its wrapper, or the family."""
    where = root if root.has("tie_word_embeddings") and not body.has("tie_word_embeddings") else body
    assumed = body.defaults.get("tie_word_embeddings", family.tied)
    if assumed is None and not where.has("tie_word_embeddings"):
        body.problems.missing[body.name("tie_word_embeddings")] = None
    return where.flag("tie_word_embeddings", default=bool(assumed))


_WORDS = {"float32": 4, "float": 4, "bfloat16": 2, "float16": 2, "auto": 2}


def _state_bytes(body: Keys, family: Family) -> int:
    """The element of recurrent states: as the config says, else as the family keeps it, else 16 bit. [B]"""
    kept = family.state_bytes(body) if callable(family.state_bytes) else family.state_bytes or 2
    key = body.given(("mamba_ssm_dtype", "mamba_ssm_cache_dtype"))
    if not body.has(key):
        return kept
    default = next(word for word, size in _WORDS.items() if size == kept)
    return _WORDS[body.word(key, allowed=tuple(_WORDS), default=default)]


def _check_size(architecture: Architecture) -> None:
    """Refuse what no model is."""
    if count(architecture).total > MOST_PARAMETERS:
        raise ConfigProblem("config.json: these sizes make more than a quadrillion parameters; check the widths")
