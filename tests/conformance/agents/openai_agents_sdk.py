# /// script
# requires-python = ">=3.11"
# dependencies = ["openai-agents==0.24.0"]
# ///
"""One question to an agent of the OpenAI Agents SDK."""

import asyncio
import os

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from openai import AsyncOpenAI


async def main() -> None:
    """Ask."""
    set_tracing_disabled(disabled=True)
    if url := os.environ["URL"]:
        server = MCPServerStreamableHttp({"url": url, "headers": {"Authorization": f"Bearer {os.environ['TOKEN']}"}})
    else:
        server = MCPServerStdio({"command": os.environ["COMMAND"]})
    model = OpenAIChatCompletionsModel("own", AsyncOpenAI(base_url=os.environ["MODEL"], api_key="none"))
    async with server:
        await Runner.run(Agent("planner", model=model, mcp_servers=[server]), os.environ["QUESTION"])


asyncio.run(main())
