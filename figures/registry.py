"""What a figure is: computed arrays, checks of what they must show, and a drawing of them."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.errors import InvalidArgument, check_kind
from figures.accuracy import Accuracy, Arrays

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure as Drawing
    from pandas import DataFrame

__all__ = ["FIGURES", "PAPERS", "Arrays", "Check", "Figure", "figure", "select_figures"]

PAPERS = ("jian2025", "wipf2024", "feng2024", "sun2025", "ma2025", "new")
"""The order in which figures are listed, by paper; "new" stands for figures that are in no paper."""

LONGEST_KEY = 100

FIGURES: dict[str, Figure] = {}
"""Every figure by key, filled when ``figures.catalog`` is imported."""


@dataclass(frozen=True)
class Check:
    """One thing that a figure must show.

    Attributes:
        name: name of the check.
        says: what the figure must show, in one sentence.
        holds: returns whether the arrays show it.
    """

    name: str
    says: str
    holds: Callable[[Arrays], bool]

    def passes(self, arrays: Arrays) -> bool:
        """Return whether the arrays show it; if computing the check raises an error, they do not."""
        try:
            return bool(self.holds(arrays))
        except (InvalidArgument, np.linalg.LinAlgError):
            return False


@dataclass(frozen=True)
class Figure:
    """A figure of a paper, or one that is in no paper.

    Attributes:
        key: paper key, number and panel, such as ``feng2024-1b``.
        title: what it shows.
        source: paper and figure number in print.
        caption: one or two sentences on what to look for.
        differs: how it differs from print, and why; empty if it does not.
        claims: keys of the claims in the ledger that it illustrates.
        compute: returns the arrays for given settings; its defaults are the settings of the figure.
        accuracy: how far arrays may be off, by name or glob; other arrays are exact up to rounding.
        checks: what the figure must show.
        drawers: a list with the one function that draws the arrays; empty until ``draw`` registers it.
        tables: a list with the one function that returns the figure as a table, if ``tabulate`` registers one.
        animators: a list with the one function that returns the figure as an animation, if ``animate`` registers one.
    """

    key: str
    title: str
    source: str
    caption: str
    differs: str
    claims: tuple[str, ...]
    compute: Callable[..., Arrays]
    accuracy: dict[str, Accuracy] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    drawers: list[Callable[[Arrays], Drawing]] = field(default_factory=list)
    tables: list[Callable[[Arrays], DataFrame]] = field(default_factory=list)
    animators: list[Callable[[Arrays], FuncAnimation]] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the default settings of ``compute`` by name."""
        return {name: p.default for name, p in inspect.signature(self.compute).parameters.items()}

    def with_settings(self, **settings: Any) -> Figure:
        """Return the same figure with other settings; the manifest of a run records them.

        Raises:
            InvalidArgument: a setting that the figure does not have.
        """
        unknown = [name for name in settings if name not in self.settings]
        if unknown:
            raise InvalidArgument("settings", unknown, f"settings of {self.key}: {', '.join(self.settings) or 'none'}")
        return dataclasses.replace(self, compute=functools.partial(self.compute, **settings))

    def check(self, holds: Callable[[Arrays], bool]) -> Callable[[Arrays], bool]:
        """Register a check; the first line of its docstring says what the figure must show."""
        says = (inspect.getdoc(holds) or "").split("\n")[0]
        if not says:
            raise InvalidArgument("holds", f"the check {holds.__name__} needs a docstring that says what must be seen")
        if any(check.name == holds.__name__ for check in self.checks):
            raise InvalidArgument("holds", f"the figure has a check {holds.__name__} already; choose another name")
        self.checks.append(Check(holds.__name__, says, holds))
        return holds

    def draw(self, drawer: Callable[[Arrays], Drawing]) -> Callable[[Arrays], Drawing]:
        """Register the function that draws the figure."""
        self.drawers.append(drawer)
        return drawer

    def tabulate(self, table: Callable[[Arrays], DataFrame]) -> Callable[[Arrays], DataFrame]:
        """Register the function that returns the figure as a table, for CSV and LaTeX."""
        self.tables.append(table)
        return table

    def animate(self, animator: Callable[[Arrays], FuncAnimation]) -> Callable[[Arrays], FuncAnimation]:
        """Register the function that returns the figure as an animation, for GIF; its last frame shows all arrays."""
        self.animators.append(animator)
        return animator

    def failures(self, arrays: Arrays) -> list[Check]:
        """Return the checks that do not hold; a comparison with NaN makes a check fail."""
        return [check for check in self.checks if not check.passes(arrays)]


def figure(
    key: str,
    title: str,
    *,
    source: str,
    caption: str,
    differs: str = "",
    claims: tuple[str, ...] = (),
    accuracy: dict[str, Accuracy] | None = None,
) -> Callable[[Callable[..., Arrays]], Figure]:
    """Register the decorated ``compute`` function as a figure; add ``.check`` and ``.draw`` functions to the result.

    Raises:
        InvalidArgument: the key is taken, or a setting has no default.
    """
    for name, words in {"key": key, "title": title, "source": source, "caption": caption, "differs": differs}.items():
        check_kind(name, words, str, "a text")
    if not key or not key.isprintable() or set(key) & set('/\\:*?"<>|') or len(key) > LONGEST_KEY:
        raise InvalidArgument("key", key, f"a text of 1 to {LONGEST_KEY} characters that can be part of a file's name")
    if not isinstance(claims, tuple) or not all(isinstance(claim, str) for claim in claims):
        raise InvalidArgument("claims", claims, "a tuple of keys of claims")

    def register(compute: Callable[..., Arrays]) -> Figure:
        if key in FIGURES:
            raise InvalidArgument("key", f"there is a figure {key} already; choose another key")
        made = Figure(key, title, source, caption, differs, claims, compute, accuracy or {})
        missing = [name for name, default in made.settings.items() if default is inspect.Parameter.empty]
        if missing:
            raise InvalidArgument("compute", f"its arguments {', '.join(missing)} need defaults")
        FIGURES[key] = made
        return made

    return register


def select_figures(names: list[str]) -> list[Figure]:
    """Return the figures whose keys match the names or patterns, paper by paper; all figures if there are no names.

    Raises:
        InvalidArgument: a name that matches nothing.
    """
    keys = sorted(FIGURES, key=_order)
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise InvalidArgument("names", names, "a list of keys of figures, or patterns such as 'feng2024-*'")
    for name in names:
        if not fnmatch.filter(keys, name):
            raise InvalidArgument(
                "names", name, "a key of a figure, or a pattern that matches some: " + ", ".join(keys)
            )
    return [FIGURES[key] for key in keys if not names or any(fnmatch.fnmatch(key, name) for name in names)]


def _order(key: str) -> tuple[int, list[tuple[int, str]]]:
    """Return a sort key: by paper, those of no paper last, and numbers in numerical order."""
    paper, _, rest = key.partition("-")
    place = PAPERS.index(paper) if paper in PAPERS else len(PAPERS)
    parts = re.findall(r"\d+|\D+", rest)
    return place, [(int(part), "") if part.isdigit() else (10**6, part) for part in parts]
