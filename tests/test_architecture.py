"""The shape of the house: imports run downwards, rooms stay small, public names say what they are."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {"dynamics": 1, "theory": 2, "toy_models": 2, "figures": 3}
NEVER_IMPORTED = ("tests", "notebooks")
MOST_LINES = 400
NOT_OURS = {".git", ".venv", ".hypothesis", "build", "out", "__pycache__"}


def python_files(root: Path, folders: tuple[str, ...]) -> list[Path]:
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))


# ---------------------------------------------------------------- imports


def imported_modules(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Yield line and absolute name of all that a file imports, however deep in it and by whatever means."""
    package = path.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *filter(None, [node.module])))
            if base:
                yield node.lineno, base
            else:  # from .. import theory, in a package at the root
                yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0] if node.args else None
            if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def upward_imports(root: Path) -> list[str]:
    """Return every import that does not run downwards, as ``file:line imports module``."""
    found = []
    for path in python_files(root, tuple(FLOORS)):
        own = path.relative_to(root).parts[0]
        for line, module in imported_modules(path, root):
            top = module.split(".")[0]
            upward = top in FLOORS and top != own and FLOORS[top] >= FLOORS[own]
            if upward or top in NEVER_IMPORTED:
                found.append(f"{path.relative_to(root)}:{line} imports {module}")
    return found


def test_imports_run_downwards() -> None:
    assert len(python_files(ROOT, tuple(FLOORS))) > 15
    assert upward_imports(ROOT) == []


@pytest.mark.parametrize(
    ("file", "source", "allowed"),
    [
        ("dynamics/a.py", "import theory", False),
        ("dynamics/a.py", "import theory.ma2025 as m", False),
        ("dynamics/deep/a.py", "def f():\n    from figures.style import use", False),
        ("theory/a.py", "from toy_models import x", False),
        ("toy_models/a.py", "if True:\n    import theory", False),
        ("toy_models/a.py", "import importlib\nimportlib.import_module('figures.catalog')", False),
        ("theory/a.py", "__import__('toy_models')", False),
        ("theory/deep/a.py", "from ... import figures", False),
        ("theory/deep/a.py", "from ...figures import style", False),
        ("figures/a.py", "from tests.dynamics import strategies", False),
        ("dynamics/a.py", "import notebooks", False),
        ("figures/a.py", "import theory, toy_models\nfrom dynamics import step", True),
        ("theory/a.py", "from dynamics.losses import DPO", True),
        ("dynamics/deep/a.py", "from . import b\nfrom .b import c\nfrom ..errors import d", True),
        ("dynamics/a.py", "import theory_of_games\n'import theory'", True),
    ],
)
def test_the_checker_of_imports_sees_what_runs_upwards(tmp_path: Path, file: str, source: str, allowed: bool) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    assert (upward_imports(tmp_path) == []) is allowed


LAZY = {
    "dynamics": ["torch", "dynamics.language_model"],
    "dynamics.language_model": ["transformers", "peft"],
    "toy_models": ["transformers", "toy_models.multiplication"],
    "toy_models.multiplication.probe": ["transformers"],
    "toy_models.multiplication.training": ["transformers"],
    "toy_models.multiplication.card": ["transformers"],
    "figures.catalog": ["transformers", "peft"],
    "json.tool": ["json"],  # negative control: it is imported
}
"""By module: what importing it, after those above it, must not import."""

IMPORTS = """
import importlib, json, sys
late = {}
for name, absent in json.loads(sys.argv[1]).items():
    importlib.import_module(name)
    late[name] = [one for one in absent if one in sys.modules]
print(json.dumps(late))
"""


def test_what_takes_long_to_import_waits_until_it_is_used() -> None:
    """One process for all of it, since each would take seconds to import torch."""
    command = [sys.executable, "-c", IMPORTS, json.dumps(LAZY)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {name: [] for name in LAZY} | {"json.tool": ["json"]}


# ---------------------------------------------------------------- size


def too_long(root: Path, folders: tuple[str, ...]) -> list[str]:
    counted = ((path, len(path.read_text(encoding="utf-8").splitlines())) for path in python_files(root, folders))
    return [f"{path.relative_to(root)}: {lines} lines" for path, lines in counted if lines > MOST_LINES]


def test_no_module_is_too_long() -> None:
    assert too_long(ROOT, (*FLOORS, "tests")) == []


def test_the_checker_of_length_counts(tmp_path: Path) -> None:
    (tmp_path / "dynamics").mkdir()
    (tmp_path / "dynamics" / "good.py").write_text("x = 1\n" * MOST_LINES, encoding="utf-8")
    assert too_long(tmp_path, ("dynamics",)) == []
    (tmp_path / "dynamics" / "bad.py").write_text("x = 1\n" * (MOST_LINES + 1), encoding="utf-8")
    assert too_long(tmp_path, ("dynamics",)) == [f"dynamics/bad.py: {MOST_LINES + 1} lines"]


# ---------------------------------------------------------------- docstrings


def described_constants(root: Path, package: str) -> set[str]:
    """Return the names of a package that are assigned at the top of a module and described by a string below."""
    found = set()
    for path in python_files(root, (package,)):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node, below in pairwise(body):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            is_text = isinstance(below, ast.Expr) and isinstance(getattr(below.value, "value", None), str)
            if isinstance(node, ast.Assign | ast.AnnAssign) and is_text:
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def has_own_docstring(thing: object) -> bool:
    text = inspect.getdoc(thing) if not isinstance(thing, type) else thing.__dict__.get("__doc__")
    # dataclasses write their signature where there is no docstring
    return bool(text) and not text.startswith(f"{getattr(thing, '__name__', '')}(")


@pytest.mark.parametrize("package", FLOORS)
def test_every_public_name_has_a_docstring(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__
    constants = described_constants(ROOT, package)
    silent = []
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        documented = inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing)
        if not (has_own_docstring(thing) if documented else name in constants):
            silent.append(name)
    assert silent == []


def test_names_of_dynamics_are_all_exported() -> None:
    dynamics = importlib.import_module("dynamics")
    public = {name for name, thing in vars(dynamics).items() if name[0] != "_" and not inspect.ismodule(thing)}
    assert public == set(dynamics.__all__)


def test_the_checker_of_docstrings_sees_silence(tmp_path: Path) -> None:
    import dataclasses

    @dataclasses.dataclass
    class Silent:
        x: int

    class Heir(dict):
        pass

    assert not has_own_docstring(Silent)
    assert not has_own_docstring(Heir)
    assert not has_own_docstring(lambda: None)
    assert has_own_docstring(importlib.import_module("dynamics").step)
    (tmp_path / "dynamics").mkdir()
    (tmp_path / "dynamics" / "a.py").write_text('A = 1\n"""Said."""\nB: int = 2\nC = 3\n', encoding="utf-8")
    assert described_constants(tmp_path, "dynamics") == {"A"}


# ---------------------------------------------------------------- paths


def mentions_of_a_machine(root: Path, places: tuple[str, ...]) -> list[str]:
    """Return every line of a text file that names one of the places, or somebody's home folder."""
    home = re.compile(r"(?<![\w.:/-])/(?:home|Users|root|mnt|work)/[\w.]")
    found = []
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        ours = not NOT_OURS.intersection(parts) and not any(p.endswith(("_cache", ".egg-info")) for p in parts)
        if not ours or not path.is_file():
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, start=1):
            if home.search(line) or any(place in line for place in places):
                found.append(f"{path.relative_to(root)}:{number}")
    return found


def test_no_file_names_a_path_of_the_machine() -> None:
    assert mentions_of_a_machine(ROOT, (str(ROOT), str(Path.home()))) == []


def test_the_checker_of_paths_sees_one(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("here = '" + "/ho" + "me/someone'\nurl = 'https://x.org/home/y'\n", encoding="utf-8")
    (tmp_path / "b.md").write_text(f"fine\n{tmp_path}/data\n", encoding="utf-8")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c.txt").write_text(str(tmp_path), encoding="utf-8")
    assert mentions_of_a_machine(tmp_path, (str(tmp_path),)) == ["a.py:1", "b.md:2"]
