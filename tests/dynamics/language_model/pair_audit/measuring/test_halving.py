"""Fewer items at a time: every item once and in order, whatever fits, and no retry for another error."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings, strategies as st

from dynamics.language_model.pair_audit.measuring.halving import compute_in_parts


@settings(max_examples=15)  # every retry empties the caches, which takes a tenth of a second in a large process
@given(number=st.integers(1, 8), most=st.integers(1, 8))
def test_every_item_is_computed_once_in_order_and_in_parts_that_fit(number: int, most: int) -> None:
    def compute(items: Sequence[int]) -> list[int]:
        if len(items) > most:
            raise RuntimeError("CUDA out of memory")
        return list(items)

    parts = compute_in_parts(compute, range(number), "numbers")
    assert [item for part in parts for item in part] == list(range(number))
    assert max(map(len, parts)) <= most
    assert len(parts) == 1 or number > most


@pytest.mark.parametrize(("problem", "calls"), [(MemoryError("one"), 3), (RuntimeError("shapes differ"), 1)])
def test_one_item_too_large_and_any_other_error_end_it(problem: Exception, calls: int) -> None:
    called: list[int] = []

    def compute(items: Sequence[int]) -> None:
        called.append(len(items))
        raise problem

    with pytest.raises(type(problem), match=str(problem)):
        compute_in_parts(compute, range(4), "numbers")
    assert called == [4, 2, 1][:calls]
