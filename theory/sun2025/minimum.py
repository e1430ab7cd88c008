"""Where SiLU is least, and the numbers 1.31 and 3.7 of Section 4.3."""

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, MISPRINT, PROVED
from theory.evidence import CONDITIONAL, CORRECTED, FAILS
from theory.proof import Named, exp, omega, same, setting, world_of
from theory.sun2025.activations import TURN, not_convex
from theory.sun2025.axis import claim
from theory.sun2025.silu import REAL, X, lambert, sigma, silu, silu_slope, softplus

LAMBERT = sp.Symbol("W", positive=True)
BETA, GAMMA = F(5, 2), F(4, 5)
"""The paper's best setting, Section 4.3."""


def at_the_minimum(expression):
    """Return the expression at x = -(1 + W), with e^(1 + W) = 1 / W put in: W e^W = 1 / e.

    Example:
        >>> at_the_minimum(silu(X)), at_the_minimum(sigma(-X))
        (-W, 1/(W + 1))
    """
    inside = sp.expand_power_exp(expression.subs(X, -1 - LAMBERT), deep=True)
    return sp.simplify(inside.subs(sp.exp(LAMBERT), 1 / (sp.E * LAMBERT)).subs(sp.exp(-LAMBERT), sp.E * LAMBERT))


def rounds_to(value, printed):
    """Return whether a number is printed so, to the digits given.

    Example:
        >>> rounds_to(exp(1), "2.72"), rounds_to(exp(1), "2.71")
        (True, False)
    """
    return abs(value - F(printed)) < F(5, 10 ** (len(printed.split(".")[1]) + 1))


@claim("silu-minimum", "Abstract; Figure 1; the value is ours", PROVED)
def silu_minimum(x, share=1):
    r"""\min_x\mathrm{SiLU}(x)=-W,\quad\arg\min_x\mathrm{SiLU}(x)=-(1+W),\qquad W=W(1/e)=0.278465

    Because: It falls before and rises after: SiLU is quasi-convex.
    Proof: $-\mathrm{SiLU}(-y)=y/(1+e^y)$, and $e^y\ge e^{1+W}(y-W)=(y-W)/W$, the tangent at $1+W$, with equality there
    only. So $y/(1+e^y)\le W$.
    """
    w = lambert(x)
    return silu(x) >= -share * w and (silu(x) == -w) == (x == -1 - w)


def falls_then_rises(x, more=0):
    w, slope = lambert(x), silu_slope(x)
    return (slope > 0) == (x > more - 1 - w) and (slope < 0) == (x < more - 1 - w)


silu_minimum.proved(over=REAL, wrong={"share": F(9, 10)})
silu_minimum.proved(of=falls_then_rises, over=REAL, wrong={"more": F(1, 2)}, also=True)
silu_minimum.enclosed(
    of=lambda shift=0: rounds_to(omega(-1) + shift, "0.278465"),
    wrong={"shift": F(1, 10**6)},
    part="W=W(1/e)=0.278465",
)


@claim("finite-minimum", "Section 3.2, before Eq. (13)", MISPRINT, "silu-minimum")
def finite_minimum(x, level=0):
    r"""|\min\mathrm{SiLU}|<\infty,\qquad|\inf\mathrm{softplus}|=\infty

    Because: The infimum of softplus is finite too: it is 0. What is finite for SiLU and not for softplus is the
    minimiser: $-(1+W)$ against $-\infty$.
    Proof: softplus is positive and rises strictly, so that it has no minimiser; SiLU turns at $-(1+W)$.
    """
    return softplus(x) < level  # at some x, for every level


finite_minimum.proved(
    of=lambda x, level=0: not finite_minimum(x, level), over=REAL, role=FAILS, wrong={"level": F(1, 10)}
)
finite_minimum.proved(
    of=lambda x, share=1: softplus(x) < share * softplus(x + 1), over=REAL, role=CORRECTED, wrong={"share": F(9, 10)}
)
finite_minimum.rests_on(silu_minimum, role=CORRECTED)


@claim("floor-facts", "not in the paper; SiLU at its minimum", PROVED)
def floor_facts(W, share=1):
    r"""\sigma(1+W)=\frac{1}{1+W},\quad\mathrm{SiLU}''(-(1+W))=\frac{W}{1+W};\qquad
    \frac{1}{1+W}=0.782188,\quad\frac{W}{1+W}=0.217812

    Because: The preference probability that the loss aims at, and the curvature there.
    Proof: $e^{-(1+W)}=W$.
    """
    curvature = at_the_minimum(sp.diff(silu(X), X, 2))
    return same(at_the_minimum(sigma(-X)), 1 / (1 + W)) & same(curvature, share * W / (1 + W))


def digits_of_facts(shift=0):
    w = omega(-1)
    return rounds_to(1 / (1 + w) + shift, "0.782188") and rounds_to(w / (1 + w) + shift, "0.217812")


floor_facts.derived(symbols={"W": LAMBERT}, wrong={"share": F(11, 10)})
floor_facts.enclosed(
    of=digits_of_facts, wrong={"shift": F(1, 10**6)}, part=r"\frac{1}{1+W}=0.782188,\quad\frac{W}{1+W}=0.217812"
)


@claim("slope-range", "not in the paper; Appendix C, how hard SiLU pushes and pulls", PROVED)
def slope_range(c, least=F(1, 2)):
    r"""\mathrm{SiLU}'(-a)\le\mathrm{SiLU}'(x)\le\mathrm{SiLU}'(a)\quad\text{for}\ a\tanh\tfrac a2=2,\qquad a=2.399357,
    \qquad\mathrm{SiLU}'(x)+\mathrm{SiLU}'(-x)=1,\qquad\mathrm{SiLU}'(a)=1.099839,\quad\mathrm{SiLU}'(-a)=-0.099839

    Assumes: decimals are rounded
    Proof: The slope falls up to $-a$, rises up to a and falls again (sun2025.not-convex). It is at least 1/2 for
    $x\ge 0$, so also beyond a, and at most 1/2 for $x\le 0$, so also before $-a$.
    """
    slope = silu_slope(c.x)
    return not_convex(c) and (c.x < 0 or slope >= least) and (c.x > 0 or slope <= 1 - least)


def slopes_add_up_to_one(x, sign=1):
    slope = sp.diff(silu(x), x)
    return same(slope + sign * slope.subs(x, -x), 1)


slope_range.proved(over=world_of("any x, a > 0", x="real", a="positive"), wrong={"least": F(51, 100)}, lemma="monotone")
slope_range.derived(
    of=slopes_add_up_to_one,
    symbols={"x": X},
    wrong={"sign": F(11, 10)},
    part=r"\mathrm{SiLU}'(x)+\mathrm{SiLU}'(-x)=1",
)
slope_range.rests_on(not_convex, part="a=2.399357")
slope_range.enclosed(
    *TURN,
    of=lambda a, shift=0: (
        rounds_to(silu_slope(a) + shift, "1.099839") and rounds_to(silu_slope(-a) + shift, "-0.099839")
    ),
    wrong={"shift": F(1, 10**6)},
    part=r"\mathrm{SiLU}'(a)=1.099839,\quad\mathrm{SiLU}'(-a)=-0.099839",
)


# --- Section 4.3 ---------------------------------------------------------------------------------------------------


IMPACT = "Section 4.3, the impact of hyperparameters"
MINIMISER = r"\arg\min_h L_{SPO}=\frac{\gamma+1+W}{\beta}"


def target(gamma, tokens=1):
    """Return the log-ratio of two responses of so many tokens at which the loss of Eq. (17) is least, for beta 2.5."""
    return tokens * (gamma + 1 + omega(-1)) / BETA


@claim("section-4.3-ratio", IMPACT, CONDITIONALLY, "section-4.3-ratio-as-written", "section-4.3-ratio-as-configured")
def section_4_3_ratio(gamma):
    r"""\arg\min_h L_{SPO}=\frac{\gamma+1+W}{\beta};\qquad
    \beta=2.5,\ \gamma=0.8:\ \frac{\gamma+1+W}{\beta}=1.31,\ e^{1.31}=3.7\qquad\text{with Eq. (17)}

    Assumes: 0.8 is the ratio $\gamma/\beta$, the hyper-parameter of public SimPO code: then $\gamma=2$
    Because: With Eq. (17) as written the minimiser is 0.8314, a ratio of 2.30. The formula is ours; the paper has the
    two numbers.
    """
    return rounds_to(target(gamma), "1.31") and rounds_to(exp(target(gamma)), "3.7")


@setting("beta > 0, any gamma, n tokens each, any log-ratio H of the two responses")
def any_loss(numbers):
    """Every setting and number of tokens."""
    n, beta = numbers.natural("n", 1), numbers.positive("beta")
    return Named(n=n, beta=beta, gamma=numbers.real("gamma"), H=numbers.real("H"))


@claim("section-4.3-ratio-as-written", "not in the paper; Section 4.3 with Eq. (17) as written", PROVED)
def section_4_3_as_written(c, share=1):
    r"""\arg\min_h L_{SPO}=\frac{\gamma+1+W}{\beta};\qquad
    \beta=2.5,\ \gamma=0.8:\ \frac{\gamma+1+W}{\beta}=0.831386,\ e^{0.831386}=2.2965

    Because: For two responses of n tokens each the log-ratio of the sequences is n times that.
    Proof: $\mathrm{SiLU}(\gamma-\beta h)$ is least at $\beta h-\gamma=1+W$ (sun2025.silu-minimum).
    """
    loss, w = silu(c.gamma - c.beta * c.H / c.n), lambert(c.H)
    return loss >= -share * w and (loss == -w) == (c.beta * c.H == c.n * (c.gamma + 1 + w))


section_4_3_as_written.proved(over=any_loss, wrong={"share": F(9, 10)})
section_4_3_as_written.enclosed(
    of=lambda gamma=GAMMA: rounds_to(target(gamma), "0.831386") and rounds_to(exp(target(gamma)), "2.2965"),
    wrong={"gamma": GAMMA + F(1, 10**5)},
    part=r"\beta=2.5,\ \gamma=0.8:\ \frac{\gamma+1+W}{\beta}=0.831386,\ e^{0.831386}=2.2965",
)
section_4_3_ratio.enclosed(
    of=lambda most=F("0.8314"): target(GAMMA) < most and not section_4_3_ratio(GAMMA),
    role=FAILS,
    wrong={"most": F("0.8313")},
)
section_4_3_ratio.enclosed(
    of=lambda ratio=GAMMA: section_4_3_ratio(BETA * ratio), role=CONDITIONAL, wrong={"ratio": F(81, 100)}
)
section_4_3_ratio.rests_on(section_4_3_as_written, role=CONDITIONAL, part=MINIMISER)


@claim("section-4.3-ratio-as-configured", "not in the paper; Section 4.3 with 0.8 read as gamma / beta", PROVED)
def section_4_3_as_configured(gamma=BETA * GAMMA):
    r"""\arg\min_h L_{SPO}=\frac{\gamma+1+W}{\beta};\qquad
    \beta=2.5,\ \gamma/\beta=0.8:\ \frac{\gamma+1+W}{\beta}=1.311386,\ e^{1.311386}=3.7113

    Proof: $\beta(h-\gamma/\beta)=1+W$.
    """
    return rounds_to(target(gamma), "1.311386") and rounds_to(exp(target(gamma)), "3.7113")


section_4_3_as_configured.enclosed(wrong={"gamma": BETA * GAMMA + F(1, 10**5)})
section_4_3_as_configured.rests_on(section_4_3_as_written, part=MINIMISER)


@claim("section-4.3-sequence", IMPACT, CONDITIONALLY, "section-4.3-ratio-as-written")
def section_4_3_sequence(tokens):
    r"""\arg\min_h L_{SPO}=\frac{\gamma+1+W}{\beta};\qquad
    \frac{\pi(y_w)}{\pi(y_l)}=e^{nh}=3.7\qquad\text{at the minimum of Eq. (17)}

    Assumes: responses of one token, and 0.8 read as $\gamma/\beta$
    Because: Eq. (17) speaks of averages per token: for two responses of n tokens the ratio is $3.7113^n$,
    $5.0\cdot 10^5$ for ten tokens. The formula and $e^{nh}$ are ours; the paper has the number.
    Proof: $\log\pi(y_w)-\log\pi(y_l)=n(\gamma+1+W)/\beta$ at the minimum.
    """
    return rounds_to(exp(target(BETA * GAMMA, tokens)), "3.7")


section_4_3_sequence.enclosed(
    of=lambda shift=0: rounds_to(exp(target(BETA * GAMMA, 10)) / 10**5 + shift, "5.0") and not section_4_3_sequence(10),
    role=FAILS,
    wrong={"shift": F(1, 10)},
)
section_4_3_sequence.enclosed(
    of=lambda tokens=1: section_4_3_sequence(tokens), role=CONDITIONAL, wrong={"tokens": F(11, 10)}
)
section_4_3_sequence.rests_on(section_4_3_as_written, role=CONDITIONAL, part=MINIMISER)


@claim("section-4.3-ideal-reference", IMPACT, FALSE, "policy-over-reference")
def section_4_3_ideal_reference(gamma_over_beta):
    r"""\frac{\tilde\pi(y_w)}{\tilde\pi(y_l)}=3.7\qquad\text{for the ideal reference model}

    Because: By Eq. (10) the ideal reference has the ratio $k=e^{\gamma/\beta}$: 2.2255, or 1.3771 with $\gamma=0.8$ as
    written. 3.7 is the target of the trained policy, larger than k by the factor $e^{(1+W)/\beta}=1.6676$.
    """
    return rounds_to(exp(gamma_over_beta), "3.7")


def no_reading_gives_it(most=F("2.2256")):
    return all(exp(ratio) < most and not section_4_3_ideal_reference(ratio) for ratio in (GAMMA / BETA, GAMMA))


section_4_3_ideal_reference.enclosed(of=no_reading_gives_it, role=FAILS, wrong={"most": F("2.2255")})


@claim("policy-over-reference", "not in the paper; Section 4.3, the target beside the ideal reference", PROVED)
def policy_over_reference(beta, gamma, W, share=1):
    r"""\arg\min_h L_{SPO}=\frac{\gamma+1+W}{\beta};\qquad
    \frac{e^h}{k}=e^{(1+W)/\beta}\quad\text{for}\ h=\frac{\gamma+1+W}{\beta},\ k=e^{\gamma/\beta}

    Because: For $\beta=2.5$ the factor is 1.6676; k is 1.3771 for $\gamma=0.8$ and 2.2255 for $\gamma=2$.
    Proof: $\beta h-\gamma=1+W$ at the log-ratio $h$ of the policy at which the loss is least.
    """
    return same(sp.exp((gamma + 1 + W) / beta) / sp.exp(gamma / beta), sp.exp((share + W) / beta))


def digits_of_factors(gamma=GAMMA):
    seen = exp((1 + omega(-1)) / BETA), exp(gamma / BETA), exp(GAMMA)
    return all(rounds_to(*pair) for pair in zip(seen, ("1.6676", "1.3771", "2.2255"), strict=True))


policy_over_reference.derived(symbols={"gamma": "real"}, wrong={"share": F(11, 10)})
policy_over_reference.rests_on(section_4_3_as_written, part=MINIMISER)
policy_over_reference.enclosed(of=digits_of_factors, wrong={"gamma": GAMMA + F(1, 1000)}, also=True)
