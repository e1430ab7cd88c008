"""Lemmas 3 and 4: covariances of functions that increase together, for any number of values.

Both lemmas are true. Their polarised form, which the paper does not have, shows what Theorem 4 is worth.

The values of X are added one by one, in increasing order. In units in which the weights sum to A, the covariance of
two functions is 1/A^2 times the sum over pairs of values of the products of both differences, and one more value on
top adds p times the sum of its products with those below. Two inductions prove the lemmas:

- ``adds_more``: what a new value adds for the products fg and hg is at least g^2 times what it adds for f and h;
- ``weighted_pairs``: if each pair is weighted by the larger gamma of its two values, its sum over pairs is at least the
  plain one times the mean of gamma. Lemma 3 takes gamma = g^2, Lemma 4 takes gamma = f.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction as F
from functools import partial
from typing import Any, NamedTuple

from theory.claim import PROVED
from theory.proof import Named, over_responses, same, setting, sums_of
from theory.statement import Statement, claims_of
from theory.worlds import Vector

claim = claims_of("ma2025")


def covariance(x: Sequence[Any], y: Sequence[Any], weights: Sequence[Any] | None = None) -> Any:
    """Return Cov[x, y] over responses, uniform unless weighted (weights need not be normalised).

    Example:
        >>> covariance([F(1), F(2)], [F(2), F(1)])
        Fraction(-1, 4)
    """
    return mean([a * b for a, b in zip(x, y, strict=True)], weights) - mean(x, weights) * mean(y, weights)


def mean(x: Sequence[Any], weights: Sequence[Any] | None = None) -> Any:
    """Return E[x] over responses, uniform unless weighted.

    Example:
        >>> mean([F(1), F(2)], [F(1), F(3)])
        Fraction(7, 4)
    """
    a = [F(1)] * len(x) if weights is None else weights
    return sum((b * c for b, c in zip(a, x, strict=True)), F(0)) / sum(a)


def times(x: Sequence[Any], y: Sequence[Any]) -> tuple[Any, ...]:
    """Return the products x_i y_i."""
    return tuple(a * b for a, b in zip(x, y, strict=True))


class Functions(NamedTuple):
    """Three functions of a random variable with equally probable values."""

    f: Vector
    g: Vector
    h: Vector

    @staticmethod
    def of(f: Sequence[int], g: Sequence[int], h: Sequence[int] | None = None) -> Functions:
        """Return them from whole numbers; h is f unless given."""
        return Functions(*(tuple(map(F, values)) for values in (f, g, f if h is None else h)))


# --- what a new largest value adds ---------------------------------------------------------------------------------


def top(numbers: Any) -> Named:
    """Return the functions at a value that is larger than those before."""
    f, g, h = (numbers.real(name) for name in "FGH")
    numbers.assume(f >= 0, g >= 0, h >= 0)
    return Named(f=f, g=g, h=h)


def top_of_any_sign(numbers: Any) -> Named:
    """Return the same with f of any sign."""
    return Named(f=numbers.real("F"), g=numbers.positive("G"))


@sums_of("p > 0; f, g, h >= 0, none larger than at the new value", fixed=top)
def below(numbers: Any, new: Named) -> Named:
    """Any number of smaller values."""
    p, (f, g, h) = numbers.positive("p"), (numbers.within(name, 0, getattr(new, name)) for name in "fgh")
    return Named(products=p * (new.f * new.g - f * g) * (new.h * new.g - h * g), plain=p * (new.f - f) * (new.h - h))


@sums_of("p > 0; 0 <= g; neither f nor g larger than at the new value", fixed=top_of_any_sign)
def below_of_any_sign(numbers: Any, new: Named) -> Named:
    """Any number of smaller values, f of any sign."""
    p, g, less = numbers.positive("p"), numbers.within("g", 0, new.g), numbers.real("less")
    numbers.assume(less >= 0)
    f = new.f - less
    return Named(products=p * (new.f * new.g - f * g) * (new.g - g), plain=p * (new.g - g) ** 2)


def adds_more(s: Any, share: Any = 1) -> Any:
    """Return whether a new value adds at least gamma = g^2 times as much for fg and hg as for f and h."""
    return s.products >= share * s.fixed.g**2 * s.plain


def adds_more_of_any_sign(s: Any, share: Any = 1) -> Any:
    """Return the same for fg and g against g and g, with gamma = f."""
    return s.products >= share * s.fixed.f * s.plain


def one_more_value(y: Any, half: Any = 1) -> Any:
    """Return the identity: a new value adds p sum q (X - x)(Y - y) to A^2 Cov[x, y]."""
    one = y.one("new")
    x, z, weight = y.sum(y.q * y.x), y.sum(y.q * y.z), y.sum(y.q)
    before = weight * y.sum(y.q * y.x * y.z) - x * z
    after = (weight + one.q) * (y.sum(y.q * y.x * y.z) + one.q * one.x * one.z)
    after -= (x + one.q * one.x) * (z + one.q * one.z)
    return same(after - before, half * one.q * y.sum(y.q * (one.x - y.x) * (one.z - y.z)))


# --- pairs weighted by the larger gamma ----------------------------------------------------------------------------


@setting("p > 0; one value")
def first_value(numbers: Any) -> Named:
    """The smallest value."""
    nothing = dict.fromkeys(("from_x", "from_y", "both", "room", "plain", "short", "products"), F(0))
    return Named(weight=numbers.positive("p"), gamma=numbers.real("gamma"), **nothing)


@setting("the statement about the values so far; p > 0, nothing falls; the new value adds to the products as proved")
def next_value(numbers: Any) -> Named:
    """One more value on top."""
    names = ("weight", "gamma", "from_x", "from_y", "both", "room", "plain", "short", "products")
    state = Named(**{name: numbers.real(name) for name in names})
    state.new = Named(p=numbers.positive("p"), **{name: numbers.real(name) for name in ("dx", "dy", "dgamma", "more")})
    numbers.assume(*(value >= 0 for name, value in vars(state.new).items() if name != "p"))
    return state


def with_value(s: Named) -> Named:
    """Return the sums with the new value.

    With x, y, gamma at the largest value so far, from_x = sum p (x - x_i), both = sum p (x - x_i)(y - y_i),
    room = sum p (gamma - gamma_i), plain = A^2 Cov[x, y], and short = gamma plain - (plain, each pair weighted by the
    larger gamma).
    """
    new = s.new
    from_x, from_y = s.from_x + s.weight * new.dx, s.from_y + s.weight * new.dy
    both = s.both + new.dx * s.from_y + new.dy * s.from_x + s.weight * new.dx * new.dy
    return Named(
        weight=s.weight + new.p,
        gamma=s.gamma + new.dgamma,
        from_x=from_x,
        from_y=from_y,
        both=both,
        room=s.room + s.weight * new.dgamma,
        plain=s.plain + new.p * both,
        short=s.short + new.dgamma * s.plain,
        # all that the products fg, hg exceed the weighted pairs by
        products=s.products + new.p * new.more,
    )


def draw_value(source: random.Random, s: Named) -> Named:
    """Return exact sums with one more value to come."""
    steps = {name: F(source.choice((0, 0, 1, 2, 7))) for name in ("dx", "dy", "dgamma", "more")}
    return Named(**vars(s), new=Named(p=F(source.choice((1, 3, 40))), **steps))


def weighted_pairs(s: Named, share: Any = 1) -> Any:
    """Return whether A (weighted pairs + products) >= share (sum p gamma) plain, with what the induction needs.

    Weighted pairs = gamma plain - short and sum p gamma = A gamma - room. A^2 Cov[fg, hg] is weighted pairs + products.
    """
    signs = [s.weight > 0, *(x >= 0 for x in (s.from_x, s.from_y, s.both, s.room, s.plain, s.products))]
    needed = [s.both * s.room >= s.short, s.weight * s.both >= s.plain, *signs]
    claimed = s.weight * (s.gamma * s.plain - s.short + s.products) >= share * s.plain * (s.weight * s.gamma - s.room)
    for truth in needed:
        claimed = truth & claimed
    return claimed


def prove_lemma(statement: Statement, of_any_sign: bool = False) -> None:
    """Add the three parts of the proof to one of the lemmas."""
    sums: dict[str, Any] = below_of_any_sign if of_any_sign else below
    adds: Callable[..., Any] = adds_more_of_any_sign if of_any_sign else adds_more
    values = over_responses(q="any", x="any", z="any")
    statement.by_induction(
        base=first_value, step=next_value, after=with_value, more=draw_value, wrong={"share": F(21, 20)}
    )
    statement.derived(of=one_more_value, sums=values, wrong={"half": F(9, 10)})
    statement.by_induction(of=adds, **sums, wrong={"share": F(11, 10)})


# --- the lemmas ----------------------------------------------------------------------------------------------------


def increasing(source: random.Random) -> Functions:
    """Draw three nonnegative functions that increase together."""
    n = source.randint(2, 8)

    def function() -> list[int]:
        low, spread = source.randint(0, 3), source.choice((0, 1, 3, 10))  # constant functions: equality
        return [low + v for v in sorted(source.randint(0, spread) for _ in range(n))]

    return Functions.of(function(), function(), function())


def alike(source: random.Random) -> Functions:
    """Draw the same with h = f."""
    drawn = increasing(source)
    return drawn._replace(h=drawn.f)


RANGES = "2 to 8 equally probable values, functions from 0 to 13"
TOGETHER = Functions.of((1, 2), (1, 2))


def in_numbers_3(x: Functions, share: F = F(1)) -> bool:
    return covariance(times(x.f, x.g), times(x.h, x.g)) >= share * covariance(x.f, x.h) * mean(times(x.g, x.g))


def in_numbers_4(x: Functions, share: F = F(1), shift: int = 0) -> bool:
    f = tuple(v + shift for v in x.f)
    return covariance(times(f, x.g), x.g) >= share * mean(f) * covariance(x.g, x.g)


@claim("lemma-3", "Lemma 3, Eq. (19); proof, Eqs. (52)-(63)", PROVED)
def lemma_3(s: Named, share: Any = 1) -> Any:
    r"""\mathrm{Var}[fg]\ge\mathrm{Var}[f]\,\mathbb E[g^2]

    Assumes: f and g are nonnegative and increase together; X has finitely many values, as many as you like
    Proof: For an independent copy, $(fg-f'g')^2\ge(f-f')^2\max(g,g')^2$, and pairs weighted by the larger $g^2$ weigh
    more on average than $\mathbb E[g^2]$: by induction on the number of values, a largest one added.
    """
    return weighted_pairs(s, share)


prove_lemma(lemma_3)
lemma_3.unrefuted(alike, of=in_numbers_3, wrong={"share": F(21, 20)}, ranges=RANGES, also=True)
for functions in (((1, 2), (2, 1)), ((-1, 0), (1, 2)), ((1, 2), (-2, -1))):  # against each other, f < 0, g < 0
    lemma_3.false(at=Functions.of(*functions), true_at=TOGETHER, of=in_numbers_3, also=True)


@claim("lemma-3-polarised", "not in the paper; Lemma 3 with two different functions", PROVED)
def lemma_3_polarised(s: Named, share: Any = 1) -> Any:
    r"""\mathrm{Cov}[fg,hg]\ge\mathrm{Cov}[f,h]\,\mathbb E[g^2]

    Assumes: f, g and h are nonnegative and increase together; X has finitely many values
    Proof: The proof of Lemma 3 word for word, from $(fg-f'g')(hg-h'g')\ge(f-f')(h-h')\max(g,g')^2$.
    """
    return weighted_pairs(s, share)


prove_lemma(lemma_3_polarised)
lemma_3_polarised.unrefuted(increasing, of=in_numbers_3, wrong={"share": F(21, 20)}, ranges=RANGES, also=True)
AGAINST = Functions.of((1, 2), (2, 1), (1, 2))
lemma_3_polarised.false(at=AGAINST, true_at=TOGETHER, of=in_numbers_3, also=True)


@claim("lemma-4", "Lemma 4, Eq. (23); proof, Eqs. (72)-(83)", PROVED)
def lemma_4(s: Named, share: Any = 1) -> Any:
    r"""\mathrm{Cov}[fg,g]\ge\mathbb E[f]\,\mathrm{Var}[g]

    Assumes: f and g increase together and g is nonnegative; of f the sign does not matter; X has finitely many values
    Proof: As Lemma 3, from $(fg-f'g')(g-g')\ge\max(f,f')(g-g')^2$. A constant added to f adds the same to both sides.
    """
    return weighted_pairs(s, share)


prove_lemma(lemma_4, of_any_sign=True)
for shift, share in ((0, F(21, 20)), (-5, F(9, 10))):
    form = partial(in_numbers_4, shift=shift)
    lemma_4.unrefuted(increasing, of=form, wrong={"share": share}, ranges=RANGES, also=True)
for functions in (((2, 1), (1, 2)), ((0, 1), (-2, -1))):
    lemma_4.false(at=Functions.of(*functions), true_at=TOGETHER, of=in_numbers_4, also=True)
