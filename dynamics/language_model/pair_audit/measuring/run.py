"""The audit of a whole preference data set: read row by row, resumable, shared among processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch

from dynamics.errors import InvalidArgument, check_count
from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.kernel.remarks import input_tokens, padding_embeddings
from dynamics.language_model.loading import LanguageModel
from dynamics.language_model.pair_audit.measuring.batches import run_batches
from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs_that_fit
from dynamics.language_model.pair_audit.reading.data import PATIENCE, PairSource, Row, tokenize_rows
from dynamics.language_model.pair_audit.reading.tokens import PADDING, Sequences
from dynamics.language_model.pair_audit.reading.truncation import Truncation
from dynamics.language_model.pair_audit.results.processes import Processes
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.language_model.parameters import Filter
from dynamics.language_model.prediction.drives import NotFinite
from dynamics.losses import DPO, PreferenceLoss


@dataclass(frozen=True)
class AuditSettings:
    """How a data set is audited.

    Attributes:
        parameters: the parameters whose gradients count, as in ``sequence_kernel``.
        dtype: dtype of the computation.
        max_tokens: a pair with a longer sequence (prompt and response) is skipped, after truncation.
        truncation: how the trainer truncates sequences; by default not at all.
        batch_pairs: number of rows in one batch. Batch k holds the rows ``k * batch_pairs`` to
            ``(k + 1) * batch_pairs - 1``, whatever was computed before and however many processes there are, so that
            neither an interruption nor another number of processes changes a digit.
        first: audit only this many of the first rows; None for all.
        strict: stop at the first row that cannot be used, instead of skipping it.
        loss: preference loss of the steps that ``displaced`` is about.
    """

    parameters: Filter = None
    dtype: torch.dtype | None = None
    max_tokens: int | None = None
    truncation: Truncation = Truncation()  # noqa: RUF009 - frozen
    batch_pairs: int = 8
    first: int | None = None
    strict: bool = False
    loss: PreferenceLoss = DPO()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        check_count("batch_pairs", self.batch_pairs)
        for name, value in (("first", self.first), ("max_tokens", self.max_tokens)):
            if value is not None:
                check_count(name, value)

    def tokenize(
        self, loaded: LanguageModel, source: PairSource, wanted: Callable[[int], bool] | None = None
    ) -> PairSource:
        """Return a data set whose rows have the tokens that a trainer makes.

        Args:
            loaded: model and tokenizer.
            source: the data set.
            wanted: whether the row of a number is tokenised; by default all are.
        """
        return tokenize_rows(source, loaded.tokenizer, self.max_tokens, self.truncation, wanted)


def run_audit(
    loaded: LanguageModel,
    source: PairSource,
    results: Results,
    settings: AuditSettings,
    processes: Processes | None = None,
    progress: Callable[[int], None] | None = None,
    reference: CausalLM | None = None,
) -> None:
    """Audit every row of a data set that the results do not hold yet, and append one line for each.

    A line holds ``row`` (from 0), ``digest`` (of what stands in the row) and then either what ``TokenizedPair.fields``
    returns and the fields of ``PairAudit``, or ``skipped``: the reason. Several processes take
    the batches in turn, and each writes a part; the parts are merged at the end.

    Args:
        loaded: model and tokenizer.
        source: the data set.
        results: where the lines go; inside ``results.begin(...)``.
        settings: how to audit.
        processes: this process among those that share the work; alone if not given.
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
        records, not_finite = _audit_batch(loaded, batch, settings, reference)
        refused.extend(not_finite)
        audited += sum("skipped" not in record for record in records)
        return records

    made = settings.tokenize(loaded, source)
    run_batches(made, results, compute, settings.batch_pairs, settings.first, processes, progress)
    check_patience()  # after the last batch, too


def refuse(reason: str) -> InvalidArgument:
    """Return the error of a row that cannot be used when ``--strict`` is given.

    Args:
        reason: why, with the place of the row.
    """
    return InvalidArgument("data", f"{reason} (without --strict this row would be skipped)")


def _audit_batch(
    loaded: LanguageModel, batch: list[Row], settings: AuditSettings, reference: CausalLM | None
) -> tuple[list[dict[str, Any]], list[NotFinite]]:
    """Return the line of every row, and the errors of the pairs whose numbers are not finite."""
    records: dict[int, dict[str, Any]] = {}
    pairs: dict[int, Sequences] = {}
    places = {row.number: row.place for row in batch}

    def skip(number: int, problem: object) -> None:
        reason = f"{places[number]}: {problem}"
        if settings.strict:
            raise refuse(reason)
        records[number] = {"row": number, "digest": records[number]["digest"], "skipped": reason}

    padding = {one.padding_idx for one in padding_embeddings(loaded.model, settings.parameters).values()}
    for row in batch:
        records[row.number] = {"row": row.number, "digest": row.digest}
        if row.tokens is None or row.pair is None:
            skip(row.number, row.problem)
            continue
        try:
            for model in (loaded.model, reference):
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
        audits = audit_pairs_that_fit(
            *(loaded.model, list(pairs.values())),
            loss=settings.loss,
            reference=reference,
            parameters=settings.parameters,
            dtype=settings.dtype,
        )
        for number, audit in zip(pairs, audits, strict=True):
            if isinstance(audit, NotFinite):
                not_finite.append(audit)
                skip(number, audit)
            else:
                records[number] |= asdict(audit)
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
