"""The exact kernel <g_i, g_j> of whole sequences, g_i = grad log pi(y_i | x_i), without storing these gradients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument
from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.kernel.assembly import symmetric
from dynamics.language_model.kernel.blocks import Block, whole
from dynamics.language_model.kernel.computation import KernelBlocks, compute_blocks
from dynamics.language_model.kernel.contractions import Contraction
from dynamics.language_model.kernel.grouping import group_parts
from dynamics.language_model.kernel.memory import Memory, MemoryPlan
from dynamics.language_model.log_probs import VOCABULARY_PIECE
from dynamics.language_model.parameters import Filter
from dynamics.language_model.tokens import TokenSequence, read_sequences


@dataclass(frozen=True, eq=False)
class SequenceKernel:
    """The inner products of the scores of some sequences, the empirical neural tangent kernel of log pi.

    Attributes:
        kernel: <g_i, g_j>, ``(sequences, sequences)``, float64, symmetric, positive semidefinite.
        log_probs: log pi(y_i | x_i) in nats, ``(sequences,)``, float64.
        by_module: the part of each module, by name; the parts sum to ``kernel``. If embedding and head share a weight,
            its contribution is the sum of the head's part, the embedding's part and ``"tied cross terms"``.
        contractions: how the part of each module was computed: ``"ghost"`` or ``"materialised"`` (see
            ``contractions``), ``"vector"`` for biases and norms, ``"autograd"`` for gradients that autograd computed,
            ``"unused"`` if log pi does not depend on the module.
        plan: the estimate of memory.
        dtype: dtype of the computation.
        remarks: sentences about where the gradients of torch, whose inner products these are, differ from the
            derivatives of log pi: an embedding with a ``padding_idx`` gives no gradient to the look-ups of that token,
            and DoRA treats norms as constants.
    """

    kernel: Tensor
    log_probs: Tensor
    by_module: dict[str, Tensor] = field(repr=False)
    contractions: dict[str, str] = field(repr=False)
    plan: MemoryPlan | None = None
    dtype: torch.dtype = torch.float64
    remarks: tuple[str, ...] = ()

    def norms(self) -> Tensor:
        """Return ||g_i||, ``(sequences,)``."""
        return self.kernel.diagonal().clamp(min=0).sqrt()

    def cosine(self) -> Tensor:
        """Return the cosines of the angles between scores, ``(sequences, sequences)``; NaN where a score is zero."""
        norms = self.norms()
        return self.kernel / (norms.unsqueeze(0) * norms.unsqueeze(1))

    def grouped(self, *by: Literal["layer", "kind"]) -> dict[tuple[str, ...], Tensor]:
        """Return the parts of the kernel by decoder layer, by kind of module, or by both; they sum to ``kernel``.

        Args:
            *by: ``"layer"`` is the number of the decoder layer, empty outside of them; ``"kind"`` is the name of the
                module within it, such as ``self_attn.q_proj``.

        Raises:
            InvalidArgument: nothing or something else to group by.

        Example:
            >>> from dynamics.language_model.tiny_model import tiny_model
            >>> result = sequence_kernel(tiny_model(), [TokenSequence((1, 2, 3), 1)])
            >>> list(result.grouped("layer"))
            [('',), ('0',), ('1',)]
            >>> sorted(result.grouped("layer", "kind"))[-1]
            ('1', 'self_attn.v_proj')
        """
        return group_parts(self.by_module, by)


def sequence_kernel(
    model: CausalLM,
    sequences: Iterable[TokenSequence],
    *,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
    memory: Memory = "auto",
    contraction: Contraction | None = None,
    batch_tokens: int | None = None,
    vocabulary_piece: int = VOCABULARY_PIECE,
) -> SequenceKernel:
    """Return the exact kernel of sequences under a causal language model.

    One forward and one backward pass over all sequences, in one batch if all selected parameters belong to modules of
    a known kind (see ``layers``), and otherwise one sequence after the other (see ``uses``), which covers every module
    that autograd can differentiate. The kernel of every linear map is computed by the cheaper of two contractions (see
    ``contractions``), and everything is added up in float64.

    Args:
        model: a Hugging Face causal language model; it is not changed.
        sequences: prompts and responses from ``tokenize``, of any lengths.
        parameters: which parameters: a function of the name, a glob or several globs; by default all that require a
            gradient.
        dtype: dtype to compute in, float32 or float64; by default the model's own, but not below float32. In bfloat16
            small cosines would be noise.
        memory: ``"graph"`` keeps one graph of all sequences. ``"layerwise"`` computes every decoder layer twice and
            keeps the graph of one layer at a time. ``"auto"`` chooses by the free memory, and changes to
            ``"layerwise"`` if the graph does not fit after all. The estimate is logged before the computation.
        contraction: one contraction for all linear maps, for checks; None for the cheaper one of each.
        batch_tokens: padded tokens in one batch of ``"layerwise"``; by default 1024 on a CPU, 8192 on a GPU.
        vocabulary_piece: vocabulary entries whose logits exist at once.

    Raises:
        InvalidArgument: bad arguments, a model that does not go layer by layer with ``memory="layerwise"``, and
            everything that ``precision.computing_in`` refuses.
        OutOfMemory: the sequences do not fit into memory. The message says how many bytes were needed and free.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> pair = [TokenSequence((1, 2, 3), 1), TokenSequence((1, 2, 4), 1)]
        >>> result = sequence_kernel(tiny_model(), pair)
        >>> result.kernel.shape, bool((result.kernel - sum(result.by_module.values())).abs().max() < 1e-9)
        (torch.Size([2, 2]), True)
    """
    found = read_sequences(sequences)
    options: dict[str, Any] = {
        "parameters": parameters,
        "dtype": dtype,
        "memory": memory,
        "contraction": contraction,
        "batch_tokens": batch_tokens,
        "vocabulary_piece": vocabulary_piece,
    }
    return _square(compute_blocks(model, found, whole(len(found)), **options), 0, slice(None))


def block_kernels(
    model: CausalLM, groups: Iterable[Iterable[TokenSequence]], **options: Any
) -> tuple[SequenceKernel, ...]:
    """Return the kernel of every group of sequences, each alone, such as one for every preference pair.

    All groups go through the model in one pass, and no inner product between groups is computed.

    Args:
        model: as for ``sequence_kernel``.
        groups: the groups of sequences.
        **options: further arguments of ``sequence_kernel``.

    Returns:
        For each group what ``sequence_kernel`` returns; ``plan`` and ``contractions`` are those of the whole pass.

    Raises:
        InvalidArgument: no group, an empty group, and as for ``sequence_kernel``.
        OutOfMemory: all groups together do not fit into memory.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> pairs = [[TokenSequence((x, 2, 3), 1), TokenSequence((x, 4), 1)] for x in (5, 6)]
        >>> [tuple(one.kernel.shape) for one in block_kernels(tiny_model(), pairs)]
        [(2, 2), (2, 2)]
    """
    if not isinstance(groups, Iterable) or hasattr(groups, "__array__"):
        raise InvalidArgument("groups", groups, "a list of lists of TokenSequence")
    read = [read_sequences(group, f"groups[{number}]") for number, group in enumerate(groups)]
    if not read:
        raise InvalidArgument("groups", "the list is empty; give at least one group of TokenSequences")
    borders = list(accumulate(map(len, read), initial=0))
    spans = [slice(start, stop) for start, stop in pairwise(borders)]
    numbers = [tuple(range(span.start, span.stop)) for span in spans]
    blocks = tuple(Block(own, own) for own in numbers)
    found = compute_blocks(model, [sequence for group in read for sequence in group], blocks, **options)
    return tuple(_square(found, number, span) for number, span in enumerate(spans))


def _square(found: KernelBlocks, number: int, sequences: slice) -> SequenceKernel:
    return SequenceKernel(
        symmetric(found.block(number)),
        found.log_probs[sequences],
        found.by_module[number],
        found.contractions,
        found.plan,
        found.dtype,
        found.remarks,
    )
