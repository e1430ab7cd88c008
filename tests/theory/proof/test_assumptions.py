"""What the solver is told of a world holds in every exact world of its kind: else it would prove too much."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction as F

import pytest

from tests.theory.proof.exact_worlds import Pinned, cases_of, each_end, policies, tabular_worlds, values_in
from theory.proof import POLICY, TABULAR, TWO_RESPONSES, induction
from theory.proof.family import Case, Family
from theory.proof.symbols import Number, Run
from theory.proof.worlds import MANY, THREE, TWO, AnyPolicy, Tabular
from theory.worlds import World

Patch = pytest.MonkeyPatch
SCALARS = ("p_w", "p_l", "ww", "ll", "wl", "A_w", "A_l", "D_w", "D_l", "dd")
WITH_Y = ("p_y", "yy", "wy", "ly", "A_y", "D_y")
SUMS = ("S2", "S3")
STEP = F(3, 2)


def names_of(world: World, family: Family) -> list[str]:
    """Return the short names that such a world has."""
    sums = SUMS if family is TABULAR else ()
    return [*SCALARS, *(WITH_Y if world.others else ()), *sums]


def disagreements(world: World, case: Case, family: Family, *, y_first: bool) -> list[str]:
    """Return what an exact world of this kind contradicts: assumptions that it breaks, names that read otherwise."""
    pinned = Pinned({})
    built = case.build(pinned.run)
    pinned.values = values_in(world, built, y_first=y_first)
    names = names_of(world, family)
    if not y_first:
        names = [*(name for name in names if name in SUMS), *(name for name in names if name not in SUMS)]
    elif world.others:
        _ = built.y
    symbols = {name: getattr(built, name) for name in names}
    if family is TABULAR:
        later, real = built.after(Number(pinned.run, pinned.run.constant(STEP))), world.after(STEP)
        symbols |= {f"after.{name}": getattr(later, name) for name in names}
    wrong = [f"assumed, but false: {told}" for told in pinned.broken()]
    if not wrong and not pinned.possible(pinned.run.trail):
        wrong = ["the definitions have no solution"]
    for name, symbol in symbols.items():
        exact = getattr(real, name[6:]) if name.startswith("after.") else getattr(world, name)
        if not wrong and pinned.differs(symbol, exact):
            wrong.append(f"{name} is {exact}, but may be something else in symbols")
    return [f"{case.name}: {text}\n{world}" for text in wrong]


def first_disagreement(family: Family, each: int, cases: tuple[Case, ...] | None = None) -> str:
    """Return the first contradiction between a family and exact worlds of every size; "" if there is none."""
    source = random.Random(7)
    worlds = tabular_worlds(source, each) if family is TABULAR else policies(source, each)
    for world in worlds:
        covering = cases_of(world, cases or family.cases)
        if family is not TWO_RESPONSES and cases is None:
            assert covering, f"no world in symbols for {len(world.p)} responses"
        for other in each_end(world):
            for case in covering:
                orders = (True, False) if family is TABULAR and case.exact else (True,)
                for y_first in orders:
                    found = disagreements(other, case, family, y_first=y_first)
                    if found:
                        return found[0]
    return ""


@pytest.mark.parametrize("family", [POLICY, TWO_RESPONSES, TABULAR], ids=lambda family: family.name)
def test_exact_worlds_meet_the_assumptions(family: Family) -> None:
    assert first_disagreement(family, 1) == ""


def test_the_cases_in_which_witnesses_are_looked_for_are_worlds_too() -> None:
    assert first_disagreement(TABULAR, 1, TABULAR.witnesses) == ""


# --- a too strong assumption is noticed ----------------------------------------------------------------------------


def also(patch: Patch, kind: type, assumption: Callable[..., object], at: int | None = None) -> None:
    """Let every world of a kind assume something more."""
    build = kind.__init__

    def narrower(self, run: Run, n: int, *rest: object) -> None:
        build(self, run, n, *rest)
        if at in (None, n):
            run.assume(assumption(self))

    patch.setattr(kind, "__init__", narrower)


def likely_at_most_a_half(patch: Patch) -> None:
    also(patch, AnyPolicy, lambda w: w.probability(w.chosen) <= F(999, 1000))


def scores_are_not_zero(patch: Patch) -> None:
    also(patch, AnyPolicy, lambda w: w.squared_norm(w.chosen) > 0)


def two_scores_differ(patch: Patch) -> None:
    also(patch, AnyPolicy, lambda w: w.drive(w.chosen) - w.drive(w.rejected) > 0, at=MANY)


def scores_are_short(patch: Patch) -> None:
    also(patch, AnyPolicy, lambda w: w.squared_norm(w.chosen) <= 10**5)


def cauchy_is_strict(patch: Patch) -> None:
    def strict(w: AnyPolicy) -> object:
        a, b, c = (w.kernel(*pair) for pair in ((w.chosen,) * 2, (w.rejected,) * 2, (w.chosen, w.rejected)))
        return c * c < a * b

    also(patch, AnyPolicy, strict, at=THREE)


def two_have_some_length(patch: Patch) -> None:
    also(patch, AnyPolicy, lambda w: w.squared_norm(w.chosen) > 0, at=TWO)


def gram_is_definite(patch: Patch) -> None:
    real = AnyPolicy.positive_semidefinite
    patch.setattr(AnyPolicy, "positive_semidefinite", staticmethod(lambda *e: [*real(*e), e[3] * e[0] > e[4] * e[4]]))


def y_is_the_likeliest(patch: Patch) -> None:
    def introduce(self: AnyPolicy) -> None:
        tell(self)
        self._run.assume(self._p[2] >= 1 - sum(self._p[1:], self._p[0]))

    tell = AnyPolicy.introduce_other
    patch.setattr(AnyPolicy, "introduce_other", introduce)


def rest_is_two_at_least(patch: Patch) -> None:
    bounds = induction._bounds
    patch.setattr(induction, "_bounds", lambda a, b, c: [*bounds(a, b, c), b < a * a])
    patch.setattr(induction, "_prove_power_sum_bounds", lambda: None)


def rest_is_three_at_most(patch: Patch) -> None:
    bounds = induction._bounds
    patch.setattr(induction, "_bounds", lambda a, b, c: [*bounds(a, b, c), 3 * b >= a * a])
    patch.setattr(induction, "_prove_power_sum_bounds", lambda: None)


def nobody_beside_y(patch: Patch) -> None:
    patch.setattr(Tabular, "_nobody_left", lambda self: self._n == TWO or "y" in self._run.touched)


def tabular_pair_is_likely(patch: Patch) -> None:
    also(patch, Tabular, lambda w: w.probability(w.chosen) >= F(1, 1000))


def kernel_forgets_the_sum(patch: Patch) -> None:
    """A definition that is wrong rather than an assumption."""
    drive = Tabular.drive
    patch.setattr(Tabular, "drive", lambda self, y: drive(self, y) + (self._p[0] - self._p[1]) ** 2)


TOO_STRONG = {
    likely_at_most_a_half: POLICY,
    scores_are_not_zero: POLICY,
    two_scores_differ: POLICY,
    scores_are_short: POLICY,
    cauchy_is_strict: POLICY,
    two_have_some_length: TWO_RESPONSES,
    gram_is_definite: POLICY,
    y_is_the_likeliest: POLICY,
    rest_is_two_at_least: TABULAR,
    rest_is_three_at_most: TABULAR,
    nobody_beside_y: TABULAR,
    tabular_pair_is_likely: TABULAR,
    kernel_forgets_the_sum: TABULAR,
}
"""A mistake in what a family assumes, and the family that makes it."""


@pytest.mark.parametrize("mutant", TOO_STRONG, ids=lambda m: m.__name__.replace("_", " "))
def test_a_too_strong_assumption_is_noticed(mutant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    mutant(monkeypatch)
    assert first_disagreement(TOO_STRONG[mutant], 1) != ""
