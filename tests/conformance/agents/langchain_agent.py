# /// script
# requires-python = ">=3.11"
# dependencies = ["langchain==1.5.2", "langchain-mcp-adapters==0.3.2", "langchain-openai==1.7.4"]
# ///
"""One question to an agent of LangChain."""

import asyncio
import os

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_openai import ChatOpenAI


async def main() -> None:
    """Ask."""
    if url := os.environ["URL"]:
        headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
        server = {"transport": "streamable_http", "url": url, "headers": headers}
    else:
        server = {"transport": "stdio", "command": os.environ["COMMAND"], "args": []}
    tools = await MultiServerMCPClient({"inferplan": server}).get_tools()
    agent = create_agent(ChatOpenAI(model="own", base_url=os.environ["MODEL"], api_key="none"), tools)
    await agent.ainvoke({"messages": [{"role": "user", "content": os.environ["QUESTION"]}]})


asyncio.run(main())
