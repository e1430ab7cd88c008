"""Over-optimization (sun2025): margins keep growing in training while the true reward of the responses falls.

``worlds`` draws small worlds in which that can happen, ``training`` trains on their pairs, and ``attractor`` follows
the margin of a single pair, or of pairs that share a parameter.
"""

from toy_models.overoptimization.attractor import descend_margins, flow_margins, shared_margins
from toy_models.overoptimization.training import (
    ACTIVATIONS,
    DEFAULTS,
    LOSSES,
    RECORDS,
    STATIC,
    descend,
    loss_of,
    measure,
    train,
)
from toy_models.overoptimization.worlds import COUNTS, LENGTHS, SharedBigrams, Worlds, draw_worlds

__all__ = [
    "ACTIVATIONS",
    "COUNTS",
    "DEFAULTS",
    "LENGTHS",
    "LOSSES",
    "RECORDS",
    "STATIC",
    "SharedBigrams",
    "Worlds",
    "descend",
    "descend_margins",
    "draw_worlds",
    "flow_margins",
    "loss_of",
    "measure",
    "shared_margins",
    "train",
]
