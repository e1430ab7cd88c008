"""The step of a whole data set: against the kernel's row sums, a real step, an interruption anywhere."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from dynamics.language_model import model_step, sequence_kernel
from dynamics.language_model.pair_audit.measuring import set_gradient as gradient_module
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.influences import (
    find_targets,
    push_results,
    read_influences,
    run_pushes,
)
from dynamics.language_model.pair_audit.measuring.pair_set import read_pair_set
from dynamics.language_model.pair_audit.measuring.run import run_audit
from dynamics.language_model.pair_audit.measuring.set_run import gradient_path, run_set
from dynamics.language_model.pair_audit.reading.data import open_pairs
from dynamics.language_model.pair_audit.reading.rows import parse_pair
from dynamics.language_model.pair_audit.reading.tokens import tokenize_pair
from dynamics.language_model.pair_audit.results.joined import set_is_finished, set_results
from dynamics.language_model.pair_audit.results.processes import Processes
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.losses import DPO, PreferenceLoss, SimPO
from dynamics.losses.batch import SFTPerToken
from dynamics.optimizers import SGD, AdamW, Optimizer
from tests.dynamics.language_model.saved import products, read_lines, tiny, write_lines

loaded = cache(tiny)
ROWS: list[Any] = products(9)
ROWS[4] = "{broken"
GOOD = [row for number, row in enumerate(ROWS) if number != 4]
Lines = list[dict[str, Any]]


def settings(loss: PreferenceLoss = DPO(), **options: Any) -> AuditSettings:  # noqa: B008 - frozen
    return AuditSettings(batch_pairs=3, loss=loss, dtype=torch.float64, **options)


def audit(
    data: Path,
    out: Path,
    how: AuditSettings,
    optimizer: Optimizer = SGD(),  # noqa: B008
    reference: Any = None,
    **options: Any,
) -> bytes:
    results = Results(out)
    with results.begin({}):
        run = Audit(loaded(), open_pairs(data), results, how)
        run_audit(run, reference=reference)
        run_set(run, optimizer, **options)
    return set_results(results).path.read_bytes()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("data") / "pairs.jsonl", ROWS)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return audit(data, tmp_path_factory.mktemp("whole") / "out.jsonl", settings())


def sequences() -> list[Any]:
    return [s for row in GOOD for s in tokenize_pair(loaded().tokenizer, parse_pair(row)).sequences]


def changed(out: Path) -> Lines:
    return [line for line in read_lines(set_results(Results(out)).path) if len(line) > 2]


@pytest.mark.parametrize("loss", [DPO(beta=0.5), SimPO(), DPO() + 0.3 * SFTPerToken()], ids=["dpo", "simpo", "dpo+sft"])
@pytest.mark.parametrize("referred", [False, True])
def test_the_changes_are_the_row_sums_of_the_kernel(
    data: Path, tmp_path: Path, loss: PreferenceLoss, referred: bool
) -> None:
    reference = tiny(seed=5).model if referred else None
    out = tmp_path / "out.jsonl"
    audit(data, out, settings(loss), reference=reference)
    kernel = sequence_kernel(loaded().model, sequences(), dtype=torch.float64).kernel
    pairs = read_pair_set(Results(out), loss)
    weights = torch.stack([pairs.of_chosen, pairs.of_rejected], dim=1).flatten()
    wanted = -(kernel @ weights)
    norms = kernel.diagonal().sqrt()
    scale = norms * float((weights @ kernel @ weights).sqrt())
    found = changed(out)
    assert [line["row"] for line in found] == [0, 1, 2, 3, 5, 6, 7, 8]
    columns = torch.tensor(
        [[line["set_chosen_change"], line["set_rejected_change"]] for line in found], dtype=torch.float64
    ).flatten()
    assert float(((columns - wanted).abs() / scale).max()) < 1e-10
    assert float(((columns + wanted).abs() / scale).max()) > 1e-3  # the other sign is seen
    chosen = wanted[::2]
    assert [line["displaced_by_set"] for line in found] == (chosen < 0).tolist()
    own = torch.tensor([-(kernel[2 * n, 2 * n : 2 * n + 2] @ weights[2 * n : 2 * n + 2]) for n in range(8)])
    shares = (own.abs() / (own.abs() + (chosen - own).abs())).tolist()
    assert [line["own_share"] for line in found] == pytest.approx(shares, rel=1e-6)


def test_the_weights_are_those_of_the_mean_loss_of_the_set(data: Path, tmp_path: Path) -> None:
    """A real step on all pairs at once, with plain autograd: first-order changes and their slope."""
    out, rate = tmp_path / "out.jsonl", 1e-5
    audit(data, out, settings(SimPO()))
    numbers = torch.arange(16)
    step = model_step(loaded().model, sequences(), numbers[::2], numbers[1::2], loss=SimPO(), learning_rate=rate)
    chosen = [line["set_chosen_change"] for line in changed(out)]
    assert chosen == pytest.approx((step.predicted_log_change[::2] / rate).tolist(), rel=1e-8)
    assert chosen == pytest.approx((step.actual_log_change[::2] / rate).tolist(), rel=1e-2)


def test_adamw_takes_its_first_step(data: Path, tmp_path: Path) -> None:
    out, rate, rule = tmp_path / "out.jsonl", 1e-6, AdamW(weight_decay=0.0)
    audit(data, out, settings(), rule)
    numbers = torch.arange(16)
    step = model_step(loaded().model, sequences(), numbers[::2], numbers[1::2], learning_rate=rate, optimizer=rule)
    found = changed(out)
    wanted = (step.predicted_log_change / rate).tolist()
    assert [line["set_chosen_change"] for line in found] == pytest.approx(wanted[::2], rel=1e-8)
    assert [line["set_rejected_change"] for line in found] == pytest.approx(wanted[1::2], rel=1e-8)
    assert {line["own_share"] for line in found} == {None}


def test_the_margin_of_a_log_ratio(data: Path, whole: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert audit(data, out, settings()) == whole
    for line in changed(out):
        difference = line["set_chosen_change"] - line["set_rejected_change"]
        assert line["set_margin_change"] == pytest.approx(0.1 * difference, rel=1e-12)


class Stop(Exception):
    pass


def stop_at(row: int) -> Callable[[int], None]:
    def progress(rows: int) -> None:
        if rows >= row:
            raise Stop

    return progress


@pytest.mark.parametrize(("phase", "row"), [(0, 3), (0, 6), (0, 9), (1, 3), (1, 6)])
def test_an_interruption_anywhere_changes_no_bit(
    data: Path, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: int, row: int
) -> None:
    monkeypatch.setattr(gradient_module, "EVERY", 0.0)
    out = tmp_path / "out.jsonl"
    stops: list[Any] = [None, None]
    stops[phase] = stop_at(row)
    with pytest.raises(Stop):
        audit(data, out, settings(), progress=tuple(stops))
    assert gradient_path(Results(out)).is_file()
    assert audit(data, out, settings()) == whole
    assert not gradient_path(Results(out)).exists()
    assert audit(data, out, settings(), progress=(stop_at(0), stop_at(0))) == whole  # nothing is computed twice
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_a_gradient_that_was_saved_is_continued_and_a_broken_one_is_not(
    data: Path, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradient_module, "EVERY", 0.0)
    out, asked = tmp_path / "out.jsonl", []
    real = gradient_module.log_probs_vjp

    def counting(*arguments: Any, **options: Any) -> Any:
        asked.append(1)
        return real(*arguments, **options)

    monkeypatch.setattr(gradient_module, "log_probs_vjp", counting)
    with pytest.raises(Stop):
        audit(data, out, settings(), progress=(stop_at(6), None))
    assert len(asked) == 5
    assert audit(data, out, settings()) == whole
    assert len(asked) == 8
    set_results(Results(out)).path.unlink()
    gradient_path(Results(out)).write_bytes(b"no gradient")
    assert audit(data, out, settings()) == whole
    assert len(asked) == 16


def test_processes_share_the_passes(data: Path, whole: bytes, tmp_path: Path) -> None:
    """One after the other: the first computes the gradient, so it comes first, and a run alone merges the parts."""
    out = tmp_path / "out.jsonl"
    results = Results(out)
    with results.begin({}):
        run_audit(Audit(loaded(), open_pairs(data), results, settings()))
    for rank in (0, 1):
        run_set(Audit(loaded(), open_pairs(data), results, settings(), processes=Processes(rank, 2)), SGD())
    assert audit(data, out, settings()) == whole


def test_no_process_goes_on_before_what_was_written_is_merged(
    data: Path, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resume after an end between the last line and the merging; the processes are threads here."""
    out = tmp_path / "out.jsonl"
    results = Results(out)
    assert audit(data, out, settings()) == whole
    beside = set_results(results)
    beside.path.rename(beside.part(1))
    merge, barrier = Results.merge, threading.Barrier(2, timeout=60)

    def slow(some: Results) -> None:
        time.sleep(0.3)
        merge(some)

    monkeypatch.setattr(Results, "merge", slow)

    def wait() -> None:
        barrier.wait()

    def resume(rank: int) -> bool:
        mine = Processes(rank, 2, wait=wait)
        run_set(Audit(loaded(), open_pairs(data), results, settings(), processes=mine), SGD())
        return set_is_finished(results)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(resume, (0, 1))) == [True, True]
    assert beside.path.read_bytes() == whole


def test_another_optimizer_or_more_rows_replace_what_was_computed(data: Path, whole: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    audit(data, out, settings(first=5))
    assert len(changed(out)) == 4
    few = changed(out)[0]["set_chosen_change"]
    assert audit(data, out, settings(), AdamW()) != whole
    assert audit(data, out, settings()) == whole
    assert changed(out)[0]["set_chosen_change"] != few


def test_rounding_decides_no_sign(data: Path, tmp_path: Path) -> None:
    """In float32, only a fall that is well above rounding counts as one."""
    found = {}
    for dtype in (torch.float32, torch.float64):
        out = tmp_path / str(dtype)
        audit(data, out, AuditSettings(batch_pairs=3, dtype=dtype))
        found[dtype] = changed(out)
    for one, other in zip(found[torch.float32], found[torch.float64], strict=True):
        if one["displaced_by_set"]:
            assert other["set_chosen_change"] < 0
        assert math.isfinite(one["set_margin_change"])


def test_the_pushes_on_a_target_sum_to_its_change(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    results = Results(out)
    audit(data, out, settings())
    wanted = {line["row"]: line["set_chosen_change"] for line in changed(out) if line["displaced_by_set"]}
    own = {line["row"] for line in read_lines(out) if line.get("displaced")}
    assert set(find_targets(results)) == wanted.keys() | own
    assert wanted
    pairs = read_pair_set(results, DPO())
    run_pushes(Audit(loaded(), open_pairs(data), results, settings()), pairs)
    lines = read_lines(push_results(results).path)
    assert [line["row"] for line in lines] == list(range(9))
    targets = find_targets(results)
    pushes = {line["row"]: dict(zip(targets, line["push"], strict=True)) for line in lines if "push" in line}
    assert len(pushes) == 8
    changes = {line["row"]: line["set_chosen_change"] for line in changed(out)}
    for row in find_targets(results):
        assert sum(push[row] for push in pushes.values()) == pytest.approx(changes[row], rel=1e-9)
        place = pairs.find(row)
        assert place is not None
        assert pushes[row][row] == pytest.approx(float(pairs.own_change[place]), rel=1e-9)
        found = read_influences(results, 2)[row]
        down = sorted((push[row], other) for other, push in pushes.items() if push[row] < 0)[:2]
        assert found["down"] == [(other, push) for push, other in down]
        up = sorted(((push[row], other) for other, push in pushes.items() if push[row] > 0), reverse=True)[:2]
        assert found["up"] == [(other, push) for push, other in up]
    before = push_results(results).path.read_bytes()
    push_results(results).path.write_bytes(before[: len(before) // 2])
    run_pushes(Audit(loaded(), open_pairs(data), results, settings()), pairs)
    assert push_results(results).path.read_bytes() == before
