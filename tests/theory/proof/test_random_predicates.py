"""Predicates made at random: a proof is tried on 1,500 exact worlds, a refutation is evaluated again."""

import operator
import random
from fractions import Fraction as F
from functools import cache

from hypothesis import HealthCheck, given, settings, strategies as st

from theory.proof import POLICY, holds_at, prove, sqrt
from theory.proof.families import draw_policy

NAMES = ("p_w", "p_l", "ww", "ll", "wl", "A_w", "A_l", "D_w", "D_l")

Tree = tuple
leaves = st.sampled_from(NAMES) | st.sampled_from([F(0), F(1), F(2), F(1, 2)])
numbers = st.recursive(
    leaves,
    lambda inner: (
        st.tuples(st.sampled_from("+-*"), inner, inner)
        | st.tuples(st.just("abs"), inner)
        | st.tuples(st.just("max"), inner, inner)
        | st.tuples(st.just("/"), inner, inner)
        | st.tuples(st.just("sqrt"), st.sampled_from(("ww", "p_w", "wl")))
    ),
    max_leaves=4,
)
comparisons = st.tuples(st.sampled_from(("<=", "<", "==", "!=")), numbers, numbers)
statements = st.recursive(
    comparisons,
    lambda inner: st.tuples(st.sampled_from(("and", "or", "iff")), inner, inner) | st.tuples(st.just("not"), inner),
    max_leaves=3,
)


OPERATIONS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "abs": abs,
    "max": max,
    "sqrt": sqrt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
    "iff": operator.eq,
    "not": operator.not_,
}


def predicate(tree):
    """Return the statement of a tree; ``and`` and ``or`` stop early, as Python's do.

    It is put together here, since a statement may not look at what its parts are.
    """
    if isinstance(tree, str):
        return operator.attrgetter(tree)
    if isinstance(tree, F):
        return lambda _: tree
    name, *parts = tree
    below = [predicate(part) for part in parts]
    if name == "and":
        return lambda w: below[0](w) and below[1](w)
    if name == "or":
        return lambda w: below[0](w) or below[1](w)
    operation = OPERATIONS[name]
    return lambda w: operation(*(part(w) for part in below))


class Frozen:
    """The values of a world, looked up."""

    def __init__(self, values: dict) -> None:
        self.__dict__.update(values)


@cache
def frozen() -> list[Frozen]:
    source = random.Random(0)
    return [Frozen({name: getattr(w, name) for name in NAMES}) for w in (draw_policy(source) for _ in range(1500))]


SEEN: list[str] = []


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(statements)
def test_proofs_hold_in_exact_worlds_and_refutations_are_exact(tree) -> None:
    statement = predicate(tree)
    proof = prove(statement, POLICY, work=30_000, witness=False)
    SEEN.append(proof.verdict)
    if proof.verdict == "proved":
        assert all(holds_at(statement, w) is True for w in frozen())
    elif proof.verdict == "refuted":
        shown = prove(statement, POLICY, work=30_000).counterexample
        assert shown is None or holds_at(statement, shown) is False


def test_both_kinds_were_seen() -> None:
    assert SEEN.count("proved") >= 1
    assert SEEN.count("refuted") >= 10
