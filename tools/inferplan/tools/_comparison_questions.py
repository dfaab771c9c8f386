"""What the two comparisons are asked with: apart from their tools, which lead to tools that lead back to them."""

from typing import Self

from pydantic import Field, model_validator

from inferplan.tools._arguments import USUAL_GPU, ContextWindow, GpuName, ModelName, PrecisionName, Users
from inferplan.tools._following import overrides_for
from inferplan.tools._models import usual_format
from inferplan.tools._settings import TAKEN
from inferplan.tools._tool import Question
from inferplan.tools.serving.adapters import NAMES, refuse_adapters
from inferplan.tools.serving.refusals import refuse_cache, refuse_sharing
from inferplan.tools.serving.runnable import SHARED_TOKENS
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import chosen_cache, serving

HELD_BY_EACH = (*NAMES, "kv_precision")
"""The settings that not every model takes under every engine: its adapters, and the format of its cache."""


class QuantizationQuestion(Question):
    """A model, and the GPU and load at which its formats are compared."""

    tool = "compare_quantization"
    settings = TAKEN[tool]

    model: ModelName
    precision: PrecisionName | None = Field(default=None, description="One more format: nvfp4, q4_k_m…")
    gpu: GpuName = USUAL_GPU
    concurrent_users: Users = 1
    context_window: ContextWindow = 8192

    @model_validator(mode="after")
    def _adapts(self) -> Self:
        """Refuse adapters, KV cache formats and decode context parallelism that do not go with the model."""
        _refuse(self, self.gpu, self.model)
        if SHARED_TOKENS in self.overrides:
            refuse_sharing(_on(self, self.gpu, self.model))
        return self


class MoeQuestion(Question):
    """Two models on one GPU type, in one format or each as it is released; either of them may be dense or routed."""

    tool = "compare_moe_dense"
    settings = TAKEN[tool]

    dense_model: ModelName = "70B"
    moe_model: ModelName = "745B MoE"
    precision: PrecisionName | None = Field(default=None, description="fp8, int4; default fp16 or as released")
    gpu: GpuName = USUAL_GPU

    @model_validator(mode="after")
    def _adapts(self) -> Self:
        """Refuse adapters and KV cache formats that do not go with one of the models."""
        _refuse(self, self.gpu, self.dense_model, self.moe_model)
        return self

    def format_of(self, model: str) -> str:
        """The format that a model is compared in: the one asked for, else its narrow release's, else FP16."""
        return self.precision or usual_format(model, "fp16")


def of_any_model(q: Question) -> str:
    """The overrides of a question that a comparison takes with any other model: not its adapters, nor its cache."""
    parts = overrides_for(q, MoeQuestion).split(", ")
    return ", ".join(part for part in parts if part.partition("=")[0] not in HELD_BY_EACH)


def _refuse(q: Question, gpu: str, *models: str) -> None:
    """Raise a ValueError where adapters, or the KV cache's format, asked for do not go with one of the models.

    Or where the engine keeps no KV cache of one in the format asked for.
    """
    if any(name in q.overrides for name in HELD_BY_EACH):
        cache = chosen_cache(q.ledger())
        for on in (_on(q, gpu, model) for model in models):
            refuse_cache(on, cache)
            refuse_adapters(on)


def _on(q: Question, gpu: str, model: str) -> Serving:
    """A model on the GPU of a question; its weight format does not matter here."""
    return serving(q.ledger(), model=model, precision="fp16", gpu=gpu, quiet=True, timed=False)
