"""Algorithm 1 on a forward written out from the weights, in float64, and the point that it is looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from dynamics.language_model import (
    AdaptedModel,
    PairBatch,
    StablePO,
    StablePOState,
    TokenSequence,
    add_adapters,
    pair_batch,
    tiny_model,
)
from dynamics.language_model.precision import computing_in
from dynamics.language_model.training.stable_po import GradientTerms, gradient_terms, lower_level, norm
from tests.dynamics.language_model.brute_force import own_log_probs, reference_logits

Values = dict[str, Tensor]

CHOSEN = (TokenSequence((1, 2, 3, 4, 5), 2), TokenSequence((1, 2, 7), 2), TokenSequence((4, 9, 9, 2, 22), 1))
REJECTED = (TokenSequence((1, 2, 3, 4, 6, 8), 2), TokenSequence((1, 2, 11, 3), 2), TokenSequence((4, 9, 3), 1))
OTHERS = (TokenSequence((1, 2, 13, 4), 2), TokenSequence((6, 5), 1))
SCALE = 8.0 / 2  # alpha / rank
SETTINGS = StablePO(penalty=1.7, gamma=0.6, inner_steps=3, inner_learning_rate=0.02, optimizer="sgd")
RATES = replace(SETTINGS, learning_rate=(1e-2, 3e-3))


def small_model() -> Any:
    return tiny_model(width=8, layers=1, heads=2)


@dataclass(frozen=True)
class Case:
    adapted: AdaptedModel
    theta: Values
    phi: Values
    batch: PairBatch

    @property
    def state(self) -> StablePOState:
        return StablePOState(self.theta, self.phi, dict.fromkeys((*self.theta, *self.phi)))


def make_case() -> Case:
    """Return a point that is not the start: the adapters' second factors are not zero there, and pi is not ref."""
    adapted = add_adapters(small_model(), rank=2)
    batch = pair_batch(adapted, CHOSEN, REJECTED)
    generator = torch.Generator().manual_seed(3)

    def moved(values: Values, size: float) -> Values:
        return {k: v + size * torch.randn(v.shape, generator=generator, dtype=torch.float64) for k, v in values.items()}

    theta, phi = adapted.values()
    return Case(adapted, moved(theta, 0.2), moved(phi, 0.05), batch)


# ---------------------------------------------------------------- the reference: weights in, log pi out


def merged(theta: Values, phi: Values) -> Values:
    """Return the plain model's weights: W + alpha / rank B A where there is an adapter."""
    weights = {}
    for name, value in phi.items():
        plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
        a = theta.get(name.replace("base_layer.weight", "lora_A.default.weight"))
        b = theta.get(name.replace("base_layer.weight", "lora_B.default.weight"))
        adapted = name.endswith("base_layer.weight") and a is not None and b is not None
        weights[plain] = value + SCALE * b @ a if adapted else value  # type: ignore[operator]
    return weights | {"lm_head.weight": weights["model.embed_tokens.weight"]}


def plain_log_probs(case: Case, sequences: Any, theta: Values, phi: Values) -> Tensor:
    inner = case.adapted.model.get_base_model()
    weights = merged(theta, phi)
    shim = SimpleNamespace(config=inner.config, model=inner.model, named_parameters=lambda **_: weights.items())
    return torch.stack([own_log_probs(reference_logits(shim, s.ids), s).sum() for s in sequences])


def plain_sft(case: Case, theta: Values, phi: Values, data: Any = CHOSEN) -> Tensor:
    return -plain_log_probs(case, data, theta, phi).mean()


def plain_dpo(case: Case, theta: Values, phi: Values) -> Tensor:
    ratio_w = plain_log_probs(case, CHOSEN, theta, phi) - case.batch.reference_chosen
    ratio_l = plain_log_probs(case, REJECTED, theta, phi) - case.batch.reference_rejected
    return -torch.nn.functional.logsigmoid(0.5 * (ratio_w - ratio_l)).mean()


def plain_reg(case: Case, theta: Values, phi: Values) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for y_w, y_l in zip(CHOSEN, REJECTED, strict=True):
        lengths = []
        for y in (y_w, y_l):
            log_prob = plain_log_probs(case, [y], theta, phi)[0]
            g = torch.autograd.grad(log_prob, list(theta.values()), create_graph=True)
            lengths.append(torch.cat([x.flatten() for x in g]).norm())
        total = total + torch.relu(lengths[1] - lengths[0])
    return total / len(CHOSEN)


def slope(value: Tensor, by: Values) -> Values:
    return dict(zip(by, torch.autograd.grad(value, list(by.values())), strict=True))


def leaves(values: Values) -> Values:
    return {name: value.detach().clone().requires_grad_() for name, value in values.items()}


def plain_inner(case: Case, steps: int, rate: float, data: Any = CHOSEN) -> Values:
    phi = case.phi
    for _ in range(steps):
        phi = leaves(phi)
        down = slope(plain_sft(case, case.theta, phi, data), phi)
        phi = {name: value - rate * down[name] for name, value in phi.items()}
    return {name: value.detach() for name, value in phi.items()}


def expected_terms(case: Case) -> GradientTerms:
    theta, phi = leaves(case.theta), leaves(case.phi)
    star = plain_inner(case, SETTINGS.inner_steps, SETTINGS.inner_learning_rate)
    both = theta | phi
    dpo, reg = (slope(f(case, theta, phi), both) for f in (plain_dpo, plain_reg))
    sft = slope(plain_sft(case, theta, phi), both)
    at_star = slope(plain_sft(case, theta, star), theta)
    lam, gamma = SETTINGS.penalty, SETTINGS.gamma
    return GradientTerms(
        a={n: dpo[n] for n in theta},
        b={n: lam * (sft[n] - at_star[n]) for n in theta},
        c={n: dpo[n] for n in phi},
        d={n: lam * sft[n] for n in phi},
        e_theta={n: gamma * reg[n] for n in theta},
        e_phi={n: gamma * reg[n] for n in phi},
    )


def terms_of(case: Case, settings: StablePO = SETTINGS, batch: PairBatch | None = None) -> GradientTerms:
    batch = case.batch if batch is None else batch
    with computing_in(case.adapted.model, torch.float64):
        star = lower_level(case.adapted, case.theta, case.phi, batch, settings)
        return gradient_terms(case.adapted, case.theta, case.phi, star, batch, settings)[0]


def distance(one: Values, other: Values) -> float:
    """Return |one - other| / |other|."""
    assert one.keys() == other.keys()
    return norm({name: one[name] - other[name] for name in one}) / norm(other)
