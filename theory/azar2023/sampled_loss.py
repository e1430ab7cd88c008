"""IPO's loss on samples: when it is the loss of the population, and whether the target gap is reached."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction as F
from typing import Any, NamedTuple

import sympy as sp

from theory.claim import FALSE, PROVED
from theory.proof import over_responses, same, setting
from theory.statement import THERE_IS, claims_of
from theory.xu2024.optima import minimisers, same_sets

claim = claims_of("azar2023")
THREE = range(3)


class Comparisons(NamedTuple):
    """Three responses: how often each ordered pair is compared, who wins, and the log-ratio f of each."""

    joint: Sequence[Sequence[Any]]
    wins: Sequence[Sequence[Any]]
    f: Sequence[Any]

    def by_labels(self) -> Any:
        """Return the mean of (f_i - f_j) P(i beats j)."""
        return sum(self.joint[i][j] * (self.f[i] - self.f[j]) * self.wins[i][j] for i in THREE for j in THREE)

    def by_means(self, share: Any = 1) -> Any:
        """Return the mean of (f_i - f_j) (p_i - p_j); p_i is the probability that i beats an opponent of law mu."""
        mu = [sum(row) for row in self.joint]
        mean = [sum(mu[j] * self.wins[i][j] for j in THREE) for i in THREE]
        pairs = ((i, j) for i in THREE for j in THREE)
        return sum(self.joint[i][j] * (self.f[i] - self.f[j]) * (mean[i] - share * mean[j]) for i, j in pairs)


@setting("mu of three responses, 0 < P(i beats j) < 1 with P(j beats i) = 1 - P(i beats j), any f; i and j independent")
def independent(numbers):
    """Two responses drawn independently from one law."""
    a = numbers.between("a", 0, 1)
    b = numbers.between("b", 0, 1 - a)
    mu = [a, b, 1 - a - b]
    x, y, z = (numbers.between(name, 0, 1) for name in ("p12", "p13", "p23"))
    half = F(1, 2)
    wins = [[half, x, y], [1 - x, half, z], [1 - y, 1 - z, half]]
    f = [numbers.real("f1"), numbers.real("f2"), 0]  # a constant in f changes nothing
    return Comparisons([[p * q for q in mu] for p in mu], wins, f)


@claim("proposition-3", "Proposition 3", PROVED)
def proposition_3(case, share=1):
    r"""\mathbb{E}\bigl[(f_y-f_{y'})\,I(y,y')\bigr]=\mathbb{E}\bigl[(f_y-f_{y'})(p^*(y\succ\mu)-p^*(y'\succ\mu))\bigr]

    Assumes: y and y' are drawn independently from $\mu$; with it the losses of Eqs. (13) and (16) differ by a constant.
    By the solver for three responses; the same with means for any number
    Proof: Both sides are $2\sum\mu fp-\sum\mu f$, since $p(y\succ y')+p(y'\succ y)=1$ and the mean of p is 1/2.
    """
    return case.by_labels() == case.by_means(share)


QUARTER = F(1, 4)
WINS = [[F(1, 2), F(9, 10), F(2, 5)], [F(1, 10), F(1, 2), F(3, 4)], [F(3, 5), QUARTER, F(1, 2)]]
CHAIN = [[F(0), QUARTER, F(0)], [QUARTER, F(0), QUARTER], [F(0), QUARTER, F(0)]]
MU = [F(1, 2), F(1, 3), F(1, 6)]
F_VALUES = [F(1), F(0), F(0)]


@claim(
    "proposition-3-other-pairs", "not in the paper; Proposition 3 read of any data set of pairs", FALSE, "proposition-3"
)
def proposition_3_other_pairs(case, share=1):
    r"""\mathbb{E}\bigl[(f_y-f_{y'})\,I(y,y')\bigr]=\mathbb{E}\bigl[(f_y-f_{y'})(p^*(y\succ\mu)-p^*(y'\succ\mu))\bigr]

    Assumes: any joint law of y and y'
    Because: Where only a with b and b with c are compared, as in a chain, it fails, and so it does where y and y' have
    two laws. Data sets of pairs are seldom independent in this sense.
    """
    return case.by_labels() == case.by_means(share)


proposition_3_other_pairs.false(
    at=Comparisons(CHAIN, WINS, F_VALUES), true_at=Comparisons([[p * q for q in MU] for p in MU], WINS, F_VALUES)
)
proposition_3.proved(over=independent, wrong={"share": F(9, 10)})


def by_moments(y, share=1):
    """Return whether both sides agree for any number of responses; the mean of p = 1/2 + c is 1/2."""
    p = F(1, 2) + y.c
    labels = y.sum(y.p * y.f * p) - y.sum(y.p * y.f * (1 - p))
    return same(labels, 2 * (y.sum(y.p * y.f * p) - share * y.sum(y.p * y.f) * y.sum(y.p * p)))


MOMENTS = over_responses(p="probability", f="any", c="centred")
proposition_3.derived(of=by_moments, sums=MOMENTS, wrong={"share": F(9, 10)}, also=True)


class Regression(NamedTuple):
    """Observed pairs (winner, loser), each once, and log-ratios at which the gaps are to be 1 target."""

    pairs: tuple[tuple[int, int], ...]
    f: tuple[F, ...]

    def is_optimal(self) -> bool:
        """Return whether the gradient of the sum of (f_w - f_l - 1)^2, a convex quadratic, is zero."""
        pulls = [F(0)] * len(self.f)
        for (winner, loser), gap in zip(self.pairs, self.gaps(), strict=True):
            pulls[winner] += 1 - gap
            pulls[loser] -= 1 - gap
        return not any(pulls)

    def gaps(self) -> list[F]:
        """Return the gap of each pair, in units of the target."""
        return [self.f[winner] - self.f[loser] for winner, loser in self.pairs]


@claim("eq-17-target", "not in the paper; after Eq. (17), read of every pair of a data set", FALSE, "one-pair-target")
def eq_17_target(data):
    r"""\text{at IPO's optimum}\
    \log\frac{\pi(y_w)\,\pi_{\mathrm{ref}}(y_l)}{\pi(y_l)\,\pi_{\mathrm{ref}}(y_w)}=\frac1{2\tau}\ \text{for every
    observed pair}

    Assumes: tabular policy, each pair once
    Because: The paper says that the gaps are regressed to this value, which is right. It is reached by one pair, or
    by pairs that agree: of a total order of three the gaps are 2/3, 2/3 and 4/3 of it.
    """
    return not data.is_optimal() or all(gap == 1 for gap in data.gaps())


ORDER_OF_THREE = Regression(((0, 1), (1, 2), (0, 2)), (F(4, 3), F(2, 3), F(0)))
eq_17_target.false(at=ORDER_OF_THREE, true_at=Regression(((0, 1), (1, 2)), (F(2), F(1), F(0))))


@claim("order-of-three-is-optimal", "not in the paper; after Eq. (17)", PROVED)
def order_of_three_is_optimal(data):
    r"""\text{there is a data set whose optimal gaps are}\ \tfrac23,\tfrac23,\tfrac43\ \text{of the target}

    Assumes: IPO, tabular policy: three responses in order, each pair observed once
    Proof: The pulls $1-\tfrac23$ of two pairs balance $1-\tfrac43$ of the third.
    """
    return data.is_optimal() and data.gaps() == [F(2, 3), F(2, 3), F(4, 3)]


order_of_three_is_optimal.evaluated(
    [ORDER_OF_THREE],
    meaning=THERE_IS,
    wrong=lambda data: Regression(data.pairs, (F(1), F(1, 2), F(0))).is_optimal(),
)


@claim("one-pair-target", "Section 5.3.1", PROVED)
def one_pair_target(tau, share=1):
    r"""\text{two actions, uniform reference, one always wins: IPO's optimum is}\ \pi^*=\sigma\Bigl(\frac1{2\tau}\Bigr)

    Assumes: tabular policy
    Proof: The loss is zero where $\log\pi^*-\log(1-\pi^*)=1/(2\tau)$.
    """
    p = 1 / (1 + sp.exp(-share / (2 * tau)))
    return same(sp.log(p) - sp.log(1 - p), 1 / (2 * tau))


one_pair_target.derived(wrong={"share": F(11, 10)})


@claim("proposition-4", "Proposition 4", PROVED)
def proposition_4(case, times=1):
    r"""\text{the optimal policies of DPO, and of RLHF with the reward that minimises the Bradley-Terry loss, are the
    same}

    Assumes: a minimiser of the Bradley-Terry loss exists; rewards are all functions, the reference is positive
    Because: Xu et al. 2024 claim the contrary (xu2024.theorem-4.1).
    Proof: xu2024.same-sets: $r=\beta\log(\pi/\pi_{\mathrm{ref}})+c$ is the reward of a policy, with the same loss,
    and the policy is its optimum.
    """
    return not case.minimises_dpo() or case.is_reached(times)


proposition_4.proved(over=minimisers, wrong={"times": F(11, 10)})
proposition_4.rests_on(same_sets)
