"""Naive balanced DPO, Eq. 25: what is kept of DPO, and where training comes to rest.

The losses are those of ``dynamics``, differentiated by autograd, so that a detached lambda is detached.
"""

from __future__ import annotations

import math
from functools import partial

import sympy as sp

from dynamics.losses import DPO
from dynamics.losses.as_printed import NaiveBDPOAsPrinted
from dynamics.losses.base import PreferenceLoss
from theory.claim import FALSE, MISPRINT, PROVED, claim
from theory.evidence import ALSO, CORRECTED, Evidence, uniform
from theory.ma2025.training import Pair, drift, gradient, naive, resting_points, version_2

BOTH_KINDS = (False, True)  # asymmetric, symmetric
LOG_PROBS = uniform(
    chosen=(-4, -0.05), rejected=(-4, -0.05), reference_chosen=(-4, -0.05), reference_rejected=(-4, -0.05)
)

WITNESS = {"chosen": -1.0, "rejected": -1.7, "reference_chosen": -1.4, "reference_rejected": -1.4}
NO_GAIN = {**WITNESS, "reference_chosen": -1.0}


@claim(
    "ma2025.eq-25",
    source="Eq. (25)",
    says=r"-\log\sigma\Bigl(\beta\lambda\log\frac{\pi_w}{\mathrm{ref}_w}-\beta\log\Bigl(\frac{\pi_l}{\mathrm{ref}_l}"
    r"-\beta(\lambda-1)\log\frac{\pi_w^{\mathrm{detached}}}{\mathrm{ref}_w}\Bigr)\Bigr)\ \text{has DPO's value}",
    verdict=MISPRINT,
    because=r"The parenthesis of the second logarithm closes too late. It must close after $\pi_l/\mathrm{ref}_l$: "
    r"then the value is DPO's, the winner's gradient is $\lambda$ times DPO's and the loser's is DPO's.",
    proof=r"$\lambda A-B-(\lambda-1)\,\mathrm{sg}[A]$ has the value $A-B$ and the slopes $(\lambda,-1)$.",
)
def eq_25(evidence: Evidence) -> None:
    """To the letter the margin at the witness is 1.215 instead of 0.7."""

    def statement(pair: Pair, loss: PreferenceLoss) -> bool:
        value, chosen, rejected = gradient(loss, pair)
        dpo_value, dpo_chosen, dpo_rejected = gradient(DPO(beta=1.0), pair)
        ratio = 1 + min(max(pair["chosen"] - pair["rejected"], 0.0), 0.5)
        found, expected = (value, chosen, rejected), (dpo_value, ratio * dpo_chosen, dpo_rejected)
        return all(abs(a - b) <= 1e-12 for a, b in zip(found, expected, strict=True))

    printed = NaiveBDPOAsPrinted(beta=1.0)
    evidence.fails(
        lambda pair: abs(gradient(printed, pair)[0] - gradient(DPO(beta=1.0), pair)[0]) <= 1e-12,
        at=WITNESS,
        control=NO_GAIN,
    )
    evidence.holds(
        lambda pair: statement(pair, naive()),
        LOG_PROBS,
        control=lambda pair: statement(pair, version_2(detach=True)),
        role=CORRECTED,
        worlds=100,
    )


@claim(
    "ma2025.eq-25-live-ratio",
    source="not in the paper; Eq. (25) with a lambda that is differentiated",
    says=r"\nabla\bigl[\lambda A-B-(\lambda-1)\,\mathrm{sg}[A]\bigr]=\lambda\nabla A-\nabla B\ \text{for any}\ "
    r"\lambda(\pi_w,\pi_l)",
    verdict=PROVED,
    proof=r"The two terms $\pm A\,\nabla\lambda$ cancel where $\mathrm{sg}[A]=A$: it does not matter whether "
    r"$\lambda$ is detached.",
)
def live_ratio(evidence: Evidence) -> None:
    """SymPy, for an arbitrary differentiable lambda; without the detached term it does matter."""
    gain, loss, frozen = sp.symbols("A B A_frozen")
    ratio = sp.Function("lambda")(gain, loss)

    def slopes_are_detached(kept: int) -> bool:
        f = ratio * gain - loss - kept * (ratio - 1) * frozen
        along, across = (sp.diff(f, x).subs(frozen, gain) for x in (gain, loss))
        return sp.simplify(along - ratio) == 0 and sp.simplify(across + 1) == 0

    evidence.proves(
        lambda: slopes_are_detached(kept=1), control=lambda: slopes_are_detached(kept=0), by="SymPy, any lambda"
    )


@claim(
    "ma2025.eq-25-optima",
    source="Section 5.1, after Eq. (25): the same set of optimal solutions",
    says=r"\text{DPO's optimum }\pi\propto\mathrm{ref}\,q^{1/\beta}\ \text{is a rest point of training with Eq. (25)}",
    verdict=FALSE,
    because="The values agree, so the minimisers do, but the update is no gradient of the value. At DPO's optimum "
    r"the expected update is the sum over pairs of $P(1-P)[(\lambda_{12}-1)(e_1-\pi)+(\lambda_{21}-1)(e_2-\pi)]\ne "
    r"0$: with two responses, $P=3/4$, clip 1/2, it is 3/128 (asymmetric) and 9/128 (symmetric).",
    instead=("ma2025.eq-25-overshoots", "ma2025.nbdpo-is-dpo-plus-sft"),
)
def optima(evidence: Evidence) -> None:
    """The optimum of DPO is left again, unless no response is preferred."""

    def rests(case: dict[str, float], symmetric: bool) -> bool:
        optimum = math.log(case["label"] / (1 - case["label"]))
        return abs(float(drift(naive(symmetric=symmetric), case["label"], optimum))) <= 1e-12

    def update_is(*expected: float) -> bool:
        found = (float(drift(naive(symmetric=kind), 0.75, math.log(3))) for kind in BOTH_KINDS)
        return all(abs(a - b) <= 1e-14 for a, b in zip(found, expected, strict=True))

    for kind in BOTH_KINDS:
        evidence.fails(partial(rests, symmetric=kind), at={"label": 0.75}, control={"label": 0.5})
    evidence.measures(
        lambda: update_is(3 / 128, 9 / 128), control=lambda: update_is(3 / 128, 6 / 128), by="to 1e-14", role=ALSO
    )


@claim(
    "ma2025.eq-25-overshoots",
    source="not in the paper; where naive bDPO comes to rest",
    says=r"P>\tfrac12\implies\pi_1^{\mathrm{nb}}>P=\pi_1^{\mathrm{dpo}}",
    assumes=r"two responses, uniform reference, $\beta=1$; $P$ is the probability that the first is preferred",
    verdict=PROVED,
    proof=r"At $\pi_1=P$ the update is $P(1-P)[(\lambda_{12}-1)(1-P)-(\lambda_{21}-1)P]$, and "
    r"$\lambda_{12}>1\ge\lambda_{21}$. For $P=0.6,0.75,0.9$ and clip 1/2 it rests at 0.639, 0.770, 0.904 "
    "(asymmetric) and 0.692, 0.818, 0.931 (symmetric); v2 at 0.624, 0.744, 0.881 and 0.680, 0.799, 0.916.",
)
def overshoots(evidence: Evidence) -> None:
    """The update at the label is positive; and the rest points to three digits."""

    def statement(case: dict[str, float], dpo: bool = False) -> bool:
        label, clip = case["label"], case["clip"]
        losses = [DPO(beta=1.0)] if dpo else [naive(clip, kind) for kind in BOTH_KINDS]
        return all(float(drift(loss, label, math.log(label / (1 - label)))) > 1e-9 for loss in losses)

    def table_is(expected: dict[PreferenceLoss, tuple[float, ...]]) -> bool:
        found = {loss: [resting_points(loss, label) for label in (0.6, 0.75, 0.9)] for loss in expected}
        return all(
            len(rest) == 1 and abs(rest[0] - p) <= 6e-4
            for loss, row in expected.items()
            for rest, p in zip(found[loss], row, strict=True)
        )

    rows: dict[PreferenceLoss, tuple[float, ...]] = {
        DPO(beta=1.0): (0.6, 0.75, 0.9),
        naive(): (0.639, 0.770, 0.904),
        naive(symmetric=True): (0.692, 0.818, 0.931),
        version_2(): (0.624, 0.744, 0.881),
        version_2(symmetric=True): (0.680, 0.799, 0.916),
    }
    evidence.holds(
        statement,
        uniform(label=(0.51, 0.97), clip=(0.05, 2.0)),
        control=lambda case: statement(case, dpo=True),
        worlds=100,
    )
    evidence.measures(
        lambda: table_is(rows),
        control=lambda: table_is({naive(): rows[naive(symmetric=True)]}),
        by="rest points to 6e-4, each the only one",
    )


@claim(
    "ma2025.eq-25-balancing-ratio",
    source=r"Section 5.1, before Eq. (26): lambda proportional to pi_w / pi_l makes the gradient fully balanced",
    says=r"\frac{\partial\mathcal L}{\partial\pi_w}+\frac{\partial\mathcal "
    r"L}{\partial\pi_l}=0\iff\lambda=\frac{\pi_w}{\pi_l}",
    assumes="probabilities taken as free coordinates, as the paper does",
    verdict=PROVED,
    proof=r"The partials are $-\beta(1-\kappa)\lambda/\pi_w$ and $\beta(1-\kappa)/\pi_l$. Proportional is not "
    "enough: the constant must be 1.",
)
def balancing_ratio(evidence: Evidence) -> None:
    """The only solution, by SymPy."""
    chosen, rejected, ref_w, ref_l, ratio, frozen = sp.symbols("pi_w pi_l ref_w ref_l lambda A", positive=True)

    def only_solution(expected: sp.Expr) -> bool:
        gain, loss = sp.log(chosen / ref_w), sp.log(rejected / ref_l)
        margin = ratio * gain - loss - (ratio - 1) * frozen  # the outer derivative is common to both partials
        balance = sp.diff(margin, chosen) + sp.diff(margin, rejected)
        return [sp.simplify(a - expected) for a in sp.solve(balance, ratio)] == [0]

    evidence.proves(
        lambda: only_solution(chosen / rejected), control=lambda: only_solution(2 * chosen / rejected), by="SymPy"
    )
