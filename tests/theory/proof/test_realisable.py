"""Numbers that meet the assumptions of an exact case are those of a world; the wall clock can only lose a proof."""

from __future__ import annotations

import random
from fractions import Fraction as F

import pytest

from tests.theory.proof.exact_worlds import Pinned, values_in
from theory.proof import POLICY, TWO_RESPONSES, prove, smt
from theory.proof.family import Case
from theory.proof.rebuild import four_squares

EXACT = [(family, case) for family in (POLICY, TWO_RESPONSES) for case in family.cases if case.exact]
VALUES = [F(a, b) for b in (1, 2, 3, 7, 100) for a in range(-4, 9)]


def numbers(case: Case, source: random.Random) -> dict[str, F]:
    """Return random probabilities and a random Gram matrix L D L^T, which every positive semidefinite one is."""
    weights = [source.randint(1, 50) for _ in range(4 if case.name == "n >= 4" else int(case.name[-1]))]
    p, q, *others = (F(a, sum(weights)) for a in weights)
    values = {"p_w": p, "p_l": q, "d": F(source.randint(0, 9), source.randint(1, 9))}
    lower = [[F(i == j) if i <= j else F(source.randint(-9, 9), 4) for j in range(3)] for i in range(3)]
    pivots = [F(source.randint(0, 9), source.randint(1, 9)) for _ in range(3)]
    gram = [[sum(a * b * d for a, b, d in zip(r, s, pivots, strict=True)) for s in lower] for r in lower]
    if case.name == "n = 3":  # y balances the other two
        rows = [(F(1), F(0)), (F(0), F(1)), (-p / others[0], -q / others[0])]
        gram = [[sum(r[i] * s[j] * gram[i][j] for i in (0, 1) for j in (0, 1)) for s in rows] for r in rows]
    entries = {"ww": (0, 0), "ll": (1, 1), "wl": (0, 1), "yy": (2, 2), "wy": (0, 2), "ly": (1, 2)}
    values |= {name: gram[i][j] for name, (i, j) in entries.items()}
    return values | ({"p_y": others[0]} if others else {})


@pytest.mark.parametrize(("family", "case"), EXACT, ids=lambda value: getattr(value, "name", ""))
def test_numbers_that_meet_the_assumptions_are_those_of_a_world(family: object, case: Case) -> None:
    source = random.Random(3)
    for _ in range(20):
        values = numbers(case, source)
        pinned = Pinned(values)
        built = case.build(pinned.run)
        if case.name != "n = 2":
            _ = built.y
        assert pinned.broken() == []
        told = {name: value for name, value in values.items() if name in pinned.run.names}
        read = values_in(case.rebuild(dict(told)), built, y_first=True)
        assert {name: read[name] for name in told} == told


def test_four_squares_are_whole_numbers() -> None:
    for n in (*range(60), 2047):
        parts = four_squares(n)
        assert all(type(part) is int for part in parts)
        assert sum(part * part for part in parts) == n


STATEMENTS = [lambda w: w.A_w - w.A_l >= 0, lambda w: w.dd > 0, lambda w: w.wl * w.wl <= w.ww * w.ll]


@pytest.mark.parametrize("number", range(len(STATEMENTS)))
def test_a_clock_that_runs_out_only_loses_a_verdict(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = prove(STATEMENTS[number], POLICY, witness=False).verdict
    ask = smt.Solver.ask
    for every in (1, 2, 3):
        asked = iter(range(10**6))

        def hurried(solver: smt.Solver, terms: list, effort: int = 1, asked=asked, every=every):
            if next(asked) % every:
                return ask(solver, terms, effort)
            solver.queries += 1
            solver.unknown += 1
            return "unknown", None

        monkeypatch.setattr(smt.Solver, "ask", hurried)
        assert prove(STATEMENTS[number], POLICY, witness=False).verdict in (sound, "undecided", "vacuous")
        monkeypatch.setattr(smt.Solver, "ask", ask)
