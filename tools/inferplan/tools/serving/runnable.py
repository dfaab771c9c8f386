"""What an engine runs of a model in a format on a GPU type: the layouts that it accepts, or why it runs none."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from inferplan.catalog.engines import ENGINES, Refusal, refusal
from inferplan.catalog.formats import FORMATS
from inferplan.core import engine_memory, memory, parallelism, placement
from inferplan.core.adapters import can_share_out
from inferplan.core.architecture import DenseFfn, ExpertFfn
from inferplan.core.compressed_memory import lacks_kernels
from inferplan.core.engine import USUAL, Engine
from inferplan.core.hardware import Gpu
from inferplan.core.latent_attention import Latent
from inferplan.core.memory import WeightBytes
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision
from inferplan.core.vllm_defaults import is_compressed
from inferplan.tools._models import SIXTEEN_BIT
from inferplan.tools.serving.launch_flags import FLAGS
from inferplan.tools.serving.offered import degrees_of, stages

DEPTHS = (2, 4, 8)
"""Stages of wide tensor groups that are compared with plain ones, where no aim is stated."""

SHARED_TOKENS = "decode_context_parallel"
"""The override that says among how many ranks of a tensor group the tokens of a cache are shared out."""

WITHIN_A_NODE = ("Volta", "Ampere")
"""What has a scale-up link and is too old for DeepEP to exchange tokens between nodes."""
MORI = ("CDNA3", "CDNA4")
"""What MoRI exchanges tokens on. Source: vLLM 0.16 to 0.33, all2all.py ("only support arch gfx942 and gfx950")."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runnable:
    """A model in a format on a GPU type, and the engine that is to run it."""

    model: Model
    precision: Precision
    gpu: Gpu
    engine: Engine
    node_size: int
    expert_parallel: bool = True
    refusal: Refusal | None = field(init=False, compare=False)
    """What keeps the engine from running this format on this GPU, where it is known not to."""
    kept_off: str | None = field(init=False, compare=False)
    """Why it runs nothing here, in words: that, a version that is older than the model, or what the GPU lacks."""
    degrees: tuple[int, ...] = field(init=False, compare=False)
    """The tensor-parallel degrees that the engine accepts within a domain, smallest first."""
    stage_degrees: tuple[int, ...] = field(init=False, compare=False)
    """The degrees worth splitting into stages, narrowest first: from the widest within a node on."""
    tensor: tuple[Layout, ...] = field(init=False, compare=False, repr=False)
    """A replica of each degree."""
    experts: ExpertFfn | None = field(init=False, compare=False, repr=False)
    """The model's experts."""

    def __post_init__(self) -> None:
        """Look up what follows from the rest, and is asked for time and again."""
        refused = refusal(self.engine.name, self.gpu, self.precision, version=self.engine.version)
        object.__setattr__(self, "refusal", refused)
        object.__setattr__(self, "kept_off", next(filter(None, self._obstacles()), None))
        degrees = self._accepted()
        inside = sum(tp <= self.node_size for tp in degrees)
        object.__setattr__(self, "degrees", degrees)
        object.__setattr__(self, "stage_degrees", degrees[max(0, inside - 1) :])
        object.__setattr__(self, "tensor", tuple(map(Layout.tensor, degrees)))
        object.__setattr__(self, "experts", self.model.architecture.experts)

    @property
    def weights(self) -> WeightBytes:
        """What is loaded, by where it goes. [B]"""
        return memory.weights(self.model, self.precision)

    @property
    def gpus_by_weights(self) -> int:
        """GPUs whose memory together is at least the weights: the guide's minimum. [GPUs]"""
        return memory.devices_for(self.weights.total, self.gpu.memory)

    @property
    def engine_name(self) -> str:
        """Engine and version, as answers name it."""
        info = ENGINES[self.engine.name]
        return f"{info.title} {f'0.{self.engine.version}' if self.engine.name == 'vllm' else info.covers}"

    @property
    def under(self) -> str:
        """` under SGLang 0.5`, for sentences that name no engine where it is the usual one."""
        return "" if self.engine.name == USUAL else f" under {self.engine_name}"

    @property
    def lacks_units(self) -> bool:
        """Whether the format is made to compute in, and this GPU has no units for it: it is expanded to 16 bit."""
        compute = self.precision.compute
        narrow = not self.precision.weight_only and compute not in ("fp32", "bf16")
        return narrow and self.refusal is None and self.gpu.peak_flops(compute) is None

    @property
    def refused(self) -> str | None:
        """What keeps the engine from running this format on this GPU (`refusal`), in words."""
        if (found := self.refusal) is None:
            return None
        what = f"load {self.precision.title}" if found.form else "run"
        return f"{self.engine_name} does not {what}{f' on {self.gpu.title}' if found.gpu else ''}"

    def _obstacles(self) -> Iterator[str | None]:
        """What may keep the engine from running anything here, each in words or None."""
        yield self.refused
        yield self._lacks_class()
        yield self.overflows
        yield self._routed()
        yield self.lacks_kernels

    def _lacks_class(self) -> str | None:
        """That this version of vLLM has no class for the model, and the nearest one that has, where that is known."""
        if (nearest := self._nearest_version) is None:
            return None
        newer, helps = nearest > self.engine.version, self.other_version is not None
        has = f", 0.{nearest} {'has' if newer else 'had'}" if helps or nearest == self.model.vllm_since else ""
        way_out = f': overrides="engine_version=0.{nearest}"' if helps else ""
        return f"{self.engine_name} {'has no' if newer else 'no longer has a'} class for it{has}{way_out}"

    @property
    def _nearest_version(self) -> int | None:
        """The version of vLLM next to this one that has a class for the model; None where this one has."""
        first, last = engine_memory.versions(self.model)
        if self.engine.name != "vllm" or first <= self.engine.version <= last:
            return None
        return min(max(self.engine.version, first), last)

    @property
    def other_version(self) -> int | None:
        """The version of vLLM that serves the model where this one does not, and a deployment of it can be given."""
        if (nearest := self._nearest_version) is None:
            return None
        reason = engine_memory.cache_not_modelled(self.model, replace(self.engine, version=nearest))
        return nearest if reason is None else None

    @property
    def lacks_kernels(self) -> str | None:
        """That vLLM has no kernels of this model's attention for this GPU, where it serves the model on others."""
        reason = lacks_kernels(self.model.architecture, self.gpu, self.engine) if self.engine.name == "vllm" else None
        if reason is None or engine_memory.cache_not_modelled(self.model, self.engine):
            return None
        return f"{self.engine_name} does not run {self.model.title} on {self.gpu.title}: {reason}"

    @property
    def overflows(self) -> str | None:
        """That vLLM takes the model in FP32, twice the memory, where a GPU has no BF16; GGUF is left as it is.

        Source: vLLM 0.28, vllm/config/model.py, `_resolve_auto_dtype`, and platforms/cuda.py (`supported_dtypes`).
        """
        lacks = self.model.needs_bf16 and self.gpu.architecture in ("Volta", "Turing")
        if not lacks or self.engine.name != "vllm" or self.precision.is_gguf or self.precision.id == "fp32":
            return None
        return f"{self.engine_name} serves it on {self.gpu.title}, which has no BF16, in FP32 alone: precision fp32"

    def _routed(self) -> str | None:
        """That LLM.int8() is loaded of dense models alone.

        Source: PyPI vllm-bnb-plugin 0.0.3, bitsandbytes_loader.py ("with RoutedExperts is not supported yet"); SGLang
        0.5.23, bitsandbytes.py, `_apply_8bit_dequant`.
        """
        if not self.precision.is_llm_int8 or self.model.architecture.experts is None:
            return None
        return f"{self.engine_name} loads no {self.precision.title} of a model with experts"

    @property
    def untimed(self) -> str | None:
        """Why no time is known of it, in words: of the GPU, or of the format.

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
        """What the engine is told so that it quantises a 16-bit release while it loads it; empty where it does not.

        To FP8, and with bitsandbytes to NF4, in blocks of 64 with scales in FP32, as stored builds have them.

        Source: vllm-bnb-plugin 0.0.3, bitsandbytes_loader.py, `_unquantized_generator`, `_dequantize_dq`.
        """
        wide = FORMATS.id_of(self.model.native_precision) in SIXTEEN_BIT
        return FLAGS[self.engine.name].quantize.get(self.precision.id, "") if wide else ""

    @property
    def unsliced(self) -> bool:
        """Whether engines split the checkpoint by layers alone: what bitsandbytes stored.

        A 16-bit release that is made NF4 while it is loaded is sliced before.

        Source: vllm-bnb-plugin 0.0.3, bitsandbytes_loader.py ("Prequant BitsAndBytes models with tensor parallelism is
        not supported"), as vLLM 0.27 had it itself; SGLang 0.5.23, model_loader/loader.py, in the same words.
        """
        return self.precision.is_bitsandbytes and not self.quantised_online

    def _accepted(self) -> tuple[int, ...]:
        """See `degrees`.

        llama.cpp splits by layers alone, and so do others what is `unsliced`. What shares out the tokens of a cache
        needs as many ranks, and as many for each KV head. A checkpoint in blocks is cut into whole ones, and adapters
        that are shared out evenly.
        """
        if self.engine.name == "llama.cpp" or self.unsliced:
            return (1,)
        degrees = degrees_of(self.model, self.domain, self.model.sliced_block(self.precision.id))
        if self.engine.adapters_sharded:
            on = (self.model, self.precision, self.engine)
            degrees = tuple(tp for tp in degrees if can_share_out(*on, tp))
        if self.engine.context_parallel == 1:
            return degrees
        return tuple(tp for tp in degrees if tp % self.sharing_group == 0)

    @property
    def sharing_group(self) -> int:
        """Ranks of a tensor group that shares out the tokens of a cache, or of each part of it. [GPUs]"""
        return self.engine.context_parallel * max([1, *self._kv_heads])

    @property
    def domain(self) -> int:
        """GPUs that talk without the network: those of a node, of the rack where its link joins nodes."""
        return placement.domain_size(self.gpu, node_size=self.node_size)

    def common(self) -> Iterator[Layout]:
        """The replicas that people compare: every tensor group, and the widest in a few stages."""
        yield from self.tensor
        layers = self.model.architecture.layers
        yield from self._started(stages(tp, pp) for tp in self.stage_degrees for pp in DEPTHS if pp <= layers)

    def _started(self, layouts: Iterable[Layout]) -> Iterator[Layout]:
        """Those of some replicas that the engine can start."""
        return (one for one in layouts if self.starts(one))

    def starts(self, layout: Layout) -> bool:
        """Whether the engine places its stages: SGLang as many on each server, others anywhere.

        Source: SGLang 0.5.23, entrypoints/engine.py (`pp_size_per_node`) and arg_groups/validation_hook.py.
        """
        return self.engine.name != "sglang" or placement.is_even(layout, node_size=self.node_size)

    def shared(self, most: int) -> list[Layout]:
        """Tensor groups that share experts, on at most so many GPUs, smallest first; none of a dense model."""
        if self.experts is None:
            return []
        layouts = (Layout(tp=tp, attention_dp=n) for tp in self.degrees for n in self.sharing(tp, most))
        return sorted(layouts, key=lambda one: one.replica)

    def sharing(self, tp: int, most: int) -> list[int]:
        """How many tensor groups of this degree may share experts on at most so many GPUs; none of a dense model.

        llama.cpp spreads no experts, and tokens of a cache that ranks share out are not modelled beside it. Between
        nodes GPUs need kernels of their own (see `_sends_over_network`). vLLM shares experts since 0.8, between servers
        since 0.9; its ranks may have an expert more than others, but for DeepSeek-V4. Other engines' have as many each.
        TensorRT-LLM's groups are of one GPU; its exchange over a network is not modelled. SGLang gathers tokens where
        it does not send them (see `sends_tokens`), and then slices shared experts over all ranks; dense layers it
        slices over them, or keeps whole on each, which is what is counted of groups of one GPU.

        Source: TensorRT-LLM, attention.py, fused_moe/interface.py and, of MXFP4 on Hopper, fused_moe_triton.py
        (`use_dp`); SGLang 0.5.23, deepseek_v2.py and fused_moe_triton/layer.py (experts % moe_ep_size == 0); vLLM,
        models/deepseek_v4/nvidia/model.py (n_physical_experts % ep_size == 0) and the review of pull request 57465
        (others need not divide).
        """
        experts = self.experts
        if experts is None or not self.expert_parallel or not self._exchanges(tp):
            return []
        within = self.domain if self._has("shared_nodes") else self.node_size
        most = most if self._sends_over_network and not self.engine.adapters else min(most, within)
        found = parallelism.sharing_degrees(experts.experts, tp=tp, domain=self.domain, most=most)
        if self.engine.name == "vllm" and not is_compressed(self.model.architecture):
            return found
        even = [groups for groups in found if experts.experts % (tp * groups) == 0]
        return [groups for groups in even if self._cuts(tp, tp * groups)] if self.engine.name == "sglang" else even

    @property
    def _sends_over_network(self) -> bool:
        """Whether the engine sends tokens to experts on other nodes of these GPUs: gathering them there is too slow.

        With DeepEP on NVIDIA's that have a scale-up link and are newer than A100: in vLLM beside computing, as is
        counted of networks, since 0.11. With MoRI on AMD's in vLLM since 0.15. No other maker's are known to.

        Source: DeepEP, README, "Requirements", and setup.py (SM80: within a node alone); vLLM, vllm/config/parallel.py.
        """
        if self.gpu.link is None or not self.sends_tokens:
            return False
        if self.gpu.vendor == "nvidia":
            return self.gpu.architecture not in WITHIN_A_NODE and self._has("overlap")
        return self.gpu.architecture in MORI and self._has("mori")

    def _cuts(self, tp: int, ranks: int) -> bool:
        """Whether SGLang can cut over all ranks what it does not keep whole."""
        shared = self.experts.shared_intermediate if self.experts and not self.sends_tokens else 0
        return shared % (ranks * self._block) == 0 and (tp == 1 or not self.keeps_dense_whole(ranks))

    def keeps_dense_whole(self, ranks: int) -> bool:
        """Whether so many ranks would cut a dense layer unevenly, or within a block of scales."""
        blocks = (group.ffn for group in self.model.architecture.groups if isinstance(group.ffn, DenseFfn))
        return any(block.intermediate % (ranks * self._block) for block in blocks)

    @property
    def _block(self) -> int:
        """Rows and columns that are sliced together, 1 where any are. [elements]"""
        return self.model.sliced_block(self.precision.id) or 1

    @property
    def sends_tokens(self) -> bool:
        """Whether the engine can send tokens to the GPUs of their experts, rather than gather them on all.

        SGLang's DeepEP, as it starts by itself, computes FP8 in DeepGEMM, on NVIDIA's GPUs from Hopper on; experts in
        16 bit and other formats end in an assertion. FP8 without blocks, whose scales it repeats, is not counted on.

        Source: SGLang 0.5.23, srt/layers/moe/ep_moe/layer.py (`run_moe_core`), deep_gemm_wrapper/configurer.py.
        """
        if self.engine.name != "sglang":
            return self.engine.name == "vllm"
        in_blocks = self.precision.id == "fp8" and self._block > 1
        return in_blocks and self.gpu.vendor == "nvidia" and self.gpu.peak_flops("fp8") is not None

    def _exchanges(self, tp: int) -> bool:
        """Whether the engine exchanges tokens of experts between tensor groups of this degree on these GPUs."""
        if self.engine.context_parallel > 1 or not self._has("shared") or not self._adapts(tp):
            return False
        if self.engine.name == "tensorrt-llm":
            return tp == 1 and (self.precision.id != "mxfp4" or self.gpu.peak_flops("fp4") is not None)
        return self.engine.name == "vllm" or (self.engine.name == "sglang" and self.gpu.link is not None)

    def _adapts(self, tp: int) -> bool:
        """Whether such groups may share experts with the LoRA adapters that there are: groups of one GPU in vLLM.

        Source: vLLM 0.24 and 0.28, vllm/lora/layers/fused_moe.py, `_ep_check` (no sequence parallelism, which comes
        with wider groups, and no exchange but that of one node) and `_verify_ep_fs`.
        """
        return not self.engine.adapters or (tp == 1 and not self.engine.adapters_sharded)

    @property
    def may_share_tokens(self) -> bool:
        """Whether ranks of a tensor group may share out the tokens of a cache: in vLLM since 0.10."""
        return self.engine.name == "vllm" and self._has("context_parallel")

    @property
    def token_ranks(self) -> tuple[int, ...]:
        """Among how many ranks the tokens of a cache may be shared out that each has all of now: latents.

        None where they are already. Limits: under an indexer only some kernels of vLLM can, and on AMD few, so that
        none is offered there.

        Source: vLLM 0.28, v1/attention/backends/mla (`can_return_lse_for_decode`).
        """
        mixers = [mixer for _, mixer in self.model.architecture.mixers]
        plain = all(isinstance(mixer, Latent) and mixer.indexer is None for mixer in mixers)
        if not plain or not self.may_share_tokens or self.gpu.vendor != "nvidia" or self.engine.context_parallel > 1:
            return ()
        return tuple(1 << n for n in range(1, self.domain.bit_length()))

    def _has(self, what: str) -> bool:
        """Whether this version of the engine has what `EngineInfo.since` names."""
        return ENGINES[self.engine.name].has(what, self.engine.version)

    @property
    def _kv_heads(self) -> Iterator[int]:
        """The KV heads of each kind of layer that has any; a latent is one for all."""
        return (part.heads or 1 for _, part in memory.cached_parts(self.model.architecture))

    @property
    def reduces_among(self) -> int:
        """The GPUs of the widest tensor group that the engine's own all-reduce is for. [GPUs]

        Source: vLLM 0.24 and 0.25, config/compilation.py (`FI_SUPPORTED_WORLD_SIZES`) and allreduce_rms_fusion.py (no
        row of 16 for compute capability 10.7); FlashInfer and TensorRT-LLM, MNNVL kernels among 2 to 64.
        """
        if self.gpu.architecture not in ("Blackwell", "Blackwell Ultra"):
            return 8
        return 64 if self.engine.name != "vllm" else 16 if self._has("wide_reduce") else 8
