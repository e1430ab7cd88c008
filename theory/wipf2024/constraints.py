"""Proposition 3.1, Eq. (7): a constraint can part the minimisers of RLHF and DPO; the smallest settings."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction as F

from theory.claim import PROVED
from theory.proof import Named, Numbers, derivative, exp, log, setting
from theory.proof.family import Family
from theory.proof.settings import either
from theory.statement import ALL_CASES, THERE_IS
from theory.wipf2024.claims import claim
from theory.wipf2024.logarithms import ZERO, Logs
from theory.wipf2024.objectives import Setting, Vector, divergence, minimisers, pair
from theory.wipf2024.two_responses import OF_A_PAIR, dpo, sigmoid, slope_of_dpo

# every setting here has a uniform reference and beta = 1, so that pi* gives it, and RLHF is KL(pi, pi*) and a constant
SKEWED = Setting.plain(pair(F(3, 4)))
HOLE = (pair(F(1, 4)), pair(F(99, 100)))

PROMPTS = (Setting.plain(pair(F(1, 2))), Setting.plain(pair(F(9, 10))))
THREE = Setting.plain((F(1, 11), F(9, 11), F(1, 11)))


def tied_prompts(loss: str, p: F, prompts: tuple[Setting, ...] = PROMPTS) -> Logs:
    """Return a loss of the policy that gives y_1 the probability p at every prompt, averaged over the prompts."""
    return sum((getattr(s, loss)(pair(p)) for s in prompts), ZERO) / len(prompts)


def tied_responses(loss: str, s: F) -> Logs:
    """Return a loss of the policy (s, s, 1 - 2s) at THREE; "forward" is KL(pi*, pi)."""
    policy = (s, s, 1 - 2 * s)
    return divergence(THREE.optimum, policy) if loss == "forward" else getattr(THREE, loss)(policy)


def splits(s: Setting, policies: tuple[Vector, ...]) -> bool:
    """Return whether the best of these policies by RLHF differ from the best by DPO."""
    return minimisers(s.rlhf, policies) != minimisers(s.dpo, policies)


@claim("proposition-3.1", "Proposition 3.1, Eq. (7)", PROVED)
def proposition_3_1(case):
    r"""\exists\,S_\pi,\pi_{\mathrm{ref}},r^*,\lambda:\ \arg\min_{\pi\in S_\pi}\ell_{\mathrm{RLHF}}
    (\pi,\pi_{\mathrm{ref}},r^*,\lambda)\ne\arg\min_{\pi\in S_\pi}\ell_{\mathrm{DPO}}(\pi,\pi_{\mathrm{ref}},\lambda)

    Assumes: $\ell_{\mathrm{DPO}}$ is the expected loss under Bradley-Terry labels of the same $r^*$
    Because: True, but not for the reason given: the paper's proof stops at two divergences that differ and names no
    $S_\pi$. In its setting, two responses, they part on no interval (wipf2024.two-responses). What is needed is a set
    with a hole, a constraint that couples prompts, or a third response.
    Proof: By exhibiting one: wipf2024.minimal-hole, wipf2024.minimal-tied-prompts and wipf2024.minimal-tied-responses
    are the smallest of each kind, wipf2024.minimal-trust-region is one met in practice.
    """
    chosen, policies = case
    return splits(chosen, policies)


def parted_by_tying(case):
    by_rlhf, by_dpo = case
    rlhf, dpo = (tied_prompts(loss, by_rlhf) - tied_prompts(loss, by_dpo) for loss in ("rlhf", "dpo"))
    return rlhf.sign() < 0 < dpo.sign()


proposition_3_1.evaluated(
    [(SKEWED, HOLE)], meaning=THERE_IS, wrong=lambda case: splits(case[0], (*case[1], SKEWED.optimum))
)
proposition_3_1.evaluated(
    [(F(3, 4), F(7, 10))],
    of=parted_by_tying,
    meaning=THERE_IS,
    wrong=lambda case: parted_by_tying((case[1], case[0])),
    also=True,
)


@claim("minimal-hole", "not in the paper; an instance of Proposition 3.1", PROVED)
def minimal_hole(upper):
    r"""S=\{\tfrac14,\tfrac{99}{100}\},\ \pi^*(y_1)=\tfrac34:\quad
    \arg\min_{p\in S}\ell_{\mathrm{RLHF}}=\tfrac{99}{100},\quad\arg\min_{p\in S}\ell_{\mathrm{DPO}}=\tfrac14

    Assumes: one prompt, two responses, $p=\pi(y_1)$, uniform reference, $\lambda=1$
    Because: The same for $S=[0,\frac14]\cup[\frac{99}{100},1]$, since both losses fall up to $\frac34$ and rise beyond.
    DPO's choice even ranks the two responses the wrong way round.
    Proof: $\mathrm{KL}(\pi\|\pi^*)$ is 0.5493 at $\frac14$ and 0.2427 at $\frac{99}{100}$; $\mathrm{KL}(\pi^*\|\pi)$ is
    0.5493 and 0.5965.
    """
    policies = (pair(F(1, 4)), pair(upper))
    return minimisers(SKEWED.rlhf, policies) == [policies[1]] and minimisers(SKEWED.dpo, policies) == [policies[0]]


minimal_hole.evaluated([F(99, 100)], meaning=ALL_CASES, wrong=lambda _: minimal_hole(F(98, 100)))


# --- tied prompts --------------------------------------------------------------------------------------------------


def any_logit(losses: Iterable[str]) -> Family:
    """Return the family of every policy with one free logit, with each of some losses."""

    def of(loss: str) -> Family:
        return setting("any logit")(lambda numbers: Named(loss=loss, logit=numbers.real("logit")))

    return either("any logit, for each loss", "", {loss: of(loss) for loss in losses})


def log_of_9(like):
    return 2 * log(3 + 0 * like)


@claim("minimal-tied-prompts", "not in the paper; an instance of Proposition 3.1", PROVED)
def minimal_tied_prompts(c, rlhf=F(3, 4)):
    r"""\pi^*(y_1|x_1)=\tfrac12,\ \pi^*(y_1|x_2)=\tfrac9{10},\ \pi(y_1|x_1)=\pi(y_1|x_2)=p:\quad
    \arg\min_p\ell_{\mathrm{RLHF}}=\tfrac34,\quad\arg\min_p\ell_{\mathrm{DPO}}=\tfrac7{10}

    Assumes: two prompts of equal weight, two responses, uniform reference, $\lambda=1$; a policy blind to the prompt,
    which is a convex set
    Proof: RLHF averages logits, $\mathrm{logit}\,p=\frac12\sum_x\mathrm{logit}\,q_x$; DPO averages probabilities,
    $p=\frac12\sum_xq_x$: the slopes of both losses have the sign of the difference. The two agree only if $q_1=q_2$ or
    $q_1+q_2=1$.
    """
    rewards = 0, log_of_9(c.logit)
    slope = sum(derivative(*OF_A_PAIR[c.loss])(c.logit, 1, 0, reward, 0) for reward in rewards)
    return (slope > 0) == (sigmoid(c.logit) > {"RLHF": rlhf, "DPO": F(7, 10)}[c.loss])


@setting("0 < q_1, q_2 < 1")
def two_targets(numbers: Numbers) -> Named:
    """Every pi*(y_1) at two prompts."""
    return Named(first=numbers.between("first", 0, 1), second=numbers.between("second", 0, 1))


def means_agree_only_if(c, total=1):
    mean, both = (c.first + c.second) / 2, c.first * c.second
    agree = mean**2 * (1 - c.first) * (1 - c.second) == (1 - mean) ** 2 * both
    return agree == ((c.first == c.second) | (c.first + c.second == total))


minimal_tied_prompts.proved(over=any_logit(OF_A_PAIR), wrong={"rlhf": F(76, 100)}, lemma="monotone")
minimal_tied_prompts.proved(over=two_targets, of=means_agree_only_if, wrong={"total": F(9, 10)}, also=True)


# --- tied responses ------------------------------------------------------------------------------------------------


@claim("minimal-tied-responses", "not in the paper; an instance of Proposition 3.1", PROVED)
def minimal_tied_responses(c, rlhf=F(3, 7)):
    r"""\pi^*=\tfrac1{11}(1,9,1),\ \pi=(s,s,1-2s):\quad\arg\min_s\ell_{\mathrm{RLHF}}=\tfrac37,\quad
    \arg\min_s\ell_{\mathrm{DPO}}=\tfrac7{17},\quad\arg\min_s\mathrm{KL}(\pi^*\|\pi)=\tfrac5{11}

    Assumes: one prompt, three responses of which a policy must treat two alike (a convex set), uniform reference,
    $\lambda=1$
    Because: Three objectives, three answers: with three responses DPO is not the forward divergence either.
    Proof: RLHF: $\ln\frac{s^2}{(1-2s)^2}=\ln 9$. DPO: both pairs with the third response ask for its odds, 1 to 1 and 9
    to 1; $\frac{s}{1-s}=\frac{7}{10}$ is the mean. The forward divergence matches the mass of the tied pair,
    $2s=\frac{10}{11}$. The slopes have the sign of the difference from these.
    """
    best = {"RLHF": rlhf, "DPO": F(7, 17), "forward divergence": F(5, 11)}
    slope = derivative(*OF_A_TIE[c.loss])(c.logit, log_of_9(c.logit))
    return (slope > 0) == (tied(c.logit)[0] > best[c.loss])


def tied(logit):
    """Return the policy (s, s, 1 - 2 s) by the logit of a tied response against the third."""
    total = 1 + 2 * exp(logit)
    return exp(logit) / total, exp(logit) / total, 1 / total


def optimum(reward):
    """Return pi* of three responses, of which the second alone has a reward."""
    total = 2 + exp(reward)
    return 1 / total, exp(reward) / total, 1 / total


def backward(logit, reward):
    return sum(p * log(p / q) for p, q in zip(tied(logit), optimum(reward), strict=True))


def slope_of_backward(logit, reward):
    return exp(logit) / (1 + 2 * exp(logit)) ** 2 * (2 * logit - reward)


def forward(logit, reward):
    return sum(q * log(q / p) for p, q in zip(tied(logit), optimum(reward), strict=True))


def slope_of_forward(logit, reward):
    return 2 * tied(logit)[0] - 1 + optimum(reward)[0]


def of_pairs(logit, reward):  # of the tied ones with the third; that of the tied two is constant
    return dpo(logit, 1, 0, 0, 0) + dpo(logit, 1, 0, reward, 0)


def slope_of_pairs(logit, reward):
    return slope_of_dpo(logit, 1, 0, 0, 0) + slope_of_dpo(logit, 1, 0, reward, 0)


OF_A_TIE = {
    "RLHF": (backward, slope_of_backward),
    "DPO": (of_pairs, slope_of_pairs),
    "forward divergence": (forward, slope_of_forward),
}
minimal_tied_responses.proved(over=any_logit(OF_A_TIE), wrong={"rlhf": F(4, 9)}, lemma="monotone")
