"""The lines of evidence of a claim that a machine proves or refutes."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

from theory.claim import Claim
from theory.evidence import ALSO, CONDITIONAL, FAILS, HOLDS, Evidence, Finding
from theory.proof.families import POLICY
from theory.proof.family import Family
from theory.proof.lemmas import LEMMAS
from theory.proof.searched import Search, search
from theory.strength import MACHINE, Strength

Wrong = Mapping[str, Any] | Callable[..., Any]
Predicate = Callable[..., Any]


class Proved:
    """The lines of evidence that a prover stands behind; the base of ``theory.statement.Statement``.

    A claim that is being written: a predicate, its text, and the evidence that earns its verdict.

    Each method adds one checker and returns the statement, so that they can be chained. All take ``of``: another
    predicate in the place of the statement's own (a closed form, a converse); ``role``: what a success says about the
    claim (HOLDS, FAILS, CORRECTED, CONDITIONAL, ORDER, VACUOUS of ``theory.evidence``); ``also=True`` for a further
    fact that does not bear on the verdict.

    Args:
        predicate: the statement, with its text as docstring.
        made: the claim in the ledger.
    """

    def __init__(self, predicate: Predicate, made: Claim, checks: list[Callable[[Evidence], None]]) -> None:
        self.predicate, self.claim, self._checks = predicate, made, checks
        self.__doc__ = predicate.__doc__
        self.__module__ = predicate.__module__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the statement's truth in a world."""
        return self.predicate(*args, **kwargs)

    @property
    def key(self) -> str:
        """Return the key of the claim."""
        return self.claim.key

    def _add(self, check: Callable[[Evidence], Finding]) -> Self:
        self._checks.append(lambda evidence: evidence.findings.append(check(evidence)))
        return self

    def _both(self, wrong: Wrong, of: Predicate | None) -> tuple[Predicate, Predicate]:
        what = of or self.predicate
        what = getattr(what, "predicate", what)
        if isinstance(wrong, Mapping):
            unknown = set(wrong) - set(inspect.signature(what).parameters)
            if unknown or not wrong:
                raise TypeError(f"{self.key}: the control changes no argument of the statement: {dict(wrong)}")
            return what, partial(what, **wrong)
        bad = getattr(wrong, "predicate", wrong)
        if bad is what:
            raise TypeError(f"{self.key}: the control is the statement itself")
        return what, bad

    def proved(
        self,
        over: Family = POLICY,
        *,
        wrong: Wrong | None = None,
        given: Predicate | None = None,
        wrong_given: Predicate | None = None,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        lemma: str = "",
        worlds: int = 200,
    ) -> Self:
        """Prove it for every world of a kind by the solver; the search over the same function must find nothing.

        Args:
            over: kind of worlds: POLICY, TABULAR, TWO_RESPONSES or a ``setting`` of your own.
            wrong: the control that the solver must refute: changed arguments, or another predicate.
            given: the premise. With it the role is CONDITIONAL unless ``role`` says otherwise.
            wrong_given: a wider premise, under which the control must be refuted; the control is then the statement
                itself unless ``wrong`` is given too.
            of: another predicate.
            role: what it says about the claim.
            also: a further fact.
            lemma: name of a standard lemma that leads from what is proved to the statement.
            worlds: exact cases for the search.
        """
        if wrong is None and wrong_given is None:
            raise TypeError(f"{self.key}: a proof needs a control: wrong=..., or wrong_given=...")
        what, bad = self._both(wrong, of) if wrong is not None else self._both(_another, of)
        bad = what if bad is _another else bad
        lemmas = lemmas_of(lemma)

        def check(evidence: Evidence) -> Finding:
            from theory.proof.smt import prove  # noqa: PLC0415

            found = search(what, over, given=given, worlds=min(worlds, evidence.worlds), seed=evidence.seed)
            proof = prove(what, over, given=given, record=evidence.record)
            control = prove(bad, over, given=wrong_given or given, witness=False)
            detail = f"{proof}; {found}" if proof.verdict == "proved" else str(proof)
            if found.counterexample is not None:
                detail = str(found)
            passed = proof.verdict == "proved" and found.counterexample is None and found.tried > 0
            if found.tried == 0:
                detail += "; no exact case meets the premise"
            strength = Strength(MACHINE, ("smt",), lemmas)
            return Finding(
                role_of(role, also, given), "smt", passed, control.verdict == "refuted", detail, strength, over.assumes
            )

        return self._add(check)

    def refuted(
        self,
        over: Family = POLICY,
        *,
        unlike: Predicate,
        given: Predicate | None = None,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        **change: Any,
    ) -> Self:
        """Let the solver find an exact world in which it is false; it finds none for the true statement ``unlike``."""
        what, near = self._both(unlike, of)
        what = partial(what, **change) if change else what

        def check(evidence: Evidence) -> Finding:
            from theory.proof.smt import prove  # noqa: PLC0415

            proof = prove(what, over, given=given, record=evidence.record)
            control = prove(near, over, given=given)
            passed = proof.verdict == "refuted" and proof.counterexample is not None
            strength = Strength(MACHINE, ("exact evaluation",))
            return Finding(
                role_of(role or FAILS, also, None), "smt", passed, control.verdict == "proved", str(proof), strength
            )

        return self._add(check)

    def derived(
        self,
        *,
        wrong: Wrong,
        symbols: Mapping[str, Any] | None = None,
        sums: Mapping[str, str] | None = None,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        lemma: str = "",
    ) -> Self:
        """Prove an identity by SymPy (a predicate that returns ``same(left, right)``).

        Args:
            wrong: the control, which must be refuted at a point.
            symbols: what an argument is, if not a positive number; see ``prove_identity``.
            sums: quantities of the responses, from ``over_responses``, if the statement is about sums over them; then
                exact worlds are searched too.
            of: another predicate.
            role: what it says about the claim.
            also: a further fact.
            lemma: name of a standard lemma that leads from what is proved to the statement.
        """
        what, bad = self._both(wrong, of)
        lemmas = lemmas_of(lemma)

        def check(evidence: Evidence) -> Finding:
            from theory.proof.calculus import prove_identity, prove_sum, search_sum  # noqa: PLC0415

            if sums is None:
                proof, control = prove_identity(what, symbols), prove_identity(bad, symbols)
                found = Search(None, 0, 0, 0, {})
            else:
                proof, control = prove_sum(what, sums), prove_sum(bad, sums)
                found = search_sum(what, sums, min(100, evidence.worlds), evidence.seed)
            passed = proof.verdict == "proved" and found.counterexample is None
            detail = f"{proof.verdict}: {proof.detail}" + (f"; {found}" if sums is not None else "")
            how = "sympy" if sums is None else "sympy, for any number of terms"
            strength = Strength(MACHINE, (how,), lemmas)
            return Finding(role_of(role, also, None), "sympy", passed, control.verdict == "refuted", detail, strength)

        return self._add(check)

    def enclosed(
        self,
        low: Any = None,
        high: Any = None,
        *,
        wrong: Wrong,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        lemma: str = "",
    ) -> Self:
        """Prove it by interval arithmetic: at every number of [low, high], or of constants if it has no argument.

        Args:
            low: left end, a whole number or a fraction.
            high: right end.
            wrong: the control, which must be false on a whole piece.
            of: another predicate.
            role: what it says about the claim.
            also: a further fact.
            lemma: name of a standard lemma that leads from what is proved to the statement.
        """
        what, bad = self._both(wrong, of)
        lemmas = lemmas_of(lemma)

        def check(_: Evidence) -> Finding:
            from theory.proof.balls import constant, everywhere  # noqa: PLC0415

            if low is None:
                proof, control = constant(what), constant(bad)
            else:
                proof, control = everywhere(what, low, high), everywhere(bad, low, high)
            strength = Strength(MACHINE, ("balls",), lemmas)
            place = "" if low is None else f" on [{low}, {high}]"
            detail = f"{proof}{place}"
            return Finding(
                role_of(role, also, None),
                "balls",
                proof.verdict == "proved",
                control.verdict == "refuted",
                detail,
                strength,
            )

        return self._add(check)

    def by_induction(
        self,
        *,
        base: Family,
        step: Family,
        after: Callable[[Any], Any],
        more: Callable[[random.Random, Any], Any] | None = None,
        wrong: Wrong,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        lemma: str = "",
    ) -> Self:
        """Prove it of a state after any number of terms: of the first one, and from one state to the next.

        Args:
            base: family of states with the first term.
            step: family of any state and one more term.
            after: the state with that term added.
            more: draws one more term for an exact state, so that states with up to eight terms are searched, and the
                control is found to be false in one of them or refuted for the first term. ``sums_of`` provides it;
                without it a step that cannot be proved counts as a refuted control.
            wrong: the control; base or step must be refuted.
            of: another predicate.
            role: what it says about the claim.
            also: a further fact.
            lemma: name of a standard lemma that leads from what is proved to the statement.
        """
        what, bad = self._both(wrong, of)
        lemmas = lemmas_of(lemma)

        def check(evidence: Evidence) -> Finding:
            from theory.proof.induction import by_induction, reachable  # noqa: PLC0415
            from theory.proof.smt import prove  # noqa: PLC0415

            first, then = by_induction(what, base, step, after=after, record=evidence.record)
            passed = first.verdict == then.verdict == "proved"
            control, found = prove(bad, base, witness=False).verdict == "refuted", None
            if more is not None:
                family = Family(base.name, base.assumes, (), reachable(base, after, more))
                count = min(100, evidence.worlds)
                found = search(what, family, worlds=count, seed=evidence.seed)
                passed = passed and found.counterexample is None
                control = control or search(bad, family, worlds=count, seed=evidence.seed).counterexample is not None
            elif not control:
                control = by_induction(bad, base, step, after=after, witness=False)[-1].verdict == "refuted"
            strength = Strength(MACHINE, ("induction, base and step by smt",), lemmas)
            assumes = f"base: {base.assumes}; step: {step.assumes}"
            detail = f"base {first}; step {then}" + ("" if found is None else f"; {found}")
            return Finding(role_of(role, also, None), "induction", passed, control, detail, strength, assumes)

        return self._add(check)


def _another(_: Any) -> bool:
    """Stand for the statement itself, as the control under a wider premise."""
    return False


def role_of(role: str | None, also: bool, given: Predicate | None) -> str:
    """Return what a line of evidence says about the claim."""
    return ALSO if also else role or (HOLDS if given is None else CONDITIONAL)


def lemmas_of(name: str) -> tuple[str, ...]:
    """Return the lemmas that a text names, separated by commas; raise TypeError for one that is not declared."""
    names = tuple(part.strip() for part in name.split(",") if part.strip())
    for part in names:
        if part not in LEMMAS:
            raise TypeError(f"no lemma {part!r} in theory.proof.lemmas; there are {', '.join(LEMMAS)}")
    return names
