"""What plan_parallelism is asked with: apart from the tool, because next steps of other tools ask it too."""

from pydantic import Field, model_validator

from inferplan.tools._arguments import (
    USUAL_GPU,
    ContextWindow,
    GpuOrAny,
    Gpus,
    InputTokens,
    KvPrecisionName,
    Milliseconds,
    ModelName,
    OutputTokens,
    PrecisionName,
    Users,
    as_released,
    is_any,
    refuse_pace,
    turn,
)
from inferplan.tools._assumptions import Ledger
from inferplan.tools._overrides import parse_overrides
from inferplan.tools._settings import TAKEN
from inferplan.tools._tool import Question
from inferplan.tools.layouts.demand import Demand, Objective
from inferplan.tools.serving.adapters import refuse_adapters
from inferplan.tools.serving.latency import Latency
from inferplan.tools.serving.refusals import refuse, refuse_cache
from inferplan.tools.serving.runnable import SHARED_TOKENS
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import serving

GPUS_THAT_HOLD = "the GPUs that would hold them, drawn"
"""Why it is asked next where the GPUs given do not hold the users."""


class ParallelismQuestion(Question):
    """A model on a number of GPUs; without `total_gpus`, the fewest that hold the users."""

    tool = "plan_parallelism"
    settings = TAKEN[tool]

    model: ModelName
    precision: PrecisionName = as_released("fp16")
    kv_precision: KvPrecisionName | None = None
    gpu: GpuOrAny = USUAL_GPU
    total_gpus: Gpus | None = None
    concurrent_users: Users = 1
    context_window: ContextWindow = 8192
    input_tokens: InputTokens | None = None
    output_tokens: OutputTokens | None = None
    objective: Objective | None = Field(default=None, description="Aim.")
    max_ttft_ms: Milliseconds | None = None
    max_tpot_ms: Milliseconds | None = None

    @model_validator(mode="after")
    def _fits_into_the_context(self) -> "ParallelismQuestion":
        """Refuse a turn beyond the context, and a TPOT limit where answers have one token."""
        refuse_pace(self.turn[1], self.max_tpot_ms)
        return self

    @model_validator(mode="after")
    def _runs(self) -> "ParallelismQuestion":
        """Refuse what the engine does not run; of `any` GPU only what it runs on none."""
        on = self.on(USUAL_GPU if is_any(self.gpu) else self.gpu)
        refuse_cache(on, self.kv_precision)
        if is_any(self.gpu) and (on.refusal is None or on.refusal.gpu):
            refuse_adapters(on)  # another GPU type may load the format
        else:
            refuse(on)
        return self

    @property
    def turn(self) -> tuple[int, int]:
        """Input and output tokens of a turn, defaults filled in. [tokens]"""
        return turn(self.context_window, self.input_tokens, self.output_tokens)

    def with_turn(self) -> "ParallelismQuestion":
        """The same question with the default lengths of a turn filled in."""
        tokens_in, tokens_out = self.turn
        return self.model_copy(update={"input_tokens": tokens_in, "output_tokens": tokens_out})

    @property
    def demand(self) -> Demand:
        """The users, their turns, and the GPUs and latency asked for."""
        tokens_in, tokens_out = self.turn
        return Demand(
            users=self.concurrent_users,
            context=self.context_window,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            gpus=self.total_gpus,
            objective=self.objective or ("fewest_gpus" if is_any(self.gpu) and self.total_gpus is None else None),
            latency=Latency.of_ms(self.max_ttft_ms, self.max_tpot_ms),
            rate=self.requests_per_s,
            ranks_given=SHARED_TOKENS in self.overrides,
            context_given=self.context_given,
        )

    @property
    def requests_per_s(self) -> float | None:
        """The rate of requests that the overrides give; None where they give none."""
        given = parse_overrides(self.overrides, groups=self.settings) if self.overrides else {}
        return given.get("requests_per_s")

    def serving(self, ledger: Ledger, gpu: str | None = None, *, quiet: bool = False) -> Serving:
        """The model on the GPU type asked for, or on another; `quiet` lists only what the caller changed."""
        return serving(
            ledger,
            model=self.model,
            precision=self.precision,
            gpu=gpu or self.gpu,
            kv_precision=self.kv_precision,
            quiet=quiet,
            context=self.context_window,
        )

    def on(self, gpu: str) -> Serving:
        """The model on a GPU type, with a ledger of its own that no answer shows."""
        return self.serving(self.ledger(), gpu, quiet=True)
