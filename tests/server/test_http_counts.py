"""The folder in which several workers of `inferplan http` count."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

from http_server import LISTENING, http_server
from inferplan.server.http.counts import PREFIX, YOUNG_S, hold, shared_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="folders that cannot be locked")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def old(path: Path) -> Path:
    """This folder, as if it was made some time ago."""
    path.mkdir(exist_ok=True)
    (path / "counter_1.db").touch()
    then = path.stat().st_mtime - 2 * YOUNG_S
    os.utime(path, (then, then))
    return path


def test_a_folder_that_nobody_holds_any_more_is_removed(scratch: Path):
    left = old(scratch / f"{PREFIX}left")
    with shared_folder() as folder:
        assert list(scratch.iterdir()) == [Path(folder)]
    assert not left.exists()
    assert not list(scratch.iterdir())


def test_what_is_in_use_or_is_no_folder_of_ours_is_let_alone(scratch: Path):
    held = old(scratch / f"{PREFIX}held")
    hold(str(held))
    young = scratch / f"{PREFIX}young"
    young.mkdir()
    elsewhere = old(scratch / "elsewhere")
    link = scratch / f"{PREFIX}link"
    link.symlink_to(elsewhere)
    os.utime(link, (0, 0), follow_symlinks=False)
    named_alike = scratch / f"{PREFIX}file"
    named_alike.touch()
    os.utime(named_alike, (0, 0))
    before = set(scratch.iterdir())
    with shared_folder() as folder:
        assert set(scratch.iterdir()) - {Path(folder)} == before
    assert (held / "counter_1.db").exists()
    assert (elsewhere / "counter_1.db").exists()


def test_the_folder_of_a_server_that_runs_is_let_alone_however_old_it_is(scratch: Path):
    with shared_folder() as first:
        old(Path(first))
        with shared_folder() as second:
            assert set(scratch.iterdir()) == {Path(first), Path(second)}


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="folders can be given away by root alone")
def test_the_folder_of_another_user_is_let_alone(scratch: Path):
    theirs = old(scratch / f"{PREFIX}theirs")
    os.chown(theirs, 65_534, 65_534)
    with shared_folder():
        assert theirs.exists()


def test_the_folder_of_a_killed_server_is_let_alone_while_a_worker_lives(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(scratch))
    with http_server("--workers", "2") as server:
        server.wait_for(LISTENING, times=2)
        (counts,) = map(old, scratch.iterdir())
        workers: list[int] = [entry["pid"] for entry in server.entries(LISTENING)]
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        server.process.kill()
        server.process.wait()
        try:
            with shared_folder():
                assert counts.exists()
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
        assert server.is_silent()
    with shared_folder():
        assert not counts.exists()
