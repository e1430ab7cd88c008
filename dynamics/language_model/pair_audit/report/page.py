"""The report of an audit: one HTML page without a server or a network, made from the files of the results alone."""

from __future__ import annotations

import base64
import math
import shlex
from array import array
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from dynamics.errors import InvalidArgument
from dynamics.files import write_atomically
from dynamics.language_model.pair_audit.reading.tokens import REMARKS, cut_sentence
from dynamics.language_model.pair_audit.report.comparisons import CONTRASTED
from dynamics.language_model.pair_audit.report.histogram import Histogram, histogram
from dynamics.language_model.pair_audit.report.summary import say_step
from dynamics.language_model.pair_audit.report.text_difference import join_marks, mark_differences
from dynamics.language_model.pair_audit.results.joined import SET_COLUMNS, read_joined
from dynamics.language_model.pair_audit.results.store import Results

COLUMNS = (
    *("cosine", "own_chosen_change", "own_rejected_change", "set_chosen_change", "set_rejected_change"),
    *("sft_weight", "own_share", "tokens_chosen", "tokens_rejected"),
)
"""Columns of the results that the page holds of every pair, as 32-bit floats."""
PULLERS = 5  # tokens of a pair that are named because they pull its chosen response down most
MOST_PUSHERS = 10  # rows that are named because they push many others down
NAMED = 200  # skipped rows that the page names


def write_report(results: Results, out: Path) -> int:
    """Write the report of a finished audit.

    Args:
        results: what ``run_audit`` and ``run_set`` wrote, with the summary.
        out: the HTML file.

    Returns:
        The number of bytes.

    Raises:
        InvalidArgument: there is no finished audit of this name, or it audited no pair.
    """
    summary, columns = read_finished(results)
    page = make_page(summary, columns, str(results.path))
    data = page.encode("utf-8", "backslashreplace")
    write_atomically(out, lambda temporary: temporary.write_bytes(data))
    return len(data)


def make_page(summary: dict[str, Any], columns: dict[str, np.ndarray], path: str) -> str:
    """Return the HTML of the report.

    Args:
        summary: the summary that the command ``pairs`` writes.
        columns: what ``read_columns`` returns.
        path: file of the results, as the reader should give it to a command.
    """
    of_set = summary["displaced_by_set"] is not None
    pushers = dict(count_pushers(summary["influences"]))
    return _template().render(
        summary=summary,
        path=path,
        name=Path(path).name,
        title=Path(str(summary["data"])).name,
        settings=summary["settings"],
        of_set=of_set,
        step=say_step(summary["optimizer"], summary["optimizer_state"]),
        pairs=summary["audited"],
        outcomes=count_outcomes(columns, of_set),
        histograms=_histograms(columns, of_set),
        examples=[_example(example, columns, summary["influences"], pushers) for example in summary["examples"]],
        pushers=list(pushers.items()),
        contrasted=CONTRASTED,
        has_pulls=any(example.get("pulls") for example in summary["examples"]),
        encoded={key: base64.b64encode(value.tobytes()).decode() for key, value in columns.items()},
        remarks=[(count, REMARKS[key]) for key, count in summary["remarks"].items()],
        cut=cut_sentence(summary["left_out"], summary["cut_by"]) if summary["cut"] else "",
        skipped=summary["skipped_rows"][:NAMED],
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.lstrip_blocks = True
    environment.filters.update(number=say_number, share=say_share, quoted=lambda word: shlex.quote(str(word)))
    text = (files("dynamics.language_model.pair_audit.report") / "report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)


def read_columns(results: Results) -> dict[str, np.ndarray]:
    """Return a few numbers of every audited pair, little-endian, in the order of the rows; NaN where there is none.

    Args:
        results: what ``run_audit`` and ``run_set`` wrote.

    Returns:
        ``row`` (int32), ``flags`` (uint8: 1 for displaced, 2 for displaced by the set), ``norm_ratio`` and ``COLUMNS``
        (float32).
    """
    rows, flags, ratios = array("i"), array("B"), array("f")
    values = {name: array("f") for name in COLUMNS}
    for record in read_joined(results):
        if "skipped" in record:
            continue
        rows.append(record["row"])
        flags.append(record["displaced"] + 2 * record.get("displaced_by_set", False))
        norm = record["norm_rejected"]
        ratios.append(record["norm_chosen"] / norm if norm > 0 else math.nan)
        for name, column in values.items():
            value = record.get(name) if name in SET_COLUMNS else record[name]
            column.append(math.nan if value is None else value)
    found = {"row": np.asarray(rows, "<i4"), "flags": np.asarray(flags, "u1"), "norm_ratio": np.asarray(ratios, "<f4")}
    return found | {name: np.asarray(column, "<f4") for name, column in values.items()}


def count_outcomes(columns: dict[str, np.ndarray], of_set: bool) -> list[tuple[str, int, int | None]]:
    """Return for each outcome (chosen up or down, rejected up or down) how many pairs have it, own step and set step.

    Args:
        columns: what ``read_columns`` returns.
        of_set: whether the step of the whole set was computed.
    """
    found = []
    for up in (True, False):
        for down in (True, False):
            name = f"chosen {'rises' if up else 'falls'}, rejected {'falls' if down else 'rises'}"
            own, by_set = (_count(columns, kind, up, down) for kind in ("own", "set"))
            found.append((name, own, by_set if of_set else None))
    return found


def _count(columns: dict[str, np.ndarray], kind: str, up: bool, down: bool) -> int:
    chosen, rejected = columns[f"{kind}_chosen_change"], columns[f"{kind}_rejected_change"]
    return int((((chosen >= 0) == up) & ((rejected < 0) == down)).sum())


def count_pushers(influences: Mapping[Any, Any]) -> list[tuple[int, int]]:
    """Return the rows that are named most often among those that push another chosen response down, with how often.

    Args:
        influences: for each displaced row the rows that push its chosen response; the key is the number of the row, or
            its text, as in the summary.

    Example:
        >>> count_pushers({"3": {"down": [(5, -2.0), (3, -1.0)], "up": []}, "4": {"down": [(5, -1.0)], "up": []}})
        [(5, 2)]
    """
    named = Counter(other for row, sides in influences.items() for other, _ in sides["down"] if other != int(row))
    return [(row, count) for row, count in sorted(named.items(), key=lambda entry: (-entry[1], entry[0])) if count > 1][
        :MOST_PUSHERS
    ]


def say_number(value: float | None, digits: int = 3) -> str:
    """Write a number for people, with a true minus sign; a dash for none.

    Example:
        >>> say_number(-0.012345), say_number(None), say_number(15.0), say_number(12345.6)
        ('−0.0123', '–', '15', '12 300')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == round(value) and abs(value) < 10**digits:
        return f"{value:.0f}".replace("-", "−").replace("−0", "0")
    size = math.floor(math.log10(abs(value)))
    if -4 <= size < 6:
        shown = f"{round(value, digits - 1 - size):,.{max(0, digits - 1 - size)}f}".replace(",", " ")
    else:
        shown = f"{value:.{digits - 1}e}"
    return shown.replace("-", "−")


def say_share(count: int, total: int) -> str:
    """Write a share in per cent.

    Example:
        >>> say_share(1, 3), say_share(1, 4000)
        ('33 %', '0.025 %')
    """
    percent = 100 * count / max(1, total)
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.2g} %"


def _histograms(columns: dict[str, np.ndarray], of_set: bool) -> list[tuple[str, Histogram]]:
    kinds = [("own", "In a step on the pair alone"), ("set", "In a step on all pairs at once")]
    return [(title, histogram(columns[f"{kind}_chosen_change"])) for kind, title in kinds[: 1 + of_set]]


def _example(
    example: dict[str, Any], columns: dict[str, np.ndarray], influences: dict[str, Any], pushers: dict[int, int]
) -> dict[str, Any]:
    place = int(np.searchsorted(columns["row"], example["row"]))
    numbers = {name: float(column[place]) for name, column in columns.items()}
    pulls = example.get("pulls") or {"chosen": [], "rejected": []}
    texts = ["".join(text for text, _ in pulls[side]) or example[side] for side in ("chosen", "rejected")]
    chosen, rejected = (
        join_marks(parts, pulls[side])
        for side, parts in zip(("chosen", "rejected"), mark_differences(*texts), strict=True)
    )
    tokens = [(side, text, pull) for side in ("chosen", "rejected") for text, pull in pulls[side]]
    flags = int(numbers["flags"])
    return example | {
        **numbers,
        "row": example["row"],
        "chosen": chosen,
        "rejected": rejected,
        "displaced": bool(flags & 1),
        "by_set": bool(flags & 2),
        "why": explain(numbers),
        "influences": influences.get(str(example["row"]), {}),
        "pushes": pushers.get(example["row"], 0),
        "strongest": max((abs(pull) for _, _, pull in tokens), default=1.0) or 1.0,
        "pullers": sorted((entry for entry in tokens if entry[2] < 0), key=lambda entry: entry[2])[:PULLERS],
    }


def explain(numbers: dict[str, float]) -> str:
    """Return a sentence that says why the chosen response of a pair falls, or that it does not.

    Args:
        numbers: the columns of one pair, as ``read_columns`` has them.
    """
    flags = int(numbers["flags"])
    too = " The step on all pairs lowers it too." if flags & 2 else ""
    if flags & 1 and numbers["cosine"] > numbers["norm_ratio"]:
        return (
            "Its own step lowers its chosen response: the gradients of the two responses point the same way (cosine "
            f"{say_number(numbers['cosine'])}) and that of the rejected one is {say_number(1 / numbers['norm_ratio'])} "
            f"times as long, so that pushing the rejected response down takes the chosen one along.{too}"
        )
    if flags & 1:
        return f"Its own step lowers its chosen response, by the weights that the loss gives the two responses.{too}"
    if flags & 2:
        return "Its own step raises its chosen response, but the other pairs together push it down harder."
    return "Its chosen response does not fall."


def read_finished(results: Results) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the summary of a finished audit, and what ``read_columns`` returns.

    Args:
        results: what ``run_audit`` and ``run_set`` wrote, with the summary.

    Raises:
        InvalidArgument: there is no finished audit of this name, it audited no pair, or lines of it are missing.
    """
    settings = results.read_settings()
    summary = results.read_summary()
    if settings is None or summary is None:
        raise InvalidArgument(
            "results", f"{results.path} holds no finished audit; run python -m dynamics pairs ... --out {results.path}"
        )
    if not summary["audited"]:
        raise InvalidArgument(
            "results", f"{results.path} holds no audited pair; its summary says why the rows were skipped"
        )
    columns = read_columns(results)
    if len(columns["row"]) != summary["audited"]:
        raise InvalidArgument(
            "results",
            f"{results.path} holds {len(columns['row'])} audited pairs, but its summary says {summary['audited']}: the "
            "file was cut or changed; run the same pairs command again, which computes only what is missing",
        )
    return summary, columns
