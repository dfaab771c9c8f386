"""Fixtures of several packages: the event loop, a small tool, and in-process clients of both eras of the protocol."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from hypothesis import settings
from mcp import Client
from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel, Field, field_validator

from inferplan.server.app import create_server
from inferplan.tools._tool import Answer, NextStep, Question, Tool
from inferplan.tools.registry import TOOLS

assert TOOLS, "each tool names others as next steps, which have to be imported"

# The same examples in every run, however slow the machine: a failure is never a matter of luck.
settings.register_profile("inferplan", derandomize=True, deadline=None)
settings.load_profile("inferplan")

collect_ignore = ["calibration", "conformance", "fuzz"]
"""Commands, which tests run or others need libraries for."""

Era = Literal["auto", "legacy"]


class ToyQuestion(Question):
    """One argument of each kind that our tools have."""

    tool = "weigh"
    settings = ("prices",)

    model: str = Field(description='Model, such as "70B".', min_length=1, max_length=80)
    users: int = Field(default=1, ge=1, le=1000, description="Sessions at once.")
    share: float | None = Field(default=None, gt=0, le=1, description="Share of the memory.")
    level: Literal["low", "high"] = Field(default="low", description="How much to say.")
    compliance: bool = Field(default=False, description="Whether rules apply.")

    @field_validator("model")
    @classmethod
    def _known(cls, name: str) -> str:
        if name == "lama":
            raise ValueError('no model "lama"; nearest: "llama"')
        return name


class Part(BaseModel):
    """One part."""

    name: str
    size_gb: float | None


class ToyAnswer(Answer):
    """A number, a list of objects, and nothing."""

    total_gb: float = Field(description="Total. [GB]")
    parts: list[Part] = Field(description="Parts.")
    best: str | None = Field(description="The best, if any.")


def weigh(q: ToyQuestion) -> ToyAnswer:
    """A tool that answers, or fails for 13 users."""
    if q.users == 13:
        raise RuntimeError("the secret of the thirteenth user")
    return ToyAnswer(
        summary=f"{q.model} for {q.users} users takes {2.5 * q.users} GB.",
        diagram="|####|",
        total_gb=2.5 * q.users,
        parts=[Part(name="weights", size_gb=2.5), Part(name="rest", size_gb=None)],
        best=None,
        formula=[f"{q.users} x 2.5"],
        assumptions=q.ledger().entries(),
        inputs=q.inputs(),
        next_steps=[NextStep(tool="weigh", arguments={"model": q.model}, why="to weigh again")],
    )


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def toy() -> Tool[Any, Any]:
    return Tool(
        title="Weigh a model",
        description="Weigh a model. Use it where a test needs a tool that does next to nothing.",
        question=ToyQuestion,
        answer=ToyAnswer,
        run=weigh,
        example={"model": "70B", "users": 2},
    )


@pytest.fixture
def toy_server(toy: Tool[Any, Any]) -> MCPServer[Any]:
    return create_server(tools=[toy])


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    return request.param


@pytest.fixture
async def toy_client(toy_server: MCPServer[Any], era: Era) -> AsyncIterator[Client]:
    async with Client(toy_server, mode=era) as client:
        yield client


@pytest.fixture
async def client(era: Era) -> AsyncIterator[Client]:
    async with Client(create_server(), mode=era) as client:
        yield client
