"""How log pi moves while the model is replaced by its linearisation at one point of the parameters.

Three ways to move. All of them take the weights dL/dlog pi of a step and return the change of log pi in it, and tell in
the end which change of the parameters belongs to it. ``KernelMotion`` is SGD and needs the kernel alone.
``HeldMotion`` is AdamW with a fixed preconditioner, for which log pi moves by a preconditioned kernel.
``RuleMotion`` is any update rule, one gradient and one forward-mode pass for each step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from dynamics.errors import Unsupported
from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.jvp import log_probs_jvp
from dynamics.language_model.kernel.cross_kernel import cross_kernel
from dynamics.language_model.tokens import TokenSequence
from dynamics.language_model.vjp import log_probs_vjp
from dynamics.optimizers import AdamW, Moments, Optimizer

Values = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Linearised:
    """A model at one point of its parameters, and what is asked of it.

    Attributes:
        model: the model.
        sequences: all sequences; those of the pairs come first.
        in_pairs: number of sequences in pairs.
        values: the parameters that are trained, by name.
        how: ``parameters`` and ``dtype``, as in ``sequence_kernel``.
    """

    model: CausalLM
    sequences: tuple[TokenSequence, ...]
    in_pairs: int
    values: Values
    how: Mapping[str, Any]

    def gradient(self, weights: Tensor) -> Values:
        """Return the sum of the scores of the sequences in pairs with these weights."""
        used = [number for number, weight in enumerate(weights.tolist()) if weight != 0]
        return log_probs_vjp(self.model, [self.sequences[n] for n in used], weights[used], **self.how)

    def change(self, direction: Values) -> Tensor:
        """Return the first-order change of log pi of all sequences, ``(sequences,)``, float64."""
        if all(not bool(part.any()) for part in direction.values()):
            return torch.zeros(len(self.sequences), dtype=torch.float64)
        return log_probs_jvp(self.model, direction, self.sequences, dtype=self.how["dtype"]).cpu()


class Motion(Protocol):
    """A way to move from one point of the parameters."""

    def step(self, weights: Tensor, rate: float) -> Tensor:
        """Take a step and return the change of log pi of all sequences."""
        ...

    def leave(self) -> Values:
        """Return the change of the parameters in all steps so far."""
        ...


class KernelMotion:
    """SGD: log pi moves by minus the learning rate times the kernel times dL/dlog pi."""

    def __init__(self, at: Linearised) -> None:
        self._at = at
        found = cross_kernel(at.model, at.sequences, at.sequences[: at.in_pairs], **at.how)
        self._kernel = found.kernel.cpu()
        self._spent = torch.zeros(at.in_pairs, dtype=torch.float64)

    def step(self, weights: Tensor, rate: float) -> Tensor:
        """Take a step."""
        self._spent += rate * weights
        return -rate * (self._kernel @ weights)

    def leave(self) -> Values:
        """Return the change of the parameters: one gradient, since at one point the steps add up."""
        return {name: -part for name, part in self._at.gradient(self._spent).items()}


class RuleMotion:
    """Any update rule, with its own memory, along the gradients of the linearised model."""

    def __init__(self, at: Linearised, rule: Optimizer, memory: dict[str, Moments | None]) -> None:
        self._at, self._rule, self.memory = at, rule, dict(memory)
        self._moved = {name: torch.zeros_like(value) for name, value in at.values.items()}

    def step(self, weights: Tensor, rate: float) -> Tensor:
        """Take a step."""
        taken: Values = {}
        for name, g in self._at.gradient(weights).items():
            here = self._at.values[name] + self._moved[name]
            taken[name], self.memory[name] = self._rule.update(g, here, rate, self.memory.get(name))
            self._moved[name] = self._moved[name] + taken[name]
        return self._at.change(taken)

    def leave(self) -> Values:
        """Return the change of the parameters."""
        return self._moved


class HeldMotion:
    """AdamW whose division by the root of the second moment is held fixed.

    Then everything is linear: the parameters move within the span of the preconditioned scores P g_j, of the first
    moment at the beginning and, for weight decay, of the parameters themselves. ``_used`` holds the coefficients.
    """

    def __init__(self, at: Linearised, rule: AdamW, memory: dict[str, Moments | None], held: Values) -> None:
        self._at, self._rule, self._held = at, rule, held
        self._before = {name: _first(memory.get(name), value) for name, value in at.values.items()}
        self._updates = max((moments.updates for moments in memory.values() if moments is not None), default=0)
        self._moment = torch.zeros(at.in_pairs + 1, dtype=torch.float64)  # of the scores, and of the moment before
        self._moment[-1] = 1.0
        columns = [self._at.change(self._scaled(self._at.gradient(unit))) for unit in torch.eye(at.in_pairs).double()]
        columns += [self._at.change(self._scaled(self._before))]
        columns += [self._at.change(at.values)] if rule.weight_decay else [torch.zeros_like(columns[0])]
        self._basis = torch.stack(columns, 1)
        self._used = torch.zeros(at.in_pairs + 2, dtype=torch.float64)

    def _scaled(self, values: Values) -> Values:
        return {name: part * self._held[name] for name, part in values.items()}

    def step(self, weights: Tensor, rate: float) -> Tensor:
        """Take a step."""
        b1, _ = self._rule.betas
        self._updates += 1
        self._moment *= b1
        self._moment[:-1] += (1 - b1) * weights
        towards = torch.cat([self._moment / (1 - b1**self._updates), torch.tensor([self._rule.weight_decay]).double()])
        before = self._used
        self._used = (1 - rate * self._rule.weight_decay) * before - rate * towards
        return self._basis @ (self._used - before)

    def leave(self) -> Values:
        """Return the change of the parameters."""
        of_scores = self._scaled(self._at.gradient(self._used[: self._at.in_pairs]))
        of_moment = self._scaled(self._before)
        return {
            name: of_scores[name] + self._used[-2] * of_moment[name] + self._used[-1] * value
            for name, value in self._at.values.items()
        }

    def moments(self) -> dict[str, Moments | None]:
        """Return the memory after the steps; the second moment is not followed, since it is held."""
        g = self._at.gradient(self._moment[:-1])
        return {
            name: Moments(self._updates, g[name] + self._moment[-1] * self._before[name], torch.zeros_like(value))
            for name, value in self._at.values.items()
        }


def preconditioner(
    at: Linearised, rule: AdamW, memory: Mapping[str, Moments | None], weights: Iterable[Tensor]
) -> Values:
    """Return what AdamW multiplies the first moment by: 1 / (root of the second moment + eps), elementwise.

    A number whose second moment is 0, as all of an optimizer without a memory, has none that could be held; 1 / eps is
    not what AdamW would do. It is given that of the first of the steps in which it has a gradient, and 0 if there is
    none.

    Args:
        at: where.
        rule: AdamW.
        memory: its moments.
        weights: dL/dlog pi of the steps, as it is before the first of them.

    Raises:
        Unsupported: some parameters were updated more often than others, for instance not at all.
    """
    counts = {name: _updates(memory.get(name)) for name in at.values}
    most, least = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    if counts[most] != counts[least]:
        problem = f"the optimizer has updated {most} {counts[most]} times and {least} {counts[least]} times"
        raise Unsupported("preconditioner", f"{problem}, so that no common one can be held", "use 'reread'")
    updates, (_, b2) = counts[most], rule.betas
    second = {name: _second(memory.get(name), value) / (1 - b2**updates or 1.0) for name, value in at.values.items()}
    open_ = any(not bool(part.all()) for part in second.values())
    seen = torch.zeros(at.in_pairs, dtype=torch.bool)
    for later, step in enumerate(weights):
        if not open_ or bool(seen.all()):
            break
        if bool(seen[step != 0].all()):  # every score of this step has been looked at
            continue
        seen |= step != 0
        new = (1 - b2) / (1 - b2 ** (updates + later + 1))
        for name, g in at.gradient(step).items():
            second[name] = torch.where(second[name] == 0, new * g.square(), second[name])
    return {name: torch.where(part > 0, 1 / (part.sqrt() + rule.eps), 0.0) for name, part in second.items()}


def _updates(moments: Moments | None) -> int:
    return 0 if moments is None else moments.updates


def _second(moments: Moments | None, value: Tensor) -> Tensor:
    return torch.zeros_like(value) if moments is None else moments.second


def _first(moments: Moments | None, value: Tensor) -> Tensor:
    return torch.zeros_like(value) if moments is None else moments.first
