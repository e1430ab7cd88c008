"""Our losses against TRL's own numbers: ``python tests/dynamics/trl_agreement.py`` writes the table of agreement.

TRL's trainers are built, given 64 rows and asked for the loss of one batch and its gradient, on a random model of a
few thousand float64 parameters. Our side takes the batch's token ids, reads log-probabilities from a plain forward of
the same weights, and asks our loss for value and partials. DPOTrainer and KTOTrainer compute log-probabilities in a
kernel that accumulates in float32, whatever the model; for the comparison that kernel, and nothing else, is replaced by
the same quantities in float64 (``WideHead``). Each is also run untouched.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # run as a script
    sys.path.insert(0, str(ROOT))

import numpy as np
import torch
from torch import Tensor

import dynamics.losses as ours
from dynamics.files import write_atomically
from dynamics.losses import LengthDesensitized, PairLogProbs, SFTPerToken, TokenLogProbs
from tests.dynamics.trl_trainers import ROWS, Sequences, WideHead, World, read, silence, trainer_of, world

PAGE = ROOT / "dynamics" / "losses" / "README.md"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        trainer: "DPO", "CPO", "ORPO", "TPO" or "KTO".
        settings: of TRL's configuration.
        loss: our loss, as an expression in the names of ``dynamics.losses``.
        extra: what TRL adds that is no loss of the pair: a key of ``EXTRAS``, and its weight.
        factor: TRL's number is this times ours.
        tolerance: largest relative difference of value and gradient.
        raises: TRL's error, where it has no number in float64.
        without_reference: our loss is given 0 as every log-probability under the reference.
        note: which side differs, and why.
    """

    trainer: str
    settings: dict[str, Any]
    loss: str
    extra: tuple[str, float] | None = None
    factor: float = 1.0
    tolerance: float = 1e-10
    raises: type[Exception] | None = None
    without_reference: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """Return TRL's settings in words."""
        return f"{self.trainer}: " + (", ".join(f"{k}={v!r}" for k, v in self.settings.items()) or "defaults")


FLOAT32 = "TRL computes the odds ratio in float32"
TABLE = [
    Row("DPO", {"loss_type": "sigmoid"}, "DPO(beta=0.1)"),
    Row(
        "DPO",
        {"loss_type": "sigmoid", "label_smoothing": 0.1},
        "DPO(beta=0.1)",
        note="TRL ignores it",
    ),
    Row("DPO", {"loss_type": "hinge"}, "Hinge(beta=0.1)"),
    Row("DPO", {"loss_type": "ipo"}, "IPOPerToken(beta=0.1)", note="per token; `IPO` is the paper's sum"),
    Row(
        "DPO",
        {"loss_type": "exo_pair", "label_smoothing": 1e-3},
        "EXO(beta=0.1, label_smoothing=1e-3)",
        tolerance=1e-6,
        note="TRL takes the logarithms of the smoothed label in float32",
    ),
    Row("DPO", {"loss_type": "nca_pair"}, "NCAPair(beta=0.1)"),
    Row("DPO", {"loss_type": "robust", "label_smoothing": 0.1}, "RobustDPO(beta=0.1, label_smoothing=0.1)"),
    Row("DPO", {"loss_type": "bco_pair"}, "BCOPair(beta=0.1)"),
    Row("DPO", {"loss_type": "sppo_hard"}, "SPPOHard(beta=0.1)"),
    Row("DPO", {"loss_type": "aot"}, "AOT(beta=0.1)"),
    Row("DPO", {"loss_type": "aot", "label_smoothing": 0.1}, "AOT(beta=0.1, label_smoothing=0.1)"),
    Row("DPO", {"loss_type": "aot_unpaired"}, "AOTUnpaired(beta=0.1)"),
    Row("DPO", {"loss_type": "apo_zero"}, "APOZero(beta=0.1)"),
    Row("DPO", {"loss_type": "apo_down"}, "APODown(beta=0.1)"),
    Row("DPO", {"loss_type": "discopop"}, "DiscoPOP(beta=0.1, tau=0.05)"),
    Row("DPO", {"loss_type": "sft"}, "SFTPerToken()", note="per token of the batch; `SFT` is the sum"),
    Row("DPO", {"loss_type": "sigmoid_norm"}, "DPOPerToken(beta=0.1)"),
    Row(
        "DPO",
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]},
        "DPO(beta=0.1) + 0.5 * SFTPerToken()",
    ),
    Row("DPO", {"f_divergence_type": "forward_kl"}, 'FDPO(beta=0.1, divergence="forward_kl")'),
    Row("DPO", {"f_divergence_type": "js_divergence"}, 'FDPO(beta=0.1, divergence="js_divergence")'),
    Row(
        "DPO",
        {"loss_type": "ipo", "f_divergence_type": "js_divergence"},
        'WithDivergence(IPOPerToken(beta=0.1), "js_divergence")',
    ),
    Row(
        "DPO",
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.3},
        'FDPO(beta=0.1, divergence="alpha_divergence", alpha=0.3)',
        raises=KeyError,
        note="TRL has no float64 here: KeyError",
    ),
    Row("DPO", {"ld_alpha": 0.5}, "LengthDesensitized(DPO(beta=0.1), alpha=0.5)"),
    Row("CPO", {"loss_type": "sigmoid", "cpo_alpha": 0.0}, "CPO(beta=0.1, sft_weight=0.0)"),
    Row("CPO", {"loss_type": "sigmoid"}, "CPO(beta=0.1, sft_weight=0.0) + SFTPerToken()", note="cpo_alpha=1"),
    Row("CPO", {"loss_type": "hinge", "cpo_alpha": 0.0}, "0.1 * SLiC(delta=10.0)"),
    Row("CPO", {"loss_type": "ipo", "cpo_alpha": 0.0}, "IPOPerToken(beta=0.1)", without_reference=True),
    Row("CPO", {"loss_type": "simpo", "cpo_alpha": 0.0}, "SimPO(beta=0.1, gamma=0.5)"),
    Row(
        "CPO",
        {"loss_type": "simpo", "label_smoothing": 0.1},
        "SimPO(beta=0.1, gamma=0.5, label_smoothing=0.1) + SFTPerToken()",
        note="cpo_alpha=1, so that it is no SimPO",
    ),
    Row("CPO", {"loss_type": "alphapo", "alpha": 0.25}, "AlphaPO(beta=0.1, gamma=0.5, alpha=0.25)"),
    Row("CPO", {"loss_type": "alphapo"}, "SimPO(beta=0.1, gamma=0.5)", note="alpha is 0 until it is given"),
    Row("ORPO", {}, "ORPO(beta=0.1, sft_weight=0.0)", ("prompt and chosen", 1.0), tolerance=1e-5, note=FLOAT32),
    Row("TPO", {}, "TPO(beta=0.01)", ("gold", 1.0)),
    Row("TPO", {"loss_type": "tpo-l"}, "SimPO(beta=0.01, gamma=0.5)", ("gold", 1.0)),
    Row("TPO", {"loss_type": "hinge", "tpo_alpha": 0.0}, "0.01 * SLiC(delta=100.0)"),
    Row("TPO", {"loss_type": "ipo", "tpo_alpha": 0.0}, "IPOPerToken(beta=0.01)", without_reference=True),
    Row("TPO", {"tpo_alpha": 0.0, "label_smoothing": 0.1}, "TPO(beta=0.01, label_smoothing=0.1)"),
    Row("KTO", {}, "KTO(beta=0.1, baseline=K)", factor=0.5, note="over examples; K = `kto_baseline`"),
    Row("KTO", {"loss_type": "apo_zero_unpaired"}, "APOZero(beta=0.1)", factor=0.5, note="over examples, not pairs"),
]


def extra_term(kind: str, here: dict[str, Sequences]) -> PairLogProbs:
    """Return what TRL's additional likelihood is taken over, as the chosen responses of a batch."""
    if kind == "gold":
        total, length = here["gold"].total, here["gold"].length
    else:  # prompt and chosen response: every token that is no padding, but the first
        seen = here["chosen"].attention
        total, length = torch.where(seen, here["chosen"].tokens, 0.0).sum(-1), seen.sum(-1).to(torch.float64)
    zero = torch.zeros_like(total)
    return PairLogProbs(total, zero, zero, zero, length, torch.ones_like(length))


def shifted(side: Sequences) -> Tensor:
    """Return the response's token log-probabilities at the beginning of their row."""
    order = torch.argsort((~side.response).to(torch.int8), dim=-1, stable=True)
    return torch.where(side.response, side.tokens, 0.0).gather(-1, order)


def our_loss(row: Row, here: dict[str, Sequences], there: dict[str, Sequences]) -> tuple[Tensor, Tensor]:
    """Return our value of the batch, and a scalar whose gradient is our partials pulled back to the parameters."""
    w, r = here["chosen"], here["rejected"]
    with torch.no_grad():
        ref_w, ref_r = (there[side] for side in ("chosen", "rejected"))
        pair = PairLogProbs(w.total, r.total, ref_w.total, ref_r.total, w.length, r.length)
        if row.without_reference:
            pair = pair._replace(reference_chosen=torch.zeros(ROWS), reference_rejected=torch.zeros(ROWS))
        names = {name: getattr(ours, name) for name in ours.__all__}
        if "mismatched" in here:
            names["K"] = float(ours.kto_baseline(here["mismatched"].total, there["mismatched"].total))
        loss = eval(row.loss, names)
    if isinstance(loss, LengthDesensitized):
        tokens = TokenLogProbs(*(shifted(s) for s in (w, r, ref_w, ref_r)), w.length, r.length)
        value, slopes = loss.value(tokens).mean(), loss.partials(TokenLogProbs(*(v.detach() for v in tokens)))
        pulled = ((slopes.chosen * tokens.chosen).sum() + (slopes.rejected * tokens.rejected).sum()) / ROWS
        return value.detach(), pulled
    value, slopes = loss.value(pair).mean(), loss.partials(pair)
    pulled = ((slopes.chosen * w.total).sum() + (slopes.rejected * r.total).sum()) / ROWS
    if row.extra is not None:
        kind, weight = row.extra
        live = extra_term(kind, here)
        frozen = PairLogProbs(*(v.detach() for v in live))
        value = value + weight * SFTPerToken().value(frozen).mean()
        pulled = pulled + weight * (SFTPerToken().partials(frozen).chosen * live.chosen).sum() / ROWS
    return row.factor * value, row.factor * pulled


# ---------------------------------------------------------------- the comparison


@dataclass(frozen=True)
class Agreement:
    """Relative differences between TRL and us; NaN where TRL has no number.

    Attributes:
        value: of the loss of the batch.
        gradient: largest difference over the parameters, relative to the largest entry.
        untouched: of the value, with TRL's float32 kernel.
    """

    value: float
    gradient: float
    untouched: float


def gradient_of(scalar: Tensor, model: Any) -> Tensor:
    """Return the gradient with respect to all parameters, in one row."""
    parts = torch.autograd.grad(scalar, list(model.parameters()), materialize_grads=True, allow_unused=True)
    return torch.cat([part.flatten() for part in parts]).to(torch.float64)


def compare(row: Row, made: World, *, untouched: bool = True, control: str | None = None) -> Agreement:
    """Run TRL and ourselves on one batch.

    Args:
        row: the settings.
        made: rows and models.
        untouched: run TRL as it comes, too.
        control: another loss of ours in place of the row's.
    """
    asked = row if control is None else dataclasses.replace(row, loss=control)
    with silence(), tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(row.trainer, row.settings, made, folder)
        batch = dict(next(iter(trainer.get_train_dataloader())))
        here = read(made.policy, batch, row.trainer)
        with torch.no_grad():
            there = read(made.reference, batch, row.trainer)
            plain = float(trainer.compute_loss(trainer.model, batch)) if untouched else np.nan
        value, pulled = our_loss(asked, here, there)
        with patch("trl.trainer.utils._ChunkedLogProbFunction", WideHead):
            theirs = trainer.compute_loss(trainer.model, batch) if row.raises is None else None
        off = abs(plain - float(value)) / abs(plain)
        if theirs is None:
            return Agreement(np.nan, np.nan, off)
        want, got = gradient_of(theirs, made.policy), gradient_of(pulled, made.policy)
    total = float(theirs.detach())
    return Agreement(abs(total - float(value)) / abs(total), float((want - got).abs().max() / want.abs().max()), off)


HEAD = """| TRL 1.16 | here | agreement | remark |
|---|---|---|---|
"""
BEGIN, END = "<!-- agreement: python tests/dynamics/trl_agreement.py -->\n", "<!-- end of agreement -->\n"


def table() -> str:
    """Return the table of the page: what each line is held to, which the test measures."""
    lines = []
    for row in TABLE:
        held = "1e-4, float32" if row.raises else f"{row.tolerance:.0e}".replace("e-0", "e-")
        factor = "" if row.factor == 1 else f"{row.factor:g} x "
        extra = "" if row.extra is None else f" + {row.extra[1]:g} x SFTPerToken() of {row.extra[0]}"
        extra += " with reference 0" if row.without_reference else ""
        lines.append(f"| {row.name} | `{factor}{row.loss}{extra}` | {held} | {row.note} |")
    return HEAD + "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the table into the page."""
    made = world()
    for row in TABLE:
        found = compare(row, made)
        print(f"{row.name}: value {found.value:.1e}, gradient {found.gradient:.1e}, untouched {found.untouched:.1e}")
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    text = before + BEGIN + "\n" + table() + "\n" + END + after
    write_atomically(PAGE, lambda temporary: temporary.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main()
