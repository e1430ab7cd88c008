"""A user's own function as a loss: autograd differentiates it, and its requirements are checked when it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, shorten
from dynamics.losses.base import PreferenceLoss
from dynamics.losses.pair import PairLogProbs, Partials

PROBES = torch.tensor(
    [
        [-1.0, -2.5, -7.0, -0.5, -30.0],
        [-3.0, -1.5, -9.0, -40.0, -0.25],
        [-2.0, -2.0, -8.0, -1.0, -20.0],
        [-2.5, -1.0, -6.5, -30.0, -0.5],
        [1.0, 3.0, 7.0, 2.0, 11.0],
        [2.0, 1.0, 9.0, 13.0, 1.0],
    ],
    dtype=torch.float64,
)
"""Five ordinary pairs, one row for each field of ``PairLogProbs``, on which a new function is tried."""


@dataclass(frozen=True)
class FunctionLoss(PreferenceLoss):
    """A torch function of pairs as a loss.

    Its reported margin is log(pi_w / ref_w) - log(pi_l / ref_l), and its reported urgency the mean of its two weights.
    What the function detaches counts as a constant in the partials.

    Args:
        function: takes a ``PairLogProbs`` (the fields ``chosen``, ``rejected``, ``reference_chosen``,
            ``reference_rejected``, ``chosen_length``, ``rejected_length``, all of one shape) and returns the loss of
            every pair, in that shape. A pair's loss may depend on that pair alone.

    Raises:
        InvalidArgument: not a function; or a function that raises an error, does not return one finite number of the
            right dtype for every pair, changes its arguments, returns different numbers on a second call, cannot be
            differentiated, or lets the loss of one pair depend on another pair.

    Example:
        >>> loss = FunctionLoss(lambda pair: torch.exp(-0.5 * pair.log_ratio))
        >>> loss(-1.0, -1.0), loss.partials(PairLogProbs(*torch.tensor([-1.0, -1.0, -1.0, -1.0, 1.0, 1.0])))
        (tensor(1., dtype=torch.float64), Partials(chosen=tensor(-0.5000), rejected=tensor(0.5000)))
    """

    function: Callable[[PairLogProbs], Tensor]

    formula: ClassVar[str] = r"L(\pi_w,\pi_l;ref_w,ref_l,|y_w|,|y_l|)"
    source: ClassVar[str] = "a function of the user's own"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidArgument("function", self.function, "a function of a PairLogProbs")
        for dtype in (torch.float64, torch.float32):
            self._try(PairLogProbs(*PROBES.to(dtype)))

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return what the function returns."""
        return self.function(pair)

    def partials(self, pair: PairLogProbs) -> Partials:
        """Return the derivatives of the function by autograd."""
        with torch.enable_grad():
            chosen, rejected = (values.detach().clone().requires_grad_() for values in pair[:2])
            total = self.function(pair._replace(chosen=chosen, rejected=rejected)).sum()
            slopes = torch.autograd.grad(total, (chosen, rejected), allow_unused=True, materialize_grads=True)
        return Partials(*slopes)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return log(pi_w / ref_w) - log(pi_l / ref_l)."""
        return pair.log_ratio

    def urgency(self, pair: PairLogProbs) -> Tensor:
        """Return the mean of the two weights."""
        partials = self.partials(pair)
        return (partials.rejected - partials.chosen) / 2

    def _try(self, pair: PairLogProbs) -> None:
        given = PairLogProbs(*(values.clone() for values in pair))
        try:
            values = self.function(given)
        except Exception as problem:
            what = f"it was tried on a few pairs and raised {type(problem).__name__}: {shorten(str(problem))}"
            raise InvalidArgument("function", f"{what}; it must accept a PairLogProbs of tensors") from problem
        kind, shape = pair.chosen.dtype, pair.chosen.shape
        if not isinstance(values, Tensor) or values.shape != shape or values.dtype != kind:
            got = f"{values.dtype} of shape {tuple(values.shape)}" if isinstance(values, Tensor) else shorten(values)
            wanted = f"one number for every pair, here {kind} of shape {tuple(shape)}"
            raise InvalidArgument("function", f"it returned {got}; it must return {wanted}")
        if not bool(values.isfinite().all()):
            raise InvalidArgument(
                "function", f"its losses at ordinary pairs are {shorten(values.tolist())}, not finite"
            )
        if not all(a.equal(b) for a, b in zip(given, pair, strict=True)):
            raise InvalidArgument(
                "function", "it changes the tensors that it is given; compute new ones, without methods such as add_()"
            )
        if not self.function(pair).equal(values):
            raise InvalidArgument(
                "function",
                "a second call with the same pairs returned different losses; it must neither draw random numbers nor "
                "remember earlier calls",
            )
        self._differentiate(pair)
        ones = [PairLogProbs(*(values[i : i + 1] for values in pair)) for i in range(len(pair.chosen))]
        alone = torch.cat([self.function(one) for one in ones])
        tolerance = 1e-9 if kind == torch.float64 else 1e-3
        if not torch.allclose(alone, values, rtol=tolerance, atol=tolerance):
            raise InvalidArgument(
                "function",
                "its loss of one pair depends on the other pairs of the batch; a loss that couples pairs must be a "
                "subclass of dynamics.losses.BatchLoss",
            )

    def _differentiate(self, pair: PairLogProbs) -> None:
        try:
            partials = self.partials(pair)
        except RuntimeError as problem:
            raise InvalidArgument(
                "function", f"autograd cannot differentiate it ({shorten(str(problem))}); use operations of torch only"
            ) from problem
        if not all(bool(part.isfinite().all()) for part in partials):
            raise InvalidArgument("function", "its derivatives at ordinary pairs are not finite")
