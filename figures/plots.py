"""Plots of a user's own results, on given axes; the figures of the registry are drawn with the same functions.

Each function draws on matplotlib axes that the caller made. Inside ``with paper_style():`` the plots look like the
figures of the registry. The colours of responses are those of ``figures.style``: blue for the chosen one, orange for
the rejected one, grey for all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like

from dynamics.errors import ArrayLike, InvalidArgument, check_count, check_kind, check_positive, to_tensor
from figures.style import CHOSEN, DPO_COLOR, OTHERS, REFERENCE, REJECTED, SIGNED, label_line, tint
from figures.ternary import draw_frame, to_plane

if TYPE_CHECKING:
    from matplotlib.image import AxesImage

    from dynamics import StepAccount

MOST_NUMBERS = 100
"""A heat map with at most this many cells has the number in each cell."""


def plot_step(axes: Axes, account: StepAccount, *, names: Sequence[str] | None = None) -> None:
    r"""Draw the change of every response's probability in a step: predicted to first order (bars) and actual (dots).

    Args:
        axes: where to draw.
        account: of ``dynamics.step``; of a policy with one prompt.
        names: of the responses; their numbers if not given.

    Raises:
        InvalidArgument: the account is of several prompts, or the names are not one for each response.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> from dynamics import LogLinear, step
        >>> account = step(LogLinear(features=[[2.0], [3.0], [0.0]]), theta=[0.0], chosen=0, rejected=1)
        >>> drawing, axes = plt.subplots()
        >>> plot_step(axes, account, names=("chosen", "rejected", "another"))
        >>> [f"{bar.get_height():.1f}" for bar in axes.patches], axes.get_ylabel()
        (['-0.6', '-2.2', '2.8'], 'change of $\\pi$ ($10^{-3}$)')
        >>> plt.close(drawing)
    """
    from dynamics import StepAccount  # noqa: PLC0415 - torch is not needed to draw arrays

    check_kind("account", account, StepAccount, "the account of a step, as dynamics.step returns it")
    if account.actual.ndim != 1:
        raise InvalidArgument(
            "account", f"shape {tuple(account.actual.shape)}", "a policy with one prompt, shape (responses,)"
        )
    colors = [OTHERS] * len(account.actual)
    for color, responses in ((REJECTED, account.preferences.rejected), (CHOSEN, account.preferences.chosen)):
        for response in responses.tolist():
            colors[response] = color
    plot_changes(axes, account.predicted, account.actual, names=names, colors=colors)


def plot_changes(
    axes: Axes,
    predicted: ArrayLike,
    actual: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
) -> None:
    r"""Draw predicted changes of probabilities as bars and actual ones as dots, in a power of ten.

    Args:
        axes: where to draw.
        predicted: ``(responses,)``.
        actual: ``(responses,)``.
        names: of the responses; their numbers if not given.
        colors: of the responses; grey if not given.

    Raises:
        InvalidArgument: numbers, names or colours that are not one for each response.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> drawing, axes = plt.subplots()
        >>> plot_changes(axes, predicted=[0.002, -0.002], actual=[0.0021, -0.0021])
        >>> axes.get_ylabel()
        'change of $\\pi$ ($10^{-3}$)'
        >>> plt.close(drawing)
    """
    bars, dots = _numbers("predicted", predicted, 1), _numbers("actual", actual, 1)
    _check_axes(axes)
    if dots.shape != bars.shape:
        raise InvalidArgument("actual", f"shape {dots.shape}", f"shape {bars.shape}, that of predicted")
    labels = _names(names, len(bars))
    inks = _colors(colors, len(bars))
    largest = max(np.abs(bars).max(initial=0.0), np.abs(dots).max(initial=0.0))
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    place = np.arange(len(bars))
    axes.axhline(0, color=REFERENCE, linewidth=0.6)
    axes.bar(place, bars / 10.0**power, color=[tint(ink, 0.45) for ink in inks], width=0.7)
    axes.scatter(place, dots / 10.0**power, color=inks, s=14, zorder=3)
    axes.set_xticks(place, labels)
    axes.set_ylabel(r"change of $\pi$" + (rf" ($10^{{{power}}}$)" if power else ""))


def plot_trajectory(
    axes: Axes,
    steps: ArrayLike,
    log_probs: ArrayLike,
    *,
    chosen: int = 0,
    rejected: int = 1,
    names: Sequence[str] | None = None,
) -> None:
    """Draw log pi of every response along a run, and name each line at its end.

    Args:
        axes: where to draw.
        steps: ``(records,)``: number of updates made, or time, such as ``Trajectory.steps`` or ``Flow.times``.
        log_probs: log pi (nats), ``(records, responses)``, of one run, such as ``Trajectory.sel(seed=0).squeeze()`` or
            ``Flow.log_probs``.
        chosen: number of the chosen response.
        rejected: number of the rejected response.
        names: of the responses; if not given, chosen and rejected are named, and the others are not.

    Raises:
        InvalidArgument: arrays of other shapes, or no such response.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> from dynamics import DPO, Tabular, pairs, simulate, tabular_theta
        >>> start = tabular_theta([0.2, 0.3, 0.5])
        >>> runs = simulate(Tabular(3), start, pairs(0, 1, shape=(3,)), loss=DPO(), steps=20, learning_rate=1.0)
        >>> drawing, axes = plt.subplots()
        >>> plot_trajectory(axes, runs.steps, runs.sel(seed=0).squeeze(), chosen=0, rejected=1)
        >>> [text.get_text().strip() for text in axes.texts]
        ['rejected', 'chosen']
        >>> plt.close(drawing)
    """
    values, at = _numbers("log_probs", log_probs, 2), _numbers("steps", steps, 1)
    _check_axes(axes)
    if len(at) != len(values) or not (len(at) and (at[1:] > at[:-1]).all()):
        wanted = f"rising numbers, one for each of the {len(values)} records of log_probs"
        raise InvalidArgument("steps", at if at.size < 9 else at.shape, wanted)
    count = values.shape[1]
    for name, response in (("chosen", chosen), ("rejected", rejected)):
        if check_count(name, response, minimum=0) >= count:
            raise InvalidArgument(name, response, f"a response, 0 to {count - 1}")
    role = {rejected: ("rejected", REJECTED), chosen: ("chosen", CHOSEN)}
    labels = _names(names, count) if names is not None else [role.get(y, ("", OTHERS))[0] for y in range(count)]
    colors = [role.get(y, ("", OTHERS))[1] for y in range(count)]
    for y in sorted(range(count), key=lambda y: y in role):  # the pair above the others
        main = y in role
        axes.plot(
            at, values[:, y], color=colors[y], linewidth=1.4 if main else 1.0, linestyle="-" if main else (0, (4, 2))
        )
    axes.set(xlabel="step", ylabel=r"$\log\,\pi$ (nats)")
    if len(at) > 1:
        axes.set_xlim(at[0], at[-1])
    label_ends(axes, [float(value) for value in values[-1]], labels, colors)


def label_ends(axes: Axes, heights: Sequence[float], names: Sequence[str], colors: Sequence[str]) -> None:
    """Name lines right of the axes at the heights where they end, none nearer than a line of text to the next.

    Args:
        axes: on which the lines are drawn, with their final limits.
        heights: where the lines end, in data units.
        names: of the lines; an empty one is not written.
        colors: of the lines.
    """
    low, high = axes.get_ylim()
    inches = axes.get_figure(root=True).get_figheight() * axes.get_position().height  # type: ignore[union-attr]
    gap = 9.5 / 72 / inches * (high - low)
    place = -np.inf
    for i in sorted((i for i, name in enumerate(names) if name), key=lambda i: heights[i]):
        place = max(place + gap, heights[i])
        label_line(axes, axes.get_xlim()[1], place, f" {names[i]}", colors[i], va="center", annotation_clip=False)


def plot_simplex(
    axes: Axes,
    log_probs: ArrayLike,
    *,
    names: Sequence[str] = ("chosen", "rejected", "other"),
    color: str = DPO_COLOR,
    linewidth: float = 1.4,
) -> None:
    """Draw a run of a policy with three responses as a path in the triangle of their probabilities, from its dot on.

    Args:
        axes: where to draw. The triangle is drawn unless it is there.
        log_probs: log pi (nats), ``(records, 3)``: left corner, right corner, top.
        names: of the corners.
        color: of the path: that of the method.
        linewidth: of the path.

    Raises:
        InvalidArgument: log-probabilities of another shape, or three numbers that are no distribution.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> from dynamics import Tabular, gradient_flow, pairs, tabular_theta
        >>> flow = gradient_flow(Tabular(3), tabular_theta([0.2, 0.3, 0.5]), pairs(0, 1, shape=(3,)), times=[0, 1, 9])
        >>> drawing, axes = plt.subplots()
        >>> plot_simplex(axes, flow.log_probs)
        >>> [text.get_text() for text in axes.texts]
        ['chosen', 'rejected', 'other']
        >>> plt.close(drawing)
    """
    values = _numbers("log_probs", log_probs, 2)
    _check_axes(axes)
    if not _is_color(color):
        raise InvalidArgument("color", color, "a colour, such as 'black' or '#4A1486'")
    check_positive("linewidth", linewidth)
    if values.shape[1] != 3 or not len(values):
        raise InvalidArgument(
            "log_probs", f"shape {values.shape}", "log-probabilities of three responses, shape (records, 3)"
        )
    p = np.exp(values)
    if np.abs(p.sum(1) - 1).max() > 1e-4:
        worst = p.sum(1)[np.abs(p.sum(1) - 1).argmax()]
        raise InvalidArgument("log_probs", f"the probabilities of a record sum to {worst:.4g}; they must sum to 1")
    left, right, top = corners = _names(names, 3)
    if axes.axison:
        roles = corners == ["chosen", "rejected", "other"]
        draw_frame(axes, (left, right, top), (CHOSEN, REJECTED, OTHERS) if roles else ("#333333",) * 3)
    path = to_plane(p)
    axes.plot(*path.T, color=color, linewidth=linewidth)
    axes.plot(*path[0], "o", color=color, markersize=2.5)


def plot_field(
    axes: Axes,
    places: ArrayLike,
    velocities: ArrayLike,
    *,
    unit: float | None = None,
    colors: Sequence[str] | str = "#555555",
) -> None:
    """Draw a vector field as arrows whose length grows with the logarithm of the speed.

    Args:
        axes: where to draw, with the limits that they will have.
        places: where the arrows begin, ``(points, 2)``; in a triangle, ``figures.ternary.to_plane`` of probabilities.
        velocities: ``(points, 2)``.
        unit: the speed u of log(1 + speed / u); slower arrows have lengths in proportion to their speeds. A fifth of
            the median speed if not given. Panels with one unit and one spacing of places can be compared.
        colors: of all arrows, or of each.

    Raises:
        InvalidArgument: arrays of other shapes, or a unit that is not positive.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> from dynamics import ratio_field
        >>> x1, x2 = np.meshgrid(np.linspace(0.1, 1, 5), np.linspace(0.1, 1, 5))
        >>> places, velocities = (np.stack(two, axis=-1).reshape(-1, 2) for two in ((x1, x2), ratio_field(x1, x2, 0.5)))
        >>> drawing, axes = plt.subplots()
        >>> plot_field(axes, places, velocities)
        >>> len(axes.collections[0].get_offsets())
        25
        >>> plt.close(drawing)
    """
    where, arrows = _numbers("places", places, 2), _numbers("velocities", velocities, 2)
    _check_axes(axes)
    if where.shape[1] != 2 or not len(where):
        raise InvalidArgument("places", f"shape {where.shape}", "points of the plane, shape (points, 2)")
    if arrows.shape != where.shape:
        raise InvalidArgument("velocities", f"shape {arrows.shape}", f"a velocity for each place, shape {where.shape}")
    speed = np.hypot(*arrows.T)
    if unit is None:
        unit = float(np.median(speed)) / 5 or 1.0
    check_positive("unit", unit)
    inks = colors if _is_color(colors) else _colors(colors, len(where))
    spacing = np.sqrt(np.prod(np.ptp(where, axis=0)) / len(where)) or 1.0
    with np.errstate(divide="ignore"):  # log 0 = -inf is meant where nothing moves
        length = 0.3 * spacing * np.logaddexp(0, np.log(speed) - np.log(unit))
    direction = arrows / np.where(speed > 0, speed, 1.0)[:, None]
    look: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "units": "inches", "width": 0.009}
    axes.quiver(*where.T, *(direction * length[:, None]).T, color=inks, headwidth=4, headlength=4.5, zorder=2, **look)


def plot_kernel(axes: Axes, kernel: ArrayLike, *, names: Sequence[str] | None = None) -> AxesImage:
    """Draw a kernel as the cosines of the angles between the scores, blue-green positive and brown negative.

    The colour of cell (i, j) is <g_i, g_j> / (|g_i| |g_j|). With few cells it is written in them.

    Args:
        axes: where to draw.
        kernel: inner products <g_i, g_j>, ``(n, n)``, of responses or tokens: ``StepAccount.kernel``,
            ``SequenceKernel.kernel`` or ``TokenKernel.kernel``.
        names: of the rows; their numbers if not given.

    Returns:
        The image, for a colour bar.

    Raises:
        InvalidArgument: not a square matrix with a positive diagonal.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> drawing, axes = plt.subplots()
        >>> image = plot_kernel(axes, [[4.0, 3.0], [3.0, 9.0]], names=("$y_w$", "$y_l$"))
        >>> [text.get_text() for text in axes.texts]
        ['1.0', '.50', '.50', '1.0']
        >>> plt.close(drawing)
    """
    values = _numbers("kernel", kernel, 2)
    _check_axes(axes)
    if values.shape[0] != values.shape[1] or not len(values):
        raise InvalidArgument("kernel", f"shape {values.shape}", "a square matrix, shape (n, n)")
    if not (np.diagonal(values) > 0).all():
        raise InvalidArgument(
            "kernel", "a score has length 0, so that its angles are undefined; the diagonal must be > 0"
        )
    norms = np.sqrt(np.diagonal(values))
    cosines = values / norms[:, None] / norms
    labels = _names(names, len(values))
    image = axes.imshow(cosines, cmap=SIGNED, vmin=-1, vmax=1)
    if cosines.size <= MOST_NUMBERS:
        for (i, j), cosine in np.ndenumerate(cosines):
            ink = "white" if abs(cosine) > 0.65 else "black"
            rounded = round(float(cosine), 2) + 0.0  # -0.001 is 0, without a sign
            text = f"{rounded:.1f}" if abs(rounded) >= 1 else f"{rounded:.2f}".replace("0.", ".", 1)
            text = text.replace("-", "\N{MINUS SIGN}")
            axes.text(j, i, text, ha="center", va="center", fontsize=6.5, color=ink)
    every = max(1, len(values) // 24)
    shown = range(0, len(values), every)
    longest = 2 if len(values) > 12 else 6  # letters that fit side by side
    turned = 90 if max(map(len, labels)) > longest else 0
    axes.set_xticks(list(shown), [labels[i] for i in shown], rotation=turned)
    axes.set_yticks(list(shown), [labels[i] for i in shown])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def _check_axes(axes: object) -> None:
    if not isinstance(axes, Axes):
        raise InvalidArgument("axes", axes, "matplotlib axes, such as those of plt.subplots()")


def _numbers(argument: str, value: ArrayLike, axes: int) -> np.ndarray:
    """Return finite numbers as an array with this number of axes."""
    found: np.ndarray = to_tensor(argument, value).detach().cpu().numpy()
    if found.ndim != axes:
        raise InvalidArgument(
            argument, f"shape {found.shape}", f"an array with {axes} {'axis' if axes == 1 else 'axes'}"
        )
    if not np.isfinite(found).all():
        raise InvalidArgument(argument, "it contains NaN or infinite numbers; they must all be finite")
    return found


def _names(names: Sequence[str] | None, count: int) -> list[str]:
    """Return the names, one for each of ``count`` things."""
    if names is None:
        return [str(i) for i in range(count)]
    good = isinstance(names, (list, tuple)) and len(names) == count and all(isinstance(name, str) for name in names)
    if not good:
        raise InvalidArgument("names", names, f"a list of {count} names")
    return list(names)


def _is_color(value: object) -> bool:
    return isinstance(value, str) and is_color_like(value)


def _colors(colors: Sequence[str] | None, count: int) -> list[str]:
    """Return the colours, one for each of ``count`` things."""
    if colors is None:
        return [OTHERS] * count
    good = isinstance(colors, (list, tuple)) and len(colors) == count and all(map(_is_color, colors))
    if not good:
        raise InvalidArgument("colors", colors, f"a list of {count} colours")
    return list(colors)
