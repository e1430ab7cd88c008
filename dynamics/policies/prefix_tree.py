"""The autoregressive policy over a few sequences: separate next-token logits for every prefix."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_device, check_dtype, shorten
from dynamics.policies.policy import check_length, log_softmax
from dynamics.shapes import LogProbs, Theta


class PrefixTree:
    """An autoregressive policy with separate next-token logits for every prefix.

    Args:
        responses: sequences of tokens (strings, tuples of ints, ...), at least two, all different, none a prefix of
            another (add an end-of-sequence token where one would be). The policy gives every other sequence
            probability 0.
        dtype: torch.float64 or torch.float32.
        device: where the tensors live.

    Attributes:
        responses: the sequences, each a tuple of tokens.
        edges: ``(prefix, next token)`` of every parameter, in order.
        lengths: number of tokens of every response.

    Raises:
        InvalidArgument: fewer than two sequences, an empty one, two equal ones, or a prefix of another.

    Example:
        >>> tree = PrefixTree(["ab", "ac", "b"])
        >>> tree.edges
        (((), 'a'), ((), 'b'), (('a',), 'b'), (('a',), 'c'))
        >>> tree.log_probs(torch.zeros(4, dtype=torch.float64)).exp()
        tensor([0.2500, 0.2500, 0.5000], dtype=torch.float64)
    """

    def __init__(
        self,
        responses: Sequence[Sequence[Hashable]],
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        self.dtype = check_dtype("dtype", dtype)
        check_device("device", device)
        sequences = _check_sequences(responses)
        edges = _number_edges(sequences)
        branches: dict[tuple[Hashable, ...], list[int]] = {}
        for (prefix, _), i in edges.items():
            branches.setdefault(prefix, []).append(i)
        widest = max(map(len, branches.values()))
        # (prefixes, branches): the parameter of each branch, or len(edges) where a prefix has fewer
        slots = torch.full((len(branches), widest), len(edges), dtype=torch.int64, device=device)
        # (parameters,): position of each parameter in the flattened slots
        place = torch.empty(len(edges), dtype=torch.int64, device=device)
        for row, children in enumerate(branches.values()):
            for column, i in enumerate(children):
                slots[row, column] = i
                place[i] = row * widest + column
        # (responses, longest): the edges of each response, padded with len(edges)
        path = torch.full((len(sequences), max(map(len, sequences))), len(edges), dtype=torch.int64, device=device)
        for y, sequence in enumerate(sequences):
            for i, token in enumerate(sequence):
                path[y, i] = edges[sequence[:i], token]
        self.responses = sequences
        self.edges = tuple(edges)
        self.lengths = torch.tensor([len(s) for s in sequences], dtype=dtype, device=device)
        self.device = path.device
        self._slots, self._place, self._path = slots, place, path

    def __repr__(self) -> str:
        return f"PrefixTree(responses={self.responses}, dtype={self.dtype}, device={self.device})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (responses,)."""
        return (len(self.responses),)

    @property
    def parameters(self) -> int:
        """Return one logit for each edge of the tree."""
        return len(self.edges)

    def log_probs(self, theta: Theta) -> LogProbs:
        """Return the sum of next-token log-probabilities along each response (nats)."""
        padding = torch.full_like(check_length(self, theta)[..., :1], -math.inf)
        logits = torch.cat([theta, padding], dim=-1)[..., self._slots]
        steps = log_softmax(logits).flatten(-2)[..., self._place]
        # picked, not multiplied by a 0/1 matrix: a masked edge is -inf, and 0 * -inf is NaN
        return torch.cat([steps, torch.zeros_like(padding)], dim=-1)[..., self._path].sum(-1)


def _check_sequences(responses: Any) -> tuple[tuple[Hashable, ...], ...]:
    """Return the responses as tuples of tokens, or refuse anything but a list of different, finite sequences."""
    if isinstance(responses, Tensor):
        raise InvalidArgument("responses", "a tensor is not a list of sequences of tokens; give responses.tolist()")
    try:
        if not len(responses) or not all(len(s) for s in responses):  # an iterator without a length may never end
            raise InvalidArgument("responses", responses, "two or more non-empty sequences of tokens")
        sequences = tuple(tuple(s) for s in responses)
        hash(sequences)
    except (TypeError, MemoryError) as problem:
        allowed = f"a list of sequences of tokens that can be told apart ({problem})"
        raise InvalidArgument("responses", responses, allowed) from problem
    if len(sequences) < 2 or () in sequences or len(set(sequences)) < len(sequences):
        raise InvalidArgument("responses", responses, "two or more different, non-empty sequences of tokens")
    prefixes = {s[:i] for s in sequences for i in range(len(s))}
    short = [s for s in sequences if s in prefixes]
    if short:
        raise InvalidArgument(
            "responses",
            f"{shorten(short[0])} is the beginning of another response; end every response with an end token",
        )
    return sequences


def _number_edges(sequences: tuple[tuple[Hashable, ...], ...]) -> dict[tuple[tuple[Hashable, ...], Hashable], int]:
    """Number the edges of the tree: shorter prefixes first, then in the order of their text."""
    found = dict.fromkeys((s[:i], s[i]) for s in sequences for i in range(len(s)))
    order = sorted(found, key=lambda edge: (len(edge[0]), [str(token) for token in edge[0]], str(edge[1])))
    return {edge: i for i, edge in enumerate(order)}
