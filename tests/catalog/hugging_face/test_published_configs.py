"""Published config.json files count, cache, weigh and rotate what their catalogued models do."""

import json
from dataclasses import replace

import pytest

from configs import (
    FOLDER,
    FOUND,
    catalogued,
    read,
    text_of,
)
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.hugging_face.config import described
from inferplan.catalog.models import MODELS, model_rows
from inferplan.core.architecture import Architecture
from inferplan.core.engines.rank_weights import rank_weights
from inferplan.core.layers.attention import Attention
from inferplan.core.memory import kv_cache_bytes, state_bytes
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.parameters import count

NO_TOWER = {
    "kimi-k3",
    "llama-3.2-11b-vision",
    "llama-4-maverick-17b-128e-instruct",
    "minimax-m3",
    "mistral4-defaults",
    "qwen3.8-flash-next",
}
"""Configs without a vision config, or whose tower is not counted."""


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


@pytest.mark.parametrize("slug", sorted(set(FOUND) - NO_TOWER))
def test_a_vision_tower_is_as_large_as_the_catalogue_says(slug: str) -> None:
    assert read(slug).architecture.vision_params == catalogued(slug).architecture.vision_params


@pytest.mark.parametrize("slug", sorted(set(FOUND) - NO_TOWER))
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
    assert len(one.id) < {"kimi-k3": 880, "deepseek-v4.1-flash": 1_120}.get(slug, 650)  # these have many keys alone
    assert one.id == json.dumps(json.loads(one.id), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("slug", FOUND)
def test_the_short_config_leaves_out_what_the_long_one_leaves_out(slug: str) -> None:
    assert described(read(slug).id).notes == described(text_of(slug)).notes
