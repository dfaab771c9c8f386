"""Calls that take long, in threads: the event loop goes on, and the client gets their progress and may cancel them."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from anyio import CapacityLimiter, from_thread, to_thread
from anyio.lowlevel import RunVar

from inferplan.tools._progress import LISTENER

T = TypeVar("T")

Report = Callable[[float, float | None], Coroutine[Any, Any, None]]
"""Reports progress to the client: how much of how much is done."""

AT_MOST = 8
"""Threads for such calls, apart from those that read the input; a further call waits for one."""

_limiters: RunVar[CapacityLimiter] = RunVar("calls that take long")


async def in_a_thread(work: Callable[[], T], report: Report) -> T:
    """What `work` returns. The thread of a cancelled call ends at its next report of progress."""

    def listened() -> T:
        LISTENER.set(partial(_tell, report))
        return work()

    return await to_thread.run_sync(listened, limiter=_limiter(), abandon_on_cancel=True)


def _tell(report: Report, done: int, total: int) -> None:
    """Report progress from the thread, unless the call is cancelled."""
    from_thread.check_cancelled()
    from_thread.run(report, done, total)


def _limiter() -> CapacityLimiter:
    """The threads of the running event loop for such calls."""
    try:
        return _limiters.get()
    except LookupError:
        limiter = CapacityLimiter(AT_MOST)
        _limiters.set(limiter)
        return limiter
