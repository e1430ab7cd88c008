"""Appendix C: what a negative correlation of the logits' gradients does to DPO and to a balanced loss.

With logits s = V theta whose gradients v_i have one length g and one cosine -lambda, a gradient step is
Delta s = -eta K dL/ds with the Gram matrix K = V V^T, exactly and in rationals. Every loss of softmax probabilities has
1 . dL/ds = 0, and on that subspace K is g^2 (1 + lambda) times the identity: the correlation scales all losses alike.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F
from functools import cached_property

import sympy as sp

from theory.claim import FALSE, MISPRINT, PROVED, claim
from theory.evidence import CORRECTED, Evidence
from theory.ma2025.bandits import normalised
from theory.worlds import Vector, dot

DPO_LOSS = "DPO"
BALANCED = "balanced"

LITERAL = "as printed"
SQUARE = "with (pi_i - pi_j)^2"
BRACKET = "with (pi_i - pi_j)^2 and lambda before all of it"
FACTOR = "with (pi_i - pi_j)^2, lambda before all of it, and the factor pi_i that Eq. (11) lost"


@dataclass(frozen=True)
class Correlated:
    """A softmax policy with logits s = V theta, one pair (0 chosen, 1 rejected), and a loss -log sigma(f).

    The rows of V are scale (e_i - shift (1, ..., 1)): equally long, with one cosine between any two of them.

    Attributes:
        p: probabilities at this point.
        shift: 0 for orthogonal rows, 1 / n for the most negative cosine, -1 / (n - 1).
        scale: length of the rows before the shift.
        urgency: 1 - kappa.
        loss: DPO_LOSS, f = log(pi_w / pi_l) + const, or BALANCED, f = pi_w - pi_l.
    """

    p: Vector
    shift: F
    scale: F
    urgency: F
    loss: str

    @cached_property
    def rows(self) -> tuple[Vector, ...]:
        """Return v_i, the gradient of logit i."""
        n = len(self.p)
        return tuple(tuple(self.scale * (int(i == k) - self.shift) for k in range(n)) for i in range(n))

    @cached_property
    def squared_norm(self) -> F:
        """Return g^2."""
        return dot(self.rows[0], self.rows[0])

    @property
    def decorrelation(self) -> F:
        """Return lambda, minus the cosine of any two gradients."""
        return -dot(self.rows[0], self.rows[1]) / self.squared_norm

    @cached_property
    def logit_gradient(self) -> Vector:
        """Return dL/ds, through the softmax."""
        f_chosen, f_rejected = (self.p[0], -self.p[1]) if self.loss == BALANCED else (F(1), F(-1))
        total = f_chosen + f_rejected  # df/ds_k = f_w (delta_wk - p_k) + f_l (delta_lk - p_k), slopes in log pi
        direct = (f_chosen, f_rejected, *(F(0),) * (len(self.p) - 2))
        return tuple(-self.urgency * (a - total * p) for a, p in zip(direct, self.p, strict=True))

    @cached_property
    def change(self) -> Vector:
        """Return Delta s of one gradient step on theta, in units of the learning rate.

        Example:
            >>> case = Correlated((F(1, 2), F(1, 4), F(1, 4)), F(1, 3), F(3), F(1, 2), DPO_LOSS)
            >>> str(case.squared_norm), str(case.decorrelation), [str(s) for s in case.change]
            ('6', '1/2', ['9/2', '-9/2', '0'])
        """
        columns = zip(*self.rows, strict=True)
        theta = tuple(-dot(self.logit_gradient, column) for column in columns)
        return tuple(dot(row, theta) for row in self.rows)

    def with_loss(self, loss: str) -> Correlated:
        """Return the same point with another loss."""
        return Correlated(self.p, self.shift, self.scale, self.urgency, loss)

    def uncorrelated(self) -> Correlated:
        """Return the same point with orthogonal gradients of logits; their length differs: compare changes over g^2."""
        return Correlated(self.p, F(0), self.scale, self.urgency, self.loss)


def correlated(source: random.Random) -> Correlated:
    """Draw a policy over 2 to 4 responses whose logits' gradients have a negative cosine, and either loss."""
    n = source.choice((2, 3, 3, 4))
    p = normalised([source.randint(1, 12) for _ in range(n)])
    shift = F(source.randint(1, 10), 10 * n)
    return Correlated(
        p, shift, F(source.randint(1, 5)), F(source.randint(1, 9), 10), source.choice((DPO_LOSS, BALANCED))
    )


HALVES = Correlated((F(1, 2), F(1, 4), F(1, 4)), F(1, 3), F(3), F(1, 2), DPO_LOSS)


@claim(
    "ma2025.appendix-c-gram",
    source="not in the paper; replaces the discussion of Appendix C",
    says=r"K=g^2\bigl[(1+\lambda)I-\lambda\mathbf 1\mathbf 1^\top\bigr],\quad\mathbf 1^\top\nabla_s\mathcal L=0"
    r"\implies\Delta s=-\eta g^2(1+\lambda)\nabla_s\mathcal L",
    assumes=r"all gradients of logits have one length $g$ and one cosine $-\lambda$; a loss of softmax probabilities",
    verdict=PROVED,
    proof=r"The second term of $K$ annihilates every vector whose entries sum to 0, and the gradient of a function "
    "of softmax probabilities is one.",
)
def gram(evidence: Evidence) -> None:
    """Exact steps on theta for both losses; and for any gradient at all that sums to 0, in SymPy."""

    def statement(case: Correlated, sign: int = 1) -> bool:
        factor = case.squared_norm * (1 + sign * case.decorrelation)
        return all(s == -factor * g for s, g in zip(case.change, case.logit_gradient, strict=True))

    def symbolic(n: int, sums_to: int) -> bool:
        g, rate = sp.symbols("g lambda", positive=True)
        free = sp.symbols(f"x:{n - 1}")
        gradient = sp.Matrix([*free, sums_to - sum(free)])
        kernel = g**2 * ((1 + rate) * sp.eye(n) - rate * sp.ones(n, n))
        return (kernel * gradient - g**2 * (1 + rate) * gradient).expand().is_zero_matrix is True

    evidence.holds(statement, correlated, control=lambda case: statement(case, sign=-1))
    evidence.proves(
        lambda: all(symbolic(n, 0) for n in (2, 3, 5)),
        control=lambda: symbolic(3, 1),
        by="SymPy, any gradient that sums to 0",
    )


@claim(
    "ma2025.appendix-c-range",
    source="not in the paper; which correlations are possible",
    says=r"\lambda\le\frac{1}{n-1}",
    assumes=r"$n$ gradients of logits with one length and one cosine $-\lambda$",
    verdict=PROVED,
    proof=r"$\|\sum_iv_i\|^2=ng^2\,(1-(n-1)\lambda)\ge 0$. For a large set of responses $\lambda$ is negligible.",
)
def possible_correlations(evidence: Evidence) -> None:
    """The characteristic polynomial of the Gram matrix, and that the bound is attained."""
    rate, x = sp.symbols("lambda x")

    def spectrum(n: int, others: int) -> bool:
        kernel = (1 + rate) * sp.eye(n) - rate * sp.ones(n, n)
        expected = (x - 1 - rate) ** (n - 1) * (x - 1 + (n - others) * rate)
        return sp.expand(kernel.charpoly(x).as_expr() - expected) == 0

    evidence.proves(
        lambda: all(spectrum(n, 1) for n in (2, 3, 4, 5)),
        control=lambda: spectrum(3, 0),
        by="SymPy: eigenvalues 1 + lambda, n - 1 times, and 1 - (n - 1) lambda, for n = 2, ..., 5",
    )
    evidence.holds(
        lambda case: case.decorrelation * (len(case.p) - 1) <= 1,
        correlated,
        control=lambda case: case.decorrelation * len(case.p) <= 1,
    )


def eq_35(case: Correlated, sign: int) -> bool:
    """Return whether DPO moves the pair's logits by +-(1 + sign lambda) g^2 (1 - kappa)."""
    size = (1 + sign * case.decorrelation) * case.squared_norm * case.urgency
    return case.with_loss(DPO_LOSS).change[:2] == (size, -size)


@claim(
    "ma2025.eq-35",
    source="Appendix C, Eq. (35)",
    says=r"\Delta^js_i=(1-\lambda)\,\eta g^2\tau_{ij}(1-\kappa_{ij})",
    verdict=MISPRINT,
    because=r"The sign of $\lambda$: $\lambda$ is minus the cosine, so that the two responses of a pair help each "
    r"other apart. Correct is $1+\lambda$.",
    instead="ma2025.appendix-c-gram",
    proof=r"$\Delta s_i=v_i\cdot\Delta\theta=\eta(1-\kappa)\,v_i\cdot(v_i-v_j)=\eta(1-\kappa)g^2(1-c_{ij})$, "
    r"$c_{ij}=-\lambda$.",
)
def equation_35(evidence: Evidence) -> None:
    """Three responses at 120 degrees: 1 - c = 3/2, not 1/2."""
    orthogonal = HALVES.uncorrelated()
    evidence.fails(lambda case: eq_35(case, -1), at=HALVES, control=orthogonal)
    evidence.holds(lambda case: eq_35(case, 1), correlated, control=lambda case: eq_35(case, -1), role=CORRECTED)


def lambda_terms(case: Correlated, loss: str) -> tuple[F, F]:
    """Return what the correlation adds to Delta s / g^2 of the pair: the change less that with orthogonal gradients."""
    with_it = case.with_loss(loss)
    without = with_it.uncorrelated()
    w, rejected = (with_it.change[y] / with_it.squared_norm - without.change[y] / without.squared_norm for y in (0, 1))
    return w, rejected


@claim(
    "ma2025.eq-35-winner",
    source="Appendix C, after Eq. (35): under DPO the lambda term decreases the winner's logit, and vice versa",
    says=r"\frac{\partial}{\partial\lambda}\Delta s_w<0<\frac{\partial}{\partial\lambda}\Delta s_l",
    verdict=FALSE,
    because=r"It follows the sign of Eq. (35); the opposite is true for every $\lambda>0$.",
    instead="ma2025.appendix-c-gram",
)
def winner(evidence: Evidence) -> None:
    """The winner's logit rises more, the loser's falls more."""

    def statement(case: Correlated, sign: int = 1) -> bool:
        chosen, rejected = lambda_terms(case, DPO_LOSS)
        return sign * chosen < 0 < sign * rejected

    positive = Correlated(HALVES.p, F(-1, 3), F(3), F(1, 2), DPO_LOSS)  # a positive cosine does what is said
    evidence.fails(statement, at=HALVES, control=positive)
    evidence.finds(statement, correlated, control=lambda case: statement(case, sign=-1))


def eq_36(case: Correlated, reading: str) -> F:
    """Return Delta s of the chosen response by Eq. (36) in one of four readings; C = 1, units of the learning rate."""
    i, j = case.p[:2]
    rate = case.decorrelation
    difference = F(0) if reading == LITERAL else i - j
    rest = i * j - 2 * j
    extra = rate * difference**2 + rest if reading in (LITERAL, SQUARE) else rate * (difference**2 + rest)
    factor = i if reading == FACTOR else 1
    return case.squared_norm * case.urgency * factor * (1 - i + j + extra)


@claim(
    "ma2025.eq-36",
    source="Appendix C, Eq. (36)",
    says=r"\Delta^js_i=C\eta "
    r"g^2\tau_{ij}(1-\kappa_{ij})\bigl(1-\pi_i+\pi_j+\lambda(\pi_i-\pi_i)^2+\pi_i\pi_j-2\pi_j\bigr)",
    verdict=FALSE,
    because=r"Four readings fail: to the letter; with the square of $\pi_i-\pi_j$; with $\lambda$ before the whole "
    r"bracket; and with the factor $\pi_i$ that Eq. (11) has lost. Exact: $C\eta "
    r"g^2\tau_{ij}(1-\kappa_{ij})(1+\lambda)\,\pi_i(1-\pi_i+\pi_j)$.",
    instead=("ma2025.eq-36-exact", "ma2025.appendix-c-gram"),
)
def equation_36(evidence: Evidence) -> None:
    """Every reading is false at three responses; the last one is true without a correlation."""

    def statement(reading_at: tuple[str, Correlated]) -> bool:
        reading, case = reading_at
        return case.change[0] == eq_36(case, reading)

    balanced = HALVES.with_loss(BALANCED)
    for reading in (LITERAL, SQUARE, BRACKET, FACTOR):
        evidence.fails(statement, at=(reading, balanced), control=(FACTOR, balanced.uncorrelated()))


@claim(
    "ma2025.eq-36-exact",
    source="not in the paper; Eq. (36) mended",
    says=r"\Delta^js_i=C\eta g^2\tau_{ij}(1-\kappa_{ij})(1+\lambda)\,\pi_i(1-\pi_i+\pi_j)",
    assumes=r"$f=C(\pi_w-\pi_l)$, $i$ in the pair; one length $g$ and one cosine $-\lambda$ of all logits' gradients",
    verdict=PROVED,
    proof=r"$\Delta s=-\eta g^2(1+\lambda)\nabla_s\mathcal L$, and $\partial(\pi_i-\pi_j)/\partial "
    r"s_i=\pi_i(1-\pi_i)+\pi_i\pi_j$.",
)
def equation_36_mended(evidence: Evidence) -> None:
    """Exact steps on theta."""

    def statement(case: Correlated, sign: int = 1) -> bool:
        i, j = case.p[:2]
        size = case.squared_norm * case.urgency * (1 + sign * case.decorrelation)
        changes = case.with_loss(BALANCED).change
        return changes[0] == size * i * (1 - i + j) and changes[1] == -size * j * (1 - j + i)

    evidence.holds(statement, correlated, control=lambda case: statement(case, sign=-1))


@claim(
    "ma2025.eq-36-both-rise",
    source="Appendix C, after Eq. (36): the lambda term raises both logits, the loser's more",
    says=r"\frac{\partial}{\partial\lambda}\Delta s_l>\frac{\partial}{\partial\lambda}\Delta s_w>0",
    assumes="a balanced loss",
    verdict=FALSE,
    because=r"The $\lambda$ term multiplies the whole step by $1+\lambda$: it raises $s_w$ and lowers $s_l$.",
    instead="ma2025.eq-36-exact",
)
def both_rise(evidence: Evidence) -> None:
    """At random points the winner always gains by it and the loser always loses."""

    def statement(case: Correlated) -> bool:
        chosen, rejected = lambda_terms(case, BALANCED)
        return rejected > chosen > 0

    def apart(case: Correlated) -> bool:
        chosen, rejected = lambda_terms(case, BALANCED)
        return rejected < 0 < chosen

    evidence.finds(statement, correlated, control=apart)


@claim(
    "ma2025.appendix-c-conclusion",
    source="Sections 3.2 and Appendix C: the negative correlation makes DPO fare worse against a balanced loss",
    says=r"\frac{\Delta s^{\mathrm{DPO}}(\lambda)}{\Delta s^{\mathrm{DPO}}(0)}"
    r"<\frac{\Delta s^{\mathrm{bal}}(\lambda)}{\Delta s^{\mathrm{bal}}(0)}",
    verdict=FALSE,
    because=r"Both ratios are $1+\lambda$, for every response of the pair: no loss gains on the other.",
    instead="ma2025.appendix-c-gram",
)
def conclusion(evidence: Evidence) -> None:
    """The winner's logit, both losses, with and without the correlation."""

    def growth(case: Correlated, loss: str) -> tuple[F, F]:
        with_it = case.with_loss(loss)
        without = with_it.uncorrelated()
        scale = without.squared_norm / with_it.squared_norm
        return with_it.change[0] / without.change[0] * scale, with_it.change[1] / without.change[1] * scale

    def statement(case: Correlated) -> bool:
        return growth(case, DPO_LOSS)[0] < growth(case, BALANCED)[0]

    def equal(case: Correlated) -> bool:
        factor = 1 + case.decorrelation
        return growth(case, DPO_LOSS) == growth(case, BALANCED) == (factor, factor)

    evidence.finds(statement, correlated, control=equal)
