"""Which matrices a quantised checkpoint leaves in 16 bit: its lists of module names, read as kinds of tensors.

Names are compared as text, never run as the regular expressions that they may be.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from inferplan.core.architecture import Architecture, ExpertFfn
from inferplan.core.parameters import layer_params

MIXERS, SHARED, DENSE, EXPERTS = "self_attn", "mlp.shared_experts", "mlp.down_proj", "mlp.experts"
"""Kinds of tensors, each by the module name that stands for it."""

_CLASSES: Mapping[str, tuple[str, ...]] = {
    MIXERS: ("attention", "linear_attention"),
    SHARED: ("shared_experts",),
    DENSE: ("dense_ffn",),
    EXPERTS: ("routed_experts",),
}
_LAYER = re.compile(r"(?:layers|blocks|h)\.(\d{1,4})(?:-(\d{1,4}))?(?:\.|(?=\*)|$)")
_SMALL = re.compile(
    r"norm|router|bias|lm_head|embed|vis(?:ual|ion)|conv|e_score|indexer|eh_proj|mtp|in_proj_(?:a|b|ba)\b|latent_proj"
    r"|shared_expert_gate|rotary|patch|projector|merger|shared_head|audio|wte|(?:^|\.)gate(?:$|\*|\.)|scale"
)
_ELSEWHERE = re.compile(r"mtp|vis(?:ual|ion)|audio|projector")
_ATTENTION = re.compile(r"(?:self_attn|linear_attn|self_attention|attention|attn|mixer|mamba)(?:$|[.*])(.*)")
_WIDE = frozenset({"gate_proj", "up_proj", "down_proj", "gate_up_proj", "w1", "w2", "w3", "fc1", "fc2"})


class Ignored:
    """The layers of each kind that stay in 16 bit; names that are not understood are in `unknown`.

    Of a list of what is quantised, those that are.
    """

    def __init__(self, names: Iterable[str], architecture: Architecture) -> None:
        self.unknown: dict[str, None] = {}
        self.layers: dict[str, set[int]] = {kind: set() for kind in _CLASSES}
        self._architecture = architecture
        self._parts: dict[int, set[str]] = {}
        for name in names:
            self._add(name)
        for layer, parts in self._parts.items():
            self._add_attention(layer, parts)

    def share(self, *kinds: str) -> float:
        """The share of the parameters of these kinds that stays in 16 bit."""
        own = {kind: dict(self._params(kind)) for kind in kinds}
        left = sum(params for kind in kinds for layer, params in own[kind].items() if layer in self.layers[kind])
        whole = sum(params for kind in kinds for params in own[kind].values())
        return left / whole if whole else 0.0

    @property
    def parameters(self) -> int:
        """All that is named. [parameters]"""
        return sum(params for kind in _CLASSES for layer, params in self._params(kind) if layer in self.layers[kind])

    def names(self) -> list[str]:
        """A short list that says the same."""
        return [name for kind in _CLASSES for name in self._short(kind)]

    def _short(self, kind: str) -> Iterator[str]:
        """One name for all layers of a kind, or one for each run of layers."""
        having = {layer for layer, params in self._params(kind) if params}
        left = self.layers[kind] & having
        if left and left == having:
            yield kind
            return
        for _, run in groupby(enumerate(sorted(left)), lambda pair: pair[1] - pair[0]):
            layers = [layer for _, layer in run]
            yield f"layers.{layers[0]}-{layers[-1]}.{kind}"

    def _params(self, kind: str) -> Iterator[tuple[int, int]]:
        """The parameters of a kind in each layer."""
        body = self._architecture
        sizes = [
            sum(params for name, params in layer_params(body.hidden, group) if name in _CLASSES[kind])
            for group in body.groups
        ]
        return ((layer, sizes[group]) for layer, group in enumerate(body.sequence))

    def _add(self, name: str) -> None:
        """Record what one name leaves out."""
        plain = _plain(name)
        match = _LAYER.search(plain)
        last = self._architecture.layers - 1
        tail = plain[match.end() :] if match else plain.split("layers.*.")[-1]
        first, end = (int(match[1]), int(match[2] or match[1])) if match else (0, last)
        if first > last or _ELSEWHERE.search(plain) or _SMALL.search(tail if match else plain):
            return
        layers = range(first, min(end, last) + 1)
        if match and tail in ("", "*"):
            self._leave(layers, *_CLASSES)
        elif not self._tail(tail, layers):
            self.unknown[name] = None

    def _leave(self, layers: Iterable[int], *kinds: str) -> None:
        """Leave these kinds of these layers in 16 bit."""
        left = frozenset(layers)
        for kind in kinds:
            self.layers[kind].update(left)

    def _dense_beside(self, layer: int) -> bool:
        """Whether a dense block stands beside the experts of a layer: then that is what `mlp` names (Gemma 4)."""
        ffn = self._architecture.groups[self._architecture.sequence[layer]].ffn
        return isinstance(ffn, ExpertFfn) and bool(ffn.dense_intermediate)

    def _tail(self, tail: str, layers: range) -> bool:
        """Record what follows the number of a layer; whether it is understood."""
        if "shared_expert" in tail or "shared_mlp" in tail:
            self._leave(layers, SHARED)
        elif "experts" in tail:
            self._leave(layers, EXPERTS)
        elif match := _ATTENTION.search(tail):
            self._attention(match[1].strip("*."), layers)
        elif tail.strip("*.").rsplit(".", 1)[-1] in _WIDE:
            self._leave(layers, DENSE)
        elif tail.strip("*.") in ("mlp", "feed_forward", "block_sparse_moe"):
            self._leave(layers, DENSE, SHARED)
            self._leave((layer for layer in layers if not self._dense_beside(layer)), EXPERTS)
        else:
            return False
        return True

    def _attention(self, part: str, layers: range) -> None:
        """Record all of attention, or one of its matrices."""
        if not part:
            self._leave(layers, MIXERS)
        for layer in layers if part else ():
            self._parts.setdefault(layer, set()).add(part)

    def _add_attention(self, layer: int, parts: set[str]) -> None:
        """Attention is left out where its first and its last matrix are both named."""
        last = any(part.startswith(("o_", "o.", "out", "wo", "dense", "c_proj")) for part in parts)
        first = any(part.startswith(("q_", "qkv", "in_proj", "wq", "query", "W_pack", "c_attn")) for part in parts)
        if first and last:
            self.layers[MIXERS].add(layer)
        else:
            self.unknown.update(dict.fromkeys(parts))


def _plain(name: str) -> str:
    """A name without the signs of a regular expression; what may stand there is a star, of choices the last.

    >>> _plain("re:.*mlp.(gate|up|down)_proj.*")
    '*mlp.down_proj*'
    """
    text = name[:300].removeprefix("re:").strip("^$").replace("\\.", ".").replace("\\d+", "*").replace(".*", "*")
    return re.sub(r"\((?:[^()|]*\|)*([^()|]*)\)", r"\1", text).replace("[0-9]+", "*")
