"""Every preference loss by name: value, margin and closed-form derivatives, stable at extreme inputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.losses.anti_displacement import DPOP, RPO, CalDPO, ChiPO, DPOShift, SquaredPO
from dynamics.losses.aot import AOT, AOTUnpaired
from dynamics.losses.balanced import BDPO, NaiveBDPO, NaiveBDPOv2, ProbabilityMargin
from dynamics.losses.base import PreferenceLoss, WeightedSum
from dynamics.losses.batch import BetaDPO, SFTPerToken
from dynamics.losses.divergences import DIVERGENCES, FDPO, WithDivergence
from dynamics.losses.kto import KTO, kto_baseline
from dynamics.losses.margins import EXO, ConservativeDPO, DiscoPOP, RobustDPO
from dynamics.losses.orpo import ORPO
from dynamics.losses.own import FunctionLoss
from dynamics.losses.pair import PairLogProbs, PairWeights, Partials, pair_log_probs
from dynamics.losses.per_token import DPOPerToken, IPOPerToken
from dynamics.losses.reference_free import CPO, TPO, AlphaPO, SimPO, SLiC
from dynamics.losses.self_po import SelfPO
from dynamics.losses.standard import DPO, IPO, SFT, Hinge
from dynamics.losses.tokens import LengthDesensitized, TokenLogProbs, token_log_probs
from dynamics.losses.two_weights import APODown, APOZero, BCOPair, NCAPair, SPPOHard

LOSSES: dict[str, Callable[..., PreferenceLoss]] = {
    "dpo": DPO,
    "cdpo": ConservativeDPO,
    "robust": RobustDPO,
    "exo_pair": EXO,
    "discopop": DiscoPOP,
    "dpo_per_token": DPOPerToken,
    "f_dpo": FDPO,
    "f_dpo_forward_kl": partial(FDPO, divergence="forward_kl"),
    "f_dpo_alpha": partial(FDPO, divergence="alpha_divergence"),
    "ipo": IPO,
    "ipo_per_token": IPOPerToken,
    "hinge": Hinge,
    "slic": SLiC,
    "cpo": CPO,
    "simpo": SimPO,
    "alphapo": AlphaPO,
    "tpo": TPO,
    "orpo": ORPO,
    "sft": SFT,
    "sft_per_token": SFTPerToken,
    "nca_pair": NCAPair,
    "bco_pair": BCOPair,
    "sppo_hard": SPPOHard,
    "apo_zero": APOZero,
    "apo_down": APODown,
    "kto": KTO,
    "aot": AOT,
    "aot_unpaired": AOTUnpaired,
    "dpop": DPOP,
    "cal_dpo": CalDPO,
    "dpo_shift": DPOShift,
    "rpo": RPO,
    "beta_dpo": BetaDPO,
    "squared_po": SquaredPO,
    "chi_po": ChiPO,
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

TRL_NAMES = {
    "sigmoid": "dpo",
    "hinge": "hinge",
    "ipo": "ipo_per_token",
    "exo_pair": "exo_pair",
    "nca_pair": "nca_pair",
    "robust": "robust",
    "bco_pair": "bco_pair",
    "sppo_hard": "sppo_hard",
    "aot": "aot",
    "aot_unpaired": "aot_unpaired",
    "apo_zero": "apo_zero",
    "apo_down": "apo_down",
    "discopop": "discopop",
    "sft": "sft_per_token",
    "sigmoid_norm": "dpo_per_token",
    "simpo": "simpo",
    "alphapo": "alphapo",
    "tpo-l": "simpo",
    "kto": "kto",
    "apo_zero_unpaired": "apo_zero",
}
"""What a loss_type of TRL 1.16 is called here.

Two names mean something else there: TRL's 'ipo' and 'sft' average over tokens, and are 'ipo_per_token' and
'sft_per_token', while ``get_loss("ipo")`` and ``get_loss("sft")`` are the papers' sums. What TRL's trainers of CPO,
ORPO, TPO and KTO add to these losses, and the factors, are in dynamics/losses/README.md, with how far both agree."""

OTHER_NAMES = {"nll": "sft", "length_normalized_dpo": "dpo_per_token", "iterative_rpo": "rpo", "smaug": "dpop"}
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
        allowed = f"hyper-parameters of the loss {name} ({problem})"
        raise InvalidArgument("hyper_parameters", hyper_parameters, allowed) from problem


__all__ = [
    "AOT",
    "BDPO",
    "CPO",
    "DIVERGENCES",
    "DPO",
    "DPOP",
    "EXO",
    "FDPO",
    "IPO",
    "KTO",
    "LOSSES",
    "ORPO",
    "OTHER_NAMES",
    "RPO",
    "SFT",
    "TPO",
    "TRL_NAMES",
    "AOTUnpaired",
    "APODown",
    "APOZero",
    "AlphaPO",
    "BCOPair",
    "BetaDPO",
    "CalDPO",
    "ChiPO",
    "ConservativeDPO",
    "DPOPerToken",
    "DPOShift",
    "DiscoPOP",
    "FunctionLoss",
    "Hinge",
    "IPOPerToken",
    "LengthDesensitized",
    "NCAPair",
    "NaiveBDPO",
    "NaiveBDPOv2",
    "PairLogProbs",
    "PairWeights",
    "Partials",
    "PreferenceLoss",
    "ProbabilityMargin",
    "RobustDPO",
    "SFTPerToken",
    "SLiC",
    "SPPOHard",
    "SelfPO",
    "SimPO",
    "SquaredPO",
    "TokenLogProbs",
    "WeightedSum",
    "WithDivergence",
    "get_loss",
    "kto_baseline",
    "pair_log_probs",
    "token_log_probs",
]
