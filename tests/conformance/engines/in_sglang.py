"""Commands of SGLang, read by its own parser."""

import argparse
import random
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NoReturn

from engines.asked import Held, held, started


class Parser(argparse.ArgumentParser):
    """One that raises what it has to say."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def hold_all(rounds: int, seed: int) -> Iterator[Held]:
    """Commands held against the parser; beyond it SGLang wants its kernels."""
    settings: Any = import_module("sglang.srt.server_args").ServerArgs
    settings.add_cli_args(parser := Parser())
    for one in started("sglang", random.Random(seed), rounds):
        try:
            _ = parser.parse_args(one.arguments)
        except (ValueError, argparse.ArgumentError) as problem:
            yield held(one, f"refused: {problem}")
        else:
            yield held(one)
