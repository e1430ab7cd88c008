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
from dynamics.policies.policy import log_softmax

WORDS = 4  # words of the vocabulary; one more token ends a response
LONGEST = 4  # largest number of tokens; a response that has not ended by then is cut off
HELD_OUT_PROMPTS = 8
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
class _OfBigrams:
    """What both policies of bigrams share: features of prompts, and one parameter for each input and bigram."""

    features: Tensor

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

    def token_log_probs(self, theta: Tensor) -> Tensor:
        """Return log p (nats) of every bigram's second token after its first, ``(..., prompts, BIGRAMS)``."""
        logits = self.features @ theta.unflatten(-1, (self.features.shape[-1], BIGRAMS))
        return log_softmax(logits.unflatten(-1, (WORDS + 1, WORDS + 1))).flatten(-2)


@dataclass(frozen=True, eq=False)
class SharedBigrams(_OfBigrams):
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

    def __post_init__(self) -> None:
        if self.features.ndim not in (2, 3):
            wanted = "shape (prompts, inputs) or (runs, prompts, inputs)"
            raise InvalidArgument("features", f"shape {tuple(self.features.shape)}", wanted)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (prompts, responses)."""
        return self.features.shape[-2], len(COUNTS)

    @property
    def lengths(self) -> Tensor:
        """Return the number of tokens of every response, end token included; prompts and responses in one axis."""
        return self._fixed(LENGTHS).repeat(self.shape[0])

    def log_probs(self, theta: Tensor) -> Tensor:
        """Return log pi (nats), ``(..., prompts, responses)``: the sum over the bigrams of a response."""
        return self.token_log_probs(theta) @ self._fixed(COUNTS).flatten(1).T

    def _fixed(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=self.dtype, device=self.device)


@dataclass(frozen=True, eq=False)
class ListedPairs(_OfBigrams):
    """The policy of ``SharedBigrams`` with only two responses of each prompt evaluated: the two of a pair.

    An update needs no other response, and two cost far less than 341. The other responses exist, so the two
    probabilities do not sum to 1.

    Args:
        features: of the prompt of each pair, ``(runs, pairs, inputs)``.
        responses: chosen and rejected response of each pair, ``(runs, pairs, 2)``.

    Example:
        >>> listed = ListedPairs(torch.ones(1, 1, 1, dtype=torch.float64), torch.tensor([[[0, 1]]]))
        >>> listed.shape, listed.lengths  # the empty response is its end token; the other is a word and the end token
        ((1, 2), tensor([[1., 2.]], dtype=torch.float64))
        >>> listed.log_probs(torch.zeros(1, 25, dtype=torch.float64)).exp()
        tensor([[[0.2000, 0.0400]]], dtype=torch.float64)
    """

    responses: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (pairs, 2)."""
        return self.responses.shape[-2], 2

    @property
    def lengths(self) -> Tensor:
        """Return the number of tokens of every listed response, end token included, ``(runs, pairs * 2)``."""
        return torch.from_numpy(LENGTHS)[self.responses].to(self.features).flatten(-2)

    def log_probs(self, theta: Tensor) -> Tensor:
        """Return log pi (nats) of the listed responses, ``(runs, pairs, 2)``."""
        counts = torch.from_numpy(COUNTS).flatten(1)[self.responses].to(self.features)
        return (counts @ self.token_log_probs(theta).unsqueeze(-1)).squeeze(-1)


@dataclass(frozen=True, eq=False)
class Worlds:
    """One world for each run, along the first axis.

    Attributes:
        policy: with features for each run.
        theta: the reference, where training starts, ``(runs, parameters)``.
        reward: true reward of every response, ``(runs, prompts, responses)``; 0 on average under the reference, where
            the part without nonsense has standard deviation 1 at every prompt.
        nonsense: number of nonsense bigrams in every response, ``(runs, responses)``.
        train: noisy pairs on the training prompts, in the order in which they are trained on.
        held_out: pairs on the held-out prompts, which are the last ones, labelled by the true reward.
    """

    policy: SharedBigrams
    theta: Tensor
    reward: Tensor
    nonsense: Tensor
    train: Preferences
    held_out: Preferences

    def held_out_policy(self) -> SharedBigrams:
        """Return the policy on the held-out prompts alone."""
        return SharedBigrams(self.policy.features[..., -HELD_OUT_PROMPTS:, :].contiguous())

    def listed(self, pairs: slice) -> ListedPairs:
        """Return the policy on some of the training pairs, without the other responses."""
        chosen, rejected = self.train.chosen[:, pairs], self.train.rejected[:, pairs]
        prompt, count = chosen // len(COUNTS), self.policy.features.shape[-1]
        features = self.policy.features.gather(-2, prompt.unsqueeze(-1).expand(*prompt.shape, count))
        return ListedPairs(features, torch.stack([chosen, rejected], -1) % len(COUNTS))

    def pick(self, world: Sequence[int]) -> Worlds:
        """Return the worlds of the given numbers, which may repeat: one for each run."""
        index = torch.as_tensor(world)

        def rows(given: Preferences) -> Preferences:
            return Preferences(given.chosen[index], given.rejected[index], given.weight[index], given.shape)

        policy = SharedBigrams(self.policy.features[index])
        parts = (self.theta[index], self.reward[index], self.nonsense[index])
        return Worlds(policy, *parts, rows(self.train), rows(self.held_out))


def draw_worlds(
    seeds: Sequence[int], pairs: int = 64, nonsense_cost: float | Sequence[float] = 1.0, prompts: int = 8
) -> Worlds:
    """Draw one world for each seed.

    Args:
        seeds: numbers >= 0; the world of a seed does not depend on the other seeds.
        pairs: training pairs of a world.
        nonsense_cost: what a nonsense bigram costs, in standard deviations of the other part of the reward; >= 0, one
            for all worlds or one for each.
        prompts: training prompts; pair number i belongs to prompt i modulo this number. Eight more are held out.

    Raises:
        InvalidArgument: no seeds, no pairs, no prompts, a negative cost.

    Example:
        >>> worlds = draw_worlds([0, 1], pairs=8)
        >>> worlds.theta.shape, worlds.train.chosen.shape
        (torch.Size([2, 100]), torch.Size([2, 8]))
    """
    check_count("pairs", pairs)
    check_count("prompts", prompts)
    costs = np.broadcast_to(np.asarray(nonsense_cost, dtype=float), len(seeds)).tolist()
    for cost in costs:
        check_nonnegative("nonsense_cost", cost)
    if not len(seeds):
        raise InvalidArgument("seeds", seeds, "at least one seed")
    parts = [
        _draw(check_count("seeds", int(seed), minimum=0), pairs, cost, prompts)
        for seed, cost in zip(seeds, costs, strict=True)
    ]
    features, theta, reward, nonsense, train, held_out = (
        torch.from_numpy(np.stack(p)) for p in zip(*parts, strict=True)
    )
    policy = SharedBigrams(features)

    def preferences(pairs: Tensor) -> Preferences:
        weight = torch.ones_like(pairs[:, 0], dtype=torch.float64)
        return Preferences(pairs[:, 0].contiguous(), pairs[:, 1].contiguous(), weight, policy.shape)

    return Worlds(policy, theta, reward, nonsense, preferences(train), preferences(held_out))


def _draw(seed: int, pairs: int, cost: float, prompts: int) -> tuple[np.ndarray, ...]:
    source = np.random.default_rng(seed)
    every = prompts + HELD_OUT_PROMPTS
    features = np.column_stack([np.ones(every), source.normal(size=(every, FEATURES - 1)) / np.sqrt(FEATURES - 1)])
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

    trained, held_out = np.arange(pairs) % prompts, prompts + np.arange(HELD_OUT_PAIRS) % HELD_OUT_PROMPTS
    prompt = np.concatenate([trained, held_out])
    # the two largest of log p + Gumbel noise are two draws without replacement
    noisy = log_p[prompt] + source.gumbel(size=(len(prompt), p.shape[1]))
    first = noisy.argmax(1)
    noisy[np.arange(len(prompt)), first] = -np.inf
    second = noisy.argmax(1)
    lead = reward[prompt, first] - reward[prompt, second]
    right = source.random(len(prompt)) < 1 / (1 + np.exp(-1.5 * lead))  # Bradley and Terry, rewards scaled by 1.5
    right[pairs:] = lead[pairs:] > 0
    both = prompt * p.shape[1] + np.where(right, [first, second], [second, first])
    return features, weights.ravel(), reward, nonsense, both[:, :pairs], both[:, pairs:]


def _standard(reward: np.ndarray, p: np.ndarray) -> np.ndarray:
    centred = reward - (p * reward).sum(1, keepdims=True)
    return centred / np.sqrt((p * centred**2).sum(1, keepdims=True))
