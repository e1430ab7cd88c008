r"""Stable Preference Optimization on a language model: Algorithm 1 of jian2025, step by step.

The outer block theta is a LoRA adapter, the inner block phi the backbone. One iteration solves the lower level
roughly (K gradient steps on the SFT loss, from phi), and then moves both blocks along the gradient of

    L = L_dpo(theta, phi) + lambda (L_sft(theta, phi) - L*_sft(theta)) + gamma L_reg(theta, phi).

What the paper leaves open or misprints, and what is done here (the evidence is in the ledger, ``jian2025``):

* Line 9 of the algorithm computes L*_sft, which no later line uses; the update needs its gradient only. Here it is
  part of the account.
* Which data the inner loop sees is not said. It sees the batch's own SFT data.
* Lines 12 and 13 differentiate at the same (theta, phi): a simultaneous update.
* The policy is pi_(theta, phi) in every term, also where Eq. (13) drops phi. The reference is the starting policy.
* The gradient of L_reg in phi is the mixed second derivative of log pi. Eq. (84) prints another one, and Eqs. (81) and
  (85) print the gradient in theta.
* L_reg penalises ||g_l|| > ||g_w||, as Eqs. (7) and (9) print it; Remark 2 asks for the opposite.
* gamma, the rank and the scale of the adapters have no value in the paper. With gamma = 0, and an inner learning rate
  as small as the paper's, term (b) nearly vanishes, and the method is nearly DPO plus lambda times the NLL of y_w.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from dynamics.errors import InvalidArgument, check_count, check_nonnegative, check_number, check_positive, check_shape
from dynamics.language_model.log_probs import sequence_log_probs
from dynamics.language_model.precision import computing_in
from dynamics.language_model.tokens import TokenSequence
from dynamics.language_model.training.adapters import AdaptedModel, Values
from dynamics.losses import DPO, pair_log_probs
from dynamics.optimizers import SGD, AdamW, Moments

SMALLEST_SQUARE = 1e-12
"""A squared norm below it counts as this much: the root has no derivative at zero."""


@dataclass(frozen=True)
class StablePO:
    """The settings of Algorithm 1; the defaults are those of jian2025, Table 2, where it has a value.

    Attributes:
        beta: of DPO.
        penalty: lambda, the weight of L_sft - L*_sft; negative ones are refused.
        gamma: weight of L_reg; above 0 it costs second derivatives.
        inner_steps: K, steps of the lower level; 0 leaves phi' at phi, and term (b) out.
        inner_learning_rate: eta_phi', of plain gradient descent (Eq. (11)).
        learning_rate: of both blocks, or a pair of eta_theta and eta_phi.
        optimizer: of both blocks: "adamw" (without weight decay), as in the experiments, or "sgd", as in Eq. (12).
    """

    beta: float = 0.5
    penalty: float = 1.0
    gamma: float = 0.0
    inner_steps: int = 1
    inner_learning_rate: float = 2e-5
    learning_rate: float | tuple[float, float] = 1e-5
    optimizer: Literal["adamw", "sgd"] = "adamw"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_count("inner_steps", self.inner_steps, minimum=0)
        for name in ("penalty", "gamma", "inner_learning_rate"):
            check_nonnegative(name, getattr(self, name))
        if isinstance(self.learning_rate, tuple) and len(self.learning_rate) != 2:
            raise InvalidArgument("learning_rate", self.learning_rate, "one number, or one for theta and one for phi")
        for rate in self.learning_rates:
            check_nonnegative("learning_rate", rate)
        if self.optimizer not in ("adamw", "sgd"):
            raise InvalidArgument("optimizer", self.optimizer, "'adamw' or 'sgd'")

    @property
    def learning_rates(self) -> tuple[float, float]:
        """Return eta_theta and eta_phi."""
        rate = self.learning_rate
        return rate if isinstance(rate, tuple) else (rate, rate)


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Preference pairs with the reference's opinion of them, and SFT data (line 10).

    Attributes:
        chosen: x and y_w of every pair.
        rejected: x and y_l of every pair.
        reference_chosen: log ref(y_w | x) in nats, ``(pairs,)``.
        reference_rejected: log ref(y_l | x).
        sft: D_sft; None for the chosen.
    """

    chosen: tuple[TokenSequence, ...]
    rejected: tuple[TokenSequence, ...]
    reference_chosen: Tensor
    reference_rejected: Tensor
    sft: tuple[TokenSequence, ...] | None = None

    def __post_init__(self) -> None:
        if not self.chosen or len(self.chosen) != len(self.rejected):
            raise InvalidArgument("rejected", f"{len(self.rejected)} sequences", f"{len(self.chosen)}, at least one")
        for name in ("reference_chosen", "reference_rejected"):
            check_shape(name, getattr(self, name), (len(self.chosen),))
        if self.sft is not None and not self.sft:
            raise InvalidArgument("sft", "none", "at least one sequence, or None for the chosen")

    @property
    def sft_data(self) -> tuple[TokenSequence, ...]:
        """Return D_sft."""
        return self.chosen if self.sft is None else self.sft


@dataclass(frozen=True, eq=False)
class StablePOState:
    """theta_t, phi_t and the optimizer's memory of both.

    Attributes:
        theta: numbers of the adapters.
        phi: numbers of the backbone.
        moments: of AdamW, by parameter.
        iterations: t.
    """

    theta: Values
    phi: Values
    moments: dict[str, Moments | None]
    iterations: int = 0


@dataclass(frozen=True, eq=False)
class GradientTerms:
    """The gradient of L, term by term, with the letters of Eqs. (13) and (14); weights and signs included.

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
        """Return the Euclidean norm of every term that there is."""
        found = {name: getattr(self, name) for name in ("a", "b", "c", "d", "e_theta", "e_phi")}
        return {name: norm(values) for name, values in found.items() if values is not None}


@dataclass(frozen=True, eq=False)
class StablePOAccount:
    """What an iteration saw, at (theta_t, phi_t).

    Attributes:
        dpo: L_dpo in nats.
        sft: L_sft(theta, phi), the mean of -log pi over D_sft, nats.
        sft_star: L_sft(theta, phi'^(K)), line 9.
        reg: L_reg; None if gamma is 0.
        norms: of the terms of the gradient.
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
    """Return a batch whose reference is the policy as it stands."""
    both = sequence_log_probs(adapted.model, [*chosen, *rejected]).total
    return PairBatch(chosen, rejected, both[: len(chosen)], both[len(chosen) :], sft)


def stable_po_state(adapted: AdaptedModel) -> StablePOState:
    """Return theta_0 and phi_0, the parameters as they stand (line 2)."""
    theta, phi = adapted.values()
    return StablePOState(theta, phi, dict.fromkeys((*theta, *phi)))


def stable_po_step(
    adapted: AdaptedModel, state: StablePOState, batch: PairBatch, settings: StablePO
) -> tuple[StablePOState, StablePOAccount]:
    """Return the state after one iteration of Algorithm 1 (lines 4 to 13), and an account of it.

    A pure function: neither the model nor the state it is given changes. ``adapted.write(state.theta | state.phi)``
    puts the result into the model.

    Args:
        adapted: the model, for its architecture.
        state: theta_t and phi_t.
        batch: the pairs.
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
    """Solve the lower level and return the gradient of L, term by term (lines 4 to 11), in the state's own dtype.

    Args:
        adapted: the model, for its architecture.
        state: theta_t and phi_t.
        batch: the pairs.
        settings: lambda, gamma, K, ...

    Raises:
        InvalidArgument: a gradient that is not finite.
    """
    with computing_in(adapted.model, _dtype(state)):
        phi_star = lower_level(adapted, state.theta, state.phi, batch, settings)
        terms, account = gradient_terms(adapted, state.theta, state.phi, phi_star, batch, settings)
    for name, size in account.norms.items():
        check_number(f"gradient term {name}", size)
    return terms, account


def lower_level(adapted: AdaptedModel, theta: Values, phi: Values, batch: PairBatch, settings: StablePO) -> Values:
    """Return phi'^(K): K steps of gradient descent on L_sft(theta, .) from phi (lines 4 to 8, Eq. (11)).

    Args:
        adapted: the model.
        theta: held fixed.
        phi: where it begins; not changed.
        batch: its SFT data.
        settings: K and the inner learning rate.
    """
    for _ in range(settings.inner_steps):
        phi = _leaves(phi)
        slope = _gradient(sft_loss(adapted, theta, phi, batch), phi)
        phi = {name: value.detach() - settings.inner_learning_rate * slope[name] for name, value in phi.items()}
    return phi


def sft_loss(adapted: AdaptedModel, theta: Values, phi: Values, batch: PairBatch) -> Tensor:
    """Return L_sft(theta, phi): the mean of -log pi over D_sft, nats."""
    return -adapted.log_probs(batch.sft_data, theta, phi).mean()


def gradient_terms(
    adapted: AdaptedModel, theta: Values, phi: Values, phi_star: Values, batch: PairBatch, settings: StablePO
) -> tuple[GradientTerms, StablePOAccount]:
    """Return the gradient of L at (theta, phi), term by term (line 11, Eqs. (13) and (14)).

    Args:
        adapted: the model.
        theta: theta_t.
        phi: phi_t.
        phi_star: phi'^(K), held fixed as Eq. (10) does.
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
    """Return L_reg, the mean over pairs of max(0, ||g_l|| - ||g_w||), and its gradient in theta and in phi.

    The scores g are those of theta (Eq. (7)). Pair after pair, so that one graph of second order is alive at a time.

    Args:
        adapted: the model.
        theta: leaves that require a gradient, or the numbers for them.
        phi: likewise.
        batch: the pairs.
    """
    theta, phi = _leaves(theta), _leaves(phi)
    everything = theta | phi
    slope = {name: torch.zeros_like(value) for name, value in everything.items()}
    total = 0.0
    for y_w, y_l in zip(batch.chosen, batch.rejected, strict=True):
        with sdpa_kernel(SDPBackend.MATH):  # the fast kernels of attention have no second derivative
            log_probs = adapted.log_probs([y_w, y_l], theta, phi)
            norms = [_score_norm(log_prob, theta) for log_prob in log_probs]
            excess = norms[1] - norms[0]
            if excess > 0:  # at 0 and below, 0 is a subgradient (Eq. (78))
                total += excess.item()
                for name, g in _gradient(excess, everything).items():
                    slope[name] += g
    pairs = len(batch.chosen)
    return total / pairs, {name: value / pairs for name, value in slope.items()}


def norm(values: Values) -> float:
    """Return the Euclidean norm of numbers by name."""
    return float(torch.stack([v.double().square().sum() for v in values.values()]).sum().sqrt())


def _score_norm(log_prob: Tensor, theta: Values) -> Tensor:
    scores = torch.autograd.grad(log_prob, list(theta.values()), create_graph=True)
    square = torch.stack([g.to(torch.float64).square().sum() for g in scores]).sum()
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
