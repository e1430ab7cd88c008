"""Remark 4 and what takes its place: which of the other responses gain, in a table and in a log-linear policy."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, STEP, TABULAR_STEP
from theory.jian2025.displacement import left_behind, rejected_is_behind, shrinks
from theory.jian2025.gradient import along
from theory.jian2025.tabular import of_the_others, tabular_others
from theory.proof import Named, exp, same, setting
from theory.statement import claims_of
from theory.worlds import World, log_linear, tabular

claim = claims_of("jian2025")

# y* = response 3 is more probable than response 2, which gains what y* loses
LESS_PROBABLE_GAINS = World.log_linear([[2], [0], [4], [1]], at=[F(1, 2)])
IN_A_TABLE = World.tabular([F(1, 10), F(3, 10), F(2, 10), F(4, 10)])


@claim(
    "remark-4",
    "Remark 4; Section 2.3 on Figure 2a, before Eq. (7)",
    CONDITIONALLY,
    "mass-flow-log-linear",
    "mass-flow-tabular",
)
def remark_4(w, relative=False):
    r"""y,y'\notin\{y_w,y_l\},\ \pi(y)>\pi(y'),\ \Delta\pi(\mathcal Y\setminus\{y_w,y_l\})>0
    \implies\Delta\pi(y)>\Delta\pi(y')

    Assumes: tabular softmax
    Because: With shared parameters the mass goes to responses whose score is like $g_w-g_l$; they may be improbable,
    while the most probable one loses.
    Proof: Tabular: all responses outside the pair are multiplied by the same factor $1/Z'$,
    $Z'=1+(1-e^{-s})(\pi_we^{s}-\pi_l)$, so that gains are proportional to probabilities.
    """
    after = w.after(2).p
    gains = [(w.p[y], (after[y] - w.p[y]) / (w.p[y] if relative else 1)) for y in w.others]
    if sum(after[y] - w.p[y] for y in w.others) <= 0:
        return True
    return all(p == q or (a > b) == (p > q) for (p, a), (q, b) in itertools.combinations(gains, 2))


def in_proportion(case, least=1):
    p, q, factor = case
    return not factor > least or (p * factor - p > q * factor - q) == (p > q)


TWO_OTHERS = setting("p, q > 0 of any two responses outside the pair, both multiplied by 1 / Z'")(
    lambda numbers: [numbers.positive(name) for name in ("p", "q", "factor")]
)
remark_4.false(at=LESS_PROBABLE_GAINS, true_at=IN_A_TABLE)
remark_4.proved(over=TABULAR_STEP, of=of_the_others, role=CONDITIONAL, wrong={"times": F(11, 10)})
remark_4.proved(over=TWO_OTHERS, of=in_proportion, role=CONDITIONAL, wrong={"least": F(9, 10)})
remark_4.unrefuted(tabular, wrong={"relative": True}, worlds=200, ranges="2 to 8 responses, e^s = 2", also=True)


@claim("mass-flow-tabular", "not in the paper; replaces Remark 4 for a tabular softmax", PROVED)
def mass_flow_tabular(case, margin=1):
    r"""y,y'\notin\{y_w,y_l\}:\quad\frac{\pi'(y)}{\pi(y)}=\frac{\pi'(y')}{\pi(y')},\quad\text{both}>1
    \iff\pi_l>\pi_we^{s}

    Assumes: tabular softmax, one exact step of any size $s=\eta\beta\sigma(-z)$
    Proof: jian2025.tabular-others: only the logits of the pair move; everything else is renormalised. In
    log-probability no response outside the pair is special, $y^*$ least of all.
    """
    return tabular_others(case, margin)


mass_flow_tabular.proved(over=TABULAR_STEP, wrong={"margin": F(9, 10)})


@claim("mass-flow-log-linear", "not in the paper; replaces Theorem 2 and Remark 4 for log-linear policies", PROVED)
def mass_flow_log_linear(case, lead=0):
    r"""\log\frac{\pi_s(y)}{\pi_s(y')}-\log\frac{\pi_0(y)}{\pi_0(y')}=s\,(\phi_y-\phi_{y'})\cdot(\phi_w-\phi_l)

    Assumes: log-linear policy, base measure allowed; $s$ is the sum of all steps on the pair
    Proof: $\theta_s=\theta_0+s(\phi_w-\phi_l)$ and $\log\pi_s(y)=\phi_y\cdot\theta_s-\log Z_s$ up to the base measure.
    Gains of log-probability are ordered by $\phi_y\cdot(\phi_w-\phi_l)$; prior probabilities do not enter.
    """
    w, E = case
    v = w.after(E)
    return (v.p_y / w.p_y > v.p_w / w.p_w) == (w.A_y > w.A_w + lead)


def log_ratio(s, p, q, a, b, Z, power=1):
    after = sp.log(p * sp.exp(s * a) / Z) - sp.log(q * sp.exp(s * b) / Z)
    return same(after - (sp.log(p) - sp.log(q)), power * s * (a - b))


mass_flow_log_linear.derived(of=log_ratio, symbols={"s": "real", "a": "real", "b": "real"}, wrong={"power": F(11, 10)})
mass_flow_log_linear.proved(over=STEP, wrong={"lead": 1})


@setting("mass P of the arg max, left <= (1 - P) e^(-s delta) <= (1 - P) e^-s of the others")
def whole_features(numbers):
    """The end of a run with whole-numbered features."""
    P, end = numbers.within("P", 0, 1), numbers.between("end", 0, 1)
    numbers.assume(P > 0)
    return Named(P=P, end=end, left=(1 - P) * end * numbers.within("left", 0, 1))


@claim("mass-flow-limit", "not in the paper; where all the mass ends", PROVED)
def mass_flow_limit(case, most_probable=False):
    r"""\pi_s(\mathcal Y\setminus M)\le\frac{e^{-s}}{\pi_0(M)},\qquad
    M=\arg\max_y\phi_y\cdot(\phi_w-\phi_l)\not\ni y_l

    Assumes: log-linear policy with whole-numbered features and $\phi_w\ne\phi_l$; the whole run on one pair, of total
    size $s$
    Proof: Weights grow like $e^{s\,\phi_y\cdot d}$; those outside $M$ are at least $e^{s}$ behind.
    $\phi_w\cdot d-\phi_l\cdot d=\|d\|^2>0$ keeps $y_l$ out. Whether $y_w$ is in $M$ decides whether its probability
    goes to 0: training to convergence can extinguish the chosen response.
    """
    w, factor = case
    score = w.p if most_probable else along(w)
    winners = [y for y in w.responses if score[y] == max(score)]
    left = 1 - sum(w.after(factor).p[y] for y in winners)
    return not w.dd or (left <= 1 / (factor * sum(w.p[y] for y in winners)) and w.rejected not in winners)


def long_run(source: random.Random) -> tuple[World, int]:
    """Draw a log-linear world and a factor e^s from 2 to 2^12."""
    return log_linear(source), 2 ** source.randint(1, 12)


def what_is_left(c, share=1):
    return c.left / (c.P + c.left) <= share * c.end / c.P


mass_flow_limit.by_induction(of=shrinks, **left_behind, wrong={"times": F(11, 10)})
WHOLE_GAP = setting("s > 0, more >= 0: a gap of whole numbers is at least 1")(
    lambda numbers: (numbers.positive("s"), numbers.at_least("more", 0))
)
mass_flow_limit.proved(
    over=WHOLE_GAP, of=lambda c, times=1: exp(-c[0] * (1 + c[1])) <= times * exp(-c[0]), wrong={"times": F(9, 10)}
)
mass_flow_limit.proved(over=whole_features, of=what_is_left, wrong={"share": F(9, 10)})
mass_flow_limit.proved(of=rejected_is_behind, wrong={"times": F(9, 10)})
mass_flow_limit.unrefuted(long_run, wrong={"most_probable": True}, worlds=200, ranges="2 to 8 responses", also=True)
mass_flow_limit.false(of=lambda w: w.after(2**10).p_w >= w.p_w, at=BOTH_FALL, true_at=BOTH_RISE, also=True)
