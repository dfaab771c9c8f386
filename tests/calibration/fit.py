"""The robust fit of the speed model's constants, shrunk towards a form that knows neither engine nor generation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares  # pyright: ignore[reportMissingTypeStubs]
from targets import NAMES, Floats, Target

from inferplan.core.efficiency import Kind, constants
from inferplan.core.performance import CORNER, MEETING, SHARES, TIMES

SCALE = 0.1
"""Log residuals well below count squared, those well above in proportion."""
CAP = 300
"""Rows that one law of one family weighs at most."""
SHRINKAGE = 50.0
"""Weight of the squared log distance of a constant from its tied value, in rows."""
SHARED: Mapping[str, str] = {
    "bandwidth": "bandwidth",
    "bandwidth_blackwell": "bandwidth",
    "bandwidth_cdna": "bandwidth",
    "bandwidth_local": "bandwidth",
    "bandwidth_local_stacked": "bandwidth",
    "expert_bandwidth": "bandwidth",
    "cache_bandwidth": "bandwidth",
    "compute_hopper": "compute",
    "compute_blackwell": "compute",
    "compute_ampere": "compute",
    "compute_cdna": "compute",
    "expert_compute": "expert_compute",
    "expert_compute_blackwell": "expert_compute",
    "expert_compute_fp4": "expert_compute",
    "expert_compute_weight_only": "expert_compute",
    "expert_compute_weight_only_tensorrt": "expert_compute",
    "attention_compute": "attention_compute",
    "prompt_attention_compute": "attention_compute",
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
"""Constants that are one in the tied form."""
START: Mapping[str, float] = {
    "bandwidth": 0.864,
    "compute": 0.693,
    "compute_fp4": 0.595,
    "compute_local": 0.5,
    "expert_compute": 0.366,
    "attention_compute": 0.232,
    "index_compute": 0.232,
    "link": 0.339,
    "all_reduce_s": 4.56e-6,
    "all_to_all_s": 20e-6,
    "hand_over_s": 20e-6,
    "hand_over_s_local": 20e-6,
    "layer_s": 78.1e-6,
    "expert_layer_s": 16.8e-6,
    "latent_layer_s": 10e-6,
    "recurrent_layer_s": 40e-6,
    "index_layer_s": 60e-6,
    "sequence_s": 5.99e-6,
    "overhead_tensorrt": 1.0,
    "overhead_sglang": 1.0,
    "overhead_other": 1.0,
    "overhead_blackwell": 1.0,
    "prefill_interference": 0.63,
    "front_end_s": 0.0728,
    "first_token_steps": 1.0,
    "prompt_queue": 0.0854,
}
"""Where the tied fit begins, and what its few data-poor constants are held near."""
KNOWN: Mapping[str, float] = {
    "compute_cdna": 0.45,
    "bandwidth_cdna": 0.81,
    "bandwidth_local_stacked": 0.6,
    "all_to_all_s": 20e-6,
}
"""What is known before any row is looked at: microbenchmarks of MI300X reach 45 % of its FLOP/s, 81 % of its bandwidth;
llama.cpp reaches about 60 % of stacked memory's; an all-to-all is a few kernels, where one source alone exchanges."""
OF_ENGINE = ("sequence_s", "front_end_s", "first_token_steps", "prompt_queue")
LOOSE = 0.2
"""What the shrinkage of constants counts for that differ by engine rather than by hardware."""
STREAMED = 0.9
"""Share of rated bandwidth that no streaming kernel exceeds."""
LAWS = ("front_end_s", "first_token_steps", "prompt_queue", "prefill_interference")
"""Constants of the serving laws rather than of a pass."""
HELD = ("overhead_tensorrt", "overhead_sglang", "overhead_other", "overhead_blackwell")
"""Constants that the tied form does not have."""


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
        return np.array([(one.front, one.steps, one.prompts, one.queued, one.mixed) for one in self.targets]).T

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
        return np.array(
            [min(1.0, CAP / counts[one.family, one.law]) if one.calibrates else 0.0 for one in self.targets]
        )

    def predicted_logs(self, values: Mapping[str, float]) -> Floats:
        """The logarithm of every target's time under these constants."""
        table, laws = np.zeros((len(self.kinds), len(NAMES))), np.zeros((len(self.kinds), len(LAWS)))
        for i, kind in enumerate(self.kinds):
            field = {name: float(np.prod([values[one] for one in of])) for name, of in constants(kind).items()}
            table[i] = [1 / field[SHARES[name]] if name in SHARES else field[TIMES[name]] for name in NAMES]
            laws[i] = [field[name] for name in LAWS]
        costs, (front_s, first, queue, mix) = table[self.of_kind], laws[self.of_kind].T
        decode, prefill, marginal = (total(one * costs) for one in self.passes)
        front, steps, prompts, queued, mixed = self.parts
        first_s = front * (front_s + first * decode) + (prompts + queued * queue) * prefill
        return np.log(first_s + steps * decode + mixed * mix * (1 - queue) * marginal)

    def residuals(self, values: Mapping[str, float]) -> Floats:
        """log(predicted / measured)."""
        return self.predicted_logs(values) - self.logs


PAIRS = tuple(([NAMES.index(read)], [NAMES.index(one) for one in computed]) for read, computed in MEETING.items())
ALONE = [i for i in range(len(NAMES)) if not any(i in read or i in computed for read, computed in PAIRS)]


def total(times: Floats) -> Floats:
    """The time of each pass: reading and computing meet at a rounded corner, the rest adds."""
    found = times[:, ALONE].sum(1)
    for read, computed in PAIRS:
        a, b = times[:, read].sum(1), times[:, computed].sum(1)
        found = found + (a**CORNER + b**CORNER) ** (1 / CORNER)
    return found


def robust(residuals: Floats, weights: Floats) -> Floats:
    """Residuals whose squares sum up to the pseudo-Huber loss of these."""
    return np.sign(residuals) * np.sqrt(weights * 2 * (np.sqrt(1 + (residuals / SCALE) ** 2) - 1)) * SCALE / SCALE


def fit(targets: Sequence[Target], *, shrinkage: float | None = None) -> dict[str, float]:
    """The constants: first the tied form, then each constant by itself, held near its tied value."""
    design = Design([one for one in targets if one.calibrates])
    of = {name: SHARED.get(name, name) for name in design.parameters}
    tied = _solve(design, START, of, near=0.5, fixed=HELD)
    prior = {name: KNOWN.get(name, tied[SHARED.get(name, name)]) for name in design.parameters}
    near = SHRINKAGE if shrinkage is None else shrinkage
    found = _solve(design, prior, {name: name for name in design.parameters}, near=near, fixed=())
    return found | _at_home(targets, found)


def _at_home(targets: Sequence[Target], found: Mapping[str, float]) -> dict[str, float]:
    """What llama.cpp reaches of a card's arithmetic, from its prompts alone, which say nothing of other engines."""
    prompts = Design([one for one in targets if one.law == "prompt" and one.engine == "llama.cpp"])
    if not prompts.targets:
        return {}
    rest = dict(START) | dict(KNOWN) | dict(found)
    tried = np.geomspace(0.02, 1, 200)
    losses = [np.abs(prompts.residuals(rest | {"compute_local": float(one)})).sum() for one in tried]
    return {"compute_local": float(tried[int(np.argmin(losses))])}


def _highest(name: str) -> float:
    """The largest value that is physical: streaming never reaches all of a memory's rated bandwidth."""
    if "bandwidth" in name:
        return STREAMED
    return 1.0 if "compute" in name or "link" in name or "prompt_queue" in name else np.inf


def _solve(
    design: Design, start: Mapping[str, float], of: Mapping[str, str], *, near: float, fixed: tuple[str, ...]
) -> dict[str, float]:
    """The values of the free constants; `of` names the free constant behind each parameter."""
    free = sorted({one for one in of.values() if one not in fixed})
    begin = np.log([start[name] for name in free])
    loose = np.array([LOOSE if name.startswith(OF_ENGINE) else 1.0 for name in free])
    highest = np.array([np.log(_highest(name)) for name in free])

    def values(x: Floats) -> dict[str, float]:
        found = dict(start) | dict(zip(free, np.exp(x), strict=True))
        return {name: found[one] for name, one in of.items()} | found

    def loss(x: Floats) -> Floats:
        errors = robust(design.residuals(values(x)), design.weights)
        return np.concatenate([errors, np.sqrt(near * loose) * (x - begin)])

    solved = least_squares(loss, begin, bounds=(-np.inf, highest), x_scale=0.1, max_nfev=60)
    return values(solved.x)
