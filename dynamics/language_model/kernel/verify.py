"""A check of a kernel against one backward pass of plain autograd."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dynamics.errors import check_finite, check_shape, to_tensor
from dynamics.language_model.causal_lm import CausalLM, unwrapped
from dynamics.language_model.kernel.sequence_kernel import SequenceKernel
from dynamics.language_model.model_head import find_head
from dynamics.language_model.parameters import Filter
from dynamics.language_model.tokens import TokenSequence, check_sequences
from dynamics.language_model.vjp import log_probs_vjp


@dataclass(frozen=True)
class KernelCheck:
    """The squared norm of sum_i v_i grad log pi_i, computed in two ways.

    Attributes:
        from_kernel: v^T K v.
        from_backward: the squared norm of the gradient of sum_i v_i log pi_i, by plain autograd.
        error: their difference divided by sum_ij |v_i v_j| sqrt(K_ii K_jj). The divisor has no cancelling terms, so the
            error of an exact kernel is of the size of rounding even where v^T K v is nearly 0.
    """

    from_kernel: float
    from_backward: float
    error: float


def verify_kernel(
    model: CausalLM,
    sequences: Iterable[TokenSequence],
    kernel: Tensor | SequenceKernel,
    vector: Tensor,
    *,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
) -> KernelCheck:
    """Compare v^T K v with the squared norm of the gradient of sum_i v_i log pi_i, by plain autograd.

    The plain gradient shares no code with the kernel. It needs the memory of one gradient, so the check works for
    models for which the gradients of all sequences do not fit into memory.

    Args:
        model: the model of the kernel.
        sequences: its sequences.
        kernel: the kernel to check, ``(sequences, sequences)``.
        vector: v, ``(sequences,)``. A random vector depends on every entry of the kernel.
        parameters: the parameters of the kernel, as for ``sequence_kernel``.
        dtype: dtype of the plain backward pass; by default the model's own, but not below float32.

    Raises:
        InvalidArgument: shapes that do not fit, numbers that are not finite, and as for ``log_probs_vjp``.

    Example:
        >>> from dynamics.language_model import sequence_kernel, tiny_model
        >>> pair = [TokenSequence((1, 2, 3), 1), TokenSequence((1, 2, 4), 1)]
        >>> result = sequence_kernel(tiny_model(), pair)
        >>> verify_kernel(tiny_model(), pair, result, torch.tensor([1.0, -2.0])).error < 1e-12
        True
    """
    model = unwrapped(model)
    found = check_sequences(sequences, find_head(model).vocabulary)
    given = kernel.kernel if isinstance(kernel, SequenceKernel) else check_finite("kernel", to_tensor("kernel", kernel))
    check_shape("kernel", given, (len(found), len(found)))
    v = check_finite("vector", check_shape("vector", to_tensor("vector", vector), (len(found),))).cpu()
    gradient = log_probs_vjp(model, found, v, parameters=parameters, dtype=dtype)
    squared = sum(float(g.to(torch.float64).square().sum()) for g in gradient.values())
    quadratic = float(v @ given.to(torch.float64).cpu() @ v)
    scale = float((v.abs() * given.diagonal().clamp(min=0).sqrt().cpu()).sum()) ** 2
    return KernelCheck(quadratic, squared, abs(quadratic - squared) / scale if scale > 0 else abs(squared))
