"""The six tools, in the order of the workflow; the preset tool runs the other five."""

from collections.abc import Mapping
from typing import Any

from inferplan.tools import costs, moe, parallelism, preset, quantization, vram
from inferplan.tools._tool import Tool

TOOLS: tuple[Tool[Any, Any], ...] = (
    vram.TOOL,
    quantization.TOOL,
    parallelism.TOOL,
    costs.TOOL,
    moe.TOOL,
    preset.TOOL,
)
TOOLS_BY_NAME: Mapping[str, Tool[Any, Any]] = {tool.name: tool for tool in TOOLS}
