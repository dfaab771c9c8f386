"""A model in a few numbers, as cases of measurements give one, is the model of the catalogue."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data_files import memory_cases
from inferplan.catalog.models import MODELS
from inferplan.core.architecture import Architecture, DenseFfn, ExpertFfn
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import GatedDelta
from inferplan.core.memory import kv_bytes_per_token, state_bytes, vision_bytes
from inferplan.core.model import Model
from inferplan.core.parameters import count
from inferplan.core.units import GIB
from inferplan.tools.validation.memory_cases import catalogued
from inferplan.tools.validation.short_form import TOWERS, UNGATED, ShortForm

Fields = dict[str, Any]
LLAMA_8B: Fields = {"H": 4096, "L": 32, "nh": 32, "nkv": 8, "hd": 128, "I": 14336, "V": 128_256, "tie": False} | {
    "pos": 131_072
}
EXPERTS: Fields = LLAMA_8B | {"E": 8, "topk": 2, "I": 1024}
DELTA: Fields = {"full": 8, "nk": 16, "nv": 32, "dk": 128, "dv": 128, "conv": 4}


def build(fields: Fields, name: str = "some-model", **changes: object) -> Architecture:
    return ShortForm.model_validate(fields | changes).build(name)


def windows(architecture: Architecture) -> list[int | None]:
    """The window of every layer, in order."""
    mixers = [group.attention for group in architecture.groups]
    found = (mixers[kind] for kind in architecture.sequence)
    return [mixer.window if isinstance(mixer, Attention) else 0 for mixer in found]


def stated() -> list[tuple[Fields, Model]]:
    """The short form of every case whose model is catalogued, once a model."""
    cases = memory_cases()
    known = {case["model"]: (case.get("architecture"), catalogued(case["model"])) for case in cases}
    by_id = {model.id: (form, model) for form, model in known.values() if model and form and form["I"]}
    return list(by_id.values())


@pytest.mark.parametrize(("fields", "model"), stated(), ids=lambda one: one.id if isinstance(one, Model) else "form")
def test_the_short_form_has_the_parameters_and_the_cache_of_the_catalogued_model(fields: Fields, model: Model) -> None:
    """What it does not say (biases, sinks, norms beyond two a layer) is under a thousandth."""
    form, known = ShortForm.model_validate(fields), model.architecture
    ours = form.build(model.id)
    assert form.describes(known)
    assert count(ours).total == pytest.approx(count(known).total, rel=0.001)
    assert kv_bytes_per_token(ours, kv_bits=16) == kv_bytes_per_token(known, kv_bits=16)
    assert state_bytes(ours) == state_bytes(known)
    assert windows(ours) == windows(known)


def test_most_cases_name_a_catalogued_model() -> None:
    assert len(stated()) >= 31


def test_llama_3_1_8b_by_hand() -> None:
    """2 x 128,256 x 4,096, and 32 x (4,096 x (2 x 4,096 + 2 x 1,024) + 3 x 4,096 x 14,336), and 65 norms of 4,096."""
    found = build(LLAMA_8B)
    layer = 4096 * (2 * 4096 + 2 * 1024) + 3 * 4096 * 14336
    assert count(found).total == 2 * 128_256 * 4096 + 32 * layer + 65 * 4096 == 8_030_261_248
    assert (found.hidden, found.vocab, found.layers, found.max_positions) == (4096, 128_256, 32, 131_072)
    assert not found.tied_embeddings
    assert count(build(LLAMA_8B, tie=True)).total == 8_030_261_248 - 128_256 * 4096


@pytest.mark.parametrize(
    ("pattern", "period"),
    [
        (None, [1024]),
        ("alt", [1024, None]),
        ("1:1", [1024, None]),
        ("5:1", [1024] * 5 + [None]),
        ("1:2", [1024, None, None]),
        ("1:0", [1024]),
        ("0:1", [None]),
    ],
)
def test_a_pattern_of_windows_repeats_the_windowed_layers_first(pattern: str | None, period: list[int | None]) -> None:
    assert windows(build(LLAMA_8B, win=1024, pat=pattern)) == (period * 32)[:32]


def test_without_a_window_a_pattern_says_nothing() -> None:
    assert windows(build(LLAMA_8B, pat="5:1")) == [None] * 32


@pytest.mark.parametrize(
    "pattern", ["", "5", "5:", ":1", "0:0", "5:1:1", "-1:2", "²:1", "every other", "9999:1", "a5:1"]
)
def test_an_unknown_pattern_is_refused_by_name(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"the pattern of layers .* is not known"):
        build(LLAMA_8B, win=1024, pat=pattern)


def test_dense_layers_come_first_and_have_their_own_width() -> None:
    found = build(EXPERTS, dense=3, dI=9000, shared=2048)
    ffns = [found.groups[kind].ffn for kind in found.sequence]
    assert ffns[:3] == [DenseFfn(intermediate=9000)] * 3
    assert ffns[3:] == [ExpertFfn(experts=8, active=2, intermediate=1024, shared_intermediate=2048)] * 29
    assert found.expert_layers == 29


def test_all_experts_may_be_active_and_all_layers_dense() -> None:
    assert build(LLAMA_8B, E=2, topk=2).expert_layers == 32
    assert build(LLAMA_8B, E=2, topk=2, dense=32, dI=9000).experts is None


def test_layers_are_grouped_by_mixer_and_block_and_keep_their_order() -> None:
    """Six layers, two of them dense, every second one windowed: four kinds."""
    found = build(EXPERTS, L=6, dense=2, dI=9000, win=1024, pat="alt")
    assert found.sequence == (0, 1, 2, 3, 2, 3)
    assert [group.count for group in found.groups] == [1, 1, 2, 2]
    assert windows(found) == [1024, None] * 3


def test_a_latent_takes_rank_rope_nope_value_and_query_rank() -> None:
    """DeepSeek-V3: 576 elements a layer, and the mixer of the catalogued model."""
    v3 = MODELS["deepseek-ai/DeepSeek-V3"].architecture
    found = build(LLAMA_8B, H=7168, L=61, nh=128, nkv=0, hd=0, mla=[512, 64, 128, 128, 1536])
    assert {mixer for _, mixer in found.mixers} == {mixer for _, mixer in v3.mixers}
    (lite,) = {mixer for _, mixer in build(LLAMA_8B, nkv=0, hd=0, mla=[512, 64, 128, 128, None]).mixers}
    assert isinstance(lite, Latent)
    assert lite.query_rank is None


def test_every_so_manieth_layer_attends_among_delta_nets() -> None:
    """Qwen3.5: three of four layers are delta nets, and attention has an output gate; states are kept in fp32."""
    found = build(LLAMA_8B, gdn=DELTA)
    kinds = [type(found.groups[kind].attention) for kind in found.sequence]
    assert kinds == [GatedDelta, GatedDelta, GatedDelta, Attention] * 8
    (full,) = {mixer for _, mixer in found.mixers if isinstance(mixer, Attention)}
    (delta,) = {mixer for _, mixer in found.mixers if isinstance(mixer, GatedDelta)}
    assert full.output_gate
    assert (delta.key_heads, delta.value_heads, delta.key_dim, delta.value_dim) == (16, 32, 128, 128)
    assert delta.convolution == 4
    assert found.state_bytes == 4


@pytest.mark.parametrize(
    ("tower", "gib"), [("siglip", 0.78), ("moonvit", 0.84), ("pixtral", 0.82), ("pixtral12", 0.81)]
)
def test_a_vision_tower_weighs_what_was_loaded_beside_the_decoder(tower: str, gib: float) -> None:
    found = build(LLAMA_8B, vis=tower)
    seeing = Model(id="x", title="x", architecture=found, native_precision="bf16")
    assert vision_bytes(seeing) / GIB == pytest.approx(gib, abs=0.01)
    assert 0 <= found.vision_replicated < found.vision_params / 10
    assert count(found).total == count(build(LLAMA_8B)).total


def test_every_tower_is_tested() -> None:
    assert set(TOWERS) == {"siglip", "moonvit", "pixtral", "pixtral12"}


@pytest.mark.parametrize("beginning", UNGATED)
def test_families_without_a_gate_are_known_by_their_names(beginning: str) -> None:
    """Two matrices a block instead of three: 32 x 4,096 x 14,336 parameters fewer."""
    gated, plain = (count(build(LLAMA_8B, name)).total for name in ("some-model", beginning.title() + "-9B"))
    assert gated - plain == 32 * 4096 * 14336


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"I": 0}, "`I` is 0"),
        ({"vis": "eagle"}, 'the vision tower "eagle" is not known; known are siglip, moonvit'),
        ({"nkv": 0}, "`nkv` and `hd` are needed where there is no `mla`"),
        ({"hd": 0}, "`nkv` and `hd` are needed where there is no `mla`"),
        ({"E": 8}, "`E` and `topk` belong together"),
        ({"topk": 2}, "`E` and `topk` belong together"),
        ({"E": 8, "topk": 9}, "`topk` is more than `E`"),
        ({"E": 8, "topk": 2, "dense": 3}, "`dense` layers need `dI`"),
        ({"E": 8, "topk": 2, "dense": 33, "dI": 9}, "`dense` more than `L`"),
        ({"gdn": DELTA | {"full": 5}}, "`full` does not divide the 32 layers"),
        ({"gdn": DELTA | {"full": 33}}, "`full` does not divide the 32 layers"),
    ],
)
def test_what_the_short_form_leaves_open_is_refused_by_name(changes: Fields, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build(LLAMA_8B | changes)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"H": 0}, ("H",)),
        ({"H": "4096"}, ("H",)),
        ({"L": 10_001}, ("L",)),
        ({"V": 10**10}, ("V",)),
        ({"tie": "no"}, ("tie",)),
        ({"mla": [512, 64, 128, 128]}, ("mla", 4)),
        ({"mla": [512, 64, 0, 128, None]}, ("mla", 2)),
        ({"gdn": DELTA | {"nk": -1}}, ("gdn", "nk")),
        ({"gdn": DELTA | {"heads": 1}}, ("gdn", "heads")),
        ({"heads": 8}, ("heads",)),
    ],
)
def test_fields_out_of_range_and_unknown_ones_are_named(changes: Fields, place: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        ShortForm.model_validate(LLAMA_8B | changes)
    assert [one["loc"] for one in caught.value.errors()] == [place]


@pytest.mark.parametrize(
    "changes", [{"H": 4097}, {"L": 31}, {"V": 128_257}, {"tie": True}, {"nkv": 32}, {"E": 8, "topk": 2}]
)
def test_a_form_with_other_fields_does_not_describe_the_model(changes: Fields) -> None:
    llama = MODELS["meta-llama/Llama-3.1-8B-Instruct"].architecture
    assert ShortForm.model_validate(LLAMA_8B).describes(llama)
    assert not ShortForm.model_validate(LLAMA_8B | changes).describes(llama)


SMALL, MAYBE_NONE = st.integers(1, 12), st.integers(0, 12)
FORMS = st.fixed_dictionaries(
    dict.fromkeys(("H", "L", "nh", "V", "pos"), SMALL)
    | dict.fromkeys(("nkv", "hd", "I"), MAYBE_NONE)
    | {"tie": st.booleans()},
    optional=dict.fromkeys(("E", "topk", "shared", "dense", "dI", "win"), MAYBE_NONE)
    | {
        "mla": st.lists(MAYBE_NONE, min_size=5, max_size=5),
        "pat": st.one_of(st.just("alt"), st.builds("{}:{}".format, MAYBE_NONE, MAYBE_NONE)),
        "gdn": st.fixed_dictionaries(dict.fromkeys(DELTA, MAYBE_NONE)),
        "vis": st.sampled_from(["siglip", "pixtral", "other"]),
    },
)


def built(fields: Fields) -> Architecture | str:
    """The architecture, or why there is none."""
    try:
        return ShortForm.model_validate(fields).build("some-model")
    except ValidationError as error:
        return f"`{error.errors()[0]['loc']}`"
    except ValueError as reason:
        return str(reason)


@given(fields=FORMS)
def test_a_form_is_built_with_all_its_layers_or_refused_in_one_line(fields: Fields) -> None:
    found = built(fields)
    if isinstance(found, str):
        assert found.isprintable()
        assert "`" in found or '"' in found
    else:
        assert found.layers == len(found.sequence) == fields["L"]
        counts = [found.sequence.count(kind) for kind in range(len(found.groups))]
        assert counts == [group.count for group in found.groups]
        assert count(found).total > 0
