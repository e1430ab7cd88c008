"""Over-optimization (sun2025): margins keep growing in training while the true reward of the responses falls.

``worlds`` draws small worlds in which that can happen, ``training`` trains on their pairs, and ``attractor`` follows
the margin of a single pair, or of pairs that share a parameter.
"""

from toy_models.overoptimization.attractor import descend_margins, flow_margins, shared_margins
from toy_models.overoptimization.training import (
    ACTIVATIONS,
    DEFAULTS,
    LOSSES,
    SATURATED,
    STATIC,
    count_steps,
    descend,
    end_margins,
    loss_of,
    measure,
    pair_averages,
    rate_factors,
    train,
)
from toy_models.overoptimization.worlds import COUNTS, LENGTHS, ListedPairs, SharedBigrams, Worlds, draw_worlds

__all__ = [
    "ACTIVATIONS",
    "COUNTS",
    "DEFAULTS",
    "LENGTHS",
    "LOSSES",
    "SATURATED",
    "STATIC",
    "ListedPairs",
    "SharedBigrams",
    "Worlds",
    "count_steps",
    "descend",
    "descend_margins",
    "draw_worlds",
    "end_margins",
    "flow_margins",
    "loss_of",
    "measure",
    "pair_averages",
    "rate_factors",
    "shared_margins",
    "train",
]
