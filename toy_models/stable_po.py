"""Finite tasks for Stable PO: prompts that share features, a policy fine-tuned on the correct answers, similar pairs.

Every prompt has one correct answer, whose features have a direction in common over all prompts, so that what is
learnt on some prompts generalizes to others. The rejected answer is similar to the correct one, so that DPO on the
pairs can lower both. The logits are phi_y . (phi + A theta): a backbone phi and an adapter theta of low rank, as in
jian2025 Section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dynamics import DPO, SFT, AdamW, Preferences, Trajectory, pairs, simulate
from dynamics.errors import InvalidArgument, check_count, check_positive
from dynamics.finite.bilevel import BilevelTrajectory, stable_po

FEATURES = 8
RANK = 2
CORRECT, REJECTED = 0, 1
BETA = 0.5  # the paper's
START_SCALE = 0.3  # standard deviation of the backbone's parameters before the fine-tuning


@dataclass(frozen=True, eq=False)
class ManyLogLinear:
    """Log-linear policies with different features, run side by side, one for each index of the seed axis.

    Attributes:
        features: phi of every answer, ``(tasks, prompts, responses, parameters)``.

    Example:
        >>> policy = ManyLogLinear(torch.zeros(5, 2, 3, 4, dtype=torch.float64))
        >>> tuple(policy.log_probs(torch.zeros(7, 5, 4, dtype=torch.float64)).shape)
        (7, 5, 2, 3)
    """

    features: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (prompts, responses)."""
        return tuple(self.features.shape[1:-1])

    @property
    def parameters(self) -> int:
        """Return the number of features of an answer."""
        return self.features.shape[-1]

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of the features."""
        return self.features.dtype

    @property
    def device(self) -> torch.device:
        """Return the device of the features."""
        return self.features.device

    def log_probs(self, theta: Tensor) -> Tensor:
        """Return log pi (nats), ``(..., tasks, prompts, responses)``, of parameters ``(..., tasks, parameters)``."""
        logits = torch.einsum("...td,txyd->...txy", theta, self.features)
        # on such short rows twice as fast as torch.log_softmax, see dynamics.policies
        shifted = logits - logits.detach().amax(-1, keepdim=True)
        return shifted - shifted.exp().sum(-1, keepdim=True).log()


@dataclass(frozen=True, eq=False)
class PreferenceTasks:
    """Random tasks side by side: fine-tuned policies, training prompts with pairs, held-out prompts.

    Attributes:
        policy: over all prompts, the training prompts first; parameters are theta (adapter), then phi (backbone).
        start: parameters after fine-tuning on the correct answers of the training prompts, ``(tasks, parameters)``;
            the adapter is 0.
        preferences: the correct answer, 0, over the rejected one, 1, on each training prompt, with equal weights.
        lower: indices of the parameters of the lower level, phi.
        training: number of training prompts; the others are held out.
    """

    policy: ManyLogLinear
    start: Tensor
    preferences: Preferences
    lower: tuple[int, ...]
    training: int


def preference_tasks(
    seed: int,
    *,
    tasks: int = 16,
    overlap: float = 0.95,
    prompts: int = 16,
    responses: int = 6,
    fine_tuning: int = 50,
) -> PreferenceTasks:
    """Return random tasks.

    Args:
        seed: of the features and of the parameters before fine-tuning.
        tasks: how many.
        overlap: cosine of the features of the correct and the rejected answer, in (-1, 1).
        prompts: training prompts; there are as many held-out ones.
        responses: answers to each prompt, >= 2.
        fine_tuning: gradient steps on the log-likelihood of the correct answers.

    Raises:
        InvalidArgument: a count below 1, fewer than two responses, or an overlap outside (-1, 1).

    Example:
        >>> found = preference_tasks(seed=0, tasks=3)
        >>> found.policy.shape, tuple(found.start.shape), found.lower[0]
        ((32, 6), (3, 10), 2)
    """
    if not -1 < overlap < 1:
        raise InvalidArgument("overlap", overlap, "a number in (-1, 1)")
    check_count("tasks", tasks)
    check_count("prompts", prompts)
    check_count("responses", responses, minimum=2)
    check_count("fine_tuning", fine_tuning, minimum=0)
    source = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(tasks, *shape, generator=source, dtype=torch.float64)

    common = normal(1, FEATURES)
    features = normal(2 * prompts, responses, FEATURES)
    correct = features[:, :, CORRECT] + common * FEATURES**0.5 / common.norm(dim=-1, keepdim=True)
    along = correct / correct.norm(dim=-1, keepdim=True)
    rejected = features[:, :, REJECTED]
    across = rejected - (rejected * along).sum(-1, keepdim=True) * along
    across = across / across.norm(dim=-1, keepdim=True)
    similar = correct.norm(dim=-1, keepdim=True) * (overlap * along + (1 - overlap**2) ** 0.5 * across)
    features = torch.cat([correct.unsqueeze(2), similar.unsqueeze(2), features[:, :, 2:]], dim=2)

    backbone = ManyLogLinear(features)
    of_prompt = pairs([CORRECT] * prompts, [REJECTED] * prompts, shape=backbone.shape, prompt=range(prompts))
    tuned = simulate(
        backbone,
        START_SCALE * normal(FEATURES),
        of_prompt,
        loss=SFT(),
        learning_rate=0.1,
        steps=fine_tuning,
        seeds=tasks,
        record_every=max(1, fine_tuning),
    )
    adapter = torch.einsum("txyd,tdr->txyr", features, normal(FEATURES, RANK) / FEATURES**0.5)
    return PreferenceTasks(
        policy=ManyLogLinear(torch.cat([adapter, features], dim=-1)),
        start=torch.cat([torch.zeros(tasks, RANK, dtype=torch.float64), tuned.theta[0, 0]], dim=1),
        preferences=of_prompt,
        lower=tuple(range(RANK, RANK + FEATURES)),
        training=prompts,
    )


def train_stable_po(
    tasks: PreferenceTasks,
    seed: int,
    *,
    penalty: float | Sequence[float],
    gamma: float | Sequence[float] = 0.0,
    learning_rate: float = 0.01,
    inner_learning_rate: float = 0.01,
    minibatch: int = 4,
    steps: int = 300,
    **settings: Any,
) -> BilevelTrajectory:
    """Run Algorithm 1 with K = 1, beta = 0.5 and AdamW, as in the paper's experiments; penalty = gamma = 0 is DPO.

    Args:
        tasks: the tasks, along the axis of seeds; the reference is their start.
        seed: of the minibatches.
        penalty: lambda, one or several.
        gamma: weight of L_reg, one or several.
        learning_rate: of both blocks.
        inner_learning_rate: of the inner loop.
        minibatch: pairs in a batch.
        steps: outer iterations.
        settings: more of ``dynamics.finite.bilevel.stable_po``.

    Example:
        >>> runs = train_stable_po(preference_tasks(0, tasks=3), 0, penalty=[0.0, 1.0], steps=2)
        >>> tuple(runs.log_probs.shape)
        (3, 2, 1, 3, 32, 6)
    """
    return stable_po(
        tasks.policy,
        tasks.start,
        tasks.preferences,
        lower=tasks.lower,
        penalty=penalty,
        gamma=gamma,
        loss=DPO(beta=BETA),
        learning_rate=learning_rate,
        inner_steps=1,
        inner_learning_rate=inner_learning_rate,
        seeds=len(tasks.start),
        minibatch=minibatch,
        generator=torch.Generator().manual_seed(seed),
        optimizer=AdamW(weight_decay=0.0),
        steps=steps,
        **settings,
    )


def train_dpo_and_sft(
    tasks: PreferenceTasks,
    seed: int,
    *,
    penalty: float,
    learning_rate: float = 0.01,
    minibatch: int = 4,
    steps: int = 300,
) -> Trajectory:
    """Run DPO + lambda SFT on both blocks at one level, on the minibatches of ``train_stable_po`` with this seed.

    Example:
        >>> tuple(train_dpo_and_sft(preference_tasks(0, tasks=3), 0, penalty=1.0, steps=2).log_probs.shape)
        (3, 1, 1, 3, 32, 6)
    """
    return simulate(
        tasks.policy,
        tasks.start,
        tasks.preferences,
        loss=DPO(beta=BETA) + penalty * SFT(),
        learning_rate=learning_rate,
        seeds=len(tasks.start),
        minibatch=minibatch,
        generator=torch.Generator().manual_seed(seed),
        optimizer=AdamW(weight_decay=0.0),
        steps=steps,
    )


def accuracy(log_probs: Tensor, temperature: float = 0.7) -> Tensor:
    """Return the probability that a sampled answer is correct.

    Args:
        log_probs: log pi (nats), ``(..., responses)``.
        temperature: of the sampling, > 0; the paper has 0.7.

    Example:
        >>> accuracy(torch.tensor([0.8, 0.2]).log(), temperature=0.5)  # 64 / 68
        tensor(0.9412)
    """
    check_positive("temperature", temperature)
    return torch.softmax(log_probs / temperature, dim=-1)[..., CORRECT]
