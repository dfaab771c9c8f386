"""Feed-forward blocks: dense ones, and mixtures of experts (MoE) with or without a shared expert."""

from collections.abc import Sequence
from dataclasses import dataclass

from inferplan.catalog.hugging_face.layers.expert_layers import ExpertLayers, every_layer
from inferplan.catalog.hugging_face.layers.heads import trait_of
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, LARGEST_FACTOR, Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.architecture import DenseFfn, ExpertFfn

Blocks = Sequence[DenseFfn | ExpertFfn | None]
"""The feed-forward block of each layer, None where it has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DenseLayers:
    """The same dense block in every layer; its width is under one of the `width` keys.

    `bias` may name the flag of the config that decides. `extra_params` are parameters of each layer beyond the form.
    """

    width: tuple[str, ...] = ("intermediate_size",)
    gated: bool = True
    bias: bool | str = False
    extra_params: int = 0

    def __call__(self, keys: Keys) -> Blocks:
        """The block of every layer."""
        return [self.read(keys)] * layers_of(keys)

    def read(self, keys: Keys) -> DenseFfn:
        """The block of one layer; of a gated one, the biases are among its `extra_params`."""
        width, bias = keys.integer(*self.width), trait_of(keys, self.bias)
        biases = 2 * width + hidden_of(keys) if bias and self.gated else 0
        return DenseFfn(
            intermediate=width, gated=self.gated, bias=bias and not self.gated, extra_params=biases + self.extra_params
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class MoeLayers:
    """Experts in some layers (`where`), a dense block in the others; tuples are the names that a key may have.

    The shared expert is as wide as `shared_width` says; or it is `shared_experts` experts, each as wide as a routed one
    or as `shared_each` says. `shared_gate` is its gate of one output, `router_bias` a bias of the router that is
    counted with it, `correction_bias` the one that corrects scores (`e_score_correction_bias`).
    """

    count: tuple[str, ...]
    active: tuple[str, ...] = ("num_experts_per_tok",)
    width: tuple[str, ...] = ("moe_intermediate_size",)
    shared_width: tuple[str, ...] = ()
    shared_experts: tuple[str, ...] = ()
    shared_default: int = 0
    shared_each: tuple[str, ...] = ()
    where: ExpertLayers = every_layer
    dense: DenseLayers = DenseLayers()
    bias: bool | str = False
    shared_gate: bool = False
    router_bias: bool = False
    correction_bias: bool = False

    def __call__(self, keys: Keys) -> Blocks:
        """The block of every layer."""
        layers = layers_of(keys)
        routed = self.where(keys, layers)
        dense = self.dense.read(keys) if not all(routed) else None
        expert = self.read(keys) if any(routed) else None
        return [expert if one else dense for one in routed]

    def read(self, keys: Keys) -> ExpertFfn:
        """The experts of one layer."""
        experts = keys.integer(*self.count, high=LARGEST_COUNT)
        active = keys.integer(*self.active, high=LARGEST_COUNT)
        width = keys.integer(*self.width)
        check_active(keys, keys.given(self.active), active, experts)
        return ExpertFfn(
            experts=experts,
            active=active,
            intermediate=width,
            shared_intermediate=self._shared(keys, width),
            bias=trait_of(keys, self.bias),
            shared_gate=self.shared_gate,
            router_bias=self.router_bias,
            extra_router_params=experts if self.correction_bias else 0,
        )

    def _shared(self, keys: Keys, width: int) -> int:
        """The width of all shared experts together. [elements]"""
        if self.shared_experts:
            each = keys.integer(*self.shared_each, default=width) if self.shared_each else width
            return each * (keys.optional(*self.shared_experts, default=self.shared_default, high=LARGEST_FACTOR) or 0)
        return keys.optional(*self.shared_width, default=0) or 0 if self.shared_width else 0


def check_active(keys: Keys, key: str, active: int, experts: int) -> None:
    """Refuse more active experts per token than there are experts."""
    if active > experts:
        keys.contradiction(f"{keys.name(key)} {active} is more than the {experts} experts")
