"""Sections 1 and 3.1: the losses that the paper starts from, and what they let happen to the two probabilities."""

from fractions import Fraction as F

import sympy as sp

from dynamics import DPO, IPO, Hinge, SelfPO
from theory.claim import CONDITIONALLY, MISPRINT, PROVED
from theory.evidence import CORRECTED, FAILS
from theory.proof import Named, derivative, exp, log, power, same, world_of
from theory.proof.losses import loss_in_symbols
from theory.sun2025.axis import any_margin, claim
from theory.sun2025.silu import logistic_loss, logistic_slope, relu, sigma, silu, softplus


@claim("eq-1", "Eq. (1)", PROVED)
def eq_1(p, q, ref_p, ref_q, beta, sign=1):
    r"""L=\log\Bigl(1+\Bigl(\frac{\pi(y_l)/\mathrm{ref}(y_l)}{\pi(y_w)/\mathrm{ref}(y_w)}\Bigr)^\beta\Bigr)

    Assumes: one pair, $\pi(y_w)>0$
    Proof: $-\log\sigma(z)=\log(1+e^{-z})$, and $e^{-z}$ is the ratio to the power $\beta$.
    """
    margin = beta * sp.log(p / ref_p) - beta * sp.log(q / ref_q)
    package = loss_in_symbols(DPO, (*map(sp.log, (p, q, ref_p, ref_q)), 1, 1), beta=beta)
    printed = sp.log(1 + (q / ref_q / (p / ref_p)) ** (sign * beta))
    return same(-sp.log(sigma(margin)), printed) & same(package, printed)


eq_1.derived(wrong={"sign": F(11, 10)})

with_edge = world_of(
    "w, l >= 0, over those of the reference; beta > 0", **dict.fromkeys("wl", "nonnegative"), beta="positive"
)


@claim("eq-2", "Eq. (2)", CONDITIONALLY)
def eq_2(c, least=1):
    r"""\pi(y_l)=0\implies L=\min L

    Assumes: $\pi(y_w)>0$
    Because: At $\pi(y_w)=0$ as well the ratio is 0/0 and the loss has no value. No softmax attains the minimum.
    Proof: $e^L=1+0=1$ there, and $e^L>1$ wherever $\pi(y_l)>0$.
    """
    ratio = c.l / c.w
    exponential = 1 + (power(ratio, c.beta) if ratio != 0 else 0 * ratio)
    return exponential >= least and (exponential == 1) == (c.l == 0)


eq_2.false(at=Named(w=F(0), l=F(0), beta=F(1)), true_at=Named(w=F(1), l=F(0), beta=F(1)))
eq_2.proved(over=with_edge, given=lambda c: c.w > 0, wrong_given=lambda c: c.w >= 0)


@claim("ratio-regardless", "Section 1, after Eq. (2)", CONDITIONALLY)
def ratio_regardless(c, share=1):
    r"""\lim_{\pi(y_l)\to 0}\frac{\pi(y_w)}{\pi(y_l)}=\infty\quad\text{whatever }\pi(y_w)

    Assumes: $\pi(y_l)=o(\pi(y_w))$, as for a fixed $\pi(y_w)>0$
    Because: Where $\pi(y_w)$ falls as fast or faster, as $\pi(y_l)^p$ with $p\ge 1$, the ratio stays at most 1.
    Proof: Division: the ratio is above every bound from $\pi(y_l)<\pi(y_w)/\mathrm{bound}$ on.
    """
    return c.w / c.l > share * c.bound


def stays_bounded(c, share=1):
    return not ratio_regardless(Named(w=power(c.l, c.p), l=c.l, bound=share * c.bound))


falling_together = world_of(
    "0 < pi_l < 1, pi_w = pi_l^p, p >= 1, bound >= 1",
    lambda c: (c.p >= 1, c.bound >= 1),
    l="share",
    **dict.fromkeys(("p", "bound"), "positive"),
)
bounds = world_of("pi_w, pi_l, bound > 0", **dict.fromkeys(("w", "l", "bound"), "positive"))
ratio_regardless.proved(over=falling_together, of=stays_bounded, role=FAILS, wrong={"share": F(9, 10)})
ratio_regardless.proved(over=bounds, given=lambda c: c.l * c.bound < c.w, wrong={"share": F(11, 10)})


@claim("unrelated-to-the-chosen", "Section 1, on the extreme case (rejected probability zero)", PROVED)
def unrelated(p, q, ref_p, ref_q, beta, level=0):
    r"""\lim_{\pi(y_l)\to 0}L=0,\qquad\lim_{\pi(y_l)\to 0}\frac{\partial L}{\partial\pi(y_w)}=\lim_{\pi(y_l)\to 0}
    \frac{\partial L}{\partial\log\pi(y_l)}=0\qquad\text{for every }\pi(y_w)>0

    Assumes: DPO; $\pi(y_w)>0$ is held
    Because: SPO shares it: its loss and its slope tend to 0 as well, above its minimum. In $\pi(y_l)$ itself the slope
    of DPO does not vanish for $\beta\le 1$, and grows without bound for $\beta<1$.
    Proof: $L=\log(1+\rho)$ with $\rho=e^{-z}$, and the slopes in the logarithms of the probabilities are
    $\mp\beta\rho/(1+\rho)$; $\rho\to 0$.
    """
    odds, ratio = (sp.Symbol(name, positive=True) for name in ("rho", "x"))
    power = {odds: (q / ref_q / (p / ref_p)) ** beta}
    loss, share = sp.log(1 + odds), beta * odds / (1 + odds)
    slope_p, slope_q = (sp.diff(loss.subs(power), z) * z for z in (p, q))
    vanish = [same(sp.limit(f, odds, 0, "+"), level) for f in (loss, share / p, share)]
    slopes = same(slope_p, -share.subs(power)) & same(slope_q, share.subs(power))
    return slopes & vanish[0] & vanish[1] & vanish[2] & same(sp.limit(ratio**beta, ratio, 0, "+"), 0)


def of_self_po(m, level=0):
    loss = loss_in_symbols(SelfPO, (m, 0, 0, 0, 1, 1), beta=1, gamma=0, activation="silu", length_normalized=False)
    return same(sp.limit(loss, m, sp.oo), level) & same(sp.limit(sp.diff(loss, m), m, sp.oo), level)


def slope_in_the_probability(q, beta, k, level=0):
    """Beta is 1 / (1 + k); the slope grows without bound, since its inverse vanishes."""
    less_than_one = {beta: 1 / (1 + k)}
    inverse = q * (1 + q**beta) / (beta * q**beta)
    return same(1 / inverse, sp.diff(sp.log(1 + q**beta), q)) & same(
        sp.limit(sp.expand(sp.powsimp(inverse.subs(less_than_one))), q, 0, "+"), level
    )


unrelated.derived(wrong={"level": F(1, 10)})
unrelated.derived(of=of_self_po, wrong={"level": F(1, 10)}, also=True)
unrelated.derived(of=slope_in_the_probability, wrong={"level": F(1, 10)}, also=True)


@claim("both-may-fall", "Section 1, on Figure 3", PROVED)
def both_may_fall(c, most=1):
    r"""L\bigl(a\,\pi(y_w),ab\,\pi(y_l)\bigr)<L\bigl(\pi(y_w),\pi(y_l)\bigr)\qquad(0<a,b<1)

    Assumes: DPO; SimPO for responses of one length, whose ratio is multiplied by $e^\gamma$
    Proof: The loss sees the ratio alone, which is divided by b.
    """
    before = power(c.l / c.w, c.beta)
    after = power(c.a * c.b * c.l / (c.a * c.w), c.beta)
    return log(1 + c.g * after) < most * log(1 + c.g * before)


pairs = world_of(
    "0 < a, b < 1; w, l > 0, the probabilities over those of the reference; beta > 0; g = e^gamma > 0",
    **dict.fromkeys("ab", "share"),
    **dict.fromkeys(("w", "l", "g", "beta"), "positive"),
)
both_may_fall.proved(over=pairs, wrong={"most": F(9, 10)})


@claim("levels-unconstrained", "not in the paper; the same of its own loss", PROVED)
def levels_unconstrained(c, least=1):
    r"""\mathrm{SiLU}(-(1+W))=\min\mathrm{SiLU}=-W,\qquad L_{SPO}(\rho\epsilon,\epsilon)=\mathrm{SiLU}(-(1+W)),\qquad
    \rho\epsilon+\epsilon\le 1\iff\epsilon\le\frac{1}{1+\rho},\qquad\rho=e^{(\gamma+1+W)/\beta}

    Because: So every $\epsilon$ up to $1/(1+\rho)$ has the least loss: SPO too lets both probabilities fall. It bounds
    their ratio and neither of them.
    Proof: The loss sees the ratio alone: at $\log\pi(y_w)=\log\epsilon+(\gamma+1+W)/\beta$ the margin is $1+W$, and
    $\mathrm{SiLU}(-m)=-m/(1+e^m)$ is least there and nowhere else, by the tangent of $e^m$.
    """
    loss = silu(-c.m)
    return loss >= -least * c.W and (loss == -c.W) == (c.m == 1 + c.W)


def margin_of_the_level(log_epsilon, beta, gamma, W, shift=0):
    logs = log_epsilon + (gamma + 1 + W) / beta, log_epsilon, 0, 0, 1, 1
    package = loss_in_symbols(SelfPO, logs, beta=beta, gamma=gamma, activation="silu", length_normalized=False)
    return same(package, silu(-(1 + W + shift)))


levels_unconstrained.proved(over=any_margin, wrong={"least": F(9, 10)})
levels_unconstrained.derived(
    of=margin_of_the_level,
    symbols={"log_epsilon": "negative", "gamma": "real"},
    wrong={"shift": F(1, 10)},
    part=r"L_{SPO}(\rho\epsilon,\epsilon)=\mathrm{SiLU}(-(1+W))",
)
levels_unconstrained.proved(
    over=world_of("epsilon, rho > 0", epsilon="positive", rho="positive"),
    of=lambda c, most=1: (c.epsilon + c.rho * c.epsilon <= most) == (c.epsilon <= 1 / (1 + c.rho)),
    wrong={"most": F(11, 10)},
    part=r"\rho\epsilon+\epsilon\le 1\iff\epsilon\le\frac{1}{1+\rho}",
)


@claim("gpo-convex-members", "Section 1, on GPO: DPO, IPO and SLiC are special cases", PROVED)
def gpo(c, share=1):
    r"""L=c\,f(\beta h),\quad h=\log\frac{\pi(y_w)\,\mathrm{ref}(y_l)}{\pi(y_l)\,\mathrm{ref}(y_w)},\quad
    f\ \text{convex}:\quad f(x)=\log(1+e^{-x})\ \text{(DPO)},\ (x-1)^2\ \text{(IPO)},\ \max(0,1-x)\ \text{(SLiC)}

    Assumes: IPO with its target, which Table 2 has lost: $(h-\frac1{2\tau})^2=\frac1{4\tau^2}f(2\tau h)$; SLiC with a
    reference and without its second term, which is no function of $h$
    Because: SPO's own f is not convex: sun2025.not-convex.
    Proof: The second derivative of $\log(1+e^{-x})$ is $\sigma(x)\sigma(-x)>0$. The two others lie above a line through
    each of their points.
    """
    bend = derivative(derivative(logistic_loss, logistic_slope), logistic_bend)(c.x)
    ipo = (c.x + c.d - 1) ** 2 >= (c.x - 1) ** 2 + 2 * (c.x - 1) * c.d * share
    return bend > 0 and ipo and relu(1 - c.x - c.d) >= relu(1 - c.x) - (c.d if c.x < 1 else 0 * c.d)


def logistic_bend(x):
    return 1 / ((1 + exp(x)) * (1 + exp(-x)))


def as_members(p, q, ref_p, ref_q, tau, times=2):
    h, logs = p - ref_p - q + ref_q, (p, q, ref_p, ref_q, 1, 1)
    dpo, slic, ipo = (loss_in_symbols(loss, logs, beta=tau) for loss in (DPO, Hinge, IPO))
    members = same(dpo, logistic_loss(tau * h)) & same(slic, sp.Max(0, 1 - tau * h))
    return members & same(ipo, (times * tau * h - 1) ** 2 / (2 * tau) ** 2)


gpo.proved(over=world_of("any x and d", x="real", d="real"), wrong={"share": F(11, 10)}, lemma="convex")
gpo.derived(
    of=as_members,
    symbols=dict.fromkeys(("p", "q", "ref_p", "ref_q"), "real"),
    wrong={"times": F(21, 10)},
    part=r"L=c\,f(\beta h),\quad h=\log\frac{\pi(y_w)\,\mathrm{ref}(y_l)}{\pi(y_l)\,\mathrm{ref}(y_w)}",
)


# --- the preliminaries ---------------------------------------------------------------------------------------------


@claim("eq-3", "Eq. (3)", MISPRINT)
def eq_3(case, policy="policy"):
    r"""r(x,y)=\beta\log\frac{\pi_\theta(y\mid x)}{\mathrm{ref}(y\mid x)}+\beta\log Z(x)

    Because: $\pi_\theta$ is introduced as the learned policy; the identity holds for the policy $\pi_r$ that is
    optimal for $r$ under the KL penalty, and for no other: with equal rewards and equal reference a policy
    $(\tfrac23,\tfrac13)$ breaks it.
    Proof: $\pi_r=\mathrm{ref}\,e^{r/\beta}/Z$ (wipf2024.eq-4).
    """
    factors, reference = case["e^(r/beta)"], case["ref"]
    total = sum(q * f for q, f in zip(reference, factors, strict=True))
    return all(f == total * p / q for f, p, q in zip(factors, case[policy], reference, strict=True))


def eq_3_optimal(r, beta, reference, Z, times=1):
    optimal = reference * sp.exp(r / beta) / Z
    return same(r, beta * sp.log(optimal / reference) + times * beta * sp.log(Z))


HALVES, EQUAL = (F(1, 2), F(1, 2)), (F(1), F(1))
eq_3.false(
    at={"ref": HALVES, "e^(r/beta)": EQUAL, "policy": (F(2, 3), F(1, 3))},
    true_at={"ref": HALVES, "e^(r/beta)": EQUAL, "policy": HALVES},
)
eq_3.derived(of=eq_3_optimal, symbols={"r": "real"}, role=CORRECTED, wrong={"times": F(9, 10)})


@claim("eq-5", "Eqs. (4) and (5)", PROVED)
def eq_5(p, q, ref_p, ref_q, beta, Z, kept=1):
    r"""\sigma(r(x,y_w)-r(x,y_l))=\sigma\Bigl(\beta\log\frac{\pi_r(y_w)}{\mathrm{ref}(y_w)}
    -\beta\log\frac{\pi_r(y_l)}{\mathrm{ref}(y_l)}\Bigr)

    Assumes: the optimal policy $\pi_r$ (sun2025.eq-3)
    Proof: The partition function cancels in the difference of two rewards of one prompt.
    """
    first, second = beta * sp.log(p / ref_p), beta * sp.log(q / ref_q)
    rewards = first + beta * sp.log(Z), second + kept * beta * sp.log(Z)
    return same(sigma(rewards[0] - rewards[1]), sigma(first - second))


eq_5.derived(wrong={"kept": F(9, 10)})


@claim("eq-13", "Eq. (13)", PROVED)
def eq_13(x, sign=-1):
    r"""\log\sigma(x)=-\log(1+e^{-x})=-\mathrm{softplus}(-x)

    Proof: Take the logarithm of $1/(1+e^{-x})$.
    """
    return same(sp.log(sigma(x)), -softplus(sign * x)) & same(softplus(-x), sp.log(1 + sp.exp(-x)))


eq_13.derived(symbols={"x": "real"}, wrong={"sign": F(-11, 10)})
