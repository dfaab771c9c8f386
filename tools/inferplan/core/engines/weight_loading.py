"""What engines add to a checkpoint's weights on loading: copies, doubled matrices, wider zero points, buffers."""

from dataclasses import dataclass, replace
from functools import lru_cache

from inferplan.core.architecture import Architecture, LayerGroup
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.memory import HALF_BYTES, class_bits
from inferplan.core.model import Build, Model, NativeBits
from inferplan.core.precision import BITS_PER_BYTE, REST_BITS, Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class Loader:
    """How an engine loads weights on a GPU; the defaults are those of SGLang and TensorRT-LLM.

    `marlin` kernels multiply MXFP4 experts. `first_engine` is vLLM up to 0.7. `doubled_keys`: a projection that makes
    keys and values both is loaded for each of them. `stage_copies`: some models build embedding and head on every
    pipeline stage. `latent_views`: 16-bit weights of latents are used in place, without copies. `wide_zeros`: kernels
    keep 4-bit zero points in 16 bit. `host_ngrams`: tables of n-grams stay in the host's memory. `wide_mixing`: what
    mixes residual streams is loaded in 32 bit, compressors of keys in 16. `keeps_streams`: DeepSeek-V4 keeps the
    streams of a step for its drafts. `whole_experts`: a tensor group holds them whole where slices would be padded much
    (`expert_slices.stays_whole`). Some buffers are sized for the `batched_tokens` of a step.
    """

    marlin: bool = False
    first_engine: bool = False
    doubled_keys: bool = False
    stage_copies: bool = False
    latent_views: bool = False
    wide_zeros: bool = False
    host_ngrams: bool = False
    wide_mixing: bool = False
    keeps_streams: bool = False
    whole_experts: bool = False
    batched_tokens: int = 0

    def keeps_lookups_off(self, architecture: Architecture) -> bool:
        """Whether the model's lookup tables are those of n-grams, and stay in the host's memory."""
        return self.host_ngrams and architecture.ngram_layers > 0


PLAIN = Loader()
ZERO_POINTS = "awq"
"""The format that has zero points."""
ZERO_POINT_BITS = 4
AWQ_GROUP = 128
"""Weights that share a zero point."""
CHOICE_BYTES = 4
"""The index of a token that an indexer picked. [B]"""


@lru_cache(maxsize=1024)
def as_loaded(model: Model, precision: Precision, loader: Loader) -> Model:
    """The model with the bits that its weights have once loaded: AWQ with zero points of 16 bit (`wide_zeros`).

    (16 - 4) / 128 of a bit more per weight of mixers and feed-forward blocks, routed experts aside.

    Limits: groups are taken to be of 128 weights. Qwen2.5 7B took 5.38 GiB on an H200 and 5.29 on an RTX 3090, of which
    5.27 and 5.20 are counted; what both have beside is not known.
    """
    if not loader.wide_zeros or precision.id != ZERO_POINTS:
        return model
    bits, more = class_bits(model, precision), (REST_BITS - ZERO_POINT_BITS) / AWQ_GROUP
    mixers, ffn = (width + more if width < REST_BITS else width for width in (bits.mixers, bits.ffn))
    own = replace(bits, mixers=mixers, ffn=ffn)
    if model.native_precision == precision.id:
        return replace(model, native_bits=own)
    return replace(model, builds={**model.builds, precision.id: Build(id=precision.id, bits=own)})


def deepstack_buffers(architecture: Architecture, loader: Loader) -> int:
    """layers × batched tokens × hidden: the features that a vision tower adds to some layers' inputs. [elements/rank]

    Source: vLLM, vllm/model_executor/models/qwen3_vl.py, `deepstack_input_embeds`; Qwen3-VL 8B on vLLM 0.19 and
    30B-A3B on 0.11, which printed 0.2 and 0.03 GiB more than their tensors take.
    """
    return architecture.deepstack * loader.batched_tokens * architecture.hidden


def index_buffer(architecture: Architecture, loader: Loader) -> int:
    """4 B × batched tokens × the tokens that an indexer picks: one choice that all layers write and read. [B/rank]

    Limits: of keys and values in blocks (MiniMax M3) it is a few MiB, which are not counted; for those of Qwen see
    `own_choice`.
    Source: vLLM 0.33, models/deepseek_v4/nvidia/model.py, models/deepseek_v2.py, `topk_indices_buffer`.
    """
    picked = (
        mixer.indexer.top
        for _, mixer in architecture.mixers
        if isinstance(mixer, Latent | Compressed) and mixer.indexer
    )
    return CHOICE_BYTES * loader.batched_tokens * max(picked, default=0)


def own_choice(attention: Attention, loader: Loader) -> int:
    """4 B × batched tokens × (top + compress): Qwen's indexers of pooled keys keep a choice for each layer. [B/rank]

    Source: vLLM 0.33, models/qwen4_exp/nvidia/qsa.py, `topk_indices_buffer` (`packed_output_width`); 0.75 of the 0.78
    GiB by which eight H100 loaded more of Qwen3.8 Flash Next than its tensors take (0.31).
    """
    one = attention.indexer
    return CHOICE_BYTES * loader.batched_tokens * (one.top + one.compress) if one and one.compress > 1 else 0


def stream_buffer(architecture: Architecture, loader: Loader) -> int:
    """2 B × batched tokens × streams × hidden: the streams that DeepSeek-V4 keeps for drafts. [B/rank]

    Source: vLLM 0.20 to 0.33, models/deepseek_v4/nvidia/model.py, `_mtp_hidden_buffer`; of two RTX PRO 6000 (0.22) it
    is the 1.0 GiB by which they loaded more than tensors.
    """
    if not loader.keeps_streams or not any(isinstance(mixer, Compressed) for _, mixer in architecture.mixers):
        return 0
    return HALF_BYTES * loader.batched_tokens * architecture.streams * architecture.hidden


def wide_mixing(architecture: Architecture, loader: Loader) -> int:
    """2 B for each parameter that mixes or gates residual streams and is loaded in 32 bit. [B/rank]

    Source: vLLM 0.33, models/deepseek_v4, deepseek_v41 and glm5next, `hc_attn_fn`, and hy_v4/nvidia/hc.py (fp32); those
    of qwen4_exp are in 16 bit.
    """
    return HALF_BYTES * architecture.wide_params if loader.wide_mixing else 0


def half_compressor(mixer: Compressed, hidden: int, bits: NativeBits, loader: Loader) -> float:
    """Parameters of a layer's compressor × (16 - bits) / 8, on every rank: they stay in 16 bit. [B/rank]"""
    return mixer.half_params(hidden) * max(0, REST_BITS - bits.mixers) / BITS_PER_BYTE if loader.wide_mixing else 0.0


def doubled_keys(hidden: int, group: LayerGroup, bits: NativeBits, tp: int, loader: Loader) -> float:
    """hidden × kv width of a rank, for a layer whose value is its key: vLLM fills both slots of the fused matrix. [B]

    Source: vLLM 0.19 to 0.28, vllm/model_executor/models/gemma4.py, `use_k_eq_v`.
    """
    if not loader.doubled_keys:
        return 0.0
    shared = (mixer for mixer in group.mixers if isinstance(mixer, Attention) and mixer.value_is_key)
    width = sum(mixer.head_dim * max(1.0, mixer.kv_heads / tp) for mixer in shared if not mixer.reuses_cache)
    return hidden * width * bits.mixers / BITS_PER_BYTE


def absorbed_copies(latent: Latent, model: Model, precision: Precision, tp: int, loader: Loader) -> float:
    """What a layer of latents keeps beside its weights on a rank: 16-bit copies of the up-projection. [B]

    On the first engine also its products with the query and the output projection, query_rank × heads × kv_rank and
    heads × kv_rank × hidden in the format of the weights, and the rotary part of the query in 16 bit.

    Limits: of 16-bit weights every version takes views, by its source. GLM-4.7-Flash and DeepSeek-V2-Lite on 0.24
    loaded no copies (`latent_views`), but DeepSeek-V2-Lite and Kimi-VL on 0.19 took 0.4 % more than their tensors,
    which is what copies take; nothing is known of the versions between.
    Source: vLLM V1, `MLACommonImpl.process_weights_after_loading` (W_UK_T and W_UV); vLLM 0.7,
    vllm/attention/backends/mla/utils.py (W_QR, W_Q_UK, W_UV_O); within 1 % of DeepSeek-R1 as 0.7.2 printed it.
    """
    if loader.latent_views and class_bits(model, precision).mixers == REST_BITS:
        return 0.0
    copies = latent.absorbed_params(tp) * HALF_BYTES
    if not loader.first_engine:
        return copies
    hidden = model.architecture.hidden
    heads, rank = latent.heads / tp, latent.query_rank or hidden
    multiplied = heads * latent.kv_rank * (rank + hidden) * precision.nominal_bits / BITS_PER_BYTE
    return copies + multiplied + rank * heads * latent.rope_dim * HALF_BYTES
