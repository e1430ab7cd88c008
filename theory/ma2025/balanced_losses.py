"""Naive balanced DPO, Eq. (25): what is kept of DPO, and where training on two responses comes to rest."""

from __future__ import annotations

from fractions import Fraction as F
from functools import partial

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, MISPRINT, PROVED
from theory.evidence import CONDITIONAL, CORRECTED, FAILS
from theory.ma2025.covariance import claim
from theory.ma2025.decompositions import FROZEN, LOGS, naive as naive_margin, nbdpo_is_dpo_plus_sft, slopes
from theory.ma2025.training import (
    GRADIENT,
    HALF,
    Loss,
    Margin,
    drift,
    imbalance_ratio,
    naive,
    proved_push,
    version_2,
)
from theory.proof import Named, checked, exp, log, same, setting, world_of
from theory.proof.family import Family


@claim("eq-25", "Eq. (25)", MISPRINT, "nbdpo-is-dpo-plus-sft")
def eq_25(case):
    r"""-\log\sigma\Bigl(\beta\lambda\log\frac{\pi_w}{\mathrm{ref}_w}-\beta\log\Bigl(\frac{\pi_l}{\mathrm{ref}_l}
    -\beta(\lambda-1)\log\frac{\pi_w^{\mathrm{detached}}}{\mathrm{ref}_w}\Bigr)\Bigr)\ \text{has DPO's value}

    Because: The parenthesis of the second logarithm closes too late; that is so in a machine conversion of the paper.
    It must close after $\pi_l/\mathrm{ref}_l$: then the value is DPO's, the winner's gradient is $\lambda$ times DPO's
    and the loser's is DPO's. To the letter the margin is 1.215 in the place of 0.7 at $\lambda=3/2$, $\beta=1$,
    $\log\pi_w/\mathrm{ref}_w=2/5$, $\log\pi_l/\mathrm{ref}_l=-3/10$.
    Proof: $\lambda A-B-(\lambda-1)\,\mathrm{sg}[A]$ has the value $A-B$ and the slopes $(\lambda,-1)$.
    """
    printed = case.ratio * case.gain - log(exp(case.loss) - (case.ratio - 1) * case.gain)
    return printed == case.gain - case.loss


NO_CHANGE = Named(ratio=F(3, 2), gain=F(0), loss=F(0))
eq_25.false(at=Named(ratio=F(3, 2), gain=F(2, 5), loss=F(-3, 10)), true_at=NO_CHANGE)
eq_25.rests_on(nbdpo_is_dpo_plus_sft, role=CORRECTED)


@claim("eq-25-live-ratio", "not in the paper; Eq. (25) with a lambda that is differentiated", PROVED)
def live_ratio(a, b, ref_a, ref_b, beta, ratio, kept=1):
    r"""\nabla\bigl[\lambda A-B-(\lambda-1)\,\mathrm{sg}[A]\bigr]=\lambda\nabla A-\nabla B\ \text{for any}\
    \lambda(\pi_w,\pi_l)

    Proof: The two terms $\pm A\,\nabla\lambda$ cancel where $\mathrm{sg}[A]=A$: it does not matter whether $\lambda$ is
    detached.
    """
    gone = (1 - kept) * beta * (ratio(a, b) - 1) * (FROZEN[0] - ref_a)
    of_w, of_l = slopes(naive_margin(a, b, ref_a, ref_b, beta, ratio(a, b)) + gone, a, b)
    expected = slopes_of_naive(beta, ratio(a, b))
    return same(of_w, expected[0]) & same(of_l, expected[1])


def slopes_of_naive(beta, ratio):
    """Return the derivatives of the margin of Eq. (25) by log pi_w and log pi_l."""
    return beta * ratio, -beta


def are_the_slopes(a, b, ref_a, ref_b, beta, ratio):
    return live_ratio.predicate(a, b, ref_a, ref_b, beta, ratio)


live_ratio.derived(symbols=LOGS | {"ratio": "function"}, wrong={"kept": F(9, 10)})


def push_of_naive(case, symmetric):
    """Return the push with a uniform reference, where kappa is p for DPO's margin log p / (1 - p)."""
    x = log(case.p / (1 - case.p))
    first, second = (Margin(y, imbalance_ratio(y, case.clip, symmetric=symmetric)[0], -1) for y in (x, -x))
    p = checked(kappa_of_dpo, kappa)(case.p)
    return proved_push()(case.label, case.p, (p, first), (1 - p, second))


def kappa_of_dpo(p):
    """Return kappa for DPO's margin log p / (1 - p): p itself."""
    return p


def kappa(p):
    return same(1 / (1 + sp.exp(-sp.log(p / (1 - p)))), kappa_of_dpo(p)) & same(
        1 / (1 + sp.exp(sp.log(p / (1 - p)))), 1 - kappa_of_dpo(p)
    )


@claim(
    "eq-25-optima",
    "Section 5.1, after Eq. (25): the same set of optimal solutions",
    FALSE,
    "eq-25-overshoots",
    "nbdpo-is-dpo-plus-sft",
)
def optima(case, expected=0):
    r"""\text{DPO's optimum }\pi\propto\mathrm{ref}\,q^{1/\beta}\ \text{is a rest point of training with Eq. (25)}

    Because: The values agree, so the minimisers do, but the update is no gradient of the value. At DPO's optimum the
    expected update is the sum over pairs of $P(1-P)[(\lambda_{12}-1)(e_1-\pi)+(\lambda_{21}-1)(e_2-\pi)]\ne 0$: with
    two responses, $P=3/4$, clip 1/2, it is 3/128 (asymmetric) and 9/128 (symmetric).
    """
    return push_of_naive(Named(label=case.label, p=case.label, clip=HALF), case.symmetric) == expected


for symmetric, pushed in ((False, F(3, 128)), (True, F(9, 128))):
    at, even = (Named(label=label, symmetric=symmetric) for label in (F(3, 4), HALF))
    optima.false(at=at, true_at=even)
    optima.evaluated([at], of=partial(optima.predicate, expected=pushed), wrong=optima, also=True)


# --- where training comes to rest ----------------------------------------------------------------------------------


def with_ratio(*, symmetric: bool) -> Family:
    """Return every label above 1/2, policy and clip."""

    def training(numbers):
        """Training on two responses."""
        label, p = numbers.between("label", HALF, 1), numbers.between("p", 0, 1)
        return Named(label=label, p=p, clip=numbers.positive("clip"), symmetric=symmetric)

    return setting(f"1/2 < P < 1, 0 < p < 1, clip > 0; the {'' if symmetric else 'a'}symmetric ratio")(training)


ASYMMETRIC, SYMMETRIC = with_ratio(symmetric=False), with_ratio(symmetric=True)


@claim("eq-25-overshoots-from-half", "not in the paper; where naive bDPO with either ratio does not rest", PROVED)
def from_half(case, least=HALF):
    r"""P>\tfrac12,\ \tfrac12\le\pi_1\le P\implies\Delta s_1>0

    Assumes: two responses, uniform reference, $\beta=1$, naive bDPO with the asymmetric or the symmetric ratio
    Proof: $\lambda_{12}\ge 1\ge\lambda_{21}$, and DPO's own update, with both equal to 1, is $P-\pi_1\ge 0$.
    """
    return case.p < least or case.p > case.label or push_of_naive(case, case.symmetric) > 0


from_half.proved(over=SYMMETRIC, wrong={"least": F(2, 5)})
from_half.proved(over=ASYMMETRIC, wrong=lambda case: case.p < HALF or push_of_naive(case, case.symmetric) > 0)
from_half.derived(**GRADIENT, also=True)


@claim(
    "eq-25-overshoots", "not in the paper; where naive bDPO comes to rest", CONDITIONALLY, "eq-25-overshoots-from-half"
)
def overshoots(case, spare=0):
    r"""P>\tfrac12\implies\pi_1^{\mathrm{nb}}>P=\pi_1^{\mathrm{dpo}}\ \text{wherever training comes to rest}

    Assumes: two responses, uniform reference, $\beta=1$; $P$ is the probability that the first is preferred; the
    asymmetric ratio
    Because: With the symmetric ratio there can be a second rest point, below 1/2: at $P=0.501$ and clip 1/2 between
    0.38 and 0.43. For $P=0.6,0.75,0.9$ and clip 1/2 training rests at 0.639, 0.770, 0.904 (asymmetric) and at 0.692,
    0.818, 0.931 (symmetric); version 2 at 0.624, 0.744, 0.881 and 0.680, 0.799, 0.916.
    Proof: At every $\pi_1\le P$ the update is positive. From 1/2 on $\lambda_{12}\ge 1=\lambda_{21}$; below, where
    $\lambda_{12}=1$, $\lambda_{21}\le 1+\log u\le u$ with $u=(1-\pi_1)/\pi_1$.
    """
    return case.p > case.label + spare or push_of_naive(case, case.symmetric) > 0


def turns(loss: Loss, label: F, low: F, high: F) -> bool:
    """Return whether the push changes from positive to negative, so that training rests in between."""
    return drift(loss, label, low) > 0 > drift(loss, label, high)


def second_rest_point(high: F = F(43, 100)) -> bool:
    return turns(naive(symmetric=True), F(501, 1000), F(38, 100), high)


LABELS = (F(6, 10), F(75, 100), F(9, 10))
RESTS: dict[str, tuple[Loss, tuple[int, int, int]]] = {
    "naive": (naive(), (639, 770, 904)),
    "naive, symmetric": (naive(symmetric=True), (692, 818, 931)),
    "version 2": (version_2(), (624, 744, 881)),
    "version 2, symmetric": (version_2(symmetric=True), (680, 799, 916)),
}


def rests_at(shift: F = F(0)) -> bool:
    """Return whether there is a rest point within 0.0006 of each place of the table."""
    near, rows = F(6, 10000), RESTS.values()
    places = [(loss, P, F(k, 1000) + shift) for loss, row in rows for P, k in zip(LABELS, row, strict=True)]
    return all(turns(loss, P, place - near, place + near) for loss, P, place in places)


overshoots.refuted(over=SYMMETRIC, unlike=from_half)
overshoots.enclosed(of=second_rest_point, role=FAILS, wrong={"high": F(39, 100)}, lemma="intermediate value")
overshoots.proved(over=ASYMMETRIC, role=CONDITIONAL, wrong={"spare": F(1, 10)})
overshoots.enclosed(of=rests_at, wrong={"shift": F(2, 1000)}, lemma="intermediate value", also=True)


@claim(
    "eq-25-balancing-ratio",
    "Section 5.1, before Eq. (26): lambda proportional to pi_w / pi_l makes the gradient fully balanced",
    PROVED,
)
def balancing_ratio(case, constant=1):
    r"""\frac{\partial\mathcal L}{\partial\pi_w}+\frac{\partial\mathcal
    L}{\partial\pi_l}=0\iff\lambda=\frac{\pi_w}{\pi_l}

    Assumes: probabilities taken as free coordinates, as the paper does
    Proof: The partials are $-\beta(1-\kappa)\lambda/\pi_w$ and $\beta(1-\kappa)/\pi_l$. Proportional is not enough: the
    constant must be 1.
    """
    of_w, of_l = checked(slopes_of_naive, are_the_slopes, ratio="function", **LOGS)(1, case.ratio)
    balance = -case.push * (of_w / case.w + of_l / case.r)
    return (balance == 0) == (case.ratio == constant * case.w / case.r)


free = dict.fromkeys(("w", "r", "push", "ratio"), "positive")
balancing_ratio.proved(over=world_of("pi_w, pi_l, beta (1 - kappa), lambda > 0", **free), wrong={"constant": 2})
balancing_ratio.rests_on(nbdpo_is_dpo_plus_sft, also=True)
