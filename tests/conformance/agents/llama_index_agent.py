# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "llama-index-core==0.14.25",
#     "llama-index-llms-openai-like==0.8.1",
#     "llama-index-tools-mcp==0.6.0",
# ]
# ///
"""One question to an agent of LlamaIndex."""

import asyncio
import os

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


async def main() -> None:
    """Ask."""
    if url := os.environ["URL"]:
        client = BasicMCPClient(url, headers={"Authorization": f"Bearer {os.environ['TOKEN']}"})
    else:
        client = BasicMCPClient(os.environ["COMMAND"])
    tools = await McpToolSpec(client=client).to_tool_list_async()
    able = {"is_chat_model": True, "is_function_calling_model": True}
    model = OpenAILike(model="own", api_base=os.environ["MODEL"], api_key="none", **able)
    await FunctionAgent(tools=tools, llm=model).run(os.environ["QUESTION"])


asyncio.run(main())
