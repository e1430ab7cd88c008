"""Section 2.2, Eqs. (4) to (6): RLHF's optimum, rewards as log-ratios, and what DPO minimises without constraints."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED, claim
from theory.evidence import ALSO, CONDITIONAL, Evidence
from theory.wipf2024.background import connects
from theory.wipf2024.logarithms import ZERO, Logs, log
from theory.wipf2024.objectives import Case, Pairs, Setting, Vector, divergence, setting, squares, with_policies


def supported(source: random.Random) -> Case:
    """Draw a setting in which the reference may rule a response out, and policies on its support."""
    drawn = setting(source, source.randint(3, 5))
    ruled_out = source.random() < 0.5
    kept = len(drawn.tilt) - ruled_out
    zero = (F(0),) if ruled_out else ()
    drawn = Setting(squares(source, kept) + zero, drawn.tilt, drawn.beta)
    policy = squares(source, kept) + zero
    if source.random() < 0.3:
        policy = (F(1),) + (F(0),) * (len(drawn.tilt) - 1)
    other = drawn.optimum if source.random() < 0.2 else squares(source, kept) + zero
    return Case(drawn, policy, other)


def geometric_loss(base: F, support: int) -> Logs:
    """Return the least l_RLHF on the first responses y = 1, 2, ..., where pi_ref = 2^-y and e^(r/beta) = base^y."""
    partition = sum(((base / 2) ** y for y in range(1, support + 1)), F(0))
    policy = [(base / 2) ** y / partition for y in range(1, support + 1)]
    # sum of pi (ln pi - ln pi_ref - r), term by term from the definition
    parts = (p * (log(p) - log(F(1, 2) ** y) - log(base**y)) for y, p in enumerate(policy, start=1))
    return sum(parts, ZERO)


@claim(
    "wipf2024.eq-4",
    source="Eq. (4)",
    says=r"\arg\min_{\pi}\ell_{\mathrm{RLHF}}(\pi,\pi_{\mathrm{ref}},r,\lambda)=\frac{1}{Z(x)}\,"
    r"\pi_{\mathrm{ref}}(y|x)\exp\Bigl[\frac{1}{\lambda}r(y,x)\Bigr]",
    assumes=r"$Z(x)<\infty$ (finitely many responses, say) and a policy that is free at every prompt; "
    r"$\pi_{\mathrm{ref}}=0$ is allowed",
    verdict=CONDITIONALLY,
    because=r"With $\pi_{\mathrm{ref}}(y)=2^{-y}$ and $e^{r(y)/\lambda}=2^y$, $y=1,2,\dots$, every term of $Z$ is 1: "
    r"the loss on the first $n$ responses is $-\lambda\ln n$, and there is no minimiser.",
    proof=r"$\ell_{\mathrm{RLHF}}=\lambda\,\mathrm{KL}(\pi\|\pi_r)-\lambda\ln Z$, and a divergence is positive unless "
    "its arguments agree.",
)
def rlhf_optimum(evidence: Evidence) -> None:
    """The loss is a divergence from pi_r and a constant; with infinitely many responses Z may not exist."""

    def settles(c: dict[str, F]) -> bool:  # does the least loss stay put when the support is doubled?
        base = c["e^(r(1)/lambda)"]
        return geometric_loss(base, 32) - geometric_loss(base, 64) < log(F(101, 100))

    def identity(c: Case, factor: int = 1) -> bool:
        s = c.setting
        least = -s.beta * log(s.partition)
        return s.rlhf(c.policy) == factor * s.beta * divergence(c.policy, s.optimum) + least

    def minimiser(c: Case, at: str = "optimum") -> bool:
        s = c.setting
        best = getattr(s, at)
        return s.rlhf(c.other) > s.rlhf(best) or c.other == best

    evidence.fails(settles, at={"e^(r(1)/lambda)": F(2)}, control={"e^(r(1)/lambda)": F(3, 2)})
    evidence.holds(identity, supported, role=CONDITIONAL, control=lambda c: identity(c, factor=2))
    evidence.holds(minimiser, supported, role=CONDITIONAL, control=lambda c: minimiser(c, "reference"))


@claim(
    "wipf2024.eq-5",
    source="Eq. (5)",
    says=r"r(y,x)=\lambda\log\frac{\pi_r(y|x)}{\pi_{\mathrm{ref}}(y|x)}+\lambda\log Z(x)",
    assumes=r"$\pi_{\mathrm{ref}}(y|x)>0$, as printed",
    verdict=PROVED,
    proof="The logarithm of Eq. (4), solved for the reward.",
)
def reparameterisation(evidence: Evidence) -> None:
    """The reward is the log-ratio of its own optimum, up to a constant of the prompt."""

    def identity(s: Setting, scale: F | None = None) -> bool:
        constant = (s.beta if scale is None else scale) * log(s.partition)
        ratios = zip(s.optimum, s.reference, strict=True)
        return all(s.reward(y) == s.beta * log(p / a) + constant for y, (p, a) in enumerate(ratios))

    evidence.holds(identity, setting, control=lambda s: identity(s, scale=F(1)))
    r, rho, z, lam = sp.symbols("r rho Z lambda", positive=True)

    def symbolic(factor: sp.Expr) -> bool:
        optimum = rho * sp.exp(r / lam) / z
        found = sp.expand_log(lam * sp.log(optimum / rho) + factor * sp.log(z), force=True)
        return sp.expand(found - r) == 0

    evidence.proves(lambda: symbolic(lam), control=lambda: symbolic(sp.Integer(1)), by="SymPy")


def margin(s: Setting, policy: Vector, i: int, j: int, *, reference: bool = True) -> Logs:
    """Return the argument of the logistic function in Eq. (6), or the one without a reference."""
    ratio = log(policy[i]) - log(policy[j])
    return s.beta * (ratio - log(s.reference[i]) + log(s.reference[j]) if reference else ratio)


@claim(
    "wipf2024.eq-6",
    source="Eq. (6)",
    says=r"\lambda\log\frac{\pi_r(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\lambda\log\frac{\pi_r(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    r"=r(y_w)-r(y_l)",
    verdict=PROVED,
    proof=r"Subtract Eq. (5) at $y_l$ from Eq. (5) at $y_w$; $\lambda\log Z$ is the same at both.",
)
def partition_cancels(evidence: Evidence) -> None:
    """The partition function drops out of the margin."""

    def cancels(s: Setting, reference: bool = True) -> bool:
        return all(margin(s, s.optimum, i, j, reference=reference) == s.reward(i) - s.reward(j) for i, j in s.pairs)

    evidence.holds(cancels, setting, control=lambda s: cancels(s, reference=False), worlds=200)


# --- what DPO minimises without constraints ------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A case of two policies together with the pairs of responses that are compared."""

    case: Case
    pairs: Pairs

    def __str__(self) -> str:
        return f"{self.case}, pairs {self.pairs}"


def asked(source: random.Random) -> Asked:
    """Draw a case and some of the pairs of its responses."""
    case = with_policies(source)
    pairs = tuple(pair for pair in case.setting.pairs if source.random() < 0.7) or case.setting.pairs
    return Asked(case, pairs)


FOUR_RESPONSES = Setting.plain([F(1, 10), F(2, 10), F(3, 10), F(4, 10)])
MASS_MOVED = (F(1, 15), F(2, 15), F(12, 35), F(16, 35))  # the ratios of FOUR_RESPONSES within {0, 1} and within {2, 3}


@claim(
    "wipf2024.dpo-is-rlhf",
    source="Section 3, first sentence",
    says=r"\arg\min_\pi\ell_{\mathrm{DPO}}(\pi,\pi_{\mathrm{ref}},\lambda)"
    r"=\arg\min_\pi\ell_{\mathrm{RLHF}}(\pi,\pi_{\mathrm{ref}},r^*,\lambda)",
    assumes="expected loss under Bradley-Terry labels of the same $r^*$; a policy free on exactly the responses "
    r"compared; pairs that connect them; the same reference and $\lambda$ in both",
    verdict=CONDITIONALLY,
    because="If the pairs asked do not connect all responses, DPO says nothing of how much mass each component holds; "
    "RLHF does.",
    proof="Each pair's loss is least where its margin is $r^*_i-r^*_j$. If the pairs connect all responses, all "
    r"ratios of probabilities are fixed, and with the sum the policy: it is $\pi_r$ of Eq. (4).",
)
def dpo_is_rlhf(evidence: Evidence) -> None:
    """Any policy other than the optimum of RLHF has a higher DPO loss, if the pairs connect all responses."""

    def only_minimiser(c: Asked) -> bool:
        s, p = c.case.setting, c.case.other
        return s.dpo(p, c.pairs) > s.dpo(s.optimum, c.pairs) or p == s.optimum

    moved = Case(FOUR_RESPONSES, FOUR_RESPONSES.reference, MASS_MOVED)
    evidence.fails(only_minimiser, at=Asked(moved, ((0, 1), (2, 3))), control=Asked(moved, ((0, 1), (1, 2), (2, 3))))
    evidence.holds(
        only_minimiser,
        asked,
        given=lambda c: connects(c.pairs, len(c.case.policy)),
        control=lambda c: c.case.setting.dpo(c.case.other, c.pairs) > c.case.setting.dpo(c.case.policy, c.pairs),
    )


def ladder(s: Setting, step: F) -> Vector:
    """Return the policy proportional to step^y: responses in falling order if step < 1."""
    weights = [step**y for y in s.responses]
    return tuple(w / sum(weights) for w in weights)


def labelled_loss(s: Setting, policy: Vector, sign: int = 1) -> Logs:
    """Return DPO's loss on a finite sample in which every response always beats the later ones."""
    parts = (log(1 + s.odds(policy, i, j) ** -sign) for i, j in s.pairs)
    return sum(parts, ZERO)


@claim(
    "wipf2024.degenerate-minimisers",
    source="Section 3, second paragraph",
    says=r"\inf_\pi\ell_{\mathrm{DPO}}=0\ \text{for every}\ \pi_{\mathrm{ref}},\ \text{approached as}\ "
    r"\pi(y_l)/\pi(y_w)\to 0",
    assumes="a finite sample whose labels are deterministic and have no cycle",
    verdict=PROVED,
    proof=r"The loss is $\ln(1+c\,(\pi_l/\pi_w)^\lambda)$ with $c>0$ from the reference: positive, and it tends to 0 "
    "with the ratio whatever $c$ is. An infimum only; it is attained at no policy that is positive everywhere.",
)
def degenerate(evidence: Evidence) -> None:
    """Steeper and steeper policies lower the loss without end, whatever the reference says."""

    def falls(s: Setting, sign: int = 1) -> bool:
        losses = [labelled_loss(s, ladder(s, F(1, 4) ** k), sign) for k in range(4)]
        return all(later.sign() > 0 and later < earlier for earlier, later in itertools.pairwise(losses))

    u, c, lam = sp.symbols("u c lambda", positive=True)

    def vanishes(loss: sp.Expr) -> bool:
        return sp.limit(loss, u, 0, "+") == 0

    evidence.holds(falls, setting, control=lambda s: falls(s, sign=-1), worlds=200)
    evidence.proves(
        lambda: vanishes(sp.log(1 + c * u**lam)),
        control=lambda: vanishes(sp.log(1 + c + u**lam)),
        by="SymPy, limit at ratio 0; symbolic reference and lambda",
    )
    evidence.holds(  # with noisy labels there is a best policy, and it follows the reference
        lambda s: s.dpo_slope(s.optimum, _towards_first(s)) == 0,
        setting,
        role=ALSO,
        control=lambda s: s.dpo_slope(s.reference, _towards_first(s)) == 0,
        worlds=100,
    )


def _towards_first(s: Setting) -> Vector:
    return (F(1),) + (F(0),) * (len(s.tilt) - 2) + (F(-1),)
