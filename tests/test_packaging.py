"""The wheel and the sdist, built without a network, hold everything and run on their own."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ROOTS = ("server", "tools", "prompts")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DATA = sorted(
    path.relative_to(REPOSITORY / root).as_posix()
    for root in ROOTS
    for path in (REPOSITORY / root / "inferplan").rglob("*")
    if path.suffix in (".toml", ".md", ".json", ".jsonl", ".typed")
)

FOLDERS = (*ROOTS, "tests", "deploy", "docs", ".github", ".vscode")
FILES = (
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "AGENTS.md", "constraints.txt"),
    *("manifest.json", "server.json", ".mcp.json", ".mcpbignore"),
)


def build(tree: Path, target: str) -> Path:
    """Build one distribution in `tree` and return it."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", "dist"],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = (tree / "dist").glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is under version control, so that building leaves nothing behind."""
    tree = tmp_path_factory.mktemp("tree")
    skip = shutil.ignore_patterns("__pycache__", "*.pyc", ".pytest_cache", ".hypothesis")
    for name in FOLDERS:
        shutil.copytree(REPOSITORY / name, tree / name, ignore=skip)
    for name in FILES:
        shutil.copy(REPOSITORY / name, tree / name)
    return tree


@pytest.fixture(scope="module")
def wheel(copy: Path) -> Path:
    return build(copy, "wheel")


@pytest.fixture(scope="module")
def sdist(copy: Path) -> Path:
    return build(copy, "sdist")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the wheel and nothing else."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*command, str(target), str(wheel)], check=True, timeout=120)
    return target


def run(installed: Path, *arguments: str) -> str:
    """What a Python prints that finds the installed package first."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_every_data_file_and_marker(wheel: Path) -> None:
    assert DATA
    assert not set(DATA) - set(contents(wheel))


def test_the_wheel_holds_every_module_and_nothing_but_the_namespace(wheel: Path) -> None:
    modules = {
        path.relative_to(REPOSITORY / root).as_posix()
        for root in ROOTS
        for path in (REPOSITORY / root / "inferplan").rglob("*.py")
    }
    held = set(contents(wheel))
    assert modules <= held
    assert {name.split("/")[0] for name in held} == {"inferplan", f"inferplan-{PROJECT['version']}.dist-info"}
    assert "inferplan/__init__.py" not in held


def test_the_wheel_is_for_every_platform(wheel: Path) -> None:
    assert wheel.name == f"inferplan-{PROJECT['version']}-py3-none-any.whl"


def test_the_wheel_carries_the_license_and_the_command(wheel: Path) -> None:
    held = contents(wheel)
    assert any(name.endswith("licenses/LICENSE") for name in held)
    scripts = next(body for name, body in held.items() if name.endswith("entry_points.txt"))
    assert b"inferplan = inferplan.server.__main__:main" in scripts


def test_the_sdist_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    assert contents(build(tree, "wheel")) == contents(wheel)


def test_the_sdist_brings_the_tests_along_and_all_that_they_read(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"tests/test_packaging.py", "tests/data/guide_vram.tsv", *FILES} <= names
    assert {name.partition("/")[0] for name in names} >= set(FOLDERS)
    assert not [name for name in names if "__pycache__" in name]


def test_the_installed_packages_are_the_ones_that_run(installed: Path) -> None:
    script = (
        "import inferplan.core, inferplan.catalog, inferplan.tools, inferplan.prompts, inferplan.server as last;"
        "import sys;"
        "print(*(sys.modules[f'inferplan.{n}'].__file__ for n in"
        " ('core', 'catalog', 'tools', 'prompts', 'server')), sep='\\n')"
    )
    files = run(installed, "-c", script).splitlines()
    assert len(files) == 5
    assert all(file.startswith(str(installed)) for file in files)


def test_the_installed_command_says_its_version(installed: Path) -> None:
    assert PROJECT["version"] in run(installed, "-m", "inferplan.server", "--version")


def test_the_installed_command_answers_a_question(installed: Path) -> None:
    printed = run(installed, "-m", "inferplan.server", "call", "estimate_vram", "model=70B", "precision=fp8", "--json")
    assert json.loads(printed)["weights_gb"] == 70


def test_the_version_stands_once() -> None:
    """`pyproject.toml` has it; the code asks the installed metadata."""
    assert version("inferplan") == PROJECT["version"]
    repeated = [
        path.relative_to(REPOSITORY).as_posix()
        for root in ROOTS
        for path in (REPOSITORY / root).rglob("*.py")
        if f'"{PROJECT["version"]}"' in path.read_text(encoding="utf-8")
    ]
    assert not repeated
