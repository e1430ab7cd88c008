"""f-DPO, -log sigma(beta [f'(t_w) - f'(t_l)]) with t = pi/pi_ref: what its loss can tell of f, and its forces."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, PROVED
from theory.decision.weighted import WeightedWorld, with_weights
from theory.evidence import FAILS
from theory.proof import TABULAR, Named, same, setting
from theory.statement import claims_of
from theory.worlds import World

claim = claims_of("pipano2026")
T = sp.Symbol("t", positive=True)
CRITERION = "not read in full; ours, after its criterion that the minimiser of f be at least 1"


def argument(f, t_w, t_l, shift):
    """Return f'(t_w) - f'(t_l) of f + shift (t - 1)."""
    slope = sp.diff(f(T) + shift * (T - 1), T)
    return slope.subs(T, t_w).doit() - slope.subs(T, t_l).doit()


@claim("one-loss", CRITERION, PROVED)
def one_loss(f, t_w, t_l, shift, times=1):
    r"""f\ \text{and}\ f+c\,(t-1)\ \text{have one and the same f-DPO loss, for every }c

    Assumes: f is differentiable
    Because: They have the same divergence too, since $\sum\pi_{\mathrm{ref}}(t-1)=0$.
    Proof: The constant c drops out of $f'(t_w)-f'(t_l)$.
    """
    return same(argument(f, t_w, t_l, shift), times * argument(f, t_w, t_l, 0))


one_loss.derived(symbols={"f": "function", "shift": "real"}, wrong={"times": F(11, 10)})


@claim("any-minimiser", CRITERION, PROVED)
def any_minimiser(target, t_w, t_l, add=0):
    r"""\text{for every }m>0:\quad f=t\log t-(1+\log m)(t-1)\ \text{is convex, has its minimum at }m,\ \text{and its
    f-DPO is DPO}

    Assumes: $f'(0^+)=-\infty$ holds too
    Proof: $f'=\log t-\log m$.
    """
    f = T * sp.log(T) - (1 + sp.log(target)) * (T - 1)
    slope = sp.diff(f, T)
    gap = slope.subs(T, t_w) - slope.subs(T, t_l)
    at_the_minimum = same(slope.subs(T, target) + add, 0) & same(sp.diff(f, T, 2), 1 / T)
    return at_the_minimum & same(gap, sp.log(t_w) - sp.log(t_l))


any_minimiser.derived(wrong={"add": F(1, 10)})


@claim("criterion-of-a-loss", CRITERION, FALSE, "one-loss")
def criterion_of_a_loss(t_w, t_l, add=0):
    r"""\text{whether}\ \arg\min f\ge 1\ \text{tells which losses displace}

    Assumes: read as a property of the f-DPO loss; as a property of f with a problem that penalises only responses in
    the data it is another statement, which is not judged here
    Because: A loss does not fix the minimiser of its f. DPO has $f=t\log t$ with its minimum at $1/e$, and just as well
    $f=t\log t-t+1$ with its minimum at 1: the same loss fails and passes.
    """
    plain, shifted = T * sp.log(T), T * sp.log(T) - T + 1
    gaps = [sp.diff(f, T).subs(T, t_w) - sp.diff(f, T).subs(T, t_l) for f in (plain, shifted)]
    minima = same(sp.diff(plain, T).subs(T, sp.exp(-1)), 0) & same(sp.diff(shifted, T).subs(T, 1), 0)
    return same(gaps[0] + add, gaps[1]) & minima


criterion_of_a_loss.derived(role=FAILS, denial=True, wrong={"add": F(1, 10)})

FORCES = {
    "t log t (DPO)": (T * sp.log(T), sp.Integer(1)),
    "-log t (forward KL)": (-sp.log(T), 1 / T),
    "Jensen and Shannon": (T * sp.log(T) - (T + 1) * sp.log((T + 1) / 2), 1 / (1 + T)),
    "t^2/2 + t log t (chi-PO)": (T**2 / 2 + T * sp.log(T), 1 + T),
    "(log t)^2 / 2 (SquaredPO)": (sp.log(T) ** 2 / 2, (1 - sp.log(T)) / T),
}


@claim("forces", "not read in full; ours, the forces of f-DPO", PROVED)
def forces(times=1):
    r"""\phi(t)=t\,f''(t):\quad 1\ (\text{DPO}),\ \frac1t\ (\text{forward KL}),\ \frac1{1+t}\ (\text{Jensen and
    Shannon}),\ 1+t\ (\chi\text{PO}),\ \frac{1-\log t}t\ (\text{SquaredPO})

    Assumes: the gradient of a pair is proportional to $\phi(t_w)g_w-\phi(t_l)g_l$, up to one positive factor
    Because: Where $t_l<t_w$ all but $\chi$PO push the rejected response harder than they pull the chosen one, or as
    hard (SquaredPO: while $t_w\le e^2$, where its force is least).
    Proof: $\frac{d}{d\log t}f'(t)=t\,f''(t)$.
    """
    first, *rest = [same(T * sp.diff(f, T, 2), times * phi) for f, phi in FORCES.values()]
    for other in rest:
        first = first & other
    return first


forces.derived(wrong={"times": F(11, 10)})


@claim("ratio-two-is-safe", "not read in full; ours, the forces of f-DPO in a tabular softmax", PROVED)
def ratio_two_is_safe(w, most=2):
    r"""0<\phi(t_l)\le 2\,\phi(t_w)\ \Rightarrow\ A_w>0

    Assumes: tabular softmax, first order; any loss with positive weights $d_l\le 2d_w$
    Because: 2 is the border: pipano2026.ratio-two-is-sharp.
    Proof: $|g_w|^2-2\langle g_w,g_l\rangle=1-S+2\pi_l>0$, and where $\langle g_w,g_l\rangle\le 0$ nothing pushes down.
    """
    return not w.d_l <= most * w.d_w or w.A_w > 0


ratio_two_is_safe.proved(over=with_weights(TABULAR), wrong={"most": F(5, 2)})


@setting("ratio = 2 + x, x > 0: pi_w = pi_l = x / (6 ratio), one more response has the rest")
def heavier_than_two(numbers):
    """Every ratio of the forces above two."""
    ratio = 2 + numbers.positive("x")
    t = (ratio - 2) / (6 * ratio)
    return Named(ratio=ratio, t=t, S2=2 * t * t + (1 - 2 * t) ** 2)


def drive_there(c):
    """Return |g_w|^2 - ratio <g_w, g_l> in the tabular softmax with these three probabilities."""
    return 1 - 2 * c.t + c.S2 - c.ratio * (c.S2 - 2 * c.t)


@claim("ratio-two-is-sharp", "not read in full; ours, the forces of f-DPO in a tabular softmax", PROVED)
def ratio_two_is_sharp(c, most=0):
    r"""\text{for every ratio }\rho=\phi(t_l)/\phi(t_w)>2\text{ a tabular policy displaces:
    }\pi_w=\pi_l=\frac{\rho-2}{6\rho}\text{ and one more response}

    Assumes: tabular softmax, first order
    Because: At the ratio 3, $\pi=(1,1,9)/11$ has $\frac{d}{d\eta}\log\pi_w=-1/121$.
    Proof: $|g_w|^2<2$ and $\rho\,\langle g_w,g_l\rangle>2$ there.
    """
    return drive_there(c) < most and 0 < 2 * c.t < 1


ELEVENTHS = (World.tabular([F(1, 11), F(1, 11), F(9, 11)]), F(1), F(3))


def at_three(case, value=F(-1, 121)):
    return WeightedWorld(*case).A_w == value


ratio_two_is_sharp.proved(over=heavier_than_two, wrong={"most": F(-1, 10)})
ratio_two_is_sharp.evaluated([ELEVENTHS], of=at_three, wrong={"value": F(-1, 120)}, also=True)


@claim("squaredpo-turns", "not read in full; ours, the forces of f-DPO", PROVED)
def squaredpo_turns(slope_at, times=1):
    r"""f=\tfrac12\log^2t:\quad\phi(t)=\frac{1-\log t}t,\quad\phi(e)=0,\quad f'(t)=\frac{\log t}t\le f'(e)=\frac1e

    Assumes: SquaredPO
    Because: Above $e\,\pi_{\mathrm{ref}}$ the force on the chosen response turns round and pushes it down; a margin
    above $\beta/e$ needs the rejected response to fall.
    Proof: $f''(t)=(1-\log t)/t^2$, of one sign below e and of the other above.
    """
    f = sp.log(T) ** 2 / 2
    phi = T * sp.diff(f, T, 2)
    zero = same(phi.subs(T, sp.E), 0) & same(sp.diff(f, T).subs(T, sp.E), times * sp.exp(-1))
    return zero & same(phi.subs(T, slope_at), (1 - sp.log(slope_at)) / slope_at)


squaredpo_turns.derived(wrong={"times": F(11, 10)}, lemma="monotone")
