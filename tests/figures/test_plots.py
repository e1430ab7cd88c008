"""Plots on given axes: what is drawn is what was given, in the colours of the responses; errors are told in words."""

from __future__ import annotations

from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynamics import DPO, InvalidArgument, LogLinear, Tabular, pairs, simulate, step
from figures.plots import label_ends, plot_changes, plot_field, plot_kernel, plot_simplex, plot_step, plot_trajectory
from figures.style import CHOSEN, DPO_COLOR, GREEDY, OTHERS, REJECTED, paper_style
from figures.ternary import to_plane

POLICY = LogLinear(features=[[2.0], [3.0], [0.0]])


def new_axes() -> Axes:
    return Figure().add_subplot()


def test_a_step_shows_prediction_and_truth_in_one_unit() -> None:
    account, axes = step(POLICY, [0.0], chosen=0, rejected=1, loss=DPO(beta=0.5), learning_rate=0.1), new_axes()
    plot_step(axes, account)
    bars = np.array([bar.get_height() for bar in axes.patches])  # type: ignore[attr-defined]
    dots = np.asarray(axes.collections[0].get_offsets())[:, 1]
    assert axes.get_ylabel().endswith("($10^{-2}$)")
    np.testing.assert_allclose(bars, 1e2 * account.predicted.numpy())
    np.testing.assert_allclose(dots, 1e2 * account.actual.numpy())
    inks = [mpl.colors.to_hex(color) for color in axes.collections[0].get_facecolor()]  # type: ignore[attr-defined]
    assert inks == [color.lower() for color in (CHOSEN, REJECTED, OTHERS)]


def test_a_run_is_drawn_in_the_colours_of_its_responses() -> None:
    runs = simulate(Tabular(3), [0.0, 0.1, 0.2], pairs(2, 0, shape=(3,)), loss=DPO(), steps=3, learning_rate=1.0)
    axes = new_axes()
    plot_trajectory(axes, runs.steps, runs.sel(seed=0).squeeze(), chosen=2, rejected=0, names=("a", "b", "c"))
    drawn = {line.get_color(): line.get_ydata() for line in axes.get_lines()}
    for color, response in ((CHOSEN, 2), (REJECTED, 0), (OTHERS, 1)):
        np.testing.assert_array_equal(drawn[color], runs.sel(seed=0, response=response).squeeze())
    assert {text.get_text().strip(): text.get_color() for text in axes.texts} == {
        "a": REJECTED,
        "b": OTHERS,
        "c": CHOSEN,
    }


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6))
@settings(max_examples=25)
def test_names_at_the_ends_do_not_touch(heights: list[float]) -> None:
    with paper_style():
        drawing = Figure(figsize=(3.4, 2.6))
        axes = drawing.add_subplot()
        axes.set_ylim(-1, 1)
        label_ends(axes, heights, [f"line {i}" for i in range(len(heights))], [GREEDY] * len(heights))
        boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))


def test_a_path_lies_where_its_probabilities_are() -> None:
    p, axes = np.array([[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]]), new_axes()
    plot_simplex(axes, np.log(p))
    (path,) = (line for line in axes.get_lines() if line.get_color() == DPO_COLOR and line.get_linestyle() == "-")
    np.testing.assert_allclose(path.get_xydata(), to_plane(p))
    before = len(axes.texts)
    plot_simplex(axes, np.log(p[::-1]))
    assert len(axes.texts) == before  # the triangle is there already


def test_arrows_point_along_the_field_and_faster_ones_are_longer() -> None:
    places, speeds = [[0, 0], [1, 1], [2, 2], [3, 3]], [0.0, 0.1, 1.0, 10.0]
    axes = new_axes()
    plot_field(axes, places, np.outer(speeds, [0.6, -0.8]), unit=0.1)
    (arrows,) = (one for one in axes.collections if hasattr(one, "U"))
    length = np.hypot(arrows.U, arrows.V)
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V], axis=1), np.outer(length, [0.6, -0.8]))
    np.testing.assert_allclose(length / length[1], np.log1p(np.array(speeds) / 0.1) / np.log(2))


@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=3), st.integers(0, 99))
@settings(max_examples=25)
def test_a_kernel_is_drawn_as_cosines_whatever_the_lengths_of_the_scores(lengths: list[float], seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(3, 4))
    pictures = []
    for scale in (np.ones(3), np.array(lengths)):
        scaled = scores * scale[:, None]
        pictures.append(np.asarray(plot_kernel(new_axes(), scaled @ scaled.T).get_array()))
    unit = scores / np.linalg.norm(scores, axis=1, keepdims=True)
    np.testing.assert_allclose(pictures, np.stack([unit @ unit.T] * 2), atol=1e-12)


def test_the_kernel_itself_would_be_another_picture() -> None:
    """Negative control of the normalisation."""
    kernel = np.array([[4.0, 1.0], [1.0, 1.0]])
    assert np.asarray(plot_kernel(new_axes(), kernel).get_array())[0, 1] == 0.5 != kernel[0, 1]


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plot_changes(new_axes(), [0.1, 0.2], [0.1]), "actual: got shape .*that of predicted"),
        (lambda: plot_changes("axes", [0.1], [0.1]), "axes: got .*plt.subplots"),  # type: ignore[arg-type]
        (lambda: plot_simplex(new_axes(), np.log([[0.2, 0.8]])), "log_probs: .*three responses"),
        (lambda: plot_simplex(new_axes(), np.log([[0.2, 0.8, 0.5]])), "log_probs: .*sum to 1"),
        (lambda: plot_trajectory(new_axes(), [0], [[-1.0, -1.0]], chosen=2), "chosen: got 2; .*0 to 1"),
        (lambda: plot_trajectory(new_axes(), [0, 1], [[-1.0, -1.0]]), "steps: .*each of the 1 records"),
        (lambda: plot_field(new_axes(), [[0.0, 0.0]], [[1.0, 0.0]], unit=0), "unit: got 0"),
        (lambda: plot_kernel(new_axes(), [[1.0, 0.0], [0.0, 0.0]]), "kernel: .*the diagonal must be > 0"),
        (lambda: plot_kernel(new_axes(), [[1.0, np.nan], [np.nan, 1.0]]), "kernel: .*finite"),
    ],
)
def test_a_mistake_is_told_in_words(draw: object, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        draw()  # type: ignore[operator]
