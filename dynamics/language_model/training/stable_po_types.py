"""The settings, batches, states and results of Stable Preference Optimization (see ``stable_po``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from dynamics.errors import InvalidArgument, check_count, check_finite, check_kind, check_shape, is_finite
from dynamics.language_model.tokens import TokenSequence
from dynamics.language_model.training.adapters import Values
from dynamics.optimizers import Moments


@dataclass(frozen=True)
class StablePO:
    """The settings of Algorithm 1. Where jian2025, Table 2, has a value, it is the default.

    Attributes:
        beta: beta of DPO.
        penalty: lambda >= 0, the weight of L_sft - L*_sft.
        gamma: weight of L_reg; if it is above 0, second derivatives are computed.
        inner_steps: K, the steps of gradient descent on the lower-level problem; with 0, phi' is phi and term (b) is 0.
        inner_learning_rate: eta_phi', the learning rate of these steps (Eq. (11)).
        learning_rate: learning rate of theta and phi, or a pair (eta_theta, eta_phi).
        optimizer: optimizer of theta and phi: "adamw" (without weight decay), as in the experiments of the paper, or
            "sgd", as in Eq. (12).
    """

    beta: float = 0.5
    penalty: float = 1.0
    gamma: float = 0.0
    inner_steps: int = 1
    inner_learning_rate: float = 2e-5
    learning_rate: float | tuple[float, float] = 1e-5
    optimizer: Literal["adamw", "sgd"] = "adamw"

    def __post_init__(self) -> None:
        if not is_finite(self.beta) or self.beta <= 0:
            raise InvalidArgument("beta", self.beta, "a finite number > 0")
        check_count("inner_steps", self.inner_steps, minimum=0)
        for name in ("penalty", "gamma", "inner_learning_rate"):
            _check_scalar(name, getattr(self, name))
        if isinstance(self.learning_rate, tuple) and len(self.learning_rate) != 2:
            raise InvalidArgument("learning_rate", self.learning_rate, "one number, or a pair for theta and phi")
        for rate in self.learning_rates:
            _check_scalar("learning_rate", rate)
        if not isinstance(self.optimizer, str) or self.optimizer not in ("adamw", "sgd"):
            raise InvalidArgument("optimizer", self.optimizer, "'adamw' or 'sgd'")

    @property
    def learning_rates(self) -> tuple[float, float]:
        """Return eta_theta and eta_phi."""
        rate = self.learning_rate
        return rate if isinstance(rate, tuple) else (rate, rate)


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Preference pairs with their log-probabilities under the reference policy, and SFT data (line 10).

    Attributes:
        chosen: x and y_w of every pair.
        rejected: x and y_l of every pair.
        reference_chosen: log ref(y_w | x) in nats, ``(pairs,)``.
        reference_rejected: log ref(y_l | x) in nats, ``(pairs,)``.
        sft: D_sft; None for the chosen responses.
    """

    chosen: tuple[TokenSequence, ...]
    rejected: tuple[TokenSequence, ...]
    reference_chosen: Tensor
    reference_rejected: Tensor
    sft: tuple[TokenSequence, ...] | None = None

    def __post_init__(self) -> None:
        check_sides(self.chosen, self.rejected, self.sft)
        if not self.chosen or len(self.chosen) != len(self.rejected):
            counts = f"there are {len(self.chosen)} chosen and {len(self.rejected)} rejected sequences"
            raise InvalidArgument("rejected", f"{counts}; give equally many, at least one of each")
        for name in ("reference_chosen", "reference_rejected"):
            check_kind(name, getattr(self, name), Tensor, "a tensor of log-probabilities, one for each pair")
            check_finite(name, check_shape(name, getattr(self, name), (len(self.chosen),)))
        if self.sft is not None and not self.sft:
            raise InvalidArgument("sft", "it is empty; give at least one sequence, or None for the chosen responses")

    @property
    def sft_data(self) -> tuple[TokenSequence, ...]:
        """Return D_sft: the SFT data, or the chosen responses if there are none."""
        return self.chosen if self.sft is None else self.sft


@dataclass(frozen=True, eq=False)
class StablePOState:
    """theta_t, phi_t and the state of the optimizer.

    Attributes:
        theta: values of the adapters' parameters.
        phi: values of the backbone's parameters.
        moments: the moments of AdamW for every parameter; None before the first iteration and for SGD.
        iterations: t, the number of iterations so far.
    """

    theta: Values
    phi: Values
    moments: dict[str, Moments | None]
    iterations: int = 0


@dataclass(frozen=True, eq=False)
class StablePOAccount:
    """The losses and the gradient norms of an iteration, at (theta_t, phi_t).

    Attributes:
        dpo: L_dpo in nats.
        sft: L_sft(theta, phi), the mean of -log pi over D_sft, nats.
        sft_star: L_sft(theta, phi'^(K)) after the inner steps, line 9.
        reg: L_reg; None if gamma is 0.
        norms: Euclidean norm of every term of the gradient, by its letter.
    """

    dpo: float
    sft: float
    sft_star: float
    reg: float | None
    norms: dict[str, float]


def _check_scalar(name: str, value: float) -> None:
    """Refuse anything but one finite number >= 0."""
    if not is_finite(value) or value < 0:
        raise InvalidArgument(name, value, "a finite number >= 0")


def check_sides(chosen: object, rejected: object, sft: object) -> None:
    """Refuse anything but tuples (or lists) of sequences, as many chosen as rejected; SFT data may be None."""
    for name, value in (("chosen", chosen), ("rejected", rejected), ("sft", sft)):
        if value is None and name == "sft":
            continue
        if not isinstance(value, (tuple, list)):
            raise InvalidArgument(name, value, "a tuple of TokenSequence")
        for number, sequence in enumerate(value):
            check_kind(f"{name}[{number}]", sequence, TokenSequence, "a TokenSequence; tokenize() makes one")
