# /// script
# requires-python = ">=3.11"
# dependencies = ["pydantic-ai-slim[mcp,openai]==2.68.0"]
# ///
"""One question to an agent of Pydantic AI."""

import asyncio
import os

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


async def main() -> None:
    """Ask."""
    if url := os.environ["URL"]:
        tools = MCPToolset(url, headers={"Authorization": f"Bearer {os.environ['TOKEN']}"}, include_instructions=True)
    else:
        tools = MCPToolset(StdioTransport(os.environ["COMMAND"], []), include_instructions=True)
    model = OpenAIChatModel("own", provider=OpenAIProvider(base_url=os.environ["MODEL"], api_key="none"))
    async with (agent := Agent(model, toolsets=[tools])):
        await agent.run(os.environ["QUESTION"])


asyncio.run(main())
