"""One pass over a data set in fixed batches, one line of results for each row: resumable, shared among processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, takewhile
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.language_model.pair_audit.reading.data import PairSource, Row
from dynamics.language_model.pair_audit.results.processes import Processes
from dynamics.language_model.pair_audit.results.store import Results


def run_batches(
    source: PairSource,
    results: Results,
    compute: Callable[[list[Row]], Iterable[Mapping[str, Any]]],
    batch_pairs: int,
    first: int | None = None,
    processes: Processes | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Compute the lines of every row that the results do not hold yet, and append them batch by batch.

    Batch k holds the rows ``k * batch_pairs`` to ``(k + 1) * batch_pairs - 1``, whatever was computed before and
    however many processes there are. Several processes take the batches in turn, and each writes a part; the parts are
    merged at the end.

    Args:
        source: the data set.
        results: where the lines go; inside ``results.begin(...)``.
        compute: returns the lines of a batch of rows, each with ``row`` and ``digest``.
        batch_pairs: number of rows in one batch.
        first: only this many of the first rows; None for all.
        processes: this process among those that share the work;
            alone if not given.
        progress: called after every batch with the number of rows that are done.

    Raises:
        InvalidArgument: the results are those of other data.
    """
    mine = processes or Processes()
    finished = _FinishedRows(results)
    with results.writer(mine) as append:
        for number, batch in batches(source, batch_pairs, first):
            known = finished.among(batch)
            if number % mine.count == mine.rank and len(known) < len(batch):
                append(record for record in compute(batch) if record["row"] not in known)
            if progress is not None:
                progress(batch[-1].number + 1)
        if first is None:
            finished.check_end()
        finished.close()


def batches(source: PairSource, batch_pairs: int, first: int | None = None) -> Iterator[tuple[int, list[Row]]]:
    """Yield the number and the rows of every batch.

    Args:
        source: the data set.
        batch_pairs: number of rows in one batch.
        first: only this many of the first rows; None for all.
    """
    rows = source.read()
    if first is not None:
        end = first
        rows = takewhile(lambda row: row.number < end, rows)
    for number, batch in groupby(rows, key=lambda row: row.number // batch_pairs):
        yield number, list(batch)


class _FinishedRows:
    """The rows that the results hold already, read in step with the data set and compared with it."""

    def __init__(self, results: Results) -> None:
        self._path = results.path
        self._records = results.read()
        self._next = next(self._records, None)

    def among(self, batch: list[Row]) -> set[int]:
        """Return which rows of a batch are finished, or refuse data whose rows have changed since."""
        digests = {row.number: row.digest for row in batch}
        finished = set()
        while self._next is not None and self._next["row"] <= batch[-1].number:
            if digests.get(self._next["row"]) != self._next["digest"]:
                self._refuse(self._next["row"])
            finished.add(self._next["row"])
            self._next = next(self._records, None)
        return finished

    def check_end(self) -> None:
        """Refuse a data set that ends before the results do."""
        if self._next is not None:
            self._refuse(self._next["row"])

    def close(self) -> None:
        """Close the files of the results."""
        self._records.close()

    def _refuse(self, row: int) -> None:
        raise InvalidArgument(
            "data",
            f"row {row} is not the row {row} that {self._path} has results of: the data have changed; "
            "give the name of a new file for the results",
        )
