"""The audit of a whole preference data set: read row by row, resumable, shared among processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, cast

import torch

from dynamics.errors import InvalidArgument
from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.kernel.remarks import input_tokens, padding_embeddings
from dynamics.language_model.pair_audit.measuring.audit import Audit
from dynamics.language_model.pair_audit.measuring.batches import run_batches
from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs_that_fit
from dynamics.language_model.pair_audit.reading.data import PATIENCE, Row
from dynamics.language_model.pair_audit.reading.tokens import PADDING, Sequences
from dynamics.language_model.prediction.drives import NotFinite


def run_audit(audit: Audit, progress: Callable[[int], None] | None = None, reference: CausalLM | None = None) -> None:
    """Audit every row of a data set that the results do not hold yet, and append one line for each.

    A line holds ``row`` (from 0), ``digest`` (of what stands in the row) and then either what ``TokenizedPair.fields``
    returns and the fields of ``PairAudit``, or ``skipped``: the reason. Several processes take
    the batches in turn, and each writes a part; the parts are merged at the end.

    Args:
        audit: model, data, results and settings; inside ``results.begin(...)``.
        progress: called after every batch with the number of rows that are done.
        reference: the reference model of the loss; by default the model itself.

    Raises:
        InvalidArgument: the results are those of other data; with ``strict``, a row cannot be used; none of the first
            100 pairs has finite scores.
        OutOfMemory: a single pair does not fit into memory.
    """
    refused: list[NotFinite] = []
    audited = 0

    def check_patience() -> None:
        if len(refused) >= PATIENCE and not audited:
            raise refused[0]

    def compute(batch: list[Row]) -> list[dict[str, Any]]:
        nonlocal audited
        check_patience()
        records, not_finite = _audit_batch(audit, batch, reference)
        refused.extend(not_finite)
        audited += sum("skipped" not in record for record in records)
        return records

    size, first = audit.settings.batch_pairs, audit.settings.first
    run_batches(audit.tokenize(), audit.results, compute, size, first, audit.processes, progress)
    check_patience()  # after the last batch, too


def refuse(reason: str) -> InvalidArgument:
    """Return the error of a row that cannot be used when ``--strict`` is given.

    Args:
        reason: why, with the place of the row.
    """
    return InvalidArgument("data", f"{reason} (without --strict this row would be skipped)")


def _audit_batch(
    audit: Audit, batch: list[Row], reference: CausalLM | None
) -> tuple[list[dict[str, Any]], list[NotFinite]]:
    """Return the line of every row, and the errors of the pairs whose numbers are not finite."""
    records: dict[int, dict[str, Any]] = {}
    pairs: dict[int, Sequences] = {}
    places = {row.number: row.place for row in batch}

    def skip(number: int, problem: object) -> None:
        reason = f"{places[number]}: {problem}"
        if audit.settings.strict:
            raise refuse(reason)
        records[number] = {"row": number, "digest": records[number]["digest"], "skipped": reason}

    given = audit.loaded.model
    padding = {one.padding_idx for one in padding_embeddings(given, audit.settings.parameters).values()}
    for row in batch:
        records[row.number] = {"row": row.number, "digest": row.digest}
        if row.tokens is None or row.pair is None:
            skip(row.number, row.problem)
            continue
        try:
            for model in (given, reference):
                if model is not None:
                    _check_vocabulary(model, row.tokens.sequences, row.pair.ids is None)
        except InvalidArgument as problem:
            skip(row.number, problem)
            continue
        pairs[row.number] = row.tokens.sequences
        tokenized = row.tokens
        if not padding.isdisjoint(input_tokens(tokenized.sequences)):
            tokenized = replace(tokenized, remarks=(*tokenized.remarks, PADDING))
        records[row.number] |= tokenized.fields()
    not_finite = []
    if pairs:
        how: dict[str, Any] = {"loss": audit.settings.loss, "reference": reference, **audit.how}
        numbers = audit_pairs_that_fit(given, list(pairs.values()), **how)
        for row_number, found in zip(pairs, numbers, strict=True):
            if isinstance(found, NotFinite):
                not_finite.append(found)
                skip(row_number, found)
            else:
                records[row_number] |= asdict(found)
    return list(records.values()), not_finite


def _check_vocabulary(model: CausalLM, sequences: Sequences, tokenizer: bool) -> None:
    """Refuse tokens that the tokenizer knows and the model does not."""
    size = cast(torch.Tensor, model.get_input_embeddings().weight).shape[0]
    for sequence in sequences:
        largest = max(sequence.ids)
        if largest >= size:
            known = f"the model knows only the tokens 0 to {size - 1}"
            if not tokenizer:
                raise InvalidArgument("tokens", f"the row holds token {largest}, but {known}")
            remedy = "use the tokenizer that belongs to the model"
            raise InvalidArgument("tokenizer", f"it makes token {largest}, but {known}; {remedy}")
