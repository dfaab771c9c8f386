"""The command that starts one replica of a deployment."""

from collections.abc import Iterator, Mapping

from inferplan.catalog.asked_models import is_config
from inferplan.catalog.engines import plugin
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.catalog.models import MODELS
from inferplan.core.engine_memory import RULES, as_run, kv_bits_on
from inferplan.core.engines.adapters import buffer_rank
from inferplan.core.engines.kv_blocks import PAIRED_BLOCK_TOKENS
from inferplan.core.engines.kv_coverage import picks_pages
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.tools._assumptions import Ledger
from inferplan.tools._models import SIXTEEN_BIT
from inferplan.tools.serving.launch_flags import FLAGS, spelled
from inferplan.tools.serving.launch_layout import cluster_remarks, environment, layout_flags
from inferplan.tools.serving.published import as_published
from inferplan.tools.serving.serving import Serving

ANY_MODEL = "MODEL"
"""Placeholder for a checkpoint that is not known."""
WIDE = "fp32"
"""The format that engines have to be told: they load a checkpoint of 32 bit in 16 as well.

Source: vLLM and SGLang, `--help`, `--dtype`: auto is 16 bit for models in FP32.
"""


WIDE_BITS = 32
"""Bits of an element of it, which engines have no name for in a cache."""
STATES = "not {:,}: vLLM refuses more than it has blocks for states"
"""Why the command limits the sequences of a model with recurrent states."""
FIRST_LOWERED_SEQUENCES = 12
"""The first vLLM (0.12) that lowers its default of sequences to the tokens of a step."""
LOADERS: Mapping[str, tuple[int, str]] = {
    "gguf": (26, "vllm-gguf-plugin"),
    "nf4": (28, "vllm-bnb-plugin"),
    "bnb-int8": (28, "vllm-bnb-plugin"),
}
"""By weight format, the first vLLM (26 is 0.26) that loads it through a plugin, and the plugin.

Source: vLLM documentation, quantization, GGUF (0.27); pull request 43529 (bitsandbytes); the source of 0.28.
"""
METAL = "vllm-metal"
"""The plugin that loads those formats itself."""


def launch(
    on: Serving, layout: Layout, *, context: int, users: int, ledger: Ledger, kv_precision: str | None = None
) -> str:
    """The command that starts one replica; flags only for what the answer decides or the caller set.

    Placeholders stand in capitals or are explained behind a `#`, as is the number of replicas. Plugins are listed in
    the ledger.
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
    start = [*environment(on, layout, context), *_model(on, layout, context), *layout_flags(on, layout, each)]
    file = [FLAGS[on.engine.name].file] if written else []
    told = [*start, *file, *load, *_settings(on, layout, ledger)]
    return " ".join([*filter(None, told), *_remark(on, layout, written)])


def _model(on: Serving, layout: Layout, context: int) -> Iterator[str]:
    """The start command with the checkpoint, and the flags for its code and its format."""
    flags, name = FLAGS[on.engine.name], _checkpoint(on.model, context)
    if build := on.model.build(on.precision.id):
        name = build.id
    elif _is_invented(on):
        name = name if name == ANY_MODEL else f"{name.rpartition('/')[2]}-{on.precision.id.upper()}"
    if (servers := on.nodes(layout.alone)) > 1 and flags.spread:
        yield flags.spread.format(nodes=servers, gpus=layout.replica, each=min(layout.replica, on.node_size))
    yield spelled(on.engine, "start").format(name)
    if on.model.remote_code:
        yield flags.code
    if on.quantised_online:
        yield on.quantised_online
    if on.precision.id == WIDE:
        yield flags.wide


def _checkpoint(model: Model, context: int) -> str:
    """The id of the checkpoint to load; a placeholder for a described model, or where a class has none so long."""
    real = MODELS.get(model.stands_for or "")
    if real is not None:
        return real.id if context <= real.architecture.max_positions else ANY_MODEL
    return ANY_MODEL if model.is_size_class or is_config(model.id) else model.id


def _is_invented(on: Serving) -> bool:
    """Whether the command names a build in this format by model and format, because none is known."""
    if on.model.build(on.precision.id):
        return False
    own = FORMATS.id_of(on.model.native_precision)
    loaded = SIXTEEN_BIT if own in SIXTEEN_BIT else {own}
    other = on.precision.id not in loaded and not on.quantised_online
    return on.engine.name == "llama.cpp" or other


def _written(on: Serving, layout: Layout, context: int, ledger: Ledger, kv_precision: str | None) -> Iterator[str]:
    """The lines of TensorRT-LLM's options file, for what has no flag in 1.x.

    Without chunked prefill it refuses prompts longer than a step. Where the file sets anything of the cache, all
    settings of the cache come from it, the share of memory included.

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
    """Whether TensorRT-LLM needs another MoE backend than its default: FP8 experts in blocks on B200 and newer.

    Source: TensorRT-LLM, deployment guides to DeepSeek R1 and GLM-5, MoE backend support matrix (FP8 on B200 and GB200
    is DEEPGEMM's alone, "one must set the backend explicitly to run the model"; on Hopper CUTLASS has it).
    """
    in_blocks = on.experts is not None and on.precision.id == "fp8" and on.model.block("fp8") > 0
    return in_blocks and on.gpu.link is not None and on.gpu.architecture in ("Blackwell", "Blackwell Ultra")


def _remark(on: Serving, layout: Layout, written: list[str]) -> list[str]:
    """The comment behind the command: what the reader has to supply, and how many replicas there are."""
    build = [f"your {on.precision.title} build"] if _is_invented(on) and on.engine.name != "llama.cpp" else []
    copies = [f"one of {layout.dp:,} replicas"] if layout.dp > 1 else []
    drafts = ["and your draft model"] if on.engine.drafts and not _predicts(on) else []
    options = [f"FILE says {' and '.join(written)}"] if written else []
    parts = [f"each {on.gpu.title} is {on.gpu.devices} devices"] if on.gpu.devices > 1 else []
    said = [*build, *drafts, *options, *parts, *cluster_remarks(on, layout), *copies]
    return ["# " + ", ".join(said)] if said else []


def _predicts(on: Serving) -> bool:
    """Whether the model's own layers draft tokens and the engine can be told so.

    Older versions of vLLM cannot; drafting several tokens at once is known of vLLM alone.
    """
    own = on.model.architecture.multi_token
    if own is None or not on.engine.drafts or (own.method != "mtp" and on.engine.name != "vllm"):
        return False
    return bool(spelled(on.engine, "drafts") or FLAGS[on.engine.name].file)


def _drafts(on: Serving) -> str:
    """The flag for drafting with the model's own layers; empty where a draft model or the options file does it."""
    own, drafted = on.model.architecture.multi_token, on.engine.drafts
    return spelled(on.engine, "drafts").format(drafted, drafted + 1, own.method) if own and _predicts(on) else ""


def _load(on: Serving, layout: Layout, context: int, each: int, ledger: Ledger) -> Iterator[str]:
    """The flags for context and sequences; llama.cpp's context is that of all its slots together.

    llama.cpp caps a slot's context at the training context in the file, whose key carries the architecture's name.
    Source: llama.cpp, tools/server/server-context.cpp ("exceeds the training context of the model - capping").
    """
    flags, slots = FLAGS[on.engine.name], on.engine.name == "llama.cpp"
    yield flags.context.format(context * each if slots else context)
    if flags.longer and on.model.is_beyond_training(context):
        yield flags.longer.format(context)
    lowered = on.pool(layout, context).lowered_max_num_seqs
    if lowered:
        ledger.note("max_num_seqs", lowered, why=STATES.format(on.laid_out(layout).max_num_seqs))
    if slots or lowered or ledger.given("max_num_seqs") or not _lowers_sequences(on):
        yield flags.sequences.format(each if slots else lowered or on.laid_out(layout).max_num_seqs)


def _lowers_sequences(on: Serving) -> bool:
    """Whether the engine runs at most as many sequences as a step has tokens where neither was set, by itself.

    vLLM does since 0.12; older ones refuse a step of fewer tokens than the default has sequences.

    Source: vLLM 0.5 to 0.33, vllm/engine/arg_utils.py, and `SchedulerConfig` ("must be greater than or equal to").
    """
    if on.engine.name != "vllm" or on.engine.version >= FIRST_LOWERED_SEQUENCES:
        return True
    return on.engine.max_num_seqs == RULES["vllm"].default_batching(on.gpu, on.engine.version)[1]


def _lengthens_steps(on: Serving, layout: Layout) -> bool:
    """Whether vLLM has to be told of longer steps, as it refuses fewer tokens than the sequences asked for."""
    step = RULES[on.engine.name].default_batching(on.gpu, on.engine.version)[0]
    return on.engine.name == "vllm" and on.laid_out(layout).max_num_batched_tokens > step


def _cache(on: Serving, kv_precision: str | None) -> Iterator[str]:
    """The flags for the KV cache: its format where not the default, its block size where the engine picks a wrong one.

    Source of blocks: vllm-project/recipes, MiniMax-M3 (`base_args`); vLLM 0.28, vllm/platforms/interface.py, which asks
    the backend of the first layer alone.
    """
    flags, name = FLAGS[on.engine.name], _stored(on, kv_precision)
    if name and flags.cache:
        yield flags.cache.format(name)
    if flags.block and picks_pages(on.model.architecture):
        yield flags.block.format(PAIRED_BLOCK_TOKENS)


def _stored(on: Serving, kv_precision: str | None) -> str:
    """The engine's name for the format of the cache; empty where that is its default.

    16 bit has to be named where weights are in 32, or the checkpoint or the engine's class of the model asks for fewer.
    """
    stored = (form.stored_by.get(on.engine.name, "") for form in KV_FORMATS.values() if form.bits == on.kv_bits)
    named = KV_FORMATS[kv_precision].stored_by[on.engine.name] if kv_precision else next(stored, "")
    usual = kv_bits_on(on.model, on.precision, on.gpu, on.engine)
    return named if named or on.kv_bits in (usual, WIDE_BITS) else spelled(on.engine, "unquantised")


def _shares(on: Serving, ledger: Ledger) -> bool:
    """Whether the caller set the share of memory to fill, and the engine has a flag for it."""
    return ledger.given("memory_utilization") and bool(FLAGS[on.engine.name].share)


def _settings(on: Serving, layout: Layout, ledger: Ledger) -> Iterator[str]:
    """The flags for settings that differ from the engine's defaults."""
    flags, engine = FLAGS[on.engine.name], on.engine
    if _shares(on, ledger):
        yield flags.share.format(engine.memory_utilization)
    if ledger.given("max_num_batched_tokens") or _lengthens_steps(on, layout):
        yield flags.tokens.format(on.laid_out(layout).max_num_batched_tokens)
    if not as_run(engine, on.precision).cuda_graphs:
        yield flags.eager
    yield _drafts(on)
    if ledger.given("prefix_caching"):
        yield flags.prefix if engine.prefix_caching else spelled(on.engine, "no_prefix")
    if not engine.windows:
        yield spelled(on.engine, "no_windows")
    if not engine.images:
        yield flags.text_alone
    if engine.adapters:
        yield flags.adapters.format(engine.adapters, buffer_rank(engine))
        yield flags.adapters_sharded if engine.adapters_sharded else ""
