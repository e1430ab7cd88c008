"""Many steps of many runs at once: losses, learning rates and seeds are axes of one tensor program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dynamics.errors import ArrayLike, InvalidArgument, check_count, check_nonnegative
from dynamics.finite.loss_stack import as_tuple, stack_losses
from dynamics.finite.named_axes import loss_labels, select, to_dataset
from dynamics.finite.run_settings import check_run_settings
from dynamics.finite.state import advance
from dynamics.losses import DPO, PreferenceLoss
from dynamics.optimizers import Optimizer
from dynamics.policies import Policy
from dynamics.preferences import Preferences
from dynamics.shapes import RecordedLogProbs, RecordedRatio, RecordedTheta

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

RUN_AXES = ("loss", "learning_rate", "seed")
RESPONSE_AXES = ("prompt", "response")


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Recorded runs as arrays with named axes.

    Attributes:
        log_probs: log pi (nats), axes ``axes``: (step, loss, learning_rate, seed, [prompt,] response). NaN in a run
            from the record at which its parameters have overflowed; the other runs are not affected.
        theta: parameters after the last step, (loss, learning_rate, seed, parameters).
        steps: number of updates made before each record, starting with 0.
        losses: the losses along their axis.
        learning_rates: the learning rates along their axis.
        axes: names of the axes of ``log_probs``.
    """

    log_probs: RecordedLogProbs
    theta: RecordedTheta
    steps: np.ndarray
    losses: tuple[PreferenceLoss, ...]
    learning_rates: tuple[float, ...]
    axes: tuple[str, ...]

    def log_ratio(self, chosen: int, rejected: int, prompt: int = 0) -> RecordedRatio:
        """Return log pi(chosen) - log pi(rejected) in nats, axes (step, loss, learning_rate, seed)."""
        prompts = self.log_probs.shape[-2] if "prompt" in self.axes else 1
        sizes = {"prompt": prompts, "chosen": self.log_probs.shape[-1], "rejected": self.log_probs.shape[-1]}
        for (name, size), value in zip(sizes.items(), (prompt, chosen, rejected), strict=True):
            if check_count(name, value, minimum=0) >= size:
                raise InvalidArgument(name, value, f"a whole number from 0 to {size - 1}")
        rows = self.log_probs[..., prompt, :] if "prompt" in self.axes else self.log_probs
        return rows[..., chosen] - rows[..., rejected]

    def to_xarray(self) -> Dataset:
        """Return the runs as an xarray.Dataset with ``log_probs`` and ``theta``, whose axes have names and labels.

        Losses are labelled by what they print as, such as "DPO(beta=0.1)"; learning rates and steps by themselves.
        """
        labels = {"step": self.steps, "loss": loss_labels(self.losses), "learning_rate": self.learning_rates}
        of_theta = (*RUN_AXES, "parameter")
        return to_dataset({"log_probs": (self.axes, self.log_probs), "theta": (of_theta, self.theta)}, labels)

    def sel(self, **labels: Any) -> DataArray:
        """Return log pi (nats) of the runs with these labels, as an xarray.DataArray; the other axes stay.

        Args:
            labels: label, or list of labels, by axis: ``loss`` (a loss, or what it prints as), ``learning_rate``,
                ``seed``, ``step`` (number of updates made), ``prompt``, ``response``.

        Raises:
            InvalidArgument: no such axis, or a label that is not on it.

        Example:
            >>> from dynamics import DPO, Tabular, pairs, simulate
            >>> runs = simulate(Tabular(3), [0.0] * 3, pairs(0, 1, shape=(3,)), learning_rate=[0.5, 1.0], steps=10)
            >>> chosen = runs.sel(response=0, seed=0, loss=DPO(beta=0.1))
            >>> chosen.dims, bool((chosen.diff("step") > 0).all())
            (('step', 'learning_rate'), True)
        """
        return select(self.to_xarray().log_probs, labels)

    def table(self) -> dict[str, np.ndarray]:
        """Return the long table: one column for each axis and one for log_prob, ready for a data frame."""
        labels: dict[str, np.ndarray] = {
            "step": self.steps,
            "loss": np.array(loss_labels(self.losses)),
            "learning_rate": np.array(self.learning_rates),
        }
        columns = [
            labels.get(axis, np.arange(size)) for axis, size in zip(self.axes, self.log_probs.shape, strict=True)
        ]
        grid = np.meshgrid(*columns, indexing="ij")
        table = {axis: values.ravel() for axis, values in zip(self.axes, grid, strict=True)}
        table["log_prob"] = self.log_probs.cpu().numpy().ravel()
        return table


def simulate(
    policy: Policy,
    theta: ArrayLike,
    preferences: Preferences,
    *,
    loss: PreferenceLoss | Sequence[PreferenceLoss] | None = None,
    learning_rate: float | Sequence[float] = 0.1,
    steps: int = 100,
    seeds: int = 1,
    minibatch: int | None = None,
    generator: torch.Generator | None = None,
    reference: ArrayLike | None = None,
    optimizer: Optimizer | None = None,
    record_every: int = 1,
) -> Trajectory:
    """Run every loss with every learning rate on every seed, together.

    Args:
        policy: the finite policy.
        theta: where all runs start, ``(parameters,)``, or one start for each seed, ``(seeds, parameters)``.
        preferences: weighted pairs; with weights ``(seeds, pairs)``, one weighting for each seed.
        loss: one loss or several; DPO(beta=0.1) if not given.
        learning_rate: one learning rate or several, >= 0.
        steps: number of updates.
        seeds: number of runs that differ by their start or their minibatches.
        minibatch: pairs drawn for each update; None for the expected gradient over all pairs. Every loss and
            learning rate sees the same draws (common random numbers), every seed its own.
        generator: source of the minibatches; required with ``minibatch``.
        reference: log ref (nats), of the policy's shape or ``(seeds, *shape)``; the policy at the start if not given.
        optimizer: ``SGD()`` (if not given) or ``AdamW()``.
        record_every: record after every that many updates; the start and the end are always recorded.

    Returns:
        The recorded runs.

    Raises:
        InvalidArgument: an argument that cannot be used; the message names it.

    Example:
        >>> from dynamics import DPO, Tabular, pairs, simulate, tabular_theta
        >>> runs = simulate(
        ...     Tabular(3), tabular_theta([0.2, 0.3, 0.5]), pairs(0, 1, shape=(3,)),
        ...     loss=[DPO(beta=0.1), DPO(beta=1.0)], learning_rate=1.0, steps=10,
        ... )
        >>> runs.axes, tuple(runs.log_probs.shape)
        (('step', 'loss', 'learning_rate', 'seed', 'response'), (11, 2, 1, 1, 3))
    """
    losses = as_tuple("loss", DPO() if loss is None else loss, PreferenceLoss, "loss")
    rates = as_tuple("learning_rate", learning_rate, (int, float), "number")
    for rate in rates:
        check_nonnegative("learning_rate", rate)
    settings = check_run_settings(
        policy,
        theta,
        preferences,
        steps=steps,
        seeds=seeds,
        minibatch=minibatch,
        generator=generator,
        reference=reference,
        optimizer=optimizer,
        record_every=record_every,
    )
    grid = (len(losses), len(rates), seeds)
    record, row_of = settings.empty_record(grid), settings.rows()
    stack = stack_losses(losses, policy, axes=len(grid))
    rate_of_run = torch.tensor(rates, dtype=policy.dtype, device=policy.device).reshape(1, -1, 1, 1)
    state, batches = settings.first_state(grid), settings.batches()
    for t in range(steps + 1):
        if t in row_of:
            record[row_of[t]] = state.log_probs
        if t < steps:
            state = advance(state, next(batches), stack, rate_of_run)
    axes = ("step", *RUN_AXES, *RESPONSE_AXES[-len(policy.shape) :])
    return Trajectory(record, state.theta, settings.recorded, losses, rates, axes)
