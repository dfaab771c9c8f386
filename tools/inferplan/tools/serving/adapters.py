"""LoRA adapters on one base model: what was asked for, what answers say of it, where it is refused."""

from collections.abc import Iterator, Sequence
from typing import TypedDict

from inferplan.core.engine import EngineName
from inferplan.core.engines.adapters import FIRST_WITHOUT_VOCABULARY, buffer_rank, unknown
from inferplan.core.engines.rank_memory import RankMemory
from inferplan.tools import _words as words
from inferplan.tools._assumptions import Ledger
from inferplan.tools._models import SIXTEEN_BIT
from inferplan.tools._settings import settings
from inferplan.tools.serving.serving import Serving

NAMES = ("lora_adapters", "lora_rank", "lora_sharded")
"""The settings of LoRA: any of them alone that the engine knows asks for one adapter, the last of vLLM alone."""
READ_ENDS = 24
"""The first vLLM (0.24) whose model classes were read for whether they adapt embedding and head."""
UNTIMED = "times and throughput are those of the base model: no run of this engine was found that says more"
TIMED = "as if every request had one; fitted to vLLM 0.24 on one H200, whose ten loads it meets to -14 and +9 %"
"""Source: tests/data/speed_measured_adapters.json."""
KERNELS = "what vLLM 0.24 can adapt such experts in; with another one it stops at start-up"
"""Source: vLLM 0.24, vllm/model_executor/layers/fused_moe: `LoRAExpertsMixin`, and `supports_lora` in lora/layers."""


class AdapterFields(TypedDict, total=False):
    """The fields of an `Engine` that adapters set; empty without any."""

    adapters: int
    adapter_rank: int
    adapters_sharded: bool


def adapter_fields(ledger: Ledger, engine: EngineName) -> AdapterFields:
    """The fields that the overrides ask for: adapters in a batch, their rank, whether ranks share each out."""
    asked = any(map(ledger.given, NAMES if engine == "vllm" else NAMES[:-1]))
    adapters = int(ledger.take("lora_adapters", asked, quiet=True))
    if not adapters:
        return AdapterFields()
    return AdapterFields(
        adapters=adapters,
        adapter_rank=int(ledger.take("lora_rank", quiet=True)),
        adapters_sharded=engine == "vllm" and bool(ledger.take("lora_sharded", quiet=True)),
    )


def note_adapters(ledger: Ledger, on: Serving) -> None:
    """List the adapters' buffers, and whether their time is counted."""
    engine, experts = on.engine, on.experts
    if not engine.adapters:
        return
    kept = f"{words.count(engine.adapters, 'adapter')} of rank {buffer_rank(engine)}"
    ledger.note("lora_buffers", kept, why=_adapted(on))
    note_adapted_speed(ledger, on)
    if experts and engine.name == "vllm" and on.precision.id not in (*SIXTEEN_BIT, "mxfp4"):
        ledger.note("lora_kernels", "Triton or Marlin", why=KERNELS)


def note_adapted_speed(ledger: Ledger, on: Serving) -> None:
    """List whether times include those of adapters, as bills and comparisons depend on it too."""
    if on.engine.adapters:
        timed = on.engine.name == "vllm"
        ledger.note("lora_speed", "counted" if timed else "not counted", why=TIMED if timed else UNTIMED)


def _adapted(on: Serving) -> str:
    """The layers that have buffers, and the evidence for their size."""
    if on.engine.name == "sglang":
        return (
            "for query, key, value, output, gate, up and down of every layer; requests of the base model take one too"
        )
    ends = {"ends": ", embedding and head", "joined": ", embedding and head", "embedding": " and the embedding"}
    said = (
        f"for every linear layer{ends.get(on.model.lora, '')}, in its type; 4 logs of Llama 3.2 and Qwen3: within 0.3 %"
    )
    return said if on.engine.version >= READ_ENDS else f"{said}; embedding and head as in 0.{READ_ENDS}"


def adapters_sentence(on: Serving, memory: RankMemory) -> Iterator[str]:
    """The memory that adapters take of the busiest GPU; nothing without any."""
    if memory.adapters:
        kept = words.count(on.engine.adapters, "LoRA adapter")
        taken = "takes" if on.engine.adapters == 1 else "take"
        yield f"{kept} of rank {buffer_rank(on.engine)} {taken} {words.gib(memory.adapters)} of each GPU."


def offered_engines(names: Sequence[str], *, engines: bool) -> str:
    """`engine vllm or sglang`, where the tool has such an argument (`engines`); else as overrides, or empty.

    >>> offered_engines(["sglang", "llama.cpp"], engines=False), offered_engines(["llama.cpp"], engines=False)
    ('overrides="engine=sglang"', '')
    """
    if engines:
        return f"engine {words.join([*names], last='or')}"
    planned = settings()["engine"].choices
    return words.join([f'overrides="engine={name}"' for name in names if name in planned], last="or")


def refuse_adapters(on: Serving, *, engines: bool = False) -> None:
    """Raise a ValueError that names the ways out, where the memory of the adapters asked for is not known."""
    if not on.engine.adapters or (reason := unknown(on.model, on.engine)) is None:
        return
    ways = ["leave the lora settings out"]
    if on.engine.name == "vllm" and on.engine.version < FIRST_WITHOUT_VOCABULARY:
        ways.insert(
            0, f'take overrides="engine_version={settings()["engine_version"].shown(FIRST_WITHOUT_VOCABULARY)}"'
        )
    elif on.engine.name != "vllm" and on.model.lora:
        ways.insert(0, f"take {offered_engines(['vllm'], engines=engines)}")
    what = f"what LoRA adapters of {on.model.title} take under {on.engine_name} is not known here: {reason}"
    raise ValueError(f"{what}; {' or '.join(ways)}")
