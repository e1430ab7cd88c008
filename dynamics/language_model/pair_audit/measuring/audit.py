"""What every pass of an audit needs: a model, a data set, a place for the results, and how to audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from dynamics.errors import check_count
from dynamics.language_model.loading import LanguageModel
from dynamics.language_model.pair_audit.reading.data import PairSource, tokenize_rows
from dynamics.language_model.pair_audit.reading.truncation import Truncation
from dynamics.language_model.pair_audit.results.processes import Processes
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.language_model.parameters import Filter
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


@dataclass(frozen=True)
class Audit:
    """What every pass over a data set needs.

    Attributes:
        loaded: model and tokenizer.
        source: the data set.
        results: where the lines about each pair alone go; the other passes write beside them.
        settings: how the pairs are audited.
        depends_on: what the results depend on, as it is written beside them and compared when an audit continues.
        processes: this process among those that share the work; by default it is alone.
    """

    loaded: LanguageModel
    source: PairSource
    results: Results
    settings: AuditSettings
    depends_on: Mapping[str, Any] = field(default_factory=dict)
    processes: Processes = Processes()  # noqa: RUF009 - frozen

    @property
    def how(self) -> dict[str, Any]:
        """Return the parameters and the dtype of every computation, as keyword arguments."""
        return {"parameters": self.settings.parameters, "dtype": self.settings.dtype}

    def tokenize(self, wanted: Callable[[int], bool] | None = None) -> PairSource:
        """Return the data set with the tokens that a trainer makes of its rows.

        Args:
            wanted: whether the row of a number is tokenised; by default all are.
        """
        how = self.settings
        return tokenize_rows(self.source, self.loaded.tokenizer, how.max_tokens, how.truncation, wanted)
