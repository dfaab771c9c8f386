"""Which modules vLLM adapts by LoRA, by model type, where its class was read.

Source: vLLM 0.24 and 0.28, vllm/model_executor/models: `SupportsLoRA`, `embedding_modules`, `packed_modules_mapping`,
`is_3d_moe_weight`.
"""

from collections.abc import Mapping

from inferplan.core.model import Adapted

_KINDS: Mapping[Adapted, frozenset[str]] = {
    "linear": frozenset(
        {
            "deepseek_v2",
            "deepseek_v3",
            "ernie4_5_moe",
            "ernie4_5_moe_vl",
            "ernie4_5_vl_moe_text",
            "gemma2",
            "gemma3",
            "gemma3_text",
            "glm4",
            "glm4_moe",
            "glm4_moe_lite",
            "kimi_k2",
            "minimax_m2",
            "ministral3",
            "mistral",
            "olmoe",
            "qwen2",
            "qwen2_5_vl_text",
            "qwen2_vl_text",
            "seed_oss",
        }
    ),
    "embedding": frozenset({"cohere", "cohere2"}),
    "ends": frozenset(
        {
            "apertus",
            "exaone",
            "exaone4",
            "granite",
            "llama",
            "mixtral",
            "phimoe",
            "qwen3",
            "qwen3_moe",
            "qwen3_vl_text",
            "yi",
        }
    ),
    "joined": frozenset({"phi3"}),
    "stacked": frozenset({"gpt_oss"}),
}
WRAPPING = frozenset({"ernie4_5_vl_moe", "gemma3", "mistral3", "qwen2_5_vl", "qwen2_vl", "qwen3_vl"})
"""Multimodal types whose class takes adapters of the text decoder too."""


def adapted(type_: str, wrapper: str) -> Adapted:
    """What is adapted of a text decoder, alone or in a multimodal type; empty where no class was read.

    >>> adapted("qwen3", "qwen3"), adapted("qwen2", "qwen2_5_vl"), adapted("deepseek_v3", "kimi_k25")
    ('ends', 'linear', '')
    """
    if wrapper not in (type_, *WRAPPING):
        return ""
    for kind, types in _KINDS.items():
        if type_ in types:
            return kind
    return ""
