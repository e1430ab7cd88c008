r"""One prompt, responses of one token: logits are W_z . h plus a fixed bias, and both W and h are trained.

The score of a token z is W_z - sum p W in the direction of h, and (e_z - p) times h in that of W. With D = W_+ - W_-

    A_z = <W_z, D> - sum_v p_v <W_v, D> + |h|^2 ([z = +] - [z = -] - p_+ + p_-).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction as F
from typing import Any

from theory.claim import CONDITIONALLY, PROVED
from theory.decision.weighted import WeightedWorld
from theory.proof import POLICY, TABULAR, Named, beside, setting
from theory.statement import claims_of
from theory.worlds import dot

claim = claims_of("razin2024")


class InnerProducts(Named):
    """A world of one-token responses by the inner products of its unembeddings.

    Its numbers are the probabilities ``p_plus``, ``p_minus`` of the pair, |W_+|^2, |W_-|^2 and <W_+, W_-> (``plus2``,
    ``minus2``, ``cross``), |h|^2 (``h2``), <W_z, W_+ - W_-> for one other token (``a_z``), and ``others``, the sum of
    p_v <W_v, W_+ - W_-> over all tokens but the pair.
    """

    def drive(self, token: str) -> Any:
        """Return A of "+", "-" or "z"."""
        a = {"+": self.plus2 - self.cross, "-": self.cross - self.minus2, "z": self.a_z}
        mean = self.p_plus * a["+"] + self.p_minus * a["-"] + self.others
        return a[token] - mean + self.by_rows(token)

    def by_rows(self, token: str = "+") -> Any:
        """Return the part of the drive that comes from the step on W."""
        return self.h2 * ((token == "+") - (token == "-") - self.p_plus + self.p_minus)


@dataclass(frozen=True)
class Unembeddings:
    """An exact world of one-token responses: ``rows`` are the unembeddings; token 0 is +, 1 is -, 2 is z."""

    rows: tuple[tuple[F, ...], ...]
    h: tuple[F, ...]
    p: tuple[F, ...]

    @property
    def p_plus(self) -> F:
        """Return the probability of the chosen token."""
        return self.p[0]

    @property
    def p_minus(self) -> F:
        """Return the probability of the rejected token."""
        return self.p[1]

    @property
    def plus2(self) -> F:
        """Return |W_+|^2."""
        return dot(self.rows[0], self.rows[0])

    @property
    def minus2(self) -> F:
        """Return |W_-|^2."""
        return dot(self.rows[1], self.rows[1])

    @property
    def cross(self) -> F:
        """Return <W_+, W_->."""
        return dot(self.rows[0], self.rows[1])

    @property
    def h2(self) -> F:
        """Return |h|^2."""
        return dot(self.h, self.h)

    def along(self, token: int) -> F:
        """Return <W_v, W_+ - W_->."""
        return dot(self.rows[token], self.rows[0]) - dot(self.rows[token], self.rows[1])

    @property
    def a_z(self) -> F:
        """Return <W_z, W_+ - W_->."""
        return self.along(2)

    @property
    def others(self) -> F:
        """Return the sum of p_v <W_v, W_+ - W_-> over all tokens outside the pair."""
        return sum((self.p[v] * self.along(v) for v in range(2, len(self.p))), F(0))

    def score(self, token: int) -> tuple[F, ...]:
        """Return the gradient of the log-probability of a token: by h, then by each row of W."""
        mean = [sum((p * row[k] for p, row in zip(self.p, self.rows, strict=True)), F(0)) for k in range(len(self.h))]
        by_h = [x - m for x, m in zip(self.rows[token], mean, strict=True)]
        by_rows = [((v == token) - self.p[v]) * x for v in range(len(self.p)) for x in self.h]
        return (*by_h, *by_rows)

    def drive(self, token: str) -> F:
        """Return A of "+", "-" or "z" from the scores."""
        g = self.score("+-z".index(token))
        return dot(g, self.score(0)) - dot(g, self.score(1))

    def by_rows(self, token: str = "+") -> F:
        """Return the part of the drive that comes from the step on W."""
        own, plus, minus = (self.score(v)[len(self.h) :] for v in ("+-z".index(token), 0, 1))
        return dot(own, plus) - dot(own, minus)


def tokens_at(rows: Sequence[Sequence[int | F]], h: Sequence[int | F], p: Sequence[F]) -> Unembeddings:
    """Return an exact world from whole numbers and fractions."""
    exact = tuple(tuple(map(F, row)) for row in rows)
    return Unembeddings(exact, tuple(map(F, h)), tuple(map(F, p)))


def draw_tokens(source: random.Random) -> Unembeddings:
    """Draw an exact world with three to six tokens and up to three dimensions; often W_- is a multiple of W_+."""
    size, width = source.randint(3, 6), source.randint(1, 3)
    rows = [[source.randint(-3, 3) for _ in range(width)] for _ in range(size)]
    if source.random() < 0.4:
        rows[1] = [source.choice((1, 1, 2)) * x for x in rows[0]]
    weights = [source.randint(1, 9) for _ in range(size)]
    p = [F(weight, sum(weights)) for weight in weights]
    return tokens_at(rows, [source.randint(-2, 2) for _ in range(width)], p)


@setting("p_+ + p_- <= 1; the Gram matrix of W_+ and W_- is positive semidefinite; if W_+ = W_-, nothing is aligned")
def all_tokens(numbers):
    """Any vocabulary, any unembeddings, any hidden vector and bias."""
    p = numbers.between("p_plus", 0, 1)
    q = numbers.within("p_minus", 0, 1 - p)
    numbers.assume(q > 0)
    plus2, minus2 = numbers.at_least("plus2", 0), numbers.at_least("minus2", 0)
    cross, others, a_z = (numbers.real(name) for name in ("cross", "others", "a_z"))
    numbers.assume(cross * cross <= plus2 * minus2)
    apart = plus2 - 2 * cross + minus2 > 0
    numbers.assume(apart | ((others == 0) & (a_z == 0)))
    h2 = numbers.at_least("h2", 0)
    names = {"plus2": plus2, "minus2": minus2, "cross": cross, "others": others, "a_z": a_z, "h2": h2}
    return InnerProducts(p_plus=p, p_minus=q, **names)


TOKENS = replace(all_tokens, draw=draw_tokens)
"""Every world of one-token responses; exact worlds are drawn by their vectors, and drives come from the scores."""


def factor(w):
    """Return c = 1 - p_+ + p_-."""
    return 1 - w.p_plus + w.p_minus


@claim("theorem-4", "Theorem 4", PROVED)
def theorem_4(w, share=1):
    r"""\frac{d}{dt}\log\pi_+=-\ell'\Bigl[m-c\,\langle W_+,W_-\rangle-\sum_{z\ne\pm}p_z\langle W_z,W_+-W_-\rangle\Bigr],
    \qquad c=1-p_++p_-,\quad m=(1-p_+)|W_+|^2+p_-|W_-|^2+c\,|h|^2\ge 0

    Assumes: responses of one token, one pair, gradient flow on W and h; a fixed bias makes every p possible
    Proof: The bracket is the drive $g_+\cdot(g_+-g_-)$; expand the mean of the unembeddings.
    """
    m = (1 - share * w.p_plus) * w.plus2 + w.p_minus * w.minus2 + factor(w) * w.h2
    return w.drive("+") == m - factor(w) * w.cross - w.others and m >= 0


theorem_4.proved(over=TOKENS, wrong={"share": F(9, 10)})


@claim("theorem-5", "Theorem 5", PROVED)
def theorem_5(w, sign=1):
    r"""\frac{d}{dt}\log\pi_z=-\ell'\,\bigl[\langle W_z,W_+-W_-\rangle+\mathrm{const}\bigr],\qquad z\ne\pm,\qquad
    \mathrm{const}=(p_--p_+)|h|^2-\sum_vp_v\langle W_v,W_+-W_-\rangle

    Assumes: as in Theorem 4. In the copy that was read the factor before the bracket is $-\ell$; a prime may have been
    lost, and $-\ell'$ is what is meant.
    Proof: As Theorem 4. The constant is the same for every z outside the pair.
    """
    mean = w.p_plus * (w.plus2 - w.cross) + w.p_minus * (w.cross - w.minus2) + w.others
    return w.drive("z") == w.a_z + sign * (w.p_minus - w.p_plus) * w.h2 - mean


theorem_5.proved(over=TOKENS, wrong={"sign": F(11, 10)})


@claim("order-of-the-others", "not in the paper; after Theorem 5", PROVED)
def order_of_the_others(case, least=0):
    r"""\langle W_z,W_+-W_-\rangle\ge\langle W_v,W_+-W_-\rangle\iff A_z\ge A_v\qquad z,v\ne\pm

    Assumes: responses of one token. Whether z rises at all is another matter: that hangs on the constant.
    Proof: razin2024.theorem-5: the constant is the same for both.
    """
    w, other = case
    v = InnerProducts(**vars(w) | {"a_z": other})
    return (w.a_z >= other + least) == (w.drive("z") >= v.drive("z"))


@beside(all_tokens, "<W_v, D> of a second token")
def second_token(numbers):
    """A second token outside the pair."""
    return numbers.real("a_v")


order_of_the_others.proved(over=second_token, wrong={"least": F(1, 10)})


@claim("identical-unembeddings", "not in the paper; after Theorem 4", PROVED)
def identical_unembeddings(w, least=0):
    r"""W_+=W_-\ \Rightarrow\ A_+=(1-p_++p_-)\,|h|^2\ge 0

    Assumes: responses of one token
    Because: The more alike the two unembeddings are at fixed lengths, the lower is the drive; yet where they are
    the same, nothing is displaced.
    Proof: $W_+-W_-=0$, so only the part of the step on W is left, and there the two tokens have rows of their own.
    """
    alike = w.plus2 == w.cross and w.minus2 == w.cross
    return not alike or w.drive("+") == factor(w) * w.h2 >= least


identical_unembeddings.proved(over=TOKENS, wrong={"least": F(1, 10)})


@claim("alignment-alone", "not in the paper; after Theorem 4", PROVED)
def alignment_alone(w, longer=1):
    r"""|W_-|\le|W_+|,\quad\sum_{z\ne\pm}p_z\langle W_z,W_+-W_-\rangle\le 0\ \Rightarrow\ A_+\ge 0

    Assumes: responses of one token
    Because: Without other tokens along $W_+-W_-$, no alignment of the two unembeddings displaces the chosen token,
    unless that of the rejected token is the longer one.
    Proof: By Cauchy and Schwarz, with $k=|W_-|/|W_+|$, $A_+\ge|W_+|^2(1-k)(1-p_+-p_-k)\ge 0$ for $k\le 1$.
    """
    return not (w.minus2 <= longer * w.plus2 and w.others <= 0) or w.drive("+") >= 0


alignment_alone.proved(over=TOKENS, wrong={"longer": F(6, 5)})


@setting("0 < p_+, p_-, p_+ + p_- <= 1; W_- = k W_+, k > 0; nothing else is aligned, h = 0")
def parallel(numbers):
    """The two unembeddings point the same way."""
    p = numbers.between("p_plus", 0, 1)
    q = numbers.within("p_minus", 0, 1 - p)
    numbers.assume(q > 0)
    k, plus2 = numbers.positive("k"), numbers.positive("plus2")
    names = {"plus2": plus2, "minus2": k * k * plus2, "cross": k * plus2}
    return InnerProducts(p_plus=p, p_minus=q, k=k, others=0, a_z=0, h2=0, **names)


@claim("rejected-longer", "not in the paper; after Theorem 4", PROVED)
def rejected_longer(w, least=1):
    r"""W_-=k\,W_+,\ k>0:\qquad A_+<0\iff 1<k<\frac{1-p_+}{p_-}

    Assumes: responses of one token, $h=0$, no other token aligned with $W_+-W_-$
    Because: Of two parallel unembeddings the rejected one must be the longer one, and not by too much. The smallest
    case has three tokens in one dimension, $W=(1,\tfrac32,0)$ and uniform p: $A_+=-\tfrac1{12}$.
    Proof: $A_+=|W_+|^2(1-k)(1-p_+-p_-k)$, and $1-p_+-p_-k>0$ for $k\le 1$.
    """
    return (w.drive("+") < 0) == (least < w.k and w.k * w.p_minus < 1 - w.p_plus)


THIRDS = (F(1, 3),) * 3
SMALLEST = tokens_at([[1], [F(3, 2)], [0]], [0], THIRDS)


def smallest_is_displaced(w, value=F(-1, 12)):
    return w.drive("+") == value


rejected_longer.proved(over=parallel, wrong={"least": F(6, 5)})
rejected_longer.evaluated([SMALLEST], of=smallest_is_displaced, wrong={"value": F(-1, 10)}, also=True)


@setting("two worlds with the same p_+, p_-, |W_+|, |W_-|, |h|")
def two_worlds(numbers):
    """Two worlds that differ in their inner products only."""
    p = numbers.between("p_plus", 0, 1)
    q = numbers.within("p_minus", 0, 1 - p)
    numbers.assume(q > 0)
    same = {name: numbers.at_least(name, 0) for name in ("plus2", "minus2", "h2")}
    pair = []
    for name in ("one", "two"):
        cross, others = numbers.real(f"cross_{name}"), numbers.real(f"others_{name}")
        numbers.assume(cross * cross <= same["plus2"] * same["minus2"])
        pair.append(InnerProducts(p_plus=p, p_minus=q, cross=cross, others=others, a_z=others, **same))
    return tuple(pair)


@claim("theorem-1-order", "Theorem 1, its informal statement", CONDITIONALLY, "theorem-4")
def theorem_1_order(pair):
    r"""T=\langle W_+,W_-\rangle+\sum_{z\ne\pm}p_z\langle W_z,W_+-W_-\rangle:\qquad T_1\le T_2\ \Rightarrow\ A_+^1\ge
    A_+^2

    Assumes: $p_+=p_-$; responses of one token, both worlds with the same p (a fixed bias makes every p possible),
    $|W_\pm|$ and $|h|$
    Because: Read as an order (the informal statement says that the fall grows with the two terms). The first term of
    Theorem 4 carries the factor $c=1-p_++p_-\in(0,2)$, which is missing here. With $p=(1,8,1)/10$, $W_+=(1,0)$,
    $|W_-|=1$ there are two worlds with $T=3/5<4/5$ and $A_+=17/25<9/10$.
    Proof: For $p_+=p_-$ the factor is 1 and $A_+=m-T$.
    """
    one, two = pair
    return one.cross + one.others > two.cross + two.others or one.drive("+") >= two.drive("+")


ROUND, TILTED = (F(1, 10), F(8, 10), F(1, 10)), (F(1, 10), F(1, 10), F(8, 10))
FIRST: list[list[int | F]] = [[1, 0], [F(3, 5), F(4, 5)], [0, 0]]
SECOND: list[list[int | F]] = [[1, 0], [0, 1], [7, -1]]
theorem_1_order.false(
    at=tuple(tokens_at(rows, [0, 0], ROUND) for rows in (FIRST, SECOND)),
    true_at=tuple(tokens_at(rows, [0, 0], TILTED) for rows in (FIRST, SECOND)),
)
theorem_1_order.proved(
    over=two_worlds,
    given=lambda pair: pair[0].p_plus == pair[0].p_minus,
    wrong_given=lambda pair: 4 * pair[0].p_plus <= 5 * pair[0].p_minus,
)


@claim("theorem-1-each-term", "Theorem 1, its informal statement term by term", PROVED)
def theorem_1_each_term(pair, room=0):
    r"""\langle W_+,W_-\rangle\ \text{and}\ \sum_{z\ne\pm}p_z\langle W_z,W_+-W_-\rangle\ \text{both no larger in the
    first world}\ \Rightarrow\ A_+^1\ge A_+^2

    Assumes: responses of one token, both worlds with the same p (a fixed bias makes every p possible), $|W_\pm|$ and
    $|h|$
    Proof: Both terms of Theorem 4 have positive factors, c and 1, and a minus sign.
    """
    one, two = pair
    larger = one.cross > two.cross or one.others > two.others
    return larger or one.drive("+") >= two.drive("+") + room


theorem_1_each_term.proved(over=two_worlds, wrong={"room": F(1, 100)})


@claim("theorem-8-negative", "Theorem 8, what follows it", PROVED)
def theorem_8_negative(w, most=0):
    r"""\alpha=[y_+=y_j^+]-[y_+=y_j^-]+\pi(y_j^-)-\pi(y_j^+)<0\iff y_+=y_j^-\ \text{or}\ \bigl(y_+\ne y_j^\pm\
    \text{and}\ \pi(y_j^-)<\pi(y_j^+)\bigr)

    Assumes: responses of one token; $\alpha$ is what sample j contributes to $\frac{d}{dt}\log\pi_+$, up to $-\ell_j'$
    and $\langle h,h_j\rangle$. Only where both of these are positive does a negative $\alpha$ push down: IPO beyond
    its target has $-\ell_j'<0$.
    Proof: $\alpha=\langle e_+-\pi,e_{j+}-e_{j-}\rangle$ is the drive of $y_+$ in a tabular softmax whose pair is
    that of sample j: of its chosen response, of its rejected one, or of another.
    """
    return w.A_w > most > w.A_l and (w.A_y < most) == (w.p_l < w.p_w)


def with_or_without_others(w, most=0):
    """Return the part of the statement that also a vocabulary of two tokens has, where there is no other response."""
    return w.A_w > most > w.A_l


theorem_8_negative.proved(over=TABULAR, wrong={"most": F(1, 10)})
theorem_8_negative.proved(over=TABULAR, of=with_or_without_others, also=True, wrong={"most": F(1, 10)})


@claim("proposition-1", "Proposition 1, on an SFT term", PROVED)
def proposition_1(case, share=1):
    r"""\frac{d}{dt}\log\pi_+=E+\lambda|g_+|^2\ge E

    Assumes: any policy; E is the same without the SFT term $-\lambda\log\pi_+$. That the first tokens differ, as the
    paper assumes, is not needed.
    Proof: With the term the parameters move along $(1+\lambda)g_+-g_-$.
    """
    w, weight = case
    return WeightedWorld(w, 1 + weight, 1).A_w - w.A_w == share * weight * w.ww >= 0


@beside(POLICY, "lambda > 0")
def sft_weight(numbers):
    """The weight of the SFT term."""
    return numbers.positive("weight")


proposition_1.proved(over=sft_weight, wrong={"share": F(9, 10)})
