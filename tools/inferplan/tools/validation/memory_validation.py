"""Published measurements of engines' memory against the rules: each case predicted from its configuration alone."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from inferplan.core import engine_memory, memory
from inferplan.core.engine_memory import ENDLESS, Capacity
from inferplan.core.engines import llamacpp_memory, vllm_buffers, vllm_memory
from inferplan.core.engines.adapters import adapter_stages
from inferplan.core.engines.drafts import draft_bytes
from inferplan.core.engines.rank_memory import RankMemory
from inferplan.core.engines.rank_weights import stage_weights
from inferplan.core.engines.vllm_defaults import LAST_OF_THE_FIRST_ENGINE, is_compiled, is_compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.units import GIB
from inferplan.tools.validation.memory_cases import MemoryCase, Setup
from inferplan.tools.validation.report import CannotPredict, Outcome, Report, Unit, is_figure, outcomes

NO_POOL = frozenset({"transformers"})
"""Engines without a KV pool of their own: only the bytes of a token are predicted."""

AWQ_SLOPE = 9 / 8
"""Growth of memory over that of the cache with AWQ kernels in transformers: temporaries, in four published runs."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The predicted quantities of a case, and the others with the reason why they are not."""

    predicted: Mapping[str, float | bool]
    left_out: Mapping[str, str]


def predict(case: MemoryCase) -> Prediction:
    """Every quantity that the configuration decides. Raises `CannotPredict` where the model is not known."""
    setup = Setup(case)
    _ = setup.model
    predicted: dict[str, float | bool] = {}
    left_out: dict[str, str] = {}
    for name, value in QUANTITIES.items():
        try:
            predicted[name] = value(setup)
        except CannotPredict as reason:
            left_out[name] = str(reason)
    return Prediction(predicted=predicted, left_out=left_out)


def _weights(setup: Setup) -> float:
    """Weights on the first GPU, which prints them, with adapters' buffers and the draft as vLLM counts them. [GiB]

    The draft is on the last stage.
    """
    setup.loaded_alone()
    if any(isinstance(mixer, Latent) and mixer.indexer for _, mixer in setup.model.architecture.mixers):
        raise CannotPredict("one published log of a model with an indexer was 6 % above what its tensors take")
    if setup.engine_name != "vllm":
        return _rank(setup).weights / GIB
    gpu = setup.any_gpu
    engine = setup.engine(gpu=gpu)
    on = (setup.model, setup.precision, setup.layout)
    loaded = stage_weights(*on, vllm_memory.loader(gpu, engine))[0]
    drafting = draft_bytes(*on) if engine.drafts and setup.layout.pp == 1 else 0
    return (loaded + drafting + (adapter_stages(*on, engine)[0] if engine.adapters else 0)) / GIB


def _rank(setup: Setup) -> RankMemory:
    """The parts of a GPU's memory that do not depend on the GPU."""
    engine = setup.engine(gpu=setup.any_gpu)
    return engine_memory.rank_memory(setup.model, setup.precision, setup.any_gpu, setup.layout, engine)


def _activation_peak(setup: Setup) -> float:
    """The peak of vLLM's profile run, or llama.cpp's compute buffer. [GiB]"""
    setup.overheads_known()
    setup.batching_decided()
    latent = setup.model.architecture.has_latents
    if setup.engine_name not in ("vllm", "llama.cpp"):
        raise CannotPredict(f"{setup.case.engine} prints no activation peak")
    if setup.engine_name == "llama.cpp" and latent:
        raise CannotPredict("llama.cpp's compute buffer for latents, with experts in host memory, is not modelled")
    if setup.engine_name == "llama.cpp":
        return llamacpp_memory.compute_buffer(setup.model.architecture, setup.engine(gpu=setup.any_gpu)) / GIB
    return _rank(setup).activation / GIB


def _only_vllm(setup: Setup) -> None:
    """Raise `CannotPredict` for engines other than vLLM."""
    setup.overheads_known()
    if setup.engine_name != "vllm":
        raise CannotPredict(f"library buffers and graphs of {setup.case.engine} are not known from logs")


def _non_torch(setup: Setup) -> float:
    """Library buffers inside vLLM's budget. [GiB]"""
    _only_vllm(setup)
    first = setup.version <= LAST_OF_THE_FIRST_ENGINE
    if first and setup.layout.tp * setup.layout.pp > setup.gpu.node_size:
        raise CannotPredict("library buffers of vLLM's first engine over several servers are not known from logs")
    engine = setup.engine(gpu=setup.gpu)
    compiled = is_compiled(setup.model.architecture, engine)
    return vllm_buffers.non_torch(engine, setup.layout, setup.gpu, compiled=compiled) / GIB


def _cuda_graphs(setup: Setup) -> float:
    """Captured CUDA graphs, inside the budget or beyond it. [GiB]"""
    _only_vllm(setup)
    engine, packed = setup.engine(gpu=setup.gpu), setup.case.weight_format == "mxfp4"
    largest, on = (
        vllm_buffers.largest_graph(setup.gpu, engine.version),
        (setup.model.architecture, engine, setup.layout),
    )
    return vllm_buffers.graph_memory(*on, packed_experts=packed, largest=largest) / GIB


def _pool(setup: Setup) -> Capacity:
    """The KV cache of one replica, where everything that decides the pool is stated."""
    if setup.share is None:
        raise CannotPredict("`gpu_memory_utilization` is not stated")
    setup.batching_decided()
    return setup.capacity


def _kv_bytes_per_token(setup: Setup) -> float:
    """KV cache of a token on one GPU, as the engine counts tokens. [B]"""
    architecture = setup.model.architecture
    if setup.case.engine in NO_POOL:
        temporaries = AWQ_SLOPE if setup.case.weight_format == "awq-int4" else 1
        return temporaries * memory.kv_bytes_per_token(architecture, kv_bits=setup.kv_bits)
    windowed = any(part.window for _, part in memory.cached_parts(architecture))
    in_flight_matters = windowed and setup.case.max_num_batched_tokens is None and setup.engine_name != "llama.cpp"
    engine = setup.engine(gpu=setup.gpu if in_flight_matters else setup.any_gpu)
    reason = engine_memory.cache_not_modelled(setup.model, engine)
    if reason:
        raise CannotPredict(reason)
    holding = engine_memory.endless(setup.model, setup.layout, engine, kv_bits=setup.kv_bits)
    tokens = holding.tokens(setup.context)
    if not tokens:
        raise CannotPredict("a token takes more than any GPU has")
    return ENDLESS / tokens


def _kv_tokens(setup: Setup) -> int:
    """Tokens of the pool, as the engine prints them; those of llama.cpp's context. [tokens]"""
    if setup.engine_name == "llama.cpp":
        return setup.context * (setup.case.max_num_seqs or 1)
    return _pool(setup).tokens


def _max_concurrency(setup: Setup) -> float:
    """Sequences of full context, as the engine prints them; of compressed keys it prints fewer than there are."""
    found = _pool(setup)
    return found.tokens / setup.context if is_compressed(setup.model.architecture) else found.concurrency


def _fits(setup: Setup) -> bool:
    """Whether the engine starts and holds one request of full context, by default settings where not stated."""
    held, sequences = setup.capacity, setup.engine(gpu=setup.gpu).max_num_seqs
    refused = held.sequences is not None and sequences > held.sequences
    return held.starts and held.concurrency >= 1 and not refused


QUANTITIES: Mapping[str, Callable[[Setup], float]] = {
    "weights_gib_per_gpu": _weights,
    "activation_peak_gib": _activation_peak,
    "non_torch_gib": _non_torch,
    "cuda_graph_gib": _cuda_graphs,
    "kv_cache_gib_per_gpu": lambda setup: _pool(setup).memory.pool / GIB,
    "kv_cache_tokens": _kv_tokens,
    "kv_bytes_per_token": _kv_bytes_per_token,
    "max_concurrency": _max_concurrency,
    "fits": _fits,
}
"""What is predicted, by the name that cases use."""
UNITS: Mapping[str, Unit] = {
    "weights_gib_per_gpu": "%",
    "activation_peak_gib": "GiB",
    "non_torch_gib": "GiB",
    "cuda_graph_gib": "GiB",
    "kv_cache_gib_per_gpu": "%",
    "kv_cache_tokens": "%",
    "kv_bytes_per_token": "%",
    "max_concurrency": "%",
    "fits": "wrong",
}
"""The unit of each quantity's errors."""


def validate(cases: Iterable[object]) -> Report:
    """The report on cases: each predicted from its configuration, and compared with its measurement."""
    return Report(outcomes=outcomes(cases, "case", _outcome), units=UNITS)


def _outcome(raw: object) -> Outcome:
    """The outcome of one case."""
    case = MemoryCase.model_validate(raw)
    found = predict(case)
    return Outcome(id=case.id, predicted=found.predicted, measured=_measured(case), left_out=found.left_out)


def _measured(case: MemoryCase) -> dict[str, float | bool]:
    """The measured figures that can be compared; a pool below zero is a refusal, not a size."""
    given = case.measured or {}
    return {name: given[name] for name, unit in UNITS.items() if _is_figure(given.get(name), unit)}


def _is_figure(value: object, unit: Unit) -> bool:
    """Whether a measured value fits its unit: a boolean, or a number above zero."""
    return isinstance(value, bool) if unit == "wrong" else is_figure(value)
