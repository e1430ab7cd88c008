"""Finite policies: pure functions from a parameter vector to the log-probabilities of every response.

A policy object holds what training does not change (features, sequences, sizes). Its method ``log_probs(theta)`` takes
a parameter vector, or a batch of them with shape ``(..., parameters)``, and depends on nothing else. Reverse mode,
forward mode and batches of runs therefore need no second implementation.
"""

from dynamics.policies.log_linear import LogLinear
from dynamics.policies.mlp import MLP
from dynamics.policies.policy import Policy, check_theta
from dynamics.policies.prefix_tree import PrefixTree
from dynamics.policies.tabular import Tabular, tabular_theta

__all__ = ["MLP", "LogLinear", "Policy", "PrefixTree", "Tabular", "check_theta", "tabular_theta"]
