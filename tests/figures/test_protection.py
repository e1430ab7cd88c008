"""Every check of the protection figure holds, and fails on arrays that are wrong in its own respect."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.optional import needs

needs("transformers")

from figures.protection import FAR, LOSSES, NAMES, SHARED, TABULAR, at_ten_nats, protection, window
from figures.registry import Arrays
from tests.figures.computed import computed
from tests.figures.controls import add_controls, updated

Change = Callable[[Arrays], Arrays]


def true_arrays() -> Arrays:
    return computed("new-protection")


def put(name: str, loss: str, policy: int, value: float) -> Change:
    """Replace one entry of one array."""

    def change(arrays: Arrays) -> Arrays:
        array = arrays[name].copy()
        array[..., NAMES.index(loss), policy] = value
        return {name: array}

    return change


def as_for(other: str, *losses: str) -> Change:
    """Give some losses the path of another one: what would be seen if they were that loss."""

    def change(arrays: Arrays) -> Arrays:
        changed = {}
        for name in ("first_chosen", "first_margin", "end_chosen", "end_margin", "least", "last", "loss"):
            changed[name] = arrays[name].copy()
            for loss in losses:
                changed[name][..., NAMES.index(loss), :] = arrays[name][..., NAMES.index(other), :]
        return changed

    return change


def turned_gram(a: Arrays) -> Arrays:
    """A kernel with its off-diagonal halved: the condition would hold for another world."""
    gram = a["kernel"].copy()
    gram[SHARED, 0, 1] /= 3
    return {"kernel": gram}


CONTROLS: list[tuple[str, Change]] = [
    ("first_step_is_as_the_two_weights_say", turned_gram),
    ("first_step_is_as_the_two_weights_say", lambda a: {"first_walked": -a["first_walked"]}),
    (
        "first_step_is_as_the_two_weights_say",
        lambda a: {"model_weights": a["model_weights"] * np.array([[[1.0]], [[10.0]]])},
    ),
    ("equal_weights_never_lower_a_tabular_response", as_for("SquaredPO", "IPO")),
    ("equal_weights_never_lower_a_tabular_response", put("least", "DPO", TABULAR, -1e-3)),
    ("losses_per_token_displace_on_a_table", as_for("DPO", "DPO per token", "SimPO")),
    ("heavy_forces_displace_on_a_table_later", as_for("DPO", "forward KL")),
    ("discopop_lowers_the_margin_at_first", as_for("DPO", "DiscoPOP")),
    ("discopop_lowers_the_margin_at_first", lambda a: {"model_margin": np.abs(a["model_margin"])}),
    ("a_shift_is_enough_on_the_model", lambda a: {"model_chosen": a["model_chosen"][:, ::-1]}),
    ("a_shift_is_enough_on_the_model", put("model_chosen", "DPO-Shift", 1, -0.01)),
    ("dpop_forgets_the_response_at_no_loss", as_for("DPOP, penalty 50", "DPOP, penalty 1")),
    ("dpop_forgets_the_response_at_no_loss", put("last", "DPOP, penalty 1", FAR, -0.1)),
    ("dpop_pays_in_margin", as_for("DPOP, penalty 1", "DPOP, penalty 50")),
    ("dpop_pays_in_margin", put("end_margin", "DPOP, penalty 50", SHARED, 20.0)),
    ("rpo_alone_is_in_the_window", as_for("DPO", "RPO")),
    ("rpo_alone_is_in_the_window", turned_gram),
]


for check, change in CONTROLS:
    add_controls("new-protection", check, [updated(change)])


def test_the_window_is_that_of_the_two_weights() -> None:
    gram = np.array([[1.0, 2.0], [2.0, 8.0]])
    low, high = window(gram)
    for ratio, chosen, margin in ((low - 0.1, -1, 1), ((low + high) / 2, 1, 1), (high + 0.1, 1, -1)):
        up = ratio * gram[0, 0] - gram[0, 1]
        assert np.sign(up) == chosen
        assert np.sign(up - (ratio * gram[0, 1] - gram[1, 1])) == margin


def test_ten_nats_are_the_first_ten_or_the_most() -> None:
    chosen, margin = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 0.0], [10.5, 4.0], [20.0, 3.0]])
    found = at_ten_nats(chosen, margin)
    assert found[0].tolist() == [1.0, 2.0]
    assert found[1].tolist() == [10.5, 4.0]


def test_a_drawing_names_every_loss() -> None:
    drawing = protection.drawers[0](true_arrays())
    assert [label.get_text() for label in drawing.axes[0].get_yticklabels()] == list(LOSSES)
