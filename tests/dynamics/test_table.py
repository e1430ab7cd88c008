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
        part = table.where(letter=row["letter"], number=row["number"])["y"]
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
    with pytest.raises(InvalidArgument, match="one of the columns x"):
        table["y"]
    with pytest.raises(InvalidArgument, match=r"one of \[0, 1, 2\]"):
        table.where(x=7)
    assert len(Table({}, ())) == 0


def test_a_data_frame_has_the_rows_of_the_table() -> None:
    table = Table(
        {"beta": np.array([1, 2]), "y": np.array([[0.5, 1.5], [2.5, 3.5]]), "ok": np.array([True, False])}, ("beta",)
    )
    frame = table.to_pandas()
    assert list(frame.columns) == ["beta", "y[0]", "y[1]", "ok"]
    assert frame["y[1]"].tolist() == [1.5, 3.5]
    assert frame["ok"].tolist() == [True, False]


def test_named_axes_do_not_depend_on_the_order_of_the_rows() -> None:
    beta, seed = np.array([2, 1, 1, 2]), np.array([0, 1, 0, 1])
    table = Table({"beta": beta, "seed": seed, "y": 10.0 * beta + seed, "z": np.eye(4)}, ("beta", "seed"))
    found = table.to_xarray()
    for b in (1, 2):
        for s in (0, 1):
            assert float(found.y.sel(beta=b, seed=s)) == 10 * b + s
    assert found.z.dims == ("beta", "seed", "z_axis_0")
    assert found.z.sel(beta=1, seed=1).values.tolist() == [0, 1, 0, 0]
    assert float(Table({"y": np.array([3.0])}, ()).to_xarray().y) == 3.0


@pytest.mark.parametrize("seeds", [[0, 0], [0, 1]])
def test_rows_that_are_no_full_grid_have_no_axes(seeds: list[int]) -> None:
    table = Table({"beta": np.array([1, 2]), "seed": np.array(seeds), "y": np.zeros(2)}, ("beta", "seed"))
    if seeds == [0, 0]:
        assert table.to_xarray().y.shape == (2, 1)
    else:
        with pytest.raises(InvalidArgument, match=r"^settings"):
            table.to_xarray()
