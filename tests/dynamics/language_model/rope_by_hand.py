"""Rotary frequencies of every kind from their formulas, in plain float64: nothing of transformers but its settings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def rope(settings: dict[str, Any], size: int, length: int, longest: int) -> tuple[np.ndarray, float]:
    """Return the frequencies ``(size / 2,)`` and what cosine and sine are multiplied by.

    Args:
        settings: ``rope_type``, ``rope_theta`` and the rest of ``config.rope_parameters``.
        size: of a head.
        length: tokens of the sequence.
        longest: ``config.max_position_embeddings``.
    """
    return KINDS[settings["rope_type"]](settings, size, length, longest)


def _plain(theta: float, size: int) -> np.ndarray:
    return np.array([theta ** (-2 * i / size) for i in range(size // 2)])


def _default(s: dict[str, Any], size: int, length: int, longest: int) -> tuple[np.ndarray, float]:
    return _plain(s["rope_theta"], size), 1.0


def _linear(s: dict[str, Any], size: int, length: int, longest: int) -> tuple[np.ndarray, float]:
    """Positions divided by a factor (kaiokendev)."""
    return _plain(s["rope_theta"], size) / s["factor"], 1.0


def _dynamic(s: dict[str, Any], size: int, length: int, longest: int) -> tuple[np.ndarray, float]:
    """The base grows with the sequence, once it is longer than those of the training (bloc97, emozilla)."""
    stretch = s["factor"] * max(length, longest) / longest - (s["factor"] - 1)
    return _plain(s["rope_theta"] * stretch ** (size / (size - 2)), size), 1.0


def _proportional(s: dict[str, Any], size: int, length: int, longest: int) -> tuple[np.ndarray, float]:
    """The slow frequencies are 0: their part of a head is not turned."""
    turned = int(s["partial_rotary_factor"] * size // 2)
    return np.where(np.arange(size // 2) < turned, _plain(s["rope_theta"], size), 0.0) / s.get("factor", 1.0), 1.0


def _yarn(s: dict[str, Any], size: int, length: int, longest: int) -> tuple[np.ndarray, float]:
    """Fast frequencies stay, slow ones are divided by the factor, a ramp between (Peng et al. 2023, Eqs. 17 to 23)."""
    theta, factor, before = s["rope_theta"], s["factor"], s["original_max_position_embeddings"]

    def turns_so_often(turns: float) -> float:
        return size * math.log(before / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(turns_so_often(s.get("beta_fast", 32))), 0)
    high = min(math.ceil(turns_so_often(s.get("beta_slow", 1))), size - 1)
    high = high + 0.001 if low == high else high
    slow = np.array([min(1.0, max(0.0, (i - low) / (high - low))) for i in range(size // 2)])
    plain = _plain(theta, size)
    return plain * (1 - slow) + plain / factor * slow, 0.1 * math.log(factor) + 1


def _longrope(s: dict[str, Any], size: int, length: int, longest: int) -> tuple[np.ndarray, float]:
    """A divisor of its own for every frequency, one list for short sequences and one for long (Ding et al. 2024)."""
    before = s["original_max_position_embeddings"]
    divisors = np.array(s["long_factor"] if length > before else s["short_factor"])
    return _plain(s["rope_theta"], size) / divisors, math.sqrt(1 + math.log(longest / before) / math.log(before))


def _llama3(s: dict[str, Any], size: int, length: int, longest: int) -> tuple[np.ndarray, float]:
    """By the number of turns within the length of the training: few, divided; many, kept; a line between."""
    found = []
    for frequency in _plain(s["rope_theta"], size):
        turns = s["original_max_position_embeddings"] * frequency / (2 * math.pi)
        share = (turns - s["low_freq_factor"]) / (s["high_freq_factor"] - s["low_freq_factor"])
        share = min(1.0, max(0.0, share))
        found.append(share * frequency + (1 - share) * frequency / s["factor"])
    return np.array(found), 1.0


KINDS = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "proportional": _proportional,
    "yarn": _yarn,
    "longrope": _longrope,
    "llama3": _llama3,
}
