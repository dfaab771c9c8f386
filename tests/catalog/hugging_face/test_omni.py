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


OMNI_2_5 = {"model_type": "qwen2_5_omni_thinker", "audio_config": {}, "text_config": {}, "vision_config": {}}


def test_the_thinker_of_qwen2_5_omni_has_decoder_and_encoders_of_its_class() -> None:
    """transformers 5.24, `Qwen2_5OmniThinkerForConditionalGeneration`, of the defaults and of other sizes."""
    whole = described(json.dumps(OMNI_2_5))
    assert (whole.model.total_params, whole.notes) == (7_615_616_512, ())
    assert whole.model.architecture.vision_params == 639_647_232 + 3_083_025_152
    assert whole.model.architecture.rope_tables == 4
    sizes = {"d_model": 640, "encoder_ffn_dim": 999, "encoder_layers": 7, "num_mel_bins": 80, "output_dim": 3000}
    other = {**OMNI_2_5, "audio_config": sizes, "vision_config": {"depth": 9, "hidden_size": 1280}}
    architecture = described(json.dumps(other)).model.architecture
    assert architecture.vision_params == 23_776_633 + 223_399_544
    assert described(described(json.dumps(other)).model.id).model.architecture == architecture


def test_the_parts_of_qwen2_5_omni_that_speak_are_named_as_it_names_them() -> None:
    speaking = {"talker_config": {}, "token2wav_config": {}}
    whole = described(json.dumps({"model_type": "qwen2_5_omni", "thinker_config": OMNI_2_5, **speaking}))
    assert whole.model.total_params == 7_615_616_512
    assert [note for note in whole.notes if "(talker and token2wav)" in note] == list(whole.notes)
    assert described(whole.model.id).notes == whole.notes
