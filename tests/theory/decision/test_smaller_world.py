"""A counterexample that was found is shown if the solver hangs while it makes a smaller one."""

from functools import partial
from typing import Any

import pytest

from theory import decide
from theory.decision.weighted import with_weights
from theory.proof import prove
from theory.proof.solver import SolverStuckError


def test_a_world_that_was_found_stands_in_for_a_smaller_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver gets stuck at the smaller one only, here by an error of its kind; no verdict depends on it."""
    asked = partial(decide, lambda w: w.d_w >= w.d_l, with_weights(), worlds=5)
    smaller = asked()
    calls: list[dict[str, Any]] = []

    def hurried(*given: Any, **options: Any) -> Any:
        calls.append(options)
        if "patience" in options:
            raise SolverStuckError("no answer")
        return prove(*given, **options)

    monkeypatch.setattr("theory.proof.smt.prove", hurried)
    found = asked()
    assert any("patience" in options for options in calls)
    assert smaller.verdict == found.verdict == "refuted"
    assert found.case is not None
    assert found.case.d_w < found.case.d_l
