"""The folder in which several workers keep their counts: locked by all that use it, and removed at the end.

Where they were all killed, nobody is left to remove it. The next server does, once nobody holds its lock: a process id
may be another process by then, or one of another container.
"""

import os
import shutil
import stat
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names it to the Prometheus client."""
PREFIX = "inferplan-counts-"
YOUNG_S = 60
"""The age from which a folder that is not locked will not be locked any more. [s]"""


@contextmanager
def shared_folder() -> Generator[str]:
    """A folder for the length of a block; those that killed servers left are removed first."""
    for left in Path(gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            _remove_left(left)
    with TemporaryDirectory(prefix=PREFIX) as folder:
        hold(folder)
        yield folder


def hold(folder: str) -> None:
    """Keep a folder locked until this process ends. Without locks, as on Windows, nobody removes it."""
    with suppress(OSError):
        _lock(folder, alone=False)


def _remove_left(folder: Path) -> None:
    """Remove a folder of this user's that is not locked; raises OSError."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or time.time() - found.st_mtime < YOUNG_S:
        return
    if sys.platform != "win32" and found.st_uid == os.getuid():
        lock = _lock(str(folder), alone=True)
        shutil.rmtree(folder)
        os.close(lock)


def _lock(folder: str, *, alone: bool) -> int:
    """The descriptor by which a folder is locked, alone or with others; raises OSError where others hold it."""
    if sys.platform == "win32":
        raise OSError
    import fcntl  # noqa: PLC0415 - is not there on Windows

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_NB | (fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
