"""The model of a repository on a hub: that of its config.json, with the bits that its tensors take in the files."""

from collections.abc import Iterator
from dataclasses import replace

from inferplan.catalog.hugging_face._hub_reading import Repository
from inferplan.catalog.hugging_face._hub_tensors import Stored, StoredTensors
from inferplan.catalog.hugging_face.config import Described, read
from inferplan.catalog.hugging_face.reading.document import LONGEST_OF_A_HUB, parsed
from inferplan.core.model import Model, NativeBits

UNQUANTISED = frozenset({"fp32", "bf16", "fp16"})
"""Precisions that engines load in the config's type, whatever type the files are in."""

LONGEST_TITLE = 48
"""Characters of a name that drawings and sentences show."""

ALIKE = 0.001
"""Parameters of the files and of the config may differ by this share without a note: buffers, tied heads."""

BITS = (1.0, 33.0)
"""What a weight with its scales can take; anything else means that names were not recognised. [bits]"""


def hub_model(repository: Repository) -> Described:
    """The model of a repository; raises `ConfigProblem` where its config is not understood."""
    one = read(parsed(repository.config, LONGEST_OF_A_HUB))
    bits = _stored_bits(one.model, repository.tensors)
    model = replace(one.model, id=repository.id, title=_title(repository.id), native_bits=bits or one.model.native_bits)
    notes = (*one.notes, *repository.notes, *_contradictions(model, repository), *_source_of_bits(model, bits))
    return Described(model=model, notes=notes)


def _title(repo_id: str) -> str:
    """The name of a repository, cut where it is long.

    >>> _title("someone/tiny-llama"), _title("someone/" + "x" * 90)[-6:]
    ('someone/tiny-llama', 'xxx...')
    """
    return repo_id if len(repo_id) <= LONGEST_TITLE else repo_id[: LONGEST_TITLE - 3] + "..."


def _stored_bits(model: Model, tensors: StoredTensors | None) -> NativeBits | None:
    """8 × bytes / counted parameters of each class; None where nothing is quantised, or its tensors are not known."""
    if tensors is None or model.native_precision in UNQUANTISED:
        return None
    parts = model.parameters
    mixing, ffn = parts.attention + parts.linear_attention, parts.dense_ffn + parts.shared_experts
    found = {
        "mixers": _bits(tensors.mixers, mixing),
        "ffn": _bits(tensors.ffn, ffn),
        "routed_experts": _bits(tensors.routed_experts, parts.routed_experts),
        "lookup": _bits(tensors.lookup, parts.lookup),
    }
    if None in found.values():
        return None
    return NativeBits(**{kind: bits for kind, bits in found.items() if bits is not None})


def _bits(stored: Stored, counted: int) -> float | None:
    """The bits of one class, 16 where the model has none of it; None where they cannot be right."""
    if not counted:
        return 16.0
    bits = stored.bits_per_parameter(counted) or 0.0
    return round(bits, 4) if BITS[0] <= bits <= BITS[1] else None


def _contradictions(model: Model, repository: Repository) -> Iterator[str]:
    """A note where the files hold another number of parameters than the config makes."""
    tensors, stated = repository.tensors, repository.stated
    counted = model.total_params
    held = tensors and (tensors.total.parameters and _decoder(tensors).parameters)
    if stated is not None:
        held, counted = stated, counted + _beside(model)
    if held and abs(held - counted) > ALIKE * counted:
        yield f"its files hold {held:,} parameters, its config makes {counted:,}"


def _decoder(tensors: StoredTensors) -> Stored:
    """What the tensors of the text decoder take."""
    kinds = (tensors.mixers, tensors.ffn, tensors.routed_experts, tensors.lookup, tensors.rest)
    return sum(kinds, Stored())


def _beside(model: Model) -> int:
    """Parameters of the vision tower and the multi-token-prediction layers. [parameters]"""
    further = model.architecture.multi_token
    return model.architecture.vision_params + (further.params if further else 0)


def _source_of_bits(model: Model, bits: NativeBits | None) -> Iterator[str]:
    """A note that the bits are those of the files, where they are."""
    if bits is not None:
        yield f"its weights in {model.native_precision} take the bits that its tensor headers state"
