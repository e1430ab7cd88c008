from __future__ import annotations

from typing import Any

import pytest
import torch

from dynamics.language_model import sequence_kernel, tiny_model, token_kernel
from tests.dynamics.language_model.brute_force import SEQUENCES, own_log_probs, reference_logits, relative


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_tokens_are_those_of_single_gradients_and_their_blocks_sum_to_sequences(architecture: str) -> None:
    model: Any = tiny_model(architecture)
    got = token_kernel(model, SEQUENCES)
    parameters = list(model.parameters())
    rows = []
    for s in SEQUENCES:
        for own in own_log_probs(reference_logits(model, s.ids), s):
            found = torch.autograd.grad(own, parameters, retain_graph=True, allow_unused=True)
            parts = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
            rows.append(torch.cat([p.flatten() for p in parts]))
    g = torch.stack(rows)
    assert got.tokens.kernel.shape == (24, 24)
    assert relative(got.tokens.kernel, g @ g.T) < 1e-12
    whole = sequence_kernel(model, SEQUENCES).kernel
    assert relative(got.sequence_kernel(), whole) < 1e-12
    assert got.starts == (0, 4, 5, 14, 18, 24)
    assert got.block(2, 4).shape == (9, 6)
    torch.testing.assert_close(got.block(2, 4).sum(), whole[2, 4])
