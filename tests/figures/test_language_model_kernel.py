"""The kernel of the shipped model as a picture: controls of its checks, and what is written in it."""

from __future__ import annotations

import numpy as np

from figures.language_model_kernel import THIRD, L, W, kernel_of_a_model
from figures.registry import Arrays
from tests.figures.computed import computed
from tests.figures.controls import add_controls, in_place
from tests.figures.test_language_model_pair import drawing_of


def asymmetric(arrays: Arrays) -> None:
    arrays["cosine"][0, 3] += 0.1


def not_of_vectors(arrays: Arrays) -> None:
    """Give two pairs of three responses a cosine of -0.9."""
    for i, j in ((0, 1), (1, 2), (0, 2)):
        arrays["cosine"][i, j] = arrays["cosine"][j, i] = -0.9


def set_cosine(i: int, j: int, value: float) -> object:
    def change(arrays: Arrays) -> None:
        arrays["cosine"][i, j] = arrays["cosine"][j, i] = value

    return change


def exchange_lengths(arrays: Arrays) -> None:
    """Give the chosen response the longer gradient."""
    arrays["norm"][[W, L]] = arrays["norm"][[L, W]]


def other_tokens(arrays: Arrays) -> None:
    """Scale the scores of the tokens by a hundredth."""
    arrays["token_norm"] *= 1.01


def turn_fork(arrays: Arrays) -> None:
    middle, fork = int(arrays["starts"][1]), int(arrays["fork"])
    arrays["token_cosine"][fork, middle + fork] *= -1


def turn_shared(arrays: Arrays) -> None:
    arrays["token_cosine"][0, int(arrays["starts"][1])] = 0.99


for check, wrong in {
    "cosines_of_vectors": (asymmetric, not_of_vectors),
    "chosen_is_driven_down": (exchange_lengths, set_cosine(W, L, 0.4)),
    "another_response_is_driven_up": (set_cosine(THIRD, L, 0.2), set_cosine(THIRD, W, -0.5)),
    "tokens_add_up_to_responses": (other_tokens,),
    "shared_tokens_share_their_gradient": (turn_shared,),
    "still_alike_where_the_pair_parts": (turn_fork,),
}.items():
    add_controls("new-kernel-lm", check, [in_place(change) for change in wrong])  # type: ignore[arg-type]


def test_the_picture_names_responses_and_tokens() -> None:
    arrays = computed("new-kernel-lm")
    words = drawing_of(kernel_of_a_model, arrays)
    assert {"11 x 12 = 132", "11 x 12 = 122", "end", "1.0"} <= set(words)
    assert "".join(arrays["token"][: arrays["starts"][1]]) == "11␣x␣12␣=␣132end"
    assert np.diff(arrays["starts"]).tolist() == [14, 14]
