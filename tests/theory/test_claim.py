"""A verdict follows from findings alone; a checker that cannot fail is reported."""

import itertools
from dataclasses import replace

import pytest

from dynamics.errors import InvalidArgument
from theory.claim import (
    BROKEN,
    CLAIMS,
    CONDITIONALLY,
    CONTRADICTED,
    EMPTY,
    FALSE,
    FIRST_ORDER,
    MISPRINT,
    PROBLEM,
    PROVED,
    REPRODUCED,
    Claim,
    claim,
    earned,
    run_claim,
    strength_of,
)
from theory.evidence import ALSO, CONDITIONAL, CORRECTED, FAILS, HOLDS, ORDER, VACUOUS, Evidence, Finding
from theory.strength import MACHINE, Strength


def finding(role: str, passed: bool = True, control: bool = True) -> Finding:
    return Finding(role, "search", passed, control, "")


@pytest.mark.parametrize(
    ("roles", "verdict"),
    [
        ([HOLDS], PROVED),
        ([HOLDS, ALSO], PROVED),
        ([ORDER], FIRST_ORDER),
        ([ORDER, FAILS], FIRST_ORDER),
        ([FAILS], FALSE),
        ([FAILS, ALSO], FALSE),
        ([FAILS, CONDITIONAL], CONDITIONALLY),
        ([FAILS, CORRECTED], MISPRINT),
        ([VACUOUS], EMPTY),
        ([VACUOUS, HOLDS], EMPTY),
        ([CONDITIONAL], None),  # nothing shows that the assumption is needed
        ([CORRECTED], None),
        ([HOLDS, FAILS], None),
        ([ALSO], None),
        ([], None),
    ],
)
def test_verdict_follows_from_the_roles(roles: list[str], verdict: str | None) -> None:
    for order in itertools.permutations(roles):
        assert earned(tuple(finding(role) for role in order)) == verdict


PROOF = Strength(MACHINE, ("smt",))
OWN = Finding(HOLDS, "smt", True, True, "", PROOF)
PART = replace(OWN, of="another_one", joined=False)


@pytest.mark.parametrize(
    ("findings", "prose"),
    [
        ((OWN,), False),
        ((OWN, PART), True),  # the part is there for something, and no machine says for what
        ((OWN, replace(PART, joined=True)), False),
        ((OWN, replace(OWN, kind="claim")), True),
        ((replace(OWN, strength=replace(PROOF, prose=True)),), True),  # of a part that is told in prose itself
        ((OWN, replace(PART, role=ALSO)), False),
        ((replace(OWN, role=FAILS), replace(PART, role=CORRECTED)), False),
        ((replace(OWN, role=ORDER), replace(PART, role=FAILS)), False),
        ((replace(OWN, role=FAILS), replace(PART, role=FAILS)), False),  # one case is enough
        ((replace(PART, role=FAILS), replace(OWN, kind="claim", role=FAILS)), True),
    ],
)
def test_a_proof_whose_parts_are_joined_in_prose_says_so(findings: tuple[Finding, ...], prose: bool) -> None:
    found = strength_of(findings)
    assert found is not None
    assert found.grade == MACHINE
    assert found.prose == prose
    assert str(found).endswith("prose") == prose


def made(evidence, verdict: str = PROVED) -> Claim:
    return Claim("test.claim", "a test", "1 = 1", verdict, evidence)


def test_reproduced() -> None:
    outcome = run_claim(made(lambda e: e.findings.append(finding(HOLDS, True, True))))
    assert (outcome.status, outcome.earned, outcome.problem) == (REPRODUCED, PROVED, "")


def test_contradicted_when_the_evidence_earns_another_verdict() -> None:
    outcome = run_claim(made(lambda e: e.findings.append(finding(HOLDS, True, True)), FALSE))
    assert outcome.status == CONTRADICTED
    assert "false" in outcome.problem
    assert "holds" in outcome.problem


def test_broken_when_a_checker_fails() -> None:
    outcome = run_claim(made(lambda e: e.findings.append(finding(HOLDS, False, True))))
    assert outcome.status == BROKEN


def test_broken_when_a_negative_control_passes() -> None:
    outcome = run_claim(made(lambda e: e.findings.append(finding(HOLDS, True, False))))
    assert outcome.status == BROKEN
    assert "control" in outcome.problem


def test_no_evidence_earns_nothing() -> None:
    assert run_claim(made(lambda e: None)).status == CONTRADICTED


def test_an_exception_is_reported_with_its_place() -> None:
    def evidence(e: Evidence) -> None:
        e.findings.append(finding(HOLDS, 1 / 0 > 0))

    outcome = run_claim(made(evidence))
    assert outcome.status == PROBLEM
    assert "ZeroDivisionError" in outcome.problem


def test_registration_refuses_bad_keys_and_verdicts() -> None:
    words = {"source": "s", "says": "x"}
    with pytest.raises(InvalidArgument, match="verdict"):
        claim("test.a", verdict="perhaps", **words)
    with pytest.raises(InvalidArgument, match="key"):
        claim("nodot", verdict=PROVED, **words)
    with pytest.raises(InvalidArgument, match="key"):
        claim(next(iter(CLAIMS), "nodot"), verdict=PROVED, **words)
