"""DeepSeek-V2: MLA, or in DeepSeek-OCR and the smallest DeepSeek-VL2 heads with keys and values of their own."""

from inferplan.catalog.hugging_face.layers.heads import AttentionLayers, Mixers
from inferplan.catalog.hugging_face.layers.latent import MlaLayers
from inferplan.catalog.hugging_face.reading.keys import Keys

PARTS = ("qk_nope_head_dim", "qk_rope_head_dim")


def mixers(keys: Keys) -> Mixers:
    """MLA, unless both parts of a key are 0 wide. Source: vLLM 0.33, `DeepseekV2DecoderLayer` (`use_mha`)."""
    if any(keys.values.get(part) != 0 for part in PARTS):
        return MlaLayers()(keys)
    for part in PARTS:
        keys.keep(part, 0, None)
    return AttentionLayers()(keys)
