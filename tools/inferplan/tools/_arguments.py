"""The arguments that tools share: one name, type, unit, bounds and description for each."""

import json
import re
from contextlib import suppress
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BeforeValidator, Field

from inferplan.catalog._shelf import Shelf, UnknownName
from inferplan.catalog.asked_gpus import GpuProblem, gpu_id, is_described
from inferplan.catalog.asked_models import model_id
from inferplan.catalog.engines import ENGINES
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.catalog.presets import PRESETS
from inferplan.core.units import KIB, MIB, SECONDS_PER_HOUR
from inferplan.tools._models import usual_format
from inferplan.tools._numbers import measured, plain, times_ten, whole

T = TypeVar("T")

_SUFFIXES = {"k": KIB, "m": MIB}
_SHORT_WINDOW = re.compile(r"(\d{1,9}(?:\.\d{1,2})?)\s?([km])", re.IGNORECASE)


def _known(shelf: Shelf[Any]) -> AfterValidator:
    """A validator that resolves a name to its id on a shelf. It raises a ValueError with the nearest names."""

    def check(name: str) -> str:
        try:
            return shelf.id_of(name)
        except UnknownName as unknown:
            raise ValueError(str(unknown)) from None

    return AfterValidator(check)


ANY = "any"
"""Instead of a GPU: all types of the catalog."""


def is_any(gpu: object) -> bool:
    """Whether the argument asks for all GPU types."""
    return isinstance(gpu, str) and gpu.strip().casefold() == ANY


def _gpu_or_any(name: str) -> str:
    """`any`, or the id of a GPU. Raises a ValueError where no GPU goes by the name."""
    if is_any(name):
        return ANY
    try:
        return gpu_id(name)
    except GpuProblem as problem:
        others = "" if is_described(name) else f'; or "{ANY}" for all types'
        raise ValueError(f"{problem}{others}") from None


def _one_gpu(name: str) -> str:
    """The id of a GPU. Raises a ValueError for `any`, with the tool that takes it."""
    if is_any(name):
        raise ValueError(f'"{ANY}" is for plan_parallelism, which names the type to ask for here; name one')
    return gpu_id(name)


def _number(value: object) -> object:
    """A number, also as text with grouped thousands ("50,000"). Raises a ValueError for booleans."""
    if isinstance(value, bool):
        raise ValueError(f"a number is needed, not {str(value).lower()}")  # noqa: TRY004 (pydantic words ValueErrors)
    return plain(value) if isinstance(value, str) else value


def _count(value: object) -> object:
    """A whole number, also as text in short form: "2M" is 2,000,000."""
    return whole(value) if isinstance(value, str) else _number(value)


def _as_text(value: object) -> object:
    """A description of a GPU or a config.json given as an object, as JSON text; any other value as it is."""
    if isinstance(value, dict):
        with suppress(ValueError, TypeError, RecursionError):
            return json.dumps(value)
    return cast("object", value)


def _tokens(value: object) -> object:
    """A number of tokens; "32k" is 32 × 1,024, as people say context windows."""
    value = _bare(value, "tokens")
    if isinstance(value, str) and (short := _SHORT_WINDOW.fullmatch(value.strip())):
        return int(float(short[1]) * _SUFFIXES[short[2].lower()])
    return _count(value)


def _at_least_a_second(hours: float) -> float:
    """Hours a day. Raises a ValueError below a second, which is a rounding error of none. [h]"""
    if hours < 1 / SECONDS_PER_HOUR:
        raise ValueError(f"a service runs for at least a second a day ({1 / SECONDS_PER_HOUR:.6f}); got {hours:g}")
    return hours


def _no_rounding_error(milliseconds: float) -> float:
    """A latency limit. Raises a ValueError below `SHORTEST_MS`. [ms]"""
    if milliseconds < SHORTEST_MS:
        raise ValueError(f"a limit takes {SHORTEST_MS:g} ms or more; got {milliseconds:g}")
    return milliseconds


SHORTEST_MS = 0.1
"""The strictest latency limit that is accepted. [ms]"""


def _counted(unit: str) -> BeforeValidator:
    """A validator of whole numbers that accepts their unit behind them: "8 gpus"."""
    return BeforeValidator(lambda value: _count(_bare(value, unit)))


def _bare(value: object, unit: str) -> object:
    """A number without the unit that its text ends in, if any."""
    return measured(value, unit)[0] if isinstance(value, str) else value


def _milliseconds(value: object) -> object:
    """A time in milliseconds, also as text with a unit: "20 ms", "0.5s". [ms]"""
    if isinstance(value, str):
        number, power = measured(value, "ms")
        if power:
            with suppress(ValueError):
                return times_ten(plain(number), power)
        return _number(number)
    return _number(value)


NUMBER = BeforeValidator(_number)
OBJECT_AS_TEXT = BeforeValidator(_as_text)

ModelName = Annotated[
    str,
    OBJECT_AS_TEXT,
    AfterValidator(model_id),
    Field(description="70B, llama 3.3 70b or config.json text", min_length=1),
]
PrecisionName = Annotated[str, _known(FORMATS), Field(description="fp16, fp8, int4")]


def as_released(otherwise: str) -> Any:
    """A field for the weight format whose default is the release's, where narrower than 16 bit, else `otherwise`."""
    others = ", ".join(name for name in ("fp16", "fp8", "int4") if name != otherwise)
    return Field(
        default_factory=lambda given: usual_format(given.get("model"), otherwise),
        description=f"{others}; default {otherwise} or as released",
    )


KvPrecisionName = Annotated[
    str,
    _known(KV_FORMATS),
    Field(description="KV cache: fp16, fp8…"),
]
USUAL_GPU = "h100-sxm"
"""The GPU that is planned for by default."""
GpuName = Annotated[str, AfterValidator(_one_gpu), Field(description="As H200."), OBJECT_AS_TEXT]
GpuOrAny = Annotated[str, AfterValidator(_gpu_or_any), Field(description="GPU, as H200, or any."), OBJECT_AS_TEXT]
EngineChoice = Annotated[str, _known(ENGINES), Field(description="vllm, sglang, tensorrt-llm, llama.cpp.")]
PresetName = Annotated[str, _known(PRESETS), Field(description="starter, team, production, enterprise.")]
USERS_AT_MOST = 1_000_000
"""The most sessions that can be asked for."""
Users = Annotated[int, Field(ge=1, le=USERS_AT_MOST, description="Sessions at once."), _counted("users")]
ContextWindow = Annotated[int, Field(ge=1, le=100_000_000, description="Tokens per session."), BeforeValidator(_tokens)]
GPUS_AT_MOST = 100_000
"""The most GPUs that can be asked for."""
Gpus = Annotated[int, Field(ge=1, le=GPUS_AT_MOST, description="GPUs available."), _counted("GPUs")]
Requests = Annotated[
    int,
    Field(ge=1, le=1_000_000_000_000, description="Requests per day."),
    _counted("requests/day"),
]
Hours = Annotated[
    float,
    Field(gt=0, le=24, description="Hours of service."),
    BeforeValidator(lambda value: _number(_bare(value, "h"))),
    AfterValidator(_at_least_a_second),
]
InputTokens = Annotated[int, Field(ge=1, le=10_000_000, description="Prompt tokens."), _counted("tokens")]
OutputTokens = Annotated[int, Field(ge=1, le=10_000_000, description="Generated tokens."), _counted("tokens")]
Milliseconds = Annotated[
    float,
    Field(gt=0, le=3_600_000, description="Limit."),
    AfterValidator(_no_rounding_error),
    BeforeValidator(_milliseconds),
]


TURN_TOKENS = 500
"""The guide's average request: 500 tokens in, 500 out. [tokens]"""


def refuse_pace(output_tokens: int, max_tpot_ms: float | None) -> None:
    """Raise a ValueError where TPOT is limited, though answers of one token have none."""
    if output_tokens == 1 and max_tpot_ms is not None:
        raise ValueError(
            "`max_tpot_ms` bounds the time between tokens, and answers of 1 token have none; leave it out or take "
            "max_ttft_ms"
        )


def turn(context_window: int, input_tokens: int | None, output_tokens: int | None) -> tuple[int, int]:
    """Input and output tokens of one request: as given, else 500 each or what the context leaves. [tokens]

    Raises a ValueError where those given do not fit into the context.

    >>> turn(8192, None, None), turn(600, None, None), turn(8192, 8000, None), turn(1, None, 1)
    ((500, 500), (300, 300), (8000, 192), (1, 1))
    """
    given = (input_tokens or 0) + (output_tokens or 0) + (input_tokens is None) + (output_tokens is None)
    if (input_tokens or output_tokens) and given > max(context_window, 2):
        raise ValueError(
            f"`input_tokens` and `output_tokens` make {given:,} tokens, more than the `context_window` of "
            f"{context_window:,}; shorten the request, or give context_window={given} or more"
        )
    half = max(1, min(TURN_TOKENS, context_window // 2))
    if input_tokens:
        return input_tokens, output_tokens or max(1, min(TURN_TOKENS, context_window - input_tokens))
    return (max(1, min(TURN_TOKENS, context_window - output_tokens)), output_tokens) if output_tokens else (half, half)
