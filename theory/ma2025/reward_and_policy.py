"""Equations (3) to (5), Corollaries 2 and 3: the two stages that stand for PPO, a reward model and a policy on it.

The objective of the second stage is differentiated in free probabilities, where a constant added to every derivative
means nothing: the simplex has no such direction. A verdict that a constant changes is no property of the objective.
"""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, MISPRINT, PROVED
from theory.evidence import CONDITIONAL, CORRECTED
from theory.ma2025.bandits import Bandit, normalised
from theory.ma2025.covariance import claim
from theory.ma2025.support import excess
from theory.proof import Named, log, over_responses, same, sums_of, world_of

REWARDS = {"r_w": "real", "r_l": "real"}
two_rewards = world_of("e^r > 0", x="positive", y="positive")


@claim("eq-3", "Eq. (3)", MISPRINT)
def eq_3(case, sign=1, shift=0):
    r"""L_R(r)=\mathbb{E}\,[\log\sigma(r_w-r_l)]

    Assumes: a loss is something to be minimised: a descent step on it raises the reward of the chosen response and
    lowers that of the rejected one
    Because: The minus sign is missing: a descent step on the printed loss lowers the reward of the chosen response.
    Proof: $\partial(-\log\sigma(r_w-r_l))/\partial r_w=-\sigma(r_l-r_w)<0$.
    """
    slope = sign * case.y / (case.x + case.y) + shift  # by r_w; that by r_l is the negative
    return -slope > 0 > slope


def eq_3_mended(case, shift=0):
    return eq_3(case, -1, shift)


def slopes(r_w, r_l, opposite=-1):
    loss, slope = -sp.log(1 + sp.exp(r_l - r_w)), sp.exp(r_l) / (sp.exp(r_w) + sp.exp(r_l))
    return same(sp.diff(loss, r_w), slope) & same(sp.diff(loss, r_l), opposite * slope)


eq_3.refuted(over=two_rewards, unlike=eq_3_mended)
eq_3.proved(of=eq_3_mended, over=two_rewards, role=CORRECTED, wrong={"shift": F(1, 10)})
eq_3.derived(of=slopes, symbols=REWARDS, role=CORRECTED, wrong={"opposite": F(-9, 10)})


@claim("corollary-2", "Corollary 2; the sentence after Eq. (3)", PROVED)
def corollary_2(r_w, r_l, times=1):
    r"""\Bigl|\frac{\partial L_R}{\partial r_w}\Bigr|=\Bigl|\frac{\partial L_R}{\partial r_l}\Bigr|,\qquad
    \frac{\partial L_R}{\partial r_w}+\frac{\partial L_R}{\partial r_l}=0

    Assumes: Definition 1 with the reward $r_\phi$ in the place of $\pi_\theta$, which does not occur in the loss
    Proof: The loss depends on $r_w-r_l$ alone. The same is true of DPO in its implicit rewards.
    """
    loss = sp.log(1 + sp.exp(r_l - r_w))
    return same(sp.diff(loss, r_w) + times * sp.diff(loss, r_l), 0)


corollary_2.derived(symbols=REWARDS, wrong={"times": F(11, 10)})


# --- the policy ----------------------------------------------------------------------------------------------------


def objective(world, p):
    """Return sum_y p_y (r_y - beta log(p_y / ref_y)) with e^{r / beta} = q."""
    return world.beta * sum(a * log(q * r / a) for a, q, r in zip(p, world.q, world.ref, strict=True))


@claim("eq-4", "Eq. (4)", MISPRINT)
def eq_4(case: tuple[Bandit, int]) -> bool:
    r"""L_{ppo}(\pi)=\mathbb{E}_{x,\,y\sim\pi}\Bigl[r-\beta\log\frac{\pi}{\pi_{ref}}\Bigr]

    Assumes: a loss is something to be minimised
    Because: This is the objective that PPO maximises, not a loss: it is largest at PPO's solution
    $\pi^*\propto\pi_{ref}\,e^{r/\beta}$.
    Proof: $L_{ppo}(\pi)=L_{ppo}(\pi^*)-\beta\,\mathrm{KL}(\pi\|\pi^*)$.
    """
    world, sign = case
    solution = normalised([r * q for r, q in zip(world.ref, world.q, strict=True)])
    return sign * objective(world, solution) <= sign * objective(world, world.p)


def in_divergences(y, sign=-1):
    """With r = beta (s - ref + c) and logarithms a, s, ref of pi, pi* and pi_ref the objective is beta c - beta KL."""
    beta, c = y.one("beta").a, y.one("c").a
    of_policy = y.sum(y.p * (beta * (y.s - y.ref + c) - beta * (y.a - y.ref)))
    return same(of_policy, beta * c + sign * beta * y.sum(y.p * (y.a - y.s)))


@sums_of("p, s > 0")
def two_policies(numbers):
    """Any number of responses, with two probabilities each."""
    p, s = numbers.positive("p"), numbers.positive("s")
    return Named(divergence=p * log(p / s), p=p, s=s)


HALVES = Bandit.of([1, 1], q=[2, 1])
LOGARITHMS = over_responses(p="probability", a="any", s="any", ref="any")
eq_4.false(at=(HALVES, 1), true_at=(HALVES, -1))  # the sign is the whole claim
eq_4.derived(of=in_divergences, sums=LOGARITHMS, role=CORRECTED, wrong={"sign": F(-9, 10)})
eq_4.by_induction(  # KL >= 0: sum p log(p / s) is at least sum p - sum s, which is 0 for probabilities
    of=lambda s, more=0: s.divergence >= s.p - s.s + more, **two_policies, role=CORRECTED, wrong={"more": F(1, 100)}
)


@claim("eq-5", "Eq. (5)", CONDITIONALLY)
def eq_5(case):
    r"""\frac{\partial L_{ppo}}{\partial\pi(y|x)}=\mathbb{E}_{x\sim p_{data}}\Bigl[r(x,y)-\beta\log
    \frac{\pi(y|x)}{\pi_{ref}(y|x)}-\beta\Bigr]

    Assumes: there is one prompt; the probabilities as free coordinates
    Because: The derivative at one prompt x knows nothing of the other prompts: it is $p_{data}(x)[\dots]$ without an
    expectation.
    Proof: Differentiate $p_{data}(x)\,\pi(y|x)\,[r-\beta\log(\pi/\pi_{ref})]$ in $\pi(y|x)$.
    """
    in_symbols = isinstance(case.derivative, sp.Basic)
    return same(case.derivative, case.mean) if in_symbols else case.derivative == case.mean


def at_one_prompt(pi, ref, r, beta, other, constant=1):
    """``other`` is what all other responses add."""
    total = pi * (r - beta * sp.log(pi / ref)) + other
    return eq_5(Named(derivative=sp.diff(total, pi), mean=r - beta * sp.log(pi / ref) - constant * beta))


def of_two_prompts(share: F, here: F, elsewhere: F) -> Named:
    """Return the derivative at a prompt of this share, and the mean of the brackets of Eq. (5) there and elsewhere."""
    return Named(derivative=share * here, mean=share * here + (1 - share) * elsewhere)


eq_5.false(at=of_two_prompts(F(1, 2), F(1), F(1)), true_at=of_two_prompts(F(1), F(1), F(1)))
eq_5.derived(of=at_one_prompt, symbols={"r": "real", "other": "real"}, role=CONDITIONAL, wrong={"constant": F(11, 10)})


@claim("reward-shift", "not in the paper; Eq. (5) on the simplex", PROVED)
def reward_shift(s_k, r_k, ref_k, beta, c, rest, of_rest, kept=1):
    r"""\frac{\partial}{\partial s_k}\mathbb{E}_{y\sim\mathrm{softmax}(s)}\Bigl[r+c-\beta\log\frac{\pi}{\pi_{ref}}
    \Bigr]=\pi_k\Bigl(G_k-\sum_j\pi_j G_j\Bigr),\quad G=r-\beta\log\frac{\pi}{\pi_{ref}}-\beta,\quad\text{free of}\ c

    Proof: Differentiate; $\log\pi_j=s_j-\log Z$, and the sums of $e^s$ and of $e^s(r-\beta s+\beta\log\pi_{ref})$
    over all other responses may be any numbers.
    """
    total = sp.exp(s_k) + rest
    own = r_k - beta * (s_k - sp.log(ref_k))
    without_c = (sp.exp(s_k) * own + of_rest) / total + beta * sp.log(total)
    p_k, mean = sp.exp(s_k) / total, without_c - beta  # mean of G
    G_k = r_k - beta * (sp.log(p_k) - sp.log(ref_k)) - beta
    return same(sp.diff(without_c + c, s_k), p_k * (G_k - kept * mean))


reward_shift.derived(symbols=dict.fromkeys(("s_k", "r_k", "c", "of_rest"), "real"), wrong={"kept": F(9, 10)})


@claim("optimal-reward", "Section 3.1, the sentence after Eq. (5)", CONDITIONALLY)
def optimal_reward(case, level=0):
    r"""r^*(x,y)\propto\log P_{\mathcal{D}}(y|x)\quad\text{for the reward that the loss of Eq. (3) is least at}

    Assumes: the data distribution is a power of the utility, $P_{\mathcal{D}}^c\propto u$
    Because: The reward model learns $\log u$ from who wins, whatever the frequency with which responses are shown: with
    $P_{\mathcal{D}}$ uniform the claim would leave no preferences at all.
    Proof: A pair's expected loss is least where $\sigma(r_i-r_j)=P_{ij}=u_i/(u_i+u_j)$, and nowhere else: at
    $r=\log u$ all pairs' losses are, and for other r, up to a constant, one of them is not.
    """
    label, kappa = case.u_i / (case.u_i + case.u_j), case.a_i / (case.a_i + case.a_j)  # a = e^r = P_D^c
    return kappa == label and (case.other == label or excess(label, case.other) > level)


def is_a_power(case, times=1):
    return case.u_i * case.a_j == times * case.u_j * case.a_i


def exactly_then(case, times=1):
    label, kappa = case.u_i / (case.u_i + case.u_j), case.a_i / (case.a_i + case.a_j)
    return (label == kappa) == is_a_power(case, times)


WORDS = "e^r and u of two responses > 0; any other kappa"
any_pair = world_of(WORDS, **dict.fromkeys(("a_i", "a_j", "u_i", "u_j"), "positive"), other="share")
SHOWN_ALIKE = Named(a_i=F(1), a_j=F(1), u_i=F(2), u_j=F(1), other=F(2, 3))
optimal_reward.false(at=SHOWN_ALIKE, true_at=Named(a_i=F(4), a_j=F(1), u_i=F(4), u_j=F(1), other=F(2, 3)))
optimal_reward.proved(over=any_pair, given=is_a_power, wrong={"level": F(1, 100)})
optimal_reward.proved(of=exactly_then, over=any_pair, wrong={"times": F(11, 10)}, also=True)


@claim("corollary-3", "Corollary 3", FALSE, "corollary-3-difference", "reward-shift")
def corollary_3(case: Named) -> bool:
    r"""r_w>r_l\implies\Bigl|\frac{\partial L_{ppo}}{\partial\pi_w}\Bigr|>
    \Bigl|\frac{\partial L_{ppo}}{\partial\pi_l}\Bigr|

    Assumes: free coordinates, as Definition 1 has it; a good reward model prefers the winner
    Because: A constant added to the reward decides it, and moves no policy. With the paper's own
    $r^*=\log P_{\mathcal{D}}\le 0$, $P_{\mathcal D}=(3/4,1/4)$, $\beta=1$, the loser's derivative is the larger one at
    $\pi=\pi_{ref}$; with $r^*+5$ the winner's; with $r^*+1-\frac12\log\frac3{16}$ they balance.
    """
    chosen, rejected = (log(p) + case.shift - 1 for p in (case.P_w, case.P_l))
    return abs(chosen) > abs(rejected)


def balanced_at(P_w, P_l, half=F(1, 2)):
    """With this constant both derivatives are opposite."""
    shift = 1 - sp.Rational(half) * sp.log(P_w * P_l)
    return same((sp.log(P_w) + shift - 1) + (sp.log(P_l) + shift - 1), 0)


corollary_3.false(at=Named(P_w=F(3, 4), P_l=F(1, 4), shift=0), true_at=Named(P_w=F(3, 4), P_l=F(1, 4), shift=5))
corollary_3.derived(of=balanced_at, wrong={"half": F(1, 3)}, also=True)


@claim("corollary-3-difference", "not in the paper; what is true of Corollary 3", PROVED)
def corollary_3_difference(w, r, ref_w, ref_l, r_w, r_l, c, sign=1):
    r"""\frac{\partial L_{ppo}}{\partial\pi_w}-\frac{\partial L_{ppo}}{\partial\pi_l}=r_w-r_l-(h_w-h_l),\quad
    h=\beta\log\frac{\pi}{\pi_{ref}};\qquad=0\ \text{at}\ \pi\propto\pi_{ref}\,e^{r/\beta}

    Assumes: one prompt
    Proof: Subtract Eq. (5) at the two responses: all constants cancel. At the optimum h = r + const.
    """
    beta, z = sp.symbols("beta z", positive=True)
    total = w * (r_w + c - beta * sp.log(w / ref_w)) + r * (r_l + c - beta * sp.log(r / ref_l))
    difference = sp.diff(total, w) - sp.diff(total, r)
    optimum = {w: ref_w * sp.exp(r_w / beta) / z, r: ref_l * sp.exp(r_l / beta) / z}
    h_w, h_l = beta * sp.log(w / ref_w), beta * sp.log(r / ref_l)
    return same(difference, r_w - r_l - sign * (h_w - h_l)) & same(difference.subs(optimum), 0)


corollary_3_difference.derived(symbols=dict.fromkeys(("r_w", "r_l", "c"), "real"), wrong={"sign": F(9, 10)})
