"""Section 3.3: what the terms (a) to (d) of the update do to the chosen response."""

from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, FIRST_ORDER, PROVED
from theory.evidence import FAILS, ORDER
from theory.jian2025.bilevel import log_changes, two_blocks
from theory.jian2025.cases import NEAR, ladder
from theory.proof import POLICY, Named, beside, exp, log, same, setting, sqrt
from theory.statement import claims_of
from theory.worlds import World

claim = claims_of("jian2025")


@claim("terms-a-and-c", "Section 3.3, terms (a) and (c)", PROVED)
def terms_a_and_c(case, cross=2):
    r"""\Delta(\log\pi_w-\log\pi_l)=\beta\sigma(-z)\bigl(\eta_\theta\|g^\theta_w-g^\theta_l\|^2
    +\eta_\phi\|g^\phi_w-g^\phi_l\|^2\bigr)\ge 0

    Assumes: first order in the step; terms (a) and (c) alone
    Because: It is the log-margin that is enlarged. The difference $\pi_w-\pi_l$ can shrink, as for DPO. The section
    says that Theorem 1 shows a relative increase; it is Corollary 2 that claims one.
    Proof: Theorem 1 in each block; the blocks add up.
    """
    block = case[1]
    gain_w, gain_l = log_changes(case)
    squares = [v.ww - cross * v.wl + v.ll for v in case]
    return gain_w - gain_l == block.theta * squares[0] + block.phi * squares[1] >= 0


def difference(case):
    gain_w, gain_l = log_changes(case)
    return case[0].p_w * gain_w >= case[0].p_l * gain_l


FROZEN = Named(ww=F(0), wl=F(0), ll=F(0), theta=F(1), phi=F(1))
terms_a_and_c.proved(over=two_blocks, wrong={"cross": F(21, 10)})
terms_a_and_c.false(of=difference, at=(ladder(3), FROZEN), true_at=(ladder(1), FROZEN), also=True)


# --- term (b): log-odds theta phi of two responses, Phi = [0, phi*]; for theta > 0 the SFT loss is least at phi* ---


def score(x, phi):
    """Return the derivative of log pi_w by theta at e^theta = ``x``."""
    return phi / (1 + x**phi)


@claim("term-b", "Section 3.3, term (b) and its last paragraph", FALSE, "term-b-gap")
def term_b(c):
    r"""\lambda\eta_\theta\,\nabla_\theta\log\pi_w\cdot\bigl(\nabla_\theta\log\pi_{\theta,\phi}(y_w)
    -\nabla_\theta\log\pi_{\theta,\phi^*}(y_w)\bigr)\ge 0

    Because: The paper says that the term stabilizes, and the whole update preserves $\pi_w$. Term (b) lowers the gap
    $L_{\mathrm{sft}}-L^*_{\mathrm{sft}}$. It can do so by making the optimum worse: where the score is larger at
    $\phi^*$ than at $\phi$, $\theta$ moves against $\log\pi_w$. Log-odds $\theta\phi$ at $e^\theta=2$, $\phi=1$,
    $\phi^*=2$: $-1/45$.
    """
    here, best = score(c.exp_theta, c.phi), score(c.exp_theta, c.best)
    return here * (here - best) >= 0


def derivative_of_log_pi(t, f, sign=-1):
    return same(sp.diff(-sp.log(1 + sp.exp(sign * t * f)), t), score(sp.exp(t), f))


term_b.false(at=Named(exp_theta=F(2), phi=1, best=2), true_at=Named(exp_theta=F(8), phi=1, best=2))
term_b.derived(of=derivative_of_log_pi, symbols={"t": "real", "f": "real"}, role=FAILS, wrong={"sign": F(-11, 10)})


@claim("term-b-gap", "not in the paper; what term (b) of Section 3.3 does", FIRST_ORDER)
def term_b_gap(eta, penalty, x, G, times=1):
    r"""\Delta\bigl(L_{\mathrm{sft}}(\theta,\phi)-L^*_{\mathrm{sft}}(\theta)\bigr)=-\lambda\eta_\theta\,
    \|\nabla_\theta L_{\mathrm{sft}}-\nabla_\theta L^*_{\mathrm{sft}}\|^2+O(\eta_\theta^2)

    Assumes: a step of $\theta$ along term (b) alone, any number of parameters; $\phi^*(\theta)$ unique and exact
    Because: A long step overshoots, and the gap grows.
    Proof: Term (b) is $\lambda$ times the gradient of the gap $G=L_{\mathrm{sft}}-L^*_{\mathrm{sft}}$ in $\theta$. At
    the place $x$ on the line along that gradient $G'(x)$ is its length.
    """
    step = -eta * penalty * G(x).diff(x)
    return same(sp.diff(G(x + step), eta).subs(eta, 0).doit(), -times * penalty * G(x).diff(x) ** 2)


def gap_falls(step):
    """Log-odds theta phi as above, from e^theta = 2 and phi = 1, Phi = [0, 2]: for theta < 0 the minimiser is 0."""

    def gap(theta):
        return log(1 + exp(-theta)) - (log(1 + exp(-2 * theta)) if theta > 0 else log(2))

    return gap(log(2) - step.size * (score(2, F(2)) - score(2, F(1)))) <= gap(log(2))


ON_A_LINE = {"eta": "real", "x": "real"}
term_b_gap.derived(symbols={**ON_A_LINE, "G": "function"}, role=ORDER, wrong={"times": NEAR})
term_b_gap.false(of=gap_falls, at=Named(size=75), true_at=Named(size=1))


@claim("term-d", "Section 3.3, term (d); Eq. (14)", FIRST_ORDER)
def term_d(eta, penalty, x, L, times=1):
    r"""\Delta\pi_w=\lambda\eta_\phi\,\pi_w\,\|\nabla_\phi\log\pi_w\|^2\ge 0

    Assumes: a step along term (d) alone, any number of parameters
    Because: A long step overshoots: features $(1,0,3)$, where the score of the chosen response is $-1/3$, and a step to
    $e^\phi=1/2$.
    Proof: $\nabla_\phi\pi_w=\pi_w\nabla_\phi\log\pi_w$. At the place $x$ on the line along the gradient of
    $L=\log\pi_w$ its derivative is $\|\nabla_\phi\log\pi_w\|$.
    """
    after = sp.exp(L(x + eta * penalty * L(x).diff(x)))
    return same(sp.diff(after, eta).subs(eta, 0).doit(), times * penalty * sp.exp(L(x)) * L(x).diff(x) ** 2)


def rises(features):
    """A step of ln 2 in the direction of the score of the first response, from three equally probable ones."""
    start = World.log_linear([[phi] for phi in features], at=[1])
    up = start.scores[0][0] > 0
    return World.log_linear([[phi] for phi in features], at=[F(2) if up else F(1, 2)]).p[0] > start.p[0]


term_d.derived(symbols={**ON_A_LINE, "L": "function"}, role=ORDER, wrong={"times": NEAR})
term_d.false(of=rises, at=(1, 0, 3), true_at=(3, 0, 1))


# --- the phi-block without term (e): DPO and lambda times the negative log-likelihood ---------------------------------


def log_change(case):
    """Return the first-order change of log pi_w per unit of learning rate.

    Args:
        case: a world, lambda, and beta x urgency.
    """
    w, penalty, push = case
    return push * (w.ww - w.wl) + penalty * w.ww


@claim("update-preserves-chosen", "Section 3.3, last paragraph; Table 2", FALSE, "update-lambda")
def update_preserves_chosen(case):
    r"""\lambda\in\{1,5\},\ \beta=\tfrac12\implies\Delta\pi_w\ge 0

    Because: The paper says that the update preserves or enhances $\pi_w$. How large $\lambda$ must be depends on the
    pair, and there is no bound: the rejected score may be as long as one likes. In the $\phi$-block at $z=0$ features
    $(k+1,2k+1,0)$ need $\lambda\ge 3k/4$: $(3,5,0)$ defeats $\lambda=1$ and $(8,15,0)$ $\lambda=5$, the two values of
    Table 2.
    """
    return log_change(case) >= 0


def uniform(features, penalty):
    return World.log_linear([[phi] for phi in features], at=[1]), F(penalty), F(1, 4)


@setting("any lambda > 0 and k > 4/3 lambda; features (k + 1, 2k + 1, 0), equally probable, beta x urgency 1/4")
def too_long(numbers):
    """Every lambda, and a pair whose rejected score is too long for it."""
    penalty = numbers.positive("penalty")
    k = F(4, 3) * penalty + numbers.positive("more")
    mean = (3 * k + 2) / 3
    g_w, g_l = k + 1 - mean, 2 * k + 1 - mean
    return Named(ww=g_w * g_w, wl=g_w * g_l), penalty, F(1, 4)


update_preserves_chosen.false(at=uniform((3, 5, 0), 1), true_at=uniform((2, 3, 0), 1))
update_preserves_chosen.false(at=uniform((8, 15, 0), 5), true_at=uniform((8, 15, 0), 6))
update_preserves_chosen.proved(
    over=too_long, of=lambda case, least=0: log_change(case) < -least, role=FAILS, wrong={"least": F(1, 100)}
)


@beside(POLICY, "lambda >= 0, beta x urgency > 0")
def penalised(numbers):
    """Every weight of the SFT loss."""
    return numbers.at_least("penalty", 0), numbers.positive("push")


@claim("update-lambda", "not in the paper; how large lambda must be", PROVED)
def update_lambda(case, times=1):
    r"""\Delta\pi_w\ge 0\iff\lambda\ge\beta\sigma(-z)\Bigl(\frac{g_w\cdot g_l}{\|g_w\|^2}-1\Bigr);\qquad
    \lambda\ge\beta\sigma(-z)\Bigl(\frac{\|g_l\|}{\|g_w\|}-1\Bigr)\ \text{suffices}

    Assumes: $\phi$-block, $\gamma=0$, first order in the step, $g_w\ne 0$
    Proof: $g_w\cdot\bigl(\beta\sigma(-z)(g_w-g_l)+\lambda g_w\bigr)\ge 0$, divided by $\|g_w\|^2$; Cauchy-Schwarz.
    """
    w, (penalty, push) = case
    changes = log_change((w, penalty, push)) >= 0
    return w.ww == 0 or changes == (times * penalty >= push * (w.wl / w.ww - 1))


def long_enough_suffices(case, times=1):
    w, (penalty, push) = case
    enough = times * penalty * sqrt(w.ww) >= push * (sqrt(w.ll) - sqrt(w.ww))
    return w.ww == 0 or not enough or log_change((w, penalty, push)) >= 0


update_lambda.proved(over=penalised, wrong={"times": NEAR})
update_lambda.proved(
    over=penalised,
    of=long_enough_suffices,
    wrong={"times": NEAR},
    part=r"\lambda\ge\beta\sigma(-z)\Bigl(\frac{\|g_l\|}{\|g_w\|}-1\Bigr)\ \text{suffices}",
)
