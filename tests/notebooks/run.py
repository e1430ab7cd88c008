"""Run the cells of notebooks from the first to the last: ``python -m tests.notebooks.run NOTEBOOK...``.

Each notebook runs in a fork that knows the names of no other, of a process that has imported the libraries; to start a
kernel for each would take longer than most of them run. Its line of output is its name, how many of its cells ran and,
if the last of them raised, with what.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

INLINE = "module://matplotlib_inline.backend_inline"


def run(path: Path, folder: Path) -> str:
    """Run the cells of a notebook in a folder as Jupyter does, pictures included; return its line of output."""
    import matplotlib.pyplot as plt
    from IPython.core.interactiveshell import InteractiveShell
    from matplotlib_inline.backend_inline import configure_inline_support
    from traitlets.config import Config

    os.chdir(folder)
    sys.path.insert(0, "")
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    plt.switch_backend(INLINE)
    configure_inline_support(shell, INLINE)
    # a notebook is JSON: nbformat, which test_notebooks reads it with too, takes a second to import
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    for count, source in enumerate("".join(cell["source"]) for cell in cells):
        result = shell.run_cell(source, store_history=True)
        if not result.success:
            problem = result.error_before_exec or result.error_in_exec
            return f"{path.stem}\t{count}\t{type(problem).__name__}: {problem}".replace("\n", " ")
    return f"{path.stem}\t{len(cells)}\t"


def main(folder: Path, paths: list[Path]) -> None:
    """Run each of the notebooks in that folder; their own output is thrown away."""
    # what several notebooks would wait for; not above, where collecting the tests would wait for it
    import ipywidgets  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import scipy.integrate  # noqa: F401
    import torch
    import transformers.models.qwen2.modeling_qwen2  # noqa: F401
    from IPython.core import interactiveshell  # noqa: F401
    from matplotlib_inline import backend_inline  # noqa: F401

    import figures.plots  # noqa: F401
    import theory.ledger  # noqa: F401
    import toy_models.overoptimization  # noqa: F401

    torch.set_num_threads(1)
    for path in paths:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        told = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        line = f"{path.stem}\t0\tit ended Python"
        try:
            line = run(path.resolve(), folder)
        except Exception:
            traceback.print_exc()
        finally:
            os.write(told, f"{line}\n".encode())
            os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
