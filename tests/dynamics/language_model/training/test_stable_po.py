"""Algorithm 1 on a language model against the same algorithm on a forward written out from the weights, in float64."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.optional import needs

needs("transformers", "peft")

from dynamics import InvalidArgument
from dynamics.language_model import (
    PairBatch,
    StablePO,
    add_adapters,
    pair_batch,
    sequence_kernel,
    sequence_log_probs,
    stable_po_state,
    stable_po_step,
)
from dynamics.language_model.precision import computing_in
from dynamics.language_model.training.stable_po import SMALLEST_SQUARE, GradientTerms, lower_level, norm, regularizer
from tests.dynamics.language_model.stable_po_reference import (
    CHOSEN,
    OTHERS,
    RATES,
    REJECTED,
    SETTINGS,
    Case,
    Values,
    distance,
    expected_terms,
    leaves,
    make_case,
    plain_dpo,
    plain_inner,
    plain_log_probs,
    plain_reg,
    plain_sft,
    slope,
    small_model,
    terms_of,
)


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case()


@pytest.fixture(scope="module")
def expected(case: Case) -> GradientTerms:
    return expected_terms(case)


# ---------------------------------------------------------------- the lower level


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_the_lower_level_is_gradient_descent_from_phi(case: Case, steps: int) -> None:
    before = {name: value.clone() for name, value in case.phi.items()}
    with computing_in(case.adapted.model, torch.float64):
        star = lower_level(case.adapted, case.theta, case.phi, case.batch, replace(SETTINGS, inner_steps=steps))
    want = plain_inner(case, steps, SETTINGS.inner_learning_rate)
    assert distance(star, want) < 1e-12
    assert all(torch.equal(case.phi[name], before[name]) for name in before)
    if steps:
        assert distance(plain_inner(case, steps - 1, SETTINGS.inner_learning_rate), want) > 1e-3
        assert plain_sft(case, case.theta, star) < plain_sft(case, case.theta, case.phi)
    else:
        assert all(torch.equal(star[name], before[name]) for name in before)


def test_the_lower_level_sees_the_sft_data(case: Case) -> None:
    batch = replace(case.batch, sft=OTHERS)
    with computing_in(case.adapted.model, torch.float64):
        star = lower_level(case.adapted, case.theta, case.phi, batch, SETTINGS)
    want = plain_inner(case, SETTINGS.inner_steps, SETTINGS.inner_learning_rate, OTHERS)
    assert distance(star, want) < 1e-12
    assert distance(plain_inner(case, SETTINGS.inner_steps, SETTINGS.inner_learning_rate), want) > 1e-3


# ---------------------------------------------------------------- the gradient, term by term

TERMS = ("a", "b", "c", "d", "e_theta", "e_phi")


@pytest.mark.parametrize("term", TERMS)
def test_every_term_is_that_of_the_plain_forward(case: Case, expected: GradientTerms, term: str) -> None:
    found, want = getattr(terms_of(case), term), getattr(expected, term)
    assert norm(want) > 1e-3
    assert distance(found, want) < 1e-9


def test_sums_are_the_gradient_of_the_penalised_objective(case: Case, expected: GradientTerms) -> None:
    theta, phi = leaves(case.theta), leaves(case.phi)
    star = plain_inner(case, SETTINGS.inner_steps, SETTINGS.inner_learning_rate)
    gap = plain_sft(case, theta, phi) - plain_sft(case, theta, star)
    objective = plain_dpo(case, theta, phi) + SETTINGS.penalty * gap + SETTINGS.gamma * plain_reg(case, theta, phi)
    want = slope(objective, theta | phi)
    found = terms_of(case)
    assert distance(found.theta | found.phi, want) < 1e-9


@pytest.mark.parametrize("term", TERMS)
def test_a_term_that_is_dropped_or_turned_round_is_seen(case: Case, expected: GradientTerms, term: str) -> None:
    """The twin of the two tests above."""
    found = terms_of(case)
    block = "theta" if term in ("a", "b", "e_theta") else "phi"
    for factor in (0.0, -1.0):
        wrong = replace(found, **{term: {name: factor * value for name, value in getattr(found, term).items()}})
        assert distance(getattr(wrong, block), getattr(expected, block)) > 1e-3
    assert distance(getattr(found, block), getattr(expected, block)) < 1e-9


def test_lambda_with_the_wrong_sign_is_another_step(case: Case) -> None:
    with pytest.raises(InvalidArgument, match="penalty"):
        replace(SETTINGS, penalty=-1.0)
    right = terms_of(case)
    turned = {name: -value for name, value in right.d.items()}
    up, down = (
        plain_log_probs(case, CHOSEN, case.theta, {n: case.phi[n] - 1e-3 * d[n] for n in d}).mean()
        for d in (right.d, turned)
    )
    start = plain_log_probs(case, CHOSEN, case.theta, case.phi).mean()
    assert down < start < up  # term (d) raises log pi(y_w)


def test_the_derivative_of_the_regularizer_is_that_of_finite_differences(case: Case) -> None:
    generator = torch.Generator().manual_seed(1)

    def at(size: float, direction: Values) -> float:
        theta, phi = ({n: v + size * direction[n] for n, v in values.items()} for values in (case.theta, case.phi))
        with computing_in(case.adapted.model, torch.float64):
            return regularizer(case.adapted, theta, phi, case.batch)[0]

    with computing_in(case.adapted.model, torch.float64):
        value, gradient = regularizer(case.adapted, case.theta, case.phi, case.batch)
    assert value == pytest.approx(plain_reg(case, leaves(case.theta), leaves(case.phi)).item(), rel=1e-10)
    for block in (case.theta, case.phi):
        direction = {
            n: torch.randn(v.shape, generator=generator, dtype=torch.float64) * (n in block)
            for n, v in gradient.items()
        }
        predicted = sum(float((gradient[n] * direction[n]).sum()) for n in gradient)
        size = 1e-5
        assert (at(size, direction) - at(-size, direction)) / (2 * size) == pytest.approx(predicted, rel=1e-5)
        assert abs(predicted) > 1e-3


def test_the_hinge_is_on_the_longer_rejected_and_not_the_other_way(case: Case) -> None:
    turned = replace(case.batch, chosen=case.batch.rejected, rejected=case.batch.chosen)
    with computing_in(case.adapted.model, torch.float64):
        one, two = (regularizer(case.adapted, case.theta, case.phi, b)[0] for b in (case.batch, turned))
        names = "*lora_*"
        case.adapted.write(case.theta | case.phi)
        kernel = sequence_kernel(case.adapted.model, [*CHOSEN, *REJECTED], parameters=names).norms()
    excess = kernel[3:] - kernel[:3]
    assert one == pytest.approx(float(excess.clamp(min=0).mean()), rel=1e-9)
    assert two == pytest.approx(float((-excess).clamp(min=0).mean()), rel=1e-9)
    assert one != pytest.approx(two)


def test_a_score_of_zero_has_a_finite_gradient() -> None:
    """With every adapter at zero no theta has a gradient, and the root of the squared norm no derivative."""
    adapted = add_adapters(small_model(), rank=2)
    theta, phi = adapted.values()
    batch = pair_batch(adapted, CHOSEN, REJECTED)
    zero = {name: torch.zeros_like(value) for name, value in theta.items()}
    with computing_in(adapted.model, torch.float64):
        value, gradient = regularizer(adapted, zero, phi, batch)
    assert value == 0
    assert all(torch.isfinite(g).all() for g in gradient.values())
    square = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (clamped,) = torch.autograd.grad(square.clamp(min=SMALLEST_SQUARE).sqrt(), square)
    (bare,) = torch.autograd.grad(square.sqrt(), square)
    assert torch.isfinite(clamped)
    assert not torch.isfinite(bare)


# ---------------------------------------------------------------- the step


def test_sgd_steps_are_those_of_the_plain_forward(case: Case, expected: GradientTerms) -> None:
    after, account = stable_po_step(case.adapted, case.state, case.batch, RATES)
    theta = {n: v - 1e-2 * expected.theta[n] for n, v in case.theta.items()}
    phi = {n: v - 3e-3 * expected.phi[n] for n, v in case.phi.items()}
    assert (
        distance({n: after.theta[n] - case.theta[n] for n in theta}, {n: theta[n] - case.theta[n] for n in theta})
        < 1e-9
    )
    assert distance({n: after.phi[n] - case.phi[n] for n in phi}, {n: phi[n] - case.phi[n] for n in phi}) < 1e-9
    assert account.norms["b"] == pytest.approx(norm(expected.b))
    assert account.sft == pytest.approx(plain_sft(case, case.theta, case.phi).item())
    assert account.sft_star < account.sft
    assert account.dpo == pytest.approx(plain_dpo(case, case.theta, case.phi).item())
    assert after.iterations == 1


def test_adamw_steps_are_those_of_torch(case: Case) -> None:
    settings = replace(RATES, optimizer="adamw")
    theta, phi = ({n: torch.nn.Parameter(v.clone()) for n, v in b.items()} for b in (case.theta, case.phi))
    groups = [
        {"params": list(theta.values()), "lr": settings.learning_rates[0]},
        {"params": list(phi.values()), "lr": settings.learning_rates[1]},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    state = case.state
    for _ in range(3):
        terms = terms_of(replace(case, theta=state.theta, phi=state.phi), settings)
        for block, gradient in ((theta, terms.theta), (phi, terms.phi)):
            for name, parameter in block.items():
                parameter.grad = gradient[name]
        optimizer.step()
        state, _ = stable_po_step(case.adapted, state, case.batch, settings)
    for mine, torchs in ((state.theta, theta), (state.phi, phi)):
        assert distance(mine, {n: p.detach() for n, p in torchs.items()}) < 1e-9
    assert distance(state.phi, case.phi) > 1e-3


def test_the_update_is_simultaneous(case: Case) -> None:
    """Lines 12 and 13 differentiate at the same point; phi's gradient at the new theta is another one."""
    after, _ = stable_po_step(case.adapted, case.state, case.batch, RATES)
    in_turn = terms_of(replace(case, theta=after.theta), RATES).phi
    moved = {n: (case.phi[n] - after.phi[n]) / RATES.learning_rates[1] for n in case.phi}
    assert distance(moved, terms_of(case, RATES).phi) < 1e-8
    assert distance(moved, in_turn) > 1e-4


def test_a_step_changes_neither_the_model_nor_the_state(case: Case) -> None:
    model = {name: value.clone() for name, value in case.adapted.model.state_dict().items()}
    theta, phi = ({n: v.clone() for n, v in b.items()} for b in (case.theta, case.phi))
    stable_po_step(case.adapted, case.state, case.batch, RATES)
    assert all(torch.equal(model[name], value) for name, value in case.adapted.model.state_dict().items())
    assert all(torch.equal(theta[n], v) for n, v in case.theta.items())
    assert all(torch.equal(phi[n], v) for n, v in case.phi.items())


def test_without_lambda_and_gamma_it_is_dpo_on_both_blocks(case: Case) -> None:
    bare = replace(RATES, penalty=0.0, gamma=0.0)
    terms = terms_of(case, bare)
    theta, phi = leaves(case.theta), leaves(case.phi)
    want = slope(plain_dpo(case, theta, phi), theta | phi)
    assert distance(terms.theta | terms.phi, want) < 1e-9
    assert terms.e_theta is None
    assert distance(terms_of(case, replace(bare, penalty=0.1)).phi, {n: want[n] for n in phi}) > 1e-2


def test_without_inner_steps_theta_does_not_see_lambda(case: Case) -> None:
    still = replace(RATES, inner_steps=0)
    assert norm(terms_of(case, still).b) < 1e-12
    assert norm(terms_of(case, replace(still, inner_steps=1)).b) > 1e-3


def test_term_b_is_to_first_order_half_the_gradient_of_a_squared_gradient(case: Case) -> None:
    """K = 1: lambda eta' grad_theta (||grad_phi L_sft||^2 / 2), which is nearly nothing at eta' = 2e-5."""
    theta, phi = leaves(case.theta), leaves(case.phi)
    down = torch.autograd.grad(plain_sft(case, theta, phi), list(phi.values()), create_graph=True)
    want = slope(torch.stack([g.square().sum() for g in down]).sum() / 2, theta)

    def error(rate: float) -> float:
        term = terms_of(case, replace(RATES, gamma=0.0, inner_steps=1, inner_learning_rate=rate)).b
        return distance({n: v / (SETTINGS.penalty * rate) for n, v in term.items()}, want)

    assert error(1e-6) < 1e-3
    assert error(1e-5) / error(1e-6) == pytest.approx(10, rel=0.05)


def test_it_starts_from_the_model_and_is_written_back() -> None:
    adapted = add_adapters(small_model(), rank=2)
    batch = pair_batch(adapted, CHOSEN, REJECTED)
    state = stable_po_state(adapted)
    before = sequence_log_probs(adapted.model, CHOSEN).total.mean()
    settings = replace(SETTINGS, learning_rate=1e-2, gamma=0.0)
    for _ in range(5):
        state, account = stable_po_step(adapted, state, batch, settings)
    assert sequence_log_probs(adapted.model, CHOSEN).total.mean() == before
    adapted.write(state.theta | state.phi)
    after = sequence_log_probs(adapted.model, CHOSEN).total.mean()
    assert after > before + 0.1
    assert state.iterations == 5
    assert account.dpo < 0.69


def test_half_precision_is_trained_in_float32() -> None:
    adapted = add_adapters(small_model().bfloat16(), rank=2)
    batch = pair_batch(adapted, CHOSEN, REJECTED)
    state = stable_po_state(adapted)
    assert {v.dtype for v in (state.theta | state.phi).values()} == {torch.float32}
    after, _ = stable_po_step(adapted, state, batch, replace(SETTINGS, learning_rate=(1e-5, 1e-6)))
    assert any(not torch.equal(after.phi[n], state.phi[n]) for n in state.phi)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta": 0.0}, "beta"),
        ({"gamma": -0.1}, "gamma"),
        ({"inner_steps": -1}, "inner_steps"),
        ({"learning_rate": (1e-5, float("nan"))}, "learning_rate"),
        ({"learning_rate": (1e-5, 1e-5, 1e-5)}, "learning_rate"),
        ({"optimizer": "lion"}, "optimizer"),
    ],
)
def test_what_cannot_be_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        StablePO(**change)


def test_batches_that_cannot_be_are_named() -> None:
    one = torch.zeros(1, dtype=torch.float64)
    with pytest.raises(InvalidArgument, match="rejected"):
        PairBatch(CHOSEN, REJECTED[:2], one, one)
    with pytest.raises(InvalidArgument, match="reference_chosen"):
        PairBatch(CHOSEN, REJECTED, one, one)
    with pytest.raises(InvalidArgument, match="sft"):
        PairBatch(CHOSEN[:1], REJECTED[:1], one, one, sft=())
    adapted = add_adapters(small_model(), rank=2)
    state = stable_po_state(adapted)
    broken = replace(state, phi={n: v * float("nan") for n, v in state.phi.items()})
    with pytest.raises(InvalidArgument):
        stable_po_step(adapted, broken, pair_batch(adapted, CHOSEN, REJECTED), StablePO())
