import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from dynamics import BDPO, NaiveBDPO
from dynamics.losses import pair_log_probs
from theory.ma2025.decompositions import balanced, naive, slopes

quickly = settings(derandomize=True, deadline=None, max_examples=20)
A, B = sp.symbols("a b", negative=True)
negative = st.fractions(-9, sp.Rational(-1, 10), max_denominator=20).map(
    lambda x: sp.Rational(x.numerator, x.denominator)
)
logs = st.tuples(*[negative] * 4)


def agree(margin: sp.Expr, loss: NaiveBDPO | BDPO, at: tuple[sp.Rational, ...]) -> bool:
    values = {
        A: at[0],
        B: at[1],
        sp.Symbol("frozen_a", negative=True): at[0],
        sp.Symbol("frozen_b", negative=True): at[1],
    }
    pair = pair_log_probs(*(float(x) for x in at))
    wanted = [float(loss.margin(pair)), *(float(a) for a in loss.margin_partials(pair))]
    found = [float(x.subs(values)) for x in (margin, *slopes(margin, A, B))]
    return found == pytest.approx(wanted, rel=1e-11, abs=1e-11)


@quickly
@given(logs, st.sampled_from([1, 2]), st.booleans())
def test_naive_margin_is_that_of_dynamics(at: tuple[sp.Rational, ...], beta: int, symmetric: bool) -> None:
    low, clip = (sp.Rational(-1, 3) if symmetric else 0), sp.Rational(1, 2)
    ratio = 1 + min(max(at[0] - at[1], low), clip)
    assert agree(naive(A, B, at[2], at[3], beta, ratio), NaiveBDPO(float(beta), 0.5, symmetric), at)


@quickly
@given(logs, st.sampled_from([1, 2]), st.booleans())
def test_balanced_margin_is_that_of_dynamics(at: tuple[sp.Rational, ...], beta: int, detach: bool) -> None:
    frozen = sp.symbols("frozen_a frozen_b", negative=True)
    share = frozen[1] / sum(frozen) if detach else B / (A + B)
    assert agree(balanced(A, B, at[2], at[3], beta, share), BDPO(beta=float(beta), detach=detach), at)
