"""A model to serve: its architecture under a name, the formats that it is released and published in, its totals.

A size class of the guide ("70B") is nominal: its totals are what its name says, and its architecture is the
shape of the model that it stands for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from inferplan.core.architecture import Architecture
from inferplan.core.parameters import Parameters, count, idle_params
from inferplan.core.sparsity import routed_params

Adapted = Literal["", "linear", "embedding", "ends", "joined", "stacked"]
"""What vLLM adapts by LoRA of a model: its linear layers, also its embedding, or embedding and head; `joined` is the
last with query, key and value as one and gate and up as one, `stacked` linear layers with gate and up of an expert as
one. Empty where no source says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Nominal:
    """What a size class is by name: its totals are exact because they are a definition. [parameters]"""

    total: int
    active: int


REST = 16.0
"""What tensors have that a checkpoint does not quantise. [bits]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class NativeBits:
    """What a checkpoint that is quantised in parts spends on each tensor class; the rest is 16 bit. [bits]"""

    mixers: float = REST
    ffn: float = REST
    routed_experts: float = REST
    lookup: float = REST
    output_head: float = REST
    embedding: float = REST


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """A checkpoint that is published beside the release, in another format: what it really quantises.

    `kv_bits` is the element of the KV cache that its own config asks for, None where it leaves that to the engine.
    Layers that predict further tokens stay in 16 bit: every build that is known here leaves them out.
    """

    id: str
    bits: NativeBits
    kv_bits: float | None = None


def _no_builds() -> Mapping[str, Build]:
    """No builds are known."""
    return {}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Model:
    """A model to serve: a size class (with `nominal`) or a catalogued checkpoint (without).

    Compared by identity, so that results can be remembered by model at little cost. `native_kv_bits` is what its config
    asks the KV cache to be stored in; `builds` are published checkpoints in other formats, by the format. With
    `remote_code` a checkpoint brings code of its own, which an engine has to be allowed to run; one that `needs_bf16`
    overflows in FP16. In its own format `weight_block` inputs, in blocks also outputs, share a scale; 0 where a row
    does or a tensor.
    `vllm_since` is the first vLLM (28 is 0.28) that has a class for it; 0 where that is not known. `lora` is what vLLM
    adapts of it.
    """

    id: str
    title: str
    architecture: Architecture
    native_precision: str
    nominal: Nominal | None = None
    stands_for: str | None = None
    native_bits: NativeBits | None = None
    native_kv_bits: float | None = None
    builds: Mapping[str, Build] = field(default_factory=_no_builds)
    remote_code: bool = False
    needs_bf16: bool = False
    weight_block: int = 0
    vllm_since: int = 0
    lora: Adapted = ""

    def build(self, precision: str) -> Build | None:
        """The published checkpoint in this format, where one is known that is not the release itself."""
        return None if precision == self.native_precision else self.builds.get(precision)

    def block(self, precision: str) -> int:
        """Inputs that share a scale in this format, 0 where all of a row do. [elements]"""
        return self.weight_block if precision == self.native_precision else 0

    def sliced_block(self, precision: str) -> int:
        """The same of what all tokens pass through; 0 where the checkpoint quantises its routed experts alone."""
        bits = self.own_bits(precision)
        experts_alone = bits is not None and bits.mixers == bits.ffn == REST
        return 0 if experts_alone else self.block(precision)

    def own_kv_bits(self, precision: str) -> float | None:
        """The element of the KV cache that its checkpoint in this format asks for, None where it does not. [bits]"""
        if precision == self.native_precision:
            return self.native_kv_bits
        build = self.build(precision)
        return build.kv_bits if build else None

    def own_bits(self, precision: str) -> NativeBits | None:
        """What its checkpoint in this format spends on each class; None where the format's own rule applies."""
        if precision == self.native_precision:
            return self.native_bits
        build = self.build(precision)
        return build.bits if build else None

    @property
    def is_size_class(self) -> bool:
        """Whether the totals come from the name rather than from tensors."""
        return self.nominal is not None

    def is_beyond_training(self, context: int) -> bool:
        """Whether a checkpoint was trained for shorter contexts; a size class is for none."""
        return not self.is_size_class and context > self.architecture.max_positions

    @property
    def parameters(self) -> Parameters:
        """Parameters by tensor class; for a size class, scaled so that they add up to what its name says.

        The residual goes to the matrices that make up most of the model: the dense feed-forward blocks, or,
        in a mixture of experts, to the split that total and active parameters define (see `core.sparsity`).
        """
        return _parameters(self)

    @property
    def total_params(self) -> int:
        """Every parameter that has to be in memory."""
        return self.parameters.total

    @property
    def active_params(self) -> int:
        """Parameters that take part in computing one token, embedding and head included."""
        if self.nominal is not None:
            return self.nominal.active
        return self.parameters.total - idle_params(self.architecture)


@lru_cache(maxsize=1024)
def _parameters(model: Model) -> Parameters:
    """What `Model.parameters` says, remembered by model."""
    exact = count(model.architecture)
    return exact if model.nominal is None else _stretch(exact, model.architecture, model.nominal)


def _stretch(exact: Parameters, architecture: Architecture, nominal: Nominal) -> Parameters:
    """The tensor classes of a size class, adding up to its nominal total (and active) parameters."""
    experts = architecture.experts
    if experts is None:
        ffn = nominal.total - (exact.total - exact.dense_ffn)
        return replace(exact, dense_ffn=ffn)
    routed = round(
        routed_params(
            total_params=nominal.total,
            active_params=nominal.active,
            experts=experts.experts,
            active=experts.active,
        )
    )
    rest = exact.total - exact.routed_experts - exact.shared_experts
    return replace(exact, routed_experts=routed, shared_experts=nominal.total - routed - rest)
