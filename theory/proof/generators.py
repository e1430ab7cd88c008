"""Identities between rational functions of symbols, exponentials, logarithms and roots, decided by polynomials.

Each symbol, exponential, logarithm, root and undefined function is a generator: a variable of a polynomial ring, of
which nothing else is known. What is equal for all values of the generators is equal for those that they stand for, so
that a difference that is 0 as a polynomial is 0 wherever it has a value. The converse is not true: a difference that is
not 0 here may be 0 all the same, and is left to SymPy.

What is known is applied while the polynomials are made, and is true of all complex numbers, with the principal
logarithm: e^(s + t) = e^s e^t; b^e = e^(e log b); e^(log x) = x; (x^(1/q))^q = x; for P > 0 log(P x) = log P + log x
and (P x)^e = P^e x^e; for real r log(e^r) = r. A number counts as positive if SymPy knows it, or if it is a polynomial
with positive coefficients in such numbers.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import reduce
from math import lcm
from operator import mul
from typing import Any

RINGS = (8, 16, 32, 64)  # numbers of variables that are tried, one after the other
MOST_RINGS = 20
MOST_TERMS = 3000  # of a polynomial, a limit on the work
MOST_POWER = 60


class TooHard(Exception):
    """The expression contains what has no place here, or is too large."""


class _MoreVariables(Exception):
    """There are more generators than variables in the ring."""


class _Finer(Exception):
    """An exponent must be divided further; what was made so far is of no use."""


@dataclass
class _Quotient:
    """A polynomial over a product of powers of others, which stand under their numbers."""

    above: Any
    below: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Generator:
    """What a variable of the ring stands for.

    Attributes:
        kind: "number" for what nothing is known of, or "exp", "log", "root".
        of: the exponent, the number of which it is the logarithm or a root.
        degree: of a root.
        real: whether it is a real number.
        positive: whether it is a positive one.
    """

    kind: str
    of: _Quotient | None = None
    degree: int = 1
    real: bool = False
    positive: bool = False


def vanishes(expression: Any) -> bool:
    """Return whether an expression of SymPy is 0 wherever it has a value; False also where that is not seen here.

    Example:
        >>> import sympy as sp
        >>> x, y = sp.symbols("x y", positive=True)
        >>> vanishes(sp.log(x * y) - sp.log(x) - sp.log(y)), vanishes(1 / (1 + sp.exp(-x)) + 1 / (1 + sp.exp(x)) - 1)
        (True, True)
        >>> z = sp.Symbol("z", real=True)
        >>> vanishes(sp.log(z**2) - 2 * sp.log(z)), vanishes(sp.sqrt(z**2 + 2 * z + 1) - z - 1)
        (False, False)
    """
    finer: dict[Hashable, int] = {}
    size = 0
    for _ in range(MOST_RINGS):
        try:
            return _Ring(RINGS[size], finer).is_zero(expression)
        except _MoreVariables:
            size += 1
        except _Finer:
            continue
        except (TooHard, ZeroDivisionError, IndexError):
            break
    return False


class _Ring:
    """A polynomial ring, and what its variables stand for.

    Args:
        size: number of variables.
        finer: for an exponent, the whole number by which it is divided, so that all its multiples that occur are whole
            ones; filled here, whereupon the ring must be made again.
    """

    def __init__(self, size: int, finer: dict[Hashable, int]) -> None:
        import flint  # noqa: PLC0415 - loaded for a proof only
        import sympy as sp  # noqa: PLC0415

        self._sp, self._fmpq = sp, flint.fmpq
        self._context = flint.fmpq_mpoly_ctx.get([f"g{k}" for k in range(size)], "lex")
        self._variables, self._one = self._context.gens(), self._context.constant(1)
        self._size, self._finer = size, finer
        self._generators: list[_Generator] = []
        self._numbers: dict[Hashable, int] = {}
        self._factors: list[Any] = []  # the polynomials that stand below
        self._made: dict[Any, _Quotient] = {}

    def is_zero(self, expression: Any) -> bool:
        """Return whether an expression is the polynomial 0."""
        return self._without_roots(self._of(expression).above) == 0

    # --- arithmetic

    def _sum(self, parts: list[_Quotient]) -> _Quotient:
        below: dict[int, int] = {}
        for part in parts:
            for number, power in part.below.items():
                below[number] = max(power, below.get(number, 0))
        above = self._context.constant(0)
        for part in parts:
            missing = {number: power - part.below.get(number, 0) for number, power in below.items()}
            above += part.above * self._product(missing)
        return self._checked(_Quotient(above, below))

    def _times(self, a: _Quotient, b: _Quotient) -> _Quotient:
        below = dict(a.below)
        for number, power in b.below.items():
            below[number] = below.get(number, 0) + power
        return self._checked(self._reduced(_Quotient(a.above * b.above, below)))

    def _power(self, a: _Quotient, power: int) -> _Quotient:
        if abs(power) > MOST_POWER:
            raise TooHard
        if power < 0:
            return self._power(self._inverse(a), -power)
        if len(a.above) ** power > MOST_TERMS**2:
            raise TooHard
        return self._checked(_Quotient(a.above**power, {number: k * power for number, k in a.below.items() if power}))

    def _inverse(self, a: _Quotient) -> _Quotient:
        a = self._reduced(a)
        if self._without_roots(a.above) == 0:
            raise ZeroDivisionError
        content, powers, rest = self._split(a.above)
        below = {self._factor(self._variables[k]): power for k, power in powers.items()}
        if not rest.is_one():
            number = self._factor(rest)
            below[number] = below.get(number, 0) + 1
        return _Quotient(self._product(a.below) / content, below)

    def _split(self, polynomial: Any) -> tuple[Any, dict[int, int], Any]:
        """Return the leading coefficient, the powers of variables that divide a polynomial, and the rest of it."""
        content = polynomial.leading_coefficient()
        least = [min(powers) for powers in zip(*polynomial.monoms(), strict=True)]
        powers = {k: int(power) for k, power in enumerate(least) if power}
        rest = polynomial / content
        for k, power in powers.items():
            rest = rest / self._variables[k] ** power
        return content, powers, rest

    def _factor(self, polynomial: Any) -> int:
        if polynomial not in self._factors:
            self._factors.append(polynomial)
        return self._factors.index(polynomial)

    def _product(self, powers: dict[int, int]) -> Any:
        return reduce(mul, (self._factors[number] ** power for number, power in powers.items() if power), self._one)

    def _reduced(self, a: _Quotient) -> _Quotient:
        """Return the same quotient without the factors that divide what stands above."""
        above, below = a.above, {}
        for number, power in a.below.items():
            left = power
            while left:
                whole, rest = divmod(above, self._factors[number])
                if rest != 0:
                    break
                above, left = whole, left - 1
            if left:
                below[number] = left
        return _Quotient(above, below)

    def _checked(self, a: _Quotient) -> _Quotient:
        if len(a.above) > MOST_TERMS:
            raise TooHard
        return a

    def _constant(self, value: Any) -> _Quotient:
        return _Quotient(self._context.constant(value))

    # --- generators

    def _variable(self, key: Hashable, **about: Any) -> int:
        if key not in self._numbers:
            if len(self._generators) == self._size:
                raise _MoreVariables
            self._numbers[key] = len(self._generators)
            self._generators.append(_Generator(**about))
        return self._numbers[key]

    def _is(self, word: str, polynomial: Any) -> bool:
        """Return whether a polynomial is seen to be "real" or "positive"."""
        used = {k for monomial in polynomial.monoms() for k, power in enumerate(monomial) if power}
        if not all(getattr(self._generators[k], word) for k in used):
            return False
        return word == "real" or (len(polynomial) > 0 and all(c > 0 for c in polynomial.coeffs()))

    # --- what an expression is made of

    def _of(self, expression: Any) -> _Quotient:
        if expression not in self._made:
            self._made[expression] = self._new(expression)
        return self._made[expression]

    def _new(self, expression: Any) -> _Quotient:
        sp = self._sp
        if expression.is_Rational:
            return self._constant(self._fmpq(int(expression.p), int(expression.q)))
        if expression.is_Add or expression.is_Mul:
            parts = [self._of(part) for part in expression.args]
            return self._sum(parts) if expression.is_Add else reduce(self._times, parts)
        if expression is sp.E or isinstance(expression, (sp.exp, sp.log)):
            of = self._of(expression.args[0]) if expression.args else self._constant(1)
            return self._log(of) if isinstance(expression, sp.log) else self._exp(of)
        return self._of_power(expression) if expression.is_Pow else self._unknown(expression)

    def _of_power(self, expression: Any) -> _Quotient:
        base, exponent = self._of(expression.base), expression.exp
        if exponent.is_Rational:
            return self._root(base, int(exponent.p), int(exponent.q))
        return self._exp(self._times(self._of(exponent), self._log(base)))

    def _unknown(self, expression: Any) -> _Quotient:
        sp = self._sp
        if not expression.is_commutative or expression.is_finite is False:
            raise TooHard
        if expression.has(sp.oo, -sp.oo, sp.zoo, sp.nan, sp.I):
            raise TooHard
        real, positive = bool(expression.is_real), bool(expression.is_positive)
        number = self._variable(expression, kind="number", real=real or positive, positive=positive)
        return _Quotient(self._variables[number])

    def _exp(self, a: _Quotient) -> _Quotient:
        """Return e^a as a product over the terms of a."""
        a = self._reduced(a)
        result = self._constant(1)
        for monomial, coefficient in a.above.terms():
            result = self._times(result, self._exp_of_term(tuple(map(int, monomial)), coefficient, a.below))
        return result

    def _exp_of_term(self, monomial: tuple[int, ...], coefficient: Any, below: dict[int, int]) -> _Quotient:
        p, q = int(coefficient.p), int(coefficient.q)
        if sum(monomial) == 1 and not below:
            generator = self._generators[monomial.index(1)]
            if generator.kind == "log" and generator.of is not None:
                return self._root(generator.of, p, q)
        key = ("exp", monomial, tuple(sorted(below.items())))
        if q != 1 and self._finer.get(key, 1) % q:
            self._finer[key] = lcm(self._finer.get(key, 1), q)
            raise _Finer
        parts = self._finer.get(key, 1)
        term = self._context.from_dict({monomial: self._fmpq(1, parts)})
        real = self._is("real", term) and all(self._is("real", self._factors[k]) for k in below)
        number = self._variable(key, kind="exp", of=_Quotient(term, below), real=real, positive=real)
        return self._power(_Quotient(self._variables[number]), p * parts // q)

    def _log(self, a: _Quotient) -> _Quotient:
        """Return log a as a sum over its positive factors, and the logarithm of what is left."""
        a = self._reduced(a)
        if a.above == 0:
            raise TooHard
        parts, left = [], dict(a.below)
        for number, power in a.below.items():
            if self._is("positive", self._factors[number]):
                parts.append(self._times(self._constant(-power), self._log_of_factor(self._factors[number])))
                del left[number]
        content, factors = a.above.factor()
        rest = self._context.constant(1 if content > 0 else -1)
        for factor, power in factors:
            if self._is("positive", -factor):
                factor, rest = -factor, rest * (-1) ** int(power)  # noqa: PLW2901
            if self._is("positive", factor):
                parts.append(self._times(self._constant(int(power)), self._log_of_factor(factor)))
            else:
                rest *= factor ** int(power)
        for prime, power in _primes(abs(content)):
            parts.append(self._times(self._constant(power), self._named_log(self._constant(prime), positive=True)))
        if not rest.is_one() or left:
            parts.append(self._named_log(_Quotient(rest, left), positive=False))
        return self._sum(parts) if parts else self._constant(0)

    def _log_of_factor(self, factor: Any) -> _Quotient:
        """Return the logarithm of a positive polynomial without factors."""
        content, powers, rest = self._split(factor)
        if rest.is_one() and content == 1 and sum(powers.values()) == 1:
            generator = self._generators[next(iter(powers))]
            if generator.kind == "exp" and generator.real and generator.of is not None:
                return generator.of
        return self._named_log(_Quotient(factor), positive=True)

    def _named_log(self, a: _Quotient, *, positive: bool) -> _Quotient:
        key = ("log", str(a.above), tuple(sorted(a.below.items())))
        return _Quotient(self._variables[self._variable(key, kind="log", of=a, real=positive)])

    def _root(self, a: _Quotient, p: int, q: int) -> _Quotient:
        """Return a^(p/q), of each positive factor and of what is left."""
        a = self._reduced(a)
        if q == 1:
            return self._power(a, p)
        if any(not self._is("positive", self._factors[number]) for number in a.below):
            raise TooHard
        content, factors = a.above.factor()
        result, rest = self._constant(1), self._context.constant(1 if content > 0 else -1)
        for number, power in a.below.items():
            result = self._times(result, self._root_of_factor(self._factors[number], -power * p, q))
        for factor, power in factors:
            if self._is("positive", -factor):
                factor, rest = -factor, rest * (-1) ** int(power)  # noqa: PLW2901
            if self._is("positive", factor):
                result = self._times(result, self._root_of_factor(factor, int(power) * p, q))
            else:
                rest *= factor ** int(power)
        for prime, power in _primes(abs(content)):
            result = self._times(result, self._root_of_factor(self._context.constant(prime), power * p, q))
        return result if rest.is_one() else self._times(result, self._named_root(rest, p, q, positive=False))

    def _root_of_factor(self, factor: Any, p: int, q: int) -> _Quotient:
        """Return the power of a positive polynomial without factors."""
        content, powers, rest = self._split(factor)
        if rest.is_one() and content == 1 and sum(powers.values()) == 1:
            generator = self._generators[next(iter(powers))]
            if generator.kind == "exp" and generator.real and generator.of is not None:
                return self._exp(self._times(generator.of, self._constant(self._fmpq(p, q))))
        return self._named_root(factor, p, q, positive=True)

    def _named_root(self, polynomial: Any, p: int, q: int, *, positive: bool) -> _Quotient:
        key = ("root", str(polynomial), q)
        of = _Quotient(polynomial)
        number = self._variable(key, kind="root", of=of, degree=q, real=positive, positive=positive)
        whole, left = divmod(p, q)
        return self._times(self._power(of, whole), _Quotient(self._variables[number] ** left))

    def _without_roots(self, polynomial: Any) -> Any:
        """Return a polynomial with x in the place of (x^(1/q))^q."""
        for number in reversed(range(len(self._generators))):  # a root is made after what it is a root of
            generator = self._generators[number]
            if generator.kind != "root" or generator.of is None:
                continue
            total = self._context.constant(0)
            for monomial, coefficient in polynomial.terms():
                powers = list(map(int, monomial))
                whole, powers[number] = divmod(powers[number], generator.degree)
                total += self._context.from_dict({tuple(powers): coefficient}) * generator.of.above**whole
            polynomial = total
        return polynomial


def _primes(value: Any) -> list[tuple[int, int]]:
    """Return the prime factors of a positive fraction and their powers."""
    above = [(int(prime), int(power)) for prime, power in value.p.factor()]
    return above + [(int(prime), -int(power)) for prime, power in value.q.factor()]
