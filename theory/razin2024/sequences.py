"""Responses of two tokens, and the score CHES that orders pairs by their hidden vectors."""

from __future__ import annotations

from fractions import Fraction as F
from itertools import combinations, product
from typing import NamedTuple

from theory.claim import CONDITIONALLY, EMPTY, FALSE, PROVED
from theory.evidence import CONDITIONAL, VACUOUS
from theory.proof import Named, setting
from theory.razin2024.one_token import TOKENS, claim
from theory.statement import ALL_CASES


class TwoTokens(NamedTuple):
    """Two tokens in the vocabulary, hidden vectors of one number each, W = 0: every next-token law is uniform.

    ``h`` are the hidden vectors of the prompt, of the prompt with the first chosen token, and of the prompt with the
    first rejected token; ``chosen`` and ``rejected`` are the two responses. With W = 0 the hidden vectors have no
    gradient, so that it does not matter whether they are trained.
    """

    h: tuple[int, int, int]
    chosen: tuple[int, int]
    rejected: tuple[int, int]

    def score(self, response: tuple[int, int], second: int) -> tuple[F, ...]:
        """Return the gradient by W: the sum over the tokens of (e_token - 1/2) h."""
        half = F(1, 2)
        return tuple(((response[0] == v) - half) * self.h[0] + ((response[1] == v) - half) * second for v in range(2))

    def drives(self) -> tuple[F, ...]:
        """Return the drives of the chosen and of the rejected response."""
        plus, minus = self.score(self.chosen, self.h[1]), self.score(self.rejected, self.h[2])
        step = [a - b for a, b in zip(plus, minus, strict=True)]
        return tuple(sum((a * b for a, b in zip(g, step, strict=True)), F(0)) for g in (plus, minus))

    def by_rows(self) -> F:
        """Return the part of the drive of the chosen response that comes from the step on W: all of it."""
        return self.drives()[0]

    def ches(self) -> int:
        """Return <sum h_+, sum h_-> - |sum h_+|^2, over the hidden vectors before each token."""
        plus, minus = self.h[0] + self.h[1], self.h[0] + self.h[2]
        return plus * minus - plus * plus


RISES = TwoTokens((1, 0, 10), (0, 0), (1, 1))
FALLS = TwoTokens((1, 2, 1), (0, 1), (1, 1))
ORDERED = TwoTokens((1, 1, 4), (0, 1), (1, 1))


@setting("inner products of h_+ and h_-, the sums of the hidden vectors before each token of either response")
def sums_of_hidden_vectors(numbers):
    """Two responses of any length."""
    plus2, minus2 = numbers.at_least("plus2", 0), numbers.at_least("minus2", 0)
    cross = numbers.real("cross")
    numbers.assume(cross * cross <= plus2 * minus2)
    return Named(ches=cross - plus2, apart=plus2 - 2 * cross + minus2)


@claim("ches-one-token", "not in the paper; Definition 2 for responses of one token", EMPTY, "theorem-4")
def ches_one_token(sums, most=0):
    r"""\mathrm{CHES}(y_+,y_-)=\langle h_+,h_-\rangle-|h_+|^2=0,\qquad h_\pm=\sum_kh_k^\pm

    Assumes: responses of one token
    Because: Both responses have the one hidden vector h of the prompt, so that CHES is 0 for every policy and orders
    nothing; the drive of Theorem 4 takes every value.
    Proof: Before the only token stands the prompt, so that $|h_+-h_-|^2=0$, and $\langle h_+,h_+-h_-\rangle=0$.
    """
    return sums.apart > most or sums.ches == 0


ches_one_token.proved(over=sums_of_hidden_vectors, role=VACUOUS, wrong={"most": F(1, 10)})


@claim(
    "ches-order",
    "not in the paper; Definition 2 read as an order: a higher CHES means a lower drive",
    FALSE,
    "ches-coin",
)
def ches_order(pair):
    r"""\mathrm{CHES}_1<\mathrm{CHES}_2\ \Rightarrow\ A_+^1\ge A_+^2

    Assumes: responses of two tokens
    Because: CHES is what is left of the drive if all coefficients are replaced by 1. The paper itself claims no
    implication, only that most coefficients are positive in its models. Two tokens, one dimension, all laws uniform:
    with $h=(1,2,1)$ CHES is $-3$ and the chosen response falls ($A_+=-1/2$); with $h=(1,0,10)$ CHES is $10$ and it
    rises ($A_+=6$).
    """
    one, two = pair
    return not one.ches() < two.ches() or one.drives()[0] >= two.drives()[0]


ches_order.false(at=(FALLS, RISES), true_at=(RISES, FALLS))


def lattice(largest: int) -> list[TwoTokens]:
    """Return all worlds with hidden vectors from 1 up, in which the responses differ in their first token."""
    sizes = range(1, largest + 1)
    return [
        TwoTokens((a, b, c), (0, t), (1, u))
        for a, b, c in product(sizes, repeat=3)
        for t, u in product((0, 1), repeat=2)
    ]


@claim("ches-coin", "not in the paper; after Definition 2", PROVED)
def ches_coin(worlds, wrong=2311):
    r"""\text{CHES orders }2311\text{ of the }4682\text{ pairs of these }108\text{ worlds that differ in both the wrong
    way}

    Assumes: two tokens in the vocabulary, one dimension, W = 0, hidden vectors 1, 2 or 3, two-token responses that
    differ in their first token
    Because: That is 49 %: here CHES tells no more than a coin. Hidden vectors all have positive inner products, as in
    the paper's models; the laws are uniform, which its models' are not.
    Proof: All pairs are counted.
    """
    known = [(world.ches(), world.drives()[0]) for world in worlds]
    parted = [(a, b) for a, b in combinations(known, 2) if a[0] != b[0] and a[1] != b[1]]
    bad = sum((a[0] > b[0]) == (a[1] > b[1]) for a, b in parted)
    return len(parted) == 4682 and bad == wrong


ches_coin.evaluated([lattice(3)], wrong={"wrong": 2310}, meaning=ALL_CASES)


@claim(
    "fixed-embeddings", "not read in full; ours, after Proposition 3 of the fourth version", CONDITIONALLY, "theorem-4"
)
def fixed_embeddings(w, least=0):
    r"""\text{only W is trained}\ \Rightarrow\ A_+\ge 0

    Assumes: responses of one token
    Because: With two tokens it fails. The worlds of razin2024.ches-order have $W=0$, so that hidden vectors have no
    gradient anyway: two tokens in the vocabulary, $h=(1,2,1)$, $y_+=(0,1)$, $y_-=(1,1)$ give $A_+=-1/2$.
    Proof: For one token the part of the drive on W is $(1-p_++p_-)|h|^2$.
    """
    return w.by_rows() >= least


fixed_embeddings.false(at=FALLS, true_at=RISES)
fixed_embeddings.proved(over=TOKENS, role=CONDITIONAL, wrong={"least": F(1, 10)})
