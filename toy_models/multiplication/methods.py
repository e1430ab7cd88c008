"""How a copy of a model is trained on pairs: DPO (or another loss) on all parameters, or Stable PO on two blocks.

Both kinds of learner have a ``model`` (the current policy), the ``gradient`` of their objective at it, and a ``step``;
the probe needs nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from dynamics import DPO, SFT, InvalidArgument, PreferenceLoss
from dynamics.errors import check_nonnegative
from dynamics.language_model import (
    PairBatch,
    StablePO,
    StablePOAccount,
    TokenSequence,
    add_adapters,
    differentiable_log_probs,
    pair_batch,
    stable_po_state,
    stable_po_step,
)
from dynamics.language_model.causal_lm import CausalLM, as_module
from dynamics.language_model.training.stable_po import stable_po_gradient
from dynamics.losses import pair_log_probs

Values = dict[str, Tensor]
ADAPTER_RANK = 8


@dataclass(frozen=True)
class Descent:
    """Gradient descent of a preference loss over all parameters, all pairs at once.

    Attributes:
        loss: the preference loss, such as ``DPO(beta=0.5)`` or ``DPO(beta=0.5) + 1.0 * SFT()``.
        optimizer: "adamw" (without weight decay) or "sgd".
        learning_rate: its learning rate.
    """

    loss: PreferenceLoss = field(default_factory=lambda: DPO(beta=0.5))
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-5

    def __post_init__(self) -> None:
        check_nonnegative("learning_rate", self.learning_rate)
        if self.optimizer not in ("adamw", "sgd"):
            raise InvalidArgument("optimizer", self.optimizer, "'adamw' or 'sgd'")


Method = Descent | StablePO


def dpo_with_nll(beta: float = 0.5, weight: float = 1.0) -> PreferenceLoss:
    """Return DPO plus a weight times the NLL of the chosen responses, which Stable PO with gamma = 0 nearly equals."""
    return DPO(beta=beta) + weight * SFT()


class Learner(Protocol):
    """A copy of a model that learns."""

    @property
    def model(self) -> Any:
        """Return the current policy."""
        ...

    def gradient(self) -> Values:
        """Return the gradient of the objective at the current policy, by parameter."""
        ...

    def rate(self, name: str) -> float:
        """Return the learning rate of a parameter."""
        ...

    def step(self) -> StablePOAccount | None:
        """Make one update; Stable PO returns an account of it."""
        ...


def learner(model: CausalLM, pairs: PairSequences, method: Method) -> Learner:
    """Return a learner that starts as a copy of the model, which is its reference.

    Args:
        model: a causal language model; left as it was.
        pairs: chosen and rejected.
        method: how to train.
    """
    if isinstance(method, StablePO):
        return StablePOLearner(model, pairs, method)
    return DescentLearner(model, pairs, method)


@dataclass(frozen=True)
class PairSequences:
    """Chosen and rejected, pair by pair."""

    chosen: tuple[TokenSequence, ...]
    rejected: tuple[TokenSequence, ...]


class DescentLearner:
    """Trains every parameter on a preference loss."""

    def __init__(self, model: CausalLM, pairs: PairSequences, method: Descent) -> None:
        self.model = _trainable_copy(model)
        self._method = method
        self._pairs = pairs
        with torch.no_grad():
            self._reference = self._log_probs()
        kinds = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
        self._optimizer = kinds[method.optimizer](self.model.parameters(), lr=method.learning_rate, weight_decay=0.0)

    def gradient(self) -> Values:
        """Return the gradient of the mean loss."""
        return gradient(self._loss(), self.model)

    def rate(self, name: str) -> float:  # noqa: ARG002 - the protocol's; Stable PO has two
        """Return the learning rate."""
        return self._method.learning_rate

    def step(self) -> None:
        """Make one update."""
        self._optimizer.zero_grad()
        self._loss().backward()
        self._optimizer.step()

    def _log_probs(self) -> Tensor:
        return differentiable_log_probs(self.model, [*self._pairs.chosen, *self._pairs.rejected])

    def _loss(self) -> Tensor:
        count = len(self._pairs.chosen)
        now, before = self._log_probs(), self._reference
        lengths = (
            torch.tensor([s.length for s in side], device=now.device, dtype=torch.float64)
            for side in (self._pairs.chosen, self._pairs.rejected)
        )
        pair = pair_log_probs(now[:count], now[count:], before[:count], before[count:], *lengths)
        return self._method.loss.value(pair).mean()


class StablePOLearner:
    """Trains adapters and backbone by Algorithm 1 of jian2025."""

    def __init__(self, model: CausalLM, pairs: PairSequences, method: StablePO) -> None:
        self._adapted = add_adapters(_trainable_copy(model), rank=ADAPTER_RANK)
        self._batch: PairBatch = pair_batch(self._adapted, pairs.chosen, pairs.rejected)
        self._state = stable_po_state(self._adapted)
        self._method = method
        self._theta = frozenset(self._adapted.theta)

    @property
    def model(self) -> Any:
        """Return the current policy."""
        return self._adapted.model

    def gradient(self) -> Values:
        """Return the gradient of the penalised objective in both blocks, Eqs. (13) and (14)."""
        terms, _ = stable_po_gradient(self._adapted, self._state, self._batch, self._method)
        return terms.theta | terms.phi

    def rate(self, name: str) -> float:
        """Return the learning rate of the block."""
        of_theta, of_phi = self._method.learning_rates
        return of_theta if name in self._theta else of_phi

    def step(self) -> StablePOAccount:
        """Make one iteration."""
        self._state, account = stable_po_step(self._adapted, self._state, self._batch, self._method)
        self._adapted.write(self._state.theta | self._state.phi)
        return account


def gradient(value: Tensor, model: CausalLM) -> Values:
    """Return the gradient of a number with respect to every parameter of a model."""
    named = dict(model.named_parameters())
    return dict(zip(named, torch.autograd.grad(value, list(named.values())), strict=True))


def dot(one: Values, other: Values) -> float:
    """Return the inner product of two vectors of parameters, added up in float64."""
    return float(sum(float((one[name].double() * other[name].double()).sum()) for name in one))


def mean_score(model: CausalLM, sequences: Iterable[TokenSequence]) -> Values:
    """Return the gradient of the mean of log pi over some sequences."""
    return gradient(differentiable_log_probs(model, sequences).mean(), model)


def _trainable_copy(model: CausalLM) -> Any:
    policy = copy.deepcopy(as_module(model)).eval()
    if next(policy.parameters()).dtype in (torch.float16, torch.bfloat16):
        policy = policy.float()  # in half precision a step of 1e-5 would be rounded away
    return policy.requires_grad_()
