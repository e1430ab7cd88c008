"""Execute every notebook and store its outputs in it: ``python -m tests.notebooks.store [NAME ...]``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.notebooks.form import WIDGET
from tests.notebooks.test_notebooks import NOTEBOOKS, execute


def main() -> None:
    """Execute and write the notebooks that are named, all if none is; one that raises ends the run as it was."""
    import nbformat  # not while the tests are collected: it takes seconds

    for path in NOTEBOOKS:
        if not sys.argv[1:] or path.stem in sys.argv[1:]:
            store(nbformat.read(path, as_version=4), path)
            print(path.name)


def store(notebook: Any, path: Path) -> None:
    """Execute a notebook and write it with what it shows where no kernel runs: sliders are pictures."""
    import nbformat

    execute(notebook)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ from run to run
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
        if cell.cell_type == "code":
            cell.outputs = merged(cell.outputs)
    nbformat.write(notebook, path)


def merged(outputs: list[Any]) -> list[Any]:
    """Return outputs in which what is printed in one go is one output, however the load of the machine divided it."""
    found: list[Any] = []
    for output in outputs:
        if found and output.output_type == "stream" and found[-1].get("name") == output.name:
            found[-1].text += output.text
        else:
            found.append(output)
    return found


if __name__ == "__main__":
    main()
