"""Every tool called by agents of four frameworks, over stdio and HTTP: `python tests/conformance/in_agents.py`.

Each script of `agents/` names what it needs (PEP 723), which is installed into an environment of its own (0.8 GB in
all). Its agent talks to the same model on loopback as the hosts of `in_hosts.py`.

Prints Markdown; exits 1 where a tool was not offered, or an answer did not reach the model whole.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from functools import partial
from pathlib import Path

from in_hosts import QUESTION, SCRIPT, Server, compare, run
from scripted_model import Model, Served

AGENTS = {
    "OpenAI Agents SDK": "openai_agents_sdk.py",
    "Pydantic AI": "pydantic_ai_agent.py",
    "LangChain": "langchain_agent.py",
    "LlamaIndex": "llama_index_agent.py",
}
FOLDER = Path(__file__).with_name("agents")
BINARIES = "Scripts" if sys.platform == "win32" else "bin"


def needs(script: Path) -> list[str]:
    """The packages that the head of a script names, with their versions."""
    (head,) = re.findall(r"^# /// script\n(.*?)^# ///$", script.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return tomllib.loads(re.sub(r"^# ?", "", head, flags=re.MULTILINE))["dependencies"]


def installed(script: Path, folder: Path) -> Path:
    """A Python with what a script needs."""
    venv.create(folder, with_pip=True)
    python = folder / BINARIES / "python"
    free = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--quiet", *needs(script)], check=True, env=free)
    return python


def session(title: str, script: Path, python: Path, server: Server) -> Model:
    """One question to an agent; what its model saw."""
    model = Model(script=SCRIPT)
    with tempfile.TemporaryDirectory() as home, Served(model) as served:
        own = {"HOME": home, "PATH": os.environ.get("PATH", ""), "MODEL": f"{served.url}/v1", "QUESTION": QUESTION}
        own |= {"COMMAND": server.command, "URL": server.url, "TOKEN": server.token}
        run(title, [str(python), str(script)], where=Path(home), environment=own)
    return model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, help="where to install (else a folder that is removed)")
    parser.add_argument("--only", nargs="+", choices=list(AGENTS), default=list(AGENTS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        sessions = {}
        for title in options.only:
            script = FOLDER / AGENTS[title]
            python = installed(script, (options.environments or Path(scratch)) / script.stem)
            version = needs(script)[0].partition("==")[2]
            sessions[f"{title} {version}"] = partial(session, title, script, python)
        return compare(sessions)


if __name__ == "__main__":
    sys.exit(main())
