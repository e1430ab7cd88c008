"""The clipped ratio lambda of Eq. (26), and naive bDPO v2 of Eq. (27): Eq. (25) without its detached term.

x = log(pi_w / pi_l), and c is the clip, the largest lambda minus 1.
"""

from __future__ import annotations

from fractions import Fraction as F
from functools import partial

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL, FAILS, HOLDS
from theory.ma2025.balanced_losses import push_of_naive, turns
from theory.ma2025.covariance import claim
from theory.ma2025.decompositions import LOGS, nbdpo_is_dpo_plus_sft
from theory.ma2025.training import (
    HALF,
    Margin,
    drift,
    imbalance_ratio,
    proved_push,
    slopes_of_version_2,
    version_2,
    with_live_ratio,
)
from theory.proof import Named, checked, exp, log, same, setting, world_of
from theory.proof.family import Family

any_clip = world_of("any x, clip c > 0", x="real", c="positive")


def ratio(case, symmetric=True, sign=1):
    """Return lambda at x, or at -x, where winner and loser are exchanged."""
    return imbalance_ratio(sign * case.x, case.c, symmetric=symmetric)[0]


# --- Eq. (26) ------------------------------------------------------------------------------------------------------


@claim("eq-26", "Eq. (26), asymmetric and symmetric", PROVED)
def eq_26(case, least=1):
    r"""\lambda_{\mathrm{asym}}\in[1,1+\Delta\lambda_{\max}],\qquad
    \lambda_{\mathrm{sym}}\in\bigl[\tfrac{1}{1+\Delta\lambda_{\max}},1+\Delta\lambda_{\max}\bigr]

    Proof: $1+\Delta\lambda_{\min}$ is 1 or $1/(1+\Delta\lambda_{\max})$.
    """
    top = 1 + case.c
    return least <= ratio(case, symmetric=False) <= top and 1 / top <= ratio(case) <= top


eq_26.proved(over=any_clip, wrong={"least": F(11, 10)})


@claim("eq-26-swap", "not in the paper; how symmetric the symmetric ratio is", PROVED)
def swap(case, inside=1):
    r"""|x|\le\tfrac{c}{1+c}\implies\lambda(x)\,\lambda(-x)=1-x^2;\qquad |x|\ge c\implies\lambda(x)\,\lambda(-x)=1

    Assumes: $x=\log(\pi_w/\pi_l)$, $c=\Delta\lambda_{\max}$, the symmetric ratio
    Proof: $(1+x)(1-x)$ inside the clip, and $(1+c)\cdot\frac{1}{1+c}$ beyond it. Exchanging winner and loser inverts
    $\pi_w/\pi_l$ but not $\lambda$: only the bounds are symmetric.
    """
    both, size = ratio(case) * ratio(case, sign=-1), abs(case.x)
    within = size * (1 + case.c) <= case.c
    return (not within or both == 1 - inside * case.x**2) and (size < case.c or both == 1)


swap.proved(over=any_clip, wrong={"inside": F(11, 10)})


def moderate(case, times=2):
    """Return whether log(1 + c) <= 2 c / (1 + c)."""
    return log(1 / (1 + case.c)) >= -times * case.c / (1 + case.c)


@claim(
    "eq-26-balances",
    "Section 5.1, after Eq. (26): the symmetric approach makes the gradient more balanced in any case",
    CONDITIONALLY,
)
def balances(case, symmetric=True, spare=0):
    r"""\bigl|\log(\lambda\,\pi_l/\pi_w)\bigr|\le\bigl|\log(\pi_l/\pi_w)\bigr|

    Assumes: $\log(1+c)\le 2c/(1+c)$, that is $c=\Delta\lambda_{\max}$ up to 3.92
    Because: With a generous clip, $\lambda$ falls so far where $\pi_w<\pi_l$ that the imbalance turns round and grows:
    $c=9$, $\log(\pi_w/\pi_l)=-9/10$. The asymmetric ratio satisfies the inequality for every clip.
    Proof: For $x\ge 0$: $1\le\lambda\le 1+x\le e^x$. For $x=-y<0$ the left side is $|y+\log\lambda|$, at most $y$ iff
    $-\log\lambda\le 2y$, and $-\log(1-y)-2y$ is convex, 0 at 0: the end of the clip, $y=c/(1+c)$, decides.
    """
    return abs(log(ratio(case, symmetric)) - case.x) <= abs(case.x) - spare


def sharp(case, times=2):
    """Return whether it holds at the lower clip exactly under the assumption."""
    return balances(Named(x=-case.c / (1 + case.c), c=case.c)) == moderate(case, times)


def moderate_up_to(first: F = F(392, 100), then: F = F(393, 100)) -> bool:
    return moderate(Named(c=first)) and not moderate(Named(c=then))


balances.false(at=Named(x=F(-9, 10), c=F(9)), true_at=Named(x=F(-1, 3), c=HALF))
balances.proved(over=any_clip, given=moderate, wrong={"spare": F(1, 10)})
balances.proved(of=sharp, over=any_clip, wrong={"times": F(5, 2)}, also=True)
balances.proved(of=partial(balances.predicate, symmetric=False), over=any_clip, wrong={"spare": F(1, 10)}, also=True)
balances.enclosed(of=moderate_up_to, wrong={"first": F(394, 100)}, also=True)


@claim("eq-26-sign", "not in the paper; when the symmetric ratio turns the imbalance round", PROVED)
def turned_round(case, times=1):
    r"""\mathrm{sign}\,\log(\lambda\,\pi_l/\pi_w)=\mathrm{sign}\,\log(\pi_l/\pi_w)\iff x\notin\bigl[-\log(1+c),0\bigr)

    Assumes: $x=\log(\pi_w/\pi_l)$, $c=\Delta\lambda_{\max}$, the symmetric ratio
    Proof: For $x<0$, $\log\lambda-x>0$ iff $\lambda>e^x$. Inside the clip $\lambda=1+x<e^x$; at its end
    $\lambda=1/(1+c)$, which exceeds $e^x$ iff $x<-\log(1+c)$. With $c=1/2$: a winner that is up to a third less
    probable than the loser gets the smaller gradient.
    """
    end, found = -log(1 + case.c), ratio(case)
    odds, _ = exp(case.x), exp(end)  # the solver compares the two
    same_sign = (found < odds) == (case.x > 0) and (found > odds) == (case.x < 0)
    return same_sign == (not (times * end <= case.x and case.x < 0))


turned_round.proved(over=any_clip, wrong={"times": F(11, 10)})


# --- Eq. (27) ------------------------------------------------------------------------------------------------------


@claim("eq-27-value", "not in the paper; Eq. (27) against DPO", PROVED)
def v2_value(gain, loss, beta, factor, weight=1):
    r"""z_{\mathrm{v2}}=z_{\mathrm{dpo}}+\beta(\lambda-1)\log\frac{\pi_w}{\mathrm{ref}_w}

    Proof: Subtract. Value and minimiser change: at DPO's optimum with $P=3/4$, uniform reference and clip 1/2, the
    expected update of v2 is not 0.
    """
    return same(beta * (factor * gain - loss), beta * (gain - loss) + weight * beta * (factor - 1) * gain)


def moves_at_the_optimum_of_dpo(least: F = F(1, 1000)) -> bool:
    found = [drift(version_2(symmetric=symmetric), F(3, 4), F(3, 4)) for symmetric in (False, True)]
    return all(abs(a) > least for a in found)


v2_value.derived(symbols={"gain": "real", "loss": "real"}, wrong={"weight": F(11, 10)})
v2_value.enclosed(of=moves_at_the_optimum_of_dpo, wrong={"least": F(1, 10)}, also=True)


@claim("eq-27-detach", "not in the paper, which does not say whether lambda is differentiated in Eq. (27)", PROVED)
def v2_detach(a, b, ref_a, ref_b, beta, clipped, sign=1):
    r"""\nabla z_{\mathrm{live}}-\nabla z_{\mathrm{detached}}=\beta A\,(\nabla\log\pi_w-\nabla\log\pi_l)\
    \text{inside the clip, else }0;\quad A=\log\frac{\pi_w}{\mathrm{ref}_w}

    Proof: $\nabla(\lambda A)=\lambda\nabla A+A\nabla\lambda$, and $\nabla\lambda=\nabla\log\pi_w-\nabla\log\pi_l$
    inside the clip. The loss v2 is therefore two algorithms.
    """
    gain, frozen = a - ref_a, sp.Symbol("frozen", positive=True)

    def gradient(factor):
        return [sp.diff(beta * (factor * gain - (b - ref_b)), x) for x in (a, b)]

    detached = [slope.subs(frozen, 1 + a - b) for slope in gradient(frozen)]
    of_w, of_l = (live - held for live, held in zip(gradient(1 + a - b), detached, strict=True))
    outside = same(gradient(clipped)[0], beta * clipped) & same(gradient(clipped)[1], -beta)
    return same(of_w, beta * gain) & same(of_l, -sign * beta * gain) & outside


v2_detach.derived(symbols=dict.fromkeys(("a", "b", "ref_a", "ref_b"), "negative"), wrong={"sign": F(9, 10)})


# --- where it rests ------------------------------------------------------------------------------------------------


any_label = world_of("0 < P < 1, 0 < p < 1, clip > 0", label="share", p="share", clip="positive")


@claim("section-5.2", "Section 5.2: naive bDPO cannot converge to a local minimum of its loss", PROVED)
def no_minimum(case):
    r"""\nabla^{\mathrm{detached}}\mathcal L_{\mathrm{nb}}=0\ \text{is no local minimum of}\ \mathcal L_{\mathrm{nb}}

    Assumes: two responses, uniform reference, $\beta=1$, labels $P\ne 1/2$, either ratio
    Proof: The value is DPO's, whose derivative in the log-odds is $\pi_1-P$: a minimum is at $P$, and nowhere else.
    There the update is $P(1-P)[(\lambda_{12}-1)(1-P)-(\lambda_{21}-1)P]\ne 0$, since one ratio is above 1 and the other
    is not.
    """
    if checked(slope_of_the_value, is_the_slope, x="real")(case.p, case.label) != 0:
        return True
    return push_of_naive(case, symmetric=True) != 0 and push_of_naive(case, symmetric=False) != 0


def slope_of_the_value(p, label):
    """Return the derivative of DPO's expected loss by the log-odds."""
    return p - label


def is_the_slope(x, label):
    value = label * sp.log(1 + sp.exp(-x)) + (1 - label) * sp.log(1 + sp.exp(x))
    return same(sp.diff(value, x), slope_of_the_value(1 / (1 + sp.exp(-x)), label))


def uneven(case):
    return case.label != HALF


no_minimum.proved(over=any_label, given=uneven, wrong_given=lambda case: case.label > 0, role=HOLDS, lemma="Fermat")
no_minimum.rests_on(nbdpo_is_dpo_plus_sft)  # the value is DPO's


def with_lambda(kept: int) -> Family:
    """Return any two pairs under v2; of the derivative of lambda, times the gain, training keeps all or nothing."""

    def pairs(numbers):
        """Training with version 2."""
        shares = {name: numbers.between(name, 0, 1) for name in ("label", "p", "kappa", "back_kappa")}
        ratios = {name: numbers.positive(name) for name in ("ratio", "back_ratio")}
        return Named(**shares, **ratios, gain=numbers.real("gain"), back_gain=numbers.real("back_gain"), kept=kept)

    return setting(f"label, p and both kappa in (0, 1), both lambda > 0, any gains; kept = {kept}")(pairs)


LIVE, DETACHED = with_lambda(1), with_lambda(0)


@claim("section-5.2-version-2", "Section 5.2: Eq. (27) avoids this problem", CONDITIONALLY)
def version_2_minimum(case, kept=None):
    r"""\nabla\mathcal L_{\mathrm{v2}}=0\ \text{where training rests is a local minimum of}\ \mathcal L_{\mathrm{v2}}

    Assumes: $\lambda$ is differentiated, too
    Because: With $\lambda$ detached the update is no gradient of the loss, and v2 has the same problem as Eq. (25): for
    two responses, uniform reference, $P=11/20$ and the asymmetric ratio with clip 1/2 it rests between 0.57 and 0.58,
    where the loss is still falling.
    Proof: Training then goes where the value falls, and rests where that goes from falling to rising, be it
    continuously or at a corner of the clip.
    """

    def pushed(share):
        m, n = (
            Margin(0, *checked(slopes_of_version_2, with_live_ratio, **LOGS)(factor, share * gain))
            for factor, gain in ((case.ratio, case.gain), (case.back_ratio, case.back_gain))
        )
        return proved_push()(case.label, case.p, (case.kappa, m), (case.back_kappa, n))

    followed, of_value = pushed(case.kept if kept is None else kept), pushed(1)
    return (followed > 0) == (of_value > 0) and (followed < 0) == (of_value < 0)


def unless_it_is_clipped(case):
    return case.gain != 0 or case.back_gain != 0 or version_2_minimum(case)


def still_falls(p, level=F(0), *, detach=False):
    return drift(version_2(detach=detach), F(11, 20), p) > level


def rests_detached(high: F = F(58, 100)) -> bool:
    return turns(version_2(detach=True), F(11, 20), F(57, 100), high)


LOW, HIGH = F(57, 100), F(58, 100)
version_2_minimum.refuted(over=DETACHED, unlike=unless_it_is_clipped)
version_2_minimum.enclosed(LOW, HIGH, of=still_falls, role=FAILS, wrong={"level": F(1, 10)})
version_2_minimum.enclosed(of=rests_detached, role=FAILS, wrong={"high": F(571, 1000)}, lemma="intermediate value")
version_2_minimum.proved(over=LIVE, role=CONDITIONAL, wrong={"kept": F(9, 10)}, lemma="monotone")
version_2_minimum.rests_on(v2_detach, also=True)


def push_at_the_corner(inside):
    """Return the push at x = -1/3 with P = 3/5 and ref = (3/5, 2/5), just inside or just outside the clip."""
    a, b = -log(1 + exp(F(1, 3))), -log(1 + exp(F(-1, 3)))
    gain, loss = a - log(F(3, 5)), b - log(F(2, 5))
    slopes = checked(slopes_of_version_2, with_live_ratio, **LOGS)
    first = Margin(F(2, 3) * gain - loss, *slopes(F(2, 3), inside * gain))
    second = Margin(F(4, 3) * loss - gain, *slopes(F(4, 3), loss))
    kappas = [1 / (1 + exp(-m.f)) for m in (first, second)]
    return proved_push()(F(3, 5), exp(a), (kappas[0], first), (kappas[1], second))


@claim("eq-27-two-minima", "not in the paper; Eq. (27), symmetric, lambda differentiated", PROVED)
def two_minima(second: F = F(767, 1000), corner: F = F(417, 1000)) -> bool:
    r"""P=\tfrac35,\ \mathrm{ref}=(\tfrac35,\tfrac25):\quad\text{training rests at }\pi_1=0.417\text{ and at }0.767

    Assumes: two responses, $\beta=1$, clip 1/2
    Proof: At the corner $\log(\pi_1/\pi_2)=-1/3$ of the clip the derivative of the expected loss jumps from negative to
    positive, and within 0.0006 of 0.767 it passes through 0: where training ends depends on where it starts, and one of
    the ends contradicts the labels.
    """
    near, label = F(6, 10000), F(3, 5)
    at_the_corner = abs(1 / (1 + exp(F(1, 3))) - corner) < near and push_at_the_corner(0) > 0 > push_at_the_corner(1)
    below, above = (drift(version_2(symmetric=True), label, second + s * near, label) for s in (-1, 1))
    return at_the_corner and below > 0 > above


two_minima.enclosed(wrong={"second": F(769, 1000)}, lemma="intermediate value, monotone")
two_minima.enclosed(wrong={"corner": F(419, 1000)}, also=True)
two_minima.rests_on(v2_detach, also=True)
