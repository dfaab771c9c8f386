"""Parts that the vision towers of several families have. [parameters]"""

from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.vision.sizes import image_patches, patch_values, size

UNCOUNTED = "The vision tower that stands beside the text decoder is not counted."


def layer_params(width: int, inner: int, *, bias: bool = True, gated: bool = False, norm: int = 2) -> int:
    """Four square matrices, a feed-forward block and two norms of `norm` × width. [parameters]"""
    biases = 4 * width + (2 if gated else 1) * inner + width if bias else 0
    return 4 * width**2 + (3 if gated else 2) * width * inner + biases + 2 * norm * width


def merger(merged: int, out: int) -> int:
    """Two matrices with biases, after a few patches are merged into one. [parameters]"""
    return merged**2 + merged + merged * out + out


def siglip(vision: Keys, *, head: bool, unused: int = 0) -> int:
    """SigLIP with its last norm, and with a `head` that pools; without `unused` last layers, which leave it no norm.

    Source: transformers, `SiglipVisionModel`.
    """
    width, depth = size(vision, "hidden_size"), size(vision, "num_hidden_layers") - unused
    layer = layer_params(width, size(vision, "intermediate_size"))
    ends = (patch_values(vision) + 1 + image_patches(vision) + (0 if unused else 2)) * width
    return depth * layer + ends + (layer - width if head else 0)


def vit_with_class(vision: Keys, *, unused: int = 0) -> int:
    """A vision transformer of images of one size, with a class token and two norms at its ends. [parameters]

    Without `unused` last layers, which leave it no last norm.
    """
    width, inner = size(vision, "hidden_size"), size(vision, "intermediate_size")
    layers = (size(vision, "num_hidden_layers") - unused) * layer_params(width, inner)
    return layers + (patch_values(vision) + 1 + image_patches(vision) + 1 + (2 if unused else 4)) * width


def uncounted(root: Keys) -> int:
    """0 parameters, and a note that the tower is not counted."""
    root.notes[UNCOUNTED] = None
    return 0
