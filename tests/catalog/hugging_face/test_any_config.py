"""Whatever text, object or edit of a published config.json is given, it gets a model or one sentence."""

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from configs import (
    FOUND,
    LLAMA,
    llama,
    text_of,
)
from inferplan.catalog.hugging_face.config import ConfigProblem, described
from inferplan.core.architecture import Architecture

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
            one[key] = deepcopy(value)
    return config


@given(
    slug=st.sampled_from(sorted(FOUND)),
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.just(DROPPED) | VALUES), min_size=1, max_size=3),
)
@settings(max_examples=800)
def test_a_config_with_a_wrong_or_missing_value_is_answered(slug: str, edits: list[tuple[int, Any]]) -> None:
    answered(json.dumps(edited(json.loads(text_of(slug)), edits)).replace('"1e400"', "1e400"))
