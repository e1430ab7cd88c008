"""The audit of a whole preference data set: streamed, resumable, shared among processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any

import torch

from dynamics.errors import InvalidArgument, check_count
from dynamics.language_model.loading import LanguageModel
from dynamics.language_model.pair_audit import results as pair_results
from dynamics.language_model.pair_audit.columns import audit_pairs_that_fit
from dynamics.language_model.pair_audit.data import PairSource, Row
from dynamics.language_model.pair_audit.processes import Processes
from dynamics.language_model.pair_audit.tokens import Sequences, tokenize_pair
from dynamics.language_model.parameters import Filter
from dynamics.losses import DPO, PreferenceLoss


def refuse(why: str) -> InvalidArgument:
    """Return the error of a row that cannot be used where all must be.

    Args:
        why: the reason, with the place of the row.
    """
    allowed = f"rows that can all be used (without --strict such rows are skipped); {why}"
    return InvalidArgument("data", "a row that cannot be used", allowed)


@dataclass(frozen=True)
class AuditSettings:
    """How a data set is audited.

    Attributes:
        parameters: over which parameters, as in ``sequence_kernel``.
        dtype: dtype to compute in.
        max_tokens: pairs with a longer sequence are skipped.
        batch_pairs: rows in one batch. A batch is the rows ``k * batch_pairs`` and following, whatever was done before
            and however many processes there are, so that neither an interruption nor another number of processes
            changes a digit.
        first: stop after so many rows; None for all.
        strict: stop at the first row that cannot be used.
        loss: preference loss that ``lowers_chosen`` is about.
    """

    parameters: Filter = None
    dtype: torch.dtype | None = None
    max_tokens: int | None = None
    batch_pairs: int = 8
    first: int | None = None
    strict: bool = False
    loss: PreferenceLoss = DPO()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        check_count("batch_pairs", self.batch_pairs)
        for name, value in (("first", self.first), ("max_tokens", self.max_tokens)):
            if value is not None:
                check_count(name, value)


def run_audit(
    loaded: LanguageModel,
    source: PairSource,
    out: Path,
    settings: AuditSettings,
    processes: Processes | None = None,
    watch: Callable[[int], None] | None = None,
) -> None:
    """Audit every row of a data set and append one line for each to a file, after what is there already.

    A line holds ``row`` (from 0), ``digest`` and either what ``TokenizedPair.fields`` returns and the fields of
    ``PairAudit``, or ``skipped``, the reason. Of several processes each takes every so many-th batch and writes a part;
    the first merges them at the end. The file must have been prepared (``pair_results.prepare``) before any process
    begins.

    Args:
        loaded: model and tokenizer.
        source: the data set.
        out: the results.
        settings: how.
        processes: who this process is; alone if not given.
        watch: called with the number of rows that are behind, after every batch.

    Raises:
        InvalidArgument: data that are not those of the results; with ``strict``, a row that cannot be used; memory
            that does not suffice for a single pair.
    """
    mine = processes or Processes()
    before = _Done(out)
    place = pair_results.next_file(out, mine.rank, mine.count)
    mine.wait()  # every process must have looked before any of them writes
    with pair_results.Writer(place) as writer:
        for number, window in _windows(source, settings):
            known = before.up_to(window)
            if number % mine.count == mine.rank and len(known) < len(window):
                records = _audit_window(loaded, window, settings)
                writer.append(record for record in records if record["row"] not in known)
            if watch is not None:
                watch(window[-1].number + 1)
        if settings.first is None:
            before.finish()
    mine.wait()
    if mine.rank == 0:
        pair_results.merge(out)
    mine.wait()


class _Done:
    """The rows that results hold already, walked along with the data."""

    def __init__(self, out: Path) -> None:
        self._lines = (record for record, _ in pair_results.read_lines(out))
        self._next = next(self._lines, None)
        self._out = out

    def up_to(self, window: list[Row]) -> set[int]:
        """Return which rows of a window are there, or refuse rows that were others when they were done."""
        digests = {row.number: row.digest for row in window}
        known = set()
        while self._next is not None and self._next["row"] <= window[-1].number:
            if digests.get(self._next["row"]) != self._next["digest"]:
                self._refuse()
            known.add(self._next["row"])
            self._next = next(self._lines, None)
        return known

    def finish(self) -> None:
        """Refuse results of rows that the data do not have."""
        if self._next is not None:
            self._refuse()

    def _refuse(self) -> None:
        row = self._next["row"] if self._next else None
        raise InvalidArgument(
            "data", f"another row {row} than the one in {self._out}", "the data that the results are of"
        )


def _windows(source: PairSource, settings: AuditSettings) -> Iterator[tuple[int, list[Row]]]:
    rows = source.read()
    if settings.first is not None:
        last = settings.first
        rows = takewhile(lambda row: row.number < last, rows)
    for number, window in groupby(rows, key=lambda row: row.number // settings.batch_pairs):
        yield number, list(window)


def _audit_window(loaded: LanguageModel, window: list[Row], settings: AuditSettings) -> list[dict[str, Any]]:
    records: dict[int, dict[str, Any]] = {}
    pairs: dict[int, Sequences] = {}
    for row in window:
        records[row.number] = {"row": row.number, "digest": row.digest}
        try:
            if row.pair is None:
                raise InvalidArgument("data", row.place, row.problem)
            made = tokenize_pair(loaded.tokenizer, row.pair, settings.max_tokens)
            pairs[row.number] = made.sequences
            records[row.number] |= made.fields()
        except InvalidArgument as problem:
            why = f"{row.place}: {problem if row.pair is not None else row.problem}"
            if settings.strict:
                raise refuse(why) from None
            records[row.number]["skipped"] = why
    if pairs:
        batch = list(pairs.values())
        audited = audit_pairs_that_fit(
            loaded.model, batch, loss=settings.loss, parameters=settings.parameters, dtype=settings.dtype
        )
        for number, found in zip(pairs, audited, strict=True):
            records[number] |= asdict(found)
    return list(records.values())
