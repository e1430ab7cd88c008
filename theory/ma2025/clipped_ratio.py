"""The clipped ratio lambda of Eq. 26, and naive bDPO v2 of Eq. 27: Eq. 25 without its detached term."""

from __future__ import annotations

import random
from fractions import Fraction as F
from typing import NamedTuple

import mpmath
import torch

from dynamics.losses import DPO, NaiveBDPOv2, pair_log_probs
from dynamics.losses.balanced import imbalance_ratio
from dynamics.losses.base import PreferenceLoss
from theory.claim import CONDITIONALLY, PROVED, claim
from theory.evidence import ALSO, Evidence, uniform
from theory.ma2025.training import Pair, drift, gradient, is_minimum, naive, resting_points, version_2

LOG_PROBS = uniform(
    chosen=(-3, -0.05), rejected=(-3, -0.05), reference_chosen=(-4, -0.05), reference_rejected=(-4, -0.05)
)

# --- Eq. (26) ------------------------------------------------------------------------------------------------------


class Clipped(NamedTuple):
    """Log-odds x = log(pi_w / pi_l) of a pair, in nats, and the clip c = the largest lambda minus 1."""

    x: F
    c: F

    def ratio(self, *, symmetric: bool) -> F:
        """Return lambda of Eq. 26, exactly.

        Example:
            >>> str(Clipped(F(-1), F(1, 2)).ratio(symmetric=True)), str(Clipped(F(2), F(1, 2)).ratio(symmetric=False))
            ('2/3', '3/2')
        """
        lower = 1 / (1 + self.c) - 1 if symmetric else F(0)
        return 1 + min(max(self.x, lower), self.c)

    def left(self, *, symmetric: bool) -> mpmath.mpf:
        """Return log(lambda pi_l / pi_w), the log of the imbalance with lambda; without it, it is -x."""
        return mpmath.log(_real(self.ratio(symmetric=symmetric))) - _real(self.x)


def clipped(source: random.Random) -> Clipped:
    """Draw log-odds between -6 and 6, a quarter of them at the lower clip, and a clip between 1/20 and 10."""
    c = F(source.randint(1, source.choice((40, 200))), 20)
    x = 1 / (1 + c) - 1 if source.random() < 0.25 else F(source.randint(-120, 120), source.choice((20, 60)))
    return Clipped(x, c)


def _real(value: F) -> mpmath.mpf:
    return mpmath.mpf(value.numerator) / value.denominator


@claim(
    "ma2025.eq-26",
    source="Eq. (26), asymmetric and symmetric",
    says=r"\lambda_{\mathrm{asym}}\in[1,1+\Delta\lambda_{\max}],\qquad"
    r"\lambda_{\mathrm{sym}}\in\bigl[\tfrac{1}{1+\Delta\lambda_{\max}},1+\Delta\lambda_{\max}\bigr]",
    verdict=PROVED,
    proof=r"$1+\Delta\lambda_{\min}$ is 1 or $1/(1+\Delta\lambda_{\max})$.",
)
def eq_26(evidence: Evidence) -> None:
    """The ratio that the losses use agrees with the exact one, and stays within its bounds."""

    def statement(case: Clipped, least: int = 1) -> bool:
        pair = pair_log_probs(float(min(case.x, F(0))), -float(max(case.x, F(0))))
        for symmetric in (False, True):
            found, _ = imbalance_ratio(pair, float(case.c), symmetric=symmetric)
            exact = case.ratio(symmetric=symmetric)
            lower = 1 / (1 + case.c) if symmetric else F(least)
            if abs(float(found) - float(exact)) > 1e-12 or not lower <= exact <= 1 + case.c:
                return False
        return True

    evidence.holds(statement, clipped, control=lambda case: statement(case, least=2), worlds=200)


@claim(
    "ma2025.eq-26-swap",
    source="not in the paper; how symmetric the symmetric ratio is",
    says=r"|x|\le\tfrac{c}{1+c}\implies\lambda(x)\,\lambda(-x)=1-x^2;\qquad |x|\ge c\implies\lambda(x)\,\lambda(-x)=1",
    assumes=r"$x=\log(\pi_w/\pi_l)$, $c=\Delta\lambda_{\max}$, the symmetric ratio",
    verdict=PROVED,
    proof=r"$(1+x)(1-x)$ inside the clip, and $(1+c)\cdot\frac{1}{1+c}$ beyond it. Exchanging winner and loser "
    r"inverts $\pi_w/\pi_l$ but not $\lambda$: only the bounds are symmetric.",
)
def swap(evidence: Evidence) -> None:
    """Exact in rationals."""

    def statement(case: Clipped, inside: int = 1) -> bool:
        product = case.ratio(symmetric=True) * Clipped(-case.x, case.c).ratio(symmetric=True)
        if abs(case.x) <= case.c / (1 + case.c):
            return product == 1 - inside * case.x**2
        return abs(case.x) < case.c or product == 1

    evidence.holds(statement, clipped, control=lambda case: statement(case, inside=0))


def closer(case: Clipped, *, symmetric: bool) -> bool:
    """Return whether lambda brings the ratio of the two gradients no further from 1, to 40 digits."""
    with mpmath.workdps(40):
        return bool(abs(case.left(symmetric=symmetric)) <= abs(_real(case.x)) + mpmath.mpf("1e-35"))


def moderate(case: Clipped, factor: int = 2) -> bool:
    """Return whether log(1 + c) <= 2 c / (1 + c): c up to 3.92."""
    with mpmath.workdps(40):
        return bool(mpmath.log(1 + _real(case.c)) <= factor * _real(case.c / (1 + case.c)))


@claim(
    "ma2025.eq-26-balances",
    source="Section 5.1, after Eq. (26): the symmetric approach makes the gradient more balanced in any case",
    says=r"\bigl|\log(\lambda\,\pi_l/\pi_w)\bigr|\le\bigl|\log(\pi_l/\pi_w)\bigr|",
    assumes=r"$\log(1+c)\le 2c/(1+c)$, that is $c=\Delta\lambda_{\max}\le 3.92$",
    verdict=CONDITIONALLY,
    because=r"With a generous clip, $\lambda$ falls so far where $\pi_w<\pi_l$ that the imbalance turns round and "
    r"grows: $c=9$, $\log(\pi_w/\pi_l)=-9/10$. The asymmetric ratio satisfies the inequality for every clip.",
    proof=r"For $x\ge 0$: $1\le\lambda\le 1+x\le e^x$. For $x=-y<0$ the left side is $|y+\log\lambda|$, at most $y$ "
    r"iff $-\log\lambda\le 2y$, and $-\log(1-y)-2y$ is convex, 0 at 0: the end of the clip, $y=c/(1+c)$, decides.",
)
def balances(evidence: Evidence) -> None:
    """Fails at c = 9; holds for all x up to c = 3.92, and the condition on c is sharp at the lower clip."""

    def keeps_its_sign(case: Clipped) -> bool:  # closer without passing beyond balance
        with mpmath.workdps(40):
            return bool(closer(case, symmetric=True) and case.left(symmetric=True) * -_real(case.x) >= 0)

    def sharp(case: Clipped, factor: int = 2) -> bool:
        at_the_clip = Clipped(1 / (1 + case.c) - 1, case.c)
        return closer(at_the_clip, symmetric=True) == moderate(case, factor)

    evidence.fails(
        lambda case: closer(case, symmetric=True), at=Clipped(F(-9, 10), F(9)), control=Clipped(F(-1, 3), F(1, 2))
    )
    evidence.holds(lambda case: closer(case, symmetric=True), clipped, given=moderate, control=keeps_its_sign)
    evidence.holds(sharp, clipped, role=ALSO, control=lambda case: sharp(case, factor=3))
    evidence.holds(
        lambda case: closer(case, symmetric=False),
        clipped,
        role=ALSO,
        control=lambda case: closer(case, symmetric=True),
    )


@claim(
    "ma2025.eq-26-sign",
    source="not in the paper; when the symmetric ratio turns the imbalance round",
    says=r"\mathrm{sign}\,\log(\lambda\,\pi_l/\pi_w)=\mathrm{sign}\,\log(\pi_l/\pi_w)\iff "
    r"x\notin\bigl[-\log(1+c),0\bigr)",
    assumes=r"$x=\log(\pi_w/\pi_l)$, $c=\Delta\lambda_{\max}$, the symmetric ratio",
    verdict=PROVED,
    proof=r"For $x<0$, $\log\lambda-x>0$ iff $\lambda>e^x$. Inside the clip $\lambda=1+x<e^x$; at its end "
    r"$\lambda=1/(1+c)$, which exceeds $e^x$ iff $x<-\log(1+c)$. With $c=1/2$: a winner that is up to a third less "
    "probable than the loser gets the smaller gradient.",
)
def turned_round(evidence: Evidence) -> None:
    """To 40 digits, with the interval's end varied."""

    def statement(case: Clipped, end: int = 1) -> bool:
        with mpmath.workdps(40):
            same = mpmath.sign(case.left(symmetric=True)) == mpmath.sign(-_real(case.x))
            return bool(same == (not -end * mpmath.log(1 + _real(case.c)) <= _real(case.x) < 0))

    evidence.holds(statement, clipped, control=lambda case: statement(case, end=2))


# --- Eq. (27) ------------------------------------------------------------------------------------------------------


@claim(
    "ma2025.eq-27-value",
    source="not in the paper; Eq. (27) against DPO",
    says=r"z_{\mathrm{v2}}=z_{\mathrm{dpo}}+\beta(\lambda-1)\log\frac{\pi_w}{\mathrm{ref}_w}",
    verdict=PROVED,
    proof=r"Subtract. Value and minimiser change: at DPO's optimum with $P=3/4$, uniform reference and clip 1/2, the "
    "expected update of v2 is not 0.",
)
def v2_value(evidence: Evidence) -> None:
    """The margins at random pairs, and the update at DPO's optimum."""

    def statement(pair: Pair, weight: float = 1.0) -> bool:
        given = pair_log_probs(**pair)
        ratio = Clipped(F(pair["chosen"]) - F(pair["rejected"]), F(1, 2)).ratio(symmetric=True)
        extra = weight * (float(ratio) - 1) * (pair["chosen"] - pair["reference_chosen"])
        found = version_2(symmetric=True).margin(given) - DPO(beta=1.0).margin(given)
        return abs(float(found) - extra) <= 1e-12

    def optimum_of_dpo_rests(loss: PreferenceLoss) -> bool:
        return abs(float(drift(loss, 0.75, float(torch.tensor(3.0, dtype=torch.float64).log())))) <= 1e-12

    evidence.holds(statement, LOG_PROBS, control=lambda pair: statement(pair, weight=2.0), worlds=100)
    evidence.measures(
        lambda: not any(optimum_of_dpo_rests(version_2(kind)) for kind in (False, True)),
        control=lambda: not optimum_of_dpo_rests(DPO(beta=1.0)),
        by="autograd, zero to 1e-12",
        role=ALSO,
    )


@claim(
    "ma2025.eq-27-detach",
    source="not in the paper, which does not say whether lambda is differentiated in Eq. (27)",
    says=r"\nabla z_{\mathrm{live}}-\nabla z_{\mathrm{detached}}=\beta A\,(\nabla\log\pi_w-\nabla\log\pi_l)\ "
    r"\text{inside the clip, else }0;\quad A=\log\frac{\pi_w}{\mathrm{ref}_w}",
    verdict=PROVED,
    proof=r"$\nabla(\lambda A)=\lambda\nabla A+A\nabla\lambda$, and $\nabla\lambda=\nabla\log\pi_w-\nabla\log\pi_l$ "
    "inside the clip. The loss v2 is therefore two algorithms.",
)
def v2_detach(evidence: Evidence) -> None:
    """Autograd of both, at random pairs, with the clip computed apart."""

    def statement(pair: Pair, both_ends: bool = True) -> bool:
        live, frozen = (gradient(version_2(True, detach), pair) for detach in (False, True))
        x = pair["chosen"] - pair["rejected"]
        inside = -1 / 3 < x < 0.5 if both_ends else x < 0.5
        urgency = float(version_2(symmetric=True).urgency(pair_log_probs(**pair)))
        extra = -urgency * (pair["chosen"] - pair["reference_chosen"]) * inside
        return abs(live[1] - frozen[1] - extra) <= 1e-12 and abs(live[2] - frozen[2] + extra) <= 1e-12

    evidence.holds(statement, LOG_PROBS, control=lambda pair: statement(pair, both_ends=False), worlds=100)


class Run(NamedTuple):
    """Training with v2 on two responses: label and reference probability of the first, and how lambda is treated."""

    label: F
    reference: F
    symmetric: bool
    detach: bool

    @property
    def loss(self) -> NaiveBDPOv2:
        """Return the loss."""
        return version_2(self.symmetric, self.detach)


def run_of_v2(source: random.Random) -> Run:
    """Draw labels and references in twentieths."""
    label, reference = F(source.randint(11, 18), 20), F(source.randint(4, 16), 20)
    return Run(label, reference, source.random() < 0.5, source.random() < 0.5)


@claim(
    "ma2025.section-5.2",
    source="Section 5.2: naive bDPO cannot converge to a local minimum of its loss",
    says=r"\nabla^{\mathrm{detached}}\mathcal L_{\mathrm{nb}}=0\ \text{is no local minimum of}\ \mathcal "
    r"L_{\mathrm{nb}}",
    assumes=r"two responses, uniform reference, $\beta=1$, labels $P\ne 1/2$",
    verdict=PROVED,
    proof=r"The value is DPO's, convex in the log-odds with its only minimum at $P$; training rests beyond "
    "(`ma2025.eq-25-overshoots`).",
)
def no_minimum(evidence: Evidence) -> None:
    """Rest points of both kinds; DPO's own are minima."""

    def none_is_a_minimum(loss: PreferenceLoss) -> bool:
        rests = [(label, p) for label in (0.6, 0.75, 0.9) for p in resting_points(loss, label)]
        return len(rests) == 3 and not any(is_minimum(loss, label, p) for label, p in rests)

    evidence.measures(
        lambda: none_is_a_minimum(naive()) and none_is_a_minimum(naive(symmetric=True)),
        control=lambda: none_is_a_minimum(DPO(beta=1.0)),
        by="values 0.01 nats of log-odds to either side, three labels",
    )


@claim(
    "ma2025.section-5.2-version-2",
    source="Section 5.2: Eq. (27) avoids this problem",
    says=r"\nabla\mathcal L_{\mathrm{v2}}=0\ \text{where training rests is a local minimum of}\ \mathcal "
    r"L_{\mathrm{v2}}",
    assumes=r"$\lambda$ is differentiated, too",
    verdict=CONDITIONALLY,
    because=r"With $\lambda$ detached the update is no gradient of the loss, and v2 has the same problem as Eq. (25).",
    proof="Training then follows minus the derivative of the value, and rests where that goes from negative to "
    "positive, be it continuously or at a corner of the clip.",
)
def version_2_minimum(evidence: Evidence) -> None:
    """A detached lambda rests elsewhere than at a minimum."""

    def statement(case: Run, at_label: bool = False) -> bool:
        label, reference = float(case.label), float(case.reference)
        rests = [label] if at_label else resting_points(case.loss, label, reference)
        return all(is_minimum(case.loss, label, p, reference) for p in rests)

    detached = Run(F(11, 20), F(1, 2), symmetric=False, detach=True)
    evidence.fails(statement, at=detached, control=detached._replace(detach=False))
    evidence.holds(
        statement,
        run_of_v2,
        given=lambda case: not case.detach,
        control=lambda case: statement(case, at_label=True),
        worlds=12,
    )


@claim(
    "ma2025.eq-27-two-minima",
    source="not in the paper; Eq. (27), symmetric, lambda differentiated",
    says=r"P=\tfrac35,\ \mathrm{ref}=(\tfrac35,\tfrac25):\quad\text{training rests at }\pi_1=0.417\text{ and at }0.767",
    assumes=r"two responses, $\beta=1$, clip 1/2",
    verdict=PROVED,
    proof=r"At the corner $\log(\pi_1/\pi_2)=-1/3$ of the clip the derivative of the expected loss jumps through 0: "
    "where training ends depends on where it starts, and one of the ends contradicts the labels.",
)
def two_minima(evidence: Evidence) -> None:
    """Both are minima; the asymmetric ratio and the detached one have a single rest point."""

    def statement(symmetric: bool, detach: bool) -> bool:
        case = Run(F(3, 5), F(3, 5), symmetric, detach)
        rests = resting_points(case.loss, 0.6, 0.6)
        return (
            len(rests) == 2
            and all(abs(p - expected) <= 6e-4 for p, expected in zip(rests, (0.417, 0.767), strict=True))
            and all(is_minimum(case.loss, 0.6, p, 0.6) for p in rests)
        )

    evidence.measures(
        lambda: statement(symmetric=True, detach=False),
        control=lambda: statement(symmetric=False, detach=False) or statement(symmetric=True, detach=True),
        by="autograd, rest points to 6e-4",
    )
