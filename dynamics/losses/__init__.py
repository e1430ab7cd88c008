"""Every preference loss by name: value, margin and closed-form derivatives, stable at extreme inputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.losses.balanced import BDPO, NaiveBDPO, NaiveBDPOv2, ProbabilityMargin
from dynamics.losses.base import PairLogProbs, Partials, PreferenceLoss, WeightedSum, pair_log_probs
from dynamics.losses.per_token import IPOPerToken
from dynamics.losses.self_po import SelfPO
from dynamics.losses.standard import CPO, DPO, IPO, SFT, Hinge, SimPO, SLiC

LOSSES: dict[str, Callable[..., PreferenceLoss]] = {
    "dpo": DPO,
    "ipo": IPO,
    "ipo_per_token": IPOPerToken,
    "hinge": Hinge,
    "slic": SLiC,
    "cpo": CPO,
    "simpo": SimPO,
    "sft": SFT,
    "self_po": SelfPO,
    "self_po_gelu": partial(SelfPO, activation="gelu"),
    "self_po_relu": partial(SelfPO, activation="relu"),
    "self_po_square": partial(SelfPO, activation="square"),
    "self_po_identity": partial(SelfPO, activation="identity"),
    "naive_bdpo": NaiveBDPO,
    "naive_bdpo_symmetric": partial(NaiveBDPO, symmetric=True),
    "naive_bdpo_v2": NaiveBDPOv2,
    "naive_bdpo_v2_symmetric": partial(NaiveBDPOv2, symmetric=True),
    "bdpo": BDPO,
    "probability_margin": ProbabilityMargin,
}
"""Every loss, and every variant with a name of its own: call the entry with hyper-parameters, or use ``get_loss``."""

TRL_NAMES = {"sigmoid": "dpo", "hinge": "hinge", "ipo": "ipo_per_token", "simpo": "simpo"}
"""What a loss_type of TRL is called here. TRL's 'ipo' is not ``get_loss("ipo")``, which is the paper's: TRL's averages
over tokens. TRL's 'sft' is no loss of a single pair: see ``SFT`` for the factor between the two."""

OTHER_NAMES = {"nll": "sft"}
"""Further names that are understood."""


def get_loss(name: str, **hyper_parameters: Any) -> PreferenceLoss:
    """Return the loss of that name.

    Args:
        name: a key of ``LOSSES``, or of ``TRL_NAMES`` or ``OTHER_NAMES`` where ``LOSSES`` has none of that name.
        **hyper_parameters: fields of the loss, such as ``beta=0.1``.

    Raises:
        InvalidArgument: an unknown name, an unknown or impossible hyper-parameter.

    Example:
        >>> get_loss("sigmoid", beta=0.5)
        DPO(beta=0.5)
    """
    known = {**OTHER_NAMES, **TRL_NAMES, **{own: own for own in LOSSES}}
    if not isinstance(name, str) or name not in known:
        raise InvalidArgument("name", name, "one of " + ", ".join(sorted(known)))
    key = known[name]
    try:
        return LOSSES[key](**hyper_parameters)
    except TypeError as problem:
        raise InvalidArgument("hyper_parameters", hyper_parameters, f"those of {name} ({problem})") from problem


__all__ = [
    "BDPO",
    "CPO",
    "DPO",
    "IPO",
    "LOSSES",
    "OTHER_NAMES",
    "SFT",
    "TRL_NAMES",
    "Hinge",
    "IPOPerToken",
    "NaiveBDPO",
    "NaiveBDPOv2",
    "PairLogProbs",
    "Partials",
    "PreferenceLoss",
    "ProbabilityMargin",
    "SLiC",
    "SelfPO",
    "SimPO",
    "WeightedSum",
    "get_loss",
    "pair_log_probs",
]
