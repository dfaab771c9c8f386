"""What the keys of single families of models mean, held against their published totals and their code."""

import json
from dataclasses import replace
from typing import Any

import pytest

from configs import (
    LLAMA,
    changed_in,
    llama,
    problem,
    read,
    text_of,
)
from inferplan.catalog.hugging_face.config import described
from inferplan.catalog.models import MODELS
from inferplan.core.architecture import DenseFfn, ExpertFfn
from inferplan.core.layers.attention import Attention
from inferplan.core.memory import state_bytes
from inferplan.core.parameters import count


@pytest.mark.parametrize("said", ["minimax_m2", "minimax_m3_vl_text", "minimax_m3", None])
def test_the_decoder_of_minimax_m3_is_its_own_whatever_the_wrapper_calls_it(said: str | None) -> None:
    """The checkpoint is a `minimax_m3_vl`, whose text decoder says `minimax_m2`: that one has no indexer."""
    decoder = {**json.loads(text_of("minimax-m3")), "model_type": said}
    body = {name: value for name, value in decoder.items() if value is not None}
    wrapped = described(json.dumps({"model_type": "minimax_m3_vl", "text_config": body, "vision_config": {}}))
    alone, read_again = read("minimax-m3"), described(wrapped.model.id).model
    assert wrapped.model.architecture == alone.architecture == read_again.architecture
    assert count(wrapped.model.architecture).total == 426_174_565_632


@pytest.mark.parametrize("listed", [[48], [-1], [1, 1], [1, True], ["1"], 1])
def test_layers_that_are_listed_by_number_have_to_be_there_and_are_named_once(listed: object) -> None:
    config = json.loads(text_of("qwen3-30b-a3b"))
    assert described(json.dumps({**config, "mlp_only_layers": [0, 47]})).model.architecture.layers == 48
    assert "must be a list of layers from 0 to 47, none twice" in problem({**config, "mlp_only_layers": listed})


@pytest.mark.parametrize(
    "changed",
    [
        {"ffn": None},
        {"attention": None},
        {"attention": {"n_heads_in_group": 8, "replace_with_linear": True}},
        {"ffn": {"ffn_mult": 5.25, "replace_with_linear": True}},
        {"ffn": {"ffn_mult": True}},
        {"ffn": {"ffn_mult": 1000}},
    ],
    ids=str,
)
def test_a_layer_that_a_search_has_put_together_otherwise_is_refused(changed: dict[str, Any]) -> None:
    config = json.loads(text_of("nemotron-super-49b"))
    first, *others = config["block_configs"]
    said = problem({**config, "block_configs": [{**first, **changed}, *others]})
    assert '"block_configs" must be a list of attention and ffn' in said


def test_every_fourth_layer_of_exaone_is_full_where_a_number_says_so() -> None:
    """transformers, `Exaone4Config`: sliding where (layer + 1) % 4 is not 0, counted from 0; 64 layers."""
    config = {name: value for name, value in json.loads(text_of("exaone-4.0-32b")).items() if name != "layer_types"}
    read = described(json.dumps({**config, "sliding_window_pattern": 4})).model.architecture
    windows = [part.window for count, mixer in read.mixers for part in mixer.cached for _ in range(count)]
    assert (windows.count(None), windows.count(4096)) == (16, 48)


@pytest.mark.parametrize(
    ("changed", "dense"),
    [
        ({"moe_layer_freq": [1] * 61}, 3),
        ({"moe_layer_freq": [0] * 5 + [1] * 56}, 5),
        ({"first_k_dense_replace": 0, "moe_layer_freq": [0, 1, 1, 0] + [1] * 57}, 2),
        ({"moe_layer_freq": 2}, 32),
    ],
)
def test_layers_with_experts_may_be_listed_beside_the_number_of_dense_ones(changed: dict[str, Any], dense: int) -> None:
    config = {**json.loads(text_of("deepseek-v3")), **changed}
    model = described(json.dumps(config)).model
    blocks = [model.architecture.groups[group].ffn for group in model.architecture.sequence]
    assert len([block for block in blocks if isinstance(block, DenseFfn)]) == dense
    assert described(model.id).model.architecture == model.architecture


def test_biases_of_a_gated_block_are_those_of_its_three_matrices() -> None:
    biased, plain = llama(mlp_bias=True), llama()
    assert biased.total_params - plain.total_params == 32 * (2 * 14336 + 4096)
    assert described(biased.id).model.total_params == biased.total_params


@pytest.mark.parametrize(
    ("changed", "width"),
    [
        ({}, 8192),
        ({"block_auto_adjust_ff_dim": False}, 12288),
        ({"block_multiple_of": 1000}, 9000),
        ({"block_ffn_dim_multiplier": 0.5}, 4096),
    ],
)
def test_a_width_of_lfm2_is_brought_down_to_two_thirds_and_up_to_a_multiple_unless_it_is_not_to_be(
    changed: dict[str, Any], width: int
) -> None:
    config = {**json.loads(text_of("lfm2-1.2b")), **changed}
    blocks = [group.ffn for group in described(json.dumps(config)).model.architecture.groups]
    assert {block.dense_width for block in blocks if block} == {width}


def test_experts_in_every_other_layer_stand_in_those_of_even_numbers_after_the_dense_ones() -> None:
    """DeepSeek's modeling_deepseek.py: layer >= first_k_dense_replace and layer % moe_layer_freq == 0; 2 to 26."""
    every, other = (changed_in("deepseek-v2-lite", moe_layer_freq=step).architecture for step in (1, 2))
    assert [sum(g.count for g in one.groups if isinstance(g.ffn, ExpertFfn)) for one in (every, other)] == [26, 13]


@pytest.mark.parametrize(
    ("slug", "biases"), [("deepseek-v3", 61 * (1536 + 512 + 64 + 7168)), ("deepseek-v2-lite", 27 * (512 + 64 + 2048))]
)
def test_biases_of_latent_attention_are_those_of_the_projections_down_and_of_the_output(slug: str, biases: int) -> None:
    """transformers, `DeepseekV3Attention`: `q_proj`, which stands where queries have no rank, has none."""
    assert changed_in(slug, attention_bias=True).total_params - read(slug).total_params == biases


def test_a_falcon_without_multi_query_has_a_kv_head_for_each_head() -> None:
    """transformers, `FalconAttention`: 3 x hidden columns in place of hidden + 2 x 64, in 32 layers of 71 heads."""
    one, many = (changed_in("falcon-7b", multi_query=flag) for flag in (True, False))
    heads = [
        {mixer.kv_heads for _, mixer in model.architecture.mixers if isinstance(mixer, Attention)}
        for model in (one, many)
    ]
    assert heads == [{1}, {71}]
    assert many.total_params - one.total_params == 32 * 4544 * 2 * 70 * 64


def test_starcoders_share_one_kv_head_unless_a_config_says_otherwise_and_are_four_times_as_wide_inside() -> None:
    """transformers, `GPTBigCodeAttention`: 47 KV heads more in 40 layers are 2 x 47 x 128 columns, each with a bias."""
    one, many = (changed_in("starcoder", multi_query=flag) for flag in (None, False))
    assert many.total_params - one.total_params == 40 * 2 * 47 * 128 * (6144 + 1)
    assert changed_in("starcoder", n_inner=None).total_params == one.total_params == 15_517_456_384
    half = changed_in("starcoder", n_inner=12288).total_params
    assert one.total_params - half == 40 * 12288 * (2 * 6144 + 1)


def test_a_falcon_with_biases_whose_blocks_come_in_turn_has_the_layers_of_gpt_2() -> None:
    """A layer of 12 h^2 + 13 h: 4 h^2 of attention, 8 h^2 behind it, 9 h of biases and 4 h of two norms."""
    model = changed_in("falcon-7b", bias=True, multi_query=False, parallel_attn=False)
    assert model.total_params == 65024 * 4544 + 32 * (12 * 4544**2 + 13 * 4544) + 2 * 4544
    assert not any(group.joined for group in model.architecture.groups)
    side_by_side = changed_in("falcon-7b", parallel_attn=None).architecture
    assert all(group.joined for group in side_by_side.groups)
    assert count(side_by_side) == count(read("falcon-7b").architecture)


@pytest.mark.parametrize(("word", "size"), [("float32", 4), ("float", 4), ("bfloat16", 2), ("float16", 2), ("auto", 2)])
def test_a_config_says_in_how_many_bytes_a_value_of_its_states_is_kept(word: str, size: int) -> None:
    """36 layers of 32 heads, each with a state of 128 x 128 values, which are in 16 bit where nothing is said."""
    told, untold = changed_in("qwen3-next-80b-a3b", mamba_ssm_dtype=word), read("qwen3-next-80b-a3b")
    more = state_bytes(told.architecture) - state_bytes(untold.architecture)
    assert more == 36 * 32 * 128 * 128 * (size - 2)
    assert state_bytes(described(told.id).model.architecture) == state_bytes(told.architecture)


def test_gemma_4_e2b_has_the_published_total_with_blocks_twice_as_wide_where_layers_reuse_keys() -> None:
    config = {
        "model_type": "gemma4_text",
        "global_head_dim": 512,
        "head_dim": 256,
        "hidden_size": 1536,
        "hidden_size_per_layer_input": 256,
        "intermediate_size": 6144,
        "layer_types": [*["sliding_attention"] * 4, "full_attention"] * 7,
        "max_position_embeddings": 131072,
        "num_attention_heads": 8,
        "num_hidden_layers": 35,
        "num_key_value_heads": 1,
        "num_kv_shared_layers": 20,
        "sliding_window": 512,
        "tie_word_embeddings": True,
        "use_double_wide_mlp": True,
        "vocab_size": 262144,
        "vocab_size_per_layer_input": 262144,
    }
    one, other = described(json.dumps(config)).model, MODELS["google/gemma-4-E2B-it"]
    assert one.total_params == other.total_params == 4_628_569_344
    assert (one.architecture.groups, one.architecture.sequence) == (
        other.architecture.groups,
        other.architecture.sequence,
    )
    assert '"num_kv_shared_layers" 35 leaves none of 35 layers with keys' in problem(
        {**config, "num_kv_shared_layers": 35}
    )


def test_phi_2_has_the_published_total() -> None:
    phi = {"model_type": "phi", "num_key_value_heads": 32, "hidden_size": 2560, "intermediate_size": 10240}
    assert llama(**phi, vocab_size=51200).total_params == MODELS["microsoft/phi-2"].total_params == 2_779_683_840


@pytest.mark.parametrize("changed", [{"word_embed_proj_dim": 512}, {"do_layer_norm_before": False}], ids=str)
def test_what_only_the_smallest_opt_has_is_refused(changed: dict[str, Any]) -> None:
    """OPT-350M embeds in 512 of 1,024 elements and norms after its blocks."""
    assert f'"{next(iter(changed))}"' in problem({**json.loads(text_of("opt-66b")), **changed})


def test_a_mistral_window_is_in_every_layer_and_null_is_none() -> None:
    mistral = {**LLAMA, "model_type": "mistral", "max_position_embeddings": 32768}
    windows = {
        text: described(json.dumps({**mistral, **more})).model.architecture.groups[0].attention
        for text, more in (("default", {}), ("none", {"sliding_window": None}), ("own", {"sliding_window": 1024}))
    }
    found = {text: one.window for text, one in windows.items() if isinstance(one, Attention)}
    assert found == {"default": 4096, "none": None, "own": 1024}


def test_qwen_windows_need_their_flag() -> None:
    qwen = {**LLAMA, "model_type": "qwen2", "sliding_window": 1024, "max_window_layers": 30}
    plain = described(json.dumps(qwen)).model.architecture
    windowed = described(json.dumps({**qwen, "use_sliding_window": True})).model.architecture
    assert plain.plain is not None
    assert [group.count for group in windowed.groups] == [30, 2]


@pytest.mark.parametrize(
    ("id_", "layers", "reusing", "width"),
    [("google/gemma-3n-E4B-it", 35, 15, 16384), ("google/gemma-3n-E2B-it", 30, 10, 8192)],
)
def test_gemma_3n_counts_to_its_published_total(*, id_: str, layers: int, reusing: int, width: int) -> None:
    """Its encoders of images and sound, of which no config says how large they are, are said to stand beside."""
    text = {
        "model_type": "gemma3n_text",
        "num_hidden_layers": layers,
        "num_kv_shared_layers": reusing,
        "intermediate_size": [width] * layers,
        "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * (layers // 5),
    }
    one = described(json.dumps({"model_type": "gemma3n", "text_config": text, "vision_config": {}, "audio_config": {}}))
    assert one.model.architecture == replace(MODELS[id_].architecture, vision_params=0)
    assert [note.split()[1] for note in one.notes] == ["audio", "vision"]
    assert described(one.model.id).model.architecture == one.model.architecture
    assert "no published model has several widths" in problem({**text, "intermediate_size": [width, 2 * width]})


LONGCAT = {
    "architectures": ["LongcatFlashForCausalLM"],
    "attention_bias": False,
    "attention_method": "MLA",
    "expert_ffn_hidden_size": 2048,
    "ffn_hidden_size": 12288,
    "hidden_size": 6144,
    "kv_lora_rank": 512,
    "max_position_embeddings": 131072,
    "mla_scale_kv_lora": True,
    "mla_scale_q_lora": True,
    "model_type": "longcat_flash",
    "moe_topk": 12,
    "n_routed_experts": 512,
    "num_attention_heads": 64,
    "num_layers": 28,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "rope_theta": 10000000.0,
    "routed_scaling_factor": 6.0,
    "v_head_dim": 128,
    "vocab_size": 131072,
    "zero_expert_num": 256,
    "zero_expert_type": "identity",
}
"""Published of LongCat-Flash-Chat, what has no bearing on tensors left out."""


def test_each_layer_of_longcat_flash_is_two_of_which_one_has_experts() -> None:
    """560,664,958,976 parameters without the layer that predicts, of which its config says nothing."""
    model = described(json.dumps(LONGCAT)).model
    catalogued = MODELS["meituan-longcat/LongCat-Flash-Chat"]
    assert model.architecture == replace(catalogued.architecture, multi_token=None)
    assert (model.total_params, model.active_params) == (560_664_958_976, 27_954_796_544)
    assert described(model.id).model.architecture == model.architecture
    assert described(json.dumps({**LONGCAT, "num_hidden_layers": 56})).model.architecture == model.architecture
    experts = described(json.dumps({**LONGCAT, "zero_expert_num": 0})).model.architecture.experts
    assert experts is not None
    assert (experts.active, experts.router_outputs) == (12, 512)
    assert '"moe_topk" 800 is more than the 768 experts' in problem({**LONGCAT, "moe_topk": 800})


def test_gemma_4_12b_has_the_published_total_without_an_encoder() -> None:
    """11,959,730,224, of which one scalar a layer is a buffer that is counted nowhere here."""
    model = read("gemma-4-12b-it")
    assert model.total_params + model.architecture.vision_params + 48 == 11_959_730_224
    deaf = changed_in("gemma-4-12b-it", audio_config=None).architecture
    assert model.architecture.vision_params - deaf.vision_params == 640 * 3840


@pytest.mark.parametrize(
    ("slug", "names"),
    [
        ("sarvam-30b-defaults", {"num_experts": "n_routed_experts", "num_shared_experts": "n_shared_experts"}),
        ("sarvam-105b-defaults", {"num_experts": "num_local_experts", "num_shared_experts": "n_shared_experts"}),
    ],
)
def test_experts_of_sarvam_go_by_the_names_of_its_checkpoints_and_of_transformers(
    slug: str, names: dict[str, str]
) -> None:
    config = json.loads(text_of(slug))
    renamed = {names.get(key, key): 64 if key == "num_experts" else value for key, value in config.items()}
    fewer = described(json.dumps(renamed)).model.architecture.experts
    assert fewer is not None
    assert fewer.experts == 64
    wide = changed_in(slug, moe_shared_expert_intermediate_size=4096).architecture.experts
    assert wide is not None
    assert wide.shared_intermediate == 4096


def test_norms_of_a_x_k2_have_gates_but_for_the_second_of_a_dense_layer() -> None:
    """transformers, `AXK2DecoderLayer`: 61 layers, of which the first is dense; two matrices of a rank of 16 each."""
    doubled = changed_in("axk2-inferred", gated_norm_rank=32).total_params
    assert doubled - read("axk2-inferred").total_params == (61 + 60) * 2 * 16 * 7168
    joined = changed_in("axk2-inferred", v_head_dim=256).total_params - read("axk2-inferred").total_params
    assert joined == 61 * 64 * 128 * (2 * 1536 + 512 + 7168)


def test_muse_glimmer_is_full_in_every_fourth_layer_from_the_last() -> None:
    """transformers, `MuseGlimmerTextConfig`: of 50 layers those of numbers 1, 5, ... 49 are full."""
    config = {"model_type": "muse_glimmer_text", "num_hidden_layers": 50, "hidden_size": 6656, "vocab_size": 202048}
    config |= {"num_attention_heads": 32, "intermediate_size": 19968}
    one = described(json.dumps(config)).model.architecture
    full = [number for number, group in enumerate(one.sequence) if one.groups[group].mixers[0].cached[0].window is None]
    assert full == list(range(1, 50, 4))


def test_a_model_that_hears_and_does_not_see_has_no_tower_left_out() -> None:
    assert described(text_of("voxtral-mini-defaults")).notes == ()
    assert read("voxtral-mini-defaults").architecture.vision_params == 662_134_784
