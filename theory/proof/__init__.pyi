from .balls import (
    Ball as Ball,
    Covering as Covering,
    Undecided as Undecided,
    everywhere as everywhere,
    integral as integral,
    leftovers as leftovers,
    normal_cdf as normal_cdf,
    normal_density as normal_density,
)
from .calculus import Same as Same, over_responses as over_responses, same as same
from .expressions import checked as checked, derivative as derivative
from .families import (
    LOG_LINEAR as LOG_LINEAR,
    POLICY as POLICY,
    TABULAR as TABULAR,
    TWO_RESPONSES as TWO_RESPONSES,
    of_size as of_size,
    with_step as with_step,
)
from .family import Case as Case, Family as Family
from .functions import exp as exp, log as log, omega as omega, power as power, sqrt as sqrt, touch as touch
from .induction import sums_of as sums_of
from .searched import Search as Search, holds_at as holds_at, search as search
from .settings import (
    Named as Named,
    Numbers as Numbers,
    beside as beside,
    setting as setting,
    world_of as world_of,
)
from .smt import Proof as Proof, prove as prove
from .symbols import (
    Impure as Impure,
    NoSuchResponse as NoSuchResponse,
    NotAStatement as NotAStatement,
    NoValue as NoValue,
)
