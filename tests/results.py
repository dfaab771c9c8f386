"""What a model reads of a result."""

from mcp.types import CallToolResult


def texts(result: CallToolResult) -> str:
    """The text of a result, as a model sees it."""
    return "\n\n".join(block.text for block in result.content if block.type == "text")
