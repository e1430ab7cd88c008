"""Section 5, third and fourth observation: Eq. (14), the reference as a noise level, and bad local minima."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F
from functools import partial

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.wipf2024.gaussian import LAMBDA, REF_L, REF_W, THETA_L, THETA_W, Tuples, dpo_symbolic, is_zero, tuples
from theory.wipf2024.logarithms import ZERO, Logs, log, power
from theory.wipf2024.objectives import Vector, minimisers, show


def sum_14(c: Tuples, gamma: F, policy: Vector) -> Logs:
    """Return the sum of ln(gamma + u_i) (Eq. 14), weighted like the tuples, with u_i = (pi_l / pi_w)^beta."""
    return sum((w * log(gamma + power(u, c.beta)) for w, u in zip(c.weights, policy, strict=True)), ZERO)


def noises(c: Tuples) -> Vector:
    """Return gamma_i = (pi_ref(y_l) / pi_ref(y_w))^beta of every tuple."""
    return tuple(power(a, c.beta) for a in c.reference)


HALVES = (F(1, 2), F(1, 2))
MIRRORED = ((F(1), F(4)), (F(4), F(1)))  # for one gamma the two policies are as good as each other


def often_one_reference(source: random.Random) -> Tuples:
    """Draw tuples, at times with the same reference ratio on all."""
    drawn = tuples(source)
    if source.random() < 0.6:
        return Tuples(drawn.weights, drawn.reference[:1] * len(drawn.weights), drawn.policies, drawn.beta)
    return drawn


@claim(
    "wipf2024.eq-14",
    source="Eq. (14) and the last observation of Section 5",
    says=r"\min_{\pi\in S_\pi}\ell_{\mathrm{DPO}}\ \text{is a case of}\ \min_{\{u_i\}\in "
    r"S_u}\sum_i\log(\gamma+|u_i|),\quad"
    r"\gamma=\Bigl[\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}\Bigr]^\lambda,\ "
    r"u_i=\Bigl[\frac{\pi_\theta(y_l)}{\pi_\theta(y_w)}\Bigr]^\lambda",
    assumes="the reference ratio is the same on all tuples",
    verdict=CONDITIONALLY,
    because=r"Eq. (14) has one $\gamma$, DPO one for each tuple. With $\gamma_i=1,4$ and $u=(1,4)$ or $(4,1)$ DPO "
    r"prefers the first, while for every single $\gamma$ the two are equal.",
    instead="wipf2024.eq-14-relative-odds",
    proof=r"Eq. (12), which is $\sum_i\log(\gamma_i+u_i)$.",
)
def eq_14(evidence: Evidence) -> None:
    """With one gamma the mirrored policies tie; with equal references the objectives are a constant apart."""

    def one_gamma_serves(c: Tuples) -> bool:
        best = minimisers(c.dpo, c.policies)
        tried = {*noises(c), sum(noises(c), F(0)) / len(c.weights)}
        return any(minimisers(partial(sum_14, c, gamma), c.policies) == best for gamma in tried)

    def constant_apart(c: Tuples, factor: F = F(1)) -> bool:
        first, gamma = c.policies[0], factor * noises(c)[0]
        return all(
            sum_14(c, gamma, policy) - sum_14(c, gamma, first) == c.dpo(policy) - c.dpo(first) for policy in c.policies
        )

    def same_reference(c: Tuples) -> bool:
        return len(set(c.reference)) == 1

    at, control = (Tuples(HALVES, reference, MIRRORED, F(1)) for reference in ((F(1), F(4)), (F(4), F(4))))
    evidence.fails(one_gamma_serves, at=at, control=control)
    evidence.holds(
        constant_apart,
        often_one_reference,
        given=same_reference,
        control=lambda c: constant_apart(c, factor=F(2)),
        worlds=200,
    )
    g, a, b = sp.symbols("gamma a b", positive=True)

    def tie(other: sp.Expr) -> bool:
        return sp.simplify(sp.log(g + a) + sp.log(g + b) - sp.log(g + b) - sp.log(g + other)) == 0

    evidence.proves(
        lambda: tie(a), control=lambda: tie(b), by="SymPy: mirrored policies tie for every gamma", role=ALSO
    )


@claim(
    "wipf2024.eq-14-relative-odds",
    source="not in the paper; DPO as Eq. (14) with gamma = 1",
    says=r"\ell_{\mathrm{DPO}}=\mathbb{E}\log(1+v),\qquad v=\left[\frac{\pi_\theta(y_l)/\pi_\theta(y_w)}"
    r"{\pi_{\mathrm{ref}}(y_l)/\pi_{\mathrm{ref}}(y_w)}\right]^\lambda=\frac{u}{\gamma}",
    verdict=PROVED,
    because="So the noise-adaptive curvature is a change of units, tuple by tuple: in relative odds every tuple has "
    "the same penalty, and what the reference adapts is the constraint set.",
    proof=r"$\log(\gamma+u)=\log\gamma+\log(1+u/\gamma)$.",
)
def relative_odds(evidence: Evidence) -> None:
    """From the definition of the loss."""

    def identity(reference: sp.Expr) -> bool:
        return is_zero(dpo_symbolic() - sp.log(1 + (THETA_L / THETA_W / reference) ** LAMBDA))

    evidence.proves(lambda: identity(REF_L / REF_W), control=lambda: identity(REF_W / REF_L), by="SymPy")


# --- is a large gamma a poor reference? ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Label:
    """A labelled pair: the true and the reference probability of its first response, and which one was chosen."""

    true: F
    reference: F
    chosen: int

    @property
    def gamma(self) -> F:
        """Return pi_ref(y_l) / pi_ref(y_w)."""
        odds = (1 - self.reference) / self.reference
        return odds if self.chosen == 0 else 1 / odds

    @property
    def reference_is_wrong(self) -> bool:
        """Return whether the reference ranks the two responses against pi*."""
        return (self.true - F(1, 2)) * (self.reference - F(1, 2)) < 0

    @property
    def noise_free(self) -> bool:
        """Return whether the chosen response is the one that pi* prefers."""
        return (self.true > F(1, 2)) == (self.chosen == 0) and self.true != F(1, 2)

    def __str__(self) -> str:
        pi, reference = (show((p, 1 - p)) for p in (self.true, self.reference))
        return f"pi* = {pi}, pi_ref = {reference}, response {self.chosen} chosen, gamma = {self.gamma}"


def labels(source: random.Random) -> Label:
    """Draw a pair, a reference that is at times optimal, and a label of Bradley and Terry's model."""
    true = F(source.randint(1, 19), 20)
    reference = true if source.random() < 0.3 else F(source.randint(1, 19), 20)
    return Label(true, reference, int(source.random() > true))


@claim(
    "wipf2024.large-gamma",
    source="Section 5, last observation",
    says=r"\gamma=\Bigl[\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}\Bigr]^\lambda>1\implies"
    r"\pi_{\mathrm{ref}}\ \text{ranks the pair against}\ \pi^*",
    assumes=r"labels without noise: $\pi^*(y_w)>\pi^*(y_l)$",
    verdict=CONDITIONALLY,
    because="With Bradley-Terry labels the chosen response is at times the worse one. For "
    r"$\pi_{\mathrm{ref}}=\pi^*=(\frac9{10},\frac1{10})$ and $\lambda=1$ one tuple in ten has $\gamma=9$, although "
    "the reference is optimal.",
    proof=r"$\gamma>1$ says $\pi_{\mathrm{ref}}(y_l)>\pi_{\mathrm{ref}}(y_w)$.",
)
def large_gamma(evidence: Evidence) -> None:
    """A noisy label is no fault of the reference."""

    def statement(c: Label, bound: F = F(1)) -> bool:
        return c.gamma <= bound or c.reference_is_wrong

    evidence.fails(statement, at=Label(F(9, 10), F(9, 10), 1), control=Label(F(9, 10), F(9, 10), 0))
    evidence.holds(statement, labels, given=lambda c: c.noise_free, control=lambda c: statement(c, bound=F(1, 2)))


# --- bad local minima ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """The penalty ln(gamma + |u_1|) + ln(gamma + |u_2|) on the line u = (t, c - d t), with d > 1."""

    gamma: F
    c: F
    d: F

    def product(self, t: F) -> F:
        """Return the exponential of the penalty, which is rational."""
        return (self.gamma + abs(t)) * (self.gamma + abs(self.c - self.d * t))

    def is_local_minimum(self, t: F, step: F) -> bool:
        """Return whether the penalty is higher a small step away on both sides."""
        return self.product(t) < min(self.product(t - step), self.product(t + step))

    def count(self, points: int) -> int:
        """Return how many local minima a grid on both sides of t = 0 and t = c / d has."""
        step = self.c / self.d / points
        return sum(self.is_local_minimum(k * step, step) for k in range(-points, 3 * points))

    def __str__(self) -> str:
        return f"gamma = {self.gamma}, u = (t, {self.c} - {self.d} t)"


def lines(source: random.Random) -> Line:
    """Draw a line and a gamma, at times the threshold itself."""
    c, d = F(source.randint(1, 9), source.randint(1, 3)), 1 + F(source.randint(1, 9), source.randint(1, 3))
    gamma = c / (d - 1) if source.random() < 0.2 else F(source.randint(1, 40), source.randint(1, 10))
    return Line(gamma, c, d)


@claim(
    "wipf2024.bad-local-minima",
    source="Section 5, third observation, after the works cited there; an exact instance",
    says=r"\min_t\ \log(\gamma+|t|)+\log(\gamma+|c-dt|),\ d>1:\quad t=0\ \text{is a local "
    r"minimum}\iff\gamma<\frac{c}{d-1};\quad "
    r"t=\tfrac cd\ \text{always is, and is better}",
    assumes=r"$c>0$, $\gamma>0$",
    verdict=PROVED,
    proof=r"To the right of 0 the slope is $\frac1\gamma-\frac{d}{\gamma+c}$, to the left it is negative; between 0 "
    r"and $\frac cd$ the penalty is concave, beyond $\frac cd$ it rises. So a larger $\gamma$, a less concave "
    "penalty, takes the bad minimum away.",
)
def bad_local_minima(evidence: Evidence) -> None:
    """The threshold, exactly; the better minimum; and the number of minima on a grid at four values of gamma."""
    tiny = F(1, 10**6)  # the slopes that decide are fractions with denominators below 10^4

    def threshold(c: Line, shift: int = 1) -> bool:
        return c.is_local_minimum(F(0), tiny) == (c.gamma < c.c / (c.d - shift))

    def better(c: Line, at: F) -> bool:
        return c.is_local_minimum(at, tiny) and c.product(at) < c.product(F(0))

    def counts(slope: int) -> list[int]:
        return [Line(F(gamma, 10), F(1), F(slope)).count(40) for gamma in (2, 9, 11, 50)]

    evidence.holds(threshold, lines, control=lambda c: threshold(c, shift=-1))
    evidence.holds(lambda c: better(c, c.c / c.d), lines, control=lambda c: better(c, c.c / (2 * c.d)))
    evidence.proves(
        lambda: counts(2) == [2, 2, 1, 1],
        control=lambda: counts(3) == [2, 2, 1, 1],
        by="local minima on a grid for c = 1, d = 2 at gamma = .2, .9, 1.1, 5, in fractions; control: d = 3",
    )
