"""Parameters of vision towers that checkpoints in forms of their own have, as vLLM loads them. [parameters]

One function per architecture, as in `tower_params`.
"""

from typing import Any, cast

from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.vision.forms import layer_params, merger, siglip, uncounted, vit_with_class
from inferplan.catalog.hugging_face.vision.sizes import merged_patches, patch_values, size

USUAL_FEATURES = -2
"""The layer whose output Phi-3-Vision uses, counted from the end."""


def paddleocr(vision: Keys, _root: Keys, hidden: int) -> int:
    """SigLIP without its head, a norm, and two matrices behind a square of patches merged into one.

    Source: transformers 5.24, `PaddleOCRVisionModel`, `PaddleOCRProjector`; vLLM 0.33, paddleocr_vl.py, which leaves
    the head and the table of packed positions in the checkpoint.
    """
    width = size(vision, "hidden_size")
    return siglip(vision, head=False) + 2 * width + merger(width * merged_patches(vision), hidden)


def phi3_v(vision: Keys, root: Keys, hidden: int) -> int:
    """CLIP without its last layer, two vectors that end lines and images, and two matrices behind four patches in one.

    Source: vLLM 0.33, phi3v.py, `Phi3HDImageEmbedding`.
    """
    if vision.values.get("layer_idx", USUAL_FEATURES) != USUAL_FEATURES:
        vision.keep("layer_idx", "other", None)
        return uncounted(root)
    merged = 4 * size(vision, "hidden_size")
    return vit_with_class(vision, unused=1) + 2 * merged + (merged + 1 + hidden + 1) * hidden


def minicpmv(vision: Keys, root: Keys, hidden: int) -> int:
    """SigLIP with its last norm but without a head, and queries that attend to its patches.

    Source: vLLM 0.33, minicpmv.py, `MiniCPMV2_5` and later, `BaseResampler`; the published total of MiniCPM-V 2.6.
    """
    width, queries = size(vision, "hidden_size"), size(root, "query_num", default=64)
    layer = layer_params(width, size(vision, "intermediate_size"))
    dropped = layer if root.flag("drop_vision_last_layer", default=True) else 0
    projected = width * hidden if width != hidden else 0
    resampler = queries * hidden + projected + 4 * (hidden + 1) * hidden + 3 * 2 * hidden + hidden**2
    return siglip(vision, head=False) - dropped + resampler


def dots_ocr(vision: Keys, _root: Keys, _hidden: int) -> int:
    """Gated layers without biases behind a norm of patches; squares of them go through two matrices.

    Source: vLLM 0.33, dots_ocr.py, `DotsVisionTransformer`, `PatchMerger`.
    """
    width = size(vision, "embed_dim")
    biased, normed = vision.flag("use_bias"), vision.flag("post_norm", default=True)
    layers = size(vision, "num_hidden_layers") * layer_params(
        width, size(vision, "intermediate_size"), bias=biased, gated=True, norm=1
    )
    ends = (patch_values(vision) + 2 + (1 if normed else 0)) * width
    return layers + ends + 2 * width + merger(width * merged_patches(vision), size(vision, "hidden_size"))


def hy_v4_vl(vision: Keys, _root: Keys, hidden: int) -> int:
    """Positions of the largest image; patches are merged by a convolution and one matrix, with a word for lines.

    Source: transformers 5.24, `HYV4VLVisionModel`, `HYV4VLVisionPatchMerger`.
    """
    width, out = size(vision, "hidden_size"), size(vision, "out_hidden_size", default=hidden)
    layers = size(vision, "num_hidden_layers") * layer_params(width, size(vision, "intermediate_size"))
    rows = (size(vision, "max_image_size") // size(vision, "patch_size")) ** 2 + 1
    merging = (width * merged_patches(vision) + 1) * out + (out + 1) * out
    return layers + (patch_values(vision) + 1 + rows + 1) * width + merging + out


def molmo2(vision: Keys, root: Keys, _hidden: int) -> int:
    """Layers up to the last that is used; queries attend to the patches of some layers, and a gated block follows.

    Source: transformers 5.24, `Molmo2VisionModel`, `Molmo2Adapter`.
    """
    adapter = root.child("adapter_config", defaults={})
    if adapter is None:
        return uncounted(root)
    width, depth = size(vision, "hidden_size"), size(vision, "num_hidden_layers")
    used = _used(adapter, depth)
    tower = depth * layer_params(width, size(vision, "intermediate_size"))
    tower += (patch_values(vision) + 1 + size(vision, "num_position_embeddings")) * width
    seen, inner = size(adapter, "hidden_size", default=1152), size(adapter, "intermediate_size", default=18944)
    pooling = 3 * (used * width + 1) * seen + (seen + 1) * seen
    return tower + pooling + (2 * seen + size(adapter, "text_hidden_size", default=3584)) * inner


def _used(adapter: Keys, depth: int) -> int:
    """How many layers' outputs the adapter reads."""
    value = adapter.values.get("vision_feature_layer")
    items = cast("list[object]", value) if isinstance(value, list) else [24, 18]
    numbers = [one for one in items if isinstance(one, int) and -depth <= one < depth]
    if len(numbers) != len(items) or not items:
        adapter.wrong("vision_feature_layer", f"a list of layers from {-depth} to {depth - 1}")
        return 1
    adapter.keep("vision_feature_layer", numbers, [24, 18])
    return len(numbers)


OCR, OCR_2 = "DeepseekOCRForCausalLM", "DeepseekOCR2ForCausalLM"
"""Classes of checkpoints whose configs have the type of DeepSeek-VL2."""


def deepseek_vl_v2(vision: Keys, root: Keys, _hidden: int) -> int:
    """SigLIP with its head, or what the two classes of DeepSeek-OCR have; a projector, and vectors between patches.

    Source: vLLM 0.33, deepseek_vl2.py, deepseek_ocr.py, deepseek_ocr2.py; the published total of DeepSeek-OCR.
    """
    projector = root.child("projector_config", defaults={})
    if projector is None:
        return uncounted(root)
    name = _class(root)
    vectors = (1 if name == OCR_2 else 2) * size(projector, "n_embed", default=2048)
    towers = {OCR: sam(1024) + CLIP, OCR_2: sam(QWEN2_ENCODER["hidden"]) + qwen2_encoder(**QWEN2_ENCODER)}
    return (towers.get(name) or siglip(vision, head=True)) + _projector(projector) + vectors


def _class(root: Keys) -> str:
    """The first of the config's `architectures`, by which vLLM tells models of this type apart; empty without one."""
    classes = root.values.get("architectures")
    first = cast("list[object]", classes)[0] if isinstance(classes, list) and classes else None
    if first in (OCR, OCR_2):
        root.keep("architectures", [first], None)
    return first if isinstance(first, str) else ""


def deepseek_ocr2(vision: Keys, root: Keys, hidden: int) -> int:
    """The same of DeepSeek-OCR 2 in the form of transformers; another SAM than the published one is not known.

    Source: transformers 5.24, `DeepseekOcr2VisionModel`.
    """
    first, second = vision.child("sam_config", defaults={}), vision.child("encoder_config", defaults={})
    if first is None or second is None or any(first.values.get(key, usual) != usual for key, usual in SAM.items()):
        vision.keep("sam_config", {"hidden_size": 0}, None)
        return uncounted(root)
    width = size(second, "hidden_size", default=4096)
    heads = size(second, "num_attention_heads", default=32)
    encoder = qwen2_encoder(
        hidden=width,
        inner=size(second, "intermediate_size", default=22016),
        layers=size(second, "num_hidden_layers", default=32),
        keys=size(second, "num_key_value_heads", default=heads) * (width // heads),
    )
    return sam(SAM["downsample_channels"][-1]) + encoder + (width + 1) * hidden + hidden


def _projector(projector: Keys) -> int:
    """One matrix, or `depth` of them behind a square of patches merged into one, with biases. [parameters]

    Source: vLLM 0.33, deepseek_vl2.py, `MlpProjector`.
    """
    inputs, out = size(projector, "input_dim", default=1152), size(projector, "n_embed", default=2048)
    kind = projector.word("projector_type", allowed=("linear", "downsample_mlp_gelu"), default="downsample_mlp_gelu")
    if kind == "linear":
        return (inputs + 1) * out
    merged = inputs * size(projector, "downsample_ratio", default=2) ** 2
    inner = out * size(projector, "mlp_ratio", default=1)
    between = (size(projector, "depth", default=2) - 2) * (inner + 1) * inner
    return (merged + 1) * inner + between + (inner + 1) * out


SAM: dict[str, Any] = {
    "downsample_channels": [512, 896],
    "hidden_size": 768,
    "image_size": 1024,
    "mlp_dim": 3072,
    "num_hidden_layers": 12,
    "output_channels": 256,
    "patch_size": 16,
}
"""The published sizes of the SAM of DeepSeek-OCR 2."""


def sam(last: int) -> int:
    """SAM's ViT-B, with positions by distance in windows of 14 or all 64 patches, and two convolutions to `last`.

    Source: vLLM 0.33, deepencoder.py, `build_sam_vit_b`; transformers 5.24, `DeepseekOcr2SamVisionEncoder`.
    """
    distances = (8 * (2 * 14 - 1) + 4 * (2 * 64 - 1)) * 2 * 64
    patches = (3 * 16**2 + 1 + 64**2) * 768
    neck = 768 * 256 + 9 * 256**2 + 2 * 2 * 256
    return 12 * layer_params(768, 3072) + distances + patches + neck + 9 * (256 * 512 + 512 * last)


CLIP = 303_177_728
"""CLIP's ViT-L of 224 pixels with its embedding of patches and without its last norm.

Source: vLLM 0.33, deepseek_ocr.py, `DeepCLIPVisionTransformer`; the published total of DeepSeek-OCR.
"""
QWEN2_ENCODER = {"hidden": 896, "inner": 4864, "layers": 24, "keys": 2 * 64}
"""Source: vLLM 0.33, deepencoder2.py, `build_qwen2_decoder_as_encoder`."""


def qwen2_encoder(*, hidden: int, inner: int, layers: int, keys: int) -> int:
    """Layers of Qwen2 with `keys` columns of keys, a norm, and the queries of images of 768 and 1024 pixels."""
    attention = 2 * hidden**2 + hidden + 2 * (hidden + 1) * keys
    return layers * (attention + 3 * hidden * inner + 2 * hidden) + hidden + (144 + 256) * hidden
