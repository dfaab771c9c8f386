"""The command line as a shell starts it, with nothing on its stdin."""

import subprocess
import sys
from pathlib import Path


def inferplan(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "inferplan.server", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
