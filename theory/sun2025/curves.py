"""The curves of the paper, as expressions and at forty digits: sigma, softplus, SiLU, the binary entropy."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import sympy as sp
from mpmath import mp, mpf

P = ParamSpec("P")
R = TypeVar("R")

DIGITS = 40

X = sp.Symbol("x", real=True)
M = sp.Symbol("m", real=True)


def sigma(x: sp.Expr) -> sp.Expr:
    """Return the logistic function as an expression.

    Example:
        >>> sigma(sp.log(3))
        3/4
    """
    return 1 / (1 + sp.exp(-x))


def softplus(x: sp.Expr) -> sp.Expr:
    """Return ln(1 + e^x), Eq. 16, as an expression.

    Example:
        >>> softplus(sp.Integer(0))
        log(2)
    """
    return sp.log(1 + sp.exp(x))


def silu(x: sp.Expr) -> sp.Expr:
    """Return x / (1 + e^-x), Eq. 15, as an expression.

    Example:
        >>> silu(sp.log(3))
        3*log(3)/4
    """
    return x / (1 + sp.exp(-x))


def logistic_loss(margin: sp.Expr) -> sp.Expr:
    """Return -ln sigma(m), the loss of DPO and SimPO."""
    return -sp.log(sigma(margin))


def same(left: sp.Expr, right: sp.Expr) -> bool:
    """Return whether two expressions agree, by rewriting them in e^x and simplifying.

    Example:
        >>> same(softplus(X), X + softplus(-X)), same(silu(X), X - silu(-X))
        (True, False)
    """
    positive = sp.Symbol("u", positive=True)  # e^x: SymPy is at home with logarithms of polynomials
    difference = sp.expand((left - right).subs(X, sp.log(positive)).subs(M, sp.log(positive)))
    return bool(sp.simplify(sp.expand_log(sp.factor(sp.together(difference)), force=True)) == 0)


def precise(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function with forty significant digits in mpmath."""

    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        with mp.workdps(DIGITS):
            return function(*args, **kwargs)

    return inner


def exact(value: Fraction | float | int) -> Any:
    """Return a number as mpmath has it at the current precision."""
    return mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else mpf(value)


def mp_sigma(x: Any) -> Any:
    """Return the logistic function at the current precision of mpmath."""
    return 1 / (1 + mp.exp(-x))


def mp_softplus(x: Any) -> Any:
    """Return ln(1 + e^x) at the current precision of mpmath."""
    return mp.log1p(mp.exp(x))


def mp_silu(x: Any) -> Any:
    """Return x sigma(x) at the current precision of mpmath."""
    return x * mp_sigma(x)


def mp_silu_slope(x: Any) -> Any:
    """Return SiLU'(x) = sigma(x) (1 + x sigma(-x)), Eq. 39, at the current precision of mpmath."""
    return mp_sigma(x) * (1 + x * mp_sigma(-x))


def any_number(source: random.Random) -> Fraction:
    """Draw a rational number between -30 and 30, often a small one, 0 among them."""
    top = source.choice((1, 4, 30))
    return Fraction(source.randint(-60, 60) * top, 60)
