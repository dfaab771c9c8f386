"""Where the catalog can be read: a list at `inferplan://section`, an item at `inferplan://section/name`."""

from collections.abc import Mapping
from dataclasses import dataclass

SCHEME = "inferplan://"


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of the catalog as resources: a list, and an item by name."""

    name: str
    title: str
    description: str

    @property
    def uri(self) -> str:
        """Where the list is."""
        return SCHEME + self.name

    @property
    def template(self) -> str:
        """Where the items are: an id may hold slashes, as they are or encoded."""
        return f"{self.uri}/{{+name}}"


SECTIONS = (
    Section(name="models", title="Models", description="Models to serve; the guide's size classes first."),
    Section(
        name="gpus",
        title="GPUs",
        description="Accelerators: memory as the driver reports it, bandwidth, dense peaks, links.",
    ),
    Section(
        name="formats",
        title="Number formats",
        description="Formats of weights: real bits per weight, quality and its evidence, engines; and of KV caches.",
    ),
    Section(name="prices", title="Prices", description="Dated prices of GPUs, rented and bought, and of power."),
    Section(
        name="presets",
        title="Presets",
        description="The scenarios of run_preset: every control of the five steps at once.",
    ),
    Section(
        name="glossary",
        title="Glossary",
        description="The terms of LLM serving, in one to three sentences each.",
    ),
)
BY_NAME: Mapping[str, Section] = {section.name: section for section in SECTIONS}
