"""Reading config.json files: published ones count what their catalogued models count; broken ones get one sentence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_files import DATA
from inferplan.catalog.builds import build_rows
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.hugging_face.config import LONGEST_CONFIG, ConfigProblem, described, known_model_types
from inferplan.catalog.hugging_face.quantization.bits import BITS
from inferplan.catalog.models import MODELS, model_rows
from inferplan.core.architecture import Architecture, DenseFfn, ExpertFfn
from inferplan.core.engine_memory import default_kv_bits
from inferplan.core.engines.rank_weights import rank_weights
from inferplan.core.layers.attention import Attention
from inferplan.core.memory import kv_cache_bytes, state_bytes
from inferplan.core.model import Model, NativeBits
from inferplan.core.parallelism import Layout
from inferplan.core.parameters import count

FOLDER = DATA / "configs"
FOUND = dict(
    line.split("\t")
    for line in (FOLDER / "models.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
"""Which catalogued model each config is of."""

NO_TOWER = {
    "kimi-k3",
    "llama-3.2-11b-vision",
    "llama-4-maverick-17b-128e-instruct",
    "minimax-m3",
    "mistral4-defaults",
}
"""Configs without a vision config, or whose tower is not counted."""

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 8192,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}

OWN_CLASS = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}
"""How a checkpoint says that it brings code."""


@cache
def text_of(slug: str) -> str:
    return (FOLDER / f"{slug}.json").read_text(encoding="utf-8")


def read(slug: str) -> Model:
    return described(text_of(slug)).model


def catalogued(slug: str) -> Model:
    return MODELS[FOUND[slug]]


def llama(**changed: Any) -> Model:
    return described(json.dumps({**LLAMA, **changed})).model


def llama_without(key: str, **changed: Any) -> str:
    return problem({name: value for name, value in {**LLAMA, **changed}.items() if name != key})


def problem(config: object) -> str:
    text = config if isinstance(config, str) else json.dumps(config)
    with pytest.raises(ConfigProblem) as raised:
        described(text)
    return str(raised.value)


def test_every_config_is_paired_with_a_catalogued_model() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(FOUND)
    assert len(FOUND) >= 100


@pytest.mark.parametrize("slug", FOUND)
def test_a_published_config_counts_what_the_catalogue_counts(slug: str) -> None:
    one, other = read(slug), catalogued(slug)
    assert count(one.architecture) == count(other.architecture)
    assert (one.total_params, one.active_params) == (other.total_params, other.active_params)


@pytest.mark.parametrize("slug", FOUND)
def test_a_published_config_caches_what_the_catalogue_caches(slug: str) -> None:
    one, other = read(slug).architecture, catalogued(slug).architecture
    for context in (8192, 32768, 131072):
        assert kv_cache_bytes(one, context, kv_bits=16) == kv_cache_bytes(other, context, kv_bits=16)
    assert state_bytes(one) == state_bytes(other)
    assert one.sequence == other.sequence
    assert chunks(one) == chunks(other)


def chunks(architecture: Architecture) -> list[bool]:
    """Whether what a layer sees begins at the last multiple of its window, of each attention."""
    return [isinstance(mixer, Attention) and mixer.chunked for _, mixer in architecture.mixers]


@pytest.mark.parametrize("slug", FOUND)
@pytest.mark.parametrize("tp", [1, 8])
def test_a_published_config_weighs_on_a_rank_what_the_catalogue_weighs(slug: str, tp: int) -> None:
    """But for what the catalogue knows apart: towers of configs that state none, and rotations of a part of a head."""
    one, other = read(slug), catalogued(slug)
    if any(mixer.heads % tp for _, mixer in other.architecture.mixers):
        return
    kept = other.architecture
    alike = replace(one.architecture, vision_params=kept.vision_params, rotary_dim=kept.rotary_dim)
    precision, layout = FORMATS["bf16"], Layout(tp=tp)
    mine = Model(id="", title="", architecture=alike, native_precision="bf16")
    theirs = Model(id="", title="", architecture=kept, native_precision="bf16")
    assert rank_weights(mine, precision, layout) == rank_weights(theirs, precision, layout)


@pytest.mark.parametrize("slug", FOUND)
def test_a_published_config_is_cut_into_stages_as_the_catalogue_says(slug: str) -> None:
    assert read(slug).architecture.stage_copies == catalogued(slug).architecture.stage_copies
    assert read(slug).architecture.deepstack == catalogued(slug).architecture.deepstack


@pytest.mark.parametrize("slug", FOUND)
def test_adapters_fit_a_published_config_as_the_catalogue_says(slug: str) -> None:
    assert read(slug).lora == catalogued(slug).lora


@pytest.mark.parametrize("slug", FOUND)
def test_a_published_config_rotates_as_the_catalogue_says(slug: str) -> None:
    one, other = read(slug).architecture, catalogued(slug).architecture
    assert one.rope_tables == other.rope_tables
    assert one.max_positions == other.max_positions
    if other.rotary_dim is not None:
        assert one.rope_dim == other.rope_dim


@pytest.mark.parametrize("slug", set(FOUND) - NO_TOWER)
def test_a_vision_tower_is_as_large_as_the_catalogue_says(slug: str) -> None:
    assert read(slug).architecture.vision_params == catalogued(slug).architecture.vision_params


@pytest.mark.parametrize("slug", set(FOUND) - NO_TOWER)
def test_a_vision_tower_computes_as_the_catalogue_says(slug: str) -> None:
    """Where a row says nothing of that, its config tells nothing either, or what vLLM does with it is not known."""
    assert read(slug).architecture.vision == catalogued(slug).architecture.vision


def test_towers_of_a_dozen_configs_are_known() -> None:
    assert sum(read(slug).architecture.vision is not None for slug in FOUND) >= 12


DEPTHS = {768: 12, 1024: 24, 1152: 27, 1280: 32}
"""Layers of the towers of Qwen, by their width."""


@pytest.mark.parametrize("id_", [id_ for id_, row in model_rows().items() if row.vision and "Qwen" in id_])
def test_a_catalogued_tower_makes_as_many_parameters_as_were_published(id_: str) -> None:
    """Put into a published config of its kind, with the layers of its width: of 19 checkpoints to the last one."""
    known = MODELS[id_].architecture
    tower = known.vision
    assert tower
    config = json.loads(text_of("qwen3-vl-8b-instruct" if tower.kind == "qwen3" else "qwen2.5-vl-7b"))
    sizes = {"depth": DEPTHS[tower.width], "hidden_size": tower.width, "intermediate_size": tower.inner}
    if tower.kind == "qwen2":
        config |= {"model_type": "qwen2_vl"}
        sizes = {"depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "hidden_size": known.hidden}
    deep = {"deepstack_visual_indexes": list(range(tower.stacked))} if tower.kind == "qwen3" else {}
    config["vision_config"] |= sizes | deep | {"out_hidden_size": known.hidden}
    one = described(json.dumps(config)).model.architecture
    assert (one.vision_params, one.vision) == (known.vision_params, tower)


@pytest.mark.parametrize("slug", FOUND)
def test_layers_for_further_tokens_are_those_of_the_catalogue_or_are_named(slug: str) -> None:
    one, other = read(slug).architecture.multi_token, catalogued(slug).architecture.multi_token
    notes = " ".join(described(text_of(slug)).notes)
    assert one == other or (one is None and ("further tokens" in notes or "predict" not in text_of(slug)))


@pytest.mark.parametrize("slug", FOUND)
def test_the_id_is_a_short_config_that_says_the_same(slug: str) -> None:
    one = read(slug)
    again = described(one.id).model
    assert again.id == one.id
    assert again.architecture == one.architecture
    assert (again.native_precision, again.native_bits) == (one.native_precision, one.native_bits)
    assert again.title == one.title
    assert len(one.id) < (880 if slug == "kimi-k3" else 650)  # no other states as many keys of its own
    assert one.id == json.dumps(json.loads(one.id), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("said", ["minimax_m2", "minimax_m3_vl_text", "minimax_m3", None])
def test_the_decoder_of_minimax_m3_is_its_own_whatever_the_wrapper_calls_it(said: str | None) -> None:
    """The checkpoint is a `minimax_m3_vl`, whose text decoder says `minimax_m2`: that one has no indexer."""
    decoder = {**json.loads(text_of("minimax-m3")), "model_type": said}
    body = {name: value for name, value in decoder.items() if value is not None}
    wrapped = described(json.dumps({"model_type": "minimax_m3_vl", "text_config": body, "vision_config": {}}))
    alone, read_again = read("minimax-m3"), described(wrapped.model.id).model
    assert wrapped.model.architecture == alone.architecture == read_again.architecture
    assert count(wrapped.model.architecture).total == 426_174_565_632


@pytest.mark.parametrize("slug", [slug for slug in FOUND if slug != "minimax-m3"])
def test_code_of_a_checkpoint_is_needed_where_the_catalogue_says(slug: str) -> None:
    """Of MiniMax M3 the text decoder alone is described here: its checkpoint is of a type that engines know."""
    brought = described(json.dumps({**json.loads(text_of(slug)), "auto_map": OWN_CLASS})).model
    assert brought.remote_code == catalogued(slug).remote_code
    assert described(brought.id).model.remote_code == brought.remote_code
    assert not read(slug).remote_code


@pytest.mark.parametrize(
    "auto_map",
    [
        None,
        "configuration_kimi.KimiConfig",
        [],
        {},
        {"AutoConfig": None},
        {"AutoConfig": ["configuration_kimi.KimiConfig"]},
        {"AutoConfig": "KimiConfig"},
        {"AutoConfig": "../../etc/passwd.Config"},
        {"AutoConfig": "a.B; rm -rf ~"},
        {"AutoConfig": "a.B\n"},
        {"AutoConfig": "a." + "B" * 97},
        {"AutoConfig": "\u202ea.B"},
        {"AutoModelForCausalLM": "modeling_kimi.KimiForCausalLM"},
    ],
)
def test_what_names_no_class_of_a_config_brings_no_code(auto_map: object) -> None:
    one = described(json.dumps({**json.loads(text_of("kimi-k2-instruct")), "auto_map": auto_map})).model
    assert (one.remote_code, one.id) == (False, read("kimi-k2-instruct").id)


def test_a_class_of_another_repository_is_code_too() -> None:
    changed = {"auto_map": {"AutoConfig": "moonshotai/Kimi-K2-Instruct--configuration_deepseek.DeepseekV3Config"}}
    one = described(json.dumps({**json.loads(text_of("kimi-k2-instruct")), **changed})).model
    assert one.remote_code
    assert described(one.id).model.id == one.id


def test_a_text_is_read_once() -> None:
    text = json.dumps(LLAMA)
    assert described(text) is described(text)


def test_the_title_is_the_name_or_the_class_with_the_size() -> None:
    assert llama().title == "LlamaForCausalLM, 8.03B (your config.json)"
    assert llama(_name_or_path="acme/llama").title == "acme/llama, 8.03B (your config.json)"
    assert llama(_name_or_path="./my models").title == "LlamaForCausalLM, 8.03B (your config.json)"


def test_llama_3_1_8b_by_hand() -> None:
    """Embedding and head, 32 layers of attention, feed-forward and two norms, and a final norm."""
    layer = 4096 * (2 * 4096 + 2 * 1024) + 3 * 4096 * 14336 + 2 * 4096
    assert llama().total_params == 2 * 128256 * 4096 + 32 * layer + 4096 == 8_030_261_248
    assert llama().architecture.plain == Attention(heads=32, kv_heads=8, head_dim=128)


def test_every_size_that_is_missing_is_named_at_once() -> None:
    assert problem(
        {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32}
    ) == ('config.json: needs "num_hidden_layers" and "vocab_size"')


def test_a_nested_text_config_has_the_defaults_of_transformers() -> None:
    """Gemma 3 4B states neither heads nor vocabulary."""
    assert "num_attention_heads" not in json.loads(text_of("gemma-3-4b"))["text_config"]
    assert read("gemma-3-4b").architecture.vocab == 262_208


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("", "not valid JSON at line 1, column 1"),
        ('{"model_type": "llama"', "not valid JSON"),
        ("[]", "must be one JSON object"),
        ('"llama"', "must be one JSON object"),
        ('{"a": 1, "a": 2}', '"a" is given twice'),
        ("[" * 20_000, "nest too deeply"),
        ('{"a": ' * 9_000, "nest too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "too many digits"),
        ('{"a": "' + "x" * LONGEST_CONFIG + '"}', "longer than 262,144 bytes; leave out quantization_config"),
        ({}, 'needs "model_type"'),
        ({"model_type": 3}, 'needs "model_type"'),
        ({"model_type": "lama"}, 'no model_type "lama" among the'),
        ({"model_type": "gemma3", "text_config": {"model_type": "nonsense"}}, 'no model_type "nonsense"'),
        ({"model_type": "nonsense", "text_config": {"model_type": "llama"}}, 'no model_type "nonsense"'),
    ],
)
def test_what_is_no_config_is_answered_in_one_sentence(config: object, said: str) -> None:
    assert said in problem(config)


def test_an_unknown_family_is_answered_with_the_nearest_and_how_many_are_known() -> None:
    assert problem({"model_type": "qwen3moe"}) == (
        f'config.json: no model_type "qwen3moe" among the {len(known_model_types())} known; nearest: "qwen3_moe", '
        '"qwen3_5_moe" or "qwen2_moe"'
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hidden_size": True}, '"hidden_size" must be a whole number from 1 to 100000000, not true'),
        ({"hidden_size": 4096.5}, "not 4096.5"),
        ({"hidden_size": 0}, "not 0"),
        ({"hidden_size": -1}, "not -1"),
        ({"hidden_size": "big\n"}, 'not "big\\n"'),
        ({"vocab_size": float("nan")}, "not NaN"),
        ({"vocab_size": float("inf")}, "not Infinity"),
        ({"num_hidden_layers": 10**6}, "from 1 to 1000"),
        ({"num_key_value_heads": 5}, "5 does not divide the 32 attention heads"),
        ({"num_attention_heads": 31}, "31 attention heads do not divide the hidden size of 4096"),
        ({"tie_word_embeddings": "no"}, "must be true or false"),
        ({"torch_dtype": "float4"}, '"torch_dtype" must be one of'),
        ({"rope_scaling": {"rope_type": "spiral"}}, '"rope_scaling.rope_type" must be one of'),
        ({"hidden_size": 0, "vocab_size": 0}, '"vocab_size"'),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be(changed: Mapping[str, Any], said: str) -> None:
    assert said in problem({**LLAMA, **changed})


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


def test_layer_types_have_to_be_as_many_as_layers() -> None:
    config = json.loads(text_of("gpt-oss-20b"))
    assert '"layer_types" has 23 entries for 24 layers' in problem({**config, "layer_types": config["layer_types"][1:]})
    assert "one for each layer" in problem({**config, "layer_types": ["round"] * 24})


def changed_in(slug: str, **changed: Any) -> Model:
    return described(json.dumps({**json.loads(text_of(slug)), **changed})).model


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


def bits_of(quantization: Mapping[str, Any], **changed: Any) -> tuple[str, NativeBits | None]:
    model = llama(quantization_config=quantization, **changed)
    return model.native_precision, model.native_bits


FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}


MX = {"dtype": "fp4", "qscheme": "per_group", "group_size": 32, "scale_format": "e8m0", "is_dynamic": False}
"""How AMD Quark describes weights in MXFP4."""
QUARK_INT8 = {"dtype": "int8", "qscheme": "per_channel", "symmetric": True, "is_dynamic": False}
"""How it describes weights, and inputs where they are quantised too, in INT8."""
LLM_INT8 = {
    "_load_in_4bit": False,
    "_load_in_8bit": True,
    "bnb_4bit_compute_dtype": "float32",
    "bnb_4bit_quant_storage": "uint8",
    "bnb_4bit_quant_type": "fp4",
    "bnb_4bit_use_double_quant": False,
    "llm_int8_enable_fp32_cpu_offload": False,
    "llm_int8_has_fp16_weight": False,
    "llm_int8_skip_modules": None,
    "llm_int8_threshold": 6.0,
    "load_in_4bit": False,
    "load_in_8bit": True,
    "quant_method": "bitsandbytes",
}
"""What transformers writes of a checkpoint that it loaded in 8 bit."""


def test_a_dtype_is_the_native_precision() -> None:
    assert llama().native_precision == "bf16"
    assert llama(torch_dtype="float16").native_precision == "fp16"
    assert llama(torch_dtype="float32").native_precision == "fp32"
    assert llama(torch_dtype=None, dtype="torch.float16").native_precision == "fp16"


@pytest.mark.parametrize(
    ("quantization", "format_", "bits"),
    [
        (FP8, "fp8", None),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True}, "gptq", None),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True}, "gptq", 4.5),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": True}, "gptq-int8", None),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": False}, "gptq-int8", 8.188),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "gptq-int8", 8.004),
        ({"quant_method": "auto-round", "bits": 8, "group_size": 32, "sym": True}, "gptq-int8", 8.5),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True}, "gptq", None),
        (
            {"quant_method": "auto-round", "bits": 4, "group_size": 64, "packing_format": "auto_round:auto_awq"},
            "awq",
            4.312,
        ),
        ({"quant_method": "quark", "global_quant_config": {"weight": MX}, "exclude": ["lm_head"]}, "mxfp4", None),
        (
            {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}, "exclude": []},
            "fp8",
            None,
        ),
        ({"quant_method": "quark", "global_quant_config": {"weight": QUARK_INT8}, "exclude": []}, "w8a16", None),
        (
            {"quant_method": "quark", "global_quant_config": {"weight": QUARK_INT8, "input_tensors": QUARK_INT8}},
            "int8",
            None,
        ),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, "awq", None),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "nf4", None),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True}, "nf4", 4.127),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bnb-int8", None),
        (LLM_INT8, "bnb-int8", None),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}, "nvfp4", None),
        ({"quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}}, "fp8", None),
        ({"quant_method": "fbgemm_fp8"}, "fp8", None),
        ({"quant_method": "mxfp8", "modules_to_not_convert": ["lm_head"]}, "mxfp8", None),
        ({"quant_method": "modelopt", "quant_algo": "MXFP8", "ignore": ["lm_head"]}, "mxfp8", None),
        ({"config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}}}, "fp8", None),
    ],
)
def test_a_quantised_checkpoint_is_in_a_format_of_the_catalogue(
    quantization: Mapping[str, Any], format_: str, bits: float | None
) -> None:
    expected = None if bits is None else NativeBits(mixers=bits, ffn=bits, routed_experts=bits)
    assert bits_of(quantization) == (format_, expected)
    assert format_ in FORMATS


def groups(**weights: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}


@pytest.mark.parametrize(
    ("weights", "format_", "bits"),
    [
        ({"num_bits": 8, "type": "float"}, "fp8", None),
        ({"num_bits": 8, "type": "int", "strategy": "channel", "group_size": None}, "w8a16", None),
        ({"num_bits": 8, "type": "int", "strategy": "group", "group_size": 128}, "w8a16", 8.125),
        ({"num_bits": 8, "type": "int", "group_size": 32, "symmetric": False}, "w8a16", 8.75),
        ({"num_bits": 4, "type": "int", "group_size": 128}, "int4", None),
        ({"num_bits": 4, "type": "int", "group_size": 32}, "int4", 4.5),
        ({"num_bits": 4, "type": "float", "group_size": 16}, "nvfp4", None),
        ({"num_bits": 4, "type": "float", "group_size": 32}, "mxfp4", None),
        ({"num_bits": 8, "type": "float", "group_size": 32, "strategy": "group"}, "mxfp8", None),
    ],
)
def test_compressed_tensors_say_their_format_in_groups(
    weights: Mapping[str, Any], format_: str, bits: float | None
) -> None:
    expected = None if bits is None else NativeBits(mixers=bits, ffn=bits, routed_experts=bits)
    assert bits_of(groups(**weights)) == (format_, expected)


TOKENS = {"dynamic": True, "num_bits": 8, "strategy": "token", "symmetric": True, "type": "int"}
"""How compressed-tensors describes inputs that are quantised token by token."""


@pytest.mark.parametrize(("inputs", "format_"), [(TOKENS, "int8"), (None, "w8a16")])
def test_eight_bit_weights_are_multiplied_as_integers_only_beside_quantised_inputs(
    inputs: Mapping[str, Any] | None, format_: str
) -> None:
    """W8A8 and W8A16 of llm-compressor differ in `input_activations` alone; its short form tells them apart too."""
    group = {"weights": {"num_bits": 8, "type": "int", "strategy": "channel"}, "input_activations": inputs}
    quantization = {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}
    model = described(json.dumps({**LLAMA, "quantization_config": quantization})).model
    assert (model.native_precision, model.native_bits) == (format_, None)
    assert described(model.id).model.native_precision == format_


def test_quark_in_int8_is_read_again_as_it_was_and_weights_alone_are_said_to_have_no_kernel() -> None:
    alone: dict[str, Any] = {"quant_method": "quark", "global_quant_config": {"weight": QUARK_INT8}}
    both = {**alone, "global_quant_config": {"weight": QUARK_INT8, "input_tensors": QUARK_INT8}}
    for quantization, format_, said in ((alone, "w8a16", True), (both, "int8", False)):
        read = described(json.dumps({**LLAMA, "quantization_config": quantization}))
        short = described(read.model.id)
        assert read.model.native_precision == short.model.native_precision == format_
        assert any("vLLM 0.28 loads INT8 of Quark only" in note for note in read.notes) is said
        assert short.notes == read.notes


@pytest.mark.parametrize(
    ("sides", "block"), [([128, 128], 128), ([1, 128], 128), ([1, 1], 1), ([0, 128], 0), ([10**9], 0), (["a", 128], 0)]
)
def test_blocks_that_share_a_scale_have_their_longer_side_and_are_none_where_a_side_cannot_be(
    sides: list[Any], block: int
) -> None:
    assert llama(quantization_config={**FP8, "weight_block_size": sides}).weight_block == block
    assert llama(quantization_config=groups(num_bits=8, type="float", block_structure=sides)).weight_block == block


def test_groups_of_eight_bit_weights_are_cut_whole() -> None:
    """A group of inputs that would straddle ranks is refused (vLLM, marlin.py, `can_implement`)."""
    gptq = {"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": True}
    assert llama(quantization_config=gptq).weight_block == 128
    assert llama(quantization_config=groups(num_bits=8, type="int", group_size=128)).weight_block == 128
    assert llama(quantization_config=groups(num_bits=8, type="int")).weight_block == 0


def test_kinds_of_tensors_that_are_left_out_stay_in_16_bit() -> None:
    assert bits_of({**FP8, "modules_to_not_convert": ["lm_head", "self_attn"]}) == (
        "fp8",
        NativeBits(mixers=16, ffn=8.004, routed_experts=8.004),
    )
    half = [f"model.layers.{layer}.self_attn" for layer in range(16)]
    assert bits_of({**FP8, "ignored_layers": half}) == (
        "fp8",
        NativeBits(mixers=12.002, ffn=8.004, routed_experts=8.004),
    )
    small = [f"model.layers.{layer}.{name}" for layer in range(32) for name in ("input_layernorm", "mlp.gate")]
    small += ["mtp.layers.0*", "model.visual.blocks.3.attn", "re:.*vision_tower.*", "model.layers.61.self_attn"]
    assert bits_of({**FP8, "modules_to_not_convert": small}) == ("fp8", None)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("self_attn.q_proj", "self_attn.o_proj"),
        ("self_attn.qkv_proj", "self_attn.o_proj"),
        ("self_attn.W_pack", "self_attn.o.weight"),
        ("linear_attn.in_proj_qkvz", "linear_attn.out_proj"),
        ("attention.wq", "attention.wo"),
        ("self_attention.query_key_value", "self_attention.dense"),
        ("attn.c_attn", "attn.c_proj"),
    ],
)
def test_attention_is_left_out_where_its_first_and_its_last_matrix_are_named_and_is_not_by_one_alone(
    first: str, last: str
) -> None:
    firsts, lasts = ([f"model.layers.{layer}.{name}" for layer in range(16)] for name in (first, last))
    assert bits_of({**FP8, "ignore": [*firsts, *lasts]}) == (
        "fp8",
        NativeBits(mixers=12.002, ffn=8.004, routed_experts=8.004),
    )
    for alone in (firsts, lasts):
        assert bits_of({**FP8, "ignore": alone}) == ("fp8", None)
        (note,) = described(json.dumps({**LLAMA, "quantization_config": {**FP8, "ignore": alone}})).notes
        assert note.endswith(f'"{alone[0].split(".", 4)[-1]}".')


def test_layers_count_by_their_own_size_among_those_that_are_left_in_16_bit() -> None:
    """DeepSeek-V2-Lite: one dense layer of 10,944, then 26 with two shared experts of 1,408, in matrices as long."""
    quantization = {**FP8, "ignore": ["model.layers.0.mlp.down_proj"]}
    left = 10944 / (10944 + 26 * 2 * 1408)
    bits = changed_in("deepseek-v2-lite", quantization_config=quantization).native_bits
    assert bits == NativeBits(mixers=8.004, ffn=round(8.004 + 7.996 * left, 4), routed_experts=8.004)


@pytest.mark.parametrize("name", ["gate_proj", "up_proj", "down_proj", "gate_up_proj", "w1", "w2", "w3", "fc1", "fc2"])
def test_a_block_is_left_out_by_any_name_of_its_matrices(name: str) -> None:
    ignored = [f"model.layers.{layer}.mlp.{name}" for layer in range(32)]
    assert bits_of({**FP8, "ignore": ignored}) == ("fp8", NativeBits(mixers=8.004, ffn=16, routed_experts=8.004))


def test_experts_alone_are_quantised_in_kimi_k2_and_gpt_oss() -> None:
    assert read("kimi-k2.5").native_bits == NativeBits(routed_experts=4.5)
    for slug in ("kimi-k2.5", "gpt-oss-20b", "gpt-oss-120b", "deepseek-v3", "minimax-m2.5", "mimo-v2-flash"):
        assert read(slug).native_precision == catalogued(slug).native_precision
        assert read(slug).native_bits == catalogued(slug).native_bits


def test_what_quark_and_auto_round_leave_out_stays_in_16_bit() -> None:
    """`exclude` of Quark's MXFP4 builds, `extra_config` of AutoRound's, in which 16 bits are float."""
    excluded = {"quant_method": "quark", "global_quant_config": {"weight": MX}, "exclude": ["lm_head", "*self_attn*"]}
    assert bits_of(excluded) == ("mxfp4", NativeBits(mixers=16, ffn=4.25, routed_experts=4.25))
    extra = {f"model.layers.{layer}.self_attn": {"bits": 16, "data_type": "float"} for layer in range(32)}
    left = {"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True, "extra_config": extra}
    assert bits_of(left) == ("gptq", NativeBits(mixers=16, ffn=4.125, routed_experts=4.125))
    awq = {**left, "packing_format": "auto_round:auto_awq", "sym": False}
    for quantization in (excluded, left, awq):
        model = described(json.dumps({**LLAMA, "quantization_config": quantization})).model
        short = described(model.id).model
        assert (short.native_precision, short.native_bits) == (model.native_precision, model.native_bits)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["model.layers.3.wobble"], '"model.layers.3.wobble".'),
        (["wobble", "lm_head", "wabble"], '"wobble" and "wabble".'),
        (["wobble", "wabble", "x" * 61, "webble"], '"wobble", "wabble" and "webble".'),
        (["wobble", "wabble", "webble", "wibble", "wubble"], '"wobble", "wabble", "webble" and others.'),
    ],
)
def test_names_that_are_not_understood_are_reported(names: list[str], said: str) -> None:
    one = described(json.dumps({**LLAMA, "quantization_config": {**FP8, "modules_to_not_convert": names}}))
    assert one.notes == (f"Not understood in quantization_config, so not left in 16 bit: {said}",)
    assert described(one.model.id).notes == one.notes


@pytest.mark.parametrize(
    ("cache", "bits"),
    [
        ({"kv_cache_scheme": {"dynamic": False, "num_bits": 8, "type": "float"}}, 8),
        ({"kv_cache_quant_algo": "FP8"}, 8),
        ({"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}}, 8),
        ({"kv_cache_scheme": None}, None),
        ({"kv_cache_quant_algo": None}, None),
        ({}, None),
    ],
)
def test_a_config_that_asks_for_an_fp8_cache_is_read_so_also_in_its_short_form(
    cache: Mapping[str, Any], bits: float | None
) -> None:
    """`kv_cache_scheme` as nvidia/Gemma-4-31B-IT-NVFP4 states it, `kv_cache_quant_algo` as older ModelOpt files."""
    quantization = {"quant_method": "modelopt", "quant_algo": "NVFP4", **cache}
    model = described(json.dumps({**LLAMA, "quantization_config": quantization})).model
    assert model.native_kv_bits == described(model.id).model.native_kv_bits == bits
    assert default_kv_bits(model, FORMATS["nvfp4"]) == (bits or 16)
    assert default_kv_bits(model, FORMATS["fp8"]) == 16


def test_where_a_dense_block_stands_beside_experts_mlp_names_the_dense_block_alone() -> None:
    """nvidia/Gemma-4-26B-A4B-NVFP4 ignores `mlp*`, `router*` and `self_attn*`; its experts are in NVFP4."""
    ignored = [f"model.language_model.layers.{n}.{name}*" for n in range(30) for name in ("mlp", "router", "self_attn")]
    quantization = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", *ignored]}
    config = {**json.loads(text_of("gemma-4-26b-a4b-it")), "quantization_config": quantization}
    assert described(json.dumps(config)).model.native_bits == NativeBits(mixers=16, ffn=16, routed_experts=4.5)


@pytest.mark.parametrize("slug", FOUND)
def test_the_short_config_leaves_out_what_the_long_one_leaves_out(slug: str) -> None:
    assert described(read(slug).id).notes == described(text_of(slug)).notes


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


def mixed(formats: Mapping[str, str]) -> dict[str, Any]:
    """What NVIDIA's Model Optimizer writes where modules are in several formats."""
    layers = {name: {"quant_algo": format_} for name, format_ in formats.items()}
    return {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}


def test_a_checkpoint_with_a_format_for_each_matrix_has_the_bits_of_its_published_build() -> None:
    """nvidia/Qwen3.6-27B-NVFP4 names 401 modules in 88,567 bytes; its row has narrow matrices beside them."""
    blocks = {f"mlp.{name}_proj": "W4A16_NVFP4" for name in ("gate", "up", "down")}
    full = {f"self_attn.{name}_proj": "FP8" for name in "qkvo"}
    linear = {f"linear_attn.{name}": "FP8" for name in ("in_proj_qkv", "in_proj_z", "out_proj")}
    layers = [{**blocks, **(full if number % 4 == 3 else linear)} for number in range(64)]
    named = {
        f"model.language_model.layers.{number}.{name}": format_
        for number, layer in enumerate(layers)
        for name, format_ in layer.items()
    }
    assert len({**named, "lm_head": "W4A16_NVFP4"}) == 401
    config = json.loads((FOLDER / "qwen3.5-27b.json").read_text(encoding="utf-8"))
    text = json.dumps({**config, "quantization_config": mixed({**named, "lm_head": "W4A16_NVFP4"})}, indent=4)
    model = described(text).model
    built = next(row for row in build_rows() if row.id == "nvidia/Qwen3.6-27B-NVFP4")
    assert model.native_precision == "nvfp4"
    assert model.native_bits == NativeBits(mixers=8.004, ffn=4.5, output_head=4.5)
    assert built.bits.mixers == pytest.approx(8.004, rel=0.004)
    assert replace(built.bits, mixers=8.004) == model.native_bits
    assert described(model.id).model.native_bits == model.native_bits
    assert len(model.id) < 1_000


def test_experts_that_are_named_one_by_one_are_one_and_what_is_not_named_is_in_16_bit() -> None:
    experts = {
        f"model.layers.{n}.mlp.experts.{e}.{w}_proj": "NVFP4" for n in (1, 2) for e in range(8) for w in ("up", "down")
    }
    shared = {f"model.layers.{n}.mlp.shared_expert.{w}_proj": "MXFP8" for n in range(4) for w in ("gate", "up", "down")}
    config = json.loads((FOLDER / "qwen2-57b-a14b.json").read_text(encoding="utf-8"))
    quantization = mixed({**experts, **shared})
    model = described(json.dumps({**config, "num_hidden_layers": 4, "quantization_config": quantization})).model
    assert model.native_bits == NativeBits(ffn=8.25, routed_experts=(4.5 + 16) / 2)
    assert model.native_precision == "nvfp4"


@pytest.mark.parametrize(
    ("formats", "said"),
    [
        ({"model.layers.0.mlp.up_proj": "W8A8_SQ_PER_CHANNEL"}, "has modules in W8A8_SQ_PER_CHANNEL, which"),
        (
            {"model.layers.0.mlp.up_proj": "FP8", "model.layers.0.mlp.down_proj": "NVFP4"},
            "mixes formats within a block",
        ),
        ({}, "names no whole block"),
        ({"model.layers.0.self_attn.q_proj": "FP8"}, "names no whole block"),
    ],
)
def test_modules_in_formats_that_are_not_known_or_not_told_apart_are_refused(
    formats: Mapping[str, str], said: str
) -> None:
    assert said in problem({**LLAMA, "quantization_config": mixed(formats)})


def test_a_matrix_of_attention_alone_is_counted_in_16_bit_and_said() -> None:
    quantization = mixed({"model.layers.0.self_attn.q_proj": "FP8", "mlp.down_proj": "NVFP4"})
    one = described(json.dumps({**LLAMA, "quantization_config": quantization}))
    assert one.notes[0].startswith('Some modules of "quantization_config.quantized_layers" are not understood')
    assert one.model.native_bits == NativeBits(ffn=4.5)
    assert described(one.model.id).notes == one.notes


@pytest.mark.parametrize(
    ("quantization", "said"),
    [
        ({"quant_method": "hqq"}, '"quantization_config.quant_method": "hqq" is not supported'),
        ({"quant_method": "hqq"}, "leave quantization_config out and name a precision"),
        ({"quant_method": "quark", "global_quant_config": {"weight": [MX, MX]}}, "is not all there is"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int2"}}}, '"int2" is not supported'),
        (
            {"quant_method": "quark", "global_quant_config": {"weight": MX}, "layer_quant_config": {"*": {}}},
            "is not all there is",
        ),
        ({"quant_method": "auto-round", "bits": 2}, '"quantization_config.bits": 2 is not supported'),
        ({"quant_method": "auto-round", "bits": 4, "extra_config": {"a": {"bits": 8}}}, "mixes formats"),
        ({}, ""),
        ({"quant_method": "awq", "bits": 8}, '"quantization_config.bits": 8 is not supported (known: 4 bits)'),
        ({"quant_method": "gptq", "bits": 3}, '"quantization_config.bits": 3 is not supported'),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}, '"MIXED_PRECISION" is not supported'),
        ({"quant_method": "compressed-tensors"}, 'needs "quantization_config.config_groups"'),
        (groups(num_bits=2, type="int"), "num_bits"),
        ({"config_groups": {"group_0": {}}}, 'needs "quantization_config.config_groups.group_0.weights"'),
    ],
)
def test_a_quantisation_that_is_not_known_is_refused_by_name(quantization: Mapping[str, Any], said: str) -> None:
    config = {**LLAMA, "quantization_config": quantization}
    if quantization:
        assert said in problem(config)
    else:
        assert described(json.dumps(config)).model.native_precision == "bf16"


def test_the_bits_are_those_of_the_catalogued_formats() -> None:
    assert {id_: FORMATS[id_].bits_per_weight for id_ in BITS} == BITS


def test_a_tower_that_is_not_known_is_reported() -> None:
    towered = {"model_type": "aya_vision", "text_config": {**LLAMA, "model_type": "cohere2"}, "vision_config": {}}
    one = described(json.dumps(towered))
    assert one.model.architecture.vision_params == 0
    assert any("vision tower" in note for note in one.notes)


def test_positions_that_a_scale_stretches() -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8192}
    assert llama(rope_scaling=yarn).architecture.max_positions == 32768
    assert llama(rope_scaling={"type": "linear", "factor": 2.0}).architecture.rope_tables == 2
    assert llama(partial_rotary_factor=0.5).architecture.rope_dim == 64


def test_run_lengths_stand_for_lists_of_layers() -> None:
    config = json.loads(text_of("gpt-oss-20b"))
    packed = described(json.dumps({**config, "layer_types": "sliding_attention,full_attention"})).model
    assert packed.architecture == read("gpt-oss-20b").architecture


def test_types_that_are_known_have_nothing_in_common_but_being_known() -> None:
    assert len(known_model_types()) >= 100
    for type_ in ("llama", "qwen3_moe", "deepseek_v3", "gemma3", "gpt_oss", "kimi_linear", "nemotron_h"):
        assert type_ in known_model_types()


VALUES = st.one_of(
    st.sampled_from([0, -1, None, "x", True, [], {}, 10**30, 1e-9, float("nan"), "1e400", 3, [1, 2], {"a": 1}]),
    st.integers(-(10**12), 10**12),
    st.text(max_size=8),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def answered(text: str) -> None:
    """A model that its id describes again, or one printable line."""
    said = ""
    try:
        one, notes = described(text).model, described(text).notes
        assert described(one.id).notes == notes
    except ConfigProblem as raised:
        said, one = str(raised), llama()
    assert said.isprintable()
    assert said.isascii()
    assert len(said) < 600
    assert not {"Traceback", "Error", "Exception"} & set(said.split())
    again = described(one.id).model
    assert (again.id, again.architecture) == (one.id, one.architecture)
    assert isinstance(one.architecture, Architecture)
    assert one.total_params > 0


@given(text=st.text(max_size=60))
def test_any_text_is_answered(text: str) -> None:
    answered(text)


@given(
    config=st.dictionaries(
        st.sampled_from([*LLAMA, "rope_scaling", "quantization_config", "text_config", "auto_map"]), JSON
    ),
    type_=st.sampled_from(["llama", "internlm2", "kimi_k2"]),
)
def test_any_object_is_answered(config: dict[str, Any], type_: str) -> None:
    answered(json.dumps(config))
    answered(json.dumps({**config, "model_type": type_}))


DROPPED = "(dropped)"


def edited(config: dict[str, Any], edits: Sequence[tuple[int, Any]]) -> dict[str, Any]:
    """The config with some values dropped or replaced, in itself and in the objects that it holds."""
    for number, value in edits:
        inner = [one for one in (config, *config.values()) if isinstance(one, dict) and one]
        places = [(one, key) for one in inner for key in one]
        one, key = places[number % len(places)] if places else (config, "model_type")
        if value == DROPPED:
            one.pop(key, None)
        else:
            one[key] = value
    return config


@given(
    slug=st.sampled_from(sorted(FOUND)),
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.just(DROPPED) | VALUES), min_size=1, max_size=3),
)
@settings(max_examples=800)
def test_a_config_with_a_wrong_or_missing_value_is_answered(slug: str, edits: list[tuple[int, Any]]) -> None:
    answered(json.dumps(edited(json.loads(text_of(slug)), edits)).replace('"1e400"', "1e400"))
