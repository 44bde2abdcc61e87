"""The house keeps its rules: sizes, direction of imports, what is never read, what is told."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import physvae

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("rtm", "physvae", "inversion", "validation")
SOURCES = [
    path for package in (*PACKAGES, "tests") for path in sorted((ROOT / package).rglob("*.py"))
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports_of(tree: ast.Module) -> set[str]:
    """Top-level names of everything a file imports, wherever in the file it does so."""
    plain = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    origins = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in plain | origins}


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def canonical(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ]", requirement)[0].lower().replace("_", "-")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_has_at_most_400_lines_and_a_function_40(path):
    assert len(path.read_text("utf-8").splitlines()) <= 400
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = [
        f"{node.name}: {lines} lines"
        for node in ast.walk(code_of(path))
        if isinstance(node, functions) and (lines := body_lines(node)) > 40
    ]
    assert not long


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_file_unpickles_or_hides_its_types(path):
    tree = code_of(path)
    assert not imports_of(tree) & {"pickle", "cloudpickle", "joblib", "dill", "shelve"}
    futures = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not any(node.module == "__future__" for node in futures)
    torch_load = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "load"
        and isinstance(node.value, ast.Name)
        and node.value.id == "torch"
    ]
    assert not torch_load


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_names_say_what_is_inside(path):
    assert path.stem not in {"utils", "util", "helpers", "misc", "common"}
    if path.parts[-2] != "tests" and "tests" in path.parts:
        assert path.name != "__init__.py", "it would shadow the package of the same name"


@pytest.mark.parametrize(
    ("package", "strangers"),
    [
        ("rtm", {"physvae", "inversion", "validation"}),
        ("physvae", {"inversion", "validation"}),
        ("inversion", {"validation"}),
        ("rtm", {"xarray", "pandas", "matplotlib", "geopandas", "rasterio", "rioxarray"}),
        ("physvae", {"xarray", "pandas", "matplotlib", "geopandas", "rasterio", "rioxarray"}),
    ],
)
def test_imports_point_one_way(package, strangers):
    """The files themselves; `make lint` follows the indirect imports too."""
    found = {
        name_of(path): sorted(imports_of(code_of(path)) & strangers)
        for path in (ROOT / package).rglob("*.py")
    }
    assert not {path: names for path, names in found.items() if names}


def test_every_direct_requirement_is_pinned():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    assert not {canonical(name) for names in groups for name in names} - set(pinned())


@pytest.mark.parametrize("package", PACKAGES)
def test_every_library_that_is_imported_is_declared(package):
    """By the name of the import, which for our requirements is that of the distribution."""
    used = set().union(*(imports_of(code_of(path)) for path in (ROOT / package).rglob("*.py")))
    foreign = used - set(sys.stdlib_module_names) - set(PACKAGES) - {""}
    declared = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["train"]]
    assert not foreign - {name.split(">")[0] for name in declared}


def test_torch_is_a_range_for_users_and_a_pin_for_tests():
    assert "torch>=2.10" in PROJECT["dependencies"]
    assert pinned()["torch"] == "2.13.0"


def test_the_version_is_the_same_everywhere():
    version = PROJECT["version"]
    assert metadata.version("physvae") == physvae.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_the_python_of_the_readme_runs_and_finds_what_it_put_in():
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert code is not None
    names: dict = {}
    exec(compile(code[1], "README.md", "exec"), names)
    found = names["found"]
    assert found.p025["lai"] < 3.0 < found.p975["lai"]


def readme_commands() -> list[str]:
    blocks = re.findall(
        r"```(?:sh|bash|console)\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S
    )
    lines = [
        line.removeprefix("$ ").split("#")[0].strip()
        for block in blocks
        for line in block.splitlines()
    ]
    return [line for line in lines if line]


@pytest.mark.parametrize("line", [line for line in readme_commands() if line.startswith("make ")])
def test_the_readme_names_only_targets_that_exist(line):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(rf"^{line.split()[1]}:", makefile, re.M)


@pytest.mark.parametrize(
    "line", [line for line in readme_commands() if line.startswith("physvae ")]
)
def test_the_readme_names_only_commands_and_options_that_exist(line):
    command = line.split()[1]
    done = subprocess.run(
        [sys.executable, "-m", "physvae", command, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    options = [word for word in line.split()[2:] if word.startswith("-")]
    assert not [option for option in options if option not in done.stdout]
