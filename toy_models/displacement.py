"""Small log-linear worlds in which DPO lowers the chosen response; the first of them, the ladder, in closed form.

The ladder has three responses and one parameter, with features 1 (chosen), 0 (rejected) and 2 (another response).
All of it is rational in x = e^theta = pi(chosen) / pi(rejected), and a DPO step only ever multiplies x by a number
above 1. To first order in the step:

* x < 1: the chosen response rises and the rejected one falls;
* x > 1: both fall (likelihood displacement), and all the mass goes to the other response;
* x > 1 + sqrt(3): the chosen response falls by more than the rejected one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np
import torch

from dynamics import DPO, InvalidArgument, LogLinear, drives, kernel, pairs, score, simulate
from dynamics.errors import check_count, check_kind, is_finite, to_tensor

LADDER_PEAK = 1.0
"""The x at which pi(chosen) is largest on the ladder."""

LADDER_CROSSOVER = 1 + math.sqrt(3)
"""The x from which pi(chosen) falls by more than pi(rejected), to first order: the root of 2 + 2 x - x^2."""

LARGEST_X = 1e150  # slightly above this, x^2 overflows

Number = TypeVar("Number", float, Fraction, np.ndarray)


def ladder_probabilities(x: Number) -> tuple[Number, Number, Number]:
    """Return pi of the chosen, the rejected and the other response: (x, 1, x^2) / (1 + x + x^2).

    Args:
        x: e^theta > 0: a number or an array (up to 1e150), or a ``Fraction`` for exact answers.

    Raises:
        InvalidArgument: an x that is not positive, or too large for its square.

    Example:
        >>> ladder_probabilities(Fraction(3))
        (Fraction(3, 13), Fraction(1, 13), Fraction(9, 13))
    """
    total = _total(x)
    return x / total, 1 / total, x * x / total


def ladder_drives(x: Number) -> tuple[Number, Number, Number]:
    """Return the drives A_w, A_l, A_o: change of log pi per learning_rate * beta * urgency (jian2025 Eqs. 2 and 3).

    A_w - A_l = 1 = |g_w - g_l|^2 for every x.

    Args:
        x: as in ``ladder_probabilities``.

    Example:
        >>> ladder_drives(Fraction(3))  # beyond x = 1 the chosen response is pushed down
        (Fraction(-8, 13), Fraction(-21, 13), Fraction(5, 13))
    """
    total = _total(x)
    return (1 - x * x) / total, -(x + 2 * x * x) / total, (2 + x) / total


def ladder_first_order(x: Number) -> tuple[Number, Number, Number]:
    """Return D_w, D_l, D_o: first-order changes of pi per unit of learning_rate * beta * urgency; they sum to zero.

    Args:
        x: as in ``ladder_probabilities``.

    Example:
        >>> ladder_first_order(Fraction(3))  # both fall, and the chosen response falls by more
        (Fraction(-24, 169), Fraction(-21, 169), Fraction(45, 169))
    """
    p_w, p_l, p_o = ladder_probabilities(x)
    a_w, a_l, a_o = ladder_drives(x)
    return p_w * a_w, p_l * a_l, p_o * a_o


def ladder_change(x: Number, factor: Number) -> tuple[Number, Number, Number]:
    """Return the exact change of pi in a step that multiplies x by ``factor`` = e^(learning_rate * beta * urgency).

    Example:
        >>> ladder_change(Fraction(1), Fraction(2))  # D_w is 0 at x = 1, but no finite step leaves pi(chosen) alone
        (Fraction(-1, 21), Fraction(-4, 21), Fraction(5, 21))
    """
    chosen, rejected, other = ladder_probabilities(x)
    _check_number("factor", factor)
    try:
        np.broadcast_shapes(np.shape(x), np.shape(factor))  # type: ignore[call-overload]
    except ValueError as problem:
        raise InvalidArgument("factor", factor, "one number, or an array that broadcasts with x") from problem
    new_chosen, new_rejected, new_other = ladder_probabilities(x * factor)
    return new_chosen - chosen, new_rejected - rejected, new_other - other


def _total(x: Number) -> Number:
    """Return 1 + x + x^2 of an x that is known to be in range."""
    _check_number("x", x)
    return 1 + x + x * x


def _check_number(argument: str, value: Number) -> None:
    array = isinstance(value, np.ndarray) and value.dtype == np.float64 and not np.ma.is_masked(value)
    in_range = (array or is_finite(value)) and bool(np.all((value > 0) & (value <= LARGEST_X)))
    if not in_range and not (isinstance(value, Fraction) and value > 0):
        raise InvalidArgument(argument, value, f"float64 numbers > 0 and at most {LARGEST_X:g}, or a positive Fraction")


@dataclass(frozen=True)
class DisplacementWorld:
    """A log-linear policy, a place to start, and one preference pair.

    Attributes:
        features: phi of every response, ``(responses, parameters)``.
        theta: initial parameters of a run, ``(parameters,)``.
        shows: what the example demonstrates, in words.
        chosen: index of y_w.
        rejected: index of y_l; its features differ from those of y_w.

    Raises:
        InvalidArgument: shapes that do not fit, or a pair whose two responses have the same features.

    Example:
        >>> WORLDS["certainty"].policy.log_probs(torch.zeros(1, dtype=torch.float64)).exp()
        tensor([0.3333, 0.3333, 0.3333], dtype=torch.float64)
    """

    features: tuple[tuple[float, ...], ...]
    theta: tuple[float, ...]
    shows: str
    chosen: int = 0
    rejected: int = 1

    def __post_init__(self) -> None:
        rows = self.features if isinstance(self.features, (tuple, list)) else ()
        numbers = [*rows, self.theta]
        if len(rows) < 2 or not all(isinstance(row, (tuple, list)) and all(map(is_finite, row)) for row in numbers):
            got = {"features": self.features, "theta": self.theta}
            raise InvalidArgument("features, theta", got, "tuples of finite numbers, two or more responses")
        check_kind("shows", self.shows, str, "what is to be seen, in words")
        for name, index in (("chosen", self.chosen), ("rejected", self.rejected)):
            if check_count(name, index, minimum=0) >= len(rows):
                raise InvalidArgument(name, index, f"the index of a response, from 0 to {len(rows) - 1}")
        if any(len(phi) != len(self.theta) for phi in self.features):
            raise InvalidArgument("theta", self.theta, "one number for each feature of a response")
        if self.features[self.chosen] == self.features[self.rejected]:
            raise InvalidArgument(
                "features", "the chosen and the rejected response have the same ones; they must differ"
            )

    @property
    def policy(self) -> LogLinear:
        """Return the policy."""
        return LogLinear(self.features)


LADDER = DisplacementWorld(
    ((1.0,), (0.0,), (2.0,)),
    (-3.0,),
    "pi(chosen) rises, peaks at 1/3 and falls to 0, pi(rejected) falls throughout; late in the run the chosen "
    "response falls by more than the rejected one, at every step",
)

WORLDS: dict[str, DisplacementWorld] = {
    "ladder": LADDER,
    "certainty": DisplacementWorld(
        ((2.0,), (3.0,), (0.0,)),
        (0.0,),
        "both responses of the pair fall from the first step, whatever its size, and the third becomes certain",
    ),
    "rejected-rises": DisplacementWorld(
        ((3.0,), (2.0,), (0.0,)),
        (0.0,),
        "both responses of the pair rise at the start: the rejected one is not always pushed down",
    ),
    "rejected-gains-more": DisplacementWorld(
        ((0.0,), (1.0,), (2.0,)),
        (math.log(3),),
        "both rise, and pi(rejected) by more than pi(chosen), although log pi(chosen) gains on log pi(rejected)",
    ),
    "bystander": DisplacementWorld(
        ((1.0,), (0.0,), (2.0,), (0.5,)),
        (-3.0,),
        "the mass goes to the response whose features agree most with the step; the most probable other one gains at "
        "first and loses everything in the end",
    ),
    "chosen-falls-more": DisplacementWorld(
        ((2.0,), (3.0,), (0.0,)),
        (-math.log(2),),
        "both fall, and pi(chosen) by more than pi(rejected), from the first step on",
    ),
    "greedy-gains-more": DisplacementWorld(
        ((1.0,), (0.0,), (2.0,)),
        (-math.log(2),),
        "the chosen response rises and the rejected one falls, but a third one gains more than the chosen one",
    ),
    "greedy-falls": DisplacementWorld(
        ((-1.0, -1.0), (-1.0, -2.0), (1.0, -1.0), (0.0, 0.0)),
        (math.log(2), 0.0),
        "the pair falls, and so does the most probable other response: all the mass goes to the fourth",
    ),
    "adam": DisplacementWorld(
        ((1.0, -2.0), (-2.0, -3.0), (1.0, 5.0)),
        (0.0, 0.0),
        "the first step of plain descent raises pi(chosen), the first step of AdamW lowers it",
    ),
    "tabular": DisplacementWorld(
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        (0.0, 0.0, 0.0),
        "with a parameter for each response nothing is shared: the chosen response rises and the rejected one falls",
    ),
}
"""The canonical examples by name; each says what it shows."""


@dataclass(frozen=True, eq=False)
class PairRun:
    """Single-pair DPO, step by step: the curves of Figure 1 of jian2025, and what is needed to interpret them.

    Row t of a state is the state before step t, from 0 to ``steps``; row t of a change is the change in step t.

    Attributes:
        log_probs: log pi (nats), ``(steps + 1, responses)``.
        drive: A_y = g_y . (g_w - g_l), ``(steps + 1, responses)``, from the kernel at every step.
        score_gap: |g_w - g_l|^2, ``(steps + 1,)``, from the scores themselves.
        margin: z, of which the loss is a function, ``(steps + 1,)``; z / beta is in nats.
        speed: learning_rate * beta * urgency, ``(steps,)``: the factor between drives and changes of log pi.
        actual: exact change of pi, ``(steps, responses)``.
        predicted: change of pi to first order in the step, ``(steps, responses)``.
    """

    log_probs: np.ndarray
    drive: np.ndarray
    score_gap: np.ndarray
    margin: np.ndarray
    speed: np.ndarray
    actual: np.ndarray
    predicted: np.ndarray


def run_pair(world: DisplacementWorld, *, beta: float = 0.5, learning_rate: float = 0.5, steps: int = 180) -> PairRun:
    """Run DPO with plain gradient steps on the pair of ``world``; the reference is the start.

    Args:
        world: the policy, the start and the pair.
        beta: of the loss, > 0.
        learning_rate: >= 0.
        steps: number of updates, >= 0.

    Raises:
        InvalidArgument: from ``DPO`` and ``simulate``.

    Example:
        >>> run = run_pair(LADDER, steps=60)
        >>> int(run.log_probs[:, 0].argmax()), bool((np.diff(run.log_probs[:, 1]) < 0).all())
        (39, True)
    """
    check_kind("world", world, DisplacementWorld, "a DisplacementWorld, such as LADDER")
    if not is_finite(learning_rate) or not is_finite(beta):
        raise InvalidArgument("beta, learning_rate", (beta, learning_rate), "two finite numbers")
    policy, loss = world.policy, DPO(beta=beta)
    pair = pairs(world.chosen, world.rejected, shape=policy.shape)
    start = torch.tensor(world.theta, dtype=policy.dtype)
    record = simulate(policy, start, pair, loss=loss, learning_rate=learning_rate, steps=steps)
    log_probs = record.log_probs.flatten(end_dim=-2)
    log_ratio = record.log_ratio(world.chosen, world.rejected).flatten()
    gained = log_ratio - log_ratio[0]

    # theta moves along d = phi_w - phi_l only, and a move by d raises the log-ratio by |d|^2
    direction = policy.features[world.chosen] - policy.features[world.rejected]
    thetas = start + (gained / direction.square().sum()).unsqueeze(1) * direction
    drive, score_gap = [], []
    for theta in thetas:
        drive.append(drives(kernel(policy, theta), pair).squeeze(0))
        g = score(policy, theta)
        score_gap.append((g[world.chosen] - g[world.rejected]).square().sum())

    margin = beta * gained
    speed = -learning_rate * beta * loss.derivative(margin)[:-1]
    p = log_probs.exp()[:-1]
    return PairRun(
        log_probs=log_probs.numpy(),
        drive=torch.stack(drive).numpy(),
        score_gap=torch.stack(score_gap).numpy(),
        margin=margin.numpy(),
        speed=speed.numpy(),
        # p expm1(change of log p) is accurate even where both probabilities are nearly equal
        actual=(p * torch.expm1(log_probs.diff(dim=0))).numpy(),
        predicted=(speed.unsqueeze(1) * p * torch.stack(drive)[:-1]).numpy(),
    )


def log_ratio_of_changes(chosen: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """Return log(change of pi_w / change of pi_l), the curve that jian2025 plots in Figure 1 (c), as it is written.

    Where the two changes differ in sign, or one of them is zero, the logarithm is undefined and the result NaN.

    Args:
        chosen: changes of pi(y_w), any shape.
        rejected: changes of pi(y_l), same shape.

    Example:
        >>> log_ratio_of_changes(np.array([-0.2, 0.1]), np.array([-0.1, -0.1]))
        array([0.69314718,        nan])
    """
    chosen, rejected = (
        to_tensor(name, value).detach().numpy() for name, value in (("chosen", chosen), ("rejected", rejected))
    )
    if chosen.shape != rejected.shape:
        raise InvalidArgument("chosen, rejected", f"their shapes {chosen.shape} and {rejected.shape} differ")
    defined = np.sign(chosen) * np.sign(rejected) > 0
    ones = np.ones_like(chosen)
    logs = np.log(np.abs(np.where(defined, chosen, ones))) - np.log(np.abs(np.where(defined, rejected, ones)))
    return np.where(defined, logs, np.nan)
