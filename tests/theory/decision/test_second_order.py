"""Second derivatives and the end of the flow, against a log-linear policy in floating point, and conjectures."""

import math
import random

import pytest
from hypothesis import given, strategies as st

from dynamics.errors import InvalidArgument
from theory import decide
from theory.decision.second_order import second_derivatives, second_order
from theory.evidence import fitted_order
from theory.proof import holds_at, prove
from theory.proof.families import LOG_LINEAR, draw_policy
from theory.proof.settings import beside
from theory.worlds import log_linear


@beside(LOG_LINEAR, "nothing beside it")
def few(_) -> int:
    """Nothing beside it."""
    return 0


def probabilities(w, s: float) -> list[float]:
    weights = [float(q) * math.exp(s * float(w.drive(y))) for y, q in enumerate(w.p)]
    return [a / sum(weights) for a in weights]


def test_the_expansion_is_of_second_order() -> None:
    """The residual vanishes with the cube of the step; without the second derivative with its square."""
    for seed in range(3):
        w = second_derivatives(draw_policy(random.Random(seed)))
        if w.dd == 0:
            continue
        sizes = [size / float(max(abs(w.drive(y)) for y in w.responses)) for size in (3e-2, 1e-2, 3e-3)]

        def residual(s: float, w=w, factor: float = 0.5) -> float:
            expanded = [
                float(q) + s * float(w.change(y)) + factor * s * s * float(w.second_change(y))
                for y, q in enumerate(w.p)
            ]
            return max(abs(a - b) for a, b in zip(probabilities(w, s), expanded, strict=True))

        assert fitted_order(residual, sizes) > 2.8
        assert abs(fitted_order(lambda s: residual(s, factor=0.0), sizes) - 2) < 0.1


@given(st.integers(0, 10**6))
def test_the_flow_ends_at_the_largest_drive(seed: int) -> None:
    w = second_derivatives(draw_policy(random.Random(seed)))
    assert sum(w.second_change(y) for y in w.responses) == 0
    gaps = [float(w.T - w.drive(y)) for y in w.responses if w.drive(y) < w.T]
    if not gaps:
        return
    end = probabilities(w, 40 / min(gaps)) if 40 / min(gaps) * float(max(abs(w.T), 1)) < 600 else None
    if end is not None:
        assert all((q < 1e-6) == (w.drive(y) < w.T) for y, q in enumerate(end))


CONJECTURES = [
    ("the variance is at least the pair's part", lambda w: w.p_w * w.A_w**2 + w.p_l * w.A_l**2 <= w.V, False, "proved"),
    ("the chosen response has the largest drive", lambda w: w.A_w == w.T, False, "refuted"),
    ("it has in a table", lambda w: w.A_w == w.T, True, "proved"),
    ("the chosen response rises ever more slowly", lambda w: w.S_w <= 0, False, "refuted"),
    (
        "a chosen response above one half that rises, rises ever more slowly in a table",
        lambda w: w.S_w <= 0 or w.p_w < w.p_l,
        True,
        "refuted",
    ),
    ("some response rises, unless nothing moves", lambda w: w.T > 0 or w.dd == 0, False, "proved"),
    ("the largest drive is the largest", lambda w: w.A_y <= w.T, False, "proved"),
    ("the variance is at most a quarter of the squared margin", lambda w: w.dd**2 >= 4 * w.V, False, "refuted"),
    (
        "the rejected response of a table falls for good",
        lambda w: w.A_l < w.T,
        True,
        "proved",
    ),
]


@pytest.mark.parametrize(("words", "conjecture", "tabular", "verdict"), CONJECTURES, ids=[c[0] for c in CONJECTURES])
def test_conjectures_to_second_order(words: str, conjecture, tabular: bool, verdict: str) -> None:
    decision = decide(conjecture, second_order(tabular=tabular), worlds=20)
    assert decision.verdict == verdict, (words, decision)
    if verdict == "refuted":
        assert holds_at(conjecture, decision.case) is False
        assert "second derivatives of p" in str(decision)
        assert "V = " in decision._repr_latex_()


def test_two_steps() -> None:
    assert decide(lambda w: w.after(2).after(3).p_w <= w.p_w or w.A_w > 0, worlds=10).verdict == "proved"
    assert decide(lambda w: w.after(2).after(3).p_w >= w.after(2).p_w, worlds=10).verdict == "refuted"
    steps = decide(lambda case: case[0].after(2).after(3).p_w == case[0].after(6).p_w, few, worlds=5)
    assert steps.verdict == "proved"


def test_symbols_cannot_be_told_from_fractions() -> None:
    with pytest.raises(TypeError):
        prove(lambda w: "V" not in vars(w), second_order())


@pytest.mark.parametrize(
    ("conjecture", "verdict"),
    [
        (lambda w: w.after(2).after(3).p_w == w.after(6).p_w, "proved"),
        (lambda w: w.after(2).after(3).A_y == w.after(6).A_y, "proved"),
        (lambda w: w.after(2).after(3).p_y == w.after(3).after(2).p_y, "proved"),
        (lambda w: w.after(2).after(3).p_w == w.after(5).p_w, "refuted"),
        (lambda w: w.after(2).after(3).p_l < w.after(6).p_l, "refuted"),
    ],
)
def test_two_steps_are_the_step_with_the_product_of_their_factors(conjecture, verdict: str) -> None:
    assert decide(conjecture, worlds=20).verdict == verdict


def test_two_steps_of_exact_worlds_are_one() -> None:
    source = random.Random(3)
    for world in (log_linear(source) for _ in range(40)):
        assert world.after(2).after(3).p == world.after(6).p


def test_names_of_a_plain_world_are_not_passed_through_to_second_order() -> None:
    with pytest.raises(InvalidArgument, match="a world to second order has no urgency"):
        decide(lambda w: w.urgency > 0, second_order(), worlds=3)
    assert decide(lambda w: w.after(2).V >= 0, second_order(tabular=True), worlds=10).verdict == "proved"
