"""What the two proposed losses are: naive bDPO is DPO plus supervised learning, bDPO sees one ratio of logarithms.

Both are functions of four log-probabilities, a = log pi_w, b = log pi_l and those of the reference, all negative.
"""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED
from theory.ma2025.covariance import claim
from theory.proof import Named, derivative, exp, log, same, setting, world_of

FROZEN = sp.symbols("frozen_a frozen_b", negative=True)  # copies of a and b that no gradient sees


def naive(a, b, ref_a, ref_b, beta, ratio):
    """Return the argument of the sigmoid in Eq. (25), its bracket mended; ``ratio`` is lambda."""
    return beta * (ratio * (a - ref_a) - (b - ref_b) - (ratio - 1) * (FROZEN[0] - ref_a))


def balanced(a, b, ref_a, ref_b, beta, share):
    """Return the argument of the sigmoid in Eq. (28); ``share`` is lambda_w."""
    return beta * (share * (a - ref_a) - (1 - share) * (b - ref_b))


def slopes(margin, a, b):
    """Return the derivatives of a margin by a and b; the copies are put back afterwards."""
    both = [sp.diff(margin, x).subs(dict(zip(FROZEN, (a, b), strict=True))).doit() for x in (a, b)]
    return both[0], both[1]


@claim("nbdpo-is-dpo-plus-sft", "not in the paper; what Eq. (25) is", PROVED)
def nbdpo_is_dpo_plus_sft(a, b, ref_a, ref_b, beta, ratio, detached, on_loser=0):
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


def in_logits(is_w, is_l, p, ratio, averaged=1):
    """For any response, with d log pi_w / ds = e_w - pi."""
    return same(ratio * (is_w - p) - (is_l - p), (is_w - is_l) + (ratio - 1) * (is_w - averaged * p))


LOGS = dict.fromkeys(("a", "b", "ref_a", "ref_b"), "negative")
nbdpo_is_dpo_plus_sft.derived(symbols=LOGS | {"ratio": "function"}, wrong={"on_loser": F(1, 10)})
nbdpo_is_dpo_plus_sft.derived(
    of=in_logits,
    symbols={"is_w": "real", "is_l": "real"},
    wrong={"averaged": F(9, 10)},
    part=r"\Delta s=\eta(1-\kappa)\beta\bigl[(e_w-e_l)+(\lambda-1)(e_w-\pi)\bigr]",
)


WORDS = "log pi_w, log pi_l and those of the reference < 0, beta > 0"
log_probabilities = world_of(WORDS + "; k > 0", **LOGS, beta="positive", k="positive")


def bdpo(case):
    """Return the margin of Eqs. (28) and (29)."""
    return of_logs(case.a, case.b, case.ref_a, case.ref_b, case.beta)


@claim("bdpo-identity", "not in the paper; what Eqs. (28) and (29) are", PROVED)
def bdpo_identity(case, sign=1):
    r"""f_{bDPO}=\beta\,\frac{\log\pi_w\log\pi_{ref,l}-\log\pi_l\log\pi_{ref,w}}{\log\pi_w+\log\pi_l},\qquad
    \beta\log\pi_{ref,l}<f_{bDPO}<-\beta\log\pi_{ref,w},\quad L>\log(1+\pi_{ref,w}^{\beta})

    Proof: Put $\lambda_w=b/(a+b)$ in: $b(a-\log\pi_{ref,w})-a(b-\log\pi_{ref,l})$ loses $ab$. f is a weighted mean of
    $\beta\log\pi_{ref,l}$ and $-\beta\log\pi_{ref,w}$ with weights $a/(a+b)$ and $b/(a+b)$: the policy enters through
    $\log\pi_l/\log\pi_w$ alone, and $L=\log(1+e^{-f})$ falls with f.
    """
    return bdpo(case) == case.beta * (case.a * case.ref_b - sign * case.b * case.ref_a) / (case.a + case.b)


@setting("f_bDPO of any log-probabilities, beta log ref_l and -beta log ref_w")
def margins(numbers):
    """The margin of any pair and what it lies between."""
    case = numbers.case_of(log_probabilities)
    return Named(f=bdpo(case), low=case.beta * case.ref_b, high=-case.beta * case.ref_a)


def bounds(case, share=1):
    return case.low < case.f < share * case.high


@setting("the same numbers, of which is known what is proved")
def bounded_margins(numbers):
    """Any margin between its bounds."""
    return numbers.case_of(margins, bounds, keep="f low high")


def one_ratio(case, other=1):
    """A common factor k of both logarithms changes nothing."""
    scaled = Named(**{**vars(case), "a": case.k * case.a, "b": other * case.k * case.b})
    return bdpo(scaled) == bdpo(case)


def loss_is_bounded(case, times=1):
    return log(1 + exp(-case.f)) > log(1 + times * exp(-case.high))


bdpo_identity.proved(over=log_probabilities, wrong={"sign": F(9, 10)})
bdpo_identity.proved(
    of=bounds, over=margins, wrong={"share": F(9, 10)}, part=r"\beta\log\pi_{ref,l}<f_{bDPO}<-\beta\log\pi_{ref,w}"
)
bdpo_identity.proved(of=one_ratio, over=log_probabilities, wrong={"other": F(11, 10)}, also=True)
bdpo_identity.proved(
    of=loss_is_bounded, over=bounded_margins, wrong={"times": F(11, 10)}, part=r"L>\log(1+\pi_{ref,w}^{\beta})"
)


@claim("bdpo-effective-beta", "not in the paper; the pull of Eq. (28) against that of DPO", PROVED)
def bdpo_effective_beta(a, b, ref_a, ref_b, beta, times=1):
    r"""\frac{\partial f}{\partial\log\pi_w}>0>\frac{\partial f}{\partial\log\pi_l},\qquad
    \Bigl|\frac{\partial f}{\partial\log\pi_w}\Bigr|+\Bigl|\frac{\partial f}{\partial\log\pi_l}\Bigr|=\beta\,
    \frac{\log\pi_{ref,w}+\log\pi_{ref,l}}{\log\pi_w+\log\pi_l},\quad=\beta\ \text{at}\ \pi=\pi_{ref};\qquad
    2\beta\ \text{for DPO}

    Assumes: lambda_w differentiated; detached, the sum is beta everywhere
    Proof: $\lambda_w+\lambda_l=1$, where DPO has $1+1$: bDPO starts as DPO with half of beta, so that is the fair
    control.
    """
    live = slopes(balanced(a, b, ref_a, ref_b, beta, b / (a + b)), a, b)
    detached = slopes(balanced(a, b, ref_a, ref_b, beta, FROZEN[1] / sum(FROZEN)), a, b)
    dpo = slopes(beta * ((a - ref_a) - (b - ref_b)), a, b)
    of_live, of_detached, of_dpo = (sum(sp.Abs(sp.factor(slope)) for slope in both) for both in (live, detached, dpo))
    at_start = of_live.subs({ref_a: a, ref_b: b})
    everywhere = same(of_live, beta * (ref_a + ref_b) / (a + b)) & same(of_dpo, 2 * beta)
    return everywhere & same(of_detached, beta) & same(at_start, times * beta)


def of_logs(a, b, ref_a, ref_b, beta):
    return balanced(a, b, ref_a, ref_b, beta, b / (a + b))


def of_logs_reversed(b, a, ref_a, ref_b, beta):
    return of_logs(a, b, ref_a, ref_b, beta)


def slope_by_w(a, b, ref_a, ref_b, beta):
    return beta * (ref_a + ref_b) * b / (a + b) ** 2


def slope_by_l(b, a, ref_a, ref_b, beta):
    return -beta * (ref_a + ref_b) * a / (a + b) ** 2


def signs(c, least=0):
    by_w, by_l = derivative(of_logs, slope_by_w), derivative(of_logs_reversed, slope_by_l)
    return by_w(c.a, c.b, c.ref_a, c.ref_b, c.beta) > least > by_l(c.b, c.a, c.ref_a, c.ref_b, c.beta)


bdpo_effective_beta.derived(symbols=LOGS, wrong={"times": F(11, 10)})
bdpo_effective_beta.proved(
    of=signs,
    over=log_probabilities,
    wrong={"least": F(1, 10)},
    part=r"\frac{\partial f}{\partial\log\pi_w}>0>\frac{\partial f}{\partial\log\pi_l}",
)
