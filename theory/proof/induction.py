"""Induction on the number of responses: base and step are proved by the solver."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from theory.proof.symbols import NotAStatement, Number

DRAWS = 10  # exact states in which a step must change something


def power_sum_bounds(first: Number, second: Number, third: Number) -> list[Any]:
    """Return inequalities that hold for the sums of q, q^2 and q^3 over one or more positive numbers q.

    They are proved by induction, once in each process, before they are used.
    """
    _prove_power_sum_bounds()
    return _bounds(first, second, third)


def _bounds(first: Any, second: Any, third: Any) -> list[Any]:
    return [
        second > 0,
        third > 0,
        second <= first * first,
        third <= first * second,
        second * second <= first * third,
    ]


@lru_cache(maxsize=1)
def _prove_power_sum_bounds() -> None:
    from theory.proof.settings import Numbers, setting  # noqa: PLC0415
    from theory.proof.smt import prove  # noqa: PLC0415
    from theory.proof.solver import Known  # noqa: PLC0415

    @setting("q > 0")
    def one_number(numbers: Numbers) -> Any:
        q = numbers.positive("q")
        return q, q * q, q**3

    @setting("the bounds hold of the sums a, b, c; q > 0")
    def one_more(numbers: Numbers) -> Any:
        a, b, c = (numbers.positive(name) for name in "abc")
        numbers.assume(*_bounds(a, b, c))
        q = numbers.positive("q")
        return a + q, b + q * q, c + q**3

    known = Known()
    for family in (one_number, one_more):
        for k in range(5):
            proof = prove(lambda sums, k=k: _bounds(*sums)[k], family, known=known)
            if proof.verdict != "proved":
                raise AssertionError(f"the bounds of power sums are not proved: {family.name}, {k}: {proof}")


def by_induction(
    holds: Callable[[Any], Any],
    base: Any,
    step: Any,
    *,
    after: Callable[[Any], Any],
    more: Any = None,  # noqa: ARG001 - for a search, see ``reachable``
    states: Any = None,  # noqa: ARG001 - for later proofs
    record: Any = None,
    witness: bool = True,
    known: Any = None,
    reached: Any = None,
) -> tuple[Any, ...]:
    """Prove a statement about a sum or a product of any number of terms; return the proofs of base and step.

    Args:
        holds: the statement about a state.
        base: family of states with the first term.
        step: family of states and one more term.
        after: function that returns the state with the term added.
        more: the sampler that ``sums_of`` returns as well; not used by a proof.
        states: every state, which ``sums_of`` returns as well; not used by a proof.
        record: called with every question to the solver and its answer.
        witness: whether a refutation must come with a small world; without (for controls) a refuted base is enough.
        known: what earlier proofs about the same worlds asked.
        reached: a ``Reached``, which notes the parts of the statement that run.

    Raises:
        NotAStatement: ``after`` leaves every state as it is, so that the step would prove nothing.
    """
    from theory.proof.smt import REFUTED, prove  # noqa: PLC0415

    source = random.Random(0)
    if all(_unchanged(state, after(state)) for state in (step.draw(source) for _ in range(DRAWS))):
        raise NotAStatement(
            f"{step.name}: `after` changed none of {DRAWS} random states; it must return the state with one more term"
        )
    first = prove(holds, base, record=record, witness=witness, known=known, reached=reached)
    if first.verdict == REFUTED and not witness:
        return (first,)
    return first, prove(
        lambda state: holds(after(state)),
        step,
        given=holds,
        record=record,
        witness=witness,
        known=known,
        reached=reached,
    )


def reachable(base: Any, after: Callable[[Any], Any], more: Callable[[random.Random, Any], Any]) -> Callable[..., Any]:
    """Return a sampler of exact states that an induction reaches: the first term and up to seven more.

    Args:
        base: family of states with the first term.
        after: function that returns the state with one more term added.
        more: draws one more term for a state.
    """

    def draw(source: random.Random) -> Any:
        state = base.draw(source)
        for _ in range(source.choice((0, 1, 1, 2, 3, 5, 7))):
            state = after(more(source, state))
        return state

    return draw


def sums_of(
    assumes: str, *, fixed: Callable[[Any], Any] | None = None
) -> Callable[[Callable[..., Any]], dict[str, Any]]:
    """Make ``base``, ``step``, ``after``, ``more`` and ``states`` of an induction from what one term adds to each sum.

    ``states`` is the setting of all sums of one or more terms, of which the solver knows only what lemmas say (see
    ``Numbers.case_of``).

    Args:
        assumes: what is assumed of a term, in words.
        fixed: function that asks for the numbers that all terms share; the decorated function gets them as its second
            argument, and a statement finds them in the state as ``fixed``.

    Example:
        >>> from theory.proof import Named
        >>> @sums_of("q > 0")
        ... def weights(numbers):
        ...     q, x = numbers.positive("q"), numbers.real("x")
        ...     return Named(q=q, qx=q * x, qxx=q * x * x)
        >>> cauchy_schwarz = lambda s, times=1: s.q > 0 and s.qxx >= 0 and times * s.qx**2 <= s.q * s.qxx
        >>> [proof.verdict for proof in by_induction(cauchy_schwarz, **weights)]
        ['proved', 'proved']
    """
    from theory.proof.settings import Named, drawn, setting  # noqa: PLC0415

    def make(term: Callable[..., Any]) -> dict[str, Any]:
        def ask(numbers: Any) -> tuple[Any, Any]:
            shared = None if fixed is None else fixed(numbers)
            return shared, term(numbers) if fixed is None else term(numbers, shared)

        def first(numbers: Any) -> Any:
            shared, one = ask(numbers)
            return Named(**vars(one), fixed=shared)

        def further(numbers: Any) -> Any:
            shared, one = ask(numbers)
            sums = {name: numbers.real(f"so_far_{name}") for name in vars(one)}
            return Named(**sums, fixed=shared, term=one)

        def after(state: Any) -> Any:
            sums = {name: vars(state)[name] + value for name, value in vars(state.term).items()}
            return Named(**sums, fixed=state.fixed)

        def more(source: random.Random, state: Any) -> Any:
            one = drawn(term if fixed is None else lambda numbers: term(numbers, state.fixed), source)
            return Named(**vars(state), term=one)

        def every(numbers: Any) -> Any:
            shared, one = ask(numbers)
            if not hasattr(numbers, "source"):  # symbols or their values; the term is there for the names of the sums
                sums = vars(numbers.kept(None, [f"sum_of_{name}" for name in vars(one)]))
                return Named(**dict(zip(vars(one), sums.values(), strict=True)), fixed=shared)
            state = Named(**vars(one), fixed=shared)
            for _ in range(numbers.source.choice((0, 1, 1, 2, 3, 5, 7))):
                state = after(more(numbers.source, state))
            return state

        words = (term.__doc__ or term.__name__.replace("_", " ")).strip().rstrip(".")
        first.__doc__, further.__doc__ = f"{words}: the first", f"{words}: one more"
        base, step = setting(assumes)(first), setting(f"the statement about the sums so far; {assumes}")(further)
        states = setting(f"sums of any number of terms; {assumes}")(every)
        states = replace(states, induction=(base, step, after))
        return {"base": base, "step": step, "after": after, "more": more, "states": states}

    return make


def _unchanged(state: Any, later: Any) -> bool:
    before, now = (_parts(each) for each in (state, later))
    return bool(now == before[: len(now)])


def _parts(state: Any) -> tuple[Any, ...]:
    if isinstance(state, SimpleNamespace):
        return tuple(vars(state).values())
    return tuple(state) if isinstance(state, (tuple, list)) else (state,)
