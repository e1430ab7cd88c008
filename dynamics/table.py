"""Results of many runs as a table: one row for each run, and means with standard errors over groups of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.errors import InvalidArgument, check_kind

if TYPE_CHECKING:
    from pandas import DataFrame
    from xarray import Dataset


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of a sweep.

    Attributes:
        columns: arrays by name, one entry for each row along the first axis.
        settings: names of the columns that identify a run; the other columns are its results.

    Example:
        >>> table = Table({"beta": np.array([1, 1, 2, 2]), "y": np.array([0.0, 2.0, 3.0, 5.0])}, ("beta",))
        >>> table.where(beta=2)["y"]
        array([3., 5.])
        >>> table.mean("beta").columns
        {'beta': array([1, 2]), 'count': array([2, 2]), 'y': array([1., 4.]), 'y_error': array([1., 1.])}
    """

    columns: dict[str, np.ndarray]
    settings: tuple[str, ...]

    def __post_init__(self) -> None:
        check_kind(
            "columns", self.columns, dict, "a dict from names to arrays, one entry for each row along the first axis"
        )
        for name, column in self.columns.items():
            if not isinstance(name, str) or not isinstance(column, np.ndarray) or column.ndim == 0:
                raise InvalidArgument("columns", {name: column}, "a name and a numpy array with one entry for each row")
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise InvalidArgument("columns", lengths, "columns of one length")
        check_kind("settings", self.settings, tuple, "a tuple of names of columns")
        unknown = [name for name in self.settings if not isinstance(name, str) or name not in self.columns]
        if unknown:
            raise InvalidArgument("settings", unknown, f"columns: {', '.join(self.columns)}")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a column.

        Raises:
            InvalidArgument: no such column.
        """
        if not isinstance(name, str) or name not in self.columns:
            raise InvalidArgument("name", name, f"one of the columns {', '.join(self.columns)}")
        return self.columns[name]

    @property
    def results(self) -> tuple[str, ...]:
        """Return the names of the columns that are not settings."""
        return tuple(name for name in self.columns if name not in self.settings)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield every row as a dict."""
        for index in range(len(self)):
            yield {name: column[index] for name, column in self.columns.items()}

    def to_pandas(self) -> DataFrame:
        """Return the rows as a pandas.DataFrame; a result with more axes becomes a column for each of its entries.

        Example:
            >>> Table({"beta": np.array([1, 2]), "y": np.eye(2)}, ("beta",)).to_pandas()
               beta  y[0]  y[1]
            0     1   1.0   0.0
            1     2   0.0   1.0
        """
        import pandas  # noqa: PLC0415 - it takes a while to import

        columns: dict[str, np.ndarray] = {}
        for name, column in self.columns.items():
            for index in np.ndindex(column.shape[1:]):
                columns[name + "".join(f"[{i}]" for i in index)] = column[(slice(None), *index)]
        return pandas.DataFrame(columns)

    def to_xarray(self) -> Dataset:
        """Return the results as an xarray.Dataset with one axis for each setting, labelled by its values.

        A result of a run that has axes of its own keeps them, as ``y_axis_0``, ``y_axis_1``, ... of a result ``y``.

        Raises:
            InvalidArgument: a combination of the settings that has no row, or several rows.

        Example:
            >>> table = Table({"beta": np.array([1, 1, 2, 2]), "seed": np.array([0, 1, 0, 1]),
            ...                "y": np.array([0.0, 2.0, 3.0, 5.0])}, ("beta", "seed"))
            >>> float(table.to_xarray().y.sel(beta=2, seed=1))
            5.0
        """
        import xarray  # noqa: PLC0415 - it takes a while to import

        values: dict[str, np.ndarray] = {}
        places: list[np.ndarray] = []
        for name in self.settings:
            values[name], place = np.unique(self[name], return_inverse=True)
            places.append(place)
        shape = tuple(map(len, values.values()))
        order = np.ravel_multi_index(places, shape) if places else np.zeros(len(self), dtype=int)
        if not np.array_equal(np.sort(order), np.arange(np.prod(shape, dtype=int))):
            raise InvalidArgument(
                "settings",
                f"some combination of values of {', '.join(self.settings)} is in no row or in several; each must be in "
                "exactly one",
            )
        data = {}
        for name in self.results:
            sorted_column = self[name][np.argsort(order)]
            own = [f"{name}_axis_{i}" for i in range(sorted_column.ndim - 1)]
            data[name] = ([*self.settings, *own], sorted_column.reshape((*shape, *sorted_column.shape[1:])))
        return xarray.Dataset(data, coords=values)

    def where(self, **values: object) -> Table:
        """Return the rows whose columns have these values.

        Raises:
            InvalidArgument: no such column, or a value that no row has.
        """
        keep = np.ones(len(self), dtype=bool)
        for name, value in values.items():
            plain = isinstance(value, (str, bool, int, float, np.generic))
            match = self[name] == value if plain else np.zeros(len(self), dtype=bool)
            if not np.any(match):
                raise InvalidArgument(name, value, f"one of {np.unique(self[name]).tolist()}")
            keep &= match
        return Table({name: column[keep] for name, column in self.columns.items()}, self.settings)

    def mean(self, *by: str) -> Table:
        """Return the mean of every result over each group of rows that have the same values in the columns ``by``.

        For each result ``y`` the new table also has ``y_error``, the standard error of the mean (NaN for a single
        row), and it has ``count``, the number of rows in the group. Groups keep the order of their first rows.

        Raises:
            InvalidArgument: no such column.
        """
        groups: dict[tuple[Any, ...], list[int]] = {}
        for index, key in enumerate(
            zip(*(self[name].tolist() for name in by), strict=True) if by else [()] * len(self)
        ):
            groups.setdefault(key, []).append(index)
        members: Sequence[list[int]] = list(groups.values())
        first = [rows[0] for rows in members]
        columns = {name: self[name][first] for name in by} | {"count": np.array([len(rows) for rows in members])}
        for name in self.results:
            parts = [self[name][rows].astype(float) for rows in members]
            columns[name] = np.array([part.mean(0) for part in parts])
            columns[name + "_error"] = np.array([_standard_error(part) for part in parts])
        return Table(columns, by)


def _standard_error(part: np.ndarray) -> np.ndarray:
    if len(part) < 2:
        return np.full(part.shape[1:], np.nan)
    return np.asarray(part.std(0, ddof=1) / np.sqrt(len(part)))
