"""What a step on the batch that a pair is in does to it, with the batches that a trainer draws."""

from __future__ import annotations

import math
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from dynamics.errors import check_count
from dynamics.language_model.causal_lm import unwrapped
from dynamics.language_model.jvp import log_probs_jvp
from dynamics.language_model.pair_audit.measuring.audit import Audit
from dynamics.language_model.pair_audit.measuring.halving import compute_in_parts
from dynamics.language_model.pair_audit.measuring.pair_set import PairSet
from dynamics.language_model.pair_audit.measuring.set_gradient import Rule, set_step
from dynamics.language_model.pair_audit.measuring.set_run import remove_others
from dynamics.language_model.pair_audit.reading.data import PairSource
from dynamics.language_model.pair_audit.reading.tokens import Sequences
from dynamics.language_model.pair_audit.results.joined import batch_results
from dynamics.language_model.precision import ROUNDING, compute_dtype
from dynamics.language_model.prediction.drives import NotFinite
from dynamics.language_model.tokens import TokenSequence
from dynamics.language_model.vjp import log_probs_vjp
from dynamics.losses import PairLogProbs

ReadPair = Callable[[int], Sequences]


@dataclass(frozen=True)
class Batches:
    """The batches of a trainer's first epoch.

    Attributes:
        size: pairs in a batch, over all devices and accumulated steps; the last batch may have fewer.
        seed: the seed of the shuffling: ``data_seed``, or else ``seed``, of the trainer.
    """

    size: int
    seed: int = 42

    def __post_init__(self) -> None:
        check_count("batch", self.size)
        check_count("seed", self.seed, minimum=0)

    def count(self, pairs: int) -> int:
        """Return the number of batches.

        Args:
            pairs: number of pairs.
        """
        return -(-pairs // self.size)

    def draw(self, count: int) -> list[list[int]]:
        """Return the places of the pairs of each batch, as the trainer of transformers (5.23) draws them on one device.

        Args:
            count: number of pairs.

        Example:
            >>> [len(batch) for batch in Batches(3, seed=0).draw(7)]
            [3, 3, 1]
        """
        order = torch.randperm(count, generator=torch.Generator().manual_seed(self.seed)).tolist()
        return [order[start : start + self.size] for start in range(0, count, self.size)]


def run_in_batches(
    audit: Audit,
    pairs: PairSet,
    batches: Batches,
    optimizer: Rule,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Compute what a step on each batch does to the pairs in it, and write one line for each batch.

    Every step starts from the model as it is: the question is how much the other pairs of a batch push a pair, and not
    where several steps lead. A line of ``audit.jsonl.batch`` holds the number of the batch as ``row``, its ``rows``,
    and the first-order changes of log pi of their ``chosen`` and ``rejected`` responses, in nats per unit of learning
    rate, and which of them are ``displaced``. An interrupted run continues with the next batch.

    Args:
        audit: model, data, settings, and the results that ``run_audit`` wrote, finished.
        pairs: the audited pairs.
        batches: how the batches are drawn, from the audited pairs.
        optimizer: as for ``run_set``.
        progress: called with the number of batches that are done.

    Raises:
        NotFinite: a derivative of the loss of a batch is not finite.
        OutOfMemory: a single sequence does not fit into memory.
    """
    if not len(pairs):
        return
    mine, drawn, beside = audit.processes, batches.draw(len(pairs)), batch_results(audit.results)
    wanted = {
        **audit.depends_on,
        "optimizer": str(optimizer),
        "pairs": pairs.digest,
        **vars(batches),
        "batches": len(drawn),
    }
    if mine.rank == 0:
        remove_others(beside, wanted)
    mine.wait()
    with beside.begin(wanted, mine):
        done = {record["row"] for record in beside.read()}
        made = audit.tokenize(lambda number: pairs.find(number) is not None)
        with _stored(made) as read, beside.writer(mine) as append:
            for number, places in enumerate(drawn):
                if number not in done and number % mine.count == mine.rank:
                    append([{"row": number, **_change_batch(audit, places, read, pairs, optimizer)}])
                if progress is not None:
                    progress(number + 1)


def _change_batch(audit: Audit, places: list[int], read: ReadPair, pairs: PairSet, optimizer: Rule) -> dict[str, Any]:
    model, settings = audit.loaded.model, audit.settings
    alone = PairLogProbs(*(part[places] for part in pairs.pair))
    partials = settings.loss.total_partials(alone, torch.full_like(alone.chosen, 1 / len(places)))
    weights = torch.stack([part.expand(len(places)) for part in partials], dim=1).flatten()
    if not bool(weights.isfinite().all()):
        rows = pairs.rows[places].tolist()
        raise NotFinite("loss", f"the derivative of {settings.loss} on the batch of rows {rows} is not finite")
    sequences = [sequence for place in places for sequence in read(place)]
    used = [number for number, weight in enumerate(weights.tolist()) if weight != 0]
    gradient = log_probs_vjp(model, [sequences[n] for n in used], weights[used], **audit.how)
    step = set_step(audit.loaded, gradient, optimizer)

    def change(some: Sequence[TokenSequence]) -> torch.Tensor:
        return log_probs_jvp(model, step, some, dtype=settings.dtype)

    changes = torch.cat(compute_in_parts(change, sequences, "responses")).reshape(-1, 2)
    length = math.sqrt(sum(float(part.double().square().sum()) for part in step.values()))
    rounding = length * ROUNDING[compute_dtype(unwrapped(model), settings.dtype)] * pairs.norm_chosen[places]
    finite = changes.isfinite().all(dim=1)
    return {
        "rows": pairs.rows[places].tolist(),
        "chosen": [value if known else None for value, known in zip(changes[:, 0].tolist(), finite, strict=True)],
        "rejected": [value if known else None for value, known in zip(changes[:, 1].tolist(), finite, strict=True)],
        "displaced": (finite & (changes[:, 0] < -rounding)).tolist(),
    }


@contextmanager
def _stored(source: PairSource) -> Iterator[ReadPair]:
    """Keep the tokens of all pairs that have some in a temporary file, from which any pair can be read."""
    starts, prompts = array("q", [0]), array("q")
    with tempfile.TemporaryFile() as file:
        for row in source.read():
            if row.tokens is not None:
                for sequence in row.tokens.sequences:
                    file.write(array("q", sequence.ids).tobytes())
                    starts.append(starts[-1] + len(sequence.ids))
                    prompts.append(sequence.prompt_tokens)

        def read_sequence(number: int) -> TokenSequence:
            file.seek(8 * starts[number])
            ids = array("q", file.read(8 * (starts[number + 1] - starts[number])))
            return TokenSequence(tuple(ids), prompts[number])

        yield lambda place: Sequences(read_sequence(2 * place), read_sequence(2 * place + 1))
