"""The world of ma2025 Section 6.1: 20 prompts, 20 responses, y = x preferred, some (prompt, response) pairs masked."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_nonnegative
from dynamics.preferences import Preferences

SIZE = 20  # prompts, and responses
ALPHA = 0.6  # how fast the utility falls off the diagonal; ma2025 Appendix B

MASK_STREAM, START_STREAM, DRAW_STREAM = range(3)


def generator(seed: int, stream: int) -> torch.Generator:
    """Return the random generator of a seed for one purpose; different seeds and streams are independent.

    Args:
        seed: whole number >= 0.
        stream: the purpose: ``MASK_STREAM``, ``START_STREAM`` or ``DRAW_STREAM``.
    """
    state = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def log_utility(alpha: float = ALPHA) -> Tensor:
    """Return log u(y | x) = -alpha (y - x)^2 (nats), shape (prompts, responses); source: ma2025 Eq. 34.

    Example:
        >>> log_utility()[0, :3]
        tensor([-0.0000, -0.6000, -2.4000], dtype=torch.float64)
    """
    labels = torch.arange(SIZE, dtype=torch.float64)
    return -alpha * (labels - labels.unsqueeze(-1)) ** 2


def draw_mask(rate: float, seed: int) -> Tensor:
    """Return which (prompt, response) pairs never occur in the data, boolean (prompts, responses).

    Exactly ``round(400 rate)`` of the 400 are masked. The masks of one seed are nested: a higher rate masks more.

    Args:
        rate: share of the pairs that is masked, 0 <= rate < 1.
        seed: whole number >= 0.

    Raises:
        InvalidArgument: a rate outside [0, 1), or one that leaves no prompt with two responses.

    Example:
        >>> draw_mask(0.2, seed=0).sum()
        tensor(80)
    """
    check_nonnegative("rate", rate)
    order = torch.rand(SIZE * SIZE, generator=generator(seed, MASK_STREAM), dtype=torch.float64).argsort().argsort()
    mask = (order < round(SIZE * SIZE * rate)).reshape(SIZE, SIZE)
    if not bool(((~mask).sum(-1) >= 2).any()):
        raise InvalidArgument("rate", rate, "a share below 1 that leaves a prompt with two responses")
    return mask


def concentrated(mask: Tensor, concentration: float) -> Tensor:
    """Return D(y | x) up to a factor: exp(-concentration (y - x)^2) where not masked, else 0; 0 is uniform."""
    return torch.where(mask, 0.0, log_utility(concentration).exp())


def draw_pairs(weights: Tensor, log_u: Tensor, uniforms: Tensor, *, certain: bool = False) -> Preferences:
    """Draw labelled pairs: a prompt, two different responses to it, and the preferred one by ma2025 Eq. 33.

    The prompt is uniform over those with two possible responses, the first response is drawn in proportion to
    ``weights``, the second likewise from the others. All draws invert the distribution function, so that equal
    ``weights`` and ``uniforms`` give equal pairs.

    Args:
        weights: D(y | x) up to a factor, ``(runs, prompts, responses)``; 0 is never drawn.
        log_u: log-utility (nats), ``(prompts, responses)``.
        uniforms: from [0, 1), ``(runs, pairs, 4)``.
        certain: the response of higher utility is always preferred; of two of equal utility each half the time.

    Returns:
        Preferences ``(runs, pairs)`` of equal weights.

    Example:
        >>> weights = concentrated(draw_mask(0.2, seed=0), 0.0)[None]
        >>> uniforms = torch.rand(1, 8, 4, generator=generator(0, DRAW_STREAM), dtype=torch.float64)
        >>> bool((weights.flatten()[draw_pairs(weights, log_utility(), uniforms).rejected] > 0).all())
        True
    """
    askable = ((weights > 0).sum(-1) >= 2).to(weights.dtype)
    prompt = _invert(askable.unsqueeze(-2), uniforms[..., 0])
    rows = weights.gather(-2, prompt.unsqueeze(-1).expand(*prompt.shape, weights.shape[-1]))
    first = _invert(rows, uniforms[..., 1])
    second = _invert(rows.scatter(-1, first.unsqueeze(-1), 0.0), uniforms[..., 2])
    log_odds = log_u[prompt, first] - log_u[prompt, second]
    wins = uniforms[..., 3] < (torch.sign(log_odds) + 1) / 2 if certain else uniforms[..., 3] < torch.sigmoid(log_odds)
    chosen, rejected = torch.where(wins, first, second), torch.where(wins, second, first)
    base = prompt * weights.shape[-1]
    return Preferences(base + chosen, base + rejected, torch.ones_like(uniforms[..., 0]), tuple(log_u.shape))


def _invert(weights: Tensor, uniform: Tensor) -> Tensor:
    """Return the index that a uniform number draws, with probabilities in proportion to the weights."""
    cumulative = weights.cumsum(-1)
    total = cumulative[..., -1]
    # kept below the total in spite of rounding, or the last index could be drawn although its weight is 0
    target = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    return (cumulative <= target.unsqueeze(-1)).sum(-1)


def rewards(log_probs: Tensor) -> tuple[Tensor, Tensor]:
    """Return two readings of "reward", which ma2025 Section 6.1 does not define: R1 and R2.

    R1 = sum over x of E_pi[u(y | x)]: 2.2 for the uniform policy, at most 20.
    R2 = sum over x of E_pi[u(y | x)] / sum over y of u(y | x): 1 for the uniform policy, at most 9.1. For
    policies trained on uniform pairs, R2 is close to the numbers of the paper's Table 1, and R1 about twice as large.

    Args:
        log_probs: log pi (nats), ``(..., prompts, responses)``, masked responses included.

    Example:
        >>> uniform = torch.full((20, 20), -math.log(20), dtype=torch.float64)
        >>> [round(float(reward), 2) for reward in rewards(uniform)]
        [2.21, 1.0]
    """
    utility = log_utility().exp()
    expected = (log_probs.exp() * utility).sum(-1)
    return expected.sum(-1), (expected / utility.sum(-1)).sum(-1)


def largest_rewards() -> tuple[float, float]:
    """Return R1 and R2 of the policy that always answers y = x.

    Example:
        >>> [round(reward, 2) for reward in largest_rewards()]
        [20.0, 9.12]
    """
    best = torch.full((SIZE, SIZE), -math.inf, dtype=torch.float64).fill_diagonal_(0.0)
    first, second = rewards(best)
    return float(first), float(second)


def masked_mass(log_probs: Tensor, mask: Tensor) -> Tensor:
    """Return the probability that the policy gives to masked responses, mean over prompts."""
    return torch.where(mask, log_probs.exp(), 0.0).sum(-1).mean(-1)
