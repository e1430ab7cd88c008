"""Footnote 3 of Appendix C: pairs drawn from the reference, in which a response may meet itself."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from fractions import Fraction as F

from theory.claim import CONDITIONALLY, MISPRINT, claim
from theory.evidence import CORRECTED, Evidence
from theory.wipf2024.logarithms import ZERO, Logs, log
from theory.wipf2024.objectives import Case, Setting, Vector, pair, plain_pair, setting, squares


def drawn_twice(s: Setting, policy: Vector) -> Logs:
    """Return l_DPO where y_1, y_2 are drawn independently from the reference; a response against itself costs ln 2."""
    total = ZERO
    for i, j in itertools.product(s.responses, repeat=2):
        if i == j:
            loss = log(2)
        else:
            odds, wins = s.odds(policy, i, j), s.preference(i, j)
            loss = wins * log(1 + 1 / odds) + (1 - wins) * log(1 + odds)
        total += s.reference[i] * s.reference[j] * loss
    return total


@claim(
    "wipf2024.footnote-3",
    source="footnote 3, used in the second equality of Eq. (22)",
    says=r"\ell_{\mathrm{DPO}}^{\text{with}\ y_1=y_2}=\ell_{\mathrm{DPO}}^{y_1\ne y_2}+C",
    assumes="two responses drawn independently from a uniform reference",
    verdict=MISPRINT,
    because="Equal draws do not only add a constant, they also take weight from the others: the two losses are "
    r"related by $\frac12\ell+\frac12\ln 2$. The factor is harmless as long as it is the same at every prompt.",
    proof=r"Two draws differ with probability $2\pi_{\mathrm{ref}}(y_1)\pi_{\mathrm{ref}}(y_2)=\frac12$, and equal "
    r"ones cost $\ln 2$ each.",
)
def footnote_3(evidence: Evidence) -> None:
    """The four draws, counted."""

    def additive(c: Case) -> bool:
        s = c.setting
        return drawn_twice(s, c.policy) - drawn_twice(s, c.other) == s.dpo(c.policy) - s.dpo(c.other)

    def affine(s: Setting, policy: Vector) -> bool:
        return drawn_twice(s, policy) == s.dpo(policy) / 2 + log(2) / 2

    s = Setting.plain(pair(F(3, 4)))
    mirrored = Case(Setting.plain(pair(F(1, 2))), pair(F(1, 5)), pair(F(4, 5)))
    evidence.fails(additive, at=Case(s, pair(F(1, 4)), pair(F(1, 2))), control=mirrored)
    evidence.holds(
        lambda c: affine(c.setting, c.policy),
        plain_pair,
        role=CORRECTED,
        control=lambda c: affine(Setting(c.other, c.setting.tilt), c.policy),
    )


@dataclass(frozen=True)
class TwoPrompts:
    """Two prompts of equal weight that share one policy, and a probability of y_1 at which to look."""

    settings: tuple[Setting, Setting]
    p: F

    def slope(self, drawn: bool) -> F:
        """Return the slope in p of the DPO loss; with ``drawn`` the pairs are drawn from the reference, twice."""
        slopes = [s.dpo_slope(pair(self.p), (F(1), F(-1))) for s in self.settings]
        weights = [2 * s.reference[0] * s.reference[1] if drawn else F(1) for s in self.settings]
        return sum((w * slope for w, slope in zip(weights, slopes, strict=True)), F(0))

    def __str__(self) -> str:
        return f"{self.settings[0]}\n{self.settings[1]}\npi(y_1) = {self.p} at both"


def two_prompts(source: random.Random) -> TwoPrompts:
    """Draw two prompts, with the same reference at times, and a policy."""
    first, second = setting(source, 2), setting(source, 2)
    first = Setting(first.reference, first.tilt)
    second = Setting(first.reference if source.random() < 0.7 else second.reference, second.tilt)
    return TwoPrompts((first, second), squares(source, 2)[0])


@claim(
    "wipf2024.footnote-3-minimiser",
    source="footnote 3, for any reference",
    says=r"\arg\min_{\pi\in S}\ell_{\mathrm{DPO}}^{\text{with}\ y_1=y_2}=\arg\min_{\pi\in "
    r"S}\ell_{\mathrm{DPO}}^{y_1\ne y_2}",
    assumes="a reference equally skewed at all prompts (the uniform one is), or a constraint that does not couple "
    "prompts",
    verdict=CONDITIONALLY,
    because=r"Two draws differ with probability $2\pi_{\mathrm{ref}}(y_1)\pi_{\mathrm{ref}}(y_2)$. Where the "
    "reference differs between prompts this weights them, and a policy shared by the prompts goes elsewhere.",
    proof="With one factor for all prompts both slopes have one sign everywhere; without coupling each prompt has its "
    "own minimiser.",
)
def footnote_3_minimiser(evidence: Evidence) -> None:
    """Where the two slopes have opposite signs, the minimisers lie on different sides."""

    def same_sign(c: TwoPrompts) -> bool:
        plain_slope, drawn_slope = c.slope(drawn=False), c.slope(drawn=True)
        return (plain_slope > 0) == (drawn_slope > 0) and (plain_slope < 0) == (drawn_slope < 0)

    def same_factor(c: TwoPrompts) -> bool:
        return len({s.reference[0] * s.reference[1] for s in c.settings}) == 1

    uniform = Setting.plain(pair(F(1, 5)))
    skewed, one_sided = (Setting(pair(a), (F(1), F(1))) for a in (F(9, 10), F(99, 100)))
    evidence.fails(
        same_sign, at=TwoPrompts((uniform, skewed), F(1, 2)), control=TwoPrompts((uniform, uniform), F(1, 2))
    )
    evidence.holds(
        same_sign,
        two_prompts,
        given=same_factor,
        control=lambda c: same_sign(TwoPrompts((c.settings[0], one_sided), c.p)),
    )
