"""A published measurement of serving speed, and what its names mean: engine, GPU, model, formats, lengths."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from inferplan.catalog._shelf import UnknownName
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.core import engine_memory
from inferplan.core.bracket import crossing
from inferplan.core.engine import EngineName
from inferplan.core.engine_memory import RULES
from inferplan.core.engines.drafts import draft_share
from inferplan.core.engines.vllm_defaults import NEWEST
from inferplan.core.hardware import Gpu
from inferplan.core.model import Model
from inferplan.core.precision import Precision
from inferplan.core.serving_laws import AT_ONCE, Options
from inferplan.core.speed.efficiency import Efficiency, Kind, Runner, efficiency, kind_of
from inferplan.tools.validation.harnesses import CACHED_IN_FP8, RANDOM_LENGTHS
from inferplan.tools.validation.memory_cases import DRAFTED_AS, Drafted, Text, catalogued
from inferplan.tools.validation.report import CannotPredict
from inferplan.tools.validation.speed_names import FORMAT_NAMES, RUNNERS, gpu_of, limits

FEW_BITS = 8
Number = Annotated[float, Field(strict=True, ge=0, le=10**9)]
Degree = Annotated[int, Field(strict=True, ge=0, le=100_000)]


class SpeedRow(BaseModel):
    """One measurement with its configuration; None is what its source does not state.

    `depth` tokens are cached before a prompt; `ubatch` tokens are computed in one step. Each request has one of
    `lora_adapters`, in buffers of `lora_rank`. Of `speculative_tokens` drafted a step as many are accepted that a step
    has `acceptance_length` tokens, its own included, as engines print.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    id: Text
    family: Text = "not stated"
    source: str = ""
    engine: Text
    engine_version: Text | None = None
    model: Text
    weight_format: Text | None = None
    kv_dtype: Text | None = None
    gpu: Text
    gpu_count: Degree | None = None
    tp: Degree | None = None
    pp: Degree | None = None
    dp: Degree | None = None
    ep: Degree | None = None
    isl: Number | None = None
    osl: Number | None = None
    concurrency_or_batch: Number | None = None
    requests: Number | None = None
    depth: Number | None = None
    ubatch: Degree | None = None
    lora_adapters: Degree | None = None
    lora_rank: Degree | None = None
    speculative_tokens: Drafted | None = Field(default=None, validation_alias=AliasChoices(*DRAFTED_AS))
    acceptance_length: Number | None = None
    scenario: Text
    measured: Mapping[str, Any] | None = None
    note: str = ""

    @property
    def stated(self) -> str:
        """All text of the row: family, source and note."""
        return f"{self.family} {self.source} {self.note}"


class StatedRun:
    """What a row states, in the terms of the speed model; what it leaves open is the engine's default, and noted."""

    def __init__(self, row: SpeedRow) -> None:
        """Nothing is looked up before it is needed."""
        self.row = row
        self.notes: list[str] = []

    @cached_property
    def runner(self) -> Runner:
        """The engine; "other" for what is no serving engine."""
        name = self.row.engine.casefold()
        named: list[Runner] = [engine for word, engine in RUNNERS.items() if word in name]
        return named[0] if named else "other"

    @cached_property
    def server(self) -> EngineName:
        """The engine whose memory rules apply: vLLM's for engines that are not known."""
        return "vllm" if self.runner == "other" else self.runner

    @cached_property
    def gpu(self) -> Gpu:
        """The catalogued GPU. Raises `CannotPredict` for any other."""
        found = gpu_of(self.row.gpu)
        if found is None:
            raise CannotPredict(f'the GPU "{self.row.gpu}" is not in the catalog')
        return found

    @cached_property
    def precision(self) -> Precision:
        """The weight format; the model's own where none is stated. Raises `CannotPredict` for one that is not known."""
        stated = (self.row.weight_format or "").casefold()
        if stated:
            id_ = FORMAT_NAMES.get(stated, stated.removeprefix("gguf-"))
            if id_ not in FORMATS:
                raise CannotPredict(f'the weight format "{self.row.weight_format}" is not known')
            return FORMATS[id_]
        own = "fp8" if "fp8" in self.row.model.casefold() else self.model.native_precision
        self.notes.append(f"weights are taken to be in {own}, as the model is released")
        return FORMATS[own]

    @cached_property
    def model(self) -> Model:
        """The catalogued model, as its engine stores it. Raises `CannotPredict` for any other."""
        found = catalogued(self.row.model)
        if found is None:
            raise CannotPredict(f'no model "{self.row.model}" is in the catalog')
        return engine_memory.stored_for(found, self.server)

    @cached_property
    def kv_bits(self) -> float:
        """Bits of a cached element; where not stated, 8 where engine and GPU take FP8 by default. [bits]"""
        stated = (self.row.kv_dtype or "").casefold()
        if stated:
            try:
                return KV_FORMATS.find(stated).bits
            except UnknownName:
                raise CannotPredict(f'the KV cache format "{self.row.kv_dtype}" is not known') from None
        few = self.precision.bits_per_weight < FEW_BITS + 1
        small = few and (self.runner == "tensorrt-llm" or (self._is_fp8 and self._keeps_fp8))
        self.notes.append(f"the KV cache is taken to be in {'FP8' if small else '16 bit'}")
        return FEW_BITS if small else 2 * FEW_BITS

    @property
    def _keeps_fp8(self) -> bool:
        """Whether a cache beside FP8 or FP4 weights is in FP8: on Blackwell, and where InferenceX's scripts set it."""
        return self.kind.generation == "blackwell" or (self.is_inferencex and self.model.id in CACHED_IN_FP8)

    @property
    def _is_fp8(self) -> bool:
        """Whether the weights are computed in FP8 or FP4."""
        return self.precision.compute in ("fp8", "fp4", "nvfp4")

    @cached_property
    def kind(self) -> Kind:
        """The kind of GPU, format and engine that selects the fitted constants."""
        return kind_of(self.gpu, self.precision, self.runner)

    @property
    def efficiency(self) -> Efficiency:
        """The fitted constants; of disaggregated runs without interference, of LoadGen's without a server."""
        fitted = efficiency(self.kind)
        if limits(self.row.stated, self.row.model):
            return replace(fitted, front_end_s=0.0, first_token_steps=1.0)
        return replace(fitted, prefill_interference=0.0) if self.disaggregated else fitted

    @cached_property
    def lengths(self) -> tuple[float, float]:
        """Mean input and output tokens of a request. [tokens]"""
        if self.row.isl is None:
            raise CannotPredict("`isl` is not stated")
        output = self.row.osl
        if output is None:
            output = 1.0
            self.notes.append("one token of output is taken, as none is stated")
        if self.is_inferencex:
            self.notes.append("lengths are drawn at random: their mean is 0.9 of the nominal ones")
            return self.row.isl * RANDOM_LENGTHS, max(1.0, output * RANDOM_LENGTHS)
        return self.row.isl + (self.row.depth or 0), max(1.0, output)

    @property
    def is_inferencex(self) -> bool:
        """Whether the row is InferenceX's."""
        return "inferencex" in self.row.stated.casefold()

    @property
    def sparse(self) -> bool:
        """Whether the model has experts."""
        return self.model.architecture.experts is not None

    @cached_property
    def disaggregated(self) -> bool:
        """Whether prefill and decode run on separate GPUs; the degrees stated are then those of decode."""
        return "disagg" in self.row.stated.casefold()

    @cached_property
    def options(self) -> Options:
        """Chunked prefill as the engine's default or as stated, after what is cached."""
        usual = RULES[self.server].default_batching(self.gpu, NEWEST)[0]
        depth, (prompt, _) = self.row.depth or 0, self.lengths
        plain = Options(
            step_tokens=self.row.ubatch or usual,
            at_once=AT_ONCE.get(self.server, 1),
            hit_rate=depth / prompt if depth else 0.0,
        )
        drafted = self.row.speculative_tokens
        if not drafted:
            return plain
        return replace(
            plain, drafted=drafted, acceptance=self._acceptance(drafted), draft_share=draft_share(self.model)
        )

    def _acceptance(self, drafted: int) -> float:
        """The share of drafts accepted, where all before were, with which a step has the stated tokens in the mean."""
        tokens = self.row.acceptance_length
        if tokens is None:
            raise CannotPredict("`acceptance_length`, the mean tokens of a step that engines print, is not stated")
        if not 1 <= tokens <= 1 + drafted:
            raise CannotPredict(f"`acceptance_length` has to be from 1 to {1 + drafted}, the drafts and a token more")
        return crossing(lambda share: tokens - Options(drafted=drafted, acceptance=share).tokens_per_step, 0.0, 1.0)
