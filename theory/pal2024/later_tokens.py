"""Responses that differ in one token: what the tokens after it contribute, if the logits of a position are shared."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED
from theory.pal2024.dpop import claim
from theory.proof import Named, Numbers, same, setting, sums_of
from theory.statement import THERE_IS


@claim("eq-2", "Eq. (2)", PROVED)
def eq_2(x, y, z, a, b, c, sign=1):
    r"""\nabla_{\theta_j}\bigl[\log\pi(y_w)-\log\pi(y_l)\bigr]=s_j^{(y_l^{<k})}-s_j^{(y_w^{<k})}\qquad k>m

    Assumes: the token at k is the same in both responses, and the logits of position k are one parameter $\theta$
    beside what the two contexts add to them; here with three tokens. Separate logits of the two contexts have separate
    gradients $e-s^{(w)}$ and $-(e-s^{(l)})$, and then no later token lowers the chosen response.
    Proof: The token's own logit cancels; what is left are the derivatives of the two normalisers.
    """
    logits = sp.symbols("t0:3", real=True)
    chosen = [t + u for t, u in zip(logits, (x, y, z), strict=True)]
    rejected = [t + u for t, u in zip(logits, (a, b, c), strict=True)]
    sums = [sum(map(sp.exp, each)) for each in (chosen, rejected)]
    margin = (chosen[0] - sp.log(sums[0])) - (rejected[0] - sp.log(sums[1]))
    change = [
        same(sp.diff(margin, t), sp.exp(r) / sums[1] - sign * sp.exp(w) / sums[0])
        for t, w, r in zip(logits, chosen, rejected, strict=True)
    ]
    return change[0] & change[1] & change[2]


eq_2.derived(symbols=dict.fromkeys("xyzabc", "real"), wrong={"sign": F(11, 10)})


@sums_of(
    "0 < s < 1 of the right token; another token: probability q > 0 after the chosen prefix, not less after the other",
    fixed=lambda numbers: numbers.between("s", 0, 1),
)
def wrong_tokens(numbers, _):
    """Tokens that are wrong at a later position."""
    q, more = numbers.positive("q"), numbers.at_least("more", 0)
    return Named(more=more, product=q * more)


@claim("later-tokens", "not read in full; ours, after Section 3 on the tokens after the difference", PROVED)
def later_tokens(s, least=0):
    r"""(e-s^{(w)})\cdot(s^{(l)}-s^{(w)})\le 0

    Assumes: logits shared as in Eq. (2), and as SFT leaves them: $s^{(w)}\ge s^{(l)}$ at the right token e and $\le$ at
    all others
    Because: So each later token pulls down its own log-probability in the chosen response. Whether the whole
    response falls is another matter: pal2024.suffix-squared.
    Proof: $s^{(l)}-s^{(w)}$ is $-\delta$ at e and $\delta_j\ge 0$ elsewhere, with $\sum\delta_j=\delta$; the product is
    $-(1-s_e)\delta-\sum_js_j\delta_j$.
    """
    return -(1 - s.fixed) * s.more - s.product <= least


later_tokens.by_induction(**wrong_tokens, wrong={"least": F(-1, 10)})


@setting("0 < p_1 < 1 of the first chosen token; 0 < s_w, s_l < 1 of the right token at K later positions")
def suffix(numbers: Numbers) -> Named:
    """One logit for the first token, one shared by K later positions."""
    names = {name: numbers.between(name, 0, 1) for name in ("p", "s_w", "s_l")}
    return Named(K=numbers.natural("K", 1), **names)


def scores(c):
    """Return the scores of the two responses by the two logits, with two tokens in the vocabulary."""
    return (1 - c.p, c.K * (1 - c.s_w)), (-c.p, c.K * (1 - c.s_l))


def drive(c):
    """Return g_w . (g_w - g_l)."""
    chosen, rejected = scores(c)
    return sum(a * (a - b) for a, b in zip(chosen, rejected, strict=True))


@claim("suffix-squared", "not read in full; ours, after Section 3 on the tokens after the difference", PROVED)
def suffix_squared(c, power=2):
    r"""A_w=(1-p_1)-K^2(1-s_w)(s_w-s_l)

    Assumes: two tokens in the vocabulary, one logit for the first token and one that K later positions share
    Because: A shared suffix hurts with the square of its length.
    Proof: $g_w=(1-p_1,K(1-s_w))$ and $g_l=(-p_1,K(1-s_l))$.
    """
    return drive(c) == 1 - c.p - c.K**power * (1 - c.s_w) * (c.s_w - c.s_l)


suffix_squared.proved(over=suffix, wrong={"power": 3})


@claim("one-later-token", "not read in full; ours, after Section 3 on the tokens after the difference", PROVED)
def one_later_token(c, least=F(3, 4)):
    r"""K=1:\quad A_w<0\ \Rightarrow\ p_1>\tfrac34

    Assumes: as in pal2024.suffix-squared
    Because: One later token displaces only a pair whose difference is all but learnt. With $p_1=9/10$, $s_w=1/2$,
    $s_l=1/10$ it is $A_w=-1/10$.
    Proof: $(1-s_w)(s_w-s_l)<(1-s_w)s_w\le 1/4$.
    """
    single = Named(**vars(c) | {"K": 1})
    return not drive(single) < 0 or c.p > least


one_later_token.proved(over=suffix, wrong={"least": F(4, 5)})


@claim("suffix-displaces", "Abstract; Section 3", PROVED)
def suffix_displaces(c):
    r"""\text{there is a pair that differs in one token, whose chosen response falls}

    Assumes: logits of later positions are shared
    Because: True with shared logits; with separate logits for every prefix it is impossible (jian2025.prefix-tree).
    Proof: One later token, $p_1=9/10$, $s_w=1/2$, $s_l=1/10$: $A_w=1/10-1/5=-1/10$.
    """
    return drive(c) < 0


SMALLEST = Named(p=F(9, 10), s_w=F(1, 2), s_l=F(1, 10), K=1)
suffix_displaces.evaluated([SMALLEST], meaning=THERE_IS, wrong=lambda c: drive(c) < -1)
