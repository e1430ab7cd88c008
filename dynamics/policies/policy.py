"""The protocol that every finite policy follows, and the checks of its parameters."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from dynamics.errors import ArrayLike, InvalidArgument, check_kind, check_shape, to_tensor
from dynamics.shapes import LogProbs, Theta


@runtime_checkable
class Policy(Protocol):
    """What every policy offers.

    Attributes:
        shape: ``(responses,)`` or ``(prompts, responses)``.
        parameters: length of ``theta``.
        dtype: of ``theta`` and of everything computed from it.
        device: likewise.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (responses,) or (prompts, responses)."""
        ...

    @property
    def parameters(self) -> int:
        """Return the length of theta."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of theta."""
        ...

    @property
    def device(self) -> torch.device | str:
        """Return the device of theta."""
        ...

    def log_probs(self, theta: Theta) -> LogProbs:
        """Return log pi(y | x) in nats, shape ``(..., *shape)``, of parameters ``(..., parameters)``."""
        ...


def check_theta(policy: Policy, theta: ArrayLike, *, batched: bool = False) -> Tensor:
    """Return ``theta`` as a tensor of the policy's dtype and device, detached from autograd.

    A logit of -inf gives its response probability 0, whatever the training.

    Raises:
        InvalidArgument: an object that is not a policy, a NaN or +inf, -inf for every response of a prompt, or a wrong
            length.
    """
    check_kind("policy", policy, Policy, "a policy such as Tabular(responses=3)")
    tensor = to_tensor("theta", theta, dtype=policy.dtype, device=policy.device).detach()
    check_shape("theta", tensor, (policy.parameters,), batched=batched)
    if bool(torch.isnan(tensor).any()) or bool((tensor == math.inf).any()):
        raise InvalidArgument("theta", tensor.tolist(), "finite numbers (or -inf for a masked logit)")
    if bool(torch.isneginf(tensor).any()) and bool(torch.isnan(policy.log_probs(tensor)).any()):
        raise InvalidArgument("theta", tensor.tolist(), "-inf for masked logits only, and not for all of a prompt")
    return tensor


def log_softmax(logits: Tensor) -> Tensor:
    """Return the log-softmax along the last axis; -inf stays -inf.

    On the short rows of a finite policy this is twice as fast as torch.log_softmax, forward and backward. The shift by
    the largest potential, a constant to autograd, keeps the exponentials from overflowing.
    """
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    return shifted - shifted.exp().sum(-1, keepdim=True).log()


def check_length(policy: Policy, theta: Tensor) -> Tensor:
    """Refuse parameters of another length or dtype; cheap, since every evaluation of a policy calls it.

    Example:
        >>> from dynamics import Tabular
        >>> Tabular(2).log_probs(torch.zeros(3, dtype=torch.float64))
        Traceback (most recent call last):
            ...
        dynamics.errors.InvalidArgument: theta: got shape (3,) of torch.float64; allowed: a tensor (..., 2) of ...
    """
    if not isinstance(theta, Tensor):
        raise InvalidArgument("theta", theta, "a tensor")
    if not theta.ndim or theta.shape[-1] != policy.parameters or theta.dtype != policy.dtype or theta.is_meta:
        got = f"shape {tuple(theta.shape)} of {theta.dtype}" + " on meta" * theta.is_meta
        raise InvalidArgument("theta", got, f"a tensor (..., {policy.parameters}) of {policy.dtype}")
    return theta
