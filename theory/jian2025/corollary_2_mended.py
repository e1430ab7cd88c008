"""What is true in the place of Corollary 2: when the chosen response gains more probability, and when it cannot."""

from fractions import Fraction as F

from theory.claim import PROVED
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, along
from theory.jian2025.corollary_2 import claim
from theory.proof import TABULAR, TWO_RESPONSES, Named, exp, log, setting, sqrt, sums_of
from theory.worlds import base_measure, one_feature


@claim("corollary-2-identity", "not in the paper; the difference without square roots", PROVED)
def identity(w, sign=1):
    r"""D_w-D_l=\frac{\pi_w+\pi_l}{2}\|g_w-g_l\|^2+\frac{\pi_w-\pi_l}{2}\bigl(\|g_w\|^2-\|g_l\|^2\bigr)

    Assumes: first-order changes, in units of $\eta\beta\sigma(-z)$
    Proof: Expand both sides.
    """
    distance = w.ww - 2 * w.wl + w.ll
    return w.D_w - w.D_l == (w.p_w + w.p_l) / 2 * distance + sign * (w.p_w - w.p_l) / 2 * (w.ww - w.ll)


identity.proved(wrong={"sign": -1})


@claim("corollary-2-condition", "not in the paper; necessary and sufficient for the non-negativity", PROVED)
def condition(w, share=1, sign=1):
    r"""D_w\ge D_l\iff\pi_w\|g_w\|^2+\pi_l\|g_l\|^2\ge(\pi_w+\pi_l)\,g_w\cdot g_l
    \iff(\pi_w+\pi_l)\|g_w-g_l\|^2\ge(\pi_l-\pi_w)\bigl(\|g_w\|^2-\|g_l\|^2\bigr)

    Assumes: first-order changes
    Proof: jian2025.eq-48 and jian2025.corollary-2-identity.
    """
    gains_more = w.D_w >= w.D_l
    by_squares = w.p_w * w.ww + w.p_l * w.ll >= share * (w.p_w + w.p_l) * w.wl
    by_lengths = (w.p_w + w.p_l) * (w.ww - 2 * w.wl + w.ll) >= sign * (w.p_l - w.p_w) * (w.ww - w.ll)
    return gains_more == by_squares and gains_more == by_lengths


def scores_on_a_line(line, sign=-1):
    p, q, a, b = line
    change_w, change_l = p * a * (a - b), q * b * (a - b)
    return change_w - change_l == (a - b) * (p * a + sign * q * b)


@setting("p_w, p_l > 0; two scores with one coordinate")
def line(numbers):
    """Every pair of scores with one coordinate."""
    return numbers.positive("p_w"), numbers.positive("p_l"), numbers.real("a"), numbers.real("b")


condition.proved(wrong={"share": F(11, 10)}).proved(wrong={"sign": -1}, also=True)
condition.proved(over=line, of=scores_on_a_line, wrong={"sign": 1}, also=True)


# --- what suffices -------------------------------------------------------------------------------------------------


def sufficient(name):
    return claim(f"corollary-2-if-{name}", "not in the paper; sufficient for the non-negativity", PROVED)


def gains_more(w, least=0):
    return w.D_w - w.D_l >= least


@sufficient("scores-apart")
def if_scores_apart(w, most=0):
    r"""g_w\cdot g_l\le 0\ \Rightarrow\ D_w-D_l\ge 0

    Assumes: first-order changes
    Proof: Every term of jian2025.eq-48 is then at least 0.
    """
    return not w.wl <= most or gains_more(w)


if_scores_apart.proved(wrong={"most": F(1, 10)})


@sufficient("equal-probabilities")
def if_equal_probabilities(w, times=1):
    r"""\pi_w=\pi_l\ \Rightarrow\ D_w-D_l\ge 0

    Assumes: first-order changes
    Proof: The second term of jian2025.corollary-2-identity vanishes.
    """
    return not (w.p_w <= times * w.p_l and w.p_l <= times * w.p_w) or gains_more(w)


if_equal_probabilities.proved(wrong={"times": F(11, 10)})


@sufficient("longer-and-likelier")
def if_longer_and_likelier(w, least=0):
    r"""(\pi_w-\pi_l)(\|g_w\|^2-\|g_l\|^2)\ge 0\ \Rightarrow\ D_w-D_l\ge 0

    Assumes: first-order changes
    Proof: Both terms of jian2025.corollary-2-identity are then at least 0.
    """
    return not (w.p_w - w.p_l) * (w.ww - w.ll) >= least or gains_more(w)


if_longer_and_likelier.proved(wrong={"least": F(-1, 10)})


@sufficient("dissimilar")
def if_dissimilar(w, factor=4):
    r"""\cos(g_w,g_l)\le\frac{2\sqrt{\pi_w\pi_l}}{\pi_w+\pi_l}\ \Rightarrow\ D_w-D_l\ge 0

    Assumes: first-order changes
    Proof: As a quadratic form in the two lengths, jian2025.eq-48 has the discriminant
    $(\pi_w+\pi_l)^2\cos^2-4\pi_w\pi_l\le 0$.
    """
    square = w.wl**2 * (w.p_w + w.p_l) ** 2
    return not (w.wl <= 0 or square <= factor * w.p_w * w.p_l * w.ww * w.ll) or gains_more(w)


if_dissimilar.proved(wrong={"factor": F(41, 10)})


@sufficient("two-responses")
def if_two_responses(w, least=0):
    r"""|\mathcal{Y}|=2\ \Rightarrow\ D_w-D_l\ge 0

    Assumes: first-order changes
    Proof: $\pi_wg_w=-\pi_lg_l$, so $g_w\cdot g_l\le 0$.
    """
    return gains_more(w, least)


if_two_responses.proved(over=TWO_RESPONSES, wrong={"least": F(1, 100)})


@sufficient("tabular")
def if_tabular(w, least=0):
    r"""\text{tabular softmax}\ \Rightarrow\ D_w-D_l\ge 0

    Assumes: first-order changes
    Proof: $D_w-D_l=\pi_w+\pi_l-(\pi_w-\pi_l)^2$, and $(\pi_w-\pi_l)^2<|\pi_w-\pi_l|$ for $0<|\pi_w-\pi_l|<1$.
    """
    return gains_more(w, least)


if_tabular.proved(over=TABULAR, wrong={"least": F(1, 100)})


@setting("p_w, p_l > 0, p_w + p_l < 1, |g_l| = 1, 0 < cos <= 1, |g_w| at the ratio of the statement")
def worst_ratio(numbers):
    """Every pair of probabilities and every cosine in (0, 1]."""
    p = numbers.between("p_w", 0, 1)
    q = numbers.between("p_l", 0, 1 - p)
    cosine = numbers.positive("cos")
    numbers.assume(cosine <= 1)
    return p, q, cosine, (p + q) * cosine / (2 * p)


@claim("corollary-2-sharp-cosine", "not in the paper; the condition on the cosine cannot be improved", PROVED)
def sharp_cosine(case, factor=2):
    r"""\cos>\frac{2\sqrt{\pi_w\pi_l}}{\pi_w+\pi_l}\ \Rightarrow\ D_w<D_l\ \text{at}\
    \frac{\|g_w\|}{\|g_l\|}=\frac{(\pi_w+\pi_l)\cos}{2\pi_w}

    Proof: There the quadratic $\pi_wr^2-(\pi_w+\pi_l)\cos\,r+\pi_l$ is least, and equal to
    $\pi_l-(\pi_w+\pi_l)^2\cos^2/(4\pi_w)$.
    """
    p, q, cosine, ratio = case
    change_w, change_l = p * (ratio**2 - ratio * cosine), q * (ratio * cosine - 1)
    return (change_w < change_l) == (cosine > factor * sqrt(p * q) / (p + q))


sharp_cosine.proved(over=worst_ratio, wrong={"factor": F(19, 10)})


@claim("corollary-2-bound", "not in the paper; a lower bound that is true", PROVED)
def bound(w, share=1, square=1):
    r"""D_w-D_l\ge N-(\sqrt{\pi_w}-\sqrt{\pi_l})^2\|g_w\|\|g_l\|
    \ge-(\sqrt{\pi_w}-\sqrt{\pi_l})^2\|g_w\|\|g_l\|,\qquad N=\|\sqrt{\pi_w}g_w-\sqrt{\pi_l}g_l\|^2

    Assumes: first-order changes, in units of $\eta\beta\sigma(-z)$
    Proof: The identity of jian2025.corollary-2-equivalence and Cauchy-Schwarz; equality for scores that point the same
    way.
    """
    root = sqrt(w.p_w * w.p_l)
    least = -share * (w.p_w + w.p_l - 2 * root) * sqrt(w.ww * w.ll)
    norm = square * (w.p_w * w.ww + w.p_l * w.ll - 2 * root * w.wl)
    return w.D_w - w.D_l >= norm + least and norm >= 0


bound.proved(wrong={"share": F(9, 10)}).proved(wrong={"square": F(11, 10)}, also=True)


FAR = 10**12  # e^s of a step to nearly the end of the path, where an output with a smaller phi . d is left behind


def leads(w):
    """Return whether y_w is among the responses with the largest phi_y . (phi_w - phi_l)."""
    return along(w)[w.chosen] == max(along(w))


@claim("eventual-violation", "not in the paper; how often Corollary 2 fails on a long run", PROVED)
def eventual_violation(c, share=1):
    r"""w\notin\arg\max_y\phi_y\cdot(\phi_w-\phi_l)\ \Rightarrow\ D_w<D_l<0\ \text{from some step on}

    Assumes: a log-linear policy, one pair, steps that add up to infinity (as under DPO)
    Proof: With $x_y=(\phi_y-\phi_w)\cdot d$ and any $\tau>0$ below the largest $x_y$, $\sum\pi_y(x_y-\tau)
    e^{s(x_y-\tau)}\ge\sum\pi_y(x_y-\tau)+s\sum_{x_y>\tau}\pi_y(x_y-\tau)^2$, which is at least 0 for
    $s\ge\sum\pi_y(\tau-x_y)/\sum_{x_y>\tau}\pi_y(x_y-\tau)^2$: then $A_w=-\sum\pi_s x\le-\tau$. And
    $A_l=A_w-\|d\|^2$, $\pi_w/\pi_l=\rho\,e^{s\|d\|^2}\ge\rho\,(1+s\|d\|^2)$, so that $D_w<D_l$ once this exceeds
    $1+\|d\|^2/\tau$.
    """
    pushed_enough = c.s * c.ahead >= share * c.behind and c.ahead > 0
    ratio_enough = c.ratio * (1 + c.s * c.dd) > share * (1 + c.dd / c.tau)
    return not (pushed_enough and ratio_enough) or c.D_w < c.D_l < 0


@sums_of("s > 0; p > 0, any z = x - tau", fixed=lambda numbers: numbers.positive("s"))
def pulls(numbers, s):
    """Any number of responses."""
    p, z = numbers.positive("p"), numbers.real("z")
    lead = z if z > 0 else 0 * z
    return Named(p=p, behind=-p * z, ahead=p * lead**2, grown=p * exp(s * z), later=p * z * exp(s * z))


def pull_grows(sums, times=1):
    grows = sums.later >= -sums.behind + times * sums.fixed * sums.ahead
    return grows and sums.ahead >= 0 and sums.grown > 0


@setting("tau, dd, s > 0, the probabilities of the pair; of the sums over all responses what is proved by induction")
def after_a_path(numbers):
    """Every log-linear policy after a path of length s on its pair."""
    tau, dd, p_w, p_l = (numbers.positive(name) for name in ("tau", "dd", "p_w", "p_l"))
    total = numbers.case_of(pulls["states"], pull_grows)
    s, A_w = total.fixed, -(tau + total.later / total.grown)  # the mean of x after the path is that of tau + (x - tau)
    unit = exp(-s * tau) / total.grown
    q_w, q_l = p_w * unit, p_l * exp(-s * dd) * unit  # x = 0 for y_w and -dd for y_l
    found = Named(s=s, tau=tau, dd=dd, behind=total.behind, ahead=total.ahead)
    return Named(**vars(found), ratio=p_w / p_l, D_w=q_w * A_w, D_l=q_l * (A_w - dd))


def along_a_path(w, factor):
    """Return the case of a world after a step with e^s = factor, tau half of the largest x."""
    own, after = along(w)[w.chosen], w.after(factor)
    x = [a - own for a in along(w)]
    tau = max(x) / 2
    ahead = sum(p * (a - tau) ** 2 for p, a in zip(w.p, x, strict=True) if a > tau)
    behind = sum(p * (tau - a) for p, a in zip(w.p, x, strict=True))
    ratio = w.p_w / w.p_l
    return Named(s=log(factor), tau=tau, dd=w.dd, behind=behind, ahead=ahead, ratio=ratio, D_w=after.D_w, D_l=after.D_l)


def eventual_violation_in_a_world(w, share=1):
    return all(eventual_violation(along_a_path(w, factor), share) for factor in (F(11, 10), 2, 100, FAR))


def violated_far_out(w, far=FAR):
    return w.after(far).D_w < w.after(far).D_l < 0


RANGES = "2 to 8 responses, 1 to 4 features from -4 to 4"
eventual_violation.by_induction(of=pull_grows, **pulls, wrong={"times": F(11, 10)})
eventual_violation.proved(over=after_a_path, wrong={"share": F(3, 4)})
eventual_violation.false(of=violated_far_out, at=BOTH_RISE, true_at=BOTH_FALL, also=True)
for form, wrong in ((eventual_violation_in_a_world, {"share": F(1, 10)}), (violated_far_out, {"far": 1})):
    eventual_violation.unrefuted(
        base_measure,
        of=form,
        given=lambda w: not leads(w),
        wrong=wrong,
        also=True,
        worlds=200,
        ranges=f"{RANGES}, e^s up to 10^12",
    )
eventual_violation.unrefuted(
    one_feature,
    of=lambda w, bound=0: not leads(w) or w.D_w >= bound,
    wrong={"bound": 1},
    also=True,
    ranges="2 to 8 responses, one feature from -4 to 4",
)
