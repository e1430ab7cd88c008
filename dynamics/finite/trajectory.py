"""Many steps of many runs at once: losses, learning rates and seeds are axes of one tensor program."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynamics.errors import (
    ArrayLike,
    InvalidArgument,
    check_count,
    check_generator,
    check_kind,
    check_log_probs,
    check_nonnegative,
    check_shape,
    to_tensor,
)
from dynamics.gradient import check_preferences, flat_log_probs, objective_cotangent, response_lengths
from dynamics.losses import DPO, PreferenceLoss
from dynamics.optimizers import SGD, Moments, Optimizer, check_optimizer
from dynamics.policies import Policy, check_theta
from dynamics.preferences import Preferences

LARGEST_RECORD = 8 * 2**30  # bytes
MOST_VALUES = 100_000  # along the axis of losses or of learning rates


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Recorded runs as arrays with named axes.

    Attributes:
        log_probs: log pi (nats), axes ``axes``: (step, loss, learning_rate, seed, [prompt,] response). NaN in a run
            from where its parameters left the range of floats; the other runs do not notice.
        theta: parameters after the last step, (loss, learning_rate, seed, parameters).
        steps: number of updates made before each record, starting with 0.
        losses: the losses along their axis.
        learning_rates: the learning rates along their axis.
        axes: names of the axes of ``log_probs``.
    """

    log_probs: Tensor
    theta: Tensor
    steps: np.ndarray
    losses: tuple[PreferenceLoss, ...]
    learning_rates: tuple[float, ...]
    axes: tuple[str, ...]

    def log_ratio(self, chosen: int, rejected: int, prompt: int = 0) -> Tensor:
        """Return log pi(chosen) - log pi(rejected) in nats, axes (step, loss, learning_rate, seed)."""
        prompts = self.log_probs.shape[-2] if "prompt" in self.axes else 1
        sizes = {"prompt": prompts, "chosen": self.log_probs.shape[-1], "rejected": self.log_probs.shape[-1]}
        for (name, size), value in zip(sizes.items(), (prompt, chosen, rejected), strict=True):
            if check_count(name, value, minimum=0) >= size:
                raise InvalidArgument(name, value, f"a whole number from 0 to {size - 1}")
        rows = self.log_probs[..., prompt, :] if "prompt" in self.axes else self.log_probs
        return rows[..., chosen] - rows[..., rejected]

    def table(self) -> dict[str, np.ndarray]:
        """Return the long table: one column for each axis and one for log_prob, ready for a data frame."""
        labels: dict[str, np.ndarray] = {
            "step": self.steps,
            "loss": np.array([repr(loss) for loss in self.losses]),
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
        InvalidArgument: which argument, what was got, what is allowed.

    Example:
        >>> from dynamics import DPO, Tabular, pairs, simulate, tabular_theta
        >>> runs = simulate(
        ...     Tabular(3), tabular_theta([0.2, 0.3, 0.5]), pairs(0, 1, shape=(3,)),
        ...     loss=[DPO(beta=0.1), DPO(beta=1.0)], learning_rate=1.0, steps=10,
        ... )
        >>> runs.axes, tuple(runs.log_probs.shape)
        (('step', 'loss', 'learning_rate', 'seed', 'response'), (11, 2, 1, 1, 3))
    """
    losses = _as_tuple("loss", DPO() if loss is None else loss, PreferenceLoss)
    rates = _as_tuple("learning_rate", learning_rate, (int, float))
    for rate in rates:
        check_nonnegative("learning_rate", rate)
    optimizer = SGD() if optimizer is None else optimizer
    check_kind("preferences", preferences, Preferences, "Preferences, as pairs() or preference_matrix() make them")
    check_count("steps", steps, minimum=0)
    check_count("seeds", seeds)
    check_count("record_every", record_every)
    if minibatch is not None:
        check_count("minibatch", minibatch)
        check_generator(generator, preferences.weight.device)
    for name, value in (("chosen", preferences.chosen), ("weight", preferences.weight)):
        check_per_seed(f"preferences.{name}", value, seeds)
    grid = (len(losses), len(rates), seeds)
    start = check_per_seed("theta", check_theta(policy, theta, batched=True), seeds)
    check_optimizer(optimizer, None, start)
    initial = flat_log_probs(policy, start)
    check_preferences(policy, initial, preferences)
    _check_size(policy, math.prod(grid), steps, record_every)
    theta_now = start.expand(*grid, policy.parameters).clone(memory_format=torch.contiguous_format)
    base = flat_reference(policy, initial, reference, seeds)
    rate_of_run = torch.tensor(rates, dtype=policy.dtype, device=policy.device).reshape(1, -1, 1, 1)
    groups = _group(losses, policy)
    lengths = response_lengths(policy)
    recorded = [*range(0, steps, record_every), steps]
    record = torch.empty(len(recorded), *grid, *policy.shape, dtype=policy.dtype, device=policy.device)
    rows = iter(range(len(recorded)))
    state: Moments | None = None
    wanted = set(recorded)
    for t in range(steps + 1):
        theta_now.requires_grad_()
        with torch.enable_grad():
            log_probs = flat_log_probs(policy, theta_now)
        values = log_probs.detach()
        if t in wanted:
            record[next(rows)] = values.reshape(*grid, *policy.shape)
        if t == steps:
            break
        batch = preferences
        if minibatch is not None and generator is not None:
            batch = preferences.sample(minibatch, generator, runs=(seeds,))
        parts = [objective_cotangent(values[rows_], base, batch, loss_, lengths) for rows_, loss_ in groups]
        cotangent = parts[0] if len(parts) == 1 else torch.cat(parts)
        (gradient,) = torch.autograd.grad(log_probs, theta_now, cotangent)
        theta_now = theta_now.detach()
        change, state = optimizer.update(gradient, theta_now, rate_of_run, state)
        theta_now += change
    axes = (
        "step",
        "loss",
        "learning_rate",
        "seed",
        *(("prompt", "response") if len(policy.shape) == 2 else ("response",)),
    )
    return Trajectory(record, theta_now.detach(), np.array(recorded), losses, rates, axes)


def _as_tuple(argument: str, value: object, kind: type | tuple[type, ...]) -> tuple:
    if isinstance(value, kind):
        return (value,)
    items: tuple = ()
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.size <= MOST_VALUES:
        items = tuple(value.tolist())
    elif isinstance(value, Sequence) and len(value) <= MOST_VALUES:
        items = tuple(value)
    if not items or not all(isinstance(item, kind) for item in items):
        raise InvalidArgument(argument, value, "one of them, or a non-empty list of them")
    return items


def _check_size(policy: Policy, runs: int, steps: int, record_every: int) -> None:
    """Refuse a record, or a set of parameters, that will not fit: before anything is made that long."""
    size = runs * torch.finfo(policy.dtype).bits // 8
    if size * policy.parameters > LARGEST_RECORD:
        got = f"{runs} runs of {policy.parameters} parameters"
        raise InvalidArgument("loss, learning_rate, seeds", got, f"at most {LARGEST_RECORD / 2**30:.0f} GiB of them")
    size *= (-(-steps // record_every) + 1) * math.prod(policy.shape)
    if size > LARGEST_RECORD:
        allowed = f"a larger number: this record would take {size / 2**30:.1f} GiB"
        raise InvalidArgument("record_every", record_every, allowed)


def check_per_seed(argument: str, value: Tensor, seeds: int) -> Tensor:
    """Refuse what is neither one row for all seeds nor one row for each."""
    if (value.ndim == 2 and value.shape[0] not in (1, seeds)) or value.ndim > 2:
        raise InvalidArgument(argument, f"shape {tuple(value.shape)}", f"({value.shape[-1]},) or ({seeds}, ...)")
    return value


def flat_reference(policy: Policy, initial: Tensor, reference: ArrayLike | None, seeds: int) -> Tensor:
    """Return log ref (nats) with prompts and responses in one axis; ``initial`` if no other reference is given."""
    if reference is None:
        return initial
    base = to_tensor("reference", reference, dtype=policy.dtype, device=policy.device)
    check_shape("reference", base, policy.shape, batched=True)
    flat = check_log_probs("reference", base).flatten(start_dim=base.ndim - len(policy.shape))
    return check_per_seed("reference", flat, seeds)


def _group(losses: tuple[PreferenceLoss, ...], policy: Policy) -> list[tuple[slice, PreferenceLoss]]:
    """Join neighbouring losses of one class into one loss whose numbers are tensors over the loss axis."""
    groups: list[tuple[slice, PreferenceLoss]] = []
    start = 0
    for end in range(1, len(losses) + 1):
        if end == len(losses) or _kind(losses[end]) != _kind(losses[start]):
            groups.append((slice(start, end), _stack(losses[start:end], policy)))
            start = end
    return groups


def _kind(loss: PreferenceLoss) -> tuple:
    """Return what must agree for two losses to share a program: the class and every field that is not a number.

    A loss that holds a tensor shares with none: the repr of a tensor is rounded.
    """
    values = {f.name: getattr(loss, f.name) for f in dataclasses.fields(loss)}  # type: ignore[arg-type]
    fixed = tuple((name, v) for name, v in values.items() if isinstance(v, bool) or not isinstance(v, (int, float)))
    return type(loss), repr(fixed), id(loss) if "tensor(" in repr(fixed) else None


def _stack(losses: Sequence[PreferenceLoss], policy: Policy) -> PreferenceLoss:
    if len(losses) == 1:
        return losses[0]
    numbers = {}
    for field in dataclasses.fields(losses[0]):  # type: ignore[arg-type]
        values = [getattr(loss, field.name) for loss in losses]
        if not isinstance(values[0], bool) and isinstance(values[0], (int, float)):
            numbers[field.name] = torch.tensor(values, dtype=policy.dtype, device=policy.device).reshape(-1, 1, 1, 1)
    return dataclasses.replace(losses[0], **numbers)  # type: ignore[type-var]
