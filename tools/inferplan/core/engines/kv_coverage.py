"""The KV caches that the rules for vLLM cover: what is not modelled, and what was read in its source alone."""

from inferplan.core.architecture import Architecture, Mixer
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import Lightning, ShortConv

FIRST_POOLED_BESIDE_LATENTS = 30
"""The first vLLM (0.30) that serves index keys pooled beside a latent, as GLM-5.3-Flash has them.

0.28.0 stops at its weights. Source: vllm-project/vllm issue 54062 and pull requests 53906, merged after 0.29 was cut,
and 53896.
"""
FIRST_POOLED = 29
"""The first vLLM (0.29) that serves index keys pooled beside keys and values, as Qwen3.8 Flash Next has them.

Source: vLLM 0.28 to 0.30, vllm/model_executor/models/registry.py and vllm/models/qwen4_exp/common/qsa_cache.py, in the
wheels: 0.29 stores them as 0.30 does.
"""
FIRST_READ = 28
"""The first vLLM (0.28) whose pages are known of index keys beside keys and values and of values narrower than keys.

Source: vLLM 0.28 and 0.33, vllm/v1/kv_cache_interface.py, `AttentionSpec.state_content_size_bytes`, and
`UniformTypeKVCacheSpecs`: index keys are full attention of one vector a token, in one group with keys and values.
"""
FIRST_STATES_ALONE = 28
"""The first vLLM (0.28) whose pages for layers that all keep states, and nothing else, were read.

Source: vLLM 0.28, vllm/v1/core/kv_cache_utils.py, and 0.33, v1/core/kv_cache_planning.py: one group, a page a sequence.
"""
LAST_LIGHTNING = 23
"""The last vLLM (0.23) that serves lightning attention."""


def not_modelled(architecture: Architecture, *, version: int) -> str | None:
    """Why vLLM's cache of this architecture cannot be computed, as a clause; None where it can."""
    reasons = (_reason(mixer, version=version) for _, mixer in architecture.mixers)
    found = next((reason for reason in reasons if reason), None)
    if found:
        return found
    if _convolves_beside_windows(architecture):
        return "short convolutions beside a window (LFM3): vLLM has no class for them up to 0.33"
    states = architecture.has_states
    if states and any(not _stands_beside_states(mixer) for _, mixer in architecture.mixers if mixer.cached):
        return "states beside a windowed cache or index keys: vLLM's pages for that mix are not modelled"
    if not states and any(pools_index_keys(mixer) for _, mixer in architecture.mixers):
        return "pooled index keys: vLLM's layout of them without states is not modelled"
    if not architecture.has_cache and version < FIRST_STATES_ALONE:
        return f"no layer keeps keys and values: vLLM's pages for states alone are known since 0.{FIRST_STATES_ALONE}"
    return _odd_pages(architecture)


def _convolves_beside_windows(architecture: Architecture) -> bool:
    """Whether some layers convolve and others attend over a window.

    vLLM's Transformers backend does not run them either: it stops at a layer that does not attend.
    Source: vLLM 0.33, vllm/model_executor/models/transformers/base.py, `_create_attention_instances`.
    """
    convolves = any(isinstance(mixer, ShortConv) for _, mixer in architecture.mixers)
    return convolves and any(part.window for _, mixer in architecture.mixers for part in mixer.cached)


def _odd_pages(architecture: Architecture) -> str | None:
    """Why vLLM cannot have pages of these sizes, or is not known to: the largest has to be a multiple of every other.

    No class of vLLM 0.33 has latents of several widths, as layers with and without rotation make them; its Transformers
    backend has no cache for the indexers beside them.
    """
    cached = [part for _, mixer in architecture.mixers for part in mixer.cached]
    if len({part.elements for part in cached if part.what == "latent"}) > 1:
        return "latents of several widths (Mistral Large 4): vLLM has no class for them up to 0.33"
    pages = {part.elements for part in cached if part.heads}
    if any(max(pages) % page for page in pages):
        return "the layers' pages are no multiples of each other: vLLM refuses them, or pads them in a way not modelled"
    return None


def _stands_beside_states(mixer: Mixer) -> bool:
    """Whether the layout beside states is known: plain attention, or MLA, unless it caches every index key."""
    if isinstance(mixer, Latent):
        return mixer.indexer is None or pools_index_keys(mixer)
    return isinstance(mixer, Attention) and (mixer.is_plain or pools_index_keys(mixer))


def pools_index_keys(mixer: Mixer) -> bool:
    """Whether an indexer beside a latent, or beside keys and values, caches one index key for several tokens."""
    if not isinstance(mixer, Latent | Attention) or mixer.indexer is None:
        return False
    return mixer.indexer.compress > 1


def first_pooled(mixer: Mixer) -> int:
    """The first vLLM (29 is 0.29) that serves the mixer's pooled index keys; 0 where it has none."""
    if not pools_index_keys(mixer):
        return 0
    return FIRST_POOLED_BESIDE_LATENTS if isinstance(mixer, Latent) else FIRST_POOLED


def _reason(mixer: Mixer, *, version: int) -> str | None:
    """Why the cache of one mixer is not modelled, None where it is."""
    if isinstance(mixer, Lightning) and version > LAST_LIGHTNING:
        return f"lightning attention: vLLM serves it only up to 0.{LAST_LIGHTNING}"
    if version < (first := first_pooled(mixer)):
        return f"pooled index keys: vLLM serves them since 0.{first}"
    if isinstance(mixer, Latent) and mixer.window:
        return "latents of a window (dots3): vLLM's pages for them are not modelled"
    if isinstance(mixer, Latent) and mixer.reuses_cache:
        return "layers that read the latents of others (Mistral Large 4): vLLM has no class for them up to 0.33"
    return _attention_reason(mixer, version=version) if isinstance(mixer, Attention) else None


def is_read_alone(architecture: Architecture) -> bool:
    """Whether the rules for this cache come from vLLM's source alone, with no published log to check them against.

    >>> from inferplan.catalog.models import MODELS
    >>> [is_read_alone(MODELS[id_].architecture) for id_ in ("MiniMaxAI/MiniMax-M3", "XiaomiMiMo/MiMo-V2-Flash")]
    [True, False]
    """
    return picks_pages(architecture) or not architecture.has_cache


def picks_pages(architecture: Architecture) -> bool:
    """Whether an indexer picks whole pages of keys and values: vLLM then has to be given the page size."""
    return any(isinstance(mixer, Attention) and _keeps_index_keys(mixer) for _, mixer in architecture.mixers)


def _keeps_index_keys(attention: Attention) -> bool:
    """Whether an indexer beside keys and values caches the index key of every token."""
    return attention.indexer is not None and not pools_index_keys(attention)


def _attention_reason(attention: Attention, *, version: int) -> str | None:
    """Why the cache of keys and values is not modelled, None where it is."""
    if attention.indexer and version < FIRST_READ:
        return "index keys beside keys and values: vLLM's layout of them is not modelled"
    if attention.convolution_state:
        return "convolutions on keys and values: vLLM's layout of their state is not modelled"
    if attention.cross:
        return "cross-attention to an image: what vLLM keeps of it is not modelled"
    if attention.value_width != attention.kv_width and version < FIRST_READ:
        return "values narrower than keys: vLLM's pages for them are not modelled"
    return None
