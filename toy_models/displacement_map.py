"""How often the chosen response falls in random worlds, by class of policy, number of responses and overlap of a pair.

A plain gradient step on one pair moves theta along d = g_w - g_l, whatever the loss; the loss and the learning rate
only determine the speed. A world therefore needs no loss: its path is followed in steps that all raise log(pi_w / pi_l)
by the same number of nats.

The classes differ in what two responses share:

* "tabular": nothing; one logit each.
* "prefix-tree": the logits of their common prefix, on which the gradient of the pair is zero.
* "output-mlp": the hidden layer of a perceptron; each response has its own row of output weights (``dynamics.MLP``).
* "log-linear": all parameters; logit phi_y . theta.
* "feature-mlp": all parameters; a perceptron from the features phi_y of a response to its logit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_count, check_positive
from dynamics.evaluation import flat_log_probs
from dynamics.grid import sweep
from dynamics.policies import MLP, PrefixTree, Tabular
from dynamics.table import Table

FEATURES = 8
"""Length of the feature vectors."""

HIDDEN = 16
"""Width of the perceptrons."""

STRIDE = 0.2  # nats of log(pi_w / pi_l), to first order, in one step along the path
CHOSEN, REJECTED = 0, 1

LogProbs = Callable[[Tensor], Tensor]
"""From parameters of every world, (worlds, parameters), to log pi (nats), (worlds, responses)."""


def _similar(vectors: Tensor, overlap: Tensor) -> Tensor:
    """Turn the second vector of every world so that its cosine with the first is ``overlap``; it keeps its length."""
    first, second = vectors[:, CHOSEN], vectors[:, REJECTED]
    along = first / first.norm(dim=1, keepdim=True)
    across = second - (second * along).sum(1, keepdim=True) * along
    across = across / across.norm(dim=1, keepdim=True)
    cosine = overlap.unsqueeze(1)
    turned = second.norm(dim=1, keepdim=True) * (cosine * along + (1 - cosine**2).sqrt() * across)
    return torch.cat([vectors[:, :REJECTED], turned.unsqueeze(1), vectors[:, REJECTED + 1 :]], dim=1)


def _draws(seeds: np.ndarray, size: int) -> Tensor:
    """Return ``size`` standard normal numbers for every world; worlds with the same seed have the same numbers."""
    known, place = np.unique(seeds, return_inverse=True)
    rows = [torch.randn(size, generator=torch.Generator().manual_seed(int(s)), dtype=torch.float64) for s in known]
    return torch.stack(rows)[torch.as_tensor(place)]


def _tabular(responses: int, _: Tensor, seeds: np.ndarray) -> tuple[LogProbs, Tensor]:
    """Return logits with standard deviation 1; there are no features that could overlap."""
    return Tabular(responses).log_probs, _draws(seeds, responses)


def _prefix_tree(responses: int, overlap: Tensor, seeds: np.ndarray) -> tuple[LogProbs, Tensor]:
    """Return a binary tree; the pair shares a prefix of the length nearest to ``overlap`` times the whole."""
    length = round(math.log2(responses))
    if 2**length != responses:
        raise InvalidArgument("responses", responses, "a power of two for the binary prefix tree")
    tree = PrefixTree([format(y, f"0{length}b") for y in range(responses)])
    shared = (overlap.clamp(min=0) * length).round().clamp(max=length - 1).long()
    # 00..0 and the response that leaves it after `shared` tokens; the pair is brought to the front
    partner = 2 ** (length - 1 - shared)
    order = torch.arange(responses).expand(len(overlap), -1).clone()
    order[torch.arange(len(overlap)), partner] = 1
    order[:, 1] = partner
    return lambda theta: tree.log_probs(theta).gather(1, order), _draws(seeds, tree.parameters)


def _output_mlp(responses: int, overlap: Tensor, seeds: np.ndarray) -> tuple[LogProbs, Tensor]:
    """Return a perceptron with a row of output weights for each response; ``overlap`` is the cosine of two rows."""
    policy = MLP(prompts=1, responses=responses, hidden=HIDDEN)
    draws = _draws(seeds, policy.parameters)
    rows = draws[:, 2 * HIDDEN : -responses].reshape(-1, responses, HIDDEN) / math.sqrt(HIDDEN)
    rows = _similar(rows, overlap).flatten(start_dim=1)
    theta = torch.cat([draws[:, : 2 * HIDDEN], rows, torch.zeros_like(draws[:, -responses:])], dim=1)
    return lambda at: flat_log_probs(policy, at), theta


def _log_linear(responses: int, overlap: Tensor, seeds: np.ndarray) -> tuple[LogProbs, Tensor]:
    """Return standard normal features and a theta that gives the logits a standard deviation of about 1."""
    draws = _draws(seeds, FEATURES + responses * FEATURES)
    theta = draws[:, :FEATURES] / math.sqrt(FEATURES)
    features = _similar(draws[:, FEATURES:].reshape(-1, responses, FEATURES), overlap)
    return lambda at: torch.log_softmax(torch.einsum("byd,bd->by", features, at), dim=1), theta


def _feature_mlp(responses: int, overlap: Tensor, seeds: np.ndarray) -> tuple[LogProbs, Tensor]:
    """Return logit u . relu(V phi_y) with standard normal features."""
    size = HIDDEN * FEATURES + HIDDEN
    draws = _draws(seeds, size + responses * FEATURES)
    features = _similar(draws[:, size:].reshape(-1, responses, FEATURES), overlap)
    scale = torch.ones(size, dtype=torch.float64)
    scale[: HIDDEN * FEATURES] = math.sqrt(2 / FEATURES)
    scale[HIDDEN * FEATURES :] = 1 / math.sqrt(HIDDEN)

    def log_probs(at: Tensor) -> Tensor:
        v = at[:, : HIDDEN * FEATURES].reshape(-1, HIDDEN, FEATURES)
        hidden = torch.relu(torch.einsum("bhd,byd->byh", v, features))
        return torch.log_softmax(torch.einsum("byh,bh->by", hidden, at[:, HIDDEN * FEATURES :]), dim=1)

    return log_probs, draws[:, :size] * scale


POLICIES: dict[str, Callable[[int, Tensor, np.ndarray], tuple[LogProbs, Tensor]]] = {
    "tabular": _tabular,
    "prefix-tree": _prefix_tree,
    "output-mlp": _output_mlp,
    "log-linear": _log_linear,
    "feature-mlp": _feature_mlp,
}
"""Samplers of random worlds by class of policy."""


def random_worlds(
    policy: str, responses: int, overlap: Sequence[float], seeds: Sequence[int]
) -> tuple[LogProbs, Tensor]:
    """Return log pi as a function of the parameters, and the parameters of random worlds.

    Response 0 is the chosen one, response 1 the rejected one.

    Args:
        policy: a key of ``POLICIES``.
        responses: number of responses, >= 2.
        overlap: of the pair in each world, in (-1, 1): the cosine of the features of its responses (of their output
            rows for "output-mlp", the share of common tokens for "prefix-tree", nothing for "tabular").
        seeds: of each world; the same seed with another overlap differs in the rejected response only.

    Raises:
        InvalidArgument: an unknown class, a number of responses that it cannot have, or an overlap outside (-1, 1).

    Example:
        >>> log_probs, theta = random_worlds("log-linear", 4, overlap=[0.0, 0.9], seeds=[7, 7])
        >>> tuple(theta.shape), tuple(log_probs(theta).shape)
        ((2, 8), (2, 4))
    """
    if policy not in POLICIES:
        raise InvalidArgument("policy", policy, f"one of {', '.join(POLICIES)}")
    check_count("responses", responses, minimum=2)
    cosine = torch.as_tensor(np.asarray(overlap, dtype=float))
    if cosine.ndim != 1 or not bool((cosine.abs() < 1).all()) or len(cosine) != len(seeds):
        raise InvalidArgument("overlap", np.asarray(overlap).tolist(), "one number in (-1, 1) for each seed")
    return POLICIES[policy](responses, cosine, np.asarray(seeds))


def _scores(log_probs: LogProbs, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return log pi, g_w and g_l of every world."""
    at = theta.detach().requires_grad_()
    with torch.enable_grad():
        values = log_probs(at)
        (chosen,) = torch.autograd.grad(values[:, CHOSEN].sum(), at, retain_graph=True)
        (rejected,) = torch.autograd.grad(values[:, REJECTED].sum(), at)
    return values.detach(), chosen, rejected


def displacement(batch: Mapping[str, Any], *, gain: float = 4.0) -> dict[str, Tensor]:
    """Return what happens to a pair in random worlds, at the first step and along its path; a function for ``sweep``.

    Args:
        batch: "policy" and "responses", one value each; "overlap" and "seed", one for each world (see
            ``random_worlds``).
        gain: length of the path: the total gain of log(pi_w / pi_l) in nats, to first order in each step, > 0.

    Returns:
        For each world: "displaced", 1 if A_w < 0, else 0; "drive", A_w (nats per unit of learning rate, beta and
        urgency); "fall", the nats that log pi_w loses for each nat that log(pi_w / pi_l) gains, 0 if it loses none;
        "sunk", 1 if log pi_w is lower at the end of the path than at its start, and "change", by how many nats
        (negative if lower); "violated", 1 if pi_w gains less than pi_l (Corollary 2 of jian2025 says that it never
        does); "cosine" of the scores g_w and g_l; "log_ratio", log(pi_w / pi_l) at the start.

    Example:
        >>> found = displacement({"policy": "tabular", "responses": 3, "overlap": [0.0, 0.0], "seed": [1, 2]})
        >>> found["displaced"], found["sunk"]
        (tensor([0., 0.], dtype=torch.float64), tensor([0., 0.], dtype=torch.float64))
    """
    check_positive("gain", gain)
    log_probs, theta = random_worlds(batch["policy"], int(batch["responses"]), batch["overlap"], batch["seed"])
    start, g_w, g_l = _scores(log_probs, theta)
    d = g_w - g_l
    drive_w, drive_l = (g_w * d).sum(1), (g_l * d).sum(1)
    p = start.exp()
    cosine = (g_w * g_l).sum(1) / (g_w.norm(dim=1) * g_l.norm(dim=1))
    steps = math.ceil(gain / STRIDE)
    for _ in range(steps):
        theta = theta + gain / steps * d / d.square().sum(1, keepdim=True)
        end, now_w, now_l = _scores(log_probs, theta)
        d = now_w - now_l
    change = (end - start)[:, CHOSEN]
    results = {
        "displaced": drive_w < 0,
        "drive": drive_w,
        "fall": torch.relu(-drive_w) / (drive_w - drive_l),
        "sunk": change < 0,
        "change": change,
        "violated": p[:, CHOSEN] * drive_w < p[:, REJECTED] * drive_l,
        "cosine": cosine,
        "log_ratio": start[:, CHOSEN] - start[:, REJECTED],
    }
    return {name: values.to(torch.float64) for name, values in results.items()}


def displacement_map(
    policies: Sequence[str] = tuple(POLICIES),
    responses: Sequence[int] = (2, 4, 8, 16, 32),
    overlaps: Sequence[float] = (-0.5, 0.0, 0.5, 0.8, 0.95),
    *,
    worlds: int = 200,
    seed: int = 0,
    jobs: int | None = None,
) -> Table:
    """Return frequency and size of displacement: one row for each class, number of responses and overlap.

    Args:
        policies: keys of ``POLICIES``.
        responses: numbers of responses; powers of two if "prefix-tree" is among the classes.
        overlaps: of the pair, see ``random_worlds``.
        worlds: random worlds for each combination; all combinations have the same seeds.
        seed: of the first world; the others follow.
        jobs: processes, as in ``sweep``.

    Returns:
        The means of what ``displacement`` returns, and their standard errors as "displaced_error", ...; the mean
        "fall" of the displaced worlds alone is fall / displaced.

    Raises:
        InvalidArgument: from ``random_worlds`` and ``sweep``.

    Example:
        >>> found = displacement_map(["log-linear"], [8], [0.0, 0.9], worlds=50)
        >>> bool(found["displaced"][1] > found["displaced"][0] + 2 * found["displaced_error"][1])
        True
    """
    check_count("worlds", worlds)
    check_count("seed", seed, minimum=0)
    grid: dict[str, Sequence[Any]] = {"policy": policies, "responses": responses, "overlap": overlaps}
    seeds = range(seed, seed + worlds)
    static = ("policy", "responses")
    table = sweep(displacement, grid, seeds, static=static, batch_size=len(overlaps) * worlds, jobs=jobs)
    return table.mean("policy", "responses", "overlap")
