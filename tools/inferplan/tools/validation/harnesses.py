"""How the harnesses of published runs send requests, and what InferenceX's scripts set that its rows do not state.

InferenceX's scripts were read as they stood on the days of its rows (SemiAnalysisAI/InferenceX, benchmarks and
benchmarks/single_node@12ba0ae, 7daaa8b, 1cb92d2, dd9c285, e8924a6, 758dd7f).
"""

from inferplan.core.precision import Precision

RANDOM_LENGTHS = 0.9
"""Mean over nominal length in InferenceX's harness, which draws uniformly from 80 to 100 %."""
ROUNDS = 10
"""Requests of each client in a run, of which the first come all at once, as both harnesses have it.

Source: InferenceX, benchmarks/benchmark_lib.sh and its callers (`--num-prompts $(( $CONC * 10 ))`, `--request-rate
inf`); ai-dynamo/dynamo, benchmarks/llm/perf.sh (`--request-count $(($concurrency*10))`).
"""
ROUNDED = ("inferencex", "nvidia-dynamo-internal")
"""Families of rows measured with `ROUNDS`."""
CACHED_IN_FP8 = ("meta-llama/Llama-3.1-70B-Instruct", "Qwen/Qwen3.5-397B-A17B")
"""Models whose cache InferenceX has in FP8 on Hopper too, which its rows do not say.

Source: InferenceX, benchmarks/70b_fp8_h100_slurm.sh and 70b_fp8_h200_slurm.sh@409e9a4 (`kv-cache-dtype: fp8`),
benchmarks/single_node/qwen3.5_fp8_h200.sh@2116fc4 (`--kv-cache-dtype fp8_e4m3`); its scripts of gpt-oss and MiniMax on
H200 set none then.
"""
STATIC_SHARE = 0.82
"""`--mem-fraction-static` of InferenceX's scripts of SGLang, which are from 0.80 to 0.85.

They switch the radix cache off too, and let as many requests run as there are clients, or more.
"""
TIGHT_SHARE = 0.95
"""The same of DeepSeek R1 in FP8 on four B200 or B300: it would not fit otherwise (dsr1_fp8_b200.sh)."""
TIGHT = 4
POLLED = ("DeepSeek-R1", "DeepSeek-V3", "Qwen3.5-397B")
POLLED_ON = ("b200-sxm", "b300-sxm")
SELDOM, MORE_SELDOM, MANY = 10, 30, 16
"""`--scheduler-recv-interval`: 10 steps, and 30 from 16 clients on. [steps], [clients]"""
CLUMPED = 2.3
"""How many times as many answers end within a step as if they ended evenly, under SGLang in InferenceX's runs.

All begin at once, and their lengths are uniform from 80 to 100 % of the nominal one: standard deviation s = 0.2 / √12 /
0.9 = 0.064 of the mean. After r rounds the ends of two clients are √(2 r) s apart, so that r-th ends are as dense as
1 / √(4 π r) / s = 4.4 / √r times the mean; the mean of this over nine rounds. It holds where prompts come before all
tokens, so that one step more is one token more for everybody.
"""
ANSWER_STEP = 128
"""Tokens that all lengths of Dynamo's older sweep are multiples of."""


def static_share(precision: Precision, *, tp: int | None) -> float:
    """`--mem-fraction-static` in InferenceX's scripts of SGLang. [fraction]"""
    return TIGHT_SHARE if tp == TIGHT and precision.id == "fp8" else STATIC_SHARE


def polled_every(model: str, gpu: str, precision: Precision, *, tp: int, clients: float) -> int:
    """Steps between SGLang's polls for requests in InferenceX's scripts; 0 where they do not set it.

    They set 10 or 30 for DeepSeek R1 and Qwen3.5 on B200 and B300, always 10 for R1 in FP8 on four GPUs and for Qwen3.5
    in FP8 on B300. After a batch of prompts SGLang polls at once.
    Source: SGLang, srt/managers/scheduler_recv_skipper.py@0cc650f.

    >>> from inferplan.catalog.formats import FORMATS
    >>> fp8 = FORMATS["fp8"]
    >>> [polled_every("deepseek-ai/DeepSeek-R1", "b200-sxm", fp8, tp=8, clients=n) for n in (8, 16)]
    [10, 30]
    >>> polled_every("deepseek-ai/DeepSeek-R1", "h200-sxm", fp8, tp=8, clients=16)
    0
    """
    if gpu not in POLLED_ON or not any(name in model for name in POLLED):
        return 0
    always = precision.id == "fp8" and (gpu == "b300-sxm" if "Qwen" in model else tp == TIGHT)
    return MORE_SELDOM if clients >= MANY and not always else SELDOM


def synchronized(family: str, tokens_in: float, tokens_out: float) -> bool:
    """Whether all clients of SGLang send at once in every round: Dynamo's older sweep, lengths in powers of two.

    Its answers are taken to have one length, which the source does not say. Its 78 runs with a stated layout do: where
    64 or more clients ask, 0.4 of all prompts' time comes before the first token and 0.3 to 0.4 between tokens. Later
    runs of the same source, with lengths in thousands, are not so.
    """
    return family == "nvidia-dynamo-internal" and tokens_in % ANSWER_STEP == 0 and tokens_out % ANSWER_STEP == 0
