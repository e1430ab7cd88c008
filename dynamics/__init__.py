"""How response probabilities move under a preference loss: losses, policies, steps, trajectories, flows."""

from dynamics.errors import InvalidArgument
from dynamics.flow import (
    Flow,
    gradient_flow,
    logistic_hitting_time,
    logistic_margin,
    ratio_field,
    ratio_flow,
    ratio_hitting_time,
    ratio_loss,
    replicator_fitness,
    replicator_flow,
)
from dynamics.kernel import drives, kernel, score
from dynamics.losses import (
    BDPO,
    CPO,
    DPO,
    IPO,
    LOSSES,
    SFT,
    Hinge,
    NaiveBDPO,
    NaiveBDPOv2,
    PreferenceLoss,
    ProbabilityMargin,
    SelfPO,
    SimPO,
    SLiC,
    get_loss,
)
from dynamics.optimizers import SGD, AdamW
from dynamics.policies import MLP, LogLinear, Policy, PrefixTree, Tabular, tabular_theta
from dynamics.preferences import Preferences, bradley_terry, pairs, preference_matrix
from dynamics.step import StepAccount, step
from dynamics.sweep import sweep
from dynamics.table import Table
from dynamics.trajectory import Trajectory, simulate

__all__ = [
    "BDPO",
    "CPO",
    "DPO",
    "IPO",
    "LOSSES",
    "MLP",
    "SFT",
    "SGD",
    "AdamW",
    "Flow",
    "Hinge",
    "InvalidArgument",
    "LogLinear",
    "NaiveBDPO",
    "NaiveBDPOv2",
    "Policy",
    "PreferenceLoss",
    "Preferences",
    "PrefixTree",
    "ProbabilityMargin",
    "SLiC",
    "SelfPO",
    "SimPO",
    "StepAccount",
    "Table",
    "Tabular",
    "Trajectory",
    "bradley_terry",
    "drives",
    "get_loss",
    "gradient_flow",
    "kernel",
    "logistic_hitting_time",
    "logistic_margin",
    "pairs",
    "preference_matrix",
    "ratio_field",
    "ratio_flow",
    "ratio_hitting_time",
    "ratio_loss",
    "replicator_fitness",
    "replicator_flow",
    "score",
    "simulate",
    "step",
    "sweep",
    "tabular_theta",
]
