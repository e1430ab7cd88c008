"""Lemmas 3 and 4: covariances of functions that increase together, for any number of values.

Both lemmas are true. Their polarised form, which the paper does not have, shows what Theorem 4 is worth.

The values of X are added one by one, in increasing order, and all sums over them are kept. In a covariance each pair of
values counts with the product of both differences. If it is weighted by the larger gamma of its values (g^2 in Lemma 3,
f in Lemma 4), the sum over pairs is at most that of the products fg, and at least that with the mean of gamma.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction as F
from functools import partial, reduce
from operator import and_
from typing import Any, NamedTuple

from theory.claim import PROVED
from theory.proof import Named, setting
from theory.proof.settings import either
from theory.statement import claims_of
from theory.worlds import Vector

claim = claims_of("ma2025")


def covariance(x, y, weights=None):
    """Return Cov[x, y] over responses, uniform unless weighted (weights need not be normalised).

    Example:
        >>> covariance([F(1), F(2)], [F(2), F(1)])
        Fraction(-1, 4)
    """
    return mean([a * b for a, b in zip(x, y, strict=True)], weights) - mean(x, weights) * mean(y, weights)


def mean(x, weights=None):
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


# --- sums over values in increasing order --------------------------------------------------------------------------


LINEAR = ("x", "y", "u", "v", "gamma")


class Lemma(NamedTuple):
    """One of the lemmas: Cov[u, v] >= Cov[x, y] E[gamma], where u, v, x, y and gamma are made of f, g and h.

    Attributes:
        functions: names of the functions that increase together.
        of_any_sign: names of those that need not be positive.
        at: u, v, x, y and gamma of their values.
        alike: sums over x, y, u and v of which two are one and the same, by name.
        needed: what else the induction needs to know; from the sums and from their distances below the largest value.
        steps: products that are not negative, whose sum is the change of ``uv - gamma xy`` as the functions grow.
    """

    functions: str
    of_any_sign: str
    alike: dict[str, str]
    at: Callable[[Named], Named]
    needed: Callable[[Named, Named, Named], list[Any]]
    steps: Callable[[Named, Named, Named, Named], list[Any]]


def added(p, at):
    """Return what a value of weight p adds to the sums."""
    sums = {"A": p, "x": p * at.x, "y": p * at.y, "xy": p * at.x * at.y, "gamma": p * at.gamma}
    return sums | {"u": p * at.u, "v": p * at.v, "uv": p * at.u * at.v}


def below(s: Named, at: Named) -> Named:
    """Return sums of distances below a value that is not smaller: sum p (x - x_i), sum p (x - x_i)(y - y_i), ..."""
    d = Named(**{name: s.A * vars(at)[name] - vars(s)[name] for name in LINEAR})
    d.xy = s.A * at.x * at.y - at.x * s.y - at.y * s.x + s.xy
    d.uv = s.A * at.u * at.v - at.u * s.v - at.v * s.u + s.uv
    return d


def in_order(lemma: Lemma) -> dict[str, Any]:
    """Return base and step of an induction over values in increasing order.

    A step either lets the functions grow, or puts more weight on the largest value. ``pairs`` is the sum over all pairs
    of values, each weighted by the larger gamma of the two.
    """

    @setting("p > 0; one value")
    def one_value(numbers):
        """The smallest value."""
        top = Named(**{name: numbers.real(name) for name in lemma.functions})
        numbers.assume(*(value >= 0 for name, value in vars(top).items() if name not in lemma.of_any_sign))
        return Named(**added(numbers.positive("p"), lemma.at(top)), top=top, pairs=F(0), steps=[])

    def any_values(numbers, p, new):
        """Return any sums, by their distances below the largest value, and what is new."""
        A, top = numbers.real("A"), Named(**{name: numbers.real(name) for name in lemma.functions})
        at, names = lemma.at(top), [name for name in LINEAR if name not in lemma.alike]
        d = {name: numbers.real(f"below_{name}") for name in [*names, "xy", "uv"]}
        d |= {name: d[other] for name, other in lemma.alike.items()}
        s = Named(A=A, **{name: A * vars(at)[name] - d[name] for name in LINEAR})
        s.xy = d["xy"] - A * at.x * at.y + at.x * s.y + at.y * s.x
        s.uv = d["uv"] - A * at.u * at.v + at.u * s.v + at.v * s.u
        return Named(**vars(s), top=top, pairs=numbers.real("pairs"), steps=[], p=p, new=new)

    @setting("the statement about the values so far; the functions grow")
    def higher(numbers):
        """A larger value."""
        return any_values(numbers, 0, Named(**{name: numbers.at_least(f"more_{name}", 0) for name in lemma.functions}))

    @setting("the statement about the values so far; more weight on the largest one")
    def heavier(numbers):
        """More weight."""
        return any_values(numbers, numbers.positive("p"), Named(**dict.fromkeys(lemma.functions, 0)))

    def after(s: Named) -> Named:
        top = Named(**{name: vars(s.top)[name] + vars(s.new)[name] for name in lemma.functions})
        old, at = lemma.at(s.top), lemma.at(top)
        sums = {name: vars(s)[name] + value for name, value in added(s.p, at).items()}
        steps = lemma.steps(s, below(s, old), old, s.new)
        return Named(**sums, top=top, pairs=s.pairs + s.p * at.gamma * below(s, at).xy, steps=steps)

    def more(source: random.Random, s: Named) -> Named:
        grows = source.choice((True, False))
        new = Named(**{name: F(source.choice((0, 0, 1, 2, 7)) if grows else 0) for name in lemma.functions})
        return Named(**vars(s), p=F(0 if grows else source.choice((1, 3, 40))), new=new)

    words = "the functions grow, or the largest value gets more weight"
    step = either("one more step", words, {"larger": higher, "heavier": heavier})
    return {"base": one_value, "step": step, "after": after, "more": more}


def holds(lemma, s, share):
    """Return whether A^3 Cov[u, v] >= share A^3 Cov[x, y] E[gamma], with what the induction needs."""
    at = lemma.at(s.top)
    d, plain, products = below(s, at), s.A * s.xy - s.x * s.y, s.A * s.uv - s.u * s.v
    signs = [s.A > 0, *(value >= 0 for value in (d.x, d.y, d.xy, d.gamma, plain))]
    then = [d.uv >= at.gamma * d.xy, s.A * d.xy >= plain, d.xy * d.gamma >= at.gamma * plain - s.pairs]
    then += [products >= s.pairs, s.A * s.pairs >= plain * s.gamma, s.A * products >= share * plain * s.gamma]
    steps = [step >= 0 for step in s.steps]
    return all(reduce(and_, truths) for truths in (signs, lemma.needed(s, d, at), steps) if truths) and all(then)


def of_products(t: Named) -> Named:
    """Return x = f, y = h, u = fg, v = hg and gamma = g^2; without h, y = f and v = fg."""
    f, h = t.f, vars(t).get("h", t.f)
    return Named(u=f * t.g, v=h * t.g, x=f, y=h, gamma=t.g**2)


def needed_of_products(s: Named, d: Named, at: Named) -> list[Any]:
    f, g, h = at.x, s.top.g, at.y
    signs = [f >= 0, g >= 0, h >= 0, d.x <= s.A * f, d.y <= s.A * h, d.xy <= s.A * f * h]
    return [*signs, d.u >= g * d.x, d.v >= g * d.y, f * d.v >= g * d.xy, h * d.u >= g * d.xy]


def steps_of_products(s: Named, d: Named, at: Named, new: Named) -> list[Any]:
    f, g, h, (of_f, of_h) = at.x, s.top.g, at.y, (new.f, vars(new).get("h", new.f))
    of_x, of_y = (g + new.g) * of_f * (d.v - g * d.y), (g + new.g) * of_h * (d.u - g * d.x)
    both = [(g + new.g) * of_f * new.g * (s.A * h - d.y), (g + new.g) * of_h * new.g * (s.A * f - d.x)]
    of_g = [new.g * (f * d.v - g * d.xy), new.g * (h * d.u - g * d.xy), new.g**2 * (s.A * f * h - d.xy)]
    return [of_x, of_y, *both, *of_g]


def needed_of_any_sign(s: Named, d: Named, at: Named) -> list[Any]:
    return [at.x >= 0, d.x <= s.A * at.x, d.xy <= at.x * d.x, d.u >= at.gamma * d.x]


def steps_of_any_sign(s: Named, d: Named, at: Named, new: Named) -> list[Any]:
    of_f = new.f * (at.x * d.x - d.xy)
    return [of_f, new.g * (d.u - at.gamma * d.x), new.f * new.g * (s.A * at.x - d.x)]


PRODUCTS = of_products, needed_of_products, steps_of_products
ALIKE = Lemma("fg", "", {"y": "x", "v": "u"}, *PRODUCTS)
THREE = Lemma("fgh", "", {}, *PRODUCTS)
ANY_SIGN = Lemma(
    "fg",
    "f",
    {"y": "x", "v": "x"},
    lambda t: Named(u=t.f * t.g, v=t.g, x=t.g, y=t.g, gamma=t.f),
    needed_of_any_sign,
    steps_of_any_sign,
)


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
def lemma_3(s, share=1):
    r"""\mathrm{Var}[fg]\ge\mathrm{Var}[f]\,\mathbb E[g^2]

    Assumes: f and g are nonnegative and increase together; X has finitely many values, as many as you like
    Proof: For an independent copy, $(fg-f'g')^2\ge(f-f')^2\max(g,g')^2$, and pairs weighted by the larger $g^2$ weigh
    more on average than $\mathbb E[g^2]$: by induction on the number of values, a largest one added.
    """
    return holds(ALIKE, s, share)


lemma_3.by_induction(**in_order(ALIKE), wrong={"share": F(21, 20)})
lemma_3.unrefuted(alike, of=in_numbers_3, wrong={"share": F(21, 20)}, ranges=RANGES, also=True)
for functions in (((1, 2), (2, 1)), ((-1, 0), (1, 2)), ((1, 2), (-2, -1))):  # against each other, f < 0, g < 0
    lemma_3.false(at=Functions.of(*functions), true_at=TOGETHER, of=in_numbers_3, also=True)


@claim("lemma-3-polarised", "not in the paper; Lemma 3 with two different functions", PROVED)
def lemma_3_polarised(s, share=1):
    r"""\mathrm{Cov}[fg,hg]\ge\mathrm{Cov}[f,h]\,\mathbb E[g^2]

    Assumes: f, g and h are nonnegative and increase together; X has finitely many values
    Proof: The proof of Lemma 3 word for word, from $(fg-f'g')(hg-h'g')\ge(f-f')(h-h')\max(g,g')^2$.
    """
    return holds(THREE, s, share)


lemma_3_polarised.by_induction(**in_order(THREE), wrong={"share": F(21, 20)})
lemma_3_polarised.unrefuted(increasing, of=in_numbers_3, wrong={"share": F(21, 20)}, ranges=RANGES, also=True)
AGAINST = Functions.of((1, 2), (2, 1), (1, 2))
lemma_3_polarised.false(at=AGAINST, true_at=TOGETHER, of=in_numbers_3, also=True)


@claim("lemma-4", "Lemma 4, Eq. (23); proof, Eqs. (72)-(83)", PROVED)
def lemma_4(s, share=1):
    r"""\mathrm{Cov}[fg,g]\ge\mathbb E[f]\,\mathrm{Var}[g]

    Assumes: f and g increase together and g is nonnegative; of f the sign does not matter; X has finitely many values
    Proof: As Lemma 3, from $(fg-f'g')(g-g')\ge\max(f,f')(g-g')^2$. A constant added to f adds the same to both sides.
    """
    return holds(ANY_SIGN, s, share)


lemma_4.by_induction(**in_order(ANY_SIGN), wrong={"share": F(21, 20)})
for shift, share in ((0, F(21, 20)), (-5, F(9, 10))):
    form = partial(in_numbers_4, shift=shift)
    lemma_4.unrefuted(increasing, of=form, wrong={"share": share}, ranges=RANGES, also=True)
for functions in (((2, 1), (1, 2)), ((0, 1), (-2, -1))):
    lemma_4.false(at=Functions.of(*functions), true_at=TOGETHER, of=in_numbers_4, also=True)
