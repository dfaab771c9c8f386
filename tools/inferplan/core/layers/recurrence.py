"""Recurrent mixers, with a state of constant size instead of a KV cache: delta nets, Mamba, lightning, convolutions.

Units: elements, parameters.
"""

from dataclasses import dataclass

from inferplan.core.layers.cache_parts import Cached, State


@dataclass(frozen=True, kw_only=True, slots=True)
class Recurrence:
    """What all recurrent mixers share: nothing is cached per token, and tensor parallelism splits channels evenly."""

    @property
    def cached(self) -> tuple[Cached, ...]:
        """Empty: nothing is cached per token."""
        return ()

    def share(self, _hidden: int, tp: int) -> float:
        """1 / tp: the share of the parameters on one of `tp` ranks. [fraction]"""
        return 1 / tp


@dataclass(frozen=True, kw_only=True, slots=True)
class GatedDelta(Recurrence):
    """Gated DeltaNet (Qwen3-Next, OLMo-Hybrid): a state of key_dim × value_dim per value head.

    `convolution` is the width of the short convolution. [tokens]
    """

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    convolution: int

    @property
    def heads(self) -> int:
        """Key heads, whose number the tensor-parallel degree has to divide."""
        return self.key_heads

    @property
    def channels(self) -> int:
        """2 × keys + values: the width that the convolution runs over. [elements]"""
        return 2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim

    @property
    def state(self) -> State:
        """(convolution - 1) × channels; value_heads × key_dim × value_dim. [elements]"""
        recurrent = self.value_heads * self.key_dim * self.value_dim
        return State(convolution=(self.convolution - 1) * self.channels, recurrent=recurrent)

    def params(self, hidden: int) -> int:
        """hidden × (channels + 2 × values + 2 × value heads), convolution, decay and norm. [parameters]

        Source: transformers, `Qwen3NextGatedDeltaNet`.
        """
        values = self.value_heads * self.value_dim
        projections = hidden * (self.channels + 2 * values + 2 * self.value_heads)
        return projections + self.channels * self.convolution + 2 * self.value_heads + self.value_dim


@dataclass(frozen=True, kw_only=True, slots=True)
class KimiDelta(Recurrence):
    """Kimi Delta Attention: a delta net with a decay per channel; gate and decay are low-rank unless `full_*`."""

    heads: int
    head_dim: int
    convolution: int
    full_gate: bool = False
    full_decay: bool = False

    @property
    def state(self) -> State:
        """(convolution - 1) × 3 × width; heads × head_dim². [elements]"""
        width = self.heads * self.head_dim
        return State(convolution=(self.convolution - 1) * 3 * width, recurrent=width * self.head_dim)

    def params(self, hidden: int) -> int:
        """4 × hidden × width, convolutions, step size, decay, gate and norm. [parameters]

        Source: Kimi-Linear modeling_kimi.py, `KimiDeltaAttention`.
        """
        width = self.heads * self.head_dim
        low = (hidden + width) * self.head_dim
        gates = sum(hidden * width if full else low for full in (self.full_gate, self.full_decay))
        small = hidden * self.heads + self.heads + width + self.head_dim
        return 4 * hidden * width + 3 * width * self.convolution + gates + small


@dataclass(frozen=True, kw_only=True, slots=True)
class Mamba1(Recurrence):
    """Mamba (Jamba): a diagonal state of `state_dim` per channel."""

    width: int
    state_dim: int
    convolution: int
    step_rank: int
    norms: bool = True

    @property
    def heads(self) -> int:
        """Channels, whose number the tensor-parallel degree has to divide."""
        return self.width

    @property
    def state(self) -> State:
        """(convolution - 1) × width; width × state_dim. [elements]"""
        return State(convolution=(self.convolution - 1) * self.width, recurrent=self.width * self.state_dim)

    def params(self, hidden: int) -> int:
        """3 × hidden × width, convolution with bias, step and state projections, A, D and norms. [parameters]

        Source: transformers, `JambaMambaMixer`.
        """
        inner = self.step_rank + 2 * self.state_dim
        per_channel = self.convolution + 1 + inner + self.step_rank + 1 + self.state_dim + 1
        return 3 * hidden * self.width + self.width * per_channel + (inner if self.norms else 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mamba2(Recurrence):
    """Mamba-2 (Nemotron-H, Granite 4, Falcon-H1): a state of head_dim × state_dim per head."""

    heads: int
    head_dim: int
    groups: int
    state_dim: int
    convolution: int

    @property
    def width(self) -> int:
        """heads × head_dim. [elements]"""
        return self.heads * self.head_dim

    @property
    def channels(self) -> int:
        """width + 2 × groups × state_dim: the width that the convolution runs over. [elements]"""
        return self.width + 2 * self.groups * self.state_dim

    @property
    def state(self) -> State:
        """(convolution - 1) × channels; width × state_dim. [elements]"""
        return State(convolution=(self.convolution - 1) * self.channels, recurrent=self.width * self.state_dim)

    def params(self, hidden: int) -> int:
        """hidden × (2 × width + channels + heads), convolution with bias, A, D, step bias and norm. [parameters]

        Source: transformers, `Mamba2Mixer`, `NemotronHMamba2Mixer`.
        """
        projections = hidden * (2 * self.width + self.channels + self.heads)
        return projections + self.channels * (self.convolution + 1) + 3 * self.heads + self.width


@dataclass(frozen=True, kw_only=True, slots=True)
class Lightning(Recurrence):
    """Lightning attention (MiniMax-01): linear attention with a fixed decay per head."""

    heads: int
    head_dim: int

    @property
    def state(self) -> State:
        """heads × head_dim². [elements]"""
        return State(recurrent=self.heads * self.head_dim**2)

    def params(self, hidden: int) -> int:
        """5 × hidden × width + width: query, key, value, gate, output and a norm. [parameters]

        Source: transformers, `MiniMaxLightningAttention`.
        """
        width = self.heads * self.head_dim
        return 5 * hidden * width + width


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupedLightning(Recurrence):
    """Lightning attention with norms of queries and keys, and of its output in `groups` of heads (Ling 2.5, 2.6)."""

    state_heads: int
    head_dim: int
    groups: int

    @property
    def heads(self) -> int:
        """Groups, whose number the tensor-parallel degree has to divide, as each is normed on one rank.

        Source: vLLM 0.17 to 0.33, `BailingMoELinearAttention`; SGLang 0.5.23, bailing_moe_linear.py (both assert it).
        """
        return self.groups

    @property
    def state(self) -> State:
        """heads × head_dim². [elements]"""
        return State(recurrent=self.state_heads * self.head_dim**2)

    def params(self, hidden: int) -> int:
        """5 × hidden × width + width + 2 × head_dim: query, key, value, gate, output and norms. [parameters]

        Source: vLLM 0.33, `BailingMoELinearAttention`.
        """
        width = self.state_heads * self.head_dim
        return 5 * hidden * width + width + 2 * self.head_dim


@dataclass(frozen=True, kw_only=True, slots=True)
class ShortConv(Recurrence):
    """A gated short convolution (LFM2), without a recurrent state."""

    width: int
    convolution: int

    @property
    def heads(self) -> int:
        """Channels, whose number the tensor-parallel degree has to divide."""
        return self.width

    @property
    def state(self) -> State:
        """(convolution - 1) × width. [elements]"""
        return State(convolution=(self.convolution - 1) * self.width)

    def params(self, hidden: int) -> int:
        """4 × hidden × width + width × convolution. [parameters]

        Source: transformers, `Lfm2ShortConv`.
        """
        return 4 * hidden * self.width + self.width * self.convolution
