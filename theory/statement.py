r"""A claim whose text, statement and code stand once: the docstring is the print, the function is the statement.

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
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from theory.claim import CLAIMS, CONDITIONALLY, EMPTY, FALSE, FIRST_ORDER, MISPRINT, PROVED, Claim, claim as register
from theory.evidence import ALSO, CONDITIONAL, CORRECTED, FAILS, HOLDS, ORDER, VACUOUS, Evidence, Finding, exact, show
from theory.proof.families import POLICY
from theory.proof.family import Family
from theory.proof.lemmas import LEMMAS
from theory.proof.searched import Search, holds_at, search
from theory.strength import MACHINE, NUMERICAL, UNREFUTED, Strength

CONDITIONAL_VERDICT = CONDITIONALLY
SECTIONS = ("Assumes", "Because", "Proof")

Wrong = Mapping[str, Any] | Callable[..., Any]
Predicate = Callable[..., Any]


class Statement:
    """A claim that is being written: a predicate, its text, and the evidence that earns its verdict.

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

    def _add(self, check: Callable[[Evidence], Finding]) -> Statement:
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
    ) -> Statement:
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
        lemmas = _lemmas(lemma)

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
                _role(role, also, given), "smt", passed, control.verdict == "refuted", detail, strength, over.assumes
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
    ) -> Statement:
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
                _role(role or FAILS, also, None), "smt", passed, control.verdict == "proved", str(proof), strength
            )

        return self._add(check)

    def false(
        self,
        *,
        at: Any,
        true_at: Any,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        **change: Any,
    ) -> Statement:
        """Evaluate it exactly at a case where it is false, and at a near one where it is true."""
        what = getattr(of or self.predicate, "predicate", of or self.predicate)
        what = partial(what, **change) if change else what

        def check(_: Evidence) -> Finding:
            passed, control = holds_at(what, at) is False, holds_at(what, true_at) is True
            strength = _of_case(at)
            detail = f"{'false' if passed else 'TRUE'} at\n{show(at)}"
            return Finding(_role(role or FAILS, also, None), "counterexample", passed, control, detail, strength)

        return self._add(check)

    def evaluated(
        self,
        at: Sequence[Any],
        *,
        wrong: Wrong,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        lemma: str = "",
    ) -> Statement:
        """Evaluate it exactly at each of a finite list of cases: an existence claim, a table that is all there is."""
        what, bad = self._both(wrong, of)
        lemmas = _lemmas(lemma)

        def check(_: Evidence) -> Finding:
            passed = bool(at) and all(holds_at(what, case) is True for case in at)
            control = any(holds_at(bad, case) is False for case in at)
            shown = "\n".join(show(case) for case in at[:3])
            detail = f"{'true' if passed else 'NOT true'} at {len(at)} case{'s' if len(at) > 1 else ''}\n{shown}"
            strengths = [_of_case(case) for case in at]
            strength = next(
                (s for s in strengths if s.grade != MACHINE), Strength(MACHINE, ("exact evaluation",), lemmas)
            )
            return Finding(_role(role, also, None), "evaluation", passed, control, detail, strength)

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
    ) -> Statement:
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
        lemmas = _lemmas(lemma)

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
            return Finding(_role(role, also, None), "sympy", passed, control.verdict == "refuted", detail, strength)

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
    ) -> Statement:
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
        lemmas = _lemmas(lemma)

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
                _role(role, also, None),
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
        wrong: Wrong,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
        lemma: str = "",
    ) -> Statement:
        """Prove it of a state after any number of terms: of the first one, and from one state to the next.

        Args:
            base: family of states with the first term.
            step: family of any state and one more term.
            after: the state with that term added.
            wrong: the control; base or step must be refuted.
            of: another predicate.
            role: what it says about the claim.
            also: a further fact.
            lemma: name of a standard lemma that leads from what is proved to the statement.
        """
        what, bad = self._both(wrong, of)
        lemmas = _lemmas(lemma)

        def check(evidence: Evidence) -> Finding:
            from theory.proof.induction import by_induction  # noqa: PLC0415

            first, then = by_induction(what, base, step, after=after, record=evidence.record)
            controls = by_induction(bad, base, step, after=after)
            passed = first.verdict == then.verdict == "proved"
            control = any(proof.verdict == "refuted" for proof in controls)
            strength = Strength(MACHINE, ("induction, base and step by smt",), lemmas)
            assumes = f"base: {base.assumes}; step: {step.assumes}"
            detail = f"base {first}; step {then}"
            return Finding(_role(role, also, None), "induction", passed, control, detail, strength, assumes)

        return self._add(check)

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
    ) -> Statement:
        """Search random exact cases for one in which it is false, and find none; the control is refuted there.

        Args:
            over: a family, or a sampler of exact cases.
            wrong: the control.
            given: the premise; only cases that meet it count.
            of: another predicate.
            role: what it says about the claim.
            also: a further fact.
            worlds: number of cases, if fewer than the run's.
            ranges: what the sampler draws, in words.
        """
        what, bad = self._both(wrong, of)
        family = over if isinstance(over, Family) else Family(_name(over), ranges, (), over)

        def check(evidence: Evidence) -> Finding:
            count = min(worlds or evidence.worlds, evidence.worlds)
            found = search(what, family, given=given, worlds=count, seed=evidence.seed)
            control = search(bad, family, given=given, worlds=count, seed=evidence.seed)
            passed = found.counterexample is None and found.tried == count
            drawn = f"{found.tried} exact cases of {family.name}" + (f" ({ranges})" if ranges else "")
            sizes = f", {min(found.sizes)} to {max(found.sizes)} responses" if found.sizes else ""
            strength = Strength(UNREFUTED, (drawn + sizes,))
            detail = (
                str(found)
                if found.tried == count or found.counterexample
                else f"only {found.tried} of {count} cases meet the premise"
            )
            return Finding(
                _role(role, also, given), "search", passed, control.counterexample is not None, detail, strength, ranges
            )

        return self._add(check)

    def numerical(
        self,
        *,
        wrong: Wrong,
        tolerance: str,
        of: Predicate | None = None,
        role: str | None = None,
        also: bool = False,
    ) -> Statement:
        """Compare in floating point; the predicate takes no world. State the tolerance in words."""
        what, bad = self._both(wrong, of)

        def check(_: Evidence) -> Finding:
            passed, control = what(), not bad()
            if type(passed) is not bool:
                raise TypeError(f"{self.key}: a comparison is True or False, not {type(passed).__name__}")
            strength = Strength(NUMERICAL, (tolerance,))
            return Finding(_role(role, also, None), "numeric", passed, control, tolerance, strength)

        return self._add(check)

    def slope(
        self,
        residual: Callable[[float], float],
        order: int,
        *,
        wrong: Callable[[float], float],
        sizes: Sequence[float] = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3),
        role: str = ORDER,
        also: bool = False,
    ) -> Statement:
        """Fit the order at which ``residual(size)`` vanishes with the step; that of ``wrong`` must differ."""
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
                raise TypeError(f"{paper}.{name}: the docstring is the statement as printed")
            checks: list[Callable[[Evidence], None]] = []

            def evidence(e: Evidence) -> None:
                for check in checks:
                    check(e)

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


def _another(_: Any) -> bool:
    """Stand for the statement itself, as the control under a wider premise."""
    return False


def _role(role: str | None, also: bool, given: Predicate | None) -> str:
    return ALSO if also else role or (HOLDS if given is None else CONDITIONAL)


def _lemmas(name: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in name.split(",") if part.strip())
    for part in names:
        if part not in LEMMAS:
            raise TypeError(f"no lemma {part!r} in theory.proof.lemmas; there are {', '.join(LEMMAS)}")
    return names


def _of_case(case: Any) -> Strength:
    if exact(case):
        return Strength(MACHINE, ("exact evaluation",))
    return Strength(NUMERICAL, ("evaluated in floating point",))


def _name(sampler: Any) -> str:
    return str(getattr(sampler, "__name__", sampler)).replace("_", " ")


__all__ = [
    "ALSO",
    "CLAIMS",
    "CONDITIONAL",
    "CONDITIONALLY",
    "CORRECTED",
    "EMPTY",
    "FAILS",
    "FALSE",
    "FIRST_ORDER",
    "HOLDS",
    "MISPRINT",
    "ORDER",
    "PROVED",
    "VACUOUS",
    "Statement",
    "claims_of",
    "sections",
]
