"""`per_layer_config`: where transformers saves what one kind of layer has of its own."""

from collections.abc import Mapping, Set
from typing import cast

from inferplan.catalog.hugging_face.reading.keys import Keys

PER_LAYER = "per_layer_config"


def gather(keys: Keys, layers: Set[int], own: Mapping[str, str], *, kind: str) -> None:
    """Read what is saved of the layers of a kind under the keys of the checkpoint that say so of all of them.

    `own` has, by the key that is saved, the checkpoint's. Where the config says more than that, or differs between the
    layers, that is recorded as not supported.
    """
    given = keys.values.get(PER_LAYER)
    if not isinstance(given, dict) or not given:
        return
    listed = cast("Mapping[str, object]", given)
    (first, *others) = listed.values()
    said = cast("Mapping[str, object]", first) if isinstance(first, dict) else {"": first}
    numbers = {int(number) for number in listed if number.isdecimal()}
    if numbers != layers or any(one != first for one in others) or not set(said) <= set(own):
        keys.refuse(PER_LAYER, f"says more than the sizes that all {kind} layers share")
        return
    for name, value in said.items():
        keys.substitute(own[name], value)
