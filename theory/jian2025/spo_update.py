"""Section 3.3: what the terms (a) to (d) of the update do to the chosen response."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from fractions import Fraction as F

from theory.claim import FALSE, FIRST_ORDER, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.jian2025.bilevel import TwoBlocks, two_blocks
from theory.jian2025.envelope import LowerLevel
from theory.jian2025.finite_step import residual
from theory.worlds import World, any_world, dot, one_feature, sign_with_root

RATES = (F(1, 3), F(2, 7))  # of theta and of phi; any two positive numbers


@claim(
    "jian2025.terms-a-and-c",
    source="Section 3.3, terms (a) and (c)",
    says=r"\Delta(\log\pi_w-\log\pi_l)=\beta\sigma(-z)\bigl(\eta_\theta\|g^\theta_w-g^\theta_l\|^2"
    r"+\eta_\phi\|g^\phi_w-g^\phi_l\|^2\bigr)\ge 0",
    assumes="first order in the step; terms (a) and (c) alone",
    verdict=PROVED,
    because=r"It is the log-margin that is enlarged. The difference $\pi_w-\pi_l$ can shrink, as for DPO.",
    proof=r"Theorem 1 in each block; the blocks add up.",
)
def terms_a_and_c(evidence: Evidence) -> None:
    """Each block enlarges the margin between the logarithms by a square."""

    def squared_distance(w: World) -> F:
        return w.squared_norm(w.chosen) - 2 * w.kernel(w.chosen, w.rejected) + w.squared_norm(w.rejected)

    def statement(case: TwoBlocks, blocks: int = 2) -> bool:
        chosen, rejected = (case.log_change(y, *RATES) for y in (case.theta.chosen, case.theta.rejected))
        squares = [rate * squared_distance(w) for rate, w in zip(RATES, (case.theta, case.phi), strict=True)][:blocks]
        return chosen - rejected == sum(squares) >= 0

    def difference(case: TwoBlocks) -> bool:
        w, r = case.theta.chosen, case.theta.rejected
        return case.theta.p[w] * case.log_change(w, *RATES) >= case.theta.p[r] * case.log_change(r, *RATES)

    evidence.holds(statement, two_blocks, control=lambda case: statement(case, blocks=1))
    evidence.finds(difference, two_blocks, control=statement, role=ALSO)


@dataclass(frozen=True)
class Product:
    """Two responses with log-odds theta phi, and Phi = [0, phi*]: for theta > 0 the SFT loss is least at phi*."""

    exp_theta: F
    phi: int
    phi_star: int

    def __str__(self) -> str:
        """Return the three numbers."""
        return f"e^theta = {self.exp_theta}, phi = {self.phi}, phi* = {self.phi_star}"

    def score(self, phi: int) -> F:
        """Return the derivative of log pi_w with respect to theta.

        Example:
            >>> Product(F(2), 1, 2).score(1)
            Fraction(1, 3)
        """
        return phi / (1 + self.exp_theta**phi)

    def change_of_log_chosen(self) -> F:
        """Return what a step along term (b) does to log pi_w, to first order, per unit of lambda x learning rate."""
        return self.score(self.phi) * (self.score(self.phi) - self.score(self.phi_star))


@claim(
    "jian2025.term-b",
    source="Section 3.3, term (b): stabilizes, reduces the risk of poor initialization; the update as a whole "
    "preserves pi_w",
    says=r"\lambda\eta_\theta\,\nabla_\theta\log\pi_w\cdot\bigl(\nabla_\theta\log\pi_{\theta,\phi}(y_w)"
    r"-\nabla_\theta\log\pi_{\theta,\phi^*}(y_w)\bigr)\ge 0",
    verdict=FALSE,
    because=r"Term (b) lowers the gap $L_{\mathrm{sft}}-L^*_{\mathrm{sft}}$. It can do so by making the optimum "
    r"worse: where the score is larger at $\phi^*$ than at $\phi$, $\theta$ moves against $\log\pi_w$.",
    instead="jian2025.term-b-gap",
)
def term_b(evidence: Evidence) -> None:
    """Log-odds theta phi at e^theta = 2, phi = 1, phi* = 2: -1/45."""

    def statement(case: Product) -> bool:
        return case.change_of_log_chosen() >= 0

    evidence.fails(statement, at=Product(F(2), 1, 2), control=Product(F(8), 1, 2))


@claim(
    "jian2025.term-b-gap",
    source="not in the paper; what term (b) does",
    says=r"\Delta\bigl(L_{\mathrm{sft}}(\theta,\phi)-L^*_{\mathrm{sft}}(\theta)\bigr)=-\lambda\eta_\theta\,"
    r"\|\nabla_\theta L_{\mathrm{sft}}-\nabla_\theta L^*_{\mathrm{sft}}\|^2+O(\eta_\theta^2)",
    assumes=r"a step of $\theta$ along term (b) alone; $\phi^*(\theta)$ unique and exact",
    verdict=FIRST_ORDER,
    because="A long step overshoots, and the gap grows.",
    proof=r"Term (b) is the gradient of $\lambda(L_{\mathrm{sft}}-L^*_{\mathrm{sft}})$ in $\theta$.",
)
def term_b_gap(evidence: Evidence) -> None:
    """The gap of a lower level with three responses, with the true value function."""
    level = LowerLevel((0.5, 0.3, 0.2), (1.0, -0.4, 0.3), (0.2, 1.1, -0.7), (0.3, -0.2, 0.5))
    theta, phi = 0.4, -0.6

    def gap(at: float) -> float:
        return level.loss(at, phi) - level.loss(at, level.best_phi(at))

    slope = level.slope_theta(theta, phi) - level.slope_theta(theta, level.best_phi(theta))

    def distance(size: float, share: float = 1.0) -> float:
        return abs(gap(theta - size * slope) - gap(theta) + share * size * slope**2)

    evidence.slope(distance, 2, control=lambda size: distance(size, share=0.5))
    evidence.fails(lambda size: gap(theta - size * slope) <= gap(theta), at=1000.0, control=1.0)


@claim(
    "jian2025.term-d",
    source="Section 3.3, term (d); Eq. (14)",
    says=r"\Delta\pi_w=\lambda\eta_\phi\,\pi_w\,\|\nabla_\phi\log\pi_w\|^2\ge 0",
    assumes="a step along term (d) alone",
    verdict=FIRST_ORDER,
    because=r"A long step overshoots: features $(1,0,3)$, where the score of the chosen response is $-1/3$, and a "
    r"step to $e^\phi=1/2$.",
    proof=r"$\nabla_\phi\pi_w=\pi_w\nabla_\phi\log\pi_w$.",
)
def term_d(evidence: Evidence) -> None:
    """Slope 2 in the step; a long step lowers the chosen response."""
    world = World.with_base([2, 3, 4], [[1, 0], [0, 2], [3, -1]])
    rate = world.p[0] * world.squared_norm(0)
    off, off_tenth = (residual(world, (0,), rate * share, world.scores[0]) for share in (F(1), F(9, 10)))
    evidence.slope(off, 2, control=off_tenth)

    def rises(features: tuple[int, ...]) -> bool:  # in a step of ln 2 in the direction of the score
        start = World.log_linear([[phi] for phi in features], at=[1])
        up = start.scores[0][0] > 0
        end = World.log_linear([[phi] for phi in features], at=[F(2) if up else F(1, 2)])
        return end.p[0] > start.p[0]

    evidence.fails(rises, at=(1, 0, 3), control=(3, 0, 1))


@dataclass(frozen=True)
class Update:
    """The phi-block of the update without term (e): DPO plus lambda times NLL."""

    world: World
    penalty: F
    push: F  # beta x urgency

    def log_change(self) -> F:
        """Return the first-order change of log pi_w per unit of learning rate."""
        w = self.world
        g_w, g_l = w.scores[w.chosen], w.scores[w.rejected]
        direction = tuple(self.push * (a - b) + self.penalty * a for a, b in zip(g_w, g_l, strict=True))
        return dot(g_w, direction)

    def __str__(self) -> str:
        """Return the weights and the world."""
        return f"lambda = {self.penalty}, beta x urgency = {self.push}\n{self.world}"


def update(source: random.Random) -> Update:
    """Draw a world of any kind, lambda up to 6 and beta x urgency up to 1."""
    world = source.choice((any_world, one_feature))(source)
    return Update(world, F(source.randint(0, 24), 4), F(source.randint(1, 12), 12))


@claim(
    "jian2025.update-preserves-chosen",
    source="Section 3.3, last paragraph: the update ensures that pi_w is preserved or enhanced",
    says=r"\lambda\in\{1,5\},\ \beta=\tfrac12\implies\Delta\pi_w\ge 0",
    verdict=FALSE,
    because=r"How large $\lambda$ must be depends on the pair, and there is no bound: the rejected score may be as "
    r"long as one likes. Features $(3,5,0)$ defeat $\lambda=1$, features $(8,15,0)$ $\lambda=5$, the two values of "
    r"Table 2, in the $\phi$-block at $z=0$.",
    instead="jian2025.update-lambda",
)
def update_preserves_chosen(evidence: Evidence) -> None:
    """Uniform probabilities, z = 0."""

    def case(features: tuple[int, ...], penalty: int) -> Update:
        return Update(World.log_linear([[phi] for phi in features], at=[1]), F(penalty), F(1, 4))

    def statement(u: Update) -> bool:
        return u.log_change() >= 0

    evidence.fails(statement, at=case((3, 5, 0), 1), control=case((2, 3, 0), 1))
    evidence.fails(statement, at=case((8, 15, 0), 5), control=case((8, 15, 0), 6))


@claim(
    "jian2025.update-lambda",
    source="not in the paper; how large lambda must be",
    says=r"\Delta\pi_w\ge 0\iff\lambda\ge\beta\sigma(-z)\Bigl(\frac{g_w\cdot g_l}{\|g_w\|^2}-1\Bigr);\qquad"
    r"\lambda\ge\beta\sigma(-z)\Bigl(\frac{\|g_l\|}{\|g_w\|}-1\Bigr)\ \text{suffices}",
    assumes=r"$\phi$-block, $\gamma=0$, first order in the step, $g_w\ne 0$",
    verdict=PROVED,
    proof=r"$g_w\cdot\bigl(\beta\sigma(-z)(g_w-g_l)+\lambda g_w\bigr)\ge 0$, divided by $\|g_w\|^2$; Cauchy-Schwarz.",
)
def update_lambda(evidence: Evidence) -> None:
    """The threshold, exactly; the one in norms is sufficient, not necessary."""

    def threshold(u: Update) -> bool:
        w = u.world
        square = w.squared_norm(w.chosen)
        return square == 0 or u.penalty >= u.push * (w.kernel(w.chosen, w.rejected) / square - 1)

    def in_norms(u: Update) -> bool:
        w = u.world
        square, other = w.squared_norm(w.chosen), w.squared_norm(w.rejected)
        return sign_with_root((u.penalty + u.push) * square, -u.push, square * other) >= 0

    def scaled(u: Update, factor: F) -> Update:
        return replace(u, penalty=u.penalty * factor)

    evidence.holds(
        lambda u: (u.log_change() >= 0) == threshold(u),
        update,
        control=lambda u: (u.log_change() >= 0) == threshold(scaled(u, F(1, 2))),
    )
    evidence.holds(
        lambda u: not in_norms(u) or u.log_change() >= 0,
        update,
        control=lambda u: in_norms(u) or u.log_change() < 0,
    )
