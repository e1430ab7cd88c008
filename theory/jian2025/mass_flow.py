"""Remark 4 and what takes its place: which of the other responses gain, in a table and in a log-linear policy."""

import itertools
import random
from collections.abc import Sequence
from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, STEP, TABULAR_STEP, along
from theory.jian2025.displacement import rejected_is_behind
from theory.jian2025.tabular import tabular_others
from theory.proof import Named, exp, same, setting, sums_of
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
def remark_4(c, relative=False):
    r"""y,y'\notin\{y_w,y_l\},\ \pi(y)>\pi(y'),\ \Delta\pi(\mathcal Y\setminus\{y_w,y_l\})>0
    \implies\Delta\pi(y)>\Delta\pi(y')

    Assumes: tabular softmax
    Because: With shared parameters the mass goes to responses whose score is like $g_w-g_l$; they may be improbable,
    while the most probable one loses.
    Proof: Tabular: all responses outside the pair are multiplied by the same factor $1/Z'$,
    $Z'=1+(1-e^{-s})(\pi_we^{s}-\pi_l)$, so that gains are proportional to probabilities.
    """
    gain_p, gain_q = c.p_after - c.p, c.q_after - c.q
    if relative:
        gain_p, gain_q = gain_p / c.p, gain_q / c.q
    return not (c.p > c.q and c.others_gain > 0) or gain_p > gain_q


@setting("p_w, p_l, p, q > 0 and all others >= 0 sum to 1; E = e^s > 1, the logits of the pair move by s and -s")
def two_of_a_table(numbers):
    """Every tabular softmax, any two responses outside the pair, an exact step of any size."""
    parts = [numbers.positive(name) for name in ("w", "l", "p", "q")]
    parts.append(numbers.at_least("rest", 0))
    grown = 1 + numbers.positive("growth")
    factors = (grown, 1 / grown, 1, 1, 1)
    total, later = sum(parts), sum(part * factor for part, factor in zip(parts, factors, strict=True))
    p, q, rest = (part / total for part in parts[2:])
    p_after, q_after, rest_after = (part / later for part in parts[2:])
    gain = p_after + q_after + rest_after - p - q - rest
    return Named(p=p, q=q, p_after=p_after, q_after=q_after, others_gain=gain)


def two_others(w, y, z, factor=2):
    """Return two responses outside the pair before and after a step, and what all of them gain together."""
    after = w.after(factor).p
    gain = sum(after[x] - w.p[x] for x in w.others)
    return Named(p=w.p[y], q=w.p[z], p_after=after[y], q_after=after[z], others_gain=gain)


def remark_4_of_all_others(w, relative=False):
    return all(remark_4(two_others(w, y, z), relative) for y, z in itertools.permutations(w.others, 2))


def remark_4_in_a_world(w, y=3, z=2):
    return remark_4(two_others(w, y, z))


remark_4.false(of=remark_4_in_a_world, at=LESS_PROBABLE_GAINS, true_at=IN_A_TABLE)
remark_4.proved(over=two_of_a_table, role=CONDITIONAL, wrong={"relative": True})
remark_4.unrefuted(
    tabular,
    of=remark_4_of_all_others,
    wrong={"relative": True},
    worlds=200,
    ranges="2 to 8 responses, e^s = 2",
    also=True,
)


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
    r"""\log\frac{\pi_s(y)}{\pi_s(y')}-\log\frac{\pi_0(y)}{\pi_0(y')}=s\,(\phi_y-\phi_{y'})\cdot(\phi_w-\phi_l),\qquad
    \frac{\pi_s(y)}{\pi_0(y)}>\frac{\pi_s(y_w)}{\pi_0(y_w)}\iff A_y>A_w

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


mass_flow_log_linear.derived(
    of=log_ratio,
    symbols={"s": "real", "a": "real", "b": "real"},
    wrong={"power": F(11, 10)},
    part=r"\log\frac{\pi_s(y)}{\pi_s(y')}-\log\frac{\pi_0(y)}{\pi_0(y')}=s\,(\phi_y-\phi_{y'})\cdot(\phi_w-\phi_l)",
)
mass_flow_log_linear.proved(over=STEP, wrong={"lead": 1})


def run_of(numbers):
    """Return what all responses share: the run, the arg max, and how far y_l is behind it, at least |d|^2."""
    s, P, dd = numbers.positive("s"), numbers.positive("P"), numbers.positive("dd")
    return Named(s=s, X=exp(-s), P=P, gap_of_l=dd + numbers.at_least("gap_of_w", 0))


@sums_of(
    "s > 0, P > 0 of the arg max, phi_w . d is |d|^2 > 0 above phi_l . d and at most the largest phi . d; p > 0, a "
    "whole number >= 1 behind the largest phi . d",
    fixed=run_of,
)
def outside_the_arg_max(numbers, run):
    """All responses outside the arg max, after the run in units of the growth of the arg max."""
    p = numbers.positive("p")
    return Named(before=p, after=p * exp(-run.s * numbers.natural("gap", 1)))


@claim("mass-flow-limit", "not in the paper; where all the mass ends", PROVED)
def mass_flow_limit(sums, times=1):
    r"""\pi_s(\mathcal Y\setminus M)\le\frac{\pi_0(\mathcal Y\setminus M)}{\pi_0(M)}\,e^{-s}
    \le\frac{e^{-s}}{\pi_0(M)},\qquad
    M=\arg\max_y\phi_y\cdot(\phi_w-\phi_l)\not\ni y_l

    Assumes: log-linear policy with whole-numbered features and $\phi_w\ne\phi_l$; the whole run on one pair, of total
    size $s$
    Proof: Weights grow like $e^{s\,\phi_y\cdot d}$; those outside $M$ are at least $e^{s}$ behind.
    $\phi_w\cdot d-\phi_l\cdot d=\|d\|^2>0$ keeps $y_l$ out. Whether $y_w$ is in $M$ decides whether its probability
    goes to 0: training to convergence can extinguish the chosen response.
    """
    P, X = sums.fixed.P, sums.fixed.X  # X = e^-s
    left, bound = sums.after / (P + sums.after), sums.before / P * X
    return sums.fixed.gap_of_l > 0 and sums.after >= 0 and times * left <= bound <= X * (P + sums.before) / P


def at_the_end(w: World, factor: int, score: Sequence[F]) -> Named:
    """Return the sums over all responses that do not have the best score, before and after a run with e^s = factor."""
    best = max(score)
    winners = [y for y in w.responses if score[y] == best]
    P, later = (sum(p[y] for y in winners) for p in (w.p, w.after(factor).p))
    fixed = Named(X=F(1, factor), P=P, gap_of_l=best - score[w.rejected])
    return Named(before=1 - P, after=P / later * (1 - later), fixed=fixed)


def long_run(source: random.Random) -> tuple[World, int]:
    """Draw a log-linear world and a factor e^s from 2 to 2^12."""
    return log_linear(source), 2 ** source.randint(1, 12)


def mass_flow_limit_in_a_world(case: tuple[World, int], most_probable: bool = False) -> bool:
    w, factor = case
    return not w.dd or mass_flow_limit(at_the_end(w, factor, w.p if most_probable else along(w)))


mass_flow_limit.by_induction(**outside_the_arg_max, wrong={"times": F(11, 10)})
mass_flow_limit.proved(
    of=rejected_is_behind,
    wrong={"times": F(9, 10)},
    part=r"M=\arg\max_y\phi_y\cdot(\phi_w-\phi_l)\not\ni y_l",
)
mass_flow_limit.unrefuted(
    long_run,
    of=mass_flow_limit_in_a_world,
    wrong={"most_probable": True},
    worlds=200,
    ranges="2 to 8 responses",
    also=True,
)
mass_flow_limit.false(of=lambda w: w.after(2**10).p_w >= w.p_w, at=BOTH_FALL, true_at=BOTH_RISE, also=True)
