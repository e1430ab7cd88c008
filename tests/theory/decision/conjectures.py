"""Conjectures and what becomes of them: true and subtle, false and subtle, about other worlds, and from a stranger.

``python -m tests.theory.decision.conjectures`` decides each and prints the seconds of CPU, without imports, and at the
end the day and the machine.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction as F
from typing import Any

from theory import LOG_LINEAR, TABULAR, TWO_RESPONSES, Decision, decide
from theory.decision.blocks import two_blocks
from theory.decision.decide import WORK
from theory.decision.group import batch, preference_matrix, sampled_group
from theory.decision.second_order import second_order
from theory.decision.tokens import token_pair
from theory.decision.weighted import with_loss, with_weights
from theory.proof import sqrt

LITTLE = WORK // 6


@dataclass(frozen=True)
class Conjecture:
    """A conjecture with the verdict that it must get.

    Attributes:
        words: what it says.
        predicate: the same in code.
        verdict: "proved", "refuted", "vacuous" or "undecided".
        over: what it is about; every policy if None.
        given: a premise.
        exists: whether it says "there is".
        note: what it took, if it was undecided at first.
        work: of the solver for one question, in units of its own, with which it is decided.
    """

    words: str
    predicate: Callable[[Any], Any]
    verdict: str
    over: Any = None
    given: Callable[[Any], Any] | None = None
    exists: bool = False
    note: str = ""
    work: int = LITTLE

    def decide(self, worlds: int = 200, work: int = WORK) -> Decision:
        """Return the decision."""
        return decide(self.predicate, self.over, given=self.given, exists=self.exists, worlds=worlds, work=work)


PROVED, REFUTED = "proved", "refuted"

TRUE = [
    Conjecture("if the chosen response falls, so does the rejected one", lambda w: not w.A_w < 0 or w.A_l < 0, PROVED),
    Conjecture("and in log by more", lambda w: not w.A_w < 0 or abs(w.A_l) > abs(w.A_w), PROVED),
    Conjecture(
        "Eq. (49) holds exactly where the scores are not acute or the probabilities are equal",
        lambda w: (
            (w.D_w - w.D_l >= w.p_w * w.ww + w.p_l * w.ll - 2 * w.wl * sqrt(w.p_w * w.p_l))
            == (w.wl <= 0 or w.p_w == w.p_l)
        ),
        PROVED,
    ),
    Conjecture(
        "no response is moved faster than the product of the lengths",
        lambda w: abs(w.A_y) <= sqrt(w.yy) * sqrt(w.dd),
        PROVED,
        note="undecided after 8 s, until roots were compared by their squares and unused definitions left out",
    ),
    Conjecture(
        "the gap of the corollary is a mean of the margin and of the lengths",
        lambda w: 2 * (w.D_w - w.D_l) == (w.p_w + w.p_l) * w.dd + (w.p_w - w.p_l) * (w.ww - w.ll),
        PROVED,
    ),
    Conjecture(
        "displacement needs a chosen score shorter than the rejected one",
        lambda w: w.ww < w.ll,
        PROVED,
        given=lambda w: w.A_w < 0,
    ),
    Conjecture(
        "of a table the probabilities of the pair part by more than their product",
        lambda w: w.D_w - w.D_l > 2 * w.p_w * w.p_l,
        PROVED,
        TABULAR,
    ),
    Conjecture(
        "of a table a bystander rises exactly where the chosen response is the less likely one",
        lambda w: (w.A_y > 0) == (w.p_w < w.p_l),
        PROVED,
        TABULAR,
    ),
    Conjecture(
        "a log-linear policy with a drive that is not positive falls at every step, and then its drive stays so",
        lambda w: w.after(3).p_w <= w.p_w and w.after(3).A_w <= w.A_w,
        PROVED,
        LOG_LINEAR,
        given=lambda w: w.A_w <= 0,
    ),
    Conjecture(
        "there is a step in which both of the pair fall and another one rises",
        lambda w: max(w.D_w, w.D_l) < 0 < w.D_y,
        PROVED,
        exists=True,
    ),
]

FALSE = [
    Conjecture("Corollary 2: the chosen response gains at least as much", lambda w: w.D_w >= w.D_l, REFUTED),
    Conjecture("it does if it is the likelier one", lambda w: w.D_w >= w.D_l, REFUTED, given=lambda w: w.p_w > w.p_l),
    Conjecture(
        "it does if its score is the longer one", lambda w: w.D_w >= w.D_l, REFUTED, given=lambda w: w.ww > w.ll
    ),
    Conjecture(
        "if both fall, the rejected one falls by more", lambda w: w.D_l < w.D_w, REFUTED, given=lambda w: w.A_w < 0
    ),
    Conjecture(
        "similar scores are enough for displacement: a cosine above 9/10",
        lambda w: w.A_w < 0,
        REFUTED,
        given=lambda w: w.wl > 0 and 100 * w.wl**2 > 81 * w.ww * w.ll and w.ww < w.ll,
    ),
    Conjecture("the chosen response never exceeds 12/13 in a table", lambda w: w.p_w <= F(12, 13), REFUTED, TABULAR),
    Conjecture("it never falls to 1/100", lambda w: w.p_w > F(1, 100), REFUTED),
    Conjecture("there are fewer than 6 responses", lambda w: len(w.p) < 6, REFUTED),
    Conjecture("the margin grows strictly: two scores are never equal", lambda w: w.A_w > w.A_l, REFUTED),
    Conjecture(
        "there is a world in which the chosen response falls and the rejected one rises",
        lambda w: w.A_w < 0 < w.A_l,
        REFUTED,
        exists=True,
    ),
]

OTHER_WORLDS = [
    Conjecture("with any two weights the log margin never falls", lambda w: w.A_w >= w.A_l, REFUTED, with_weights()),
    Conjecture(
        "with any two weights the weighted log margin never falls",
        lambda w: w.d_w * w.A_w >= w.d_l * w.A_l,
        PROVED,
        with_weights(),
    ),
    Conjecture("DPOP never lowers the chosen response", lambda w: w.A_w >= 0, REFUTED, with_loss("dpop")),
    Conjecture(
        "a step of forward-KL DPO raises the log margin of a table, at any reference",
        lambda w: w.A_w > w.A_l,
        PROVED,
        with_loss("f_dpo_forward_kl", TABULAR),
    ),
    Conjecture(
        "another pair of the same prompt cannot turn the log margin of a table",
        lambda b: b[0].A_w >= b[0].A_l,
        PROVED,
        batch(2, tabular=True, one_prompt=True),
    ),
    Conjecture(
        "the response with the largest utility rises",
        lambda b: b.drive(0) >= 0,
        REFUTED,
        preference_matrix(3),
        given=lambda b: b.utility[0] > b.utility[1] and b.utility[0] > b.utility[2],
    ),
    Conjecture(
        "on average over responses weighted by their utilities, the forces of a preference matrix are not negative",
        lambda b: sum(b.c[i] * b.utility[i] for i in range(3)) >= 0,
        PROVED,
        preference_matrix(3),
        note="proved in 11 s, until a question was also asked with a name for each product",
    ),
    Conjecture(
        "group advantages never lower the mean reward",
        lambda b: sum(b.change(y) * b.reward[y] for y in range(3)) >= 0,
        PROVED,
        sampled_group(3),
    ),
    Conjecture(
        "a CHES of at most 0 protects the chosen response",
        lambda w: w.A_w >= 0,
        REFUTED,
        token_pair((0, 1), (0, 2)),
        given=lambda w: w.ches <= 0,
    ),
    Conjecture(
        "inner steps of Stable PO lift the chosen response above what the outer step does",
        lambda w: w.A_w >= w.outer(w.chosen),
        PROVED,
        two_blocks(),
    ),
    Conjecture(
        "a log-linear policy: the chosen response is among those that survive the flow",
        lambda w: w.A_w == w.T,
        REFUTED,
        second_order(),
    ),
    Conjecture(
        "with two responses the chosen one survives",
        lambda w: w.A_w == w.T or w.p_w + w.p_l < 1,
        PROVED,
        second_order(),
    ),
    Conjecture("two responses: Corollary 2 holds", lambda w: w.D_w >= w.D_l, PROVED, TWO_RESPONSES),
]

FROM_A_STRANGER = [
    Conjecture(
        "Cauchy and Schwarz on the responses outside the pair, whose mean drive is minus that of the pair",
        lambda w: (
            (w.V - w.p_w * w.A_w**2 - w.p_l * w.A_l**2) * (1 - w.p_w - w.p_l) >= (w.p_w * w.A_w + w.p_l * w.A_l) ** 2
        ),
        PROVED,
        second_order(),
    ),
    Conjecture(
        "in a table the pair gains together exactly if the chosen response is the likelier one",
        lambda w: (w.D_w + w.D_l >= 0) == (w.p_w >= w.p_l),
        REFUTED,
        TABULAR,
    ),
    Conjecture(
        "a chosen response that has fallen in a step falls in the next one along the same direction",
        lambda w: not w.after(2).p_w < w.p_w or w.after(2).after(2).p_w < w.after(2).p_w,
        PROVED,
    ),
    Conjecture(
        "with any two weights, not both: the chosen falls and the rejected rises",
        lambda w: w.A_w >= 0 or w.A_l <= 0,
        PROVED,
        with_weights(),
    ),
    Conjecture(
        "SimPO in a table raises a chosen response that is no longer than the rejected one",
        lambda w: w.A_w > 0,
        PROVED,
        with_loss("simpo", TABULAR),
        given=lambda w: w.n_w <= w.n_l,
    ),
    Conjecture(
        "SimPO in a table raises a chosen response that is as likely as the rejected and as one other",
        lambda w: w.A_w > 0,
        REFUTED,
        with_loss("simpo", TABULAR),
        given=lambda w: w.p_w >= w.p_l and w.p_w >= w.p_y,
    ),
    Conjecture(
        "in a batch of disjoint pairs of one prompt, the pair of largest weight gains margin (tabular)",
        lambda b: b[0].A_w >= b[0].A_l,
        PROVED,
        batch(3, one_prompt=True, tabular=True),
        given=lambda b: b.weight[0] >= b.weight[1] and b.weight[0] >= b.weight[2],
        note="the stranger expected refuted, by pairs that share responses; the family now says that none do",
    ),
    Conjecture(
        "a shared first token whose hidden vector is no longer than the second's protects the chosen response",
        lambda w: w.A_w >= 0,
        REFUTED,
        token_pair((0, 1), (0, 2)),
        given=lambda w: (
            w.hidden_product(w.chosen, 0, w.chosen, 1) ** 2 <= w.hidden_product(w.chosen, 1, w.chosen, 1) ** 2
        ),
    ),
    Conjecture(
        "group advantages lower the response of least reward (tabular, three responses)",
        lambda b: b.drive(0) < 0,
        REFUTED,
        sampled_group(3, tabular=True),
        given=lambda b: b.reward[0] < b.reward[1] and b.reward[0] < b.reward[2],
    ),
    Conjecture(
        "with two blocks the margin rises if the chosen response has the larger kernel in the inner one",
        lambda w: w.A_w >= w.A_l,
        PROVED,
        two_blocks(),
        given=lambda w: w.kernel_phi(w.chosen, w.chosen) >= w.kernel_phi(w.rejected, w.rejected),
        work=WORK,
    ),
]
"""Conjectures of someone who had read the README of theory/decision and not the prover, each with a verdict expected
beforehand; nine were decided as expected."""

ALL = [*TRUE, *FALSE, *OTHER_WORLDS, *FROM_A_STRANGER]


def main() -> None:
    """Decide all of them and print verdicts and times."""
    ALL[0].decide()  # the solver and the exact worlds are loaded
    total = 0.0
    for conjecture in ALL:
        start = time.process_time()
        decision = conjecture.decide()
        seconds = time.process_time() - start
        total += seconds
        right = "" if decision.verdict == conjecture.verdict else f"  BUT IT IS {conjecture.verdict}"
        print(f"{seconds:6.2f} s  {decision.verdict:<9} {conjecture.words}{right}")
    where = f"{platform.machine()} with {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{total:6.2f} s  {len(ALL)} conjectures, {datetime.now(UTC):%d %B %Y}, {where}")


if __name__ == "__main__":
    main()
