"""Start commands held against the engines' own parsers and checks, without a GPU.

    python tests/conformance/in_engines.py vllm [--gpu ID ...] [--rounds N] [--seed N]
    python tests/conformance/in_engines.py sglang
    python tests/conformance/in_engines.py ENGINE --source FILE ... [--version N]

In a Python that has the engine beside inferplan: `pip install vllm==0.33.0`, or `sglang==0.5.23`. vLLM takes this
machine for one with the GPU asked about (`engines/vllm_stand_in.py`), reads the command and makes its configuration, as
`vllm serve` does before it loads anything: that has to say what the answer says. Where the driver's library is missing,
an empty libcuda.so.1 on LD_LIBRARY_PATH lets it load its kernels, which some checks ask.

With `--source` flags, variables and fields are looked up in files of the engine: vllm/engine/arg_utils.py,
vllm/envs.py, vllm/config/*.py and vllm/entrypoints/**/cli_args.py of a `--version`; common/arg.cpp of llama.cpp;
tensorrt_llm/commands/serve.py and llmapi/llm_args.py of TensorRT-LLM.

Questions are drawn by `--seed`. Prints Markdown; exits 1 where a command is refused, or makes another configuration
than the answer says, for no known reason, and where a flag that the product can write was never asked for.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from engines import by_source, in_sglang, in_vllm
from engines.asked import Held

from inferplan.core.engine import ENGINES, Engine, EngineName
from inferplan.tools.serving.launch_flags import FLAGS, spelled
from inferplan.tools.serving.settings import default_version

NAMED = re.compile(r"(?<![\w-])--?[a-z][\w.-]*")
UNASKED: Mapping[EngineName, frozenset[str]] = {
    "llama.cpp": frozenset({"-H", "-p", "-m"}),
    "vllm": frozenset({"-m"}),
    "sglang": frozenset({"-m"}),
    "tensorrt-llm": frozenset({"-N", "--ntasks", "--ntasks-per-node", "--mpi"}),
}
"""Flags of other programs in a command: Python's, the workers', and those of what starts it on several servers."""


@dataclass(frozen=True)
class Reason:
    """Why a difference is none of ours: what is said, of which models (all where empty), beside which flag."""

    why: str
    said: str
    models: tuple[str, ...] = ()
    flag: str = ""

    def explains(self, held: Held, said: str) -> bool:
        """Whether it is the reason for what was said of a command."""
        of_model = not self.models or held.model in self.models
        return of_model and self.flag in {"", *held.flags} and re.search(self.said, said) is not None


REASONS = (
    Reason(
        "a class that the checkpoint brings reads its config",
        "Transformers does not recognize this architecture",
        flag="--trust-remote-code",
    ),
    Reason(
        "our config is that inside the published one, whose type vLLM knows",
        "does not recognize this architecture",
        ("MiniMaxAI/MiniMax-M3",),
    ),
    Reason(
        "our copy of the config leaves its positions out",
        "greater than the derived max_model_len",
        ("moonshotai/Kimi-Linear-48B-A3B-Instruct", "meta-models/Muse-Glimmer-30B"),
    ),
    Reason("Ray, which it names, is not installed", "Failed to import Ray"),
    Reason("our copy of the config writes -5.0 as -5", "kda_lower_bound", ("inclusionAI/Ling-3.0-tiny",)),
)


def unexplained(held: Held) -> Iterator[str]:
    """What is said of a command that no reason explains."""
    yield from (said for said in held.said if not any(one.explains(held, said) for one in REASONS))


def never_asked(engine: EngineName, found: Sequence[Held], version: int | None) -> set[str]:
    """The flags that the product can write for an engine and that no command had; not for old versions of vLLM.

    Those serve too few of the models that `asked.RARE` names.
    """
    newest = default_version()
    if version and version < newest:
        return set()
    runs = Engine(name=engine, version=version or newest, max_num_seqs=1, max_num_batched_tokens=1)
    written: set[str] = set()
    for one in fields(FLAGS[engine]):
        value = spelled(runs, one.name)
        texts = value.values() if isinstance(value, Mapping) else [value]
        written |= {flag for text in texts for flag in NAMED.findall(text)}
    return written - {flag for one in found for flag in one.flags} - UNASKED.get(engine, frozenset())


def held_all(options: argparse.Namespace) -> tuple[list[Held], int | None]:
    """What came of all commands, and the version of vLLM that they are for."""
    if options.source:
        drawn = {"rounds": options.rounds, "seed": options.seed, "version": options.version}
        return [*by_source.hold_all(options.engine, options.source, **drawn)], options.version
    if options.engine == "vllm":
        found = [*in_vllm.hold_all(options.rounds, options.seed, options.gpu)]
        return found, in_vllm.version()
    return [*in_sglang.hold_all(options.rounds, options.seed)], None


def main() -> int:
    """Hold all, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--source", type=Path, nargs="+", default=[])
    parser.add_argument("--version", type=int)
    parser.add_argument("--gpu", nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    found, version = held_all(parser.parse_args())
    engine: EngineName = parser.parse_args().engine
    open_ = [(said, one.command) for one in found for said in unexplained(one)]
    print("| said | command |", "|---|---|", *(f"| {said} | `{command}` |" for said, command in open_), sep="\n")  # noqa: T201
    reasons = Counter(one.why for held in found for said in held.said for one in REASONS if one.explains(held, said))
    missing = never_asked(engine, found, version)
    print(f"\n{len(found):,} commands, of which {sum(not one.said for one in found):,} start as answers say")  # noqa: T201
    print(*(f"{number} times: {why}" for why, number in reasons.items()), sep="\n")  # noqa: T201
    print(f"{len(open_)} differ without a known reason; flags never asked for: {', '.join(sorted(missing)) or 'none'}")  # noqa: T201
    return int(bool(open_ or missing))


if __name__ == "__main__":
    sys.exit(main())
