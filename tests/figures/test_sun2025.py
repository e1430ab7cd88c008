"""Every check of the figures of sun2025 holds on the true losses, and fails on a wrong one."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from dynamics import DPO, IPO, SelfPO
from figures import sun2025
from figures.registry import FIGURES, Arrays
from tests.figures.computed import computed
from tests.figures.controls import AXES, add_controls, recomputed

LOGISTIC, SILU = DPO(beta=1.0), SelfPO()
GELU, RELU = SelfPO(activation="gelu"), SelfPO(activation="relu")


def curve(of_margin: Callable, derivative: Callable = SILU.derivative) -> SimpleNamespace:
    return SimpleNamespace(of_margin=of_margin, derivative=derivative)


# figure, check, name of a curve, and the wrong loss that stands in for it
CONTROLS = [
    ("sun2025-1", "silu_has_a_floor", "silu", GELU),  # its floor is elsewhere
    ("sun2025-1", "silu_has_a_floor", "silu", LOGISTIC),  # it has none
    ("sun2025-1", "silu_has_a_floor", "silu", curve(lambda m: SILU.of_margin(m) + 1e-9)),  # it returns to 1e-9, not 0
    ("sun2025-1", "softplus_has_none", "softplus", SILU),
    ("sun2025-1", "softplus_has_none", "softplus", curve(lambda m: torch.clamp(LOGISTIC.of_margin(m), min=1e-9))),
    ("sun2025-1", "relu_goes_flat", "relu", LOGISTIC),
    ("sun2025-1", "relu_goes_flat", "relu", SelfPO(activation="identity")),
    ("sun2025-1", "square_turns_at_the_target", "square", IPO(beta=0.5)),  # the target is not inside its margin
    ("sun2025-1", "identity_is_unbounded", "identity", RELU),
    ("sun2025-4", "silu_is_below", "silu", LOGISTIC),
    ("sun2025-4", "touches_once", "silu", curve(lambda m: -m * torch.sigmoid(-0.3 * m))),  # crosses softplus again
    ("sun2025-4", "touches_once", "silu", curve(lambda m: SILU.of_margin(m) + 1e-9)),  # ln 2 would be too much
    ("sun2025-4", "touches_once", "silu", curve(lambda m: SILU.of_margin(m) - 1e-9)),  # ln 2 would be too little
    ("sun2025-4", "distance_tends_to_ln_2", "silu", curve(lambda m: SILU.of_margin(m) - 0.01)),
    ("sun2025-4", "distance_tends_to_ln_2", "silu", SelfPO(activation="square")),
    ("sun2025-4", "gap_is_the_entropy", "silu", GELU),
    ("sun2025-4", "gap_is_the_entropy", "silu", RELU),
    ("sun2025-7", "weights_are_the_derivatives", "silu", curve(SILU.of_margin, GELU.derivative)),
    ("sun2025-7", "weights_are_the_derivatives", "softplus", curve(LOGISTIC.of_margin, torch.sigmoid)),
    ("sun2025-7", "logistic_never_turns", "softplus", SILU),
    ("sun2025-7", "self_po_turns_at_the_floor", "silu", GELU),  # turns at 0.7518
    ("sun2025-7", "self_po_turns_at_the_floor", "silu", LOGISTIC),  # never turns
    ("sun2025-7", "equal_at_zero", "silu", RELU),
    ("sun2025-7", "ratio_is_one_less_silu", "silu", GELU),
    ("sun2025-7", "extremes_as_in_closed_form", "silu", GELU),
]
KEYS = ["sun2025-1", "sun2025-4", "sun2025-7"]
AXES.update(dict.fromkeys(KEYS, frozenset({"margin", "tail", "gammas"})))
FEWER = {"sun2025-7": {"seeds": 2, "saturated_epochs": 1}}
"""Settings with which a figure is computed again for a control; what they shorten does not matter to the check."""

for key, check, name, wrong in CONTROLS:
    add_controls(key, check, [recomputed(key, sun2025.CURVES, name, wrong, **FEWER.get(key, {}))])


def failed(key: str, arrays: Arrays) -> set[str]:
    return {check.name for check in FIGURES[key].failures(arrays)}


@pytest.mark.parametrize("key", KEYS)
def test_a_coarser_axis_shows_the_same(key: str) -> None:
    coarse = FIGURES[key].compute(points=61, **FEWER.get(key, {}))
    trained = {name: values for name, values in computed(key).items() if name.endswith("_margins")}  # on no axis
    assert not trained or trained.keys() < coarse.keys()
    shown = failed(key, coarse | trained)
    # a coarse axis integrates less exactly; nothing else depends on the grid
    assert shown <= {"weights_are_the_derivatives"}
