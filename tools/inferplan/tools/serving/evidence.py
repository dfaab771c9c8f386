"""How far an engine's memory rules are off: by vendor of the GPU, version, image encoder and kind of attention."""

from collections.abc import Mapping
from functools import lru_cache

from inferplan.catalog.engines import ENGINES
from inferplan.core.engine import EngineName
from inferplan.core.engines import vllm_activation, vllm_defaults, vllm_memory
from inferplan.core.engines.compressed_memory import covers, shares_keys
from inferplan.core.engines.kv_coverage import is_read_alone
from inferplan.core.layers.vision import Kind, item_images, profiled_images
from inferplan.core.memory import weights
from inferplan.core.model import Model
from inferplan.core.units import GB
from inferplan.tools import _words as words
from inferplan.tools._assumptions import Ledger
from inferplan.tools.serving.serving import Serving

NOT_COUNTED = "the start-up trial of its encoder of images or sound is not counted: up to 3 GiB in published logs"
"""How far vLLM's rules are off where a model sees. Source: starts of what sees or hears on 0.11 to 0.29."""
COUNTED = "5 published logs of Gemma 3, Qwen2.5-VL and Qwen3.5: weights within 0.3 %, KV pool within 2 %"
"""The same where the trial is counted. Source: starts on one GPU, of 0.19, 0.22 and 0.23."""
GEMMA_4 = "3 published logs of Gemma 4 in 16 bit: KV pool within 0.3 %; 2 of 26B in NVFP4 were 0.6 and 1.7 GiB smaller"
"""Source: starts of 0.19, 0.22 and 0.26; of 0.19 and 0.20 on an RTX 5090, by as much as a batch is larger."""
MEASURED = "the start-up trial of its image encoder was measured alone, 1 % off; no whole start was held against it"
"""Of other kinds. Source: `encoder_peaks_measured.json` of the tests, vLLM 0.24 on an H100: at most 1.5 % off."""
MOONVIT = (
    "its encoder was measured alone, 1 % off; peaks of 2 published starts of Kimi-VL, whose is alike, within 0.01 GiB"
)
"""Source: starts of 0.19, where inputs, outputs and angles that stay decide 0.1 GiB, and the decoder the rest."""
EMBEDDED = "its frames are embedded without an encoder, 0.05 GiB by vLLM's source; no start of it was held against it"
"""Of Gemma 4 12B."""
HELD: Mapping[Kind, str] = {
    "embedded": EMBEDDED,
    "gemma4": GEMMA_4,
    "moonvit": MOONVIT,
    "qwen2.5": COUNTED,
    "qwen3": COUNTED,
    "siglip": COUNTED,
}
"""What logs of whole starts say of a kind of encoder."""
SHARED = "vLLM's source; of 1 published log of V4.1-Flash, the cache is met, weights 1 % off"
"""Of keys that layers share. Source: a start on eight H100 of 0.31.1rc1, with expert parallelism, where whole experts
are not padded."""
COMPRESSED = "vLLM's source; in 4 published logs of V4-Flash KV pools were 3 GiB less to 1.5 more, weights 0.3 % off"
"""Of compressed keys. Source: starts on RTX PRO 6000, GH200, B200 and H100, of 0.22, 0.25 and 0.31."""
RAN_OUT = "; one start on 4 x H800 ran out at the default share: set memory_utilization lower"
"""What is known of its second model runner, whose graphs are outside the share. Source: vLLM's issue 54677."""
READ_ALONE = "its KV cache is cut as in vLLM's source; no published log was held against it"
"""Of every index key beside keys and values, and of states alone."""
IN_HOST = "tables of n-grams, which vLLM reads from the host's memory: they are no part of the weights on GPUs"
TEXT_ALONE = "image_inputs=0 leaves it out"
NO_IMAGES = """--limit-mm-per-prompt '{"image":0,"video":0}' avoids it"""


def may_be_blind(name: EngineName, model: Model, version: int) -> bool:
    """Whether an engine can serve a model without its image encoder."""
    return name == "vllm" and version >= vllm_defaults.FIRST_TEXT_ALONE and model.architecture.vision_params > 0


def memory_evidence(on: Serving) -> str:
    """How far the memory rules are off for this model on this GPU, or that no log was compared."""
    return _evidence(on)[0]


def notable_evidence(on: Serving) -> str | None:
    """The same; None where it is what holds for most models on the GPUs that the rules were checked on."""
    said, is_usual = _evidence(on)
    return None if is_usual else said


@lru_cache(maxsize=256)
def _evidence(on: Serving) -> tuple[str, bool]:
    """How far the rules are off, and whether that is the usual case: a known vendor, no encoder, no compressed keys.

    A version later than those checked counts as usual here: answers name it on its own.
    """
    info, architecture = ENGINES[on.engine.name], on.model.architecture
    known, is_vllm = on.gpu.vendor in info.evidence, on.engine.name == "vllm"
    newer = is_vllm and info.is_newer(on.engine.version)
    held = info.newer if newer else info.held_against(on.gpu.vendor)
    if is_vllm and covers(architecture, on.engine):
        said = SHARED if shares_keys(architecture) else COMPRESSED
        tight = vllm_defaults.has_second_runner(architecture, on.engine)
        return f"{held}; {said}" if newer else said + (RAN_OUT if tight else ""), False
    alone = (READ_ALONE,) if is_vllm and is_read_alone(architecture) else ()
    if vllm_activation.leaves_out_encoder(architecture, on.engine):
        remedy = TEXT_ALONE if may_be_blind(on.engine.name, on.model, on.engine.version) else NO_IMAGES
        return "; ".join((*(alone or (() if known and not newer else (held,))), NOT_COUNTED, remedy)), False
    if alone:
        return READ_ALONE, False
    tower = vllm_activation.counted_encoder(architecture, on.engine)
    if tower is None:
        return held, known
    return HELD.get(tower.kind, MEASURED) if known and not newer else held, False


def note_ngrams(ledger: Ledger, on: Serving) -> None:
    """List the tables of n-grams that vLLM leaves in the host's memory, of each replica."""
    if vllm_memory.loader(on.gpu, on.engine).keeps_lookups_off(on.model.architecture):
        ledger.note("host_tables", round(weights(on.model, on.precision).lookup / GB, 1), unit="GB", why=IN_HOST)


def note_encoder(ledger: Ledger, on: Serving, context: int) -> None:
    """List the images or videos of the encoder's start-up trial, where the rules count it."""
    if tower := vllm_activation.counted_encoder(on.model.architecture, on.engine):
        each = item_images(tower, context)
        items = profiled_images(tower, on.engine.max_num_batched_tokens, context) // each
        what = (
            f"{words.count(items, 'video' if tower.frames or each > 1 else 'image')} of {each * tower.tokens:,} tokens"
        )
        ledger.note("image_encoder", what, why=f"tried out before the KV pool is cut; {TEXT_ALONE}")
