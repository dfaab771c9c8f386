"""`deploy/compose.yaml` as it stands: the image is built, nginx and the replicas started, and load put on them.

    python tests/load/composed.py [--clients 50] [--seconds 60]

Needs Docker with its compose plugin, and port 8080. Meanwhile a replica is killed and started anew, all are told to
end one after the other, and there are more of them and then fewer. Clients ask each question once: what nginx does not
rescue counts as an error. Prints Markdown; 1 where anything was lost.
"""

import argparse
import asyncio
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from load.clients import HEADER, Load, questions  # noqa: E402 - a script finds its neighbours first

COMPOSE = TESTS.parent / "deploy" / "compose.yaml"
PORT = 8080
SERVICE = "inferplan"


class Composition:
    """What the compose file describes, with a token of its own."""

    def __init__(self, folder: Path, token: str) -> None:
        tokens, more = folder / "tokens", folder / "tokens.yaml"
        tokens.write_text(token + "\n", encoding="utf-8")
        more.write_text(f"secrets: {{tokens: {{file: {json.dumps(str(tokens))}}}}}\n", encoding="utf-8")
        self._files = ("--project-name", "inferplan-load", "--file", str(COMPOSE), "--file", str(more))
        self.told: list[str] = []

    def up(self, *words: str) -> None:
        """Start what is not running, and wait until all of it is healthy."""
        self._compose("up", "--detach", "--wait", *words)

    def down(self) -> None:
        """Stop it, and remove what it made except the image."""
        self._compose("down", "--timeout", "30")

    async def suffer(self, seconds: float) -> None:
        """Replicas are killed, told to end, added and taken away."""
        for blow in (self._kill_one, self._end_each, self._add, self._take_away):
            await asyncio.sleep(seconds / 8)
            await asyncio.to_thread(blow)

    def _kill_one(self) -> None:
        first, *_ = self._replicas()
        _docker("kill", first)
        _docker("start", first)
        self.told.append("a replica was killed and started anew")

    def _end_each(self) -> None:
        codes: list[str] = []
        for replica in self._replicas():
            _docker("stop", replica)
            codes.append(_docker("inspect", "--format", "{{.State.ExitCode}}", replica).strip())
            _docker("start", replica)
            self.up("--no-recreate")
        self.told.append(f"each replica was told to end (exit codes {', '.join(codes)}) and started anew")

    def _add(self) -> None:
        self.up("--no-recreate", "--scale", f"{SERVICE}=5")
        self.told.append(f"there were {len(self._replicas())} replicas")

    def _take_away(self) -> None:
        self.up("--no-recreate", "--scale", f"{SERVICE}=2")
        self.told.append(f"there were {len(self._replicas())} replicas")

    def _replicas(self) -> Sequence[str]:
        return self._compose("ps", "--quiet", SERVICE).split()

    def _compose(self, *words: str) -> str:
        return _docker("compose", *self._files, *words)


def _docker(*words: str) -> str:
    """What a command of Docker prints."""
    program = shutil.which("docker") or "docker"
    done = subprocess.run([program, *words], check=False, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"docker {' '.join(words)}: {done.stderr}")
    return done.stdout


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    token = secrets.token_urlsafe()
    asked = questions(PORT, token=token)
    with tempfile.TemporaryDirectory() as folder:
        composition = Composition(Path(folder), token)
        try:
            composition.up("--build")
            asyncio.run(Load(asked, port=PORT).run(clients=3, seconds=2))
            run = Load(asked, port=PORT).run(
                clients=options.clients,
                seconds=options.seconds,
                meanwhile=lambda: composition.suffer(options.seconds),
            )
            figures = asyncio.run(run)
        finally:
            composition.down()
    print(HEADER, figures.row("3 replicas in containers behind nginx"), "", sep="\n")  # noqa: T201 - a command's table
    print(*(f"- {told}" for told in composition.told), sep="\n")  # noqa: T201 - the same
    for problem in (figures.errors + figures.wrong)[:20]:
        print(problem, file=sys.stderr)  # noqa: T201 - the same
    return int(bool(figures.errors or figures.wrong))


if __name__ == "__main__":
    sys.exit(main())
