"""Models that also speak: what engines for text load of them, counted to a published total."""

import json
from typing import Any

import pytest

from configs import problem, read, text_of
from inferplan.catalog.hugging_face.config import described
from inferplan.catalog.models import MODELS

SLUG = "qwen3-omni-30b-a3b-thinking"
CONFIG = json.loads(text_of(SLUG))
SPEAKING = {"talker_config": {"text_config": {"hidden_size": 1024}}, "code2wav_config": {}}


def test_the_thinker_has_the_published_total_to_the_last_parameter() -> None:
    """31,719,205,488 of Qwen3-Omni-30B-A3B-Thinking, whose checkpoint has no talker: decoder and both encoders."""
    model = read(SLUG)
    assert model.total_params + model.architecture.vision_params == 31_719_205_488
    assert described(text_of(SLUG)).notes == ()


def test_parts_that_speak_are_left_out_and_said_to_be() -> None:
    whole = described(json.dumps({**CONFIG, **SPEAKING}))
    assert whole.model.architecture == MODELS["Qwen/Qwen3-Omni-30B-A3B-Instruct"].architecture
    assert [note for note in whole.notes if "talker and code2wav" in note] == list(whole.notes)
    assert len(whole.notes) == 1
    assert described(whole.model.id).notes == whole.notes


@pytest.mark.parametrize(
    ("key", "changed", "more"),
    [
        ("encoder_layers", 33, 4 * 1280 * 1281 + 2 * 1280 * 5120 + 5120 + 1280 + 4 * 1280),
        ("num_mel_bins", 136, 480 * 1280),
        ("output_dim", 2049, 1281),
    ],
)
def test_an_encoder_of_sound_is_counted_with_the_one_of_images(key: str, changed: int, more: int) -> None:
    thinker = CONFIG["thinker_config"]
    audio = {**thinker["audio_config"], key: changed}
    one = described(json.dumps({**CONFIG, "thinker_config": {**thinker, "audio_config": audio}})).model
    assert one.architecture.vision_params - read(SLUG).architecture.vision_params == more


@pytest.mark.parametrize("thinker", [None, [], 3])
def test_without_a_thinker_the_sizes_are_asked_for(thinker: Any) -> None:
    assert '"hidden_size" and "vocab_size"' in problem({**CONFIG, "thinker_config": thinker})


def test_a_thinker_alone_is_read_as_the_whole_one_is() -> None:
    alone = {"architectures": CONFIG["architectures"], **CONFIG["thinker_config"]}
    assert described(json.dumps(alone)).model.architecture == read(SLUG).architecture


def test_a_format_that_the_whole_config_states_is_the_thinkers() -> None:
    quantised = {**CONFIG, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    assert described(json.dumps(quantised)).model.native_precision == "fp8"
