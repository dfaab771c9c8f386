"""The guide's presets, control by control."""

import pytest

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.models import MODELS
from inferplan.catalog.presets import PRESETS, Preset


@pytest.mark.parametrize(
    ("id_", "controls"),
    [
        ("starter", ("7B", "fp16", 1, 4096, 1, 100, 8, False, "fp8")),
        ("team", ("13B", "fp16", 10, 8192, 1, 1000, 12, False, "fp16")),
        ("production", ("70B", "fp8", 50, 32768, 8, 50000, 24, False, "fp8")),
        ("enterprise", ("405B", "fp16", 100, 131072, 32, 500000, 24, True, "fp16")),
    ],
)
def test_a_preset_sets_every_control_as_the_guide_does(id_: str, controls: tuple[object, ...]) -> None:
    p = PRESETS[id_]
    assert controls == (
        p.model,
        p.precision,
        p.concurrent_users,
        p.context_window,
        p.total_gpus,
        p.requests_per_day,
        p.usage_hours_per_day,
        p.compliance_required,
        p.moe_precision,
    )


def test_there_are_four_presets_from_small_to_large() -> None:
    assert list(PRESETS) == ["starter", "team", "production", "enterprise"]


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.id)
def test_a_preset_names_what_the_catalog_holds(preset: Preset) -> None:
    assert preset.model in MODELS
    assert {preset.precision, preset.moe_precision} <= set(FORMATS)
    assert preset.scenario.endswith(".")


@pytest.mark.parametrize(("said", "id_"), [("Team", "team"), ("prod", "production"), ("team preset", "team")])
def test_a_preset_is_found_by_what_people_call_it(said: str, id_: str) -> None:
    assert PRESETS.find(said).id == id_
