"""Other functions of DPO's margin: cDPO, robust and EXO, which allow for wrong labels, and DiscoPOP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dynamics.errors import check_positive
from dynamics.losses.base import LogRatioLoss, Scalar
from dynamics.losses.standard import SmoothedLogisticLoss, check_smoothing


@dataclass(frozen=True)
class ConservativeDPO(SmoothedLogisticLoss, LogRatioLoss):
    """Conservative DPO (cDPO): DPO when a fraction e of the labels is wrong; minimal where sigma(z) = 1 - e.

    TRL 1.16 ignores ``label_smoothing`` where loss_type is 'sigmoid'; its 'aot' on a batch of one pair is this loss.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        label_smoothing: assumed fraction of wrong labels, from 0 (DPO) to below 1/2.

    Example:
        >>> ConservativeDPO(beta=1.0, label_smoothing=0.25)(chosen=-1.0, rejected=-2.0)
        tensor(0.5633, dtype=torch.float64)
    """

    label_smoothing: Scalar = 0.1

    formula: ClassVar[str] = r"-(1-\epsilon)\log\sigma(z)-\epsilon\log\sigma(-z)"
    source: ClassVar[str] = "Mitchell 2023 (a note on DPO with noisy preferences), Eq. 3, as public code quotes it"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_smoothing(self.label_smoothing)


@dataclass(frozen=True)
class RobustDPO(LogRatioLoss):
    """Robust DPO: an unbiased estimate of DPO's loss from labels of which a fraction e is wrong.

    It has no lower bound if e > 0: its slope tends to -e / (1 - 2e) as the margin grows.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        label_smoothing: fraction of wrong labels, from 0 (DPO) to below 1/2.

    Example:
        >>> RobustDPO(beta=1.0, label_smoothing=0.1)(chosen=0.0, rejected=-100.0)
        tensor(-12.5000, dtype=torch.float64)
    """

    label_smoothing: Scalar = 0.1

    formula: ClassVar[str] = r"\frac{-(1-\epsilon)\log\sigma(z)+\epsilon\log\sigma(-z)}{1-2\epsilon}"
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'robust'; Ray Chowdhury et al. 2024, which was not read"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_smoothing(self.label_smoothing)

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return [(1 - e) softplus(-z) - e softplus(z)] / (1 - 2e)."""
        share = self.label_smoothing
        return (-(1 - share) * logsigmoid(margin) + share * logsigmoid(-margin)) / (1 - 2 * share)

    def derivative(self, margin: Tensor) -> Tensor:
        """Return -[(1 - e) sigma(-z) + e sigma(z)] / (1 - 2e), below 0 everywhere."""
        share = self.label_smoothing
        return -((1 - share) * torch.sigmoid(-margin) + share * torch.sigmoid(margin)) / (1 - 2 * share)


@dataclass(frozen=True)
class EXO(LogRatioLoss):
    """Exact optimization on pairs: KL(prediction || smoothed label), the reverse of cDPO's divergence.

    Its minimum, 0, is at the margin log((1 - e) / e).

    Args:
        beta: strength of the regularization towards the reference, > 0.
        label_smoothing: assumed fraction of wrong labels, above 0 and below 1/2. The loss is undefined at TRL's
            default, 0; TRL recommends 1e-3.

    Example:
        >>> EXO(beta=1.0, label_smoothing=0.25)(chosen=-1.0, rejected=-1.0)
        tensor(0.1438, dtype=torch.float64)
    """

    label_smoothing: Scalar = 1e-3

    formula: ClassVar[str] = r"\sigma(z)\log\frac{\sigma(z)}{1-\epsilon}+\sigma(-z)\log\frac{\sigma(-z)}{\epsilon}"
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'exo_pair'; Ji et al. 2024, Eq. 16, which was not read"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_smoothing(self.label_smoothing)
        check_positive("label_smoothing", self.label_smoothing)

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return KL((sigma(z), sigma(-z)) || (1 - e, e))."""
        share = torch.as_tensor(self.label_smoothing, dtype=margin.dtype, device=margin.device)
        right = torch.sigmoid(margin) * (logsigmoid(margin) - torch.log1p(-share))
        return right + torch.sigmoid(-margin) * (logsigmoid(-margin) - torch.log(share))

    def derivative(self, margin: Tensor) -> Tensor:
        """Return sigma(z) sigma(-z) (z - log((1 - e) / e))."""
        share = torch.as_tensor(self.label_smoothing, dtype=margin.dtype, device=margin.device)
        return torch.sigmoid(margin) * torch.sigmoid(-margin) * (margin - torch.log1p(-share) + torch.log(share))


@dataclass(frozen=True)
class DiscoPOP(LogRatioLoss):
    """DiscoPOP, a blend of the logistic and the exponential loss that was found by a search with a language model.

    It is not a decreasing function of the margin everywhere. Its slope at z = 0, where training begins, is
    (1 - log 2) / (4 tau) - 3/4: 0.784 at the default, so that the first step *lowers* the margin, towards a local
    minimum at z = -0.119. The slope there is negative only for tau above (1 - log 2) / 3 = 0.102.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        tau: width of the blend, > 0.

    Example:
        >>> import torch
        >>> DiscoPOP().derivative(torch.tensor(0.0))
        tensor(0.7843)
    """

    tau: Scalar = 0.05

    formula: ClassVar[str] = r"-(1-m)\log\sigma(z)+m\,e^{-z},\quad m=\sigma(z/\tau)"
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'discopop'; Lu et al. 2024, Eq. 5, which was not read"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("tau", self.tau)

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return -(1 - m) log sigma(z) + m e^-z, m = sigma(z / tau); m e^-z in one exponent, so it cannot overflow."""
        share = torch.sigmoid(-margin / self.tau)
        return -share * logsigmoid(margin) + torch.exp(logsigmoid(margin / self.tau) - margin)

    def derivative(self, margin: Tensor) -> Tensor:
        """Return -(1 - m) sigma(-z) + m' log sigma(z) + (m' - m) e^-z, m = sigma(z / tau), m' = m (1 - m) / tau."""
        m, rest = torch.sigmoid(margin / self.tau), torch.sigmoid(-margin / self.tau)
        decayed = torch.exp(logsigmoid(margin / self.tau) - margin)
        blend = m * rest / self.tau * logsigmoid(margin)
        return blend - rest * torch.sigmoid(-margin) + decayed * (rest / self.tau - 1)
