"""Sweeps: the same table however it is run, and nothing lost when a sweep is interrupted."""

from __future__ import annotations

import functools
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import InvalidArgument, Table, sweep
from tests.dynamics import sweep_functions as functions
from tests.optional import needs_signals

ROOT = Path(__file__).parents[2]


def same(left: Table, right: Table) -> bool:
    """Return whether two tables agree to the last bit."""
    return left.columns.keys() == right.columns.keys() and all(
        np.array_equal(left[name], right[name], equal_nan=left[name].dtype.kind == "f") for name in left.columns
    )


@settings(max_examples=30, deadline=None)
@given(
    xs=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5, unique=True),
    seeds=st.lists(st.integers(0, 2**40), min_size=1, max_size=5, unique=True),
    size=st.integers(1, 9),
)
def test_every_combination_has_one_row_whatever_the_batch_size(xs: list[float], seeds: list[int], size: int) -> None:
    table = sweep(functions.displaced, {"x": xs, "sign": ["plus", "minus"]}, seeds, static=["sign"], batch_size=size)
    found = list(zip(table["x"].tolist(), table["sign"].tolist(), table["seed"].tolist(), strict=True))
    assert sorted(found) == sorted((x, s, n) for x in xs for s in ("plus", "minus") for n in seeds)
    for row in table.rows():
        noise = np.random.default_rng(int(row["seed"])).normal()
        assert row["value"] == (row["x"] if row["sign"] == "plus" else -row["x"]) + noise
    assert table["curve"].shape == (len(found), 3)


@pytest.mark.slow
def test_one_process_loky_and_dask_give_the_same_table(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")

    def run(jobs: int | None = None, path: Path | None = None) -> Table:
        grid = {"learning_rate": [0.1, 1.0, 3.0]}
        return sweep(functions.train, grid, range(20), static=["learning_rate"], batch_size=7, jobs=jobs, path=path)

    alone = run(1)
    assert alone["log_probs"].dtype == float
    assert alone["rises"].dtype == bool
    assert same(alone, run(2, tmp_path / "loky.jsonl"))
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert same(alone, run(path=tmp_path / "dask.jsonl"))


def test_number_of_threads_is_given_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(InvalidArgument, match="one for each of the 2 runs"):
        sweep(functions.too_short, {"x": [1, 2]}, [0])
    assert torch.get_num_threads() == before


def test_a_finished_block_is_not_run_again(tmp_path: Path) -> None:
    path, run = tmp_path / "deep" / "sweep.jsonl", functools.partial(functions.counted, str(tmp_path))
    table = sweep(run, {"x": [1, 2, 3]}, range(4), batch_size=2, path=path)
    assert same(table, sweep(run, {"x": [1, 2, 3]}, range(4), batch_size=2, path=path))
    with pytest.raises(FileExistsError):  # the twin: without the file it is
        sweep(run, {"x": [1, 2, 3]}, range(4), batch_size=2)


def test_a_torn_last_line_is_dropped_and_its_block_run_again(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    arguments = (functions.displaced, {"x": [1.0, 2.0], "sign": ["plus"]}, range(6))
    table = sweep(*arguments, static=["sign"], batch_size=2, path=path)
    whole = path.read_bytes()
    for cut in (1, 10, len(whole.splitlines()[-1]), len(whole) - 5, len(whole) - 1):
        path.write_bytes(whole[:-cut])
        assert same(table, sweep(*arguments, static=["sign"], batch_size=2, path=path))
        assert path.read_bytes() == whole


@needs_signals
@pytest.mark.slow
@pytest.mark.parametrize("send", ["SIGKILL", "SIGINT"])
def test_a_killed_sweep_loses_nothing(tmp_path: Path, send: str) -> None:
    path = tmp_path / "sweep.jsonl"
    program = (
        "from dynamics import sweep; from tests.dynamics.sweep_functions import slow; import sys\n"
        "sweep(slow, {'x': [1.0, 2.0, 3.0]}, range(20), batch_size=1, jobs=2, path=sys.argv[1])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not (path.exists() and path.read_bytes().count(b"\n") > 5):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, getattr(signal, send))
    assert process.wait(60) != 0
    kept = path.read_bytes()
    batches = {json.loads(line)["batch"] for line in kept[: kept.rfind(b"\n") + 1].splitlines()[1:]}
    assert 5 <= len(batches) < 60
    table = sweep(functions.slow, {"x": [1.0, 2.0, 3.0]}, range(20), batch_size=1, path=path)
    assert same(table, sweep(functions.slow, {"x": [1.0, 2.0, 3.0]}, range(20), batch_size=1))
    after = [json.loads(line)["batch"] for line in path.read_bytes().splitlines()[1:]]
    assert sorted(after) == list(range(60))


def test_the_file_of_another_sweep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    sweep(functions.displaced, {"x": [1.0], "sign": ["plus"]}, [0], static=["sign"], path=path)
    before = path.read_bytes()
    with pytest.raises(InvalidArgument, match="differs in seeds"):
        sweep(functions.displaced, {"x": [1.0], "sign": ["plus"]}, [1], static=["sign"], path=path)
    with pytest.raises(InvalidArgument, match="differs in function, grid"):
        sweep(functions.slow, {"x": [1.0]}, [0], path=path)
    assert path.read_bytes() == before
    for text in ("a diary", "a diary\n", '{"batch": 1}\n[]\n', "\n"):
        path.write_text(text)
        with pytest.raises(InvalidArgument, match="path"):
            sweep(functions.slow, {"x": [1.0]}, [0], path=path)
        assert path.read_text() == text


@pytest.mark.parametrize(
    ("grid", "seeds", "more", "argument"),
    [
        ({"x": []}, [0], {}, "grid"),
        ({"x": "abc"}, [0], {}, "grid"),
        ({"x": [None]}, [0], {}, "grid"),
        ({"x": [1, 1]}, [0], {}, "grid"),
        ({"seed": [1]}, [0], {}, "grid"),
        ({"x": [1]}, [], {}, "seeds"),
        ({"x": [1]}, [0, 0], {}, "seeds"),
        ({"x": [1]}, [-1], {}, "seeds"),
        ({"x": [1]}, [0], {"static": ["y"]}, "static"),
        ({"x": [1]}, [0], {"batch_size": 0}, "batch_size"),
    ],
)
def test_wrong_arguments_are_named(grid: dict, seeds: list, more: dict, argument: str) -> None:
    with pytest.raises(InvalidArgument, match=argument):
        sweep(functions.slow, grid, seeds, **more)


def test_results_that_change_their_names_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="batch to batch"):
        sweep(functions.moody, {"x": [1]}, [0, 1], batch_size=1)


def test_values_that_json_has_no_word_for_come_back(tmp_path: Path) -> None:
    def odd(batch: dict) -> dict:
        return {"value": np.array([math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1])[batch["x"]]}

    path, xs = tmp_path / "odd.jsonl", list(range(6))
    first, again = (sweep(odd, {"x": xs}, [0], path=path) for _ in range(2))
    assert same(first, again)
    assert np.signbit(again["value"][3])
    assert again["value"][4] == 5e-324


def test_two_sweeps_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    inner: list[str] = []

    def run(batch: dict) -> dict:
        with pytest.raises(InvalidArgument) as caught:
            sweep(lambda c: {"y": 1.0 * c["seed"]}, {"x": [1]}, seeds=[0], path=path)
        inner.append(str(caught.value))
        return {"y": 1.0 * batch["seed"]}

    assert len(sweep(run, {"x": [1]}, seeds=[0], path=path)) == 1
    assert "another process is writing" in inner[0]
