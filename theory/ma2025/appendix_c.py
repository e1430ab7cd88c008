"""Appendix C: what a negative correlation of the logits' gradients does to DPO and to a balanced loss.

With logits s = V theta whose gradients v_i have one length g and one cosine -lambda, a gradient step is
Delta s = -eta K dL/ds with the Gram matrix K = V V^T. Every loss of softmax probabilities has 1 . dL/ds = 0, and on
that subspace K is g^2 (1 + lambda) times the identity: the correlation scales all losses alike.
"""

from __future__ import annotations

from fractions import Fraction as F
from functools import partial
from typing import Any

from theory.claim import FALSE, MISPRINT, PROVED
from theory.evidence import CORRECTED, FAILS
from theory.ma2025.covariance import claim
from theory.ma2025.imbalance import of_anything, slope_in_logits
from theory.proof import Named, over_responses, same, setting
from theory.worlds import Vector, dot

DPO_LOSS = "DPO"
BALANCED = "balanced"
LITERAL = "as printed"
SQUARE = "with (pi_i - pi_j)^2"
BRACKET = "with (pi_i - pi_j)^2 and lambda before all of it"
FACTOR = "with (pi_i - pi_j)^2, lambda before all of it, and the factor pi_i that Eq. (11) lost"


@setting("pi_w, pi_l > 0, others with the rest of the mass, if any; g > 0, 0 < lambda < 1; urgency 1 - kappa in (0, 1)")
def correlated(numbers):
    """Any softmax policy whose logits' gradients have one length and one negative cosine."""
    w, rejected = numbers.between("p_w", 0, 1), numbers.between("p_l", 0, 1)
    numbers.assume(w + rejected <= 1)
    lam, urgency = numbers.between("lam", 0, 1), numbers.between("urgency", 0, 1)
    return Named(w=w, l=rejected, g2=numbers.positive("g2"), lam=lam, urgency=urgency)


def logit_gradient(case: Named, loss: str) -> tuple[Any, Any, Any]:
    """Return dL/ds of the chosen and of the rejected response, and its sum over all other responses.

    The loss is -log sigma(f) with f = log(pi_w / pi_l) + const, or f = pi_w - pi_l; d pi_k / ds_i is that of Lemma 1.
    """
    w, r, u = case.w, case.l, case.urgency
    if loss == DPO_LOSS:
        return -u, u, 0
    return -u * (w * (1 - w) + r * w), -u * (-w * r - r * (1 - r)), u * (w - r) * (1 - w - r)


def changes(case: Named, loss: str) -> tuple[Any, Any]:
    """Return Delta s of the pair in one gradient step, in units of the learning rate.

    Example:
        >>> [str(s) for s in changes(HALVES, DPO_LOSS)]
        ['9/2', '-9/2']
    """
    chosen, rejected, others = logit_gradient(case, loss)
    total = chosen + rejected + others
    steps = [-case.g2 * (one - case.lam * (total - one)) for one in (chosen, rejected)]
    return steps[0], steps[1]


def with_lambda(case, lam):
    """Return the same point with another correlation of the logits' gradients."""
    return Named(**{**vars(case), "lam": lam})


HALVES = Named(w=F(1, 2), l=F(1, 4), g2=F(6), lam=F(1, 2), urgency=F(1, 2))
"""Three responses whose logits' gradients point 120 degrees apart."""

ORTHOGONAL = with_lambda(HALVES, F(0))


@claim("appendix-c-gram", "not in the paper; replaces the discussion of Appendix C", PROVED)
def gram(y, sign=1):
    r"""\mathbf 1^\top\nabla_s\mathcal L=0,\qquad
    K=g^2\bigl[(1+\lambda)I-\lambda\mathbf 1\mathbf 1^\top\bigr]\implies\Delta s=-\eta g^2(1+\lambda)\nabla_s\mathcal L

    Assumes: logits linear in $\theta$, else to first order in $\eta$; all gradients of logits have one length $g$ and
    one cosine $-\lambda$ (the paper's $\lambda$ is an average); a loss of softmax probabilities
    Proof: The second term of $K$ annihilates every vector whose entries sum to 0, and the gradient of a function of
    softmax probabilities is one.
    """
    k, scale = y.one("k"), y.one("scale")
    mean = y.sum(y.p * y.F)
    own, all_of_it = slope_in_logits(k.p, k.F, mean), y.sum(slope_in_logits(y.p, y.F, mean))
    return same(scale.g2 * (own - scale.lam * (all_of_it - own)), scale.g2 * (1 + sign * scale.lam) * own)


gram.derived(sums=over_responses(p="probability", F="any", g2="any", lam="any"), wrong={"sign": F(9, 10)})
gram.derived(
    of=of_anything,
    sums=over_responses(p="probability", F="any"),
    wrong={"kept": F(11, 10)},
    part=r"\mathbf 1^\top\nabla_s\mathcal L=0",
)


@setting("one gradient of length g > 0")
def one_gradient(numbers):
    """The first gradient."""
    g2 = numbers.positive("g2")
    return Named(n=F(1), g2=g2, lam=numbers.real("lam"), of_sum=g2)


@setting("the squared norm of the sum of n gradients is as stated; one more of the same length and cosine")
def more_gradients(numbers):
    """Any number of gradients."""
    n, g2 = numbers.natural("n", 1), numbers.positive("g2")
    return Named(n=n, g2=g2, lam=numbers.real("lam"), of_sum=numbers.real("of_sum"))


def one_more(s: Named) -> Named:
    """Return the squared norm with one more gradient, whose product with each earlier one is -lambda g^2."""
    return Named(**{**vars(s), "n": s.n + 1, "of_sum": s.of_sum - 2 * s.n * s.lam * s.g2 + s.g2})


@claim("appendix-c-range", "not in the paper; which correlations are possible", PROVED)
def possible_correlations(s, less=1):
    r"""\lambda\le\frac{1}{n-1}

    Assumes: $n$ gradients of logits with one length and one cosine $-\lambda$
    Because: It is attained by three vectors 120 degrees apart. For a large set of responses $\lambda$ is negligible.
    Proof: $\|\sum_iv_i\|^2=ng^2\,(1-(n-1)\lambda)$, by induction on $n$, and a squared norm is not negative.
    """
    is_norm = s.of_sum == s.n * s.g2 * (1 - (s.n - 1) * s.lam)
    return is_norm & ((s.of_sum < 0) | (s.lam * (s.n - less) <= 1))


def equal_cosines(rows: tuple[Vector, ...], lam: F = F(1, 2)) -> bool:
    norms = {dot(v, v) for v in rows}
    return len(norms) == 1 and {dot(v, u) for v in rows for u in rows if v != u} == {-lam * norms.pop()}


AT_120_DEGREES = tuple(tuple(F(3 * (i == k) - 1) for k in range(3)) for i in range(3))
possible_correlations.by_induction(
    base=one_gradient, step=more_gradients, after=one_more, more=lambda _, s: s, wrong={"less": F(9, 10)}
)
possible_correlations.evaluated([AT_120_DEGREES], of=equal_cosines, wrong={"lam": F(1, 3)}, also=True)


@claim("eq-35", "Appendix C, Eq. (35)", MISPRINT, "appendix-c-gram")
def eq_35(case, sign=-1):
    r"""\Delta^js_i=(1-\lambda)\,\eta g^2\tau_{ij}(1-\kappa_{ij})

    Because: The sign of $\lambda$: $\lambda$ is minus the cosine, so that the two responses of a pair help each other
    apart. Correct is $1+\lambda$.
    Proof: $\Delta s_i=v_i\cdot\Delta\theta=\eta(1-\kappa)\,v_i\cdot(v_i-v_j)=\eta(1-\kappa)g^2(1-c_{ij})$,
    $c_{ij}=-\lambda$.
    """
    size = (1 + sign * case.lam) * case.g2 * case.urgency
    chosen, rejected = changes(case, DPO_LOSS)
    return (chosen == size) & (rejected == -size)


def eq_35_mended(case, sign=1):
    return eq_35(case, sign)


eq_35.false(at=HALVES, true_at=ORTHOGONAL)
eq_35.proved(of=eq_35_mended, over=correlated, role=CORRECTED, wrong={"sign": F(9, 10)})


def lambda_terms(case: Named, loss: str) -> tuple[Any, Any]:
    """Return what the correlation adds to Delta s of the pair: the change less that with orthogonal gradients."""
    with_it, without = changes(case, loss), changes(with_lambda(case, 0), loss)
    return with_it[0] - without[0], with_it[1] - without[1]


@claim("eq-35-winner", "Appendix C, after Eq. (35): what the lambda term does under DPO", FALSE, "appendix-c-gram")
def winner(case, sign=1, least=0):
    r"""\frac{\partial}{\partial\lambda}\Delta s_w<0<\frac{\partial}{\partial\lambda}\Delta s_l

    Because: The paper says that it decreases the winner's logit, and vice versa. That follows the sign of Eq. (35); the
    opposite is true for every $\lambda>0$.
    """
    chosen, rejected = lambda_terms(case, DPO_LOSS)
    return sign * chosen < -least <= least < sign * rejected


winner.false(at=HALVES, true_at=with_lambda(HALVES, F(-1, 2)))
winner.proved(of=partial(winner.predicate, sign=-1), over=correlated, role=FAILS, wrong={"least": F(1, 10)})


@claim("eq-36", "Appendix C, Eq. (36)", FALSE, "eq-36-exact", "appendix-c-gram")
def eq_36(reading_at):
    r"""\Delta^js_i=C\eta
    g^2\tau_{ij}(1-\kappa_{ij})\bigl(1-\pi_i+\pi_j+\lambda(\pi_i-\pi_i)^2+\pi_i\pi_j-2\pi_j\bigr)

    Because: Four readings fail: to the letter (where $\pi_i-\pi_i$ may be a slip of the machine conversion of the
    paper); with the square of $\pi_i-\pi_j$; with $\lambda$ before the whole bracket; and with the factor $\pi_i$ that
    Eq. (11) has lost. Exact: $C\eta g^2\tau_{ij}(1-\kappa_{ij})(1+\lambda)\,\pi_i(1-\pi_i+\pi_j)$.
    """
    reading, case = reading_at
    i, j, lam = case.w, case.l, case.lam
    difference, rest = (0 if reading == LITERAL else i - j), i * j - 2 * j
    extra = lam * difference**2 + rest if reading in (LITERAL, SQUARE) else lam * (difference**2 + rest)
    size = case.g2 * case.urgency * (i if reading == FACTOR else 1) * (1 - i + j + extra)
    return changes(case, BALANCED)[0] == size


for words in (LITERAL, SQUARE, BRACKET, FACTOR):
    eq_36.false(at=(words, HALVES), true_at=(FACTOR, ORTHOGONAL))


@claim("eq-36-exact", "not in the paper; Eq. (36) mended", PROVED)
def eq_36_mended(case, sign=1):
    r"""\Delta^js_i=C\eta g^2\tau_{ij}(1-\kappa_{ij})(1+\lambda)\,\pi_i(1-\pi_i+\pi_j)

    Assumes: $f=C(\pi_w-\pi_l)$, $i$ in the pair; one length $g$ and one cosine $-\lambda$ of all logits' gradients
    Proof: $\Delta s=-\eta g^2(1+\lambda)\nabla_s\mathcal L$, and $\partial(\pi_i-\pi_j)/\partial
    s_i=\pi_i(1-\pi_i)+\pi_i\pi_j$.
    """
    i, j = case.w, case.l
    size = case.g2 * case.urgency * (1 + sign * case.lam)
    chosen, rejected = changes(case, BALANCED)
    return (chosen == size * i * (1 - i + j)) & (rejected == -size * j * (1 - j + i))


eq_36_mended.proved(over=correlated, wrong={"sign": F(9, 10)})


@claim("eq-36-both-rise", "Appendix C, after Eq. (36): the lambda term raises both logits", FALSE, "eq-36-exact")
def both_rise(case):
    r"""\frac{\partial}{\partial\lambda}\Delta s_l>\frac{\partial}{\partial\lambda}\Delta s_w>0

    Assumes: a balanced loss
    Because: The $\lambda$ term multiplies the whole step by $1+\lambda$: it raises $s_w$ and lowers $s_l$, everywhere.
    """
    chosen, rejected = lambda_terms(case, BALANCED)
    return rejected > chosen > 0


def moves_apart(case, least=0):
    chosen, rejected = lambda_terms(case, BALANCED)
    return rejected < 0 and chosen > least


both_rise.proved(of=moves_apart, over=correlated, role=FAILS, wrong={"least": F(1, 100)})
both_rise.refuted(over=correlated, unlike=moves_apart)


@claim("appendix-c-conclusion", "Section 3.2, evidence 2; Appendix C, last sentence", FALSE, "appendix-c-gram")
def conclusion(case):
    r"""\frac{\Delta s^{\mathrm{DPO}}(\lambda)}{\Delta s^{\mathrm{DPO}}(0)}
    <\frac{\Delta s^{\mathrm{bal}}(\lambda)}{\Delta s^{\mathrm{bal}}(0)}

    Because: The negative correlation is said to make DPO fare worse against a balanced loss. Both ratios are
    $1+\lambda$, for every response of the pair: no loss gains on the other.
    """
    return growth(case, DPO_LOSS)[0] < growth(case, BALANCED)[0]


def growth(case: Named, loss: str) -> tuple[Any, Any]:
    """Return by what the correlation multiplies the changes of the pair."""
    with_it, without = changes(case, loss), changes(with_lambda(case, 0), loss)
    return with_it[0] / without[0], with_it[1] / without[1]


def all_grow_alike(case, sign=1):
    factor = 1 + sign * case.lam
    return all(ratio == factor for loss in (DPO_LOSS, BALANCED) for ratio in growth(case, loss))


conclusion.proved(of=all_grow_alike, over=correlated, role=FAILS, wrong={"sign": F(9, 10)})
conclusion.refuted(over=correlated, unlike=all_grow_alike)
