"""An independent look at a kernel: one plain backward pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dynamics.errors import check_finite, check_shape, to_tensor
from dynamics.language_model.kernel.sequence_kernel import SequenceKernel
from dynamics.language_model.model_head import find_head
from dynamics.language_model.parameters import Filter, requiring, select_parameters
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.shortage import telling_shortage
from dynamics.language_model.tokens import TokenSequence, check_sequences


@dataclass(frozen=True)
class Audit:
    """Two ways to the squared norm of one gradient.

    Attributes:
        from_kernel: v^T K v.
        from_backward: squared norm of the gradient of sum_i v_i log pi_i from one plain backward pass.
        error: their difference over sum_ij |v_i v_j| sqrt(K_ii K_jj), which no cancellation can inflate.
    """

    from_kernel: float
    from_backward: float
    error: float


def audit(
    model: Any,
    sequences: Iterable[TokenSequence],
    kernel: Tensor | SequenceKernel,
    vector: Tensor,
    *,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
) -> Audit:
    """Compare v^T K v with one plain backward pass of sum_i v_i log pi_i, which shares no code with the kernel.

    It costs one backward pass with logits for every token, so it works where single gradients do not fit.

    Args:
        model: the model of the kernel.
        sequences: its sequences.
        kernel: the kernel to examine.
        vector: v, ``(sequences,)``; a random one sees every entry.
        parameters: the kernel's own filter.
        dtype: dtype of the plain pass.

    Example:
        >>> from dynamics.language_model import sequence_kernel, tiny_model
        >>> pair = [TokenSequence((1, 2, 3), 1), TokenSequence((1, 2, 4), 1)]
        >>> account = sequence_kernel(tiny_model(), pair)
        >>> audit(tiny_model(), pair, account, torch.tensor([1.0, -2.0])).error < 1e-12
        True
    """
    found = check_sequences(sequences, find_head(model).weight.shape[0])
    table = kernel.kernel if isinstance(kernel, SequenceKernel) else check_finite("kernel", to_tensor("kernel", kernel))
    check_shape("kernel", table, (len(found), len(found)))
    v = check_finite("vector", check_shape("vector", to_tensor("vector", vector), (len(found),))).cpu()
    squared = sum(
        float(g.to(torch.float64).square().sum()) for g in plain_gradient(model, found, v, parameters, dtype).values()
    )
    quadratic = float(v @ table.to(torch.float64).cpu() @ v)
    scale = float((v.abs() * table.diagonal().clamp(min=0).sqrt().cpu()).sum()) ** 2
    return Audit(quadratic, squared, abs(quadratic - squared) / scale if scale > 0 else abs(squared))


def plain_gradient(
    model: Any, sequences: Sequence[TokenSequence], vector: Tensor, parameters: Filter, dtype: torch.dtype | None
) -> dict[str, Tensor]:
    """Return the gradient of sum_i v_i log pi_i by plain autograd, sequence after sequence, for every parameter picked.

    Nothing is shared with the kernel: full logits, the model's own forward, no padding.

    Args:
        model: the model.
        sequences: its sequences.
        vector: v.
        parameters: filter as in ``sequence_kernel``.
        dtype: dtype to compute in.
    """
    head = find_head(model)
    none = isinstance(sequences, (list, tuple)) and not sequences  # a loss that does not push
    found = () if none else check_sequences(sequences, head.weight.shape[0])
    numbers = check_finite("vector", check_shape("vector", to_tensor("vector", vector), (len(found),))).tolist()
    selected = select_parameters(model, parameters)
    device = head.weight.device
    wanted = compute_dtype(model, dtype)
    shortage = telling_shortage("sequences", len(found))
    with shortage, computing_in(model, wanted), requiring(model, selected), torch.enable_grad():
        total: dict[str, Tensor] = {name: torch.zeros_like(p) for name, p in selected.items()}
        for weight, s in zip(numbers, found, strict=True):
            logits = model(input_ids=torch.tensor([s.ids[:-1]], device=device), use_cache=False).logits[0]
            rows = logits[s.prompt_tokens - 1 :].log_softmax(-1)
            own = rows.gather(1, torch.tensor(s.response, device=device).unsqueeze(1)).sum()
            for name, g in zip(
                selected, torch.autograd.grad(own, list(selected.values()), allow_unused=True), strict=True
            ):
                if g is not None:
                    total[name] = total[name] + weight * g
    return total
