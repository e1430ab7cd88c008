"""Proposition 3.1, Eq. (7): a constraint can part the minimisers of RLHF and DPO; the smallest settings."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.wipf2024.logarithms import ZERO, Logs, log
from theory.wipf2024.objectives import Setting, Vector, divergence, minimisers, pair, show, squares

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


@dataclass(frozen=True)
class Segment:
    """A setting with three responses and a line of policies."""

    setting: Setting
    ends: tuple[Vector, Vector]

    @property
    def policies(self) -> tuple[Vector, ...]:
        """Return the ends of the line and the policy midway."""
        start, end = self.ends
        return start, tuple((a + b) / 2 for a, b in zip(start, end, strict=True)), end

    def __str__(self) -> str:
        return f"{self.setting} between {show(self.ends[0])} and {show(self.ends[1])}"


def segments(source: random.Random) -> Segment:
    """Draw the optimum and two ends, all over three responses."""
    return Segment(Setting.plain(squares(source, 3)), (squares(source, 3), squares(source, 3)))


@claim(
    "wipf2024.proposition-3.1",
    source="Proposition 3.1, Eq. (7)",
    says=r"\exists\,S_\pi,\pi_{\mathrm{ref}},r^*,\lambda:\ \arg\min_{\pi\in S_\pi}\ell_{\mathrm{RLHF}}"
    r"(\pi,\pi_{\mathrm{ref}},r^*,\lambda)\ne\arg\min_{\pi\in "
    r"S_\pi}\ell_{\mathrm{DPO}}(\pi,\pi_{\mathrm{ref}},\lambda)",
    assumes=r"$\ell_{\mathrm{DPO}}$ is the expected loss under Bradley-Terry labels of the same $r^*$",
    verdict=PROVED,
    because="True, but not for the reason given: the paper's proof stops at two divergences that differ and names no "
    r"$S_\pi$. In its setting, two responses, they part on no interval (`wipf2024.two-responses`). What is needed is "
    "a set with a hole, a constraint that couples prompts, or a third response.",
    proof="By exhibiting one: `wipf2024.minimal-hole`, `wipf2024.minimal-tied-prompts` and "
    "`wipf2024.minimal-tied-responses` are the smallest of each kind, `wipf2024.minimal-trust-region` is one met in "
    "practice.",
)
def proposition_3_1(evidence: Evidence) -> None:
    """Exact witnesses; and random lines of policies over three responses, which part the two often."""
    evidence.proves(
        lambda: splits(SKEWED, HOLE),
        control=lambda: splits(SKEWED, (*HOLE, SKEWED.optimum)),
        by="a set of two policies, two responses; control: the optimum added to the set",
    )
    evidence.proves(
        lambda: (
            tied_prompts("rlhf", F(3, 4)) < tied_prompts("rlhf", F(7, 10))
            and tied_prompts("dpo", F(7, 10)) < tied_prompts("dpo", F(3, 4))
        ),
        control=lambda: tied_prompts("dpo", F(3, 4)) < tied_prompts("dpo", F(7, 10)),
        by="two prompts with one policy, two responses; control: DPO prefers RLHF's choice",
    )
    evidence.finds(
        lambda c: not splits(c.setting, c.policies),
        segments,
        role=ALSO,
        control=lambda c: not splits(c.setting, (*c.policies, c.setting.optimum)),
    )


@claim(
    "wipf2024.minimal-hole",
    source="not in the paper; an instance of Proposition 3.1",
    says=r"S=\{\tfrac14,\tfrac{99}{100}\},\ \pi^*(y_1)=\tfrac34:\quad"
    r"\arg\min_{p\in S}\ell_{\mathrm{RLHF}}=\tfrac{99}{100},\quad\arg\min_{p\in S}\ell_{\mathrm{DPO}}=\tfrac14",
    assumes=r"one prompt, two responses, $p=\pi(y_1)$, uniform reference, $\lambda=1$",
    verdict=PROVED,
    because=r"The same for $S=[0,\frac14]\cup[\frac{99}{100},1]$, since both losses fall up to $\frac34$ and rise "
    "beyond. DPO's choice even ranks the two responses the wrong way round.",
    proof=r"$\mathrm{KL}(\pi\|\pi^*)$ is 0.5493 at $\frac14$ and 0.2427 at $\frac{99}{100}$; "
    r"$\mathrm{KL}(\pi^*\|\pi)$ is 0.5493 and 0.5965.",
)
def minimal_hole(evidence: Evidence) -> None:
    """Exact comparison of both losses at both policies."""

    def choices(upper: F) -> tuple[list[Vector], list[Vector]]:
        policies = (pair(F(1, 4)), pair(upper))
        return minimisers(SKEWED.rlhf, policies), minimisers(SKEWED.dpo, policies)

    def printed(upper: F) -> bool:
        return choices(upper) == ([pair(upper)], [pair(F(1, 4))])

    evidence.proves(
        lambda: printed(F(99, 100)),
        control=lambda: printed(F(98, 100)),
        by="exact comparison of sums of logarithms; control: 98/100 in place of 99/100",
    )


@claim(
    "wipf2024.minimal-tied-prompts",
    source="not in the paper; an instance of Proposition 3.1",
    says=r"\pi^*(y_1|x_1)=\tfrac12,\ \pi^*(y_1|x_2)=\tfrac9{10},\ \pi(y_1|x_1)=\pi(y_1|x_2)=p:\quad"
    r"\arg\min_p\ell_{\mathrm{RLHF}}=\tfrac34,\quad\arg\min_p\ell_{\mathrm{DPO}}=\tfrac7{10}",
    assumes=r"two prompts of equal weight, two responses, uniform reference, $\lambda=1$; a policy blind to the "
    "prompt, which is a convex set",
    verdict=PROVED,
    proof=r"RLHF averages logits, $\mathrm{logit}\,p=\frac12\sum_x\mathrm{logit}\,q_x$; DPO averages probabilities, "
    r"$p=\frac12\sum_xq_x$. The two agree only if $q_1=q_2$ or $q_1+q_2=1$.",
)
def minimal_tied_prompts(evidence: Evidence) -> None:
    """Each optimum beats every other p; SymPy solves for both; and when the two means agree."""
    evidence.holds(
        lambda p: tied_prompts("rlhf", p) > tied_prompts("rlhf", F(3, 4)) or p == F(3, 4),
        near_three_quarters,
        control=lambda p: tied_prompts("rlhf", p) > tied_prompts("rlhf", F(7, 10)) or p == F(7, 10),
    )
    evidence.holds(
        lambda p: tied_prompts("dpo", p) > tied_prompts("dpo", F(7, 10)) or p == F(7, 10),
        near_three_quarters,
        control=lambda p: tied_prompts("dpo", p) > tied_prompts("dpo", F(3, 4)) or p == F(3, 4),
    )
    p = sp.Symbol("p", positive=True)
    half, nine = sp.Rational(1, 2), sp.Rational(9, 10)

    def kl(a: sp.Expr, b: sp.Expr) -> sp.Expr:
        return a * sp.log(a / b) + (1 - a) * sp.log((1 - a) / (1 - b))

    def solves(loss: sp.Expr, root: sp.Rational) -> bool:
        slope = sp.diff(loss, p)
        return sp.simplify(sp.expand_log(slope.subs(p, root), force=True)) == 0

    backward, forward = kl(p, half) + kl(p, nine), kl(half, p) + kl(nine, p)
    evidence.proves(
        lambda: solves(backward, sp.Rational(3, 4)) and solves(forward, sp.Rational(7, 10)),
        control=lambda: solves(backward, sp.Rational(7, 10)) or solves(forward, sp.Rational(3, 4)),
        by="SymPy, slopes of the two divergences",
    )

    def agree_only_if(c: tuple[F, F], total: F = F(1)) -> bool:
        mean = (c[0] + c[1]) / 2
        same = logit(c[0]) + logit(c[1]) == 2 * logit(mean)
        return same == (c[0] == c[1] or c[0] + c[1] == total)

    evidence.holds(agree_only_if, two_targets, role=ALSO, control=lambda c: agree_only_if(c, total=F(9, 10)))


def logit(p: F) -> Logs:
    """Return ln(p / (1 - p))."""
    return log(p / (1 - p))


def near_three_quarters(source: random.Random) -> F:
    """Draw a probability, most often between 3/5 and 9/10."""
    return F(source.randint(1, 199), 200) if source.random() < 0.3 else F(source.randint(120, 180), 200)


def two_targets(source: random.Random) -> tuple[F, F]:
    """Draw pi*(y_1) at two prompts, at times equal or with sum 1."""
    q = F(source.randint(1, 19), 20)
    return q, source.choice((q, 1 - q, F(source.randint(1, 19), 20)))


@claim(
    "wipf2024.minimal-tied-responses",
    source="not in the paper; an instance of Proposition 3.1",
    says=r"\pi^*=\tfrac1{11}(1,9,1),\ \pi=(s,s,1-2s):\quad\arg\min_s\ell_{\mathrm{RLHF}}=\tfrac37,\quad"
    r"\arg\min_s\ell_{\mathrm{DPO}}=\tfrac7{17},\quad\arg\min_s\mathrm{KL}(\pi^*\|\pi)=\tfrac5{11}",
    assumes="one prompt, three responses of which a policy must treat two alike (a convex set), uniform reference, "
    r"$\lambda=1$",
    verdict=PROVED,
    because="Three objectives, three answers: with three responses DPO is not the forward divergence either.",
    proof=r"RLHF: $\ln\frac{s^2}{(1-2s)^2}=\ln 9$. DPO: both pairs with the third response ask for its odds, 1 to 1 "
    r"and 9 to 1; $\frac{s}{1-s}=\frac{7}{10}$ is the mean. The forward divergence matches the mass of the tied pair, "
    r"$2s=\frac{10}{11}$.",
)
def minimal_tied_responses(evidence: Evidence) -> None:
    """Each of the three optima beats every other s by its own objective, and the next one does not."""
    optima = {"rlhf": F(3, 7), "dpo": F(7, 17), "forward": F(5, 11)}

    def least_at(loss: str, optimum: F) -> Callable[[F], bool]:
        return lambda s: tied_responses(loss, s) > tied_responses(loss, optimum) or s == optimum

    for loss, wrong in (("rlhf", F(5, 11)), ("dpo", F(3, 7)), ("forward", F(3, 7))):
        evidence.holds(least_at(loss, optima[loss]), near_two_fifths, control=least_at(loss, wrong), worlds=200)

    s = sp.Symbol("s", positive=True)

    def asked(p: sp.Expr, times: int) -> sp.Expr:  # loss of a pair whose first response should win p of the time
        return -times * (p * sp.log(s / (1 - s)) + (1 - p) * sp.log((1 - 2 * s) / (1 - s)))

    loss = asked(sp.Rational(1, 2), 1) + asked(sp.Rational(9, 10), 1)
    evidence.proves(
        lambda: sp.solve(sp.together(sp.diff(loss, s)), s) == [sp.Rational(7, 17)],
        control=lambda: (
            sp.solve(sp.together(sp.diff(loss + asked(sp.Rational(1, 2), 1), s)), s) == [sp.Rational(7, 17)]
        ),
        by="SymPy solves for DPO's optimum; control: one pair counted twice",
    )


def near_two_fifths(source: random.Random) -> F:
    """Draw a probability below 1/2, most often between 2/5 and 1/2."""
    return F(source.randint(1, 99), 200) if source.random() < 0.3 else F(source.randint(160, 199), 400)
