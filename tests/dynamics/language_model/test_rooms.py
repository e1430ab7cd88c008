"""The shape of the language-model wing: no circle of imports among its files or rooms, few floors, few loose files."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

WING = Path(__file__).parents[3] / "dynamics" / "language_model"
PREFIX = "dynamics.language_model."


def imports() -> dict[str, set[str]]:
    """Return the files of the wing that each file imports, also for types only; ``__init__`` files are left out."""
    files = {p: ".".join(p.relative_to(WING).with_suffix("").parts) for p in WING.rglob("*.py") if p.stem != "__init__"}
    found: dict[str, set[str]] = {name: set() for name in files.values()}
    for path, name in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PREFIX):
                module = node.module.removeprefix(PREFIX)
                inside = {f"{module}.{alias.name}" for alias in node.names} & found.keys()
                found[name] |= inside or {module}
    return found


def rooms(files: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the same between rooms: a folder is one room, a file outside of the folders another."""
    found: dict[str, set[str]] = {}
    for name, others in files.items():
        room = name.split(".")[0]
        found.setdefault(room, set()).update(other.split(".")[0] for other in others)
        found[room].discard(room)
    return found


def floors(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the floors from the ground up; what is in a circle, or stands on one, has none."""
    built: list[set[str]] = []
    done: set[str] = set()
    while ready := {name for name, others in graph.items() if name not in done and others <= done}:
        built.append(ready)
        done |= ready
    return built


def without_a_floor(graph: Mapping[str, set[str]]) -> set[str]:
    return graph.keys() - set().union(*floors(graph))


def test_there_is_no_circle_among_files_or_rooms() -> None:
    files = imports()
    assert without_a_floor(files) == set()
    assert without_a_floor(rooms(files)) == set()


def test_the_wing_has_few_floors_and_few_files_outside_of_its_rooms() -> None:
    assert 4 <= len(floors(rooms(imports()))) <= 7
    assert len(list(WING.glob("*.py"))) <= 14


def test_a_circle_is_seen_also_if_only_rooms_are_in_it() -> None:
    """What stood here before: parameters imported the kernel's layers, and the kernel the parameters."""
    files = imports()
    assert "kernel.recording" not in files["batching"]
    spoilt = files | {"kernel.recording": files["kernel.recording"] | {"kernel.layers"}}
    assert {"kernel.recording", "kernel.layers"} <= without_a_floor(spoilt)
    spoilt = files | {"parameters": files["parameters"] | {"kernel.contractions"}}
    assert without_a_floor(spoilt) == set()
    assert {"parameters", "kernel"} <= without_a_floor(rooms(spoilt))
