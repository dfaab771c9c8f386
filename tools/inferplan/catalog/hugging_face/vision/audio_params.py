"""Parameters of audio encoders, which stand beside the text decoder and its vision tower. [parameters]

One function per architecture: of the keys of its audio_config, and the hidden size of the text decoder.
"""

from collections.abc import Callable, Mapping

from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.vision.sizes import size

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


def _gemma4_unified(audio: Keys, hidden: int) -> int:
    """Samples of a token are projected as they are. Source: transformers 5.24, `Gemma4UnifiedMultimodalEmbedder`."""
    return size(audio, "audio_embed_dim", default=640) * hidden


def _voxtral(audio: Keys, hidden: int) -> int:
    """Whisper's encoder, whose keys have no bias, and two matrices behind four frames in one.

    Source: transformers 5.24, `VoxtralEncoder`, `VoxtralMultiModalProjector`.
    """
    width, inner = size(audio, "hidden_size", "d_model", default=1280), size(audio, "intermediate_size", default=5120)
    heard = _whisper_convolutions(width, size(audio, "num_mel_bins", default=128))
    ends = size(audio, "max_source_positions", default=1500) * width + 2 * width
    layers = size(audio, "num_hidden_layers", default=32) * _whisper_layer(width, inner)
    return layers + heard + ends + (inner + hidden) * hidden


AUDIO_TOWERS: Mapping[str, Callable[[Keys, int], int]] = {
    "gemma4_unified": _gemma4_unified,
    "qwen2_5_omni_thinker": _qwen2_5_omni,
    "qwen3_omni_moe_thinker": _qwen3_omni,
    "voxtral": _voxtral,
}
"""By multimodal type."""
