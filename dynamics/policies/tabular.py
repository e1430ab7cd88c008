"""The tabular softmax policy: one logit for every response."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dynamics.errors import ArrayLike, check_count, check_device, check_dtype, check_probabilities, to_tensor
from dynamics.policies.policy import check_length, log_softmax
from dynamics.shapes import LogProbs, Theta


@dataclass(frozen=True)
class Tabular:
    """Softmax over free logits: one logit for every response (of every prompt).

    Args:
        responses: number of responses, >= 2.
        prompts: number of prompts; None for a single one, whose arrays then have no prompt axis.
        dtype: torch.float64 or torch.float32.
        device: where the tensors live.

    Example:
        >>> Tabular(responses=3).log_probs(torch.zeros(3, dtype=torch.float64)).exp()
        tensor([0.3333, 0.3333, 0.3333], dtype=torch.float64)
    """

    responses: int
    prompts: int | None = None
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        check_count("responses", self.responses, minimum=2)
        if self.prompts is not None:
            check_count("prompts", self.prompts)
        check_dtype("dtype", self.dtype)
        check_device("device", self.device)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (responses,) or (prompts, responses)."""
        return (self.responses,) if self.prompts is None else (self.prompts, self.responses)

    @property
    def parameters(self) -> int:
        """Return the number of logits, one for each response of each prompt."""
        return math.prod(self.shape)

    def log_probs(self, theta: Theta) -> LogProbs:
        """Return the log-softmax of the logits (nats)."""
        return log_softmax(self.logits(theta))

    def logits(self, theta: Theta) -> LogProbs:
        """Return the logits: theta itself, ``(..., *shape)``."""
        return check_length(self, theta).reshape(*theta.shape[:-1], *self.shape)

    def linear_part(self, direction: Theta) -> LogProbs:
        """Return the change of the logits along a direction: the direction itself."""
        return self.logits(direction)

    def transposed(self, cotangent: LogProbs) -> Theta:
        """Return the gradient by theta from the gradient by the logits: the same numbers, ``(..., parameters)``."""
        return cotangent.flatten(start_dim=cotangent.ndim - len(self.shape))


def tabular_theta(probabilities: ArrayLike) -> Tensor:
    """Return the logits of a tabular policy that has these probabilities; 0 becomes -inf and stays 0.

    Args:
        probabilities: ``(responses,)`` or ``(prompts, responses)``, each row sums to 1.

    Raises:
        InvalidArgument: rows that are not distributions.

    Example:
        >>> Tabular(2).log_probs(tabular_theta([0.25, 0.75])).exp()
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    return check_probabilities("probabilities", to_tensor("probabilities", probabilities)).log().flatten()
