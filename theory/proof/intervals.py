"""SymPy's expressions at fractions, as intervals that are certain to hold the values: much faster than SymPy's numbers.

Arithmetic, powers, exp, log, erf and gamma are evaluated in the ball arithmetic of python-flint. Anything else has no
value here, and is left to SymPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from operator import add, mul
from typing import Any

PRECISION = 400  # bits

Step = Callable[[list[Any], Mapping[Any, Any]], Any]


class Formula:
    """An expression made of arithmetic, powers, exp, log, erf and gamma, as a list of steps.

    Args:
        expression: of SymPy.

    Raises:
        NotImplementedError: it contains anything else, such as an undefined function.

    Example:
        >>> import sympy as sp
        >>> x = sp.Symbol("x")
        >>> gap = Formula(sp.exp(2 * x) - sp.exp(x) ** 2 - sp.Rational(1, 4))
        >>> print(gap.at({x: sp.Rational(1, 3)}).str(5))
        -0.25000
        >>> print(Formula(sp.log(x)).at({x: sp.Integer(-1)}))
        None
    """

    def __init__(self, expression: Any) -> None:
        import flint  # noqa: PLC0415 - loaded for a proof only
        import sympy as sp  # noqa: PLC0415

        self._flint, self._sp = flint, sp
        self._steps: list[Step] = []  # each computes a part from the results of earlier steps and the values of symbols
        self._numbers: dict[Any, int] = {}  # of the step that computes each part
        with flint.ctx.workprec(PRECISION):
            self._add(expression)

    def at(self, values: Mapping[Any, Any]) -> Any:
        """Return a ball that holds the value; None where there is none that is a real number.

        Args:
            values: a fraction of SymPy for each symbol.
        """
        results: list[Any] = []
        with self._flint.ctx.workprec(PRECISION):
            for step in self._steps:
                result = step(results, values)
                if not result.is_finite():
                    return None
                results.append(result)
        return results[-1]

    def _add(self, part: Any) -> int:
        if part not in self._numbers:
            step = self._step(part)
            self._numbers[part] = len(self._steps)
            self._steps.append(step)
        return self._numbers[part]

    def _step(self, part: Any) -> Step:
        sp, flint = self._sp, self._flint
        constant: Any = None
        if part.is_Rational:
            constant = self._ball(part)
        elif part is sp.pi or part is sp.E:
            constant = flint.arb.pi() if part is sp.pi else flint.arb(1).exp()
        if constant is not None:
            return lambda _, __: constant
        if part.is_Symbol:
            return lambda _, values: self._ball(values[part])
        if not (part.is_Add or part.is_Mul or part.is_Pow or isinstance(part, (sp.exp, sp.log, sp.erf, sp.gamma))):
            raise NotImplementedError(f"no intervals for {part.func.__name__}")
        if part.is_Pow and part.exp.is_Integer:
            base, power = self._add(part.base), int(part.exp)
            return lambda results, _: results[base] ** power
        of = [self._add(one) for one in part.args]
        if part.is_Pow:  # e^(exponent log base), which is not real for a base below 0
            return lambda results, _: (results[of[0]].log() * results[of[1]]).exp()
        if part.is_Add or part.is_Mul:
            join = add if part.is_Add else mul
            return lambda results, _: reduce(join, (results[number] for number in of))
        name = part.func.__name__
        return lambda results, _: getattr(results[of[0]], name)()

    def _ball(self, number: Any) -> Any:
        return self._flint.arb(self._flint.fmpq(int(number.p), int(number.q)))
