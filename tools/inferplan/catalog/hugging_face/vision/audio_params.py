"""Parameters of audio encoders, which stand beside the text decoder and its vision tower. [parameters]

One function per architecture: of the keys of its audio_config, and the hidden size of the text decoder.
"""

from collections.abc import Callable, Mapping

from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.vision.sizes import refuse_others, size

CONVOLUTION = 3**2
"""The window of each of three convolutions, which halve mels and frames. [values]"""

CONVOLUTED = 3
"""Frames in the window of each of Whisper's two convolutions."""


def _whisper_layer(width: int, inner: int) -> int:
    """Attention, whose keys have no bias, two matrices, two norms. Source: transformers, `WhisperEncoderLayer`."""
    return 4 * width**2 + 3 * width + 2 * width * inner + inner + width + 4 * width


def _whisper_convolutions(width: int, mels: int) -> int:
    """Two convolutions, which turn mels into the encoder's width. Source: transformers, `WhisperEncoder`."""
    return (CONVOLUTED * mels + 1) * width + (CONVOLUTED * width + 1) * width


def _qwen3_omni(audio: Keys, _hidden: int) -> int:
    """Three convolutions, layers as Whisper's with biases everywhere, and two matrices to the decoder's width.

    Source: transformers 5.24, `Qwen3OmniMoeAudioEncoder`.
    """
    width, inner = size(audio, "d_model", default=1280), size(audio, "encoder_ffn_dim", default=5120)
    layer = 4 * (width + 1) * width + 2 * width * inner + inner + width + 4 * width
    channels, mels = size(audio, "downsample_hidden_size", default=480), size(audio, "num_mel_bins", default=128)
    for _ in range(3):
        mels = (mels + 1) // 2
    first, others = channels * (CONVOLUTION + 1), 2 * channels * (channels * CONVOLUTION + 1)
    joined = channels * mels * width
    ends = (width + 1) * width + (width + 1) * size(audio, "output_dim", default=3584) + 2 * width
    return size(audio, "encoder_layers", default=32) * layer + first + others + joined + ends


def _qwen2_5_omni(audio: Keys, _hidden: int) -> int:
    """Whisper's encoder, whose keys have no bias, and one matrix; the tokens around a sound are two vectors.

    Source: transformers 5.24, `Qwen2_5OmniAudioEncoder`; positions are no parameters.
    """
    width, inner = size(audio, "d_model", default=1280), size(audio, "encoder_ffn_dim", default=5120)
    out = size(audio, "output_dim", default=3584)
    heard = _whisper_convolutions(width, size(audio, "num_mel_bins", default=128))
    return (
        size(audio, "encoder_layers", default=32) * _whisper_layer(width, inner) + heard + 2 * width + (width + 3) * out
    )


def _whisper(audio: Keys, *, width: int, inner: int, layers: int, mels: int) -> int:
    """Whisper's encoder, whose keys have no bias, with its positions. Source: transformers, `WhisperEncoder`."""
    ends = size(audio, "max_source_positions", default=1500) * width + 2 * width
    return layers * _whisper_layer(width, inner) + _whisper_convolutions(width, mels) + ends


def _qwen2_audio(audio: Keys, hidden: int) -> int:
    """Whisper's encoder and one matrix.

    Source: transformers 5.24, `Qwen2AudioEncoder`, `Qwen2AudioMultiModalProjector`.
    """
    width, inner = size(audio, "d_model", default=1280), size(audio, "encoder_ffn_dim", default=5120)
    layers, mels = size(audio, "encoder_layers", default=32), size(audio, "num_mel_bins", default=128)
    return _whisper(audio, width=width, inner=inner, layers=layers, mels=mels) + (width + 1) * hidden


def _minicpmo(audio: Keys, hidden: int) -> int:
    """Whisper's encoder with the defaults of its class, and two matrices. Source: vLLM 0.33, minicpmo.py."""
    width, inner = size(audio, "d_model", default=384), size(audio, "encoder_ffn_dim", default=1536)
    layers, mels = size(audio, "encoder_layers", default=4), size(audio, "num_mel_bins", default=80)
    encoder = _whisper(audio, width=width, inner=inner, layers=layers, mels=mels)
    return encoder + (inner // 4 + 1 + hidden + 1) * hidden


def _gemma4_unified(audio: Keys, hidden: int) -> int:
    """Samples of a token are projected as they are. Source: transformers 5.24, `Gemma4UnifiedMultimodalEmbedder`."""
    return size(audio, "audio_embed_dim", default=640) * hidden


def _voxtral(audio: Keys, hidden: int) -> int:
    """Whisper's encoder, whose keys have no bias, and two matrices behind four frames in one.

    Source: transformers 5.24, `VoxtralEncoder`, `VoxtralMultiModalProjector`.
    """
    width, inner = size(audio, "hidden_size", "d_model", default=1280), size(audio, "intermediate_size", default=5120)
    layers, mels = size(audio, "num_hidden_layers", default=32), size(audio, "num_mel_bins", default=128)
    return _whisper(audio, width=width, inner=inner, layers=layers, mels=mels) + (inner + hidden) * hidden


def _phi4(audio: Keys, hidden: int) -> int:
    """Conformer layers behind convolutions, biases by distance, and two matrices twice; names of either form.

    Source: transformers 5.24, `Phi4MultimodalAudioEmbedding`; vLLM 0.33, phi4mm_audio.py, `ConformerEncoder`.
    """
    width = size(audio, "hidden_size", "attention_dim", default=1024)
    heads, halvings = size(audio, "num_attention_heads", "attention_heads", default=16), 0
    mels, rate = size(audio, "input_size", default=80), size(audio, "time_reduction", default=8)
    while rate >= 2 << halvings:
        mels, halvings = (mels + 1) // 2, halvings + 1
    nemo = audio.child("nemo_conv_settings", defaults={})
    channels = size(nemo, "conv_channels", default=1024) if nemo else size(audio, "nemo_conv_channels", default=1024)
    convolved = (CONVOLUTION + 1) * channels + (halvings - 1) * (CONVOLUTION + 1 + channels + 1) * channels
    joined = (channels * mels + 1) * width
    relative = audio.child("relative_attention_bias_args", defaults={})
    reach = size(relative or audio, "bias_max_distance", "t5_bias_max_distance", default=1000)
    sides = 1 if audio.flag("bias_symmetric") else 2
    blocks = size(audio, "num_blocks", default=24) * _conformer(audio, width)
    projected = 2 * (width * size(audio, "downsample_rate", default=1) + 1 + hidden + 1) * hidden
    return convolved + joined + sides * reach * heads + blocks + projected


def _conformer(audio: Keys, width: int) -> int:
    """Attention and a convolution between two gated blocks, with six norms. [parameters]"""
    inner = size(audio, "intermediate_size", "linear_units", default=1536)
    outer = size(audio, "ext_pw_out_channel", default=1024)
    deep = width * size(audio, "depthwise_multiplier", default=1)
    apart = size(audio, "depthwise_separable_out_channel", "depthwise_seperable_out_channel", default=1024)
    gated = (width + 1) * 2 * inner + (inner + 1) * width
    along = deep * (size(audio, "kernel_size", default=3) + 1) + (deep + 1) * apart
    convolution = (width + 1) * 2 * outer + 2 * outer + along + (width + 1) * outer
    return 2 * gated + 4 * (width + 1) * width + convolution + 5 * 2 * width


def _wavtokenizer(audio: Keys, _hidden: int) -> int:
    """Convolutions whose strides multiply, each with a norm of its weights, and a recurrent network before the last.

    Source: transformers 5.24, `WavTokenizerEncoderModel`; its codebook is a buffer.
    """
    refuse_others(audio, {"upsampling_ratios": _RATIOS})
    width = size(audio, "num_filters", default=32)
    params = _normed(size(audio, "audio_channels", default=1), width, size(audio, "kernel_size", default=7))
    for stride in reversed(_RATIOS):
        half = width // size(audio, "compress", default=2)
        params += _normed(width, half, 3) + _normed(half, width, 1) + _normed(width, width, 1)
        params, width = params + _normed(width, 2 * width, 2 * stride), 2 * width
    recurrent = size(audio, "num_lstm_layers", default=2) * 4 * width * 2 * (width + 1)
    return params + recurrent + _normed(width, size(audio, "hidden_size", default=512), 7)


_RATIOS = (6, 5, 5, 4)
"""The strides of WavTokenizer's convolutions, the last first."""


def _normed(inputs: int, outputs: int, window: int) -> int:
    """A convolution whose weights have a length for each output, and a bias. [parameters]"""
    return (inputs * window + 2) * outputs


def _inkling(audio: Keys, hidden: int) -> int:
    """A vector for each level of each mel, and a norm. Source: transformers 5.24, `InklingAudioModel`."""
    mels = size(audio, "n_mel_bins", "num_codebooks", default=80)
    return (mels * size(audio, "mel_vocab_size", "codebook_size", default=256) + 1) * hidden


AUDIO_TOWERS: Mapping[str, Callable[[Keys, int], int]] = {
    "apertus1p5": _wavtokenizer,
    "gemma4_unified": _gemma4_unified,
    "inkling_mm_model": _inkling,
    "minicpmo": _minicpmo,
    "phi4_multimodal": _phi4,
    "phi4mm": _phi4,
    "qwen2_5_omni_thinker": _qwen2_5_omni,
    "qwen2_audio": _qwen2_audio,
    "qwen3_omni_moe_thinker": _qwen3_omni,
    "voxtral": _voxtral,
}
"""By multimodal type."""
