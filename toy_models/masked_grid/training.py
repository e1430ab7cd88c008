"""Training in the masked world: methods, mask rates and seeds in one tensor program, with common random numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynamics import (
    BDPO,
    DPO,
    MLP,
    SGD,
    AdamW,
    NaiveBDPO,
    NaiveBDPOv2,
    Policy,
    PreferenceLoss,
    State,
    Tabular,
    init,
    update,
)
from dynamics.errors import InvalidArgument, check_count, check_nonnegative, check_positive
from dynamics.finite.loss_stack import LossStack, stack_losses
from dynamics.optimizers import Optimizer
from dynamics.preferences import Preferences
from toy_models.masked_grid.world import (
    DRAW_STREAM,
    SIZE,
    START_STREAM,
    concentrated,
    draw_mask,
    draw_pairs,
    generator,
    log_utility,
    masked_mass,
    rewards,
)

BETA, CLIP = 1.0, 0.5  # ma2025 Appendix B
OPTIMIZERS: dict[str, Optimizer] = {"adam": AdamW(weight_decay=0.0), "sgd": SGD()}
SCRATCH = "dpo-scratch"


def losses(beta: float = BETA, clip: float = CLIP) -> dict[str, PreferenceLoss]:
    """Return the loss of every method.

    "dpo" is trained on from the reference, as the variants are; "dpo-scratch" is DPO from the initial parameters
    against the initial policy, for as many steps. "dpo-half-beta" is the control for bDPO, whose effective beta is
    about half of its beta (ma2025.bdpo-effective-beta).

    Args:
        beta: strength of the regularization towards the reference, > 0.
        clip: how far the imbalance ratio of nbDPO may rise above 1, >= 0.

    Example:
        >>> losses(beta=0.5)["dpo-half-beta"]
        DPO(beta=0.25)
    """
    return {
        "dpo": DPO(beta),
        SCRATCH: DPO(beta),
        "nbdpo-asymmetric": NaiveBDPO(beta, clip, symmetric=False),
        "nbdpo-symmetric": NaiveBDPO(beta, clip, symmetric=True),
        "nbdpo-v2-asymmetric": NaiveBDPOv2(beta, clip, symmetric=False),
        "nbdpo-v2-symmetric": NaiveBDPOv2(beta, clip, symmetric=True),
        "bdpo": BDPO(beta),
        "bdpo-detached": BDPO(beta, detach=True),
        "dpo-half-beta": DPO(beta / 2),
        "nbdpo-v2-asymmetric-detached": NaiveBDPOv2(beta, clip, symmetric=False, detach=True),
        "nbdpo-v2-symmetric-detached": NaiveBDPOv2(beta, clip, symmetric=True, detach=True),
    }


METHODS = tuple(losses())

PAIRS = ("uniform", "reference", "online", "concentrated")
POLICIES = ("tabular", "mlp")
LABELS = ("bradley-terry", "certain")


@dataclass(frozen=True)
class Setting:
    """The settings that ma2025 Section 6.1 and Appendix B leave open, and the number of steps, which they give.

    Args:
        pairs: where the two responses of a pair come from, masked ones left out: "uniform"; "reference", the policy
            after the reference steps (which themselves use uniform pairs); "online", the policy in training;
            "concentrated", D(y | x) proportional to exp(-concentration (y - x)^2).
        policy: "tabular" (400 logits, from 0) or "mlp" (one hidden layer of 64, relu, one-hot prompts).
        steps: updates of every method, from the reference.
        learning_rate: of Adam.
        minibatch: fresh pairs for each update.
        reference_steps: updates of DPO from the start that make the reference; 300 in the paper.
        concentration: for "concentrated" pairs only.
        optimizer: "adam" (torch's defaults) or "sgd" (plain gradient descent).
        fixed_pairs: size of a data set of labelled pairs, drawn once, from which every update draws its minibatch;
            0 for fresh pairs in every update.
        labels: "bradley-terry", the preferred response is drawn by ma2025 Eq. 33, or "certain", it is always the one
            of higher utility.
        beta: of every loss.
        clip: of the losses with an imbalance ratio.

    Raises:
        InvalidArgument: an unknown kind of pairs, policy, optimizer or labels, a count below its minimum, a negative
            rate, a beta of 0, or a fixed data set of pairs from the policy in training.

    Example:
        >>> Setting(pairs="online", policy="tabular", learning_rate=0.1).steps
        1000
    """

    pairs: str = "uniform"
    policy: str = "mlp"
    steps: int = 1000
    learning_rate: float = 3e-3
    minibatch: int = 64
    reference_steps: int = 300
    concentration: float = 0.1
    optimizer: str = "adam"
    fixed_pairs: int = 0
    labels: str = "bradley-terry"
    beta: float = BETA
    clip: float = CLIP

    def __post_init__(self) -> None:
        choices = {"pairs": PAIRS, "policy": POLICIES, "optimizer": tuple(OPTIMIZERS), "labels": LABELS}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InvalidArgument(name, getattr(self, name), f"one of {', '.join(allowed)}")
        for name, minimum in (("steps", 0), ("minibatch", 1), ("reference_steps", 0), ("fixed_pairs", 0)):
            check_count(name, getattr(self, name), minimum)
        for name in ("learning_rate", "concentration", "clip"):
            check_nonnegative(name, getattr(self, name))
        check_positive("beta", self.beta)
        if self.fixed_pairs and self.pairs == "online":
            raise InvalidArgument("fixed_pairs", self.fixed_pairs, "0: online pairs are drawn anew in every update")

    def finite_policy(self) -> Policy:
        """Return the policy class that is trained."""
        return Tabular(SIZE, prompts=SIZE) if self.policy == "tabular" else MLP(SIZE, SIZE, hidden=64)


@dataclass(frozen=True, eq=False)
class Trained:
    """Trained policies, one for each run.

    Attributes:
        log_probs: log pi (nats) after training, ``(runs, prompts, responses)``.
        reference: log ref (nats), likewise.
        mask: which (prompt, response) pairs never occur in the data, likewise.
    """

    log_probs: Tensor
    reference: Tensor
    mask: Tensor


def train(methods: Sequence[str], masks: Sequence[float], seeds: Sequence[int], setting: Setting) -> Trained:
    """Train run i with method i, mask rate i and seed i, all runs together.

    A seed determines the mask, the initial parameters and the random numbers of every minibatch. Runs with the same
    seed and mask rate have the same reference and, unless pairs are drawn from the policy in training, the same
    labelled pairs.

    Args:
        methods: keys of ``METHODS``.
        masks: share of masked (prompt, response) pairs, in [0, 1).
        seeds: whole numbers >= 0.
        setting: what the runs have in common.

    Raises:
        InvalidArgument: an unknown method, or lists of different lengths.

    Example:
        >>> short = Setting(policy="tabular", learning_rate=0.1, steps=5, reference_steps=5)
        >>> trained = train(["dpo", "bdpo"], [0.2, 0.2], [0, 0], short)
        >>> trained.log_probs.shape, bool((trained.reference[0] == trained.reference[1]).all())
        (torch.Size([2, 20, 20]), True)
    """
    if not len(methods) == len(masks) == len(seeds) or not len(methods):
        counts = f"{len(methods)} methods, {len(masks)} masks and {len(seeds)} seeds"
        raise InvalidArgument("methods", f"there are {counts}; give one of each for every run, and at least one run")
    for method in methods:
        if method not in METHODS:
            raise InvalidArgument("methods", method, f"one of {', '.join(METHODS)}")
    order = sorted(range(len(methods)), key=lambda run: methods[run])  # runs of the same loss are adjacent
    keys = [(float(masks[run]), int(seeds[run])) for run in order]
    worlds = list(dict.fromkeys(keys))
    world = torch.tensor([worlds.index(key) for key in keys])
    mask = torch.stack([draw_mask(rate, seed) for rate, seed in worlds])

    policy, optimizer = setting.finite_policy(), OPTIMIZERS[setting.optimizer]
    theta = torch.stack([_start(policy, seed) for _, seed in worlds])
    begin = policy.log_probs(theta)
    draws = _Draws([seed for _, seed in worlds], setting.minibatch)
    online = setting.pairs == "online"
    weights = None if online else concentrated(mask, setting.concentration * (setting.pairs == "concentrated"))
    data = _data(setting, weights, mask, draws)
    loss = losses(setting.beta, setting.clip)
    state = init(policy, theta, optimizer=optimizer)
    trained = _train(state, loss["dpo"], data, setting.learning_rate, setting.reference_steps)
    reference = trained.log_probs.flatten(-2)

    if setting.pairs == "reference":
        weights = torch.where(mask, 0.0, reference.exp().reshape(mask.shape))
        data = _data(setting, weights, mask, draws)
    scratch = torch.tensor([methods[run] == SCRATCH for run in order]).unsqueeze(-1)
    state = init(
        policy,
        torch.where(scratch, theta[world], trained.theta[world]),
        reference=torch.where(scratch.unsqueeze(-1), begin[world], trained.log_probs[world]),
        optimizer=optimizer,
    )
    stack = stack_losses([loss[methods[run]] for run in order], policy, axes=1)
    theta = _train(state, stack, lambda now: data(now, world), setting.learning_rate, setting.steps).theta
    back = torch.tensor(order).argsort()
    return Trained(policy.log_probs(theta)[back], reference.reshape(mask.shape)[world][back], mask[world][back])


Data = Callable[..., Preferences]
"""Maps the current log pi of the runs, and the world of each run (all worlds in order if left out), to a minibatch."""


def _data(setting: Setting, weights: Tensor | None, mask: Tensor, draws: _Draws) -> Data:
    """Return what draws the minibatches, by D(y | x) up to a factor, or from the current policy if there is none."""
    log_u, certain = log_utility(), setting.labels == "certain"
    everything = torch.arange(len(mask))
    if weights is not None and setting.fixed_pairs:
        fixed = draw_pairs(weights, log_u, draws.next(setting.fixed_pairs), certain=certain)

        def from_data_set(log_probs: Tensor, world: Tensor = everything) -> Preferences:  # noqa: ARG001
            index = (draws.next()[..., 0] * setting.fixed_pairs).long()
            chosen, rejected = (side.gather(-1, index)[world] for side in (fixed.chosen, fixed.rejected))
            return Preferences(chosen, rejected, torch.ones(chosen.shape, dtype=torch.float64), fixed.shape)

        return from_data_set

    def fresh(log_probs: Tensor, world: Tensor = everything) -> Preferences:
        uniforms = draws.next()
        if weights is None:
            own = torch.where(mask[world], 0.0, log_probs.exp().reshape(-1, SIZE, SIZE))
            return draw_pairs(own, log_u, uniforms[world], certain=certain)
        drawn = draw_pairs(weights, log_u, uniforms, certain=certain)
        return Preferences(drawn.chosen[world], drawn.rejected[world], drawn.weight[world], drawn.shape)

    return fresh


class _Draws:
    """The uniform random numbers of successive minibatches, with a separate stream for every world."""

    def __init__(self, seeds: Sequence[int], minibatch: int) -> None:
        self.generators = [generator(seed, DRAW_STREAM) for seed in seeds]
        self.minibatch = minibatch

    def next(self, pairs: int | None = None) -> Tensor:
        """Return uniform numbers for a minibatch, or for another number of pairs, ``(worlds, pairs, 4)``."""
        count = self.minibatch if pairs is None else pairs
        return torch.stack([torch.rand(count, 4, generator=source, dtype=torch.float64) for source in self.generators])


def _start(policy: Policy, seed: int) -> Tensor:
    if isinstance(policy, MLP):
        return policy.initial(generator(seed, START_STREAM))
    return torch.zeros(policy.parameters, dtype=policy.dtype)


def _train(
    state: State,
    loss: PreferenceLoss | LossStack,
    data: Callable[[Tensor], Preferences],
    learning_rate: float,
    steps: int,
) -> State:
    """Return the state after ``steps`` updates; ``data`` maps the current log pi to the minibatch of each."""
    for _ in range(steps):
        state = update(state, data(state.log_probs), loss=loss, learning_rate=learning_rate)
    return state


def train_batch(batch: dict[str, Any], reward: Callable[[Tensor], Tensor] | None = None) -> dict[str, np.ndarray]:
    """Train the runs of one batch; a function for ``dynamics.sweep``.

    Args:
        batch: "method", "mask" and "seed" of each run (arrays, or one value for all), and any field of ``Setting``,
            which has one value in a batch (name it in ``static`` to sweep it).
        reward: a reward of your own, from log pi ``(runs, prompts, responses)`` to ``(runs,)``; results "own_reward"
            and "reference_own_reward".

    Returns:
        For each run R1 and R2 of the trained policy ("reward_1", "reward_2"; see ``rewards``), the probability of
        masked responses ("masked"), and the same three of the reference ("reference_reward_1", ...).

    Raises:
        InvalidArgument: an unknown setting, or two values of a setting that must be the same in the whole batch.

    Example:
        >>> from dynamics import sweep
        >>> short = {"policy": ["tabular"], "steps": [2], "reference_steps": [2]}
        >>> table = sweep(train_batch, {"method": ["dpo", "bdpo"], "mask": [0.0, 0.4], **short}, seeds=range(3))
        >>> len(table), table.results
        (12, ('reward_1', 'reward_2', 'masked', 'reference_reward_1', 'reference_reward_2', 'reference_masked'))
    """
    defaults = {"method": "dpo", "mask": 0.0, "seed": 0}
    count = max(np.size(value) for value in batch.values())
    methods, masks, seeds = (
        np.broadcast_to(batch.get(name, default), count).tolist() for name, default in defaults.items()
    )
    setting = Setting(**{name: _one(name, value) for name, value in batch.items() if name not in defaults})
    trained = train(methods, masks, seeds, setting)
    results: dict[str, Tensor] = {}
    for prefix, log_probs in (("", trained.log_probs), ("reference_", trained.reference)):
        first, second = rewards(log_probs)
        results |= {f"{prefix}reward_1": first, f"{prefix}reward_2": second}
        if reward is not None:
            results[f"{prefix}own_reward"] = reward(log_probs)
        results[f"{prefix}masked"] = masked_mass(log_probs, trained.mask)
    return {name: value.numpy() for name, value in results.items()}


def _one(name: str, value: Any) -> Any:
    if name not in Setting.__dataclass_fields__:
        allowed = f"names of settings: method, mask, seed, {', '.join(Setting.__dataclass_fields__)}"
        raise InvalidArgument("batch", name, allowed)
    different = np.unique(value).tolist()
    if len(different) > 1:
        raise InvalidArgument(
            name, f"it must be one value for all runs of a batch; name it in sweep(static=({name!r},))"
        )
    return different[0]
