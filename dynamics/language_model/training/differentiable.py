"""log pi(y | x) as a differentiable function of the parameters of a language model, for training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dynamics.errors import InvalidArgument
from dynamics.language_model.batching import Batch, length_matters, make_batches
from dynamics.language_model.causal_lm import CausalLM, as_module, padding_rows_trained, unwrapped
from dynamics.language_model.model_head import find_head
from dynamics.language_model.tokens import TokenSequence, check_sequences


def differentiable_log_probs(
    model: CausalLM, sequences: Iterable[TokenSequence], values: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Return log pi(y | x) of every sequence, differentiable in the parameters, ``(sequences,)``, float64, nats.

    The model computes in its own dtype and mode, and under the autocast of the caller, as in training.
    ``sequence_log_probs`` returns the same numbers up to rounding, without a graph and in less memory.

    Args:
        model: a Hugging Face causal language model; it is not changed.
        sequences: prompts and responses from ``tokenize``, of any lengths; they form one batch, unless
            rotary frequencies depend on the length.
        values: tensors to use in place of the parameters of these names; the result is then differentiable in these
            tensors. By default the parameters themselves are used.

    Raises:
        InvalidArgument: no sequences, ids outside the vocabulary, or values for unknown parameters.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> model = tiny_model()
        >>> pair = [TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)]
        >>> differentiable_log_probs(model, pair).sum().backward()
        >>> model.lm_head.weight.grad.shape
        torch.Size([23, 16])
    """
    model = unwrapped(model)
    head = find_head(model)
    found = check_sequences(sequences, head.vocabulary)
    if values is not None:
        _check_values(as_module(model), values)
    total = torch.zeros(len(found), dtype=torch.float64, device=head.device)
    # one batch; but where rotary frequencies depend on the length, one for every length
    for batch in make_batches(found, None, head.device, length_matters(model)):
        own = _token_log_probs(model, batch, values)
        owner = torch.repeat_interleave(torch.tensor(batch.numbers), torch.tensor(batch.responses)).to(own.device)
        total = total.index_add(0, owner, own)
    return total


def _token_log_probs(model: CausalLM, batch: Batch, values: Mapping[str, Tensor] | None) -> Tensor:
    """Return log pi of every token of a response, float64, one sequence after the other."""
    # the padding token may be part of a response, and if the head shares the weight, a step changes its row anyway
    with padding_rows_trained(model):
        if values is None:
            output = model(input_ids=batch.ids, use_cache=False)
        else:
            output = functional_call(
                as_module(model), dict(values), kwargs={"input_ids": batch.ids, "use_cache": False}
            )
    logits = output.logits[:, -batch.shape[1] :].flatten(0, 1)[batch.predicting].to(torch.float64)
    found: Tensor = logits.gather(1, batch.targets.unsqueeze(1)).squeeze(1) - logits.logsumexp(1)
    return found


def _check_values(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Refuse anything but a mapping from names of the model's parameters to tensors of their shapes."""
    allowed = "a mapping from names of the model's parameters to tensors of their shapes"
    known = dict(model.named_parameters(remove_duplicate=False))
    if not isinstance(values, Mapping) or not all(isinstance(v, Tensor) for v in values.values()):
        raise InvalidArgument("values", values, allowed)
    for name, value in values.items():
        if name not in known or known[name].shape != value.shape:
            own = f"of shape {tuple(known[name].shape)}" if name in known else "unknown"
            raise InvalidArgument("values", f"{name} has the shape {tuple(value.shape)}, but is {own} in the model")
