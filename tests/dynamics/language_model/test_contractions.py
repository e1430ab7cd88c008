from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics.language_model import contractions
from dynamics.language_model.batching import Segments, make_batches
from dynamics.language_model.contractions import cheaper_route, contract
from dynamics.language_model.sequences import TokenSequence

CPU = torch.device("cpu")


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(0, 9),
    st.integers(1, 7),
)
def test_both_routes_are_the_gram_matrix_of_the_products(
    lengths: list[int], inputs: int, outputs: int, seed: int, block: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    segments = Segments.of(lengths, CPU)
    a, g = (torch.randn(segments.rows, k, generator=generator, dtype=torch.float64) for k in (inputs, outputs))
    written = torch.stack([(y.T @ x).flatten() for x, y in zip(a.split(lengths), g.split(lengths), strict=True)])
    before = contractions.ROW_BLOCK, contractions.BUFFER_BYTES
    try:
        contractions.ROW_BLOCK, contractions.BUFFER_BYTES = block, 64 * block
        for route in ("ghost", "product"):
            torch.testing.assert_close(contract(a, g, segments, route), written @ written.T, rtol=1e-12, atol=1e-12)
    finally:
        contractions.ROW_BLOCK, contractions.BUFFER_BYTES = before


def test_float32_is_added_up_in_float64() -> None:
    """A million equal numbers: a float32 inner product of the written-out gradients would lose digits."""
    segments = Segments.of([4, 4], CPU)
    generator = torch.Generator().manual_seed(0)
    a, g = (torch.randn(8, 1000, generator=generator) for _ in range(2))
    exact = contract(a.double(), g.double(), segments, "product")
    for route in ("ghost", "product"):
        got = contract(a, g, segments, route)
        assert got.dtype == torch.float64
        assert float(((got - exact).abs() / exact.diagonal().mean()).max()) < 1e-6


def test_the_route_follows_the_cost() -> None:
    short, long = Segments.of([8] * 4, CPU), Segments.of([5000] * 2, CPU)
    assert cheaper_route(short, 500, 500) == "ghost"
    assert cheaper_route(long, 500, 500) == "product"
    assert cheaper_route(short, 4, 4) == "product"


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
