from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from dynamics.language_model.batching import Segments, make_batches
from dynamics.language_model.kernel import contractions
from dynamics.language_model.kernel.contractions import cheaper_contractions, contract, ghost
from dynamics.language_model.tokens import TokenSequence

CPU = torch.device("cpu")


LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=6)


def packed(segments: Segments, width: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(segments.rows, width, generator=generator, dtype=dtype)


@settings(max_examples=60)
@given(LENGTHS, st.integers(1, 5), st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 9), st.data())
def test_every_contraction_is_the_kernel_of_the_written_out_gradients(
    lengths: list[int], inputs: int, outputs: list[int], seed: int, data: st.DataObject
) -> None:
    """Maps that read the same rows are contracted together; each has its own kernel."""
    generator = torch.Generator().manual_seed(seed)
    segments = Segments.of(lengths, CPU)
    a, gs = packed(segments, inputs, generator), [packed(segments, k, generator) for k in outputs]
    choices = [data.draw(st.sampled_from(["ghost", "materialised"])) for _ in gs]
    strip, buffer = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 600))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(contractions.STRIP_ROWS, "cpu", strip)
        patch.setitem(contractions.BUFFER_BYTES, "cpu", buffer)
        blocks = contract(a, gs, segments, choices)
    for g, block in zip(gs, blocks, strict=True):
        pairs = zip(a.split(lengths), g.split(lengths), strict=True)
        written = torch.stack([(y.T @ x).flatten() for x, y in pairs])
        torch.testing.assert_close(block, written @ written.T, rtol=1e-12, atol=1e-12)


@given(LENGTHS, LENGTHS, st.integers(1, 9))
def test_tables_that_are_not_symmetric_are_summed_whole(left: list[int], right: list[int], strip: int) -> None:
    rows, columns = Segments.of(left, CPU), Segments.of(right, CPU)
    table = torch.randn(rows.rows, columns.rows, generator=torch.Generator().manual_seed(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(contractions.STRIP_ROWS, "cpu", strip)
        (got,) = ghost(rows, columns, lambda r, c: [table[r, c]])
    for i, part in enumerate(table.double().split(left)):
        for j, block in enumerate(part.split(right, dim=1)):
            assert float(got[i, j]) == pytest.approx(float(block.sum()), abs=1e-12)


def test_a_table_that_is_not_symmetric_must_not_be_called_so() -> None:
    """The upper half stands for both: with the same owners on both sides the lower half is never asked for."""
    segments = Segments.of([1, 2], CPU)
    table = torch.tensor([[1.0, 2, 3], [50, 4, 5], [60, 5, 6]])
    (half,) = ghost(segments, segments, lambda r, c: [table[r, c]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(contractions.STRIP_ROWS, "cpu", 1)
        (stripped,) = ghost(segments, segments, lambda r, c: [table[r, c]])
    (whole,) = ghost(segments, Segments.of([1, 2], CPU), lambda r, c: [table[r, c]])
    assert half.tolist() == stripped.tolist() == [[1, 5], [5, 20]]
    assert whole.tolist() == [[1, 5], [110, 20]]


def test_float32_is_added_up_in_float64() -> None:
    """A million equal numbers: a float32 inner product of the written-out gradients would lose digits."""
    segments = Segments.of([4, 4], CPU)
    generator = torch.Generator().manual_seed(0)
    a, g = (packed(segments, 1000, generator, torch.float32) for _ in range(2))
    (exact,) = contract(a.double(), [g.double()], segments, ["materialised"])
    for one in ("ghost", "materialised"):
        (got,) = contract(a, [g], segments, [one])
        assert got.dtype == torch.float64
        assert float(((got - exact).abs() / exact.diagonal().mean()).max()) < 1e-6


def test_the_contraction_follows_the_cost() -> None:
    short, long = Segments.of([8] * 4, CPU), Segments.of([5000] * 2, CPU)
    assert cheaper_contractions(short, 500, [500]) == ("ghost",)
    assert cheaper_contractions(long, 500, [500]) == ("materialised",)
    assert cheaper_contractions(short, 4, [4]) == ("materialised",)


def test_a_shared_input_is_paid_for_once() -> None:
    """One narrow map alone is not worth the table of its inputs; beside a wide one it is there anyway."""
    segments = Segments.of([60] * 10, CPU)
    assert cheaper_contractions(segments, 512, [128]) == ("materialised",)
    assert cheaper_contractions(segments, 512, [2048, 128]) == ("ghost", "ghost")


@given(st.lists(st.integers(2, 12), min_size=1, max_size=9), st.integers(1, 40))
def test_batches_hold_every_sequence_once_and_their_rows(lengths: list[int], tokens: int) -> None:
    ids = [tuple((7 * k + t) % 5 for t in range(n)) for k, n in enumerate(lengths)]
    sequences = [TokenSequence(i, 1 + k % (len(i) - 1)) for k, i in enumerate(ids)]
    batches = make_batches(sequences, tokens, CPU)
    assert sorted(n for b in batches for n in b.numbers) == list(range(len(sequences)))
    for b in batches:
        assert b.ids.numel() <= tokens or len(b.numbers) == 1
        flat = b.ids.flatten()
        assert flat[b.valid].tolist() == [t for n in b.numbers for t in sequences[n].ids[:-1]]
        assert b.targets.tolist() == [t for n in b.numbers for t in sequences[n].response]
        before_target = [t for n in b.numbers for t in sequences[n].ids[sequences[n].prompt_tokens - 1 : -1]]
        assert flat[b.predicting].tolist() == before_target
        assert sum(b.inputs) == len(b.valid)
        assert sum(b.responses) == len(b.predicting)


def test_a_limit_of_no_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_tokens"):
        make_batches([TokenSequence((1, 2), 1)], 0, CPU)
