"""The weights with which the chosen response rises and the rejected one falls, and the calibration to their middle."""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import PROVED
from theory.proof import Named, setting
from theory.statement import claims_of
from theory.yuan2024.entanglement import changes, norms_and_cosine

claim = claims_of("chen2026")
SOURCE = "not read in full; ours, after the authors' code"


@claim("band", SOURCE, PROVED)
def band(c, times=1):
    r"""0<\rho:\qquad\rho\,r^*<\frac{d_w}{d_l}<\frac{r^*}\rho\iff\log\pi_w\ \text{rises and}\ \log\pi_l\
    \text{falls},\qquad r^*=\frac{|g_l|}{|g_w|}

    Assumes: any loss with weights $d_w,d_l>0$, any policy whose two scores are not zero, first order; $\rho$ is their
    cosine
    Proof: $d_w|g_w|^2>d_l|g_w||g_l|\rho$ and $d_w|g_w||g_l|\rho<d_l|g_l|^2$.
    """
    up, down = changes(c, c.d_w, c.d_l)
    inside = c.rho * c.b * c.d_l < times * c.a * c.d_w and c.rho * c.a * c.d_w < c.b * c.d_l
    return c.rho <= 0 or inside == (up > 0 > down)


band.proved(over=norms_and_cosine, wrong={"times": F(11, 10)})


@claim("obtuse-is-ideal", SOURCE, PROVED)
def obtuse_is_ideal(c, most=0):
    r"""\rho\le 0\ \Rightarrow\ \log\pi_w\ \text{rises and}\ \log\pi_l\ \text{falls, for all weights}

    Assumes: as in chen2026.band
    Proof: Both terms of either change have the wanted sign.
    """
    up, down = changes(c, c.d_w, c.d_l)
    return not c.rho <= most or up > 0 > down


obtuse_is_ideal.proved(over=norms_and_cosine, wrong={"most": F(1, 10)})


@claim("dpo-in-the-band", SOURCE, PROVED)
def dpo_in_the_band(c, times=1):
    r"""d_w=d_l:\qquad\text{ideal}\iff\rho<\min\Bigl(\frac{|g_w|}{|g_l|},\frac{|g_l|}{|g_w|}\Bigr)

    Assumes: as in chen2026.band, equal weights as those of DPO
    Because: Scores of equal length suffice, unless they are the same.
    Proof: The band at $d_w/d_l=1$.
    """
    up, down = changes(c, 1, 1)
    return (up > 0 > down) == (c.rho * c.b < times * c.a and c.rho * c.a < c.b)


dpo_in_the_band.proved(over=norms_and_cosine, wrong={"times": F(11, 10)})


@setting("|g_w| = a, |g_l| = b > 0, cosine rho in [-1, 1]; d_l > 0 and the scale s > 0 of calibration, d_w from s")
def calibrated(numbers):
    """A loss and the scale s, s^2 = r* / r, by which its weights are calibrated."""
    a, b, d_l, s = (numbers.positive(name) for name in ("a", "b", "d_l", "s"))
    d_w = d_l * b / (a * s * s)  # so that s^2 = (b / a) / (d_w / d_l)
    return Named(a=a, b=b, rho=numbers.within("rho", -1, 1), d_w=d_w, d_l=d_l, s=s, M=d_l * b / s)


@claim("calibration-is-normalised", SOURCE, PROVED)
def calibration_is_normalised(c, power=1):
    r"""s^2=\frac{r^*}r:\qquad s\,d_w\,g_w-\frac{d_l}s\,g_l=M\Bigl(\frac{g_w}{|g_w|}-\frac{g_l}{|g_l|}\Bigr),\qquad
    M=\sqrt{d_wd_l|g_w||g_l|}

    Assumes: as in chen2026.band, for one pair; norms of batch means with a moving average, as in the code, give it
    for these means only
    Because: The calibrated step is Yuan's normalised step, rescaled (yuan2024.normalised-step): the chosen response
    never falls, the rejected one never rises, and as the scores become parallel nothing moves.
    Proof: $s\,d_w|g_w|=d_l|g_l|/s=M$.
    """
    up, down = changes(c, c.s**power * c.d_w, c.d_l / c.s)
    root = c.d_w * c.d_l * c.a * c.b == c.M * c.M
    return root and up == c.M * c.a * (1 - c.rho) >= 0 >= -c.M * c.b * (1 - c.rho) == down


calibration_is_normalised.proved(over=calibrated, wrong={"power": 2})
