"""What each loss does to the chosen response of one pair on three small policies: in one step, and in long training.

Each policy has three responses (chosen, rejected, another) and is log-linear, pi_y proportional to e^(f_y . theta), so
that the score of a response is f_y less the mean feature. Training is gradient descent whose every step moves log pi of
no response by more than ``STEP`` nats to first order: the path of gradient flow, in steps of equal length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dynamics import CPO, DPO, IPO, PreferenceLoss, SimPO
from dynamics.losses import (
    DPOP,
    FDPO,
    ORPO,
    RPO,
    APODown,
    APOZero,
    BCOPair,
    CalDPO,
    ChiPO,
    DiscoPOP,
    DPOPerToken,
    DPOShift,
    NCAPair,
    PairLogProbs,
    SPPOHard,
    SquaredPO,
)

STEP = 0.1  # nats
LENGTHS = (8.0, 2.0)
"""Tokens of the chosen and of the rejected response, for losses that depend on lengths."""

LOSSES: dict[str, PreferenceLoss] = {
    "DPO": DPO(),
    "IPO": IPO(),
    "chi-PO": ChiPO(),
    "SquaredPO": SquaredPO(),
    "forward KL": FDPO(divergence="forward_kl"),
    "BCO": BCOPair(),
    "NCA": NCAPair(),
    "APO zero, KTO": APOZero(),
    "SPPO": SPPOHard(),
    "Cal-DPO": CalDPO(),
    "DPOP, penalty 1": DPOP(penalty=1.0),
    "DPOP, penalty 50": DPOP(penalty=50.0),
    "DPO-Shift": DPOShift(),
    "RPO": RPO(),
    "ORPO": ORPO(),
    "CPO": CPO(),
    "DPO per token": DPOPerToken(),
    "SimPO": SimPO(),
    "APO down": APODown(),
    "DiscoPOP": DiscoPOP(),
}
"""The losses, with default hyper-parameters. AOT, cDPO, robust DPO, EXO and beta-DPO are left out: on a single
pair their first step is DPO's up to a factor."""

FEATURES = {
    "tabular": ((0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
    "shared": ((2.0, 0.3, 0.0, 0.0), (3.0, 0.0, 0.3, 0.0), (0.0, 0.0, 0.0, 0.3)),
    "far apart": ((1.0, 0.0, 0.0, 0.0), (8.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
}
"""f_y of the chosen, the rejected and the other response.

In the first policy no parameter is shared; in the second, one is shared and each response has a weaker one of its own;
the third has a single parameter, and the feature of the rejected response is eight times that of the chosen one."""

START = {"tabular": (0.1, 0.1, 0.8), "shared": (1 / 3, 1 / 3, 1 / 3), "far apart": (1 / 3, 1 / 3, 1 / 3)}
"""Probabilities at the reference, where training begins."""


def features_and_start() -> tuple[Tensor, Tensor]:
    """Return features, ``(policies, 3, 4)``, and theta at the reference, ``(policies, 4)``."""
    features = torch.tensor(list(FEATURES.values()), dtype=torch.float64)
    logs = torch.tensor(list(START.values()), dtype=torch.float64).log()
    own = torch.zeros(len(FEATURES), 4, dtype=torch.float64)
    own[0, 1:] = logs[0]
    return features, own


def log_probs_and_scores(features: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return log pi, ``(losses, policies, 3)``, and the scores, ``(losses, policies, 3, 4)``.

    Args:
        features: ``(policies, 3, 4)``.
        theta: ``(losses, policies, 4)``.
    """
    log_p = torch.log_softmax((features * theta.unsqueeze(-2)).sum(-1), -1)
    mean = (log_p.exp().unsqueeze(-1) * features).sum(-2, keepdim=True)
    return log_p, features - mean


def pair_at(log_p: Tensor, reference: Tensor) -> PairLogProbs:
    """Return the pair as the losses take it; each field ``(policies,)``."""
    chosen, rejected = (torch.full_like(log_p[..., 0], length) for length in LENGTHS)
    return PairLogProbs(log_p[..., 0], log_p[..., 1], reference[..., 0], reference[..., 1], chosen, rejected)


def pair_weights(pairs: list[PairLogProbs]) -> tuple[Tensor, Tensor]:
    """Return d_w and d_l of every loss, each at the pair of the same index, ``(losses, ...)``."""
    found = [loss.pair_weights(pair) for loss, pair in zip(LOSSES.values(), pairs, strict=True)]
    d_w = torch.stack([w.chosen_weight.expand_as(pair.chosen) for w, pair in zip(found, pairs, strict=True)])
    return d_w, torch.stack([w.rejected_weight.expand_as(p.chosen) for w, p in zip(found, pairs, strict=True)])


@dataclass(frozen=True)
class FirstStep:
    """What the first step from the reference does.

    Attributes:
        chosen_weight: d_w.
        rejected_weight: d_l.
        chosen: change of log pi_w per unit of the learning rate, d_w |g_w|^2 - d_l <g_w, g_l>.
        margin: change of log pi_w - log pi_l.
    """

    chosen_weight: Tensor
    rejected_weight: Tensor
    chosen: Tensor
    margin: Tensor


def first_step(kernel: Tensor, pair: PairLogProbs) -> FirstStep:
    """Return the first step of every loss of ``LOSSES``.

    Args:
        kernel: inner products of the scores of chosen and rejected, ``(..., 2, 2)``.
        pair: the pair at the reference, ``(...)``.

    Example:
        >>> from dynamics.losses import pair_log_probs
        >>> kernel = torch.tensor([[1.0, 4.0], [4.0, 16.0]], dtype=torch.float64)
        >>> step = first_step(kernel, pair_log_probs(-1.0, -1.0, -1.0, -1.0))
        >>> step.chosen[0]  # DPO: beta sigma(0) (1 - 4)
        tensor(-0.1500, dtype=torch.float64)
    """
    d_w, d_l = pair_weights([pair] * len(LOSSES))
    chosen = d_w * kernel[..., 0, 0] - d_l * kernel[..., 0, 1]
    return FirstStep(d_w, d_l, chosen, chosen - d_w * kernel[..., 0, 1] + d_l * kernel[..., 1, 1])


@dataclass(frozen=True)
class Walk:
    """The path of training, ``(steps + 1, losses, policies)`` each.

    Attributes:
        chosen: change of log pi_w, nats.
        margin: change of log pi_w - log pi_l, nats.
        loss: value of the loss; of the first and the last step only, ``(2, losses, policies)``.
        kernel: inner products of the two scores at the reference, ``(policies, 2, 2)``.
        reference: log pi at the reference, ``(policies, 3)``.
    """

    chosen: Tensor
    margin: Tensor
    loss: Tensor
    kernel: Tensor
    reference: Tensor


def walk(steps: int = 900) -> Walk:
    """Train on the pair from the reference, with every loss on every policy separately.

    Args:
        steps: of at most ``STEP`` nats each.

    Example:
        >>> made = walk(steps=3)
        >>> bool(made.chosen[-1, 0, 0] > 0), bool(made.chosen[-1, 0, 1] < 0)  # DPO: tabular, shared
        (True, True)
    """
    features, start = features_and_start()
    theta = start.repeat(len(LOSSES), 1, 1)
    reference, scores = log_probs_and_scores(features, start)
    places, values = [], []
    for step in range(steps + 1):
        log_p, g = log_probs_and_scores(features, theta)
        places.append(log_p)
        pairs = [pair_at(log_p[i], reference) for i in range(len(LOSSES))]
        if step in (0, steps):
            values.append(torch.stack([loss.value(p) for loss, p in zip(LOSSES.values(), pairs, strict=True)]))
        d_w, d_l = (d.unsqueeze(-1) for d in pair_weights(pairs))
        # normalised before its length is measured: on a pair that is nearly learnt the weights are as small as e^-60
        most = torch.maximum(d_w.abs(), d_l.abs()).clamp(min=1e-300)
        direction = d_w / most * g[..., 0, :] - d_l / most * g[..., 1, :]
        speed = (g * direction.unsqueeze(-2)).sum(-1).abs().amax(-1, keepdim=True)
        theta = theta + torch.where(speed > 1e-12, STEP / speed.clamp(min=1e-12), 0.0) * direction
    change = torch.stack(places) - reference
    kernel = (scores[:, :2].unsqueeze(-2) * scores[:, :2].unsqueeze(-3)).sum(-1)
    return Walk(change[..., 0], change[..., 0] - change[..., 1], torch.stack(values), kernel, reference)
