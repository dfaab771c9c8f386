"""The layouts that an engine accepts of a model in a format on a GPU type."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from inferplan.core import memory, parallelism, placement
from inferplan.core.architecture import DenseFfn
from inferplan.core.engines.adapters import can_share_out
from inferplan.core.engines.vllm_defaults import is_compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import Mamba2
from inferplan.core.parallelism import Layout
from inferplan.tools.serving.lookups import degrees_of
from inferplan.tools.serving.target import Target

DEPTHS = (2, 4, 8)
"""Pipeline depths of wide tensor groups that are compared with plain groups, where no aim is stated."""

SHARED_TOKENS = "decode_context_parallel"
"""The override for decode context parallelism: ranks of a tensor group that share out the tokens of a cache."""

WITHIN_A_NODE = ("Volta", "Ampere")
"""Architectures with a scale-up link that are too old for DeepEP between nodes."""
MORI = ("CDNA3", "CDNA4")
"""Architectures that MoRI supports. Source: vLLM 0.16 to 0.33, all2all.py ("only support arch gfx942 and gfx950")."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runnable(Target):
    """A model, its engine and its GPUs, and the layouts that the engine accepts there."""

    node_size: int
    expert_parallel: bool = True
    degrees: tuple[int, ...] = field(init=False, compare=False)
    """The tensor-parallel degrees that the engine accepts within a domain, smallest first."""
    stage_degrees: tuple[int, ...] = field(init=False, compare=False)
    """The degrees worth splitting into stages, narrowest first: from the widest within a node on."""
    tensor: tuple[Layout, ...] = field(init=False, compare=False, repr=False)
    """A replica of each degree."""

    def __post_init__(self) -> None:
        """Look up once what follows from the rest and is asked for often."""
        Target.__post_init__(self)
        degrees = self._tensor_degrees()
        inside = sum(tp <= self.node_size for tp in degrees)
        object.__setattr__(self, "degrees", degrees)
        object.__setattr__(self, "stage_degrees", degrees[max(0, inside - 1) :])
        object.__setattr__(self, "tensor", tuple(map(Layout.tensor, degrees)))

    def _tensor_degrees(self) -> tuple[int, ...]:
        """See `degrees`.

        A model that is split by layers alone has one. Decode context parallelism needs groups of as many ranks for each
        KV head. Slices hold whole blocks of scales, and adapters that are shared out divide evenly.
        """
        if self.engine.name == "llama.cpp" or self.is_split_by_layers:
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
        """Ranks of the smallest tensor group for the decode context parallelism asked for. [GPUs]"""
        return self.engine.context_parallel * max([1, *self._kv_heads])

    @property
    def domain(self) -> int:
        """GPUs that communicate without the network: a node's, or a rack's where its link joins nodes."""
        return placement.domain_size(self.gpu, node_size=self.node_size)

    def common(self) -> Iterator[Layout]:
        """The replicas that people compare: every tensor group, and the widest ones in a few stages."""
        yield from self.tensor
        layers = self.model.architecture.layers
        yield from self._startable(Layout(tp=tp, pp=pp) for tp in self.stage_degrees for pp in DEPTHS if pp <= layers)

    def _startable(self, layouts: Iterable[Layout]) -> Iterator[Layout]:
        """Those of some replicas that the engine can start."""
        return (one for one in layouts if self.starts(one))

    def starts(self, layout: Layout) -> bool:
        """Whether the engine can place the stages: SGLang only as many on each node, others anywhere.

        vLLM has none of a model whose layers look n-grams of tokens up, which later stages do not receive, nor of
        Mamba-2 alone.

        Source: SGLang 0.5.23, entrypoints/engine.py (`pp_size_per_node`) and arg_groups/validation_hook.py; vLLM 0.29
        to 0.33, model_executor/models/config.py ("N-gram PLE embedding requires pipeline_parallel_size=1"); 0.28 to
        0.33, models/mamba2.py, whose class is no `SupportsPP` (mamba.py's is).
        """
        if layout.pp > 1 and self.is_unstaged:
            return False
        return self.engine.name != "sglang" or placement.is_even(layout, node_size=self.node_size)

    @property
    def is_unstaged(self) -> bool:
        """Whether the engine cannot split the model into stages at all."""
        architecture = self.model.architecture
        looks_up = architecture.ngram_layers > 0 and not is_compressed(architecture)
        mixers = architecture.mixers
        is_mamba2 = bool(mixers) and all(isinstance(one, Mamba2) for _, one in mixers)
        return self.engine.name == "vllm" and (looks_up or is_mamba2)

    def shared(self, most: int) -> list[Layout]:
        """Replicas whose tensor groups share experts, on at most `most` GPUs, smallest first; none of a dense model."""
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
        if experts is None or not self.expert_parallel or not self._can_exchange(tp):
            return []
        within = self.domain if self._has("shared_nodes") else self.node_size
        most = most if self._sends_over_network and not self.engine.adapters else min(most, within)
        found = parallelism.sharing_degrees(experts.experts, tp=tp, domain=self.domain, most=most)
        if self.engine.name == "vllm" and not is_compressed(self.model.architecture):
            return found
        even = [groups for groups in found if experts.experts % (tp * groups) == 0]
        return [groups for groups in even if self._can_slice(tp, tp * groups)] if self.engine.name == "sglang" else even

    @property
    def _sends_over_network(self) -> bool:
        """Whether the engine can send tokens to experts on other nodes; gathering tokens between nodes is too slow.

        vLLM can with DeepEP since 0.11 on NVIDIA's GPUs that have a scale-up link and are newer than A100, overlapped
        with computing as is counted of networks; with MoRI on AMD's since 0.15. No other maker's are known to.

        Source: DeepEP, README, "Requirements", and setup.py (SM80: within a node alone); vLLM, vllm/config/parallel.py.
        """
        if self.gpu.link is None or not self.sends_tokens:
            return False
        if self.gpu.vendor == "nvidia":
            return self.gpu.architecture not in WITHIN_A_NODE and self._has("overlap")
        return self.gpu.architecture in MORI and self._has("mori")

    def _can_slice(self, tp: int, ranks: int) -> bool:
        """Whether SGLang can slice the shared experts, and the dense layers, over all ranks."""
        shared = self.experts.shared_intermediate if self.experts and not self.sends_tokens else 0
        return shared % (ranks * self._block) == 0 and (tp == 1 or not self.keeps_dense_whole(ranks))

    def keeps_dense_whole(self, ranks: int) -> bool:
        """Whether slicing over this many ranks would cut a dense layer unevenly, or within a block of scales."""
        blocks = (group.ffn for group in self.model.architecture.groups if isinstance(group.ffn, DenseFfn))
        return any(block.intermediate % (ranks * self._block) for block in blocks)

    @property
    def sends_tokens(self) -> bool:
        """Whether the engine sends tokens to the GPUs of their experts, rather than gathering them on all.

        SGLang's DeepEP, as it starts by itself, computes FP8 in DeepGEMM, on NVIDIA's GPUs from Hopper on; experts in
        16 bit and other formats end in an assertion. FP8 without blocks, whose scales it repeats, is not counted on.

        Source: SGLang 0.5.23, srt/layers/moe/ep_moe/layer.py (`run_moe_core`), deep_gemm_wrapper/configurer.py.
        """
        if self.engine.name != "sglang":
            return self.engine.name == "vllm"
        in_blocks = self.precision.id == "fp8" and self._block > 1
        return in_blocks and self.gpu.vendor == "nvidia" and self.gpu.peak_flops("fp8") is not None

    def _can_exchange(self, tp: int) -> bool:
        """Whether the engine exchanges tokens of experts between tensor groups of this degree on these GPUs."""
        if self.engine.context_parallel > 1 or not self._has("shared") or not self._can_adapt(tp):
            return False
        if self.engine.name == "tensorrt-llm":
            return tp == 1 and (self.precision.id != "mxfp4" or self.gpu.peak_flops("fp4") is not None)
        return self.engine.name == "vllm" or (self.engine.name == "sglang" and self.gpu.link is not None)

    def _can_adapt(self, tp: int) -> bool:
        """Whether tensor groups of this degree may share experts with the adapters asked for: in vLLM those of one GPU.

        Source: vLLM 0.24 and 0.28, vllm/lora/layers/fused_moe.py, `_ep_check` (no sequence parallelism, which comes
        with wider groups, and no exchange but that of one node) and `_verify_ep_fs`.
        """
        return not self.engine.adapters or (tp == 1 and not self.engine.adapters_sharded)

    @property
    def may_share_tokens(self) -> bool:
        """Whether the engine has decode context parallelism: vLLM since 0.10."""
        return self.engine.name == "vllm" and self._has("context_parallel")

    @property
    def token_ranks(self) -> tuple[int, ...]:
        """Degrees of decode context parallelism that would help: of latents, which every rank holds in full otherwise.

        None where one is set already. Limits: under an indexer only some kernels of vLLM can, and on AMD few, so that
        none is offered there.

        Source: vLLM 0.28, v1/attention/backends/mla (`can_return_lse_for_decode`).
        """
        mixers = [mixer for _, mixer in self.model.architecture.mixers]
        plain = all(isinstance(mixer, Latent) and mixer.indexer is None for mixer in mixers)
        if not plain or not self.may_share_tokens or self.gpu.vendor != "nvidia" or self.engine.context_parallel > 1:
            return ()
        return tuple(1 << n for n in range(1, self.domain.bit_length()))

    @property
    def _kv_heads(self) -> Iterator[int]:
        """The KV heads of each kind of layer with a cache; 1 for latents, which all heads share."""
        return (part.heads or 1 for _, part in memory.cached_parts(self.model.architecture))

    @property
    def reduces_among(self) -> int:
        """GPUs of the widest tensor group that the engine's own all-reduce supports. [GPUs]

        Source: vLLM 0.24 and 0.25, config/compilation.py (`FI_SUPPORTED_WORLD_SIZES`) and allreduce_rms_fusion.py (no
        row of 16 for compute capability 10.7); FlashInfer and TensorRT-LLM, MNNVL kernels among 2 to 64.
        """
        if self.gpu.architecture not in ("Blackwell", "Blackwell Ultra"):
            return 8
        return 64 if self.engine.name != "vllm" else 16 if self._has("wide_reduce") else 8
