r"""Theorem 2: where probability mass goes when the chosen response falls (case 1), or the rejected one (case 2).

y* is the most probable response outside the pair. In a world of exact numbers that is ``w.y``; in a proof ``w.y`` is
any response outside the pair, so that what is proved of it holds of y* whichever it is. All the other responses are
called the rest; by Eq. (55) their change is what the named three leave over.
"""

from fractions import Fraction as F
from functools import partial

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.evidence import CONDITIONAL
from theory.jian2025.cases import BOTH_FALL, NEAR, STEP, ladder
from theory.proof import LOG_LINEAR, POLICY, TABULAR, TWO_RESPONSES, of_size, with_step
from theory.statement import claims_of
from theory.worlds import World

claim = claims_of("jian2025")

# theta = (ln 2, 0): chosen, rejected and the most probable response all fall, a fourth one gains everything
ALL_BUT_ONE_FALL = World.log_linear([[-1, -1], [-1, -2], [1, -1], [0, 0]], at=[2, 1])
ONE_FEATURE_FALL = World.with_base([1, 1, 2, 1], [[0], [-1], [0], [2]])


def change_of_rest(w):
    """Return the first-order change of the mass outside {y_w, y_l, y*}: by Eq. (55) all changes sum to 0.

    Example:
        >>> change_of_rest(ALL_BUT_ONE_FALL)
        Fraction(7, 32)
    """
    return -(w.D_w + w.D_l + w.D_y)


@claim("theorem-2-case-1-rejected", "Theorem 2, case 1, first conclusion; Eqs. (51)-(54)", PROVED)
def case_1_rejected(w, most=0):
    r"""\Delta\pi_w<0\implies\Delta\pi_l\le 0

    Assumes: first order in the step, one pair, plain gradient descent
    Proof: $D_w/\pi_w-D_l/\pi_l=\|g_w-g_l\|^2\ge 0$ in units of $\eta\beta\sigma(-z)$, so that $D_w<0$ gives $D_l<0$.
    Corollary 2, on which the printed proof leans, is neither true nor needed.
    """
    return not w.D_w < most or w.D_l < 0


case_1_rejected.proved(wrong={"most": F(1, 1000)})


def curved(linear: tuple[int, ...], quadratic: tuple[int, ...]) -> tuple[World, World]:
    """Return a policy that is not log-linear before and after a step, pi_y ~ 2^(linear t + quadratic t^2) from t = 0.

    The step has learning rate x beta x urgency = log 2, so that it ends at t = linear_w - linear_l.

    Example:
        >>> before, after = curved((2, 3, 0), (0, 4, 0))
        >>> str(before.p_l), str(after.p_l)
        ('1/3', '8/13')
    """
    t = linear[0] - linear[1]
    logits = [[a * t + b * t * t] for a, b in zip(linear, quadratic, strict=True)]
    return World.log_linear([[a] for a in linear], at=[1]), World.log_linear(logits, at=[2])


FINITE = "theorem-2-case-1-rejected-finite-step"


@claim(FINITE, "Theorem 2, case 1, of an actual update", CONDITIONALLY, "theorem-2-case-1-rejected")
def case_1_in_a_step(case, times=1):
    r"""\pi_{\theta+\Delta\theta}(y_w)<\pi_\theta(y_w)\implies\pi_{\theta+\Delta\theta}(y_l)\le\pi_\theta(y_l)

    Assumes: log-linear policy
    Because: At a finite step the curvature of the logits can lift the rejected response while the chosen one falls.
    Proof: For a log-linear policy $\log(\pi_w/\pi_l)$ grows by exactly $s\|\phi_w-\phi_l\|^2$ in a step of size $s$: if
    $\pi_w$ does not rise, $\pi_l$ falls.
    """
    before, after = case
    return not after.p_w < times * before.p_w or after.p_l <= before.p_l


def exact_step(case, times=1):
    return case_1_in_a_step((case[0], case[0].after(case[1])), times)


case_1_in_a_step.false(at=curved((2, 3, 0), (0, 4, 0)), true_at=curved((2, 3, 0), (0, 2, 0)))
case_1_in_a_step.proved(over=STEP, of=exact_step, role=CONDITIONAL, wrong={"times": F(6, 5)})


TRUE_INSTEAD = ("theorem-2-three-responses", "mass-flow-log-linear")


@claim("theorem-2-case-1", "Theorem 2, case 1; Eq. (59)", CONDITIONALLY, *TRUE_INSTEAD)
def case_1(w):
    r"""\Delta\pi_w<0\implies\Delta\pi(y^*)>0

    Assumes: $y^*\notin\{y_w,y_l\}$ and $|\sum_{y\notin\{y_w,y_l,y^*\}}D_y|<|D_w+D_l|$
    Because: The theorem does not state the assumption; its proof does, in words. Without it, all of the mass can go to
    a response outside $\{y_w,y_l,y^*\}$ while $y^*$, the most probable of all, falls too.
    Proof: Conservation: $D_*=-(D_w+D_l)-\sum_{\mathrm{rest}}D_y$, and $D_w+D_l<0$.
    """
    return not w.D_w < 0 or w.D_y > 0


def less_than_the_pair(w, times=1):
    return abs(change_of_rest(w)) < times * abs(w.D_w + w.D_l)


case_1.false(at=ALL_BUT_ONE_FALL, true_at=BOTH_FALL).false(at=ONE_FEATURE_FALL, true_at=BOTH_FALL)
case_1.proved(given=less_than_the_pair, wrong_given=partial(less_than_the_pair, times=NEAR))


@claim("theorem-2-three-responses", "Theorem 2, case 1, with three responses; not in the paper", PROVED)
def three_responses(w, share=1):
    r"""|\mathcal Y|=3,\ D_w<0\implies D_*=|D_w|+|D_l|>0;\qquad
    |\mathcal Y|=3,\ \Delta\pi_w<0\implies\Delta\pi(y^*)=|\Delta\pi_w|+|\Delta\pi_l|>0

    Assumes: first order in the step, and for a log-linear policy at every step size
    Proof: There is nowhere else to go: the three changes sum to 0, and the rejected response falls as well.
    """
    return not w.D_w < 0 or w.D_y == share * abs(w.D_w) + abs(w.D_l) > 0


def three_in_a_step(case, share=1):
    w, E = case
    v = w.after(E)
    return not v.p_w < w.p_w or v.p_y - w.p_y == share * abs(v.p_w - w.p_w) + abs(v.p_l - w.p_l) > 0


three_responses.proved(over=of_size(POLICY, 3), wrong={"share": NEAR})
three_responses.proved(
    over=with_step(of_size(LOG_LINEAR, 3)),
    of=three_in_a_step,
    wrong={"share": NEAR},
    part=r"|\mathcal Y|=3,\ \Delta\pi_w<0\implies\Delta\pi(y^*)=|\Delta\pi_w|+|\Delta\pi_l|>0",
)


@claim("theorem-2-greedy-in-pair", "Theorem 2, its definition of y*", FALSE, "theorem-2-case-1")
def greedy_in_pair(w):
    r"""y^*=\arg\max_{y\in\mathcal Y}\pi(y),\ \Delta\pi_w<0\implies\Delta\pi(y^*)>0

    Because: The theorem calls $y^*$ the highest probability output. Nothing keeps it from being $y_w$ itself, which
    falls by assumption. The proof means another $y^*$, the next-highest output.
    """
    return not w.D_w < 0 or w.change(max(w.responses, key=lambda y: w.p[y])) > 0


greedy_in_pair.false(
    at=World.with_base([3, 1, 2], [[2], [3], [0]]), true_at=World.with_base([1, 1, 2], [[2], [3], [0]])
)


@claim("theorem-2-case-2", "Theorem 2, case 2; Eqs. (60)-(63)", CONDITIONALLY)
def case_2(w):
    r"""\Delta\pi_l<0\implies\Delta\pi_w>0\ \text{or}\ \Delta\pi(y^*)>0

    Assumes: $|\sum_{y\notin\{y_w,y_l,y^*\}}D_y|<|D_l|$, or a tabular softmax
    Because: All three of $y_w,y_l,y^*$ can fall at once, in favour of a fourth response.
    Proof: $D_w+D_*=-D_l-\sum_{\mathrm{rest}}D_y>0$, so one of the two is positive. Tabular: $D_w>0$ always. With two
    responses $D_w=-D_l$.
    """
    return not w.D_l < 0 or w.D_w > 0 or w.D_y > 0


def less_than_the_rejected(w, times=1):
    return abs(change_of_rest(w)) < times * abs(w.D_l)


case_2.false(at=ALL_BUT_ONE_FALL, true_at=BOTH_FALL)
case_2.proved(given=less_than_the_rejected, wrong_given=partial(less_than_the_rejected, times=NEAR))
case_2.proved(
    over=TABULAR, of=lambda w, least=0: case_2(w) and w.D_w > least, role=CONDITIONAL, wrong={"least": F(1, 10)}
)
case_2.proved(
    over=TWO_RESPONSES,
    of=lambda w, times=1: case_2(w) and w.D_w == -times * w.D_l,
    role=CONDITIONAL,
    wrong={"times": NEAR},
)


@claim("theorem-2-case-2-greedy", "Theorem 2, case 2, after Eq. (65): otherwise", FALSE, "theorem-2-greedy-sign")
def case_2_greedy(w):
    r"""\Delta\pi_l<0,\ \pi(y^*)>\pi_w\implies\Delta\pi(y^*)>0

    Because: The probability of $y^*$ scales its change but does not give its sign. In a tabular softmax $y^*$ falls
    whenever $\pi_w>\pi_l$, however probable it is.
    """
    return not (w.D_l < 0 and w.p_y > w.p_w) or w.D_y > 0


Y_STAR_FALLS = World.tabular([F(1, 3), F(1, 6), F(1, 2)])
case_2_greedy.false(at=Y_STAR_FALLS, true_at=World.tabular([F(1, 8), F(1, 4), F(5, 8)]))
case_2_greedy.false(at=World.log_linear([[0], [2], [3]], at=[F(5, 4)]), true_at=BOTH_FALL)


@claim("theorem-2-greedy-sign", "not in the paper; when y* rises", PROVED)
def greedy_sign(w, times=1):
    r"""\Delta\pi(y^*)>0\iff g_*\cdot g_w>g_*\cdot g_l;\qquad\text{tabular: }\Delta\pi(y^*)>0\iff\pi_l>\pi_w

    Assumes: first order in the step
    Proof: $D_y=\eta\beta\sigma(-z)\pi_y\,g_y\cdot(g_w-g_l)$ for every $y$ (jian2025.eq-57); in a tabular softmax
    $g_y\cdot(g_w-g_l)=\pi_l-\pi_w$ for every $y$ outside the pair.
    """
    return (w.D_y > 0) == (w.wy > times * w.ly)


greedy_sign.proved(wrong={"times": NEAR})
greedy_sign.proved(
    over=TABULAR,
    of=lambda w, times=1: (w.D_y > 0) == (w.p_l > times * w.p_w),
    wrong={"times": NEAR},
    part=r"\text{tabular: }\Delta\pi(y^*)>0\iff\pi_l>\pi_w",
)


@claim("theorem-2-case-2-primarily", "Theorem 2, case 2, Eq. (65): primarily", FALSE, "eq-65")
def case_2_primarily(w):
    r"""\pi_w>\pi(y^*),\ \|g_w\|^2>g_w\cdot g_l\implies\Delta\pi_w>0,\ \Delta\pi_w\ge\Delta\pi(y^*)

    Assumes: $y^*$ is the next-highest output, as in the proof
    Because: The condition (65) is equivalent to $D_w>0$ and says nothing of how much goes elsewhere: with features
    $(1,0,2)$ a less probable $y^*$ gains more than $y_w$.
    """
    return not (w.p_w > w.p_y and w.ww > w.wl) or (w.D_w > 0 and w.D_w >= w.D_y)


case_2_primarily.false(at=ladder(F(1, 2)), true_at=World.log_linear([[2], [0], [1]], at=[2]))
