"""Sizes that the vision configs of several families have."""

from collections.abc import Mapping, Sequence

from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, Keys

COLOURS = 3


def size(keys: Keys, *names: str, default: int | None = None) -> int:
    """A size under one of these names. [elements]"""
    return keys.integer(*names, default=default, high=LARGEST_COUNT)


def refuse_others(keys: Keys, usual: Mapping[str, Sequence[int]]) -> None:
    """Refuse lists that are not the usual ones, which every published model has."""
    for key, value in usual.items():
        if keys.values.get(key, list(value)) != list(value):
            keys.unsupported(key, "every published model has another")


def image_patches(vision: Keys) -> int:
    """(image / patch)²: the patches of an image of the fixed size."""
    return (size(vision, "image_size") // size(vision, "patch_size")) ** 2


def patch_values(vision: Keys) -> int:
    """3 × patch²: the values of one patch of a picture in three colours."""
    return COLOURS * size(vision, "patch_size") ** 2


def embedded_values(vision: Keys) -> int:
    """3 × (patch × pool)²: the values of one square of pooled patches of a picture in three colours."""
    return COLOURS * (size(vision, "patch_size") * size(vision, "pooling_kernel_size", default=3)) ** 2


def video_patch_values(vision: Keys, *channels: str) -> int:
    """Channels × frames × patch²: the values of one patch of a few frames."""
    return size(vision, *channels) * size(vision, "temporal_patch_size") * size(vision, "patch_size") ** 2


def merged_patches(vision: Keys) -> int:
    """The patches that are merged into one token."""
    return size(vision, "spatial_merge_size") ** 2
