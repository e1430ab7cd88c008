"""A sweep over a grid of settings and seeds: batched in each process, several processes, resumed from a file."""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from dynamics.errors import InvalidArgument, check_count, check_flag, check_kind
from dynamics.files import JsonLines
from dynamics.progress import progress_bar
from dynamics.table import Table


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and the BLAS of numpy use one thread inside a ``with`` block.

    The order in which a sum is taken depends on the number of threads, and with it the last bit of the result. Where
    the same numbers are promised whatever the number of processes, each process therefore uses one thread.

    Example:
        >>> with one_thread():
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


Cells = dict[str, Any]
"""What one call of the function of a sweep gets: every setting by name, and "seed"; arrays ``(B,)`` of one value for
each cell of the batch, but for the settings that are kept apart, of which it is the one value."""

Run = Callable[[Cells], Mapping[str, Any]]
"""From cells to results by name, arrays ``(B, ...)``."""


MOST_CELLS = 10_000_000
MOST_JOBS = 10_000


@dataclass(frozen=True)
class _Plan:
    """The cells of a sweep in order, and how they are cut into blocks."""

    grid: dict[str, list[Any]]
    seeds: list[int]
    apart: list[str]
    block: int

    def blocks(self) -> list[Cells]:
        batched = [name for name in self.grid if name not in self.apart]
        found = []
        for fixed in itertools.product(*(self.grid[name] for name in self.apart)):
            rows = list(itertools.product(*(self.grid[name] for name in batched), self.seeds))
            for start in range(0, len(rows), self.block):
                columns = zip(*rows[start : start + self.block], strict=True)
                cells = {name: np.array(column) for name, column in zip([*batched, "seed"], columns, strict=True)}
                found.append(dict(zip(self.apart, fixed, strict=True)) | cells)
        return found


def sweep(
    run: Run,
    grid: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    *,
    apart: Sequence[str] = (),
    block: int = 256,
    jobs: int | None = None,
    path: Path | str | None = None,
    progress: bool = False,
) -> Table:
    """Run every combination of settings with every seed and return one row for each.

    The cells are cut into blocks, and each block is one call of ``run``: a batched tensor program on one thread. The
    blocks depend on the grid alone, so that the table is the same, bit for bit, whatever the number of processes and
    whatever was resumed. Processes are joblib's: inside ``joblib.parallel_config(backend="dask")``, or another backend
    that is registered with joblib, the same call runs on that cluster.

    Args:
        run: from cells to results by name, each with one entry for each cell along its first axis. It must be a
            function of a module (not a lambda) if it is to run in other processes, and draw only from its seeds.
        grid: values of every setting: numbers, texts or booleans.
        seeds: whole numbers; each cell gets one as "seed".
        apart: settings that one batch cannot hold together, such as the name of a loss; ``run`` gets one value.
        block: most cells in one batch.
        jobs: processes, -1 for one on each core; if not given, joblib's own default (1, or what
            ``joblib.parallel_config`` says).
        path: file of finished blocks, one JSON line each, appended as they come. If it is there, the blocks in it are
            not run again; a last line that was torn by an interruption is dropped.
        progress: whether to show a bar on the terminal.

    Raises:
        InvalidArgument: an empty or wrong grid, results of a wrong length, or a ``path`` that holds another sweep.

    Example:
        >>> def square(cells):
        ...     return {"square": cells["x"] ** 2 + 0.0 * cells["seed"]}
        >>> table = sweep(square, {"x": [1.0, 2.0, 3.0]}, seeds=range(2))
        >>> table["square"]
        array([1., 1., 4., 4., 9., 9.])
    """
    if not callable(run) or isinstance(run, type):
        raise InvalidArgument("run", run, "a function from cells to results")
    check_flag("progress", progress)
    jobs = _check_jobs(jobs)
    plan = _plan(grid, seeds, apart, block)
    blocks = plan.blocks()
    done: dict[int, dict[str, Any]] = {}
    with nullcontext() if path is None else _open(path) as record:
        if record is not None:
            done = _resume(record, _header(run, plan))
        todo = [index for index in range(len(blocks)) if index not in done]
        parallel = joblib.Parallel(n_jobs=1 if len(todo) < 2 else jobs, return_as="generator_unordered")
        results = parallel(joblib.delayed(_run_block)(run, index, blocks[index]) for index in todo)
        for index, values in _shown(results, len(todo), progress):
            done[index] = values
            if record is not None:
                record.append({"block": index, "values": values})
    return _table(plan, blocks, [done[index] for index in range(len(blocks))])


def _plan(grid: Mapping[str, Sequence[Any]], seeds: Sequence[int], apart: Sequence[str], block: int) -> _Plan:
    values = {}
    check_kind("grid", grid, Mapping, "lists of values by name")
    _check_list("seeds", seeds)
    _check_list("apart", apart, least=0)
    for name, column in grid.items():
        if not isinstance(name, str) or name == "seed":
            raise InvalidArgument("grid", name, "settings by other names; the seeds are an argument of their own")
        _check_list(f"grid[{name!r}]", column)
        plain = [value.item() if isinstance(value, np.generic) else value for value in column]
        if not all(isinstance(value, (str, bool, int, float)) for value in plain):
            raise InvalidArgument(f"grid[{name!r}]", column, "numbers, texts or booleans")
        if len(set(plain)) < len(plain):
            raise InvalidArgument(f"grid[{name!r}]", column, "different values")
        values[name] = plain
    unknown = [name for name in apart if not isinstance(name, str) or name not in values]
    if unknown:
        raise InvalidArgument("apart", unknown, f"settings of the grid: {', '.join(values) or 'it has none'}")
    whole = [check_count("seeds", seed, minimum=0) for seed in seeds]
    if not whole or len(set(whole)) < len(whole):
        raise InvalidArgument("seeds", list(seeds), "at least one, and different ones")
    cells = math.prod(len(column) for column in values.values()) * len(whole)
    if cells > MOST_CELLS:
        raise InvalidArgument("grid", f"{cells} cells", f"at most {MOST_CELLS}")
    return _Plan(values, whole, list(apart), check_count("block", block))


def _check_list(argument: str, value: object, least: int = 1) -> None:
    """Refuse what is no list; a text is none, and what has no length may have no end."""
    long_enough = isinstance(value, (Sequence, np.ndarray)) and np.ndim(value[:1]) > 0 and len(value) >= least
    if isinstance(value, (str, bytes)) or not long_enough or len(value) > MOST_CELLS:  # type: ignore[arg-type]
        raise InvalidArgument(argument, value, f"a list of at least {least} and at most {MOST_CELLS} values")


def _check_jobs(jobs: int | None) -> int | None:
    if jobs is not None and (not isinstance(jobs, int) or isinstance(jobs, bool) or jobs == 0 or abs(jobs) > MOST_JOBS):
        raise InvalidArgument("jobs", jobs, f"a number of processes from 1 to {MOST_JOBS}, or -1 for one on each core")
    return jobs


def _run_block(run: Run, index: int, cells: Cells) -> tuple[int, dict[str, Any]]:
    """Run one block on one thread, in whichever process this is, and return plain lists."""
    size = len(cells["seed"])
    with one_thread():
        results = run(cells)
    if not isinstance(results, Mapping):
        raise InvalidArgument("run", results, "a function that returns results by name")
    values = {}
    for name, result in results.items():
        array = result.detach().cpu().numpy() if isinstance(result, torch.Tensor) else np.asarray(result)
        if array.dtype.kind not in "biuf" or array.ndim == 0 or len(array) != size:
            got = f"{name}: {array.dtype} of shape {array.shape}"
            raise InvalidArgument(
                "run", got, f"numbers with one entry for each of the {size} cells along the first axis"
            )
        values[name] = array.tolist()  # Python's floats are float64 and JSON writes them without loss
    return index, values


def _shown(results: Iterator[Any], total: int, progress: bool) -> Iterator[Any]:
    if not progress or not total:
        yield from results
        return
    with progress_bar(total, "sweep") as advance:
        for result in results:
            yield result
            advance()


def _table(plan: _Plan, blocks: list[Cells], results: list[dict[str, Any]]) -> Table:
    names = list(results[0])
    if any(list(values) != names for values in results):
        raise InvalidArgument("run", "results that differ from block to block", f"the same results: {', '.join(names)}")
    columns: dict[str, np.ndarray] = {}
    for name in [*plan.grid, "seed"]:
        parts = [np.broadcast_to(np.asarray(cells[name]), len(cells["seed"])) for cells in blocks]
        columns[name] = np.concatenate(parts)
    for name in names:
        columns[name] = np.concatenate([np.asarray(values[name]) for values in results])
    return Table(columns, (*plan.grid, "seed"))


# --- the file ---


def _header(run: Run, plan: _Plan) -> dict[str, Any]:
    """Return what a file must have been made with for its blocks to be taken over."""
    function, arguments = run, ""
    while isinstance(function, functools.partial):
        arguments += repr((function.args, function.keywords))
        function = function.func
    try:
        source = inspect.getsource(inspect.getmodule(function) or function)
    except (OSError, TypeError):  # typed in at a prompt
        source = ""
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"
    return {
        "run": name + arguments,
        "code": hashlib.sha256(source.encode()).hexdigest()[:16],
        "torch": version("torch"),
        "numpy": version("numpy"),
        "grid": plan.grid,
        "seeds": plan.seeds,
        "apart": plan.apart,
        "block": plan.block,
    }


def _open(path: Path | str) -> JsonLines:
    if not isinstance(path, (str, Path)) or not str(path) or "\0" in str(path):
        raise InvalidArgument("path", path, "the path of a file")
    try:
        return JsonLines(Path(path))
    except (OSError, UnicodeError) as problem:
        words = getattr(problem, "strerror", None) or type(problem).__name__
        raise InvalidArgument("path", str(path), f"a file that can be read and written ({words})") from problem


def _resume(file: JsonLines, header: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the finished blocks in a file of this sweep, and begin the file if it is empty."""
    path = str(file.path)
    try:
        lines, rest = file.read()
        blocks = {row["block"]: row["values"] for row in lines[1:]}
    except (ValueError, KeyError, TypeError) as problem:
        raise InvalidArgument("path", path, f"a file written by a sweep, or a new one ({problem})") from problem
    if not lines:
        if not json.dumps(header).encode().startswith(rest):
            raise InvalidArgument("path", path, "a file written by a sweep, or a new one")
        file.remove_rest()
        file.append(header)
        return {}
    found = lines[0]
    if found != json.loads(json.dumps(header)):
        differs = [key for key in header if not isinstance(found, dict) or found.get(key) != header[key]]
        wanted = "the file of the same sweep, or a new one; this one differs in " + ", ".join(differs)
        raise InvalidArgument("path", path, wanted)
    file.remove_rest()
    return blocks
