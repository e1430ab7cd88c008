"""A second solver agrees with every answer that a proof rests on, and a certificate can be checked without us."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.theory.proof.deceptive import TRUE
from tests.theory.proof.other_solvers import ask_cvc5, ask_yices, find_yices
from theory.proof import POLICY, prove, world_of
from theory.proof.certificate import WORDS, Certificate

needs_yices = pytest.mark.skipif(find_yices() is None, reason="Yices is not installed")


def agreement(certificate: Certificate) -> Counter[str]:
    return Counter(ask_cvc5(text) for text in certificate.impossible())


@needs_yices
@pytest.mark.slow  # twenty proofs, and a hundred questions
def test_yices_agrees_on_the_true_ones() -> None:
    answers: Counter[str] = Counter()
    for trap in TRUE:
        certificate = Certificate()
        assert prove(trap.predicate, trap.over, given=trap.given, record=certificate.record).verdict == "proved"
        answers += Counter(ask_yices(text) for text in certificate.impossible())
    assert answers["sat"] == 0
    assert answers["unsat"] > 20 * answers["unknown"]


def test_cvc5_would_contradict() -> None:
    certificate = Certificate()
    prove(lambda w: w.dd > 0, POLICY, record=certificate.record)
    possible = [text for text, answer in certificate.questions if answer == "sat"]
    assert possible
    assert all(ask_cvc5(text) == "sat" for text in possible[:2])


def test_a_certificate_holds_the_question_and_the_assumptions_in_words(tmp_path: Path) -> None:
    certificate = Certificate()
    prove(lambda w: w.A_w - w.A_l >= 0, POLICY, record=certificate.record)
    paths = certificate.write(tmp_path / "new", "a.claim", "A_w\\ge A_l", POLICY.assumes)
    assert len(paths) == len(certificate.impossible()) >= 1
    text = paths[0].read_text(encoding="utf-8")
    assert "; Assumed of every world: p_w, p_l" in text
    assert "(check-sat)" in text
    assert ask_cvc5("\n".join(line for line in text.split("\n") if "set-logic" not in line)) == "unsat"


def test_a_number_may_be_called_like_a_word_of_smt_lib() -> None:
    named = world_of("true, other shares", true="share", other="share")
    certificate = Certificate()
    proof = prove(lambda c: c.true * c.other < c.true, named, record=certificate.record)
    assert proof.verdict == "proved"
    assert set(agreement(certificate)) == {"unsat"}
    assert named.says() == "true, other strictly between 0 and 1"
    refuted = prove(lambda c: c.true < c.other, named)
    assert refuted.counterexample.true >= refuted.counterexample.other


@pytest.mark.parametrize("ask", [ask_cvc5, pytest.param(ask_yices, marks=needs_yices)])
@pytest.mark.parametrize("word", [*WORDS.split("|"), "true", "match"])
def test_no_word_of_smt_lib_makes_a_certificate_unreadable(word: str, ask: Callable[[str], str]) -> None:
    numbers = {word: "share", f"{word}s": "share"}
    certificate = Certificate()
    proof = prove(
        lambda c: getattr(c, word) * getattr(c, f"{word}s") < getattr(c, word),
        world_of("two shares", **numbers),
        record=certificate.record,
    )
    assert proof.verdict == "proved"
    assert {ask(text) for text in certificate.impossible()} == {"unsat"}
