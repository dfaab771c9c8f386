"""The sizes that the activation peak of an image encoder follows from, where vLLM's profiling of it is known.

vLLM measures memory with the largest image or video that the processor lets through (`core/layers/vision.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, Keys
from inferplan.catalog.hugging_face.vision.sizes import (
    embedded_values,
    image_patches,
    merged_patches,
    patch_values,
    size,
    video_patch_values,
)
from inferplan.core.layers.vision import Kind, VisionTower

LARGEST_IMAGE = 16384
"""The largest image of the processors of Qwen2-VL to Qwen3.8, which no config says. [tokens]

Source: vLLM's logs of their checkpoints, of 3B to 397B parameters ("a budget of 16384 tokens"); of Qwen2-VL its
preprocessor_config.json (`max_pixels`), and vLLM, pull request 19756.
"""
LONGEST_VIDEO = 14 // 2
"""The video of Qwen2-VL and Qwen2.5-VL: 14 frames, of which two make a patch. [images]

Source: vLLM 0.16 to 0.33, vllm/model_executor/models/qwen2_vl.py, `_MAX_FRAMES_PER_VIDEO`.
"""
LARGEST_MOONVIT = 65**2
"""The image of 3,000 × 3,000 pixels that vLLM profiles Kimi K2.5 with. [tokens]

At most 16,384 patches of 14 pixels, both sides then filled up to whole tokens. Source: its preprocessor_config.json
(`in_patch_limit`); vLLM 0.24 and 0.28, vllm/model_executor/models/kimi_k25.py, `MaxImageTokenMeta`.
"""
GEMMA4_FRAMES = 32
GEMMA4_FRAME_TOKENS = 70 + 8
"""The video that vLLM profiles Gemma 4 with: frames; tokens of each, 8 of the prompt among them.

Source: vLLM 0.19 to 0.33, vllm/model_executor/models/gemma4_mm.py, `_VIDEO_MAX_FRAMES`, `get_mm_max_tokens_per_item`.
"""
LLAMA4_TILES = 16 + 1
"""The tiles of one image of Llama 4, and the image as a whole.

Source: transformers 5.17, `Llama4ImageProcessor.max_patches`; vLLM, vllm/model_executor/models/mllama4.py,
`get_image_size_with_most_features`.
"""

MOONVIT_POSITIONS = 512**2
COMPLEX_BYTES = 8

Encoder = Callable[[Keys, Keys], VisionTower]
"""An encoder by the keys of its vision_config and those of the whole config."""


def encoder_of(wrapper: str, vision: Keys, root: Keys) -> VisionTower | None:
    """The encoder of a multimodal type, None where vLLM's profiling of it is not known."""
    encoder = _ENCODERS.get(wrapper)
    return encoder and encoder(vision, root)


def _qwen(kind: Kind) -> Encoder:
    """Images of any size, in patches of a few frames."""

    def encoder(vision: Keys, _root: Keys) -> VisionTower:
        deep = vision.layer_numbers("deepstack_visual_indexes", size(vision, "depth")) or frozenset()
        width = size(vision, "embed_dim" if kind == "qwen2" else "hidden_size")
        return VisionTower(
            kind=kind,
            width=width,
            inner=size(vision, "mlp_ratio") * width if kind == "qwen2" else size(vision, "intermediate_size"),
            inputs=video_patch_values(vision, "in_channels", "in_chans"),
            merged=merged_patches(vision),
            tokens=LARGEST_IMAGE,
            video=1 if kind == "qwen3" else LONGEST_VIDEO,
            stacked=len(deep) if kind == "qwen3" else 0,
        )

    return encoder


def _still(kind: Kind, vision: Keys, *, merged: int, tokens: int, prefix: str = "") -> VisionTower:
    """Pictures in three colours; some configs put a `prefix` before the names of sizes."""
    return VisionTower(
        kind=kind,
        width=size(vision, f"{prefix}hidden_size", "hidden_size"),
        inner=size(vision, f"{prefix}intermediate_size", "intermediate_size"),
        inputs=patch_values(vision),
        merged=merged,
        tokens=tokens,
    )


def _siglip(vision: Keys, root: Keys) -> VisionTower:
    """Images of one size."""
    tokens = root.integer("mm_tokens_per_image", default=256, high=LARGEST_COUNT)
    return _still("siglip", vision, merged=max(1, image_patches(vision) // tokens), tokens=tokens)


def _gemma4(vision: Keys, _root: Keys) -> VisionTower:
    """Frames of a video, in which three by three patches are pooled; a patch has two positions of 8 B."""
    merged = size(vision, "pooling_kernel_size", default=3) ** 2
    tower = _still("gemma4", vision, merged=merged, tokens=GEMMA4_FRAMES * GEMMA4_FRAME_TOKENS)
    return replace(tower, inputs=tower.inputs + 2 * 4, frames=GEMMA4_FRAMES)


def _embedded(vision: Keys, _root: Keys) -> VisionTower:
    """Frames of a video whose patches go into the decoder as they are; a patch has two positions of 8 B."""
    return VisionTower(
        kind="embedded",
        width=size(vision, "mm_embed_dim"),
        inner=0,
        inputs=embedded_values(vision) + 2 * 4,
        merged=1,
        tokens=GEMMA4_FRAMES * GEMMA4_FRAME_TOKENS,
        frames=GEMMA4_FRAMES,
    )


def _llama4(vision: Keys, _root: Keys) -> VisionTower:
    """Images in tiles of one size, whose patches are merged (`pixel_shuffle_ratio`)."""
    merged = round(vision.number("pixel_shuffle_ratio", default=0.5, low=0.01, high=1) ** -2)
    return _still("llama4", vision, merged=merged, tokens=LLAMA4_TILES * max(1, image_patches(vision) // merged))


def _moonvit(vision: Keys, _root: Keys) -> VisionTower:
    """Images of any size, two by two patches merged; a table of complex angles for 512 × 512 positions.

    Source: vLLM 0.24 and 0.28, vllm/model_executor/models/kimi_k25_vit.py, `Rope2DPosEmbRepeated`.
    """
    tower = _still("moonvit", vision, merged=4, tokens=LARGEST_MOONVIT, prefix="vt_")
    heads = size(vision, "vt_num_attention_heads", "num_attention_heads", default=16)
    return replace(tower, table=MOONVIT_POSITIONS * (tower.width // max(1, heads)) // 2 * COMPLEX_BYTES)


_ENCODERS: Mapping[str, Encoder] = {
    "gemma3": _siglip,
    "gemma4": _gemma4,
    "gemma4_unified": _embedded,
    "kimi_k25": _moonvit,
    "llama4": _llama4,
    "qwen2_5_vl": _qwen("qwen2.5"),
    "qwen2_vl": _qwen("qwen2"),
    "qwen3_5": _qwen("qwen3"),
    "qwen3_5_moe": _qwen("qwen3"),
    "qwen3_vl": _qwen("qwen3"),
    "qwen3_vl_moe": _qwen("qwen3"),
}
"""By multimodal type."""
