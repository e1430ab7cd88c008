"""Preference data: pairs with weights, a preference matrix as weighted pairs, minibatches of either."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dynamics.errors import (
    PROBABILITY_TOLERANCE,
    ArrayLike,
    InvalidArgument,
    check_count,
    check_finite,
    check_generator,
    check_index,
    check_kind,
    check_nonnegative,
    check_runs,
    check_shape,
    to_tensor,
)


@dataclass(frozen=True, eq=False)
class Preferences:
    """Weighted preference pairs over the responses of a finite policy.

    The objective is the weighted mean of the losses of the pairs, sum_i weight_i loss_i / sum_i weight_i, as in the
    trainers of language models, whose weights are all 1. Only the ratios of the weights matter; all weights times 2 is
    the same objective.

    Attributes:
        chosen: flat index (prompt * responses + response) of y_w, shape ``(..., pairs)``.
        rejected: flat index of y_l.
        weight: weight of each pair, >= 0 and not all 0, shape ``(..., pairs)``; leading axes hold a batch of runs.
        shape: shape of the policy that the indices belong to.

    Raises:
        InvalidArgument: arguments that are not tensors, an index out of range, a weight below 0 or not finite, weights
            that are all 0 or sum to infinity, or shapes that do not fit.
    """

    chosen: Tensor
    rejected: Tensor
    weight: Tensor
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        size = math.prod(check_policy_shape(self.shape))
        for name in ("chosen", "rejected", "weight"):
            check_kind(name, getattr(self, name), Tensor, "a tensor (..., pairs); pairs() makes one from numbers")
        for name in ("chosen", "rejected"):
            index = check_index(name, getattr(self, name), size)
            if index.ndim == 0 or index.numel() == 0 or getattr(self, name).dtype != torch.int64:
                got = f"{getattr(self, name).dtype} of shape {tuple(index.shape)}"
                raise InvalidArgument(name, got, "torch.int64 of shape (..., pairs >= 1)")
        check_nonnegative("weight", self.weight)
        check_one_length(self.chosen, self.rejected, self.weight)
        total = self.weight.sum(-1)
        if not bool(((total > 0) & total.isfinite()).all()):
            raise InvalidArgument("weight", self.weight.tolist(), "weights whose sum is positive and finite")

    @property
    def prompt(self) -> Tensor:
        """Return the index of the prompt of every pair."""
        return self.chosen // self.shape[-1]

    @property
    def share(self) -> Tensor:
        """Return the share of each pair in the objective, ``(..., pairs)``: its weight over the sum of the weights.

        Example:
            >>> pairs([0, 1], [2, 2], shape=(3,), weight=[1.0, 3.0]).share
            tensor([0.2500, 0.7500], dtype=torch.float64)
        """
        return self.weight / self.weight.sum(-1, keepdim=True)

    def sample(self, size: int, generator: torch.Generator, runs: tuple[int, ...] = ()) -> Preferences:
        """Draw minibatches with replacement, each pair in proportion to its weight.

        Args:
            size: pairs in a minibatch.
            generator: source of randomness; on the device of the pairs.
            runs: leading shape, for one independent minibatch in each run.

        Returns:
            Preferences of shape ``(*runs, size)`` whose weights are all 1. The mean of their losses has the weighted
            mean over all pairs as its expectation, and so has its gradient.
        """
        check_count("size", size)
        check_runs(runs)
        check_generator(generator, self.weight.device)
        count = math.prod(runs)
        weight = self.weight.expand(*runs, self.weight.shape[-1]) if self.weight.ndim > 1 else self.weight
        if weight.ndim > 1:
            draws = torch.multinomial(weight.reshape(count, -1), size, replacement=True, generator=generator)
        else:
            # one long draw from the cumulative weights is many times faster than a multinomial for each run
            cumulative = weight.cumsum(0)
            uniform = torch.rand(count * size, generator=generator, dtype=weight.dtype, device=weight.device)
            draws = torch.searchsorted(cumulative, uniform * cumulative[-1], right=True).clamp_(max=weight.numel() - 1)
        draws = draws.reshape(*runs, size)
        chosen, rejected = (_pick(index, draws) for index in (self.chosen, self.rejected))
        return _Minibatch(chosen, rejected, weight.new_ones(()).expand(*runs, size), self.shape)


class _Minibatch(Preferences):
    """Pairs drawn from checked preferences; they are not checked again, since that would slow down every update."""

    def __post_init__(self) -> None:
        """Check nothing."""


def check_policy_shape(value: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a policy, ``(responses,)`` or ``(prompts, responses)``, or refuse anything else."""
    allowed = "(responses,) or (prompts, responses), with two or more responses"
    if not isinstance(value, tuple) or len(value) not in (1, 2):
        raise InvalidArgument("shape", value, allowed)
    for size in value:
        check_count("shape", size)
    if value[-1] < 2 or math.prod(value) >= 2**63:
        raise InvalidArgument("shape", value, allowed)
    return value


def check_one_list(preferences: Preferences) -> None:
    """Refuse a separate list of pairs for each run where there is a single run."""
    if preferences.chosen.ndim != 1 or preferences.rejected.ndim != 1 or preferences.weight.ndim != 1:
        raise InvalidArgument(
            "preferences", "they hold a separate list of pairs for each of several runs; give a single list of pairs"
        )


def check_one_length(*parts: Tensor) -> None:
    """Refuse chosen, rejected and weight of different lengths, or whose leading axes do not broadcast."""
    names, shapes = "chosen, rejected, weight", ", ".join(str(tuple(part.shape)) for part in parts)
    try:
        torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
    except RuntimeError as problem:
        raise InvalidArgument(names, f"the leading axes of their shapes, {shapes}, do not broadcast") from problem
    if len({part.shape[-1:] for part in parts}) > 1:
        raise InvalidArgument(names, f"their shapes are {shapes}; the last axis, that of the pairs, must be equal")


def _pick(index: Tensor, draws: Tensor) -> Tensor:
    return index[draws] if index.ndim == 1 else index.expand(*draws.shape[:-1], -1).gather(-1, draws)


def pairs(
    chosen: ArrayLike,
    rejected: ArrayLike,
    *,
    shape: tuple[int, ...],
    prompt: ArrayLike = 0,
    weight: ArrayLike = 1.0,
    device: torch.device | str | None = None,
) -> Preferences:
    """Return preferences from lists of chosen and rejected responses.

    Args:
        chosen: index of y_w among the responses of its prompt; a number or ``(pairs,)``.
        rejected: index of y_l, different from ``chosen``.
        shape: shape of the policy, ``(responses,)`` or ``(prompts, responses)``.
        prompt: index of the prompt of each pair.
        weight: weight of each pair, >= 0 and not all 0; see ``Preferences``.
        device: where the tensors live.

    Raises:
        InvalidArgument: an index out of range, chosen == rejected, a negative weight, weights that are all 0, shapes
            that do not fit.

    Example:
        >>> pairs([0, 1], [2, 2], shape=(3,)).weight
        tensor([1., 1.], dtype=torch.float64)
    """
    responses = check_policy_shape(shape)[-1]
    prompts = shape[0] if len(shape) == 2 else 1
    w = check_index("chosen", chosen, responses, device)
    loser = check_index("rejected", rejected, responses, device)
    x = check_index("prompt", prompt, prompts, device)
    weights = check_finite("weight", to_tensor("weight", weight, device=device))
    if bool((weights < 0).any()):
        raise InvalidArgument("weight", weights.tolist(), "numbers >= 0")
    try:
        w, loser, x, weights = torch.broadcast_tensors(w, loser, x, weights)
    except RuntimeError as problem:
        got = ", ".join(str(tuple(part.shape)) for part in (w, loser, x, weights))
        raise InvalidArgument(
            "chosen, rejected, prompt, weight", f"their shapes are {got}; give one number for each pair, or one for all"
        ) from problem
    if bool((w == loser).any()):
        same = int(w[w == loser].flatten()[0])
        raise InvalidArgument("rejected", f"response {same} is both the chosen and the rejected one of a pair")
    if w.ndim > 1 or w.numel() == 0:
        raise InvalidArgument("chosen", f"shape {tuple(w.shape)}", "a number or a non-empty list of numbers")
    return Preferences(
        chosen=(x * responses + w).reshape(-1),
        rejected=(x * responses + loser).reshape(-1),
        weight=weights.reshape(-1),
        shape=shape,
    )


def preference_matrix(
    probabilities: ArrayLike, *, sampling: ArrayLike = 1.0, device: torch.device | str | None = None
) -> Preferences:
    """Return the preferences that a matrix P(i beats j) gives on average: every ordered pair, weighted.

    Args:
        probabilities: ``(responses, responses)`` or ``(prompts, responses, responses)`` with entries
            P(i beats j) + P(j beats i) = 1 off the diagonal, which is not used.
        sampling: how often the unordered pair {i, j} is compared, >= 0: a number for all pairs, or an array of the
            same shape, symmetric. Only ratios matter.
        device: where the tensors live.

    Returns:
        Preferences whose weight for (i, j) is ``sampling[i, j] * probabilities[i, j]``; pairs of weight 0 are left
        out. The objective is the expected loss of one comparison. Comparisons of all pairs with ``sampling=1`` have the
        total weight ``prompts * responses * (responses - 1) / 2``, which is what turns their mean into their sum.

    Raises:
        InvalidArgument: entries outside [0, 1], P(i beats j) + P(j beats i) != 1, or shapes that do not fit.

    Example:
        >>> preference_matrix([[0.5, 0.75], [0.25, 0.5]]).weight
        tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    matrix = check_finite("probabilities", to_tensor("probabilities", probabilities, device=device))
    if matrix.ndim not in (2, 3) or matrix.shape[-1] != matrix.shape[-2] or matrix.shape[-1] < 2:
        raise InvalidArgument("probabilities", f"shape {tuple(matrix.shape)}", "square matrices, 2 x 2 or larger")
    off_diagonal = ~torch.eye(matrix.shape[-1], dtype=torch.bool, device=matrix.device)
    if bool(((matrix < 0) | (matrix > 1))[..., off_diagonal].any()):
        raise InvalidArgument("probabilities", matrix.tolist(), "entries from 0 to 1")
    excess = (matrix + matrix.mT - 1).abs()[..., off_diagonal]
    if bool((excess > PROBABILITY_TOLERANCE).any()):
        total = matrix + matrix.mT
        place = torch.nonzero(((total - 1).abs() > PROBABILITY_TOLERANCE) & off_diagonal)[0].tolist()
        i, j, found = *place[-2:], float(total[tuple(place)])
        raise InvalidArgument("probabilities", f"P({i} beats {j}) + P({j} beats {i}) = {found:.9g}; it must be 1")
    asked = check_finite("sampling", to_tensor("sampling", sampling, device=matrix.device))
    if asked.ndim and (asked.ndim == 1 or asked.shape != matrix.shape[-asked.ndim :]):
        check_shape("sampling", asked, matrix.shape)
    if bool((asked < 0).any()) or (asked.ndim and not torch.allclose(asked, asked.mT)):
        raise InvalidArgument("sampling", asked.tolist(), "numbers >= 0, the same for {i, j} and {j, i}")
    weight = torch.where(off_diagonal, asked * matrix, torch.zeros_like(matrix))
    prompts, n = (matrix.shape[0] if matrix.ndim == 3 else 1), matrix.shape[-1]
    weight = weight.reshape(prompts, n, n)
    x, i, j = torch.nonzero(weight, as_tuple=True)
    if x.numel() == 0:
        raise InvalidArgument("sampling", asked.tolist(), "a positive number for at least one pair")
    if not bool(weight.sum().isfinite()):
        raise InvalidArgument("sampling", asked.tolist(), "numbers whose sum is finite (only their ratios matter)")
    return Preferences(
        chosen=x * n + i,
        rejected=x * n + j,
        weight=weight[x, i, j],
        shape=(n,) if matrix.ndim == 2 else (prompts, n),
    )


def bradley_terry(rewards: ArrayLike, device: torch.device | str | None = None) -> Tensor:
    """Return the preference matrix P(i beats j) = sigma(r_i - r_j) of Bradley and Terry's model.

    Args:
        rewards: ``(..., responses)``, finite.
        device: where the tensors live.

    Example:
        >>> bradley_terry([0.0, 0.0])
        tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]], dtype=torch.float64)
    """
    r = check_finite("rewards", to_tensor("rewards", rewards, device=device))
    if r.ndim == 0 or r.numel() == 0:
        raise InvalidArgument("rewards", f"shape {tuple(r.shape)}", "shape (..., responses)")
    return torch.sigmoid(r.unsqueeze(-1) - r.unsqueeze(-2))
