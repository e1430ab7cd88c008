"""The slow and obvious ways to everything: reference forwards written out in float64, gradients formed one by one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, silu, softmax

from dynamics.language_model import TokenSequence
from dynamics.language_model.parameters import requiring, select_parameters
from dynamics.language_model.precision import computing_in
from tests.dynamics.language_model.rope_by_hand import rope

# ragged lengths, repeated tokens, shared prompts, a one-token response; the vocabulary is 23
SEQUENCES = (
    TokenSequence((1, 2, 3, 4, 5, 2, 2), 3),
    TokenSequence((4, 2), 1),
    TokenSequence((9, 8, 7, 9, 9, 8, 3, 4, 5, 11, 22), 2),
    TokenSequence((1, 2, 3, 4, 5, 2, 1), 3),
    TokenSequence((22, 2, 2, 2, 5, 2, 1), 1),
)


def relative(kernel: Tensor, truth: Tensor) -> float:
    """Return the largest |dK_ij| / sqrt(K_ii K_jj); a score that is exactly zero is measured on the largest one."""
    norms = truth.diagonal().sqrt()
    norms = torch.where(norms == 0, norms.max(), norms)
    return float(((kernel - truth).abs() / (norms[:, None] * norms[None])).max())


def own_log_probs(logits: Tensor, s: TokenSequence) -> Tensor:
    rows = logits[s.prompt_tokens - 1 : len(s.ids) - 1].log_softmax(-1)
    return rows.gather(1, torch.tensor(s.response).unsqueeze(1)).squeeze(1)


def scores_by_name(model: Any, sequences: Any) -> dict[str, Tensor]:
    """Return every gradient of log pi written out through the reference forward: name to ``(sequences, numbers)``."""
    named = dict(model.named_parameters())
    rows: dict[str, list[Tensor]] = {name: [] for name in named}
    for s in sequences:
        own = own_log_probs(reference_logits(model, s.ids), s).sum()
        found = torch.autograd.grad(own, list(named.values()), allow_unused=True)
        for (name, p), g in zip(named.items(), found, strict=True):
            rows[name].append(torch.zeros(p.numel(), dtype=torch.float64) if g is None else g.flatten())
    return {name: torch.stack(parts) for name, parts in rows.items()}


def scores(model: Any, sequences: Any, names: Any = None) -> Tensor:
    """Return the scores ``(sequences, parameters)`` over the parameters that a function of the name picks."""
    parts = scores_by_name(model, sequences)
    aliases: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        aliases.setdefault(id(p), []).append(name)
    named = dict(model.named_parameters())
    picked = [g for n, g in parts.items() if names is None or any(names(a) for a in aliases[id(named[n])])]
    return torch.cat(picked, dim=1)


def kernel(model: Any, sequences: Any, names: Any = None) -> Tensor:
    g = scores(model, sequences, names)
    return g @ g.T


def autograd_kernel(model: Any, sequences: Any, parameters: Any = None, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the kernel of any model from all gradients: one plain backward pass for each sequence."""
    rows, picked = [], select_parameters(model, parameters)
    for s in sequences:  # each in a fresh context: some rotary embeddings remember the longest sequence so far
        with computing_in(model, dtype), torch.enable_grad(), requiring(model, picked):
            logits = model(input_ids=torch.tensor([s.ids[:-1]]), use_cache=False).logits[0]
            found = logits[-s.length :].log_softmax(-1).gather(1, torch.tensor(s.response).unsqueeze(1)).sum()
            gradients = torch.autograd.grad(found, list(picked.values()), allow_unused=True)
            parts = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, picked.values(), strict=True)]
            rows.append(torch.cat([g.flatten() for g in parts]))
    g = torch.stack(rows).double()
    return g @ g.T


def reference_logits(model: Any, ids: Any) -> Tensor:
    """Return the logits ``(tokens, vocabulary)`` of one unpadded sequence, from the weights alone."""
    w = dict(model.named_parameters(remove_duplicate=False))
    assert all(p.dtype == torch.float64 for p in w.values())
    tokens = torch.tensor(ids)
    return _gpt2(model, w, tokens) if model.config.model_type == "gpt2" else _llama(model, w, tokens)


def _llama(model: Any, w: dict[str, Tensor], tokens: Tensor) -> Tensor:
    c = model.config
    heads, pairs_ = c.num_attention_heads, c.num_key_value_heads
    size = c.hidden_size // heads
    frequencies, scale = rope(c.rope_parameters, size, len(tokens), c.max_position_embeddings)
    angles = torch.arange(len(tokens), dtype=torch.float64)[:, None] * torch.from_numpy(frequencies)
    cos, sin = (scale * torch.cat([f, f], -1) for f in (angles.cos(), angles.sin()))

    def norm(x: Tensor, name: str) -> Tensor:
        return w[f"{name}.weight"] * x / (x.square().mean(-1, keepdim=True) + c.rms_norm_eps).sqrt()

    def linear(x: Tensor, name: str) -> Tensor:
        bias = w.get(f"{name}.bias")
        return x @ w[f"{name}.weight"].T + (0 if bias is None else bias)

    def turn(x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * cos[:, None] + torch.cat([-second, first], -1) * sin[:, None]

    x = w["model.embed_tokens.weight"][tokens]
    for number in range(c.num_hidden_layers):
        name = f"model.layers.{number}"
        h = norm(x, f"{name}.input_layernorm")
        q = turn(linear(h, f"{name}.self_attn.q_proj").unflatten(-1, (heads, size)))
        k = turn(linear(h, f"{name}.self_attn.k_proj").unflatten(-1, (pairs_, size)))
        v = linear(h, f"{name}.self_attn.v_proj").unflatten(-1, (pairs_, size))
        x = x + linear(_attend(q, k, v, size), f"{name}.self_attn.o_proj")
        h = norm(x, f"{name}.post_attention_layernorm")
        gate = silu(linear(h, f"{name}.mlp.gate_proj"))
        x = x + linear(gate * linear(h, f"{name}.mlp.up_proj"), f"{name}.mlp.down_proj")
    return norm(x, "model.norm") @ w["lm_head.weight"].T


def _gpt2(model: Any, w: dict[str, Tensor], tokens: Tensor) -> Tensor:
    c = model.config
    size = c.n_embd // c.n_head

    def norm(x: Tensor, name: str) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + c.layer_norm_epsilon).sqrt()
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    x = w["transformer.wte.weight"][tokens] + w["transformer.wpe.weight"][: len(tokens)]
    for number in range(c.n_layer):
        name = f"transformer.h.{number}"
        parts = linear(norm(x, f"{name}.ln_1"), f"{name}.attn.c_attn").chunk(3, -1)
        q, k, v = (part.unflatten(-1, (c.n_head, size)) for part in parts)
        x = x + linear(_attend(q, k, v, size), f"{name}.attn.c_proj")
        h = gelu(linear(norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc"), approximate="tanh")
        x = x + linear(h, f"{name}.mlp.c_proj")
    return norm(x, "transformer.ln_f") @ w["lm_head.weight"].T


def _attend(q: Tensor, k: Tensor, v: Tensor, size: int) -> Tensor:
    """Attend causally; several query heads share one key and value head."""
    repeat = q.shape[1] // k.shape[1]
    k, v = (part.repeat_interleave(repeat, dim=1) for part in (k, v))
    table = torch.einsum("thd,shd->hts", q, k) / size**0.5
    future = torch.ones(len(q), len(q), dtype=torch.bool).triu(1)
    return torch.einsum("hts,shd->thd", softmax(table.masked_fill(future, -torch.inf), -1), v).flatten(1)
