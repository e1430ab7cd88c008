"""Term (e), the regularizer L_reg = max(0, |g_l| - |g_w|): what it guards against and what a step on it does."""

from fractions import Fraction as F

from theory.claim import FALSE, PROVED
from theory.evidence import FAILS
from theory.jian2025.cases import BOTH_RISE, MISRANKED, NEAR
from theory.jian2025.envelope import OF_Z, mixed_derivative
from theory.jian2025.regularizer import COMPONENTS, slope_of_the_norm
from theory.proof import TABULAR, Named, derivative, exp, log, of_size, over_responses, same, sqrt, world_of
from theory.statement import claims_of
from theory.worlds import World

claim = claims_of("jian2025")
RANKED = World.tabular([F(2, 3), F(1, 3)])


@claim("term-e", "Section 3.3, term (e); Appendix C.4", FALSE, "eq-7-certificate", "displacement-hinges")
def term_e(w):
    r"""L_{\mathrm{reg}}=0\implies\Delta\pi_l\le 0

    Because: The paper calls the term a safeguard against increases of dispreferred samples. Its hinge has the sign
    opposite to the one that Remark 2 asks for: $L_{\mathrm{reg}}=0$ means $\|g_w\|\ge\|g_l\|$, where the chosen
    response rises and the rejected one may rise as well.
    """
    return w.ll > w.ww or w.D_l <= 0


term_e.false(at=BOTH_RISE, true_at=MISRANKED).refuted(unlike=lambda w: w.ll < w.ww or w.D_l <= 0)


@claim("displacement-hinges", "not in the paper; regularizers that do what term (e) is said to do", PROVED)
def displacement_hinges(w, times=1):
    r"""\max(0,g_w\cdot g_l-\|g_w\|^2)=0\iff\Delta\pi_w\ge 0,\qquad\max(0,g_w\cdot g_l-\|g_l\|^2)=0\iff\Delta\pi_l\le 0

    Assumes: first order in the step; both are identically 0 for a tabular softmax, which needs neither
    Proof: They are the hinges of $-A_w$ and of $A_l$. Tabular: $A_w=1-\pi_w+\pi_l>0$, $A_l=-(1+\pi_w-\pi_l)<0$.
    """
    return (max(0, w.wl - times * w.ww) == 0) == (w.D_w >= 0) and (max(0, w.wl - times * w.ll) == 0) == (w.D_l <= 0)


displacement_hinges.proved(wrong={"times": NEAR})
displacement_hinges.proved(
    over=TABULAR,
    of=lambda w, room=0: w.wl - w.ww + room <= 0 and w.wl - w.ll + room <= 0,
    wrong={"room": F(1, 100)},
    also=True,
)


@claim("term-e-tabular", "not in the paper; L_reg of a tabular softmax", PROVED)
def term_e_tabular(w, twice=2):
    r"""\|g_l\|^2-\|g_w\|^2=2(\pi_w-\pi_l),\qquad L_{\mathrm{reg}}>0\iff\pi_w>\pi_l

    Assumes: tabular softmax
    Proof: $\|g_y\|^2=1-2\pi_y+\sum_{y'}\pi_{y'}^2$. The regularizer punishes a pair that is ranked correctly.
    """
    return w.ll - w.ww == twice * (w.p_w - w.p_l) and (w.ll > w.ww) == (w.p_w > w.p_l)


term_e_tabular.proved(over=TABULAR, wrong={"twice": F(21, 10)})


# --- a step on the regularizer alone -------------------------------------------------------------------------------


def covariances(w, square=1):
    """Return g_w . C g_w, g_w . C g_l and g_l . C g_l of a tabular softmax, C = diag(p) - p p'.

    Example:
        >>> [str(value) for value in covariances(RANKED)]
        ['8/81', '-16/81', '32/81']
    """
    p, q, s, t = w.p_w, w.p_l, w.S2, w.S3
    of_w, of_l = (a - 2 * a**2 + t - square * (a - s) ** 2 for a in (p, q))
    return of_w, t - p**2 - q**2 - square * (p - s) * (q - s), of_l


def pushes(w):
    """Return the first-order changes of log pi_w and log pi_l in a step down L_reg > 0 of size |g_w| |g_l|, tabular.

    The gradient of |g_y| is H g_y / |g_y| (jian2025.eq-79), and the Hessian H of every log pi_y is -C.

    Example:
        >>> [str(push) for push in pushes(RANKED)]
        ['-32/243 sqrt(2)', '64/243 sqrt(2)']
    """
    of_w, mixed, of_l = covariances(w)
    n_w, n_l = sqrt(w.ww), sqrt(w.ll)
    return mixed * n_w - of_w * n_l, of_l * n_w - mixed * n_l


@claim("term-e-step", "Section 3.3, term (e)", FALSE, "term-e-tabular-step", "displacement-hinges")
def term_e_step(w):
    r"""-\gamma\nabla_\theta L_{\mathrm{reg}}\ne 0\implies\Delta\pi_l\le 0\ \text{or}\ \Delta\pi_w\ge 0

    Because: The paper says that the term penalizes updates that might increase the probability of dispreferred samples.
    A step on $L_{\mathrm{reg}}$ alone can take from the chosen response and give to the rejected one: in a table with
    two responses it always does.
    """
    push_w, push_l = pushes(w)
    return not w.ll > w.ww or push_l <= 0 or push_w >= 0


def takes_and_gives(w, times=1):
    push_w, push_l = pushes(w)
    return (w.ll > times * w.ww and push_w < 0 < push_l) == (w.p_w > w.p_l)


term_e_step.false(at=RANKED, true_at=MISRANKED)
term_e_step.proved(over=of_size(TABULAR, 2), of=takes_and_gives, role=FAILS, wrong={"times": NEAR})


@claim("term-e-tabular-step", "not in the paper; what term (e) does to a tabular softmax", PROVED)
def term_e_tabular_step(w, lead=0):
    r"""\pi_w>\pi_l\implies-\nabla_\theta L_{\mathrm{reg}}\cdot g_w<0,\qquad\nabla^2_\theta\log\pi_y=-C,\qquad
    \nabla_\theta\|g_y\|=-\frac{Cg_y}{\|g_y\|},\qquad g_w^\top Cg_w=\pi_w-2\pi_w^2+S_3-(\pi_w-S_2)^2,\quad
    g_w^\top Cg_l=S_3-\pi_w^2-\pi_l^2-(\pi_w-S_2)(\pi_l-S_2),\qquad S_k=\sum_y\pi_y^k

    Assumes: tabular softmax
    Proof: $g_w^\top C(g_w-g_l)=\pi_w(1-\pi_w)+\pi_l^2-(\pi_w-S_2)(\pi_w-\pi_l)\ge\pi_l^2>0$ with $C$ the
    covariance of one-hot vectors. As $\|g_w\|<\|g_l\|$, also $g_w^\top C(g_w/\|g_w\|-g_l/\|g_l\|)>0$, which is the
    derivative of $L_{\mathrm{reg}}$ along $g_w$.
    """
    return not w.p_w > w.p_l + lead or pushes(w)[0] < 0


def entries_of_the_covariance(y, square=1):
    """<g_y, g_a> = [y = a] - p_y - p_a + S2, summed with the weights p_y over any number of responses."""
    s, w, r = y.sum(y.p**2), y.one("w").p, y.one("l").p
    of_w, mixed, _ = covariances(Named(p_w=w, p_l=r, S2=s, S3=y.sum(y.p**3)), square)

    def entry(a, b, equal):
        return y.sum(y.p * (s - a - y.p) * (s - b - y.p)) + a * (s - b - a) + b * (s - a - b) + equal * a

    return same(entry(w, w, 1), of_w) & same(entry(w, r, 0), mixed)


term_e_tabular_step.derived(
    of=mixed_derivative, symbols=OF_Z, wrong={"times": NEAR}, part=r"\nabla^2_\theta\log\pi_y=-C"
)
term_e_tabular_step.derived(
    of=slope_of_the_norm,
    sums=COMPONENTS,
    wrong={"times": NEAR},
    part=r"\nabla_\theta\|g_y\|=-\frac{Cg_y}{\|g_y\|}",
)
term_e_tabular_step.derived(
    of=entries_of_the_covariance,
    sums=over_responses(p="probability"),
    wrong={"square": NEAR},
    part=r"""g_w^\top Cg_w=\pi_w-2\pi_w^2+S_3-(\pi_w-S_2)^2,\quad
    g_w^\top Cg_l=S_3-\pi_w^2-\pi_l^2-(\pi_w-S_2)(\pi_l-S_2)""",
)
term_e_tabular_step.proved(over=TABULAR, wrong={"lead": F(-1, 10)})


def dpo_loss(m, beta):
    return log(1 + exp(-beta * m))


def dpo_slope(m, beta):
    return -beta / (1 + exp(beta * m))


def whole_loss(m, beta, gamma, root_2):
    """Return L_dpo + gamma L_reg to the right of m = theta_w - theta_l = 0, where |g_l| > |g_w|.

    |g_l| - |g_w| = sqrt(2) (pi_w - pi_l).
    """
    return dpo_loss(m, beta) + gamma * root_2 * (2 / (1 + exp(-m)) - 1)


def whole_slope(m, beta, gamma, root_2):
    return dpo_slope(m, beta) + 2 * gamma * root_2 / ((1 + exp(-m)) * (1 + exp(m)))


def whole_bend(m, beta, gamma, root_2):
    turn = (exp(-m) - exp(m)) / ((1 + exp(-m)) * (1 + exp(m))) ** 2
    return beta**2 / ((1 + exp(beta * m)) * (1 + exp(-beta * m))) + 2 * gamma * root_2 * turn


def slopes(c):
    """Return left slope, right slope and right curvature of the whole loss at 0; SymPy proves that they are that."""
    at_0 = 0 * c.beta, c.beta
    whole = *at_0, c.gamma, sqrt(2 + 0 * c.beta)
    right = derivative(whole_loss, whole_slope)
    return derivative(dpo_loss, dpo_slope)(*at_0), right(*whole), derivative(right, whole_bend)(*whole)


@claim("term-e-stall", "not in the paper; how large gamma may be", PROVED)
def term_e_stall(c, root=2):
    r"""\pi_w=\pi_l=\tfrac12\ \text{is a local minimiser of}\ L_{\mathrm{dpo}}+\gamma L_{\mathrm{reg}}
    \iff\gamma\ge\beta/\sqrt2

    Assumes: tabular softmax with two responses, $z=0$ there
    Proof: To the right of $\theta_w=\theta_l$ the slopes are $-\beta/2$ and $+\gamma/\sqrt2$; the curvature $\beta^2/4$
    decides the case of equality. With the paper's $\beta=1/2$ learning stops from $\gamma=0.354$ on.
    """
    left, right, curvature = slopes(c)
    return (left < 0 and (right > 0 or (right == 0 and curvature > 0))) == (root * c.gamma**2 >= c.beta**2)


term_e_stall.proved(
    over=world_of("beta, gamma > 0", beta="positive", gamma="positive"), wrong={"root": F(21, 10)}, lemma="Taylor"
)
