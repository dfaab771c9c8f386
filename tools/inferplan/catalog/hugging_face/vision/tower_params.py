"""Parameters of vision towers and their projectors, which stand beside the text decoder. [parameters]

One function per architecture: of the keys of its vision_config, those of the whole config, and the hidden size of the
text decoder.
"""

from collections.abc import Callable, Mapping

from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, Keys
from inferplan.catalog.hugging_face.vision import checkpoint_towers as checkpoints
from inferplan.catalog.hugging_face.vision.forms import layer_params, merger, siglip, uncounted, vit_with_class
from inferplan.catalog.hugging_face.vision.sizes import (
    embedded_values,
    image_patches,
    merged_patches,
    patch_values,
    refuse_others,
    size,
    video_patch_values,
)


def _qwen3(vision: Keys, _root: Keys, hidden: int) -> int:
    """Source: transformers, `Qwen3VLVisionModel`; its deep-stacked mergers norm what is merged."""
    width, out = size(vision, "hidden_size"), size(vision, "out_hidden_size", default=hidden)
    merged = width * merged_patches(vision)
    patch = video_patch_values(vision, "in_channels")
    depth = size(vision, "depth")
    deep = vision.layer_numbers("deepstack_visual_indexes", depth) or frozenset()
    vision.keep("deepstack_visual_indexes", sorted(deep), [])
    layers = depth * layer_params(width, size(vision, "intermediate_size"))
    ends = (patch + 1 + size(vision, "num_position_embeddings") + 2) * width
    return layers + ends + merger(merged, out) + len(deep) * (2 * merged + merger(merged, out))


def _qwen2_5(vision: Keys, _root: Keys, hidden: int) -> int:
    """Source: transformers, `Qwen2_5_VisionTransformerPretrainedModel`."""
    width, out = size(vision, "hidden_size"), size(vision, "out_hidden_size", default=hidden)
    merged = width * merged_patches(vision)
    patch = video_patch_values(vision, "in_channels", "in_chans")
    layer = layer_params(width, size(vision, "intermediate_size"), gated=True, norm=1)
    return size(vision, "depth") * layer + (patch + 1) * width + merger(merged, out)


def _qwen2(vision: Keys, _root: Keys, hidden: int) -> int:
    """Source: transformers, `Qwen2VisionTransformerPretrainedModel`."""
    width = size(vision, "embed_dim")
    merged = width * merged_patches(vision)
    patch = video_patch_values(vision, "in_channels", "in_chans")
    layer = layer_params(width, size(vision, "mlp_ratio") * width)
    layers = size(vision, "depth") * layer
    return layers + (patch + 2) * width + merger(merged, size(vision, "hidden_size", default=hidden))


def _gemma3(vision: Keys, _root: Keys, hidden: int) -> int:
    """SigLIP, a norm and one matrix. Source: transformers, `Gemma3MultiModalProjector`."""
    head = vision.flag("vision_use_head", default=True)
    return siglip(vision, head=head) + size(vision, "hidden_size") * (1 + hidden)


def _paligemma(vision: Keys, root: Keys, _hidden: int) -> int:
    """SigLIP and one matrix. Source: transformers, `PaliGemmaMultiModalProjector`."""
    head = vision.flag("vision_use_head", default=True)
    out = root.integer("projection_dim", default=2048, high=LARGEST_COUNT)
    return siglip(vision, head=head) + (size(vision, "hidden_size") + 1) * out


def _phi4(unused: int) -> Callable[[Keys, Keys, int], int]:
    """SigLIP with a head, or without it and its `unused` last layers; two words and two matrices.

    Source: transformers 5.24, `Phi4MultimodalImageEmbedding`; vLLM 0.33, phi4mm.py, `Phi4MMImageEncoder`.
    """

    def params(vision: Keys, _root: Keys, hidden: int) -> int:
        tower = siglip(vision, head=not unused, unused=unused)
        return tower + size(vision, "hidden_size") * (2 + hidden) + (hidden + 2) * hidden

    return params


def _hunyuan(vision: Keys, _root: Keys, hidden: int) -> int:
    """Positions of the largest image; patches are merged by two convolutions and one matrix, between four words.

    Source: transformers 5.24, `HunYuanVLVisionTransformer`, `HunYuanVLVisionPatchMerger`.
    """
    width, merge = size(vision, "hidden_size"), merged_patches(vision)
    layers = size(vision, "num_hidden_layers") * layer_params(width, size(vision, "intermediate_size"))
    rows = (size(vision, "max_image_size") // size(vision, "patch_size")) ** 2 + 1
    merging = (width * merge + 1) * 2 * width + (2 * width + 1) * 4 * width + (4 * width + 1) * hidden
    return layers + (patch_values(vision) + 1 + rows) * width + merging + (4 + 1) * width + (3 + 1) * hidden


def _hyperclovax(vision: Keys, root: Keys, hidden: int) -> int:
    """Qwen2.5-VL's, and one matrix. Source: transformers 5.24, `HyperCLOVAXVisionV2Model`; vLLM 0.33."""
    return _qwen2_5(vision, root, hidden) + (size(vision, "out_hidden_size", default=hidden) + 1) * hidden


def _apertus1p5(vision: Keys, _root: Keys, _hidden: int) -> int:
    """Convolutions in five stages, of which the last attends, and a codebook; the words are tokens of the decoder.

    Source: transformers 5.24, `Apertus1p5VisionTokenizerModel`.
    """
    refuse_others(vision, _APERTUS_STAGES)
    base, blocks = size(vision, "base_channels"), size(vision, "num_res_blocks")
    words, latent = size(vision, "embed_dim"), size(vision, "latent_channels")
    widths = [base * factor for factor in _APERTUS_STAGES["channel_multiplier"]]
    last, before = widths[-1], [base, *widths[:-1]]
    attention = 4 * (last + 1) * last + 2 * last
    stages = sum(
        _residual(narrow, wide) + (blocks - 1) * _residual(wide, wide)
        for narrow, wide in zip(before, widths, strict=True)
    )
    downs = sum(_square(width, width) for width in widths[:-1])
    middle = 2 * _residual(last, last) + (blocks + 1) * attention
    ends = _square(size(vision, "in_channels"), base) + 2 * last + _square(last, latent)
    return stages + downs + middle + ends + (latent + 1) * words + words * vision.integer("codebook_size")


_APERTUS_STAGES = {"channel_multiplier": (1, 1, 2, 2, 4), "attn_resolutions": (16,)}


def _residual(narrow: int, wide: int) -> int:
    """Two convolutions behind norms, and one of single patches beside them where the width changes. [parameters]"""
    shortcut = (narrow + 1) * wide if narrow != wide else 0
    return 2 * narrow + _square(narrow, wide) + 2 * wide + _square(wide, wide) + shortcut


def _square(inputs: int, outputs: int) -> int:
    """A convolution over 3 × 3 with a bias. [parameters]"""
    return (9 * inputs + 1) * outputs


def _gemma4(vision: Keys, root: Keys, hidden: int) -> int:
    """Source: transformers, `Gemma4VisionModel`, `Gemma4MultimodalEmbedder`; positions are two tables."""
    if vision.flag("use_clipped_linears"):
        return uncounted(root)
    width, heads = size(vision, "hidden_size"), size(vision, "num_attention_heads")
    head_dim = size(vision, "head_dim")
    attention = (heads + size(vision, "num_key_value_heads", default=heads)) * 2 * head_dim * width
    layer = attention + 4 * width + 2 * head_dim + 3 * width * size(vision, "intermediate_size")
    ends = (patch_values(vision) + 2 * size(vision, "position_embedding_size")) * width
    return size(vision, "num_hidden_layers") * layer + ends + width * hidden


def _gemma4_unified(vision: Keys, _root: Keys, hidden: int) -> int:
    """Patches are projected as they are, between norms and with positions of two tables.

    Source: transformers 5.24, `Gemma4UnifiedVisionEmbedder`.
    """
    width, patch = size(vision, "mm_embed_dim"), embedded_values(vision)
    positions = 2 * size(vision, "mm_posemb_size") * width
    return (
        2 * patch + (patch + 1) * width + 2 * width + positions + 2 * width + size(vision, "output_proj_dims") * hidden
    )


def _muse_glimmer(vision: Keys, root: Keys, hidden: int) -> int:
    """Positions and norms around the layers; patches are merged and go through an adapter and one matrix.

    Source: transformers 5.24, `MuseGlimmerVisionModel`, `MuseGlimmerVisionAdapter`.
    """
    width = size(vision, "hidden_size")
    positions = size(vision, "pos_emb_height") * size(vision, "pos_emb_width")
    values = size(vision, "patch_temporal") * patch_values(vision)
    layers = size(vision, "num_hidden_layers") * layer_params(width, size(vision, "intermediate_size"))
    merged, inner = size(root, "out_hidden_size", default=6144), size(root, "projector_hidden_size", default=4096)
    return layers + (values + positions + 4) * width + (merged + inner + hidden) * inner


def _pixtral(vision: Keys, root: Keys, hidden: int) -> int:
    """Source: transformers, `PixtralVisionModel`, `Mistral3MultiModalProjector`."""
    width, merge = size(vision, "hidden_size"), size(root, "spatial_merge_size", default=2)
    layer = layer_params(width, size(vision, "intermediate_size"), bias=False, gated=True, norm=1)
    ends = (patch_values(vision) + 1) * width
    bias = 2 * hidden if root.flag("multimodal_projector_bias") else 0
    projector = width + (width * merge) ** 2 + width * hidden + hidden**2 + bias
    return size(vision, "num_hidden_layers") * layer + ends + projector


def _clip(vision: Keys, root: Keys, hidden: int) -> int:
    """CLIP and two matrices. Source: transformers, `CLIPVisionModel`, `LlavaMultiModalProjector`."""
    if vision.text("model_type") not in (None, "clip_vision_model"):
        vision.keep("model_type", "other", None)
        return uncounted(root)
    newline = hidden if root.text("model_type") == "llava_next" else 0
    return vit_with_class(vision) + size(vision, "hidden_size") * hidden + hidden**2 + 2 * hidden + newline


def _glm(projection: Callable[[Keys, int], int]) -> Callable[[Keys, Keys, int], int]:
    """Patches are merged by a convolution and go through a gated block, whose width is the `projection`.

    Source: transformers 5.24, `GlmOcrVisionModel`, `Glm5NextVisionModel`, `Glm5NextVisionPatchMerger`.
    """

    def params(vision: Keys, _root: Keys, hidden: int) -> int:
        width, out = size(vision, "hidden_size"), size(vision, "out_hidden_size", default=hidden)
        biased = vision.flag("attention_bias", default=True)
        heads = size(vision, "num_heads", "num_attention_heads", default=16)
        layer = layer_params(width, size(vision, "intermediate_size"), bias=biased, gated=True, norm=1)
        ends = (video_patch_values(vision, "in_channels") + 2) * width
        layers = size(vision, "depth", "num_hidden_layers") * (layer + 2 * (width // heads))
        return layers + ends + _glm_merger(width * merged_patches(vision), out, projection(vision, out))

    return params


def _glm4v(vision: Keys, _root: Keys, hidden: int) -> int:
    """Learned positions and a further norm; blocks as wide inside as the decoder, the merger's as the config says.

    Source: transformers 5.24, `Glm4vVisionModel`, `Glm4vVisionPatchMerger`, `Glm4vVisionAttention`.
    """
    width, out = size(vision, "hidden_size"), size(vision, "out_hidden_size", default=hidden)
    biases = 3 * width if vision.flag("attention_bias") else 0
    layers = size(vision, "depth") * (layer_params(width, out, bias=False, gated=True, norm=1) + biases)
    ends = (video_patch_values(vision, "in_channels") + 1 + image_patches(vision) + 2) * width
    return layers + ends + _glm_merger(width * merged_patches(vision), out, size(vision, "intermediate_size"))


def _glm_merger(merged: int, out: int, inner: int) -> int:
    """A convolution that merges patches, a matrix with a norm, and a gated block. [parameters]"""
    return (merged + 1) * out + (out + 2 + 3 * inner) * out


def _stated_projection(vision: Keys, _out: int) -> int:
    """As the config says. [elements]"""
    return size(vision, "projection_intermediate_size")


def _projection_by_colours(vision: Keys, out: int) -> int:
    """The width of the output × the colours of a picture. [elements]"""
    return out * size(vision, "in_channels")


def _llama4(vision: Keys, _root: Keys, hidden: int) -> int:
    """Source: transformers, `Llama4VisionModel`, `Llama4MultiModalProjector`."""
    tower, inner = vit_with_class(vision), size(vision, "intermediate_size")
    first, last = size(vision, "projector_input_dim"), size(vision, "projector_output_dim")
    adapter = inner * first + first * last
    return tower + adapter + size(vision, "vision_output_dim", default=last) * hidden


def _moonvit(vision: Keys, _root: Keys, hidden: int) -> int:
    """Source: Kimi-K2.5 modeling_kimi_k25.py, `MoonViT3dPretrainedModel`, `PatchMergerMLP`."""
    width = size(vision, "vt_hidden_size", "hidden_size")
    layers = size(vision, "vt_num_hidden_layers", "num_hidden_layers")
    layer = layer_params(width, size(vision, "vt_intermediate_size", "intermediate_size"))
    rows = size(vision, "init_pos_emb_height", default=64) * size(vision, "init_pos_emb_width", default=64)
    ends = (patch_values(vision) + 1 + rows + 2) * width
    return layers * layer + ends + 2 * width + merger(4 * width, size(vision, "text_hidden_size", default=hidden))


def _ernie(vision: Keys, root: Keys, hidden: int) -> int:
    """Patches of a frame are merged, then frames.

    Source: vLLM 0.33, ernie45_vl.py, `Ernie4_5_VisionTransformer`, `VariableResolutionResamplerModel`.
    """
    width = size(vision, "embed_dim", "hidden_size")
    inner = size(vision, "mlp_ratio", default=4) * width
    layers = size(vision, "depth") * layer_params(width, size(vision, "intermediate_size", default=inner))
    ends = (size(vision, "in_channels") * size(vision, "patch_size") ** 2 + 2) * width
    frames = size(root if root.has("temporal_conv_size") else vision, "temporal_conv_size", "temporal_merge_size")
    merged = width * merged_patches(vision)
    resampler = 2 * merger(merged, merged) + (frames - 1) * merged**2 + 4 * merged + (merged + 2) * hidden
    return layers + ends + resampler


def _deepseek_v41(vision: Keys, _root: Keys, hidden: int) -> int:
    """Neither positions nor a class; three words for begin, end and lines of an image, as wide as the decoder.

    Source: vLLM 0.33, models/deepseek_v41/nvidia/vl_model.py; the published `total_size`.
    """
    width = size(vision, "hidden_size")
    biases = 4 * width
    layer = layer_params(width, size(vision, "intermediate_size"), bias=False, gated=True, norm=1) + biases
    ends = (patch_values(vision) + 2) * width
    return size(vision, "num_hidden_layers") * layer + ends + _aligner(vision, width, hidden) + 3 * hidden


def _aligner(vision: Keys, width: int, hidden: int) -> int:
    """Two matrices with biases, after a square of patches is merged into one. [parameters]"""
    merged = width * size(vision, "downsample_ratio") ** 2
    return (merged + 1 + hidden + 1) * hidden


def _inkling(vision: Keys, root: Keys, hidden: int) -> int:
    """Patches are folded in four steps, each a matrix and a norm; the steps of other sizes are not known.

    Source: transformers 5.24, `InklingVisionModel`, `plan_out_scales`; the published total.
    """
    given = {key: size(vision, *names, default=usual) for key, (usual, *names) in _FOLDED.items()}
    if given != {key: usual for key, (usual, *_) in _FOLDED.items()}:
        return uncounted(root)
    steps = ((75, 128), (512, 320), (5120, 4800), (9600, hidden))
    return sum((inputs + 1) * outputs for inputs, outputs in steps)


_FOLDED = {
    "patch": (40, "patch_size"),
    "frames": (2, "temporal_patch_size"),
    "colours": (3, "num_channels", "n_channels"),
    "steps": (4, "num_hidden_layers", "n_layers"),
}

TOWERS: Mapping[str, Callable[[Keys, Keys, int], int]] = {
    "cosmos3_omni": _qwen3,
    "paligemma": _paligemma,
    "lighton_ocr": _pixtral,
    "apertus1p5": _apertus1p5,
    "deepseek_v41": _deepseek_v41,
    "deepseek_ocr2": checkpoints.deepseek_ocr2,
    "deepseek_vl_v2": checkpoints.deepseek_vl_v2,
    "dots_ocr": checkpoints.dots_ocr,
    "ernie4_5_moe_vl": _ernie,
    "ernie4_5_vl_moe": _ernie,
    "gemma3": _gemma3,
    "gemma4": _gemma4,
    "gemma4_unified": _gemma4_unified,
    "glm46v": _glm4v,
    "glm4v": _glm4v,
    "glm4v_moe": _glm4v,
    "glm5_next": _glm(_stated_projection),
    "glm_ocr": _glm(_projection_by_colours),
    "glmga": _glm4v,
    "hunyuan_vl": _hunyuan,
    "hy_v4_vl": checkpoints.hy_v4_vl,
    "hyperclovax_vision_v2": _hyperclovax,
    "inkling_mm_model": _inkling,
    "kimi_k25": _moonvit,
    "llama4": _llama4,
    "llava": _clip,
    "llava_next": _clip,
    "minicpmo": checkpoints.minicpmv,
    "minicpmv": checkpoints.minicpmv,
    "mistral3": _pixtral,
    "mistral_large4": _pixtral,
    "molmo2": checkpoints.molmo2,
    "muse_glimmer": _muse_glimmer,
    "paddleocr_vl": checkpoints.paddleocr,
    "phi3_v": checkpoints.phi3_v,
    "phi4_multimodal": _phi4(unused=0),
    "phi4mm": _phi4(unused=1),
    "qwen2_5_omni_thinker": _qwen2_5,
    "qwen2_5_vl": _qwen2_5,
    "qwen2_vl": _qwen2,
    "qwen3_5": _qwen3,
    "qwen3_5_moe": _qwen3,
    "qwen3_omni_moe_thinker": _qwen3,
    "qwen3_vl": _qwen3,
    "qwen3_vl_moe": _qwen3,
    "qwen4_exp": _qwen3,
}
"""By multimodal type."""
