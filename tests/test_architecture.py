"""Holds the arrows of the architecture: who may import whom, and the house rules that keep the namespace whole."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ROOTS = ("server", "tools", "prompts")
ARROWS = {
    "core": set[str](),
    "catalog": {"core"},
    "tools": {"core", "catalog"},
    "prompts": set[str](),
    "server": {"tools", "catalog", "prompts"},
}
THIRD_PARTY = {
    "core": set[str](),
    "catalog": {"pydantic", "httpx2", "huggingface_hub"},
    "tools": {"pydantic"},
    "prompts": set[str](),
    "server": {"mcp", "pydantic", "pydantic_core", "anyio", "h11", "prometheus_client", "starlette", "uvicorn"},
}
OPTIONAL = {"hub": {"httpx2", "huggingface_hub"}, "http": {"h11", "prometheus_client", "starlette", "uvicorn"}}
"""Libraries by extra: imported inside functions alone, so that the server starts and answers without them."""
HTTP = "inferplan.server.http"
"""The one package that is made of an extra: it is itself imported inside functions alone."""

DISTRIBUTION = {"pydantic_core": "pydantic"}
INPUT_OUTPUT = {
    "asyncio",
    "http",
    "importlib",
    "io",
    "logging",
    "os",
    "pathlib",
    "random",
    "shutil",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "tomllib",
    "urllib",
}
LONGEST_FUNCTION = 60
"""Lines, docstring and blank ones included; an answer with one field a line is as long as its fields."""


@dataclass(frozen=True, kw_only=True)
class Import:
    """One import statement: the module that it is in, what it names, how deep it is relative."""

    file: Path
    line: int
    target: str
    names: tuple[str, ...]
    level: int

    def __str__(self) -> str:
        return f"{self.file.relative_to(REPOSITORY)}:{self.line} imports {self.target}"


@cache
def sources() -> tuple[Path, ...]:
    return tuple(sorted(path for root in ROOTS for path in (REPOSITORY / root / "inferplan").rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def package(path: Path) -> str:
    """`core`, `catalog`, `tools`, `prompts` or `server`."""
    return path.parts[path.parts.index("inferplan") + 1]


def module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[parts.index("inferplan") :]).removesuffix(".__init__")


@cache
def imports(path: Path) -> tuple[Import, ...]:
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[Import]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file=path, line=node.lineno, target=alias.name, names=(), level=0)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield Import(file=path, line=node.lineno, target=node.module or "", names=names, level=node.level)


def every_import() -> list[Import]:
    return [one for path in sources() for one in imports(path)]


def modules_named(one: Import) -> Iterator[str]:
    """The modules of ours that an import loads: `from inferplan.tools import _draw` names `inferplan.tools._drawn`."""
    known = {module(path) for path in sources()}
    for name in (one.target, *(f"{one.target}.{name}" for name in one.names)):
        if name in known:
            yield name


def test_there_are_exactly_the_five_packages() -> None:
    assert {package(path) for path in sources()} == set(ARROWS)


@pytest.mark.parametrize("name", ARROWS)
def test_a_package_imports_only_the_packages_that_its_arrows_reach(name: str) -> None:
    ours = [one for one in every_import() if package(one.file) == name and one.target.startswith("inferplan.")]
    wrong = [str(one) for one in ours if one.target.split(".")[1] not in {name, *ARROWS[name]}]
    assert not wrong


@pytest.mark.parametrize("name", THIRD_PARTY)
def test_a_package_imports_only_the_libraries_it_is_allowed(name: str) -> None:
    standard = {*sys.stdlib_module_names, "inferplan", "__future__"}
    tops = {one.target.split(".")[0]: str(one) for one in every_import() if package(one.file) == name}
    assert not {text for top, text in tops.items() if top not in standard | THIRD_PARTY[name]}


def test_every_library_that_is_imported_is_declared() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    imported = set[str]().union(*THIRD_PARTY.values()).difference(*OPTIONAL.values())
    assert {DISTRIBUTION.get(name, name) for name in imported} == distributions(project["dependencies"])
    assert {name: distributions(extras[name]) for name in OPTIONAL} == OPTIONAL


def distributions(lines: list[str]) -> set[str]:
    return {line.split(">")[0].split("<")[0].split("=")[0].strip() for line in lines}


def test_a_library_of_an_extra_is_imported_only_where_it_is_used() -> None:
    optional = set[str]().union(*OPTIONAL.values())
    early = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path in sources()
        if not module(path).startswith(HTTP)
        for node in tree(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (getattr(node, "module", None) or node.names[0].name,)
        if name.split(".")[0] in optional or name.startswith(HTTP)
    ]
    assert not early


def test_only_the_server_knows_the_protocol() -> None:
    assert {package(one.file) for one in every_import() if one.target.split(".")[0] == "mcp"} == {"server"}


def test_no_module_needs_numpy() -> None:
    heavy = {"numpy", "scipy", "pandas"}
    assert not [str(one) for one in every_import() if one.target.split(".")[0] in heavy]


def test_core_does_no_input_or_output() -> None:
    core = [path for path in sources() if package(path) == "core"]
    named = [str(one) for path in core for one in imports(path) if one.target.split(".")[0] in INPUT_OUTPUT]
    called = [
        f"{path.name}:{node.lineno} calls {node.func.id}"
        for path in core
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in ("open", "print", "input", "exec", "eval", "__import__")
    ]
    assert not named + called


def test_nothing_prints_but_the_command_line() -> None:
    printing = {
        path.name
        for path in sources()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert printing <= {"__main__.py", "call.py"}


def test_imports_are_absolute_and_name_a_subpackage() -> None:
    relative = [str(one) for one in every_import() if one.level]
    bare = [str(one) for one in every_import() if one.target == "inferplan"]
    assert not relative + bare


def test_no_root_makes_the_namespace_its_own() -> None:
    assert not [root for root in ROOTS if (REPOSITORY / root / "inferplan" / "__init__.py").exists()]
    assert not [root for root in ROOTS if (REPOSITORY / root / "__init__.py").exists()]


@pytest.mark.parametrize("name", ARROWS)
def test_each_subpackage_is_a_typed_package_of_exactly_one_root(name: str) -> None:
    homes = [REPOSITORY / root / "inferplan" / name for root in ROOTS]
    (home,) = (home for home in homes if home.exists())
    assert (home / "__init__.py").exists()
    assert (home / "py.typed").exists()
    assert ast.get_docstring(tree(home / "__init__.py"))


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module(path): {name for one in imports(path) for name in modules_named(one)} for path in sources()}
    for name, needs in graph.items():
        needs.discard(name)
    while free := [name for name, needs in graph.items() if not needs & set(graph)]:
        for name in free:
            del graph[name]
    assert not graph


@pytest.mark.parametrize("name", ["core", "catalog", "catalog.hugging_face", "tools", "server"])
def test_the_topics_of_a_subpackage_import_each_other_in_no_circle(name: str) -> None:
    """Its folders and the modules beside them, each folder taken as one."""
    graph: dict[str, set[str]] = {}
    for path in sources():
        if here := topic(module(path), name):
            found = {topic(named, name) for one in imports(path) for named in modules_named(one)}
            graph.setdefault(here, set()).update(found - {here, ""})
    assert len(graph) > 1
    while free := [one for one, needs in graph.items() if not needs & set(graph)]:
        for one in free:
            del graph[one]
    assert not graph


def topic(name: str, subpackage: str) -> str:
    """The folder or module of a subpackage that a module is in or is; nothing of one outside or of its `__init__`."""
    prefix = f"inferplan.{subpackage}."
    return name.removeprefix(prefix).split(".")[0] if name.startswith(prefix) else ""


def test_the_readers_of_configs_are_imported_through_four_modules_alone() -> None:
    package_ = "catalog.hugging_face"
    outside = [one for one in every_import() if not module(one.file).startswith(f"inferplan.{package_}")]
    used = {topic(named, package_) for one in outside for named in modules_named(one)} - {""}
    assert used == {"config", "hub", "hub_models", "names"}


@pytest.mark.parametrize("path", sources(), ids=module)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", sources(), ids=module)
def test_functions_are_short(path: Path) -> None:
    functions = (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    lengths = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert not {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION}


@pytest.mark.parametrize("path", [path for path in sources() if package(path) == "core"], ids=module)
def test_value_objects_of_core_are_frozen_and_keyword_only(path: Path) -> None:
    for node in ast.walk(tree(path)):
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            text = ast.unparse(decorator)
            if text.startswith("dataclass"):
                assert "frozen=True" in text, node
                assert "kw_only=True" in text, node
