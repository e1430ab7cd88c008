"""The learners: Stable PO inside the probe, and the limits in which it equals other methods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.optional import needs

needs("transformers", "peft")

from dynamics import DPO
from dynamics.language_model import StablePO, add_adapters, differentiable_log_probs
from dynamics.language_model.precision import computing_in
from tests.toy_models.multiplication.conftest import (
    PROMPT,
    SETTINGS,
    LetterTokenizer,
    is_correct,
    probe,
    response_log_probs,
    tiny_model,
)
from toy_models.multiplication.methods import (
    ADAPTER_RANK,
    Descent,
    PairSequences,
    StablePOLearner,
    dot,
    dpo_with_nll,
    learner,
    mean_score,
)
from toy_models.multiplication.probe import ProbeRun, run_probe

SGD = StablePO(optimizer="sgd", learning_rate=(2e-3, 1e-3), inner_steps=2, inner_learning_rate=5e-3)


def stable(settings: StablePO = SGD, steps: int = SETTINGS.steps) -> ProbeRun:
    return probe(replace(SETTINGS, method=settings, steps=steps))


def plain_algorithm(run: ProbeRun, settings: StablePO) -> np.ndarray:
    """Algorithm 1 written out, parameters moved in place and phi put back after the inner loop."""
    model = add_adapters(tiny_model(6).double(), rank=ADAPTER_RANK).model
    with computing_in(model, torch.float64):
        return _in_place(model, run, settings)


def _in_place(model: Any, run: ProbeRun, settings: StablePO) -> np.ndarray:
    x, responses = run.survey.prompt, run.survey.responses
    chosen, rejected = torch.as_tensor(run.chosen), torch.as_tensor(run.rejected)
    named = dict(model.named_parameters())
    theta = [p for name, p in named.items() if "lora_" in name]
    phi = [p for name, p in named.items() if "lora_" not in name]

    def sft(values: torch.Tensor) -> torch.Tensor:
        return -values[chosen].mean()

    record, reference = [], None
    for _ in range(run.settings.steps + 1):
        values = response_log_probs(model, x, responses)
        record.append(values.detach().numpy().copy())
        reference = values.detach() if reference is None else reference
        kept = [p.detach().clone() for p in phi]
        for _ in range(settings.inner_steps):
            down = torch.autograd.grad(sft(response_log_probs(model, x, responses)), phi)
            with torch.no_grad():
                for p, g in zip(phi, down, strict=True):
                    p.sub_(settings.inner_learning_rate * g)
        at_star = torch.autograd.grad(sft(response_log_probs(model, x, responses)), theta)
        with torch.no_grad():
            for p, value in zip(phi, kept, strict=True):
                p.copy_(value)
        values = response_log_probs(model, x, responses)
        ratio = values - reference
        dpo = -torch.nn.functional.logsigmoid(settings.beta * (ratio[chosen] - ratio[rejected])).mean()
        gradients = torch.autograd.grad(dpo + settings.penalty * sft(values), [*theta, *phi])
        with torch.no_grad():
            for p, g, star in zip(theta, gradients, at_star, strict=False):
                p.sub_(settings.learning_rates[0] * (g - settings.penalty * star))
            for p, g in zip(phi, gradients[len(theta) :], strict=True):
                p.sub_(settings.learning_rates[1] * g)
    return np.stack(record)


def test_stable_po_is_the_algorithm_written_out() -> None:
    run = probe(replace(SETTINGS, method=SGD), dtype=torch.float64)
    expected = plain_algorithm(run, SGD)
    np.testing.assert_allclose(run.log_probs, expected, atol=1e-9)
    assert np.abs(expected[-1] - expected[0]).max() > 0.05
    assert len(run.accounts) == SETTINGS.steps
    other = plain_algorithm(run, replace(SGD, penalty=0.5))  # the twin
    assert np.abs(other[-1] - run.log_probs[-1]).max() > 5e-2


@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_the_first_step_of_stable_po_is_predicted(gamma: float) -> None:
    small = replace(SGD, learning_rate=1e-5, gamma=gamma)
    move = stable(small, steps=1).first_move
    assert move is not None
    np.testing.assert_allclose(move.predicted, move.plain, rtol=0.02, atol=2e-7)
    np.testing.assert_allclose(move.plain, move.actual, rtol=0.03, atol=2e-6)
    assert move.sign_is_predicted.all()


def test_nearly_no_inner_loop_and_frozen_adapters_are_dpo_with_nll() -> None:
    """lambda (L_sft - L*_sft) in phi is lambda NLL; theta's share is what is frozen here."""
    frozen = replace(SGD, learning_rate=(0.0, SGD.learning_rates[1]), penalty=1.5)
    twin = probe(replace(SETTINGS, method=Descent(dpo_with_nll(0.5, 1.5), "sgd", SGD.learning_rates[1])))
    np.testing.assert_allclose(stable(frozen).log_probs, twin.log_probs, atol=1e-4)
    dpo = probe(replace(SETTINGS, method=Descent(DPO(beta=0.5), "sgd", SGD.learning_rates[1])))
    np.testing.assert_allclose(stable(replace(frozen, penalty=0.0)).log_probs, dpo.log_probs, atol=1e-4)
    assert np.abs(dpo.log_probs - twin.log_probs).max() > 1e-2


def test_the_rates_are_those_of_the_blocks() -> None:
    run = stable(steps=0)
    everything = run.survey.sequences
    pairs = PairSequences(tuple(everything[i] for i in run.chosen), tuple(everything[i] for i in run.rejected))
    student = learner(tiny_model(6), pairs, SGD)
    assert isinstance(student, StablePOLearner)
    for name in student.gradient():
        assert student.rate(name) == (2e-3 if "lora_" in name else 1e-3)


def test_scores_and_inner_products() -> None:
    run = probe(replace(SETTINGS, steps=0))
    model: Any = tiny_model(6)
    one = mean_score(model, run.survey.sequences[:1])
    assert dot(one, one) == pytest.approx(sum(float(g.double().square().sum()) for g in one.values()))
    size = 1e-4
    with torch.no_grad():
        before = differentiable_log_probs(model, run.survey.sequences[:1])[0]
        for name, parameter in model.named_parameters():
            parameter.add_(size * one[name])
        after = differentiable_log_probs(model, run.survey.sequences[:1])[0]
    assert float(after - before) == pytest.approx(size * dot(one, one), rel=0.05)


def test_half_precision_is_trained_in_float32() -> None:
    run = probe(replace(SETTINGS, steps=0))
    everything = run.survey.sequences
    pairs = PairSequences(everything[:1], everything[1:2])
    student = learner(tiny_model(6).bfloat16(), pairs, Descent())
    assert next(student.model.parameters()).dtype == torch.float32


@pytest.mark.gpu
def test_the_probe_runs_on_a_cuda_device() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for settings in (SETTINGS, replace(SETTINGS, method=replace(SGD, gamma=0.1))):
        model: Any = tiny_model(6).cuda()
        tokenizer: Any = LetterTokenizer()
        there = run_probe(model, tokenizer, PROMPT, is_correct, settings)
        np.testing.assert_allclose(there.mass.sum(1), 1, atol=1e-12)
        here = probe(settings)
        assert there.survey.responses[0] == here.survey.responses[0]
        np.testing.assert_allclose(there.change[-1], here.change[-1], atol=5e-3)
