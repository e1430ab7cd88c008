"""What a run of several steps is made of: pairs, the batch and the learning rate of every step, the loss."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dynamics.errors import ArrayLike, InvalidArgument, check_count, check_finite, check_shape, to_tensor
from dynamics.gradient import objective_cotangent
from dynamics.language_model.prediction.drives import check_loss, check_rate, response_lengths
from dynamics.language_model.tokens import Pair, TokenSequence, read_pairs, read_sequences
from dynamics.losses import PreferenceLoss
from dynamics.preferences import pairs as make_pairs

Batches = int | Sequence[Sequence[int]] | None
BATCHES = "None for all pairs in every step, the size of a batch, or a list of pair numbers for every step"


@dataclass(frozen=True, eq=False)
class LogProbPath:
    """log pi of some responses along a run, after every step.

    Attributes:
        log_probs: log pi in nats, ``(steps + 1, sequences)``, float64; the first row is before the run. The sequences
            are chosen and rejected response of the first pair, of the second pair, ..., then the others.
        times: sum of the learning rates of the steps so far, ``(steps + 1,)``; that of its first group of parameters,
            where ``train`` was given an optimizer of torch with several.
        pairs: number of pairs.
    """

    log_probs: Tensor
    times: Tensor
    pairs: int

    @property
    def change(self) -> Tensor:
        """Return the change of log pi since the beginning, ``(steps + 1, sequences)``."""
        return self.log_probs - self.log_probs[0]

    @property
    def chosen(self) -> Tensor:
        """Return log pi of the chosen responses, ``(steps + 1, pairs)``."""
        return self.log_probs[:, 0 : 2 * self.pairs : 2]

    @property
    def rejected(self) -> Tensor:
        """Return log pi of the rejected responses, ``(steps + 1, pairs)``."""
        return self.log_probs[:, 1 : 2 * self.pairs : 2]

    @property
    def others(self) -> Tensor:
        """Return log pi of the other responses, ``(steps + 1, others)``."""
        return self.log_probs[:, 2 * self.pairs :]


@dataclass(frozen=True, eq=False)
class Plan:
    """A run that has been checked.

    Attributes:
        sequences: chosen and rejected response of every pair, then the others.
        pairs: number of pairs.
        batches: numbers of the pairs of every step.
        rates: learning rate of every step; empty where an optimizer has its own.
        loss: the loss, whose mean over the pairs of a batch is the objective.
        reference: log ref of the responses of the pairs, ``(2 pairs,)``; None for the model before the run.
    """

    sequences: tuple[TokenSequence, ...]
    pairs: int
    batches: tuple[tuple[int, ...], ...]
    rates: tuple[float, ...]
    loss: PreferenceLoss
    reference: Tensor | None

    @property
    def of_pairs(self) -> tuple[TokenSequence, ...]:
        """Return the sequences of the pairs."""
        return self.sequences[: 2 * self.pairs]

    @property
    def times(self) -> Tensor:
        """Return the sum of the learning rates before every step, and after the last."""
        return torch.tensor([0.0, *self.rates], dtype=torch.float64).cumsum(0)

    def weights(self, step: int, log_probs: Tensor, reference: Tensor) -> Tensor:
        """Return dL/dlog pi of the responses of all pairs, ``(2 pairs,)``, where L is the mean loss of one batch.

        Args:
            step: the number of the step, from 0.
            log_probs: log pi of the responses of the pairs, ``(2 pairs,)``.
            reference: log ref of the same.
        """
        numbers = torch.tensor(self.batches[step])
        chosen = make_pairs(2 * numbers, 2 * numbers + 1, shape=(2 * self.pairs,))
        lengths = response_lengths(self.of_pairs)
        found = objective_cotangent(log_probs, reference, chosen, self.loss, lengths)
        if not bool(found.isfinite().all()):
            sentence = f"the derivative of {self.loss} is not finite at step {step}; use a smaller learning rate"
            raise InvalidArgument("loss", sentence)
        return found


def make_plan(
    pairs: Iterable[Pair],
    steps: int,
    others: Iterable[TokenSequence],
    loss: PreferenceLoss | None,
    learning_rate: float | Sequence[float] | None,
    reference: ArrayLike | None,
    batches: Batches,
    seed: int,
) -> Plan:
    """Check what a run is made of; the arguments are those of ``predict_path``.

    Raises:
        InvalidArgument: arguments of the wrong kind, or that do not fit each other.

    Example:
        >>> pair = TokenSequence((1, 2), 1), TokenSequence((1, 3), 1)
        >>> make_plan([pair, pair], 3, (), None, [0.1, 0.2, 0.3], None, 1, seed=0).batches
        ((1,), (0,), (0,))
    """
    check_count("steps", steps)
    check_count("seed", seed, minimum=0)
    found = read_pairs(pairs)
    more = () if isinstance(others, (list, tuple)) and not others else read_sequences(others, "others")
    count = len(found)
    ref = None
    if reference is not None:
        ref = check_finite("reference", check_shape("reference", to_tensor("reference", reference), (2 * count,)))
    return Plan(
        (*(sequence for pair in found for sequence in pair), *more),
        count,
        _batches(batches, steps, count, seed),
        _rates(learning_rate, steps),
        check_loss(loss),
        None if ref is None else ref.to(torch.float64),
    )


def _rates(given: float | Sequence[float] | None, steps: int) -> tuple[float, ...]:
    if given is None:
        return ()
    if isinstance(given, (list, tuple)):
        if len(given) != steps:
            raise InvalidArgument("learning_rate", f"there are {len(given)} rates for {steps} steps; give one for each")
        for rate in given:
            check_rate(rate)
        return tuple(map(float, given))
    check_rate(given)  # type: ignore[arg-type]
    return (float(given),) * steps  # type: ignore[arg-type]


def _batches(given: Batches, steps: int, pairs: int, seed: int) -> tuple[tuple[int, ...], ...]:
    if given is None:
        return (tuple(range(pairs)),) * steps
    if isinstance(given, int) and not isinstance(given, bool):
        check_count("batches", given)
        return _drawn(min(given, pairs), steps, pairs, seed)
    if not isinstance(given, (list, tuple)):
        raise InvalidArgument("batches", given, BATCHES)
    if len(given) != steps:
        raise InvalidArgument("batches", f"there are {len(given)} batches for {steps} steps; give one for each")
    found = []
    for number, batch in enumerate(given):
        allowed = f"numbers of pairs below {pairs}, at least one and none twice"
        good = isinstance(batch, (list, tuple, range)) and len(batch) == len(set(map(str, batch))) > 0
        if not good or not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < pairs for n in batch):
            raise InvalidArgument(f"batches[{number}]", batch, allowed)
        found.append(tuple(batch))
    return tuple(found)


def _drawn(size: int, steps: int, pairs: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """Return batches of a size, drawn in passes over all pairs, each in a new order; the rest of a pass is left out."""
    draw = random.Random(seed)
    found: list[tuple[int, ...]] = []
    while len(found) < steps:
        order = draw.sample(range(pairs), pairs)
        found += [tuple(order[start : start + size]) for start in range(0, pairs - size + 1, size)]
    return tuple(found[:steps])
