"""Questions whose answers have a command, drawn and fixed ones for rare flags; and what came of holding one."""

import random
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine import EngineName
from inferplan.core.parallelism import Layout
from inferplan.tools._assumptions import Ledger
from inferplan.tools._overrides import parse_overrides
from inferplan.tools.parallelism import TOOL as PLAN
from inferplan.tools.serving.launch import launch
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import chosen_engine, serving
from inferplan.tools.vram import TOOL as SIZE

CONFIGS = Path(__file__).parents[2] / "data" / "configs"
SLUGS = {
    id_: slug
    for slug, _, id_ in (line.partition("\t") for line in (CONFIGS / "models.tsv").read_text("utf-8").splitlines())
    if id_ in MODELS
}
"""The published config of each catalogued model that one is kept of; of several, the last."""
SETTINGS: Mapping[str, Sequence[float]] = {
    "memory_utilization": (0.8, 0.95),
    "max_num_seqs": (16, 64, 256, 2000),
    "max_num_batched_tokens": (512, 2048, 4096, 16384),
    "cuda_graphs": (0,),
    "prefix_caching": (0, 1),
    "hybrid_kv_cache": (0,),
    "image_inputs": (0,),
    "decode_context_parallel": (2, 4, 8),
    "lora_adapters": (1, 4, 20),
    "lora_rank": (8, 24, 64, 256),
    "lora_sharded": (1,),
    "speculative_tokens": (1, 2, 3),
    "gpus_per_node": (1, 2, 4),
    "expert_parallel": (0,),
}
"""Overrides that change how an engine is started, each with values to draw from."""
GGUF_SHARE = 0.05
"""How often a format is drawn from GGUF's as well, which have many names, of engines that are not llama.cpp."""
RARE: Sequence[tuple[str, str, str, Mapping[str, int], str]] = (
    ("MiniMaxAI/MiniMax-M3", "bf16", "b200-sxm", {"tp": 8}, ""),
    ("deepseek-ai/DeepSeek-V3", "fp8", "h200-sxm", {"tp": 8}, "decode_context_parallel=8"),
    ("deepseek-ai/DeepSeek-V3", "fp8", "h200-sxm", {"tp": 8}, "speculative_tokens=2"),
    ("deepseek-ai/DeepSeek-V3", "fp8", "h200-sxm", {"attention_dp": 24}, ""),
    ("deepseek-ai/DeepSeek-V3", "fp8", "h200-sxm", {"attention_dp": 32}, "max_num_seqs=64"),
    ("deepseek-ai/DeepSeek-V3", "fp8", "b200-sxm", {"attention_dp": 8}, ""),
    ("MiniMaxAI/MiniMax-M2.5", "fp8", "h200-sxm", {"tp": 8}, ""),
    ("Qwen/Qwen2.5-7B-Instruct", "bf16", "a10g", {"tp": 4, "pp": 3}, "gpus_per_node=8"),
    ("meta-llama/Llama-3.1-8B-Instruct", "fp32", "h100-sxm", {"tp": 2}, "lora_adapters=2, lora_sharded=1"),
    ("google/gemma-3-27b-it", "q4_k_m", "rtx-4090", {"pp": 3}, "hybrid_kv_cache=0, gpus_per_node=1"),
)
"""Model, format, GPU, layout and overrides of commands with flags that draws seldom meet."""
SPREAD = "trtllm-llmapi-launch"
"""What starts TensorRT-LLM on several servers; its own program stands behind."""
MANY = 32 * 256
"""Their users. [sequences]"""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A command that an answer gives, and the serving and context that it is for."""

    question: Mapping[str, Any]
    command: str
    on: Serving
    context: int

    @property
    def _words(self) -> list[str]:
        """The command without its remark."""
        return shlex.split(self.command.partition(" # ")[0])

    @property
    def environment(self) -> dict[str, str]:
        """The variables before the command."""
        return dict(word.split("=", 1) for word in self._words[: self._first])

    @property
    def _first(self) -> int:
        """Where the program stands, behind the variables."""
        return next(at for at, word in enumerate(self._words) if "=" not in word)

    @property
    def arguments(self) -> list[str]:
        """What the program is given; without the module where that is Python."""
        words = self._words[self._first + 1 :]
        if SPREAD in words:
            return words[words.index(SPREAD) + 2 :]
        return words[2:] if words[0] == "-m" and "." in words[1] else words

    @property
    def flags(self) -> frozenset[str]:
        """The names of the flags and variables given."""
        given = [word for word in self.arguments if word.startswith("-") and not word[1:].isdigit()]
        return frozenset(given) | self.environment.keys()

    def value(self, flag: str) -> int | None:
        """What a flag is given; None where it is not there."""
        words = self.arguments
        return int(words[words.index(flag) + 1]) if flag in words else None


@dataclass(frozen=True, kw_only=True)
class Held:
    """What an engine says of a command; nothing where it would start it as the answer says. It can be pickled."""

    model: str
    command: str
    flags: frozenset[str]
    said: tuple[str, ...]


def held(one: Started, *said: str) -> Held:
    """What was said of a command."""
    return Held(model=one.on.model.id, command=one.command, flags=one.flags, said=said)


def started(
    engine: EngineName, dice: random.Random, rounds: int, *, gpus: Sequence[str] = (), version: int | None = None
) -> Iterator[Started]:
    """So many commands drawn for these GPUs, or any, and the rare ones."""
    fixed = f"engine_version=0.{version}" if version else ""
    rare = (_rare(engine, one, fixed) for one in RARE if not gpus or one[2] in gpus)
    return chain(chain.from_iterable(rare), islice(_drawn(engine, dice, gpus or tuple(GPUS), fixed), rounds))


def _rare(engine: EngineName, row: tuple[str, str, str, Mapping[str, int], str], fixed: str) -> Iterator[Started]:
    """A command of `RARE`, where the engine serves that."""
    model, precision, gpu, layout, overrides = row
    if engine not in FORMATS[precision].engines or (engine == "llama.cpp") != FORMATS[precision].is_gguf:
        return
    text = ", ".join(filter(None, (fixed, overrides)))
    ledger = Ledger(parse_overrides(text, groups=SIZE.question.settings))
    on = serving(ledger, model=model, precision=precision, gpu=gpu, engine=engine)
    placed = Layout(**layout)
    if on.obstacle or placed.tp not in on.degrees or not on.starts(placed):
        return
    if placed.attention_dp <= max((1, *on.sharing(placed.tp, 2 * placed.ranks))):
        command = launch(on, placed, context=4096, users=MANY, ledger=ledger)
        yield Started(question={"row": row}, command=command, on=on, context=4096)


def _drawn(engine: EngineName, dice: random.Random, gpus: Sequence[str], fixed: str) -> Iterator[Started]:
    """Commands without end, each of a question drawn anew; questions that are refused have none."""
    while True:
        chosen = dice.sample(sorted(SETTINGS), dice.choice((0, 0, 1, 1, 2, 3, 4)))
        overrides = [f"{name}={dice.choice(SETTINGS[name])}" for name in chosen]
        question, plans = _question(engine, dice, gpus), engine != "llama.cpp" and dice.random() < 0.5
        own = f"engine={engine}" if plans else ""
        text = ", ".join(filter(None, (fixed, own, *overrides)))
        with suppress(ValidationError):
            yield from _answered(question | {"overrides": text} | ({} if plans else {"engine": engine}))


def _question(engine: EngineName, dice: random.Random, gpus: Sequence[str]) -> dict[str, Any]:
    """A question, drawn: a model's own format as often as others."""
    model = dice.choice(sorted(SLUGS))
    own = FORMATS.id_of(MODELS[model].native_precision)
    mixes = engine == "llama.cpp" or dice.random() < GGUF_SHARE
    forms = [id_ for id_, form in FORMATS.items() if engine in form.engines and (mixes or not form.is_gguf)]
    question: dict[str, Any] = {
        "model": model,
        "precision": dice.choice((own, own, *forms)) if engine in FORMATS[own].engines else dice.choice(forms),
        "gpu": dice.choice(gpus),
        "concurrent_users": dice.choice((1, 4, 50, 500, 4000)),
        "context_window": dice.choice((1000, 8192, 32_768, 131_072, 300_000)),
    }
    if dice.random() < 0.6:
        question["total_gpus"] = dice.choice((1, 2, 3, 4, 8, 16, 24, 32, 64))
    if dice.random() < 0.3:
        question["kv_precision"] = dice.choice([id_ for id_, form in KV_FORMATS.items() if engine in form.stored_by])
    return question


def _answered(question: dict[str, Any]) -> Iterator[Started]:
    """The command of the sizing tool, where it is told the engine, or of the planner."""
    tool = SIZE if "engine" in question else PLAN
    answer = tool.ask(question)
    if answer.launch is None:
        return
    ledger = Ledger(parse_overrides(question["overrides"], groups=tool.question.settings))
    model, precision, gpu = (str(answer.inputs[name]) for name in ("model", "precision", "gpu"))
    kept, engine = question.get("kv_precision"), question.get("engine") or chosen_engine(ledger)
    on = serving(ledger, model=model, precision=precision, gpu=gpu, kv_precision=kept, engine=engine)
    yield Started(question=question, command=answer.launch, on=on, context=question["context_window"])
