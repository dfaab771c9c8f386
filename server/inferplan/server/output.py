"""Printing from the command line, also to a closed pipe, and of characters that stdout cannot encode."""

import os
import sys

UNWRITTEN = 1
"""The exit code for an answer that could not be written."""


def say(text: str) -> int:
    """Print a text as lines on stdout; the exit code.

    A pipe that was closed, as by `head`, is no error. Characters that stdout cannot encode are escaped.
    """
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - so it is where stdout was closed
        return _unwritten("stdout is closed")
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _write_no_more()
    except OSError as problem:
        _write_no_more()
        return _unwritten((problem.strerror or "unknown error").lower())
    return 0


def _write_no_more() -> None:
    """Drop what is left of the output, which Python would try to write once more at its end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


def _unwritten(why: str) -> int:
    sys.stderr.write(f"the answer cannot be written: {why}\n")
    return UNWRITTEN
