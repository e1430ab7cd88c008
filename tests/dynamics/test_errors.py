"""The one error of bad input: what it says, and the inputs that are not bad."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from dynamics.errors import (
    InvalidArgument,
    check_count,
    check_finite,
    check_index,
    check_log_probs,
    check_nonnegative,
    check_number,
    check_positive,
    check_probabilities,
    check_shape,
    to_tensor,
)


def test_message_names_argument_what_was_got_and_what_is_allowed() -> None:
    error = InvalidArgument("beta", -1.0, "a finite number > 0")
    assert str(error) == "beta: got -1.0; allowed: a finite number > 0"
    assert (error.argument, error.got, error.allowed) == ("beta", "-1.0", "a finite number > 0")
    assert isinstance(error, ValueError)


def test_long_input_is_shortened() -> None:
    assert len(InvalidArgument("theta", list(range(10_000)), "less").got) <= 120
    assert len(str(InvalidArgument("path", f"{'x' * 10_000} cannot be opened"))) <= 1010


def test_the_error_crosses_a_process_border() -> None:
    error = InvalidArgument("beta", -1.0, "a finite number > 0")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.argument, copy.got) == (str(error), error.argument, error.got)


def test_arrays_of_every_layout_are_copied() -> None:
    array = np.array([1.0, 2.0, 3.0])
    frozen = array.copy()
    frozen.flags.writeable = False
    assert to_tensor("x", array[::-1]).tolist() == [3.0, 2.0, 1.0]
    assert to_tensor("x", frozen).tolist() == [1.0, 2.0, 3.0]  # torch warns of shared read-only memory
    kept = to_tensor("x", array)
    array[0] = 9.0
    assert kept[0] == 1.0


@pytest.mark.parametrize("value", ["a", [[1.0], [1.0, 2.0]], None, {"a": 1}])
def test_what_is_no_array(value: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^x: got .*; allowed: numbers in a rectangular array"):
        to_tensor("x", value)


@pytest.mark.parametrize(
    "value", [3, -1, [0, 3], 0.0, [0.5], torch.tensor([1.0]), torch.tensor([True]), [True], [[0], [1, 2]], None, "0"]
)
def test_what_is_no_index(value: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^chosen: got .*; allowed: whole numbers from 0 to 2"):
        check_index("chosen", value, 3)


def test_what_is_an_index() -> None:
    for value in (2, [0, 2], np.array([0, 2], dtype=np.uint8), torch.tensor([2], dtype=torch.int32)):
        assert check_index("chosen", value, 3).dtype == torch.int64


@pytest.mark.parametrize(
    "value", [[0.5, 0.6], [1.5, -0.5], [np.nan, 1.0], [np.inf, 0.0], 1.0, [[0.5, 0.5], [0.5, 0.4]]]
)
def test_what_is_no_distribution(value: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^p: (got .*; allowed: |the probabilities sum to )"):
        check_probabilities("p", to_tensor("p", value))


def test_the_sum_that_was_got_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"the probabilities sum to 1\.1; they must sum to 1"):
        check_probabilities("p", to_tensor("p", [0.5, 0.6]))


def test_log_probabilities() -> None:
    zero = to_tensor("x", [0.0, -np.inf])
    assert check_log_probs("x", zero) is zero
    for bad in ([0.0, 0.0], [np.nan, 0.0], [np.inf, 0.0]):
        with pytest.raises(InvalidArgument):
            check_log_probs("x", to_tensor("x", bad))


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, "1", None, True])
def test_what_is_not_positive(value: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^x: got .*; allowed: a finite number > 0$"):
        check_positive("x", value)


def test_numbers_that_are_fine() -> None:
    check_positive("x", np.float32(1.0))
    check_positive("x", torch.tensor([1.0, 2.0]))
    check_nonnegative("x", 0)
    check_number("x", -3)
    assert check_count("x", np.int64(2)) == 2
    check_shape("x", torch.zeros(5, 2, 3), (2, 3), batched=True)


@pytest.mark.parametrize(
    "refuse",
    [
        lambda: check_nonnegative("x", -1e-9),
        lambda: check_nonnegative("x", torch.tensor([0.0, -1.0])),
        lambda: check_number("x", np.nan),
        lambda: check_number("x", "1"),
        lambda: check_count("x", 0),
        lambda: check_count("x", 2.0),
        lambda: check_count("x", True),
        lambda: check_finite("x", torch.tensor([1.0, np.nan])),
        lambda: check_shape("x", torch.zeros(2, 3), (3, 2)),
        lambda: check_shape("x", torch.zeros(()), (3,), batched=True),
    ],
)
def test_numbers_and_shapes_that_are_not(refuse: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^x: got .*; allowed: "):
        refuse()
