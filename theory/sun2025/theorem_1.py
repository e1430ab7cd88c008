"""Theorem 1 and its proof: the reference replaced by an idealized one with a constant ratio k.

A pair enters with its log-ratios h = log pi_w / pi_l and r = log ref_w / ref_l; z is the margin of Eq. (27), Delta that
of Eq. (28). A data set is any number of pairs, and the losses are sums over it.
"""

from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED
from theory.proof import Named, same, sums_of, touch, world_of
from theory.sun2025.axis import claim
from theory.sun2025.silu import REAL, sigma, softplus


def constants(numbers):
    return Named(beta=numbers.positive("beta"), log_k=numbers.real("log_k"))


def pair(h, r, beta, log_k):
    """Return what one pair adds to L(pi; ref), to L(pi; ideal) and to C (Eqs. 12, 18, 21)."""
    z, delta = beta * (h - log_k), beta * (r - log_k)
    ideal = softplus(-z)
    touch(delta, ideal + delta)
    return Named(loss=softplus(-beta * (h - r)), ideal=ideal, C=delta)


@sums_of("beta > 0, k > 0, any h, and r >= log k, Eq. (8)", fixed=constants)
def valid_pairs(numbers, shared):
    """Any number of pairs that satisfy Eq. (8)."""
    return pair(numbers.real("h"), numbers.at_least("r", shared.log_k), shared.beta, shared.log_k)


@sums_of("beta > 0, k > 0, any h and r", fixed=constants)
def any_pairs(numbers, shared):
    """Any number of pairs."""
    sums = pair(numbers.real("h"), numbers.real("r"), shared.beta, shared.log_k)
    return Named(**vars(sums), positive_C=sums.C if sums.C > 0 else 0 * sums.C)


VALID = world_of("any z, Delta >= 0", z="real", delta="nonnegative")
ANY = world_of("any z and Delta", z="real", delta="real")


@claim("theorem-1", "Theorem 1, Eqs. (8) to (12)", PROVED)
def theorem_1(s, share=1):
    r"""\frac{\mathrm{ref}(y_w)}{\mathrm{ref}(y_l)}\ge k\ \text{on}\ D\implies L(\pi;\mathrm{ref})\le
    L(\pi;\tilde\pi)+C,\quad C=\mathbb{E}\,\beta\Bigl(\log\frac{\mathrm{ref}(y_w)}{\mathrm{ref}(y_l)}-\log k\Bigr)

    Assumes: D is a finite data set
    Because: Every finite data set has such a k, at the price of a C of the order of $\beta$ times the spread of the
    log-ratios of the reference.
    Proof: Pair by pair: $1+ab\le a(1+b)$ for $a=e^\Delta\ge 1$, $b=e^{-z}$; take logarithms and add up.
    """
    return s.loss <= s.ideal + share * s.C


theorem_1.by_induction(**valid_pairs, wrong={"share": F(9, 10)})


@claim("eq-18", "Eq. (18)", PROVED)
def eq_18(pw, pl, rw, rl, beta, power=1):
    r"""\beta\log\frac{\pi(y_w)}{\mathrm{ref}(y_w)}-\beta\log\frac{\pi(y_l)}{\mathrm{ref}(y_l)}=
    \beta\log\frac{\pi(y_w)}{\pi(y_l)}-\beta\log\frac{\mathrm{ref}(y_w)}{\mathrm{ref}(y_l)}

    Proof: The four logarithms, in another order.
    """
    log = sp.log
    return same(beta * log(pw / rw) - beta * log(pl / rl), beta * log(pw / pl) - power * beta * log(rw / rl))


eq_18.derived(wrong={"power": F(11, 10)})


@claim("eq-24", "Eqs. (19) to (24)", PROVED)
def eq_24(s, more=0):
    r"""L(\pi;\mathrm{ref})\ge L(\pi;\tilde\pi)

    Assumes: Eq. (8), a finite data set
    Proof: A smaller margin has a larger loss; each of the steps (20), (22), (23) is monotone.
    """
    return s.loss >= s.ideal + more * s.C


def steps_20_to_23(c, less=0):
    z, margin = c.z, c.z - c.delta
    return margin <= z and sigma(margin) <= sigma(z) - less and softplus(-margin) >= softplus(-z)


eq_24.by_induction(**valid_pairs, wrong={"more": F(1, 10)})
eq_24.proved(of=steps_20_to_23, over=VALID, wrong={"less": F(1, 10)}, also=True)


@claim("eq-25", "Eq. (25)", PROVED)
def eq_25(z, sign=1):
    r"""\frac{d}{dz}\log\sigma(z)=1-\sigma(z),\qquad 1-\sigma(z)\le 1

    Because: The constant 1 cannot be improved: the slope tends to 1 as z falls, and equals it nowhere.
    Proof: Differentiate.
    """
    return same(sp.diff(sp.log(sigma(z)), z), sign * (1 - sigma(z)))


def slope_is_a_share(z, most=1):
    return 0 < 1 - sigma(z) < most


def slope_at_the_end(most=1):
    z = sp.Symbol("z", real=True)
    return same(sp.limit(1 - sigma(z), z, -sp.oo), most)


eq_25.derived(symbols={"z": "real"}, wrong={"sign": F(11, 10)})
eq_25.proved(of=slope_is_a_share, over=REAL, wrong={"most": F(9, 10)}, part=r"1-\sigma(z)\le 1")
eq_25.derived(of=slope_at_the_end, wrong={"most": F(11, 10)}, also=True)


@claim("eq-26", "Eqs. (26) and (29)", PROVED)
def eq_26(c, share=1):
    r"""\log\sigma(z-\Delta)\ge\log\sigma(z)-\Delta

    Assumes: $\Delta\ge 0$, as printed; it is needed (sun2025.eq-8-necessary)
    Proof: $1+ab\le a(1+b)$ for $a=e^\Delta\ge 1$ and $b=e^{-z}$.
    """
    loss = softplus(-c.z)
    touch(c.delta, loss + c.delta)
    return -softplus(c.delta - c.z) >= -loss - share * c.delta


eq_26.proved(over=VALID, wrong={"share": F(9, 10)})


@claim("eq-8-necessary", "not in the paper; the converse of Theorem 1 for one pair", PROVED)
def eq_8_necessary(c, least=0):
    r"""-\log\sigma(z-\Delta)\le-\log\sigma(z)+\Delta\iff\Delta\ge 0\qquad\text{at every}\ z

    Because: Assumption (8) cannot be weakened for a single pair.
    Proof: $a(1+b)-(1+ab)=a-1$ with $a=e^\Delta$, whatever $b=e^{-z}$.
    """
    return eq_26(c) == (c.delta >= least)


eq_8_necessary.proved(over=ANY, wrong={"least": F(-1, 10)})


@claim("theorem-1-sharp", "not in the paper; how good the C of Theorem 1 is", PROVED)
def theorem_1_sharp(c, share=1):
    r"""-\log\sigma(z-\Delta)+\log\sigma(z)<\Delta\ (\Delta>0),\qquad
    \lim_{z\to-\infty}[-\log\sigma(z-\Delta)+\log\sigma(z)]=\Delta

    Because: So $\Delta$ is the supremum. It is approached for hopelessly mis-ranked pairs, and attained nowhere.
    Proof: The difference is $\log\frac{1+ab}{1+b}<\log a$ and tends to $\log a$ as $b=e^{-z}\to\infty$.
    """
    loss = softplus(-c.z)
    touch(c.delta, loss + c.delta)
    return c.delta <= 0 or softplus(c.delta - c.z) - loss < share * c.delta


def limit_of_the_difference(a, z, power=1):
    """a = e^Delta, and z = -log b."""
    b = sp.Symbol("b", positive=True)
    difference = sp.log((1 + a * b) / (1 + b))
    in_z = softplus(sp.log(a) - z) - softplus(-z)
    return same(difference.subs(b, sp.exp(-z)), in_z) & same(sp.limit(difference, b, sp.oo), power * sp.log(a))


theorem_1_sharp.proved(over=VALID, wrong={"share": F(9, 10)})
theorem_1_sharp.derived(
    of=limit_of_the_difference,
    symbols={"z": "real"},
    wrong={"power": F(11, 10)},
    part=r"\lim_{z\to-\infty}[-\log\sigma(z-\Delta)+\log\sigma(z)]=\Delta",
)


def two_constants(numbers):
    beta, log_k, more = numbers.positive("beta"), numbers.real("log_k"), numbers.positive("more")
    return Named(beta=beta, log_k=log_k, larger=log_k + more)


@sums_of("beta > 0, 0 < k < k', any h and r", fixed=two_constants)
def under_two_constants(numbers, shared):
    """Any number of pairs, and two constants k < k'."""
    h, r, beta = numbers.real("h"), numbers.real("r"), shared.beta
    one, other = (softplus(-beta * (h - log_k)) for log_k in (shared.log_k, shared.larger))
    step = beta * (shared.larger - shared.log_k)
    touch(step, one + step)
    return Named(bound=one + beta * (r - shared.log_k), of_larger=other + beta * (r - shared.larger))


@claim("theorem-1-best-k", "not in the paper; which k of Theorem 1 to take", PROVED)
def theorem_1_best_k(s, less=0):
    r"""k<k'\implies L(\pi;\tilde\pi_{k'})+C_{k'}<L(\pi;\tilde\pi_k)+C_k

    Because: The bound is best at the largest k that (8) allows, the smallest ratio of the data.
    Proof: Each factor of $e^{n(L+C)}$ is $(r/k)^\beta+(r/p)^\beta$, with $r$, $p$ the ratios of reference and policy.
    """
    return s.of_larger < s.bound - less


theorem_1_best_k.by_induction(**under_two_constants, wrong={"less": F(1, 10)})


@claim("theorem-1-assumption-free", "not in the paper; Theorem 1 without Eq. (8)", PROVED)
def theorem_1_assumption_free(s, share=1):
    r"""L(\pi;\mathrm{ref})\le L(\pi;\tilde\pi)+\mathbb{E}\max(\Delta,0),\quad
    \Delta=\beta\Bigl(\log\frac{\mathrm{ref}(y_w)}{\mathrm{ref}(y_l)}-\log k\Bigr)

    Assumes: any $k>0$, a finite data set
    Proof: For $\Delta<0$ the loss with the reference is the smaller one.
    """
    return s.loss <= s.ideal + share * s.positive_C


theorem_1_assumption_free.by_induction(**any_pairs, wrong={"share": F(9, 10)})
