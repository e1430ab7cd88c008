"""The gradient of a weighted sum of log-probabilities, by plain autograd: the vector-Jacobian product of log pi."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dynamics.errors import check_finite, check_shape, to_tensor
from dynamics.language_model.causal_lm import CausalLM, as_module, differentiating, unwrapped
from dynamics.language_model.model_head import find_head
from dynamics.language_model.out_of_memory import raising_out_of_memory
from dynamics.language_model.parameters import Filter, requiring, select_parameters
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.tokens import TokenSequence, check_sequences


def log_probs_vjp(
    model: CausalLM,
    sequences: Sequence[TokenSequence],
    vector: Tensor,
    *,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
) -> dict[str, Tensor]:
    """Return the gradient of sum_i v_i log pi_i with respect to every selected parameter, by name.

    One sequence is run after the other, without padding, through the model's own forward and with all logits. Nothing
    is shared with ``sequence_kernel``, so that each can be checked against the other.

    Args:
        model: a causal language model; it is not changed.
        sequences: prompts and responses; an empty list has the gradient 0.
        vector: v, ``(sequences,)``.
        parameters: which parameters, as for ``sequence_kernel``.
        dtype: dtype to compute in, float32 or float64; by default the model's own, but not below float32.

    Raises:
        InvalidArgument: sequences or a vector that do not fit the model or each other, no selected parameter.
        OutOfMemory: one sequence does not fit into memory.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> gradient = log_probs_vjp(tiny_model(), [TokenSequence((1, 2, 3), 1)], torch.ones(1))
        >>> gradient["model.norm.weight"].shape
        torch.Size([16])
    """
    model = unwrapped(model)
    head = find_head(model)
    empty = isinstance(sequences, (list, tuple)) and not sequences  # all weights of a step may be 0
    found = () if empty else check_sequences(sequences, head.vocabulary)
    weights = check_finite("vector", check_shape("vector", to_tensor("vector", vector), (len(found),))).tolist()
    selected = select_parameters(model, parameters)
    device = head.device
    compute = compute_dtype(model, dtype)
    naming_memory = raising_out_of_memory("sequences", len(found))
    with naming_memory, computing_in(model, compute), requiring(as_module(model), selected), torch.enable_grad():
        total: dict[str, Tensor] = {name: torch.zeros_like(p) for name, p in selected.items()}
        # the shorter ones first: some rotary embeddings remember the longest sequence so far
        for weight, s in sorted(zip(weights, found, strict=True), key=lambda pair: len(pair[1].ids)):
            logits = model(input_ids=torch.tensor([s.ids[:-1]], device=device), use_cache=False).logits[0]
            rows = logits[s.prompt_tokens - len(s.ids) :].log_softmax(-1)
            log_prob = rows.gather(1, torch.tensor(s.response, device=device).unsqueeze(1)).sum()
            with differentiating():
                gradient = torch.autograd.grad(log_prob, list(selected.values()), allow_unused=True)
            for name, g in zip(selected, gradient, strict=True):
                if g is not None:
                    total[name] = total[name] + weight * g
    return total
