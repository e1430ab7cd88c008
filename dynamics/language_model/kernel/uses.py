"""Any module at all: the uses of its weights in linear maps and look-ups are recorded, and autograd does the rest.

Here every sequence is run alone. So whatever a module reads belongs to one sequence, in whatever layout, and autograd
gives the gradient of log pi_i with respect to any parameter. That is done for vectors and other small parameters. For a
matrix it would take the memory of one gradient for each sequence; so the operations that use a matrix are intercepted
instead, wherever in the model they happen. A linear map (or one matrix of a stack, as in a mixture of experts) records
its inputs and output gradients, a look-up records its ids and output gradients. If a matrix is used in any other way,
autograd finds a gradient that was not recorded, and the kernel is computed again with autograd's gradient for this
parameter. So nothing is left out, and no list of modules is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from dynamics.language_model.batching import Batch

Place = tuple[int | None, bool]
"""Which matrix of a stack, None for a single one; and whether it is used transposed."""
Uses = dict[int, list[tuple[Tensor, Tensor]]]
"""What the uses of one kind record: for each sequence, inputs or ids, and gradients at the output, use by use."""


@dataclass(eq=False)
class Matrix:
    """A parameter whose uses are recorded.

    Attributes:
        name: name of the parameter.
        parameter: the matrix, ``(out, in)``; or several of them, ``(matrices, out, in)``.
        maps: its uses as a linear map.
        lookups: its uses as a table.
    """

    name: str
    parameter: nn.Parameter
    maps: dict[Place, Uses] = field(default_factory=dict)
    lookups: Uses = field(default_factory=dict)

    def forget(self) -> None:
        """Drop everything that was recorded."""
        self.maps, self.lookups = {}, {}


class _LinearUse(torch.autograd.Function):
    """A linear map that reports its inputs and output gradients; the anchor makes sure that it has a backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchor: Tensor, matrix: Tensor, report: Callable[..., None]) -> Tensor:  # noqa: ARG004
        ctx.save_for_backward(x)
        ctx.matrix, ctx.report = matrix, report
        return functional.linear(x, matrix)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        (g,) = gradients
        (x,) = ctx.saved_tensors
        ctx.report(x.detach().reshape(-1, x.shape[-1]), g.detach().reshape(-1, g.shape[-1]))
        at_input = g @ ctx.matrix if ctx.needs_input_grad[0] else None
        return at_input, g.new_zeros(()), None, None


class _LookUp(torch.autograd.Function):
    """A look-up that reports ids and output gradients."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, ids: Tensor, matrix: Tensor, report: Callable[..., None]) -> Tensor:  # noqa: ARG004
        ctx.ids, ctx.report = ids, report
        return functional.embedding(ids, matrix)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (g,) = gradients
        ctx.report(ctx.ids.reshape(-1), g.detach().reshape(-1, g.shape[-1]))
        return g.new_zeros(()), None, None, None


class UseRecorder(TorchFunctionMode):
    """Records how the matrices are used while one sequence is run.

    Attributes:
        batch: the sequence that is run at present, as a batch of one.
        anchor: a number that every recorded use depends on, and which has no effect.
        closed: names of the matrices whose part of the kernel has been computed.
        late: those of them that were used after that.
    """

    def __init__(self, matrices: Sequence[Matrix], places: dict[int, int], device: torch.device) -> None:
        """Prepare for some matrices.

        Args:
            matrices: the matrices.
            places: the place in the kernel of every sequence, by its number.
            device: device of the model.
        """
        super().__init__()
        self.batch: Batch | None = None
        self.anchor: Tensor | None = torch.zeros((), device=device, requires_grad=True)
        self.embeddings: list[Any] = []
        self.closed: set[str] = set()
        self.late: set[str] = set()
        self._places = places
        self._matrices = {id(one.parameter): one for one in matrices}
        self._views: dict[int, tuple[Tensor, Matrix, int | None, bool]] = {}

    @contextmanager
    def running(self, batch: Batch) -> Iterator[None]:
        """Enable gradients for the forward pass of a sequence, and record its uses of the matrices."""
        self.batch = batch
        try:
            with torch.enable_grad(), self:
                yield
        finally:
            self._views = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one torch function; a use of a matrix in place of the function itself, if it is one."""
        kwargs = kwargs or {}
        if torch.is_grad_enabled() and func in _USES:
            found = _USES[func](self, *args, **kwargs)
            if found is not None:
                return found
        result = func(*args, **kwargs)
        if func in _VIEWS and torch.is_grad_enabled():
            self._note_view(func, args, kwargs, result)
        return result

    def find(self, tensor: object) -> tuple[Matrix, int | None, bool] | None:
        """Return the matrix that a tensor is: which one of a stack, and whether it is transposed."""
        if id(tensor) in self._views:
            return self._views[id(tensor)][1:]
        one = self._matrices.get(id(tensor))
        return None if one is None else (one, None, False)

    def linear(self, x: Tensor, weight: Tensor, transposed: bool) -> Tensor | None:
        """Record ``x @ weight.T``, or ``x @ weight`` if transposed; None if it is not a use of a matrix."""
        place = self.find(weight)
        if place is None or weight.ndim != 2 or not isinstance(x, Tensor) or not x.ndim or x.dtype != weight.dtype:
            return None
        matrix, number, turned = place
        turned ^= transposed
        uses = matrix.maps.setdefault((number, turned), {})
        plain = weight.detach().T if transposed else weight.detach()
        found: Tensor = _LinearUse.apply(x, self._anchored(x), plain, self._report(matrix.name, uses))
        return found

    def look_up(self, ids: Tensor, weight: Tensor, padding: int | None) -> Tensor | None:
        """Record a look-up; as in torch, the row ``padding`` has no gradient."""
        place = self.find(weight)
        if place is None or weight.ndim != 2 or place[1:] != (None, False):
            return None
        report = self._report(place[0].name, place[0].lookups)
        skipped = None if padding is None else padding % weight.shape[0]

        def without_padding(ids: Tensor, g: Tensor) -> None:
            report(ids, g if skipped is None else g.masked_fill((ids == skipped).unsqueeze(1), 0))

        found: Tensor = _LookUp.apply(self._anchored(weight), ids, weight.detach(), without_padding)
        return found

    def _anchored(self, like: Tensor) -> Tensor:
        assert self.anchor is not None
        return self.anchor.to(like.dtype)

    def receive(self, *_: object) -> None:
        """Do nothing: the backward pass reports every use by itself."""

    def _report(self, name: str, uses: Uses) -> Callable[[Tensor, Tensor], None]:
        assert self.batch is not None
        place = self._places[self.batch.numbers[0]]

        def report(inputs: Tensor, gradients: Tensor) -> None:
            if name in self.closed:
                self.late.add(name)
            uses.setdefault(place, []).append((inputs, gradients))

        return report

    def _note_view(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        place = self.find(args[0]) if args else None
        if place is None or not isinstance(result, Tensor) or result.ndim != 2 or result is args[0]:
            return
        matrix, number, turned = place
        if func is Tensor.__getitem__:
            index = args[1]
            if args[0].ndim != 3 or args[0] is not matrix.parameter or isinstance(index, (bool, slice, tuple, list)):
                return
            if isinstance(index, Tensor) and (index.ndim or index.dtype == torch.bool):
                return
            self._views[id(result)] = result, matrix, int(index) % args[0].shape[0], turned
        elif args[0].ndim == 2 and _VIEWS[func](*args[1:], **kwargs):
            self._views[id(result)] = result, matrix, number, not turned


def _swaps(*axes: int, **named: int) -> bool:
    return {axis % 2 for axis in (*axes, *named.values())} == {0, 1}


def _linear(recorder: UseRecorder, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    found = recorder.linear(input, weight, transposed=False)
    return found if found is None or bias is None else found + bias


def _matmul(recorder: UseRecorder, input: Tensor, other: Tensor, **options: Any) -> Tensor | None:
    return None if options else recorder.linear(input, other, transposed=True)


def _addmm(recorder: UseRecorder, input: Tensor, mat1: Tensor, mat2: Tensor, **options: Any) -> Tensor | None:
    found = None if options else recorder.linear(mat1, mat2, transposed=True)
    return None if found is None else found + input


def _embedding(
    recorder: UseRecorder,
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,  # noqa: ARG001
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor | None:
    changed = max_norm is not None or scale_grad_by_freq or sparse
    return None if changed else recorder.look_up(input, weight, padding_idx)


_USES: dict[Any, Callable[..., Tensor | None]] = {
    functional.linear: _linear,
    torch.matmul: _matmul,
    torch.mm: _matmul,
    Tensor.matmul: _matmul,
    Tensor.mm: _matmul,
    Tensor.__matmul__: _matmul,
    torch.addmm: _addmm,
    functional.embedding: _embedding,
}
_VIEWS: dict[Any, Callable[..., bool]] = {
    Tensor.__getitem__: lambda *_: True,
    vars(torch._C.TensorBase)["T"].__get__: lambda *_: True,
    vars(torch._C.TensorBase)["mT"].__get__: lambda *_: True,
    Tensor.t: lambda: True,
    torch.t: lambda: True,
    Tensor.transpose: _swaps,
    torch.transpose: _swaps,
}
