"""Table 5 and its text: the activations of the ablation, GELU beside SiLU, and convexity."""

from fractions import Fraction as F

import sympy as sp

from dynamics import SelfPO
from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL, FAILS
from theory.proof import Named, exp, normal_cdf, normal_density, same, setting, world_of
from theory.proof.losses import loss_in_symbols
from theory.sun2025.axis import claim
from theory.sun2025.silu import REAL, X, bend_of_silu, lambert, relu, sigma, silu, x_tanh

SCALE = 1.702  # of the familiar approximation of the normal distribution by the logistic one
SCALE_EXACT, BEST_SCALE = F(851, 500), F(177289, 10**5)
TURN = F(23993565, 10**7), F(23993575, 10**7)
"""An interval around the root of x tanh(x / 2) = 2."""


@claim("not-convex", "not in the paper; beside Section 1 on the convex family of GPO", PROVED)
def not_convex(c):
    r"""\mathrm{SiLU}''(x)<0\iff|x|>a\quad\text{for}\ a\tanh\tfrac a2=2,\qquad a=2.399357,\qquad
    \mathrm{SiLU}(-3)>\tfrac12[\mathrm{SiLU}(-2)+\mathrm{SiLU}(-4)]

    Assumes: the decimals of the root of $x\tanh\frac x2=2$ are rounded
    Because: SPO is no member of GPO's family of convex losses. It is quasi-convex: it falls, then rises.
    Proof: $\mathrm{SiLU}''(x)=\sigma(x)\sigma(-x)(2-x\tanh\frac x2)$, and $x\tanh\frac x2$ is even and rises for $x>0$.
    The code says half of it for a with $a\tanh\frac a2\le 2$, and half for those with $\ge 2$.
    """
    inside, bend_there = abs(c.x) <= c.a, bend_of_silu(c.x)
    return (x_tanh(c.a) > 2 or not inside or bend_there >= 0) and (x_tanh(c.a) < 2 or inside or bend_there < 0)


def for_any_a(c):
    return (bend_of_silu(c.x) < 0) == (abs(c.x) > c.a)


def root_between(low=TURN[0], high=TURN[1]):
    return x_tanh(low) < 2 < x_tanh(high)


not_convex.proved(over=world_of("any x, a > 0", x="real", a="positive"), wrong=for_any_a)
not_convex.enclosed(of=root_between, wrong={"high": TURN[0]}, lemma="intermediate value", part="a=2.399357")
not_convex.enclosed(
    of=lambda half=F(1, 2): silu(F(-3)) > half * (silu(F(-2)) + silu(F(-4))),
    wrong={"half": F(9, 20)},
    part=r"\mathrm{SiLU}(-3)>\tfrac12[\mathrm{SiLU}(-2)+\mathrm{SiLU}(-4)]",
)


@claim("smooth-relu", "Section 3.2: SiLU is a smooth variant of ReLU", PROVED)
def smooth_relu(n, share=1):
    r"""0\le\mathrm{ReLU}(x)-\frac{\mathrm{SiLU}(cx)}{c}\le\frac{W(1/e)}{c}\qquad\text{for every }c>0;\qquad
    \mathrm{SiLU}'(0)=\tfrac12

    Because: For $c=1$ the distance of SiLU and ReLU is $W=0.278465$; a large $\beta$ makes SPO a hinge loss. The slope
    of ReLU jumps from 0 to 1 at 0, that of SiLU is 1/2 there.
    Proof: For $c=1$ the difference is $|x|\sigma(-|x|)$, and $y\sigma(-y)\le W$ (sun2025.silu-minimum). Put cx for x.
    """
    return 0 <= relu(n.x) - silu(n.c * n.x) / n.c <= share * lambert(n.x) / n.c


def slope_at_zero(halves=1):
    return same(sp.diff(silu(X), X).subs(X, 0), halves * sp.Rational(1, 2))


smooth_relu.proved(over=world_of("any x, c > 0", x="real", c="positive"), wrong={"share": F(9, 10)})
smooth_relu.derived(of=slope_at_zero, wrong={"halves": F(11, 10)}, part=r"\mathrm{SiLU}'(0)=\tfrac12")

# --- Table 5 -------------------------------------------------------------------------------------------------------

pairs = world_of(
    "beta > 0, lambda >= 0, any gamma and log-probabilities",
    beta="positive", gamma="real", chosen="negative", rejected="negative", sft="nonnegative",
)  # fmt: skip


@claim("table-5-relu", "Section 4.3 and Table 5: ReLU corresponds to SLiC", CONDITIONALLY)
def table_5_relu(c, power=1):
    r"""\mathrm{ReLU}(\gamma-\beta h)=\beta\,\bigl[\max\bigl(0,\tfrac{\gamma}{\beta}-h\bigr)-\lambda\log\pi_w\bigr],
    \qquad h=\log\pi_w-\log\pi_l

    Assumes: $\lambda=0$
    Because: The SLiC of Table 2 has a second term, $-\lambda\log\pi_\theta(y_w|x)$, which the ablation lacks.
    Proof: SLiC's hinge with $\delta=\gamma/\beta$, times $\beta$.
    """
    h = c.chosen - c.rejected
    return relu(c.gamma - c.beta * h) == c.beta * (relu(c.gamma / c.beta**power - h) - c.sft * c.chosen)


table_5_relu.refuted(over=pairs, unlike=lambda c: c.sft > 0 or table_5_relu(c))
table_5_relu.proved(over=pairs, given=lambda c: c.sft == 0, wrong={"power": 2})

hinge = world_of("beta > 0, any gamma, h, h'", beta="positive", gamma="real", h="real", other="real")


@claim("relu-zero-gradient", "Section 1, on ReLU", PROVED)
def relu_zero_gradient(c, share=1):
    r"""\frac{d}{dh}\mathrm{ReLU}(\gamma-\beta h)=0\qquad\text{for}\ h>\gamma/\beta

    Because: Before the threshold a larger log-ratio has a smaller loss.
    Proof: Beyond the threshold the loss is 0 everywhere.
    """
    here, there = (relu(c.gamma - c.beta * h) for h in (c.h, c.other))
    threshold = share * c.gamma / c.beta
    if c.h > threshold and c.other > threshold:
        return here == there == 0
    return c.h >= threshold or c.other <= c.h or there < here


relu_zero_gradient.proved(over=hinge, wrong={"share": F(9, 10)})


@claim("table-5-square", "Section 4.3 and Table 5: square corresponds to IPO", PROVED)
def table_5_square(chosen, rejected, beta, gamma, two=2):
    r"""(\gamma-\beta h)^2=\beta^2\Bigl(h-\frac{1}{2\tau}\Bigr)^2,\qquad\frac{1}{2\tau}=\frac{\gamma}{\beta}

    Because: Without a reference; and with the target margin that the IPO of Table 2 lacks (sun2025.table-2-ipo).
    Proof: Take $\beta$ out of the square; the left side is the loss of ``dynamics``, run on symbols.
    """
    pair, kind = (chosen, rejected, 0, 0, 1, 1), {"activation": "square", "length_normalized": False}
    ablation = loss_in_symbols(SelfPO, pair, beta=beta, gamma=gamma, **kind)
    tau = beta / (two * gamma)
    return same(ablation, beta**2 * (chosen - rejected - 1 / (2 * tau)) ** 2)


table_5_square.derived(symbols={"chosen": "real", "rejected": "real"}, wrong={"two": F(19, 10)})


@claim("table-5-identity", "Section 4.3, on the identity function", PROVED)
def table_5_identity(c, less=0):
    r"""\inf_h(\gamma-\beta h)=-\infty,\qquad\text{no minimiser}

    Because: Consistent with the collapse that Table 5 reports for it.
    Proof: The loss is linear in h with slope $-\beta$: it falls below every level a at $h>(\gamma-a)/\beta$.
    """
    level = c.other
    return c.gamma - c.beta * ((c.gamma - level) / c.beta + 1) < level - less


table_5_identity.proved(over=hinge, wrong={"less": F(1, 10)})

# --- GELU ----------------------------------------------------------------------------------------------------------


def gelu(x):
    """Return x Phi(x)."""
    return x * normal_cdf(x)


def gelu_expression(x):
    return x * (1 + sp.erf(x / sp.sqrt(2))) / 2


def difference(x, scale):
    """Return GELU(x) - SiLU(c x) / c."""
    return x * (normal_cdf(x) - sigma(scale * x))


@claim("gelu-approximation", "Section 4.3, comparison of loss functions", PROVED)
def gelu_approximation(x, scale=SCALE_EXACT, most=F("0.02033")):
    r"""\sup_x|\mathrm{GELU}(x)-x\sigma(1.702x)|=0.02033,\qquad\min_c\sup_x|\mathrm{GELU}(x)-x\sigma(cx)|=0.01392

    Assumes: $c>0$; both numbers to $10^{-5}$
    Because: Since $x\sigma(cx)=\mathrm{SiLU}(cx)/c$, it is SPO with $\beta'=c\beta$, $\gamma'=c\gamma$ and the loss
    scaled by $1/c$. The best c is 1.773.
    Proof: The differences are even in x. On $[0,8]$ they are enclosed. Beyond 8 they lie between
    $-x(1-\Phi(x))>-\varphi(x)$ and $x\sigma(-cx)\le 8e^{-8c}$ for $c\ge 1.7$. At every $x>0$ the difference falls with
    c, so that its value at one point bounds the supremum from below up to the best c, and at another one from there on.
    """
    return abs(difference(x, scale)) < most + F(1, 10**5)


def best_scale(x, most=F("0.01392")):
    return gelu_approximation(x, BEST_SCALE, most)


def reached(of_scale=F("0.02033"), of_best=F("0.01392")):
    near = difference(F(227, 100), SCALE_EXACT), difference(F(243, 100), BEST_SCALE), -difference(F(9, 10), BEST_SCALE)
    return near[0] > of_scale - F(1, 10**5) and min(near[1:]) > of_best - F(1, 10**5)


def other_scales_are_worse(half=F(1, 2000), best=F(1773, 1000)):
    worse = F("0.01392") + F(1, 10**5)
    return difference(F(243, 100), best - half) > worse < -difference(F(9, 10), best + half)


def difference_is_even(x, c, sign=1):
    here, there = (gelu_expression(y) - y * sigma(c * y) for y in (x, -x))
    return same(here, sign * there)


def logistic_tail(x, end=8):
    """Return whether x sigma(-1.7 x) is at most 8 e^(-1.7 * 8) beyond 8."""
    return x < 8 or x * exp(F(17, 10) * end + 0 * x) <= end * (1 + exp(F(17, 10) * x))


def normal_tail(x, sign=-1):
    """R = phi(x) - x (1 - Phi(x)) falls to 0, so that it is positive."""
    above = (1 - sp.erf(x / sp.sqrt(2))) / 2
    rest = sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi) - x * above
    return same(sp.diff(rest, x), sign * above) & same(sp.limit(rest, x, sp.oo), 0)


def tails_are_small(most=F(1, 10**5)):
    return normal_density(8) < most > 8 * exp(-F(17, 10) * 8)


gelu_approximation.enclosed(0, 8, wrong={"most": F("0.0203")})
gelu_approximation.enclosed(0, 8, of=best_scale, wrong={"most": F("0.0130")})
gelu_approximation.enclosed(of=reached, wrong={"of_best": F("0.01394")})
gelu_approximation.enclosed(of=other_scales_are_worse, wrong={"half": F(1, 20000)})
gelu_approximation.proved(
    of=lambda c, more=0: c.x * sigma(c.scale * c.x) < c.x * sigma((c.scale + c.step) * c.x) - more,
    over=world_of("x, c, c' - c > 0", x="positive", scale="positive", step="positive"),
    wrong={"more": F(1, 10)},
)
gelu_approximation.derived(of=difference_is_even, symbols={"x": X}, wrong={"sign": F(11, 10)})
gelu_approximation.proved(of=logistic_tail, over=REAL, wrong={"end": 9})
gelu_approximation.derived(of=normal_tail, wrong={"sign": F(-11, 10)}, lemma="monotone")
gelu_approximation.enclosed(of=tails_are_small, wrong={"most": F(9, 10**6)})


@claim("gelu-equivalence", "Section 4.3, comparison of loss functions", CONDITIONALLY, "gelu-approximation")
def gelu_equivalence(c, times=1):
    r"""\exists\,\beta':\ \sup_x|\mathrm{GELU}(\beta x)-\mathrm{SiLU}(\beta'x)|\ \text{is small: equivalent losses}

    Assumes: the loss is scaled by $\beta/\beta'$ as well and $\gamma$ by $\beta'/\beta$; small is 0.014
    Because: With $\beta'$ alone the distance is infinite for every $\beta'\ne\beta$, since
    $(\mathrm{GELU}(x)-\mathrm{SiLU}(cx))/x$ tends to $1-c$; and $\mathrm{GELU}(1)-\mathrm{SiLU}(1)=0.110$. With the
    scale of the loss it is an approximation, as the paper says, and no identity.
    Proof: sun2025.gelu-approximation, at $c=\beta'/\beta$.
    """
    x = sp.Symbol("x", positive=True)
    return same(sp.limit((gelu_expression(x) - silu(c * x)) / x, x, sp.oo), 1 - times * c)


def apart_at_one(least=F(11, 100)):
    return gelu(F(1)) - silu(F(1)) > least


gelu_equivalence.derived(role=FAILS, denial=True, wrong={"times": F(11, 10)})
gelu_equivalence.enclosed(of=apart_at_one, role=FAILS, wrong={"least": F(12, 100)})
gelu_equivalence.rests_on(gelu_approximation, role=CONDITIONAL)


@claim("gelu-bound", "not in the paper; Proposition 1 for GELU", PROVED)
def gelu_bound(x, share=1):
    r"""\mathrm{GELU}(x)+\ln 2\ge\mathrm{softplus}(x),\ \text{with equality only at }0;\qquad
    \min\mathrm{GELU}=-0.169971\ \text{at}\ -0.751792

    Assumes: decimals are rounded
    Proof: $\mathrm{softplus}-\mathrm{GELU}$ is even, and $\ln 2$ at 0. Its slope is $-F$ with
    $F=\Phi+x\varphi-\sigma$, and $F(0)=0$. On $[0,1]$ F rises (it is enclosed from 1/5 to 8 besides), and beyond 1 it
    is positive: $1-\Phi<\varphi/x<x\varphi$ there, so that $\Phi+x\varphi>1>\sigma$. The slope of GELU at $-t$ is
    $1-\Phi(t)-t\varphi(t)$, which falls up to $t=\sqrt 2$ and then rises to 0: it has one root.
    """
    return normal_cdf(x) + x * normal_density(x) > share * sigma(x)


def rises_at_first(x, share=1):
    return share * (2 - x**2) * normal_density(x) > sigma(x) * sigma(-x)


def slopes(x, sign=1):
    slope, density = sp.diff(gelu_expression(x), x), sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)
    force = slope - sigma(x)
    gap = sp.log(1 + sp.exp(x)) - gelu_expression(x)
    return (
        same(sp.diff(gap, x), -force)
        & same(gap.subs(x, 0), sp.log(2))
        & same(force.subs(x, 0), 0)
        & same(sp.diff(force, x), (2 - x**2) * density - sign * sigma(x) * sigma(-x))
        & same(slope.subs(x, -x), 1 - slope)
        & same(sp.diff(1 - slope, x), (x**2 - 2) * density)
        & same(sp.limit(1 - slope, x, sp.oo), 0)
    )


def gap_is_even(u, share=1):
    x = sp.log(u)
    return same(sp.log(1 + u) - gelu_expression(x), sp.log(1 + 1 / u) - share * gelu_expression(-x))


@setting("x > 1; phi > 0 is the density, and the probability above x is less than phi / x")
def beyond_one(numbers):
    """Every x > 1."""
    x, phi = 1 + numbers.positive("more"), numbers.positive("phi")
    return Named(x=x, phi=phi, above=numbers.between("above", 0, phi / x))


def beyond_one_it_is_positive(c, most=1):
    return 1 - c.above + c.x * c.phi > most


MINIMUM = F(-7517925, 10**7), F(-7517915, 10**7)


def slope_changes_sign(low=MINIMUM[0], high=MINIMUM[1]):
    first, last = (normal_cdf(x) + x * normal_density(x) for x in (low, high))
    return first < 0 < last


def value_of_the_minimum(x, shift=0):
    return abs(gelu(x) - F("-0.169971") + shift) < F(5, 10**7)


gelu_bound.derived(of=slopes, symbols={"x": X}, wrong={"sign": F(9, 10)}, lemma="monotone")
gelu_bound.derived(of=gap_is_even, wrong={"share": F(11, 10)})
gelu_bound.enclosed(0, 1, of=rises_at_first, wrong={"share": F(3, 4)}, lemma="monotone")
gelu_bound.enclosed(F(1, 5), 8, wrong={"share": F(5, 4)})
gelu_bound.derived(of=normal_tail, wrong={"sign": F(-11, 10)}, lemma="monotone")
gelu_bound.proved(of=beyond_one_it_is_positive, over=beyond_one, wrong={"most": F(11, 10)})
gelu_bound.enclosed(of=slope_changes_sign, wrong={"high": MINIMUM[0]}, lemma="intermediate value")
gelu_bound.enclosed(*MINIMUM, of=value_of_the_minimum, wrong={"shift": F(1, 10**6)})
