"""The arguments that ``simulate`` and ``stable_po`` share: checked in one place, returned in the form the loops use."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynamics.errors import ArrayLike, InvalidArgument, check_count, check_generator, check_kind
from dynamics.evaluation import flat_log_probs
from dynamics.finite.state import State, check_reference
from dynamics.gradient import check_preferences
from dynamics.optimizers import SGD, Optimizer, check_optimizer
from dynamics.policies import Policy, check_theta
from dynamics.preferences import Preferences

LARGEST_RECORD = 8 * 2**30
"""Bytes of the largest record, and of the largest batch of parameters, that is made."""


@dataclass(frozen=True, eq=False)
class RunSettings:
    """What a batch of runs needs, whatever its objective.

    Attributes:
        policy: the finite policy.
        start: parameters, ``(parameters,)`` or ``(seeds, parameters)``.
        preferences: all pairs.
        reference: log ref (nats), of the policy's shape, or one for each seed.
        optimizer: the update rule.
        steps: number of updates.
        seeds: number of runs that differ by their start or their minibatches.
        minibatch: pairs in a batch; None for all.
        generator: source of the minibatches.
        record_every: record after every that many updates; the start and the end are always recorded.
    """

    policy: Policy
    start: Tensor
    preferences: Preferences
    reference: Tensor
    optimizer: Optimizer
    steps: int
    seeds: int
    minibatch: int | None
    generator: torch.Generator | None
    record_every: int

    @property
    def recorded(self) -> np.ndarray:
        """Return the numbers of updates at which to record."""
        return np.append(np.arange(0, self.steps, self.record_every), self.steps)

    def rows(self) -> dict[int, int]:
        """Return the row of the record for every number of updates at which to record."""
        return {t: row for row, t in enumerate(self.recorded.tolist())}

    def first_state(self, grid: tuple[int, ...]) -> State:
        """Return the state of all runs, whose axes are ``grid``; the last one is that of the seeds."""
        theta = self.start.expand(*grid, self.policy.parameters).clone(memory_format=torch.contiguous_format)
        return State(self.policy, theta, self.reference, self.optimizer)

    def batches(self) -> Iterator[Preferences]:
        """Yield the pairs of every update."""
        for _ in range(self.steps):
            if self.minibatch is None or self.generator is None:
                yield self.preferences
            else:
                yield self.preferences.sample(self.minibatch, self.generator, runs=(self.seeds,))

    def empty_record(self, grid: tuple[int, ...]) -> Tensor:
        """Return an empty tensor for log pi of every run at every recorded update; refuse one that is too large."""
        runs, policy = math.prod(grid), self.policy
        size = runs * torch.finfo(policy.dtype).bits // 8
        if size * policy.parameters > LARGEST_RECORD:
            raise InvalidArgument(
                "seeds",
                f"the parameters of {runs} runs need {_gib(size * policy.parameters)}; use fewer seeds or settings",
            )
        records = -(-self.steps // self.record_every) + 1
        size *= records * math.prod(policy.shape)
        if size > LARGEST_RECORD:
            raise InvalidArgument("record_every", f"{records} records need {_gib(size)}; use a larger record_every")
        return torch.empty(records, *grid, *policy.shape, dtype=policy.dtype, device=policy.device)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB, where at most {LARGEST_RECORD / 2**30:.0f} GiB are allowed"


def check_run_settings(
    policy: Policy,
    theta: ArrayLike,
    preferences: Preferences,
    *,
    steps: int,
    seeds: int,
    minibatch: int | None,
    generator: torch.Generator | None,
    reference: ArrayLike | None,
    optimizer: Optimizer | None,
    record_every: int,
) -> RunSettings:
    """Check the arguments of a batch of runs and return them in the form that the loops use.

    Raises:
        InvalidArgument: an argument that is wrong, by its name.
    """
    check_kind("preferences", preferences, Preferences, "Preferences, as pairs() or preference_matrix() make them")
    check_count("steps", steps, minimum=0)
    check_count("seeds", seeds)
    check_count("record_every", record_every)
    if minibatch is not None:
        check_count("minibatch", minibatch)
        check_generator(generator, preferences.weight.device)
    for name, value in (("chosen", preferences.chosen), ("weight", preferences.weight)):
        _check_per_seed(f"preferences.{name}", value, seeds)
    start = _check_per_seed("theta", check_theta(policy, theta, batched=True), seeds)
    rule = SGD() if optimizer is None else optimizer
    check_optimizer(rule, None, start)
    check_preferences(policy, flat_log_probs(policy, start), preferences)
    base = check_reference(policy, start, reference, (seeds,))
    return RunSettings(policy, start, preferences, base, rule, steps, seeds, minibatch, generator, record_every)


def _check_per_seed(argument: str, value: Tensor, seeds: int) -> Tensor:
    """Refuse a tensor that has neither one row for all seeds nor one row for each seed."""
    if (value.ndim == 2 and value.shape[0] not in (1, seeds)) or value.ndim > 2:
        raise InvalidArgument(argument, f"shape {tuple(value.shape)}", f"shape ({value.shape[-1]},) or ({seeds}, ...)")
    return value
