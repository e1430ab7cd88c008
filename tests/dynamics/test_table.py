"""Tables: means and standard errors against numpy, rows by value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from dynamics import InvalidArgument, Table


@given(
    keys=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), min_size=1, max_size=20),
    data=st.data(),
)
def test_means_are_those_of_the_selected_rows(keys: list[tuple[str, int]], data: st.DataObject) -> None:
    values = data.draw(arrays(float, (len(keys), 2), elements=st.floats(-1e6, 1e6)))
    letter, number = (np.array(column) for column in zip(*keys, strict=True))
    table = Table({"letter": letter, "number": number, "y": values}, ("letter", "number"))
    means = table.mean("letter", "number")
    assert means["count"].sum() == len(keys)
    assert len(means) == len(set(keys))
    for row in means.rows():
        part = table.select(letter=row["letter"], number=row["number"])["y"]
        assert len(part) == row["count"]
        np.testing.assert_allclose(row["y"], part.mean(0), rtol=1e-12, atol=1e-9)
        if len(part) > 1:
            expected = np.sqrt(((part - part.mean(0)) ** 2).sum(0) / (len(part) - 1) / len(part))
            np.testing.assert_allclose(row["y_error"], expected, rtol=1e-9, atol=1e-9)
        else:
            assert np.isnan(row["y_error"]).all()


def test_mean_over_everything_is_one_row() -> None:
    table = Table({"x": np.arange(3), "y": np.array([1.0, 2.0, 6.0])}, ("x",))
    assert len(table.mean()) == 1
    assert table.mean()["y"].tolist() == [3.0]
    assert table.results == ("y",)


def test_unknown_columns_and_values_are_named() -> None:
    table = Table({"x": np.arange(3)}, ("x",))
    with pytest.raises(InvalidArgument, match="a column: x"):
        table["y"]
    with pytest.raises(InvalidArgument, match=r"one of \[0, 1, 2\]"):
        table.select(x=7)
    assert len(Table({}, ())) == 0
