"""A linear model that torch trains, which is what a prediction of many steps replaces a language model by."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dynamics.language_model import TokenSequence, predict_path, tiny_model
from dynamics.language_model.precision import computing_in
from dynamics.language_model.training.differentiable import differentiable_log_probs
from dynamics.losses import PairLogProbs, PreferenceLoss

PAIRS = [
    (TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)),
    (TokenSequence((5, 6, 7, 8), 2), TokenSequence((5, 6, 9), 2)),
    (TokenSequence((3, 3, 1), 1), TokenSequence((3, 2, 2), 1)),
]
OTHERS = [TokenSequence((1, 7), 1), TokenSequence((9, 1, 2), 2)]
EVERYTHING = [*(s for pair in PAIRS for s in pair), *OTHERS]
BATCHES = [[0, 2], [1], [0, 1, 2], [2, 1]]
RATES = [2e-3, 1e-3, 3e-3, 2e-3]
ARCHITECTURES = ("qwen2", "gpt2")


def smooth_model(architecture: str = "qwen2") -> Any:
    return tiny_model(architecture, width=8, layers=1, heads=2, vocabulary=11)


class Linear:
    """log pi as a linear function of the parameters, from gradients that autograd writes out."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.names = [name for name, _ in model.named_parameters()]
        self.theta = [p.detach().clone() for p in model.parameters()]
        with computing_in(model, torch.float64):  # Qwen2 computes its norms in float32, also in a float64 model
            values = differentiable_log_probs(model, EVERYTHING)
            rows = [torch.autograd.grad(v, list(model.parameters()), retain_graph=True) for v in values]
        self.log_probs = values.detach()
        self.scores = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])

    def moved(self, theta: Tensor) -> Any:
        """Return a copy of the model whose parameters are these."""
        other = copy.deepcopy(self.model)
        with torch.no_grad():
            for p, part in zip(other.parameters(), theta.split([t.numel() for t in self.theta]), strict=True):
                p.copy_(part.reshape(p.shape))
        return other


def loss_of(loss: PreferenceLoss, log_probs: Tensor, reference: Tensor, batch: list[int]) -> Tensor:
    """Return the mean loss of a batch as torch differentiates it."""
    w, other = [2 * n for n in batch], [2 * n + 1 for n in batch]
    lengths = torch.tensor([float(s.length) for s in EVERYTHING], dtype=torch.float64)
    pair = PairLogProbs(log_probs[w], log_probs[other], reference[w], reference[other], lengths[w], lengths[other])
    return loss.value(pair).mean()


def by_hand(
    model: Any, loss: PreferenceLoss, make: Callable[[Tensor], torch.optim.Optimizer], every: int | None = None
) -> Tensor:
    """Return log pi along the run of the linear model, which is made anew after every k steps."""
    linear = Linear(model)
    theta = torch.cat([t.flatten() for t in linear.theta]).requires_grad_()
    optimizer = make(theta)
    reference, offset, origin = linear.log_probs, linear.log_probs, theta.detach().clone()
    rows = [linear.log_probs]
    for step, (batch, rate) in enumerate(zip(BATCHES, RATES, strict=True)):
        if every and step and step % every == 0:
            linear = Linear(linear.moved(theta.detach()))
            offset, origin = rows[-1], theta.detach().clone()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss_of(loss, offset + linear.scores @ (theta - origin), reference, batch).backward()
        optimizer.step()
        rows.append((offset + linear.scores @ (theta - origin)).detach())
    return torch.stack(rows)


def predicted(model: Any, **options: Any) -> Tensor:
    how = {"others": OTHERS, "batches": BATCHES, "learning_rate": RATES, "steps": len(BATCHES)}
    return predict_path(model, PAIRS, **(how | options)).log_probs
