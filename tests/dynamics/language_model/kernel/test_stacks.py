"""Blocks in stacks, as on a GPU: the same entries as strip by strip, whatever the lengths of the sequences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics.language_model import block_kernels, sequence_kernel, tiny_model
from dynamics.language_model.batching import Segments
from dynamics.language_model.kernel import stacks as stacks_module
from dynamics.language_model.kernel.blocks import Block, RowPairs
from dynamics.language_model.kernel.contractions import contract
from dynamics.language_model.kernel.stacks import contract_stacks, stack_blocks, worth_stacking
from tests.dynamics.language_model.brute_force import SEQUENCES, relative

CPU = torch.device("cpu")


@st.composite
def tables(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[Block, ...]]:
    """Draw the lengths of some sequences, and blocks whose sides may share sequences."""
    lengths = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=6)))
    side = st.sets(st.integers(0, len(lengths) - 1), min_size=1, max_size=3).map(lambda s: tuple(sorted(s)))
    block = st.builds(Block, side, side) | side.map(lambda s: Block(s, s))
    return lengths, tuple(draw(st.lists(block, min_size=1, max_size=6)))


@settings(max_examples=60)
@given(tables(), st.integers(1, 200))
def test_stacks_have_the_entries_of_strips(drawn: Any, most: int) -> None:
    lengths, blocks = drawn
    segments = Segments.of(lengths, CPU)
    generator = torch.Generator().manual_seed(sum(lengths))
    inputs, *gradients = (torch.randn(sum(lengths), k, generator=generator, dtype=torch.float64) for k in (3, 2, 4))
    row_pairs = RowPairs.of(blocks, segments)
    want = contract(inputs, gradients, row_pairs, ["ghost", "ghost"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacks_module, "PAIRS", most)  # a stack is cut where it would be too large
        found = stack_blocks(blocks, segments, segments)
    assert sorted(torch.cat([one.entries.flatten() for one in found]).tolist()) == list(range(row_pairs.entries))
    for one, other in zip(contract_stacks(inputs, gradients, found, row_pairs.entries), want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_one_long_pair_does_not_lengthen_the_short_ones() -> None:
    lengths = (5, 6) * 20 + (700, 650)
    segments = Segments.of(lengths, CPU)
    blocks = tuple(Block((n, n + 1), (n, n + 1)) for n in range(0, len(lengths), 2))
    padded = sum(one.rows.numel() for one in stack_blocks(blocks, segments, segments))
    assert padded == 20 * 2 * 6 + 2 * 700  # all in one stack it would be 21 * 2 * 700


def test_a_kernel_of_stacked_blocks_is_that_of_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    groups = [[SEQUENCES[0], SEQUENCES[3]], [SEQUENCES[2], SEQUENCES[1]], [SEQUENCES[4]], [SEQUENCES[1]]]
    stacked = []

    def always(*_: Any) -> bool:
        stacked.append(None)
        return True

    monkeypatch.setattr(stacks_module, "worth_stacking", always)
    for group, one in zip(groups, block_kernels(model, groups, contraction="ghost"), strict=True):
        assert relative(one.kernel, sequence_kernel(model, group).kernel) < 1e-13
    assert stacked


def test_blocks_are_stacked_on_a_gpu_where_they_are_many_and_low() -> None:
    many = tuple(Block((n,), (n,)) for n in range(8))
    on_a_gpu = Segments((5,) * 8, tuple(range(0, 45, 5)), torch.empty(40, device="meta"))
    assert worth_stacking(many, on_a_gpu)
    assert not worth_stacking(many, Segments.of((5,) * 8, CPU))
    assert not worth_stacking(many[:2], on_a_gpu)
    long = Segments((5000,) * 8, tuple(range(0, 45000, 5000)), torch.empty(40, device="meta"))
    assert not worth_stacking(many, long)
