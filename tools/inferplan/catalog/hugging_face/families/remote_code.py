"""Whether a checkpoint needs `trust_remote_code`: engines then run code that it contains."""

import re
from typing import cast

from inferplan.catalog.hugging_face.reading.keys import Keys

NO_CLASS = frozenset(
    {
        "baichuan",
        "bailing_moe",
        "bailing_moe_v2",
        "deci",
        "dots_ocr",
        "deepseek",
        "ernie4_5_moe_vl",
        "exaone",
        "hunyuan",
        "internlm2",
        "internvl_chat",
        "mimo",
        "mimo_v2",
        "minicpm",
        "minicpmo",
        "minicpmv",
        "minimax_m1",
        "minimax_m3",
        "minimax_text_01",
        "nemotron-nas",
        "phi3_v",
        "phi4mm",
        "yi",
    }
)
"""Types whose config only a class of the checkpoint reads, though engines have the model itself.

Source: neither CONFIG_MAPPING_NAMES of transformers 5.23 nor _CONFIG_REGISTRY of vLLM, transformers_utils/config.py,
has them; without the flag `AutoConfig` stops there ("requires you to execute the configuration file").
"""
TRUSTED = frozenset(
    {
        "bailing_hybrid",
        "chatglm",
        "hunyuan_v1_moe",
        "iquestcoder",
        "kimi_k2",
        "kimi_k25",
        "kimi_k3",
        "kimi_linear",
        "kimi_vl",
        "mellum",
        "mimo_v2_flash",
        "minimax_m2",
        "nemotron_h",
        "sarvam_mla",
        "sarvam_moe",
        "step3p5",
        "step3p7",
    }
)
"""Types that engines have a class for, but whose tokenizer or processor is code, or which earlier releases lack.

Source: `base_args` of vllm-project/recipes; of kimi_vl, tests/models/registry.py of vLLM; of Sarvam, METADATA of vLLM
0.33 (transformers below 5.21, of which 5.20.2 has no class).
"""

_REFERENCE = re.compile(r"(?:[\w.-]{1,96}/[\w.-]{1,96}--)?[A-Za-z_]\w{0,95}\.[A-Za-z_]\w{0,95}", re.ASCII)
"""A class in a file of the checkpoint, or of another repository: "file.Class" or "owner/name--file.Class"."""


def needs_remote_code(root: Keys) -> bool:
    """Whether `auto_map` names a class of the checkpoint, for a type that engines do not load without it.

    A text that is not the name of a class does not count: engines would not find it either.
    """
    mapped = root.values.get("auto_map")
    name = cast("dict[str, object]", mapped).get("AutoConfig") if isinstance(mapped, dict) else None
    needed = root.text("model_type") in NO_CLASS | TRUSTED
    if not needed or not isinstance(name, str) or not _REFERENCE.fullmatch(name):
        return False
    root.keep("auto_map", {"AutoConfig": name}, None)
    return True
