"""Section 3.2, Lemma 1, Theorem 1 and w: how one sample moves the logits, under DPO and under a balanced loss.

J_y is the derivative of the logit s_y by the parameters. The paper assumes that all J_y have one length g and are
orthogonal; a table of logits is the case g = 1. (w, l) is the pair of the sample, k any other response.
"""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, MISPRINT, PROVED
from theory.evidence import CORRECTED
from theory.ma2025.bandits import Bandit
from theory.ma2025.covariance import claim
from theory.ma2025.imbalance import BY_LOGITS, LOGITS, logit_gradient, loss, urgency
from theory.proof import Named, derivative, exp, log, over_responses, same, sums_of, world_of


def softmax(*logits, rest):
    """Return the probabilities of some responses; ``rest`` is the sum of e^s over all others."""
    total = sum(sp.exp(s) for s in logits) + rest
    return tuple(sp.exp(s) / total for s in logits)


@claim("assumption-2-evidence-1", "Section 3.2, evidence 1 for Assumption 2", PROVED)
def cosine_of_random_directions(N, a, t, power=1):
    r"""\mathbb{E}[c_{ij}]=0,\qquad\mathbb{E}[c_{ij}^2]=\mathcal{O}(1/N)

    Assumes: two independent directions, uniform on the sphere in N dimensions; then the second moment is 1/N exactly
    Proof: By symmetry one direction may be the first axis. A coordinate on the sphere has a density proportional to
    $(1-c^2)^{a-1}$, $a=(N-1)/2$, which is even; $c^2=t$ gives $\int_{-1}^1c^{2k}(1-c^2)^{a-1}dc=B(k+\tfrac12,a)$.
    """
    half, root = sp.Rational(1, 2), sp.sqrt(t)
    integrand = 2 * t * (1 - root**2) ** (a - 1) * sp.diff(root, t)  # both halves of c^2 density, with dc = d sqrt(t)
    second, whole = (sp.beta(k + half, (N - 1) / 2).rewrite(sp.gamma) for k in (1, 0))
    c, density = sp.Symbol("c"), (1 - sp.Symbol("c") ** 2) ** (a - 1)
    odd = same(c * density, -(c * density).subs(c, -c))
    return odd & same(integrand, t**half * (1 - t) ** (a - 1)) & same(second / whole, 1 / N**power)


cosine_of_random_directions.derived(wrong={"power": F(11, 10)})


@claim("lemma-1", "Lemma 1, Eq. (9)", PROVED)
def lemma_1(s_w, s_l, rest, sign=-1):
    r"""\frac{\partial p_i}{\partial s_j}=p_i(\delta_{ij}-p_j)

    Proof: Differentiate $e^{s_i}/\sum_k e^{s_k}$.
    """
    p, q = softmax(s_w, s_l, rest=rest)
    return same(sp.diff(p, s_w), p * (1 - p)) & same(sp.diff(p, s_l), sign * p * q)


lemma_1.derived(symbols={"s_w": "real", "s_l": "real"}, wrong={"sign": F(-9, 10)})


# --- Theorem 1 -----------------------------------------------------------------------------------------------------


@claim("theorem-1-any-features", "not in the paper; Eq. (10) without Assumptions 1 and 2", PROVED)
def any_features(y, kept=1):
    r"""\frac{\partial L_{dpo}}{\partial s_w}=-\frac{\partial L_{dpo}}{\partial s_l}=-\beta(1-\kappa),\quad
    \frac{\partial L_{dpo}}{\partial s_k}=0\ (k\ne w,l);\qquad\Delta s_k=\eta\beta(1-\kappa)\,J_k\cdot(J_w-J_l);\qquad
    \Delta s_w=\eta\beta g^2(1-\kappa)(1-c_{wl})\ \text{if}\ \|J_w\|=\|J_l\|=g

    Assumes: $J_k=\partial s_k/\partial\theta$; logits linear in the parameters, else to first order in the step
    Proof: $\Delta\theta=-\eta\sum_ks_k'\,\partial L/\partial s_k=\eta\beta(1-\kappa)(J_w-J_l)$; the sum is over any
    number of parameters.
    """
    of_w, of_l, _ = BY_LOGITS
    theta = -(of_w * y.w + of_l * y.l)
    return same(y.sum(y.k * theta), y.sum(y.k * y.w) - kept * y.sum(y.k * y.l))


any_features.derived(sums=over_responses(w="any", l="any", k="any"), wrong={"kept": F(9, 10)})
any_features.derived(
    of=lambda g, c, overlap=1: same(g**2 - c * g**2, g**2 * (1 - overlap * c)),
    symbols={"c": "real"},
    wrong={"overlap": F(9, 10)},
    part=r"\Delta s_w=\eta\beta g^2(1-\kappa)(1-c_{wl})\ \text{if}\ \|J_w\|=\|J_l\|=g",
)
any_features.rests_on(
    logit_gradient,
    part=r"\frac{\partial L_{dpo}}{\partial s_w}=-\frac{\partial L_{dpo}}{\partial s_l}=-\beta(1-\kappa),\quad"
    r"\frac{\partial L_{dpo}}{\partial s_k}=0\ (k\ne w,l)",
)


@claim("theorem-1-eq-10", "Theorem 1, Eq. (10)", PROVED)
def eq_10(s_w, s_l, s_k, rest, ref, g, eta, sign=-1):
    r"""\Delta^j s_i=\eta g^2\tau_{ij}(1-\kappa_{ij})

    Assumes: $\beta=1$ (else a factor $\beta$); Assumptions 1 and 2 as equations; logits linear in the parameters, else
    to first order in the step
    Proof: $\partial L/\partial s$ is $-\beta(1-\kappa)$ at the chosen, $+\beta(1-\kappa)$ at the rejected response and
    0 elsewhere; $J_i\cdot J_j$ is $g^2$ for $i=j$ and else 0.
    """
    w, r, _ = softmax(s_w, s_l, s_k, rest=rest)
    value, size = loss(w, r, 1, ref), eta * g**2 * urgency(w, r, 1, ref)
    moved = [-eta * g**2 * sp.diff(value, s) for s in (s_w, s_l, s_k)]  # -eta sum_j (J_i . J_j) dL/ds_j
    return same(moved[0], size) & same(moved[1], sign * size) & same(moved[2], 0)


def curved(size: float, rows: float = 1.0) -> float:
    """Logits s = g theta + theta^2: the Jacobian is g at theta = 0, and another one after the step."""
    g, push = 1.5, np.array([0.7, -0.7, 0.0])
    theta = size * g * push
    return float(np.abs(g * theta + theta**2 - size * rows * g**2 * push).max())


eq_10.derived(symbols=LOGITS, wrong={"sign": F(-9, 10)})
eq_10.slope(curved, 2, wrong=lambda size: curved(size, rows=0.5), also=True)


def pushed(p_k, role, apart):
    """Return the derivative of pi_w - pi_l, called apart, by a logit s_k; its role is [k = w] - [k = l]."""
    return p_k * (role - apart)


def pull(p):
    """Return d(pi_w - pi_l)/ds: what a step on a balanced loss adds to the logits, times C eta (1 - kappa) and g^2."""
    w, r, *others = p
    return (pushed(w, 1, w - r), pushed(r, -1, w - r), *(pushed(k, 0, w - r) for k in others))


def pull_is_the_gradient(s_w, s_l, s_k, rest, others=1):
    p = softmax(s_w, s_l, s_k, rest=rest)
    (of_w, of_l, of_k), found = pull(p), [sp.diff(p[0] - p[1], s) for s in (s_w, s_l, s_k)]
    return same(found[0], of_w) & same(found[1], of_l) & same(found[2], others * of_k)


@claim("theorem-1-eq-11", "Theorem 1, Eq. (11)", MISPRINT)
def eq_11(world: Bandit) -> bool:
    r"""\Delta^j s_i=C\eta g^2\tau_{ij}(1-\kappa_{ij})(1-\pi_i+\pi_j)

    Assumes: $f=C(\pi_w-\pi_l)$; Assumptions 1 and 2
    Because: A factor $\pi_i$ is lost (the proof of Theorem 2 has it), and no C makes up for it, since it differs
    between the two responses; the logits outside the pair move too.
    Proof: $\Delta s_i=C\eta g^2\tau_{ij}(1-\kappa_{ij})\,\pi_i(1-\pi_i+\pi_j)$ for the pair and
    $\Delta s_k=-C\eta g^2(1-\kappa)\,\pi_k(\pi_w-\pi_l)$ for the others, by Lemma 1; together zero.
    """
    w, r, *_ = world.p
    of_w, of_l, *_ = pull(world.p)
    return of_w * (1 - r + w) == -of_l * (1 - w + r)  # the ratio of both changes, which no constant alters


UNEVEN, EVEN = Bandit.of([1, 2, 3], q=[1, 1, 1]), Bandit.of([1, 1, 1], q=[1, 1, 1])
eq_11.false(at=UNEVEN, true_at=EVEN)
eq_11.derived(of=pull_is_the_gradient, symbols=LOGITS, role=CORRECTED, wrong={"others": F(9, 10)})


@claim("theorem-2-proof", "proof of Theorem 2, its last sentences", FALSE, "theorem-1-eq-11")
def theorem_2_proof(world: Bandit) -> bool:
    r"""\Delta_b^j s_i=C\,\pi_i\,\Delta_d^j s_i

    Assumes: one sample and the urgency $1-\kappa$ of either loss; $\Delta_b$ is for a balanced loss, $\Delta_d$ for DPO
    Because: The changes are as $\pi_w(1-\pi_w+\pi_l)$ to $\pi_l(1-\pi_l+\pi_w)$, not as $\pi_w$ to $\pi_l$, which
    Eq. (13) makes up for; and DPO moves no logit outside the pair, a balanced loss moves all of them. That decides
    Eq. (14).
    """
    of_w, of_l, *others = pull(world.p)
    return of_w * world.p[1] == -of_l * world.p[0] and not any(others)


theorem_2_proof.false(at=UNEVEN, true_at=EVEN)


@claim("theorem-1-constant", 'Theorem 1, "where C is a constant"', CONDITIONALLY)
def constant(case):
    r"""f_{\pi_w}+f_{\pi_l}=0\implies\frac{\partial f}{\partial\pi_w}=C\ \text{for every policy}

    Assumes: f is affine
    Because: The condition leaves $f=F(\pi_w-\pi_l)$ with any function F, and $C=F'(\pi_w-\pi_l)$ moves with the policy,
    as for the cubic $F(u)=au^3+bu$.
    Proof: In $u=\pi_w-\pi_l$, $v=\pi_w+\pi_l$ the condition is $\partial f/\partial v=0$; an affine F has a constant
    derivative.
    """
    first, second = (3 * case.a * u**2 + case.b for u in (case.u, case.other_u))
    return first == second


def what_is_balanced(u, v, f, a, b, both=1):
    """The derivative along v is half the sum of both partial derivatives; and those of the cubic are opposite."""
    w, r = sp.symbols("w r", real=True)
    at = {w: (u + v) / 2, r: (v - u) / 2}
    total = (sp.diff(f(w, r), w) + both * sp.diff(f(w, r), r)) / 2
    along = same(sp.diff(f(w, r).subs(at, simultaneous=True), v).doit(), total.subs(at, simultaneous=True).doit())
    cubic, slope = a * (w - r) ** 3 + b * (w - r), 3 * a * (w - r) ** 2 + b
    return along & same(sp.diff(cubic, w), slope) & same(sp.diff(cubic, r), -slope)


cubics = world_of("f = a u^3 + b u at two policies u", a="real", b="real", u="share", other_u="share")
AFFINE = Named(a=F(0), b=F(1), u=F(0), other_u=F(1, 2))
constant.false(at=Named(a=F(1), b=F(1), u=F(0), other_u=F(1, 2)), true_at=AFFINE)
constant.proved(over=cubics, given=lambda case: case.a == 0, wrong_given=lambda case: case.a >= 0)
constant.derived(of=what_is_balanced, symbols={"f": "function"}, wrong={"both": F(9, 10)}, also=True)


# --- w -------------------------------------------------------------------------------------------------------------


def step_of_size(numbers):
    """Return beta and gamma = eta beta."""
    return Named(beta=numbers.positive("beta"), gamma=numbers.positive("gamma"))


def expected_loss(t, has_i, label, odds, beta):
    """Return DPO's loss of a pair in expectation over its label, where the logit of i is t higher than it was.

    Args:
        t: how much higher.
        has_i: 1 if the first response of the pair is i, 0 if i is not in the pair.
        label: probability that the first response is preferred.
        odds: e^-f at t = 0; it changes with t, since f is beta times the difference of the logits (``log_ratio``) and
            a constant.
        beta: DPO's beta.
    """
    odds = odds * exp(-beta * has_i * t)
    return label * log(1 + odds) + (1 - label) * log(1 + 1 / odds)


def slope_of_it(t, has_i, label, odds, beta):
    return -has_i * beta * (label - 1 / (1 + odds * exp(-beta * has_i * t)))


@sums_of("rate, e^-f > 0; label between 0 and 1; has_i is 1 for a pair of i, else 0, or between", fixed=step_of_size)
def pairs(numbers, fixed):
    """Any number of pairs, of i or of two others."""
    rate, odds = numbers.positive("rate"), numbers.positive("odds")
    label, has_i = numbers.between("label", 0, 1), numbers.within("has_i", 0, 1)
    kappa, slope = 1 / (1 + odds), derivative(expected_loss, slope_of_it)
    wins, losses = has_i * rate * label * (1 - kappa), has_i * rate * (1 - label) * kappa
    gradient = rate * slope(0, has_i, label, odds, fixed.beta)
    return Named(w=wins - losses, of_others=losses - wins, excess=has_i * rate * (label - kappa), gradient=gradient)


@claim("fitness-is-the-logit-gradient", "Section 4.1, the definition of w before Theorem 2; Eqs. (37), (38)", PROVED)
def fitness_is_the_logit_gradient(s, kept=1):
    r"""w_i=\sum_{(i,j,\tau_{ij})}\tau_{ij}(1-\kappa_{ij}),\quad\mathbb{E}[w_i]=\sum_j(P_{ij}-\kappa_{ij})=
    -\frac1\beta\frac{\partial L_{dpo}}{\partial s_i},\quad\Delta s_i=\gamma w_i,\quad\sum_i w_i=0,\quad
    \log\frac{\pi_i}{\pi_j}=s_i-s_j

    Assumes: expectation over labels with $P_{ij}+P_{ji}=1$; pairs may be asked at different rates; a table of logits, a
    full batch, $\gamma=\eta\beta$ (the paper's $\beta$ is 1)
    Proof: A pair gives the response i the push $P_{ij}(1-\kappa_{ij})-P_{ji}\kappa_{ij}=P_{ij}-\kappa_{ij}$, and j its
    negative: its loss is a function of $s_i-s_j$. Sum over pairs, by induction on their number.
    """
    beta, gamma = s.fixed.beta, s.fixed.gamma
    moved = -(gamma / beta) * s.gradient
    of_i = (s.w == s.excess) & (s.excess == -s.gradient / beta) & (moved == gamma * s.w)
    return of_i & (s.w + kept * s.of_others == 0)


def log_ratio(s_w, s_l, s_k, rest, times=1):
    w, r, _ = softmax(s_w, s_l, s_k, rest=rest)
    return same(sp.log(w / r), times * (s_w - s_l))


fitness_is_the_logit_gradient.by_induction(**pairs, wrong={"kept": F(11, 10)})
fitness_is_the_logit_gradient.derived(
    of=log_ratio, symbols=LOGITS, wrong={"times": F(11, 10)}, part=r"\log\frac{\pi_i}{\pi_j}=s_i-s_j"
)
