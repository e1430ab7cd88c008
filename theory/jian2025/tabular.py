"""Tabular softmax policies, flat or autoregressive: every step of any size in closed form, and no displacement."""

from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED
from theory.jian2025.cases import BOTH_RISE, TABULAR_STEP
from theory.proof import TABULAR, Named, exp, same, setting, sums_of
from theory.statement import claims_of
from theory.worlds import World

claim = claims_of("jian2025")


def total(w, E, times=1):
    """Return Z' - 1 = (1 - e^-c) (p_w e^c - p_l)."""
    return (1 - 1 / E) * (w.p_w * E - times * w.p_l)


@claim("tabular-step", "not in the paper; every step in a tabular softmax", PROVED)
def tabular_step(case, times=1):
    r"""\pi_w'=\frac{\pi_we^c}{Z'},\quad\pi_l'=\frac{\pi_le^{-c}}{Z'},\quad\pi_y'=\frac{\pi_y}{Z'},\qquad
    Z'-1=(1-e^{-c})(\pi_we^c-\pi_l),\quad c=\eta\beta\sigma(-z)

    Assumes: tabular softmax, one pair, any step size
    Proof: $g_w-g_l=e_w-e_l$: the two logits move by $\pm c$.
    """
    w, E = case
    v, z = w.after(E), 1 + total(w, E, times)
    return v.p_w * z == w.p_w * E and v.p_l * z * E == w.p_l


def of_the_others(case, times=1):
    w, E = case
    return w.after(E).p_y * (1 + total(w, E, times)) == w.p_y


def from_the_logits(a, b, rest, c, power=-1):
    """Z' is the quotient of the normalisers: a, b and ``rest`` are e^logit of w, l and the sum of all others."""
    before, after = a + b + rest, a * sp.exp(c) + b * sp.exp(power * c) + rest
    return same(after / before - 1, (1 - sp.exp(-c)) * (a / before * sp.exp(c) - b / before))


tabular_step.derived(of=from_the_logits, wrong={"power": F(-9, 10)}, part=r"Z'-1=(1-e^{-c})(\pi_we^c-\pi_l)")
tabular_step.proved(over=TABULAR_STEP, wrong={"times": F(11, 10)})
tabular_step.proved(over=TABULAR_STEP, of=of_the_others, wrong={"times": F(11, 10)}, part=r"\pi_y'=\frac{\pi_y}{Z'}")


@claim("tabular-signs", "not in the paper; Theorem 1 without shared parameters", PROVED)
def tabular_signs(case, times=1):
    r"""\Delta_w>0>\Delta_l\ \text{and}\ \Delta\bigl[\log\pi_w-\log\pi_l\bigr]=2c\quad\text{for every step size}

    Assumes: tabular softmax, one pair, a loss with equal weights $d_w=d_l$ on the two log-probabilities: no
    displacement, so that case 1 of Theorem 2 never occurs. Losses that divide each by its length move the logits by
    unequal amounts, and can displace.
    Proof: $\pi_w'>\pi_w$ iff $e^c>Z'$, that is $(e^c-1)(1-\pi_w)+(1-e^{-c})\pi_l>0$; likewise for $\pi_l$.
    """
    w, E = case
    v = w.after(E)
    return v.p_w > w.p_w and v.p_l < w.p_l and v.p_w * w.p_l == times * E**2 * w.p_w * v.p_l


@setting("0 < p_w, p_l, p_w + p_l < 1, weights a, b > 0: the logits move along a (e_w - pi) - b (e_l - pi)")
def unequal_weights(numbers):
    """A tabular softmax and a loss with weights of its own on the two log-probabilities."""
    p = numbers.between("p_w", 0, 1)
    q = numbers.between("p_l", 0, 1 - p)
    return Named(
        p=p, q=q, a=numbers.positive("a"), b=numbers.positive("b"), rest=numbers.between("R2", 0, (1 - p - q) ** 2)
    )


def chosen_rises(c):
    """g_w . (a g_w - b g_l) with |g_w|^2 = 1 - 2 p_w + S2 and g_w . g_l = S2 - p_w - p_l."""
    s2 = c.p**2 + c.q**2 + c.rest
    return c.a * (1 - 2 * c.p + s2) - c.b * (s2 - c.p - c.q) > 0


tabular_signs.proved(over=TABULAR_STEP, wrong={"times": F(11, 10)})
tabular_signs.false(at=(BOTH_RISE, F(3)), true_at=(World.tabular([F(1, 2), F(1, 3), F(1, 6)]), F(3)), also=True)
tabular_signs.refuted(
    over=unequal_weights, of=chosen_rises, unlike=lambda c: chosen_rises(Named(**vars(c) | {"b": c.a})), also=True
)


@claim("tabular-drives", "not in the paper; Eqs. (2), (3) in a tabular softmax", PROVED)
def tabular_drives(w, sign=1):
    r"""A_w=1-\pi_w+\pi_l,\quad A_l=-(1+\pi_w-\pi_l),\quad A_y=\pi_l-\pi_w\ \text{for all others}

    Assumes: tabular softmax
    Proof: $g_y=e_y-\pi$, so $g_y\cdot g_{y'}=[y=y']-\pi_y-\pi_{y'}+\|\pi\|^2$.
    """
    return w.ww - w.wl == 1 - sign * (w.p_w - w.p_l) and w.wl - w.ll == -1 - sign * (w.p_w - w.p_l)


tabular_drives.proved(over=TABULAR, wrong={"sign": F(11, 10)})
tabular_drives.proved(
    over=TABULAR,
    of=lambda w, sign=1: w.wy - w.ly == sign * (w.p_l - w.p_w),
    wrong={"sign": F(11, 10)},
    part=r"A_y=\pi_l-\pi_w\ \text{for all others}",
)


@claim("tabular-others", "not in the paper; where the mass goes in a tabular softmax", PROVED)
def tabular_others(case, margin=1):
    r"""y\notin\{y_w,y_l\}:\quad\Delta\pi_y>0\iff\pi_l>\pi_we^c,\qquad\frac{\pi_y'}{\pi_y}=\frac1{Z'}\ \text{for all of
    them},\qquad\Delta\pi_{y^*}\sum_{y}\pi_y=\pi_{y^*}\sum_y\Delta\pi_y

    Assumes: tabular softmax, one pair, any step size; sums over the others
    Proof: jian2025.tabular-step: $Z'<1$ iff $\pi_we^c<\pi_l$. They all lose when $\pi_w>\pi_l$.
    """
    w, E = case
    v = w.after(E)
    gains = (v.p_y > w.p_y) == (w.p_l > margin * w.p_w * E)
    return gains and v.p_y * (1 + total(w, E)) == w.p_y and (w.p_w <= w.p_l or v.p_y < w.p_y)


def share_of_one(case, times=1):
    w, E = case
    v = w.after(E)
    before, after = 1 - w.p_w - w.p_l, 1 - v.p_w - v.p_l
    return (v.p_y - w.p_y) * before == times * w.p_y * (after - before)


tabular_others.proved(over=TABULAR_STEP, wrong={"margin": F(9, 10)})
tabular_others.proved(
    over=TABULAR_STEP,
    of=share_of_one,
    wrong={"times": F(11, 10)},
    part=r"\Delta\pi_{y^*}\sum_{y}\pi_y=\pi_{y^*}\sum_y\Delta\pi_y",
)


# --- separate logits for every prefix ------------------------------------------------------------------------------


@sums_of(
    "0 < p < 1 of the token itself, c > 0; q > 0 of another",
    fixed=lambda numbers: (numbers.between("p", 0, 1), numbers.positive("c")),
)
def other_tokens(numbers, shared):
    """What the other tokens of a node become for the chosen and for the rejected response."""
    (p, c), q = shared, numbers.positive("q")
    return Named(rest=q, down=q * exp(-c * (1 - p + q)), up=q * exp(c * (1 - p + q)))


def others_move(s, times=1):
    return 0 < times * s.down < s.rest < s.up


@setting("p_w, p_l > 0 and the sum of all others >= 0, up to a common factor; E = e^c > 1")
def parting(numbers):
    """What the first tokens that differ are multiplied by: their logits move by c and -c."""
    p, q, grown = numbers.positive("w"), numbers.positive("l"), 1 + numbers.positive("growth")
    rest = numbers.at_least("rest", 0)
    later = (p * grown + q / grown + rest) / (p + q + rest)
    return grown / later, 1 / (grown * later)


@setting("the products so far; one more token of each response, with any weight p; others_move of the other tokens")
def one_more_token(numbers):
    """The products so far and one more factor each; where there is one token only, the factor is 1."""
    others, p = numbers.case_of(other_tokens["states"], others_move, keep="rest down up"), numbers.positive("p")
    factors = ((p + others.rest) / (p + after) for after in (others.down, others.up))
    return *map(numbers.positive, ("chosen", "rejected")), *factors


@claim("prefix-tree", "not in the paper; Theorem 1 for autoregressive policies without shared parameters", PROVED)
def prefix_tree(products, times=1):
    r"""\Delta\log\pi_w>0>\Delta\log\pi_l\ \text{for every step size},\qquad
    \Delta\log\pi(y_{<t})=0\ \text{for the shared prefix}

    Assumes: separate next-token logits for every prefix, one pair, equal weights on the two, words of any length
    over any number of tokens: displacement needs parameters that are shared
    Proof: The gradients of the shared prefix cancel. Where the responses part, jian2025.tabular-signs. After it, a
    token with probability $p_t$ takes a step on its own log-probability, $p_t'=p_t/(p_t+\sum_{k\ne t}p_ke^{\mp
    c(1-p_t+p_k)})$. The change of a response is the product over its tokens.
    """
    return products[0] > times > products[1] > 0


def shared_prefix(t, push, shared, a, b, times=1):
    """log pi of both responses contains the same function of the logit t of a shared node; a step moves t up z."""
    z = (shared(t) + a) - (times * shared(t) + b)
    return same(shared(t + push * sp.diff(z, t)), shared(t))


prefix_tree.derived(
    of=shared_prefix,
    symbols={"t": "real", "a": "negative", "b": "negative", "shared": "function"},
    wrong={"times": F(11, 10)},
    part=r"\Delta\log\pi(y_{<t})=0\ \text{for the shared prefix}",
)
prefix_tree.by_induction(of=others_move, **other_tokens, wrong={"times": F(11, 10)})
prefix_tree.by_induction(
    base=parting, step=one_more_token, after=lambda s: (s[0] * s[2], s[1] * s[3]), wrong={"times": F(11, 10)}
)
