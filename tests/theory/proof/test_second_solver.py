"""cvc5 confirms proofs of the ledger; the script of ``second_solver`` asks it about all of them."""

from collections.abc import Callable

import pytest

from tests.theory.proof.second_solver import answers, opinions
from theory.ledger import load_claims
from theory.proof import POLICY, prove
from theory.proof.certificate import Certificate

SOME = (
    *("jian2025.log-margin", "jian2025.corollary-2-identity", "jian2025.corollary-2-if-scores-apart"),
    "sun2025.proposition-1-mended",
)


@pytest.mark.slow  # proofs of the ledger, each question asked of two solvers
@pytest.mark.parametrize("key", SOME)
def test_cvc5_contradicts_no_proof(key: str, record_property: Callable[[str, object], None]) -> None:
    found = opinions(load_claims()[key])
    record_property("cvc5", dict(found))
    assert found["sat"] == 0
    assert found["unsat"] > found["unknown"]


def test_a_wrong_proof_would_be_contradicted() -> None:
    certificate = Certificate()
    prove(lambda w: w.p_w < 1 and w.dd > 0, POLICY, record=certificate.record, witness=False)
    believed = [text for text, answer in certificate.questions if answer == "sat"]  # as if they had been unsat
    assert answers(believed[:2])["sat"] >= 1
