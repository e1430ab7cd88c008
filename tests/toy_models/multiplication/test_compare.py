"""Methods at equal step and equal margin, and the spread over draws."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from tests.optional import needs

needs("transformers", "peft")

from rich.console import Console

from dynamics import DPO, InvalidArgument, PreferenceLoss
from dynamics.language_model import StablePO
from tests.toy_models.multiplication.conftest import SETTINGS, LetterTokenizer, is_correct, probe, tiny_model
from toy_models.multiplication.compare import (
    common_margin,
    compare,
    draw_rules,
    predict_first_move,
    run_draws,
    run_methods,
    standard_methods,
)
from toy_models.multiplication.methods import Descent, Method, dpo_with_nll
from toy_models.multiplication.probe import CHOSEN, REJECTED, UNSAMPLED, Y_STAR, ProbeRun, follow
from toy_models.multiplication.report import describe, write_comparison, write_draws, write_report
from toy_models.multiplication.survey import Survey, survey

METHODS: dict[str, Method] = {
    "DPO": Descent(DPO(beta=0.5), "sgd", 1e-3),
    "NLL": Descent(dpo_with_nll(), "sgd", 1e-3),
}


@pytest.fixture(scope="module")
def surveyed() -> Survey:
    return survey(tiny_model(6), LetterTokenizer(), "bcb", is_correct, SETTINGS.survey)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runs(surveyed: Survey) -> dict[str, ProbeRun]:
    return run_methods(tiny_model(6), surveyed, SETTINGS, METHODS)


def handmade(change: np.ndarray) -> ProbeRun:
    """Return a run of three responses (chosen, rejected, y*) with given changes."""
    surveyed = Survey(
        (2,), ((3, 1), (4, 1), (5, 1)), ("w", "l", "*"), np.log([0.2, 0.1, 0.4]), np.array([True, False, False]), 2,
        True, 0,
    )  # fmt: skip
    group = np.array([CHOSEN, REJECTED, Y_STAR])
    log_probs = surveyed.log_probs + change
    return ProbeRun(SETTINGS, surveyed, np.array([0]), np.array([1]), group, log_probs, None)


def test_equal_margin_is_interpolated_between_steps() -> None:
    run = handmade(np.array([[0, 0, 0], [0.1, -0.9, 0.4], [0.0, -3.0, -0.6]]))
    np.testing.assert_allclose(run.margin, [0, 1, 3])
    np.testing.assert_allclose(run.at_margin(2.0, run.change), [0.05, -1.95, -0.1])
    np.testing.assert_allclose(run.at_margin(0.0, run.change), 0)
    np.testing.assert_allclose(run.at_margin(2.0, np.arange(3.0)), 1.5)
    assert np.isnan(run.at_margin(3.01, run.change)).all()
    assert run.at_margin(2.0, run.mass).sum() == pytest.approx(1)


def test_the_first_crossing_counts_when_the_margin_falls_back() -> None:
    run = handmade(np.array([[0, 0, 0], [0, -2.0, 0.5], [0, -1.0, 0.1], [0, -2.5, 0.9]]))
    np.testing.assert_allclose(run.at_margin(1.5, np.arange(4.0)), 0.75)


def test_a_comparison_says_what_its_runs_say(runs: dict[str, ProbeRun]) -> None:
    found = compare(runs)
    assert found.margin == pytest.approx(min(run.margin.max() for run in runs.values())) == common_margin(found.runs)
    for i, run in enumerate(runs.values()):
        np.testing.assert_array_equal(found.change_at_step[i], run.change[-1])
        np.testing.assert_array_equal(found.mass_at_step[i], run.mass[-1])
        assert found.change_at_margin[i, 0] - found.change_at_margin[i, 1] == pytest.approx(found.margin)
        assert found.mass_at_margin[i].sum() == pytest.approx(1)
        assert found.mass_at_margin[i, UNSAMPLED] > 0
    assert found.change_at_margin[1, 0] > found.change_at_margin[0, 0] + 1e-3  # what NLL is for
    beyond = compare(runs, margin=100.0)
    assert np.isnan(beyond.change_at_margin).all()
    assert np.isnan(beyond.step_at_margin).all()


def test_runs_that_cannot_be_compared_are_named(runs: dict[str, ProbeRun], surveyed: Survey) -> None:
    shorter = follow(tiny_model(6), surveyed, replace(SETTINGS, steps=2))
    with pytest.raises(InvalidArgument, match="runs"):
        compare({"one": runs["DPO"], "two": shorter})
    with pytest.raises(InvalidArgument, match="runs"):
        compare({"one": runs["DPO"], "two": probe()})  # of another survey
    with pytest.raises(InvalidArgument, match="runs"):
        compare({})


def test_the_standard_methods_share_their_settings() -> None:
    methods = standard_methods(StablePO(beta=0.3, penalty=2.0, gamma=0.1, learning_rate=1e-4, optimizer="sgd"))
    assert len(methods) == 5
    dpo = methods["DPO"]
    assert isinstance(dpo, Descent)
    assert dpo.loss == DPO(beta=0.3)
    assert (dpo.learning_rate, dpo.optimizer) == (1e-4, "sgd")
    stable = [method for method in methods.values() if isinstance(method, StablePO)]
    assert [(m.gamma, m.inner_steps) for m in stable] == [(0.0, 1), (0.0, 5), (0.1, 1)]
    assert describe(methods["DPO + 2 NLL"]) == "DPO (beta 0.3) + 2 NLL, SGD, learning rate 0.0001"


def test_watchers_hear_of_every_update(surveyed: Survey) -> None:
    heard: list[tuple[str, int]] = []
    run_methods(
        tiny_model(6), surveyed, replace(SETTINGS, steps=2), METHODS, lambda name, step: heard.append((name, step))
    )
    assert heard == [("DPO", 1), ("DPO", 2), ("NLL", 1), ("NLL", 2)]


# ---------------------------------------------------------------- the kernel before training


@pytest.mark.parametrize(
    "method",
    [
        Descent(DPO(beta=0.5), "sgd", 1e-3),
        Descent(dpo_with_nll(0.5, 2.0), "adamw", 1e-5),
        StablePO(optimizer="sgd", learning_rate=(3e-3, 1e-3), inner_steps=0),
    ],
)
def test_the_kernel_predicts_what_the_gradients_do(surveyed: Survey, method: Method) -> None:
    rules = draw_rules(2, pairs=3)
    found = predict_first_move(tiny_model(6), surveyed, rules, method)
    for row, rule in zip(found, rules, strict=True):
        move = follow(tiny_model(6), surveyed, replace(SETTINGS, rule=rule, method=method, steps=1)).first_move
        assert move is not None
        np.testing.assert_allclose(row, move.plain, rtol=1e-3, atol=1e-7)
    other: PreferenceLoss = DPO(beta=0.25)  # the twin
    assert not np.allclose(
        found, predict_first_move(tiny_model(6), surveyed, rules, Descent(other, "sgd", 1e-3)), rtol=0.05
    )


def test_what_the_kernel_leaves_out_of_stable_po_is_small(surveyed: Survey) -> None:
    """Term (b) is not in the kernel: with the paper's inner learning rate its sign does not matter."""
    method = StablePO(optimizer="sgd", inner_learning_rate=2e-5, inner_steps=1)
    (rule,) = draw_rules(1, pairs=3)
    move = follow(tiny_model(6), surveyed, replace(SETTINGS, rule=rule, method=method, steps=1)).first_move
    assert move is not None
    np.testing.assert_allclose(predict_first_move(tiny_model(6), surveyed, [rule], method)[0], move.plain, rtol=0.02)


# ---------------------------------------------------------------- draws


def test_draws_are_runs_of_their_rules(surveyed: Survey) -> None:
    rules = draw_rules(3, pairs=3)
    found = run_draws(tiny_model(6), surveyed, rules, SETTINGS)
    alone = follow(tiny_model(6), surveyed, replace(SETTINGS, rule=rules[1]))
    assert alone.first_move is not None
    np.testing.assert_array_equal(found.change[1], alone.change[-1])
    np.testing.assert_array_equal(found.first[1], alone.first_move.actual)
    assert found.peak[1] == alone.change[:, 2].max()
    assert found.rejected[1] == tuple(surveyed.texts[i] for i in alone.rejected)
    assert found.rejected_mass[1] == pytest.approx(alone.mass[0, REJECTED])
    np.testing.assert_allclose(found.change_at_margin[:, 0] - found.change_at_margin[:, 1], found.margin)
    counts = found.counts()
    assert counts["at the last step"]["y* up"] == int((found.change[:, 2] > 0).sum())
    assert counts["predicted by the kernel"]["D_l down"] == 3
    assert all(count["all three"] <= min(list(count.values())[:3]) for count in counts.values())
    assert 0 <= found.predicted_signs <= 3
    turned = replace(found, predicted=-found.first)
    assert turned.predicted_signs == 0
    with pytest.raises(InvalidArgument, match="rules"):
        run_draws(tiny_model(6), surveyed, [], SETTINGS)
    with pytest.raises(InvalidArgument, match="steps"):
        run_draws(tiny_model(6), surveyed, rules, replace(SETTINGS, steps=0))


def test_reports_are_read_at_eighty_columns(surveyed: Survey, runs: dict[str, ProbeRun]) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    draws = run_draws(tiny_model(6), surveyed, draw_rules(2, pairs=3), replace(SETTINGS, steps=2))
    for report in (
        write_comparison(compare(runs, margin=1e6), "?"),
        write_draws(draws, "?"),
        write_report(runs["DPO"], "?"),
    ):
        console.print(report)
    text = console.export_text()
    assert "…" not in text
    assert "never" in text
    assert "uniform 0" in text
