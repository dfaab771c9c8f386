"""What a GGUF file takes, as `llama-quantize` says it: layers and ends, a tied embedding once."""

from inferplan.core.engines.llamacpp_files import embedding_bits, head_bytes, in_files, layer_weights
from inferplan.core.model import Model
from inferplan.core.precision import Precision


def file_bytes(model: Model, precision: Precision) -> float:
    """The file of a model in a mix, but for the final norm, which is in no layer. [B]"""
    stored, parts = in_files(model), model.parameters
    own = parts.embedding if parts.output_head else 0
    ends = (own + parts.lookup) * embedding_bits(stored, precision) / 8
    return sum(layer_weights(stored, precision)) + head_bytes(stored, precision) + ends
