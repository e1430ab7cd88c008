"""Execute every notebook and store its outputs in it: ``python -m tests.notebooks.store``."""

from __future__ import annotations

from tests.notebooks.test_notebooks import NOTEBOOKS, execute


def main() -> None:
    """Execute and write each notebook; one that raises is left as it was, and ends the run."""
    import nbformat  # not while the tests are collected: it takes seconds

    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        execute(notebook)
        nbformat.write(notebook, path)
        print(path.name)


if __name__ == "__main__":
    main()
