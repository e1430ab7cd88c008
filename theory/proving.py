"""The lines of evidence of a claim that a machine proves or refutes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Self

from theory.claim import Claim
from theory.evidence import ALSO, FAILS, MADE, Evidence, Finding, Joined
from theory.lines import (
    Predicate,
    Wrong,
    again,
    another,
    called_by,
    control_of,
    induct_again,
    is_checked,
    is_far,
    is_near,
    lemmas_of,
    note_reached,
    premise_of,
    prove_again,
    provers,
    refuse_no_part,
    refuse_truth_as_failure,
    role_of,
    search_terms,
    sides_at,
    statement_and_control,
    strength_of_a_case,
)
from theory.proof.families import POLICY
from theory.proof.family import Family
from theory.proof.joined import Heard, hear
from theory.proof.lemmas import noting
from theory.proof.reached import Reached
from theory.proof.searched import Search, holds_at, search
from theory.proof.written import text_of
from theory.strength import MACHINE, Strength


class Proved:
    """A claim under construction, and the lines of evidence that come from a prover.

    Each method adds one checker and returns the statement, so that they can be chained. All take ``of``: another
    predicate in the place of the statement's own (a closed form, a converse); ``role``: what a success says about the
    claim (HOLDS, FAILS, CORRECTED, CONDITIONAL, ORDER, VACUOUS of ``theory.evidence``); ``also=True`` for a further
    fact that does not bear on the verdict; ``part``: the words of the claim's statement that ``of`` says in code, if it
    lists several statements and this is one of them; ``lemma``: the name of a standard lemma that leads from what is
    proved to the statement.

    Args:
        predicate: the statement, with its text as docstring.
        made: the claim in the ledger.
    """

    def __init__(self, predicate: Predicate, made: Claim, checks: list[Callable[[Evidence], None]]) -> None:
        self.predicate, self.claim, self._checks = predicate, made, checks
        self.proofs: list[Callable[..., Any]] = vars(made.evidence).setdefault("proofs", [])
        # each repeats one search, with a number of cases and a seed: of the statement, and of a control or None
        self.searches: list[tuple[Callable[..., Search], Any]] = vars(made.evidence).setdefault("searches", [])
        self.facts: list[tuple[Any, Family]] = []  # what is true of every world of a kind if the claim is reproduced
        self.__doc__ = predicate.__doc__
        self.__module__ = predicate.__module__
        self.heard: list[Heard] | None = None  # its results while another predicate runs; see ``theory.proof.joined``

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the statement's truth in a world."""
        truth = self.predicate(*args, **kwargs)
        hear(self, truth, args, kwargs)
        return truth

    @property
    def key(self) -> str:
        """Return the key of the claim."""
        return self.claim.key

    def _add(
        self,
        check: Callable[[Evidence], Finding],
        of: Predicate | None = None,
        wrong: Wrong | str | None = None,
        part: str = "",
        fact: tuple[Any, Family] | None = None,
    ) -> Self:
        """Add a line of evidence, its control, and as ``fact`` what later worlds may assume, and of which kind."""
        refuse_no_part(self.key, self.claim.says, part)
        self.facts += [fact] if fact else []

        def run(evidence: Evidence) -> None:
            other = "" if of is None or self._is_own(of) else text_of(of)
            found = replace(check(evidence), of=other, wrong=control_of(wrong), part=part)
            evidence.facts += [(*fact, len(evidence.findings))] if fact else []
            evidence.findings.append(found)

        self._checks.append(run)
        return self

    def _is_own(self, what: Predicate) -> bool:
        return getattr(what, "predicate", what) is self.predicate

    def _joined(self, what: Predicate, role: str, proves: Callable[[Predicate], bool]) -> Joined:
        """Return whether a machine proves the statement itself from what is run, because that calls the statement."""
        if self._is_own(what):
            return True
        joint = called_by(self, what, role)
        if joint is None or not proves(joint.holds) or not joint.calls:
            return False
        return MADE if joint.made and role != FAILS else True  # one case refutes a claim, whatever it is made of

    def _refuse_truth_as_failure(self, of: Predicate | None, role: str | None, *, denial: bool = False) -> None:
        refuse_truth_as_failure(self.key, own=of is None or self._is_own(of), fails=role == FAILS, denial=denial)

    def _both(self, wrong: Wrong, of: Predicate | None) -> tuple[Predicate, Predicate]:
        return statement_and_control(self.key, of or self.predicate, wrong)

    def proved(  # noqa: D417 - what all of them take is said above
        self,
        over: Family = POLICY,
        *,
        wrong: Wrong | None = None,
        given: Predicate | None = None,
        wrong_given: Predicate | None = None,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        part: str = "",
        lemma: str = "",
        worlds: int = 200,
    ) -> Self:
        """Prove the statement for every world of a kind by the solver; a search of the same function must find nothing.

        Args:
            over: kind of worlds: POLICY, TABULAR, TWO_RESPONSES or a ``setting`` of your own.
            wrong: the control that the solver must refute: changed arguments, or another predicate.
            given: the premise. With it the role is CONDITIONAL unless ``role`` says otherwise.
            wrong_given: a wider premise, under which the control must be refuted; the control is then the statement
                itself unless ``wrong`` is given too.
            worlds: exact cases for the search.
        """
        if wrong is None and wrong_given is None:
            raise TypeError(f"{self.key}: a proof needs a negative control; pass wrong= or wrong_given=")
        self._refuse_truth_as_failure(of, role)
        what, bad = self._both(wrong, of) if wrong is not None else self._both(another, of)
        bad = what if bad is another else bad
        lemmas, means = lemmas_of(lemma), role_of(role, also, given)

        def check(evidence: Evidence) -> Finding:
            from theory.proof.smt import prove  # noqa: PLC0415

            count, reached = min(worlds, evidence.worlds), Reached(what)
            shared: dict[str, Any] = {"given": given, "known": evidence.known, "record": evidence.record}
            with noting() as noted:
                found = search(what, over, given=given, worlds=count, seed=evidence.seed)
                proof = prove(what, over, **shared, reached=reached)
            evidence.use(noted, means)
            note_reached(evidence, reached, lambda: search(what, over, given=given, worlds=count, seed=evidence.seed))
            control = prove(bad, over, given=wrong_given or given, witness=False, known=evidence.known)
            passed = proof.verdict == "proved" and found.counterexample is None and found.tried > 0
            detail = f"{proof}; {found}" if proof.verdict == "proved" else str(proof)
            detail = str(found) if found.counterexample is not None else detail
            detail += "" if found.tried else "; no exact case meets the premise"
            return Finding(
                means,
                "smt",
                passed,
                control.verdict == "refuted",
                detail,
                Strength(MACHINE, provers("smt", noted), lemmas, is_checked(noted)),
                over.assumes,
                joined=self._joined(what, means, lambda other: prove(other, over, **shared).verdict == "proved"),
                over=proof.covers(),
                far=is_far(what, wrong, bad, over, wrong_given or given, evidence.seed),
                sides=sides_at(what, proof.counterexample or found.counterexample),
            )

        self.proofs += again(self, prove_again, what, means, over, given=given)
        self.searches.append((partial(search, what, over, given=given), None))
        fact = None if means == ALSO or given is not None else (what, over)
        return self._add(check, of, wrong if wrong is not None else premise_of(wrong_given), part, fact)

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
        """Let the solver find an exact world where it is false; for the true statement ``unlike`` it finds none."""
        what, near = self._both(unlike, of)
        what = partial(what, **change) if change else what

        def check(evidence: Evidence) -> Finding:
            from theory.proof.smt import prove  # noqa: PLC0415

            shared: dict[str, Any] = {"given": given, "known": evidence.known}
            proof, control = prove(what, over, **shared, record=evidence.record), prove(near, over, **shared)
            passed = proof.verdict == "refuted" and proof.counterexample is not None
            return Finding(
                role_of(role or FAILS, also, None),
                "smt",
                passed,
                control.verdict == "proved",
                str(proof),
                strength_of_a_case(self.claim.says, role),
                joined=self._joined(what, FAILS, lambda other: holds_at(other, proof.counterexample) is True),
                sides=sides_at(what, proof.counterexample),
            )

        return self._add(check, of if of is not None or not change else what, unlike)

    def derived(  # noqa: D417 - what all of them take is said above
        self,
        *,
        wrong: Wrong,
        symbols: Mapping[str, Any] | None = None,
        sums: Mapping[str, str] | None = None,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        part: str = "",
        lemma: str = "",
        denial: bool = False,
    ) -> Self:
        """Prove an identity by SymPy (a predicate that returns ``same(left, right)``).

        Args:
            wrong: the control, which must be refuted at a point.
            symbols: what an argument is, if not a positive number; see ``prove_identity``.
            sums: quantities of the responses, from ``over_responses``, if the statement is about sums over them; then
                exact worlds are searched too.
            denial: the claim's function says the opposite of what is printed, so that its truth refutes the claim.
        """
        self._refuse_truth_as_failure(of, role, denial=denial)
        what, bad = self._both(wrong, of)
        lemmas = lemmas_of(lemma)

        def check(evidence: Evidence) -> Finding:
            from theory.proof import calculus  # noqa: PLC0415

            with Reached(what) as reached:
                proof, joined = calculus.prove_and_listen(self, what, symbols, sums)
            note_reached(evidence, reached)
            if sums is None:
                control, found = calculus.prove_identity(bad, symbols), Search(None, 0, 0, 0, {})
            else:
                control = calculus.prove_sum(bad, sums)
                found = calculus.search_sum(what, sums, min(100, evidence.worlds), evidence.seed)
            passed = proof.verdict == "proved" and found.counterexample is None
            searched = f"; {found}" if sums is not None else ""
            how = "sympy" if sums is None else "sympy for any number of terms"
            means = role_of(role, also, None)
            return Finding(
                means,
                "sympy",
                passed,
                control.verdict == "refuted",
                f"{'its denial is ' if denial else ''}{proof.verdict}: {proof.detail}{searched}",
                Strength(MACHINE, (how,), lemmas),
                joined=self._is_own(what) or (means != FAILS and joined),
                over=calculus.said_of(what, symbols, sums),
                far=isinstance(wrong, Mapping) and not is_near(what, wrong),
            )

        return self._add(check, of, wrong, part)

    def enclosed(  # noqa: D417 - what all of them take is said above
        self,
        low: Any = None,
        high: Any = None,
        *,
        wrong: Wrong,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        part: str = "",
        lemma: str = "",
        denial: bool = False,
    ) -> Self:
        """Prove it by interval arithmetic: at every number of [low, high], or of constants if it has no argument.

        Args:
            low: left end, a whole number or a fraction.
            high: right end.
            wrong: the control, which must be false on a whole piece.
            denial: the claim's function says the opposite of what is printed, so that its truth refutes the claim.
        """
        self._refuse_truth_as_failure(of, role, denial=denial)
        what, bad = self._both(wrong, of)
        lemmas = lemmas_of(lemma)

        def check(evidence: Evidence) -> Finding:
            from theory.proof.balls import constant, everywhere  # noqa: PLC0415

            def run(predicate: Predicate) -> Any:
                return constant(predicate) if low is None else everywhere(predicate, low, high)

            with Reached(what) as reached, noting() as noted:
                proof = run(what)
            note_reached(evidence, reached)
            means = role_of(role, also, None)
            return Finding(
                means,
                "balls",
                proof.verdict == "proved",
                run(bad).verdict == "refuted",
                ("its denial is " if denial else "") + f"{proof}" + ("" if low is None else f" on [{low}, {high}]"),
                Strength(MACHINE, provers("balls", noted), lemmas, is_checked(noted)),
                joined=self._joined(what, means, lambda other: run(other).verdict == "proved"),
                over="constants" if low is None else f"every number from {low} to {high}",
                far=isinstance(wrong, Mapping) and not is_near(what, wrong),
            )

        return self._add(check, of, wrong, part)

    def by_induction(  # noqa: D417 - what all of them take is said above
        self,
        *,
        base: Family,
        step: Family,
        after: Callable[[Any], Any],
        more: Callable[[random.Random, Any], Any] | None = None,
        states: Family | None = None,
        wrong: Wrong,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        part: str = "",
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
            states: all states from this base on by this step; worlds of later lines may assume the statement of them.
            wrong: the control; base or step must be refuted.
        """
        self._refuse_truth_as_failure(of, role)
        what, bad = self._both(wrong, of)
        lemmas, means = lemmas_of(lemma), role_of(role, also, None)

        def check(evidence: Evidence) -> Finding:
            from theory.proof.induction import by_induction, reachable  # noqa: PLC0415
            from theory.proof.smt import prove  # noqa: PLC0415

            reached = Reached(what)
            shared: dict[str, Any] = {"after": after, "known": evidence.known, "record": evidence.record}
            with noting() as noted:
                first, then = by_induction(what, base, step, **shared, reached=reached)
            evidence.use(noted, means)
            note_reached(evidence, reached)
            passed = first.verdict == then.verdict == "proved"
            control, found = prove(bad, base, witness=False, known=evidence.known).verdict == "refuted", None
            if more is not None:
                family = Family(base.name, base.assumes, (), reachable(base, after, more))
                count = min(100, evidence.worlds)
                found = search(what, family, worlds=count, seed=evidence.seed)
                passed = passed and found.counterexample is None
                control = control or search(bad, family, worlds=count, seed=evidence.seed).counterexample is not None
            elif not control:
                control = (
                    by_induction(bad, base, step, **shared | {"record": None}, witness=False)[-1].verdict == "refuted"
                )

            def inductive(other: Predicate) -> bool:
                return all(proof.verdict == "proved" for proof in by_induction(other, base, step, **shared))

            return Finding(
                means,
                "induction",
                passed,
                control,
                f"base {first}; step {then}" + ("" if found is None else f"; {found}"),
                Strength(MACHINE, provers("induction (base and step by smt)", noted), lemmas, is_checked(noted)),
                f"base: {base.assumes}; step: {step.assumes}",
                joined=self._joined(what, means, inductive),
                over=f"any number of terms, each with {base.says()}",
                far=is_far(what, wrong, bad, base, None, evidence.seed),
            )

        self.proofs += again(self, induct_again, what, means, base, step, after=after)
        if more is not None:
            self.searches.append((partial(search_terms, what, base, after, more), None))
        made = states if states is not None and states.induction == (base, step, after) else None
        return self._add(check, of, wrong, part, None if made is None or means == ALSO else (what, made))
