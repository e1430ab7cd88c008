from __future__ import annotations

import pytest
import torch

from dynamics import InvalidArgument
from dynamics.language_model import log_probs_vjp, sequence_kernel, tiny_model, verify_kernel
from tests.dynamics.language_model.brute_force import SEQUENCES, scores

VECTOR = torch.tensor([1.0, -2.0, 0.5, 1.5, -1.0], dtype=torch.float64)


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_an_exact_kernel_passes_and_a_wrong_one_does_not(architecture: str) -> None:
    model = tiny_model(architecture)
    got = sequence_kernel(model, SEQUENCES)
    assert verify_kernel(model, SEQUENCES, got, VECTOR).error < 1e-13
    wrong = got.kernel.clone()
    wrong[0, 3] = wrong[3, 0] = wrong[0, 3] * 1.001
    assert verify_kernel(model, SEQUENCES, wrong, VECTOR).error > 1e-6
    for name, part in got.by_module.items():
        left_out = verify_kernel(model, SEQUENCES, got.kernel - part, VECTOR)
        assert left_out.error > 1e-7, name


def test_float32() -> None:
    model = tiny_model("qwen2", dtype=torch.float32)
    assert 1e-13 < verify_kernel(model, SEQUENCES, sequence_kernel(model, SEQUENCES), VECTOR).error < 1e-5


def test_the_plain_gradient_is_the_weighted_sum_of_the_scores() -> None:
    model = tiny_model("gpt2", tied=False)
    got = torch.cat([g.flatten() for g in log_probs_vjp(model, SEQUENCES, VECTOR).values()])
    torch.testing.assert_close(got, VECTOR @ scores(model, SEQUENCES), rtol=1e-11, atol=1e-11)


def test_wrong_shapes_are_named() -> None:
    model = tiny_model()
    with pytest.raises(InvalidArgument, match="kernel"):
        verify_kernel(model, SEQUENCES, torch.eye(4), VECTOR)
    with pytest.raises(InvalidArgument, match="vector"):
        verify_kernel(model, SEQUENCES, torch.eye(5), VECTOR[:4])
