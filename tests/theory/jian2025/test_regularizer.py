"""The slopes of |g_l| - |g_w| with two responses, against derivatives of the policy by SymPy."""

import pytest
import sympy as sp

from theory.jian2025.regularizer import PRODUCT, SUM, TWICE, slope_of_the_gap
from theory.proof.balls import midpoint

THETA, PHI = sp.symbols("theta phi", real=True)


@pytest.mark.parametrize(
    ("log_odds", "at", "case"),
    [
        (THETA + PHI, {THETA: sp.log(2), PHI: 0}, SUM),
        (THETA + 2 * PHI, {THETA: sp.log(2), PHI: 0}, TWICE),
        (THETA * PHI, {THETA: 1, PHI: sp.log(2)}, PRODUCT),
    ],
)
def test_slope_of_the_gap(log_odds: sp.Expr, at: dict, case) -> None:
    log_w, log_l = -sp.log(1 + sp.exp(-log_odds)), -sp.log(1 + sp.exp(log_odds))

    def slope(by: sp.Symbol) -> float:  # d/dphi of |d log pi_l / d by| - |d log pi_w / d by|
        total = 0
        for log_pi, sign in ((log_l, 1), (log_w, -1)):
            g = sp.diff(log_pi, by)
            total += sign * sp.diff(g, PHI).subs(at) * sp.sign(g.subs(at))
        return float(total)

    true = slope_of_the_gap(case.p, case.theta, case.phi, case.theta_phi)
    printed = slope_of_the_gap(case.p, case.phi, case.phi, case.phi_phi)
    assert (midpoint(true), midpoint(printed)) == pytest.approx((slope(THETA), slope(PHI)))
