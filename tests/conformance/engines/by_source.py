"""Commands of an engine that is not installed, held against the flags that its sources name."""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from engines.asked import Held, Started, held, started

from inferplan.core.engine import EngineName

FLAG = re.compile(r"""["'](--?[A-Za-z][\w.-]*)["']""")
"""A flag as parsers are told it, in Python and C++: a whole string."""
KEY = re.compile(r"([a-z]\w+):")
"""A key of the options that TensorRT-LLM's remark writes as YAML."""
CACHE = re.compile(r"--kv-cache-dtype (\w+)")
TOLD = re.compile(r" # .*FILE says (.*)")


def flags_of(sources: str) -> frozenset[str]:
    """The flags that sources name, `--a-b` and `--a_b` alike."""
    return frozenset(flag.replace("_", "-") for flag in FLAG.findall(sources))


def hold(one: Started, sources: str, known: frozenset[str]) -> Iterator[str]:
    """What a command says that its engine's sources do not know: a flag, a variable, a type of the cache, a field."""
    for flag in sorted(one.flags - one.environment.keys()):
        name = flag.split(".")[0].replace("_", "-")
        if not known & {name, name.replace("--no-", "--", 1)}:
            yield f"no flag {flag}"
    yield from (f"no variable {name}" for name in one.environment if name not in sources)
    yield from (f"no cache in {name}" for name in CACHE.findall(one.command) if f'"{name}"' not in sources)
    for told in TOLD.findall(one.command):
        yield from (f"no field {key}" for key in KEY.findall(told) if not re.search(rf"\b{key}\b", sources))


def hold_all(
    engine: EngineName, files: Sequence[Path], *, rounds: int, seed: int, version: int | None = None
) -> Iterator[Held]:
    """Commands of an engine, or of a version of vLLM, held against its sources."""
    sources = "\n".join(file.read_text(encoding="utf-8") for file in files)
    known = flags_of(sources)
    for one in started(engine, random.Random(seed), rounds, version=version):
        yield held(one, *hold(one, sources, known))
