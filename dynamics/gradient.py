"""The gradient of a preference objective: the closed-form partial derivatives of the loss, pulled back to theta.

The objective is the weighted mean of the losses of the pairs (see ``Preferences``), for finite policies and language
models alike.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_kind
from dynamics.evaluation import evaluate
from dynamics.losses import PairLogProbs
from dynamics.losses.base import Partials
from dynamics.policies import Policy
from dynamics.preferences import Preferences
from dynamics.shapes import FlatLogProbs, FlatReference, Lengths, Theta


@runtime_checkable
class HasPartials(Protocol):
    """The part of a loss that the gradient uses: its partial derivatives. See ``PreferenceLoss``, ``LossStack``."""

    def total_partials(self, pair: PairLogProbs, weight: Tensor) -> Partials:
        """Return the derivatives of a batch's weighted sum of losses with respect to log pi of chosen and rejected."""
        ...


def response_lengths(policy: Policy) -> Lengths:
    """Return the length in tokens of every response, ``policy.shape`` flattened; 1 for a policy without lengths.

    Example:
        >>> from dynamics import Tabular
        >>> response_lengths(Tabular(2))
        tensor([1., 1.], dtype=torch.float64)
    """
    lengths = getattr(policy, "lengths", None)
    if lengths is None:
        return torch.ones(policy.shape, dtype=policy.dtype, device=policy.device).flatten()
    return lengths


def pair_quantities(
    log_probs: FlatLogProbs, reference: FlatReference, preferences: Preferences, lengths: Lengths
) -> PairLogProbs:
    """Return what a loss needs to know about each pair, taken from the log-probabilities of all responses.

    Args:
        log_probs: ``(..., prompts * responses)`` in nats.
        reference: log ref, broadcastable to ``log_probs``.
        preferences: pairs; one list for all runs, or one for each run.
        lengths: ``(prompts * responses,)``, or with leading axes where the responses differ from run to run.
    """
    chosen, rejected = preferences.chosen, preferences.rejected
    return PairLogProbs(
        _pick(log_probs, chosen),
        _pick(log_probs, rejected),
        _pick(reference, chosen),
        _pick(reference, rejected),
        lengths[chosen] if lengths.ndim == 1 else _pick(lengths, chosen),
        lengths[rejected] if lengths.ndim == 1 else _pick(lengths, rejected),
    )


def _pick(values: Tensor, index: Tensor) -> Tensor:
    if index.ndim == 1:
        return values[..., index]
    if values.shape[:-1] == index.shape[:-1]:
        return values.gather(-1, index)
    runs = torch.broadcast_shapes(values.shape[:-1], index.shape[:-1])
    return values.expand(*runs, -1).gather(-1, index.expand(*runs, -1))


def check_preferences(policy: Policy, log_probs: FlatLogProbs, preferences: Preferences) -> None:
    """Refuse preferences whose shape is not the policy's, or that contain a response of probability 0.

    Args:
        policy: the finite policy.
        log_probs: ``(..., prompts * responses)`` in nats.
        preferences: the pairs; those of weight 0 are ignored.
    """
    check_kind("preferences", preferences, Preferences, "Preferences, as pairs() or preference_matrix() make them")
    if preferences.shape != tuple(policy.shape):
        raise InvalidArgument("preferences", f"shape {preferences.shape}", f"the policy's shape {policy.shape}")
    if float(log_probs.amin()) > -torch.inf:
        return
    impossible = torch.isneginf(log_probs)
    for name, index in (("chosen", preferences.chosen), ("rejected", preferences.rejected)):
        if bool((_pick(impossible, index) & (preferences.weight > 0)).any()):
            raise InvalidArgument(
                name,
                "the policy gives one of these responses the probability 0, so its log-probability has no gradient; "
                "leave out its pairs, or give them the weight 0",
            )


def objective_cotangent(
    log_probs: FlatLogProbs, reference: FlatReference, preferences: Preferences, loss: HasPartials, lengths: Lengths
) -> FlatLogProbs:
    """Return the gradient of the objective with respect to every log pi(y | x), each taken as a free variable.

    Shapes as in ``pair_quantities``; the result has the shape of ``log_probs``.
    """
    # a batch loss couples the pairs of a run; pairs of weight 0, possibly with masked responses, must not contribute
    quantities = pair_quantities(log_probs, reference, preferences, lengths)
    of_chosen, of_rejected = loss.total_partials(quantities, preferences.share.to(log_probs.dtype))
    cotangent = torch.zeros_like(log_probs)
    shape = (*log_probs.shape[:-1], preferences.chosen.shape[-1])
    cotangent.scatter_add_(-1, preferences.chosen.expand(shape), of_chosen.expand(shape))
    cotangent.scatter_add_(-1, preferences.rejected.expand(shape), of_rejected.expand(shape))
    return cotangent


def objective_gradient(
    policy: Policy, theta: Theta, preferences: Preferences, loss: HasPartials, reference: FlatReference
) -> Theta:
    """Return d/dtheta of the objective, for one theta or a batch ``(..., parameters)``.

    Args:
        policy: the finite policy.
        theta: parameters.
        preferences: weighted pairs.
        loss: the preference loss.
        reference: log ref in nats, ``(..., prompts * responses)``.
    """
    found = evaluate(policy, theta)
    return found.vjp(objective_cotangent(found.log_probs, reference, preferences, loss, response_lengths(policy)))
