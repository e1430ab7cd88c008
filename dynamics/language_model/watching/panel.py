"""Further responses to the prompt of a pair, which show where probability goes that neither of the two receives."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import torch

from dynamics.language_model.causal_lm import CausalLM, unwrapped
from dynamics.language_model.model_head import confirmed_head, find_head, hidden_states
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.tokens import TokenSequence
from dynamics.language_model.watching.probes import Probe

OTHER, RANDOM, GREEDY = "other_prompt", "random", "greedy"
PANEL = (OTHER, RANDOM, GREEDY)
"""Roles of the panel: the chosen response to another prompt; a random response; y*, the most likely response by greedy
decoding, before training."""


TRIES = 10
"""How often a random response is drawn until it is none of the pair."""


def with_panel(
    probes: Sequence[Probe], greedy: Sequence[TokenSequence | None], seed: int, panel: Sequence[str] = PANEL
) -> list[Probe]:
    """Return the probes with the responses of the panel that do not need a model, and with the greedy ones.

    The answer to another prompt is the chosen response of the next probe with another prompt. The random response has
    the length of the chosen one. Its tokens are drawn from all chosen responses without their last tokens, which end
    them; its own last token is that of the chosen response, so there is none if the chosen response is that token
    alone. A response that a probe has already under another role is left out.

    Args:
        probes: the probes.
        greedy: what ``greedy_responses`` returns.
        seed: seed of the random responses.
        panel: which of these roles are wanted.
    """
    draw = random.Random(seed)
    inner = [token for probe in probes for token in probe.chosen.response[:-1]]
    pool = inner or [token for probe in probes for token in probe.chosen.response]
    found = []
    for number, (probe, best) in enumerate(zip(probes, greedy, strict=True)):
        prompt, own = probe.chosen.prompt, probe.chosen.response
        later = [*probes[number + 1 :], *probes[:number]]
        other = next((p.chosen.response for p in later if p.chosen.prompt != prompt), None)
        tries = [(*draw.choices(pool, k=len(own) - 1), own[-1]) for _ in range(TRIES)]
        noise = next((tokens for tokens in tries if tokens not in (own, probe.rejected.response)), None)
        made = {
            OTHER: None if other is None else TokenSequence(prompt + other, len(prompt)),
            RANDOM: None if noise is None else TokenSequence(prompt + noise, len(prompt)),
            GREEDY: best,
        }
        responses = dict(probe.responses)
        for role, sequence in made.items():
            if role in panel and sequence is not None and role not in responses and sequence not in responses.values():
                responses[role] = sequence
        found.append(replace(probe, responses=responses))
    return found


def greedy_responses(
    model: CausalLM, prompts: Sequence[tuple[int, ...]], end: int | None, most: int, batch_tokens: int = 8192
) -> list[TokenSequence]:
    """Return the greedy continuation of every prompt: the most likely token at every position.

    Logits are computed at the last position of every prompt only: memory grows with the vocabulary and the number of
    prompts in a batch, and not with their length.

    Args:
        model: a causal language model; it is not changed.
        prompts: token ids.
        end: the token that ends a response; None for none.
        most: at most how many tokens a continuation has. One that is cut off there has no end token.
        batch_tokens: padded tokens in one forward pass.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> greedy_responses(tiny_model(), [(1, 2), (3,)], end=None, most=2)[0].length
        2
    """
    model = unwrapped(model)
    device = find_head(model).device
    grown = [list(prompt) for prompt in prompts]
    with computing_in(model, compute_dtype(model, None)), torch.no_grad():
        head = confirmed_head(model, torch.tensor([grown[0]], device=device)) if grown else None
        open_ = list(range(len(grown)))
        for _ in range(most):
            by_length = sorted(open_, key=lambda n: len(grown[n]))
            while by_length and head is not None:
                width = len(grown[by_length[-1]])
                together = by_length[-max(1, batch_tokens // width) :]
                del by_length[-len(together) :]
                ids = torch.zeros(len(together), width, dtype=torch.int64)
                for row, n in enumerate(together):
                    ids[row, : len(grown[n])] = torch.tensor(grown[n])
                hidden = hidden_states(model, ids.to(device), head)
                last = torch.tensor([len(grown[n]) - 1 for n in together], device=device)
                rows = hidden[torch.arange(len(last), device=device), last]
                best = head.logits(rows, slice(0, head.vocabulary)).argmax(-1)  # of the last positions alone
                for n, token in zip(together, best.tolist(), strict=True):
                    grown[n].append(token)
            open_ = [n for n in open_ if end is None or grown[n][-1] != end]
            if not open_:
                break
    return [TokenSequence(tuple(ids), len(prompt)) for ids, prompt in zip(grown, prompts, strict=True)]
