"""What a model is made of: layers, their counts, and the parameters that follow."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.architecture import Architecture, DenseFfn, ExpertFfn, LayerGroup
from inferplan.core.layers.attention import Attention, QkNorm, attention_params
from inferplan.core.model import Nominal
from inferplan.core.parameters import count, ffn_params
from shapes import dense, model, sparse

LLAMA_8B = dense(layers=32, hidden=4096, heads=32, ffn=14336)


def test_llama_3_70b_counts_up_to_the_published_total_of_its_checkpoint() -> None:
    """Hugging Face safetensors total of meta-llama/Llama-3.3-70B-Instruct."""
    assert count(dense()).total == 70_553_706_496


def test_llama_3_8b_by_hand() -> None:
    """4096 x (2 x 4096 + 2 x 1024) and 3 x 4096 x 14336 in 32 layers, 128256 x 4096 twice, 65 norms of 4096."""
    parts = count(LLAMA_8B)
    assert parts.attention == 32 * 41_943_040
    assert parts.dense_ffn == 32 * 176_160_768
    assert parts.embedding == parts.output_head == 525_336_576
    assert parts.norms == 65 * 4096
    assert parts.total == 8_030_261_248


def test_mixtral_8x7b_counts_up_to_the_published_total_of_its_checkpoint() -> None:
    """Hugging Face safetensors total of mistralai/Mixtral-8x7B-Instruct-v0.1; 12.9 billion are active."""
    mixtral = model(sparse())
    assert mixtral.total_params == 46_702_792_704
    assert mixtral.active_params == 12_879_925_248


def test_tied_embeddings_have_no_output_head_of_their_own() -> None:
    tied = count(replace(LLAMA_8B, tied_embeddings=True))
    assert tied.output_head == 0
    assert count(LLAMA_8B).total - tied.total == 128256 * 4096


@pytest.mark.parametrize(
    ("norm", "extra"),
    [("none", 0), ("per_head", 2 * 128), ("full_width", 4096 + 1024), ("per_head_layernorm", 4096 + 1024)],
)
def test_each_query_key_norm_adds_its_own_weights(norm: QkNorm, extra: int) -> None:
    plain = Attention(heads=32, kv_heads=8, head_dim=128)
    assert attention_params(4096, replace(plain, qk_norm=norm)) - attention_params(4096, plain) == extra


def test_query_key_value_bias_is_one_number_per_output_and_output_bias_one_per_hidden_unit() -> None:
    plain = Attention(heads=28, kv_heads=4, head_dim=128)
    biased = replace(plain, qkv_bias=True, output_bias=True)
    assert attention_params(3584, biased) - attention_params(3584, plain) == 28 * 128 + 2 * 4 * 128 + 3584


def test_an_output_gate_is_as_wide_as_the_query() -> None:
    plain = Attention(heads=16, kv_heads=2, head_dim=256)
    assert attention_params(2048, replace(plain, output_gate=True)) - attention_params(2048, plain) == 2048 * 4096


def test_a_gated_block_has_three_matrices_and_a_plain_one_two() -> None:
    assert ffn_params(1024, 4096, gated=True) * 2 == ffn_params(1024, 4096, gated=False) * 3


@pytest.mark.parametrize(("gated", "matrices"), [(True, 3), (False, 2)])
def test_each_matrix_of_an_expert_with_bias_has_one_number_per_output(*, gated: bool, matrices: int) -> None:
    """8 experts of 4096 x 14336 in 32 layers: all matrices but the last have 14336 outputs, the last one 4096."""
    (group,) = sparse().groups
    assert isinstance(group.ffn, ExpertFfn)
    plain, biased = (
        count(replace(sparse(), groups=(replace(group, ffn=replace(group.ffn, gated=gated, bias=bias)),)))
        for bias in (False, True)
    )
    assert plain.routed_experts == 32 * 8 * matrices * 4096 * 14336
    assert biased.routed_experts - plain.routed_experts == 32 * 8 * ((matrices - 1) * 14336 + 4096)


def test_norms_with_bias_count_twice() -> None:
    group = replace(LLAMA_8B.groups[0], norm_bias=True)
    assert count(replace(LLAMA_8B, groups=(group,))).norms == 2 * count(LLAMA_8B).norms


def test_head_width_is_read_not_divided() -> None:
    """Qwen3-0.6B: 16 heads of 128 on a hidden width of 1,024."""
    attention = Attention(heads=16, kv_heads=8, head_dim=128)
    assert attention.query_width == 2048
    assert attention.kv_width == 1024
    assert attention_params(1024, attention) == 1024 * (2 * 2048 + 2 * 1024)


def test_leading_dense_layers_are_counted_apart_from_routed_ones() -> None:
    routed = sparse(layers=30)
    first = LayerGroup(count=2, attention=routed.plain, ffn=DenseFfn(intermediate=8192))
    mixed = Architecture(hidden=4096, vocab=32000, groups=(first, *routed.groups), max_positions=32768)
    assert mixed.layers == 32
    assert mixed.expert_layers == 30
    assert count(mixed).dense_ffn == 2 * 3 * 4096 * 8192
    assert count(mixed).routed_experts == count(routed).routed_experts


def test_only_idle_experts_are_inactive() -> None:
    mixtral = model(sparse())
    idle = mixtral.total_params - mixtral.active_params
    assert idle == mixtral.parameters.routed_experts * 6 // 8


def test_a_dense_model_activates_everything() -> None:
    assert model(dense()).active_params == model(dense()).total_params


@given(total=st.integers(60, 90), layers=st.sampled_from([40, 80]))
def test_a_size_class_adds_up_to_exactly_what_its_name_says(total: int, layers: int) -> None:
    nominal = Nominal(total=total * 10**9, active=total * 10**9)
    class_ = replace(model(dense(layers=layers)), nominal=nominal)
    assert class_.parameters.total == class_.total_params == class_.active_params == total * 10**9


def test_a_sparse_size_class_splits_so_that_total_and_active_hold() -> None:
    """(46.7 - 12.9) / (1 - 2/8) = 45.07 B routed."""
    nominal = Nominal(total=46_700_000_000, active=12_900_000_000)
    class_ = replace(model(sparse()), nominal=nominal)
    parts = class_.parameters
    assert parts.total == 46_700_000_000
    assert parts.routed_experts == pytest.approx(33.8e9 / 0.75)
    assert parts.total - parts.routed_experts * 6 / 8 == pytest.approx(12.9e9)


@given(layers=st.integers(1, 200), extra=st.integers(1, 50))
def test_layers_add_up_linearly(layers: int, extra: int) -> None:
    one, both, more = (count(dense(layers=n)).total for n in (layers, layers + extra, layers + 2 * extra))
    assert both - one == more - both


@given(
    heads=st.integers(1, 128),
    kv_heads=st.integers(1, 128),
    head_dim=st.integers(1, 256),
    hidden=st.integers(1, 16384),
)
def test_parameters_are_whole_and_positive_and_grow_with_kv_heads(
    heads: int, kv_heads: int, head_dim: int, hidden: int
) -> None:
    attention = Attention(heads=heads, kv_heads=kv_heads, head_dim=head_dim)
    params = attention_params(hidden, attention)
    assert isinstance(params, int)
    wider = attention_params(hidden, replace(attention, kv_heads=kv_heads + 1))
    assert wider - params == 2 * hidden * head_dim
