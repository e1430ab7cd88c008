"""Decide a conjecture: ask the prover, and look for a small exact world in which it is false."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from dynamics.errors import InvalidArgument, check_count, check_kind
from theory.decision.asked import asked, predicate_of
from theory.decision.progress import Shown
from theory.decision.recipes import Bounds, Recipe, draw, searched_in, shrink, small_recipes, within_bounds
from theory.decision.result import PROVED, REFUTED, UNDECIDED, VACUOUS, Decision
from theory.decision.sides import sides_of
from theory.proof.balls import Undecided
from theory.proof.checks import show
from theory.proof.families import LOG_LINEAR, POLICY, TABULAR, TWO_RESPONSES
from theory.proof.family import Family
from theory.proof.lemmas import noting
from theory.proof.negation import Negation
from theory.proof.searched import holds_at
from theory.proof.settings import Rejected
from theory.proof.smt import Proof
from theory.proof.solver import Known, SolverStuckError
from theory.proof.symbols import Impure, NotAStatement, OnlyExact
from theory.worlds import BASE_MEASURE_KIND, KINDS, LOG_LINEAR_KIND, TABULAR_KIND, World, log_linear as draw_log_linear

WITHOUT_BASE = Family(
    "every log-linear policy without a base measure",
    POLICY.assumes + "; proved for every policy, of which these are some",
    tuple(replace(case, rebuild=None, exact=False) for case in POLICY.cases),
    draw_log_linear,
)
BY_KIND = {TABULAR_KIND: TABULAR, LOG_LINEAR_KIND: WITHOUT_BASE, BASE_MEASURE_KIND: POLICY}
SEARCHED = (
    (POLICY, KINDS),
    (LOG_LINEAR, KINDS),
    (TABULAR, (TABULAR_KIND,)),
    (TWO_RESPONSES, KINDS),
    (WITHOUT_BASE, (LOG_LINEAR_KIND,)),
)
"""The kinds of exact worlds that are searched for each family; other families draw their own cases."""


WORK = 2_400_000
"""Of the solver for one question in all of its forms, in units of its own. A question that takes so much takes about a
second, sometimes more: the solver does not count all of its work."""
PATIENCE = 3_000
"""Milliseconds for a question while a smaller world than the one that was found is made; no verdict depends on it."""


@dataclass
class _Search:
    """A search in progress: what it looks for, and the worlds that it has examined."""

    statement: Callable[[Any], bool]
    premise: Callable[[Any], bool] | None
    shown: Shown
    tried: int = 0
    drawn: int = 0

    def is_false(self, case: Any) -> bool:
        """Return whether the statement is false in a case."""
        self.drawn += 1
        self.shown.world()
        try:
            holds = holds_at(self.statement, case, self.premise)
        except Undecided:  # intervals are too wide to tell
            holds = None
        self.tried += holds is not None
        return holds is False

    def first(self, recipes: Iterator[Recipe]) -> World | None:
        """Return the first world in which the statement is false, made as small as possible."""
        for recipe in recipes:
            if self.is_false(recipe.world):
                return shrink(recipe, lambda other: self.is_false(other.world)).world
        return None


def decide(
    conjecture: Callable[[Any], bool] | str,
    over: Family | str | None = None,
    *,
    given: Callable[[Any], bool] | str | None = None,
    exists: bool = False,
    within: Bounds | None = None,
    worlds: int = 200,
    seed: int = 0,
    work: int = WORK,
) -> Decision:
    """Prove a conjecture, refute it by a small exact world, or say what was tried.

    Args:
        conjecture: a predicate of a world, in its short names (``w.A_w >= 0``) or the long ones
            (``w.drive(w.chosen) >= 0``). It returns True or False. A text is read as on the command line:
            ``"drive(w) >= 0"``.
        over: what it is about: ``POLICY``, ``TABULAR``, ``LOG_LINEAR`` or ``TWO_RESPONSES`` of ``theory``, a family of
            other worlds such as ``batch(2)``, or one of ``KINDS`` in words (``"log-linear"``: without a base measure).
            Without it: every policy, or every log-linear one if the conjecture takes an exact step, ``w.after(...)``.
        given: a premise. Only worlds that satisfy it count; the result says how many there were.
        exists: whether the conjecture says "there is a world in which ...". Then it is *proved* by a witness, and
            *refuted* by a proof that there is none.
        within: the bounds within which random worlds are drawn; ``Bounds()`` if not given.
        worlds: random worlds of each kind.
        seed: of the random worlds.
        work: limit of the solver's work for one question, in its own units, so that a busy machine changes no verdict.
            Raise it for a conjecture on which the solver gave up; the result says how often it was asked.

    Returns:
        A decision: *proved*, *refuted*, *vacuous* (no world meets the premise) or *undecided*.

    Raises:
        InvalidArgument: the conjecture or the premise is no statement: it returns None, a tuple or a number, computes
            with floats, or gives different answers when it is called twice; ``over`` is not a kind of worlds.

    Example:
        >>> decide(lambda w: w.A_w >= w.A_l).verdict, decide("A_w >= A_l").verdict
        ('proved', 'proved')
        >>> print(decide(lambda w: w.D_w >= w.D_l).sides[0])
        not D_w >= D_l: 21/169 < 24/169
        >>> decide(lambda w: w.A_w < 0 < w.A_l).verdict, decide(lambda w: w.A_w < 0 < w.A_y, exists=True).verdict
        ('refuted', 'proved')
    """
    what, where_true = predicate_of("conjecture", conjecture), predicate_of("given", given)
    said = asked("conjecture", what)
    premise = None if given is None else asked("given", where_true)
    families = _families(over)
    check_kind("exists", exists, bool, "True or False")
    if within is not None:
        check_kind("within", within, Bounds, "Bounds, or None")
    check_count("worlds", worlds)
    check_count("seed", seed, minimum=0)
    check_count("work", work)
    bounds = within or Bounds()
    statement = Negation(what) if exists else what
    result = Decision(UNDECIDED, families[0].name, exists=exists, premise=given is not None, text=_text(what))
    with Shown() as shown:
        shown.doing("asking the solver")
        try:
            known = Known()
            family, proof = _asked_prover(statement, where_true, families, work, known)
        except (NotAStatement, Impure) as problem:
            _complain(premise, said)  # the error names the premise, if that is what is wrong
            raise InvalidArgument("conjecture", str(problem)) from None
        shown.doing("exact worlds")
        search = _Search(Negation(said) if exists else said, premise, shown)
        found, where = _searched(search, family, bounds, worlds, seed)
        result = replace(result, over=family.name, tried=search.tried, drawn=search.drawn, where=where)
        if isinstance(proof, str):
            result = replace(result, reason=f"the prover cannot read it: {proof}")
        else:
            why = _why(proof, family, work)
            result = replace(result, assumes=proof.assumes, cases=proof.cases, reason=why)
            if proof.verdict in (PROVED, VACUOUS):
                return _agreed(result, proof, found, search, (statement, family, where_true, work))
            if proof.verdict == REFUTED and (found is None or not _has_small_worlds(family)):
                shown.doing("making a small world")
                patience = {} if found is None else {"patience": PATIENCE}  # what was found will do
                made = _constructed(result, what, statement, family, where_true, work, known, **patience)
                if found is None or made.case is not None:
                    return made
        return result if found is None else _shown(result, what, found)


def _families(over: Family | str | None) -> tuple[Family, ...]:
    """Return the family, or those that are tried in turn."""
    if over is None:
        return POLICY, LOG_LINEAR
    if isinstance(over, Family):
        return (over,)
    if isinstance(over, str) and over in BY_KIND:
        return (BY_KIND[over],)
    choices = f"POLICY, TABULAR, LOG_LINEAR or TWO_RESPONSES of theory, one of {KINDS}, or None for every policy"
    raise InvalidArgument("over", over, choices)


def _searched(search: _Search, family: Family, bounds: Bounds, worlds: int, seed: int) -> tuple[Any, str]:
    """Return an exact case in which it is false, or None; and in words what was searched."""
    kinds = next((kinds for known, kinds in SEARCHED if known is family), None)
    if kinds is None:
        for case in _cases(family, worlds, seed):
            if search.is_false(case):
                return case, f"drawn at random from {family.name}"
        return None, f"drawn at random from {family.name}"
    if family is TWO_RESPONSES:
        bounds = replace(bounds, responses=2)
    small = (r for r in small_recipes() if r.kind in kinds and within_bounds(r, bounds))
    found = search.first(small)
    for kind in kinds:
        found = found or search.first(iter(_drawn(kind, bounds, worlds, seed)))
    return found, searched_in(kinds, bounds)


def _has_small_worlds(family: Family) -> bool:
    return any(known is family for known, _ in SEARCHED)


@lru_cache(maxsize=32)
def _drawn(kind: str, bounds: Bounds, count: int, seed: int) -> tuple[Recipe, ...]:
    source = random.Random(f"{kind}/{seed}")
    return tuple(draw(source, kind, bounds) for _ in range(count))


@lru_cache(maxsize=32)
def _cases(family: Family, count: int, seed: int) -> tuple[Any, ...]:
    source = random.Random(f"{family.name}/{seed}")
    found = []
    with suppress(Rejected):  # no fractions meet the assumptions
        for _ in range(count):
            found.append(family.draw(source))
    return tuple(found)


NOTHING_KNOWN = Proof(UNDECIDED, "", "", (), 0, 0)


def _asked_prover(
    statement: Callable[..., Any],
    given: Callable[..., Any] | None,
    families: tuple[Family, ...],
    work: int,
    known: Known,
) -> tuple[Family, Any]:
    """Return the first family that can express the statement in symbols, and the proof; or why none can.

    The prover runs before any search, because it can detect a predicate that remembers earlier calls only if there were
    no earlier calls.
    """
    from theory.proof.smt import prove  # noqa: PLC0415 - a solver

    why = ""
    for family in families:
        try:
            with noting() as noted:
                proof = prove(statement, family, given=given, witness=False, work=work, known=known)
            assumed = [lemma for lemma, worlds in noted if worlds is not None]  # else SymPy proved it
            if assumed:
                names = ", ".join(dict.fromkeys(getattr(lemma, "__name__", str(lemma)) for lemma in assumed))
                raise InvalidArgument(
                    "over", family.name, f"worlds that assume no lemmas, since nothing proves {names}"
                )
            return family, proof
        except OnlyExact as problem:
            why = why or str(problem)
        except SolverStuckError as problem:
            return family, replace(NOTHING_KNOWN, over=family.name, assumes=family.assumes, reason=str(problem))
        except NotAStatement:
            raise
        except (TypeError, AttributeError) as problem:  # a mistake in the conjecture is raised by exact worlds too
            why = why or f"{type(problem).__name__}: {problem}"
    return families[0], why


def _complain(*predicates: Callable[[Any], bool] | None) -> None:
    """Run predicates in an exact world, where one that is not a statement raises an error that names its argument."""
    for predicate in filter(None, predicates):
        try:
            predicate(small_recipes()[-1].world)
        except InvalidArgument:
            raise
        except Exception:  # other errors are raised by the caller
            continue


def _agreed(result: Decision, proof: Any, found: Any, search: _Search, again: tuple[Any, ...]) -> Decision:
    """Return a proof, after exact worlds have not contradicted it.

    A statement may be vacuous since no world meets its premise, or since it is true without looking at any number
    ("not premise or ..." with a premise that is never met); the proof then gives that as its reason.

    Raises:
        AssertionError: an exact world contradicts the proof: the prover is wrong, or the conjecture gives different
            answers when it is called again.
    """
    inside = proof.verdict == VACUOUS and bool(proof.reason)
    if found is not None or (proof.verdict == VACUOUS and not inside and search.tried):
        where = "" if found is None else f":\n{show(found)}"
        message = f"the prover says {proof.verdict}, and an exact world says otherwise; please report it{where}"
        raise AssertionError(message)
    if proof.verdict == VACUOUS and not (inside and result.exists):
        return replace(result, verdict=VACUOUS, by="smt")
    return replace(result, verdict=REFUTED if result.exists else PROVED, by="smt", reason="", again=again)


def _constructed(
    result: Decision,
    conjecture: Callable[..., Any],
    statement: Callable[..., Any],
    family: Family,
    given: Callable[..., Any] | None,
    work: int,
    known: Known,
    **patience: Any,
) -> Decision:
    """Return a refutation by a world that the solver constructs, or no case if it gets stuck at that."""
    from theory.proof.smt import prove  # noqa: PLC0415
    from theory.proof.solver import SolverStuckError  # noqa: PLC0415

    try:
        proof = prove(statement, family, given=given, work=work, known=known, **patience)
    except SolverStuckError:
        return replace(result, reason="it is refuted, but the solver got stuck while it made an exact world of that")
    if proof.counterexample is not None:
        return _shown(result, conjecture, proof.counterexample)
    if proof.verdict != REFUTED:
        return replace(result, reason=_why(proof, family, work))
    verdict = PROVED if result.exists else REFUTED
    return replace(result, verdict=verdict, by="smt", algebraic=proof.algebraic, reason=proof.reason)


def _why(proof: Any, family: Family, work: int) -> str:
    if proof.verdict == UNDECIDED and proof.reason.startswith("the solver gave up"):
        asked = f"{proof.queries} questions, up to {work:,} units of its work for one"
        return f"{proof.reason} ({asked}; work={10 * work} allows ten times as much)"
    if family is WITHOUT_BASE and "bounds" in proof.reason:
        return "there is a counterexample with a base measure, and none was found without one"
    return str(proof.reason)


def _shown(result: Decision, conjecture: Callable[..., Any], case: Any) -> Decision:
    """Return a refutation by a case, or for "there is" a proof by it, with both sides of what is compared."""
    verdict = PROVED if result.exists else REFUTED
    return replace(result, verdict=verdict, by="exact evaluation", case=case, sides=sides_of(conjecture, case))


def _text(conjecture: Callable[..., Any]) -> str:
    """Return a name for a conjecture: the key of a claim, the first line of its docstring, or its own name."""
    if isinstance(key := getattr(conjecture, "key", None), str):
        return key
    words = (getattr(conjecture, "__doc__", None) or "").strip().split("\n")[0].rstrip(".")
    name = getattr(conjecture, "__name__", "")
    return words or ("" if name == "<lambda>" else name.replace("_", " "))
