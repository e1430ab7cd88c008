"""The device of the tests that are marked ``gpu``: a CUDA device, or the one that PREFERENCE_DYNAMICS_DEVICE names.

With ``PREFERENCE_DYNAMICS_DEVICE=cpu`` the same tests compare the CPU with itself. That shows nothing about a GPU, but
it runs every line of them where there is none.
"""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture
def device() -> str:
    """Return the name of the device; skip the test where there is none."""
    named = os.environ.get("PREFERENCE_DYNAMICS_DEVICE", "")
    if not named and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return named or "cuda"


def needs_cuda(device: str) -> None:
    """Skip a test about CUDA itself on another device."""
    if torch.device(device).type != "cuda":
        pytest.skip("this test is about CUDA itself")
