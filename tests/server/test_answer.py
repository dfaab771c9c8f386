"""Answers that are kept: the same question is computed once, and nothing else passes for the same question."""

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from mcp import Client

from inferplan.server.answer import LONGEST_REMEMBERED, REMEMBERED
from inferplan.server.app import create_server
from inferplan.tools._tool import Tool
from inferplan.tools.money import rates as _rates

pytestmark = pytest.mark.anyio


class NextDay:
    """The clock of tomorrow."""

    UTC = datetime.UTC

    class datetime:  # noqa: N801 - the name of what it stands in for
        """Its only hand."""

        @staticmethod
        def now(tz: datetime.tzinfo) -> datetime.datetime:
            """In a day."""
            return datetime.datetime.now(tz=tz) + datetime.timedelta(days=1)


class Counted:
    """A tool that says how often it computes."""

    def __init__(self, tool: Tool[Any, Any]) -> None:
        self.times = 0
        self._compute: Callable[[Any], Any] = tool.run
        self.tool = replace(tool, run=self._run)

    def _run(self, question: Any) -> Any:
        self.times += 1
        return self._compute(question)


@pytest.fixture
def counted(toy: Tool[Any, Any]) -> Counted:
    return Counted(toy)


async def test_a_question_asked_again_gets_the_same_answer_which_was_computed_once(counted: Counted):
    async with Client(create_server(tools=[counted.tool])) as client:
        first, second = [await client.call_tool("weigh", {"model": "70B", "users": 3}) for _ in range(2)]
    assert first.structured_content == second.structured_content
    assert first.content == second.content
    assert counted.times == 1


@pytest.mark.parametrize("other", [{"users": 2}, {"users": "1"}, {"users": True}, {"users": 1, "level": "high"}, {}])
async def test_another_question_is_computed_however_alike(counted: Counted, other: dict[str, Any]):
    async with Client(create_server(tools=[counted.tool])) as client:
        await client.call_tool("weigh", {"model": "70B", "users": 1})
        await client.call_tool("weigh", {"model": "70B", **other})
    assert counted.times == 2


async def test_another_day_may_have_another_answer(counted: Counted, monkeypatch: pytest.MonkeyPatch):
    async with Client(create_server(tools=[counted.tool])) as client:
        await client.call_tool("weigh", {"model": "70B"})
        monkeypatch.setattr(_rates, "datetime", NextDay)
        await client.call_tool("weigh", {"model": "70B"})
    assert counted.times == 2


async def test_two_tools_never_share_an_answer(counted: Counted, toy: Tool[Any, Any]):
    other = Counted(toy)
    for tool in (counted.tool, other.tool):
        async with Client(create_server(tools=[tool])) as client:
            await client.call_tool("weigh", {"model": "70B", "users": 3})
    assert (counted.times, other.times) == (1, 1)


async def test_a_failure_is_not_kept(counted: Counted):
    async with Client(create_server(tools=[counted.tool])) as client:
        for _ in range(2):
            assert (await client.call_tool("weigh", {"model": "70B", "users": 13})).is_error
    assert counted.times == 2


async def test_the_oldest_answers_are_let_go_of(counted: Counted):
    async with Client(create_server(tools=[counted.tool])) as client:
        for users in (1, *range(14, 14 + REMEMBERED), 1):
            await client.call_tool("weigh", {"model": "70B", "users": users})
    assert counted.times == REMEMBERED + 2


async def test_a_long_question_is_not_kept(counted: Counted):
    async with Client(create_server(tools=[counted.tool])) as client:
        for _ in range(2):
            await client.call_tool("weigh", {"model": "70B", "overrides": " " * LONGEST_REMEMBERED})
    assert counted.times == 2


async def test_what_a_model_hub_has_a_part_in_is_not_kept(counted: Counted):
    """It may know more of a repository the next time."""
    async with Client(create_server(tools=[counted.tool])) as client:
        for _ in range(2):
            await client.call_tool("weigh", {"model": "nobody/nothing-1b"})
    assert counted.times == 2
