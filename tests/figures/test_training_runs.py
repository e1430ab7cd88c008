"""Small multiples of training runs: controls of the checks of what they show."""

from __future__ import annotations

from collections.abc import Callable

from figures.registry import Arrays
from figures.training_runs import LOSSES, OTHER, L, W
from tests.figures.controls import add_controls, in_place

DPO, IPO, HINGE, SELF_PO = range(len(LOSSES))
TABULAR, ALIKE, LADDER = range(3)


def backwards(arrays: Arrays) -> None:
    """Play every run from its end to its start."""
    arrays["log_probs"][:] = arrays["log_probs"][:, :, ::-1].copy()


def exchange(policy: int, loss: int) -> Callable[[Arrays], None]:
    """Exchange chosen and rejected response in one panel."""

    def change(arrays: Arrays) -> None:
        arrays["log_probs"][policy, loss][:, [W, L]] = arrays["log_probs"][policy, loss][:, [L, W]]

    return change


def end(policy: int, loss: int, response: int, value: float) -> Callable[[Arrays], None]:
    """Let a run end elsewhere."""

    def change(arrays: Arrays) -> None:
        arrays["log_probs"][policy, loss, -1, response] = value

    return change


def leak(arrays: Arrays) -> None:
    arrays["log_probs"][1, 2, 40, OTHER] += 1e-3


def early(arrays: Arrays) -> None:
    """Repeat the first steps of DPO as its last ones."""
    arrays["log_probs"][:, DPO, -5:] = arrays["log_probs"][:, DPO, :5]


def unfinished(arrays: Arrays) -> None:
    """Stop all runs after ten steps."""
    arrays["log_probs"] = arrays["log_probs"][:, :, :10]


for check, wrong in {
    "the_log_ratio_rises_first": (backwards, exchange(1, IPO), leak),
    "tabular_never_displaces": (end(TABULAR, HINGE, W, -3.0), exchange(TABULAR, DPO)),
    "alike_features_always_displace": (end(ALIKE, IPO, W, -0.1),),
    "on_the_ladder_only_dpo_does": (end(LADDER, DPO, W, -2.0), end(LADDER, IPO, W, -4.0)),
    "three_losses_come_to_rest": (unfinished, end(TABULAR, IPO, W, -1.0), end(LADDER, HINGE, L, -0.7)),
    "dpo_does_not_rest": (early,),
}.items():
    add_controls("new-training-runs", check, [in_place(change) for change in wrong])
