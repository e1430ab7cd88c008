"""Recorded runs with names on their axes: conversion to xarray, and selection by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from dynamics.errors import InvalidArgument
from dynamics.losses import PreferenceLoss

if TYPE_CHECKING:
    from xarray import DataArray, Dataset


def to_dataset(arrays: Mapping[str, tuple[Sequence[str], Tensor]], labels: Mapping[str, Any]) -> Dataset:
    """Return arrays as an xarray.Dataset.

    Args:
        arrays: names of the axes, and the values, of each array by name.
        labels: labels along each axis by name; an axis without any is numbered from 0.
    """
    import xarray  # noqa: PLC0415 - brings pandas along, which a simulation does not need

    sizes = {axis: n for axes, values in arrays.values() for axis, n in zip(axes, values.shape, strict=True)}
    coordinates = {axis: (axis, np.asarray(labels.get(axis, range(n)))) for axis, n in sizes.items()}
    data = {name: (tuple(axes), values.detach().cpu().numpy()) for name, (axes, values) in arrays.items()}
    return xarray.Dataset(data, coords=coordinates)


def select(array: DataArray, labels: Mapping[str, Any]) -> DataArray:
    """Return the part of an array with these labels; a single label drops its axis, a list keeps it.

    Raises:
        InvalidArgument: no such axis, or a label that is not on it; a loss is named by itself or by its repr.
    """
    plain: dict[str, Any] = {}
    for axis, label in labels.items():
        if axis not in array.dims:
            raise InvalidArgument(axis, f"there is no such axis; the axes are {', '.join(map(str, array.dims))}")
        many = label if isinstance(label, (list, tuple, range, slice, np.ndarray)) else None
        named = [_as_label(each) for each in many] if isinstance(many, (list, tuple)) else _as_label(label)
        try:
            array.sel({axis: named})
        except (KeyError, ValueError, TypeError) as problem:
            known = array[axis].values.tolist()
            raise InvalidArgument(
                axis, label, f"labels of this axis, such as {', '.join(map(repr, known[:10]))}"
            ) from problem
        plain[axis] = named
    return array.sel(plain)


def loss_labels(losses: Sequence[PreferenceLoss]) -> list[str]:
    """Return the labels of an axis of losses: what each prints as."""
    return [repr(loss) for loss in losses]


def _as_label(value: Any) -> Any:
    return repr(value) if isinstance(value, PreferenceLoss) else value
