"""A function of which SymPy proved something is joined by a machine if its domain is known, and else in prose."""

from typing import Any

import sympy as sp

from theory.claim import PROVED, REPRODUCED, run_claim
from theory.proof import checked, derivative, same, world_of

ANY = world_of("x real", x="real")


def cube(x: Any) -> Any:
    return x**3


def slope_of_the_cube(x: Any) -> Any:
    return 3 * x**2


def is_the_slope(x: Any) -> Any:
    return same(sp.diff(cube(x), x), slope_of_the_cube(x))


def rises(case: Any, least: int = 0) -> Any:
    r"""\frac{d}{dx}x^3\ge 0"""
    return derivative(cube, slope_of_the_cube)(case.x) >= least


def rises_too(case: Any, least: int = 0) -> Any:
    r"""\frac{d}{dx}x^3\ge 0"""
    return checked(slope_of_the_cube, is_the_slope)(case.x) >= least


def test_for_which_numbers_an_identity_is_proved_is_told(claim: Any) -> None:
    """A derivative has a value only where its function has one; nothing looks at what a checked function is given."""
    strengths = []
    for key, predicate in (("derivative", rises), ("checked", rises_too)):
        outcome = run_claim(claim(key, "here", PROVED)(predicate).proved(over=ANY, wrong={"least": 1}).claim)
        assert outcome.status == REPRODUCED
        strengths.append(outcome.strength)
    assert strengths == ["proved by smt, sympy", "proved by smt, sympy, parts joined in prose"]
