"""The state of AdamW in the checkpoint of a trainer: its moments, by the name of the parameter that each belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dynamics.errors import InvalidArgument
from dynamics.language_model.causal_lm import CausalLM, as_module, unwrapped
from dynamics.language_model.loading import require
from dynamics.language_model.parameters import Filter, select_parameters
from dynamics.optimizers import AdamW, Moments

FILE = "optimizer.pt"
"""Where the trainer of transformers saves the state, in the folder of a checkpoint."""


@dataclass(frozen=True, eq=False)
class SavedAdamW:
    """AdamW in the middle of a training run.

    Attributes:
        rules: for each parameter AdamW with the settings of its group, by name.
        moments: for each parameter its moments, by name.
        digest: identifies the state.
    """

    rules: Mapping[str, AdamW]
    moments: Mapping[str, Moments]
    digest: str

    def __str__(self) -> str:
        """Return a description that is the same for the same state."""
        return f"AdamW(saved state {self.digest}, {self.updates} updates)"

    @property
    def updates(self) -> int:
        """Return how many updates were made."""
        return max(moments.updates for moments in self.moments.values())

    def change(self, name: str, gradient: Tensor, parameter: Tensor) -> Tensor:
        """Return the change of a parameter in the next update with learning rate 1.

        Args:
            name: of the parameter.
            gradient: its gradient.
            parameter: its value.
        """
        state = self.moments[name]
        here = Moments(state.updates, *(part.to(gradient.device, gradient.dtype) for part in state[1:]))
        return self.rules[name].update(gradient, parameter, 1.0, here)[0]


def read_adamw(place: str | Path, model: CausalLM, parameters: Filter = None) -> SavedAdamW:
    """Read the state of AdamW from a checkpoint of a trainer of transformers, such as TRL's.

    The file numbers the parameters and does not name them. The numbers follow the trainer's own order: first the
    parameters with weight decay, then the others, each in the order of the model. That this order fits is checked by
    the number of parameters in each group and by every shape; a state of other shapes is refused.

    Args:
        place: the folder of the checkpoint, or its file ``optimizer.pt``.
        model: the model of the checkpoint.
        parameters: the parameters that were trained, as for ``sequence_kernel``.

    Raises:
        InvalidArgument: there is no such file, it is not the state of AdamW, or it does not fit the model.
    """
    path = Path(place) / FILE if Path(place).is_dir() else Path(place)
    if not path.is_file():
        raise InvalidArgument("optimizer_state", f"there is no file {path}; give the folder of a trainer's checkpoint")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        groups, state = list(saved["param_groups"]), dict(saved["state"])
    except Exception as problem:  # a damaged or foreign file can raise almost anything
        why = f"{path} cannot be read as the state of an optimizer of torch ({type(problem).__name__})"
        raise InvalidArgument("optimizer_state", why) from problem
    module = as_module(unwrapped(model))
    trained = set(select_parameters(unwrapped(model), parameters))
    names = _names_in_order(module, trained, [len(group["params"]) for group in groups], path)
    known = dict(module.named_parameters(remove_duplicate=False))
    rules: dict[str, AdamW] = {}
    moments: dict[str, Moments] = {}
    for group, members in zip(groups, names, strict=True):
        for number, name in zip(group["params"], members, strict=True):
            rules[name] = _rule(group, path)
            moments[name] = _moments(state.get(number), name, known[name], path)
    hashed = hashlib.sha256()
    for name in sorted(moments):
        hashed.update(f"{name} {rules[name]} {moments[name].updates}".encode())
        for part in moments[name][1:]:
            hashed.update(part.double().numpy().tobytes())
    return SavedAdamW(rules, moments, hashed.hexdigest()[:16])


def _names_in_order(module: nn.Module, trained: set[str], sizes: Sequence[int], path: Path) -> list[list[str]]:
    """Return the names of each group, in the order in which the trainer of transformers makes the groups."""
    trainer: Any = require("transformers").Trainer
    decaying = set(trainer.get_decay_parameter_names(None, module))
    in_order = [name for name, _ in module.named_parameters() if name in trained]
    groups = [[n for n in in_order if n in decaying], [n for n in in_order if n not in decaying]]
    if [len(group) for group in groups] != list(sizes):
        ours, theirs = (" and ".join(map(str, counts)) for counts in ([len(group) for group in groups], sizes))
        raise InvalidArgument(
            "optimizer_state",
            f"{path} has groups of {theirs} parameters, and the trained parameters of this model form groups of {ours} "
            "(with and without weight decay); give the model of this checkpoint, and with --parameters the ones that "
            "were trained",
        )
    return groups


def _rule(group: Mapping[str, Any], path: Path) -> AdamW:
    try:
        settings = {name: group[name] for name in ("betas", "eps", "weight_decay")}
        # NAdam and RAdam have no "amsgrad"; Adam differs from AdamW only in what it does with weight decay
        coupled = group["weight_decay"] and not group.get("decoupled_weight_decay", True)
        if group["amsgrad"] or group.get("maximize") or coupled:
            raise ValueError
        return AdamW(tuple(settings["betas"]), settings["eps"], settings["weight_decay"])
    except (KeyError, ValueError, TypeError) as problem:
        why = (
            f"{path} is not the state of AdamW (its groups need betas, eps, decoupled weight_decay and amsgrad=False, "
        )
        raise InvalidArgument("optimizer_state", f"{why}no maximize); other optimizers cannot be read") from problem


def _moments(state: Any, name: str, parameter: Tensor, path: Path) -> Moments:
    keys = ("exp_avg", "exp_avg_sq")
    if not isinstance(state, Mapping) or not {"step", *keys} <= set(state):
        why = f"{path} has no moments of {name}"
        raise InvalidArgument("optimizer_state", f"{why}; other optimizers than AdamW of torch cannot be read")
    for key in keys:
        shape = tuple(getattr(state[key], "shape", ()))
        if shape != tuple(parameter.shape):
            raise InvalidArgument(
                "optimizer_state",
                f"{path}: where {name} should be, {key} has the shape {shape} instead of {tuple(parameter.shape)}; "
                "give the model of this checkpoint",
            )
        if not bool(state[key].isfinite().all()):
            raise InvalidArgument("optimizer_state", f"{path}: {key} of {name} is not finite")
    if bool((state["exp_avg_sq"] < 0).any()):
        raise InvalidArgument("optimizer_state", f"{path}: exp_avg_sq of {name} is negative: this is no AdamW")
    return Moments(int(state["step"]), state["exp_avg"], state["exp_avg_sq"])
