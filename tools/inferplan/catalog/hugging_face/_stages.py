"""What vLLM builds on every pipeline stage, though only the first or the last one uses it.

Source: vLLM 0.28 to 0.33, vllm/model_executor/models: an embedding or a head that no `is_first_rank` or `is_last_rank`
guards.
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
        "qwen3_vl_moe_text",
    }
)
EMBEDDING = frozenset({"cohere", "cohere2", "gemma2", "gemma3_text", "gemma4_text", "qwen3_5_moe_text", "qwen3_5_text"})


def stage_copies(type_: str) -> StageCopies:
    """What it builds everywhere for a type of decoder; of one whose head is tied, the embedding is both.

    >>> stage_copies("qwen3_moe"), stage_copies("qwen3_5_text"), stage_copies("llama")
    ('all', 'embedding', 'none')
    """
    if type_ in EMBEDDING_AND_HEAD:
        return "all"
    return "embedding" if type_ in EMBEDDING else "none"
