"""Image encoders, and their activation peak in vLLM's profile run, on the largest images, before the pool is sized."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["embedded", "gemma4", "llama4", "moonvit", "qwen2", "qwen2.5", "qwen3", "siglip"]
"""Encoders by the tensors that are alive in their layers: of Gemma 4 12B, which has no layers, Gemma 4, Llama 4, Kimi
K2.5 to K2.7, Qwen2-VL, Qwen2.5-VL, Qwen3-VL and Qwen3.5 to 3.8, Gemma 3."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VisionTower:
    """Layers of `width` with feed-forward blocks of `inner` columns, on patches of `inputs` elements.

    `merged` patches become one token. The largest image of the processor has `tokens` of these, and the longest video
    of the profile run `video` times as many. The features of `stacked` layers go to the decoder beside those of the
    last one (DeepStack of Qwen3-VL). A `table` of rotary angles is allocated at the first image (MoonViT) [B]. With
    `frames` the "image" is a video of so many, which are encoded a few at a time (Gemma 4).
    """

    kind: Kind
    width: int
    inner: int
    inputs: int
    merged: int
    tokens: int
    video: int = 1
    stacked: int = 0
    table: int = 0
    frames: int = 0

    @property
    def patches(self) -> int:
        """Patches of one image; frames with their padding. [patches]"""
        return self.frames * FRAME * self.merged or self.merged * self.tokens

    @property
    def outputs(self) -> int:
        """Tokens of one image in the decoder; vLLM plans for 78 per frame of Gemma 4, separators included. [tokens]"""
        return self.frames * FRAME_TOKENS or self.tokens


FRAME = 70
"""Tokens that a frame of Gemma 4 is padded to, of 3 by 3 patches each; the square frame of the profile run has 64.

Source: vLLM 0.19 to 0.33, vllm/model_executor/models/gemma4_mm.py, gemma4_unified.py (0.23 to 0.33); transformers 5.17,
`Gemma4VideoProcessor`.
"""
FRAME_TOKENS = 64
"""Tokens of such a frame in the decoder."""
FRAME_COST = FRAME * 9 * 4 * 10_240 * 8
"""vLLM's estimate of the memory of a frame, of which it encodes as many at once as a tenth of the GPU has. [B]"""
FIRST_SEVERAL_FRAMES = 22
"""The first vLLM (0.22) that encodes several frames of Gemma 4 at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """Tensors alive at the peaks of a layer, in copies of a patch's width and of its inner columns.

    `always` are beside all layers. In attention there are `whole` copies on every rank and `shared` ones that tensor
    parallelism splits, or `rotated` ones where the rotation needs more, and `gathered` ones where ranks exchange them.
    In the feed-forward block there are `block` copies of the width, and `columns` copies of the inner columns at the
    activation, `last` of them at the product after it.
    """

    always: int = 0
    whole: int = 2
    shared: int
    rotated: int = 0
    gathered: int = 0
    block: int
    columns: int = 2
    last: int = 1


_COMPLEX = _Kept(always=1, shared=6, rotated=13, block=3)
"""`rotated` as complex numbers: queries, keys and values (3); queries and keys in 4 B before and after the rotation
(4 + 4), and in the model's type again (2)."""

_KEPT: Mapping[Kind, _Kept] = {
    "llama4": _COMPLEX,
    "moonvit": _COMPLEX,
    "qwen2": _Kept(shared=8, gathered=3, block=3, columns=3),
    "qwen2.5": _Kept(shared=8, block=4, columns=3, last=3),
    "qwen3": _Kept(always=1, shared=8, block=3),
    "siglip": _Kept(whole=3, shared=4, block=4),
}
"""In attention are alive: its input and the normed one, queries, keys and values (3), queries and keys before and after
the rotation (2 + 2), and its output (1). SigLIP has no rotation, and keeps the embeddings of the patches to the end. In
the feed-forward block are alive: both inputs and the normed one, and its columns before and after the activation; in a
gated one twice the columns before, and the normed sum. Qwen2.5-VL has names for its columns, and so keeps all to the
end; the activation of Qwen2-VL needs two copies, and its ranks gather queries, keys and values of all.

Source: vLLM 0.16 to 0.28, vllm/model_executor/models/qwen2_vl.py, qwen2_5_vl.py, qwen3_vl.py, siglip.py; 0.24 and 0.28,
mllama4.py, kimi_k25_vit.py; arguments of a module stay alive while it runs. Each was measured on one H100.
"""


def item_images(tower: VisionTower, context: int) -> int:
    """max(1, min(video, context // tokens)): the largest item, image or video, in largest images. [images]

    Limits: Qwen3-VL divides the pixels of a video among its frames, which logs show to be fewer than those of an image.
    Source: vLLM 0.16 to 0.33, vllm/model_executor/models/qwen2_vl.py, `get_num_frames_with_most_features`: as many
    frames of the largest image's size as the context (`max_model_len`) holds, at most 14, of which two make a patch.
    """
    return max(1, min(tower.video, context // tower.tokens))


def profiled_images(tower: VisionTower, tokens: int, context: int = 0) -> int:
    """max(batched tokens, tokens of an item) // tokens of an item × its images, in vLLM's profile run. [images]

    The item is the largest image or video (`item_images`).

    Limits: all sequences together are taken to hold as many tokens as a batch.
    Source: vLLM 0.16 to 0.28, vllm/multimodal/encoder_budget.py, `MultiModalBudget`; vllm/v1/core/
    encoder_cache_manager.py, `compute_mm_encoder_budget`.

    >>> qwen = VisionTower(kind="qwen3", width=1152, inner=4304, inputs=1536, merged=4, tokens=16384)
    >>> profiled_images(qwen, 2048), profiled_images(qwen, 65536)
    (1, 4)
    """
    images = item_images(tower, context)
    item = images * tower.tokens
    return max(tokens, item) // item * images


def frames_at_once(memory: float, version: int) -> int:
    """max(1, memory / 10 // (630 × 4 × 10,240 × 8 B)): frames that Gemma 4's encoder takes at once; 1 up to 0.21.

    Limits: where less than a fifth of the GPU is free, vLLM takes half of the free memory instead of a tenth of all.
    Source: vLLM 0.19 to 0.33, vllm/model_executor/models/gemma4_mm.py, `_encoder_chunk`.

    >>> frames_at_once(79.18 * 2**30, 24), frames_at_once(79.18 * 2**30, 21)
    (41, 1)
    """
    return max(1, int(memory / 10 // FRAME_COST)) if version >= FIRST_SEVERAL_FRAMES else 1


def _frames_peak(tower: VisionTower, frames: int, at_once: int, element: int) -> float:
    """element × patches × (frames × inputs + before × width + n × (4 × width + 3 × inner)) + masks. [B]

    `before` frames are done when the last n go through the layers; each of these has a mask of 1 B per pair of patches.
    Every rank encodes all frames.

    Limits: rotary angles are left out. Positions are looked up; one-hot rows, as in transformers 5.8, took 5.2 GiB of
    an H100 in place of 1.0, which starts of 0.22, 0.23 and 0.26 do not show.
    Source: vLLM 0.24 and transformers 5.17, `Gemma4VisionModel`; measured of both widths on one H100.
    """
    n, patches = min(frames, at_once), FRAME * tower.merged
    before = (frames // n - 1) * n
    layers = n * (4 * tower.width + 3 * tower.inner)
    return patches * (element * (frames * tower.inputs + before * tower.width + layers) + n * patches)


def encoder_peak(
    tower: VisionTower, images: int, *, hidden: int, tp: int = 1, element: int = 2, at_once: int = 1
) -> float:
    """element × (patches × (inputs + always × width + max(attention, activation, product)) + features) + table. [B]

    attention = (whole + gathered + max(shared / tp + sums, rotated / tp)) × width
    activation = block × width + columns × inner / tp
    product = block × width + last × inner / tp + sums × width, where sums is 2 where ranks add up, else 1

    Tensor parallelism splits the encoder, as by vLLM's default (`mm_encoder_tp_mode`). Gemma 4 12B embeds patches as
    they are, one frame after the other: alive are inputs, outputs and a copy of these. Gemma 4 encodes `at_once`
    frames.

    Limits: rotary angles and softmax sums, up to 1.5 % as measured, are left out, and 33 MiB that cuBLAS allocates at
    its first product; attention is FlashAttention's. The gathered copies of Qwen2-VL were read, not measured.
    Qwen2.5-VL normalises pixels on the GPU since 0.28, of which a second copy is left out.
    Source: `_KEPT`; three starts of Qwen3.5 on one GPU took 0.05 to 0.06 GiB more, two of Qwen3.8 on two GPUs 0.14 and
    0.21; one of Qwen2.5-VL with a video of seven images 0.02 of 15.3.

    >>> qwen = VisionTower(kind="qwen3", width=1152, inner=4304, inputs=1536, merged=4, tokens=16384)
    >>> encoder_peak(qwen, 1, hidden=4096) / 2**30
    1.875
    """
    if tower.kind == "embedded":
        return element * images * (tower.patches * tower.inputs + 2 * tower.outputs * hidden)
    if tower.frames:
        return _frames_peak(tower, images * tower.frames, at_once, element)
    kept, width, inner = _KEPT[tower.kind], tower.width, tower.inner / tp
    sums = 1 if tp == 1 else 2
    exchanged = kept.gathered if tp > 1 else 0
    attention = (kept.whole + exchanged + max(kept.shared / tp + sums, kept.rotated / tp)) * width
    block = kept.block * width + max(kept.columns * inner, kept.last * inner + sums * width)
    patch = tower.inputs + kept.always * width + max(attention, block)
    return element * images * tower.tokens * (tower.merged * patch + tower.stacked * hidden) + tower.table


def kept_images(tower: VisionTower, images: int, *, hidden: int, element: int = 2) -> float:
    """element × (patches × inputs + outputs × (1 + stacked) × hidden) + table: alive while the decoder runs. [B]

    Source: vLLM, vllm/v1/worker/gpu_model_runner.py, `profile_run`, which frees inputs and outputs at its end. With the
    inputs Gemma 3 12B on 0.19 peaks at 3.95 GiB, where 3.94 were printed.

    >>> siglip = VisionTower(kind="siglip", width=1152, inner=4304, inputs=588, merged=16, tokens=256)
    >>> round(kept_images(siglip, 32, hidden=3840) / 2**30, 3)
    0.202
    """
    outputs = tower.outputs * (1 + tower.stacked) * hidden
    return element * images * (tower.patches * tower.inputs + outputs) + tower.table
