r"""A claim written in one place: the docstring is the statement as printed, the function is the statement in code.

::

    claim = claims_of("jian2025")

    @claim("log-margin", "not in the paper; replaces Corollary 2", HOLDS)
    def log_margin(w, cross=2):
        r'''\frac{d}{d\eta}[\log\pi_w-\log\pi_l]=\beta\,\sigma(-z)\,\|g_w-g_l\|^2\ge 0

        Assumes: one pair, plain gradient descent
        Proof: $A_w-A_l=\|g_w-g_l\|^2$.
        '''
        return w.A_w - w.A_l == w.ww - cross * w.wl + w.ll >= 0

    log_margin.proved(over=POLICY, wrong={"cross": 1})

Every line of evidence names a control: the same function with an argument changed, or another function near it, on
which the same checker must report the opposite. Verdict and strength follow from what the run finds.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

from theory.claim import PROVED, REPRODUCED, claim as register, outcome_of, run_claim, strength_of
from theory.evidence import ALSO, FAILS, HOLDS, ORDER, Evidence, Finding, exact, show
from theory.lines import (
    Predicate,
    Wrong,
    is_far,
    lemmas_of,
    note_reached,
    refuse_no_part,
    refuse_unreached,
    role_of,
    sides_at,
    strength_of_a_case,
)
from theory.proof.family import Family
from theory.proof.floating import run_and_find_floats
from theory.proof.reached import Reached
from theory.proof.searched import holds_at, search
from theory.proving import Proved
from theory.strength import MACHINE, NUMERICAL, UNREFUTED, Strength

SECTIONS = ("Assumes", "Because", "Proof")
THERE_IS, ALL_CASES = "there is such a case", "these are all cases"
MEANINGS = {THERE_IS: "an exact example", ALL_CASES: "exact evaluation of all cases"}
SAYS_THERE_IS = re.compile(r"\\exists|there (?:is|are)\b|\\not\\Rightarrow|\\not\\implies")
FEW = 40  # cases in which it is recorded which parts of a statement are reached, unless all are reached sooner


class Statement(Proved):
    """A claim under construction, with all lines of evidence: those of ``Proved``, and those that need no prover."""

    def rests_on(self, *others: Statement, role: str | None = None, also: bool = False, part: str = "") -> Self:
        """Use claims of the ledger as lemmas: each must be reproduced and hold, and this claim is as strong at most.

        In one process a claim is run once for all that rest on it. If this claim lists several statements and the other
        claim is one of them, ``part`` is its words, which must stand in both.
        """
        for other in others if part else ():
            refuse_no_part(other.key, other.claim.says, part)

        def check(evidence: Evidence, other: Statement) -> Finding:
            run = outcome_of if evidence.record is None else partial(run_claim, record=evidence.record)
            outcome = run(other.claim, evidence.worlds, evidence.seed)
            passed = outcome.status == REPRODUCED and outcome.earned == PROVED
            control = bool(outcome.findings) and all(finding.control for finding in outcome.findings)
            means = role_of(role, also, None)
            evidence.facts += [(*fact, len(evidence.findings)) for fact in other.facts if means != ALSO]
            detail = f"{other.key} is {outcome.status}: {outcome.earned}, {outcome.strength}"
            return Finding(means, "claim", passed, control, detail, strength_of(outcome.findings))

        for other in others:
            vars(self.claim.evidence).setdefault("parts", []).append(other.claim)
            self._add(partial(check, other=other), part=part)
        return self

    def false(
        self,
        *,
        at: Any,
        true_at: Any,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        **change: Any,
    ) -> Self:
        """Evaluate the statement exactly at a case where it is false, and at a similar one where it is true."""
        what = getattr(of or self.predicate, "predicate", of or self.predicate)
        what = partial(what, **change) if change else what

        def check(_: Evidence) -> Finding:
            truth, inexact = run_and_find_floats(lambda: holds_at(what, at))
            passed, control = truth is False, holds_at(what, true_at) is True
            return Finding(
                role_of(role or FAILS, also, None),
                "counterexample",
                passed,
                control,
                f"{'false' if passed else 'TRUE'} at\n{show(at)}",
                _in_floats(at, inexact) or strength_of_a_case(self.claim.says, role),
                joined=self._joined(what, FAILS, lambda other: holds_at(other, at) is True),
                sides=sides_at(what, at),
            )

        return self._add(
            check, of if of is not None or not change else what, f"a case where it is true: {_line(true_at)}"
        )

    def evaluated(
        self,
        at: Sequence[Any],
        *,
        wrong: Wrong,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        lemma: str = "",
        meaning: str = "",
        part: str = "",
    ) -> Self:
        """Evaluate it exactly at each of a finite list of cases.

        Args:
            at: the cases.
            wrong: the control, which must be false in one of them.
            of: a predicate to use in place of the statement's own function.
            role: what it says about the claim.
            also: whether this is a further fact, which does not bear on the verdict.
            lemma: name of a standard lemma that leads from what is evaluated to the statement.
            meaning: what a few cases show about the statement. ``THERE_IS``: it says that there is such a case, so that
                one proves it (it must say so: "there is", "there are", an existential quantifier, or "does not imply").
                ``ALL_CASES``: it speaks of these cases and no others, such as the rows of a table. Without either the
                statement is about more cases than were evaluated, and counts as unrefuted.
            part: the words of the claim's statement that ``of`` says in code.

        Raises:
            TypeError: an unknown meaning, or ``THERE_IS`` for a statement that does not say "there is".
        """
        if meaning not in ("", THERE_IS, ALL_CASES):
            raise TypeError(f"{self.key}: meaning must be THERE_IS or ALL_CASES, not {meaning!r}")
        if meaning == THERE_IS and role in (None, HOLDS) and not also and not SAYS_THERE_IS.search(self.claim.says):
            raise TypeError(
                f"{self.key}: THERE_IS needs a statement that says there is such a case, but it says: {self.claim.says}"
            )
        self._refuse_truth_as_failure(of, role)
        what, bad = self._both(wrong, of)
        lemmas = lemmas_of(lemma)

        def check(_: Evidence) -> Finding:
            truths = [run_and_find_floats(partial(holds_at, what, case)) for case in at]
            passed = bool(at) and all(truth is True for truth, _ in truths)
            control = any(holds_at(bad, case) is False for case in at)
            shown = "\n".join(show(case) for case in at[:3])
            number = f"{len(at)} case{'s' if len(at) > 1 else ''}"
            strength = next(filter(None, map(_in_floats, at, (inexact for _, inexact in truths))), None)
            if strength is None and meaning:
                strength = Strength(MACHINE, (MEANINGS[meaning],), lemmas)
            means = role_of(role, also, None)
            return Finding(
                means,
                "evaluation",
                passed,
                control,
                f"{'true' if passed else 'NOT true'} at {number}\n{shown}",
                strength or Strength(UNREFUTED, (f"{number}, evaluated exactly",)),
                joined=self._joined(what, means, lambda other: all(holds_at(other, case) is True for case in at)),
                over=f"all {number} of which it speaks" if meaning == ALL_CASES else number,
                sides=sides_at(what, at[0] if at else None),
            )

        return self._add(check, of, wrong, part)

    def unrefuted(
        self,
        over: Any,
        *,
        wrong: Wrong,
        given: Predicate | None = None,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        worlds: int | None = None,
        ranges: str = "",
    ) -> Self:
        """Search random exact cases and find none in which the statement is false; the control must be false in one.

        Args:
            over: a family, or a sampler of exact cases.
            wrong: the control.
            given: the premise; only cases that meet it count.
            of: a predicate to use in place of the statement's own function.
            role: what it says about the claim.
            also: whether this is a further fact, which does not bear on the verdict.
            worlds: number of cases, if fewer than the run's.
            ranges: what the sampler draws, in words.
        """
        self._refuse_truth_as_failure(of, role)
        what, bad = self._both(wrong, of)
        family = over if isinstance(over, Family) else Family(_name(over), ranges, (), over)

        def check(evidence: Evidence) -> Finding:
            count = min(worlds or evidence.worlds, evidence.worlds)
            found = search(what, family, given=given, worlds=count, seed=evidence.seed)
            with Reached(what) as reached:
                search(what, family, given=given, worlds=min(count, FEW), seed=evidence.seed)
            note_reached(evidence, reached, lambda: search(what, family, given=given, worlds=count, seed=evidence.seed))
            control = search(bad, family, given=given, worlds=count, seed=evidence.seed)
            passed = found.counterexample is None and found.tried == count
            drawn = f"{found.tried} exact cases of {family.says()}" + (f" ({ranges})" if ranges else "")
            strength = Strength(UNREFUTED, (drawn + found.reach(),))
            detail = (
                str(found)
                if found.tried == count or found.counterexample
                else f"only {found.tried} of {count} cases meet the premise"
            )
            return Finding(
                role_of(role, also, given),
                "search",
                passed,
                control.counterexample is not None,
                detail,
                strength,
                ranges,
                joined=self._is_own(what),
                over=family.says() + found.reach(),
                far=is_far(what, wrong, bad, family, given, evidence.seed),
                sides=sides_at(what, found.counterexample),
            )

        self.searches.append((partial(search, what, family, given=given), partial(search, bad, family, given=given)))
        return self._add(check, of, wrong)

    def numerical(
        self,
        *,
        wrong: Wrong,
        tolerance: str,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
    ) -> Self:
        """Compare in floating point; the predicate takes no world. State the tolerance in words."""
        self._refuse_truth_as_failure(of, role)
        what, bad = self._both(wrong, of)

        def check(_: Evidence) -> Finding:
            passed, control = what(), not bad()
            if type(passed) is not bool:
                raise TypeError(f"{self.key}: a comparison is True or False, not {type(passed).__name__}")
            strength = Strength(NUMERICAL, (tolerance,))
            means = role_of(role, also, None)
            return Finding(means, "numeric", passed, control, tolerance, strength, joined=self._is_own(what))

        return self._add(check, of, wrong)

    def slope(
        self,
        residual: Callable[[float], float],
        order: int,
        *,
        wrong: Callable[[float], float],
        sizes: Sequence[float] = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3),
        role: str = ORDER,
        also: bool = False,
    ) -> Self:
        """Fit the order in the step size at which ``residual(size)`` vanishes; that of ``wrong`` must differ."""
        self._checks.append(lambda e: e.slope(residual, order, control=wrong, sizes=sizes, role=ALSO if also else role))
        return self


def claims_of(paper: str) -> Callable[..., Callable[[Predicate], Statement]]:
    """Return the decorator of one paper's claims: ``@claim(name, source, verdict, *instead)``.

    ``instead`` names claims of the same paper that are true in its place.
    """

    def claim(name: str, source: str, verdict: str, *instead: str) -> Callable[[Predicate], Statement]:
        def make(predicate: Predicate) -> Statement:
            text = sections(inspect.getdoc(predicate) or "")
            if not text["says"]:
                raise TypeError(f"{paper}.{name} has no docstring; write the statement as printed there")
            checks: list[Callable[[Evidence], None]] = []

            def evidence(e: Evidence) -> None:
                for check in checks:
                    check(e)
                refuse_unreached(e)

            evidence.__module__, evidence.__doc__ = predicate.__module__, predicate.__doc__
            keys = tuple(f"{paper}.{other}" for other in instead)
            evidence.statement = predicate  # type: ignore[attr-defined]
            made = register(
                f"{paper}.{name}",
                source=source,
                says=text["says"],
                verdict=verdict,
                assumes=text["Assumes"],
                because=text["Because"],
                instead=keys,
                proof=text["Proof"],
            )(evidence)
            return Statement(predicate, made, checks)

        return make

    return claim


def sections(docstring: str) -> dict[str, str]:
    r"""Return the statement of a docstring and its sections Assumes, Because and Proof.

    Example:
        >>> sections("a = b\n\nAssumes: c\nProof: one line,\nand another")["Proof"]
        'one line, and another'
    """
    parts = re.split(rf"(?:^|\n)\s*({'|'.join(SECTIONS)}):\s", docstring)
    text = dict.fromkeys(("says", *SECTIONS), "") | {"says": parts[0].strip()}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        text[name] = " ".join(line.strip() for line in body.strip().split("\n"))
    return text


def _in_floats(case: Any, inexact: str) -> Strength | None:
    """Return the strength of an evaluation in floating point; None if the case and the computation are exact."""
    if not exact(case):
        return Strength(NUMERICAL, ("evaluated in floating point",))
    return Strength(NUMERICAL, (f"evaluated in floating point: {inexact}",)) if inexact else None


def _line(case: Any) -> str:
    """Return a case in one line; of a table the first line."""
    return show(case).strip().split("\n")[0]


def _name(sampler: Any) -> str:
    return str(getattr(sampler, "__name__", sampler)).replace("_", " ")
