"""Is the loss of Self PO an upper bound of the DPO loss, and what follows from it?

Throughout x = -m is the argument of SiLU, and x + Delta that of DPO's softplus; Delta = beta ln(ref_w / ref_l) - gamma
is what the idealized reference leaves out. W is W(1/e): SiLU is least at -(1 + W), where it is -W.
"""

from dataclasses import dataclass
from fractions import Fraction as F
from functools import partial
from typing import Any

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.evidence import CONDITIONAL, FAILS
from theory.proof import Named, exp, log, omega, same, setting, sums_of, touch
from theory.sun2025.axis import claim
from theory.sun2025.minimum import LAMBERT, at_the_minimum, silu_minimum
from theory.sun2025.proposition_1 import mended as proposition_1_mended
from theory.sun2025.silu import (
    REAL,
    X,
    lambert,
    ln_2,
    logistic_loss,
    relu,
    sigma,
    silu,
    silu_slope,
    slope_of_logistic,
    slope_of_spo,
    softplus,
)


@dataclass(frozen=True)
class Pair:
    """What a pair adds to the losses, to ln 2, to C and to its positive part."""

    x: Any
    C: Any
    ideal = property(lambda pair: softplus(pair.x))
    spo = property(lambda pair: silu(pair.x))
    dpo = property(lambda pair: softplus(pair.x + pair.C))
    ln_2 = property(lambda pair: ln_2(pair.x))
    positive_C = property(lambda pair: relu(pair.C))


class Touching(Pair):
    """The same; e^t is known at x + ln 2, at Delta and at softplus(x) + Delta."""

    spo = property(lambda pair: touching(silu(pair.x), pair.x + pair.ln_2))
    dpo = property(lambda pair: touching(softplus(pair.x + pair.C), pair.C, pair.ideal + pair.C))


def touching(value, *points):
    """Return a value; e^t is known at the points too."""
    touch(*points)
    return value


LOSSES = "spo dpo ln_2 C positive_C"
EQ_8 = "x real, Delta >= 0, which is Eq. (8)"
any_pair = setting("x and Delta real")(lambda numbers: Touching(numbers.real("x"), numbers.real("Delta")))
valid_pair = setting(EQ_8)(lambda numbers: Pair(numbers.real("x"), numbers.at_least("Delta", 0)))
valid_touching = setting(EQ_8)(lambda numbers: Touching(numbers.real("x"), numbers.at_least("Delta", 0)))


def added_up(pair, *known):
    """Return the sums over any number of pairs, of each of which statements were proved."""

    @sums_of(pair.assumes)
    def pairs(numbers):
        """Any number of pairs."""
        return numbers.case_of(pair, *known, keep=f"ideal {LOSSES}")

    return pairs


def proposition_1_of_a_pair(pair, share=1):
    return pair.ideal <= pair.spo + share * pair.ln_2


def theorem_1_of_a_pair(pair, share=1):
    return pair.dpo <= pair.ideal + share * pair.positive_C


def theorem_1_of_a_valid_pair(pair, share=1):
    return pair.dpo <= pair.ideal + share * pair.C


def by_both(statement, pair, theorem_1=theorem_1_of_a_pair, **kind):
    """Prove a bound from Proposition 1 and Theorem 1 of each pair."""
    statement.proved(over=pair, of=proposition_1_of_a_pair, wrong={"share": F(99, 100)}, **kind)
    statement.proved(over=pair, of=theorem_1, wrong={"share": F(9, 10)}, **kind)
    pairs = added_up(pair, proposition_1_of_a_pair, theorem_1)
    statement.by_induction(**pairs, wrong={"share": F(9, 10)}, **kind)
    return pairs


BOUNDS = "upper-bound-constant", "upper-bound-assumption-free", "always-below"


@claim("upper-bound", "Abstract; Section 1; Section 3.2; Conclusion", FALSE, *BOUNDS)
def upper_bound(pair):
    r"""L_{DPO}(\pi;\mathrm{ref})\le L_{SPO}(\pi)

    Because: Without the two constants it is the other way round: under Eq. (8) the SPO loss of every pair is strictly
    smaller. At pi = ref with k the ratio of the reference it is 0 and the DPO loss is $\ln 2$.
    """
    return Pair(*pair).dpo <= Pair(*pair).spo


@claim("always-below", "not in the paper; the true order of the two losses", PROVED)
def always_below(s, less=0):
    r"""\frac{\mathrm{ref}(y_w)}{\mathrm{ref}(y_l)}\ge k=e^{\gamma/\beta}\ \text{on}\ D\implies
    L_{SPO}(\pi)<L_{DPO}(\pi;\mathrm{ref})

    Assumes: D is a finite data set
    Proof: $\mathrm{SiLU}(x)<\mathrm{softplus}(x)\le\mathrm{softplus}(x+\Delta)$, pair by pair.
    """
    return s.spo < s.dpo - less


always_below.proved(over=valid_pair, wrong={"less": F(1, 10)})
always_below.by_induction(**added_up(valid_pair, always_below), wrong={"less": F(1, 10)})
upper_bound.false(at=(F(0), F(0)), true_at=(F(1), F(-6)))
upper_bound.rests_on(always_below, role=FAILS)


@claim("upper-bound-constant", "Theorem 1 and Proposition 1 put together", CONDITIONALLY, BOUNDS[1])
def upper_bound_constant(s, share=1):
    r"""L_{DPO}(\pi;\mathrm{ref})\le L_{SPO}(\pi)+\ln 2+\beta\,\mathbb{E}\log\frac{\mathrm{ref}(y_w)}
    {\mathrm{ref}(y_l)}-\gamma

    Assumes: Eq. (8) with $k=e^{\gamma/\beta}$; D is a finite data set
    Because: A positive $\gamma$ means a reference that prefers $y_w$ by the factor k on every pair; an SFT model with
    one pair ranked wrongly is outside, and the bound can fail there.
    Proof: $\mathrm{softplus}(x+\Delta)\le\mathrm{softplus}(x)+\Delta\le\mathrm{SiLU}(x)+\ln 2+\Delta$ where
    $\Delta\ge 0$.
    """
    return s.dpo <= s.spo + share * s.ln_2 + s.C


upper_bound_constant.false(of=lambda pair: upper_bound_constant(Pair(*pair)), at=(F(0), F(-5)), true_at=(F(0), F(5)))
by_both(upper_bound_constant, valid_touching, theorem_1_of_a_valid_pair, role=CONDITIONAL)


@claim("upper-bound-assumption-free", "not in the paper; Theorem 1 with Proposition 1, without Eq. (8)", PROVED)
def upper_bound_assumption_free(s, share=1):
    r"""L_{DPO}(\pi;\mathrm{ref})\le L_{SPO}(\pi)+\ln 2+\mathbb{E}\max\Bigl(\beta\log\frac{\mathrm{ref}(y_w)}
    {\mathrm{ref}(y_l)}-\gamma,0\Bigr)

    Assumes: any reference, any $\gamma$, a finite data set
    Proof: Where $\Delta<0$, $\mathrm{softplus}(x+\Delta)<\mathrm{softplus}(x)\le\mathrm{SiLU}(x)+\ln 2$.
    """
    return s.dpo <= s.spo + s.ln_2 + share * s.positive_C


any_pairs = by_both(upper_bound_assumption_free, any_pair)


@setting("the losses of any data set, of which is known what sun2025.upper-bound-assumption-free says; W > 0")
def any_data_set(numbers):
    """Every data set."""
    sums = numbers.case_of(any_pairs["states"], upper_bound_assumption_free)
    return Named(**vars(sums), W=numbers.positive("W"))


# --- the least constant for one pair -------------------------------------------------------------------------------

BEST = {
    F(1, 10): ("0.7456", F(1, 10)),
    F(1, 2): ("1.0022", F(23, 50)),
    F(1): ("1.4010", F(79, 100)),
    F(2): ("2.3188", F(11, 10)),
    F(5): ("5.2803", F(127, 100)),
    F(20): ("20.2785", F(32, 25)),
}
"""Delta: B(Delta) to 1e-4, and an x near which it is attained."""


def excess(x, delta):
    """Return the DPO loss of a pair less its SPO loss."""
    return softplus(x + delta) - silu(x)


@claim("best-constant", "not in the paper; the least constant of Theorem 1 and Proposition 1 for one pair", PROVED)
def best_constant(pair, share=1):
    r"""B(\Delta)=\sup_x[\mathrm{softplus}(x+\Delta)-\mathrm{SiLU}(x)]:\quad B(\Delta)-\Delta>W,\quad
    B(\Delta)-\Delta\le\ln 2,\quad B(\Delta)-\Delta\le W+e^{-\Delta}\to W\quad(\Delta\to\infty),\quad B(0)=\ln 2

    Assumes: $\Delta\ge 0$
    Because: B is 0.7456, 1.0022, 1.4010, 2.3188, 5.2803, 20.2785 at 0.1, 0.5, 1, 2, 5, 20. It is attained between
    $x=0$ and $x=1+W$, since the difference rises before and falls after.
    Proof: At $x=1+W$ the difference is more than $x+\Delta-x\sigma(x)=\Delta+W$. It is at most $\Delta+\ln 2$ by
    sun2025.upper-bound-assumption-free, and $\ln 2$ for $x=\Delta=0$ (sun2025.proposition-1-mended). And it is at most
    $\Delta+W+e^{-\Delta}$: with $y=x+\Delta$, $\mathrm{softplus}(y)\le y+e^{-y}$ and $\le\ln 2+\max(y,0)$, and SiLU is
    at least $x-W$ and $-W$; use the former bounds for $y\ge 0$, the latter for smaller y.
    """
    return pair.dpo - pair.spo - share * pair.C <= lambert(pair.x) + exp(-pair.C)


def above_at_one_and_w(delta, share=1):
    w = lambert(delta)
    return excess(1 + w, delta) > share * w + delta


def softplus_is_near_relu(pair, share=1):
    y = pair.x + pair.C
    touch(y + exp(-y), exp(-y))
    return pair.dpo <= share * (y + exp(-y)) and (y > 0 or pair.dpo < 1)


def silu_is_near_relu(pair, share=1):
    w = share * lambert(pair.x)
    return pair.spo >= -w and pair.spo >= pair.x - w


@setting("Delta >= 0; of both losses is known what was proved of them")
def bounded_losses(numbers):
    """Every x and Delta >= 0."""
    pair = numbers.case_of(valid_pair, softplus_is_near_relu, silu_is_near_relu, keep="x C spo dpo")
    numbers.assume(pair.C >= 0)
    return pair


def rises_then_falls(x, less=0):  # the slope sigma(x + Delta) - SiLU'(x), since 1 > sigma(x + Delta) >= sigma(x)
    return (x > 0 or sigma(x) >= silu_slope(x)) and (x < 1 + lambert(x) - less or silu_slope(x) >= 1)


def below(x, delta, most, digits=0):
    return excess(x, delta) < F(most) + F(1, 10**4) - digits


def attained(digits=0):
    return all(excess(at, delta) > F(value) - F(1, 10**4) + digits for delta, (value, at) in BEST.items())


best_constant.rests_on(upper_bound_assumption_free)
best_constant.proved(
    over=any_data_set,
    of=lambda s, share=1: s.dpo - s.spo - s.positive_C <= share * s.ln_2,
    wrong={"share": F(9, 10)},
    part=r"B(\Delta)-\Delta\le\ln 2",
)
best_constant.proved(of=softplus_is_near_relu, over=valid_pair, wrong={"share": F(99, 100)})
best_constant.proved(of=silu_is_near_relu, over=valid_pair, wrong={"share": F(9, 10)})
best_constant.proved(over=bounded_losses, wrong={"share": F(9, 10)})
best_constant.proved(
    over=setting("Delta >= 0")(lambda numbers: numbers.at_least("Delta", 0)),
    of=above_at_one_and_w,
    wrong={"share": F(11, 10)},
    part=r"B(\Delta)-\Delta>W",
)
best_constant.proved(of=proposition_1_mended, over=REAL, wrong={"share": F(99, 100)}, part=r"B(0)=\ln 2")
best_constant.proved(of=rises_then_falls, over=REAL, wrong={"less": F(1, 2)}, lemma="monotone", also=True)
for at, (value, _) in BEST.items():
    best_constant.enclosed(
        0, F(13, 10), of=partial(below, delta=at, most=value), wrong={"digits": F(1, 100)}, also=True
    )
best_constant.enclosed(of=attained, wrong={"digits": F(2, 10**4)}, also=True)


# --- what minimising SPO says of DPO -------------------------------------------------------------------------------


@claim(
    "optimising-implies", "Abstract; Section 3.2, after Eq. (16); Conclusion", FALSE,
    *("what-the-bound-gives", "gradients-disagree"),
)  # fmt: skip
def optimising_implies(margins):
    r"""\pi\in\arg\min L_{SPO}\implies\pi\in\arg\min L_{DPO}

    Because: At the minimiser of SPO, $m=1+W$, the logistic loss is $\ln(1+W)=0.2457$, its slope $-W/(1+W)=-0.2178$; its
    infimum is 0, and no policy attains it: a larger margin always has a smaller DPO loss. Beyond $1+W$ it has a larger
    SPO loss, so that a lower SPO loss need not even mean a lower DPO loss. A bound that is loose by a constant says
    nothing about minimisers.
    """
    spo, dpo = ([loss(-m) for m in margins] for loss in (silu, softplus))
    return not (spo[0] < spo[1] and dpo[0] > dpo[1])


def at_the_floor(W, share=1):
    value, slope = logistic_loss(-X), -sp.diff(logistic_loss(-X), X)  # x is -m
    return same(at_the_minimum(value), share * sp.log(1 + W)) & same(at_the_minimum(slope), -share * W / (1 + W))


def digits_at_the_floor(more=0):
    w = omega(-1)
    return abs(log(1 + w) - F("0.2457") + more) < F(5, 10**5) > abs(w / (1 + w) - F("0.2178") + more)


def dpo_has_no_minimiser(m, share=1):
    return softplus(-m - 1) < share * softplus(-m)


optimising_implies.false(at=(F(5, 4), F(2)), true_at=(F(5, 4), F(1)))
optimising_implies.rests_on(silu_minimum, role=FAILS)
optimising_implies.proved(of=dpo_has_no_minimiser, over=REAL, role=FAILS, wrong={"share": F(9, 10)})
optimising_implies.derived(of=at_the_floor, symbols={"W": LAMBERT}, wrong={"share": F(11, 10)}, also=True)
optimising_implies.enclosed(of=digits_at_the_floor, wrong={"more": F(1, 10**4)}, also=True)


@claim("gradients-disagree", "not in the paper; Section 3.2, where the two losses disagree", PROVED)
def gradients_disagree(m, more=0):
    r"""\frac{dL_{SPO}}{dm}\cdot\frac{dL_{DPO}}{dm}<0\iff m>1+W

    Assumes: one pair, the idealized reference ($\Delta=0$)
    Proof: The product is $(1-\mathrm{SiLU}(m))\,\sigma(-m)^2$, and $\mathrm{SiLU}(m)>1\iff m>1+W$.
    """
    return (slope_of_spo(m) * slope_of_logistic(m) < 0) == (m > 1 + lambert(m) + more)


gradients_disagree.proved(over=REAL, wrong={"more": F(1, 4)})


@claim("what-the-bound-gives", "not in the paper; Section 3.2, what does follow from the bound", PROVED)
def what_the_bound_gives(c, share=1):
    r"""L_{SPO}(\pi)\le-W\implies L_{DPO}(\pi;\mathrm{ref})\le\ln 2-W+C,\qquad\ln 2-W+C<\ln 2\iff C<W

    Assumes: Eq. (8) with $k=e^{\gamma/\beta}$; $C=\mathbb{E}\Delta$
    Because: $\ln 2-W=0.41468$: below the $\ln 2$ of the start only if the reference's log-ratios exceed $\gamma$ by
    less than 0.27846 in the mean. At $C=0$ the true value is 0.24566.
    Proof: Put $L_{SPO}=-W$ into sun2025.upper-bound-assumption-free, where $\max(\Delta,0)=\Delta$.
    """
    bound = c.ln_2 - share * c.W + c.positive_C
    return (c.spo > -c.W or c.dpo <= bound) and (bound < c.ln_2) == (c.positive_C < c.W)


def digits_of_the_bound(times=1):
    return abs(log(2) - times * omega(-1) - F("0.41468")) < F(5, 10**6) > abs(log(1 + omega(-1)) - F("0.24566"))


what_the_bound_gives.rests_on(upper_bound_assumption_free)
what_the_bound_gives.proved(over=any_data_set, wrong={"share": F(11, 10)})
what_the_bound_gives.enclosed(of=digits_of_the_bound, wrong={"times": F(1001, 1000)}, also=True)


# --- the loss with length normalisation, Eq. (17) ------------------------------------------------------------------


@claim("upper-bound-length-normalised", "Section 3.3, Eq. (17), with Section 3.2", FALSE, "upper-bound-of-averages")
def upper_bound_length_normalised(case):
    r"""\exists\,c\ \forall\pi:\ L_{DPO}(\pi;\mathrm{ref})\le L_{SPO}(\pi)+c\qquad\text{with Eq. (17)}

    Because: The bound holds against a DPO of per-token averages only. Take $|y_w|=2$, $|y_l|=1$, $\log\pi(y_w)=-t$,
    $\log\pi(y_l)=-\frac34t$, equal reference probabilities, $\beta=1$ and $\gamma=0$: DPO's margin is $-t/4$, that of
    Eq. (17) $+t/4$, and for every c the difference of the losses exceeds c as soon as $t>4\max(c,0)$.
    """
    t, c = case
    chosen, rejected = -t, -F(3, 4) * t
    return softplus(-(chosen - rejected)) <= silu(-(chosen / 2 - rejected)) + c


@setting("c real, t > 4 max(c, 0)")
def any_constant(numbers):
    """Every constant c."""
    c = numbers.real("c")
    return 4 * relu(c) + numbers.positive("more"), c


def exceeded(case, share=1):
    return not upper_bound_length_normalised((share * case[0], case[1]))


upper_bound_length_normalised.false(at=(F(1000), 200), true_at=(F(1), 200), also=True)
upper_bound_length_normalised.proved(of=exceeded, over=any_constant, role=FAILS, wrong={"share": F(1, 2)})


@claim("upper-bound-of-averages", "not in the paper; what Eq. (17) does bound", PROVED)
def upper_bound_of_averages(s, share=1):
    r"""\mathbb{E}[-\log\sigma(\beta(h-h_{\mathrm{ref}}))]\le L_{SPO}+\ln 2+\mathbb{E}\max(\beta h_{\mathrm{ref}}
    -\gamma,0),\quad h=\frac{\log\pi(y_w)}{|y_w|}-\frac{\log\pi(y_l)}{|y_l|}

    Assumes: responses of any lengths, a finite data set
    Proof: As sun2025.upper-bound-assumption-free, at $x=\gamma-\beta h$ and $\Delta=\beta h_{\mathrm{ref}}-\gamma$:
    then $x+\Delta=-\beta(h-h_{\mathrm{ref}})$.
    """
    return s.dpo <= s.spo + s.ln_2 + share * s.positive_C


@dataclass(frozen=True)
class Average(Touching):
    """The same with the DPO loss of the averages per token, whose margin is that."""

    margin: Any
    dpo = property(lambda pair: touching(softplus(pair.margin), pair.C, pair.ideal + pair.C))


@setting("beta > 0, any gamma, h and h_ref")
def average(numbers):
    """Every pair, with the averages per token of its log-ratios."""
    beta, gamma, h, h_ref = numbers.positive("beta"), *map(numbers.real, ("gamma", "h", "h_ref"))
    return Average(gamma - beta * h, beta * h_ref - gamma, -beta * (h - h_ref))


by_both(upper_bound_of_averages, average)
