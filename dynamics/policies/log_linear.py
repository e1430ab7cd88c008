"""The log-linear policy: a softmax over features that responses share."""

from __future__ import annotations

import torch

from dynamics.errors import ArrayLike, InvalidArgument, check_dtype, check_finite, check_shape, to_tensor
from dynamics.policies.policy import check_length, log_softmax
from dynamics.shapes import LogProbs, Theta


class LogLinear:
    """pi(y | x) proportional to m(y) exp(phi(y) . theta): shared features, optional base measure.

    Args:
        features: phi, shape ``(responses, parameters)`` or ``(prompts, responses, parameters)``.
        base_measure: m, shape ``(responses,)`` or ``(prompts, responses)``, numbers >= 0, not all 0; 1 everywhere if
            not given.
        dtype: torch.float64 or torch.float32.
        device: where the tensors live; that of ``features`` if not given.

    Attributes:
        features: phi as a tensor.
        base_measure: m as a tensor.

    Raises:
        InvalidArgument: features that are not finite, or shapes that do not fit.

    Example:
        >>> policy = LogLinear(features=[[2.0], [3.0], [0.0]])
        >>> policy.log_probs(torch.zeros(1, dtype=torch.float64)).exp()
        tensor([0.3333, 0.3333, 0.3333], dtype=torch.float64)
    """

    def __init__(
        self,
        features: ArrayLike,
        base_measure: ArrayLike | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        self.dtype = check_dtype("dtype", dtype)
        phi = check_finite("features", to_tensor("features", features, dtype=dtype, device=device))
        if phi.ndim not in (2, 3) or phi.shape[-2] < 2 or phi.shape[-1] < 1:
            raise InvalidArgument(
                "features", f"shape {tuple(phi.shape)}", "shape (responses >= 2, parameters) or (prompts, ..., ...)"
            )
        if base_measure is None:
            base = torch.ones(phi.shape[:-1], dtype=dtype, device=phi.device)
        else:
            base = check_finite("base_measure", to_tensor("base_measure", base_measure, dtype=dtype, device=phi.device))
            check_shape("base_measure", base, phi.shape[:-1])
            if bool((base < 0).any()) or not bool((base.sum(-1) > 0).all()):
                raise InvalidArgument("base_measure", base.tolist(), "numbers >= 0, not all 0 for any prompt")
        self.features = phi
        self.base_measure = base
        self.device = phi.device

    def __repr__(self) -> str:
        return f"LogLinear(features of shape {tuple(self.features.shape)}, dtype={self.dtype}, device={self.device})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (responses,) or (prompts, responses)."""
        return tuple(self.features.shape[:-1])

    @property
    def parameters(self) -> int:
        """Return the number of features of a response."""
        return self.features.shape[-1]

    def log_probs(self, theta: Theta) -> LogProbs:
        """Return the log-softmax of phi . theta + log m (nats)."""
        return log_softmax(self.logits(theta))

    def logits(self, theta: Theta) -> LogProbs:
        """Return phi . theta + log m, ``(..., *shape)``."""
        return self.linear_part(theta) + self.base_measure.log()

    def linear_part(self, direction: Theta) -> LogProbs:
        """Return phi . d, the change of the logits along a direction ``(..., parameters)``."""
        return torch.tensordot(check_length(self, direction), self.features, dims=([-1], [-1]))

    def transposed(self, cotangent: LogProbs) -> Theta:
        """Return the gradient by theta, ``(..., parameters)``, from the gradient by the logits ``(..., *shape)``."""
        axes = tuple(range(-len(self.shape), 0))
        return torch.tensordot(cotangent, self.features, dims=(axes, tuple(range(len(self.shape)))))
