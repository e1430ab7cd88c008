"""Every check of the entropy figure holds, and fails on another loss, another bonus, or a bonus of wrong sign."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import entr, expit, logit

from dynamics import DPO, SelfPO
from figures import self_po_entropy
from figures.registry import FIGURES, Arrays
from figures.self_po_entropy import answer, expected_loss, expected_slope
from tests.figures.controls import add_controls, updated
from theory.sun2025.floor import FLOOR_PROBABILITY

FIGURE = FIGURES["new-self-po-entropy"]
Change = Callable[[Arrays], Arrays]


def failed(arrays: Arrays) -> set[str]:
    return {check.name for check in FIGURE.failures(arrays)}


def turned_round(a: Arrays) -> Arrays:
    """What a price on entropy, in place of a bonus, would do."""
    return {"self_po": 2 * a["logistic"] - a["self_po"]}


def surer(a: Arrays) -> Arrays:
    """Predictions above the share, in place of below."""
    return {"answers": np.clip(2 * a["shares"] - a["answers"], 0, 1)}


CONTROLS: list[tuple[str, Change]] = [
    ("difference_is_the_entropy", turned_round),
    ("difference_is_the_entropy", lambda a: {"entropy": a["entropy"] / np.log(2)}),  # in bits
    ("difference_is_the_entropy", lambda a: {"prediction": expit(2 * a["margin"])}),
    ("logistic_is_a_divergence", lambda a: {"logistic": a["self_po"]}),
    ("logistic_is_a_divergence", lambda a: {"several": a["several"][::-1]}),
    ("self_po_is_margin_times_error", turned_round),
    ("self_po_is_margin_times_error", lambda a: {"self_po": a["logistic"]}),
    ("dots_are_the_least_points", turned_round),
    ("dots_are_the_least_points", lambda a: {"least": a["least"] + [0.0, 0.016]}),
    ("logistic_repeats_the_share", lambda a: {"answers": a["answers"][[1, 1, 2]]}),
    ("bonus_draws_towards_a_coin", surer),
    ("bonus_draws_towards_a_coin", lambda a: {"answers": a["answers"][[0, 0, 2]]}),
    ("share_from_the_prediction", lambda a: {"bonus": a["bonus"] * 1.01}),
    ("share_from_the_prediction", surer),
    ("sure_labels_leave_doubt", lambda a: {"answers": a["answers"][[0, 1, 0]]}),
    ("sure_labels_leave_doubt", lambda a: {"answers": a["answers"] * 0.999}),
]
for name, made in CONTROLS:
    add_controls(FIGURE.key, name, [updated(made)])


@pytest.mark.parametrize("loss", [DPO(beta=1.0), SelfPO(activation="relu")])
def test_another_loss_is_seen(loss: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(self_po_entropy.LOSSES, "self_po", loss)  # type: ignore[arg-type]
    monkeypatch.setattr(self_po_entropy, "answer", lambda share, bonus: share)
    seen = failed(FIGURE.compute(points=41, shares=5))
    assert {"difference_is_the_entropy", "self_po_is_margin_times_error", "sure_labels_leave_doubt"} <= seen


@given(st.floats(-30, 30), st.floats(0, 1))
def test_the_slope_is_the_derivative(margin: float, share: float) -> None:
    for name in ("logistic", "self_po"):
        low, high = (float(expected_loss(name, np.array(margin + e), share)) for e in (-1e-5, 1e-5))
        assert expected_slope(name, margin, share) == pytest.approx((high - low) / 2e-5, abs=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.51, 0.99), st.floats(0, 3))
def test_the_answer_is_where_the_loss_is_least(share: float, bonus: float) -> None:
    def loss(m: float) -> float:
        p = expit(m)
        return float(share * np.logaddexp(0, -m) + (1 - share) * np.logaddexp(0, m) - bonus * (entr(p) + entr(1 - p)))

    found = minimize_scalar(loss, bounds=(-3, 8), method="bounded", options={"xatol": 1e-10})
    assert logit(answer(share, bonus)) == pytest.approx(found.x, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 5))
def test_sure_labels_stop_where_silu_is_one_over_the_bonus(bonus: float) -> None:
    p = answer(1.0, bonus)
    assert bonus * p * logit(p) == pytest.approx(1.0, abs=1e-6)


def test_self_po_aims_at_the_floor() -> None:
    assert answer(1.0, 1.0) == pytest.approx(FLOOR_PROBABILITY, abs=1e-12)
