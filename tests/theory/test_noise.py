"""Findings fail in worlds of noise; one that compares a formula with itself does not, and is named."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any

import pytest

from tests.theory.noise import noisy, survivors
from theory.claim import CLAIMS, FALSE, PROVED, run_claim
from theory.ledger import load_claims
from theory.proof import LOG_LINEAR, POLICY, TABULAR, prove, with_step
from theory.worlds import World

load_claims()
SAMPLE = (
    "jian2025.log-margin",
    "jian2025.corollary-2-identity",
    "jian2025.negative-drive",
    "jian2025.remark-1-kernel",
    "jian2025.tabular-signs",
    "feng2024.softmax-field",
)


@pytest.mark.parametrize("key", SAMPLE)
def test_no_finding_passes_in_noise(key: str) -> None:
    assert survivors(CLAIMS[key]) == []


def test_a_formula_that_is_compared_with_itself_is_named(claim: Any) -> None:
    def itself(w: Any, times: Any = 1) -> Any:
        """A_w-A_l=\\|g_w-g_l\\|^2"""
        return w.A_w - w.A_l == times * w.dd

    made = claim("itself", "here", PROVED)(itself).proved(wrong={"times": F(11, 10)})
    assert run_claim(made.claim).strength == "proved by smt"  # dd is defined as that difference
    assert survivors(made.claim, worlds=20) == ["trial.itself, line 1: smt, the statement holds"]


def test_a_counterexample_is_named_only_if_the_statement_itself_reads_noise(claim: Any) -> None:
    def frozen(w: Any) -> Any:
        """\\pi_w>1/2"""
        return w.p_w > F(1, 2)

    def in_vain(w: Any) -> Any:
        """\\pi_w+0\\cdot A_w>1/2"""
        return w.p_w + 0 * w.A_w > F(1, 2)

    even, uneven = World.tabular([F(1, 2), F(1, 2)]), World.tabular([F(2, 3), F(1, 3)])
    found = [
        survivors(claim(key, "here", FALSE)(statement).false(at=even, true_at=uneven).claim)
        for key, statement in (("frozen", frozen), ("in-vain", in_vain))
    ]
    assert found == [[], ["trial.in-vain, line 1: counterexample, the statement fails"]]


def test_noise_is_noise_in_symbols_and_in_fractions() -> None:
    statements = {
        POLICY: lambda w: w.kernel(w.chosen, w.chosen) >= 0,
        TABULAR: lambda w: w.drive(w.chosen) > 0,
        with_step(LOG_LINEAR): lambda c: not c[0].A_w <= 0 or c[0].after(c[1]).p_w <= c[0].p_w,
    }
    for family, statement in statements.items():
        assert prove(statement, family).verdict == "proved"
        with noisy(1) as noise:
            assert prove(statement, family, witness=False).verdict != "proved"
            assert noise.read
