"""Section 5, third and fourth observation: Eq. (14), the reference as a noise level, and bad local minima."""

from __future__ import annotations

from fractions import Fraction as F
from math import prod

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL, FAILS
from theory.proof import Named, Numbers, power, same, setting
from theory.wipf2024.claims import claim
from theory.wipf2024.gaussian import DPO, LAMBDA, REF_L, REF_W, THETA_L, THETA_W


@claim("eq-14", "Eq. (14) and the last observation of Section 5", CONDITIONALLY, "eq-14-relative-odds")
def eq_14(c):
    r"""\min_{\pi\in S_\pi}\ell_{\mathrm{DPO}}\ \text{is a case of}\ \min_{\{u_i\}\in
    S_u}\sum_i\log(\gamma+|u_i|),\quad
    \gamma=\Bigl[\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}\Bigr]^\lambda,\
    u_i=\Bigl[\frac{\pi_\theta(y_l)}{\pi_\theta(y_w)}\Bigr]^\lambda

    Assumes: the reference ratio is the same on all tuples
    Because: Eq. (14) has one $\gamma$, DPO one for each tuple. With $\gamma_i=1,4$ and $u=(1,4)$ or $(4,1)$ DPO prefers
    the first, while for every single $\gamma$ the two are equal.
    Proof: DPO is $\sum_i\log(1+u_i/\gamma_i)$ (wipf2024.eq-14-relative-odds); with one $\gamma$ on n tuples the two are
    $n\log\gamma$ apart.
    """
    return (c.dpo[0] < c.dpo[1]) == (c.one_gamma[0] < c.one_gamma[1])


def losses(gammas, gamma, policies):
    """Return the exponential of both losses of two policies, by the u_i of each."""
    dpo = [prod(1 + u / own for u, own in zip(us, gammas, strict=True)) for us in policies]
    return Named(dpo=dpo, one_gamma=[prod(gamma + u for u in us) for us in policies])


def mirrored(gammas, gamma):
    """Two tuples, and two policies that exchange their odds."""
    return losses(gammas, gamma, ((F(1), F(4)), (F(4), F(1))))


@setting("gamma > 0")
def one_gamma(numbers: Numbers) -> Named:
    """Every gamma, for two tuples whose references differ."""
    return mirrored((F(1), F(4)), numbers.positive("gamma"))


@setting("gamma, u of both policies > 0")
def one_tuple(numbers: Numbers) -> Named:
    """One tuple, any gamma."""
    gamma, *u = (numbers.positive(name) for name in ("gamma", "u1", "u2"))
    return Named(gamma=gamma, scale=gamma, **vars(losses((gamma,), gamma, [(each,) for each in u])))


@setting("any number of tuples with the same gamma > 0; one more, u of both policies > 0")
def next_tuple(numbers: Numbers) -> Named:
    """One more tuple with the same gamma."""
    dpo, penalty = ([numbers.real(f"{name}{k}") for k in (1, 2)] for name in ("dpo", "penalty"))
    more = numbers.positive("u1"), numbers.positive("u2")
    return Named(gamma=numbers.positive("gamma"), scale=numbers.real("scale"), dpo=dpo, one_gamma=penalty, more=more)


def with_next(c):
    one = losses((c.gamma,), c.gamma, [(u,) for u in c.more])
    products = {k: [a * b for a, b in zip(vars(c)[k], value, strict=True)] for k, value in vars(one).items()}
    return Named(gamma=c.gamma, scale=c.scale * c.gamma, **products)


def are_in_proportion(c, times=1):
    """Return whether both losses are a constant apart, which is log(scale), so that they rank the policies alike."""
    apart = all(b == times * c.scale * a for a, b in zip(c.dpo, c.one_gamma, strict=True))
    return c.scale > 0 and apart and eq_14(c)


eq_14.false(at=mirrored((F(1), F(4)), F(1)), true_at=mirrored((F(4), F(4)), F(4)))
eq_14.proved(
    over=one_gamma,
    of=lambda c, shift=0: not eq_14(c) and c.one_gamma[0] == c.one_gamma[1] + shift,
    role=FAILS,
    wrong={"shift": F(1, 10)},
)
eq_14.by_induction(
    base=one_tuple,
    step=next_tuple,
    after=with_next,
    more=lambda source, c: Named(**vars(c), more=[F(source.randint(1, 12), source.randint(1, 4)) for _ in range(2)]),
    of=are_in_proportion,
    role=CONDITIONAL,
    wrong={"times": F(11, 10)},
)


@claim("eq-14-relative-odds", "not in the paper; DPO as Eq. (14) with gamma = 1", PROVED)
def relative_odds(power=1):
    r"""\ell_{\mathrm{DPO}}=\mathbb{E}\log(1+v),\qquad v=\left[\frac{\pi_\theta(y_l)/\pi_\theta(y_w)}
    {\pi_{\mathrm{ref}}(y_l)/\pi_{\mathrm{ref}}(y_w)}\right]^\lambda=\frac{u}{\gamma}

    Because: So the noise-adaptive curvature is a change of units, tuple by tuple: in relative odds every tuple has the
    same penalty, and what the reference adapts is the constraint set.
    Proof: $\log(\gamma+u)=\log\gamma+\log(1+u/\gamma)$.
    """
    return same(sp.exp(DPO), 1 + (THETA_L / THETA_W / (REF_L / REF_W)) ** (power * LAMBDA))


relative_odds.derived(wrong={"power": F(11, 10)})


@claim("footnote-2", "footnote 2 (printed with the number 1), to Eq. (14)", PROVED)
def footnote_2(c, sign=1):
    r"""\text{parameters that can be negative: }f(u)\to f(|u|);\qquad\log(\gamma+|u|)=\log(\gamma+u)\ \text{for}\
    u\ge 0

    Because: Of DPO's odds, which are positive, it says nothing new. As a function of u itself $\log(\gamma+|u|)$ is
    neither non-decreasing nor concave: it is least at 0, with a kink.
    Proof: $|u|=u$; and $\gamma+|u|>\gamma$ on both sides of 0.
    """
    return c.gamma + abs(c.u) == c.gamma + sign * c.u and c.gamma + abs(-c.u) == c.gamma + abs(c.u) >= c.gamma


@setting("gamma > 0, u >= 0")
def odds(numbers: Numbers) -> Named:
    """Every gamma and every u that is not negative."""
    return Named(gamma=numbers.positive("gamma"), u=numbers.at_least("u", 0))


def below_its_chord(c, times=1):  # at 0, between -u and u
    return c.u == 0 or c.gamma + 0 * c.u < times * (c.gamma + abs(c.u))


footnote_2.proved(over=odds, wrong={"sign": F(9, 10)})
footnote_2.proved(over=odds, of=below_its_chord, wrong={"times": F(9, 10)}, also=True)


# --- is a large gamma a poor reference? ----------------------------------------------------------------------------


@setting("0 < pi*(y_w), ref(y_w) < 1, lambda > 0")
def label(numbers: Numbers) -> Named:
    """Every labelled pair."""
    true, reference = numbers.between("true", 0, 1), numbers.between("reference", 0, 1)
    return labelled(true, reference, power((1 - reference) / reference, numbers.positive("lambda_")))


def labelled(true, reference, gamma):
    """Name pi* and the reference of the chosen response, and gamma."""
    return Named(true=true, reference=reference, gamma=gamma)


@claim("large-gamma", "Section 5, last observation", CONDITIONALLY)
def large_gamma(c):
    r"""\gamma=\Bigl[\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}\Bigr]^\lambda>1\implies
    \pi_{\mathrm{ref}}\ \text{ranks the pair against}\ \pi^*

    Assumes: labels without noise: $\pi^*(y_w)>\pi^*(y_l)$
    Because: With Bradley-Terry labels the chosen response is at times the worse one. For
    $\pi_{\mathrm{ref}}=\pi^*=(\frac9{10},\frac1{10})$ and $\lambda=1$ one tuple in ten has $\gamma=9$, although the
    reference is optimal.
    Proof: $\gamma>1$ says $\pi_{\mathrm{ref}}(y_l)>\pi_{\mathrm{ref}}(y_w)$.
    """
    return c.gamma <= 1 or (c.true > F(1, 2)) == (c.reference < F(1, 2))


large_gamma.false(at=labelled(F(1, 10), F(1, 10), F(9)), true_at=labelled(F(9, 10), F(9, 10), F(1, 9)))
large_gamma.proved(over=label, given=lambda c, least=F(1, 2): c.true > least, wrong_given=lambda c: c.true > F(2, 5))


# --- bad local minima ----------------------------------------------------------------------------------------------


@setting("gamma, c > 0, d > 1, t > 0")
def line(numbers: Numbers) -> Named:
    """Every gamma, and a place on every line u = (t, c - d t)."""
    gamma, c, t = (numbers.positive(name) for name in ("gamma", "c", "t"))
    return Named(gamma=gamma, c=c, d=1 + numbers.positive("d_less_1"), t=t)


def penalty(p, t):
    """Return the exponential of ln(gamma + |u_1|) + ln(gamma + |u_2|) at t."""
    return (p.gamma + abs(t)) * (p.gamma + abs(p.c - p.d * t))


@claim("bad-local-minima", "Section 5, third observation, after the works cited there; an exact instance", PROVED)
def bad_local_minima(p, room=1):
    r"""\min_t\ \log(\gamma+|t|)+\log(\gamma+|c-dt|),\ d>1:\quad t=0\ \text{is a local
    minimum}\iff\gamma<\frac{c}{d-1};\quad t=\tfrac cd\ \text{always is, and is better}

    Assumes: $c>0$, $\gamma>0$
    Proof: To the right of 0 the slope is $\frac1\gamma-\frac{d}{\gamma+c}$, to the left it is negative; between 0
    and $\frac cd$ the penalty is concave, beyond $\frac cd$ it rises. So a larger $\gamma$, a less concave
    penalty, takes the bad minimum away.
    """
    between, near = p.t * p.d < p.c, p.t * p.d < room * (p.gamma + p.c - p.d * p.gamma)
    higher = penalty(p, p.t) > penalty(p, 0 * p.t)
    if not penalty(p, -p.t) > penalty(p, 0 * p.t):  # to the left of 0 it is larger, too
        return False
    if p.gamma * (p.d - 1) < p.c:
        return not (between and near) or higher  # on (0, min(c, gamma + c - d gamma) / d), which is not empty
    return not between or not higher


def better_and_a_minimum(p, times=1):
    best = penalty(p, p.c / p.d)
    near = p.t * p.d <= p.c and p.t * p.d < p.d * p.gamma + p.c - p.gamma
    left = not near or penalty(p, p.c / p.d - p.t) > best
    return left and penalty(p, p.c / p.d + p.t) > best and times * best < penalty(p, 0 * p.t)


bad_local_minima.proved(over=line, wrong={"room": F(11, 10)})
bad_local_minima.proved(
    over=line,
    of=better_and_a_minimum,
    wrong={"times": F(11, 10)},
    part=r"t=\tfrac cd\ \text{always is, and is better}",
)
