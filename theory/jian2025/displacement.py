"""When the chosen response falls (likelihood displacement), and how a run on one pair goes: Figs. 1a, 1b, exactly."""

from dataclasses import replace
from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, STEP, TWO_STEPS, ladder
from theory.proof import LOG_LINEAR, TWO_RESPONSES, Named, exp, over_responses, same, setting, sums_of, with_step
from theory.statement import ALL_CASES, claims_of

claim = claims_of("jian2025")
TWO_RESPONSES_STEP = with_step(
    replace(
        LOG_LINEAR,
        name="every log-linear policy with two responses",
        cases=LOG_LINEAR.cases[:1],
        draw=TWO_RESPONSES.draw,
    )
)


@claim("displacement-condition", "Theorem 2, case 1, Eq. (52)", PROVED)
def displacement_condition(w, times=1):
    r"""D_w<0\iff\|g_w\|^2<g_w\cdot g_l

    Assumes: first-order changes; for a log-linear policy the right side is $(\phi_w-E\phi)\cdot(\phi_w-\phi_l)<0$
    Proof: Theorem 1; the prefactor is positive.
    """
    return (w.D_w < 0) == (times * w.ww < w.wl)


def from_features(k, mean_of_l=1):
    """A sum over the parameters; m is the mean of the features."""
    scores = k.sum((k.w - k.m) * ((k.w - k.m) - (k.l - mean_of_l * k.m)))
    return same(scores, k.sum((k.w - k.m) * (k.w - k.l)))


displacement_condition.proved(wrong={"times": F(11, 10)})
displacement_condition.derived(
    of=from_features, sums=over_responses(w="any", l="any", m="any"), wrong={"mean_of_l": F(9, 10)}, also=True
)


@claim("displacement-two-responses", "not in the paper", PROVED)
def two_responses(w, least=0):
    r"""|\mathcal{Y}|=2\ \Rightarrow\ D_w\ge 0\ge D_l,\ \text{and}\ \Delta_w\ge 0\ \text{for every step of a log-linear
    policy}

    Proof: $\pi_wg_w=-\pi_lg_l$, so $g_w\cdot g_l\le 0$; the log-odds grow.
    """
    return w.D_w >= least and w.D_l <= 0


two_responses.proved(over=TWO_RESPONSES, wrong={"least": F(1, 100)})
two_responses.proved(
    over=TWO_RESPONSES_STEP,
    of=lambda c, times=1: c[0].after(c[1]).p_w >= times * c[0].p_w,
    wrong={"times": F(101, 100)},
    part=r"\Delta_w\ge 0\ \text{for every step of a log-linear policy}",
)


@claim("displacement-uniform", "not in the paper; one parameter, three equally probable responses", PROVED)
def uniform_triple(t, upper=2):
    r"""\pi=\tfrac13,\ \phi_w=1,\ \phi_l=t,\ \phi_*=0:\qquad D_w<0\iff 1<t<2

    Assumes: first-order change
    Proof: $A_w=\frac13(2-t)(1-t)$.
    """
    mean = (1 + t) / 3
    g_w, g_l = 1 - mean, t - mean
    return (g_w * (g_w - g_l) / 3 < 0) == (1 < t < upper)


uniform_triple.proved(over=setting("any t")(lambda numbers: numbers.real("t")), wrong={"upper": F(21, 10)})


@claim("displacement-smallest", "not in the paper; the smallest example of displacement", PROVED)
def smallest(w):
    r"""\pi=\tfrac13,\ (\phi_w,\phi_l,\phi_*)=(2,3,0):\quad D=\bigl(-\tfrac19,-\tfrac49,\tfrac59\bigr),\quad
    \Delta_w<0\ \text{for every step size},\quad \pi_*\to 1\ \text{in training to convergence}

    Proof: With $x=e^{-s}$, $\pi_w(s)=x^2/(1+x^2+x^3)<\frac13$ for $0<x<1$, and $\pi_*(s)=1/(1+x^2+x^3)\to 1$.
    """
    return (w.D_w, w.D_l, w.D_y) == (F(-1, 9), F(-4, 9), F(5, 9))


def probabilities(x, rejected=3):
    """Return those of y_w, y_l and the other one after a step of size s, with x = e^-s."""
    total = 1 + x**2 + x**rejected
    return x**2 / total, x**rejected / total, 1 / total


def at_the_end(x, rest=0):
    """A step of any size has x -> 0 for its limit."""
    return same(sp.limit(probabilities(x)[2], x, 0), 1 - rest)


smallest.evaluated(
    [BOTH_FALL], meaning=ALL_CASES, wrong=lambda w: (w.D_w, w.D_l, w.D_y) == (F(-1, 9), F(-4, 9), F(4, 9))
)
# with features (2, 5, 0) the chosen response rises first, since 5 / 2 lies outside jian2025.displacement-uniform
A_STEP = setting("x = e^-s, 0 < x < 1")(lambda numbers: numbers.between("x", 0, 1))
smallest.proved(
    over=A_STEP,
    of=lambda x, rejected=3: probabilities(x, rejected)[0] < F(1, 3),
    wrong={"rejected": 5},
    part=r"\Delta_w<0\ \text{for every step size}",
)
smallest.derived(of=at_the_end, wrong={"rest": F(1, 10)}, part=r"\pi_*\to 1\ \text{in training to convergence}")


@claim("displacement-ladder", "not in the paper; a policy with one parameter that runs through all cases", PROVED)
def ladder_policy(x, power=2):
    r"""\phi=(1,0,2),\ x=e^\theta,\ Z=1+x+x^2:\quad A_w=\frac{1-x^2}{Z},\quad A_l=-\frac{x+2x^2}{Z},\quad
    \frac{D_w-D_l}{s}=\frac{x(2+2x-x^2)}{Z^2}

    Because: The rejected response always falls, the chosen one for $x>1$, and for $x>1+\sqrt3$ it falls more.
    Proof: Insert.
    """
    z = 1 + x + x**2
    mean = (x + 2 * x**2) / z
    a_w, a_l = 1 - mean, -mean  # the scores times g_w - g_l = 1
    gap = (x * a_w - a_l) / z
    return a_w * z == 1 - x**power and a_l * z == -(x + 2 * x**2) and gap * z**2 == x * (2 + 2 * x - x**power)


def thresholds(w_and_x, first=1):
    w, x = w_and_x
    beyond = x > 1 and (x - 1) ** 2 > 3
    return (w.D_w < 0) == (x > first) and (w.D_w < w.D_l) == beyond and w.D_l < 0


ladder_policy.proved(over=setting("x = e^theta > 0")(lambda numbers: numbers.positive("x")), wrong={"power": 3})
ladder_policy.evaluated(
    [(ladder(x), x) for x in (F(1, 2), F(1), F(11, 10), F(27, 10), F(28, 10), F(9))],
    of=thresholds,
    wrong={"first": F(6, 5)},
    also=True,
)


# --- a run on one pair ---------------------------------------------------------------------------------------------


@claim("log-linear-path", "not in the paper; the shape of the curves in Figure 1a and Figure 1b", PROVED)
def drives_fall(case, room=0):
    r"""s\mapsto A_y(s)\ \text{does not increase},\qquad\frac{d}{ds}\log\pi_y=A_y(s),\qquad
    \Delta_w<0\ \text{once}\Rightarrow\Delta_w<0\ \text{from then on}

    Assumes: a log-linear policy, one pair, any step sizes; s the length of the path so far; any response y
    Because: So every $\log\pi_y(s)$ is concave: $\log\pi_w$ rises, then falls, and its peak is where $A_w=0$.
    Proof: $A_y=\phi_y\cdot d-E_s[\phi\cdot d]$ and $\frac{d}{ds}E_s[\phi\cdot d]=\mathrm{Var}_s(\phi\cdot d)\ge 0$.
    """
    w, E = case
    v = w.after(E)
    return v.A_w + room <= w.A_w and v.A_l + room <= w.A_l


def drive_is_the_slope(s, p, a, Z, times=1):
    """Z'/Z is the mean of phi . d, since Z is the sum of all p e^(s phi.d), and the slope of each is a times it."""
    weight = p * sp.exp(s * a)
    slope = same(sp.diff(sp.log(weight / Z(s)), s), a - times * Z(s).diff(s) / Z(s))
    return slope & same(sp.diff(weight, s), a * weight)


def no_way_back(case, least=0):
    (w, E), G = case
    v = w.after(E)
    return not v.p_w - w.p_w < least or v.after(G).p_w < w.p_w


drives_fall.proved(over=STEP, wrong={"room": F(1, 100)})
drives_fall.proved(
    over=STEP,
    of=lambda c, room=0: c[0].after(c[1]).A_y + room <= c[0].A_y,
    wrong={"room": F(1, 100)},
    part=r"s\mapsto A_y(s)\ \text{does not increase}",
)
drives_fall.derived(
    of=drive_is_the_slope,
    symbols={"s": "real", "a": "real", "Z": "function"},
    wrong={"times": F(11, 10)},
    lemma="mean value",
    part=r"\frac{d}{ds}\log\pi_y=A_y(s)",
)
drives_fall.proved(
    over=TWO_STEPS,
    of=no_way_back,
    wrong={"least": F(1, 100)},
    part=r"\Delta_w<0\ \text{once}\Rightarrow\Delta_w<0\ \text{from then on}",
)


@sums_of(
    "s >= 0, delta > 0; p > 0 and a gap of at least delta to the largest phi . d",
    fixed=lambda numbers: (numbers.at_least("s", 0), numbers.positive("delta")),
)
def left_behind(numbers, shared):
    """All responses that are not in the arg max."""
    (s, delta), p = shared, numbers.positive("p")
    return Named(mass=p, after=p * exp(-s * (delta + numbers.at_least("more", 0))))


def shrinks(sums, times=1):
    """After a path of length s, in units of the growth of the winners."""
    s, delta = sums.fixed
    return 0 < times * sums.after <= sums.mass * exp(-s * delta)


@setting("masses P > 0 of the arg max, p <= P of one winner; shrinks of all others; q of one of them at the end")
def after_a_path(numbers):
    """The end of a run: winners and what is left behind."""
    others, P = numbers.case_of(left_behind["states"], shrinks), numbers.positive("P")
    p, q = P * numbers.within("winner", 0, 1), others.after * numbers.within("other", 0, 1)
    s, delta = others.fixed
    return Named(P=P, p=p, q=q, before=P + others.mass, after=P + others.after, sd=s * delta)


@claim("displacement-limit", "not in the paper; where a long run on one pair ends", PROVED)
def limit_of_a_run(c, share=1):
    r"""\lim_{s\to\infty}\pi_y>0\iff y\in M,\qquad M=\arg\max_y\phi_y\cdot(\phi_w-\phi_l)\not\ni y_l,\qquad
    \pi_l\to 0,\qquad\pi_w\to 0\iff y_w\notin M

    Assumes: a log-linear policy, one pair with $\phi_w\ne\phi_l$; DPO on one pair has $s\to\infty$
    Proof: With mass $P$ of $M$ and a gap $\delta$ to the others, $|\pi_y(s)-\pi_y(0)/P|\le X/P$ for a winner and
    $\pi_y(s)\le X/P$ for any other, where $X=e^{-s\delta}\le 1/(1+s\delta)\to 0$. And
    $\phi_l\cdot d=\phi_w\cdot d-\|d\|^2$, so that $y_l$ never wins.
    """
    least, X = c.P / c.before, exp(-c.sd)
    winner, other, limit = c.p / c.after, c.q / c.after, c.p / c.P
    return 0 <= limit - winner <= share * X / least and other <= X / least and X * (1 + c.sd) <= 1


def rejected_is_behind(w, times=1):
    return not w.ww - 2 * w.wl + w.ll > 0 or w.A_w > times * w.A_l


limit_of_a_run.by_induction(of=shrinks, **left_behind, wrong={"times": F(11, 10)})
limit_of_a_run.proved(over=after_a_path, wrong={"share": F(9, 10)})
limit_of_a_run.proved(
    of=rejected_is_behind, wrong={"times": F(9, 10)}, part=r"M=\arg\max_y\phi_y\cdot(\phi_w-\phi_l)\not\ni y_l"
)
limit_of_a_run.false(of=lambda w: w.after(10**12).p_w > F(1, 10**6), at=ladder(F(1, 8)), true_at=BOTH_RISE, also=True)
