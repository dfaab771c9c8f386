"""Rotary positions (RoPE): the part of a head that rotates, the rows of vLLM's table, and scaling of the context."""

from collections.abc import Mapping
from typing import cast

from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import context_of
from inferplan.core.architecture import ANY_CONTEXT

KINDS = (
    "default", "linear", "dynamic", "yarn", "longrope", "su", "llama3", "mrope", "proportional", "deepseek_yarn",
    "deepseek_llama_scaling", "xdrope",
)  # fmt: skip
"""Words of `rope_type`."""
LENGTHENED = ("linear", "dynamic")
"""Scalings for which vLLM's table has factor × context rows."""
LARGEST_SCALE = 1e4

SECTIONED = frozenset(
    {
        "ernie4_5_moe_vl",
        "ernie4_5_vl_moe_text",
        "glm4v_moe_text",
        "glm4v_text",
        "qwen2_5_omni_text",
        "qwen2_5_vl_text",
        "qwen2_vl_text",
        "qwen3_5_moe_text",
        "qwen3_5_text",
        "qwen3_omni_moe_text",
        "qwen3_vl_moe_text",
        "qwen3_vl_text",
        "qwen4_exp_text",
    }
)
"""Types whose positions have sections for time, height and width."""
SECTION_ROWS = 4
"""Rows per position of vLLM's table for them. Source: vLLM, `MRotaryEmbedding`."""

BY_WIDTH = frozenset({"bailing_moe", "bailing_moe_v2", "gptj", "minimax_m2"})
"""Types that say it by `rotary_dim`. Source: vLLM, `BailingAttention`, `MiniMaxM2Attention`, `GPTJAttention`."""

FP32_YARN = frozenset({"deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2"})
"""Types whose YaRN table is in fp32: two 16-bit rows. Source: vLLM, `DeepseekScalingRotaryEmbedding`."""


def rope_tables(keys: Keys, type_: str, *, local: bool) -> int:
    """Rows per position of vLLM's table, in 16-bit rows: the factor of a linear or dynamic scaling, else one.

    One more where windowed layers rotate by another base (`local`). Source: vLLM, `LinearScalingRotaryEmbedding`,
    `DynamicNTKScalingRotaryEmbedding`.
    """
    scaling = _scaling(keys)
    if _has_sections(scaling, type_):
        return SECTION_ROWS
    kind = _kind(scaling) if scaling else "default"
    if type_ in FP32_YARN and kind in ("yarn", "deepseek_yarn"):
        return 2
    factor = _factor(scaling) if scaling and kind in LENGTHENED else 1.0
    return max(1, round(factor)) + (1 if local else 0)


def max_positions(keys: Keys) -> int:
    """The longest context of the config; with YaRN, original context × factor where that is more. [tokens]

    Source: vLLM, `ModelConfig` (`_get_and_verify_max_len`).
    """
    context, scaling = context_of(keys), _scaling(keys)
    if scaling is None or _kind(scaling) != "yarn":
        return context
    original = scaling.integer("original_max_position_embeddings", default=context, high=ANY_CONTEXT)
    return max(context, min(ANY_CONTEXT, round(original * _factor(scaling))))


def rotary_dim(keys: Keys, type_: str, rope_dim: int) -> int | None:
    """The part of a head that rotates, None where all of it does. [elements]

    A share of it, or for some types (`BY_WIDTH`) its width where no share is given.
    """
    name = keys.given(("partial_rotary_factor", "rotary_pct"))
    parameters = keys.values.get("rope_parameters")
    if name not in keys.values and isinstance(parameters, dict):
        nested = cast("Mapping[str, object]", parameters).get(name)
        if nested is not None:
            keys.substitute(name, nested)
    if type_ in BY_WIDTH and not keys.has(name):
        dim = keys.integer("rotary_dim", default=rope_dim)
    else:
        dim = int(rope_dim * keys.number(name, default=1.0, low=0.0, high=1.0))
    return dim if 0 < dim < rope_dim else None


def _has_sections(scaling: Keys | None, type_: str) -> bool:
    """Whether positions have sections: by the type, or as the scaling says."""
    if type_ in SECTIONED:
        return True
    if scaling is None or not isinstance(scaling.values.get("mrope_section"), list):
        return False
    scaling.keep("mrope_section", [], None)
    return True


def _kind(scaling: Keys) -> str:
    """The kind of scaling, under its new or its old key."""
    return scaling.word("rope_type" if scaling.has("rope_type") else "type", allowed=KINDS, default="default")


def _factor(scaling: Keys) -> float:
    """By how much the scaling lengthens the context."""
    return scaling.number("factor", default=1.0, low=1.0, high=LARGEST_SCALE)


def _scaling(keys: Keys) -> Keys | None:
    """The object that says how positions are scaled, of full layers where kinds of layers differ; None without one."""
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
