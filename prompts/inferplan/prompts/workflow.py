"""The five-step workflow: what each prompt is for, and its arguments; its text is the Markdown file of its name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

_PLACEHOLDER = re.compile(r'"\{(?P<text>[a-z_]+)\}"|(?P<call>=?)\{(?P<plain>[a-z_]+)\}')
_JSON = re.compile(r"(?:0|[1-9]\d*)(?:\.\d*[1-9])?|true|false")
"""A number or a truth value that can be read in one way only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """An argument of a prompt, required where it has no default."""

    name: str
    description: str
    default: str | None = None

    @property
    def required(self) -> bool:
        """Whether the argument has to be given."""
        return self.default is None


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt: a text with blanks for its arguments, read from its file when first needed."""

    name: str
    title: str
    description: str
    arguments: tuple[Argument, ...]

    @cached_property
    def template(self) -> str:
        """The words, blanks as `{name}`."""
        return files("inferplan.prompts").joinpath(f"{self.name}.md").read_text(encoding="utf-8")

    def render(self, given: Mapping[str, str]) -> str:
        """The words with the blanks filled: with what was given, else with the default."""
        values = {a.name: " ".join(given.get(a.name, "").split()) or a.default or "" for a in self.arguments}
        return _PLACEHOLDER.sub(lambda blank: _filled(values, blank), self.template)


def _filled(values: Mapping[str, str], blank: re.Match[str]) -> str:
    """The text for a blank; one in quotes stays one text where its value has double quotes itself, as JSON has.

    An argument of a call is a text as well where it is no plain number: "32k", or "1.000", which the tool asks about.
    """
    if name := blank["plain"]:
        value = values[name]
        return blank["call"] + (f'"{value}"' if blank["call"] and not _JSON.fullmatch(value) else value)
    value = values[blank["text"]]
    return repr(value) if '"' in value else f'"{value}"'


MODEL = Argument(
    name="model",
    description='What to serve: a size class such as "70B", or a name such as "llama 3.3 70b".',
)
PRECISION = Argument(
    name="precision", description='Format of the weights: "fp16", "fp8", "int4" and so on.', default="fp8"
)
USERS = Argument(name="concurrent_users", description="Sessions at once, each with its own KV cache.", default="50")
CONTEXT = Argument(name="context_window", description="Tokens that a session holds. [tokens]", default="8192")
GPU = Argument(name="gpu", description='The accelerator: "H100", "MI300X" and so on.', default="h100-sxm")
REQUESTS = Argument(name="requests_per_day", description="Requests that arrive in a day.", default="50000")
HOURS = Argument(name="usage_hours_per_day", description="Hours a day that the service runs. [h]", default="24")
COMPLIANCE = Argument(
    name="compliance_required",
    description="Whether rules keep the data on hardware of your own: true or false.",
    default="false",
)
DENSE = Argument(name="dense_model", description="The model without experts.", default="70B")
MOE = Argument(name="moe_model", description="The mixture of experts.", default="745B MoE")

PROMPTS = (
    Prompt(
        name="plan_llm_serving",
        title="Plan LLM serving, all five steps",
        description="Memory, quantization, layout, cost and the MoE alternative, each step feeding the next.",
        arguments=(MODEL, PRECISION, USERS, CONTEXT, GPU, REQUESTS, HOURS, COMPLIANCE),
    ),
    Prompt(
        name="size_memory",
        title="Step 1: size the memory",
        description="How much GPU memory serving a model takes, what dominates it, and which GPUs hold it.",
        arguments=(MODEL, PRECISION, USERS, CONTEXT),
    ),
    Prompt(
        name="choose_quantization",
        title="Step 2: choose a number format",
        description="Which format saves the most memory at a loss of quality that the use can bear.",
        arguments=(MODEL, USERS, CONTEXT),
    ),
    Prompt(
        name="choose_parallelism",
        title="Step 3: choose a layout",
        description="Tensor, pipeline and data parallelism for the load, with latency and throughput.",
        arguments=(MODEL, PRECISION, USERS, CONTEXT, GPU),
    ),
    Prompt(
        name="buy_or_rent",
        title="Step 4: buy or rent",
        description="GPUs for the traffic, four ways to pay for them, and where they break even.",
        arguments=(MODEL, PRECISION, GPU, REQUESTS, HOURS, COMPLIANCE),
    ),
    Prompt(
        name="consider_moe",
        title="Step 5: consider a mixture of experts",
        description="Whether a mixture of experts gives more for the same compute, and what it takes in memory.",
        arguments=(DENSE, MOE, PRECISION, GPU),
    ),
)


def prompts() -> tuple[Prompt, ...]:
    """Every prompt, the whole workflow first and then its steps in order."""
    return PROMPTS
