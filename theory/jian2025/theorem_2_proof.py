r"""The proof of Theorem 2, equation by equation: conservation, the general change, and what happens to the rest.

As in ``theorem_2``, y* is ``w.y`` in a world of exact numbers, and in a proof ``w.y`` is any response outside the pair.
The rest are all responses outside {y_w, y_l, y*}; r is their mass.
"""

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, EMPTY, FALSE, FIRST_ORDER, MISPRINT, PROVED
from theory.evidence import CONDITIONAL, CORRECTED, FAILS, ORDER, VACUOUS
from theory.jian2025.cases import BOTH_FALL, NEAR, ladder
from theory.jian2025.finite_step import residual
from theory.jian2025.theorem_1 import along_the_step
from theory.jian2025.theorem_2 import ALL_BUT_ONE_FALL, Y_STAR_FALLS, change_of_rest
from theory.proof import POLICY, TABULAR, Named, beside, over_responses, same, sums_of, world_of
from theory.statement import claims_of
from theory.worlds import World, any_world

claim = claims_of("jian2025")

# theta = (0, ln 2): the rest has mass 1/129, and more of the change than everything else together
SMALL_BUT_STEEP = World.log_linear([[1, 5], [2, 5], [1, 6], [-160, 0]], at=[1, 2])


# --- case 1 --------------------------------------------------------------------------------------------------------


@claim("eq-53", "After Eq. (53): even if this condition does not hold", EMPTY, "theorem-2-case-1-rejected")
def eq_53(w, times=1):
    r"""\Delta\pi_w<0\ \text{and}\ \|g_w\|\ge\|g_l\|\implies\Delta\pi_l\le 0

    Because: The case does not exist: $D_w<0$ means $\|g_w\|^2<g_w\cdot g_l\le\|g_w\|\,\|g_l\|$, hence
    $\|g_w\|<\|g_l\|$.
    """
    return not (w.D_w < 0 and times * w.ww >= w.ll)


eq_53.proved(role=VACUOUS, wrong={"times": NEAR})


@claim("eq-54", "Eq. (54) and the line after it", FALSE, "theorem-2-case-1-rejected", "log-margin")
def eq_54(w):
    r"""\Delta\pi_w<0\implies\Delta\pi_l\le\Delta\pi_w<0

    Because: It is Corollary 2. Both fall, but the chosen one may fall more. That the rejected response falls is right,
    for another reason.
    """
    return not w.D_w < 0 or w.D_l <= w.D_w


eq_54.false(at=ladder(3), true_at=ladder(2)).refuted(unlike=lambda w: not w.D_w < 0 or w.A_l <= w.A_w)


@claim("eq-55", "Eq. (55); Eq. (50)", PROVED)
def eq_55(y, share=1):
    r"""\sum_{y\in\mathcal Y}\Delta\pi(y)=0

    Assumes: any number of responses; $a_y$ is the first-order change of the logit of $y$ in the step
    Proof: Exact changes: both policies sum to 1. First order: $\sum_y\pi_y g_y=\nabla\sum_y\pi_y=0$.
    """
    return same(y.sum(y.p * (y.a - share * y.sum(y.p * y.a))), 0)


eq_55.derived(sums=over_responses(p="probability", a="any"), wrong={"share": F(9, 10)})


@claim("eq-56", "Eqs. (56) and (62)", PROVED)
def eq_56(w, least=0):
    r"""\sum_{y\notin\{y_w,y_l\}}\Delta\pi_y=-(\Delta\pi_w+\Delta\pi_l),\ \sum_{y\ne y_l}\Delta\pi_y=-\Delta\pi_l;
    \qquad\Delta\pi_w<0\implies-(\Delta\pi_w+\Delta\pi_l)>0,\qquad\Delta\pi_l<0\implies-\Delta\pi_l>0

    Assumes: first order in the step
    Proof: The equalities are conservation, Eq. (55). In the first case the rejected response falls as well.
    """
    return (not w.D_w < least or -(w.D_w + w.D_l) > 0) and (w.D_l >= 0 or -w.D_l > 0)


PROBABILITIES = over_responses(p="probability", a="any")


def rest_takes_it(y, share=1, named="wl"):
    """Take some from the sum of all first-order changes: it leaves what they lose."""
    mean = share * y.sum(y.p * y.a)
    of_named = sum(y.one(k).p * (y.one(k).a - mean) for k in named)
    return same(y.sum(y.p * (y.a - mean)) - of_named, -of_named)


eq_56.proved(wrong={"least": F(1, 10)})
eq_56.derived(
    of=lambda y, share=1: rest_takes_it(y, share) & rest_takes_it(y, share, named="l"),
    sums=PROBABILITIES,
    wrong={"share": F(9, 10)},
    part=r"\sum_{y\notin\{y_w,y_l\}}\Delta\pi_y=-(\Delta\pi_w+\Delta\pi_l),\ \sum_{y\ne y_l}\Delta\pi_y=-\Delta\pi_l",
)


# --- the change of any response, and of the rest -------------------------------------------------------------------


def gradient_term(k, sign=-1):
    return along_the_step(k, k.g_y, k.sum(k.g_y * k.g_w) + sign * k.sum(k.g_y * k.g_l))


PARAMETERS = over_responses(g_y="any", g_w="any", g_l="any")


@claim("eq-57", "Eq. (57), second line", MISPRINT)
def eq_57(w):
    r"""\Delta\pi(y)=\eta\beta(1-\sigma(z))\,\pi(y)\bigl((g_y\cdot g_w-g_l)\cdot g_l\bigr)

    Because: A parenthesis is misplaced and a factor repeated: as it stands a vector is subtracted from a number, which
    has a meaning with one parameter only, and is false there. It should read $g_y\cdot g_w-g_y\cdot g_l$. The
    parentheses were read in a machine conversion of the paper, which prints one more closing than opening; they may not
    be the authors'.
    Proof: The first line of Eq. (57) is Theorem 1; multiply it out.
    """
    ((g_y,), (g_w,), (g_l,)) = (w.scores[i] for i in (w.y, w.chosen, w.rejected))
    return w.D_y == w.p_y * (g_y * g_w - g_l) * g_l


eq_57.false(at=ladder(3), true_at=World.with_base([1, 1, 1], [[-2], [1], [1]]))  # g_y = g_l = 1: there they agree
eq_57.derived(of=gradient_term, sums=PARAMETERS, role=CORRECTED, wrong={"sign": F(-9, 10)})


@claim("eq-58", "Eq. (58)", FIRST_ORDER)
def eq_58(eta, R, L, times=1):
    r"""\Delta\Bigl[\sum_{y\notin\{y_w,y_l,y^*\}}\pi(y)\Bigr]=\eta\beta(1-\sigma(z))
    \sum_{y\notin\{y_w,y_l,y^*\}}\pi(y)\,\bigl(g_y\cdot g_w-g_y\cdot g_l\bigr)

    Assumes: a differentiable policy, any number of responses
    Because: An equality only for the derivative: in a finite step the change is not proportional to the size.
    Proof: One more response with $\pi_y=e^{L}$, $L'=g_y\cdot(g_w-g_l)$, adds its term of Eq. (57) to the derivative of
    the mass $R$ of those before it.
    """
    return same(sp.diff(R(eta) + sp.exp(L(eta)), eta), R(eta).diff(eta) + times * sp.exp(L(eta)) * L(eta).diff(eta))


STILL = World.log_linear([[0, 0], [0, 0], [1, 0], [0, 1]], at=[1, 1])  # g_w = g_l: nothing moves
OFF, OFF_BY_A_TENTH = (residual(ALL_BUT_ONE_FALL, (3,), change_of_rest(ALL_BUT_ONE_FALL) * k) for k in (F(1), NEAR))
eq_58.derived(symbols={"eta": "real", "R": "function", "L": "function"}, role=ORDER, wrong={"times": NEAR})
eq_58.false(of=lambda w: w.exact_change(3, 4) == 2 * w.exact_change(3, 2), at=ALL_BUT_ONE_FALL, true_at=STILL)
eq_58.slope(OFF, 2, wrong=OFF_BY_A_TENTH, also=True)


# --- how much the rest can take ------------------------------------------------------------------------------------


@sums_of(
    "p > 0; g_y with |g_y| <= G has any component a along g_w - g_l", fixed=lambda numbers: numbers.at_least("G", 0)
)
def drives(numbers, longest):
    """Any number of responses whose scores are bounded; D_y and A_y in units of |g_w - g_l|."""
    p, a, across = numbers.positive("p"), numbers.real("a"), numbers.real("across")
    numbers.assume(a**2 + across**2 <= longest**2)
    return Named(mass=p, change=p * a)


@claim("eq-59-bound", "not in the paper; Eqs. (59) and (63) with an error bound", PROVED)
def eq_59_bound(rest, share=1):
    r"""D_*+D_w+D_l=-\sum_{\mathrm{rest}}D_y,\qquad\bigl|\sum_{\mathrm{rest}}D_y\bigr|\le\eta\beta\sigma(-z)\;r\,G\,
    \|g_w-g_l\|,\qquad r=\sum_{\mathrm{rest}}\pi_y,\ G=\max_{\mathrm{rest}}\|g_y\|

    Assumes: first order in the step
    Proof: The first is Eq. (55). In each term $|A_y|\le\|g_y\|\,\|g_w-g_l\|$ by Cauchy-Schwarz, and a sum of terms up
    to $G\,\|g_w-g_l\|$ is at most $r$ times that.
    """
    return rest.mass > 0 and abs(rest.change) <= share * rest.mass * rest.fixed


def in_a_world(w, share=1):
    rest = [y for y in w.others if y != w.y]
    steepest = share * max((w.squared_norm(y) for y in rest), default=F(0))
    return (w.D_y + w.D_w + w.D_l) ** 2 <= sum(w.p[y] for y in rest) ** 2 * steepest * w.dd


eq_59_bound.derived(
    of=lambda y, share=1: rest_takes_it(y, share, named="wls"),
    sums=PROBABILITIES,
    wrong={"share": F(9, 10)},
    part=r"D_*+D_w+D_l=-\sum_{\mathrm{rest}}D_y",
)
eq_59_bound.by_induction(**drives, wrong={"share": F(9, 10)})
eq_59_bound.unrefuted(any_world, of=in_a_world, wrong={"share": F(1, 100)}, worlds=200, also=True)


@beside(POLICY, "a rest with |A_y| <= L, as in jian2025.eq-59-bound with G |g_w - g_l| = L and in any unit")
def with_rest(numbers):
    """The mean of A_y over the rest, and its largest size L."""
    rest = numbers.case_of(drives["states"], eq_59_bound)
    return Named(mean=rest.change / rest.mass, largest=rest.fixed)


def conserved(case, less=0):
    """Return the world with what Eq. (55) leaves for y* of the change of the pair and of the rest."""
    w, rest = case
    D_y = -(w.D_w + w.D_l) - (1 - w.p_w - w.p_l - w.p_y) * rest.mean - less
    return Named(p_w=w.p_w, p_l=w.p_l, p_y=w.p_y, D_w=w.D_w, D_y=D_y)


def rest_reaches_less_than_the_pair(case):
    w, rest = case
    return (1 - w.p_w - w.p_l - w.p_y) * rest.largest < abs(w.D_w + w.D_l)


@claim("eq-59", "Eq. (59), and Eq. (63) with the same assumption", CONDITIONALLY, "eq-59-bound")
def eq_59(w, small=F(1, 20)):
    r"""\pi(y)\approx 0\ \text{for}\ y\notin\{y_w,y_l,y^*\}\implies
    \Delta\pi(y^*)\approx-(\Delta\pi_w+\Delta\pi_l)>0

    Assumes: $r\,\max_y|g_y\cdot(g_w-g_l)|<|D_w+D_l|$ with $y$ over the rest: the second half of the paper's assumption,
    low similarity, with a number
    Because: A small probability does not bound a score: $\sum_y\pi_yg_y=0$ lets rare responses have large ones. A rest
    of mass 1/129 can gain all that $y_w$, $y_l$ and $y^*$ lose.
    Proof: The rest moves by at most $r\,\max|A_y|$, the triangle inequality; then jian2025.theorem-2-case-1.
    """
    return not (1 - w.p_w - w.p_l - w.p_y <= small and w.D_w < 0) or w.D_y > 0


eq_59.false(at=SMALL_BUT_STEEP, true_at=BOTH_FALL)
eq_59.rests_on(eq_59_bound, role=CONDITIONAL)
eq_59.proved(
    over=with_rest,
    of=lambda case, less=0: eq_59(conserved(case, less)),
    given=rest_reaches_less_than_the_pair,
    wrong={"less": F(1, 10)},
)


@claim("eq-59-clipping", "After Eq. (58): reasonable, since we use gradient clipping", FALSE, "eq-59-bound")
def eq_59_clipping(case):
    r"""\text{gradients clipped}\implies
    \Bigl|\sum_{y\notin\{y_w,y_l,y^*\}}\Delta\pi(y)\Bigr|<|\Delta\pi_w+\Delta\pi_l|

    Because: Clipping multiplies the whole step by one number: all changes shrink alike, and their proportions stay,
    however hard it clips.
    """
    w, largest = case
    kept = min(1, largest**2 / w.dd)  # of the squared length of the step
    return kept * change_of_rest(w) ** 2 < kept * (w.D_w + w.D_l) ** 2


def clipping_decides_nothing(c, threshold=1):
    return (abs(c.kept * c.rest) < abs(c.kept * c.pair)) == (abs(c.rest) < threshold * abs(c.pair))


CLIPPED = world_of("kept > 0 is what clipping leaves of the step", kept="positive", rest="real", pair="real")
eq_59_clipping.false(at=(SMALL_BUT_STEEP, F(1, 1000)), true_at=(BOTH_FALL, F(1, 1000)))
eq_59_clipping.proved(over=CLIPPED, of=clipping_decides_nothing, role=FAILS, wrong={"threshold": NEAR})


# --- case 2 --------------------------------------------------------------------------------------------------------


@claim("eq-64", "Eq. (64), second line", MISPRINT)
def eq_64(w):
    r"""\Delta\pi(y^*)=\eta\beta(1-\sigma(z))\,\pi(y^*)\bigl(\|g_*\|^2-g_*\cdot g_l\bigr)

    Because: The line of $y_w$ with $y^*$ put in everywhere. It should read $g_*\cdot g_w-g_*\cdot g_l$. In a tabular
    softmax the printed form is always positive: it has the wrong sign whenever $\pi_w>\pi_l$.
    Proof: Eq. (57) with $y=y^*$.
    """
    return w.D_y == w.p_y * (w.yy - w.ly)


eq_64.false(at=Y_STAR_FALLS, true_at=World.with_base([1, 1, 2], [[1], [0], [1]]))  # g_* = g_w: there the two agree
eq_64.derived(of=gradient_term, sums=PARAMETERS, role=CORRECTED, wrong={"sign": F(-9, 10)})
eq_64.proved(
    over=TABULAR, of=lambda w, times=1: w.D_y == w.p_y * (times * w.p_l - w.p_w), role=CORRECTED, wrong={"times": NEAR}
)
eq_64.proved(over=TABULAR, of=lambda w: w.yy - w.ly > 0, wrong=lambda w: w.wy - w.ly > 0, also=True)


@claim("eq-65", "Eq. (65)", PROVED)
def eq_65(w, times=1):
    r"""\|g_w\|^2>g_w\cdot g_l\iff\Delta\pi_w>0

    Assumes: first order in the step
    Proof: Theorem 1: $D_w=\eta\beta\sigma(-z)\pi_w\,(\|g_w\|^2-g_w\cdot g_l)$.
    """
    return (w.ww > times * w.wl) == (w.D_w > 0)


eq_65.proved(wrong={"times": NEAR})


@claim("eq-65-most-probable", "Before Eq. (65), with y* the highest probability output of Theorem 2", EMPTY, "eq-65")
def eq_65_most_probable(w, of_all=True):
    r"""\pi_w>\pi(y^*),\ \|g_w\|^2>g_w\cdot g_l\implies\text{mass primarily flows to }y_w

    Because: No response is more probable than the most probable one. With the proof's other $y^*$, the next-highest
    output, the condition can be met, and the conclusion is false.
    """
    most_probable = max(w.p_w, w.p_l, w.p_y) if of_all else w.p_y
    return not w.p_w > most_probable


eq_65_most_probable.proved(role=VACUOUS, wrong={"of_all": False})
