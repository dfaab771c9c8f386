"""The first vLLM that has a class for a model type, where that is later than the default version."""

from collections.abc import Mapping

_FIRST: Mapping[str, int] = {
    "deepseek_v41": 30,
    "glm5_next": 30,
    "glm5_next_text": 30,
    "granite_swa": 30,
    "granitemoe_swa": 30,
    "hy_v4": 29,
    "kolibri1": 33,
    "qwen4_exp": 29,
    "qwen4_exp_text": 29,
}
"""By model type: 30 is 0.30. Of 0.29 no registry was read: its two types are those of the catalogue's models.

Source: vLLM 0.28 and 0.30 to 0.33, model_executor/models/registry.py, `_VLLM_MODELS`, by the class of each type.
"""


def first_vllm(*types: str) -> int:
    """The first vLLM for any of the types of one config (30 is 0.30); 0 where the default version has a class.

    >>> first_vllm("hy_v4"), first_vllm("llama", "llama")
    (29, 0)
    """
    return max(_FIRST.get(type_, 0) for type_ in types)
