"""The most probable responses of a model, found exactly, and random samples of its responses.

A prefix is at least as probable as every response that begins with it. A search that always extends the most
probable open prefix therefore finds the responses in the order of their probabilities, and knows the total probability
of the others: the sum over the open prefixes.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_count, check_positive
from toy_models.multiplication.responses import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, eq=False)
class Ranking:
    """The most probable responses, in order.

    Attributes:
        responses: token ids with the end of text, most probable first.
        log_probs: log pi(y | x) in nats, ``(responses,)``.
        exact: number of leading ``responses`` that are certain to be the most probable ones.
        remainder: probability of all other responses together, summed over the prefixes that were left open.
        calls: number of forward passes.
    """

    responses: tuple[Tokens, ...]
    log_probs: np.ndarray
    exact: int
    remainder: float
    calls: int


@torch.no_grad()
def most_probable(
    model: PreTrainedModel,
    prompt: Sequence[int],
    end: int,
    *,
    top: int = 1,
    max_tokens: int = 32,
    max_calls: int = 200,
    breadth: int = 16,
    children: int = 64,
) -> Ranking:
    """Find the ``top`` most probable responses by a best-first search over prefixes.

    Args:
        model: a causal language model of transformers.
        prompt: token ids of x.
        end: id of the end of text.
        top: how many responses to find.
        max_tokens: longest response, its end included; a prefix that reaches it stays open.
        max_calls: forward passes after which to give up; ``Ranking.exact`` says how far the answer is certain.
        breadth: number of prefixes that are extended in one pass.
        children: number of continuations of a prefix that are kept individually; of the others only their total
            probability and the largest of them are kept.

    Returns:
        At most ``top`` responses.

    Raises:
        InvalidArgument: a count below 1, or no prompt.
    """
    counts = {"top": top, "max_tokens": max_tokens, "max_calls": max_calls, "breadth": breadth, "children": children}
    for name, value in counts.items():
        check_count(name, value)
    if not prompt:
        raise InvalidArgument("prompt", prompt, "at least one token")

    frontier: list[tuple[float, Tokens]] = [(0.0, ())]  # (-log pi, prefix): the heap's first is the most probable
    finished: list[tuple[float, Tokens]] = []
    closed_mass, closed_bound = (
        0.0,
        -np.inf,
    )  # probability of what is not searched, and the largest that any response among it can have
    calls = 0
    while frontier and calls < max_calls:
        # once `top` responses are more probable than every open prefix, their ranking is final
        if len(finished) >= top and heapq.nsmallest(top, finished)[-1][0] <= frontier[0][0]:
            break
        batch = [heapq.heappop(frontier) for _ in range(min(breadth, len(frontier)))]
        rows = next_log_probs(model, prompt, [prefix for _, prefix in batch]).cpu()
        calls += 1
        for (cost, prefix), row in zip(batch, rows, strict=True):
            finished.append((cost - float(row[end]), (*prefix, end)))
            open_row = row.clone()
            open_row[end] = -torch.inf
            kept = 0 if len(prefix) + 1 >= max_tokens else min(children, len(row) - 1)
            values, tokens = open_row.sort(descending=True)
            for value, token in zip(values[:kept].tolist(), tokens[:kept].tolist(), strict=True):
                heapq.heappush(frontier, (cost - value, (*prefix, token)))
            rest = values[kept:]
            if len(rest) > 1:  # the end of text is among them, with probability 0
                closed_mass += float((rest - cost).exp().sum())
                closed_bound = max(closed_bound, float(rest[0]) - cost)
    finished.sort()
    listed = finished[:top]
    log_probs = -np.array([cost for cost, _ in listed])
    bound = max(closed_bound, -frontier[0][0] if frontier else -np.inf)
    open_mass = closed_mass + sum(float(np.exp(-cost)) for cost, _ in [*frontier, *finished[top:]])
    return Ranking(tuple(y for _, y in listed), log_probs, int((log_probs >= bound).sum()), open_mass, calls)


def next_log_probs(model: PreTrainedModel, prompt: Sequence[int], prefixes: Sequence[Sequence[int]]) -> Tensor:
    """Return log pi of every token after each prefix of a response, ``(prefixes, vocabulary)``, float64, nats."""
    lengths = torch.tensor([len(prompt) + len(prefix) for prefix in prefixes])
    tokens = torch.zeros(
        (len(lengths), int(lengths.max())), dtype=torch.long
    )  # the model is causal: padding after a prefix has no effect
    for row, prefix in enumerate(prefixes):
        tokens[row, : lengths[row]] = torch.tensor([*prompt, *prefix])
    logits = model(input_ids=tokens.to(model.device), use_cache=False).logits
    last = logits[torch.arange(len(lengths), device=logits.device), (lengths - 1).to(logits.device)]
    return last.double().log_softmax(-1)


@dataclass(frozen=True, eq=False)
class Samples:
    """Responses drawn from a model.

    Attributes:
        responses: token ids with the end of text, in the order drawn, repetitions included.
        truncated: number of draws that reached ``max_tokens`` without ending; they are not among the responses.
    """

    responses: tuple[Tokens, ...]
    truncated: int

    @property
    def distinct(self) -> tuple[Tokens, ...]:
        """Return every response once, in the order first drawn."""
        return tuple(dict.fromkeys(self.responses))


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    prompt: Sequence[int],
    end: int,
    *,
    count: int = 500,
    max_tokens: int = 32,
    temperature: float = 1.0,
    generator: torch.Generator,
) -> Samples:
    """Draw responses token by token from the whole distribution: without top-k or top-p truncation.

    Args:
        model: a causal language model of transformers.
        prompt: token ids of x.
        end: id of the end of text.
        count: number of draws.
        max_tokens: number of tokens after which a draw counts as truncated.
        temperature: > 0; 1 is the model's own distribution.
        generator: source of randomness, on the CPU.

    Raises:
        InvalidArgument: a count below 1, a temperature that is not positive, or no prompt.
    """
    check_count("count", count)
    check_count("max_tokens", max_tokens)
    check_positive("temperature", temperature)
    if not prompt:
        raise InvalidArgument("prompt", prompt, "at least one token")
    drawn: list[list[int]] = [[] for _ in range(count)]
    inputs = torch.tensor([list(prompt)] * count, device=model.device)
    cache = None
    live = torch.ones(count, dtype=torch.bool)
    for _ in range(max_tokens):
        # all rows are extended together, so that one cache serves all; rows that have ended are ignored
        out = model(input_ids=inputs, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        probabilities = (out.logits[:, -1].double().cpu() / temperature).softmax(-1)
        tokens = torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)
        for row in live.nonzero().squeeze(-1).tolist():
            drawn[row].append(int(tokens[row]))
        live &= tokens != end
        if not live.any():
            break
        inputs = tokens.unsqueeze(-1).to(model.device)
    whole = tuple(tuple(response) for response, unfinished in zip(drawn, live.tolist(), strict=True) if not unfinished)
    return Samples(whole, int(live.sum()))
