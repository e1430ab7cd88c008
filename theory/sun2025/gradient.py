"""Appendix C: the gradients of SPO and of the logistic loss, and Figure 7, on one axis: the margin m."""

from fractions import Fraction as F

import sympy as sp

from dynamics import SelfPO, SimPO
from theory.claim import PROVED
from theory.proof import same, setting, touch
from theory.proof.losses import loss_in_symbols
from theory.sun2025.axis import any_margin, claim
from theory.sun2025.silu import sigma, silu, slope_of_logistic, slope_of_spo

POLICY = {"lw": "function", "ll": "function"}  # log pi of both responses along any direction of the parameters


@claim("eq-39", "Eqs. (37) and (39)", PROVED)
def eq_39(z, sign=1):
    r"""\mathrm{SiLU}'(z)=\sigma(z)+z\sigma(z)(1-\sigma(z))=\sigma(z)\,(1+z(1-\sigma(z)))

    Proof: The product rule.
    """
    s, slope = sigma(z), sp.diff(silu(z), z)
    return same(slope, s + z * s * (1 - s)) & same(slope, s * (1 + sign * z * (1 - s)))


eq_39.derived(symbols={"z": "real"}, wrong={"sign": F(11, 10)})


@claim("eq-42", "Eqs. (36), (38) and (40) to (42)", PROVED)
def eq_42(lw, ll, beta, gamma, t, sign=-1):
    r"""\nabla_\theta L_{SPO}=\mathbb{E}\bigl[\sigma(z)(1+z(1-\sigma(z)))\cdot(-\beta)
    (\nabla\log\pi_w-\nabla\log\pi_l)\bigr],\quad z=-(\beta\log\pi_w-\beta\log\pi_l-\gamma)

    Assumes: differentiable log-probabilities; one direction of the parameters at a time, one pair at a time
    Proof: The chain rule with Eq. 39 and $\nabla z=-\beta(\nabla\log\pi_w-\nabla\log\pi_l)$; the loss is that of the
    package, run on symbols.
    """
    chosen, rejected = lw(t), ll(t)
    words = {"activation": "silu", "length_normalized": False}
    loss = loss_in_symbols(SelfPO, (chosen, rejected, 0, 0, 1, 1), beta=beta, gamma=gamma, **words)
    z = -(beta * chosen - beta * rejected - gamma)
    along = sp.diff(chosen - rejected, t)
    weight = sigma(z) * (1 + z * (1 - sigma(z)))
    return same(loss, silu(z)) & same(sp.diff(loss, t), weight * sign * beta * along)


eq_42.derived(symbols=POLICY, wrong={"sign": F(-11, 10)})


@claim("eq-46", "Eqs. (45) and (46)", PROVED)
def eq_46(z, sign=-1):
    r"""\frac{d\sigma}{dz}=\sigma(z)(1-\sigma(z)),\qquad\frac{d}{dz}\bigl[-\log\sigma(z)\bigr]=-(1-\sigma(z))

    Proof: Differentiate.
    """
    s = sigma(z)
    return same(sp.diff(s, z), s * (1 - s)) & same(sp.diff(-sp.log(s), z), sign * (1 - s))


eq_46.derived(symbols={"z": "real"}, wrong={"sign": F(-11, 10)})


@claim("eq-49", "Eqs. (43), (44) and (47) to (49)", PROVED)
def eq_49(lw, ll, beta, gamma, t, sign=-1):
    r"""\nabla_\theta L_{\mathrm{logsigmoid}}=\mathbb{E}\bigl[-(1-\sigma(z))\cdot\beta
    (\nabla\log\pi_w-\nabla\log\pi_l)\bigr],\quad z=\beta\log\pi_w-\beta\log\pi_l-\gamma

    Assumes: differentiable log-probabilities; one direction of the parameters at a time, one pair at a time
    Because: z has the opposite sign of that of Eqs. (36) to (42); Figure 7 needs one axis: sun2025.push-ratio.
    Proof: The chain rule with Eq. 46; the loss is the package's SimPO for responses of one token, run on symbols.
    """
    chosen, rejected = lw(t), ll(t)
    loss = loss_in_symbols(SimPO, (chosen, rejected, 0, 0, 1, 1), beta=beta, gamma=gamma, label_smoothing=0)
    z = beta * chosen - beta * rejected - gamma
    return same(sp.diff(loss, t), sign * (1 - sigma(z)) * beta * sp.diff(chosen - rejected, t))


eq_49.derived(symbols=POLICY, wrong={"sign": F(-11, 10)})


@claim("push-ratio", "not in the paper; both weights of Appendix C on the margin", PROVED)
def push_ratio(m, sign=-1):
    r"""\frac{d}{dm}\mathrm{SiLU}(-m)=-\sigma(-m)(1-m\sigma(m))=(1-\mathrm{SiLU}(m))\,\frac{d}{dm}[-\log\sigma(m)]

    Proof: Eq. 39 at $z=-m$, over Eq. 46 at $z=m$.
    """
    slope, logistic = sp.diff(silu(-m), m), sp.diff(-sp.log(sigma(m)), m)
    closed = -sigma(-m) * (1 - m * sigma(m))
    return same(slope, closed) & same(slope, (1 + sign * silu(m)) * logistic) & same(logistic, -sigma(-m))


push_ratio.derived(symbols={"m": "real"}, wrong={"sign": F(-11, 10)})


@claim("figure-7", "Appendix C, on Figure 7", PROVED)
def figure_7(c, shift=0):
    r"""\frac{d}{dm}[-\log\sigma(m)]<0\ \text{everywhere},\qquad\frac{d}{dm}\mathrm{SiLU}(-m)<0\iff m<1+W

    Because: The paper names no threshold; it is $1+W=1.278465$, with $W=e^{-1-W}$.
    Proof: By sun2025.push-ratio the second slope has the sign of $m\sigma(m)-1$, that is of $m-1-e^{-m}$, which rises
    and is 0 at $1+W$.
    """
    return slope_of_logistic(c.m) < 0 and (slope_of_spo(c.m) < 0) == (c.m < 1 + c.W + shift)


figure_7.proved(over=any_margin, wrong={"shift": F(1, 10)})


@claim("push-sizes", "not in the paper; Figure 7 in numbers", PROVED)
def push_sizes(c, most=1):
    r"""\Bigl|\frac{dL_{SPO}}{dm}\Bigr|>\Bigl|\frac{dL_{DPO}}{dm}\Bigr|\iff m<0\ (\text{for }m\le 1+W),\qquad
    \frac{dL_{SPO}/dm}{dL_{DPO}/dm}\le 1+W\ \text{with equality at }m=-(1+W)\text{ only}

    Because: SPO pushes wrongly ranked pairs harder than the logistic loss, rightly ranked ones less.
    Proof: The quotient is $1-\mathrm{SiLU}(m)$ (sun2025.push-ratio), and $e^{-m}\ge W^{-1}(-m-W)$, the tangent at
    $-m=1+W$.
    """
    quotient = slope_of_spo(c.m) / slope_of_logistic(c.m)
    harder = c.m > 1 + c.W or (abs(quotient) > 1) == (c.m < 0)
    return harder and quotient <= most + c.W and (quotient == 1 + c.W) == (c.m == -1 - c.W)


push_sizes.proved(over=any_margin, wrong={"most": F(9, 10)})


@claim("pull-back", "not in the paper; how strong the restoring force is", PROVED)
def pull_back(m, most=F(999, 10000)):
    r"""\frac{dL_{SPO}}{dm}<0.0999,\qquad\frac{dL_{SPO}}{dm}>0.0998\ \text{at}\ m=2.4,\qquad
    \frac{dL_{SPO}}{dm}\sim m\,e^{-m}\quad(m\to\infty)

    Because: 0.0265 at m = 5 and 0.00041 at m = 10: a margin far beyond the floor is hardly pulled back.
    Proof: The force is $\sigma(-m)(m\sigma(m)-1)$ with $\sigma(-m)\sim e^{-m}$: negative for $m\le 1$, enclosed from
    1 to 40, and below $m\,e^{-m}\le m/(1+m/2)^2$ beyond.
    """
    return slope_of_spo(m) < most


@setting("m <= 1, or m >= 40")
def elsewhere(numbers):
    """Every margin up to 1 or from 40 on."""
    outside = numbers.at_least("outside", 0)
    return -outside + 1 if numbers.real("side") < 0 else outside + 40


def weak_elsewhere(m, most=F(999, 10000)):
    touch(m / 2)
    return pull_back(m, most)


def tail(m, times=1):
    weight = sigma(-m) * (m * sigma(m) - 1)
    return same(weight, sp.diff(silu(-m), m)) & same(sp.limit(weight / (m * sp.exp(-m)), m, sp.oo), times)


def values(second=F(41, 10**5)):
    near_5, near_10 = (abs(slope_of_spo(m) - pull) for m, pull in ((F(5), F(265, 10**4)), (F(10), second)))
    return near_5 < F(5, 10**5) and near_10 < F(5, 10**6)


pull_back.enclosed(1, 40, wrong={"most": F(98, 1000)}).enclosed(
    of=lambda m=F(12, 5): slope_of_spo(m) > F(998, 10000),
    wrong={"m": F(5, 2)},
    part=r"\frac{dL_{SPO}}{dm}>0.0998\ \text{at}\ m=2.4",
)
pull_back.proved(over=elsewhere, of=weak_elsewhere, wrong={"most": F(-1, 10)})
pull_back.derived(of=tail, wrong={"times": F(11, 10)}, part=r"\frac{dL_{SPO}}{dm}\sim m\,e^{-m}\quad(m\to\infty)")
pull_back.enclosed(of=values, wrong={"second": F(42, 10**5)}, also=True)
