"""The audited pairs of a data set as one objective: the mean of their losses, and its derivatives for each pair."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynamics.language_model.pair_audit.results.store import Results
from dynamics.language_model.prediction.drives import NotFinite
from dynamics.losses import PairLogProbs, PreferenceLoss

_COLUMNS = (
    *("log_prob_chosen", "log_prob_rejected", "reference_chosen", "reference_rejected"),
    *("tokens_chosen", "tokens_rejected", "norm_chosen", "inner_product"),
)


@dataclass(frozen=True, eq=False)
class PairSet:
    """The audited pairs of a data set. Less than 100 bytes for each pair are kept.

    Attributes:
        rows: the row of each pair, increasing, ``(pairs,)``.
        end: number of rows of the data set that the results hold, skipped ones included.
        pair: log-probabilities (nats) and lengths of the pairs, each ``(pairs,)``.
        of_chosen: dL/dlog pi(chosen) of each pair, where L is the mean of the losses, ``(pairs,)``.
        of_rejected: dL/dlog pi(rejected).
        own_change: what the pair itself contributes to the first-order change of its log pi(chosen), in nats per unit
            of learning rate, when SGD takes a step on L.
        norm_chosen: ||g_w|| of each pair.
        digest: identifies the pairs and their part in L.
    """

    rows: np.ndarray
    end: int
    pair: PairLogProbs
    of_chosen: Tensor
    of_rejected: Tensor
    own_change: Tensor
    norm_chosen: Tensor
    digest: str

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, row: int) -> int | None:
        """Return the place of the pair of a row; None if the row holds no audited pair."""
        place = int(np.searchsorted(self.rows, row))
        return place if place < len(self.rows) and self.rows[place] == row else None


def read_pair_set(results: Results, loss: PreferenceLoss) -> PairSet:
    """Read the audited pairs from the results of the pass that audits each pair alone.

    Args:
        results: what ``run_audit`` wrote.
        loss: the preference loss. A loss of a batch sees the whole set as one batch.

    Raises:
        NotFinite: a derivative of the loss of the set is not finite.
    """
    rows, values = array("q"), [array("d") for _ in _COLUMNS]
    hashed = hashlib.sha256()
    end = 0
    for record in results.read():
        end = record["row"] + 1
        if "skipped" in record:
            continue
        rows.append(record["row"])
        hashed.update(f"{record['row']} {record['digest']} ".encode())
        for column, name in zip(values, _COLUMNS, strict=True):
            column.append(record[name])
    tensors = [torch.tensor(column, dtype=torch.float64) for column in values]
    pair = PairLogProbs(*tensors[:6])
    norms, overlap = tensors[6:]
    partials = loss.total_partials(pair, torch.full_like(pair.chosen, 1 / max(1, len(rows))))
    of_chosen, of_rejected = (part.expand(pair.chosen.shape).contiguous() for part in partials)
    if not bool(of_chosen.isfinite().all() & of_rejected.isfinite().all()):
        raise NotFinite("loss", f"the derivative of {loss} on the whole data set is not finite")
    for part in (of_chosen, of_rejected):
        hashed.update(part.numpy().tobytes())
    own = -(of_chosen * norms.square() + of_rejected * overlap)
    return PairSet(
        np.asarray(rows, dtype=np.int64), end, pair, of_chosen, of_rejected, own, norms, hashed.hexdigest()[:16]
    )
