"""cvc5 and Yices confirm proofs of the ledger; the script of ``second_solver`` asks them about all of them."""

from collections import Counter
from collections.abc import Callable

import pytest
import z3

from tests.theory.proof import second_solver
from tests.theory.proof.other_forms import other_form
from tests.theory.proof.other_solvers import ask_cvc5, ask_yices, find_yices
from tests.theory.proof.second_solver import (
    BOTH,
    CONTRADICTED,
    CVC5,
    NOBODY,
    REORDERED,
    YICES,
    answers,
    count,
    judged,
    questions_of,
)
from theory.claim import Claim
from theory.evidence import Evidence
from theory.ledger import load_claims, select_claims
from theory.proof import POLICY, prove
from theory.proof.certificate import Certificate

pytestmark = pytest.mark.skipif(find_yices() is None, reason="Yices is not installed")

SOME = (
    *("jian2025.log-margin", "jian2025.theorem-1-sign", "jian2025.eq-79"),
    *("wipf2024.concave-penalty", "sun2025.proposition-1-mended"),
)
REFUTED = ("jian2025.corollary-2*", "wipf2024.eq-2", "wipf2024.eq-4", "sun2025.table-5-relu")
ASKED: dict[str, Callable[[str], str]] = {
    "cvc5": ask_cvc5,
    "Yices": ask_yices,
    "with names": lambda text: ask_yices(other_form(text)),
    "in another order": lambda text: ask_yices(other_form(text, 1)),
}
IMPOSSIBLE = "(declare-fun a () Real)(declare-fun b () Real)(assert (< (+ (* a a) 1.0) b))(assert (< b 1.0))(check-sat)"


@pytest.mark.slow  # proofs of the ledger, each question asked of three solvers
@pytest.mark.parametrize("key", SOME)
def test_every_question_behind_a_proof_is_confirmed(key: str, record_property: Callable[[str, object], None]) -> None:
    questions = questions_of(load_claims()[key])
    found = count(questions)
    record_property("confirmed", dict(found))
    assert len(questions) == found.total() > 0
    assert found[CONTRADICTED] == found[NOBODY] == 0


def possible_questions(claim: Claim) -> list[str]:
    """Return the questions to which z3 knows an example, in the proofs of a claim and in those of its controls."""
    evidence, kept = Evidence(1, 0), Certificate()
    claim.evidence(evidence)
    for model in evidence.known.models:
        solver = z3.Solver(ctx=evidence.known.context)
        solver.add(*(term for is_true, term in model.truths.values() if is_true))
        kept.record(solver.to_smt2(), (), "sat")
    return list(dict.fromkeys(text for text, _ in kept.questions))


@pytest.mark.slow  # the evidence of a dozen claims, and four hundred questions
def test_no_solver_and_no_form_makes_the_possible_impossible(record_property: Callable[[str, object], None]) -> None:
    questions = [text for claim in select_claims(REFUTED, None) for text in possible_questions(claim)]
    assert len(questions) >= 100
    found = Counter((name, ask(text)) for text in questions for name, ask in ASKED.items())
    record_property("answers", {f"{name}: {answer}": number for (name, answer), number in found.items()})
    assert not [name for name in ASKED if found[name, "unsat"]]
    assert all(found[name, "sat"] >= 100 for name in ASKED)  # "unknown" is no sign that it would be noticed


@pytest.mark.parametrize("name", ASKED)
def test_an_assumption_too_many_is_noticed(name: str) -> None:
    """It would make a refuted control impossible, and a possible question is what the test above asks about."""
    possible = IMPOSSIBLE.replace("(assert (< b 1.0))", "")
    assert ASKED[name](possible) == "sat"
    assert ASKED[name](IMPOSSIBLE) == "unsat"


@pytest.mark.parametrize("left_out", ["(assert (< b 1.0))", "(assert (< (+ (* a a) 1.0) b))"])
def test_an_assumption_too_few_is_contradicted(left_out: str) -> None:
    assert count([IMPOSSIBLE]) == {BOTH: 1}
    assert count([IMPOSSIBLE, IMPOSSIBLE.replace(left_out, "")]) == {BOTH: 1, CONTRADICTED: 1}


def test_a_wrong_proof_would_be_contradicted() -> None:
    certificate = Certificate()
    prove(lambda w: w.p_w < 1 and w.dd > 0, POLICY, record=certificate.record, witness=False)
    believed = [text for text, answer in certificate.questions if answer == "sat"]  # as if they had been unsat
    assert count(believed[:2]) == {CONTRADICTED: 2}


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (["unsat", "unsat"], BOTH),
        (["unsat", "unknown"], CVC5),
        (["unknown", "unsat"], YICES),
        (["unknown", "unknown", "unknown", "unsat"], REORDERED),
        (["unknown"] * 5, NOBODY),
        (["sat", "unsat"], CONTRADICTED),
        (["unsat", "sat"], CONTRADICTED),
        (["unknown", "unknown", "unknown", "sat"], CONTRADICTED),
    ],
)
def test_who_confirms(said: list[str], means: str) -> None:
    assert judged(zip([CVC5, YICES, *[REORDERED] * 3], said, strict=False)) == means


def test_other_forms_are_asked_only_about_what_nobody_has_answered() -> None:
    assert [who for who, _ in answers(IMPOSSIBLE)] == [CVC5, YICES]


@pytest.mark.parametrize(
    ("questions", "status"), [([IMPOSSIBLE], 0), ([IMPOSSIBLE, IMPOSSIBLE.replace("1.0", "0.0", 1)], 1)]
)
def test_the_script_ends_with_1_after_a_contradiction(
    questions: list[str], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(second_solver, "questions_of", lambda _: questions)
    monkeypatch.setattr("sys.argv", ["second_solver", "jian2025.log-margin"])
    assert second_solver.main() == status
    said = capsys.readouterr().out
    assert said.startswith("jian2025.log-margin: 1 confirmed by cvc5 and Yices, ")
    assert f"{len(questions)} questions behind the proofs of 1 claims: " in said
    assert said.endswith(f"{status} contradicted\n")
