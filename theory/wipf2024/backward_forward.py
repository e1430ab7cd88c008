"""Appendix C, Eqs. (15) to (23): RLHF as a backward and DPO as a forward divergence, with two responses."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, MISPRINT, PROVED
from theory.evidence import CONDITIONAL, CORRECTED
from theory.proof import Named, Numbers, log, over_responses, same, setting
from theory.wipf2024.claims import claim
from theory.wipf2024.logarithms import log as exact_log
from theory.wipf2024.objectives import Pairs, Vector, show

LOSSES = over_responses(p="probability", log_ratio="any", reward="any")


@setting("e^r* of y_1 and y_2 > 0, of all others together >= 0; a reference constant over the responses")
def rewards(numbers: Numbers) -> Named:
    """Every reward over any number of responses."""
    first, second, rest = numbers.positive("first"), numbers.positive("second"), numbers.at_least("rest", 0)
    return Named(first=first, second=second, rest=rest, reference=numbers.positive("reference"))


def preferred(c):
    """Return p*(y_1 beats y_2), by Bradley and Terry's model (Eq. 1)."""
    return c.first / (c.first + c.second)


@claim("eq-15", "Eq. (15) and the definition after it", MISPRINT)
def eq_15(c):
    r"""p^*(y_1\succ y_2|x)=\frac{\pi^*(y_1|x)}{\pi^*(y_1|x)+\pi^*(y_2|x)},\qquad
    \pi^*(y|x):=\frac{\exp[r^*(y_1,x)]}{Z(x)},\quad Z(x):=\sum_y\exp[r^*(y,x)]

    Because: The definition has $r^*(y_1,x)$ for $r^*(y,x)$: as printed $\pi^*$ gives every response the same value and
    does not sum to 1.
    Proof: With $\pi^*(y|x)=\exp[r^*(y,x)]/Z(x)$ divide numerator and denominator of the Bradley-Terry model by $Z(x)$.
    """
    return gives_the_model(c, (c.first, c.first))


def gives_the_model(c, weights):
    z = c.first + c.second + c.rest
    first, second = (weight / z for weight in weights)
    return preferred(c) == first / (first + second) and first + second + c.rest / z == 1


def with_own_rewards(c, times=1):
    return gives_the_model(c, (c.first, times * c.second))


eq_15.false(at=Named(first=F(3), second=F(1), rest=F(0)), true_at=Named(first=F(1), second=F(1), rest=F(0)))
eq_15.proved(over=rewards, of=with_own_rewards, role=CORRECTED, wrong={"times": F(11, 10)})


@claim("eq-16", "Eq. (16)", PROVED)
def eq_16(y, share=1):
    r"""\ell_{\mathrm{RLHF}}(\pi_\theta,\pi_{\mathrm{ref}},r^*,\lambda)\equiv
    \mathbb{E}_x\,\mathrm{KL}\bigl[\pi_\theta(y|x)\,\|\,\pi^{**}(y|x)\bigr]

    Assumes: $\equiv$ is up to the factor $\lambda$ and the constant $-\lambda\,\mathbb{E}_x\ln Z(x)$
    Proof: $\lambda\ln\pi^{**}=\lambda\ln\pi_{\mathrm{ref}}+r^*-\lambda\ln Z$; take the expectation of
    $\lambda\ln\pi_\theta-\lambda\ln\pi^{**}$ under $\pi_\theta$.
    """
    strength, log_z = y.one("lambda").reward, y.one("log Z").reward  # any numbers
    from_optimum = strength * (y.log_ratio + log_z) - y.reward  # lambda (ln pi - ln pi_r)
    loss = y.sum(y.p * (strength * y.log_ratio - y.reward))
    return same(loss, y.sum(y.p * from_optimum) - share * strength * log_z)


eq_16.derived(sums=LOSSES, wrong={"share": F(11, 10)})


@claim("eq-17-normaliser", "Eq. (17), with the Z(x) defined after Eq. (15)", MISPRINT)
def eq_17(c):
    r"""\pi^{**}(y|x):=\frac{1}{Z(x)}\pi_{\mathrm{ref}}(y|x)\exp\Bigl[\frac1\lambda r^*(y,x)\Bigr],
    \qquad Z(x):=\sum_y\exp[r^*(y,x)]

    Because: One letter for two sums. Appendix C defines $Z(x)$ without the reference; with that one $\pi^{**}$ sums to
    $\frac12$ in the paper's own setting. Meant is the $Z(x)$ of Eq. (4).
    Proof: With $Z(x)=\sum_y\pi_{\mathrm{ref}}(y|x)\exp[r^*(y,x)/\lambda]$ the sum is 1.
    """
    tilt, whole = c
    return sum(t / 2 for t in tilt) / sum(t**whole for t in tilt) == 1  # uniform reference, tilt = e^(r / lambda)


def with_the_reference(c, times=1):
    parts = [c.reference * c.first, c.reference * c.second, c.reference * c.rest]
    z = parts[0] + parts[1] + times * parts[2]
    return parts[0] / z + parts[1] / z + parts[2] / z == 1


eq_17.false(at=((F(3), F(1)), 1), true_at=((F(1, 2), F(1, 2)), 2))  # at lambda = 2 both sums are 1/2 by accident
eq_17.proved(over=rewards, of=with_the_reference, role=CORRECTED, wrong={"times": F(11, 10)})


@claim("eq-18", "Eqs. (18) and (19)", PROVED)
def eq_18(c, times=1):
    r"""\pi^{**}(y|x)=\frac{\exp[r^*(y,x)]}{\sum_y\exp[r^*(y,x)]}=\pi^*(y|x)

    Assumes: $\lambda=1$ and a reference that is uniform at each prompt, as printed
    Proof: The reference cancels.
    """
    tilted = times * c.reference * c.first
    return tilted / (tilted + c.reference * (c.second + c.rest)) == c.first / (c.first + c.second + c.rest)


eq_18.proved(over=rewards, wrong={"times": F(11, 10)})


@claim("eq-20", "Eq. (20)", MISPRINT)
def eq_20(tilt):
    r"""\ell_{\mathrm{RLHF}}(\pi_\theta,\pi_{\mathrm{ref}},r^*,\lambda)=
    \mathbb{E}_x\,\mathrm{KL}\bigl[\pi_\theta(y|x)\,\|\,\pi^*(y|x)\bigr]

    Assumes: $\lambda=1$, uniform reference
    Because: $=$ should be $\equiv$: the constant $-\mathbb{E}_x\ln Z(x)$ is missing.
    Proof: Eq. (16) at $\lambda=1$, with its constant: $\ell_{\mathrm{RLHF}}=\mathrm{KL}[\pi\|\pi^*]-\ln Z$.
    """
    return log(sum(tilt, F(0)) / len(tilt)) == 0  # ln Z, by which the two sides differ


eq_20.false(at=(F(3, 4), F(1, 4)), true_at=(F(3, 2), F(1, 2)))
eq_20.derived(of=eq_16, sums=LOSSES, role=CORRECTED, wrong={"share": F(9, 10)})


@claim("eq-21", "Eq. (21)", PROVED)
def eq_21(chosen, rejected, reference, times=1):
    r"""\ell_{\mathrm{DPO}}=\mathbb{E}_{\{y_w,y_l,x\}}\Bigl[\log\frac{\pi_\theta(y_w|x)+\pi_\theta(y_l|x)}
    {\pi_\theta(y_w|x)}\Bigr]

    Assumes: $\lambda=1$, uniform reference, as printed; any number of responses
    Proof: $1/\sigma(\ln a-\ln b)=1+b/a$.
    """
    margin = sp.log(chosen / reference) - sp.log(rejected / (times * reference))
    return same(sp.exp(sp.log(1 + sp.exp(-margin))), (chosen + rejected) / chosen)


eq_21.derived(wrong={"times": F(11, 10)})


# --- Eq. (22) ------------------------------------------------------------------------------------------------------

U, V = sp.symbols("u v", positive=True)  # odds of y_2 against y_1, of the policy and of pi*
POLICY, OPTIMUM = (1 / (1 + U), U / (1 + U)), (1 / (1 + V), V / (1 + V))
LABELS = sum(wins * sp.log(1 + sp.exp(-sign * sp.log(1 / U))) for wins, sign in zip(OPTIMUM, (1, -1), strict=True))
"""DPO's expected loss of the pair with labels from pi*, reference uniform, lambda = 1."""


@dataclass(frozen=True)
class Policy:
    """A policy by its probabilities, with their logarithms."""

    p: Vector

    @property
    def ln(self):
        """Return the logarithm of every probability."""
        return [exact_log(a) for a in self.p]

    @property
    def ln_sums(self):
        """Return the logarithm of p_i + p_j, for all i and j."""
        return [[exact_log(a + b) for b in self.p] for a in self.p]

    def __str__(self) -> str:
        """Return the probabilities."""
        return show(self.p)


@dataclass(frozen=True)
class TwoOfASet:
    """Two policies of a constraint set, with uniform reference and lambda = 1.

    Attributes:
        tilt: e^r* of every response.
        one: a policy.
        other: another policy.
        asked: the pairs that are compared; all of them if none is given.
    """

    tilt: Vector
    one: Policy
    other: Policy
    asked: Pairs = ()

    @property
    def pairs(self):
        """Return the pairs that are compared."""
        return self.asked or tuple(itertools.combinations(range(len(self.tilt)), 2))

    @property
    def rewards(self):
        """Return r* of every response."""
        return [exact_log(t) for t in self.tilt]

    @property
    def ln_z(self):
        """Return the logarithm of Z."""
        return exact_log(sum(self.tilt))

    def __str__(self) -> str:
        """Return the case in numbers."""
        return f"e^r* = {show(self.tilt)}, policies {self.one} and {self.other}"


def of_dpo(c, pi):
    """Return DPO's expected loss (Eq. 21), summed over pairs, with labels by Bradley and Terry's model."""
    apart = [*c.pairs, *((j, i) for i, j in c.pairs)]
    return sum(c.tilt[i] / (c.tilt[i] + c.tilt[j]) * (pi.ln_sums[i][j] - pi.ln[i]) for i, j in apart)


def of_rlhf(c, pi):
    """Return RLHF's loss without the constant ln n."""
    return sum(p * (ln - reward) for p, ln, reward in zip(pi.p, pi.ln, c.rewards, strict=True))


def forward(c, pi):
    """Return KL(pi*, pi), with pi* = e^r* / Z."""
    parts = zip(c.tilt, c.rewards, pi.ln, strict=True)
    return sum(t / sum(c.tilt) * (reward - c.ln_z - ln) for t, reward, ln in parts)


def backward(c, pi):
    """Return KL(pi, pi*)."""
    return sum(p * (ln - (reward - c.ln_z)) for p, ln, reward in zip(pi.p, pi.ln, c.rewards, strict=True))


def of_two(p, ln):
    """Name a policy over two responses, by the first probability and the logarithms of both; ln 1 = 0."""
    return Named(p=(p, 1 - p), ln=ln, ln_sums=[[ln[0], F(0)], [F(0), ln[1]]])


ONE_PAIR = ((0, 1),)


@setting("e^r* > 0, 0 < pi(y_1) < 1 of two policies; logarithms are any numbers, but ln 1 = 0")
def on_two_responses(numbers: Numbers) -> Named:
    """Every reward of two responses, and every two policies."""
    tilt, rewards = [numbers.positive(k) for k in ("t_1", "t_2")], [numbers.real(k) for k in ("r_1", "r_2")]
    one, other = (
        of_two(numbers.between(k, 0, 1), (numbers.real(f"ln_{k}"), numbers.real(f"ln_1_less_{k}"))) for k in ("p", "q")
    )
    return Named(tilt=tilt, rewards=rewards, ln_z=numbers.real("ln_z"), one=one, other=other, pairs=ONE_PAIR)


@claim("eq-22", "Eq. (22), first and last expression", CONDITIONALLY)
def eq_22(c, times=1):
    r"""\ell_{\mathrm{DPO}}\equiv\mathbb{E}_x\,\mathrm{KL}\bigl[\pi^*(y|x)\,\|\,\pi_\theta(y|x)\bigr]

    Assumes: $\lambda=1$, uniform reference, and $\pi_\theta(y_1|x)+\pi_\theta(y_2|x)=1$
    Because: That the two responses are all that the reference can say does not make them all that $\pi_\theta$ can say:
    it may leak mass to a third. DPO is the same at $(.8,.2,0)$ and at $(.08,.02,.9)$; the divergence is not.
    Proof: DPO's loss of a pair is the cross-entropy of its label (Eq. 21; wipf2024.eq-22-line-3), which has the
    probabilities of $\pi^*$. What is equal up to a constant differs alike between every two policies.
    """
    return of_dpo(c, c.one) - of_dpo(c, c.other) == times * (forward(c, c.one) - forward(c, c.other))


EVEN, BEST, LEAK = (Policy((F(a, 100), F(b, 100))) for a, b in ((50, 50), (80, 20), (8, 2)))  # the rest to a third
TWO_RESPONSES = (F(4), F(1))  # e^r*, for which pi* = (4/5, 1/5)
eq_22.false(at=TwoOfASet(TWO_RESPONSES, LEAK, BEST), true_at=TwoOfASet(TWO_RESPONSES, EVEN, BEST))
eq_22.proved(over=on_two_responses, role=CONDITIONAL, wrong={"times": F(11, 10)})


@claim("eq-22-line-3", "Eq. (22), third line", MISPRINT)
def eq_22_line_3(c):
    r"""\ell_{\mathrm{DPO}}=\mathbb{E}_x\Bigl[\pi^*(y_1|x)\log\frac{1}{\pi_\theta(y_1|x)}
    +\pi^*(y_2|x)\log\frac{1}{\pi_\theta(y_1|x)}\Bigr]

    Assumes: two responses, $\lambda=1$, uniform reference
    Because: The second logarithm should have $\pi_\theta(y_2|x)$. As printed the line is $-\ln\pi_\theta(y_1|x)$,
    whatever $\pi^*$ is.
    Proof: The second line with Eq. (15).
    """
    optimum, policy = c
    return (1 - optimum) * log(policy / (1 - policy)) == 0  # by which the line differs from the loss


def with_second_response(power=1):
    return same(LABELS, OPTIMUM[0] * sp.log(1 / POLICY[0]) + OPTIMUM[1] * sp.log(1 / POLICY[1] ** power))


eq_22_line_3.false(at=(F(3, 4), F(1, 4)), true_at=(F(3, 4), F(1, 2)))
eq_22_line_3.derived(of=with_second_response, role=CORRECTED, wrong={"power": F(11, 10)})


@claim("eq-23", "Eq. (23)", CONDITIONALLY, "dpo-is-rlhf")
def eq_23(c, least=0):
    r"""\arg\min_{\pi_\theta}\ell_{\mathrm{RLHF}}(\pi_\theta,\pi_{\mathrm{ref}},r^*,\lambda)
    =\arg\min_{\pi_\theta}\ell_{\mathrm{DPO}}(\pi_\theta,\pi_{\mathrm{ref}},\lambda)

    Assumes: the policy can give mass to $y_1$ and $y_2$ only
    Because: DPO does not change along $\pi\to(cq,\,c(1-q),\,1-c)$: with a third response its minimisers are a ray, that
    of RLHF is one point, and $\ell_{\mathrm{RLHF}}=\infty$ elsewhere on the ray if $\pi_{\mathrm{ref}}(y_3)=0$.
    Proof: Eqs. (20) and (22): both divergences are 0 at $\pi^*$ and positive elsewhere.
    """
    dpo, rlhf = (loss(c, c.one) - loss(c, c.other) for loss in (of_dpo, of_rlhf))  # the other policy is pi*
    return dpo >= least and rlhf >= least and (dpo == 0) == (rlhf == 0)


@setting("0 < pi*(y_1), pi(y_1) < 1, any ln Z")
def beside_the_optimum(numbers: Numbers) -> Named:
    """Every reward of two responses, every policy, and the optimum."""
    one, optimum = (of_two(p, (log(p), log(1 - p))) for p in (numbers.between(name, 0, 1) for name in ("p", "q")))
    ln_z = numbers.real("ln_z")
    return Named(tilt=optimum.p, rewards=[ln + ln_z for ln in optimum.ln], one=one, other=optimum, pairs=ONE_PAIR)


ON_THE_RAY, ELSEWHERE, OPTIMUM_OF_THREE = (
    Policy((F(a, 100), F(b, 100), F(c, 100))) for a, b, c in ((8, 2, 90), (30, 20, 50), (40, 10, 50))
)
THREE_RESPONSES = (F(4), F(1), F(5))
eq_23.false(
    at=TwoOfASet(THREE_RESPONSES, ON_THE_RAY, OPTIMUM_OF_THREE, ONE_PAIR),
    true_at=TwoOfASet(THREE_RESPONSES, ELSEWHERE, OPTIMUM_OF_THREE, ONE_PAIR),
)
eq_23.proved(over=beside_the_optimum, role=CONDITIONAL, wrong={"least": F(1, 100)})
