"""Training on noisy pairs, with records of margins, accuracy and true reward during training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynamics import SGD, AdamW, InvalidArgument, PreferenceLoss, SelfPO, SimPO, init, pairs, update
from dynamics.errors import check_count, check_nonnegative
from dynamics.finite.loss_stack import LossStack, stack_losses
from dynamics.optimizers import Optimizer
from toy_models.overoptimization.worlds import LENGTHS, Worlds, draw_worlds

MEASURED_PAIRS = 128  # the last pairs of the data set, which a single epoch reaches last

ACTIVATIONS = ("silu", "gelu", "relu", "square", "identity")
LOSSES = ("simpo", *ACTIVATIONS)
"""The losses of Figure 5 and Table 5 of sun2025: SimPO's logistic one, and Self PO's with each activation."""

OPTIMIZERS: dict[str, Optimizer] = {"adamw": AdamW(weight_decay=0.0), "sgd": SGD()}
SCHEDULES = ("cosine", "constant")

DEFAULTS: dict[str, Any] = {
    "loss": "silu",
    "beta": 2.5,
    "gamma": 0.8,
    "learning_rate": 0.1,
    "optimizer": "adamw",
    "schedule": "cosine",
    "warmup": 0.1,
    "pairs": 3200,
    "prompts": 200,
    "minibatch": 16,
    "epochs": 1,
    "nonsense_cost": 1.0,
    "records": 21,
}
"""Default settings of a run: one epoch of minibatches of fresh pairs, with AdamW and a cosine schedule, as in sun2025
Appendix A. Beta and gamma are those of its Section 4.3."""

SATURATED: dict[str, Any] = {
    "learning_rate": 0.02,
    "schedule": "constant",
    "warmup": 0.0,
    "pairs": 64,
    "prompts": 8,
    "minibatch": 64,
    "epochs": 400,
}
"""Settings of a run that has seen the same 64 pairs 400 times, at a constant learning rate."""

STATIC = ("optimizer", "schedule", "warmup", "pairs", "prompts", "minibatch", "epochs", "records")
"""The settings that all runs of one batch share."""


def loss_of(name: str, beta: float | Tensor, gamma: float | Tensor) -> PreferenceLoss:
    """Return SimPO, or Self PO with one of its activations, averaged over tokens.

    Raises:
        InvalidArgument: a name that is not one of ``LOSSES``.

    Example:
        >>> loss_of("gelu", 2.5, 0.8).activation
        'gelu'
    """
    if name not in LOSSES:
        raise InvalidArgument("loss", name, "one of " + ", ".join(LOSSES))
    return SimPO(beta, gamma) if name == "simpo" else SelfPO(beta, gamma, name)


def train(batch: dict[str, Any]) -> dict[str, np.ndarray]:
    """Train one policy for each run of a batch and return records of the training; a function for ``dynamics.sweep``.

    Every run starts at its reference. Runs with the same seed have the same features, reference, pairs and order of
    pairs, whatever their loss and their learning rate.

    Args:
        batch: "seed", and any settings named in ``DEFAULTS``: arrays ``(runs,)``, except that each setting named in
            ``STATIC`` is one value for all runs. "learning_rate" is the largest rate of the schedule; "warmup" is the
            share of the steps in which it rises to it from 0; "cosine" then decays to 0; "pairs" is the size of the
            data set, drawn on "prompts" prompts; "records" is the number of equally spaced records.

    Returns:
        Arrays ``(runs, records)``: ``step``; ``chosen`` and ``rejected``, mean log-probability per token (nats) of the
        last ``MEASURED_PAIRS`` training pairs, which a single epoch reaches last; ``median_margin`` and
        ``largest_margin`` of them (beta times the gap, less gamma); ``train_accuracy``, the share of them, and
        ``test_accuracy``, the share of held-out pairs, with the chosen response above the rejected one per token; and
        exact expectations under the policy, averaged over the held-out prompts: the true ``reward``, ``nonsense``
        (nonsense bigrams in a response), ``divergence`` from the reference and ``entropy`` (nats per response).

    Raises:
        InvalidArgument: an unknown setting, or an impossible value.

    Example:
        >>> runs = train({"loss": "silu", "pairs": 640, "seed": np.array([0, 1])})
        >>> runs["reward"].shape, bool((runs["chosen"] > runs["rejected"])[:, -1].all())
        ((2, 21), True)
    """
    worlds, path, beta, gamma, back = _run(batch)
    seen = measure(worlds, path, beta, gamma)
    steps, records = count_steps(DEFAULTS | batch), len(path)
    seen["step"] = torch.arange(0, steps + 1, steps // (records - 1))[:, None].expand(-1, len(back))
    return {name: values.T.numpy()[back] for name, values in seen.items()}


def end_margins(batch: dict[str, Any]) -> np.ndarray:
    """Return the margin of each of the last ``MEASURED_PAIRS`` training pairs at the end of a run, ``(runs, pairs)``.

    Args:
        batch: as of ``train``, which describes the runs.

    Raises:
        InvalidArgument: as of ``train``.

    Example:
        >>> end_margins(SATURATED | {"loss": "silu", "epochs": 20, "seed": np.array([0])}).shape
        (1, 64)
    """
    worlds, path, beta, gamma, back = _run(batch)
    chosen, rejected = pair_averages(worlds, path[-1]).unbind(-1)
    return (beta * (chosen - rejected) - gamma).numpy()[back]


def _run(batch: dict[str, Any]) -> tuple[Worlds, Tensor, Tensor, Tensor, np.ndarray]:
    """Train the runs of a batch, sorted by their loss.

    Returns:
        The worlds, parameters ``(records, runs, parameters)``, beta and gamma ``(runs, 1)`` of the runs in that order,
        and the place of every run of the batch in it.
    """
    unknown = sorted(set(batch) - {*DEFAULTS, "seed"})
    if unknown or "seed" not in batch:
        raise InvalidArgument("batch", sorted(batch), "seed, and any of " + ", ".join(DEFAULTS))
    given = DEFAULTS | batch
    for name in STATIC:
        if np.ndim(given[name]):
            raise InvalidArgument(
                name, f"it must be one value for all runs of a batch; name it in sweep(static=({name!r},))"
            )
    if given["optimizer"] not in OPTIMIZERS:
        raise InvalidArgument("optimizer", given["optimizer"], "one of " + ", ".join(OPTIMIZERS))
    seeds = np.atleast_1d(batch["seed"]).tolist()
    columns = {name: np.broadcast_to(given[name], len(seeds)).tolist() for name in DEFAULTS if name not in STATIC}
    # runs of the same loss side by side, which are evaluated together
    order = sorted(range(len(seeds)), key=lambda run: columns["loss"][run])
    columns = {name: [values[run] for run in order] for name, values in columns.items()}
    keys = [(seeds[run], cost) for run, cost in zip(order, columns["nonsense_cost"], strict=True)]
    unique = list(dict.fromkeys(keys))
    drawn = draw_worlds([key[0] for key in unique], given["pairs"], [key[1] for key in unique], given["prompts"])
    worlds = drawn.pick([unique.index(key) for key in keys])
    losses = [loss_of(*row) for row in zip(columns["loss"], columns["beta"], columns["gamma"], strict=True)]
    beta, gamma, rate = (
        torch.tensor(columns[name], dtype=torch.float64)[:, None] for name in ("beta", "gamma", "learning_rate")
    )
    check_nonnegative("learning_rate", float(rate.min()))
    factors = rate_factors(given["schedule"], given["warmup"], count_steps(given))
    stack = stack_losses(losses, worlds.policy, axes=1)
    optimizer = OPTIMIZERS[given["optimizer"]]
    path = descend(worlds, stack, rate, optimizer, factors, given["minibatch"], given["records"])
    return worlds, path, beta, gamma, np.argsort(order)


def count_steps(settings: dict[str, Any]) -> int:
    """Return the number of updates of a run with all the settings of ``DEFAULTS``.

    Raises:
        InvalidArgument: a minibatch that does not divide the pairs, or records that do not divide the steps.

    Example:
        >>> count_steps(DEFAULTS), count_steps(DEFAULTS | SATURATED)
        (200, 400)
    """
    size, minibatch, epochs = (check_count(name, settings[name]) for name in ("pairs", "minibatch", "epochs"))
    if size % minibatch:
        raise InvalidArgument("minibatch", minibatch, f"a divisor of the number of pairs, {size}")
    steps, records = size // minibatch * epochs, check_count("records", settings["records"], minimum=2)
    if steps % (records - 1):
        raise InvalidArgument("records", records, f"one more than a divisor of the number of steps, {steps}")
    return steps


def rate_factors(schedule: str, warmup: float, steps: int) -> list[float]:
    """Return what the learning rate is multiplied by at each step.

    Args:
        schedule: "cosine" falls from 1 to nearly 0 along half a cosine, "constant" stays at 1.
        warmup: share of the steps, from 0 to 1, in which the factor first rises from 0 to 1 in equal steps.
        steps: number of updates.

    Raises:
        InvalidArgument: an unknown schedule, or a share outside [0, 1].

    Example:
        >>> [round(factor, 2) for factor in rate_factors("cosine", 0.4, 5)]
        [0.5, 1.0, 1.0, 0.75, 0.25]
    """
    if schedule not in SCHEDULES:
        raise InvalidArgument("schedule", schedule, "one of " + ", ".join(SCHEDULES))
    if not 0 <= warmup <= 1:
        raise InvalidArgument("warmup", warmup, "a number from 0 to 1")
    rising = round(warmup * steps)
    rest = steps - rising
    falling = [(1 + math.cos(math.pi * t / rest)) / 2 if schedule == "cosine" else 1.0 for t in range(rest)]
    return [(t + 1) / rising for t in range(rising)] + falling


def descend(
    worlds: Worlds,
    loss: PreferenceLoss | LossStack,
    rate: Tensor,
    optimizer: Optimizer,
    factors: Sequence[float],
    minibatch: int,
    records: int = 2,
) -> Tensor:
    """Return the parameters at each record, ``(records, runs, parameters)``, of training on ``worlds.train``.

    The pairs are taken in their order, a minibatch for each update, and again from the first one after the last.

    Args:
        worlds: the worlds of the runs.
        loss: of a pair, or one for each run, without a reference; its numbers may differ by run.
        rate: largest learning rate of each run, ``(runs, 1)``.
        optimizer: the update rule.
        factors: what the rate is multiplied by at each step.
        minibatch: pairs of an update, a divisor of the number of pairs.
        records: number of records, the start and the end among them.
    """
    count, each = worlds.train.chosen.shape[-1], len(factors) // (records - 1)
    batches = [worlds.listed(slice(start, start + minibatch)) for start in range(0, count, minibatch)]
    given = pairs([0] * minibatch, 1, prompt=list(range(minibatch)), shape=(minibatch, 2))
    state = init(batches[0], worlds.theta, optimizer=optimizer)
    recorded = [state.theta]
    for step, factor in enumerate(factors, start=1):
        # the losses have no reference, so that of the first minibatch may stay
        state = update(
            replace(state, policy=batches[(step - 1) % len(batches)]), given, loss=loss, learning_rate=factor * rate
        )
        if step % each == 0:
            recorded.append(state.theta)
    return torch.stack(recorded)


def pair_averages(worlds: Worlds, theta: Tensor, count: int = MEASURED_PAIRS) -> Tensor:
    """Return log-probabilities per token (nats) of the last training pairs, ``(..., runs, pairs, 2)``.

    Args:
        worlds: the worlds of the runs.
        theta: parameters, ``(..., runs, parameters)``.
        count: number of pairs; all pairs if there are fewer.
    """
    size = worlds.train.chosen.shape[-1]
    listed = worlds.listed(slice(max(0, size - count), size))
    return listed.log_probs(theta) / listed.lengths.unflatten(-1, (-1, 2))


def measure(worlds: Worlds, path: Tensor, beta: Tensor, gamma: Tensor) -> dict[str, Tensor]:
    """Return what ``train`` reports (without the step) of the parameters ``(records, runs, parameters)`` of a path.

    Args:
        worlds: the worlds of the runs.
        path: parameters at every record; the first ones are the reference's.
        beta: of each run, ``(runs, 1)``.
        gamma: likewise.
    """
    policy = worlds.held_out_policy()
    prompts, responses = policy.shape
    reward = worlds.reward[:, -prompts:]
    start = policy.log_probs(path[0])
    before_held_out = worlds.policy.shape[0] - prompts
    lengths = torch.from_numpy(LENGTHS)

    def of_record(theta: Tensor) -> dict[str, Tensor]:
        chosen, rejected = pair_averages(worlds, theta).unbind(-1)
        margin = beta * (chosen - rejected) - gamma
        log_probs = policy.log_probs(theta)
        p = log_probs.exp()
        average = (log_probs / lengths).flatten(-2)
        first, second = (
            average.gather(-1, side - before_held_out * responses)
            for side in (worlds.held_out.chosen, worlds.held_out.rejected)
        )
        # a probability may underflow to 0 while its logarithm is finite: 0 times it is then the right 0
        return {
            "chosen": chosen.mean(-1),
            "rejected": rejected.mean(-1),
            "median_margin": margin.median(-1).values,
            "largest_margin": margin.amax(-1),
            "train_accuracy": (chosen > rejected).double().mean(-1),
            "test_accuracy": (first > second).double().mean(-1),
            "reward": (p * reward).sum(-1).mean(-1),
            "nonsense": (p * worlds.nonsense[:, None, :]).sum(-1).mean(-1),
            "divergence": (p * (log_probs - start)).sum(-1).mean(-1),
            "entropy": -(p * log_probs).sum(-1).mean(-1),
        }

    found = [of_record(theta) for theta in path]
    return {name: torch.stack([record[name] for record in found]) for name in found[0]}
