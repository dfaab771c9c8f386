"""Calls that take long: they report how far they have come, end when cancelled, and hold nobody else up."""

import threading
from typing import Any

import anyio
import pytest
from mcp import Client

from inferplan.server.app import create_server
from inferplan.tools._progress import steps
from inferplan.tools._tool import Answer, Question, Tool
from inferplan.tools.layouts.search import candidates

pytestmark = pytest.mark.anyio
SEARCH = {"model": "70B", "precision": "fp8", "gpu": "any", "max_tpot_ms": 50}


@pytest.mark.parametrize(("mode", "users"), [("auto", 50), ("legacy", 51)])
async def test_a_client_that_asks_hears_how_far_the_search_has_come(mode: Any, users: int) -> None:
    """Of two searches: the answer to the same one again is at hand."""
    heard: list[tuple[float, float | None]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        assert message is None
        heard.append((progress, total))

    async with Client(create_server(), mode=mode) as client:
        result = await client.call_tool(
            "plan_parallelism", SEARCH | {"concurrent_users": users}, progress_callback=listen
        )
    assert not result.is_error
    assert heard == [(done, len(candidates())) for done in range(len(candidates()))]


class EndlessQuestion(Question):
    """Asks for what has no end."""

    tool = "search_for_ever"

    gpu: str


def endless(running: threading.Event, ended: threading.Event) -> Tool[EndlessQuestion, Answer]:
    """A tool that searches until somebody stops it."""

    def search_for_ever(q: EndlessQuestion) -> Answer:
        running.set()
        try:
            for _ in steps(range(10**12)):
                assert q.gpu
        finally:
            ended.set()
        raise AssertionError("nobody stopped it")

    return Tool(
        title="Search for ever",
        description="Searches until somebody stops it.",
        question=EndlessQuestion,
        answer=Answer,
        run=search_for_ever,
        example={"gpu": "any"},
    )


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_cancelled_search_ends_and_others_are_answered_meanwhile(mode: Any) -> None:
    running, ended = threading.Event(), threading.Event()
    server = create_server(tools=[endless(running, ended)])
    async with Client(server, mode=mode) as client, anyio.create_task_group() as tasks:

        async def ask() -> None:
            await client.call_tool("search_for_ever", {"gpu": "any"})

        tasks.start_soon(ask)
        assert await anyio.to_thread.run_sync(running.wait, 60)
        assert (await client.call_tool("search_for_ever", {})).is_error
        assert not ended.is_set()
        tasks.cancel_scope.cancel()
    assert await anyio.to_thread.run_sync(ended.wait, 60)
