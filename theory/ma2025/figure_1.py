"""Figure 1 and what Sections 4.2 and 4.3.2 read off it, in interval arithmetic: no rounding and no sampling.

Policy and utility are bells with variance 100 over the responses 0, ..., 99; each row of the figure has other means,
the left column asks all pairs equally often, the right one as often as the policy draws them ("shiftless"). The curves
are the paper's: w of Lemma 2, and w pi. In a balanced loss the push has another kappa and another mean (eq-14).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction as F
from functools import lru_cache
from typing import NamedTuple

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL, FAILS
from theory.ma2025.concentration import variance_excess
from theory.ma2025.covariance import claim, covariance, mean, times
from theory.proof import Ball, Named, exp
from theory.statement import ALL_CASES

ROWS = ((45, 55), (30, 70), (48, 52))
RESPONSES = range(100)
SIGMA = 10
Curve = tuple[Ball, ...]


class Panel(NamedTuple):
    """One panel of Figure 1.

    Attributes:
        modes: mu_P and mu_Q.
        p: policy, not normalised: no statement here depends on its scale.
        q: utility.
        w: fitness of every response.
    """

    modes: tuple[int, int]
    p: Curve
    q: Curve
    w: Curve

    @property
    def product(self) -> Curve:
        """Return w pi."""
        return times(self.w, self.p)

    @property
    def dispersion(self) -> Ball:
        """Return Var[w pi] / (Var[w] E[pi^2]): below 1 if w is the more dispersed one.

        Example:
            >>> from theory.proof.balls import midpoint
            >>> round(midpoint(panel((45, 55), shiftless=False).dispersion), 3)
            0.261
        """
        scaled = covariance(self.w, self.w) * mean(times(self.p, self.p))
        return 1 + variance_excess(self.w, self.p) / scaled


@lru_cache(maxsize=8)
def panel(modes: tuple[int, int], *, shiftless: bool | F) -> Panel:
    """Return a panel; ``shiftless`` is the power of the policy's probabilities with which responses are drawn."""

    def bell(mode: int, power: int | F = 1) -> Curve:
        return tuple(Ball.of(exp(power * F(-((y - mode) ** 2), 2 * SIGMA**2))) for y in RESPONSES)

    p, q, asked = bell(modes[0]), bell(modes[1]), bell(modes[0], shiftless)
    w = [Ball.of(0)] * len(RESPONSES)
    for i in RESPONSES:
        for j in range(i):
            pull = q[i] / (q[i] + q[j]) - p[i] / (p[i] + p[j])
            pull = pull * asked[i] * asked[j] if shiftless else pull
            w[i], w[j] = w[i] + pull, w[j] - pull
    return Panel(modes, p, q, tuple(w))


def panels(*, shiftless: bool) -> tuple[Panel, ...]:
    """Return the three panels of a column."""
    return tuple(panel(row, shiftless=shiftless) for row in ROWS)


def extremes(curve: Sequence[Ball]) -> tuple[int, int]:
    """Return where a curve is smallest and where it is largest."""
    return min(RESPONSES, key=lambda y: curve[y]), max(RESPONSES, key=lambda y: curve[y])


@lru_cache(maxsize=8)
def imbalance(modes: tuple[int, int], *, shiftless: bool) -> Ball:
    """Return E|dL/dpi_w| / E|dL/dpi_l| of DPO in a panel.

    Example:
        >>> from theory.proof.balls import midpoint
        >>> round(midpoint(imbalance((48, 52), shiftless=False)), 2)
        2.7
    """
    _, p, q, _ = panel(modes, shiftless=shiftless)
    wins, losses = ([Ball.of(0)] * len(RESPONSES) for _ in range(2))  # of each response, in expectation
    for i in RESPONSES:
        for j in range(i):
            both = 1 / ((q[i] + q[j]) * (p[i] + p[j]))
            i_wins, j_wins = q[i] * p[j] * both, q[j] * p[i] * both  # label (1 - kappa), and (1 - label) kappa
            if shiftless:
                asked = p[i] * p[j]
                i_wins, j_wins = i_wins * asked, j_wins * asked
            wins[i], losses[j] = wins[i] + i_wins, losses[j] + i_wins
            wins[j], losses[i] = wins[j] + j_wins, losses[i] + j_wins
    chosen, rejected = (sum((x / y for x, y in zip(pushes, p, strict=True)), Ball.of(0)) for pushes in (wins, losses))
    return chosen / rejected


def outside(curve: Sequence[Ball], modes: tuple[int, int]) -> Ball:
    """Return the share of |curve| more than two sigma outside the modes."""
    low, high = min(modes) - 2 * SIGMA, max(modes) + 2 * SIGMA
    sizes = [abs(value) for value in curve]
    return sum((sizes[y] for y in RESPONSES if not low <= y <= high), Ball.of(0)) / sum(sizes, Ball.of(0))


@claim("figure-1-shift", "Section 4.2, Figure 1, left column", PROVED)
def shift(beyond: int = SIGMA, within: int = SIGMA) -> bool:
    r"""\text{uniform pairs: both extremes of}\ w\ \text{lie at least}\ \sigma\ \text{outside}\ [\mu_P,\mu_Q],\
    \text{those of}\ w\pi\ \text{at most}\ \sigma

    Proof: Evaluate: $w$ is smallest and largest at 24 and 76, 20 and 80, 25 and 75; $w\pi$ at 37 and 58, 28 and 54, 38
    and 60.
    """
    found = True
    for at in panels(shiftless=False):
        (low, high), (first, last), (least, most) = at.modes, extremes(at.w), extremes(at.product)
        far = first <= low - beyond and last >= high + beyond
        found = found and far and least >= low - within and most <= high + within
    return found


shift.enclosed(wrong={"beyond": SIGMA + 1}).enclosed(wrong={"within": SIGMA - 1}, also=True)


@claim("figure-1-similar", "Section 4.2, Figure 1, right column: without a shift the two are similar", PROVED)
def similar(most: int = 3, power: int = 1) -> bool:
    r"""\text{pairs drawn from the policy: the extremes of}\ w\ \text{and}\ w\pi\ \text{are at most 3 responses apart}

    Proof: Evaluate: $w$ is smallest and largest at 37 and 56, 24 and 41, 39 and 58; $w\pi$ at 39 and 53, 25 and 39, 41
    and 56.
    """
    drawn = (panel(row, shiftless=F(power)) for row in ROWS)
    ends = ((extremes(at.w), extremes(at.product)) for at in drawn)
    return all(abs(a - b) <= most for w, product in ends for a, b in zip(w, product, strict=True))


similar.enclosed(wrong={"most": F(27, 10)})
similar.enclosed(wrong={"power": F(9, 10)}, also=True)  # responses drawn a little more evenly


@claim("figure-1-concentrated", "Section 4.2, Figure 1: the updates outside the data are significantly smaller", PROVED)
def concentrated(share: F = F(1, 4)) -> bool:
    r"""\text{of}\ |w\pi|\ \text{less than a quarter as much lies outside}\ [\mu_P-2\sigma,\mu_Q+2\sigma]\ \text{as
    of}\ |w|,\ \text{in all six panels}

    Assumes: the curves as drawn: $w$ of DPO for both
    Proof: Evaluate: 0.050, 0.019 and 0.070 against 0.579, 0.198 and 0.669 in the left column.
    """
    both = [at for column in (False, True) for at in panels(shiftless=column)]
    return all(outside(at.product, at.modes) < share * outside(at.w, at.modes) for at in both)


concentrated.enclosed(wrong={"share": F(1, 10)})


@claim(
    "theorem-4-figure-1",
    "Section 4.3.2 applied to Figure 1: w has the larger variance",
    CONDITIONALLY,
    "theorem-4-criterion",
)
def figure_1(case: Named, most: F = F(1)) -> bool:
    r"""\mathrm{Var}[w]\,\mathbb E[\pi^2]\ge\mathrm{Var}[w\pi]\ \text{in every panel}

    Assumes: pairs drawn uniformly, as in the left column
    Because: With pairs from the policy $w\pi$ is the more dispersed one: the ratio of the right side to the left one is
    2.32, 2.46 and 2.23 in the right column, and 0.261, 0.802 and 0.195 in the left one.
    Proof: Evaluate.
    """
    return all(at.dispersion <= most for at in panels(shiftless=case.shiftless))


def fails_in_the_right_column(least: F = F(2)) -> bool:
    return all(at.dispersion >= least for at in panels(shiftless=True))


LEFT, RIGHT = Named(shiftless=False), Named(shiftless=True)
figure_1.false(at=RIGHT, true_at=LEFT)
figure_1.enclosed(of=fails_in_the_right_column, role=FAILS, wrong={"least": F(9, 4)})
figure_1.evaluated([LEFT], meaning=ALL_CASES, role=CONDITIONAL, wrong={"most": F(4, 5)})
