"""Theorem 1 and Corollary 1: the loss of one pair in ratio coordinates, its gradient, and what their ratio means."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F

import numpy as np
import sympy as sp

from dynamics import DPO, ratio_field, ratio_loss
from theory.claim import FALSE, PROVED, claim
from theory.evidence import ALSO, Evidence, show
from theory.feng2024.ratios import BETA, D1, D2, LOSS, X1, X2, Point, anywhere, equal
from theory.worlds import World, tabular

TOLERANCE = 1e-12


@dataclass(frozen=True)
class Pair:
    """One pair with its reference, beta = 1: probabilities instead of ratios."""

    chosen: F
    rejected: F
    reference_chosen: F
    reference_rejected: F

    @property
    def point(self) -> Point:
        """Return (x1, x2)."""
        return Point(self.chosen / self.reference_chosen, self.rejected / self.reference_rejected)

    @property
    def slopes(self) -> tuple[F, F]:
        """Return dL/dpi(y_w) and dL/dpi(y_l), by the chain rule."""
        return self.point.d1 / self.reference_chosen, self.point.d2 / self.reference_rejected

    def __str__(self) -> str:
        """Return the fields in numbers that can be checked by hand."""
        return show(vars(self))


def any_pair(source: random.Random) -> Pair:
    """Draw a policy and a reference over three responses; the references of the pair agree in a third of the cases."""
    p, q = ([source.randint(1, 20) for _ in range(3)] for _ in range(2))
    if source.random() < 1 / 3:
        q[1] = q[0]
    return Pair(F(p[0], sum(p)), F(p[1], sum(p)), F(q[0], sum(q)), F(q[1], sum(q)))


@claim(
    "feng2024.eq-1",
    source="Eq. (1), its last two lines",
    says=r"-\log\sigma\Bigl(\beta\log x_1-\beta\log x_2\Bigr)=-\log\frac{x_1^\beta}{x_1^\beta+x_2^\beta}",
    assumes="one pair (the second line of print drops the expectation) and x1, x2 > 0",
    verdict=PROVED,
    proof=r"$\sigma(\beta\log x_1-\beta\log x_2)=1/(1+(x_2/x_1)^\beta)$.",
)
def eq_1(evidence: Evidence) -> None:
    """Both lines are the same function, and both are what ``dynamics`` computes."""

    def same(exponent: sp.Expr = BETA) -> bool:
        return equal(sp.log(1 + sp.exp(-(BETA * sp.log(X1) - exponent * sp.log(X2)))), LOSS)

    def in_dynamics(point: Point, factor: float = 1.0) -> bool:
        x1, x2, beta = float(point.x1), float(point.x2), float(point.beta)
        reference = 1e-20  # so small that any ratio is one of probabilities
        pair = np.log([x1 * reference, x2 * reference, reference, reference])
        loss = float(DPO(beta=beta)(*pair)), float(ratio_loss(x1, x2, beta)), -np.log(float(point.preference)) * factor
        return bool(np.ptp(loss) < TOLERANCE * (1 + max(loss)))

    evidence.proves(same, control=lambda: same(2 * BETA), by="SymPy: the difference simplifies to 0")
    evidence.holds(in_dynamics, anywhere, role=ALSO, control=lambda p: in_dynamics(p, 1 + 1e-9), worlds=100)


@claim(
    "feng2024.theorem-1",
    source="Theorem 1, Eq. (2); Eq. (4)",
    says=r"\frac{\partial L}{\partial x_1}=-\frac{\beta x_2^\beta}{x_1(x_1^\beta+x_2^\beta)},\qquad "
    r"\frac{\partial L}{\partial x_2}=\frac{\beta x_2^{\beta-1}}{x_1^\beta+x_2^\beta}",
    verdict=PROVED,
    proof=r"Differentiate $L=\log(x_1^\beta+x_2^\beta)-\beta\log x_1$.",
)
def theorem_1(evidence: Evidence) -> None:
    """SymPy differentiates Eq. 1; the field of ``dynamics`` is minus the printed gradient."""

    def gradient(sign: int = 1) -> bool:
        return equal(sp.diff(LOSS, X1), sign * D1) and equal(sp.diff(LOSS, X2), D2)

    def in_dynamics(point: Point, sign: int = 1) -> bool:
        field = ratio_field(float(point.x1), float(point.x2), float(point.beta))
        exact = (-float(point.d1), -sign * float(point.d2))
        return bool(np.allclose(field, exact, rtol=TOLERANCE, atol=0))

    evidence.proves(gradient, control=lambda: gradient(-1), by="SymPy: diff(Eq. 1) - Eq. 2 simplifies to 0")
    evidence.holds(in_dynamics, anywhere, role=ALSO, control=lambda p: in_dynamics(p, -1), worlds=100)


@claim(
    "feng2024.eq-5",
    source="Eq. (5), its four lines, and Eq. (6), its two",
    says=r"\frac{\partial L}{\partial x_1}=-\frac{x_1^\beta+x_2^\beta}{x_1^\beta}\Bigl(\frac{\beta x_1^{\beta-1}}"
    r"{x_1^\beta+x_2^\beta}-\frac{\beta x_1^{2\beta-1}}{(x_1^\beta+x_2^\beta)^2}\Bigr)=\dots",
    verdict=PROVED,
    proof="Every line is the derivative; the steps are the quotient rule, a common denominator and cancelling.",
)
def eq_5(evidence: Evidence) -> None:
    """Each printed line of the appendix is compared with the derivative by itself."""
    a, b = X1**BETA, X2**BETA

    def lines(exponent: sp.Expr = 2 * BETA - 1) -> bool:
        first = [
            -(a + b) / a * (BETA * X1 ** (BETA - 1) / (a + b) - BETA * X1**exponent / (a + b) ** 2),
            -(BETA * X1 ** (BETA - 1) * (a + b) - BETA * X1**exponent) / (a * (a + b)),
            -BETA * X1 ** (BETA - 1) * b / (a * (a + b)),
            D1,
        ]
        second = [BETA * X2 ** (BETA - 1) / (a + b), D2]
        slopes = sp.diff(LOSS, X1), sp.diff(LOSS, X2)
        return all(equal(slopes[0], line) for line in first) and all(equal(slopes[1], line) for line in second)

    evidence.proves(lines, control=lambda: lines(2 * BETA), by="SymPy: each of the six lines simplifies to it")


@claim(
    "feng2024.corollary-1",
    source="Corollary 1, Eq. (3)",
    says=r"\left|\frac{\partial L}{\partial x_1}\Big/\frac{\partial L}{\partial x_2}\right|=\frac{x_2}{x_1}",
    verdict=PROVED,
    proof=r"Divide the two lines of Theorem 1; $\beta$ cancels.",
)
def corollary_1(evidence: Evidence) -> None:
    """For every beta, in symbols and in exact numbers."""
    evidence.proves(
        lambda: equal(-D1 / D2, X2 / X1), control=lambda: equal(-D1 / D2, X1 / X2), by="SymPy, symbolic beta"
    )
    evidence.holds(
        lambda p: -p.d1 / p.d2 == p.x2 / p.x1, anywhere, control=lambda p: -p.d1 / p.d2 == (p.x2 / p.x1) ** p.power
    )


@claim(
    "feng2024.tangential",
    source="not in the paper; what Corollary 1 says of the field",
    says=r"x_1\frac{\partial L}{\partial x_1}+x_2\frac{\partial L}{\partial x_2}=0,\qquad L(cx_1,cx_2)=L(x_1,x_2)",
    verdict=PROVED,
    proof="The loss depends on $x_2/x_1$ alone, so it is homogeneous of degree 0; the rest is Euler's identity.",
)
def tangential(evidence: Evidence) -> None:
    """The gradient has no component along the radius."""
    c = sp.Symbol("c", positive=True)

    def homogeneous(second: sp.Expr = c) -> bool:
        return equal(LOSS.subs({X1: c * X1, X2: second * X2}, simultaneous=True), LOSS)

    evidence.proves(homogeneous, control=lambda: homogeneous(c**2), by="SymPy: L(c x) = L(x)")
    evidence.holds(lambda p: p.x1 * p.d1 + p.x2 * p.d2 == 0, anywhere, control=lambda p: p.x2 * p.d1 + p.x1 * p.d2 == 0)


def interpretation(pair: Pair) -> bool:
    """Return whether the probabilities' rates have the ratio x2 / x1 that Corollary 1 gives the ratios' rates."""
    chosen, rejected = pair.slopes
    return -chosen / rejected == pair.point.x2 / pair.point.x1


@claim(
    "feng2024.corollary-1-interpretation",
    source="Corollary 1, its wording",
    says=r"\frac{\text{increase of }\pi(y_w)}{\text{decrease of }\pi(y_l)}=\frac{x_2}{x_1}",
    verdict=FALSE,
    because=r"$x_2/x_1$ compares the rates of the ratios $\pi/\mathrm{ref}$, not of the probabilities. Along the "
    r"gradient in $(\pi_w,\pi_l)$ the comparison is $\pi_l/\pi_w$ whatever the reference; in a softmax it is another.",
    instead=("feng2024.probability-rates", "feng2024.log-rates", "feng2024.softmax-rates"),
)
def corollary_1_interpretation(evidence: Evidence) -> None:
    """False for unequal references; in a tabular softmax false even where the references agree."""

    def of_ratios(pair: Pair) -> bool:  # Corollary 1 itself
        return -pair.point.d1 / pair.point.d2 == pair.point.x2 / pair.point.x1

    def in_softmax(w: World) -> bool:  # theta = ref, so x1 = x2 = 1
        return w.change(w.chosen) == -w.change(w.rejected)

    unequal = Pair(F(1, 5), F(2, 5), F(1, 10), F(2, 5))
    evidence.fails(interpretation, at=unequal, control=Pair(F(1, 5), F(2, 5), F(1, 10), F(1, 10)))
    evidence.finds(interpretation, any_pair, control=of_ratios)
    evidence.fails(
        in_softmax, at=World.tabular([F(1, 2), F(1, 5), F(3, 10)]), control=World.tabular([F(1, 2), F(1, 2)])
    )


@claim(
    "feng2024.probability-rates",
    source="not in the paper; replaces the wording of Corollary 1",
    says=r"\left|\frac{\partial L}{\partial\pi_w}\Big/\frac{\partial L}{\partial\pi_l}\right|=\frac{\pi_l}{\pi_w},"
    r"\qquad\text{equal to }\frac{x_2}{x_1}\iff\mathrm{ref}_w=\mathrm{ref}_l",
    assumes="the two probabilities are moved as free coordinates",
    verdict=PROVED,
    proof=r"By the chain rule the ratio of Corollary 1 is multiplied by $\mathrm{ref}_l/\mathrm{ref}_w$.",
)
def probability_rates(evidence: Evidence) -> None:
    """In probabilities the reference drops out, and the paper's ratio comes back only if the references agree."""
    evidence.holds(
        lambda pair: -pair.slopes[0] / pair.slopes[1] == pair.rejected / pair.chosen,
        any_pair,
        control=lambda pair: -pair.slopes[0] / pair.slopes[1] == pair.chosen / pair.rejected,
    )
    evidence.holds(
        lambda pair: interpretation(pair) == (pair.reference_chosen == pair.reference_rejected),
        any_pair,
        control=lambda pair: interpretation(pair) == (pair.reference_chosen <= pair.reference_rejected),
    )


@claim(
    "feng2024.log-rates",
    source="not in the paper; replaces the wording of Corollary 1",
    says=r"\frac{\partial L}{\partial\log\pi_w}=-\frac{\partial L}{\partial\log\pi_l}",
    assumes="the two log-probabilities are moved as free coordinates",
    verdict=PROVED,
    proof=r"$L$ is a function of $\log\pi_w-\log\pi_l$: both move at the same rate.",
)
def log_rates(evidence: Evidence) -> None:
    """In logarithms neither response is favoured."""
    evidence.holds(
        lambda pair: pair.chosen * pair.slopes[0] == -pair.rejected * pair.slopes[1],
        any_pair,
        control=lambda pair: pair.reference_chosen * pair.slopes[0] == -pair.reference_rejected * pair.slopes[1],
    )


@claim(
    "feng2024.softmax-rates",
    source="not in the paper; replaces the wording of Corollary 1",
    says=r"\frac{d\pi_w}{-d\pi_l}=\frac{\pi_w(1-\pi_w+\pi_l)}{\pi_l(1-\pi_l+\pi_w)}",
    assumes="tabular softmax, gradient flow of the logits",
    verdict=PROVED,
    proof=r"The drives are $A_w=1-\pi_w+\pi_l$ and $A_l=-(1-\pi_l+\pi_w)$.",
)
def softmax_rates(evidence: Evidence) -> None:
    """What a policy's probabilities really do, through the kernel of a softmax."""

    def ratio(w: World, sign: int = 1) -> bool:  # multiplied out: of two responses, 1 - q - p is 0
        p, q = w.p[w.chosen], w.p[w.rejected]
        return w.change(w.chosen) * q * (1 - q + sign * p) == -w.change(w.rejected) * p * (1 - p + sign * q)

    evidence.holds(ratio, tabular, control=lambda w: ratio(w, -1))
