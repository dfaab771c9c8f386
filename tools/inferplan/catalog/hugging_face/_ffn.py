"""What each token passes through: dense blocks, routed and shared experts, and which layers have which."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

from inferplan.catalog.hugging_face._attention import hidden_of, layers_of
from inferplan.catalog.hugging_face._keys import MOST_LAYERS, Keys
from inferplan.catalog.hugging_face._recurrent import nemotron_kinds
from inferplan.core.architecture import DenseFfn, ExpertFfn

Blocks = list[DenseFfn | ExpertFfn | None]
Routing = Callable[[Keys, int], Sequence[bool]]
"""Whether each layer has experts."""

MANY = 10**5
KINDS = ("dense", "sparse")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dense:
    """Layers of one dense block, whose width goes by one of the `width` names."""

    width: tuple[str, ...] = ("intermediate_size",)
    gated: bool = True
    bias: bool | str = False
    extra_params: int = 0

    def __call__(self, keys: Keys) -> Blocks:
        """The block of every layer."""
        return [self.read(keys)] * layers_of(keys)

    def read(self, keys: Keys) -> DenseFfn:
        """The block of one layer; the biases of a gated one are its `extra_params`."""
        width = keys.integer(*self.width)
        bias = keys.flag(self.bias) if isinstance(self.bias, str) else self.bias
        extra = 2 * width + hidden_of(keys) if bias and self.gated else 0
        return DenseFfn(
            intermediate=width, gated=self.gated, bias=bias and not self.gated, extra_params=extra + self.extra_params
        )


def four_times(keys: Keys) -> Blocks:
    """4 × hidden, without a gate, with biases (BLOOM). Source: transformers, `BloomMLP`."""
    return [DenseFfn(intermediate=4 * hidden_of(keys), gated=False, bias=True)] * layers_of(keys)


def bigcode(keys: Keys) -> Blocks:
    """`n_inner` or 4 × hidden, without a gate, with biases. Source: transformers, `GPTBigCodeMLP`."""
    width = keys.integer("n_inner", "intermediate_size", default=4 * hidden_of(keys))
    return [DenseFfn(intermediate=width, gated=False, bias=True)] * layers_of(keys)


def falcon(keys: Keys) -> Blocks:
    """`ffn_hidden_size` or 4 × hidden, without a gate. Source: transformers, `FalconMLP`."""
    width = keys.integer("ffn_hidden_size", default=4 * hidden_of(keys))
    return [DenseFfn(intermediate=width, gated=False, bias=keys.flag("bias"))] * layers_of(keys)


def every_layer(_keys: Keys, layers: int) -> Sequence[bool]:
    """Every layer has experts."""
    return [True] * layers


def after_dense(*names: str, listed: str | None = "mlp_layer_types") -> Routing:
    """The first layers are dense, as many as a key says; a list of layer kinds says it too (GLM-5).

    Of the others every `moe_layer_freq` has experts, or those for which it lists 1.
    """

    def routed(keys: Keys, layers: int) -> Sequence[bool]:
        first = keys.integer(*names, default=0, low=0, high=MOST_LAYERS)
        if isinstance(keys.values.get("moe_layer_freq"), list | str):
            often = by_frequency(keys, layers)
        else:
            step = keys.integer("moe_layer_freq", default=1, high=MOST_LAYERS)
            often = [number % step == 0 for number in range(layers)]
        default = ["sparse" if number >= first and one else "dense" for number, one in enumerate(often)]
        key = listed or "mlp_layer_types"
        kinds = keys.per_layer(key, layers, allowed=("dense", "sparse"), default=default) if listed else default
        return [kind == "sparse" for kind in kinds]

    return routed


def first_dense(keys: Keys, layers: int) -> Sequence[bool]:
    """The first layer is dense, unless `mlp_layer_types` say otherwise. Source: transformers, `LagunaConfig`."""
    default = ["sparse" if number else "dense" for number in range(layers)]
    return [kind == "sparse" for kind in keys.per_layer("mlp_layer_types", layers, allowed=KINDS, default=default)]


def by_frequency(keys: Keys, layers: int) -> Sequence[bool]:
    """`moe_layer_freq` lists 1 for a layer with experts (MiMo-V2, MiniMax-M3)."""
    kinds = keys.per_layer("moe_layer_freq", layers, allowed=(0, 1), default=[1] * layers)
    return [kind == "1" for kind in kinds]


def sparse_step(keys: Keys, layers: int) -> Sequence[bool]:
    """Every `decoder_sparse_step` layers, but for `mlp_only_layers`. Source: transformers, `Qwen3MoeDecoderLayer`."""
    step = keys.integer("decoder_sparse_step", default=1, high=MOST_LAYERS)
    dense = keys.layer_numbers("mlp_only_layers", layers) or frozenset()
    keys.keep("mlp_only_layers", sorted(dense), [])
    return [number not in dense and (number + 1) % step == 0 for number in range(layers)]


def interleaved(keys: Keys, layers: int) -> Sequence[bool]:
    """Every `interleave_moe_layer_step` layers, or those of `moe_layers`. Source: transformers, `Llama4TextConfig`."""
    step = keys.integer("interleave_moe_layer_step", default=1, high=MOST_LAYERS)
    default = [number for number in range(layers) if (number + 1) % step == 0]
    found = keys.layer_numbers("moe_layers", layers)
    keys.keep("moe_layers", default if found is None else sorted(found), default)
    routed = frozenset(default) if found is None else found
    return [number in routed for number in range(layers)]


def jamba_period(keys: Keys, layers: int) -> Sequence[bool]:
    """Every `expert_layer_period` layers. Source: transformers, `JambaConfig.layers_num_experts`."""
    period = keys.integer("expert_layer_period", high=MOST_LAYERS)
    offset = keys.integer("expert_layer_offset", low=0, high=MOST_LAYERS)
    return [number % period == offset for number in range(layers)]


def ernie(keys: Keys, layers: int) -> Sequence[bool]:
    """From `moe_layer_start_index` to `moe_layer_end_index`, every `moe_layer_interval`.

    Source: transformers, `Ernie4_5_MoeDecoderLayer`.
    """
    step = keys.integer("moe_layer_interval", default=1, high=MOST_LAYERS)
    start = keys.integer("moe_layer_start_index", default=1, low=0, high=MOST_LAYERS)
    end = keys.optional("moe_layer_end_index", default=-1, low=-1, high=MOST_LAYERS)
    last = layers - 1 if end is None or end < 0 else end
    return [start <= number <= last and (number + 1) % step == 0 for number in range(layers)]


def check_active(keys: Keys, key: str, active: int, experts: int) -> None:
    """A token cannot go to more experts than there are."""
    if active > experts:
        keys.contrary(f"{keys.name(key)} {active} is more than the {experts} experts")


@dataclass(frozen=True, kw_only=True, slots=True)
class Routed:
    """Layers of experts between dense ones.

    The width of what all tokens share is a key's (`shared_width`), or as many expert widths as a key says
    (`shared_experts`), or widths that another key says (`shared_each`); a router may have a bias, and a shared expert
    a gate.
    """

    count: tuple[str, ...]
    active: tuple[str, ...] = ("num_experts_per_tok",)
    width: tuple[str, ...] = ("moe_intermediate_size",)
    shared_width: tuple[str, ...] = ()
    shared_experts: tuple[str, ...] = ()
    shared_default: int = 0
    shared_each: tuple[str, ...] = ()
    where: Routing = every_layer
    dense: Dense = Dense()
    gated: bool = True
    bias: bool | str = False
    shared_gate: bool = False
    router_bias: bool = False
    router: Literal["plain", "corrected"] = "plain"

    def __call__(self, keys: Keys) -> Blocks:
        """The block of every layer."""
        layers = layers_of(keys)
        routed = self.where(keys, layers)
        dense = self.dense.read(keys) if not all(routed) else None
        expert = self.read(keys) if any(routed) else None
        return [expert if one else dense for one in routed]

    def read(self, keys: Keys) -> ExpertFfn:
        """The experts of one layer."""
        experts = keys.integer(*self.count, high=MANY)
        active = keys.integer(*self.active, high=MANY)
        width = keys.integer(*self.width)
        check_active(keys, keys.given(self.active), active, experts)
        return ExpertFfn(
            experts=experts,
            active=active,
            intermediate=width,
            shared_intermediate=self._shared(keys, width),
            gated=self.gated,
            bias=keys.flag(self.bias) if isinstance(self.bias, str) else self.bias,
            shared_gate=self.shared_gate,
            router_bias=self.router_bias,
            extra_router_params=experts if self.router == "corrected" else 0,
        )

    def _shared(self, keys: Keys, width: int) -> int:
        """The width of the shared experts together. [elements]"""
        if self.shared_experts:
            width = keys.integer(*self.shared_each, default=width) if self.shared_each else width
            return width * (keys.optional(*self.shared_experts, default=self.shared_default, high=1000) or 0)
        return keys.optional(*self.shared_width, default=0) or 0 if self.shared_width else 0


LLAMA4 = Routed(
    count=("num_local_experts",),
    width=("intermediate_size",),
    shared_width=("intermediate_size",),
    where=interleaved,
    dense=Dense(width=("intermediate_size_mlp",)),
)
"""Source: transformers, `Llama4TextMoe`: the shared expert is as wide as a routed one."""


def granite(*, shared: bool) -> Callable[[Keys], Blocks]:
    """Experts with a shared block beside them; without experts the shared block alone (Granite 4).

    Source: transformers, `GraniteMoeHybridDecoderLayer`.
    """

    def blocks(keys: Keys) -> Blocks:
        layers = layers_of(keys)
        width = keys.integer("shared_intermediate_size", default=1024, low=0) if shared else 0
        if shared and keys.optional("num_local_experts") == 0:
            return [DenseFfn(intermediate=max(1, width))] * layers
        routed = Routed(count=("num_local_experts",), width=("intermediate_size",)).read(keys)
        return [
            ExpertFfn(
                experts=routed.experts,
                active=routed.active,
                intermediate=routed.intermediate,
                shared_intermediate=width,
            )
        ] * layers

    return blocks


def nemotron(keys: Keys) -> Blocks:
    """Experts without gates in layers E, dense blocks in layers -. Source: transformers, `NemotronHMoE`."""
    kinds = nemotron_kinds(keys)
    dense = Dense(gated=False, bias="mlp_bias").read(keys) if "-" in kinds else None
    expert = _nemotron_experts(keys) if "E" in kinds else None
    blocks: dict[str, DenseFfn | ExpertFfn | None] = {"-": dense, "E": expert}
    return [blocks.get(kind) for kind in kinds]


def _nemotron_experts(keys: Keys) -> ExpertFfn:
    """The experts of one layer, in a narrower width where there is one."""
    return ExpertFfn(
        experts=keys.integer("n_routed_experts", high=MANY),
        active=keys.integer("num_experts_per_tok", high=MANY),
        intermediate=keys.integer("moe_intermediate_size"),
        shared_intermediate=keys.integer("moe_shared_expert_intermediate_size", low=0),
        gated=False,
        expert_hidden=keys.optional("moe_latent_size") or None,
    )


KIMI = Routed(
    count=("num_experts",),
    active=("num_experts_per_token", "num_experts_per_tok"),
    shared_experts=("num_shared_experts",),
    where=after_dense("first_k_dense_replace"),
)


def kimi(keys: Keys) -> Blocks:
    """Experts, in a narrower width and with a norm of it in Kimi K3. Source: vLLM 0.33, models/kimi_k3."""
    width = keys.optional("routed_expert_hidden_size") or None
    norm = width if width and keys.flag("latent_moe_use_norm") else 0
    more = {"expert_hidden": width, "extra_latent_params": norm}
    return [replace(one, **more) if isinstance(one, ExpertFfn) and width else one for one in KIMI(keys)]


def lfm2(keys: Keys) -> Blocks:
    """`block_ff_dim`, brought down to two thirds and up to a multiple. Source: transformers, `Lfm2MLP`."""
    width = keys.integer("block_ff_dim", "intermediate_size")
    if keys.flag("block_auto_adjust_ff_dim", default=True):
        scale = keys.number("block_ffn_dim_multiplier", default=1.0, low=0.01, high=100)
        of = keys.integer("block_multiple_of", default=256)
        width = of * ceil(int(scale * int(2 * width / 3)) / of)
    return [DenseFfn(intermediate=max(1, width))] * layers_of(keys)
