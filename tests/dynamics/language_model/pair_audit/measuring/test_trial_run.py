"""The training run beside the prediction: against a loop written out, and with predictions that are wrong."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dynamics.language_model import differentiable_log_probs, sequence_log_probs
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.run import run_audit
from dynamics.language_model.pair_audit.measuring.set_run import run_set
from dynamics.language_model.pair_audit.measuring.trial_run import RATES, compare, count_steps, run_trials
from dynamics.language_model.pair_audit.reading.data import open_pairs
from dynamics.language_model.pair_audit.reading.rows import parse_pair
from dynamics.language_model.pair_audit.reading.tokens import tokenize_pair
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.losses import DPO, SimPO
from dynamics.optimizers import SGD, AdamW, Optimizer
from tests.dynamics.language_model.saved import products, read_lines, tiny, write_lines

loaded = cache(tiny)
ROWS = products(6)


def trials(folder: Path, optimizer: Optimizer, rates: tuple[float, ...], loss: Any, rows: Any = ROWS) -> Any:
    data = open_pairs(write_lines(folder / "pairs.jsonl", rows))
    results, how = Results(folder / "out.jsonl"), AuditSettings(loss=loss, dtype=torch.float64)
    with results.begin({}):
        audit = Audit(loaded(), data, results, how)
        run_audit(audit)
        pairs = run_set(audit, optimizer)
    return run_trials(audit, pairs, optimizer, rates)


def test_a_small_step_on_all_pairs_does_what_was_predicted(tmp_path: Path) -> None:
    """6 pairs are one batch: one step, whose first-order change is the prediction; the model stays as it was."""
    before = {name: tensor.clone() for name, tensor in loaded().model.state_dict().items()}
    small, large = trials(tmp_path, SGD(), (1e-7, 1e-1), SimPO())
    assert (small.steps, small.pairs, small.same_sign) == (1, 6, 1.0)
    assert small.predicted_to_fall == small.fell == small.both
    assert small.size == pytest.approx(1, abs=1e-4)
    assert small.rank_correlation == pytest.approx(1)
    assert abs(large.size - 1) > 1e-2  # the measure sees that a large step does something else
    after = loaded().model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_every_pair_has_the_same_weight_in_a_run_of_several_steps(tmp_path: Path) -> None:
    """10 pairs are two batches of 5: a batch of 8 and one of 2 would weigh the last two four times as much."""
    (found,) = trials(tmp_path, SGD(), (1e-8,), DPO(), products(10))
    assert (found.steps, found.pairs) == (2, 10)
    assert count_steps(10) == len(RATES) * found.steps
    assert found.size == pytest.approx(1, abs=1e-3)
    assert found.rank_correlation == pytest.approx(1)


def test_the_run_is_that_of_a_loop_written_out(tmp_path: Path) -> None:
    rate, rule = 1e-3, AdamW(weight_decay=0.0)
    (found,) = trials(tmp_path, rule, (rate,), DPO(beta=0.5))
    model = tiny().model
    pairs = [tokenize_pair(loaded().tokenizer, parse_pair(row)).sequences for row in ROWS]
    chosen, rejected = [pair.chosen for pair in pairs], [pair.rejected for pair in pairs]
    start = [sequence_log_probs(model, side).total for side in (chosen, rejected)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    w, other = (differentiable_log_probs(model, side) for side in (chosen, rejected))
    (-torch.nn.functional.logsigmoid(0.5 * (w - start[0] - other + start[1]))).mean().backward()
    optimizer.step()
    change = sequence_log_probs(model, chosen).total - start[0]
    assert found.fell == int((change < 0).sum())
    predicted = np.array([line["set_chosen_change"] for line in read_lines(tmp_path / "out.jsonl.set")]) * rate
    assert found.size == pytest.approx(float(np.median(np.abs(change.numpy() / predicted))), rel=1e-6)


def test_predictions_that_are_wrong_do_not_agree() -> None:
    noise = np.random.default_rng(0)
    truth = noise.normal(size=200)
    good, wrong, none = (compare(1e-6, 1, p, truth) for p in (truth * 3, -truth, noise.normal(size=200)))
    assert (good.same_sign, good.rank_correlation, good.interval) == (1.0, pytest.approx(1), pytest.approx((1, 1)))
    assert good.size == pytest.approx(1 / 3)
    assert (wrong.same_sign, wrong.rank_correlation, wrong.both) == (0.0, pytest.approx(-1), 0)
    assert none.interval is not None
    assert none.interval[0] < 0 < none.interval[1]
    assert 0.3 < none.same_sign < 0.7
    assert compare(1e-6, 1, np.ones(5), np.ones(5)).rank_correlation is None


def test_a_few_pairs_have_no_interval() -> None:
    """Of 3 pairs in the right order every resampled set is in order too, though one order of six is right by chance."""
    few, enough = (compare(1e-6, 1, np.arange(float(n)), np.arange(float(n)) ** 2) for n in (9, 10))
    assert (few.rank_correlation, few.interval) == (pytest.approx(1), None)
    assert enough.interval == pytest.approx((1, 1))
