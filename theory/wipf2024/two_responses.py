"""When Proposition 3.1 can not happen: two responses for each prompt, which is the setting of the paper's own proof."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED, claim
from theory.evidence import HOLDS, Evidence
from theory.wipf2024.logarithms import ZERO, Logs
from theory.wipf2024.objectives import Setting, Vector, divergence, minimisers, pair, setting, show

Probabilities = tuple[F, ...]  # pi(y_1) at every prompt


@dataclass(frozen=True)
class Intervals:
    """Prompts with two responses each, and an interval for pi(y_1) at each prompt.

    Attributes:
        settings: one for each prompt.
        weights: of the prompts.
        points: at each prompt, points of its interval, both ends first.
    """

    settings: tuple[Setting, ...]
    weights: Vector
    points: tuple[Vector, ...]

    def clip(self, targets: Iterable[F]) -> Probabilities:
        """Return the points of the intervals nearest to one target for each prompt."""
        return tuple(min(max(a, own[0]), own[1]) for a, own in zip(targets, self.points, strict=True))

    @property
    def optimum(self) -> Probabilities:
        """Return p**, the unconstrained optimum of RLHF at every prompt."""
        return tuple(s.optimum[0] for s in self.settings)

    def rlhf(self, p: Probabilities) -> Logs:
        """Return the weighted sum of l_RLHF over the prompts."""
        return sum((w * s.rlhf(pair(a)) for s, w, a in zip(self.settings, self.weights, p, strict=True)), ZERO)

    def dpo(self, p: Probabilities) -> Logs:
        """Return the weighted sum of l_DPO over the prompts."""
        return sum((w * s.dpo(pair(a)) for s, w, a in zip(self.settings, self.weights, p, strict=True)), ZERO)

    def __str__(self) -> str:
        prompts = (f"{s} on {show(p)}" for s, p in zip(self.settings, self.points, strict=True))
        return f"weights {show(self.weights)}\n" + "\n".join(prompts)


def intervals(source: random.Random) -> Intervals:
    """Draw one or two prompts, any reference, reward and beta, and an interval at each with points inside."""
    n = source.choice((1, 2))
    weight = F(source.randint(1, 9), 10)
    points = []
    for _ in range(n):
        low, first, second, high = sorted(_square_odds(source) for _ in range(4))
        points.append((low, high, first, second))
    settings = tuple(setting(source, 2) for _ in range(n))
    return Intervals(settings, (weight, 1 - weight)[:n], tuple(points))


def _square_odds(source: random.Random) -> F:
    odds = F(source.randint(1, 20), source.randint(1, 20)) ** 2
    return odds / (1 + odds)


@claim(
    "wipf2024.two-responses",
    source="not in the paper; Appendix C ends where this begins",
    says=r"\arg\min_{p\in\prod_x[a_x,b_x]}\ell_{\mathrm{RLHF}}=\arg\min_{p\in\prod_x[a_x,b_x]}\ell_{\mathrm{DPO}},"
    r"\quad p_x=\mathrm{clip}(p^{**}_x,a_x,b_x),\quad\mathrm{logit}\,p^{**}_x=\mathrm{logit}\,\pi_{\mathrm{ref}}(y_1|x)"
    r"+\tfrac1\lambda\bigl(r^*(y_1,x)-r^*(y_2,x)\bigr)",
    assumes=r"two responses for each prompt, any $\pi_{\mathrm{ref}}$, $r^*$ and $\lambda>0$, expected loss under "
    "Bradley-Terry labels, and a constraint that is an interval at each prompt",
    verdict=PROVED,
    because="So Eq. (7) needs a constraint with a hole at some prompt, a constraint that couples prompts, or a third "
    "response. The setting of Appendix C, two responses, offers the first two only, and the proof exhibits neither.",
    proof=r"With $p=\pi(y_1)$: $\ell_{\mathrm{RLHF}}'=\lambda(\mathrm{logit}\,p-\mathrm{logit}\,p^{**})$ and "
    r"$\ell_{\mathrm{DPO}}'=\frac{\lambda}{p(1-p)}\bigl[\sigma(\lambda(\mathrm{logit}\,p"
    r"-\mathrm{logit}\,\pi_{\mathrm{ref}}))-\sigma(r_1^*-r_2^*)\bigr]$. "
    "Both have the sign of $p-p^{**}$: both losses fall strictly up to $p^{**}$ and rise strictly beyond, and both "
    "are sums over prompts.",
)
def two_responses(evidence: Evidence) -> None:
    """On a product of intervals both losses have one minimiser, the same; where prompts are tied they part."""

    def agree(c: Intervals, tied: bool = False) -> bool:
        own = [{*points, best} for points, best in zip(c.points, c.clip(c.optimum), strict=True)]
        product = list(itertools.product(*own))
        candidates = [(a,) * len(own) for a in sorted(set().union(*own))] if tied else product
        return minimisers(c.rlhf, candidates) == minimisers(c.dpo, candidates)

    def clipped(c: Intervals, target: Callable[[Setting], F]) -> bool:
        expected = c.clip(target(s) for s in c.settings)
        candidates = list(itertools.product(*({*own, a} for own, a in zip(c.points, expected, strict=True))))
        return minimisers(c.rlhf, candidates) == minimisers(c.dpo, candidates) == [expected]

    evidence.holds(agree, intervals, control=lambda c: agree(c, tied=True), worlds=100)
    evidence.holds(
        lambda c: clipped(c, lambda s: s.optimum[0]),
        intervals,
        control=lambda c: clipped(c, lambda s: s.tilt[0] / sum(s.tilt)),  # the reference left out
        worlds=100,
    )
    p, rho, q = sp.symbols("p rho q", positive=True)
    m, lam, r_1, r_2 = sp.symbols("m lambda r_1 r_2", real=True)

    def logit(a: sp.Expr) -> sp.Expr:
        return sp.log(a) - sp.log(1 - a)

    def rlhf_slope(sign: int) -> bool:
        loss = p * (lam * sp.log(p / rho) - r_1) + (1 - p) * (lam * sp.log((1 - p) / (1 - rho)) - r_2)
        claimed = lam * (logit(p) - logit(rho)) - sign * (r_1 - r_2)
        return sp.simplify(sp.expand_log(sp.diff(loss, p) - claimed, force=True)) == 0

    def dpo_slope(factor: sp.Expr) -> bool:
        sigma = 1 / (1 + sp.exp(-m))
        by_margin = sp.diff(-q * sp.log(sigma) - (1 - q) * sp.log(1 - sigma), m)
        claimed = (sigma - q) * factor
        chain = by_margin * sp.diff(lam * (logit(p) - logit(rho)), p)
        return sp.simplify(chain - claimed) == 0

    evidence.proves(lambda: rlhf_slope(1), control=lambda: rlhf_slope(-1), by="SymPy, the slope of RLHF")
    evidence.proves(
        lambda: dpo_slope(lam / (p * (1 - p))), control=lambda: dpo_slope(lam / p), by="SymPy, the slope of DPO"
    )


# --- which sets can part the two, with one prompt ------------------------------------------------------------------


@dataclass(frozen=True)
class Levels:
    """The paper's setting at one prompt: pi*(y_1) = q, and two values of pi(y_1)."""

    q: F
    p: F
    other: F

    @property
    def backward(self) -> int:
        """Return the order of the two policies by KL(pi, pi*), which is RLHF."""
        return self._order(lambda p: divergence(pair(p), pair(self.q)))

    @property
    def forward(self) -> int:
        """Return the order of the two policies by KL(pi*, pi), which is DPO."""
        return self._order(lambda p: divergence(pair(self.q), pair(p)))

    def _order(self, loss: Callable[[F], Logs]) -> int:
        return (loss(self.p) - loss(self.other)).sign()

    def __str__(self) -> str:
        return f"q = {self.q}, p = {self.p} or {self.other}"


def target(source: random.Random) -> F:
    """Draw q = pi*(y_1)."""
    return F(source.randint(1, 59), 60)


def offsets(source: random.Random) -> tuple[F, F]:
    """Draw how far two values of pi(y_1) lie below and above pi*(y_1), often about equally far."""
    below = F(source.randint(4, 19), 60)
    above = below + F(source.randint(-4, 1), 80) if source.random() < 0.8 else F(source.randint(1, 19), 60)
    return below, min(above, F(19, 60))


def splitting_pair(q: F, bend: F) -> Levels:
    """Return the policies q - e and q + e + bend (1 - 2q) e^2 / (3 q (1 - q)) at a small e.

    To that order the two are level under KL(pi, pi*) at bend = 1, and under KL(pi*, pi) at bend = 2.
    """
    e = min(q, 1 - q) / 20
    return Levels(q, q - e, q + e + bend * (1 - 2 * q) * e**2 / (3 * q * (1 - q)))


@claim(
    "wipf2024.every-constraint-set",
    source="not in the paper; when Proposition 3.1 needs no third response",
    says=r"\Bigl[\forall S:\ \arg\min_{S}\mathrm{KL}(\pi\|\pi^*)=\arg\min_{S}\mathrm{KL}(\pi^*\|\pi)\Bigr]"
    r"\iff\pi^*(y_1|x)=\tfrac12",
    assumes=r"one prompt, two responses, $\lambda=1$, uniform reference: the setting of Appendix C",
    verdict=PROVED,
    proof=r"At $q=\frac12$ both divergences are increasing functions of $|p-\frac12|$. Otherwise they have the same "
    r"second derivative $\frac{1}{q(1-q)}$ at $p=q$, but third derivatives $-\frac{1-2q}{(q(1-q))^2}$ and twice that: "
    r"the points level with $q-\varepsilon$ differ, and a point between them, together with $q-\varepsilon$, is a set "
    "on which the minimisers differ.",
)
def every_constraint_set(evidence: Evidence) -> None:
    """At q = 1/2 both orders of policies are one; at any other q a set of two policies parts them."""

    def same_order(c: tuple[F, F], q: F = F(1, 2)) -> bool:
        made = Levels(q, q - c[0], q + c[1])
        return made.backward == made.forward

    def splits(q: F, bend: F = F(3, 2)) -> bool:
        made = splitting_pair(q, bend)
        return made.backward * made.forward == -1

    evidence.holds(same_order, offsets, control=lambda c: same_order(c, q=F(2, 3)))
    evidence.holds(splits, target, given=lambda q: q != F(1, 2), control=lambda q: splits(q, F(5, 2)), role=HOLDS)
    p, q = sp.symbols("p q", positive=True)
    backward = p * sp.log(p / q) + (1 - p) * sp.log((1 - p) / (1 - q))
    forward = q * sp.log(q / p) + (1 - q) * sp.log((1 - q) / (1 - p))

    def derivative(loss: sp.Expr, order: int, claimed: sp.Expr) -> bool:
        return sp.simplify(sp.diff(loss, p, order).subs(p, q) - claimed) == 0

    second, third = 1 / (q * (1 - q)), -(1 - 2 * q) / (q * (1 - q)) ** 2
    evidence.proves(
        lambda: (
            derivative(backward, 2, second) and derivative(backward, 3, third) and derivative(forward, 3, 2 * third)
        ),
        control=lambda: derivative(forward, 3, third),
        by="SymPy, second and third derivatives at p = q",
    )
    evidence.proves(lambda: derivative(forward, 2, second), control=lambda: derivative(forward, 2, -third), by="SymPy")
