r"""Stable Preference Optimization on a language model: Algorithm 1 of jian2025, step by step.

The outer parameters theta are LoRA adapters, the inner parameters phi the backbone. One iteration first solves the
lower-level problem approximately (K gradient steps on the SFT loss, from phi). Then it updates theta and phi by the
gradient of

    L = L_dpo(theta, phi) + lambda (L_sft(theta, phi) - L*_sft(theta)) + gamma L_reg(theta, phi).

Where the paper is silent or has a misprint, this is what is done here (see ``jian2025`` in the ledger for evidence):

* Line 9 of the algorithm computes L*_sft, but no later line uses it: the update needs its gradient only. Here the value
  is part of the returned account.
* The paper does not say which data the inner loop uses. Here it uses the SFT data of the batch.
* Lines 12 and 13 use gradients at the same (theta, phi), so the two updates are simultaneous.
* The policy is pi_(theta, phi) in every term, also where Eq. (13) omits phi. The reference is the initial policy.
* The gradient of L_reg with respect to phi is the mixed second derivative of log pi. Eq. (84) prints something else,
  and Eqs. (81) and (85) print the gradient with respect to theta.
* L_reg penalises ||g_l|| > ||g_w||, as Eqs. (7) and (9) print it; Remark 2 asks for the opposite.
* The paper gives no value for gamma, nor for rank and scale of the adapters. If gamma = 0 and the inner learning rate
  is as small as in the paper, term (b) is nearly 0, and the method is nearly DPO plus lambda times the NLL of y_w.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from dynamics.errors import (
    InvalidArgument,
    check_count,
    check_finite,
    check_kind,
    check_number,
    check_shape,
    is_finite,
)
from dynamics.language_model.log_probs import sequence_log_probs
from dynamics.language_model.precision import computing_in
from dynamics.language_model.tokens import TokenSequence
from dynamics.language_model.training.adapters import AdaptedModel, Values
from dynamics.losses import DPO, pair_log_probs
from dynamics.optimizers import SGD, AdamW, Moments

SMALLEST_SQUARE = 1e-12
"""Smaller squared norms are replaced by this value, because the square root has no derivative at 0."""


@dataclass(frozen=True)
class StablePO:
    """The settings of Algorithm 1. Where jian2025, Table 2, has a value, it is the default.

    Attributes:
        beta: beta of DPO.
        penalty: lambda >= 0, the weight of L_sft - L*_sft.
        gamma: weight of L_reg; if it is above 0, second derivatives are computed.
        inner_steps: K, the steps of gradient descent on the lower-level problem; with 0, phi' is phi and term (b) is 0.
        inner_learning_rate: eta_phi', the learning rate of these steps (Eq. (11)).
        learning_rate: learning rate of theta and phi, or a pair (eta_theta, eta_phi).
        optimizer: optimizer of theta and phi: "adamw" (without weight decay), as in the experiments of the paper, or
            "sgd", as in Eq. (12).
    """

    beta: float = 0.5
    penalty: float = 1.0
    gamma: float = 0.0
    inner_steps: int = 1
    inner_learning_rate: float = 2e-5
    learning_rate: float | tuple[float, float] = 1e-5
    optimizer: Literal["adamw", "sgd"] = "adamw"

    def __post_init__(self) -> None:
        if not is_finite(self.beta) or self.beta <= 0:
            raise InvalidArgument("beta", self.beta, "a finite number > 0")
        check_count("inner_steps", self.inner_steps, minimum=0)
        for name in ("penalty", "gamma", "inner_learning_rate"):
            _check_scalar(name, getattr(self, name))
        if isinstance(self.learning_rate, tuple) and len(self.learning_rate) != 2:
            raise InvalidArgument("learning_rate", self.learning_rate, "one number, or a pair for theta and phi")
        for rate in self.learning_rates:
            _check_scalar("learning_rate", rate)
        if not isinstance(self.optimizer, str) or self.optimizer not in ("adamw", "sgd"):
            raise InvalidArgument("optimizer", self.optimizer, "'adamw' or 'sgd'")

    @property
    def learning_rates(self) -> tuple[float, float]:
        """Return eta_theta and eta_phi."""
        rate = self.learning_rate
        return rate if isinstance(rate, tuple) else (rate, rate)


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Preference pairs with their log-probabilities under the reference policy, and SFT data (line 10).

    Attributes:
        chosen: x and y_w of every pair.
        rejected: x and y_l of every pair.
        reference_chosen: log ref(y_w | x) in nats, ``(pairs,)``.
        reference_rejected: log ref(y_l | x) in nats, ``(pairs,)``.
        sft: D_sft; None for the chosen responses.
    """

    chosen: tuple[TokenSequence, ...]
    rejected: tuple[TokenSequence, ...]
    reference_chosen: Tensor
    reference_rejected: Tensor
    sft: tuple[TokenSequence, ...] | None = None

    def __post_init__(self) -> None:
        _check_sides(self.chosen, self.rejected, self.sft)
        if not self.chosen or len(self.chosen) != len(self.rejected):
            raise InvalidArgument("rejected", f"{len(self.rejected)} sequences", f"{len(self.chosen)}, at least one")
        for name in ("reference_chosen", "reference_rejected"):
            check_kind(name, getattr(self, name), Tensor, "a tensor of log-probabilities, one for each pair")
            check_finite(name, check_shape(name, getattr(self, name), (len(self.chosen),)))
        if self.sft is not None and not self.sft:
            raise InvalidArgument("sft", "none", "at least one sequence, or None for the chosen responses")

    @property
    def sft_data(self) -> tuple[TokenSequence, ...]:
        """Return D_sft: the SFT data, or the chosen responses if there are none."""
        return self.chosen if self.sft is None else self.sft


@dataclass(frozen=True, eq=False)
class StablePOState:
    """theta_t, phi_t and the state of the optimizer.

    Attributes:
        theta: values of the adapters' parameters.
        phi: values of the backbone's parameters.
        moments: the moments of AdamW for every parameter; None before the first iteration and for SGD.
        iterations: t, the number of iterations so far.
    """

    theta: Values
    phi: Values
    moments: dict[str, Moments | None]
    iterations: int = 0


@dataclass(frozen=True, eq=False)
class GradientTerms:
    """The terms of the gradient of L, named by the letters of Eqs. (13) and (14), with their weights and signs.

    Attributes:
        a: grad_theta L_dpo.
        b: lambda (grad_theta L_sft(theta, phi) - grad_theta L_sft(theta, phi'^(K))).
        c: grad_phi L_dpo.
        d: lambda grad_phi L_sft.
        e_theta: gamma grad_theta L_reg; None if gamma is 0.
        e_phi: gamma grad_phi L_reg; None if gamma is 0.
    """

    a: Values
    b: Values
    c: Values
    d: Values
    e_theta: Values | None
    e_phi: Values | None

    @property
    def theta(self) -> Values:
        """Return grad_theta L, Eq. (13)."""
        return _total(self.a, self.b, self.e_theta)

    @property
    def phi(self) -> Values:
        """Return grad_phi L, Eq. (14)."""
        return _total(self.c, self.d, self.e_phi)

    def norms(self) -> dict[str, float]:
        """Return the Euclidean norm of every term that is not None."""
        found = {name: getattr(self, name) for name in ("a", "b", "c", "d", "e_theta", "e_phi")}
        return {name: norm(values) for name, values in found.items() if values is not None}


@dataclass(frozen=True, eq=False)
class StablePOAccount:
    """The losses and the gradient norms of an iteration, at (theta_t, phi_t).

    Attributes:
        dpo: L_dpo in nats.
        sft: L_sft(theta, phi), the mean of -log pi over D_sft, nats.
        sft_star: L_sft(theta, phi'^(K)) after the inner steps, line 9.
        reg: L_reg; None if gamma is 0.
        norms: Euclidean norm of every term of the gradient, by its letter.
    """

    dpo: float
    sft: float
    sft_star: float
    reg: float | None
    norms: dict[str, float]


def pair_batch(
    adapted: AdaptedModel,
    chosen: tuple[TokenSequence, ...],
    rejected: tuple[TokenSequence, ...],
    sft: tuple[TokenSequence, ...] | None = None,
) -> PairBatch:
    """Return a batch whose reference is the present policy of the model.

    Args:
        adapted: the model.
        chosen: x and y_w of every pair.
        rejected: x and y_l of every pair.
        sft: SFT data; None for the chosen responses.

    Raises:
        InvalidArgument: not as many rejected as chosen sequences, or none.
    """
    check_kind("adapted", adapted, AdaptedModel, "a model with adapters, as add_adapters() returns it")
    _check_sides(chosen, rejected, sft)
    both = sequence_log_probs(adapted.model, [*chosen, *rejected]).total
    return PairBatch(chosen, rejected, both[: len(chosen)], both[len(chosen) :], sft)


def stable_po_state(adapted: AdaptedModel) -> StablePOState:
    """Return theta_0 and phi_0, the present parameters of the model (line 2)."""
    check_kind("adapted", adapted, AdaptedModel, "a model with adapters, as add_adapters() returns it")
    theta, phi = adapted.values()
    return StablePOState(theta, phi, dict.fromkeys((*theta, *phi)))


def stable_po_step(
    adapted: AdaptedModel, state: StablePOState, batch: PairBatch, settings: StablePO
) -> tuple[StablePOState, StablePOAccount]:
    """Return the state after one iteration of Algorithm 1 (lines 4 to 13), and its losses and gradient norms.

    Neither the model nor the given state is changed. ``adapted.write(state.theta | state.phi)`` writes the result into
    the model.

    Args:
        adapted: the model; its own parameters are not used.
        state: theta_t and phi_t.
        batch: pairs and SFT data.
        settings: lambda, gamma, K, ...

    Raises:
        InvalidArgument: a gradient that is not finite.

    Example:
        >>> from dynamics.language_model import add_adapters, tiny_model
        >>> adapted = add_adapters(tiny_model(), rank=2)
        >>> batch = pair_batch(adapted, (TokenSequence((1, 2, 3), 1),), (TokenSequence((1, 2, 4), 1),))
        >>> state, account = stable_po_step(adapted, stable_po_state(adapted), batch, StablePO(gamma=0.1))
        >>> sorted(account.norms), account.sft_star < account.sft
        (['a', 'b', 'c', 'd', 'e_phi', 'e_theta'], True)
    """
    terms, account = stable_po_gradient(adapted, state, batch, settings)
    rates = settings.learning_rates
    theta, theta_moments = _update(state.theta, terms.theta, rates[0], state.moments, settings)
    phi, phi_moments = _update(state.phi, terms.phi, rates[1], state.moments, settings)
    return StablePOState(theta, phi, theta_moments | phi_moments, state.iterations + 1), account


def stable_po_gradient(
    adapted: AdaptedModel, state: StablePOState, batch: PairBatch, settings: StablePO
) -> tuple[GradientTerms, StablePOAccount]:
    """Return the terms of the gradient of L, after the inner steps (lines 4 to 11), in the dtype of the state.

    Args:
        adapted: the model; its own parameters are not used.
        state: theta_t and phi_t.
        batch: pairs and SFT data.
        settings: lambda, gamma, K, ...

    Raises:
        InvalidArgument: a gradient that is not finite.
    """
    check_kind("adapted", adapted, AdaptedModel, "a model with adapters, as add_adapters() returns it")
    check_kind("state", state, StablePOState, "a state, as stable_po_state() returns it")
    check_kind("batch", batch, PairBatch, "a batch, as pair_batch() returns it")
    check_kind("settings", settings, StablePO, "the settings, StablePO()")
    with computing_in(adapted.model, _dtype(state)):
        phi_star = lower_level(adapted, state.theta, state.phi, batch, settings)
        terms, account = gradient_terms(adapted, state.theta, state.phi, phi_star, batch, settings)
    for name, size in account.norms.items():
        check_number(f"gradient term {name}", size)
    return terms, account


def lower_level(adapted: AdaptedModel, theta: Values, phi: Values, batch: PairBatch, settings: StablePO) -> Values:
    """Return phi'^(K), after K steps of gradient descent on L_sft(theta, .) from phi (lines 4 to 8, Eq. (11)).

    Args:
        adapted: the model.
        theta: the adapters, which stay fixed.
        phi: the backbone at the start; it is not changed.
        batch: a batch, of which the SFT data are used.
        settings: K and the inner learning rate.
    """
    for _ in range(settings.inner_steps):
        phi = _leaves(phi)
        gradient = _gradient(sft_loss(adapted, theta, phi, batch), phi)
        phi = {name: value.detach() - settings.inner_learning_rate * gradient[name] for name, value in phi.items()}
    return phi


def sft_loss(adapted: AdaptedModel, theta: Values, phi: Values, batch: PairBatch) -> Tensor:
    """Return L_sft(theta, phi): the mean of -log pi over D_sft, nats."""
    return -adapted.log_probs(batch.sft_data, theta, phi).mean()


def gradient_terms(
    adapted: AdaptedModel, theta: Values, phi: Values, phi_star: Values, batch: PairBatch, settings: StablePO
) -> tuple[GradientTerms, StablePOAccount]:
    """Return the terms of the gradient of L at (theta, phi) (line 11, Eqs. (13) and (14)).

    Args:
        adapted: the model.
        theta: theta_t.
        phi: phi_t.
        phi_star: phi'^(K), which is not differentiated, as in Eq. (10).
        batch: pairs and SFT data.
        settings: beta, lambda and gamma.
    """
    theta, phi = _leaves(theta), _leaves(phi)
    pairs = len(batch.chosen)
    both = adapted.log_probs([*batch.chosen, *batch.rejected], theta, phi)
    pair = pair_log_probs(both[:pairs], both[pairs:], batch.reference_chosen, batch.reference_rejected)
    dpo = DPO(beta=settings.beta).value(pair).mean()
    sft = -both[:pairs].mean() if batch.sft is None else sft_loss(adapted, theta, phi, batch)
    star = sft_loss(adapted, theta, phi_star, batch)

    of_dpo = _gradient(dpo, theta | phi, keep=batch.sft is None)
    of_sft = _gradient(sft, theta | phi)
    of_star = _gradient(star, theta)
    reg, of_reg = regularizer(adapted, theta, phi, batch) if settings.gamma else (None, None)
    terms = GradientTerms(
        a={name: of_dpo[name] for name in theta},
        b={name: settings.penalty * (of_sft[name] - of_star[name]) for name in theta},
        c={name: of_dpo[name] for name in phi},
        d={name: settings.penalty * of_sft[name] for name in phi},
        e_theta=None if of_reg is None else {name: settings.gamma * of_reg[name] for name in theta},
        e_phi=None if of_reg is None else {name: settings.gamma * of_reg[name] for name in phi},
    )
    return terms, StablePOAccount(dpo.item(), sft.item(), star.item(), reg, terms.norms())


def regularizer(adapted: AdaptedModel, theta: Values, phi: Values, batch: PairBatch) -> tuple[float, Values]:
    """Return L_reg, the mean over pairs of max(0, ||g_l|| - ||g_w||), and its gradient with respect to theta and phi.

    The scores g are gradients with respect to theta (Eq. (7)). The pairs are processed one after the other, so that the
    graph of second derivatives of only one pair is in memory.

    Args:
        adapted: the model.
        theta: values of the adapters.
        phi: values of the backbone.
        batch: the pairs.
    """
    theta, phi = _leaves(theta), _leaves(phi)
    everything = theta | phi
    gradient = {name: torch.zeros_like(value) for name, value in everything.items()}
    total = 0.0
    for y_w, y_l in zip(batch.chosen, batch.rejected, strict=True):
        with sdpa_kernel(SDPBackend.MATH):  # the fused attention kernels have no second derivative
            log_probs = adapted.log_probs([y_w, y_l], theta, phi)
            norms = [_score_norm(log_prob, theta) for log_prob in log_probs]
            excess = norms[1] - norms[0]
            if excess > 0:  # otherwise 0 is a subgradient (Eq. (78))
                total += excess.item()
                for name, g in _gradient(excess, everything).items():
                    gradient[name] += g
    pairs = len(batch.chosen)
    return total / pairs, {name: value / pairs for name, value in gradient.items()}


def _check_scalar(name: str, value: float) -> None:
    """Refuse anything but one finite number >= 0."""
    if not is_finite(value) or value < 0:
        raise InvalidArgument(name, value, "a finite number >= 0")


def _check_sides(chosen: object, rejected: object, sft: object) -> None:
    """Refuse anything but tuples (or lists) of sequences, as many chosen as rejected; SFT data may be None."""
    for name, value in (("chosen", chosen), ("rejected", rejected), ("sft", sft)):
        if value is None and name == "sft":
            continue
        if not isinstance(value, (tuple, list)):
            raise InvalidArgument(name, value, "a tuple of TokenSequence")
        for number, sequence in enumerate(value):
            check_kind(f"{name}[{number}]", sequence, TokenSequence, "a TokenSequence; tokenize() makes one")


def norm(values: Values) -> float:
    """Return the Euclidean norm of all values together."""
    return float(torch.stack([v.double().square().sum() for v in values.values()]).sum().sqrt())


def _score_norm(log_prob: Tensor, theta: Values) -> Tensor:
    score = torch.autograd.grad(log_prob, list(theta.values()), create_graph=True)
    square = torch.stack([g.to(torch.float64).square().sum() for g in score]).sum()
    return square.clamp(min=SMALLEST_SQUARE).sqrt()


def _update(
    values: Values, gradient: Values, rate: float, moments: dict[str, Moments | None], settings: StablePO
) -> tuple[Values, dict[str, Moments | None]]:
    optimizer = AdamW(weight_decay=0.0) if settings.optimizer == "adamw" else SGD()
    new_values, new_moments = {}, {}
    for name, value in values.items():
        change, new_moments[name] = optimizer.update(gradient[name], value, rate, moments[name])
        new_values[name] = value + change
    return new_values, new_moments


def _gradient(value: Tensor, by: Values, *, keep: bool = False) -> Values:
    found = torch.autograd.grad(value, list(by.values()), allow_unused=True, retain_graph=keep)
    return {
        name: torch.zeros_like(x) if g is None else g.detach() for (name, x), g in zip(by.items(), found, strict=True)
    }


def _leaves(values: Values) -> Values:
    return {name: value.detach().requires_grad_() for name, value in values.items()}


def _total(*terms: Values | None) -> Values:
    present = [term for term in terms if term is not None]
    return {name: torch.stack([term[name] for term in present]).sum(0) for name in present[0]}


def _dtype(state: StablePOState) -> torch.dtype:
    dtypes = {value.dtype for value in (state.theta | state.phi).values()}
    return torch.float64 if dtypes == {torch.float64} else torch.float32
