"""Configs of `bailing_hybrid`: Ling and Ring 2.5 and 2.6 (lightning attention), Ling 3 (delta nets).

Keys of the former: configuration_bailing_moe_v2_5.py of Ring-V2.5; sizes: those that its catalogued models state, whose
totals were published with their checkpoints.
"""

import json
from typing import Any

import pytest

from data_files import DATA
from inferplan.catalog.hugging_face.config import ConfigProblem, described
from inferplan.catalog.models import MODELS
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import KimiDelta
from inferplan.core.model import Model
from inferplan.core.parameters import count

LING_2_6_FLASH: dict[str, Any] = {
    "architectures": ["BailingMoeV2_5ForCausalLM"],
    "model_type": "bailing_hybrid",
    "first_k_dense_replace": 1,
    "group_norm_size": 8,
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 9216,
    "kv_lora_rank": 512,
    "layer_group_size": 8,
    "max_position_embeddings": 131072,
    "moe_intermediate_size": 1024,
    "num_attention_heads": 32,
    "num_experts": 256,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 32,
    "num_nextn_predict_layers": 1,
    "num_shared_experts": 1,
    "partial_rotary_factor": 0.5,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "use_bias": False,
    "use_qk_norm": True,
    "use_qkv_bias": False,
    "v_head_dim": 128,
    "vocab_size": 157184,
}
LING_2_6_1T: dict[str, Any] = {
    **LING_2_6_FLASH,
    "first_k_dense_replace": 4,
    "hidden_size": 8192,
    "intermediate_size": 18432,
    "max_position_embeddings": 262144,
    "moe_intermediate_size": 2048,
    "num_attention_heads": 64,
    "num_hidden_layers": 80,
}
LING_3_TINY: dict[str, Any] = json.loads((DATA / "configs" / "ling-3.0-tiny.json").read_text(encoding="utf-8"))


def read(config: dict[str, Any], **changed: Any) -> Model:
    return described(json.dumps({**config, **changed})).model


def problem(config: dict[str, Any], **changed: Any) -> str:
    with pytest.raises(ConfigProblem) as raised:
        read(config, **changed)
    return str(raised.value)


@pytest.mark.parametrize(
    ("config", "id_", "published"),
    [
        (LING_2_6_FLASH, "inclusionAI/Ling-2.6-flash", 104_186_907_648),
        (LING_2_6_1T, "inclusionAI/Ling-2.6-1T", 1_012_231_140_864),
    ],
    ids=["flash", "1T"],
)
def test_lightning_and_latent_layers_are_those_of_the_catalogue(
    config: dict[str, Any], id_: str, published: int
) -> None:
    one = read(config)
    assert one.total_params == published
    assert one.architecture == MODELS[id_].architecture
    assert described(one.id).model.architecture == one.architecture


def test_the_groups_in_which_an_output_is_normed_have_to_divide_the_heads() -> None:
    assert '"group_norm_size" 5 does not divide the 32 attention heads' in problem(LING_2_6_FLASH, group_norm_size=5)


def test_a_config_that_says_neither_convolution_nor_groups_is_asked_for_the_groups() -> None:
    without = {key: value for key, value in LING_2_6_FLASH.items() if key != "group_norm_size"}
    assert problem(without) == 'config.json: needs "group_norm_size"'


def test_layers_that_make_no_whole_group_are_full() -> None:
    """26 layers in groups of 4: every fourth, and the last two."""
    kinds = read(LING_3_TINY, num_hidden_layers=26).architecture
    full = [number for number, kind in enumerate(kinds.sequence) if isinstance(kinds.groups[kind].attention, Latent)]
    assert full == [3, 7, 11, 15, 19, 23, 24, 25]


def test_a_gate_an_element_is_as_wide_as_the_output_of_the_heads() -> None:
    """16 heads of 128: 2,048 columns of 1,536 in place of 16, in each of 6 full layers."""
    one, other = (
        read(LING_3_TINY, gated_attention_proj_granularity_type=kind) for kind in ("head_wise", "element_wise")
    )
    assert other.total_params - one.total_params == 6 * 1536 * (2048 - 16)


def test_shared_experts_may_be_wider_than_routed_ones() -> None:
    """512 columns more of three matrices, in each of 23 layers with experts."""
    wider = read(LING_3_TINY, moe_shared_expert_intermediate_size=1024).total_params
    assert wider - read(LING_3_TINY).total_params == 23 * 3 * 1536 * 512


def test_states_are_kept_as_vllm_keeps_them() -> None:
    """fp32 of delta nets, 16 bit of lightning attention, unless the config says otherwise."""
    assert read(LING_3_TINY).architecture.state_bytes == 4
    assert read(LING_2_6_FLASH).architecture.state_bytes == 2
    assert read(LING_2_6_FLASH, mamba_ssm_dtype="float32").architecture.state_bytes == 4


@pytest.mark.parametrize(
    "changed",
    [{"no_kda_lora": False}, {"use_bias": True}, {"use_qkv_bias": True}, {"use_mla_nope": True}, {"multi_gate": True}],
    ids=str,
)
def test_what_no_published_model_has_is_refused_by_name(changed: dict[str, Any]) -> None:
    assert f'"{next(iter(changed))}"' in problem(LING_3_TINY, **changed)


def test_lightning_attention_without_norms_of_queries_is_refused_by_name() -> None:
    assert '"use_qk_norm"' in problem(LING_2_6_FLASH, use_qk_norm=False)


def test_a_config_that_transformers_has_written_again_says_the_width_of_delta_heads_apart() -> None:
    """`BailingHybridConfig` puts the rotary width into `head_dim` and keeps the former one as `linear_head_dim`."""
    again = read(LING_3_TINY, head_dim=64, linear_head_dim=128)
    assert count(again.architecture) == count(read(LING_3_TINY).architecture)
    assert any(isinstance(mixer, KimiDelta) and mixer.head_dim == 128 for _, mixer in again.architecture.mixers)
