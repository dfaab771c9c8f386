"""What an image encoder computes with, of the families whose trial by vLLM is known."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from inferplan.catalog.hugging_face._keys import Keys
from inferplan.core.layers.vision import Kind, VisionTower

MANY = 10**5

LARGEST_IMAGE = 16384
"""What the image processors of Qwen2-VL to Qwen3.8 let through: a config does not say it. [tokens]

Source: vLLM's logs of their checkpoints, of 3B to 397B parameters ("a budget of 16384 tokens"); of Qwen2-VL its
preprocessor_config.json (`max_pixels`), and vLLM, pull request 19756.
"""
LONGEST_VIDEO = 14 // 2
"""Of Qwen2-VL and Qwen2.5-VL: 14 frames, of which two make a patch. [images]

Source: vLLM 0.16 to 0.33, vllm/model_executor/models/qwen2_vl.py, `_MAX_FRAMES_PER_VIDEO`.
"""
LARGEST_MOONVIT = 65**2
"""What Kimi K2.5's makes of the 3,000 by 3,000 pixels that vLLM tries it out on. [tokens]

At most 16,384 patches of 14 pixels, both sides then filled up to whole tokens. Source: its preprocessor_config.json
(`in_patch_limit`); vLLM 0.24 and 0.28, vllm/model_executor/models/kimi_k25.py, `MaxImageTokenMeta`.
"""
FRAMES = 32
"""Of the video that Gemma 4 is tried out on, for each of which 70 tokens and 8 of the prompt are planned.

Source: vLLM 0.19 to 0.33, vllm/model_executor/models/gemma4_mm.py, `_VIDEO_MAX_FRAMES`, `get_mm_max_tokens_per_item`.
"""
TILES = 16 + 1
"""Of one image of Llama 4, and the whole of it. Source: transformers 5.17, `Llama4ImageProcessor.max_patches`; vLLM,
vllm/model_executor/models/mllama4.py, `get_image_size_with_most_features`.
"""

Shape = Callable[[Keys, Keys], VisionTower]


def encoder_of(wrapper: str, vision: Keys, root: Keys) -> VisionTower | None:
    """What the encoder of this wrapper computes with, where that is known."""
    shape = _SHAPES.get(wrapper)
    return shape and shape(vision, root)


def size(vision: Keys, *names: str, default: int | None = None) -> int:
    """One of its sizes, in elements."""
    return vision.integer(*names, default=default, high=MANY)


def positions(vision: Keys) -> int:
    """(image / patch)²: the patches of one image."""
    return (size(vision, "image_size") // size(vision, "patch_size")) ** 2


def _frames(kind: Kind) -> Shape:
    """Images of any size, a patch of each of a few frames at a time."""

    def shape(vision: Keys, _root: Keys) -> VisionTower:
        channels, frames = size(vision, "in_channels", "in_chans"), size(vision, "temporal_patch_size")
        deep = vision.layer_numbers("deepstack_visual_indexes", size(vision, "depth")) or frozenset()
        width = size(vision, "embed_dim" if kind == "qwen2" else "hidden_size")
        return VisionTower(
            kind=kind,
            width=width,
            inner=size(vision, "mlp_ratio") * width if kind == "qwen2" else size(vision, "intermediate_size"),
            inputs=channels * frames * size(vision, "patch_size") ** 2,
            merged=size(vision, "spatial_merge_size") ** 2,
            tokens=LARGEST_IMAGE,
            video=1 if kind == "qwen3" else LONGEST_VIDEO,
            stacked=len(deep) if kind == "qwen3" else 0,
        )

    return shape


def _still(kind: Kind, vision: Keys, *, merged: int, tokens: int, prefix: str = "") -> VisionTower:
    """Patches of one picture in three colours."""
    return VisionTower(
        kind=kind,
        width=size(vision, f"{prefix}hidden_size", "hidden_size"),
        inner=size(vision, f"{prefix}intermediate_size", "intermediate_size"),
        inputs=3 * size(vision, "patch_size") ** 2,
        merged=merged,
        tokens=tokens,
    )


def _siglip(vision: Keys, root: Keys) -> VisionTower:
    """Images of one size."""
    tokens = root.integer("mm_tokens_per_image", default=256, high=MANY)
    return _still("siglip", vision, merged=max(1, positions(vision) // tokens), tokens=tokens)


def _gemma4(vision: Keys, _root: Keys) -> VisionTower:
    """Frames of a video, of which three by three patches are pooled; a patch has two positions of 8 B."""
    merged = size(vision, "pooling_kernel_size", default=3) ** 2
    tower = _still("gemma4", vision, merged=merged, tokens=FRAMES * (70 + 8))
    return replace(tower, inputs=tower.inputs + 2 * 4, frames=FRAMES)


def _llama4(vision: Keys, _root: Keys) -> VisionTower:
    """Images in tiles of one size, of which pixels are shuffled together."""
    merged = round(vision.number("pixel_shuffle_ratio", default=0.5, low=0.01, high=1) ** -2)
    return _still("llama4", vision, merged=merged, tokens=TILES * max(1, positions(vision) // merged))


def _moonvit(vision: Keys, _root: Keys) -> VisionTower:
    """Images of any size, two by two patches of which are merged; angles of 512 by 512 positions are complex numbers.

    Source: vLLM 0.24 and 0.28, vllm/model_executor/models/kimi_k25_vit.py, `Rope2DPosEmbRepeated`.
    """
    tower = _still("moonvit", vision, merged=4, tokens=LARGEST_MOONVIT, prefix="vt_")
    heads = size(vision, "vt_num_attention_heads", "num_attention_heads", default=16)
    return replace(tower, table=512**2 * (tower.width // max(1, heads)) // 2 * 8)


_SHAPES: Mapping[str, Shape] = {
    "gemma3": _siglip,
    "gemma4": _gemma4,
    "kimi_k25": _moonvit,
    "llama4": _llama4,
    "qwen2_5_vl": _frames("qwen2.5"),
    "qwen2_vl": _frames("qwen2"),
    "qwen3_5": _frames("qwen3"),
    "qwen3_5_moe": _frames("qwen3"),
    "qwen3_vl": _frames("qwen3"),
    "qwen3_vl_moe": _frames("qwen3"),
}
"""By wrapper."""
