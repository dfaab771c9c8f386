"""Memory under llama.cpp held against its own tools: `python tests/conformance/in_llamacpp.py LLAMA_CPP [--write]`.

LLAMA_CPP is a checkout (that of llama-cpp-python 0.3.36 was used) built with
`cmake -B build -DGGML_RPC=ON && cmake --build build --target llama-quantize llama-fit-params ggml-rpc-server`. Needs
`pip install torch==2.13.0 transformers==5.24.0` beside inferplan. Of each published config in `tests/data/configs` that
transformers builds and llama.cpp converts, a GGUF file is made that has no weights (sparse, a few MiB on disk). Then

* `llama-quantize --dry-run` says how large it is in every mix (`--write` keeps that in `tests/data/gguf_dry_runs.tsv`),
* `llama-fit-params` what weights and caches take of one GPU, and of the fuller of two. Its GPUs are RPC servers that
  compute on the CPU.

Prints Markdown; exits 1 where a file is 0.002 %, the weights of a GPU 0.1 % or a cache 1 MiB off. Compute buffers, of
which ours are estimates, are printed beside.
"""

import argparse
import json
import logging
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from resource import RLIMIT_DATA, setrlimit
from statistics import median
from typing import Any

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.hugging_face.config import described
from inferplan.core.engine import Engine
from inferplan.core.engines.llamacpp_memory import compute_buffer, gpu_weights, not_modelled, slot_bytes
from inferplan.core.gguf.mixes import BASE
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.units import MIB

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from data_files import DATA  # noqa: E402 - a script finds its neighbours first
from gguf_files import file_bytes  # noqa: E402

BY_IMPORTANCE = ("iq3_xxs", "q2_k_s", "iq2_m")
"""Mixes that are made with an importance matrix."""
PORTS = (50061, 50062)
STARTS = ((8192, 1, 1, "f16", 16.0), (8192, 4, 1, "q8_0", 8.5), (32768, 4, 2, "f16", 16.0))
"""Context, slots, GPUs, and the type of the cache with its bits."""
MOST = 10 * 2**30
"""Memory that the conversion of one config may take. [B]"""
DRAFTS = ("num_nextn_predict_layers", "mtp_num_hidden_layers")
SCALING = ("quantization_config", "rope_scaling", "rope_parameters")

REASONS: Mapping[str, tuple[str, ...]] = {
    "small projections that llama.cpp keeps in 8 or 16 bit in this family alone": ("glm-5.3-flash",),
    "gates of their own, which the architecture does not tell from those in the query": (
        "muse-glimmer-defaults",
        "trinity-mini",
    ),
    "the eight experts that transformers' class has by default, and dense checkpoints have not": (
        "nemotron-h-56b-base-8k",
        "nemotron-nano-9b-v2",
    ),
    "learned positions, in 32 bit and in host memory": ("starcoder",),
}
KNOWN = frozenset(slug for explained in REASONS.values() for slug in explained)
"""Configs whose figures differ, and why."""

Config = dict[str, Any]


@dataclass(frozen=True)
class Held:
    """What came of one figure: ours and theirs. [MiB]"""

    slug: str
    what: str
    ours: float
    theirs: float
    within: float

    @property
    def wrong(self) -> bool:
        """Whether they differ by more than `within`, without a known reason."""
        return abs(self.ours - self.theirs) > self.within and self.slug not in KNOWN


class LlamaCpp:
    """A built checkout."""

    def __init__(self, root: Path) -> None:
        self._bin = root / "build" / "bin"
        sys.path[:0] = [str(root), str(root / "gguf-py")]
        self._gguf: Any = import_module("gguf")
        self._conversion: Any = import_module("conversion")
        self._base: Any = import_module("conversion.base")
        self._matrix: Path | None = None

    def convert(self, config: Config, folder: Path) -> Path:
        """A GGUF file of a config, whose tensors are holes. Raises whatever the converter does not understand."""
        made, tensors = _built(config)
        (folder / "config.json").write_text(json.dumps(made))
        words = {str(word): word for word in range(made.get("vocab_size") or made["text_config"]["vocab_size"])}
        (folder / "tokenizer.json").write_text(
            json.dumps({"model": {"vocab": words, "merges": []}, "added_tokens": []})
        )
        out = folder / "model.gguf"
        base, torch = self._base.ModelBase, import_module("torch")
        hparams = base.load_hparams(folder, is_mistral_format=False)
        kind = self._conversion.get_model_class(self._base.get_model_architecture(hparams, self._base.ModelType.TEXT))
        kind.no_mtp = kind.supports_mtp_export
        for part in kind.__mro__:
            if "set_vocab" in vars(part):
                part.set_vocab = _without_words
        base.index_tensors = lambda model, *_, **__: self._lazily(model, tensors)
        with torch.inference_mode():
            model = kind(folder, self._gguf.LlamaFileType.MOSTLY_BF16, out)
            model.prepare_tensors()
            model.prepare_metadata(vocab_only=False)
            _write_holes(model.gguf_writer, out)
        return out

    def _lazily(self, model: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """The tensors under the names that the converter asks for, none of them with data."""
        lazy: Any = self._base.LazyTorchTensor

        def hole(one: Any) -> Any:
            meta = lazy.meta_with_dtype_and_shape(one.dtype, tuple(one.shape))
            return lazy(meta=meta, args=(one,), func=lambda held: held.new_zeros(held.shape, device="cpu"))

        named = (model.filter_tensors((name, lambda one=one: hole(one))) for name, one in tensors.items())
        return dict(item for item in named if item)

    def quantized(self, file: Path, mix: str) -> float | None:
        """What a file takes in a mix; None where it says nothing. [MiB]"""
        given = ["--imatrix", str(self._importance(file.parent))] if mix in BY_IMPORTANCE else []
        said = self._run("llama-quantize", *given, "--dry-run", str(file), mix)
        found = re.search(r"quant size\s*=\s*([\d.]+) MiB", said)
        return float(found[1]) if found else None

    def _importance(self, folder: Path) -> Path:
        """An importance matrix, of one tensor: that there is one decides about types."""
        numpy: Any = import_module("numpy")
        file = folder / "imatrix.gguf"
        writer = self._gguf.GGUFWriter(str(file), "imatrix")
        writer.add_string("general.type", "imatrix")
        writer.add_array("imatrix.datasets", ["none"])
        writer.add_uint32("imatrix.chunk_count", 1)
        writer.add_uint32("imatrix.chunk_size", 512)
        writer.add_tensor("none.in_sum2", numpy.ones((1, 32), dtype=numpy.float32))
        writer.add_tensor("none.counts", numpy.ones((1, 1), dtype=numpy.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return file

    def fitted(self, file: Path, *, tokens: int, slots: int, gpus: int, cache: str) -> list[tuple[int, int, int]]:
        """Weights, cache and compute buffer on each GPU. [MiB]"""
        servers = ",".join(f"127.0.0.1:{port}" for port in PORTS[:gpus])
        flags = ["-ngl", "999", "-c", str(tokens), "-np", str(slots), "-ctk", cache, "-ctv", cache, "-fa", "on"]
        said = self._run("llama-fit-params", "-m", str(file), "--rpc", servers, *flags, "-fitp", "on")
        rows = re.findall(r"^RPC\d+ (\d+) (\d+) (\d+)", said, re.MULTILINE)
        return [(int(weights), int(held), int(compute)) for weights, held, compute in rows]

    def _run(self, program: str, *words: str) -> str:
        """What a program prints, whether it succeeds or not."""
        done = subprocess.run([self._bin / program, *words], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    @contextmanager
    def gpus(self) -> Generator[None]:
        """RPC servers, each of which is a GPU."""
        quiet = subprocess.DEVNULL
        program = str(self._bin / "ggml-rpc-server")
        running = [subprocess.Popen([program, "-p", str(port)], stdout=quiet, stderr=quiet) for port in PORTS]
        try:
            yield
        finally:
            for one in running:
                one.kill()
                one.wait()


def _built(config: Config) -> tuple[Config, Mapping[str, Any]]:
    """The config with its class's defaults, and the tensors of its checkpoint, without data."""
    torch: Any = import_module("torch")
    transformers: Any = import_module("transformers")
    made = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(config)
    kinds = (transformers.AutoModelForCausalLM, transformers.AutoModelForImageTextToText)
    kind = kinds[type(made) not in kinds[0]._model_mapping]
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            model = kind.from_config(made)
    finally:
        torch.set_default_dtype(torch.float32)
    tied = set(model.all_tied_weights_keys or {})
    held = {name: one for name, one in model.state_dict().items() if name not in tied}
    saved = json.loads(json.dumps(made.to_dict(), default=str))
    revert = import_module("transformers.core_model_loading").revert_weight_conversion
    named = {"architectures": [type(model).__name__]}
    return named | _merged(config, saved), revert(model, held)


def _merged(config: Config, saved: Config) -> Config:
    """What a config says, and beyond that what its class does."""
    nested = {
        name: _merged(one, saved[name]) for name, one in config.items() if isinstance(one, dict) and saved.get(name)
    }
    given = {name: one for name, one in config.items() if one is not None}
    return {name: one for name, one in (saved | given | nested).items() if name != "architectures" or one}


def _without_words(model: Any) -> None:
    """In place of a tokenizer, which no config has."""
    size = model.hparams.get("vocab_size") or model.hparams["text_config"]["vocab_size"]
    model.gguf_writer.add_tokenizer_model("none")
    if not any("vocab_size" in name for part in model.gguf_writer.kv_data for name in part):
        model.gguf_writer.add_vocab_size(size)


def _write_holes(writer: Any, out: Path) -> None:
    """The file's head, and as many bytes as its tensors take."""
    writer.write_header_to_file(path=out)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    padded = sum(-(-one.nbytes // 32) * 32 for part in writer.tensors for one in part.values())
    file = writer.fout[0]
    file.flush()
    file.truncate(-(-file.tell() // 32) * 32 + padded)
    writer.close()


def _plain(config: Config) -> Config:
    """A config without what its copy has half of, and without layers that draft, which transformers does not build."""
    kept = {name: 0 if name in DRAFTS and one else one for name, one in config.items() if name not in SCALING}
    return {name: _plain(one) if isinstance(one, dict) else one for name, one in kept.items()}


def held_in(tool: LlamaCpp, slug: str, model: Model, file: Path) -> Iterator[Held]:
    """A model's file in every mix, then weights, caches and buffers as its starts reserve them."""
    for mix in BASE:
        if size := tool.quantized(file, mix):
            yield Held(slug, mix, file_bytes(model, FORMATS[mix]) / MIB, size, within=max(0.1, 2e-5 * size))
    architecture = model.architecture
    for context, slots, gpus, cache, bits in STARTS:
        engine = Engine(name="llama.cpp", max_num_seqs=slots, max_num_batched_tokens=512)
        if not_modelled(architecture, engine):
            continue
        layout, tokens = Layout(pp=gpus), context * slots
        found = tool.fitted(file, tokens=tokens, slots=slots, gpus=gpus, cache=cache)
        if not found:
            continue
        weights, held, compute = (max(column) for column in zip(*found, strict=True))
        start = f"{slots} x {context:,} in {cache} on {gpus}"
        ours = gpu_weights(model, FORMATS["bf16"], layout) / MIB
        yield Held(slug, f"weights, {start}", ours, weights, within=1 + 1e-3 * weights)
        ours = slots * slot_bytes(architecture, layout, engine, context=context, kv_bits=bits) / MIB
        yield Held(slug, f"cache, {start}", ours, held, within=1)
        ours = compute_buffer(architecture, engine, context=context, gpus=gpus) / MIB
        yield Held(slug, f"compute, {start}", ours, compute, within=float("inf"))


def hold(root: Path, path: Path) -> list[Held] | str:
    """What came of one published config, or why no file can be made of it."""
    tool = LlamaCpp(root)
    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        try:
            file = tool.convert(_plain(json.loads(text)), Path(folder))
        except Exception as problem:
            return f"{type(problem).__name__}: {problem}"[:100]
        return list(held_in(tool, path.stem, described(text).model, file)) or "not read"


def held_all(root: Path, only: Sequence[str], left: list[str]) -> Iterator[Held]:
    """All published configs, each in a process of its own; those of which there is no file are added to `left`."""
    apart = get_context("fork")
    for path in sorted((DATA / "configs").glob("*.json")):
        if only and path.stem not in only:
            continue
        with ProcessPoolExecutor(1, apart, initializer=_bounded) as process:
            try:
                found = process.submit(hold, root, path).result()
            except BrokenProcessPool as problem:
                found = str(problem)
        if isinstance(found, str):
            left.append(f"{path.stem}: {found}")
        else:
            yield from found


def _bounded() -> None:
    """Let the process take no more memory than `MOST`: converters hold some tensors whole."""
    setrlimit(RLIMIT_DATA, (MOST, MOST))


def write(found: Sequence[Held], left: Sequence[str]) -> None:
    """Keep what files take in every mix, of what was held; what differs for a known reason is not kept."""
    said = "# What `llama-quantize --dry-run` of llama-cpp-python 0.3.36 says that a published config takes in a mix.\n"
    head = (said, "# Written by tests/conformance/in_llamacpp.py.\n", "config\tmix\tmib\n")
    file = DATA / "gguf_dry_runs.tsv"
    held = {one.slug for one in found} | {line.partition(":")[0] for line in left} | KNOWN
    before = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    rows = [line for line in before if line not in head and line.partition("\t")[0] not in held]
    now = [one for one in found if one.what in BASE and one.slug not in KNOWN]
    rows += [f"{one.slug}\t{one.what}\t{one.theirs:.2f}\n" for one in now]
    file.write_text("".join([*head, *sorted(rows)]), encoding="utf-8")


def main() -> int:
    """Hold all, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llama_cpp", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    root, left = options.llama_cpp.resolve(), list[str]()
    with LlamaCpp(root).gpus():
        found = list(held_all(root, options.only, left))
    if options.write:
        write(found, left)
    wrong = [one for one in found if one.wrong]
    print("| config | what | ours [MiB] | llama.cpp's [MiB] |", "|---|---|---|---|", sep="\n")  # noqa: T201
    for one in wrong:
        print(f"| {one.slug} | {one.what} | {one.ours:,.2f} | {one.theirs:,.2f} |")  # noqa: T201
    for kind in ("weights", "cache", "compute"):
        ratios = [one.ours / one.theirs for one in found if one.what.startswith(kind) and one.theirs]
        if ratios:
            spread = f"{min(ratios):.3f} to {max(ratios):.3f}, median {median(ratios):.3f}"
            print(f"\n{kind}, ours by theirs, of {len(ratios)} starts: {spread}")  # noqa: T201
    files = [one for one in found if one.what in BASE]
    print(f"\n{len(files):,} files of {len({one.slug for one in files})} configs; {len(wrong)} figures differ")  # noqa: T201
    print(*(f"* {one}" for one in left), sep="\n")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
