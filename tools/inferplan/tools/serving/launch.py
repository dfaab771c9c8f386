"""The command that starts a deployment, with the flags that follow from the answer."""

from collections.abc import Iterator, Mapping

from inferplan.catalog.asked_models import is_config
from inferplan.catalog.engines import ENGINES, plugin
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.catalog.models import MODELS
from inferplan.core.adapters import buffer_rank
from inferplan.core.engine_memory import as_run
from inferplan.core.kv_blocks import PAIRED_BLOCK_TOKENS
from inferplan.core.kv_coverage import picks_pages
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.pass_amounts import Batch
from inferplan.core.placement import is_even
from inferplan.core.serving_laws import in_one_stage
from inferplan.tools import _words as words
from inferplan.tools._assumptions import Ledger
from inferplan.tools._models import SIXTEEN_BIT
from inferplan.tools.serving.launch_flags import AITER, EARLIER, EXCHANGE, FLAGS
from inferplan.tools.serving.published import as_published, experts_over
from inferplan.tools.serving.serving import Serving

ANY_MODEL = "MODEL"
"""In place of a checkpoint that is not known."""
WIDE = "fp32"
"""The format that engines have to be told: they load a checkpoint of 32 bit in 16 as well.

Source: vLLM and SGLang, `--help`, `--dtype`: auto is 16 bit for models in FP32.
"""


LISTED = 4
"""Servers of a replica whose addresses are all written out."""
STATES = "not {:,}: vLLM refuses more than it has blocks for states"
"""Why a command names how many sequences of a model with recurrent states run at once."""
LOADERS: Mapping[str, tuple[int, str]] = {
    "gguf": (26, "vllm-gguf-plugin"),
    "nf4": (28, "vllm-bnb-plugin"),
    "bnb-int8": (28, "vllm-bnb-plugin"),
}
"""The first version of vLLM (26 is 0.26) that loads a format through a plugin, and which.

Source: vLLM documentation, quantization, GGUF (0.27); pull request 43529 (bitsandbytes); the source of 0.28.
"""
METAL = "vllm-metal"
"""The plugin that loads such formats itself."""


def launch(
    on: Serving, layout: Layout, *, context: int, users: int, ledger: Ledger, kv_precision: str | None = None
) -> str:
    """What starts one replica; a setting is a flag where it follows from the answer or the caller set it.

    What the reader has to put in stands in capitals, or is said behind a `#`, as is how many replicas there are.
    """
    on, needed = as_published(on, layout), plugin(on.engine.name, on.gpu)
    form = "gguf" if on.precision.is_gguf else on.precision.id
    first, loader = LOADERS.get(form, (0, ""))
    if loader and on.engine.name == "vllm" and on.engine.version >= first and needed != METAL:
        ledger.note(form, loader, why=f"vLLM loads {form.upper()} through it")
    if needed:
        ledger.note("installed_with", needed, why=f"what {on.engine_name} needs on {on.gpu.title}")
    each, written = -(-users // layout.dp), list(_written(on, layout, context, ledger, kv_precision))
    load = [*_load(on, layout, context, each, ledger), *_cache(on, kv_precision)]
    start = [*_environment(on, layout, context), *_model(on, layout, context), *_split(on, layout, each)]
    file = [FLAGS[on.engine.name].file] if written else []
    return " ".join([*filter(None, [*start, *file, *load, *_settings(on, ledger)]), *_remark(on, layout, written)])


def is_beyond_one_command(on: Serving, layout: Layout) -> bool:
    """Whether groups that share experts reach over servers in a way that one command for each does not say."""
    size = on.node_size
    if FLAGS[on.engine.name].spread:
        return False
    return layout.ep > 1 and (layout.tp > size or (layout.pp > 1 and layout.replica > size))


def _spelled(on: Serving, flag: str) -> str:
    """A flag, as this version of the engine spells it."""
    known = ENGINES[on.engine.name].has(flag, on.engine.version)
    return getattr(FLAGS[on.engine.name], flag) if known else EARLIER.get(flag, "")


def _environment(on: Serving, layout: Layout, context: int) -> Iterator[str]:
    """What lets the engine go beyond the context that a checkpoint was trained for (see `words.beyond_training`).

    And how older versions of vLLM exchange tokens of experts between nodes, and all of them on AMD's GPUs.
    """
    if on.model.is_beyond_training(context):
        yield FLAGS[on.engine.name].beyond
    if on.fabric(layout).wide and not ENGINES[on.engine.name].has("exchange", on.engine.version):
        yield EXCHANGE.format(_exchange(on))
    if on.fabric(layout).wide and on.gpu.vendor == "amd":
        yield AITER


def _model(on: Serving, layout: Layout, context: int) -> Iterator[str]:
    """The command, the checkpoint, and what it is quantised into."""
    flags, name = FLAGS[on.engine.name], _checkpoint(on.model, context)
    if build := on.model.build(on.precision.id):
        name = build.id
    elif _is_invented(on):
        name = name if name == ANY_MODEL else f"{name.rpartition('/')[2]}-{on.precision.id.upper()}"
    if (servers := on.nodes(layout.alone)) > 1 and flags.spread:
        yield flags.spread.format(nodes=servers, gpus=layout.replica, each=min(layout.replica, on.node_size))
    yield _spelled(on, "start").format(name)
    if on.model.remote_code:
        yield flags.code
    if on.quantised_online:
        yield on.quantised_online
    if on.precision.id == WIDE:
        yield flags.wide


def _checkpoint(model: Model, context: int) -> str:
    """What is loaded: any where the caller describes it, or where a size class stands for none that goes so far."""
    real = MODELS.get(model.stands_for or "")
    if real is not None:
        return real.id if context <= real.architecture.max_positions else ANY_MODEL
    return ANY_MODEL if model.is_size_class or is_config(model.id) else model.id


def _is_invented(on: Serving) -> bool:
    """Whether a build in this format is called after the model and the format, because none is known."""
    if on.model.build(on.precision.id):
        return False
    own = FORMATS.id_of(on.model.native_precision)
    loaded = SIXTEEN_BIT if own in SIXTEEN_BIT else {own}
    other = on.precision.id not in loaded and not on.quantised_online
    return on.engine.name == "llama.cpp" or other


def _written(on: Serving, layout: Layout, context: int, ledger: Ledger, kv_precision: str | None) -> Iterator[str]:
    """What TensorRT-LLM is told by a file: it has no flag for it in all of 1.x.

    Without chunks it refuses prompts of more tokens than a step has. Where the file says anything of the cache, all
    settings of that come out of it, also the share of memory.

    Source: TensorRT-LLM, docs/source/features/parallel-strategy.md; llmapi/llm.py, `_check_arguments`; pull requests
    11487 (`--kv_cache_dtype`, of March 2026) and 18901 (how the file spells it); llm_args.py (`TorchLlmArgs`: graphs
    are on where nothing is said; `KvCacheConfig`), `update_llm_args_with_extra_dict`; the guide to DeepSeek-R1 (MTP).
    """
    flags, engine = FLAGS[on.engine.name], on.engine
    if not flags.file:
        return
    if layout.ep > 1:
        yield "enable_attention_dp: true"
    if context > engine.max_num_batched_tokens:
        yield "enable_chunked_prefill: true"
    if not engine.cuda_graphs:
        yield "cuda_graph_config: null"
    if _needs_deepgemm(on):
        yield "moe_config: {backend: DEEPGEMM}"
    if _predicts(on):
        yield f"speculative_config: {{decoding_type: MTP, num_nextn_predict_layers: {engine.drafts}}}"
    name, reuses = _stored(on, kv_precision), engine.prefix_caching
    cache = {"dtype": name} if name else {}
    cache |= {} if reuses else {"enable_block_reuse": "false"}
    if cache and _shares(on, ledger):
        cache["free_gpu_memory_fraction"] = f"{engine.memory_utilization:g}"
    if cache:
        yield f"kv_cache_config: {{{', '.join(f'{key}: {value}' for key, value in cache.items())}}}"


def _needs_deepgemm(on: Serving) -> bool:
    """Whether TensorRT-LLM computes experts in FP8, in blocks, by a backend that is not its default: on B200 and newer.

    Source: TensorRT-LLM, deployment guides to DeepSeek R1 and GLM-5, MoE backend support matrix (FP8 on B200 and GB200
    is DEEPGEMM's alone, "one must set the backend explicitly to run the model"; on Hopper CUTLASS has it).
    """
    in_blocks = on.experts is not None and on.precision.id == "fp8" and on.model.block("fp8") > 0
    return in_blocks and on.gpu.link is not None and on.gpu.architecture in ("Blackwell", "Blackwell Ultra")


def _remark(on: Serving, layout: Layout, written: list[str]) -> list[str]:
    """What the command does not say."""
    build = [f"your {on.precision.title} build"] if _is_invented(on) and on.engine.name != "llama.cpp" else []
    copies = [f"one of {layout.dp:,} replicas"] if layout.dp > 1 else []
    drafts = ["and your draft model"] if on.engine.drafts and not _predicts(on) else []
    options = [f"FILE says {' and '.join(written)}"] if written else []
    said = [*build, *drafts, *options, *_cluster(on, layout), *copies]
    return ["# " + ", ".join(said)] if said else []


def _predicts(on: Serving) -> bool:
    """Whether the model's own layers draft tokens, and the engine is told so: older versions of vLLM are not.

    What drafts several at once is vLLM's alone here: how others are told is not known.
    """
    own = on.model.architecture.multi_token
    if own is None or not on.engine.drafts or (own.method != "mtp" and on.engine.name != "vllm"):
        return False
    return bool(_spelled(on, "drafts") or FLAGS[on.engine.name].file)


def _drafts(on: Serving) -> str:
    """The flag with which they do; nothing where they do not: another model does, or a file says so."""
    own, drafted = on.model.architecture.multi_token, on.engine.drafts
    return _spelled(on, "drafts").format(drafted, drafted + 1, own.method) if own and _predicts(on) else ""


def _cluster(on: Serving, layout: Layout) -> Iterator[str]:
    """What the servers of a replica are, or run, before the command is given."""
    servers = on.nodes(layout.alone)
    if servers == 1 or layout.ep > 1:
        return
    if workers := FLAGS[on.engine.name].workers:
        yield f"{workers} on {words.count(servers - 1, 'other server')}"
    if _needs_ray(on, layout):
        yield f"in a Ray cluster of {servers} nodes"


def _needs_ray(on: Serving, layout: Layout) -> bool:
    """Whether vLLM needs a Ray cluster: before it had a flag for several servers, and where they get unequal shares.

    Source: vLLM 0.28, vllm/engine/arg_utils.py (`--nnodes` must evenly divide the total world size).
    """
    known = ENGINES[on.engine.name].has("nodes", on.engine.version)
    return on.engine.name == "vllm" and not (known and is_even(layout, node_size=on.node_size))


def _others(servers: int) -> str:
    """`HOST2:50052,HOST3:50052`; of many the ends."""
    hosts = [f"HOST{number}:50052" for number in range(2, servers + 1)]
    return ",".join(hosts if servers <= LISTED else [hosts[0], "...", hosts[-1]])


def _split(on: Serving, layout: Layout, each: int) -> Iterator[str]:
    """Tensor and pipeline degrees, and the servers that a replica of `each` sequences spans.

    Two dies of one GPU share the tensors.
    """
    flags, servers = FLAGS[on.engine.name], on.nodes(layout.alone)
    tensor = (layout.ranks if on.engine.name in ("sglang", "tensorrt-llm") else layout.tp) * on.gpu.devices
    if tensor > 1 and flags.tensor:
        yield flags.tensor.format(tensor)
    if layout.ep < experts_over(on, layout):
        yield flags.whole.format(layout.tp)
    if layout.pp > 1 and flags.pipeline:
        yield flags.pipeline.format(layout.pp)
    if servers > 1 and flags.nodes and layout.ep == 1:
        yield EARLIER["nodes"] if _needs_ray(on, layout) else flags.nodes.format(servers, others=_others(servers))
    if layout.ep > 1:
        yield from _shared(on, layout, servers, each)
    if on.engine.context_parallel > 1 and flags.context_parallel:
        yield flags.context_parallel.format(on.engine.context_parallel)


def _shared(on: Serving, layout: Layout, servers: int, each: int) -> Iterator[str]:
    """Groups of data-parallel attention that share experts, on one server or several.

    DeepEP and MoRI, which vLLM uses over a network, want as many experts on each rank, and so does SGLang: copies make
    up for what is missing, and take the room that is counted for the fullest ranks.

    Source: DeepEP, csrc/deep_ep.cpp, `low_latency_dispatch` (num_experts % num_ranks == 0); vLLM, all2all.py (MoRI's
    `num_experts_per_rank`), and documentation, expert parallel deployment, EPLB; SGLang 0.5.23,
    fused_moe_triton/layer.py, and documentation, expert parallelism (without a backend for its exchange tokens are
    gathered); `--help`, `--moe-dense-tp-size`.
    """
    flags = FLAGS[on.engine.name]
    yield flags.shared.format(groups=layout.attention_dp)
    if flags.sent:
        yield flags.sent if on.sends_tokens else flags.whole.format(layout.ranks)
    if flags.dense and on.keeps_dense_whole(layout.ranks):
        yield flags.dense
    if servers > 1 and flags.shared_nodes:
        yield flags.shared_nodes.format(local=layout.attention_dp // servers, nodes=servers)
    missing = -(on.experts.experts if on.experts else 0) % layout.ep
    if missing and (on.fabric(layout).wide or on.engine.name == "sglang"):
        yield flags.spare.format(missing)
    if on.fabric(layout).wide:
        replica = on.replica(layout.alone)
        overlaps = replica is None or replica.is_split(Batch(decode=in_one_stage(each, layout)))
        exchange = _spelled(on, "exchange").format(_exchange(on))
        yield from filter(None, (exchange, _spelled(on, "overlap") if overlaps else ""))


def _exchange(on: Serving) -> str:
    """What vLLM exchanges tokens of experts with between nodes: DeepEP, on AMD's GPUs MoRI, one kernel of it at first.

    Source: vLLM 0.15 to 0.33, vllm/config/parallel.py (`All2AllBackend`); pull request 41751 (which kernel is meant).
    """
    if on.gpu.vendor != "amd":
        return "deepep_low_latency"
    return "mori_low_latency" if ENGINES[on.engine.name].has("mori_kernels", on.engine.version) else "mori"


def _load(on: Serving, layout: Layout, context: int, each: int, ledger: Ledger) -> Iterator[str]:
    """Context and sequences. llama.cpp takes the cells of all its slots together.

    A slot of it gets no longer context than the file says the model was trained for, under the architecture's name.
    Source: llama.cpp, tools/server/server-context.cpp ("exceeds the training context of the model - capping").
    """
    flags, slots = FLAGS[on.engine.name], on.engine.name == "llama.cpp"
    yield flags.context.format(context * each if slots else context)
    if flags.longer and on.model.is_beyond_training(context):
        yield flags.longer.format(context)
    lowered = on.pool(layout, context).lowered_max_num_seqs
    if lowered:
        ledger.note("max_num_seqs", lowered, why=STATES.format(on.engine.max_num_seqs))
    if slots or lowered or ledger.given("max_num_seqs"):
        yield flags.sequences.format(each if slots else lowered or on.engine.max_num_seqs)


def _cache(on: Serving, kv_precision: str | None) -> Iterator[str]:
    """How the cache is stored, where that is not the engine's default, and in what blocks where it does not find out.

    Source of blocks: vllm-project/recipes, MiniMax-M3 (`base_args`); vLLM 0.28, vllm/platforms/interface.py, which asks
    the backend of the first layer alone.
    """
    flags, name = FLAGS[on.engine.name], _stored(on, kv_precision)
    if name and flags.cache:
        yield flags.cache.format(name)
    if flags.block and picks_pages(on.model.architecture):
        yield flags.block.format(PAIRED_BLOCK_TOKENS)


def _stored(on: Serving, kv_precision: str | None) -> str:
    """What the engine calls the format of the cache; nothing where that is its default."""
    stored = (form.stored_by.get(on.engine.name, "") for form in KV_FORMATS.values() if form.bits == on.kv_bits)
    return KV_FORMATS[kv_precision].stored_by[on.engine.name] if kv_precision else next(stored, "")


def _shares(on: Serving, ledger: Ledger) -> bool:
    """Whether the caller set the share of memory that is filled."""
    return ledger.given("memory_utilization") and bool(FLAGS[on.engine.name].share)


def _settings(on: Serving, ledger: Ledger) -> Iterator[str]:
    """What the caller set otherwise than the engine does by default."""
    flags, engine = FLAGS[on.engine.name], on.engine
    if _shares(on, ledger):
        yield flags.share.format(engine.memory_utilization)
    if ledger.given("max_num_batched_tokens"):
        yield flags.tokens.format(engine.max_num_batched_tokens)
    if not as_run(engine, on.precision).cuda_graphs:
        yield flags.eager
    yield _drafts(on)
    if ledger.given("prefix_caching"):
        yield flags.prefix if engine.prefix_caching else _spelled(on, "no_prefix")
    if not engine.windows:
        yield _spelled(on, "no_windows")
    if not engine.images:
        yield flags.text_alone
    if engine.adapters:
        yield flags.adapters.format(engine.adapters, buffer_rank(engine))
        yield flags.adapters_sharded if engine.adapters_sharded else ""
