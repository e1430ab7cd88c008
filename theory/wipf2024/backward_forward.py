"""Appendix C, Eqs. (15) to (23): RLHF as a backward and DPO as a forward divergence, with two responses."""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import CONDITIONALLY, MISPRINT, PROVED, claim
from theory.evidence import ALSO, CONDITIONAL, CORRECTED, Evidence
from theory.wipf2024.logarithms import ZERO, Logs, log, power
from theory.wipf2024.objectives import (
    Case,
    Setting,
    Vector,
    divergence,
    pair,
    plain,
    plain_pair,
    setting,
    two_with_policies,
    with_policies,
)


def bt_optimal(s: Setting, *, first_only: bool = False) -> Vector:
    """Return pi* of Eq. (15), e^r* / Z without the reference; ``first_only``: with the reward of y_1, as printed."""
    weights = [s.preference(y, 0) / s.preference(0, y) if y else F(1) for y in s.responses]  # e^(r*(y) - r*(y_1))
    total = sum(weights)
    return tuple((weights[0] if first_only else w) / total for w in weights)


@claim(
    "wipf2024.eq-15",
    source="Eq. (15) and the definition after it",
    says=r"p^*(y_1\succ y_2|x)=\frac{\pi^*(y_1|x)}{\pi^*(y_1|x)+\pi^*(y_2|x)},\qquad"
    r"\pi^*(y|x):=\frac{\exp[r^*(y_1,x)]}{Z(x)},\quad Z(x):=\sum_y\exp[r^*(y,x)]",
    verdict=MISPRINT,
    because=r"The definition has $r^*(y_1,x)$ for $r^*(y,x)$: as printed $\pi^*$ gives every response the same value "
    "and does not sum to 1.",
    proof=r"With $\pi^*(y|x)=\exp[r^*(y,x)]/Z(x)$ divide numerator and denominator of the Bradley-Terry model by "
    "$Z(x)$.",
)
def eq_15(evidence: Evidence) -> None:
    """The printed pi* makes every preference 1/2; the corrected one gives the model of Bradley and Terry."""

    def identity(s: Setting, first_only: bool) -> bool:
        policy = bt_optimal(s, first_only=first_only)
        model = all(s.preference(i, j) == policy[i] / (policy[i] + policy[j]) for i, j in s.pairs)
        return model and sum(policy) == 1

    evidence.fails(
        lambda s: identity(s, first_only=True), at=Setting.plain(pair(F(3, 4))), control=Setting.plain(pair(F(1, 2)))
    )
    evidence.holds(
        lambda s: identity(s, first_only=False),
        setting,
        role=CORRECTED,
        control=lambda s: all(s.preference(i, j) == s.optimum[i] / (s.optimum[i] + s.optimum[j]) for i, j in s.pairs),
    )


@claim(
    "wipf2024.eq-16",
    source="Eq. (16)",
    says=r"\ell_{\mathrm{RLHF}}(\pi_\theta,\pi_{\mathrm{ref}},r^*,\lambda)\equiv"
    r"\mathbb{E}_x\,\mathrm{KL}\bigl[\pi_\theta(y|x)\,\|\,\pi^{**}(y|x)\bigr]",
    assumes=r"$\equiv$ is up to the factor $\lambda$ and the constant $-\lambda\,\mathbb{E}_x\ln Z(x)$",
    verdict=PROVED,
    proof=r"$\lambda\ln\pi^{**}=\lambda\ln\pi_{\mathrm{ref}}+r^*-\lambda\ln Z$; take the expectation of "
    r"$\lambda\ln\pi_\theta-\lambda\ln\pi^{**}$ under $\pi_\theta$.",
)
def eq_16(evidence: Evidence) -> None:
    """Differences between two policies: beta times a difference of divergences."""

    def identity(c: Case, beta: F | None = None) -> bool:
        s = c.setting
        difference = divergence(c.policy, s.optimum) - divergence(c.other, s.optimum)
        return s.rlhf(c.policy) - s.rlhf(c.other) == (s.beta if beta is None else beta) * difference

    evidence.holds(identity, with_policies, control=lambda c: identity(c, beta=F(1)), worlds=200)


@claim(
    "wipf2024.eq-17-normaliser",
    source="Eq. (17), with the Z(x) defined after Eq. (15)",
    says=r"\pi^{**}(y|x):=\frac{1}{Z(x)}\pi_{\mathrm{ref}}(y|x)\exp\Bigl[\frac1\lambda r^*(y,x)\Bigr],"
    r"\qquad Z(x):=\sum_y\exp[r^*(y,x)]",
    verdict=MISPRINT,
    because=r"One letter for two sums. Appendix C defines $Z(x)$ without the reference; with that one $\pi^{**}$ sums "
    r"to $\frac12$ in the paper's own setting. Meant is the $Z(x)$ of Eq. (4).",
    proof=r"With $Z(x)=\sum_y\pi_{\mathrm{ref}}(y|x)\exp[r^*(y,x)/\lambda]$ the sum is 1.",
)
def eq_17(evidence: Evidence) -> None:
    """The sum of the printed policy, with either normaliser."""

    def sums_to_one(s: Setting, reference: bool) -> bool:
        weights = [a * t for a, t in zip(s.reference, s.tilt, strict=True)]
        normaliser = s.partition if reference else sum(power(t, s.beta) for t in s.tilt)
        return sum(weights) / normaliser == 1

    own_setting = Setting.plain((F(3), F(1)))
    by_accident = Setting(pair(F(1, 2)), (F(1, 2), F(1, 2)), F(2))  # e^r* = 1/4 twice: both sums are 1/2
    evidence.fails(lambda s: sums_to_one(s, reference=False), at=own_setting, control=by_accident)
    evidence.holds(
        lambda s: sums_to_one(s, reference=True),
        setting,
        role=CORRECTED,
        control=lambda s: sums_to_one(Setting(s.reference, s.tilt), reference=False),
    )


@claim(
    "wipf2024.eq-18",
    source="Eqs. (18) and (19)",
    says=r"\pi^{**}(y|x)=\frac{\exp[r^*(y,x)]}{\sum_y\exp[r^*(y,x)]}=\pi^*(y|x)",
    assumes=r"$\lambda=1$ and a reference that is uniform at each prompt, as printed",
    verdict=PROVED,
    proof="The reference cancels.",
)
def eq_18(evidence: Evidence) -> None:
    """Without reference and beta, the optimum of RLHF is the policy of Eq. (15)."""

    def same(s: Setting) -> bool:
        return s.optimum == bt_optimal(s)

    evidence.holds(lambda c: same(c.setting), plain, control=lambda c: same(Setting(c.policy, c.setting.tilt)))
    evidence.holds(
        lambda c: same(c.setting),
        plain,
        control=lambda c: same(Setting(c.setting.reference, c.setting.tilt, F(2))),
        worlds=100,
    )


@claim(
    "wipf2024.eq-20",
    source="Eq. (20)",
    says=r"\ell_{\mathrm{RLHF}}(\pi_\theta,\pi_{\mathrm{ref}},r^*,\lambda)="
    r"\mathbb{E}_x\,\mathrm{KL}\bigl[\pi_\theta(y|x)\,\|\,\pi^*(y|x)\bigr]",
    assumes=r"$\lambda=1$, uniform reference",
    verdict=MISPRINT,
    because=r"$=$ should be $\equiv$: the constant $-\mathbb{E}_x\ln Z(x)$ is missing.",
    proof=r"Eq. (16) at $\lambda=1$, with its constant: $\ell_{\mathrm{RLHF}}=\mathrm{KL}[\pi\|\pi^*]-\ln Z$.",
)
def eq_20(evidence: Evidence) -> None:
    """The two sides differ by ln Z, which is 0 only by accident."""

    def equal(c: Case, factor: int) -> bool:
        s = c.setting
        return s.rlhf(c.policy) == divergence(c.policy, bt_optimal(s)) - factor * log(s.partition)

    policy = pair(F(1, 2))
    at, centred = (Case(Setting.plain((F(3, k), F(1, k))), policy, policy) for k in (4, 2))
    evidence.fails(lambda c: equal(c, factor=0), at=at, control=centred)
    evidence.holds(lambda c: equal(c, factor=1), plain, role=CORRECTED, control=lambda c: equal(c, factor=-1))


def loss_21(s: Setting, policy: Vector) -> Logs:
    """Return the right side of Eq. (21): the expected ln((pi_w + pi_l) / pi_w)."""
    total = ZERO
    for i, j in s.pairs:
        both, wins = policy[i] + policy[j], s.preference(i, j)
        total += wins * log(both / policy[i]) + (1 - wins) * log(both / policy[j])
    return total


@claim(
    "wipf2024.eq-21",
    source="Eq. (21)",
    says=r"\ell_{\mathrm{DPO}}=\mathbb{E}_{\{y_w,y_l,x\}}\Bigl["
    r"\log\frac{\pi_\theta(y_w|x)+\pi_\theta(y_l|x)}{\pi_\theta(y_w|x)}"
    r"\Bigr]",
    assumes=r"$\lambda=1$, uniform reference, as printed; any number of responses",
    verdict=PROVED,
    proof=r"$1/\sigma(\ln a-\ln b)=1+b/a$.",
)
def eq_21(evidence: Evidence) -> None:
    """The logistic function of a log-ratio is a proportion."""

    def identity(s: Setting, policy: Vector) -> bool:
        return s.dpo(policy) == loss_21(s, policy)

    evidence.holds(
        lambda c: identity(c.setting, c.policy),
        plain,
        control=lambda c: identity(Setting(c.other, c.setting.tilt), c.policy),
    )


# --- Eq. (22) ------------------------------------------------------------------------------------------------------

LEAK = (F(2, 25), F(1, 50), F(9, 10))  # the ratio of pi* = (4/5, 1/5) on two responses, and most of the mass on a third
BEYOND = Setting((F(1, 2), F(1, 2), F(0)), (F(4), F(1), F(1)))  # the reference gives the third response no mass
ONE_PAIR = ((0, 1),)


@claim(
    "wipf2024.eq-22",
    source="Eq. (22), first and last expression",
    says=r"\ell_{\mathrm{DPO}}\equiv\mathbb{E}_x\,\mathrm{KL}\bigl[\pi^*(y|x)\,\|\,\pi_\theta(y|x)\bigr]",
    assumes=r"$\lambda=1$, uniform reference, and $\pi_\theta(y_1|x)+\pi_\theta(y_2|x)=1$",
    verdict=CONDITIONALLY,
    because=r"That the two responses are all that the reference can say does not make them all that $\pi_\theta$ can "
    "say: it may leak mass to a third. DPO is the same at $(.8,.2,0)$ and at $(.08,.02,.9)$; the divergence is not.",
    proof=r"DPO's loss of a pair is the cross-entropy of its label, which has the probabilities of $\pi^*$.",
)
def eq_22(evidence: Evidence) -> None:
    """A constant apart, if no mass leaks."""

    def identity(c: Case, backward: bool = False) -> bool:
        s = c.setting

        def kl(p: Vector) -> Logs:
            return divergence(p, s.optimum) if backward else divergence(s.optimum, p)

        return s.dpo(c.policy, ONE_PAIR) - s.dpo(c.other, ONE_PAIR) == kl(c.policy) - kl(c.other)

    tight = (F(3, 10), F(7, 10), F(0))
    evidence.fails(identity, at=Case(BEYOND, LEAK, BEYOND.optimum), control=Case(BEYOND, tight, BEYOND.optimum))
    evidence.holds(identity, plain_pair, role=CONDITIONAL, control=lambda c: identity(c, backward=True))


def line_3(s: Setting, policy: Vector, second: int) -> Logs:
    """Return the third line of Eq. (22), with the response whose probability stands in the second logarithm."""
    first, other = s.optimum
    return first * log(1 / policy[0]) + other * log(1 / policy[second])


@claim(
    "wipf2024.eq-22-line-3",
    source="Eq. (22), third line",
    says=r"\ell_{\mathrm{DPO}}=\mathbb{E}_x\Bigl[\pi^*(y_1|x)\log\frac{1}{\pi_\theta(y_1|x)}"
    r"+\pi^*(y_2|x)\log\frac{1}{\pi_\theta(y_1|x)}\Bigr]",
    assumes=r"two responses, $\lambda=1$, uniform reference",
    verdict=MISPRINT,
    because=r"The second logarithm should have $\pi_\theta(y_2|x)$. As printed the line is $-\ln\pi_\theta(y_1|x)$, "
    r"whatever $\pi^*$ is.",
    proof="The second line with Eq. (15).",
)
def eq_22_line_3(evidence: Evidence) -> None:
    """The printed line does not depend on the preferences."""

    def equal(c: Case, second: int) -> bool:
        return c.setting.dpo(c.policy) == line_3(c.setting, c.policy, second)

    s, half = Setting.plain(pair(F(3, 4))), pair(F(1, 2))
    evidence.fails(lambda c: equal(c, 0), at=Case(s, pair(F(1, 4)), half), control=Case(s, half, half))
    evidence.holds(lambda c: equal(c, 1), plain_pair, role=CORRECTED, control=lambda c: equal(c, 0))


@claim(
    "wipf2024.eq-23",
    source="Eq. (23)",
    says=r"\arg\min_{\pi_\theta}\ell_{\mathrm{RLHF}}(\pi_\theta,\pi_{\mathrm{ref}},r^*,\lambda)"
    r"=\arg\min_{\pi_\theta}\ell_{\mathrm{DPO}}(\pi_\theta,\pi_{\mathrm{ref}},\lambda)",
    assumes="the policy can give mass to $y_1$ and $y_2$ only",
    verdict=CONDITIONALLY,
    because=r"DPO does not change along $\pi\to(cq,\,c(1-q),\,1-c)$: with a third response its minimisers are a ray, "
    r"that of RLHF is one point, and $\ell_{\mathrm{RLHF}}=\infty$ elsewhere on the ray if "
    r"$\pi_{\mathrm{ref}}(y_3)=0$.",
    instead="wipf2024.dpo-is-rlhf",
    proof=r"Eqs. (20) and (22): both divergences are 0 at $\pi^*$ and positive elsewhere.",
)
def eq_23(evidence: Evidence) -> None:
    """A minimiser of DPO is the minimiser of RLHF, unless mass can leak."""

    def only_minimiser(c: Case) -> bool:
        s = c.setting
        return s.dpo(c.other, ONE_PAIR) > s.dpo(s.optimum, ONE_PAIR) or c.other == s.optimum

    tight = (F(3, 10), F(7, 10), F(0))
    at, control = (Case(BEYOND, BEYOND.reference, p) for p in (LEAK, tight))
    evidence.fails(only_minimiser, at=at, control=control)
    evidence.holds(
        only_minimiser,
        two_with_policies,
        role=CONDITIONAL,
        control=lambda c: c.setting.dpo(c.other) > c.setting.dpo(c.setting.reference) or c.other == c.setting.reference,
    )
    evidence.holds(
        lambda c: c.setting.dpo(_leaked(c.policy, F(1, 10)), ONE_PAIR) == c.setting.dpo(c.policy, ONE_PAIR),
        with_policies,
        role=ALSO,
        control=lambda c: c.setting.dpo(_leaked(c.policy, F(1, 10)), ONE_PAIR) == c.setting.dpo(c.other, ONE_PAIR),
        worlds=100,
    )


def _leaked(policy: Vector, kept: F) -> Vector:
    # all but a part of the mass moved to the last response, which is not compared if there are three
    if len(policy) == 2:
        return policy
    return (*(kept * p for p in policy[:-1]), 1 - kept * (1 - policy[-1]))
