"""The value-function constraint, Eq. (8), and the penalty that replaces it, Eqs. (9) and (66)."""

from __future__ import annotations

import random
from fractions import Fraction as F
from typing import Any

import mpmath as mp
import sympy as sp
from scipy.optimize import brentq
from scipy.special import expit

from theory.claim import CONDITIONALLY, MISPRINT, PROVED, claim
from theory.evidence import ALSO, CONDITIONAL, CORRECTED, FAILS, Evidence
from theory.jian2025.bilevel import label_share, soft_sft

DIGITS = 30  # of mpmath


def excess_loss(case: dict[str, Any]) -> mp.mpf:
    """Return L_sft - L*_sft of a tabular policy: the divergence of the labels' shares q from p, in nats."""
    with mp.workdps(DIGITS):
        return mp.fsum(_mpf(q) * mp.log(_mpf(q / p)) for q, p in zip(case["q"], case["p"], strict=True))


def labels_and_policy(source: random.Random) -> dict[str, Any]:
    """Draw the labels' shares and a policy; in a third of the cases they are equal."""
    n = source.randint(2, 5)
    raw, other = ([source.randint(1, 9) for _ in range(n)] for _ in range(2))
    chosen = raw if source.random() < 1 / 3 else other
    return {"q": tuple(F(a, sum(raw)) for a in raw), "p": tuple(F(a, sum(chosen)) for a in chosen)}


@claim(
    "jian2025.eq-8",
    source="Eq. (8)",
    says=r"L_{\mathrm{sft}}(\theta,\phi)-L^*_{\mathrm{sft}}(\theta)<0",
    verdict=MISPRINT,
    because=r"Nothing is below the least value: as printed no point is feasible. With $\le$ the feasible points are "
    r"the minimisers.",
)
def eq_8(evidence: Evidence) -> None:
    """A tabular policy: the left side is a Kullback-Leibler divergence."""
    evidence.holds(
        lambda case: not excess_loss(case) < 0,
        labels_and_policy,
        role=FAILS,
        control=lambda case: not excess_loss(case) <= 0,
    )
    evidence.holds(
        lambda case: (excess_loss(case) <= 0) == (case["p"] == case["q"]),
        labels_and_policy,
        role=CORRECTED,
        control=lambda case: (excess_loss(case) <= 0.1) == (case["p"] == case["q"]),
    )


@claim(
    "jian2025.eq-8-constraint-qualification",
    source=r"not in the paper; Eq. (8) with $\le$",
    says=r"L_{\mathrm{sft}}(\theta,\phi)\le L^*_{\mathrm{sft}}(\theta)\implies\nabla_\phi\bigl(L_{\mathrm{sft}}-"
    r"L^*_{\mathrm{sft}}\bigr)(\theta,\phi)=0",
    verdict=PROVED,
    proof="Every feasible point is a minimiser. The gradient of the only constraint vanishes at every feasible "
    "point, so that neither Slater's condition nor linear independence holds, and multipliers need not exist.",
)
def eq_8_constraint_qualification(evidence: Evidence) -> None:
    """In a table the gradient of the SFT loss is p - q."""
    phi = sp.symbols("phi", real=True)

    def vanishes(share: F, shift: int = 0) -> bool:
        q = sp.Rational(share.numerator, share.denominator)
        return bool(sp.simplify(sp.diff(soft_sft(q, phi), phi).subs(phi, sp.log(q / (1 - q)) + shift)) == 0)

    evidence.holds(vanishes, label_share, worlds=8, control=lambda q: vanishes(q, shift=1))


def penalised_minimum(penalty: float, beta: float = 0.5, power: int = 1) -> float:
    """Return W of the least L_dpo + penalty x (L_sft - L*_sft)^power, pi_w = sigma(W), SFT labels half and half.

    Example:
        >>> round(penalised_minimum(5.0), 4), round(penalised_minimum(100.0), 6)
        (0.191, 0.009975)
    """

    def slope(w: float) -> float:
        excess = float(mp.log(mp.cosh(w / 2)))
        sft = (float(expit(w)) - 0.5) * (1 if power == 1 else power * excess ** (power - 1))
        return float(-beta * expit(-beta * w) + penalty * sft)

    return float(brentq(slope, 0.0, 20.0, xtol=1e-14))


@claim(
    "jian2025.eq-9",
    source="Eqs. (9) and (66): transforming it into an unconstrained optimization problem",
    says=r"\arg\min_{\theta,\phi}\ "
    r"L_{\mathrm{dpo}}+\lambda\,(L_{\mathrm{sft}}-L^*_{\mathrm{sft}})=\arg\min_{\theta,\phi}\{L_{\mathrm{dpo}}:L_{\mathrm{sft}}=L^*_{\mathrm{sft}}\}",
    assumes=r"$\lambda\to\infty$",
    verdict=CONDITIONALLY,
    because=r"Near a feasible point the penalty is flat, while $L_{\mathrm{dpo}}$ has a slope: for no finite "
    r"$\lambda$ is the solution feasible. With two responses, labels half and half and logit $W$, Eq. (7) wants "
    r"$W=0$ and Eq. (9) has $W\approx 2\beta/\lambda$.",
    proof=r"$\beta\sigma(-\beta W)=\lambda(\sigma(W)-\frac12)$, so that $W=2\beta/\lambda+O(\lambda^{-2})$.",
)
def eq_9(evidence: Evidence) -> None:
    """The slope at the constrained solution is not 0; the gap is of order 1 / lambda."""
    w, beta, penalty = sp.symbols("W beta lambda", positive=True)

    def stationary(case: dict[str, Any]) -> bool:  # of the constrained solution W = 0, for a share of pairs w over l
        dpo = soft_sft(case["share of pairs w > l"], beta * w)
        total = dpo + penalty * soft_sft(sp.Rational(1, 2), w)
        slope = sp.diff(total, w).subs({w: 0, beta: sp.Rational(1, 2), penalty: case["lambda"]})
        return bool(sp.simplify(slope) == 0)

    evidence.fails(
        stationary,
        at={"lambda": 5, "share of pairs w > l": sp.Integer(1)},
        control={"lambda": 5, "share of pairs w > l": sp.Rational(1, 2)},
    )
    evidence.slope(
        lambda size: penalised_minimum(1 / size),
        1,
        control=lambda size: penalised_minimum(1 / size, power=2),
        role=CONDITIONAL,
    )
    evidence.slope(
        lambda size: abs(penalised_minimum(1 / size) - 2 * 0.5 * size),
        2,
        control=lambda size: abs(penalised_minimum(1 / size) - 0.5 * size),
        sizes=(3e-2, 1e-2, 3e-3, 1e-3),
        role=ALSO,
    )


def descent(case: dict[str, Any]) -> mp.mpf:
    """Return L_sft(phi) - L_sft(phi^(K)) after K steps of gradient descent, two responses, pi = sigma(phi)."""
    with mp.workdps(DIGITS):
        q, phi, rate = (_mpf(F(case[name])) for name in ("q", "phi", "rate"))

        def loss(at: mp.mpf) -> mp.mpf:
            return q * mp.log1p(mp.exp(-at)) + (1 - q) * mp.log1p(mp.exp(at))

        end = phi
        for _ in range(case["K"]):
            end -= rate * (1 / (1 + mp.exp(-end)) - q)
        return loss(phi) - loss(end)


def inner_run(source: random.Random) -> dict[str, Any]:
    """Draw labels, a start, a learning rate up to 2 / (1/4) and a number of inner steps."""
    rate, q = F(source.randint(1, 32), 4), F(source.randint(1, 9), 10)
    return {"q": q, "phi": F(source.randint(-40, 40), 10), "rate": rate, "K": source.randint(1, 5)}


@claim(
    "jian2025.eq-9-penalty",
    source=r"Eq. (9) as Algorithm 1 evaluates it, with $\phi'^{(K)}$ for $\phi^*$",
    says=r"L_{\mathrm{sft}}(\theta,\phi)-L_{\mathrm{sft}}(\theta,\phi'^{(K)})\ge 0",
    assumes=r"$\eta_{\phi'}\le 2/\ell$ with $\ell$ the smoothness of $L_{\mathrm{sft}}$ in $\phi$; with the true "
    r"$L^*_{\mathrm{sft}}$ it holds by definition",
    verdict=CONDITIONALLY,
    because="With a larger learning rate the inner loop climbs, and the penalty becomes a reward.",
    proof=r"Descent lemma: a step changes the loss by at most $-\eta(1-\ell\eta/2)\|\nabla\|^2\le 0$.",
)
def eq_9_penalty(evidence: Evidence) -> None:
    """Two responses, smoothness 1/4: a rate of 16 overshoots, rates up to 8 do not."""

    def statement(case: dict[str, Any]) -> bool:
        return bool(descent(case) >= 0)

    start = {"q": F(1, 2), "phi": F(7, 10), "K": 1}
    evidence.fails(statement, at={**start, "rate": 16}, control={**start, "rate": 8})
    evidence.holds(
        statement,
        inner_run,
        role=CONDITIONAL,
        worlds=200,
        control=lambda case: statement({**case, "rate": 2 * case["rate"]}),
    )


def _mpf(q: F) -> mp.mpf:
    return mp.mpf(q.numerator) / q.denominator
