"""The robust fit of the speed model's constants; similar ones are shrunk towards a mean that is fitted with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares  # pyright: ignore[reportMissingTypeStubs]
from targets import NAMES, Floats, Target

from inferplan.core.performance import COMPUTED_WITH, CORNER, SHARES, TIMES
from inferplan.core.speed.efficiency import Kind, constants

SCALE = 0.1
"""Log residuals well below count squared, those well above in proportion."""
CAP = 300
"""Rows that one law of one family weighs at most."""
CAP_AT_HOME = 20
"""The same of llama.cpp: a source has one machine or a few, which it asks at many depths."""
SHRINKAGE = 50.0
"""Weight of the squared log distance of a constant from the mean of those like it, or from what is known, in rows."""
ALIKE: Mapping[str, str] = {
    "expert_compute": "expert_compute",
    "expert_compute_blackwell": "expert_compute",
    "expert_compute_fp4": "expert_compute",
    "expert_compute_weight_only": "expert_compute",
    "expert_compute_weight_only_tensorrt": "expert_compute",
    "sequence_s_vllm": "sequence_s",
    "sequence_s_tensorrt": "sequence_s",
    "sequence_s_sglang": "sequence_s",
    "prefill_interference_vllm": "prefill_interference",
    "prefill_interference_tensorrt": "prefill_interference",
    "prefill_interference_sglang": "prefill_interference",
    "first_token_steps_vllm": "first_token_steps",
    "first_token_steps_tensorrt": "first_token_steps",
    "first_token_steps_sglang": "first_token_steps",
    "front_end_s_vllm": "front_end_s",
    "front_end_s_tensorrt": "front_end_s",
    "front_end_s_sglang": "front_end_s",
    "prompt_queue_vllm": "prompt_queue",
    "prompt_queue_tensorrt": "prompt_queue",
    "prompt_queue_sglang": "prompt_queue",
}
"""Constants that are like others, by what they are: what no row shows of one follows from the others."""
START: Mapping[str, float] = {
    "bandwidth": 0.864,
    "compute": 0.9,
    "compute_fp4": 0.78,
    "bandwidth_local": 0.8,
    "compute_local": 0.6,
    "compute_local_stacked": 0.4,
    "compute_local_amd": 0.4,
    "compute_local_apple": 0.9,
    "expert_share_local": 0.5,
    "prompt_attention_local": 0.5,
    "prompt_attention_local_apple": 0.5,
    "layer_s_local_apple": 78.1e-6,
    "expert_layer_s_local": 16.8e-6,
    "expert_compute": 0.49,
    "link": 0.339,
    "bus": 0.6,
    "all_reduce_s": 4.56e-6,
    "all_to_all_s": 20e-6,
    "stage_send_s": 20e-6,
    "stage_send_s_local": 20e-6,
    "layer_s": 78.1e-6,
    "layer_s_other": 78.1e-6,
    "expert_layer_s": 16.8e-6,
    "latent_layer_s": 10e-6,
    "recurrent_layer_s": 40e-6,
    "index_layer_s": 60e-6,
    "sequence_s": 5.99e-6,
    "overhead_tensorrt": 1.0,
    "prefill_interference": 0.63,
    "front_end_s": 0.0728,
    "first_token_steps": 1.0,
    "prompt_queue": 0.0854,
}
"""Where the fit of constants and means starts; they are weakly shrunk towards it."""
KNOWN: Mapping[str, float] = {
    "bandwidth_cdna": 0.81,
    "bandwidth_local_stacked": 0.6,
    "layer_s_local": 78.1e-6,
    "layer_s_cdna": 78.1e-6,
    "all_reduce_s_cdna": 4.56e-6,
    "all_to_all_s": 20e-6,
    "attention_compute": 0.29,
}
"""What is known before any row is looked at: microbenchmarks of MI300X reach 81 % of its bandwidth; llama.cpp reaches
about 60 % of stacked memory's; its layers, and those of CDNA and its all-reduces, cost what all did in a calibration of
13 constants; an all-to-all is a few kernels, where one source alone exchanges; attention of output tokens reached 0.29
of the best product there, and in FlashMLA's README kernels alone 0.20 (sparse, B200), 0.52 (sparse, H800) and 0.83
(dense, H800)."""
MEASURED: Mapping[str, float] = {
    "prompt_attention_compute": 0.57,
    "index_compute": 0.77,
    "index_compute_cdna": 0.32,
    "prefill_interference_local": 1.0,
    "front_end_s_local": 1e-3,
    "first_token_steps_local": 1.0,
}
"""What no row shows and is not fitted: the share of the best product that attention over long prompts reaches.

No row has more than 16K tokens in, where other costs look the same. 100K to 1M tokens on one A100: 0.57, or half of the
peak (MInference, experiments/README.md@010b708, FlashAttention-2, less 2 FLOP per parameter and token). Of llama.cpp's
server: a prompt holds up all others as long as it takes, and waits for one step; a millisecond for its front end.

An indexer's scores, of the best product in FP8: 0.77 to 0.80 in DeepGEMM's test on an H200 (SGLang, issue 11989), 0.77
in traces of two models on H100s (`published_prefill_kernels.tsv`); 0.32 on MI355X (ROCm/aiter, pull request 5434). The
28 runs of one model that are fitted, of up to 8K tokens, do not show it: left to them it was 0.07 of 16 bit.
"""
OF_ENGINE = ("sequence_s", "front_end_s", "first_token_steps", "prompt_queue")
LOOSE = 0.2
"""The weight of the shrinkage of constants that differ by engine rather than by hardware."""
STREAMED = 0.9
"""Share of rated bandwidth that no streaming kernel exceeds."""
LAWS = ("front_end_s", "first_token_steps", "prompt_queue", "prefill_interference")
"""Constants of the serving laws rather than of a pass."""
MEAN = "mean of "
"""What the name of a fitted mean begins with."""
EXACT = 1e6
"""Weight of what is measured rather than fitted."""
FREE = 0.5
"""Weight of the squared log distance of all else from where it begins, in rows."""
HELD = ("overhead_tensorrt",)
"""Factors that are shrunk towards 1, as if there were none.

What passes on Blackwell cost besides had one as well: 0.86 in the fit and 1.12 without InferenceX's runs, which it made
14.4 % off where 13.0 % are without it."""


@dataclass(frozen=True, kw_only=True)
class Pull:
    """Where the fit of a constant starts, and what it is shrunk towards with which weight: that, or a mean."""

    name: str
    begin: float
    weight: float
    towards: str = ""


@dataclass(frozen=True)
class Design:
    """Targets as matrices, with the kinds that decide their constants."""

    targets: Sequence[Target]

    @cached_property
    def kinds(self) -> list[Kind]:
        return sorted({one.kind for one in self.targets}, key=repr)

    @cached_property
    def parameters(self) -> list[str]:
        named = {name for kind in self.kinds for of in constants(kind).values() for name in of}
        return sorted(named)

    @cached_property
    def of_kind(self) -> NDArray[np.intp]:
        index = {kind: i for i, kind in enumerate(self.kinds)}
        return np.array([index[one.kind] for one in self.targets])

    @cached_property
    def passes(self) -> tuple[Floats, Floats, Floats]:
        return (
            np.array([one.decode for one in self.targets]),
            np.array([one.prefill for one in self.targets]),
            np.array([one.marginal for one in self.targets]),
        )

    @cached_property
    def parts(self) -> Floats:
        names = ("front", "busy", "steps", "prompts", "queued", "mixed", "burst", "queues")
        return np.array([[getattr(one, name) for one in self.targets] for name in names])

    @cached_property
    def logs(self) -> Floats:
        return np.log([one.seconds for one in self.targets])

    @cached_property
    def weights(self) -> Floats:
        """1, or less where one law of one family has more than `CAP` targets; 0 for what is only reported."""
        counts: dict[tuple[str, str], int] = {}
        for one in self.targets:
            if one.calibrates:
                counts[one.family, one.law] = counts.get((one.family, one.law), 0) + 1
        caps = [CAP_AT_HOME if one.engine == "llama.cpp" else CAP for one in self.targets]
        return np.array(
            [
                min(1.0, cap / counts[one.family, one.law]) if one.calibrates else 0.0
                for one, cap in zip(self.targets, caps, strict=True)
            ]
        )

    @cached_property
    def of_fields(self) -> NDArray[np.float64]:
        """How often each parameter is in each field of the efficiency, by kind."""
        of = [constants(kind) for kind in self.kinds]
        return np.array([[[found[field].count(name) for name in self.parameters] for field in FIELDS] for found in of])

    def _terms(self, values: Mapping[str, float]) -> tuple[Floats, Floats]:
        """Every target's time under these constants, and how it changes with the logarithm of each field."""
        of = np.array([[_product(values, found[field]) for field in FIELDS] for found in map(constants, self.kinds)])
        costs = np.where(IS_SHARE, 1 / of, of)[:, : len(NAMES)]
        front_s, first, queue, mix = of[self.of_kind, len(NAMES) :].T
        front, busy, steps, prompts, queued, mixed, burst, queues = self.parts
        queue = queue * queues
        times = (busy * first + steps, prompts + queued * (queue + burst), mixed * mix * (1 - queue))
        passes = [total(one * costs[self.of_kind]) for one in self.passes]
        (decode, _), (prefill, _), (marginal, _) = passes
        seconds = front * front_s + sum(often * one for often, (one, _) in zip(times, passes, strict=True))
        slopes = sum(often[:, None] * slope for often, (_, slope) in zip(times, passes, strict=True))
        laws = [
            front * front_s,
            busy * first * decode,
            queue * (queued * prefill - mixed * mix * marginal),
            times[2] * marginal,
        ]
        signed = np.where(IS_SHARE[: len(NAMES)], -slopes, slopes)
        return seconds, np.column_stack([signed, *laws]) / seconds[:, None]

    def predicted_logs(self, values: Mapping[str, float]) -> Floats:
        """The logarithm of every target's time under these constants."""
        return np.log(self._terms(values)[0])

    def linear(self, values: Mapping[str, float]) -> tuple[Floats, Floats]:
        """The residuals, and d log(predicted) / d log(constant) of every target and each of `parameters`."""
        seconds, fields = self._terms(values)
        found = np.zeros((len(self.targets), len(self.parameters)))
        for i, often in enumerate(self.of_fields):
            found[self.of_kind == i] = fields[self.of_kind == i] @ often
        return np.log(seconds) - self.logs, found

    def residuals(self, values: Mapping[str, float]) -> Floats:
        """log(predicted / measured)."""
        return self.predicted_logs(values) - self.logs


FIELDS = (*(SHARES[name] if name in SHARES else TIMES[name] for name in NAMES), *LAWS)
IS_SHARE = np.array([name in SHARES for name in NAMES] + [False] * len(LAWS))
PAIRS = tuple(([NAMES.index(read)], [NAMES.index(one) for one in computed]) for read, computed in COMPUTED_WITH.items())


def _product(values: Mapping[str, float], names: Sequence[str]) -> float:
    return float(np.prod([values[name] for name in names]))


def total(times: Floats) -> tuple[Floats, Floats]:
    """The time of each pass, where reading and computing meet at a rounded corner and the rest adds; its slopes.

    A slope is what the time grows by with the logarithm of a part: d (a^p + b^p)^(1/p) / d log a = a^p × t^(1 - p).
    """
    slopes = times.copy()
    for read, computed in PAIRS:
        a, b = times[:, read].sum(1), times[:, computed].sum(1)
        sharp = a**CORNER + b**CORNER
        shared = np.divide(sharp ** (1 / CORNER), sharp, out=np.zeros_like(a), where=sharp > 0)
        slopes[:, read] = (a**CORNER * shared)[:, None]
        slopes[:, computed] *= (np.divide(b**CORNER, b, out=np.zeros_like(b), where=b > 0) * shared)[:, None]
    return slopes.sum(1), slopes


def robust(residuals: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Residuals whose squares sum up to the pseudo-Huber loss of these, and how they change with these."""
    x = residuals / SCALE
    h = np.sqrt(1 + x**2)
    bent = np.sqrt(weights * 2 / (h + 1))
    return bent * x, np.sqrt(weights * (h + 1) / 2) / h / SCALE


def fit(targets: Sequence[Target], *, shrinkage: float | None = None) -> dict[str, float]:
    """The constants, and the means of similar ones: each shrunk towards its mean, which is fitted with them."""
    near = SHRINKAGE if shrinkage is None else shrinkage
    servers = Design([one for one in targets if one.calibrates and one.engine != "llama.cpp"])
    found = _solve(servers, _pulls(servers.parameters, near)) if servers.targets else {}
    return found | _at_home(targets, found)


def _pulls(parameters: Sequence[str], near: float) -> list[Pull]:
    """What each constant is shrunk towards: a mean, what is known, or weakly where the fit starts."""
    pulls = [_pull(name, near * (LOOSE if name.startswith(OF_ENGINE) else 1.0)) for name in parameters]
    means = sorted({one.towards for one in pulls if one.towards})
    return pulls + [Pull(name=mean, begin=START[mean.removeprefix(MEAN)], weight=FREE) for mean in means]


def _pull(name: str, near: float) -> Pull:
    if name in MEASURED:
        return Pull(name=name, begin=MEASURED[name], weight=EXACT)
    if name in KNOWN:
        return Pull(name=name, begin=KNOWN[name], weight=near)
    if name in ALIKE:
        return Pull(name=name, begin=START[ALIKE[name]], weight=near, towards=MEAN + ALIKE[name])
    return Pull(name=name, begin=START[name], weight=near if name in HELD else FREE)


def _at_home(targets: Sequence[Target], found: Mapping[str, float]) -> dict[str, float]:
    """The constants of llama.cpp, from its own runs, beside what it shares with servers, which stays."""
    home = Design([one for one in targets if one.calibrates and one.engine == "llama.cpp"])
    if not home.targets:
        return {}
    shared = dict(START) | dict(KNOWN) | dict(found)
    pulls = [
        _pull(name, SHRINKAGE) if "_local" in name else Pull(name=name, begin=shared[name], weight=EXACT)
        for name in home.parameters
    ]
    solved = _solve(home, pulls)
    return {name: value for name, value in solved.items() if "_local" in name or name not in found}


def _highest(name: str) -> float:
    """The largest value that is physical: streaming never reaches all of a memory's rated bandwidth."""
    if "bandwidth" in name:
        return STREAMED
    if name.startswith("compute_local"):
        return np.inf
    shares = ("compute", "prompt_queue", "share", "prompt_attention")
    return 1.0 if any(one in name for one in shares) or name in ("link", "bus") else np.inf


def _solve(design: Design, pulls: Sequence[Pull]) -> dict[str, float]:
    """The constants that minimize the loss of the errors plus the penalty of the shrinkage."""
    names = [one.name for one in pulls]
    begin = np.log([one.begin for one in pulls])
    highest = np.log([_highest(name) for name in names])
    rest = np.array([0.0 if one.towards else np.sqrt(one.weight) * np.log(one.begin) for one in pulls])
    apart = np.eye(len(names)) - [[float(one.towards == name) for name in names] for one in pulls]
    stretch = apart * np.sqrt([one.weight for one in pulls])[:, None]
    used = np.array([[float(one == name) for one in names] for name in design.parameters])

    def values(x: Floats) -> dict[str, float]:
        return dict(zip(names, np.exp(x), strict=True))

    def loss(x: Floats) -> Floats:
        errors, _ = robust(design.residuals(values(x)), design.weights)
        return np.concatenate([errors, stretch @ x - rest])

    def slope(x: Floats) -> Floats:
        residuals, slopes = design.linear(values(x))
        _, steep = robust(residuals, design.weights)
        return np.vstack([slopes @ used * steep[:, None], stretch])

    solved = least_squares(
        loss,
        begin,
        jac=slope,  # pyright: ignore[reportArgumentType] - the stubs know its names only
        bounds=(-np.inf, highest),
        x_scale=0.1,
        method="dogbox",
        tr_solver="lsmr",
    )
    return values(solved.x)
