"""Every check of wipf2024's Figure 1 holds, and fails on arrays that are wrong in its own respect."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np

from figures import constrained
from figures.registry import FIGURES, Arrays
from figures.style import PAGE_WIDTH, paper_style
from tests.figures.computed import computed
from tests.figures.controls import add_controls, updated
from tests.toy_models.searched_region import TrustRegion, backward_kl, forward_kl, pairwise
from theory.wipf2024.modes import constrained_optima
from toy_models.constrained import trust_region

FIGURE = FIGURES["wipf2024-1"]
Change = Callable[[Arrays], Arrays]


def true_arrays() -> Arrays:
    return computed(FIGURE.key)


def put(**replaced: str) -> Change:
    """Put one array in the place of another."""
    return lambda a: {name: a[other] for name, other in replaced.items()}


def narrow_region(a: Arrays) -> Arrays:
    ball = trust_region(radius=0.04)
    return {"ball_optima": np.stack([ball.rlhf, ball.dpo, ball.forward])}


def dpo_everywhere(a: Arrays) -> Arrays:
    return {"ball_paths": np.stack([a["ball_paths"][1]] * 3)}


def short_paths(a: Arrays) -> Arrays:
    return {"ball_paths": a["ball_paths"][:, :-1], "ball_radius": a["ball_radius"][:-1]}


def worse_bump(a: Arrays) -> Arrays:
    """Move RLHF's Gaussian by three points of the grid."""
    return {"rlhf": np.roll(a["rlhf"], 3)}


CONTROLS: list[tuple[str, Change]] = [
    ("one_policy_without_a_constraint", put(free_dpo="dpo")),
    ("one_policy_without_a_constraint", put(free_dpo="rlhf", free_rlhf="rlhf", target="rlhf")),  # one mode only
    ("rlhf_follows_a_mode", put(rlhf="dpo")),
    ("rlhf_follows_a_mode", lambda a: {"rlhf": np.roll(a["rlhf"], 1)}),
    ("dpo_covers_both", put(dpo="rlhf")),
    ("dpo_is_not_the_forward_divergence", put(dpo="forward")),
    ("dpo_is_not_the_forward_divergence", put(forward="dpo")),
    ("each_is_best_by_its_own_loss", put(dpo="forward")),
    ("each_is_best_by_its_own_loss", put(rlhf="dpo", dpo="rlhf")),
    ("moments_as_in_the_caption", worse_bump),
    # W-17 of the audit gives .143, 1.52 for DPO
    ("moments_as_in_the_caption", lambda a: {"dpo": -0.5 * ((a["responses"] - 0.143) / 1.52) ** 2 - 3.64}),
    ("two_responses_leave_one_choice", lambda a: {"pair_optima": a["pair_optima"] + [0.0, 1e-6]}),
    ("two_responses_leave_one_choice", lambda a: {"pair_losses": a["pair_losses"][:, ::-1]}),
    ("two_responses_leave_one_choice", lambda a: {"pair_free": np.array(0.6)}),
    ("tied_prompts_part_them", lambda a: {"tied_optima": a["tied_optima"][::-1]}),
    ("tied_prompts_part_them", lambda a: {"tied_losses": a["tied_losses"][::-1]}),
    ("tied_prompts_part_them", lambda a: {"tied_targets": np.array([0.2, 0.8])}),
    ("trust_region_parts_them", narrow_region),
    ("trust_region_parts_them", lambda a: {"ball_optima": a["ball_optima"][[1, 0, 2]]}),
    ("paths_meet_at_both_ends_only", dpo_everywhere),
    ("paths_meet_at_both_ends_only", short_paths),
    ("paths_meet_at_both_ends_only", lambda a: {"ball_paths": a["ball_paths"][[1, 0, 2]]}),
]
for name, made in CONTROLS:
    add_controls(FIGURE.key, name, [updated(made)])


def test_the_gaussians_are_those_of_the_ledger() -> None:
    arrays, ledger = true_arrays(), constrained_optima()
    for name in ("target", "rlhf", "dpo", "forward"):
        assert np.abs(np.exp(arrays[name]) - np.exp(getattr(ledger, name))).max() < 1e-7


def test_the_paths_are_those_of_the_ledger() -> None:
    arrays = true_arrays()
    for k in (8, 16):
        region = TrustRegion((0.6, 0.3, 0.1), float(arrays["ball_radius"][k]))
        for path, loss in zip(arrays["ball_paths"], (backward_kl, pairwise, forward_kl), strict=True):
            assert np.abs(path[k] - region.optimum(loss)).max() < 1e-6


def test_it_is_drawn_in_one_page_width() -> None:
    with paper_style(), mpl.rc_context({"figure.max_open_warning": 0}):
        drawing = FIGURE.drawers[0](true_arrays())
    assert drawing.get_figwidth() == PAGE_WIDTH
    assert len(drawing.axes) == 5
    mpl.pyplot.close(drawing)


def test_the_module_registers_one_figure() -> None:
    assert constrained.constrained_choices is FIGURE
