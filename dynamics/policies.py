"""Finite policies: pure functions from a parameter vector to the log-probabilities of every response.

A policy holds what does not change (features, sequences, sizes); ``log_probs(theta)`` is a pure function of a
vector ``theta``, or of a batch of vectors ``(..., parameters)``. Reverse mode, forward mode and batches of runs
therefore need no second implementation.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dynamics.errors import (
    ArrayLike,
    InvalidArgument,
    check_count,
    check_device,
    check_dtype,
    check_finite,
    check_generator,
    check_probabilities,
    check_runs,
    check_shape,
    to_tensor,
)
from dynamics.policy import Policy, check_length, check_theta, normalize

__all__ = ["MLP", "LogLinear", "Policy", "PrefixTree", "Tabular", "check_theta", "tabular_theta"]


MOST_ONE_HOT = 10_000
"""Prompts of a perceptron with one-hot features, whose number squared must fit in memory."""


@dataclass(frozen=True)
class Tabular:
    """Softmax over free logits: one logit for every response (of every prompt).

    Args:
        responses: number of responses, >= 2.
        prompts: number of prompts; None for a single one, whose arrays then have no prompt axis.
        dtype: float64 unless said otherwise.
        device: where tensors live.

    Example:
        >>> Tabular(responses=3).log_probs(torch.zeros(3, dtype=torch.float64)).exp()
        tensor([0.3333, 0.3333, 0.3333], dtype=torch.float64)
    """

    responses: int
    prompts: int | None = None
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        check_count("responses", self.responses, minimum=2)
        if self.prompts is not None:
            check_count("prompts", self.prompts)
        check_dtype("dtype", self.dtype)
        check_device("device", self.device)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (responses,) or (prompts, responses)."""
        return (self.responses,) if self.prompts is None else (self.prompts, self.responses)

    @property
    def parameters(self) -> int:
        """Return one for each logit."""
        return math.prod(self.shape)

    def log_probs(self, theta: Tensor) -> Tensor:
        """Return the log-softmax of the logits (nats)."""
        return normalize(check_length(self, theta).reshape(*theta.shape[:-1], *self.shape))


def tabular_theta(probabilities: ArrayLike) -> Tensor:
    """Return the logits of a tabular policy that has these probabilities; 0 becomes -inf and stays 0.

    Args:
        probabilities: ``(responses,)`` or ``(prompts, responses)``, each row sums to 1.

    Raises:
        InvalidArgument: rows that are not distributions.

    Example:
        >>> Tabular(2).log_probs(tabular_theta([0.25, 0.75])).exp()
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    return check_probabilities("probabilities", to_tensor("probabilities", probabilities)).log().flatten()


@dataclass(frozen=True, eq=False)
class LogLinear:
    """pi(y | x) proportional to m(y) exp(phi(y) . theta): shared features, optional base measure.

    Args:
        features: phi, shape ``(responses, parameters)`` or ``(prompts, responses, parameters)``.
        base_measure: m, shape ``(responses,)`` or ``(prompts, responses)``, numbers >= 0, not all 0; default 1.
        dtype: float64 unless said otherwise.
        device: where tensors live.

    Example:
        >>> policy = LogLinear(features=[[2.0], [3.0], [0.0]])
        >>> policy.log_probs(torch.zeros(1, dtype=torch.float64)).exp()
        tensor([0.3333, 0.3333, 0.3333], dtype=torch.float64)
    """

    features: Tensor
    base_measure: Tensor
    dtype: torch.dtype
    device: torch.device

    def __init__(
        self,
        features: ArrayLike,
        base_measure: ArrayLike | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        check_dtype("dtype", dtype)
        phi = check_finite("features", to_tensor("features", features, dtype=dtype, device=device))
        if phi.ndim not in (2, 3) or phi.shape[-2] < 2 or phi.shape[-1] < 1:
            raise InvalidArgument(
                "features", f"shape {tuple(phi.shape)}", "shape (responses >= 2, parameters) or (prompts, ..., ...)"
            )
        if base_measure is None:
            base = torch.ones(phi.shape[:-1], dtype=dtype, device=phi.device)
        else:
            base = check_finite("base_measure", to_tensor("base_measure", base_measure, dtype=dtype, device=phi.device))
            check_shape("base_measure", base, phi.shape[:-1])
            if bool((base < 0).any()) or not bool((base.sum(-1) > 0).all()):
                raise InvalidArgument("base_measure", base.tolist(), "numbers >= 0, not all 0 for any prompt")
        for name, value in {"features": phi, "base_measure": base, "dtype": dtype, "device": phi.device}.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (responses,) or (prompts, responses)."""
        return tuple(self.features.shape[:-1])

    @property
    def parameters(self) -> int:
        """Return the number of features of a response."""
        return self.features.shape[-1]

    def log_probs(self, theta: Tensor) -> Tensor:
        """Return the log-softmax of phi . theta + log m (nats)."""
        potentials = torch.tensordot(check_length(self, theta), self.features, dims=([-1], [-1]))
        return normalize(potentials + self.base_measure.log())


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """An autoregressive policy with separate next-token logits for every prefix.

    Args:
        responses: sequences of tokens (strings, tuples of ints, ...), at least two, all different, none a prefix of
            another: end them with an end-of-sequence token if need be. Together they are all that can be said.
        dtype: float64 unless said otherwise.
        device: where tensors live.

    Attributes:
        edges: ``(prefix, next token)`` of every parameter, in order.
        lengths: tokens of every response.

    Example:
        >>> tree = PrefixTree(["ab", "ac", "b"])
        >>> tree.edges
        (((), 'a'), ((), 'b'), (('a',), 'b'), (('a',), 'c'))
        >>> tree.log_probs(torch.zeros(4, dtype=torch.float64)).exp()
        tensor([0.2500, 0.2500, 0.5000], dtype=torch.float64)
    """

    responses: tuple[tuple[Hashable, ...], ...]
    edges: tuple[tuple[tuple[Hashable, ...], Hashable], ...]
    lengths: Tensor
    dtype: torch.dtype
    device: torch.device
    _slots: Tensor = field(repr=False)  # (prefixes, branches): parameter of each branch, or `parameters` where none
    _place: Tensor = field(repr=False)  # (parameters,): where a parameter stands in the flattened slots
    _path: Tensor = field(repr=False)  # (responses, longest): edges of each response, then `parameters` as padding

    def __init__(
        self,
        responses: Sequence[Sequence[Hashable]],
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        check_dtype("dtype", dtype)
        check_device("device", device)
        sequences = _sequences(responses)
        if len(sequences) < 2 or () in sequences or len(set(sequences)) < len(sequences):
            raise InvalidArgument("responses", responses, "two or more different, non-empty sequences of tokens")
        prefixes = {s[:i] for s in sequences for i in range(len(s))}
        short = [s for s in sequences if s in prefixes]
        if short:
            raise InvalidArgument(
                "responses", short[0], "sequences of which none is a prefix of another; add an end-of-sequence token"
            )
        found = dict.fromkeys((s[:i], s[i]) for s in sequences for i in range(len(s)))
        order = sorted(found, key=lambda edge: (len(edge[0]), [str(token) for token in edge[0]], str(edge[1])))
        edges = {edge: i for i, edge in enumerate(order)}
        branches: dict[tuple[Hashable, ...], list[int]] = {}
        for (prefix, _), i in edges.items():
            branches.setdefault(prefix, []).append(i)
        widest = max(map(len, branches.values()))
        slots = torch.full((len(branches), widest), len(edges), dtype=torch.int64, device=device)
        place = torch.empty(len(edges), dtype=torch.int64, device=device)
        for row, children in enumerate(branches.values()):
            for column, i in enumerate(children):
                slots[row, column] = i
                place[i] = row * widest + column
        path = torch.full((len(sequences), max(map(len, sequences))), len(edges), dtype=torch.int64, device=device)
        for y, sequence in enumerate(sequences):
            for i, token in enumerate(sequence):
                path[y, i] = edges[sequence[:i], token]
        values = {
            "responses": sequences,
            "edges": tuple(edges),
            "lengths": torch.tensor([len(s) for s in sequences], dtype=dtype, device=device),
            "dtype": dtype,
            "device": path.device,
            "_slots": slots,
            "_place": place,
            "_path": path,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (responses,)."""
        return (len(self.responses),)

    @property
    def parameters(self) -> int:
        """Return one logit for each edge of the tree."""
        return len(self.edges)

    def log_probs(self, theta: Tensor) -> Tensor:
        """Return the sum of next-token log-probabilities along each response (nats)."""
        padding = torch.full_like(check_length(self, theta)[..., :1], -math.inf)
        logits = torch.cat([theta, padding], dim=-1)[..., self._slots]
        steps = normalize(logits).flatten(-2)[..., self._place]
        # picked, not multiplied by a 0/1 matrix: a masked edge is -inf, and 0 * -inf is NaN
        return torch.cat([steps, torch.zeros_like(padding)], dim=-1)[..., self._path].sum(-1)


def _sequences(responses: Any) -> tuple[tuple[Hashable, ...], ...]:
    """Return responses as tuples of tokens; what has no length may have no end."""
    if isinstance(responses, Tensor):
        raise InvalidArgument("responses", "a tensor, whose entries are not equal to one another", "responses.tolist()")
    try:
        if not len(responses) or not all(len(s) for s in responses):
            raise InvalidArgument("responses", responses, "two or more non-empty sequences of tokens")
        sequences = tuple(tuple(s) for s in responses)
        hash(sequences)
    except (TypeError, MemoryError) as problem:
        allowed = f"a list of sequences of tokens that can be told apart ({problem})"
        raise InvalidArgument("responses", responses, allowed) from problem
    return sequences


@dataclass(frozen=True, eq=False)
class MLP:
    """A perceptron with one hidden layer from prompt features to the logits of the responses.

    Args:
        prompts: features of the prompts ``(prompts, inputs)``, or a number of prompts for one-hot features.
        responses: number of responses, >= 2.
        hidden: width of the hidden layer.
        activation: "relu" or "tanh".
        dtype: float64 unless said otherwise.
        device: where tensors live.

    Example:
        >>> policy = MLP(prompts=2, responses=3, hidden=4)
        >>> policy.log_probs(policy.initial(torch.Generator().manual_seed(0))).exp().sum(-1)
        tensor([1., 1.], dtype=torch.float64)
    """

    inputs: Tensor
    responses: int
    hidden: int
    activation: str
    dtype: torch.dtype
    device: torch.device

    def __init__(
        self,
        prompts: int | ArrayLike,
        responses: int,
        hidden: int = 64,
        activation: str = "relu",
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        check_dtype("dtype", dtype)
        check_device("device", device)
        if isinstance(prompts, int):
            if check_count("prompts", prompts) > MOST_ONE_HOT:
                raise InvalidArgument("prompts", prompts, f"at most {MOST_ONE_HOT} for one-hot features, or features")
            inputs = torch.eye(prompts, dtype=dtype, device=device)
        else:
            inputs = check_finite("prompts", to_tensor("prompts", prompts, dtype=dtype, device=device))
        if inputs.ndim != 2 or 0 in inputs.shape:
            raise InvalidArgument("prompts", f"shape {tuple(inputs.shape)}", "a number, or features (prompts, inputs)")
        if not isinstance(activation, str) or activation not in ("relu", "tanh"):
            raise InvalidArgument("activation", activation, "'relu' or 'tanh'")
        values = {
            "inputs": inputs,
            "responses": check_count("responses", responses, minimum=2),
            "hidden": check_count("hidden", hidden),
            "activation": activation,
            "dtype": dtype,
            "device": inputs.device,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (prompts, responses)."""
        return (self.inputs.shape[0], self.responses)

    @property
    def parameters(self) -> int:
        """Return the number of weights and biases of both layers."""
        return sum(math.prod(shape) for shape in self._shapes())

    def log_probs(self, theta: Tensor) -> Tensor:
        """Return the log-softmax of the network's outputs (nats)."""
        shapes = self._shapes()
        parts = check_length(self, theta).split([math.prod(shape) for shape in shapes], -1)
        w1, b1, w2, b2 = (p.reshape(*theta.shape[:-1], *shape) for p, shape in zip(parts, shapes, strict=True))
        before = self.inputs @ w1.mT + b1.unsqueeze(-2)
        after = torch.relu(before) if self.activation == "relu" else torch.tanh(before)
        return normalize(after @ w2.mT + b2.unsqueeze(-2))

    def initial(self, generator: torch.Generator, runs: tuple[int, ...] = ()) -> Tensor:
        """Return parameters drawn as torch.nn.Linear draws them, shape ``(*runs, parameters)``."""
        check_generator(generator, self.device)
        check_runs(runs)
        parts = []
        for shape, fan_in in zip(self._shapes(), (self.inputs.shape[1],) * 2 + (self.hidden,) * 2, strict=True):
            uniform = torch.rand(*runs, math.prod(shape), generator=generator, dtype=self.dtype, device=self.device)
            parts.append((2 * uniform - 1) / math.sqrt(fan_in))
        return torch.cat(parts, dim=-1)

    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        return (
            (self.hidden, self.inputs.shape[1]),
            (self.hidden,),
            (self.responses, self.hidden),
            (self.responses,),
        )
