"""Balanced DPO, Eqs. 28-30: which labels it can fit, and Proposition 1 on the balance of its two partials."""

from __future__ import annotations

import random
from fractions import Fraction as F
from functools import partial
from typing import NamedTuple

import mpmath
import sympy as sp
import torch

from dynamics.losses import BDPO, DPO
from theory.claim import PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.ma2025.training import drift, resting_points

# log-probabilities of policy and reference, symbolic; u and v are copies that no gradient sees
A, B, REF_A, REF_B, FROZEN_A, FROZEN_B = sp.symbols("a b ref_w ref_l u v", negative=True)
BETA = sp.symbols("beta", positive=True)


def margin(detach: bool = False) -> sp.Expr:
    """Return the margin f of Eqs. 28 and 29 in a = log pi_w, b = log pi_l and the reference's; beta in front."""
    share = FROZEN_B / (FROZEN_A + FROZEN_B) if detach else B / (A + B)
    return BETA * (share * (A - REF_A) - (1 - share) * (B - REF_B))


def slopes(detach: bool) -> tuple[sp.Expr, sp.Expr]:
    """Return df/da and df/db, the copies put back in."""
    found = (sp.diff(margin(detach), x).subs({FROZEN_A: A, FROZEN_B: B}) for x in (A, B))
    first, second = (sp.simplify(x) for x in found)
    return first, second


class Masses(NamedTuple):
    """Probabilities of the chosen and the rejected response; they sum to at most 1."""

    chosen: F
    rejected: F

    @property
    def logs(self) -> tuple[mpmath.mpf, mpmath.mpf]:
        """Return their logarithms."""
        a, b = (mpmath.log(mpmath.mpf(p.numerator) / p.denominator) for p in self)
        return a, b


def masses(source: random.Random) -> Masses:
    """Draw two responses of any probabilities; in a third of the cases nothing is left for others."""
    top = source.choice((5, 40, 2000))
    x, y, rest = source.randint(1, top), source.randint(1, top), source.choice((0, source.randint(1, 100), 10**6))
    return Masses(F(x, x + y + rest), F(y, x + y + rest))


def chosen_ahead(source: random.Random) -> Masses:
    """Draw two responses, the chosen one more probable."""
    while True:
        drawn = masses(source)
        if drawn.chosen > drawn.rejected:
            return drawn


@claim(
    "ma2025.eq-29",
    source="Eq. (29) and the sentence after it",
    says=r"\pi_w>\pi_l\implies\lambda_w=\frac{\log\pi_l}{\log\pi_w+\log\pi_l}>\tfrac12",
    verdict=PROVED,
    proof=r"Both logarithms are negative and $|\log\pi_l|>|\log\pi_w|$.",
)
def eq_29(evidence: Evidence) -> None:
    """To 40 digits."""

    def statement(case: Masses, than_its_mass: bool = False) -> bool:
        with mpmath.workdps(40):
            a, b = case.logs
            mass = case.chosen / (case.chosen + case.rejected) if than_its_mass else F(1, 2)
            return bool(b / (a + b) * mass.denominator > mass.numerator)

    evidence.holds(statement, chosen_ahead, control=lambda case: statement(case, than_its_mass=True))


@claim(
    "ma2025.bdpo-labels",
    source="not in the paper; which label probabilities bDPO can fit",
    says=r"\sigma(f)=P\ \text{has a solution}\iff\frac{\mathrm{ref}_l^\beta}{1+\mathrm{ref}_l^\beta}<P<"
    r"\frac{1}{1+\mathrm{ref}_w^\beta}",
    assumes="two responses; beyond the bounds the expected loss pushes one way at every policy, and the policy "
    "collapses",
    verdict=PROVED,
    proof=r"$f$ increases with $\pi_w$ between the bounds of `ma2025.bdpo-identity`, and exchanging the two "
    r"responses changes its sign, so that the expected loss is the logistic one in $f$. Uniform reference, "
    r"$\beta=1$: $P=0.6$ gives $\pi_1=0.718$, every $P\ge 2/3$ gives $\pi_1=1$.",
)
def labels(evidence: Evidence) -> None:
    """Rest points by autograd, lambda_w differentiated or not."""

    def statement(detach: bool, labels: tuple[float, ...], fitted: tuple[bool, ...]) -> bool:
        loss = BDPO(beta=1.0, detach=detach)
        log_odds = torch.linspace(-8, 8, 161, dtype=torch.float64)
        for label, fits in zip(labels, fitted, strict=True):
            one_way = bool((drift(loss, label, log_odds) > 0).all())
            if one_way == fits or len(resting_points(loss, label)) != fits:
                return False
        rest = resting_points(loss, 0.6)
        return len(rest) == 1 and abs(rest[0] - 0.718) <= 6e-4

    tried = (0.6, 0.62, 0.667, 0.75, 0.9)
    for detach in (False, True):
        evidence.measures(
            partial(statement, detach, tried, (True, True, False, False, False)),
            control=partial(statement, detach, tried, (True, True, False, True, False)),
            by=f"autograd, lambda_w {'detached' if detach else 'differentiated'}, labels {tried}",
        )
    evidence.measures(
        lambda: all(len(resting_points(DPO(beta=1.0), label)) == 1 for label in tried),
        control=lambda: all(len(resting_points(BDPO(beta=1.0), label)) == 1 for label in tried),
        by="DPO fits all of them",
        role=ALSO,
    )


# --- Proposition 1 -------------------------------------------------------------------------------------------------


def ratio_is(detach: bool, at_reference: bool, power: int = 1) -> bool:
    """Return whether the ratio of the free partials is -(pi_l log pi_l) / (pi_w log pi_w)."""
    along, across = slopes(detach)
    found = (along / sp.exp(A)) / (across / sp.exp(B))
    if at_reference:
        found = found.subs({REF_A: A, REF_B: B})
    return sp.simplify(found + sp.exp(B - A) * (B / A) ** power) == 0


@claim(
    "ma2025.proposition-1",
    source="Proposition 1, Eq. (30)",
    says=r"\pi_\theta=\pi_{\mathrm{ref}}\implies\frac{\partial\mathcal L}{\partial\pi_w}\Big/"
    r"\frac{\partial\mathcal L}{\partial\pi_l}=-\frac{\pi_l\log\pi_l}{\pi_w\log\pi_w}",
    verdict=PROVED,
    proof=r"At the reference $\partial f/\partial\log\pi_w=\beta\lambda_w$ and $\partial "
    r"f/\partial\log\pi_l=-\beta(1-\lambda_w)$.",
)
def proposition_1(evidence: Evidence) -> None:
    """SymPy."""
    evidence.proves(
        lambda: ratio_is(detach=False, at_reference=True),
        control=lambda: ratio_is(detach=False, at_reference=True, power=-1),
        by="SymPy, probabilities as free coordinates",
    )


@claim(
    "ma2025.proposition-1-everywhere",
    source="not in the paper; Proposition 1 without its premise",
    says=r"\frac{\partial\mathcal L}{\partial\pi_w}\Big/\frac{\partial\mathcal L}{\partial\pi_l}"
    r"=-\frac{\pi_l\log\pi_l}{\pi_w\log\pi_w}\quad\text{for every }\pi_\theta",
    verdict=PROVED,
    proof=r"With $\lambda_w$ differentiated both slopes carry the same factor "
    r"$\log(\mathrm{ref}_w\mathrm{ref}_l)/\log(\pi_w\pi_l)$; with $\lambda_w$ detached it is 1.",
)
def everywhere(evidence: Evidence) -> None:
    """SymPy, lambda_w differentiated or detached; and the common factor."""

    def factor_is(expected: sp.Expr) -> bool:
        return all(sp.simplify(a / b - expected) == 0 for a, b in zip(slopes(False), slopes(True), strict=True))

    for detach in (False, True):
        evidence.proves(
            partial(ratio_is, detach, at_reference=False),
            control=partial(ratio_is, detach, at_reference=False, power=0),  # DPO's, Eq. (2)
            by=f"SymPy, lambda_w {'detached' if detach else 'differentiated'}",
        )
    evidence.proves(
        lambda: factor_is((REF_A + REF_B) / (A + B)), control=lambda: factor_is((REF_A + REF_B) / A), by="SymPy"
    )


@claim(
    "ma2025.proposition-1-balance",
    source="Section 5.3, after Proposition 1: compared with Eq. (2), more balanced",
    says=r"\Bigl|\log\frac{\pi_l\log\pi_l}{\pi_w\log\pi_w}\Bigr|<\Bigl|\log\frac{\pi_l}{\pi_w}\Bigr|\quad(\pi_w\ne"
    r"\pi_l)",
    verdict=PROVED,
    because=r"It may pass beyond balance: at $\pi_w=0.9,\pi_l=0.1$ the winner's gradient is 2.43 times the loser's, "
    "where DPO has 1/9.",
    proof=r"For $\pi_w>\pi_l$ the logarithm on the left lies above $\log(\pi_l/\pi_w)$, as $\log\pi_l/\log\pi_w>1$, "
    r"and below $\log(\pi_w/\pi_l)$ iff $\psi(\pi_l)<\psi(\pi_w)$ with $\psi(p)=p^2\log(1/p)$, which holds for "
    r"$\pi_w+\pi_l\le 1$.",
)
def more_balanced(evidence: Evidence) -> None:
    """To 40 digits for probabilities that sum to at most 1."""

    def left(case: Masses) -> mpmath.mpf:
        a, b = case.logs
        return b - a + mpmath.log(b / a)

    def statement(case: Masses, share: F = F(1)) -> bool:
        with mpmath.workdps(40):
            a, b = case.logs
            return case.chosen == case.rejected or bool(
                abs(left(case)) * share.denominator < abs(b - a) * share.numerator
            )

    def not_beyond(case: Masses) -> bool:
        with mpmath.workdps(40):
            a, b = case.logs
            return bool(left(case) * (b - a) >= 0)

    nine = Masses(F(9, 10), F(1, 10))
    evidence.holds(statement, masses, control=lambda case: statement(case, share=F(9, 10)))
    evidence.fails(not_beyond, at=nine, control=nine._replace(chosen=F(2, 10)), role=ALSO)
