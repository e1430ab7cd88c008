"""Exact worlds of every size, and the values that the prover's symbols have in one of them.

Nothing here uses the samplers of the prover's own families: what they never draw, their assumptions might exclude.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from fractions import Fraction as F
from typing import Any

from theory.proof.family import Case
from theory.proof.symbols import Number, Run
from theory.proof.worlds import AnyPolicy, SymbolicWorld, Tabular
from theory.worlds import World

WEIGHTS = (1, 2, 3, 7, 50)


def weights(source: random.Random, n: int) -> list[int]:
    """Return weights of n responses: often all equal, or one of them a million times as likely as the others."""
    kind = source.randrange(4)
    drawn = [1 if kind == 0 else source.choice(WEIGHTS) for _ in range(n)]
    if kind == 1:
        drawn[source.randrange(n)] = 10**6
    return drawn


def tabular_worlds(source: random.Random, each: int) -> Iterator[World]:
    """Yield tabular softmaxes with 2 to 8 responses."""
    for n, _ in itertools.product(range(2, 9), range(each)):
        drawn = weights(source, n)
        yield World.tabular([F(a, sum(drawn)) for a in drawn], *source.sample(range(n), 2))


def policies(source: random.Random, each: int) -> Iterator[World]:
    """Yield worlds of every kind with 2 to 8 responses and 1 to 4 parameters, those with dependent scores too."""
    yield from tabular_worlds(source, each)
    for n, k, _ in itertools.product(range(2, 9), range(1, 5), range(each)):
        pair = source.sample(range(n), 2)
        reach = source.choice((0, 1, 4, 1000))  # 0: all scores are zero
        rows = [[source.randint(-reach, reach) for _ in range(k)] for _ in range(n)]
        if source.random() < 0.3:
            rows[pair[0]] = rows[pair[1]]  # equal scores
        if source.random() < 0.5:
            yield World.with_base(weights(source, n), rows, *pair)
        else:
            small = [[max(-5, min(5, a)) for a in row] for row in rows]
            yield World.log_linear(small, [F(source.randint(1, 9), source.randint(1, 9)) for _ in range(k)], *pair)


def each_end(world: World) -> Iterator[World]:
    """Yield the world with its likeliest and its unlikeliest other response as y; once if there is none."""
    if not world.others:
        yield world
        return
    for y in dict.fromkeys(choose(world.others, key=world.p.__getitem__) for choose in (max, min)):
        yield World(world.p, world.features, world.chosen, world.rejected, world.kind, y)


def cases_of(world: World, cases: tuple[Case, ...]) -> list[Case]:
    """Return the worlds in symbols that must hold this world: all whose number of responses is right."""
    n = len(world.p)
    covers = {"n = 2": n == 2, "n = 3": n == 3, "n >= 4": n >= 4, "n = 4": n == 4, "n = 5": n == 5}
    return [case for case in cases if covers[case.name]]


def values_in(world: World, built: SymbolicWorld, *, y_first: bool) -> dict[str, F]:
    """Return the values of the named symbols of a world; ``y_first``: y was named before the sums were asked for."""
    w, two = world, len(world.p) == 2
    values = {"p_w": w.p_w}
    if not two:
        values |= {"p_l": w.p_l, "p_y": w.p_y}
    if isinstance(built, AnyPolicy):
        values |= {"d": w.dd} if two else {k: getattr(w, k) for k in ("ww", "ll", "wl", "yy", "wy", "ly")}
    elif isinstance(built, Tabular):
        unnamed = [w.p[z] for z in w.others if not y_first or z != w.y]
        values |= {f"rest_{k}": sum((q**k for q in unnamed), F(0)) for k in (2, 3)}
        values |= {f"p_{3 + k}": w.p[z] for k, z in enumerate(z for z in w.others if z != w.y)}
    return values


class Pinned:
    """A run whose symbols have known values: it takes the side of every fork that is true of them."""

    def __init__(self, values: dict[str, F]) -> None:
        import z3

        self.z3, self.values = z3, values
        self.run = Run(z3.Context(), [], self.possible)

    def known(self, terms: list[Any]) -> list[Any]:
        """Return the terms with the values put in for the symbols."""
        z3, run = self.z3, self.run
        pairs = [(v, run.constant(self.values[name])) for name, v in run.names.items() if name in self.values]
        return [z3.simplify(z3.substitute(term, *pairs)) for term in terms]

    def possible(self, terms: list[Any]) -> bool:
        """Return whether terms can be true at these values (of a quotient or a root only its definition is known)."""
        left = [term for term in self.known(terms) if not self.z3.is_true(term)]
        if any(self.z3.is_false(term) for term in left):
            return False
        if not left:
            return True
        solver = self.z3.SolverFor("QF_NRA", ctx=self.run.context)
        solver.add(*left)
        answer = str(solver.check())
        assert answer != "unknown", left
        return answer == "sat"

    def broken(self) -> list[str]:
        """Return the assumptions that are false at these values."""
        return [str(t) for t, k in zip(self.run.trail, self.known(self.run.trail), strict=True) if self.z3.is_false(k)]

    def differs(self, symbol: Number, exact: F) -> bool:
        """Return whether a symbol may have another value than the exact world says."""
        return self.possible([*self.run.trail, symbol.term != self.run.constant(exact)])
