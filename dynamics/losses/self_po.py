"""Self preference optimization (sun2025) and the activations of its ablation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_flag, check_number, check_positive
from dynamics.losses.base import MarginLoss, PairLogProbs, Partials, Scalar


class Activation(NamedTuple):
    """An activation and its derivative, both functions of ``x = -margin``."""

    value: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]


def _silu_derivative(x: Tensor) -> Tensor:
    # sigma(-x) is accurate where x is large, 1 - sigma(x) is not
    return torch.sigmoid(x) * (1 + x * torch.sigmoid(-x))


def _normal_cdf(x: Tensor) -> Tensor:
    # torch.special.ndtr computes 1 + erf, which has no correct digit left at x = -10
    return torch.special.erfc(-x / math.sqrt(2)) / 2


def _gelu(x: Tensor) -> Tensor:
    return x * _normal_cdf(x)


def _gelu_derivative(x: Tensor) -> Tensor:
    return _normal_cdf(x) + x * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


ACTIVATIONS: dict[str, Activation] = {
    "silu": Activation(lambda x: x * torch.sigmoid(x), _silu_derivative),
    "gelu": Activation(_gelu, _gelu_derivative),
    "relu": Activation(torch.relu, lambda x: (x > 0).to(x.dtype)),
    "square": Activation(lambda x: x * x, lambda x: 2 * x),
    "identity": Activation(lambda x: x, torch.ones_like),
}


@dataclass(frozen=True)
class SelfPO(MarginLoss):
    """Self preference optimization: an activation that is bounded below in place of the logistic loss.

    SiLU(-z) equals the logistic loss minus the binary entropy of sigma(z); its minimum is at the margin
    1 + W(1/e) = 1.2785, and it reduces larger margins.

    Args:
        beta: scale of the log-probabilities, > 0.
        gamma: target margin, in units of the margin.
        activation: "silu" (the method), or "gelu", "relu", "square", "identity" (its ablation, Table 5).
        length_normalized: per-token averages as in Eq. 17 (True), or whole sequences as in Eq. 7 (False).

    Example:
        >>> SelfPO(beta=1.0, gamma=0.0)(chosen=-1.0, rejected=-2.27846454)
        tensor(-0.2785, dtype=torch.float64)
    """

    beta: Scalar = 2.5
    gamma: Scalar = 0.8
    activation: str = "silu"
    length_normalized: bool = True

    formula: ClassVar[str] = (
        r"\mathrm{SiLU}\left(-\left[\frac{\beta}{|y_w|}\log\pi_w-\frac{\beta}{|y_l|}\log\pi_l-\gamma\right]\right)"
    )
    source: ClassVar[str] = "sun2025 Eqs. 7 and 17; ablation Table 5"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_number("gamma", self.gamma)
        check_flag("length_normalized", self.length_normalized)
        if not isinstance(self.activation, str) or self.activation not in ACTIVATIONS:
            raise InvalidArgument("activation", self.activation, "one of " + ", ".join(sorted(ACTIVATIONS)))

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta times the difference of (average) log-probs, less gamma."""
        scale_chosen, scale_rejected = self._scales(pair)
        return pair.chosen * scale_chosen - pair.rejected * scale_rejected - self.gamma

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return the activation at -z."""
        return ACTIVATIONS[self.activation].value(-margin)

    def derivative(self, margin: Tensor) -> Tensor:
        """Return minus the derivative of the activation at -z; positive beyond the minimum of SiLU and GELU."""
        return -ACTIVATIONS[self.activation].derivative(-margin)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta / |y_w|, -beta / |y_l|), or (beta, -beta) without length normalisation."""
        chosen, rejected = self._scales(pair)
        return Partials(chosen, -rejected)

    def _scales(self, pair: PairLogProbs) -> tuple[Tensor, Tensor]:
        if self.length_normalized:
            return self.beta / pair.chosen_length, self.beta / pair.rejected_length
        scale = self.beta * torch.ones_like(pair.chosen)
        return scale, scale
