"""Compute, check, draw and store figures, in one process or several, or again from the manifest of an earlier run."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import matplotlib.pyplot as plt
import numpy as np

from dynamics.errors import InvalidArgument
from dynamics.grid import one_thread
from figures.export import Look
from figures.registry import Figure, select_figures
from figures.store import DEFAULT, environment, save
from figures.style import paper_style


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn.

    Attributes:
        key: of the figure.
        manifest: what was stored beside it.
        seconds: wall time.
    """

    key: str
    manifest: dict[str, Any]
    seconds: float

    @property
    def not_seen(self) -> list[str]:
        """Return what the figure must show and does not, in words."""
        return [self.manifest["must be seen"][name] for name, seen in self.manifest["checks"].items() if not seen]


def produce(figure: Figure, folder: Path, look: Look = DEFAULT) -> Drawn:
    """Compute a figure on one thread, check and draw it, and write its files."""
    begun = time.perf_counter()
    plt.switch_backend("agg")
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns about the dates in matplotlib's own fonts
    with one_thread():
        arrays = figure.compute()
    with paper_style(look.serif):
        drawing = figure.drawers[0](arrays)
        try:
            manifest = save(figure, arrays, drawing, folder, look)
        finally:
            plt.close(drawing)
    return Drawn(figure.key, manifest, time.perf_counter() - begun)


def _draw(key: str, settings: dict[str, Any], folder: Path, look: Look) -> Drawn:
    """Draw in another process, which must import the figures first."""
    import figures.catalog  # noqa: F401, PLC0415

    return produce(select_figures([key])[0].with_settings(**settings), folder, look)


def regenerate(figures: list[Figure], folder: Path, jobs: int = 1, look: Look = DEFAULT) -> Iterator[Drawn]:
    """Draw figures and yield each when it is done; the numbers do not depend on the number of processes.

    Args:
        figures: the figures.
        folder: where the files go.
        jobs: processes, -1 for one on each core. With more than one, the figures must be those of the catalogue.
        look: formats, width and typeface.
    """
    if jobs == 1 or len(figures) < 2:
        for figure in figures:
            yield produce(figure, folder, look)
        return
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    yield from parallel(joblib.delayed(_draw)(figure.key, figure.settings, folder, look) for figure in figures)


@dataclass(frozen=True)
class Replay:
    """The comparison of a run with an earlier run of the same figure and settings.

    Attributes:
        drawn: the new run.
        same: whether all arrays are the same, bit for bit.
        differences: largest difference for every array that is not the same; infinite if their shapes differ.
        changed: what has changed since then: versions, platform, commit.
    """

    drawn: Drawn
    same: bool
    differences: dict[str, float]
    changed: dict[str, tuple[str, str]]


def replay(path: Path, folder: Path) -> Replay:
    """Draw a figure again with the settings of its manifest, and compare the arrays.

    Args:
        path: a manifest, KEY.json, with the arrays KEY.npz beside it.
        folder: where the files of the new run go; it may be that of the old one.

    Raises:
        InvalidArgument: no manifest of a figure of the catalogue, or the arrays are not those it was written with.
    """
    wanted = f"{path} is not a manifest KEY.json, as python -m figures writes it, with KEY.npz beside it"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        key, settings, before = manifest["key"], manifest["settings"], manifest["environment"]
        digests, look = manifest["files"], manifest.get("look", {})  # manifests before version 0.2 have no look
        look = Look(**{name: _as_given(value) for name, value in look.items()})
        with np.load(path.with_name(key + ".npz"), allow_pickle=False) as stored:
            old = {name: stored[name] for name in stored}
    except (OSError, ValueError, KeyError, TypeError, EOFError) as problem:
        raise InvalidArgument("manifest", f"{wanted} ({problem})") from problem
    figure = select_figures([str(key)])[0].with_settings(**{name: _as_given(value) for name, value in settings.items()})
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".replay") as place:
        drawn = produce(figure, Path(place), look)
        with np.load(Path(place) / f"{key}.npz", allow_pickle=False) as stored:
            new = {name: stored[name] for name in stored}
        for name in (*drawn.manifest["files"], f"{key}.json"):
            (Path(place) / name).replace(folder / name)
    differences = {name: _difference(old.get(name), new.get(name)) for name in sorted({*old, *new})}
    differences = {name: size for name, size in differences.items() if size != 0}
    same = drawn.manifest["files"][f"{key}.npz"] == digests.get(f"{key}.npz")
    now = environment()
    changed = {name: (str(before.get(name)), now[name]) for name in now if before.get(name) != now[name]}
    return Replay(drawn, same and not differences, differences, changed)


def _as_given(value: Any) -> Any:
    """Turn the lists of JSON back into the tuples of Python."""
    return tuple(_as_given(item) for item in value) if isinstance(value, list) else value


def _difference(old: np.ndarray | None, new: np.ndarray | None) -> float:
    if old is None or new is None or old.shape != new.shape or old.dtype != new.dtype:
        return float("inf")
    if old.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(old, new) else float("inf")
    before, now = old.astype(float), new.astype(float)
    unequal = ~((before == now) | (np.isnan(before) & np.isnan(now)))  # NaN in both counts as no difference
    gaps = np.abs(before[unequal] - now[unequal])
    return float(np.where(np.isnan(gaps), np.inf, gaps).max(initial=0.0))
