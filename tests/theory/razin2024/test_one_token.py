"""Drives of worlds with unembeddings against automatic differentiation."""

import random

import pytest
import torch
from hypothesis import given, settings, strategies as st

from theory.razin2024.one_token import draw_tokens
from theory.razin2024.sequences import FALLS, RISES, lattice

seeds = st.integers(0, 10**6).map(random.Random)


@settings(max_examples=25)
@given(seeds)
def test_the_scores_are_the_gradients(source: random.Random) -> None:
    world = draw_tokens(source)
    rows = torch.tensor([[float(x) for x in row] for row in world.rows], dtype=torch.float64, requires_grad=True)
    h = torch.tensor([float(x) for x in world.h], dtype=torch.float64, requires_grad=True)
    bias = (torch.tensor([float(p) for p in world.p], dtype=torch.float64).log() - rows @ h).detach()
    for token, name in enumerate("+-z"):
        log_p = torch.log_softmax(rows @ h + bias, 0)[token]
        by_rows, by_h = torch.autograd.grad(log_p, (rows, h))
        found = [float(x) for x in world.score(token)]
        assert found == pytest.approx([*by_h.tolist(), *by_rows.flatten().tolist()], abs=1e-12)
        own = torch.cat([by_rows.flatten(), by_h])
        pair = [
            torch.cat([g.flatten() for g in torch.autograd.grad(torch.log_softmax(rows @ h + bias, 0)[k], (rows, h))])
            for k in (0, 1)
        ]
        assert float(world.drive(name)) == pytest.approx(float(own @ (pair[0] - pair[1])), abs=1e-10)


@pytest.mark.parametrize("world", [FALLS, RISES, lattice(3)[17], lattice(3)[90]])
def test_drives_of_two_tokens_are_those_of_the_gradients(world) -> None:
    unembeddings = torch.zeros(2, 1, dtype=torch.float64, requires_grad=True)
    hidden = [torch.tensor([float(x)], dtype=torch.float64, requires_grad=True) for x in world.h]

    def score(response: tuple[int, int], second: int) -> torch.Tensor:
        log_p = sum(
            torch.log_softmax(unembeddings @ hidden[place], 0)[token]
            for token, place in zip(response, (0, second), strict=True)
        )
        parts = torch.autograd.grad(log_p, (unembeddings, *hidden), allow_unused=True)
        return torch.cat([torch.zeros(1) if part is None else part.flatten() for part in parts])

    plus, minus = score(world.chosen, 1), score(world.rejected, 2)
    expected = [float(g @ (plus - minus)) for g in (plus, minus)]
    assert [float(x) for x in world.drives()] == pytest.approx(expected, abs=1e-12)
