"""What every notebook has, and that each runs from its first cell to its last."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.notebooks.form import by_hand, without_sliders
from tests.optional import needs_signals
from theory.ledger import load_claims

ROOT = Path(__file__).parents[2]
FOLDER = str(ROOT / "notebooks")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IN_A_KERNEL = ROOT / "notebooks" / "03_gradient_field.ipynb"
"""The one that runs as a reader runs it; the others run in forks, which is faster."""


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> Any:
    import nbformat  # takes a second and a half, which collecting the tests need not wait for

    found = nbformat.read(request.param, as_version=4)
    nbformat.validate(found)
    return found


def text(notebook: Any, kind: str) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == kind)


def test_numbered_without_a_gap() -> None:
    assert [int(path.stem[:2]) for path in NOTEBOOKS] == list(range(1, len(NOTEBOOKS) + 1))


def test_states_its_question_and_lets_the_reader_predict(notebook: Any) -> None:
    words = text(notebook, "markdown")
    assert "**Question.**" in notebook.cells[0].source
    assert "redict" in words


def test_three_exercises_with_hidden_solutions(notebook: Any) -> None:
    words = text(notebook, "markdown")
    exercises = words[words.index("## Exercises") :]
    assert exercises.count("<details><summary>Solution</summary>") == exercises.count("</details>") >= 3


def test_has_sliders_and_pictures_that_need_no_kernel(notebook: Any) -> None:
    assert re.search(r"^(interact|explore)\(", text(notebook, "code"), flags=re.M)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source)
    assert not [output for output in outputs if output.get("name") == "stderr"], "warnings are noise to a reader"


def test_installs_itself_in_colab_first(notebook: Any) -> None:
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert "google.colab" in first.source
    assert "pip install" in first.source


def test_names_claims_of_the_ledger(notebook: Any) -> None:
    named = set(
        re.findall(r"\b(?:jian2025|wipf2024|feng2024|sun2025|ma2025)\.[a-z0-9.-]+[a-z0-9]", text(notebook, "markdown"))
    )
    assert named
    assert not named - load_claims().keys()


def in_forks(paths: list[Path]) -> dict[str, tuple[int, str]]:
    """Run notebooks; return of each by name how many cells ran to their end, and what the next one raised."""
    words = [sys.executable, "-m", "tests.notebooks.run", FOLDER, *map(str, paths)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    return {name: (int(count), problem) for name, count, problem in lines}


LISTENS = """\
from ipywidgets import interact
seen = []
@interact(x=(1, 3))
def show(x):
    seen.append(x)
"""
CONTROLS = {
    "raises": ["known = 1", "1 / 0", "known"],
    "takes a name of another": ["known"],
    "takes what an earlier notebook imported": ["np.ones(3)"],
    "moves a slider": [LISTENS, "assert seen == [2]"],
}


@needs_signals
@pytest.mark.slow
def test_the_others_run_from_top_to_bottom(tmp_path: Path) -> None:
    import nbformat

    made = []
    for name, cells in CONTROLS.items():
        made.append(tmp_path / f"{name}.ipynb")
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells]), made[-1])
    forked = [path for path in NOTEBOOKS if path != IN_A_KERNEL]
    found = in_forks([*forked, *made])
    for path in forked:
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert cells
        assert found.pop(path.stem) == (len(cells), ""), path.stem
    assert found == {
        "raises": (1, "ZeroDivisionError: division by zero"),
        "takes a name of another": (0, "NameError: name 'known' is not defined"),
        "takes what an earlier notebook imported": (0, "NameError: name 'np' is not defined"),
        "moves a slider": (2, ""),
    }


@pytest.mark.slow
def test_one_runs_in_a_kernel_of_its_own() -> None:
    import nbformat

    notebook = nbformat.read(IN_A_KERNEL, as_version=4)
    assert without_sliders(notebook), "stored without a kernel: pictures only"
    execute(notebook)
    assert not without_sliders(notebook)
    assert not by_hand(notebook)


def execute(notebook: Any) -> None:
    from nbclient import NotebookClient
    from nbclient.output_widget import OutputWidget

    # A cell with interact can hang under nbclient: the widget sends on a channel on which an answer is awaited (its
    # issue 312). Nothing that is stored in a notebook needs what it sends.
    OutputWidget.sync_state = lambda self: None
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": FOLDER}}).execute()


def test_a_cell_that_raises_would_be_seen() -> None:
    """Negative control."""
    import nbformat
    from nbclient.exceptions import CellExecutionError

    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(broken)


def test_nothing_of_this_machine_is_in_it(notebook: Any) -> None:
    import nbformat

    assert str(ROOT) not in nbformat.writes(notebook)
    assert str(Path.home()) + "/" not in nbformat.writes(notebook)


def test_a_notebook_without_a_question_would_be_seen() -> None:
    """Negative control: an empty notebook fails what the others pass."""
    import nbformat

    empty = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# ")])
    with pytest.raises(AssertionError):
        test_states_its_question_and_lets_the_reader_predict(empty)
