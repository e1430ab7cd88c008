"""The public names, for type checkers and for the loader that imports each when it is first used."""

from .errors import (
    InvalidArgument as InvalidArgument,
)
from .finite.bilevel import (
    BilevelTrajectory as BilevelTrajectory,
    stable_po as stable_po,
)
from .finite.flow import (
    Flow as Flow,
    gradient_flow as gradient_flow,
)
from .finite.logistic import (
    logistic_hitting_time as logistic_hitting_time,
    logistic_margin as logistic_margin,
)
from .finite.ratio_flow import (
    ratio_field as ratio_field,
    ratio_flow as ratio_flow,
    ratio_hitting_time as ratio_hitting_time,
    ratio_loss as ratio_loss,
)
from .finite.replicator import (
    replicator_fitness as replicator_fitness,
    replicator_flow as replicator_flow,
)
from .finite.step import (
    StepAccount as StepAccount,
    step as step,
)
from .finite.trajectory import (
    Trajectory as Trajectory,
    simulate as simulate,
)
from .grid import (
    sweep as sweep,
)
from .losses import (
    BDPO as BDPO,
    CPO as CPO,
    DPO as DPO,
    IPO as IPO,
    LOSSES as LOSSES,
    SFT as SFT,
    Hinge as Hinge,
    NaiveBDPO as NaiveBDPO,
    NaiveBDPOv2 as NaiveBDPOv2,
    PreferenceLoss as PreferenceLoss,
    ProbabilityMargin as ProbabilityMargin,
    SelfPO as SelfPO,
    SimPO as SimPO,
    SLiC as SLiC,
    get_loss as get_loss,
)
from .optimizers import (
    SGD as SGD,
    AdamW as AdamW,
)
from .policies import (
    MLP as MLP,
    LogLinear as LogLinear,
    Policy as Policy,
    PrefixTree as PrefixTree,
    Tabular as Tabular,
    tabular_theta as tabular_theta,
)
from .preferences import (
    Preferences as Preferences,
    bradley_terry as bradley_terry,
    pairs as pairs,
    preference_matrix as preference_matrix,
)
from .scores import (
    drives as drives,
    kernel as kernel,
    score as score,
)
from .table import (
    Table as Table,
)
