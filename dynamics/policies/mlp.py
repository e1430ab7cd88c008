"""The neural policy: a perceptron with one hidden layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dynamics.errors import (
    ArrayLike,
    InvalidArgument,
    check_count,
    check_device,
    check_dtype,
    check_finite,
    check_generator,
    check_runs,
    to_tensor,
)
from dynamics.policies.policy import check_length, log_softmax
from dynamics.shapes import LogProbs, Theta

MOST_ONE_HOT = 10_000
"""Largest number of prompts with one-hot features, whose memory grows with the square of that number."""


class MLP:
    """A perceptron with one hidden layer from prompt features to the logits of the responses.

    Args:
        prompts: features of the prompts ``(prompts, inputs)``, or a number of prompts for one-hot features.
        responses: number of responses, >= 2.
        hidden: width of the hidden layer.
        activation: "relu" or "tanh".
        dtype: torch.float64 or torch.float32.
        device: where the tensors live; that of ``prompts`` if not given.

    Attributes:
        inputs: the features of the prompts as a tensor.

    Raises:
        InvalidArgument: sizes below 1, features that are not finite, an unknown activation.

    Example:
        >>> policy = MLP(prompts=2, responses=3, hidden=4)
        >>> policy.log_probs(policy.initial(torch.Generator().manual_seed(0))).exp().sum(-1)
        tensor([1., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        prompts: int | ArrayLike,
        responses: int,
        hidden: int = 64,
        activation: str = "relu",
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        self.dtype = check_dtype("dtype", dtype)
        check_device("device", device)
        if isinstance(prompts, int):
            if check_count("prompts", prompts) > MOST_ONE_HOT:
                raise InvalidArgument("prompts", prompts, f"a number of prompts up to {MOST_ONE_HOT}, or features")
            inputs = torch.eye(prompts, dtype=dtype, device=device)
        else:
            inputs = check_finite("prompts", to_tensor("prompts", prompts, dtype=dtype, device=device))
        if inputs.ndim != 2 or 0 in inputs.shape:
            raise InvalidArgument(
                "prompts", f"shape {tuple(inputs.shape)}", "a number of prompts, or shape (prompts, inputs)"
            )
        if not isinstance(activation, str) or activation not in ("relu", "tanh"):
            raise InvalidArgument("activation", activation, "'relu' or 'tanh'")
        self.inputs = inputs
        self.responses = check_count("responses", responses, minimum=2)
        self.hidden = check_count("hidden", hidden)
        self.activation = activation
        self.device = inputs.device

    def __repr__(self) -> str:
        sizes = f"prompts={self.inputs.shape[0]}, responses={self.responses}, hidden={self.hidden}"
        return f"MLP({sizes}, activation={self.activation!r}, dtype={self.dtype}, device={self.device})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (prompts, responses)."""
        return (self.inputs.shape[0], self.responses)

    @property
    def parameters(self) -> int:
        """Return the number of weights and biases of both layers."""
        return sum(math.prod(shape) for shape in self._shapes())

    def log_probs(self, theta: Theta) -> LogProbs:
        """Return the log-softmax of the network's outputs (nats)."""
        shapes = self._shapes()
        parts = check_length(self, theta).split([math.prod(shape) for shape in shapes], -1)
        w1, b1, w2, b2 = (p.reshape(*theta.shape[:-1], *shape) for p, shape in zip(parts, shapes, strict=True))
        before = self.inputs @ w1.mT + b1.unsqueeze(-2)
        after = torch.relu(before) if self.activation == "relu" else torch.tanh(before)
        return log_softmax(after @ w2.mT + b2.unsqueeze(-2))

    def initial(self, generator: torch.Generator, runs: tuple[int, ...] = ()) -> Tensor:
        """Return parameters drawn as torch.nn.Linear draws them, shape ``(*runs, parameters)``."""
        check_generator(generator, self.device)
        check_runs(runs)
        parts = []
        for shape, fan_in in zip(self._shapes(), (self.inputs.shape[1],) * 2 + (self.hidden,) * 2, strict=True):
            uniform = torch.rand(*runs, math.prod(shape), generator=generator, dtype=self.dtype, device=self.device)
            parts.append((2 * uniform - 1) / math.sqrt(fan_in))
        return torch.cat(parts, dim=-1)

    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        return (
            (self.hidden, self.inputs.shape[1]),
            (self.hidden,),
            (self.responses, self.hidden),
            (self.responses,),
        )
