"""What the two proposed losses are: naive bDPO is DPO plus supervised learning, bDPO sees one ratio of logarithms.

Both are functions of four log-probabilities, a = log pi_w, b = log pi_l and those of the reference, all negative.
"""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any

import sympy as sp

from theory.claim import PROVED
from theory.ma2025.covariance import claim
from theory.proof import Named, log, same, world_of

FROZEN = sp.symbols("frozen_a frozen_b", negative=True)  # copies of a and b that no gradient sees


def naive(a: Any, b: Any, ref_a: Any, ref_b: Any, beta: Any, ratio: Any) -> Any:
    """Return the argument of the sigmoid in Eq. (25), its bracket mended; ``ratio`` is lambda."""
    return beta * (ratio * (a - ref_a) - (b - ref_b) - (ratio - 1) * (FROZEN[0] - ref_a))


def balanced(a: Any, b: Any, ref_a: Any, ref_b: Any, beta: Any, share: Any) -> Any:
    """Return the argument of the sigmoid in Eq. (28); ``share`` is lambda_w."""
    return beta * (share * (a - ref_a) - (1 - share) * (b - ref_b))


def slopes(margin: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Return the derivatives of a margin by a and b; the copies are put back afterwards."""
    both = [sp.diff(margin, x).subs(dict(zip(FROZEN, (a, b), strict=True))).doit() for x in (a, b)]
    return both[0], both[1]


@claim("nbdpo-is-dpo-plus-sft", "not in the paper; what Eq. (25) is", PROVED)
def nbdpo_is_dpo_plus_sft(
    a: Any, b: Any, ref_a: Any, ref_b: Any, beta: Any, ratio: Any, detached: Any, on_loser: int = 0
) -> Any:
    r"""f_{nbDPO}=f_{DPO},\quad\nabla f_{nbDPO}=\nabla f_{DPO}+\beta(\lambda-1)\nabla\log\pi_w;\qquad
    \Delta s=\eta(1-\kappa)\beta\bigl[(e_w-e_l)+(\lambda-1)(e_w-\pi)\bigr]

    Assumes: the bracket of Eq. (25) mended; lambda any function, differentiated or not; the last equation for tabular
    logits
    Proof: $\lambda\nabla a-\nabla b=(\nabla a-\nabla b)+(\lambda-1)\nabla a$; the derivatives of lambda cancel between
    the first and the last term. The second part is supervised learning on winners: its fixed points are not DPO's, and
    depend on who wins how often in the data.
    """
    statement = None
    for factor in (ratio(a, b), detached):
        margin = naive(a, b, ref_a, ref_b, beta, factor)
        of_w, of_l = slopes(margin, a, b)
        extra = beta * (factor - 1)
        value = same(margin.subs(FROZEN[0], a), beta * ((a - ref_a) - (b - ref_b)))
        found = value & same(of_w, beta + extra) & same(of_l, -beta - on_loser * extra)
        statement = found if statement is None else statement & found
    return statement


def in_logits(is_w: Any, is_l: Any, p: Any, ratio: Any, averaged: int = 1) -> Any:
    """For any response, with d log pi_w / ds = e_w - pi."""
    return same(ratio * (is_w - p) - (is_l - p), (is_w - is_l) + (ratio - 1) * (is_w - averaged * p))


LOGS = dict.fromkeys(("a", "b", "ref_a", "ref_b"), "negative")
nbdpo_is_dpo_plus_sft.derived(symbols=LOGS | {"ratio": "function"}, wrong={"on_loser": 1})
nbdpo_is_dpo_plus_sft.derived(of=in_logits, wrong={"averaged": 0})


WORDS = "log pi_w, log pi_l and those of the reference < 0, beta > 0, k > 0"
log_probabilities = world_of(WORDS, **LOGS, beta="positive", k="positive")


def bdpo(case: Named) -> Any:
    """Return the margin of Eqs. (28) and (29)."""
    share = case.b / (case.a + case.b)
    return balanced(case.a, case.b, case.ref_a, case.ref_b, case.beta, share)


@claim("bdpo-identity", "not in the paper; what Eqs. (28) and (29) are", PROVED)
def bdpo_identity(case: Named, sign: int = 1) -> Any:
    r"""f_{bDPO}=\beta\,\frac{\log\pi_w\log\pi_{ref,l}-\log\pi_l\log\pi_{ref,w}}{\log\pi_w+\log\pi_l},\qquad
    \beta\log\pi_{ref,l}<f_{bDPO}<-\beta\log\pi_{ref,w},\quad L>\log(1+\pi_{ref,w}^{\beta})

    Proof: Put $\lambda_w=b/(a+b)$ in: $b(a-\log\pi_{ref,w})-a(b-\log\pi_{ref,l})$ loses $ab$. f is a weighted mean of
    $\beta\log\pi_{ref,l}$ and $-\beta\log\pi_{ref,w}$ with weights $a/(a+b)$ and $b/(a+b)$: the policy enters through
    $\log\pi_l/\log\pi_w$ alone, and $L=\log(1+e^{-f})$ falls with f.
    """
    return bdpo(case) == case.beta * (case.a * case.ref_b - sign * case.b * case.ref_a) / (case.a + case.b)


def bounds(case: Named, share: Any = 1) -> Any:
    return case.beta * case.ref_b < bdpo(case) < -share * case.beta * case.ref_a


def one_ratio(case: Named, other: int = 1) -> Any:
    """A common factor k of both logarithms changes nothing."""
    scaled = Named(**{**vars(case), "a": case.k * case.a, "b": other * case.k * case.b})
    return bdpo(scaled) == bdpo(case)


def loss_is_bounded(case: Named, times: Any = 1) -> Any:
    return log(1 + case.of_margin) > log(1 + times * case.power)


of_margin = world_of(
    "e^(-f) > ref_w^beta, as -f > beta log ref_w",
    lambda c: (c.of_margin > c.power,),
    of_margin="positive",
    power="positive",
)


bdpo_identity.proved(over=log_probabilities, wrong={"sign": -1})
bdpo_identity.proved(of=bounds, over=log_probabilities, wrong={"share": F(9, 10)})
bdpo_identity.proved(of=one_ratio, over=log_probabilities, wrong={"other": 2})
bdpo_identity.proved(of=loss_is_bounded, over=of_margin, wrong={"times": F(11, 10)})


@claim("bdpo-effective-beta", "not in the paper; the pull of Eq. (28) against that of DPO", PROVED)
def bdpo_effective_beta(a: Any, b: Any, ref_a: Any, ref_b: Any, beta: Any, times: int = 1) -> Any:
    r"""\Bigl|\frac{\partial f}{\partial\log\pi_w}\Bigr|+\Bigl|\frac{\partial f}{\partial\log\pi_l}\Bigr|=\beta\,
    \frac{\log\pi_{ref,w}+\log\pi_{ref,l}}{\log\pi_w+\log\pi_l},\quad=\beta\ \text{at}\ \pi=\pi_{ref};\qquad
    2\beta\ \text{for DPO}

    Assumes: lambda_w differentiated; detached, the sum is beta everywhere
    Proof: $\lambda_w+\lambda_l=1$, where DPO has $1+1$: bDPO starts as DPO with half of beta, so that is the fair
    control. The first slope is positive and the second negative.
    """
    live = slopes(balanced(a, b, ref_a, ref_b, beta, b / (a + b)), a, b)
    detached = slopes(balanced(a, b, ref_a, ref_b, beta, FROZEN[1] / sum(FROZEN)), a, b)
    at_start = (live[0] - live[1]).subs({ref_a: a, ref_b: b})
    dpo = slopes(beta * ((a - ref_a) - (b - ref_b)), a, b)
    everywhere = same(live[0] - live[1], beta * (ref_a + ref_b) / (a + b)) & same(dpo[0] - dpo[1], 2 * beta)
    return everywhere & same(detached[0] - detached[1], beta) & same(at_start, times * beta)


def live_slopes(a: Any, b: Any, ref_a: Any, ref_b: Any, beta: Any, sign: int = -1) -> Any:
    """The slopes whose signs are proved."""
    of_w, of_l = slopes(balanced(a, b, ref_a, ref_b, beta, b / (a + b)), a, b)
    common = beta * (ref_a + ref_b) / (a + b) ** 2
    return same(of_w, common * b) & same(of_l, sign * common * a)


def signs(case: Named, winner: int = 1) -> Any:
    common = case.beta * (case.ref_a + case.ref_b) / (case.a + case.b) ** 2
    return winner * common * case.b > 0 > -common * case.a


bdpo_effective_beta.derived(symbols=LOGS, wrong={"times": F(11, 10)})
bdpo_effective_beta.derived(of=live_slopes, symbols=LOGS, wrong={"sign": 1})
bdpo_effective_beta.proved(of=signs, over=log_probabilities, wrong={"winner": -1})
