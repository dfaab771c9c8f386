"""What stands beside the text decoder of a model that sees: its vision tower and projector."""

from collections.abc import Callable, Mapping

from inferplan.catalog.hugging_face._encoders import encoder_of, positions, size
from inferplan.catalog.hugging_face._keys import Keys
from inferplan.core.layers.vision import VisionTower

WRAPPERS: Mapping[str, str | None] = {
    "aya_vision": "cohere2",
    "ernie4_5_moe_vl": "ernie4_5_moe_vl",
    "cohere2_vision": "cohere2",
    "ernie4_5_vl_moe": "ernie4_5_vl_moe_text",
    "exaone4_5": "exaone4",
    "gemma3": "gemma3_text",
    "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text",
    "glm4v": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text",
    "idefics3": "llama",
    "interns1": "qwen3_moe",
    "internvl": "qwen2",
    "internvl_chat": "qwen2",
    "kimi_k25": "kimi_k2",
    "kimi_k3": "kimi_linear",
    "kimi_vl": "deepseek_v3",
    "lfm2_vl": "lfm2",
    "llama4": "llama4_text",
    "llava": "llama",
    "llava_next": "llama",
    "llava_next_video": "llama",
    "llava_onevision": "qwen2",
    "minimax_m3_vl": "minimax_m3",
    "mistral3": "mistral",
    "mllama": "mllama_text_model",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen2_vl": "qwen2_vl_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "smolvlm": "llama",
    "step3p7": "step3p5",
}
"""Wrappers, and the family of their text decoder where its config does not say."""
OWN_DECODER = frozenset({"minimax_m3_vl"})
"""Wrappers whose text decoder is of that family whatever its config says: MiniMax M3's says `minimax_m2`.

Source: transformers, `MiniMaxM3VLConfig`, which builds it as a class of its own.
"""


def vision_of(root: Keys, hidden: int) -> tuple[int, VisionTower | None]:
    """The parameters of the vision tower and its projector; 0, and a note, where they are not known here.

    With them what the tower computes with, where that is known.
    """
    if root.has("audio_config") or root.has("sound_config"):
        root.keep("audio_config", "not counted", None)
        root.notes["The audio encoder that stands beside the text decoder is not counted."] = None
    if not root.has("vision_config"):
        return 0, None
    wrapper = root.text("model_type") or ""
    tower = _TOWERS.get(wrapper)
    if tower is None or not isinstance(root.values["vision_config"], dict):
        root.keep("vision_config", "not counted", None)
        root.notes["The vision tower that stands beside the text decoder is not counted."] = None
        return 0, None
    vision = root.child("vision_config", defaults=_DEFAULTS.get(wrapper, {}))
    if not vision:
        return 0, None
    params = tower(vision, root, hidden)
    return params, encoder_of(wrapper, vision, root) if params else None


def _layer(width: int, inner: int, *, bias: bool = True, gated: bool = False, norm: int = 2) -> int:
    """Four square matrices, a feed-forward block and two norms of `norm` × width. [parameters]"""
    biases = 4 * width + (2 if gated else 1) * inner + width if bias else 0
    return 4 * width**2 + (3 if gated else 2) * width * inner + biases + 2 * norm * width


def _merger(merged: int, out: int) -> int:
    """Two matrices with biases, after a few patches are merged into one. [parameters]"""
    return merged**2 + merged + merged * out + out


def _qwen3(vision: Keys, _root: Keys, hidden: int) -> int:
    """Source: transformers, `Qwen3VLVisionModel`; its deep-stacked mergers norm what is merged."""
    width, out = size(vision, "hidden_size"), size(vision, "out_hidden_size", default=hidden)
    merged = width * size(vision, "spatial_merge_size") ** 2
    patch = size(vision, "in_channels") * size(vision, "temporal_patch_size") * size(vision, "patch_size") ** 2
    depth = size(vision, "depth")
    deep = vision.layer_numbers("deepstack_visual_indexes", depth) or frozenset()
    vision.keep("deepstack_visual_indexes", sorted(deep), [])
    layers = depth * _layer(width, size(vision, "intermediate_size"))
    ends = (patch + 1 + size(vision, "num_position_embeddings") + 2) * width
    return layers + ends + _merger(merged, out) + len(deep) * (2 * merged + _merger(merged, out))


def _qwen2_5(vision: Keys, _root: Keys, hidden: int) -> int:
    """Source: transformers, `Qwen2_5_VisionTransformerPretrainedModel`."""
    width, out = size(vision, "hidden_size"), size(vision, "out_hidden_size", default=hidden)
    merged = width * size(vision, "spatial_merge_size") ** 2
    channels = size(vision, "in_channels", "in_chans")
    patch = channels * size(vision, "temporal_patch_size") * size(vision, "patch_size") ** 2
    layer = _layer(width, size(vision, "intermediate_size"), gated=True, norm=1)
    return size(vision, "depth") * layer + (patch + 1) * width + _merger(merged, out)


def _qwen2(vision: Keys, _root: Keys, hidden: int) -> int:
    """Source: transformers, `Qwen2VisionTransformerPretrainedModel`."""
    width = size(vision, "embed_dim")
    merged = width * size(vision, "spatial_merge_size") ** 2
    channels = size(vision, "in_channels", "in_chans")
    patch = channels * size(vision, "temporal_patch_size") * size(vision, "patch_size") ** 2
    layer = _layer(width, size(vision, "mlp_ratio") * width)
    return (
        size(vision, "depth") * layer
        + (patch + 2) * width
        + _merger(merged, size(vision, "hidden_size", default=hidden))
    )


def _gemma3(vision: Keys, _root: Keys, hidden: int) -> int:
    """SigLIP, a norm and one matrix. Source: transformers, `SiglipVisionModel`, `Gemma3MultiModalProjector`."""
    width = size(vision, "hidden_size")
    layers = size(vision, "num_hidden_layers") * _layer(width, size(vision, "intermediate_size"))
    ends = (3 * size(vision, "patch_size") ** 2 + 1 + positions(vision) + 2) * width
    head = _layer(width, size(vision, "intermediate_size")) - 4 * width + 3 * width
    return layers + ends + (head if vision.flag("vision_use_head", default=True) else 0) + width + width * hidden


def _gemma4(vision: Keys, root: Keys, hidden: int) -> int:
    """Source: transformers, `Gemma4VisionModel`, `Gemma4MultimodalEmbedder`; positions are two tables."""
    if vision.flag("use_clipped_linears"):
        root.notes["The vision tower that stands beside the text decoder is not counted."] = None
        return 0
    width, heads = size(vision, "hidden_size"), size(vision, "num_attention_heads")
    head_dim = size(vision, "head_dim")
    kv = (heads + size(vision, "num_key_value_heads", default=heads)) * 2 * head_dim * width
    layer = kv + 4 * width + 2 * head_dim + 3 * width * size(vision, "intermediate_size")
    ends = (3 * size(vision, "patch_size") ** 2 + 2 * size(vision, "position_embedding_size")) * width
    return size(vision, "num_hidden_layers") * layer + ends + width * hidden


def _pixtral(vision: Keys, root: Keys, hidden: int) -> int:
    """Source: transformers, `PixtralVisionModel`, `Mistral3MultiModalProjector`."""
    width, merge = size(vision, "hidden_size"), size(root, "spatial_merge_size", default=2)
    layer = _layer(width, size(vision, "intermediate_size"), bias=False, gated=True, norm=1)
    ends = (3 * size(vision, "patch_size") ** 2 + 1) * width
    bias = 2 * hidden if root.flag("multimodal_projector_bias") else 0
    projector = width + (width * merge) ** 2 + width * hidden + hidden**2 + bias
    return size(vision, "num_hidden_layers") * layer + ends + projector


def _clip(vision: Keys, root: Keys, hidden: int) -> int:
    """CLIP and two matrices. Source: transformers, `CLIPVisionModel`, `LlavaMultiModalProjector`."""
    if vision.text("model_type") not in (None, "clip_vision_model"):
        root.notes["The vision tower that stands beside the text decoder is not counted."] = None
        vision.keep("model_type", "other", None)
        return 0
    width = size(vision, "hidden_size")
    layers = size(vision, "num_hidden_layers") * _layer(width, size(vision, "intermediate_size"))
    ends = (3 * size(vision, "patch_size") ** 2 + 1 + positions(vision) + 1 + 4) * width
    newline = hidden if root.text("model_type") == "llava_next" else 0
    return layers + ends + width * hidden + hidden**2 + 2 * hidden + newline


def _llama4(vision: Keys, _root: Keys, hidden: int) -> int:
    """Source: transformers, `Llama4VisionModel`, `Llama4MultiModalProjector`."""
    width, inner = size(vision, "hidden_size"), size(vision, "intermediate_size")
    layers = size(vision, "num_hidden_layers") * _layer(width, inner)
    ends = (3 * size(vision, "patch_size") ** 2 + 1 + positions(vision) + 1 + 4) * width
    first, last = size(vision, "projector_input_dim"), size(vision, "projector_output_dim")
    adapter = inner * first + first * last
    return layers + ends + adapter + size(vision, "vision_output_dim", default=last) * hidden


def _moonvit(vision: Keys, _root: Keys, hidden: int) -> int:
    """Source: Kimi-K2.5 modeling_kimi_k25.py, `MoonViT3dPretrainedModel`, `PatchMergerMLP`."""
    width = size(vision, "vt_hidden_size", "hidden_size")
    layers = size(vision, "vt_num_hidden_layers", "num_hidden_layers")
    layer = _layer(width, size(vision, "vt_intermediate_size", "intermediate_size"))
    rows = size(vision, "init_pos_emb_height", default=64) * size(vision, "init_pos_emb_width", default=64)
    ends = (3 * size(vision, "patch_size") ** 2 + 1 + rows + 2) * width
    return layers * layer + ends + 2 * width + _merger(4 * width, size(vision, "text_hidden_size", default=hidden))


def _ernie(vision: Keys, root: Keys, hidden: int) -> int:
    """Patches of a frame are merged, then frames.

    Source: vLLM 0.33, ernie45_vl.py, `Ernie4_5_VisionTransformer`, `VariableResolutionResamplerModel`.
    """
    width = size(vision, "embed_dim", "hidden_size")
    ratio = size(vision, "mlp_ratio", default=4) * width
    layers = size(vision, "depth") * _layer(width, size(vision, "intermediate_size", default=ratio))
    ends = (size(vision, "in_channels") * size(vision, "patch_size") ** 2 + 2) * width
    frames = size(root if root.has("temporal_conv_size") else vision, "temporal_conv_size", "temporal_merge_size")
    one = width * size(vision, "spatial_merge_size") ** 2
    return layers + ends + _merger(one, one) + _merger(one, one) + (frames - 1) * one**2 + 4 * one + (one + 2) * hidden


Tower = Callable[[Keys, Keys, int], int]

_TOWERS: Mapping[str, Tower] = {
    "ernie4_5_moe_vl": _ernie,
    "ernie4_5_vl_moe": _ernie,
    "gemma3": _gemma3,
    "gemma4": _gemma4,
    "kimi_k25": _moonvit,
    "llama4": _llama4,
    "llava": _clip,
    "llava_next": _clip,
    "mistral3": _pixtral,
    "qwen2_5_vl": _qwen2_5,
    "qwen2_vl": _qwen2,
    "qwen3_5": _qwen3,
    "qwen3_5_moe": _qwen3,
    "qwen3_vl": _qwen3,
    "qwen3_vl_moe": _qwen3,
}

_QWEN3 = {
    "depth": 27, "hidden_size": 1152, "in_channels": 3, "intermediate_size": 4304, "num_position_embeddings": 2304,
    "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip
_CLIP = {
    "hidden_size": 768, "image_size": 224, "intermediate_size": 3072, "num_hidden_layers": 12, "patch_size": 32,
}  # fmt: skip

_ERNIE = {
    "depth": 32, "hidden_size": 1280, "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2,
    "temporal_merge_size": 2,
}  # fmt: skip

_DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "ernie4_5_moe_vl": _ERNIE,
    "ernie4_5_vl_moe": {**_ERNIE, "intermediate_size": 5120},
    "gemma3": {**_CLIP, "patch_size": 16},
    "gemma4": {
        "head_dim": 64, "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
        "num_hidden_layers": 16, "num_key_value_heads": 12, "patch_size": 16, "position_embedding_size": 10240,
    },
    "kimi_k25": {"patch_size": 14},
    "llama4": {
        "hidden_size": 768, "image_size": 448, "intermediate_size": 5632, "num_hidden_layers": 34, "patch_size": 14,
        "projector_input_dim": 4096, "projector_output_dim": 4096, "vision_output_dim": 7680,
    },
    "llava": _CLIP,
    "llava_next": _CLIP,
    "mistral3": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "patch_size": 16},
    "qwen2_5_vl": {
        "depth": 32, "hidden_size": 3584, "in_channels": 3, "intermediate_size": 3420, "out_hidden_size": 3584,
        "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
    },
    "qwen2_vl": {
        "depth": 32, "embed_dim": 1280, "hidden_size": 3584, "in_channels": 3, "mlp_ratio": 4, "patch_size": 14,
        "spatial_merge_size": 2, "temporal_patch_size": 2,
    },
    "qwen3_5": _QWEN3,
    "qwen3_5_moe": _QWEN3,
    "qwen3_vl": {**_QWEN3, "out_hidden_size": 3584},
    "qwen3_vl_moe": {**_QWEN3, "out_hidden_size": 3584},
}  # fmt: skip
"""What transformers assumes for keys of a vision config. Source: PyPI transformers 5.24.0, by wrapper."""
