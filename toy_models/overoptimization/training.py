"""Training on noisy pairs, with records of margins, accuracy and true reward during training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynamics import SGD, AdamW, InvalidArgument, Preferences, SelfPO, SimPO, init, update
from dynamics.errors import check_count, check_nonnegative
from dynamics.losses import PreferenceLoss
from dynamics.optimizers import Optimizer
from toy_models.overoptimization.worlds import SharedBigrams, Worlds, draw_worlds

RECORDS = 41  # number of equally spaced records of a run

ACTIVATIONS = ("silu", "gelu", "relu", "square", "identity")
LOSSES = ("simpo", *ACTIVATIONS)
"""The losses of Figure 5 and Table 5 of sun2025: SimPO's logistic one, and Self PO's with each activation."""

DEFAULTS: dict[str, Any] = {
    "loss": "silu",
    "beta": 2.5,
    "gamma": 0.8,
    "learning_rate": 0.02,
    "optimizer": "adamw",
    "steps": 400,
    "pairs": 64,
    "nonsense_cost": 1.0,
}
"""Default settings of a run; beta and gamma as in sun2025 Section 4.3."""

STATIC = ("loss", "optimizer", "steps", "pairs")
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

    Every run starts at its reference and follows the full gradient of the mean loss of its pairs. Runs with the same
    seed and the same number of pairs have the same features, reference and random draws, whatever their other settings.

    Args:
        batch: "seed", and any settings named in ``DEFAULTS``: arrays ``(runs,)``, except that each setting named in
            ``STATIC`` is one value for all runs.

    Returns:
        Arrays ``(runs, RECORDS)``: ``step``; ``chosen`` and ``rejected``, mean log-probability per token of the
        training pairs (nats); ``median_margin`` and ``largest_margin`` of them (beta times the gap, less gamma);
        ``train_accuracy``, ``test_accuracy``, the share of pairs, training and held out, with the chosen response
        above the rejected one per token; and exact expectations under the policy, averaged over prompts:
        ``train_reward`` and ``reward`` (held-out prompts), ``nonsense`` (nonsense bigrams in a response, held out),
        ``divergence`` from the reference and ``entropy`` (nats per response, all prompts).

    Raises:
        InvalidArgument: an unknown setting, or an impossible value.

    Example:
        >>> runs = train({"loss": "silu", "steps": 40, "seed": np.array([0, 1])})
        >>> runs["reward"].shape, bool((runs["chosen"] > runs["rejected"])[:, -1].all())
        ((2, 41), True)
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
    optimizers: dict[str, Optimizer] = {"adamw": AdamW(weight_decay=0.0), "sgd": SGD()}
    if given["optimizer"] not in optimizers:
        raise InvalidArgument("optimizer", given["optimizer"], "one of " + ", ".join(optimizers))
    steps = check_count("steps", given["steps"], minimum=RECORDS - 1)
    if steps % (RECORDS - 1):
        raise InvalidArgument("steps", steps, f"a multiple of {RECORDS - 1}")
    seeds = np.atleast_1d(batch["seed"]).tolist()
    beta, gamma = (
        torch.as_tensor(np.broadcast_to(given[name], len(seeds)).astype(float))[:, None] for name in ("beta", "gamma")
    )
    worlds = draw_worlds(seeds, int(given["pairs"]), given["nonsense_cost"])
    rate = torch.as_tensor(np.broadcast_to(given["learning_rate"], len(seeds)).astype(float))[:, None]
    loss, optimizer = loss_of(given["loss"], beta, gamma), optimizers[given["optimizer"]]
    check_nonnegative("learning_rate", float(rate.min()))
    thetas = descend(worlds, loss, rate, optimizer, steps)
    seen = measure(worlds, worlds.policy.log_probs(thetas), beta, gamma)
    seen["step"] = torch.arange(0, steps + 1, steps // (RECORDS - 1))[:, None].expand(-1, len(seeds))
    return {name: values.T.numpy().copy() for name, values in seen.items()}


def descend(worlds: Worlds, loss: PreferenceLoss, rate: Tensor, optimizer: Optimizer, steps: int) -> Tensor:
    """Return the parameters at each record, ``(RECORDS, runs, parameters)``, of training on ``worlds.train``.

    The policy that is trained has the training prompts only; the others would cost time and change nothing.

    Args:
        worlds: the worlds of the runs; the reference does not enter, as no loss here has one.
        loss: of a pair; its numbers may differ by run.
        rate: learning rate of each run, ``(runs, 1)``.
        optimizer: the update rule.
        steps: number of updates, a multiple of ``RECORDS`` - 1.
    """
    half = worlds.policy.shape[0] // 2
    policy = SharedBigrams(worlds.policy.features[:, :half].contiguous())
    given = Preferences(worlds.train.chosen, worlds.train.rejected, worlds.train.weight, policy.shape)
    state = init(policy, worlds.theta, optimizer=optimizer)
    recorded = [state.theta]
    for t in range(1, steps + 1):
        state = update(state, given, loss=loss, learning_rate=rate)
        if t % (steps // (RECORDS - 1)) == 0:
            recorded.append(state.theta)
    return torch.stack(recorded)


def measure(worlds: Worlds, log_probs: Tensor, beta: Tensor, gamma: Tensor) -> dict[str, Tensor]:
    """Return what ``train`` reports (without the step) of log-probabilities ``(records, runs, prompts, responses)``.

    Args:
        worlds: the worlds of the runs.
        log_probs: log pi in nats.
        beta: of each run, ``(runs, 1)``.
        gamma: likewise.
    """
    average = log_probs.flatten(-2) / worlds.policy.lengths

    def of(index: Tensor) -> Tensor:
        return average.gather(-1, index.expand(*average.shape[:-1], -1))

    chosen, rejected = of(worlds.train.chosen), of(worlds.train.rejected)
    margin = beta * (chosen - rejected) - gamma
    p = log_probs.exp()
    half = log_probs.shape[-2] // 2
    reward = (p * worlds.reward).sum(-1)
    # a probability may underflow to 0 while its logarithm is finite: 0 times it is then the right 0
    return {
        "chosen": chosen.mean(-1),
        "rejected": rejected.mean(-1),
        "median_margin": margin.median(-1).values,
        "largest_margin": margin.amax(-1),
        "train_accuracy": (chosen > rejected).double().mean(-1),
        "test_accuracy": (of(worlds.held_out.chosen) > of(worlds.held_out.rejected)).double().mean(-1),
        "train_reward": reward[..., :half].mean(-1),
        "reward": reward[..., half:].mean(-1),
        "nonsense": (p[..., half:, :] * worlds.nonsense[:, None, :]).sum(-1).mean(-1),
        "divergence": (p * (log_probs - log_probs[:1])).sum(-1).mean(-1),
        "entropy": -(p * log_probs).sum(-1).mean(-1),
    }
