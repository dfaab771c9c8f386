"""Lists of module names in a quantization_config, read as classes of tensors of some layers.

Names may be regular expressions: they are compared as text, and never run as such.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from inferplan.core.architecture import Architecture, ExpertFfn
from inferplan.core.parameters import layer_params

MIXERS, SHARED, DENSE, EXPERTS = "self_attn", "mlp.shared_experts", "mlp.down_proj", "mlp.experts"
"""Classes of tensors, each by the module name that stands for it."""

_CLASSES: Mapping[str, tuple[str, ...]] = {
    MIXERS: ("attention", "linear_attention"),
    SHARED: ("shared_experts",),
    DENSE: ("dense_ffn",),
    EXPERTS: ("routed_experts",),
}
_LAYER = re.compile(r"(?:layers|blocks|h)\.(\d{1,4})(?:-(\d{1,4}))?(?:\.|(?=\*)|$)")
_NEVER_QUANTISED = re.compile(
    r"norm|router|bias|lm_head|embed|vis(?:ual|ion)|conv|e_score|indexer|eh_proj|mtp|in_proj_(?:a|b|ba)\b|latent_proj"
    r"|shared_expert_gate|rotary|patch|projector|merger|shared_head|audio|wte|(?:^|\.)gate(?:$|\*|\.)|scale"
)
_OUTSIDE_DECODER = re.compile(r"mtp|vis(?:ual|ion)|audio|projector")
_ATTENTION = re.compile(r"(?:self_attn|linear_attn|self_attention|attention|attn|mixer|mamba)(?:$|[.*])(.*)")
_FFN_MATRICES = frozenset({"gate_proj", "up_proj", "down_proj", "gate_up_proj", "w1", "w2", "w3", "fc1", "fc2"})


class ListedModules:
    """The layers of each class of tensors that module names list; names that are not understood are in `unknown`.

    The names are of modules that stay in 16 bit, or (`mixed`) of those that are in one format.
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
        """The share of these classes' parameters that is listed. [fraction]"""
        own = {kind: dict(self._params(kind)) for kind in kinds}
        left = sum(params for kind in kinds for layer, params in own[kind].items() if layer in self.layers[kind])
        whole = sum(params for kind in kinds for params in own[kind].values())
        return left / whole if whole else 0.0

    @property
    def parameters(self) -> int:
        """All that is listed. [parameters]"""
        return sum(params for kind in _CLASSES for layer, params in self._params(kind) if layer in self.layers[kind])

    def names(self) -> list[str]:
        """A short list of names that lists the same."""
        return [name for kind in _CLASSES for name in self._short(kind)]

    def _short(self, kind: str) -> Iterator[str]:
        """One name for all layers of a class, or one for each run of layers."""
        having = {layer for layer, params in self._params(kind) if params}
        left = self.layers[kind] & having
        if left and left == having:
            yield kind
            return
        for _, run in groupby(enumerate(sorted(left)), lambda pair: pair[1] - pair[0]):
            layers = [layer for _, layer in run]
            yield f"layers.{layers[0]}-{layers[-1]}.{kind}"

    def _params(self, kind: str) -> Iterator[tuple[int, int]]:
        """The parameters of a class in each layer."""
        body = self._architecture
        sizes = [
            sum(params for name, params in layer_params(body.hidden, group) if name in _CLASSES[kind])
            for group in body.groups
        ]
        return ((layer, sizes[group]) for layer, group in enumerate(body.sequence))

    def _add(self, name: str) -> None:
        """Record what one name lists."""
        plain = _plain(name)
        match = _LAYER.search(plain)
        last = self._architecture.layers - 1
        tail = plain[match.end() :] if match else plain.split("layers.*.")[-1]
        first, end = (int(match[1]), int(match[2] or match[1])) if match else (0, last)
        if first > last or _OUTSIDE_DECODER.search(plain) or _NEVER_QUANTISED.search(tail if match else plain):
            return
        layers = range(first, min(end, last) + 1)
        if match and tail in ("", "*"):
            self._list(layers, *_CLASSES)
        elif not self._tail(tail, layers):
            self.unknown[name] = None

    def _list(self, layers: Iterable[int], *kinds: str) -> None:
        """Record these classes of these layers."""
        left = frozenset(layers)
        for kind in kinds:
            self.layers[kind].update(left)

    def _dense_beside(self, layer: int) -> bool:
        """Whether a layer has a dense block beside its experts, which is then what `mlp` names (Gemma 4)."""
        ffn = self._architecture.groups[self._architecture.sequence[layer]].ffn
        return isinstance(ffn, ExpertFfn) and bool(ffn.dense_intermediate)

    def _tail(self, tail: str, layers: range) -> bool:
        """Record the part of a name behind the number of a layer; returns whether it is understood."""
        if "shared_expert" in tail or "shared_mlp" in tail:
            self._list(layers, SHARED)
        elif "experts" in tail:
            self._list(layers, EXPERTS)
        elif match := _ATTENTION.search(tail):
            self._attention(match[1].strip("*."), layers)
        elif tail.strip("*.").rsplit(".", 1)[-1] in _FFN_MATRICES:
            self._list(layers, DENSE)
        elif tail.strip("*.") in ("mlp", "feed_forward", "block_sparse_moe"):
            self._list(layers, DENSE, SHARED)
            self._list((layer for layer in layers if not self._dense_beside(layer)), EXPERTS)
        else:
            return False
        return True

    def _attention(self, part: str, layers: range) -> None:
        """Record all matrices of attention, or one of them."""
        if not part:
            self._list(layers, MIXERS)
        for layer in layers if part else ():
            self._parts.setdefault(layer, set()).add(part)

    def _add_attention(self, layer: int, parts: set[str]) -> None:
        """Record the attention of a layer where both its first and its last matrix are listed."""
        last = any(part.startswith(("o_", "o.", "out", "wo", "dense", "c_proj")) for part in parts)
        first = any(part.startswith(("q_", "qkv", "in_proj", "wq", "query", "W_pack", "c_attn")) for part in parts)
        if first and last:
            self.layers[MIXERS].add(layer)
        else:
            self.unknown.update(dict.fromkeys(parts))


def _plain(name: str) -> str:
    """A name without the signs of a regular expression: any text is a star, and of several choices the last is kept.

    >>> _plain("re:.*mlp.(gate|up|down)_proj.*")
    '*mlp.down_proj*'
    """
    text = name[:300].removeprefix("re:").strip("^$").replace("\\.", ".").replace("\\d+", "*").replace(".*", "*")
    return re.sub(r"\((?:[^()|]*\|)*([^()|]*)\)", r"\1", text).replace("[0-9]+", "*")
