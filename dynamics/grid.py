"""Sweeps over a grid of settings and seeds: batched, in several processes, resumable from a file."""

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

from dynamics.errors import InvalidArgument, check_count, check_flag, check_kind, shorten
from dynamics.files import JsonLines
from dynamics.progress import progress_bar
from dynamics.table import Table


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and the BLAS of numpy use one thread inside a ``with`` block.

    The order in which a sum is computed depends on the number of threads, and so does the last bit of its result. Code
    that promises the same numbers whatever the number of processes therefore uses one thread in each process.

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


Batch = dict[str, Any]
"""What one call of the function of a sweep receives: every setting by name, and "seed". Each value is an array
``(runs,)`` with one entry for each run of the batch; a static setting is one value that the runs of the batch share."""

BatchFunction = Callable[[Batch], Mapping[str, Any]]
"""Maps a batch to its results by name: arrays ``(runs, ...)`` with one entry for each run along the first axis."""


MOST_RUNS = 10_000_000
MOST_JOBS = 10_000


@dataclass(frozen=True)
class _Plan:
    """The runs of a sweep in order, and how they are divided into batches."""

    grid: dict[str, list[Any]]
    seeds: list[int]
    static: list[str]
    batch_size: int

    def batches(self) -> list[Batch]:
        batched = [name for name in self.grid if name not in self.static]
        found = []
        for fixed in itertools.product(*(self.grid[name] for name in self.static)):
            rows = list(itertools.product(*(self.grid[name] for name in batched), self.seeds))
            for start in range(0, len(rows), self.batch_size):
                columns = zip(*rows[start : start + self.batch_size], strict=True)
                batch = {name: np.array(column) for name, column in zip([*batched, "seed"], columns, strict=True)}
                found.append(dict(zip(self.static, fixed, strict=True)) | batch)
        return found


def sweep(
    function: BatchFunction,
    grid: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    *,
    static: Sequence[str] = (),
    batch_size: int = 256,
    jobs: int | None = None,
    path: Path | str | None = None,
    progress: bool = False,
) -> Table:
    """Run every combination of settings with every seed and return one row for each.

    A run is one combination of settings with one seed. The runs are divided into batches, and each batch is one call of
    ``function``: a batched tensor program on one thread. The division depends on the arguments alone, so the table is
    the same, bit for bit, whatever the number of processes and however often the sweep was interrupted and resumed.
    The processes are joblib's: inside ``joblib.parallel_config(backend="dask")``, or with another backend that is
    registered with joblib, the same call runs on that cluster.

    Args:
        function: computes the results of a batch, by name, each with one entry for each run along its first axis. It
            must be defined in a module (not a lambda) if it is to run in other processes, and all its randomness must
            come from the seeds.
        grid: the values of every setting: numbers, strings or booleans.
        seeds: whole numbers; each run receives one of them as "seed".
        static: settings that must have a single value within a batch, such as the name of a loss; ``function``
            receives that value instead of an array.
        batch_size: largest number of runs in one batch.
        jobs: number of processes, -1 for one on each core; if not given, joblib's own default (1, or what
            ``joblib.parallel_config`` says).
        path: file to which each finished batch is appended as one JSON line. If the file exists, the batches in it are
            not run again; an incomplete last line, left by an interruption, is removed.
        progress: whether to show a progress bar on the terminal.

    Raises:
        InvalidArgument: an empty or invalid grid, results of the wrong length, or a ``path`` that holds another sweep.

    Example:
        >>> def square(batch):
        ...     return {"square": batch["x"] ** 2 + 0.0 * batch["seed"]}
        >>> table = sweep(square, {"x": [1.0, 2.0, 3.0]}, seeds=range(2))
        >>> table["square"]
        array([1., 1., 4., 4., 9., 9.])
    """
    if not callable(function) or isinstance(function, type):
        raise InvalidArgument(
            "function", function, "a function that takes a batch of runs and returns their results by name"
        )
    check_flag("progress", progress)
    jobs = _check_jobs(jobs)
    plan = _plan(grid, seeds, static, batch_size)
    batches = plan.batches()
    done: dict[int, dict[str, Any]] = {}
    with nullcontext() if path is None else _open(path) as record:
        if record is not None:
            done = _resume(record, _header(function, plan))
        todo = [index for index in range(len(batches)) if index not in done]
        parallel = joblib.Parallel(n_jobs=1 if len(todo) < 2 else jobs, return_as="generator_unordered")
        results = parallel(joblib.delayed(_run_batch)(function, index, batches[index]) for index in todo)
        for index, values in _shown(results, len(todo), progress):
            done[index] = values
            if record is not None:
                record.append({"batch": index, "values": values})
    return _table(plan, batches, [done[index] for index in range(len(batches))])


def _plan(grid: Mapping[str, Sequence[Any]], seeds: Sequence[int], static: Sequence[str], batch_size: int) -> _Plan:
    values = {}
    check_kind("grid", grid, Mapping, "a dictionary from the name of each setting to a list of its values")
    _check_list("seeds", seeds)
    _check_list("static", static, least=0)
    for name, column in grid.items():
        if not isinstance(name, str) or name == "seed":
            raise InvalidArgument(
                "grid", name, "names of settings other than 'seed', since seeds are an argument of their own"
            )
        _check_list(f"grid[{name!r}]", column)
        plain = [value.item() if isinstance(value, np.generic) else value for value in column]
        if not all(isinstance(value, (str, bool, int, float)) for value in plain):
            raise InvalidArgument(f"grid[{name!r}]", column, "numbers, strings or booleans")
        if len(set(plain)) < len(plain):
            raise InvalidArgument(f"grid[{name!r}]", column, "values that differ from one another")
        values[name] = plain
    unknown = [name for name in static if not isinstance(name, str) or name not in values]
    if unknown:
        raise InvalidArgument("static", unknown, f"settings of the grid ({', '.join(values) or 'it has none'})")
    whole = [check_count("seeds", seed, minimum=0) for seed in seeds]
    if not whole or len(set(whole)) < len(whole):
        raise InvalidArgument("seeds", list(seeds), "at least one seed, and no seed twice")
    runs = math.prod(len(column) for column in values.values()) * len(whole)
    if runs > MOST_RUNS:
        raise InvalidArgument("grid", f"with the seeds it has {runs} runs; at most {MOST_RUNS} are allowed")
    return _Plan(values, whole, list(static), check_count("batch_size", batch_size))


def _check_list(argument: str, value: object, least: int = 1) -> None:
    """Refuse anything but a list of a reasonable length. A string is not a list; an iterator may never end."""
    long_enough = isinstance(value, (Sequence, np.ndarray)) and np.ndim(value[:1]) > 0 and len(value) >= least
    if isinstance(value, (str, bytes)) or not long_enough or len(value) > MOST_RUNS:  # type: ignore[arg-type]
        raise InvalidArgument(argument, value, f"a list of at least {least} and at most {MOST_RUNS} values")


def _check_jobs(jobs: int | None) -> int | None:
    if jobs is not None and (not isinstance(jobs, int) or isinstance(jobs, bool) or jobs == 0 or abs(jobs) > MOST_JOBS):
        raise InvalidArgument("jobs", jobs, f"a number of processes from 1 to {MOST_JOBS}, or -1 for one on each core")
    return jobs


def _run_batch(function: BatchFunction, index: int, batch: Batch) -> tuple[int, dict[str, Any]]:
    """Run one batch on one thread, in this process, and return its results as plain lists."""
    size = len(batch["seed"])
    with one_thread():
        results = function(batch)
    if not isinstance(results, Mapping):
        raise InvalidArgument(
            "function", f"it returned {shorten(results)}; it must return a dictionary of results by name"
        )
    values = {}
    for name, result in results.items():
        array = result.detach().cpu().numpy() if isinstance(result, torch.Tensor) else np.asarray(result)
        if array.dtype.kind not in "biuf" or array.ndim == 0 or len(array) != size:
            raise InvalidArgument(
                "function",
                f"its result {name!r} is an array of {array.dtype} of shape {array.shape}; it must hold numbers, one "
                f"for each of the {size} runs along the first axis",
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


def _table(plan: _Plan, batches: list[Batch], results: list[dict[str, Any]]) -> Table:
    names = list(results[0])
    if any(list(values) != names for values in results):
        raise InvalidArgument(
            "function",
            f"the names of its results differ from batch to batch; they were {', '.join(names)} in the first batch",
        )
    columns: dict[str, np.ndarray] = {}
    for name in [*plan.grid, "seed"]:
        parts = [np.broadcast_to(np.asarray(batch[name]), len(batch["seed"])) for batch in batches]
        columns[name] = np.concatenate(parts)
    for name in names:
        columns[name] = np.concatenate([np.asarray(values[name]) for values in results])
    return Table(columns, (*plan.grid, "seed"))


# --- the file ---


def _header(batch_function: BatchFunction, plan: _Plan) -> dict[str, Any]:
    """Return what identifies a sweep: a file with another header is not resumed."""
    function: Any = batch_function
    arguments = ""
    while isinstance(function, functools.partial):
        arguments += repr((function.args, function.keywords))
        function = function.func
    try:
        source = inspect.getsource(inspect.getmodule(function) or function)
    except (OSError, TypeError):  # a function that was typed at an interactive prompt has no source file
        source = ""
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"
    return {
        "function": name + arguments,
        "code": hashlib.sha256(source.encode()).hexdigest()[:16],
        "torch": version("torch"),
        "numpy": version("numpy"),
        "grid": plan.grid,
        "seeds": plan.seeds,
        "static": plan.static,
        "batch_size": plan.batch_size,
    }


def _open(path: Path | str) -> JsonLines:
    if not isinstance(path, (str, Path)) or not str(path) or "\0" in str(path):
        raise InvalidArgument("path", path, "the path of a file")
    try:
        return JsonLines(Path(path))
    except (OSError, UnicodeError) as problem:
        words = getattr(problem, "strerror", None) or type(problem).__name__
        raise InvalidArgument(
            "path", f"{shorten(path)} cannot be opened for reading and writing ({words})"
        ) from problem


def _resume(file: JsonLines, header: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the finished batches in a file of this sweep; if the file is empty, write its header."""
    other = f"{file.path} was not written by a sweep; use another file"
    try:
        lines, rest = file.read()
        batches = {row["batch"]: row["values"] for row in lines[1:]}
    except (ValueError, KeyError, TypeError) as problem:
        raise InvalidArgument("path", f"{other} ({problem})") from problem
    if not lines:
        if not json.dumps(header).encode().startswith(rest):
            raise InvalidArgument("path", other)
        file.remove_rest()
        file.append(header)
        return {}
    found = lines[0]
    if found != json.loads(json.dumps(header)):
        differs = [key for key in header if not isinstance(found, dict) or found.get(key) != header[key]]
        raise InvalidArgument(
            "path", f"{file.path} belongs to another sweep, which differs in {', '.join(differs)}; use another file"
        )
    file.remove_rest()
    return batches
