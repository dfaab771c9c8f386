"""A published measurement of an engine's memory, and its configuration in the terms of the memory rules."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from inferplan.catalog._shelf import UnknownName
from inferplan.catalog.formats import FORMATS, KV_FORMATS, KvFormat
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core import engine_memory, memory
from inferplan.core.engine import Engine, EngineName
from inferplan.core.engine_memory import RULES, Capacity
from inferplan.core.engines import vllm_defaults
from inferplan.core.hardware import Gpu
from inferplan.core.model import Adapted, Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision
from inferplan.core.units import GIB
from inferplan.tools._words import printable
from inferplan.tools.validation.report import CannotPredict
from inferplan.tools.validation.short_form import ShortForm, Size

ENGINES: Mapping[str, EngineName] = {
    "vllm": "vllm",
    "aphrodite (vLLM fork)": "vllm",
    "sglang": "sglang",
    "tensorrt-llm": "tensorrt-llm",
    "llama.cpp": "llama.cpp",
    "ik_llama.cpp": "llama.cpp",
}
"""Engines by the name that cases use; forks under the engine whose rules they follow."""
FORKS = frozenset({"aphrodite (vLLM fork)"})
"""Forks with overheads of their own."""
WITHOUT_WINDOWS = frozenset({"ik_llama.cpp"})
"""Engines that keep every token of windowed layers."""
FIRST_ENGINE_GPUS = frozenset({"t4"})
"""GPUs on which vLLM up to 0.10 falls back to its first engine."""
Text = Annotated[str, Field(strict=True, max_length=200), AfterValidator(printable)]
"""Text of a source, escaped so that it can be printed."""
Degree = Annotated[int, Field(strict=True, ge=1, le=1024)]
Share = Annotated[float, Field(strict=True, gt=0, le=1)]
Flag = Annotated[bool, Field(strict=True)]
DRAFTED_AS = ("speculative_tokens", "num_speculative_tokens")
"""How cases name the tokens that are drafted a step: as answers take them, or as vLLM does."""
Drafted = Annotated[int, Field(strict=True, ge=0, le=16)]
"""Tokens drafted a step, within the bounds of the setting. [tokens]"""


class Extra(BaseModel):
    """What few cases state: the driver's total, adapters, decode context parallelism, shares of other engines.

    `first_runner` where vLLM was told to use that (VLLM_USE_V2_MODEL_RUNNER=0), `first_start` where it compiled the
    model as it started.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    gpu_total_gib: float | None = Field(default=None, strict=True, gt=0, le=10**6)
    lora_enabled: Flag | None = None
    first_runner: Flag | None = None
    first_start: Flag | None = None
    lora_adapters: Size | None = None
    lora_rank: Size | None = None
    lora_sharded: Flag | None = None
    lora_layers: Adapted | None = None
    dcp: Degree | None = None
    mem_fraction_static: Share | None = None
    free_gpu_mem_fraction: Share | None = None


class MemoryCase(BaseModel):
    """One measurement with its configuration; None is what its source does not state.

    `speculative_tokens` are drafted a step (vLLM's num_speculative_tokens, SGLang's --speculative-num-steps) by the
    model's own predictor; None and 0 are a start that does not draft.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    id: Text
    engine: Text
    engine_version: Text | None = None
    model: Text
    weight_format: Text | None = None
    kv_dtype: Text | None = None
    gpu: Text | None = None
    gpu_count: int | None = Field(default=None, strict=True, ge=1, le=100_000)
    tp: Degree | None = None
    pp: Degree | None = None
    gpu_memory_utilization: Share | None = None
    max_model_len: Size | None = None
    max_num_seqs: Size | None = None
    max_num_batched_tokens: Size | None = None
    enforce_eager: Flag | None = None
    prefix_caching: Flag | None = None
    speculative_tokens: Drafted | None = Field(default=None, validation_alias=AliasChoices(*DRAFTED_AS))
    architecture: ShortForm | None = None
    extra: Extra | None = None
    measured: Mapping[str, Any] | None = None


class Setup:
    """A case in the terms of the memory rules; each property raises `CannotPredict` for what the case lacks."""

    def __init__(self, case: MemoryCase) -> None:
        """Nothing is looked up before it is needed."""
        self.case = case
        self.extra = case.extra or Extra()

    @cached_property
    def engine_name(self) -> EngineName:
        """The engine whose rules apply."""
        if self.case.engine not in ENGINES:
            raise CannotPredict(f"no rules are known here for the engine {self.case.engine}")
        return ENGINES[self.case.engine]

    @cached_property
    def version(self) -> int:
        """vLLM's minor version; 7 for what its source calls V0, the newest where none is stated."""
        text = self.case.engine_version or ""
        found = re.search(r"\b0\.(\d+)", text)
        minor = int(found[1]) if found else vllm_defaults.NEWEST
        first = "V0" in text or (self.gpu_id in FIRST_ENGINE_GPUS and minor <= 10)
        return min(minor, vllm_defaults.LAST_OF_THE_FIRST_ENGINE) if first else minor

    @cached_property
    def model(self) -> Model:
        """The model; with the layers that LoRA adapts where the case states them."""
        layers = self.extra.lora_layers
        return self._model if layers is None else replace(self._model, lora=layers)

    @cached_property
    def _model(self) -> Model:
        """The catalogued model where its layers are those stated, else the one of the short form.

        The maximum position is the one stated: it decides the size of the rotary table.
        """
        known, form = catalogued(self.case.model), self.case.architecture
        if known and form and form.describes(known.architecture):
            return replace(known, architecture=replace(known.architecture, max_positions=form.pos))
        if known and form is None:
            return known
        if form is None:
            raise CannotPredict(f'no architecture is stated, and no model "{self.case.model}" is in the catalog')
        try:
            architecture = form.build(self.case.model.rpartition("/")[2])
        except ValueError as reason:
            raise CannotPredict(str(reason)) from None
        return Model(id=self.case.id, title=self.case.model, architecture=architecture, native_precision="bf16")

    @cached_property
    def precision(self) -> Precision:
        """The weight format, where its name says how each class of tensors is stored."""
        name = (self.case.weight_format or "").casefold()
        id_ = WEIGHT_FORMATS.get(name) or self._own_format(name)
        if id_ is None:
            stated = f'"{self.case.weight_format}" does not say which tensors are stored how'
            raise CannotPredict(f"the weight format {stated if self.case.weight_format else 'is not stated'}")
        return FORMATS[id_]

    def _own_format(self, name: str) -> str | None:
        """A format that leaves layers out, where it is known which; else None.

        It is known of the release, and of a published build that the case names, or that it leaves open with the
        model's name.
        """
        if name == self.model.native_precision:
            return name
        build = self.model.build(name)
        named = build and self.case.model.casefold() == build.id.casefold()
        return name if named or (build and _is_plainly(self.case.model, self.model)) else None

    @cached_property
    def kv_bits(self) -> float:
        """Bits of a cached element, the mean of keys and values. [bits]"""
        bits = [kept.bits for kept in self.caches if kept]
        if len(bits) < len(self.caches):
            stated = f'"{self.case.kv_dtype}" is not known' if self.case.kv_dtype else "is not stated"
            raise CannotPredict(f"the KV cache format {stated}")
        return sum(bits) / len(bits)

    @cached_property
    def caches(self) -> tuple[KvFormat | None, ...]:
        """The format of the cache, or those of keys and values; None for one that is not known."""
        text = (self.case.kv_dtype or "").casefold()
        parts = re.search(r"k (\w+) / v (\w+)", text)
        return tuple(map(_cache_format, parts.groups() if parts else text.split()[:1] or [""]))

    @cached_property
    def layout(self) -> Layout:
        """The parallel degrees of one replica. Latents are on every rank, so that their degree may be open."""
        if self.engine_name == "llama.cpp":
            return Layout(pp=self.case.gpu_count or 1)
        if self.case.tp is None and any(part.heads for _, part in memory.cached_parts(self.model.architecture)):
            raise CannotPredict("`tp` is not stated")
        if (self.case.pp or 1) > self.model.architecture.layers:
            raise CannotPredict("`pp` is more than the model has layers")
        return Layout(tp=self.case.tp or 1, pp=self.case.pp or 1)

    @cached_property
    def gpu_id(self) -> str | None:
        """The id of the catalogued GPU; None of any other."""
        name = re.sub(r"\(.*?\)", "", self.case.gpu or "").strip()
        return GPUS.only(name)

    @cached_property
    def gpu(self) -> Gpu:
        """The GPU, with the memory that its driver reported where stated."""
        if self.gpu_id is None:
            stated = f'the GPU "{self.case.gpu}" is not in the catalog' if self.case.gpu else "`gpu` is not stated"
            raise CannotPredict(stated)
        known, total = GPUS[self.gpu_id], self.extra.gpu_total_gib
        return replace(known, engine_memory=round(total * GIB)) if total else known

    @property
    def any_gpu(self) -> Gpu:
        """The GPU; an H100 where it is not known, for what hardly depends on it."""
        return self.gpu if self.gpu_id else GPUS["h100-sxm"]

    @property
    def share(self) -> float | None:
        """The share of memory that the engine may fill; None where not stated. [fraction]"""
        return self.extra.mem_fraction_static or self.extra.free_gpu_mem_fraction or self.case.gpu_memory_utilization

    @property
    def context(self) -> int:
        """`max_model_len`, or the model's own limit. [tokens]"""
        return self.case.max_model_len or self.model.architecture.max_positions

    @property
    def prefix_caching(self) -> bool:
        """Whether prefixes are cached: as stated, else by the engine's default."""
        if self.case.prefix_caching is not None or self.engine_name != "vllm":
            return self.case.prefix_caching is not False
        return vllm_defaults.default_prefix_caching(self.model.architecture, self.version)

    def engine(self, *, gpu: Gpu) -> Engine:
        """The engine as stated, with its own defaults on this GPU for the rest.

        vLLM's first engine takes whole prompts in one step.
        """
        tokens, sequences = RULES[self.engine_name].default_batching(gpu, self.version)
        if self.engine_name == "vllm" and self.version <= vllm_defaults.LAST_OF_THE_FIRST_ENGINE:
            tokens = max(tokens, self.context)
        return Engine(
            name=self.engine_name,
            version=self.version,
            memory_utilization=self.share,
            max_num_seqs=self.case.max_num_seqs or sequences,
            max_num_batched_tokens=self.case.max_num_batched_tokens or tokens,
            cuda_graphs=not self.case.enforce_eager,
            prefix_caching=self.prefix_caching,
            windows=self.case.engine not in WITHOUT_WINDOWS,
            context_parallel=self.extra.dcp or 1,
            latent_scales=vllm_defaults.default_latent_scales(gpu, self.version),
            state_checkpoints=vllm_defaults.default_state_checkpoints(gpu, self.version),
            head_scale_bytes=max(kept.head_scale_bytes if kept else 0 for kept in self.caches),
            adapters=self.extra.lora_adapters or 1 if self.extra.lora_rank else 0,
            adapter_rank=self.extra.lora_rank or 1,
            adapters_sharded=bool(self.extra.lora_sharded),
            keeps_max_num_seqs=True,
            first_runner=self.extra.first_runner is True,
            first_start=self.extra.first_start is True,
            drafts=self.case.speculative_tokens or 0,
        )

    def overheads_known(self) -> None:
        """Raise `CannotPredict` for forks with overheads of their own."""
        if self.case.engine in FORKS:
            raise CannotPredict(f"the overheads of {self.case.engine} are not known here")

    def batching_decided(self) -> None:
        """Raise `CannotPredict` where the activation peak depends on settings that are not stated."""
        missing = [name for name in ("max_num_seqs", "max_num_batched_tokens") if getattr(self.case, name) is None]
        needed = missing if self.engine_name == "vllm" else missing[1:] if self.engine_name == "llama.cpp" else []
        if needed:
            raise CannotPredict(f"`{needed[0]}` is not stated, and the activation peak follows it")

    def loaded_alone(self) -> None:
        """Raise `CannotPredict` where something of unknown size is loaded beside the model."""
        if self.extra.lora_enabled and not self.extra.lora_rank:
            raise CannotPredict("slots for LoRA adapters are loaded too, and their rank is not stated")

    @cached_property
    def capacity(self) -> Capacity:
        """The KV cache of one replica, with the engine's defaults for what is not stated."""
        self.overheads_known()
        self.loaded_alone()
        if self.engine_name == "tensorrt-llm" and (self.case.engine_version or "").startswith("0."):
            raise CannotPredict("the pool of TensorRT-LLM before 1.0 is not covered")
        held = engine_memory.capacity(
            self.model,
            self.precision,
            self.gpu,
            self.layout,
            self.engine(gpu=self.gpu),
            context=self.context,
            kv_bits=self.kv_bits,
        )
        if held.not_modelled:
            raise CannotPredict(held.not_modelled)
        return held


WEIGHT_FORMATS: Mapping[str, str] = {
    "bf16": "bf16",
    "fp16": "fp16",
    "fp32": "fp32",
    "fp8": "fp8",
    "fp8-block": "fp8",
    "fp8-dynamic": "fp8",
    "int8": "int8",
    "int8-w8a8": "int8",
    "int8-w8a16": "w8a16",
    "gptq-int8": "gptq-int8",
    "awq": "awq",
    "awq-int4": "awq",
    "gptq": "gptq",
    "gptq-int4": "gptq",
    "mxfp4": "mxfp4",
}
"""Formats whose name says how each class of tensors is stored; NVFP4, INT4, bitsandbytes and GGUF differ by build."""
_FORMAT_WORDS = re.compile(
    r"[-_. ]*\b(fp8|nvfp4|mxfp4|awq|gptq|int4|int8|4bit|8bit|bnb|quantized\.w\d+a\d+|dynamic|block|unsloth|qat)$"
)


def catalogued(name: str) -> Model | None:
    """The catalogued model of a name without the words of its format; None where there is none."""
    plain = re.sub(r"\(.*?\)", "", name).strip().casefold()
    while (shorter := _FORMAT_WORDS.sub("", plain)) != plain:
        plain = shorter
    try:
        return MODELS.find(plain)
    except UnknownName:
        return None


def _is_plainly(name: str, model: Model) -> bool:
    """Whether a name is that of a model, and of no other checkpoint of it."""
    return MODELS.only(name) == model.id


def _cache_format(word: str) -> KvFormat | None:
    """A format of the KV cache by the name that engines use; None for one that is not known."""
    try:
        return KV_FORMATS.find({"f16": "fp16", "f32": "fp32", "iq4_nl": "q4_0"}.get(word, word))
    except UnknownName:
        return None
