"""The architecture that a config describes: groups of layers, and what a text decoder has before and behind them."""

from collections import Counter
from dataclasses import dataclass, replace

from inferplan.catalog.hugging_face.families.family import Family
from inferplan.catalog.hugging_face.families.known import family_of
from inferplan.catalog.hugging_face.families.stage_copies import stage_copies
from inferplan.catalog.hugging_face.layers.heads import trait_of
from inferplan.catalog.hugging_face.layers.rope import max_positions, rope_tables, rotary_dim
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of
from inferplan.catalog.hugging_face.vision.tower import vision_of
from inferplan.core.architecture import ANY_CONTEXT, Architecture, DenseFfn, ExpertFfn, LayerGroup, Mixer
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent

STATE_DTYPES = ("mamba_ssm_dtype", "mamba_ssm_cache_dtype")
_DTYPE_BYTES = {"float32": 4, "float": 4, "bfloat16": 2, "float16": 2, "auto": 2}

Layer = tuple[tuple[Mixer, ...], DenseFfn | ExpertFfn | None]
"""What mixes the tokens of a layer, and its feed-forward block."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layers:
    """Groups of equal layers; `order` is the group of each layer, empty where the groups follow each other."""

    groups: tuple[LayerGroup, ...]
    order: tuple[int, ...]

    @property
    def last(self) -> LayerGroup:
        """The group of the last layer."""
        return self.groups[self.order[-1] if self.order else -1]

    @property
    def have_windows(self) -> bool:
        """Whether some layers attend over a window."""
        return any(isinstance(mixer, Attention) and mixer.window for mixer in self._mixers)

    @property
    def have_latents(self) -> bool:
        """Whether some layers have MLA or compressed keys, whose form says what rotates."""
        return any(isinstance(mixer, Latent | Compressed) for mixer in self._mixers)

    @property
    def _mixers(self) -> list[Mixer]:
        return [mixer for group in self.groups for mixer in group.mixers]


def layers_in(body: Keys, type_: str) -> Layers:
    """The layers of a text decoder; whatever else is missing in its config is recorded too."""
    family = family_of(type_)
    for flag in family.refused:
        if body.flag(flag):
            body.unsupported(flag, "no published model of this family has it")
    layers: list[Layer] = list(zip(family.mixers(body), family.blocks(body), strict=False))
    body.integer("vocab_size")
    _max_positions(body, family)
    norms = family.norms if isinstance(family.norms, int) else family.norms(body)
    counts = Counter(layers)
    numbers = {layer: number for number, layer in enumerate(counts)}
    order = tuple(numbers[layer] for layer in layers)
    joined = family.joined(body)
    one = LayerGroup(count=1, attention=None, ffn=None, norms=norms, norm_bias=family.norm_bias, joined=joined)
    groups = tuple(_group(one, layer, count) for layer, count in counts.items())
    return Layers(groups=groups, order=order if list(order) != sorted(order) else ())


def _group(one: LayerGroup, layer: Layer, count: int) -> LayerGroup:
    """So many layers of one kind."""
    mixers, block = layer
    first, second = (*mixers, None, None)[:2]
    return replace(one, count=count, attention=first, beside=second, ffn=block)


def architecture_of(root: Keys, body: Keys, type_: str, layers: Layers) -> Architecture:
    """The text decoder with the vision tower beside it; `body` has its keys, which may be those of `root`."""
    family = family_of(type_)
    extras = family.extras(body)
    decoder = Architecture(
        hidden=hidden_of(body),
        vocab=body.integer("vocab_size"),
        groups=layers.groups,
        order=layers.order,
        max_positions=_max_positions(body, family),
        tied_embeddings=_tied(root, body, family),
        head_rows=_head_rows(body, family),
        head_bias=trait_of(body, family.head_bias),
        final_norms=family.final_norms,
        state_bytes=_state_bytes(body, family),
        rope_tables=rope_tables(body, type_, local=family.local_rope and layers.have_windows),
        stage_copies=stage_copies(type_),
        other_params=extras.other_params,
        lookup_params=extras.lookup_params,
        ngram_layers=extras.ngram_layers,
        ngram_params=extras.ngram_params,
        wide_params=extras.wide_params,
        norm_params=extras.norm_params,
        streams=extras.streams,
    )
    vision_params, vision = vision_of(root, decoder.hidden)
    return replace(
        decoder,
        rotary_dim=None if layers.have_latents else rotary_dim(body, type_, decoder.rope_dim),
        multi_token=family.multi_token(body, decoder, layers.last) if family.multi_token else None,
        vision_params=vision_params,
        vision=vision,
    )


def _max_positions(body: Keys, family: Family) -> int:
    """The longest context of the config, or of any model where the family has none. [tokens]"""
    return ANY_CONTEXT if family.any_context else max_positions(body)


def _tied(root: Keys, body: Keys, family: Family) -> bool:
    """Whether embedding and output head are one tensor: as the text decoder and the whole config say, or the family.

    Where both say it they have to agree: transformers writes the default of its class into whichever left it out.
    """
    assumed = bool(body.defaults.get("tie_word_embeddings", family.tied))
    given = [one for one in (body, root) if one.has("tie_word_embeddings")]
    said = [one.flag("tie_word_embeddings", default=assumed) for one in given]
    return all(said) if said else assumed


def _head_rows(body: Keys, family: Family) -> int | None:
    """The rows of the output head where the config states fewer than the vocabulary has; None where it does not."""
    if family.head_rows is None:
        return None
    vocabulary = body.integer("vocab_size")
    rows = body.optional(family.head_rows, default=vocabulary, low=1, high=vocabulary)
    return rows if rows != vocabulary else None


def _state_bytes(body: Keys, family: Family) -> int:
    """An element of recurrent states: as the config says, else as the family keeps it. [B]"""
    kept = family.state_bytes if isinstance(family.state_bytes, int) else family.state_bytes(body)
    key = body.given(STATE_DTYPES)
    if not body.has(key):
        return kept
    default = next(word for word, size in _DTYPE_BYTES.items() if size == kept)
    return _DTYPE_BYTES[body.word(key, allowed=tuple(_DTYPE_BYTES), default=default)]
