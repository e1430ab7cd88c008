"""Proposition 2: do the gradients of bDPO's two probabilities grow and shrink monotonically, and become balanced?"""

from __future__ import annotations

import math
from fractions import Fraction as F
from functools import partial
from typing import NamedTuple

import torch

from dynamics.losses import BDPO, pair_log_probs
from theory.claim import FALSE, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.ma2025.training import drift, gradient


class Progress(NamedTuple):
    """Two responses, one pair: training raises pi_w from its reference value without end; two points on the way."""

    reference: F
    earlier: F
    later: F
    detach: bool

    def partials(self, p: F) -> tuple[float, float]:
        """Return (g_w, g_l) of Eqs. 31 and 32 at pi_w = p, by autograd."""
        names = ("chosen", "rejected", "reference_chosen", "reference_rejected")
        values = (p, 1 - p, self.reference, 1 - self.reference)
        point = {name: math.log(value) for name, value in zip(names, values, strict=True)}
        _, along, across = gradient(BDPO(beta=1.0, detach=self.detach), point)
        return along / float(p), across / float(1 - p)

    @property
    def gains(self) -> tuple[float, float]:
        """Return how much g_w and g_l grow from the earlier point to the later one."""
        (w, rejected), (later_w, later_rejected) = self.partials(self.earlier), self.partials(self.later)
        return later_w - w, later_rejected - rejected


def from_start(reference: F, later: F, detach: bool) -> Progress:
    """Return the way from the reference to a later policy."""
    return Progress(reference, reference, later, detach)


def always_rises(detach: bool, label: float = 1.0) -> bool:
    """Return whether training on the pair raises pi_w at every policy: then it passes through all later points."""
    log_odds = torch.linspace(-6, 6, 121, dtype=torch.float64)
    return bool((drift(BDPO(beta=1.0, detach=detach), label, log_odds, 0.1) > 0).all())


@claim(
    "ma2025.proposition-2-chosen",
    source="Proposition 2, Eq. (31): first half",
    says=r"g_w=\mathbb E\Bigl[\frac{\partial\mathcal L_{\mathrm{bdpo}}}{\partial\pi_w}\Bigr]\ "
    r"\text{increases monotonically during training}",
    verdict=FALSE,
    because=r"Two responses, one pair, $\mathrm{ref}_w=0.1$: $g_w$ falls from -0.2188 at $\pi_w=0.1$ to -0.2519 at "
    r"0.15 ($\lambda_w$ detached). It falls at the start for $\mathrm{ref}_w$ below about 0.474 (detached) or 0.489.",
    instead="ma2025.proposition-1-everywhere",
)
def proposition_2_chosen(evidence: Evidence) -> None:
    """Autograd; lambda_w detached and differentiated; and the reference value from which on g_w rises at first."""

    def statement(case: Progress) -> bool:
        return case.gains[0] >= 0

    def rises_from(detach: bool, reference: F) -> bool:
        return statement(from_start(reference, reference + F(1, 10**5), detach))

    def threshold(detach: bool, near: F) -> bool:
        return rises_from(detach, near + F(1, 1000)) and not rises_from(detach, near - F(1, 1000))

    for detach, near in ((True, F(474, 1000)), (False, F(489, 1000))):
        falling, rising = (from_start(p, p + F(1, 20), detach) for p in (F(1, 10), F(3, 5)))
        evidence.fails(statement, at=falling, control=rising)
        evidence.measures(
            partial(threshold, detach, near),
            control=partial(threshold, detach, near + F(1, 100)),
            by=f"g_w falls at first iff ref_w < {float(near)}, to 0.001",
            role=ALSO,
        )
        evidence.measures(
            partial(always_rises, detach),
            control=partial(always_rises, detach, label=0.0),
            by="training passes through every later pi_w",
            role=ALSO,
        )


def initial_speed(p: float, detach: bool) -> float:
    """Return dg_l/dt at the start of training on one pair of two equally probable responses; a third has the rest.

    Example:
        >>> round(initial_speed(0.1, detach=True), 4)
        0.0411
    """
    loss = BDPO(beta=1.0, detach=detach)
    ref = torch.tensor([p, p, 1 - 2 * p], dtype=torch.float64).log()
    s = ref.clone().requires_grad_()
    pair = pair_log_probs(*s.log_softmax(0)[:2], *ref[:2])
    (gradient_s,) = torch.autograd.grad(loss.value(pair), s, retain_graph=True)
    g_l = loss.partials(pair).rejected / pair.rejected.exp()
    (slope,) = torch.autograd.grad(g_l, s)
    return float(-(slope * gradient_s).sum())


@claim(
    "ma2025.proposition-2-tied",
    source="not in the paper; g_l at the start of training on two equally probable responses",
    says=r"\mathrm{ref}_w=\mathrm{ref}_l=p:\quad\frac{dg_l}{dt}\Big|_0=\frac{1}{16p}\Bigl(\frac12+\frac1{\log "
    r"p}\Bigr)>0"
    r"\iff p<e^{-2}",
    assumes=r"a table of logits, gradient flow on one pair, $\beta=1$",
    verdict=PROVED,
    proof=r"At the start $f=0$, $\lambda_w=1/2$, and the log-probabilities move by $\pm 1/4$. Differentiate "
    r"$g_l=(1-\kappa)(1-\lambda_w)/\pi_l$; the factor that a differentiated $\lambda_w$ adds is stationary there.",
)
def tied_pair(evidence: Evidence) -> None:
    """Autograd through the logits against the closed form."""

    def statement(detach: bool, constant: float) -> bool:
        closed_form = {p: (constant + 1 / math.log(p)) / (16 * p) for p in (0.01, 0.1, 0.13, 0.14, 0.3, 0.45)}
        return all(abs(initial_speed(p, detach) - value) <= 1e-12 / p for p, value in closed_form.items())

    for detach in (False, True):
        evidence.measures(
            partial(statement, detach, 0.5),
            control=partial(statement, detach, 0.25),
            by="autograd, six values of p, relative 1e-12",
        )


@claim(
    "ma2025.proposition-2-rejected",
    source="Proposition 2, Eq. (32): second half",
    says=r"g_l=\mathbb E\Bigl[\frac{\partial\mathcal L_{\mathrm{bdpo}}}{\partial\pi_l}\Bigr]\ "
    r"\text{decreases monotonically during training}",
    verdict=FALSE,
    because=r"Reference $(0.1,0.1,0.8)$, one pair of the first two: $dg_l/dt=+0.041$ at the start. With two "
    r"responses and $\lambda_w$ differentiated it rises at first for $\mathrm{ref}_w$ below about 0.316.",
    instead="ma2025.proposition-2-tied",
)
def proposition_2_rejected(evidence: Evidence) -> None:
    """Three responses, lambda_w detached and differentiated; two responses, differentiated."""

    def statement(case: tuple[float, bool]) -> bool:
        return initial_speed(*case) <= 0

    def rises_up_to(near: F) -> bool:
        below, above = (from_start(p, p + F(1, 10**5), detach=False) for p in (near - F(1, 1000), near + F(1, 1000)))
        return below.gains[1] > 0 >= above.gains[1]

    for detach in (False, True):
        evidence.fails(statement, at=(0.1, detach), control=(0.3, detach))
    evidence.fails(
        lambda case: case.gains[1] <= 0,
        at=from_start(F(1, 5), F(1, 4), detach=False),
        control=from_start(F(1, 2), F(11, 20), detach=False),
    )
    evidence.measures(
        lambda: rises_up_to(F(316, 1000)),
        control=lambda: rises_up_to(F(326, 1000)),
        by="two responses, differentiated: g_l rises at first iff ref_w < 0.316, to 0.001",
        role=ALSO,
    )


@claim(
    "ma2025.proposition-2-balance",
    source="Section 5.3, after Proposition 2: the imbalance is gradually diminished",
    says=r"\Bigl|\log\frac{|g_w|}{g_l}\Bigr|\ \text{decreases during training}",
    verdict=FALSE,
    because=r"Two responses, uniform reference, one pair: training starts balanced, $|g_w|/g_l=1$, and has 2.43 at "
    r"$\pi_w=0.9$; the ratio grows without bound as $\pi_w\to 1$.",
    instead="ma2025.proposition-1-everywhere",
)
def imbalance_grows(evidence: Evidence) -> None:
    """Away from perfect balance."""

    def imbalance(case: Progress, p: F) -> float:
        along, across = case.partials(p)
        return abs(math.log(-along / across))

    def statement(case: Progress) -> bool:
        return imbalance(case, case.later) <= imbalance(case, case.earlier) + 1e-12

    for detach in (False, True):
        evidence.fails(
            statement,
            at=from_start(F(1, 2), F(9, 10), detach),
            control=from_start(F(3, 10), F(1, 2), detach),
        )
