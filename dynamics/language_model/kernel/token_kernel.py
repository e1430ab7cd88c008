"""The kernel between single response tokens. The kernel of whole sequences is the sum of its blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.kernel.sequence_kernel import SequenceKernel, sequence_kernel
from dynamics.language_model.tokens import TokenSequence, read_sequences


def token_kernel(model: CausalLM, sequences: Iterable[TokenSequence], **options: Any) -> TokenKernel:
    """Return the inner products of grad log pi(y_t | x, y_<t) between all response tokens.

    Every response token is treated as a response of its own, with everything before it as the prompt. So the cost grows
    with the number of response tokens times the length of the sequences.

    Args:
        model: as for ``sequence_kernel``.
        sequences: prompts and responses.
        **options: further arguments of ``sequence_kernel``.

    Raises:
        InvalidArgument: as for ``sequence_kernel``.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> result = token_kernel(tiny_model(), [TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)])
        >>> result.kernel.shape, result.sequence_kernel().shape
        (torch.Size([3, 3]), torch.Size([2, 2]))
    """
    found = read_sequences(sequences)
    single = [TokenSequence(s.ids[: t + 1], t) for s in found for t in range(s.prompt_tokens, len(s.ids))]
    starts = accumulate((s.length for s in found), initial=0)
    return TokenKernel(sequence_kernel(model, single, **options), tuple(starts))


@dataclass(frozen=True, eq=False)
class TokenKernel:
    """The kernel between response tokens: the inner products of their scores grad log pi(y_t | x, y_<t).

    Attributes:
        tokens: the kernel over the response tokens of all sequences, in order.
        starts: number of the first token of each sequence, and at the end the number of all tokens,
            ``(sequences + 1,)``.
    """

    tokens: SequenceKernel
    starts: tuple[int, ...]

    @property
    def kernel(self) -> Tensor:
        """Return the inner products between all response tokens, ``(tokens, tokens)``, float64."""
        return self.tokens.kernel

    @property
    def log_probs(self) -> Tensor:
        """Return log pi(y_t | x, y_<t) of every response token in nats, ``(tokens,)``."""
        return self.tokens.log_probs

    def norms(self) -> Tensor:
        """Return the norm of the score of every response token, ``(tokens,)``."""
        return self.tokens.norms()

    def cosine(self) -> Tensor:
        """Return the cosines of the angles between the scores of tokens, ``(tokens, tokens)``; NaN at a zero score."""
        return self.tokens.cosine()

    def block(self, i: int, j: int) -> Tensor:
        """Return the kernel between the tokens of sequence i and those of sequence j."""
        return self.tokens.kernel[self.starts[i] : self.starts[i + 1], self.starts[j] : self.starts[j + 1]]

    def sequence_kernel(self) -> Tensor:
        """Return the kernel of the sequences, which is the sum over each block."""
        count = range(len(self.starts) - 1)
        return torch.stack([torch.stack([self.block(i, j).sum() for j in count]) for i in count])
