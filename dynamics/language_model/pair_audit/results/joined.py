"""The results of an audit with everything that is known of a pair in one record."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import repeat
from typing import Any

from dynamics.language_model.pair_audit.results.store import Results

SET_COLUMNS = ("set_chosen_change", "set_rejected_change", "set_margin_change", "displaced_by_set", "own_share")
"""What a line of the changes by the whole set holds of an audited pair, besides ``row`` and ``digest``."""


def set_results(results: Results) -> Results:
    """Return the file of the changes by the whole set, which stands beside the results of each pair alone."""
    return Results(results.path.with_name(f"{results.path.name}.set"))


def batch_results(results: Results) -> Results:
    """Return the file of the changes by the batch of each pair; its lines are batches."""
    return Results(results.path.with_name(f"{results.path.name}.batch"))


def read_batch_changes(results: Results) -> dict[int, dict[str, Any]]:
    """Return for each audited row its batch and the changes in a step on it; empty if these are not finished.

    Empty too if they are about other pairs or another optimizer than the changes by the whole set that are there.

    Args:
        results: the results of each pair alone.
    """
    beside = batch_results(results)
    if not beside.path.is_file() or beside.parts():
        return {}
    made, of_set = beside.read_settings() or {}, set_results(results).read_settings() or {}
    if any(made.get(key) != of_set.get(key) for key in ("optimizer", "pairs")):
        return {}
    found: dict[int, dict[str, Any]] = {}
    lines = 0
    for line in beside.read():
        lines += 1
        columns = zip(line["rows"], line["chosen"], line["rejected"], line["displaced"], strict=True)
        for row, chosen, rejected, displaced in columns:
            changes = {"batch_chosen_change": chosen, "batch_rejected_change": rejected}
            found[row] = {"batch": line["row"], **changes, "displaced_by_batch": displaced}
    return found if lines == made.get("batches") else {}


def set_is_finished(results: Results) -> bool:
    """Return whether the changes by the whole set are there for every row of the results."""
    beside = set_results(results)
    if not beside.path.is_file() or beside.parts():
        return False
    rows = (record["row"] for record in results.read())
    others = (record["row"] for record in beside.read())
    return all(row == next(others, None) for row in rows)


def optimizer_of_set(results: Results) -> str | None:
    """Return ``"sgd"`` or ``"adamw"``, whichever the changes by the whole set that are there are about; None without.

    Args:
        results: the results of each pair alone.
    """
    if not set_is_finished(results):
        return None
    settings = set_results(results).read_settings() or {}
    return str(settings.get("optimizer", "")).partition("(")[0].lower() or None


def read_joined(results: Results) -> Generator[dict[str, Any], None, None]:
    """Return an iterator over the records of all rows, with the changes by the whole set and by batches if finished.

    Args:
        results: what ``run_audit``, ``run_set`` and ``run_in_batches`` wrote.
    """
    of_set = set_is_finished(results)
    by_batch = read_batch_changes(results) if of_set else {}
    others: Iterator[dict[str, Any]] = set_results(results).read() if of_set else repeat({})
    for record, other in zip(results.read(), others, strict=False):
        known = SET_COLUMNS if other.keys() - {"row", "digest"} else ()  # a row that was skipped has none
        yield record | {name: other[name] for name in known} | by_batch.get(record["row"], {})
