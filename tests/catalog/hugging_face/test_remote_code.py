"""Checkpoints that bring code, as their config.json says."""

import json

import pytest

from configs import (
    FOUND,
    catalogued,
    read,
    text_of,
)
from inferplan.catalog.hugging_face.config import described

OWN_CLASS = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}
"""How a checkpoint says that it brings code."""


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
