"""A random sketch of gradients: short vectors whose inner products are nearly those of the gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dynamics.errors import check_count

PIECE = 1 << 22  # entries of a gradient that are folded at a time


@dataclass(frozen=True, eq=False)
class Sketch:
    """A random linear map from gradients to vectors of ``size`` numbers (a count sketch).

    Every entry of a gradient gets a random sign and is added to one of ``size`` numbers. The entries are taken in
    blocks of ``size`` neighbours, and each block is shifted at random, so that two entries of different blocks meet
    with probability 1 / size, and two of the same block never. Inner products of sketches have the mean of those of the
    gradients, with a standard deviation of at most sqrt((|g|^2 |h|^2 + <g, h>^2) / size).

    Attributes:
        size: length of a sketch.
        signs: for each parameter the signs, int8, flat.
        shifts: for each parameter the shift of each block, int64.
    """

    size: int
    signs: Mapping[str, Tensor]
    shifts: Mapping[str, Tensor]

    def of(self, gradient: Mapping[str, Tensor]) -> Tensor:
        """Return the sketch of a gradient, ``(size,)``, float64, on the CPU.

        Args:
            gradient: by the name of the parameter.
        """
        total = torch.zeros(self.size, dtype=torch.float64)
        rows = max(1, PIECE // self.size)
        for name, part in gradient.items():
            signed = part.detach().flatten() * self.signs[name].to(part.device)
            blocks = torch.nn.functional.pad(signed, (0, -len(signed) % self.size)).reshape(-1, self.size)
            places = torch.arange(self.size, device=part.device)
            shifts = self.shifts[name].to(part.device)
            for piece, shift in zip(blocks.split(rows), shifts.split(rows), strict=True):
                total += piece.gather(1, (places - shift.unsqueeze(1)) % self.size).double().sum(0).cpu()
        return total


def make_sketch(parameters: Mapping[str, Tensor], size: int, seed: int) -> Sketch:
    """Draw a sketch for gradients with respect to some parameters. It takes a byte for each entry.

    Args:
        parameters: the parameters, by name.
        size: length of a sketch.
        seed: of the signs and shifts.

    Example:
        >>> parameters = {"weight": torch.zeros(40, 50)}
        >>> sketch = make_sketch(parameters, size=64, seed=0)
        >>> g = {"weight": torch.randn(40, 50, generator=torch.Generator().manual_seed(1))}
        >>> exact, found = g["weight"].square().sum(), sketch.of(g).square().sum()
        >>> bool(abs(found / exact - 1) < 4 * (2 / 64) ** 0.5)
        True
    """
    check_count("size", size)
    drawn = torch.Generator().manual_seed(seed)
    signs, shifts = {}, {}
    for name, parameter in sorted(parameters.items()):
        bits = torch.randint(0, 2, (parameter.numel(),), dtype=torch.int8, generator=drawn)
        signs[name] = 2 * bits - 1
        shifts[name] = torch.randint(0, size, (-(-parameter.numel() // size),), generator=drawn)
    return Sketch(size, signs, shifts)
