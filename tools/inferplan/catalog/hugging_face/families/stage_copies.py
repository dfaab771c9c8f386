"""Model types of which vLLM builds embedding or output head on every pipeline stage, though one stage alone uses it.

Source: vLLM 0.28 to 0.33, vllm/model_executor/models: it asks neither `is_first_rank` nor `is_last_rank`
before it builds them.
"""

from inferplan.core.architecture import StageCopies

EMBEDDING_AND_HEAD = frozenset(
    {
        "dbrx",
        "gpt_oss",
        "hy_v3",
        "jamba",
        "mixtral",
        "nemotron_h",
        "olmo3",
        "qwen2_moe",
        "qwen3_moe",
        "qwen3_next",
        "qwen3_omni_moe_text",
        "qwen3_vl_moe_text",
    }
)
EMBEDDING = frozenset(
    {
        "cohere",
        "cohere2",
        "gemma2",
        "gemma3_text",
        "gemma4_text",
        "gemma4_unified_text",
        "qwen3_5_moe_text",
        "qwen3_5_text",
    }
)


def stage_copies(type_: str) -> StageCopies:
    """What vLLM builds on every stage for a type of text decoder; a tied head is built with the embedding.

    >>> stage_copies("qwen3_moe"), stage_copies("qwen3_5_text"), stage_copies("llama")
    ('all', 'embedding', 'none')
    """
    if type_ in EMBEDDING_AND_HEAD:
        return "all"
    return "embedding" if type_ in EMBEDDING else "none"
