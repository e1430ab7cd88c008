import random
from fractions import Fraction as F

import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import DPO, InvalidArgument, Preferences, preference_matrix, replicator_fitness
from dynamics.losses import pair_log_probs
from tests.theory.ma2025.samplers import perhaps_trained_bandit, plain_bandit, untrained_bandit
from theory.ma2025.bandits import Bandit, bandit, beats, normalised

exactly = settings(derandomize=True, deadline=None, max_examples=60)


@st.composite
def bandits(draw: st.DrawFn) -> Bandit:
    return bandit(random.Random(draw(st.integers(0, 10**9))))


def log(values: tuple[F, ...]) -> torch.Tensor:
    return torch.tensor([float(v) for v in values], dtype=torch.float64).log()


def table(world: Bandit) -> Preferences:
    n = world.responses
    label = [[float(world.label(i, j)) for j in n] for i in n]
    rate = [[float(world.rate(i, j)) for j in n] for i in n]
    return preference_matrix(label, sampling=torch.tensor(rate, dtype=torch.float64))


@exactly
@given(bandits())
def test_fitness_and_gradient_are_those_of_dynamics(world: Bandit) -> None:
    asked = table(world)
    found = asked.weight.sum() * replicator_fitness(log(world.p), asked, DPO(beta=float(world.beta)), log(world.ref))
    expected = torch.tensor([float(world.beta * w) for w in world.fitness], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@exactly
@given(bandits())
def test_partials_in_free_probabilities_are_those_of_autograd(world: Bandit) -> None:
    x, y = (torch.tensor(float(world.p[k]), dtype=torch.float64, requires_grad=True) for k in (0, 1))
    pair = pair_log_probs(x.log(), y.log(), *log(world.ref)[:2])
    expected = torch.autograd.grad(DPO(beta=float(world.beta)).value(pair), (x, y))
    assert [float(a) for a in world.free_partials(0, 1)] == pytest.approx([float(a) for a in expected], rel=1e-12)


@exactly
@given(bandits())
def test_the_gradient_of_a_pair_in_the_logits_is_that_of_autograd(world: Bandit) -> None:
    s = log(world.p).requires_grad_()
    pair = pair_log_probs(*s.log_softmax(0)[:2], *log(world.ref)[:2])
    (expected,) = torch.autograd.grad(DPO(beta=float(world.beta)).value(pair), s)
    found = torch.tensor([float(a) for a in world.pair_logit_gradient(0, 1)], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@exactly
@given(bandits())
def test_kappas_of_the_two_orders_sum_to_one(world: Bandit) -> None:
    assert all(world.kappa(i, j) + world.kappa(j, i) == 1 for i, j in world.ordered_pairs)
    assert sum(world.fitness) == 0


def test_samplers_draw_what_they_say() -> None:
    source = random.Random(1)
    untrained = [untrained_bandit(source) for _ in range(50)]
    assert all(world.kappa(i, j) == F(1, 2) for world in untrained for i, j in world.ordered_pairs)
    trained = [not any(perhaps_trained_bandit(source).fitness) for _ in range(200)]
    assert 60 < sum(trained) < 140
    plain = [world for world in (plain_bandit(source) for _ in range(200)) if world == Bandit(world.p, world.q)]
    assert 60 < len(plain) < 140


@pytest.mark.parametrize(
    ("p", "q", "argument"),
    [
        ((F(1, 2), F(1, 3)), (F(1), F(1)), "p"),
        ((F(1), F(0)), (F(1), F(1)), "p"),
        ((F(1, 2), F(1, 2)), (F(1),), "q"),
        ((F(1, 2), F(1, 2)), (F(1), F(-1)), "q"),
    ],
)
def test_bad_worlds_are_refused(p: tuple[F, ...], q: tuple[F, ...], argument: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"^{argument}:"):
        Bandit(p, q)


def test_beats_is_the_logistic_function_of_log_odds() -> None:
    assert beats(F(3), F(1), 2) == F(9, 10)
    assert beats(F(1), F(3), 2) == 1 - beats(F(3), F(1), 2)
    assert normalised([1, 2, 5]) == (F(1, 8), F(1, 4), F(5, 8))


def test_a_bandit_prints_in_fractions() -> None:
    assert str(Bandit.of([1, 3], q=[2, 1], asked=[1, 2])) == (
        "p = (1/4, 3/4), q = (2, 1), ref = (1/2, 1/2), asked = (1, 2), beta = 1"
    )
