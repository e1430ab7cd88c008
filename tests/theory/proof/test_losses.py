"""The formula that a loss's own code comes to in symbols is what it computes in floating point."""

import pytest
import sympy as sp
import torch

from dynamics import CPO, DPO, IPO, SFT, Hinge, SelfPO, SimPO, SLiC
from dynamics.losses.reference_free import AlphaPO
from theory.proof import NotAStatement
from theory.proof.losses import Expression, loss_in_symbols

PAIR = sp.symbols("w l rw rl nw nl")
CASES = [(-1.5, -2.0, -1.0, -3.5, 3.0, 2.0), (-9.0, -0.25, -2.0, -1.0, 1.0, 5.0)]
LOSSES = {
    DPO: {"beta": 0.5},
    IPO: {"beta": 0.25},
    Hinge: {"beta": 0.5},
    SFT: {},
    SLiC: {"delta": 1.5},
    CPO: {"beta": 2.0, "sft_weight": 0.25, "label_smoothing": 0.125},
    SimPO: {"beta": 2.0, "gamma": 0.5, "label_smoothing": 0.25},
    SelfPO: {"beta": 2.5, "gamma": 0.75},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_formula_has_the_values_of_the_code(loss: type, case: tuple[float, ...]) -> None:
    words = {"activation": "silu", "length_normalized": True} if loss is SelfPO else {}
    symbols = {name: sp.Symbol(name) for name in LOSSES[loss]}
    formula = loss_in_symbols(loss, PAIR, **symbols, **words)
    values = {symbols[name]: value for name, value in LOSSES[loss].items()} | dict(zip(PAIR, case, strict=True))
    assert float(formula.subs(values)) == pytest.approx(float(loss(**LOSSES[loss])(*case)), rel=1e-13)


def test_a_function_that_has_no_counterpart_is_refused() -> None:
    with pytest.raises(NotAStatement, match="where"):
        torch.where(Expression(1), Expression(2), Expression(3))
    with pytest.raises(NotAStatement, match="dtype"):
        loss_in_symbols(AlphaPO, PAIR, beta=1, gamma=0, label_smoothing=0, alpha=sp.Symbol("alpha"))
