"""dots3: latents of a window between layers that pick tokens of all, in the checkpoint's form and in transformers'."""

import json
from typing import Any

import pytest

from configs import problem
from inferplan.catalog.hugging_face.config import described
from inferplan.core.architecture import Architecture
from inferplan.core.engine import Engine
from inferplan.core.engines import llamacpp_memory, sglang_memory, tensorrt_memory, vllm_memory
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.memory import kv_bytes_per_token, kv_cache_bytes

Config = dict[str, Any]

SIZES: Config = {
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "num_attention_heads": 128,
    "num_hidden_layers": 46,
    "vocab_size": 152064,
}
OWN: Config = {"model_type": "dots3_note", **SIZES, "vision_config": {}, "audio_config": {}}
"""The checkpoint's form: sizes of its text decoder stand beside its encoders."""
KINDS = ["sliding_attention" if number > 1 and number % 4 != 1 else "indexed_attention" for number in range(46)]
SLIDING: Config = {
    "num_attention_heads": 64,
    "num_key_value_heads": 64,
    "q_lora_rank": 1024,
    "kv_lora_rank": 1024,
    "head_dim": 256,
    "qk_nope_head_dim": 192,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}


def saved(sliding: Config, **changed: Any) -> Config:
    """The form in which transformers saves it."""
    own = {str(number): sliding for number, kind in enumerate(KINDS) if kind == "sliding_attention"}
    text = {"model_type": "dots3_note_text", **SIZES, "layer_types": KINDS, "per_layer_config": own, **changed}
    return {"model_type": "dots3_note", "text_config": text, "vision_config": {}, "audio_config": {}}


def architecture(config: Config) -> Architecture:
    return described(json.dumps(config)).model.architecture


def test_both_forms_count_what_transformers_builds() -> None:
    """279,551,718,016 parameters of the class's text decoder, transformers 5.24 on torch's "meta" device."""
    one = described(json.dumps(OWN))
    assert one.model.total_params == 279_551_718_016
    assert one.notes == (
        "The audio encoder that stands beside the text decoder is not counted.",
        "The vision tower that stands beside the text decoder is not counted.",
    )
    assert described(one.model.id).model.architecture == one.model.architecture == architecture(saved(SLIDING))


def test_three_layers_of_four_keep_the_latents_of_a_window_and_the_others_those_of_all_with_index_keys() -> None:
    """13 layers of 512 + 64 and an index key of 128, 33 of 1024 + 64 over 512 tokens."""
    one = architecture(OWN)
    assert [KINDS[number] == "indexed_attention" for number in range(6)] == [True, True, False, False, False, True]
    assert kv_bytes_per_token(one, kv_bits=16) == 13 * (576 + 128) * 2
    assert kv_cache_bytes(one, 100_000, kv_bits=16) == 13 * (576 + 128) * 2 * 100_000 + 33 * 1088 * 2 * 512
    assert kv_cache_bytes(one, 100, kv_bits=16) == (13 * (576 + 128) + 33 * 1088) * 2 * 100


@pytest.mark.parametrize(
    ("changed", "indexed", "windows"),
    [
        ({"use_dsa": False}, 0, 33),
        ({"use_sliding_window": False}, 46, 0),
        ({"layer_types": ["full_attention"] * 40 + ["sliding_attention"] * 6}, 40, 6),
        ({"layer_types": ["full_attention"] * 40 + ["sliding_attention"] * 6, "use_dsa": False}, 0, 6),
    ],
)
def test_layers_have_indexers_and_windows_as_the_config_says(changed: Config, indexed: int, windows: int) -> None:
    """In a checkpoint's `layer_types` a full layer has an indexer unless `use_dsa` is off (`Dots3NoteTextConfig`)."""
    latents = [(layers, one) for layers, one in architecture({**OWN, **changed}).mixers if isinstance(one, Latent)]
    assert sum(layers for layers, one in latents if one.indexer) == indexed
    assert sum(layers for layers, one in latents if one.window == 512) == windows


def test_sizes_of_sliding_layers_are_read_in_both_forms() -> None:
    wider = {**SLIDING, "kv_lora_rank": 2048}
    own = {**OWN, "swa_kv_lora_rank": 2048, "sliding_window_size": 128}
    assert architecture(own) == architecture(saved(wider, sliding_window=128)) != architecture(OWN)


@pytest.mark.parametrize(
    "per_layer", [{"2": SLIDING}, {"2": {"intermediate_size": 1}}, {"2": 1}, {str(n): SLIDING for n in range(46)}]
)
def test_sizes_that_some_layers_alone_have_are_refused(per_layer: Config) -> None:
    said = problem(saved(SLIDING, per_layer_config=per_layer))
    assert "says more than the sizes that all sliding layers share" in said


def test_no_engines_rules_cover_latents_of_a_window() -> None:
    engine = Engine(max_num_seqs=256, max_num_batched_tokens=8192)
    windowed, whole = (
        architecture({**OWN, "use_dsa": False, "use_sliding_window": slides}) for slides in (True, False)
    )
    for rules in (vllm_memory, sglang_memory, tensorrt_memory, llamacpp_memory):
        assert "latents of a window" in (rules.not_modelled(windowed, engine) or "")
        assert rules.not_modelled(whole, engine) is None
