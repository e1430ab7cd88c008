"""Proposition 2: do the gradients of bDPO's two probabilities grow and shrink monotonically, and become balanced?"""

from __future__ import annotations

from fractions import Fraction as F
from functools import partial
from typing import Any, NamedTuple

import sympy as sp

from theory.claim import FALSE, PROVED
from theory.ma2025.bdpo import everywhere
from theory.ma2025.covariance import claim
from theory.ma2025.decompositions import bdpo_effective_beta
from theory.ma2025.training import bdpo
from theory.proof import exp, log, same, world_of


class Progress(NamedTuple):
    """Two responses, one pair: training raises pi_w from its reference value without end; two points on the way."""

    reference: F
    earlier: F
    later: F
    detach: bool

    def partials(self, p: F) -> tuple[Any, Any]:
        """Return (g_w, g_l) of Eqs. (31) and (32) at pi_w = p."""
        m = bdpo(self.detach)(log(p), log(1 - p), log(self.reference), log(1 - self.reference))
        urgency = 1 / (1 + exp(m.f))
        return -urgency * m.of_w / p, -urgency * m.of_l / (1 - p)

    @property
    def gains(self) -> tuple[Any, Any]:
        """Return how much g_w and g_l grow from the earlier point to the later one."""
        before, after = self.partials(self.earlier), self.partials(self.later)
        return after[0] - before[0], after[1] - before[1]


def from_start(reference: F, later: F, detach: bool) -> Progress:
    """Return the way from the reference to a later policy."""
    return Progress(reference, reference, later, detach)


def falls_up_to(near: F, detach: bool, *, which: int, side: F = F(1, 1000)) -> bool:
    """Return whether g_w (0) falls, or g_l (1) rises, at first for references below ``near`` only, to 0.001."""
    sides = (from_start(r, r + F(1, 10**5), detach).gains[which] for r in (near - side, near + side))
    below, above = ((-1) ** (which + 1) * gain for gain in sides)
    return below > 0 > above


def rises_for_good(case, sign=1):
    """Return whether the push on a pair's first logit is positive: training passes through every larger pi_w."""
    return case.of_w * (1 - case.p) + sign * case.of_l * case.p > 0


PASSES: dict[str, Any] = {
    "of": rises_for_good,
    "over": world_of("df/d log pi_w > 0 > df/d log pi_l; 0 < pi_w < 1", of_w="positive", of_l="positive", p="share"),
    "wrong": {"sign": -1},
}


@claim("proposition-2-chosen", "Proposition 2, Eq. (31): first half", FALSE, "proposition-1-everywhere")
def proposition_2_chosen(case):
    r"""g_w=\mathbb E\Bigl[\frac{\partial\mathcal L_{\mathrm{bdpo}}}{\partial\pi_w}\Bigr]\
    \text{increases monotonically during training}

    Because: Two responses, one pair, $\mathrm{ref}_w=0.1$: $g_w$ falls from -0.2188 at $\pi_w=0.1$ to -0.2519 at 0.15
    ($\lambda_w$ detached), and training passes through every larger $\pi_w$. It falls at the start for
    $\mathrm{ref}_w$ below about 0.474 (detached) or 0.489.
    """
    return case.gains[0] >= 0


for detach, near in ((True, F(474, 1000)), (False, F(489, 1000))):
    falling, rising = (from_start(p, p + F(1, 20), detach) for p in (F(1, 10), F(3, 5)))
    proposition_2_chosen.false(at=falling, true_at=rising)
    threshold = partial(falls_up_to, near, detach, which=0)
    proposition_2_chosen.enclosed(of=threshold, wrong=partial(threshold, side=F(-1, 1000)), also=True)
proposition_2_chosen.proved(**PASSES, also=True)
proposition_2_chosen.rests_on(bdpo_effective_beta, also=True)  # the signs of both derivatives


def speed(p, constant=F(1, 2)):
    """Return dg_l/dt at the start of training on one pair of two equally probable responses; others have the rest.

    Example:
        >>> bool(abs(speed(F(1, 10)) - F(411, 10000)) < F(1, 10000))
        True
    """
    return (constant + 1 / log(p)) / (16 * p)


def speed_is(p, constant=F(1, 2)):
    """g_l along the flow of the logits, lambda_w differentiated and detached."""
    a, b = sp.symbols("a b", negative=True)
    start, found = sp.log(p), None
    for detach in (False, True):
        m = bdpo(detach)(a, b, start, start)
        g_l = -(1 - 1 / (1 + sp.exp(-m.f))) * m.of_l / sp.exp(b)
        at = {a: start, b: start}
        # the push on s_w; s_l gets its negative, so that the mean push is 0 and a and b move as s_w and s_l do
        of_pair = (1 - 1 / (1 + sp.exp(-m.f))).subs(at) * m.of_w.subs(at)
        rate = (sp.diff(g_l, a) - sp.diff(g_l, b)).subs(at) * of_pair
        one = same(of_pair, sp.Rational(1, 4)) & same(rate, (sp.Rational(constant) + 1 / start) / (16 * p))
        found = one if found is None else found & one
    return found


def is_positive_below(case, power=-2):
    return (F(1, 2) + 1 / case.log_p > 0) == (case.log_p < power)


@claim("proposition-2-tied", "not in the paper; g_l at the start of training on two equally probable responses", PROVED)
def tied_pair(p, constant=F(1, 2)):
    r"""\mathrm{ref}_w=\mathrm{ref}_l=p:\quad\frac{dg_l}{dt}\Big|_0=\frac{1}{16p}\Bigl(\frac12+\frac1{\log
    p}\Bigr);\qquad\frac12+\frac1{\log p}>0\iff p<e^{-2}

    Assumes: a table of logits, gradient flow on one pair, $\beta=1$
    Proof: At the start $f=0$, $\lambda_w=1/2$, and the log-probabilities move by $\pm 1/4$. Differentiate
    $g_l=(1-\kappa)(1-\lambda_w)/\pi_l$; the factor that a differentiated $\lambda_w$ adds is stationary there.
    """
    return speed_is(p, constant)


tied_pair.derived(wrong={"constant": F(1, 4)})
tied_pair.proved(
    of=is_positive_below,
    over=world_of("log p < 0", log_p="negative"),
    wrong={"power": F(-21, 10)},
    part=r"\frac12+\frac1{\log p}>0\iff p<e^{-2}",
)


@claim("proposition-2-rejected", "Proposition 2, Eq. (32): second half", FALSE, "proposition-2-tied")
def proposition_2_rejected(p, constant=F(1, 2)):
    r"""g_l=\mathbb E\Bigl[\frac{\partial\mathcal L_{\mathrm{bdpo}}}{\partial\pi_l}\Bigr]\
    \text{decreases monotonically during training}

    Because: Reference $(0.1,0.1,0.8)$, one pair of the first two: $dg_l/dt=+0.041$ at the start, by
    proposition-2-tied. With two responses and $\lambda_w$ differentiated it rises at first for $\mathrm{ref}_w$ below
    about 0.316.
    """
    return speed(p, constant) <= 0


def of_two(case):
    return case.gains[1] <= 0


THRESHOLD = partial(falls_up_to, F(316, 1000), False, which=1)
LATER, EVEN = (from_start(p, p + F(1, 20), detach=False) for p in (F(1, 5), F(1, 2)))
proposition_2_rejected.false(at=F(1, 10), true_at=F(3, 10))
proposition_2_rejected.rests_on(tied_pair, also=True)
proposition_2_rejected.false(at=LATER, true_at=EVEN, of=of_two)
proposition_2_rejected.enclosed(of=THRESHOLD, wrong=partial(THRESHOLD, side=F(-1, 1000)), also=True)


@claim(
    "proposition-2-balance",
    "Section 5.3, after Proposition 2: the imbalance is gradually diminished",
    FALSE,
    "proposition-1-everywhere",
)
def imbalance_grows(case):
    r"""\Bigl|\log\frac{|g_w|}{g_l}\Bigr|\ \text{decreases during training}

    Because: Two responses, uniform reference, one pair: training starts balanced, $|g_w|/g_l=1$, and has 2.43 at
    $\pi_w=0.9$; the ratio grows without bound as $\pi_w\to 1$.
    """
    before, after = (abs(log(-of_w / of_l)) for of_w, of_l in map(case.partials, (case.earlier, case.later)))
    return after <= before


def inverse_vanishes(p, level=0):
    return same(sp.limit(p * sp.log(p) / ((1 - p) * sp.log(1 - p)), p, 1, "-"), level)


for detach in (False, True):
    imbalance_grows.false(at=from_start(F(1, 2), F(9, 10), detach), true_at=from_start(F(3, 10), F(1, 2), detach))
imbalance_grows.derived(of=inverse_vanishes, wrong={"level": F(1, 10)}, also=True)
imbalance_grows.rests_on(everywhere, also=True)  # the ratio is that of the weighted logarithms
