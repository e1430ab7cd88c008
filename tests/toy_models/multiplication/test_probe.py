"""The probe against a second, plain implementation on a model whose responses can be counted."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from tests.optional import needs

needs("transformers")

from dynamics import DPO
from tests.toy_models.multiplication.conftest import (
    END,
    PROMPT,
    SETTINGS,
    LetterTokenizer,
    is_correct,
    is_wrong,
    probe,
    response_log_probs,
    tiny_model,
)
from toy_models.multiplication.methods import Descent, dpo_with_nll
from toy_models.multiplication.probe import (
    CHOSEN,
    GROUPS,
    REJECTED,
    UNSAMPLED,
    Y_STAR,
    ProbeRun,
    run_probe,
)
from toy_models.multiplication.report import verdict, write_report


def trained(rate: float, optimizer: str = "sgd", loss: Any = None, steps: int = SETTINGS.steps) -> ProbeRun:
    method = Descent(DPO(beta=0.5) if loss is None else loss, optimizer, rate)  # type: ignore[arg-type]
    return probe(replace(SETTINGS, method=method, steps=steps))


@pytest.fixture(scope="module")
def run() -> ProbeRun:
    return probe()


def plain_training(run: ProbeRun, model: Any, nll: float = 0.0) -> tuple[np.ndarray, Any]:
    """DPO written out: gradient steps on the mean over pairs of -log sigma(beta (log-ratio - log-ratio at start))."""
    model = copy.deepcopy(model)
    x, responses, beta = run.survey.prompt, run.survey.responses, 0.5
    w, rejected = torch.as_tensor(run.chosen), torch.as_tensor(run.rejected)
    record, reference = [], None
    for _ in range(run.settings.steps + 1):
        scores = response_log_probs(model, x, responses)
        record.append(scores.detach().numpy().copy())
        reference = scores.detach() if reference is None else reference
        ratio = scores - reference
        loss = -logsigmoid(beta * (ratio[w] - ratio[rejected])).mean() - nll * scores[w].mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        if len(record) <= run.settings.steps:
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter.sub_(run.settings.method.learning_rate * gradient)
    return np.stack(record), model


def test_training_is_that_of_the_plain_implementation(run: ProbeRun) -> None:
    expected, _ = plain_training(run, tiny_model(6))
    np.testing.assert_allclose(run.log_probs, expected, atol=1e-4)
    assert np.abs(expected[-1] - expected[0]).max() > 0.05


def test_a_likelihood_term_is_that_of_the_plain_implementation() -> None:
    with_nll = trained(3e-4, loss=dpo_with_nll(0.5, 2.0))
    expected, _ = plain_training(with_nll, tiny_model(6), nll=2.0)
    np.testing.assert_allclose(with_nll.log_probs, expected, atol=1e-4)
    assert with_nll.change[-1, 0] > trained(3e-4).change[-1, 0] + 0.01


@pytest.mark.parametrize("step", [0, -1])
def test_the_six_masses_are_those_of_counting_every_response(run: ProbeRun, step: int) -> None:
    """What was not sampled is one minus the rest in the probe; here it is summed up, with what has no end yet."""
    model = tiny_model(6) if step == 0 else plain_training(run, tiny_model(6))[1]
    letters, longest = [0, 2, 3, 4], 5
    finished = [(*word, END) for n in range(longest) for word in product(letters, repeat=n)]
    with torch.no_grad():
        p = response_log_probs(model, run.survey.prompt, finished).exp().numpy()
        going_on = float(
            response_log_probs(model, run.survey.prompt, list(product(letters, repeat=longest))).exp().sum()
        )
    followed = {y: int(g) for y, g in zip(run.survey.responses, run.group, strict=True) if len(y) <= longest}
    long = np.exp(run.log_probs[step])[[len(y) > longest for y in run.survey.responses]].sum()
    masses = np.zeros(len(GROUPS))
    for y, probability in zip(finished, p, strict=True):
        masses[followed.get(y, UNSAMPLED)] += probability
    assert run.mass[step, UNSAMPLED] + long == pytest.approx(masses[UNSAMPLED] + going_on, abs=1e-4)
    assert run.mass[step, [CHOSEN, REJECTED, Y_STAR]] == pytest.approx(
        masses[[CHOSEN, REJECTED, Y_STAR]]
        + [
            np.exp(run.log_probs[step])[
                [len(y) > longest and g == k for y, g in zip(run.survey.responses, run.group, strict=True)]
            ].sum()
            for k in (CHOSEN, REJECTED, Y_STAR)
        ],
        abs=1e-4,
    )


def test_masses_sum_to_one_and_none_is_negative(run: ProbeRun) -> None:
    assert run.mass.shape == (SETTINGS.steps + 1, 6)
    np.testing.assert_allclose(run.mass.sum(1), 1, atol=1e-12)
    assert (run.mass > -1e-7).all()
    assert (run.mass[:, UNSAMPLED] > 0.001).all()


def test_the_groups(run: ProbeRun) -> None:
    surveyed = run.survey
    assert not surveyed.is_void
    assert surveyed.y_star_is_exact
    assert len(set(surveyed.responses)) == len(surveyed.responses)
    assert (np.diff(surveyed.log_probs) <= 0).all()
    assert list(np.flatnonzero(run.group == Y_STAR)) == [surveyed.y_star] == [0]
    assert set(np.flatnonzero(run.group == CHOSEN)) == set(run.chosen)
    assert set(np.flatnonzero(run.group == REJECTED)) == set(run.rejected)
    assert all(is_correct(surveyed.texts[i]) for i in run.chosen)
    assert not any(is_correct(surveyed.texts[i]) for i in run.rejected)
    assert surveyed.y_star not in {*run.chosen, *run.rejected}
    np.testing.assert_allclose(run.log_probs[0], surveyed.log_probs, atol=1e-6)
    assert run.margin == pytest.approx(run.change[:, 0] - run.change[:, 1])


def test_a_right_y_star_makes_the_story_void() -> None:
    void = probe(correct=is_wrong)
    assert void.survey.is_void
    assert void.survey.y_star not in {*void.chosen, *void.rejected}
    assert (void.group == CHOSEN).sum() == SETTINGS.rule.pairs
    assert "not the pattern" in verdict(void)
    assert any("y* is right" in str(part) for part in write_report(void, "?").renderables)


# ---------------------------------------------------------------- the first move


def materialised_slopes(run: ProbeRun, model: Any) -> np.ndarray:
    """Return beta / 2 g_y . (mean g_w - mean g_l) for the mean of D_w, of D_l, and y*, every gradient on its own."""

    def gradient(index: int) -> torch.Tensor:
        x, y = run.survey.prompt, torch.tensor(run.survey.responses[index])
        logits = model(input_ids=torch.tensor([[*x, *y[:-1]]])).logits[0, len(x) - 1 :]
        score = logits.log_softmax(-1).gather(1, y.unsqueeze(1)).sum()
        return torch.cat([g.flatten() for g in torch.autograd.grad(score, list(model.parameters()))]).double()

    g_w, g_l = (torch.stack([gradient(i) for i in side]).mean(0) for side in (run.chosen, run.rejected))
    return np.array([float(0.25 * g @ (g_w - g_l)) for g in (g_w, g_l, gradient(run.survey.y_star))])


def test_the_slope_is_the_drive_of_the_papers(run: ProbeRun) -> None:
    assert run.first_move is not None
    expected = materialised_slopes(run, tiny_model(6))
    np.testing.assert_allclose(run.first_move.plain, 1e-3 * expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_first_step_is_as_predicted_when_it_is_small(optimizer: str) -> None:
    rate = 1e-4 if optimizer == "sgd" else 1e-5
    move = trained(rate, optimizer, steps=1).first_move
    assert move is not None
    np.testing.assert_allclose(move.predicted, move.actual, rtol=0.03, atol=2e-6)
    assert np.abs(move.actual).max() > 1e-4
    if optimizer == "sgd":
        np.testing.assert_allclose(move.predicted, move.plain, rtol=0.01, atol=1e-6)
        assert move.sign_is_predicted.all()


def test_a_padding_token_inside_a_response_has_its_gradient() -> None:
    """Autograd leaves the embedding of a padding token out, and with tied embeddings the step moves it all the same."""
    model = tiny_model(11, padding=0)
    with torch.no_grad():  # it starts as a row of zeros, where RMSNorm is so curved that no step is small
        model.get_input_embeddings().weight[0] = tiny_model(11).get_input_embeddings().weight[0]
    small = replace(SETTINGS, method=Descent(DPO(beta=0.5), "sgd", 1e-5), steps=1)
    run = run_probe(model, LetterTokenizer(), PROMPT, is_correct, small)  # type: ignore[arg-type]
    assert run.first_move is not None
    assert sum("a" in run.survey.texts[i] for i in [*run.chosen, *run.rejected]) >= 2
    np.testing.assert_allclose(run.first_move.predicted, run.first_move.actual, rtol=0.03, atol=2e-6)
    without = materialised_slopes(run, model)
    assert (np.abs(1e-5 * without - run.first_move.plain) > 0.3 * np.abs(run.first_move.plain)).any()


def test_the_prediction_misses_a_large_step() -> None:
    """The twin: first order is first order."""
    move = trained(0.3, steps=1).first_move
    assert move is not None
    assert (np.abs(move.predicted - move.actual) > 0.3 * np.abs(move.actual)).any()


def test_no_step_no_move() -> None:
    still = probe(replace(SETTINGS, steps=0))
    assert still.first_move is None
    assert still.log_probs.shape[0] == 1
    assert (still.change == 0).all()


def test_the_model_is_left_as_it_was_and_a_seed_says_all() -> None:
    model = tiny_model(6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen: list[int] = []
    first = run_probe(model, LetterTokenizer(), PROMPT, is_correct, SETTINGS, seen.append)  # type: ignore[arg-type]
    second = run_probe(model, LetterTokenizer(), PROMPT, is_correct, SETTINGS)  # type: ignore[arg-type]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert np.array_equal(first.log_probs, second.log_probs)
    assert seen == list(range(1, SETTINGS.steps + 1))
    assert not np.array_equal(
        first.survey.responses, probe(replace(SETTINGS, survey=replace(SETTINGS.survey, seed=1))).survey.responses
    )
