"""The data sets of Section 5.4: what a sampled loss does to an action that is never compared."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any, NamedTuple

from theory.azar2023.sampled_loss import claim
from theory.claim import MISPRINT, PROVED
from theory.evidence import CORRECTED
from theory.proof import setting


class Data(NamedTuple):
    """Comparisons of the actions a, b, c as pairs, the winner first, at any log-ratios.

    ``odds`` are e^f of each action, f its log-ratio to the reference. A loss of the margin pushes the margin of a pair
    with a force that is a positive and falling function of its margin: that of DPO is 1 / (1 + e^margin).
    """

    pairs: tuple[tuple[str, str], ...]
    odds: dict[str, Any]

    def push(self, action: str) -> Any:
        """Return minus the derivative of DPO's loss (beta = 1) by the logit of an action; the normaliser cancels."""
        total: Any = 0
        for winner, loser in self.pairs:
            force = 1 / (1 + self.odds[winner] / self.odds[loser])
            total = total + force * (int(action == winner) - int(action == loser))
        return total


def with_pairs(*pairs: tuple[str, str]) -> Any:
    """Return the setting of a data set at any log-ratios."""

    @setting("e^f > 0 of the actions a, b, c")
    def any_ratios(numbers):
        """Any policy and any reference on three actions."""
        return Data(pairs, {name: numbers.positive(name) for name in "abc"})

    return any_ratios


EVEN = {"a": F(1), "b": F(1), "c": F(1)}
D3 = (("a", "b"), ("b", "a"))
B_OVER_C = ("b", "c")


@claim("d3", "Section 5.4, the third data set", MISPRINT, "d3-moves-nothing")
def d3(data, most=0):
    r"""D_3=\{(a\succ b),(b\succ a)\}:\quad\text{DPO drives}\ \pi(c)\ \text{to 0}

    Because: As it stands in the machine conversion that was read, the data set never mentions c, so that no loss of
    margins has a gradient in its logit. A comparison seems to be lost: with $(b\succ c)$ added the text is right,
    since c then never wins and a is never compared with it.
    Assumes: tabular policy; right with $(b\succ c)$ added to the data
    Proof: With it c's logit falls at every policy, which is what the machine shows. So no policy is optimal, and the
    loss has its infimum where $\pi(c)$ is 0.
    """
    return data.push("c") < most


d3.false(at=Data(D3, EVEN), true_at=Data((*D3, B_OVER_C), EVEN))
d3.proved(over=with_pairs(*D3, B_OVER_C), role=CORRECTED, wrong={"most": F(-1, 10)})


@claim("d3-moves-nothing", "not in the paper; after the third data set of Section 5.4", PROVED)
def d3_moves_nothing(data, share=1):
    r"""D_3=\{(a\succ b),(b\succ a)\}:\quad\text{c's logit never moves, and at}\ f_a=f_b\ \text{nothing does}

    Assumes: DPO, tabular policy; so it is for every loss of the margin, IPO too
    Proof: c is in no pair. The two pairs push a by $u(f_a-f_b)-u(f_b-f_a)$, which is 0 at $f_a=f_b$ and else has the
    sign of $f_b-f_a$.
    """
    back = data.odds["a"] < share * data.odds["b"]
    return data.push("c") == 0 and data.push("a") == -data.push("b") and (data.push("a") > 0) == back


d3_moves_nothing.proved(over=with_pairs(*D3), wrong={"share": F(11, 10)})
