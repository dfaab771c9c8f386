"""Readers of configs held against transformers: `python tests/conformance/in_transformers.py [--rounds N] [--seed N]`.

Needs `pip install torch==2.13.0 transformers==5.24.0 pillow scipy timm` beside inferplan. Each model is built without
weights (on torch's "meta" device), from the published configs of `tests/data/configs` and, for every type that both
know, from the defaults of its class and from these with sizes changed at random. Its text decoder has to count as many
parameters as inferplan reads from the config as transformers saves it; and the config of a published model, saved, has
to make the architecture that it made before.

Prints Markdown; exits 1 where a count differs that `REASONS` do not explain.
"""

import argparse
import json
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from inferplan.catalog.hugging_face.config import ConfigProblem, described, known_model_types
from inferplan.core.architecture import Architecture

CONFIGS = Path(__file__).parents[1] / "data" / "configs"
REASONS: Mapping[str, tuple[str, ...]] = {
    "the class ties the output head, published models do not": ("internvl", "kimi_k25", "mistral3"),
    "checkpoints store a norm behind the dense layer, which transformers does not build": ("axk1",),
    "checkpoints store keys and values of layers that read those of others": ("gemma3n", "gemma3n_text"),
    "correction biases are parameters in transformers, not in the published total": (
        "ernie4_5_moe",
        "ernie4_5_vl_moe",
        "laguna",
    ),
    "correction biases are buffers in transformers, and in the published total": ("lfm2_moe",),
    "layers behind the last whole group are full in vLLM": ("bailing_hybrid",),
    "the shared expert of transformers is one, whatever the config says": ("deepseek_v4",),
    "the shared expert is as wide as routed ones in vLLM": ("minimax_m3_vl", "minimax_m3_vl_text"),
    "transformers gives weights to experts that return their input": ("longcat_flash",),
    "the thinker's output head is not found by name": ("qwen2_5_omni", "qwen3_omni_moe", "qwen3_omni_moe_thinker"),
    "the whole config's class ties the output head, its text decoder's does not, by which vLLM goes": (
        "deepseek_vl",
        "deepseek_vl_hybrid",
        "glmasr",
        "granite_speech",
        "granite_speech_plus",
        "hyperclovax_vision_v2",
        "janus",
        "lighton_ocr",
        "minicpm_ocr",
        "moss_transcribe_diarize",
        "ovis2",
    ),
    "towers are not told apart by name": ("idefics2", "idefics3", "phi4_multimodal", "smolvlm"),
}
KNOWN = frozenset(type_ for explained in REASONS.values() for type_ in explained)
"""Types whose counts differ, with why ours is right or cannot be told."""
SIZES = (
    *("hidden_size", "intermediate_size", "moe_intermediate_size", "vocab_size", "head_dim", "num_hidden_layers"),
    *("num_attention_heads", "num_experts", "n_routed_experts", "num_local_experts", "n_shared_experts"),
    *("num_shared_experts", "shared_expert_intermediate_size", "shared_intermediate_size", "kv_lora_rank"),
    *("q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "first_k_dense_replace"),
    *("num_dense_layers", "decoder_sparse_step", "interleave_moe_layer_step", "index_head_dim", "index_n_heads"),
    *("linear_key_head_dim", "linear_value_head_dim", "linear_num_value_heads", "mamba_head_dim", "ssm_state_size"),
    *("mamba_d_state", "gated_norm_rank", "o_lora_rank", "hidden_size_per_layer_input", "ffn_hidden_size"),
)
PER_LAYER = (
    *("layer_types", "mlp_layer_types", "hybrid_layer_pattern", "moe_layer_freq", "layers_block_type", "moe_layers"),
    *("per_layer_config", "no_rope_layers", "num_attention_heads_per_layer", "indexer_types"),
)
"""Lists of all layers, which follow from other keys where they are left out."""

Config = dict[str, Any]
Build = Callable[[Config], tuple[Config, int]]


@dataclass(frozen=True)
class Held:
    """What came of holding a config against transformers: `wrong` where `REASONS` has none for it.

    `saved` is what transformers saves of a config that both could read.
    """

    type_: str
    said: str
    wrong: bool = False
    saved: Config | None = None


def library() -> Any:
    """transformers, which inferplan does not need."""
    return import_module("transformers")


def builder() -> Build:
    """What builds a config: as transformers saves it, and the parameters of its text decoder."""
    torch: Any = import_module("torch")
    transformers = library()
    transformers.logging.set_verbosity_error()
    kinds = (
        transformers.AutoModelForCausalLM,
        transformers.AutoModelForImageTextToText,
        transformers.AutoModelForMultimodalLM,
    )

    def build(config: Config) -> tuple[Config, int]:
        made = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(config)
        kind = next((one for one in kinds if type(made) in one._model_mapping), kinds[0])
        with torch.device("meta"):
            model = kind.from_config(made)
        return json.loads(json.dumps(made.to_dict(), default=str)), _decoder_params(model)

    return build


def _decoder_params(model: Any) -> int:
    """The parameters of the text decoder and its output head, tied ones once."""
    inner = next((one for name, one in model.named_modules() if name.split(".")[-1] == "language_model"), model)
    parts = [inner, *(head for head in [getattr(model, "lm_head", None)] if head is not None)]
    return sum({id(one): one.numel() for part in parts for one in part.parameters()}.values())


def types() -> list[str]:
    """The model types that inferplan and transformers know."""
    transformers = library()
    return [one for one in known_model_types() if one in transformers.CONFIG_MAPPING]


def defaults(type_: str) -> Config | None:
    """The config of a type's class, None where the class has none that is whole."""
    try:
        return {**library().CONFIG_MAPPING[type_]().to_dict(), "model_type": type_}
    except (AttributeError, TypeError, ValueError):
        return None


def changed(config: Config, dice: random.Random) -> Config:
    """The config with some sizes of its text decoder half as large again, or twice; and as many layers more."""
    nested = config.get("text_config")
    inner: Config = nested if isinstance(nested, dict) else config
    made = {key: value for key, value in inner.items() if value is not None and key not in PER_LAYER}
    for key in SIZES:
        value = made.get(key)
        if isinstance(value, int) and value > 0 and dice.random() < 0.5:
            made[key] = value + 4 if key == "num_hidden_layers" else value * 2 if value % 4 else value * 3 // 2
    heads, shared = made.get("num_attention_heads"), made.get("num_key_value_heads")
    if heads and shared and heads % shared:
        made["num_key_value_heads"] = heads
    return made if inner is config else {**config, "text_config": made}


def hold(type_: str, config: Config, build: Build) -> Held:
    """Whether we count what transformers builds, in the config that it saves."""
    try:
        saved, theirs = build(config)
    except Exception as problem:
        return Held(type_, f"not built: {type(problem).__name__}")
    try:
        ours = described(json.dumps(saved)).model.total_params
    except ConfigProblem as problem:
        return Held(type_, f"refused: {problem}")
    if ours == theirs:
        return Held(type_, "equal", saved=saved)
    return Held(type_, f"{ours - theirs:+,} of {theirs:,}", wrong=type_ not in KNOWN, saved=saved)


def hold_published(path: Path, build: Build) -> Held | None:
    """The same of a published config, whose saved form has to make the same architecture; None where not theirs.

    Our copies have less of a scaling of positions than transformers asks for.
    """
    config = json.loads(path.read_text(encoding="utf-8"))
    type_ = config.get("model_type")
    if type_ not in types():
        return None
    for key in ("quantization_config", "rope_scaling", "rope_parameters"):
        config.pop(key, None)
    held = hold(type_, config, build)
    if held.saved is None:
        return replace(held, wrong=held.said.startswith("refused"))
    before, after = (described(json.dumps(one)).model.architecture for one in (config, held.saved))
    if _without_tower(before) != _without_tower(after):
        return Held(type_, f"{path.stem}: another architecture once saved", wrong=True)
    return held


def _without_tower(architecture: Architecture) -> Architecture:
    """transformers fills in the tower of a config that leaves it out."""
    return replace(architecture, vision_params=0, vision=None)


def held_all(rounds: int, seed: int) -> Iterator[Held]:
    """Published configs, defaults, and changed ones."""
    build, dice = builder(), random.Random(seed)
    for path in sorted(CONFIGS.glob("*.json")):
        if held := hold_published(path, build):
            yield held
    for type_ in types():
        if config := defaults(type_):
            yield hold(type_, config, build)
            for _ in range(rounds):
                yield hold(type_, changed(config, dice), build)


def main() -> int:
    """Hold all, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = list(held_all(options.rounds, options.seed))
    equal = [one for one in found if one.said == "equal"]
    lines = dict.fromkeys(f"| {one.type_} | {one.said} |" for one in found if one.said != "equal")
    print("| type | ours, less what transformers builds |", "|---|---|", *lines, sep="\n")  # noqa: T201
    print(f"\n{len(equal):,} configs of {len({one.type_ for one in equal})} types count the same")  # noqa: T201
    print(f"{sum(one.wrong for one in found)} differ without a known reason")  # noqa: T201
    return int(any(one.wrong for one in found))


if __name__ == "__main__":
    sys.exit(main())
