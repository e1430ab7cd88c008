"""A language model with two blocks of trained parameters: LoRA adapters (theta) and the backbone (phi)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_count, check_positive
from dynamics.language_model.causal_lm import CausalLM, as_module
from dynamics.language_model.loading import require
from dynamics.language_model.model_head import find_head
from dynamics.language_model.tokens import TokenSequence
from dynamics.language_model.training.differentiable import differentiable_log_probs

Values = dict[str, Tensor]
"""Values of some parameters, by name."""

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
"""The linear maps of attention, by their names in Qwen, Llama, Mistral and Gemma."""

ADAPTER_MARK = "lora_"
"""Part of the name that peft gives to every parameter of an adapter."""


@dataclass(frozen=True, eq=False)
class AdaptedModel:
    """A causal language model with LoRA adapters, all of whose parameters require a gradient.

    Attributes:
        model: the model with adapters, as peft returns it.
        theta: names of the parameters of the adapters.
        phi: names of all others, the backbone; a shared parameter is listed once.
    """

    model: CausalLM
    theta: tuple[str, ...]
    phi: tuple[str, ...]

    def values(self) -> tuple[Values, Values]:
        """Return copies of theta and phi, at least in float32, because half precision would lose a step of 1e-5."""
        named = dict(self.model.named_parameters())
        theta, phi = ({name: _copy(named[name]) for name in names} for names in (self.theta, self.phi))
        return theta, phi

    def write(self, values: Mapping[str, Tensor]) -> None:
        """Overwrite the parameters of these names."""
        named = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in values.items():
                named[name].copy_(value)

    def log_probs(self, sequences: Iterable[TokenSequence], theta: Values, phi: Values) -> Tensor:
        """Return log pi(y | x) for given theta and phi, differentiable in both, ``(sequences,)``, float64, nats."""
        return differentiable_log_probs(self.model, sequences, theta | phi)


def add_adapters(
    model: CausalLM, *, rank: int = 8, alpha: float = 8.0, targets: Iterable[str] = TARGETS, seed: int = 0
) -> AdaptedModel:
    """Return a copy of a model with LoRA adapters.

    An adapter adds B A to a weight. B starts at zero, so the copy is the same policy as the model at first. A starts
    at random; its gradient is zero as long as B is.

    Args:
        model: a Hugging Face causal language model; it is not changed.
        rank: rank of every adapter.
        alpha: the output of the adapters is multiplied by ``alpha / rank``.
        targets: names of the linear maps that get an adapter.
        seed: seed of the random matrices A; the global random state is not changed.

    Raises:
        MissingExtra: peft is not installed.
        InvalidArgument: a bad rank or alpha, or a model without linear maps of these names.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> adapted = add_adapters(tiny_model(), rank=2, targets=["q_proj"])
        >>> [name.split("layers.")[1] for name in adapted.theta][:2]
        ['0.self_attn.q_proj.lora_A.default.weight', '0.self_attn.q_proj.lora_B.default.weight']
    """
    check_count("rank", rank)
    check_positive("alpha", alpha)
    check_count("seed", seed, minimum=0)
    find_head(model)
    if not isinstance(targets, (str, list, tuple, set, frozenset)) or not all(isinstance(t, str) for t in targets):
        raise InvalidArgument("targets", targets, "names of linear maps, such as ['q_proj', 'v_proj']")
    names = [targets] if isinstance(targets, str) else list(targets)
    peft = require("peft")
    settings = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=names, task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(seed)
        # peft uses a name that transformers will change
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        try:
            adapted = peft.get_peft_model(copy.deepcopy(as_module(model)), settings).eval()
        except ValueError as problem:
            raise InvalidArgument("targets", names, f"names of linear maps of this model ({problem})") from problem
    found = [name for name, _ in adapted.requires_grad_().named_parameters()]
    theta, phi = (tuple(name for name in found if (ADAPTER_MARK in name) is wanted) for wanted in (True, False))
    return AdaptedModel(adapted, theta, phi)


def _copy(parameter: Tensor) -> Tensor:
    value = parameter.detach().clone()
    return value if value.dtype in (torch.float32, torch.float64) else value.float()
