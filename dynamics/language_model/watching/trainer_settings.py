"""What a trainer's arguments say about its loss and its batches, in the terms of this package."""

from __future__ import annotations

from typing import Any

from dynamics.errors import Unsupported
from dynamics.losses import DPO, FDPO, TRL_NAMES, DiscoPOP, PreferenceLoss, WithDivergence, get_loss

OF_DPO_TRAINER = (
    *("sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired"),
    *("apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm"),
)
"""The loss types of TRL's DPOTrainer. Other trainers of TRL use some of these names for other losses."""
SMOOTHED = ("robust", "exo_pair", "aot", "aot_unpaired")
"""The losses of TRL's DPOTrainer that use ``label_smoothing``; it ignores it for the others."""
GIVE_LOSS = "give loss=, such as DPO(beta=0.1)"


def trl_loss(arguments: Any) -> PreferenceLoss:
    """Return the loss of a DPOConfig of TRL.

    Args:
        arguments: ``trainer.args``.

    Raises:
        Unsupported: arguments without a ``loss_type`` and ``beta``, or a setting for which there is no loss here.

    Example:
        >>> from types import SimpleNamespace
        >>> trl_loss(SimpleNamespace(loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.5], beta=0.2))
        WeightedSum(terms=((1.0, DPO(beta=0.2)), (0.5, SFTPerToken())))
    """
    names, beta = getattr(arguments, "loss_type", None), getattr(arguments, "beta", None)
    if names is None or beta is None or hasattr(arguments, "cpo_alpha") or hasattr(arguments, "tpo_alpha"):
        raise Unsupported("loss", f"a {type(arguments).__name__} does not say which loss is trained", GIVE_LOSS)
    unlike = [getattr(arguments, "ld_alpha", None) not in (None, 1.0) and "ld_alpha"]
    unlike += [bool(getattr(arguments, "use_weighting", False)) and "use_weighting"]
    for name in filter(None, unlike):
        raise Unsupported("loss", f"{name} has no counterpart among the losses of whole responses", GIVE_LOSS)
    terms = [names] if isinstance(names, str) else list(names)
    weights = getattr(arguments, "loss_weights", None) or [1.0] * len(terms)
    total: PreferenceLoss | None = None
    for name, weight in zip(terms, weights, strict=True):
        term = _with_divergence(_term(name, arguments, beta), arguments)
        term = term if weight == 1 else weight * term
        total = term if total is None else total + term
    if total is None:
        raise Unsupported("loss", "loss_type is an empty list", GIVE_LOSS)
    return total


def _term(name: str, arguments: Any, beta: float) -> PreferenceLoss:
    smoothing = float(getattr(arguments, "label_smoothing", 0.0))
    if name not in OF_DPO_TRAINER:
        raise Unsupported("loss", f"loss_type {name} is not known here", GIVE_LOSS)
    own = TRL_NAMES[name]  # TRL's "ipo" and "sft" average over tokens; here these names are the papers' sums
    if name == "sft":
        return get_loss(own)
    if name == "discopop":
        return DiscoPOP(beta=beta, tau=getattr(arguments, "discopop_tau", 0.05))
    if name in SMOOTHED and smoothing:
        return get_loss(own, beta=beta, label_smoothing=smoothing)
    return get_loss(own, beta=beta)


def _with_divergence(term: PreferenceLoss, arguments: Any) -> PreferenceLoss:
    divergence = str(getattr(arguments, "f_divergence_type", "reverse_kl")).rpartition(".")[2].lower()
    if divergence == "reverse_kl":
        return term
    alpha = getattr(arguments, "f_alpha_divergence_coef", 0.5)
    if isinstance(term, DPO):
        return FDPO(beta=term.beta, divergence=divergence, alpha=alpha)
    return WithDivergence(term, divergence, alpha=alpha)


def batch_pairs(arguments: Any) -> int:
    """Return how many pairs the trainer sees in one step, over all processes and accumulated batches."""
    return max(1, arguments.train_batch_size * arguments.gradient_accumulation_steps * max(1, arguments.world_size))
