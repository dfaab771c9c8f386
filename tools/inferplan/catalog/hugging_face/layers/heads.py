"""Attention with query, key and value heads (MHA, GQA, MQA), as configs of most families describe it."""

from dataclasses import dataclass, replace

from inferplan.catalog.hugging_face.layers.windows import Windows, no_window
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, Keys
from inferplan.catalog.hugging_face.reading.sizes import heads_of, hidden_of, layers_of
from inferplan.core.architecture import Mixer
from inferplan.core.layers.attention import Attention, QkNorm

Mixers = list[tuple[Mixer, ...]]
"""What mixes the tokens of each layer: attention or a recurrence, both beside each other, or nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heads:
    """Which biases, norms and gates a family's attention has; a text names the flag of the config that decides.

    `qk_norm` holds where `qk_norm_flag` is set, or always where no flag is named.
    """

    qkv_bias: bool | str = False
    output_bias: bool | str = False
    qk_norm: QkNorm = "none"
    qk_norm_flag: str | None = None
    output_gate: bool | str = False
    head_gate: bool | str = False
    sinks: bool | str = False
    fused: bool = False

    def read(self, keys: Keys) -> Attention:
        """The attention of one layer, without a window."""
        heads = heads_of(keys)
        return Attention(
            heads=heads,
            kv_heads=kv_heads_of(keys, heads),
            head_dim=head_dim_of(keys, heads),
            qkv_bias=trait_of(keys, self.qkv_bias),
            output_bias=trait_of(keys, self.output_bias),
            qk_norm=self.qk_norm if self.qk_norm_flag is None or keys.flag(self.qk_norm_flag) else "none",
            output_gate=trait_of(keys, self.output_gate),
            head_gate=trait_of(keys, self.head_gate),
            sinks=trait_of(keys, self.sinks),
            fused=self.fused,
        )


BIAS_FLAG = Heads(qkv_bias="attention_bias", output_bias="attention_bias")
"""Llama's: all four projections have a bias where `attention_bias` is set."""
SINKS = replace(BIAS_FLAG, sinks=True)
"""gpt-oss's."""
QKV_BIAS_FLAG = Heads(qkv_bias="attention_bias")
QK_NORM = replace(BIAS_FLAG, qk_norm="per_head")
"""Qwen3's."""
WIDE_QK_NORM = replace(BIAS_FLAG, qk_norm="full_width")
"""OLMo 2's."""
BIASED = Heads(qkv_bias=True, output_bias=True)
FUSED = Heads(fused=True)
"""Phi-3's: query, key and value are one matrix."""
FUSED_BIASED = Heads(qkv_bias=True, output_bias=True, fused=True)
"""BLOOM's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionLayers:
    """Layers of the same query, key and value heads, which differ by their windows alone."""

    heads: Heads = Heads()
    windows: Windows = no_window

    def __call__(self, keys: Keys) -> Mixers:
        """The attention of every layer."""
        layers = layers_of(keys)
        one = self.heads.read(keys)
        return [(windowed(one, window),) for window in self.windows(keys, layers)]


HEAD_DIM = ("head_dim", "attention_head_dim")


def windowed(attention: Attention, window: int | None, *, chunked: bool = False) -> Attention:
    """The attention with a window; as it is where that is None. [tokens]"""
    return attention if window is None else replace(attention, window=window, chunked=chunked)


def trait_of(keys: Keys, trait: bool | str) -> bool:  # noqa: FBT001 - the trait itself, not a switch
    """Whether a trait holds: always, never, or as the flag that it names says."""
    return keys.flag(trait) if isinstance(trait, str) else trait


def kv_heads_of(keys: Keys, heads: int, key: str = "num_key_value_heads") -> int:
    """The number of KV heads, by default as many as attention heads, of which it has to be a divisor."""
    kv_heads = keys.integer(key, default=heads, high=LARGEST_COUNT)
    if heads % kv_heads:
        keys.contradiction(f"{keys.name(key)} {kv_heads} does not divide the {heads} attention heads")
    return kv_heads


def head_dim_of(keys: Keys, heads: int) -> int:
    """The width of a head, by default hidden / heads; Hunyuan's checkpoints have a name of their own. [elements]"""
    hidden = hidden_of(keys)
    if not keys.has(keys.given(HEAD_DIM)) and "head_dim" not in keys.defaults and hidden % heads:
        keys.contradiction(
            f"{heads} attention heads do not divide the hidden size of {hidden}; give {keys.name('head_dim')}"
        )
    return keys.integer(*HEAD_DIM, default=max(1, hidden // heads), high=LARGEST_COUNT)
