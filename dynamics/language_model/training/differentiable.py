"""log pi(y | x) as a differentiable function of a language model's parameters, for training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dynamics.errors import InvalidArgument
from dynamics.language_model.batching import make_batches
from dynamics.language_model.model_head import find_head
from dynamics.language_model.tokens import TokenSequence, check_sequences


def differentiable_log_probs(
    model: Any, sequences: Iterable[TokenSequence], values: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Return log pi(y | x) of every sequence with its graph, ``(sequences,)``, float64, nats.

    It is for training: the model runs as it stands, in its own dtype and mode and under the caller's autocast.
    ``sequence_log_probs`` gives the same numbers, to the rounding of that dtype, without a graph and in less memory.

    Args:
        model: a Hugging Face causal language model; left as it was.
        sequences: what ``tokenize`` made, of any lengths; they go through the model as one batch.
        values: numbers to take in the place of the parameters of these names, by which the result is then
            differentiable; by default the parameters themselves.

    Raises:
        InvalidArgument: no sequences, ids outside the vocabulary, or values that are not the model's.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> model = tiny_model()
        >>> pair = [TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)]
        >>> differentiable_log_probs(model, pair).sum().backward()
        >>> model.lm_head.weight.grad.shape
        torch.Size([23, 16])
    """
    head = find_head(model)
    found = check_sequences(sequences, head.weight.shape[0])
    if values is not None:
        _check_values(model, values)
    (batch,) = make_batches(found, None, head.weight.device)
    inputs = {"input_ids": batch.ids, "use_cache": False}
    with _every_token_learns(model):
        out = model(**inputs) if values is None else torch.func.functional_call(model, dict(values), kwargs=inputs)
    logits = out.logits.flatten(0, 1)[batch.predicting].to(torch.float64)
    own = logits.gather(1, batch.targets.unsqueeze(1)).squeeze(1) - logits.logsumexp(1)
    owner = torch.repeat_interleave(torch.tensor(batch.numbers), torch.tensor(batch.responses)).to(own.device)
    return torch.zeros(len(found), dtype=torch.float64, device=own.device).index_add(0, owner, own)


def _check_values(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Refuse what is no mapping of the model's names to tensors of their shapes; the numbers may be traced."""
    allowed = "a mapping of names of the model's parameters to tensors of their shapes"
    known = dict(model.named_parameters(remove_duplicate=False))
    if not isinstance(values, Mapping) or not all(isinstance(v, Tensor) for v in values.values()):
        raise InvalidArgument("values", values, allowed)
    for name, value in values.items():
        if name not in known or known[name].shape != value.shape:
            raise InvalidArgument("values", f"{name} of shape {tuple(value.shape)}", allowed)


@contextmanager
def _every_token_learns(model: Any) -> Iterator[None]:
    """Let the embedding of the padding token have its gradient, which torch leaves out.

    A response may hold that token; and with a tied head the step moves its row all the same.
    """
    embedding: nn.Embedding = model.get_input_embeddings()
    padding = getattr(embedding, "padding_idx", None)
    try:
        if padding is not None:
            embedding.padding_idx = None
        yield
    finally:
        if padding is not None:
            embedding.padding_idx = padding
