"""The balanced losses of ma2025: naive bDPO, its second version, bDPO, and the loss of pi_w - pi_l itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynamics.errors import check_flag, check_nonnegative, check_positive
from dynamics.losses.base import LogRatioLoss, PairLogProbs, Partials, Scalar
from dynamics.losses.standard import LogisticLoss


def imbalance_ratio(pair: PairLogProbs, clip: Scalar, *, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Return the clipped ratio lambda of ma2025 Eq. 26, and 1 where it is not clipped, 0 where it is.

    Args:
        pair: log-probabilities in nats.
        clip: how far lambda may rise above 1, >= 0.
        symmetric: let lambda fall to 1 / (1 + clip) as well; otherwise it stays at 1 or above.

    Example:
        >>> from dynamics.losses import pair_log_probs
        >>> imbalance_ratio(pair_log_probs(-1.0, -1.25), clip=0.5, symmetric=False)
        (tensor(1.2500, dtype=torch.float64), tensor(1., dtype=torch.float64))
    """
    log_odds = pair.chosen - pair.rejected
    upper = clip * torch.ones_like(log_odds)
    lower = 1 / (1 + upper) - 1 if symmetric else torch.zeros_like(log_odds)
    inside = (log_odds >= lower) & (log_odds <= upper)  # autograd's clamp counts the ends as inside, too
    return 1 + torch.clamp(log_odds, lower, upper), inside.to(log_odds.dtype)


@dataclass(frozen=True)
class NaiveBDPO(LogisticLoss, LogRatioLoss):
    """Naive balanced DPO: the value of DPO, with the gradient of the chosen response multiplied by lambda.

    The step is therefore that of DPO plus (lambda - 1) beta urgency times an SFT step on the chosen response.
    Whether lambda is differentiated makes no difference: the terms with its derivative cancel.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        clip: how far lambda may rise above 1, >= 0.
        symmetric: let lambda fall below 1 as well.

    Example:
        >>> from dynamics import DPO
        >>> NaiveBDPO(beta=0.5)(-1.0, -3.0, -1.0, -1.0) == DPO(beta=0.5)(-1.0, -3.0, -1.0, -1.0)
        tensor(True)
    """

    clip: Scalar = 0.5
    symmetric: bool = False

    formula: ClassVar[str] = (
        r"-\log\sigma\left(\beta\lambda\log\frac{\pi_w}{ref_w}-\beta\log\frac{\pi_l}{ref_l}"
        r"-\beta(\lambda-1)\,\mathrm{sg}\log\frac{\pi_w}{ref_w}\right)"
    )
    source: ClassVar[str] = "ma2025 Eqs. 25 (bracket mended) and 26"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_nonnegative("clip", self.clip)
        check_flag("symmetric", self.symmetric)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return DPO's margin, written so that autograd multiplies the gradient of the chosen response by lambda."""
        ratio = imbalance_ratio(pair, self.clip, symmetric=self.symmetric)[0].detach()
        gain = pair.chosen - pair.reference_chosen
        return self.beta * (pair.log_ratio + (ratio - 1) * (gain - gain.detach()))

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta lambda, -beta)."""
        ratio, _ = imbalance_ratio(pair, self.clip, symmetric=self.symmetric)
        return Partials(self.beta * ratio, -self.beta * torch.ones_like(ratio))


@dataclass(frozen=True)
class NaiveBDPOv2(LogisticLoss, LogRatioLoss):
    """Naive balanced DPO, version 2: without the term that kept the value of DPO, so that value and optimum change.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        clip: how far lambda may rise above 1, >= 0.
        symmetric: let lambda fall below 1 as well.
        detach: treat lambda as a constant. As printed it is differentiated, which adds a term to the gradient wherever
            lambda is not clipped.

    Example:
        >>> NaiveBDPOv2(beta=1.0)(-1.0, -3.0, -2.0, -2.0)
        tensor(0.0789, dtype=torch.float64)
    """

    clip: Scalar = 0.5
    symmetric: bool = False
    detach: bool = False

    formula: ClassVar[str] = r"-\log\sigma\left(\beta\lambda\log\frac{\pi_w}{ref_w}-\beta\log\frac{\pi_l}{ref_l}\right)"
    source: ClassVar[str] = "ma2025 Eqs. 26 and 27"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_nonnegative("clip", self.clip)
        check_flag("symmetric", self.symmetric)
        check_flag("detach", self.detach)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta [lambda log(pi_w / ref_w) - log(pi_l / ref_l)]."""
        ratio, _ = imbalance_ratio(pair, self.clip, symmetric=self.symmetric)
        ratio = ratio.detach() if self.detach else ratio
        return self.beta * (pair.log_ratio + (ratio - 1) * (pair.chosen - pair.reference_chosen))

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta lambda, -beta), plus the derivatives of lambda where it is not clipped."""
        ratio, slope = imbalance_ratio(pair, self.clip, symmetric=self.symmetric)
        extra = torch.zeros_like(slope) if self.detach else slope * (pair.chosen - pair.reference_chosen)
        return Partials(self.beta * (ratio + extra), -self.beta * (1 + extra))


@dataclass(frozen=True)
class BDPO(LogisticLoss, LogRatioLoss):
    """Balanced DPO: chosen and rejected weighted by lambda_w = log pi_l / (log pi_w + log pi_l) and 1 - lambda_w.

    Its margin equals beta (log pi_w log ref_l - log pi_l log ref_w) / (log pi_w + log pi_l): it depends on the policy
    through log pi_l / log pi_w alone and is bounded, and its effective beta is about half of ``beta``.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        detach: treat lambda_w as a constant.

    Example:
        >>> from dynamics.losses import pair_log_probs
        >>> BDPO(beta=1.0).margin(pair_log_probs(-1.0, -3.0, -2.0, -2.0))
        tensor(1., dtype=torch.float64)
    """

    detach: bool = False

    formula: ClassVar[str] = (
        r"-\log\sigma\left(\beta\lambda_w\log\frac{\pi_w}{ref_w}-\beta(1-\lambda_w)\log\frac{\pi_l}{ref_l}\right)"
    )
    source: ClassVar[str] = "ma2025 Eqs. 28 and 29"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("detach", self.detach)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta [lambda_w log(pi_w / ref_w) - (1 - lambda_w) log(pi_l / ref_l)]."""
        total = pair.chosen + pair.rejected
        share, rest = pair.rejected / total, pair.chosen / total  # 1 - share would lose its digits near share = 1
        if self.detach:
            share, rest = share.detach(), rest.detach()
        return self.beta * (
            share * (pair.chosen - pair.reference_chosen) - rest * (pair.rejected - pair.reference_rejected)
        )

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return the derivatives of the margin with respect to log pi_w and log pi_l.

        Without ``detach`` they include the derivatives of lambda_w, which amounts to a factor
        (log ref_w + log ref_l) / (log pi_w + log pi_l).
        """
        total = pair.chosen + pair.rejected
        common = 1.0 if self.detach else (pair.reference_chosen + pair.reference_rejected) / total
        return Partials(self.beta * common * pair.rejected / total, -self.beta * common * pair.chosen / total)


@dataclass(frozen=True)
class ProbabilityMargin(LogisticLoss):
    """The balanced loss of ma2025 Theorem 2: logistic in C (pi_w - pi_l), probabilities instead of logarithms.

    For a tabular softmax, whose parameters are its logits, a step on all pairs is a policy-gradient step whose reward
    is the fitness of a response (ma2025 Lemma 2; ``toy_models.gaussian_preferences.fitness``).

    Args:
        scale: the constant C, > 0.

    Example:
        >>> ProbabilityMargin()(chosen=-0.5, rejected=-0.5)
        tensor(0.6931, dtype=torch.float64)
    """

    scale: Scalar = 1.0

    formula: ClassVar[str] = r"-\log\sigma\left(C(\pi_w-\pi_l)\right)"
    source: ClassVar[str] = "ma2025 Eq. 11 (the form f = C (pi_w - pi_l) that its balance condition forces)"

    def __post_init__(self) -> None:
        check_positive("scale", self.scale)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return C (pi_w - pi_l)."""
        return self.scale * (pair.chosen.exp() - pair.rejected.exp())

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (C pi_w, -C pi_l)."""
        return Partials(self.scale * pair.chosen.exp(), -self.scale * pair.rejected.exp())
