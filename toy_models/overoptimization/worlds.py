"""A tiny language model with shared parameters, and random worlds for it: a reference, a true reward, noisy pairs.

The logits of the next token are linear in features of the prompt, one weight for each (feature, previous token,
next token). Training on a pair therefore changes every other prompt and response. With the separate logits of
``dynamics.PrefixTree``, responses outside the pairs would keep their relative probabilities, and held-out accuracy
would be meaningless. All 341 responses are enumerated, so that true reward, divergence and entropy are exact
expectations and not samples.

The true reward has a part that the policy could express (a quality of every bigram), a part that it could not (an
offset of every prompt and response), and a cost of nonsense: bigrams that have a very low probability under the
reference. Pairs drawn from the reference rarely contain nonsense, so that the data hardly penalise it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynamics import InvalidArgument, Preferences
from dynamics.errors import check_count, check_nonnegative

WORDS = 4  # words of the vocabulary; one more token ends a response
LONGEST = 4  # largest number of tokens; a response that has not ended by then is cut off
PROMPTS = 16  # the first half is trained on, the rest held out
FEATURES = 4  # of a prompt, the first is constant
NONSENSE_AFTER_A_WORD = 2  # of the WORDS next words
NONSENSE_LOGIT = -3.0  # in the reference
HELD_OUT_PAIRS = 400


def _sequences() -> list[tuple[int, ...]]:
    """Return all responses: words 0 .. WORDS - 1 and then the end (= WORDS), cut at LONGEST tokens."""
    every = [words for n in range(LONGEST + 1) for words in itertools.product(range(WORDS), repeat=n)]
    return [words + (WORDS,) * (len(words) < LONGEST) for words in every]


def _bigram_counts() -> np.ndarray:
    """Return how often each response has each bigram: (responses, before, next); before = WORDS at the start."""
    sequences = _sequences()
    counts = np.zeros((len(sequences), WORDS + 1, WORDS + 1))
    for y, sequence in enumerate(sequences):
        for before, after in itertools.pairwise((WORDS, *sequence)):
            counts[y, before, after] += 1
    return counts


COUNTS = _bigram_counts()
LENGTHS = COUNTS.sum((1, 2))
BIGRAMS = (WORDS + 1) ** 2


@dataclass(frozen=True, eq=False)
class SharedBigrams:
    """An autoregressive policy whose next-token logits are linear in features of the prompt.

    It is a ``dynamics.Policy`` over every response of up to four tokens, including the empty response.

    Args:
        features: of the prompts, ``(prompts, inputs)``, or one set for each run, ``(runs, prompts, inputs)``.

    Example:
        >>> policy = SharedBigrams(torch.ones(1, 1, dtype=torch.float64))
        >>> policy.shape, policy.parameters
        ((1, 341), 25)
        >>> policy.log_probs(torch.zeros(25, dtype=torch.float64)).exp().sum(-1).round(decimals=9)
        tensor([1.], dtype=torch.float64)
    """

    features: Tensor

    def __post_init__(self) -> None:
        if self.features.ndim not in (2, 3):
            wanted = "shape (prompts, inputs) or (runs, prompts, inputs)"
            raise InvalidArgument("features", f"shape {tuple(self.features.shape)}", wanted)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (prompts, responses)."""
        return self.features.shape[-2], len(COUNTS)

    @property
    def parameters(self) -> int:
        """Return one for each input and bigram."""
        return self.features.shape[-1] * BIGRAMS

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of the features."""
        return self.features.dtype

    @property
    def device(self) -> torch.device:
        """Return the device of the features."""
        return self.features.device

    @property
    def lengths(self) -> Tensor:
        """Return the number of tokens of every response, end token included; prompts and responses in one axis."""
        return self._fixed(LENGTHS).repeat(self.shape[0])

    def log_probs(self, theta: Tensor) -> Tensor:
        """Return log pi (nats), ``(..., prompts, responses)``: the sum over the bigrams of a response."""
        logits = self.features @ theta.unflatten(-1, (self.features.shape[-1], BIGRAMS))
        steps = torch.log_softmax(logits.unflatten(-1, (WORDS + 1, WORDS + 1)), dim=-1).flatten(-2)
        return steps @ self._fixed(COUNTS).flatten(1).T

    def _fixed(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=self.dtype, device=self.device)


@dataclass(frozen=True, eq=False)
class Worlds:
    """One world for each run, along the first axis.

    Attributes:
        policy: with features for each run.
        theta: the reference, where training starts, ``(runs, parameters)``.
        reward: true reward of every response, ``(runs, prompts, responses)``; 0 on average under the reference, where
            the part without nonsense has standard deviation 1 at every prompt.
        nonsense: number of nonsense bigrams in every response, ``(runs, responses)``.
        train: noisy pairs on the first half of the prompts; their losses are averaged.
        held_out: pairs on the other prompts, labelled by the true reward.
    """

    policy: SharedBigrams
    theta: Tensor
    reward: Tensor
    nonsense: Tensor
    train: Preferences
    held_out: Preferences


def draw_worlds(seeds: Sequence[int], pairs: int = 64, nonsense_cost: float | Sequence[float] = 1.0) -> Worlds:
    """Draw one world for each seed.

    Args:
        seeds: numbers >= 0; the world of a seed does not depend on the other seeds.
        pairs: training pairs of a world.
        nonsense_cost: what a nonsense bigram costs, in standard deviations of the other part of the reward; >= 0, one
            for all worlds or one for each.

    Raises:
        InvalidArgument: no seeds, no pairs, a negative cost.

    Example:
        >>> worlds = draw_worlds([0, 1], pairs=8)
        >>> worlds.theta.shape, worlds.train.chosen.shape
        (torch.Size([2, 100]), torch.Size([2, 8]))
    """
    check_count("pairs", pairs)
    costs = np.broadcast_to(np.asarray(nonsense_cost, dtype=float), len(seeds)).tolist()
    for cost in costs:
        check_nonnegative("nonsense_cost", cost)
    if not len(seeds):
        raise InvalidArgument("seeds", seeds, "at least one seed")
    parts = [
        _draw(check_count("seeds", int(seed), minimum=0), pairs, cost) for seed, cost in zip(seeds, costs, strict=True)
    ]
    features, theta, reward, nonsense, train, held_out = (
        torch.from_numpy(np.stack(p)) for p in zip(*parts, strict=True)
    )
    policy = SharedBigrams(features)

    def preferences(pairs: Tensor) -> Preferences:
        weight = torch.ones_like(pairs[:, 0], dtype=torch.float64)
        return Preferences(pairs[:, 0].contiguous(), pairs[:, 1].contiguous(), weight, policy.shape)

    return Worlds(policy, theta, reward, nonsense, preferences(train), preferences(held_out))


def _draw(seed: int, pairs: int, cost: float) -> tuple[np.ndarray, ...]:
    source = np.random.default_rng(seed)
    features = np.column_stack([np.ones(PROMPTS), source.normal(size=(PROMPTS, FEATURES - 1)) / np.sqrt(FEATURES - 1)])
    weights = 0.7 * source.normal(size=(FEATURES, WORDS + 1, WORDS + 1))
    odd = np.zeros((WORDS + 1, WORDS + 1))
    for word in range(WORDS):
        odd[word, source.permutation(WORDS)[:NONSENSE_AFTER_A_WORD]] = 1.0
    weights[0] += NONSENSE_LOGIT * odd
    log_p = SharedBigrams(torch.from_numpy(features)).log_probs(torch.from_numpy(weights.ravel())).numpy()
    p = np.exp(log_p)

    quality = features @ source.normal(size=(FEATURES, BIGRAMS)) @ COUNTS.reshape(len(COUNTS), -1).T / LENGTHS
    reward = _standard(_standard(quality, p) + 0.5 * source.normal(size=p.shape), p)
    nonsense = (COUNTS * odd).sum((1, 2))
    reward = reward - cost * nonsense
    reward -= (p * reward).sum(1, keepdims=True)

    half = PROMPTS // 2
    trained, held_out = np.arange(pairs) % half, half + np.arange(HELD_OUT_PAIRS) % half
    prompts = np.concatenate([trained, held_out])
    # the two largest of log p + Gumbel noise are two draws without replacement
    first, second = np.argsort(-log_p[prompts] - source.gumbel(size=(len(prompts), p.shape[1])))[:, :2].T
    lead = reward[prompts, first] - reward[prompts, second]
    right = source.random(len(prompts)) < 1 / (1 + np.exp(-1.5 * lead))  # Bradley and Terry, rewards scaled by 1.5
    right[pairs:] = lead[pairs:] > 0
    both = prompts * p.shape[1] + np.where(right, [first, second], [second, first])
    return features, weights.ravel(), reward, nonsense, both[:, :pairs], both[:, pairs:]


def _standard(reward: np.ndarray, p: np.ndarray) -> np.ndarray:
    centred = reward - (p * reward).sum(1, keepdims=True)
    return centred / np.sqrt((p * centred**2).sum(1, keepdims=True))
