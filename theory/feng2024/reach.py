"""Where (x1, x2) can be, where it starts and where it is driven, once it belongs to a policy and its reference."""

from __future__ import annotations

import random
from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, EMPTY, FALSE, PROVED
from theory.evidence import CONDITIONAL, VACUOUS
from theory.feng2024.ratios import BETA, LOSS, X1, X2, Point, claim
from theory.proof import LOG_LINEAR, POLICY, TABULAR, Named, Numbers, same, setting, with_step
from theory.statement import THERE_IS
from theory.worlds import World, base_measure, tabular

DISPLACED = World.log_linear([[1], [0], [3]], at=[1])
UNDISPLACED = World.with_base([1, 1, 1], [[1], [0], [-3]])
EVEN = World.tabular([F(1, 3), F(1, 3), F(1, 3)])
TINY_STEP = 1 + F(1, 2**100)  # e^(size of a step) so short that its sign is that of its first order


def moved(w, factor=2):
    """Return (x1, x2) after an exact step from theta = ref with e^(size of the step) = ``factor``."""
    after = w.after(factor)
    return after.p_w / w.p_w, after.p_l / w.p_l


@setting("three or more responses: ref_w, ref_l > 0, ref_w + ref_l < 1; pi_w, pi_l >= 0, pi_w + pi_l <= 1")
def policy(numbers: Numbers) -> Named:
    """Every reference and every policy, limits of policies included."""
    ref_w, pi_w = numbers.between("ref_w", 0, 1), numbers.within("pi_w", 0, 1)
    ref_l, pi_l = numbers.between("ref_l", 0, 1 - ref_w), numbers.within("pi_l", 0, 1 - pi_w)
    return Named(x1=pi_w / ref_w, x2=pi_l / ref_l, a=1 / ref_w, b=1 / ref_l)


@claim("ratio-box", "Section 3.1, after Corollary 1", PROVED)
def ratio_box(r, least=1):
    r"""x_1\in[0,a],\quad x_2\in[0,b],\qquad a=1/\mathrm{ref}_w\ge 1,\ b=1/\mathrm{ref}_l\ge 1

    Because: True, but half of the box cannot be reached: see feng2024.ratio-triangle.
    Proof: A probability is at most 1.
    """
    return 0 <= r.x1 <= r.a and 0 <= r.x2 <= r.b and r.a >= least and r.b >= least


ratio_box.proved(over=policy, wrong={"least": F(11, 10)})


@claim("ratio-triangle", "not in the paper; completes the box of Section 3.1", PROVED)
def ratio_triangle(r, most=1):
    r"""(x_1,x_2)\text{ belongs to a policy, or to a limit of policies}\implies x_1,x_2\ge 0\ \text{and}\
    \frac{x_1}{a}+\frac{x_2}{b}\le 1;\qquad
    x_1,x_2\ge 0,\ \frac{x_1}{a}+\frac{x_2}{b}\le 1\implies(x_1,x_2)\text{ belongs to one}

    Assumes: there is a third response; with two the condition is $x_1/a+x_2/b=1$
    Proof: $\pi_w+\pi_l\le 1$; what is left over goes to the other responses, and nothing may be left if there are none.
    """
    return r.x1 >= 0 and r.x2 >= 0 and r.x1 / r.a + r.x2 / r.b <= most


@setting("a, b >= 1, 1/a + 1/b < 1; x1, x2 >= 0, x1/a + x2/b <= 1")
def triangle(numbers: Numbers) -> Named:
    """Every point of the triangle."""
    a = 1 + numbers.positive("a_less_1")
    b = a / (a - 1) + numbers.positive("room")  # 1/b < 1 - 1/a
    x1 = numbers.within("x1", 0, a)
    return Named(a=a, b=b, x1=x1, x2=numbers.within("x2", 0, b * (1 - x1 / a)))


def is_reached(r, share=1):
    """Return whether pi_w = x1 / a, pi_l = x2 / b and the rest for a third response is a policy with these ratios."""
    pi_w, pi_l = share * r.x1 / r.a, r.x2 / r.b
    policy = pi_w >= 0 and pi_l >= 0 and 1 - pi_w - pi_l >= 0
    return policy and pi_w * r.a == r.x1 and pi_l * r.b == r.x2


@setting("two responses: 0 < ref_w < 1, 0 <= pi_w <= 1")
def two(numbers: Numbers) -> Named:
    """Every reference and every policy with two responses."""
    ref_w, pi_w = numbers.between("ref_w", 0, 1), numbers.within("pi_w", 0, 1)
    return Named(x1=pi_w / ref_w, x2=(1 - pi_w) / (1 - ref_w), a=1 / ref_w, b=1 / (1 - ref_w))


ratio_triangle.proved(over=policy, wrong={"most": F(9, 10)})
ratio_triangle.proved(
    over=triangle,
    of=is_reached,
    wrong={"share": F(11, 10)},
    part=r"x_1,x_2\ge 0,\ \frac{x_1}{a}+\frac{x_2}{b}\le 1\implies(x_1,x_2)\text{ belongs to one}",
)
ratio_triangle.proved(over=two, of=lambda r, one=1: r.x1 / r.a + r.x2 / r.b == one, wrong={"one": F(9, 10)}, also=True)


@claim("levels", "Section 3.1, after Corollary 1", CONDITIONALLY, "margin-rises", "winner-rises-iff")
def levels(case, least=1):
    r"""\pi(y_w)>\frac1a,\qquad\pi(y_l)<\frac1b

    Assumes: tabular softmax, one pair, the flow started at the reference
    Because: x1 and x2 are treated as free. With shared parameters both can fall: with features 1 (chosen), 0, 3 the
    chosen response is below its reference from the first step on.
    Proof: The flow of one pair moves the logits along one line; at its every point the weights of the pair are
    multiplied by $e^s$ and $e^{-s}$, the others not.
    """
    w, E = case
    x1, x2 = moved(w, E)
    return x1 > least and x2 < 1


levels.false(at=(DISPLACED, F(2)), true_at=(EVEN, F(2)))
levels.false(at=(DISPLACED, TINY_STEP), true_at=(EVEN, TINY_STEP))
levels.proved(over=with_step(TABULAR), role=CONDITIONAL, wrong={"least": F(11, 10)})


@claim("margin-rises", "Section 3.1, after Corollary 1", PROVED)
def margin_rises(case, times=1):
    r"""x_2<x_1

    Assumes: one pair with different features, the flow of a log-linear policy started at the reference
    Proof: $x_1/x_2$ is multiplied by $e^{s\|\phi_w-\phi_l\|^2}$, whatever the other responses do.
    """
    w, E = case
    x1, x2 = moved(w, E)
    return w.dd == 0 or times * x2 < x1


margin_rises.proved(over=with_step(LOG_LINEAR), wrong={"times": F(11, 10)})
margin_rises.unrefuted(
    base_measure,
    of=lambda w, factor=2: moved(w)[0] / moved(w)[1] == factor ** int(w.dd),
    wrong={"factor": 3},
    also=True,
    worlds=100,
    ranges="2 to 8 responses, 1 to 4 features from -4 to 4, e^s = 2",
)


@claim("winner-vanishes", "not in the paper; the far end of the counterexample to Section 3.1", PROVED)
def winner_vanishes(theta, third=3, start=F(-1, 3)):
    r"""\phi=(1,0,3):\quad\frac{d\log\pi_w}{d\theta}\Big|_0=-\frac13,\qquad
    \lim_{\theta\to\infty}\pi_w=0,\qquad x_2<x_1

    Proof: $\pi_w=e^\theta/(1+e^\theta+e^{3\theta})$, and DPO moves $\theta$ up for ever.
    """
    chosen = sp.exp(theta) / (1 + sp.exp(theta) + sp.exp(third * theta))
    slope = sp.diff(sp.log(chosen), theta).subs(theta, 0)
    return same(slope, sp.Rational(start)) & same(sp.limit(chosen, theta, sp.oo), 0)


def below(w, most=F(1, 10**10)):
    x1, x2 = moved(w, 10**6)
    return x2 < x1 < most


winner_vanishes.derived(symbols={"theta": "real"}, wrong={"third": F(27, 10)})
winner_vanishes.evaluated([DISPLACED], of=below, wrong={"most": F(1, 10**13)}, also=True)


# --- Section 3.2 ---------------------------------------------------------------------------------------------------


@claim("footnote-2", "Footnote 2; Section 3.2, before Figure 1", FALSE, "ratio-triangle", "start-gradient")
def footnote_2(pi):
    r"""\text{the field at any reference is the field at }\mathrm{ref}_w=\mathrm{ref}_l=1
    \text{ (no reference), up to stretching of the axes}

    Because: The loss stretches with its axes, a gradient does not: where the references differ, the arrows of
    Figure 1 (b) in probabilities are no stretched image of those in ratios. And without a reference the ratios are
    the probabilities, so that half of the square, with the corner (1, 1) of the second regime, belongs to no policy.
    """
    p = Named(slope=-pi.x1 / pi.x2, stretch=pi.ref_l / pi.ref_w)  # slope dx2 / dx1 of -grad in ratios: -x1 / x2
    image = p.slope * p.stretch  # of the arrow, when the plane is stretched by (ref_w, ref_l)
    gradient = p.slope / p.stretch  # of -grad in (pi_w, pi_l): its components are those in ratios over ref
    return image == gradient


@setting("x1, x2, ref_w, ref_l > 0, ref_w + ref_l <= 1")
def referred(numbers: Numbers) -> Named:
    """Every point of the plane and every reference."""
    ref_w = numbers.between("ref_w", 0, 1)
    ref_l = numbers.within("ref_l", 0, 1 - ref_w)
    numbers.assume(ref_l > 0)
    return Named(x1=numbers.positive("x1"), x2=numbers.positive("x2"), ref_w=ref_w, ref_l=ref_l)


def only_if_equal(pi, times=1):
    return footnote_2(pi) == (times * pi.ref_w == pi.ref_l)


def slopes_of_the_gradient(p, q, r, s, times=1):
    loss = LOSS.subs({X1: p / r, X2: q / s}, simultaneous=True)
    in_ratios = (sp.diff(LOSS, X2) / sp.diff(LOSS, X1)).subs({X1: p / r, X2: q / s}, simultaneous=True)
    return same(sp.diff(loss, q) / sp.diff(loss, p), times * in_ratios * r / s)


def belongs_to_a_policy(pi):  # without a reference
    return pi[0] + pi[1] <= 1


footnote_2.false(
    at=Named(x1=F(1), x2=F(1), ref_w=F(1, 10), ref_l=F(1, 5)),
    true_at=Named(x1=F(1), x2=F(1), ref_w=F(1, 5), ref_l=F(1, 5)),
)
footnote_2.false(of=belongs_to_a_policy, at=(F(1), F(1)), true_at=(F(1, 2), F(1, 2)))
footnote_2.proved(over=referred, of=only_if_equal, wrong={"times": F(11, 10)}, also=True)
footnote_2.derived(of=slopes_of_the_gradient, wrong={"times": F(11, 10)}, also=True)


# --- Section 3.3 ---------------------------------------------------------------------------------------------------


@claim("similar-responses", "Section 3.3.1, on literally similar responses", EMPTY, "winner-rises-iff")
def similar_responses(pair):
    r"""y_w\approx y_l\implies\frac{\partial L}{\partial x_2}\ \text{counteracts}\ \frac{\partial L}{\partial x_1}

    Because: How similar two responses are is no variable of the framework: L is a function of x1, x2 and beta, so two
    policies in which the preferred response moves opposite ways have the same point and the same field there.
    """
    first, second = pair
    points = [Point(w.p_w / F(1, 3), w.p_l / F(1, 3)) for w in pair]
    same_field = points[0].d1 == points[1].d1 and points[0].d2 == points[1].d2
    return same_field and first.D_w < 0 < second.D_w


similar_responses.evaluated(
    [(DISPLACED, UNDISPLACED)],
    wrong=lambda pair: similar_responses((pair[1], pair[1])),
    meaning=THERE_IS,
    role=VACUOUS,
)


@claim("winner-rises-iff", "not in the paper; what Section 3.3.1 wants to say", PROVED)
def winner_rises_iff(w, share=1):
    r"""\frac{d}{dt}\log\pi_w>0\iff g_w\cdot g_l<\|g_w\|^2,\qquad g_y=\nabla_\theta\log\pi_y

    Proof: $\frac{d}{dt}\log\pi_w=\beta\sigma(-z)\,g_w\cdot(g_w-g_l)$.
    """
    return (w.D_w > 0) == (w.wl < share * w.ww)


def in_a_tiny_step(w, share=1):  # ties are left to the second order
    return w.wl == share * w.ww or (moved(w, TINY_STEP)[0] > 1) == (w.wl < share * w.ww)


def any_kind(source: random.Random) -> World:
    """Draw a tabular softmax or a log-linear policy with a base measure."""
    return source.choice((tabular, base_measure))(source)


winner_rises_iff.proved(over=POLICY, wrong={"share": F(11, 10)})
winner_rises_iff.unrefuted(
    any_kind,
    of=in_a_tiny_step,
    wrong={"share": F(3, 4)},
    also=True,
    worlds=200,
    ranges="2 to 8 responses, 1 to 4 features from -4 to 4 or a table, a step of 2^-100",
)


@claim("sft-sensitivity", "Section 3.3.2, Limitation 2, with theta = ref at the start", EMPTY, "start-gradient")
def sft_sensitivity(w, times=1):
    r"""\text{the initial position }(x_1,x_2)\text{ depends on the SFT model}

    Because: With the SFT model as reference, as DPO has it, the initial position is (1, 1) for every SFT model. It
    would mean something for a reference-free loss.
    Proof: $\pi=\mathrm{ref}$ at the start.
    """
    return w.p_w / (times * w.p_w) == 1 == w.p_l / w.p_l


sft_sensitivity.proved(over=POLICY, role=VACUOUS, wrong={"times": F(11, 10)})


@claim("start-gradient", "not in the paper; replaces the initial positions of Section 3.3.2", PROVED)
def start_gradient(p, q, r, s, half=2):
    r"""\frac{\partial L}{\partial\pi_w}=-\frac{\beta}{2\,\mathrm{ref}_w},\quad
    \frac{\partial L}{\partial\pi_l}=\frac{\beta}{2\,\mathrm{ref}_l}\qquad\text{at }\theta=\mathrm{ref}

    Proof: The chain rule at $x_1=x_2=1$.
    """
    loss = LOSS.subs({X1: p / r, X2: q / s}, simultaneous=True)
    at = {p: r, q: s}
    return same(sp.diff(loss, p).subs(at), -BETA / (half * r)) & same(sp.diff(loss, q).subs(at), BETA / (half * s))


start_gradient.derived(wrong={"half": F(21, 10)})
