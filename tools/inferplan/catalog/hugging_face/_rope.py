"""How positions rotate: what of a head, how many rows of rotations, and how far a scale stretches them."""

from collections.abc import Mapping
from typing import cast

from inferplan.catalog.hugging_face._attention import context_of
from inferplan.catalog.hugging_face._keys import Keys

KINDS = (
    "default", "linear", "dynamic", "yarn", "longrope", "su", "llama3", "mrope", "proportional", "deepseek_yarn",
    "deepseek_llama_scaling",
)  # fmt: skip
STRETCHED = ("linear", "dynamic")
"""Scales under which vLLM keeps factor × context rows of rotations."""


SECTIONED = frozenset(
    {
        "ernie4_5_moe_vl",
        "ernie4_5_vl_moe_text",
        "glm4v_moe_text",
        "glm4v_text",
        "qwen2_5_vl_text",
        "qwen2_vl_text",
        "qwen3_5_moe_text",
        "qwen3_5_text",
        "qwen3_vl_moe_text",
        "qwen3_vl_text",
    }
)
"""Types whose positions have sections for time, height and width."""

LATENT = frozenset({"deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2"})
"""Types whose YaRN rows vLLM keeps in fp32: two 16-bit rows. Source: vLLM, `DeepseekScalingRotaryEmbedding`."""

SECTION_ROWS = 4
"""Rows per position that vLLM keeps for them. Source: vLLM, `MRotaryEmbedding`."""


def rope_tables(keys: Keys, type_: str, *, local: bool) -> int:
    """16-bit rows per position: the factor of a linear scale, and one where windowed layers rotate otherwise.

    Source: vLLM, `LinearScalingRotaryEmbedding`, `DynamicNTKScalingRotaryEmbedding`.
    """
    scale = _scale(keys)
    if _sectioned(scale, type_):
        return SECTION_ROWS
    kind = _kind(scale) if scale else "default"
    if type_ in LATENT and kind in ("yarn", "deepseek_yarn"):
        return 2
    factor = scale.number("factor", default=1.0, low=1.0, high=1e4) if scale and kind in STRETCHED else 1.0
    return max(1, round(factor)) + (1 if local else 0)


def _sectioned(scale: Keys | None, type_: str) -> bool:
    """Whether positions have sections."""
    if type_ in SECTIONED:
        return True
    if scale is None or not isinstance(scale.values.get("mrope_section"), list):
        return False
    scale.keep("mrope_section", [], None)
    return True


def max_positions(keys: Keys) -> int:
    """Positions of the config; with YaRN, original positions × factor where that is more. [tokens]

    Source: vLLM, `ModelConfig` (`_get_and_verify_max_len`).
    """
    context, scale = context_of(keys), _scale(keys)
    if scale is None or _kind(scale) != "yarn":
        return context
    original = scale.integer("original_max_position_embeddings", default=context, high=10**9)
    return max(context, min(10**9, round(original * scale.number("factor", default=1.0, low=1.0, high=1e4))))


def _kind(scale: Keys) -> str:
    """The name of the scale, under its old or its new key."""
    return scale.word("rope_type" if scale.has("rope_type") else "type", allowed=KINDS, default="default")


def _scale(keys: Keys) -> Keys | None:
    """The object that scales rotations, of full layers where kinds of layers differ."""
    key = next((key for key in ("rope_scaling", "rope_parameters") if isinstance(keys.values.get(key), dict)), None)
    if key is None:
        return None
    outer = cast("Mapping[str, object]", keys.values[key])
    inner = outer.get("full_attention")
    values = cast("dict[str, object]", inner) if isinstance(inner, dict) else dict(outer)
    one = Keys(values, problems=keys.problems, defaults={}, where=f"{key}.")
    kept = keys.read.setdefault(key, one.read)
    one.read = cast("dict[str, object]", kept)
    return one


def rotary_dim(keys: Keys, rope_dim: int) -> int | None:
    """What of a head rotates, None where all of it does. [elements]"""
    name = next((name for name in ("partial_rotary_factor", "rotary_pct") if keys.has(name)), "partial_rotary_factor")
    scale = keys.values.get("rope_parameters")
    if name not in keys.values and isinstance(scale, dict):
        share = cast("Mapping[str, object]", scale).get(name)
        if share is not None:
            keys.values = {**keys.values, name: share}
    share = keys.number(name, default=1.0, low=0.0, high=1.0)
    dim = int(rope_dim * share)
    return dim if 0 < dim < rope_dim else None
