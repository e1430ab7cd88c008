"""When a policy ranks a pair right: by the loss of the pair, by the mean loss, and at IPO's optimum."""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import FALSE, PROVED
from theory.evidence import FAILS
from theory.proof import Named, exp, log, power, setting
from theory.statement import claims_of

claim = claims_of("chen2024")


@setting("pi_w / pi_l = x > 0, ref_l / ref_w = k > 0, beta > 0")
def one_pair(numbers):
    """Any policy, any reference, any beta."""
    return Named(x=numbers.positive("x"), k=numbers.positive("k"), beta=numbers.positive("beta"))


@claim("theorem-4.1", "Theorem 4.1", PROVED)
def theorem_4_1(c, times=1):
    r"""\pi(y_w)\ge\pi(y_l)\iff-\log\sigma\Bigl(\beta\log\frac{\pi_w\,\pi_{\mathrm{ref},l}}{\pi_l\,\pi_{\mathrm{ref},w}}\Bigr)
    \le-\log\sigma(\beta c),\qquad c=\log\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}

    Assumes: one pair; a tie counts as right
    Proof: Both sides are the one falling function of the margin, which is $\beta\log(\pi_w/\pi_l)+\beta c$.
    """
    x, k = power(c.x, c.beta), power(c.k, c.beta)
    return (c.x >= 1) == (log(1 + 1 / (x * k)) <= log(1 + times / k))


theorem_4_1.proved(over=one_pair, wrong={"times": F(11, 10)})


@claim("mean-loss", "not read in full; ours, Theorem 4.1 read of the mean loss", FALSE, "theorem-4.1")
def mean_loss(margin=F(-1, 2), other=9):
    r"""\text{all pairs have one}\ c,\ \text{their mean loss is at most}\ -\log\sigma(\beta c)\ \Rightarrow\
    \text{every pair is ranked right}

    Assumes: $\beta=1$
    Because: The theorem is about the loss of each pair. Two pairs with $c=2$ and $\log(\pi_w/\pi_l)=9,-1/2$ have the
    mean loss $0.1007<0.1269$, and the second is wrong.
    """
    losses = [log(1 + exp(-F(gap) - 2)) for gap in (other, margin)]
    return (losses[0] + losses[1]) / 2 < log(1 + exp(F(-2))) and margin < 0


mean_loss.enclosed(role=FAILS, denial=True, wrong={"margin": F(-1)})


@setting("c real, tau > 0; IPO's one-pair optimum, where the log-ratio gap is 1 / (2 tau)")
def ipo_optimum(numbers):
    """IPO trained on one pair to its optimum."""
    c, tau = numbers.real("c"), numbers.positive("tau")
    return Named(c=c, tau=tau, gap=1 / (2 * tau) - c)


@claim("ipo-misranks", "not read in full; ours, after Theorem 4.1, for IPO", PROVED)
def ipo_misranks(case, times=1):
    r"""\text{at IPO's optimum a pair is ranked right}\iff c\le\frac1{2\tau}

    Assumes: one pair, tabular policy; $c=\log\pi_{\mathrm{ref}}(y_l)-\log\pi_{\mathrm{ref}}(y_w)$
    Because: A pair that the reference has wrong by more than the target stays wrong for ever, with a loss of zero.
    DPO on a hard label turns every pair in the end.
    Proof: $\log(\pi_w/\pi_l)=1/(2\tau)-c$ there.
    """
    return (case.gap >= 0) == (2 * case.tau * case.c <= times)


ipo_misranks.proved(over=ipo_optimum, wrong={"times": F(11, 10)})
