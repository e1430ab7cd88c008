"""A claim of a paper, its verdict, and the run that earns it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from dynamics.errors import InvalidArgument, check_kind
from theory.evidence import ALSO, CONDITIONAL, CORRECTED, FAILS, HOLDS, MADE, ORDER, VACUOUS, Evidence, Finding
from theory.strength import MACHINE, UNREFUTED, Strength, weakest

Record = Callable[[str, list[Any], str], None]

PROVED = "holds"  # ``Strength`` says how strongly that is supported
FIRST_ORDER = "first-order"
CONDITIONALLY = "conditional"
FALSE = "false"
EMPTY = "vacuous"
MISPRINT = "misprint"

VERDICTS = {
    PROVED: "holds as stated",
    FIRST_ORDER: "holds to first order in the step: the residual vanishes with slope 2",
    CONDITIONALLY: "holds under an extra assumption and fails without it",
    FALSE: "fails at an exact counterexample",
    EMPTY: "true of nothing, or of everything: it says nothing",
    MISPRINT: "fails as printed; the corrected form holds",
}
"""Every verdict and what it means."""

REPRODUCED = "reproduced"
CONTRADICTED = "contradicted"  # the evidence earns another verdict than the one stated
BROKEN = "broken"  # a checker failed, or its negative control did not
PROBLEM = "error"  # the evidence could not be run


@dataclass(frozen=True)
class Claim:
    """A checkable claim.

    Attributes:
        key: paper and name, such as ``jian2025.corollary-2``.
        source: paper's number and equation; "not in the paper" for a true statement put in the place of a false one.
        says: the statement as printed, in LaTeX.
        verdict: what the evidence must earn.
        evidence: runs the checkers.
        assumes: what is assumed, in words.
        because: why it fails, or what is special about it.
        instead: keys of the claims that are true in its place.
        proof: for a true statement, the idea of the proof.
    """

    key: str
    source: str
    says: str
    verdict: str
    evidence: Callable[[Evidence], None]
    assumes: str = ""
    because: str = ""
    instead: tuple[str, ...] = ()
    proof: str = ""

    @property
    def paper(self) -> str:
        """Return the paper's key."""
        return self.key.split(".", 1)[0]


@dataclass(frozen=True)
class Outcome:
    """The outcome of running the evidence of a claim.

    Attributes:
        key: the claim's.
        verdict: the verdict that the claim states.
        earned: the verdict that the findings earn; None if they earn none.
        status: "reproduced", "contradicted", "broken" or "error".
        findings: what the checkers found.
        seconds: wall time.
        problem: what went wrong, if anything.
        strength: how strongly the evidence supports the verdict; it follows from the findings as well.
        over: the cases that were proved or searched, in words generated from them.
    """

    key: str
    verdict: str
    earned: str | None
    status: str
    findings: tuple[Finding, ...]
    seconds: float
    problem: str = ""
    strength: str = ""
    over: str = ""


CLAIMS: dict[str, Claim] = {}
"""Every claim by key, filled when ``theory.catalog`` is imported."""


def claim(
    key: str,
    *,
    source: str,
    says: str,
    verdict: str,
    assumes: str = "",
    because: str = "",
    instead: str | tuple[str, ...] = (),
    proof: str = "",
) -> Callable[[Callable[[Evidence], None]], Claim]:
    """Register the decorated function as the evidence of a claim (arguments: see ``Claim``).

    Raises:
        InvalidArgument: a key that is taken or malformed, or an unknown verdict.
    """
    words = {"key": key, "source": source, "says": says, "verdict": verdict}
    for name, value in (words | {"assumes": assumes, "because": because, "proof": proof}).items():
        check_kind(name, value, str, "a text")
    if not isinstance(instead, str) and not (isinstance(instead, tuple) and all(isinstance(k, str) for k in instead)):
        raise InvalidArgument("instead", instead, "the key of another claim, or a tuple of keys")
    if verdict not in VERDICTS:
        raise InvalidArgument("verdict", verdict, "one of " + ", ".join(VERDICTS))
    if key in CLAIMS or "." not in key:
        raise InvalidArgument("key", key, "a new key of the form paper.name")

    def register(evidence: Callable[[Evidence], None]) -> Claim:
        replacements = (instead,) if isinstance(instead, str) else tuple(instead)
        made = Claim(key, source, says, verdict, evidence, assumes, because, replacements, proof)
        CLAIMS[key] = made
        return made

    return register


def earned(findings: tuple[Finding, ...]) -> str | None:
    """Return the verdict that findings earn, or None if they are not enough for any.

    Example:
        >>> earned((Finding(FAILS, "counterexample", True, True, ""), Finding(CORRECTED, "search", True, True, "")))
        'misprint'
    """
    roles = {finding.role for finding in findings if finding.role != ALSO}
    if VACUOUS in roles:
        return EMPTY
    if HOLDS in roles and FAILS in roles:
        return None
    if FAILS in roles:
        for role, verdict in ((ORDER, FIRST_ORDER), (CONDITIONAL, CONDITIONALLY), (CORRECTED, MISPRINT)):
            if role in roles:
                return verdict
        return FALSE
    if ORDER in roles:
        return FIRST_ORDER
    # without a case in which it fails, an "extra" assumption is not shown to be needed
    return PROVED if roles == {HOLDS} else None


def strength_of(findings: tuple[Finding, ...]) -> Strength | None:
    """Return how strongly these findings support a verdict, as the weakest of them does; further facts do not count.

    If only another predicate than the claim's own function was proved, and no machine showed that it implies the claim,
    the claim counts as unrefuted, not as proved.
    """
    deciding = _without_examples(tuple(finding for finding in findings if finding.role != ALSO))
    found = weakest(finding.known() for finding in deciding)
    if found is None or found.grade != MACHINE:
        return found
    apart = tuple(f for role in _apart(deciding) for f in deciding if f.role == role)
    if not apart:
        return replace(found, prose=found.prose or _in_prose(deciding))
    searched = [how for f in findings if f.kind == "search" and not f.of for how in f.known().how]
    forms = ", ".join(dict.fromkeys(how for f in apart for how in f.known().how))
    names = ", ".join(dict.fromkeys(f.of for f in apart if f.joined is not True))
    only = f"proved by {forms} in another form only, which no machine joins to the statement ({names})"
    return Strength(UNREFUTED, (*dict.fromkeys(searched), only), found.lemma)


def _without_examples(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Leave out single cases where "there is ..." is false, if it is also proved false in every case."""
    proofs = [f for f in findings if f.role == FAILS and f.joined and f.kind != "counterexample"]
    if not any(f.known().grade == MACHINE for f in proofs):
        return findings
    return tuple(f for f in findings if not (f.kind == "counterexample" and f.known().grade == UNREFUTED))


def _in_prose(findings: tuple[Finding, ...]) -> bool:
    """Return whether a part of the proof is another statement than the claim's own: how they make the whole is told.

    Such a part is another claim, or another predicate, which may show what the worlds of a further line assume, or may
    call the claim's own function with cases that it makes of the line's. A statement that lists several is no more than
    these: what was proved of one of them by its own words needs no prose, nor does a lemma that the worlds of a later
    line assume as it was proved.
    That a statement fails needs no parts if it fails at a case or in a proof of its own.
    """
    whole = {f.role for f in findings if f.joined and f.kind != "claim"} & {FAILS}
    own = set(_own_roles(findings)) - whole
    return any(f.role in own and _is_told(f) for f in findings)


def _is_told(finding: Finding) -> bool:
    return not (finding.part or finding.used) and (finding.joined is not True or finding.kind == "claim")


def _apart(findings: tuple[Finding, ...]) -> list[str]:
    """Return the roles in which nothing reaches the claim's own function.

    Cases of the claim that a line makes of its own are an extra assumption at most.
    """
    reach = {role: (True, MADE) if role == CONDITIONAL else (True,) for role in _own_roles(findings)}
    return [role for role, by in reach.items() if not any(f.joined in by for f in findings if f.role == role)]


def _own_roles(findings: tuple[Finding, ...]) -> list[str]:
    """Return the roles that are about the claim's own function.

    Corrected forms are not counted, since they differ from the claim by their nature; nor is the exact step in which a
    first-order statement fails.
    """
    roles = dict.fromkeys(finding.role for finding in findings)
    if ORDER in roles:
        roles.pop(FAILS, None)
    for other in (CORRECTED, VACUOUS):
        roles.pop(other, None)
    return list(roles)


def run_claim(claim: Claim, worlds: int = 500, seed: int = 0, record: Record | None = None) -> Outcome:
    """Run the evidence of a claim and compare what it earns with the verdict written down.

    Args:
        claim: the claim.
        worlds: random cases for each search.
        seed: of the random cases.
        record: called with every query to the solver and its answer.
    """
    evidence = Evidence(worlds, seed, record)
    begun = time.perf_counter()
    try:
        claim.evidence(evidence)
    except Exception:
        took = time.perf_counter() - begun
        findings = tuple(evidence.findings)
        return Outcome(claim.key, claim.verdict, None, PROBLEM, findings, took, traceback.format_exc())
    findings = tuple(evidence.findings)
    won = earned(findings)
    uncontrolled = [f for f in findings if not f.control]
    failed = [f for f in findings if not f.passed]
    if uncontrolled:
        status, problem = BROKEN, f"the negative control of a {uncontrolled[0].kind} was not rejected"
    elif failed:
        status, problem = BROKEN, f"not found: {failed[0].role}; {failed[0].detail}"
    elif won != claim.verdict:
        status, problem = CONTRADICTED, f"written down as {claim.verdict}, the evidence earns {won or 'no verdict'}"
    else:
        status, problem = REPRODUCED, ""
    strength = strength_of(findings)
    took = time.perf_counter() - begun
    over = "; ".join(dict.fromkeys(f.over for f in findings if f.role != ALSO and f.over))
    return Outcome(claim.key, claim.verdict, won, status, findings, took, problem, str(strength or ""), over)


def outcome_of(claim: Claim, worlds: int = 500, seed: int = 0) -> Outcome:
    """Return the outcome of a claim, which runs once in a process, however many other claims rest on it."""
    return _outcome(claim, worlds, seed)


@cache
def _outcome(claim: Claim, worlds: int, seed: int) -> Outcome:
    return run_claim(claim, worlds, seed)


def parts_of(claim: Claim) -> tuple[Claim, ...]:
    """Return the claims that a claim rests on, which run with it."""
    return tuple(getattr(claim.evidence, "parts", ()))
