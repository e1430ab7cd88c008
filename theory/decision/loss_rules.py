"""The weights d_w and d_l of the losses of ``dynamics``: rules in exact numbers and in symbols, up to a common factor.

A loss moves the parameters along d_w g_w - d_l g_l with d_w = -dL/dlog pi_w and d_l = dL/dlog pi_l. Each rule gives the
two up to a factor u > 0 that they share, because no sign depends on it; its arguments are the world's probabilities,
ratios to the reference, lengths and hyper-parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from theory.proof.functions import log, power


class Rule(NamedTuple):
    """The weights of a loss.

    Attributes:
        needs: the further numbers that they depend on.
        weights: returns (d_w, d_l) in a world that has these numbers.
        words: the same in words.
        where: where the rule holds, or what is special about it, in words that follow the name of the loss.
    """

    needs: tuple[str, ...]
    weights: Callable[[Any], tuple[Any, Any]]
    words: str
    where: str = ""


LENGTHS = ("n_w", "n_l")
BELOW = " with a margin below the minimum of the loss"
ANY_SIGN = ", whose weights may be negative"
SIGMOID = "E = r^beta, r = p / ref"


def _whole_power(x: Any, exponent: Any) -> Any:
    """Return a power, in fractions where the exponent is a whole number."""
    whole = isinstance(exponent, Fraction) and exponent.denominator == 1
    return x ** int(exponent) if whole else power(x, exponent)


def _exponentials(w: Any) -> tuple[Any, Any]:
    """Return e^(beta a) of both responses, with a = log(p / ref)."""
    return _whole_power(w.r_w, w.beta), _whole_power(w.r_l, w.beta)


def _bell(e: Any) -> Any:
    """Return sigma(x) sigma(-x) at e = e^x."""
    return e / (1 + e) ** 2


def _equal(w: Any) -> tuple[Any, Any]:
    return w.u, w.u


def _per_token(w: Any) -> tuple[Any, Any]:
    return w.u / w.n_w, w.u / w.n_l


def _chosen_only(w: Any) -> tuple[Any, Any]:
    return w.u, 0 * w.u


def _nll(w: Any) -> tuple[Any, Any]:
    return w.u + w.extra, w.u


def _odds(w: Any) -> tuple[Any, Any]:
    """ORPO: the slope of log P / (1 - P) in log P is 1 / (1 - P), with the mean token probability P = p^(1/n)."""
    P_w, P_l = power(w.p_w, 1 / w.n_w), power(w.p_l, 1 / w.n_l)
    return (w.u / (1 - P_w) + w.extra) / w.n_w, w.u / (1 - P_l) / w.n_l


def _alpha(w: Any) -> tuple[Any, Any]:
    """AlphaPO: P^-alpha / n, with the mean token probability P = p^(1/n)."""
    return tuple(w.u * power(p, -w.extra / n) / n for p, n in ((w.p_w, w.n_w), (w.p_l, w.n_l)))


def _nca(w: Any) -> tuple[Any, Any]:
    chosen, rejected = _exponentials(w)
    return w.u * (2 - chosen) / (1 + chosen), w.u * rejected / (1 + rejected)


def _bco(w: Any) -> tuple[Any, Any]:
    chosen, rejected = _exponentials(w)
    return w.u / (1 + chosen), w.u * rejected / (1 + rejected)


def _apo_zero(w: Any) -> tuple[Any, Any]:
    return tuple(w.u * _bell(e) for e in _exponentials(w))


def _apo_down(w: Any) -> tuple[Any, Any]:
    chosen, rejected = _exponentials(w)
    apart = _bell(chosen / rejected)
    return w.u * (apart - _bell(chosen)), w.u * apart


def _kto(w: Any) -> tuple[Any, Any]:
    return tuple(w.u * _bell(e / w.extra) for e in _exponentials(w))


def _to_targets(w: Any) -> tuple[Any, Any]:
    return w.u * (w.extra - log(w.r_w)), w.u * (w.extra + log(w.r_l))


def _calibrated(w: Any) -> tuple[Any, Any]:
    chosen, rejected = _to_targets(w)
    logistic = w.u * w.r_l / (w.r_w + w.r_l)
    return 2 * chosen + logistic, 2 * rejected + logistic


def _squared(w: Any) -> tuple[Any, Any]:
    return tuple(w.u * (1 - log(r)) / r for r in (w.r_w, w.r_l))


def _balanced(w: Any) -> tuple[Any, Any]:
    return -w.u * log(w.p_l), -w.u * log(w.p_w)


def _clipped(w: Any, symmetric: bool) -> tuple[Any, bool]:
    """Return the ratio lambda of ma2025 Eq. 26, clipped, and whether it is not clipped."""
    log_odds, lowest = log(w.p_w / w.p_l), 1 / (1 + w.extra) - 1 if symmetric else 0
    if log_odds < lowest:
        return 1 + lowest, False
    return (1 + w.extra, False) if log_odds > w.extra else (1 + log_odds, True)


def _naive(symmetric: bool) -> Callable[[Any], tuple[Any, Any]]:
    return lambda w: (w.u * _clipped(w, symmetric)[0], w.u)


def _naive_v2(symmetric: bool) -> Callable[[Any], tuple[Any, Any]]:
    def weights(w: Any) -> tuple[Any, Any]:
        ratio, inside = _clipped(w, symmetric)
        slope = log(w.r_w) if inside else 0
        return w.u * (ratio + slope), w.u * (1 + slope)

    return weights


EQUAL = "d_w = d_l = u"
TOKENS = "d_w = u / n_w, d_l = u / n_l, lengths n >= 1"
NAIVE = "d_w = lambda u, d_l = u, lambda = 1 + log(p_w / p_l), clipped to "
V2 = "d_w = (lambda + s) u, d_l = (1 + s) u, s = log r_w where lambda is not clipped, else 0; lambda clipped to "
ONE_SIDED, BOTH_SIDES = "[1, 1 + extra]", "[1 / (1 + extra), 1 + extra]"

LOSSES: dict[str, Rule] = {
    "dpo": Rule((), _equal, EQUAL),
    "hinge": Rule((), _equal, f"{EQUAL}, below the margin", " with a margin below that of the loss"),
    "ipo": Rule((), _equal, f"{EQUAL}, below the target", " with a margin below the target"),
    "slic": Rule((), _equal, f"{EQUAL}, below the margin", " with a margin below that of the loss"),
    "tpo": Rule((), _equal, EQUAL),
    "cdpo": Rule((), _equal, f"{EQUAL}, while the loss raises the margin", BELOW),
    "robust": Rule((), _equal, f"{EQUAL}, while the loss raises the margin", BELOW),
    "exo_pair": Rule((), _equal, f"{EQUAL}, while the loss raises the margin", BELOW),
    "discopop": Rule((), _equal, f"{EQUAL}, where the loss raises the margin", " where it raises the margin"),
    "beta_dpo": Rule((), _equal, f"{EQUAL}, whatever the batch, on which u depends"),
    "sft": Rule((), _chosen_only, "d_w = u, d_l = 0"),
    "sft_per_token": Rule((), _chosen_only, "d_w = u, d_l = 0, whatever the batch, on which u depends"),
    "simpo": Rule(LENGTHS, _per_token, TOKENS),
    "dpo_per_token": Rule(LENGTHS, _per_token, TOKENS),
    "ipo_per_token": Rule(LENGTHS, _per_token, f"{TOKENS}, below the target", " with a margin below the target"),
    "self_po": Rule(LENGTHS, _per_token, f"{TOKENS}, below the minimum of the loss", BELOW),
    "self_po_gelu": Rule(LENGTHS, _per_token, f"{TOKENS}, below the minimum of the loss", BELOW),
    "self_po_relu": Rule(LENGTHS, _per_token, f"{TOKENS}, below the target", " with a margin below the target"),
    "self_po_square": Rule(LENGTHS, _per_token, f"{TOKENS}, below the target", " with a margin below the target"),
    "self_po_identity": Rule(LENGTHS, _per_token, TOKENS),
    "dpop": Rule(
        ("extra",),
        lambda w: (w.u * (1 + w.extra) if w.r_w < 1 else w.u, w.u),
        "d_w = u (1 + lambda) while p_w < ref_w, else u; d_l = u; lambda = extra > 0",
    ),
    "dpo_shift": Rule(
        ("extra",),
        lambda w: (w.u, w.u * w.extra / (1 + w.extra)),
        "d_w = u, d_l = s u, with a shift s = extra / (1 + extra) between 0 and 1, extra > 0",
    ),
    "rpo": Rule(
        ("n_w", "extra"),
        lambda w: (w.u + w.extra / w.n_w, w.u),
        "d_w = u + alpha / n_w, d_l = u, alpha = extra > 0, length n_w >= 1",
    ),
    "cpo": Rule(("extra",), _nll, "d_w = u + the weight of the NLL (extra), d_l = u"),
    "f_dpo_forward_kl": Rule((), lambda w: (w.u / w.r_w, w.u / w.r_l), "d = u / r, r = p / ref"),
    "f_dpo": Rule((), lambda w: (w.u / (1 + w.r_w), w.u / (1 + w.r_l)), "d = u / (1 + r): Jensen and Shannon"),
    "chi_po": Rule((), lambda w: (w.u * (1 + w.r_w), w.u * (1 + w.r_l)), "d = u (1 + r)"),
    "squared_po": Rule((), _squared, "d = u (1 - log r) / r, r = p / ref", ANY_SIGN),
    "probability_margin": Rule((), lambda w: (w.u * w.p_w, w.u * w.p_l), "d = u p"),
    "f_dpo_alpha": Rule(
        ("extra",),
        lambda w: (w.u * power(w.r_w, w.extra - 1), w.u * power(w.r_l, w.extra - 1)),
        "d = u r^(alpha - 1), r = p / ref, alpha = extra > 0",
    ),
    "alphapo": Rule(
        (*LENGTHS, "extra"),
        _alpha,
        "d = u P^-alpha / n, P = p^(1/n), lengths n >= 1, alpha = extra > 0",
    ),
    "orpo": Rule(
        (*LENGTHS, "extra"),
        _odds,
        "d_w = (u / (1 - P_w) + the weight of the NLL (extra)) / n_w, d_l = u / (1 - P_l) / n_l, P = p^(1/n)",
    ),
    "bdpo": Rule((), _balanced, "d_w = -u log p_l, d_l = -u log p_w"),
    "naive_bdpo": Rule(("extra",), _naive(False), NAIVE + ONE_SIDED),
    "naive_bdpo_symmetric": Rule(("extra",), _naive(True), NAIVE + BOTH_SIDES),
    "naive_bdpo_v2": Rule(("extra",), _naive_v2(False), V2 + ONE_SIDED, ANY_SIGN),
    "naive_bdpo_v2_symmetric": Rule(("extra",), _naive_v2(True), V2 + BOTH_SIDES, ANY_SIGN),
    "nca_pair": Rule(("beta",), _nca, f"d_w = u (2 - E_w) / (1 + E_w), d_l = u E_l / (1 + E_l), {SIGMOID}", ANY_SIGN),
    "bco_pair": Rule(("beta",), _bco, f"d_w = u / (1 + E_w), d_l = u E_l / (1 + E_l), {SIGMOID}"),
    "apo_zero": Rule(("beta",), _apo_zero, f"d = u E / (1 + E)^2, {SIGMOID}"),
    "apo_down": Rule(
        ("beta",),
        _apo_down,
        f"d_w = u (b(E_w / E_l) - b(E_w)), d_l = u b(E_w / E_l), b(E) = E / (1 + E)^2, {SIGMOID}",
        ANY_SIGN,
    ),
    "kto": Rule(
        ("beta", "extra"),
        _kto,
        f"d = u F / (1 + F)^2, F = E / extra, extra = e^(beta K) > 0 of the baseline K, {SIGMOID}; both weights 1",
    ),
    "sppo_hard": Rule(
        ("extra",),
        _to_targets,
        "d_w = u (t - log r_w), d_l = u (t + log r_l), target t = 1 / (2 beta) = extra > 0",
        ANY_SIGN,
    ),
    "cal_dpo": Rule(
        ("extra",),
        _calibrated,
        "d_w = u (2 (t - log r_w) + s), d_l = u (2 (t + log r_l) + s), s = r_l / (r_w + r_l), "
        "target t = 1 / (2 beta) = extra > 0",
        ANY_SIGN,
    ),
}
"""Losses of ``dynamics`` by name, with the rule for their weights."""

OF_A_BATCH = ("aot", "aot_unpaired")
"""Losses that couple the responses of different pairs: their weights depend on the rewards of the whole batch."""
