"""A model in a format under an engine on a GPU type: how answers name it, and what keeps the engine from running it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from inferplan.catalog.engines import ENGINES, Refusal, refusal
from inferplan.catalog.formats import FORMATS
from inferplan.core import engine_memory, memory
from inferplan.core.architecture import ExpertFfn
from inferplan.core.engine import USUAL, Engine
from inferplan.core.engines.compressed_memory import lacks_kernels
from inferplan.core.hardware import Gpu
from inferplan.core.memory import WeightBytes
from inferplan.core.model import Model
from inferplan.core.precision import Precision
from inferplan.tools._models import SIXTEEN_BIT
from inferplan.tools.serving.launch_flags import FLAGS


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A model in a format on a GPU type, and the engine that is to run it."""

    model: Model
    precision: Precision
    gpu: Gpu
    engine: Engine
    refusal: Refusal | None = field(init=False, compare=False)
    """What keeps the engine from running this format on this GPU, where it is known not to."""
    obstacle: str | None = field(init=False, compare=False)
    """Why the engine runs nothing here, in words; None where it runs, as far as is known."""
    experts: ExpertFfn | None = field(init=False, compare=False, repr=False)
    """The model's routed experts; None of a dense model."""

    def __post_init__(self) -> None:
        """Look up once what follows from the rest and is asked for often."""
        refused = refusal(self.engine.name, self.gpu, self.precision, version=self.engine.version)
        object.__setattr__(self, "refusal", refused)
        object.__setattr__(self, "obstacle", next(filter(None, self._obstacles()), None))
        object.__setattr__(self, "experts", self.model.architecture.experts)

    @property
    def weights(self) -> WeightBytes:
        """The weights loaded, by class of tensor. [B]"""
        return memory.weights(self.model, self.precision)

    @property
    def gpus_by_weights(self) -> int:
        """GPUs whose memory together is at least the weights: the guide's minimum. [GPUs]"""
        return memory.devices_for(self.weights.total, self.gpu.memory)

    @property
    def engine_name(self) -> str:
        """Engine and version, as answers name it: `vLLM 0.28`."""
        info = ENGINES[self.engine.name]
        return f"{info.title} {f'0.{self.engine.version}' if self.engine.name == 'vllm' else info.covers}"

    @property
    def under(self) -> str:
        """` under SGLang 0.5`, for sentences; empty for the default engine."""
        return "" if self.engine.name == USUAL else f" under {self.engine_name}"

    @property
    def lacks_units(self) -> bool:
        """Whether the GPU has no units for a format that is made to compute in, so that it is expanded to 16 bit."""
        compute = self.precision.compute
        narrow = not self.precision.weight_only and compute not in ("fp32", "bf16")
        return narrow and self.refusal is None and self.gpu.peak_flops(compute) is None

    @property
    def refused(self) -> str | None:
        """What keeps the engine from running this format on this GPU (`refusal`), in words; None where nothing."""
        if (found := self.refusal) is None:
            return None
        what = f"load {self.precision.title}" if found.form else "run"
        return f"{self.engine_name} does not {what}{f' on {self.gpu.title}' if found.gpu else ''}"

    @property
    def untimed(self) -> str | None:
        """Why no time can be estimated: for the GPU, or for the format; None where it can.

        That LLM.int8() reads half the bytes says nothing of its time: on a T4 it took 2.5 times that of FP16, and no
        run of it under a serving engine was found. Source: the row of the format.
        """
        if self.gpu.half_flops is None:
            return f"the arithmetic peak of {self.gpu.title} is not known"
        if self.precision.is_llm_int8:
            return f"no time of {self.precision.title} under a serving engine is known here"
        return None

    @property
    def quantised_online(self) -> str:
        """The flag with which the engine quantises a 16-bit release while loading it; empty where it does not.

        To FP8, and with bitsandbytes to NF4, in blocks of 64 with scales in FP32, as stored builds have them.

        Source: vllm-bnb-plugin 0.0.3, bitsandbytes_loader.py, `_unquantized_generator`, `_dequantize_dq`.
        """
        wide = FORMATS.id_of(self.model.native_precision) in SIXTEEN_BIT
        return FLAGS[self.engine.name].quantize.get(self.precision.id, "") if wide else ""

    @property
    def is_split_by_layers(self) -> bool:
        """Whether engines cannot slice the tensors of the checkpoint: those that bitsandbytes stored.

        A 16-bit release that is made NF4 while it is loaded is sliced before.

        Source: vllm-bnb-plugin 0.0.3, bitsandbytes_loader.py ("Prequant BitsAndBytes models with tensor parallelism is
        not supported"), as vLLM 0.27 had it itself; SGLang 0.5.23, model_loader/loader.py, in the same words.
        """
        return self.precision.is_bitsandbytes and not self.quantised_online

    @property
    def other_version(self) -> int | None:
        """The nearest vLLM that serves the model where this one does not, and whose cache is modelled; else None."""
        if (nearest := self._nearest_version) is None:
            return None
        reason = engine_memory.cache_not_modelled(self.model, replace(self.engine, version=nearest))
        return nearest if reason is None else None

    @property
    def lacks_kernels(self) -> str | None:
        """That vLLM has no kernels of this attention for the GPU though it serves the model elsewhere; else None."""
        reason = lacks_kernels(self.model.architecture, self.gpu, self.engine) if self.engine.name == "vllm" else None
        if reason is None or engine_memory.cache_not_modelled(self.model, self.engine):
            return None
        return f"{self.engine_name} does not run {self.model.title} on {self.gpu.title}: {reason}"

    @property
    def needs_fp32(self) -> str | None:
        """That vLLM serves the model in FP32 alone, twice the memory, on a GPU without BF16; else None. GGUF is exempt.

        Source: vLLM 0.28, vllm/config/model.py, `_resolve_auto_dtype`, and platforms/cuda.py (`supported_dtypes`).
        """
        lacks = self.model.needs_bf16 and self.gpu.architecture in ("Volta", "Turing")
        if not lacks or self.engine.name != "vllm" or self.precision.is_gguf or self.precision.id == "fp32":
            return None
        return f"{self.engine_name} serves it on {self.gpu.title}, which has no BF16, in FP32 alone: precision fp32"

    def _obstacles(self) -> Iterator[str | None]:
        """What may keep the engine from running anything here: each in words, or None."""
        yield self.refused
        yield self._lacks_class()
        yield self.needs_fp32
        yield self._int8_experts()
        yield self.lacks_kernels

    def _lacks_class(self) -> str | None:
        """That this version of vLLM has no class for the model, and the nearest that has one; else None."""
        if (nearest := self._nearest_version) is None:
            return None
        newer, helps = nearest > self.engine.version, self.other_version is not None
        has = f", 0.{nearest} {'has' if newer else 'had'}" if helps or nearest == self.model.vllm_since else ""
        way_out = f': overrides="engine_version=0.{nearest}"' if helps else ""
        return f"{self.engine_name} {'has no' if newer else 'no longer has a'} class for it{has}{way_out}"

    @property
    def _nearest_version(self) -> int | None:
        """The version of vLLM nearest to this one that has a class for the model; None where this one has."""
        first, last = engine_memory.versions(self.model)
        if self.engine.name != "vllm" or first <= self.engine.version <= last:
            return None
        return min(max(self.engine.version, first), last)

    def _int8_experts(self) -> str | None:
        """That LLM.int8() loads dense models alone; else None.

        Source: PyPI vllm-bnb-plugin 0.0.3, bitsandbytes_loader.py ("with RoutedExperts is not supported yet"); SGLang
        0.5.23, bitsandbytes.py, `_apply_8bit_dequant`.
        """
        if not self.precision.is_llm_int8 or self.model.architecture.experts is None:
            return None
        return f"{self.engine_name} loads no {self.precision.title} of a model with experts"

    def _has(self, what: str) -> bool:
        """Whether this version of the engine has a feature of `EngineInfo.since`."""
        return ENGINES[self.engine.name].has(what, self.engine.version)

    @property
    def _block(self) -> int:
        """Rows and columns that are sliced together: a block of scales, 1 without blocks. [elements]"""
        return self.model.sliced_block(self.precision.id) or 1
