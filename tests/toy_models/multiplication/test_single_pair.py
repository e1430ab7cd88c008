"""One pair: Figure 1 and Theorem 1 on the shipped model, and the arithmetic on curves made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.optional import needs

needs("transformers")

from dynamics import InvalidArgument
from dynamics.language_model import TokenSequence, differentiable_log_probs, tokenize
from toy_models.multiplication.corpus import ask
from toy_models.multiplication.single_pair import (
    L,
    PairRun,
    PairSettings,
    Rise,
    Theorem1Errors,
    W,
    follow_pair,
    scan_pairs,
    theorem_1_errors,
)


@pytest.fixture(scope="module")
def run(shipped: tuple[Any, Any]) -> PairRun:
    return follow_pair(*shipped, PairSettings(steps=70, every=7, others=12))


@pytest.fixture(scope="module")
def errors(shipped: tuple[Any, Any]) -> Theorem1Errors:
    return theorem_1_errors(*shipped, [1e-6, 1e-5, 1e-4])


def gradients(model: Any, tokenizer: Any, texts: tuple[str, ...]) -> torch.Tensor:
    """Return the scores of responses one by one, by plain autograd, ``(responses, parameters)``."""
    rows = []
    for text in texts:
        sequence: TokenSequence = tokenize(tokenizer, ask("11 x 12 = ?"), text)
        log_prob = differentiable_log_probs(model, [sequence])[0]
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(log_prob, list(model.parameters()))]).double())
    return torch.stack(rows)


def test_the_chosen_rises_and_then_falls_below_its_start(run: PairRun) -> None:
    """Figure 1a; the peak is where the term of Figure 1b changes its sign."""
    longer = run.log_probs[:, W]
    assert 10 < run.rise.peak_step < 50
    assert run.rise.peak > 0.05
    assert (np.diff(run.log_probs[:, L]) < 0).all()
    assert longer[-1] < longer[run.rise.peak_step] - 0.03
    crossing = run.at[np.flatnonzero(run.chosen_term < 0)[0]]
    assert 0 <= crossing - run.rise.peak_step <= run.settings.every
    assert (run.rejected_term < 0).all()
    assert (np.diff(run.margin) > 0).all()


def test_predictions_of_every_step_are_close(run: PairRun) -> None:
    moved = np.abs(run.actual) > 5e-4
    error = np.abs(run.predicted - run.actual)[moved] / np.abs(run.actual)[moved]
    assert moved.sum() > 20
    assert np.median(error) < 0.03
    assert (np.sign(run.predicted[:, L]) == np.sign(run.actual[:, L])).all()
    twin = run.predicted[:, [L, W]]  # the terms exchanged
    assert np.median(np.abs(twin - run.actual[:, :2]) / np.abs(run.actual[:, :2])) > 0.5


def test_the_gram_matrix_is_that_of_scores_one_by_one(shipped: tuple[Any, Any], run: PairRun) -> None:
    g = gradients(*shipped, run.texts[:3])
    want = (g @ g.T).numpy()
    scale = np.sqrt(np.outer(want.diagonal(), want.diagonal()))
    assert (np.abs(run.kernel[0] - want) / scale).max() < 1e-4
    assert run.chosen_term[0] == pytest.approx(float(g[W] @ (g[W] - g[L])), rel=1e-3)
    assert run.y_star_term[0] == pytest.approx(float(g[2] @ (g[W] - g[L])), rel=1e-3)
    printed = float(g[2] @ (g[2] - g[L]))  # Eq. (64)
    assert run.y_star_term[0] < 0 < printed
    assert run.actual[0, 2] < 0


def test_what_is_followed(run: PairRun) -> None:
    assert run.texts[:2] == ("The answer is 132.", "The answer is 121.")
    assert len(set(run.texts)) == len(run.texts)
    assert run.log_probs.shape == (71, len(run.texts))
    assert list(run.at) == list(range(0, 70, 7))
    assert run.kernel.shape == (10, 3, 3)
    assert np.exp(run.log_probs).sum(1).max() < 1


def test_the_log_ratio_of_changes_does_not_exist_where_the_signs_differ(run: PairRun) -> None:
    """Figure 1c is labelled with a logarithm of a negative number for as long as y_w rises and y_l falls."""
    ratio = run.log_ratio_of_changes
    assert np.isnan(ratio[: run.rise.peak_step - 1]).all()
    assert np.isfinite(ratio[run.rise.peak_step + 1 :]).all()


def test_theorem_1_is_of_first_order(errors: Theorem1Errors) -> None:
    assert np.abs(errors.slope - 1).max() < 0.02
    assert errors.relative_error[0].max() < 1e-3
    assert errors.probability_relative_error[0].max() < 1e-3
    off = replace(errors, predicted=1.001 * errors.predicted)  # the twin: off by a thousandth, the error stays
    assert np.abs(off.slope - 1).max() > 0.3


def test_theorem_1_fails_at_a_large_step(shipped: tuple[Any, Any]) -> None:
    large = theorem_1_errors(*shipped, [1e-2], PairSettings(beta=0.5))
    assert large.relative_error[0, :2].max() > 0.3


def test_a_scan_meets_every_pair_in_the_same_words(shipped: tuple[Any, Any]) -> None:
    found = list(scan_pairs(*shipped, PairSettings(steps=3), wrong=[121]))
    assert len(found) == 11
    assert all(pair.chosen.replace("132", "121") == pair.rejected for pair in found)
    assert all(pair.rejected_end < 0 for pair in found)
    by_name = {pair.chosen: pair for pair in found}
    assert by_name["The answer is 132."].rise.peak > 0.01


@pytest.mark.parametrize(
    ("curve", "shape"),
    [([0, 1, -1], True), ([0, 1, 0.5], False), ([0, -1, -2], False), ([0, 0.005, -1], False), ([0, -1, 2], False)],
)
def test_rise_then_fall(curve: list[float], shape: bool) -> None:
    assert Rise.of(np.array(curve, dtype=float)).is_rise_then_fall is shape


@pytest.mark.parametrize(
    ("change", "word"),
    [({"beta": 0.0}, "beta"), ({"steps": 0}, "steps"), ({"rejected": "The answer is 132."}, "rejected")],
)
def test_settings_that_cannot_be_are_named(change: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidArgument, match=word):
        PairSettings(**change)


def test_no_learning_rates_are_refused(shipped: tuple[Any, Any]) -> None:
    with pytest.raises(InvalidArgument, match="learning_rates"):
        theorem_1_errors(*shipped, [])
