"""The page of a watched run: the picture, what was predicted beside what happened, and every pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from dynamics.files import write_atomically
from dynamics.language_model.watching.comparison import agreement, causes, outcomes, table
from dynamics.language_model.watching.reference import SENTENCES
from dynamics.language_model.watching.run_log import RunLog

WIDTH, HEIGHT = 420.0, 260.0
COLOURS = {
    "chosen": "#0072b2",
    "rejected": "#d55e00",
    "greedy": "#595959",
    "other_prompt": "#997000",
    "random": "#a0508c",
}
"""The colour of every standard role; a role of the user's own has the next of ``FURTHER``."""
FURTHER = ("#00785a", "#4b4fa6", "#7a4a00")
MEANINGS = {
    "other prompt": "the chosen response to another prompt",
    "random": "random tokens",
    "greedy": "the most likely response before training",
}
"""What the responses of the panel are."""
TRL_METRICS = {"rewards/accuracies": True, "rewards/margins": True, "rewards/chosen": True, "loss": False}
"""Metrics of the trainer, and whether their axis begins at 0."""


@dataclass(frozen=True)
class Curve:
    """A curve of a picture: its name, its colour, and the points as SVG wants them."""

    name: str
    colour: str
    points: str
    last: tuple[float, float]
    dashed: bool = False


@dataclass(frozen=True)
class Picture:
    """Curves or points over two linear axes.

    Attributes:
        title: what it shows.
        curves: the curves.
        marks: points: place, name, and whether the prediction had the right sign.
        x_ticks: place and text of the ticks.
        y_ticks: the same of the other axis.
        zero: height of 0, None if it is not on the axis.
        more: what must be known to read it.
    """

    title: str
    curves: tuple[Curve, ...]
    marks: tuple[tuple[float, float, str, bool], ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    zero: float | None
    more: str = ""


def write_page(
    log: RunLog, out: Path, history: Sequence[dict[str, Any]], texts: Sequence[tuple[str, str, str]]
) -> None:
    """Write the page of a run.

    Args:
        log: the run.
        out: the HTML file; its folder must exist.
        history: ``state.log_history`` of the trainer, whose own metrics stand beside.
        texts: prompt, chosen and rejected response of every probe.
    """
    page = make_page(log, history, texts).encode("utf-8", "backslashreplace")
    write_atomically(out, lambda temporary: temporary.write_bytes(page))


def make_page(log: RunLog, history: Sequence[dict[str, Any]], texts: Sequence[tuple[str, str, str]]) -> str:
    """Return the HTML of the page.

    Args:
        log: the run.
        history: what the trainer logged.
        texts: prompt, chosen and rejected response of every probe.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.lstrip_blocks = True
    environment.filters["signed"] = signed
    template = environment.from_string(
        (files("dynamics.language_model.watching") / "page.html.jinja").read_text(encoding="utf-8")
    )
    said = dict(zip(log.run["names"], texts, strict=True))
    watched = [picture for picture in (picture_of_roles(log), picture_of_prediction(log)) if picture is not None]
    own = ("What the trainer itself shows, as means over its batches", pictures_of_metrics(history))
    return template.render(
        pictures=[("What became of the watched responses", watched), own],
        lines=table(log)[:2],
        outcomes=[(outcome, said[outcome.name]) for outcome in outcomes(log)],
        causes=causes(log),
        trial=agreement(log),
        run=log.run,
        problems=log.problems,
        reference=SENTENCES.get((log.start or {}).get("reference_from", ""), ""),
        began=(log.start or {}).get("step", 0),
        prediction=log.prediction or {},
        width=WIDTH,
        height=HEIGHT,
    )


def signed(value: float | None) -> str:
    """Return a change as text; a dash where there is none.

    Example:
        >>> signed(-0.25), signed(None)
        ('−0.250', '–')
    """
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def picture_of_roles(log: RunLog) -> Picture | None:
    """Return the mean change of log pi of every role against the step; None without a look."""
    if log.start is None or not log.looks:
        return None
    steps = [log.start["step"], *(look["step"] for look in log.looks)]
    series = {}
    own = iter(FURTHER * len(log.start["log_probs"]))
    for role, begin in log.start["log_probs"].items():
        values = [_mean_change(begin, look["log_probs"][role]) for look in (log.start, *log.looks)]
        if all(math.isfinite(value) for value in values):
            series[role.replace("_", " ")] = (COLOURS.get(role) or next(own), values)
    said = "; ".join(f"{name}: {MEANINGS[name]}" for name in series if name in MEANINGS)
    found = _curves("Mean change of log π (nats) of the watched responses, by step", steps, series)
    return replace(found, more=f"Beside the chosen and the rejected response – {said}" if said else "")


def pictures_of_metrics(history: Sequence[dict[str, Any]]) -> list[Picture]:
    """Return the trainer's own metrics against the step, one picture for each that it logged more than once."""
    found = []
    for name, zero in TRL_METRICS.items():
        known = [(entry["step"], float(entry[name])) for entry in history if name in entry]
        if len(known) > 1:
            steps, values = [step for step, _ in known], [value for _, value in known]
            found.append(_curves(f"{name}, by step", steps, {name: ("#222222", values)}, zero=zero))
    return found


def picture_of_prediction(log: RunLog) -> Picture | None:
    """Return the actual change of log pi(chosen) against the predicted one; None without a prediction."""
    found = [(o.predicted, o.chosen, o.name) for o in outcomes(log) if o.predicted is not None]
    if not found:
        return None
    both = [value for predicted, actual, _ in found for value in (predicted, actual)]
    x, y = _axis(both, WIDTH, flip=False), _axis(both, HEIGHT, flip=True)
    marks = tuple((x.place(a), y.place(b), name, (a < 0) == (b < 0)) for a, b, name in found)
    title = "Change of log π(chosen) (nats) of every pair: predicted (across) and actual (up)"
    more = "Filled: the predicted sign is the actual one; open: it is not. On the dashed line both are equal"
    upright = Curve("", "#999999", f"{x.place(0):.1f},0 {x.place(0):.1f},{HEIGHT}", (0.0, 0.0))
    equal = Curve("", "#999999", f"0,{HEIGHT} {WIDTH},0", (0.0, 0.0), dashed=True)
    return Picture(title, (upright, equal), marks, x.ticks, y.ticks, y.place(0), more)


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    length: float
    flip: bool

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.length * (1 - share if self.flip else share)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Return about four round numbers on the axis, with their places."""
        rough = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * next(part for part in (1, 2, 5, 10) if part * power >= 0.999 * rough)
        digits = max(0, -math.floor(math.log10(step)))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [number * step for number in range(first, last + 1)]
        return tuple((self.place(value), f"{value:.{digits}f}".replace("-", "−")) for value in values)


def _axis(values: Sequence[float], length: float, flip: bool, zero: bool = True) -> _Axis:
    low, high = min([*values, *([0.0] if zero else [])]), max([*values, *([0.0] if zero else [])])
    if low == high:
        low, high = low - 1, high + 1
    return _Axis(low, high, length, flip)


def _curves(
    title: str, steps: Sequence[float], series: dict[str, tuple[str, list[float]]], zero: bool = True
) -> Picture:
    x = _axis(steps, WIDTH, flip=False)
    y = _axis([value for _, values in series.values() for value in values], HEIGHT, flip=True, zero=zero)
    curves = []
    for name, (colour, values) in series.items():
        points = [(x.place(step), y.place(value)) for step, value in zip(steps, values, strict=True)]
        curves.append(Curve(name, colour, " ".join(f"{a:.1f},{b:.1f}" for a, b in points), points[-1]))
    return Picture(title, _apart(curves), (), x.ticks, y.ticks, y.place(0) if y.low <= 0 <= y.high else None)


def _apart(curves: Sequence[Curve], least: float = 14.0) -> tuple[Curve, ...]:
    """Move the names at the ends of curves apart, so that none covers another."""
    found: list[Curve] = []
    height = -least
    for curve in sorted(curves, key=lambda one: one.last[1]):
        height = max(curve.last[1], height + least)
        found.append(replace(curve, last=(curve.last[0], height)))
    return tuple(found)


def _mean_change(before: Sequence[float | None], after: Sequence[float | None]) -> float:
    known = [b - a for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    return sum(known) / len(known) if known else math.nan
