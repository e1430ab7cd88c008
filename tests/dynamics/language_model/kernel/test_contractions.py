from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from dynamics.language_model.batching import Segments, make_batches
from dynamics.language_model.kernel import blocks as blocks_module, contractions
from dynamics.language_model.kernel.blocks import Block, RowPairs, matrices, placed, sum_both_ways, whole
from dynamics.language_model.kernel.contractions import cheaper_contractions, contract
from dynamics.language_model.tokens import TokenSequence

CPU = torch.device("cpu")


LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=6)


def packed(segments: Segments, width: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(segments.rows, width, generator=generator, dtype=dtype)


BLOCKS = [
    whole,
    lambda count: (Block((0,), tuple(range(count))),),  # a rectangle
    lambda count: tuple(Block((n,), (n,)) for n in range(count)),  # every sequence alone
    lambda count: (Block(tuple(range(0, count, 2)), tuple(range(0, count, 2))), Block((count - 1,), (0, count - 1))),
]


def table_of(lengths: list[int]) -> RowPairs:
    return RowPairs.of(whole(len(lengths)), Segments.of(lengths, CPU))


@settings(max_examples=60)
@given(
    LENGTHS,
    st.integers(1, 5),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.integers(0, 9),
    st.sampled_from(BLOCKS),
    st.data(),
)
def test_every_contraction_is_the_kernel_of_the_written_out_gradients(
    lengths: list[int], inputs: int, outputs: list[int], seed: int, choose: Any, data: st.DataObject
) -> None:
    """Maps that read the same rows are contracted together; each has its own kernel."""
    generator = torch.Generator().manual_seed(seed)
    segments, blocks = Segments.of(lengths, CPU), choose(len(lengths))
    a, gs = packed(segments, inputs, generator), [packed(segments, k, generator) for k in outputs]
    choices = [data.draw(st.sampled_from(["ghost", "materialised"])) for _ in gs]
    strip, buffer = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 600))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(blocks_module.STRIP_ROWS, "cpu", strip)
        patch.setitem(contractions.BUFFER_BYTES, "cpu", buffer)
        parts = contract(a, gs, RowPairs.of(blocks, segments), choices)
    for g, part in zip(gs, parts, strict=True):
        pairs = zip(a.split(lengths), g.split(lengths), strict=True)
        written = torch.stack([(y.T @ x).flatten() for x, y in pairs])
        kernel = written @ written.T
        for block, found in zip(blocks, matrices(blocks, part), strict=True):
            expected = kernel[list(block.rows)][:, list(block.columns)]
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=6), st.integers(1, 9))
def test_cross_terms_of_two_uses_are_summed_both_ways(lengths: list[tuple[int, int]], strip: int) -> None:
    left, right = zip(*lengths, strict=True)
    rows, columns = Segments.of(left, CPU), Segments.of(right, CPU)
    row_pairs = torch.randn(rows.rows, columns.rows, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sums = torch.stack([torch.stack([b.sum() for b in part.split(right, 1)]) for part in row_pairs.split(left)])
    for choose in BLOCKS:
        blocks = choose(len(lengths))
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(blocks_module.STRIP_ROWS, "cpu", strip)
            got = sum_both_ways(blocks, rows, columns, lambda s: [row_pairs[s.rows][:, s.columns]])
        for block, found in zip(blocks, matrices(blocks, got), strict=True):
            expected = (sums + sums.T)[list(block.rows)][:, list(block.columns)]
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_table_that_is_not_symmetric_must_not_be_called_so() -> None:
    """The upper half stands for both: with the same owners on both sides the lower half is never asked for."""
    lengths = [1, 2]
    matrix = torch.tensor([[1.0, 2, 3], [50, 4, 5], [60, 5, 6]])

    def pairs(s: Any) -> list[Tensor]:
        return [matrix[s.rows][:, s.columns]]

    (half,) = table_of(lengths).sum(pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(blocks_module.STRIP_ROWS, "cpu", 1)
        stripped = table_of(lengths)
    assert stripped.pairs == 3 + 2 * 2
    assert half.tolist() == stripped.sum(pairs)[0].tolist() == [1, 5, 5, 20]
    (all_of_it,) = RowPairs.of(whole(2), Segments.of(lengths, CPU), Segments.of(lengths, CPU)).sum(pairs)
    assert all_of_it.tolist() == [1, 5, 110, 20]


def test_blocks_follow_their_sequences_to_other_places() -> None:
    blocks = (Block((2, 0), (1, 2)), Block((1,), (1,)))
    order = [1, 2, 0]  # sequence 1 stands first
    kernel = torch.arange(9.0).view(3, 3)  # by number
    entries = [float(kernel[order[i], order[j]]) for b in placed(blocks, order) for i in b.rows for j in b.columns]
    got = blocks_module.matrices(blocks, torch.tensor(entries)[blocks_module.given_order(blocks, order)])
    assert got[0].tolist() == [[7, 8], [1, 2]]
    assert got[1].tolist() == [[4]]


def test_float32_is_added_up_in_float64() -> None:
    """A million equal numbers: a float32 inner product of the written-out gradients would lose digits."""
    segments = Segments.of([4, 4], CPU)
    generator = torch.Generator().manual_seed(0)
    a, g = (packed(segments, 1000, generator, torch.float32) for _ in range(2))
    (exact,) = contract(a.double(), [g.double()], RowPairs.of(whole(2), segments), ["materialised"])
    for one in ("ghost", "materialised"):
        (got,) = contract(a, [g], RowPairs.of(whole(2), segments), [one])
        assert got.dtype == torch.float64
        assert float(((got - exact).abs() / exact.view(2, 2).diagonal().mean()).max()) < 1e-6


def test_the_contraction_follows_the_cost() -> None:
    short, long = table_of([8] * 4), table_of([5000] * 2)
    assert cheaper_contractions(short, 500, [500]) == ("ghost",)
    assert cheaper_contractions(long, 500, [500]) == ("materialised",)
    assert cheaper_contractions(short, 4, [4]) == ("materialised",)


def test_a_shared_input_is_paid_for_once() -> None:
    """One narrow map alone is not worth the row_pairs of its inputs; beside a wide one it is there anyway."""
    row_pairs = table_of([60] * 10)
    assert cheaper_contractions(row_pairs, 512, [128]) == ("materialised",)
    assert cheaper_contractions(row_pairs, 512, [2048, 128]) == ("ghost", "ghost")


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
