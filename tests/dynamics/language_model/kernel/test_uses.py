"""Modules that no list names, invented here, are covered at the first try, whatever they do with their parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dynamics.language_model import sequence_kernel, tiny_model
from dynamics.language_model.kernel.backward import BatchPass
from tests.dynamics.language_model.brute_force import SEQUENCES, autograd_kernel, relative

F64 = {"dtype": torch.float64}


class Gain(nn.Module):
    """A scalar of its own, beside a module that it calls."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.gain = inner, nn.Parameter(torch.tensor(1.5, **F64))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * self.inner(x)


class Rotated(nn.Linear):
    """A linear map by name that computes something else."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flip(-1))


class Peeking(nn.Module):
    """A module that uses another module's weight behind its back."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + 0.1 * nn.functional.linear(x, self.inner.weight)


class Squared(Peeking):
    """A module that uses another module's weight in a way that is no linear map."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + 0.1 * nn.functional.linear(x, self.inner.weight**2)


class Detached(Peeking):
    """A module on numbers that no gradient goes back through: its own gradient is not zero."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.detach())


class Twice(Peeking):
    """A module that calls another one twice."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + self.inner(2 * x)


class BothWays(Peeking):
    """A module that multiplies by a weight and by its transpose, in every way of writing it."""

    def forward(self, x: Tensor) -> Tensor:
        w = self.inner.weight
        there = torch.matmul(x @ w.T, w.transpose(0, 1))
        return torch.addmm(there.flatten(0, 1), x.flatten(0, 1), w).view_as(x) + nn.functional.linear(there, w.t())


class Experts(nn.Module):
    """A stack of matrices and vectors, of which each token uses one; which one depends on the token."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        width = inner.in_features
        generator = torch.Generator().manual_seed(3)
        self.up = nn.Parameter(torch.randn(3, width, width, generator=generator, **F64))
        self.offset = nn.Parameter(torch.randn(3, width, generator=generator, **F64))
        self.down = nn.Parameter(torch.randn(3, width, width, generator=generator, **F64))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, 1)
        out = torch.zeros_like(rows)
        which = (rows[:, 0] > 0).int() + (rows[:, 1] > 0.3).int()
        for number in which.unique():
            (places,) = torch.where(which == number)
            h = nn.functional.linear(rows[places], self.up[number]) + self.offset[number]
            out.index_add_(0, places, h.tanh() @ self.down[int(number) - 3])
        return out.view_as(x)


class Table(nn.Module):
    """A table that is looked up and multiplied with, both of the table and of one column of it."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.table = nn.Parameter(torch.randn(5, inner.in_features, generator=generator, **F64))

    def forward(self, x: Tensor) -> Tensor:
        scores = nn.functional.linear(x, self.table)
        found = nn.functional.embedding(scores.argmax(-1), self.table, padding_idx=-2)
        return found * x.tanh() + scores.softmax(-1) @ self.table


class Remembering(nn.Module):
    """A module that passes a number on besides its output: another call reads it."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner, self.gain = inner, nn.Parameter(torch.tensor([0.5, 2.0], **F64))

    def forward(self, x: Tensor) -> Tensor:
        kept = [self.gain[0] * x]
        return self.inner(x) + self._second(kept)

    def _second(self, kept: list[Tensor]) -> Tensor:
        return torch.einsum("btd,ed->bte", kept[0] * self.gain[1], self.inner.weight)


class Strange(nn.Module):
    """A layout that no other module has (heads, positions, sequences), and parameters of one, three and four axes."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.norm = nn.LayerNorm(4, **F64)
        self.conv = nn.Conv1d(4, 4, 2, groups=2, **F64)
        self.mix = nn.Parameter(torch.randn(2, 2, 4, 4, generator=generator, **F64))

    def forward(self, x: Tensor) -> Tensor:
        heads = self.norm(x.unflatten(-1, (4, 4))).permute(2, 1, 0, 3)  # (heads, positions, sequences, width)
        mixed = torch.einsum("htbd,xyde->htbe", heads, self.mix)
        back = mixed.permute(2, 0, 3, 1).flatten(0, 1)
        return self.conv(nn.functional.pad(back, (1, 0))).view(x.shape[0], -1, x.shape[1]).transpose(1, 2) + x


INVENTED = [Gain, Rotated, Peeking, Squared, Detached, Twice, BothWays, Experts, Table, Remembering, Strange]


def changed(how: Any) -> Any:
    """Return a tiny model, one of whose projections is inside of, or replaced by, an invented module."""
    model = tiny_model("qwen2")
    attention = model.model.layers[0].self_attn
    inner = attention.o_proj
    attention.o_proj = Rotated(16, 16, bias=False, **F64) if how is Rotated else how(inner)
    return model


@pytest.mark.parametrize("how", INVENTED, ids=lambda how: how.__name__)
def test_a_module_that_no_list_names_is_covered(how: Any) -> None:
    model = changed(how)
    truth = autograd_kernel(model, SEQUENCES)
    for memory in ("graph", "layerwise"):
        got = sequence_kernel(model, SEQUENCES, memory=memory)
        assert relative(got.kernel, truth) < 1e-12
        assert relative(torch.stack(list(got.by_module.values())).sum(0), truth) < 1e-12
        assert all("forward" not in m.__dict__ for m in model.modules())
        own = [name for name in got.by_module if "o_proj" in name]
        for name in own:  # left out, it would be seen
            assert relative(got.kernel - got.by_module[name], truth) > 1e-6, name
        assert own
    single = sequence_kernel(model, SEQUENCES, dtype=torch.float32)
    assert 1e-12 < relative(single.kernel, truth) < 1e-5


@pytest.mark.parametrize("contraction", ["ghost", "materialised"])
@pytest.mark.parametrize("how", [BothWays, Experts, Table], ids=lambda how: how.__name__)
def test_both_contractions_of_recorded_uses(how: Any, contraction: Any) -> None:
    model = changed(how)
    got = sequence_kernel(model, SEQUENCES, contraction=contraction)
    assert relative(got.kernel, autograd_kernel(model, SEQUENCES)) < 1e-12
    assert contraction in got.contractions["model.layers.0.self_attn.o_proj" + (".inner" if how is BothWays else "")]


@pytest.mark.parametrize("glob", ["*gain*", "*o_proj*", "*embed_tokens*", "*norm*"])
@pytest.mark.parametrize("memory", ["graph", "layerwise"])
def test_a_choice_of_parameters(glob: str, memory: Any) -> None:
    model = changed(Gain)
    got = sequence_kernel(model, SEQUENCES, parameters=glob, memory=memory)
    assert relative(got.kernel, autograd_kernel(model, SEQUENCES, glob)) < 1e-12


def test_a_use_that_is_not_recorded_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: without the search for gradients that were not recorded, the kernel is wrong."""
    model = changed(Squared)
    truth = autograd_kernel(model, SEQUENCES)
    plain = BatchPass.backpropagate

    def blind(self: BatchPass, outputs: Any, gradients: Any, tracked: Any, *rest: Any, **options: Any) -> Any:
        class Blind:
            head, recorded, differentiated = tracked.head, {}, tracked.differentiated

        return plain(self, outputs, gradients, Blind, *rest, **options)

    monkeypatch.setattr(BatchPass, "backpropagate", blind)
    assert relative(sequence_kernel(model, SEQUENCES).kernel, truth) > 1e-4


def test_one_weight_in_two_layers() -> None:
    model = tiny_model("qwen2")
    first, second = model.model.layers
    second.mlp.up_proj.weight = first.mlp.up_proj.weight
    truth = autograd_kernel(model, SEQUENCES)
    for memory in ("graph", "layerwise"):
        assert relative(sequence_kernel(model, SEQUENCES, memory=memory).kernel, truth) < 1e-12


def test_a_weight_of_the_last_layer_used_in_the_first() -> None:
    """Layer by layer, the part of the last layer's weight is computed before the first layer is."""

    class Borrowing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) + nn.functional.linear(x, weight[0]) * self.gain

    model = tiny_model("qwen2", tied=False)
    first, second = model.model.layers
    weight = [second.self_attn.o_proj.weight]
    borrowing = Borrowing()
    borrowing.inner, borrowing.gain = first.self_attn.o_proj, second.input_layernorm.weight
    first.self_attn.o_proj = borrowing
    truth = autograd_kernel(model, SEQUENCES)
    for memory in ("graph", "layerwise"):
        assert relative(sequence_kernel(model, SEQUENCES, memory=memory).kernel, truth) < 1e-12


def test_a_norm_that_is_not_weight_times_normalised_input() -> None:
    """Its class is an RMSNorm by name."""

    class OffsetRMSNorm(type(tiny_model("qwen2").model.norm)):  # type: ignore[misc]
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + x

    model = tiny_model("qwen2")
    model.model.norm = OffsetRMSNorm(16).double()
    got = sequence_kernel(model, SEQUENCES)
    assert relative(got.kernel, autograd_kernel(model, SEQUENCES)) < 1e-12


def test_somebody_elses_forward() -> None:
    model = tiny_model("qwen2")
    projection = model.model.layers[0].mlp.up_proj
    projection.forward = lambda x: nn.functional.linear(3 * x, projection.weight)
    assert relative(sequence_kernel(model, SEQUENCES).kernel, autograd_kernel(model, SEQUENCES)) < 1e-12
    head = tiny_model("qwen2")
    head.lm_head.forward = lambda x: nn.functional.linear(3 * x, head.lm_head.weight)
    assert relative(sequence_kernel(head, SEQUENCES).kernel, autograd_kernel(head, SEQUENCES)) < 1e-12


class Wrapped(nn.Module):
    """A head that is no linear map."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner, self.gain = inner, nn.Parameter(torch.linspace(0.5, 1.5, 23, **F64))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).tanh() * self.gain


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_of_another_kind(tied: bool) -> None:
    model = tiny_model("qwen2", tied=tied)
    model.lm_head = Wrapped(model.lm_head)
    truth = autograd_kernel(model, SEQUENCES)
    for memory in ("graph", "layerwise"):
        assert relative(sequence_kernel(model, SEQUENCES, memory=memory, vocabulary_piece=7).kernel, truth) < 1e-12


def test_layers_that_pass_tensors_on_in_another_way_are_refused_layer_by_layer() -> None:
    """A dictionary among the arguments: what one layer puts in and another takes out has a gradient too."""
    model = tiny_model("qwen2")
    shared: dict[str, Tensor] = {}
    for layer in model.model.layers:

        def forward(x: Tensor, *a: Any, layer: Any = layer, plain: Any = layer.forward, **k: Any) -> Tensor:
            box = k.pop("box")
            box["sum"] = box.get("sum", 0) + x
            return plain(x, *a, **k) + 0.1 * box["sum"]

        layer.forward = forward
    from dynamics import InvalidArgument

    plain = model.model.forward

    def whole(*a: Any, **k: Any) -> Any:
        shared.clear()
        return plain(*a, box=shared, **k)

    model.model.forward = whole
    truth = autograd_kernel(model, SEQUENCES)
    assert relative(sequence_kernel(model, SEQUENCES, memory="graph").kernel, truth) < 1e-12
    with pytest.raises(InvalidArgument, match=r"passes on more than the tensors that it returns; use memory='graph'"):
        sequence_kernel(model, SEQUENCES, memory="layerwise")
