"""The kernel of a model's responses to a question, the drives of some pairs, and one step: predicted and actual."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from rich.console import Group
from rich.markup import escape

from dynamics import DPO
from dynamics.errors import InvalidArgument, check_count, check_positive
from dynamics.language_model import (
    SequenceKernel,
    TokenSequence,
    model_step,
    sequence_kernel,
    sequence_log_probs,
)
from dynamics.language_model.kernel.memory import free_bytes
from dynamics.language_model.precision import ROUNDING
from dynamics.language_model.prediction.model_step import StepChange
from dynamics.losses import pair_log_probs
from dynamics.scores import chosen_slope
from toy_models.multiplication.report import plain_table
from toy_models.multiplication.survey import PairRule, Survey, select_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class KernelSettings:
    """Which responses, and which step.

    Attributes:
        rule: which responses are chosen and which rejected.
        pair: instead, the texts of one chosen and one rejected response, which must be among those surveyed.
        responses: number of responses in the kernel: the pairs, y*, and the most probable others.
        beta: of DPO; the model is its own reference.
        learning_rate: of one plain gradient step on all pairs.
        dtype: "float64" or "float32".
    """

    rule: PairRule = field(default_factory=PairRule)
    pair: tuple[str, str] | None = None
    responses: int = 20
    beta: float = 0.1
    learning_rate: float = 1e-7
    dtype: Literal["float64", "float32"] = "float64"

    def __post_init__(self) -> None:
        check_count("responses", self.responses)
        check_positive("beta", self.beta)
        check_positive("learning_rate", self.learning_rate)
        if self.dtype not in ("float64", "float32"):
            raise InvalidArgument("dtype", self.dtype, "float64 or float32")


@dataclass(frozen=True, eq=False)
class ResponseKernel:
    """The kernel of some responses and one step.

    Attributes:
        settings: as given.
        texts: the responses.
        roles: of each: "chosen", "rejected", "y*" or "other".
        correct: whether it is right, ``(responses,)``.
        kernel: the inner products of their scores.
        step: the change of log pi in one step on all pairs, predicted and actual.
        drive: A_y = <g_y, g_w - g_l> for every pair and response, ``(pairs, responses)``, from the kernel.
        displaced: whether a small step on each pair alone lowers log pi(chosen), ``(pairs,)``, from the kernel.
        seconds: wall time of the whole computation.
        peak_bytes: on a GPU the most memory in use; None elsewhere.
    """

    settings: KernelSettings
    texts: tuple[str, ...]
    roles: tuple[str, ...]
    correct: np.ndarray
    kernel: SequenceKernel
    step: StepChange
    drive: torch.Tensor
    displaced: torch.Tensor
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True)
class Cost:
    """What the kernel and the step will need, roughly.

    Attributes:
        seconds: of all passes, extrapolated from one forward pass.
        needed: bytes, the model included.
        free: bytes that are free now, those of the loaded model counted in.
    """

    seconds: float
    needed: int
    free: int

    def __str__(self) -> str:
        """Return both in a sentence."""
        minutes = f"{self.seconds / 60:.0f} minutes" if self.seconds > 90 else f"{self.seconds:.0f} seconds"
        return f"about {minutes} and {self.needed / 1e9:.1f} GB ({self.free / 1e9:.1f} GB are there)"


PASSES = 12
"""Forward passes whose time the kernel (3 and its products), the gradient (3), log pi before and after (2) and the
derivative along the step (2) take together, with room for the rest."""
COPIES = {"float32": 4, "float64": 5}
"""Copies of the parameters at once: the model, in float64 a converted one, the gradient, the change, and the changed
parameters."""


def select_responses(surveyed: Survey, settings: KernelSettings) -> tuple[tuple[int, ...], int]:
    """Return the places of the responses in the survey, chosen and rejected ones first, and the number of pairs.

    Raises:
        InvalidArgument: too few correct or incorrect responses, or a text of the pair that was not surveyed.
    """
    if settings.pair is None:
        chosen, rejected = (tuple(map(int, side)) for side in select_pairs(surveyed, settings.rule))
    else:
        missing = [text for text in settings.pair if text not in surveyed.texts]
        if missing:
            raise InvalidArgument(
                "pair", f"the tokenizer cannot encode and decode {missing[0]!r} unchanged; use another text"
            )
        chosen, rejected = ((surveyed.texts.index(text),) for text in settings.pair)
    first = list(dict.fromkeys([*chosen, *rejected, surveyed.y_star]))
    others = [place for place in range(len(surveyed.responses)) if place not in first]
    return (*first, *others[: max(0, settings.responses - len(first))]), len(chosen)


def expect_cost(model: PreTrainedModel, sequences: tuple[TokenSequence, ...], settings: KernelSettings) -> Cost:
    """Time one forward pass and count bytes, before any long computation begins.

    Args:
        model: the model.
        sequences: the responses with their prompt.
        settings: of the kernel.
    """
    dtype = getattr(torch, settings.dtype)
    sequence_log_probs(model, sequences[:1], dtype=dtype)  # what is loaded once does not count
    begun = time.perf_counter()
    sequence_log_probs(model, sequences[:2], dtype=dtype).total.cpu()
    tokens = [len(sequence.ids) for sequence in sequences]
    seconds = (time.perf_counter() - begun) * PASSES * sum(tokens) / sum(tokens[:2])
    parameters = sum(p.numel() for p in model.parameters())
    size = {"float32": 4, "float64": 8}[settings.dtype]
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    free = free_bytes(next(model.parameters()).device) + held
    copies = held + (COPIES[settings.dtype] - 1) * size * parameters
    width = int(getattr(model.config, "hidden_size", 0))
    layers = int(getattr(model.config, "num_hidden_layers", 1))
    return Cost(seconds, copies + 40 * sum(tokens) * width * layers * size, free)


def dtype_that_fits(model: PreTrainedModel) -> Literal["float64", "float32"]:
    """Return float64 if the copies of the parameters that a step needs would fit into the free memory, else float32."""
    parameters = sum(p.numel() for p in model.parameters())
    free = free_bytes(next(model.parameters()).device)
    return "float64" if 1.5 * 8 * COPIES["float64"] * parameters < free else "float32"


def measure_kernel(
    model: PreTrainedModel,
    surveyed: Survey,
    settings: KernelSettings,
    before: Callable[[Cost], None] | None = None,
) -> ResponseKernel:
    """Compute the kernel of the responses of a survey, the drives of its pairs and one step on them.

    Args:
        model: the model of the survey; it is left as it is.
        surveyed: its responses.
        settings: which of them, and which step.
        before: called with what this will need, before it begins.

    Raises:
        InvalidArgument: too few correct or incorrect responses.
        OutOfMemory: it does not fit into memory.

    Example:
        >>> from functools import partial
        >>> from toy_models.multiplication.corpus import ask
        >>> from toy_models.multiplication.shipped import PINNED, QUESTION, answers, load_checkpoint
        >>> from toy_models.multiplication.survey import SurveySettings, survey
        >>> model, tokenizer = load_checkpoint()
        >>> few = SurveySettings(samples=50)
        >>> found = survey(model, tokenizer, ask(QUESTION), partial(answers, 132), few, PINNED.named)
        >>> result = measure_kernel(model, found, KernelSettings(PINNED, responses=12))
        >>> result.roles.count("chosen"), result.kernel.kernel.shape
        (5, torch.Size([12, 12]))
    """
    places, pairs = select_responses(surveyed, settings)
    everything = surveyed.sequences
    sequences = tuple(everything[place] for place in places)
    if before is not None:
        before(expect_cost(model, sequences, settings))
    cuda = next(model.parameters()).device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    kernel = sequence_kernel(model, sequences, dtype=getattr(torch, settings.dtype))
    chosen, rejected, loss = list(range(pairs)), list(range(pairs, 2 * pairs)), DPO(beta=settings.beta)
    how = {"loss": loss, "learning_rate": settings.learning_rate, "dtype": getattr(torch, settings.dtype)}
    step = model_step(model, sequences, chosen, rejected, kernel=False, **how)
    drive = (kernel.kernel[:, chosen] - kernel.kernel[:, rejected]).T
    ww, wl, ll = (kernel.kernel[one, other] for one, other in ((chosen, chosen), (chosen, rejected), (rejected,) * 2))
    own = pair_log_probs(kernel.log_probs[chosen], kernel.log_probs[rejected])
    displaced = chosen_slope(loss, own, ww, wl, ll, ROUNDING[kernel.dtype]) < 0
    named = ["chosen"] * pairs + ["rejected"] * pairs
    roles = (*named, *("y*" if place == surveyed.y_star else "other" for place in places[len(named) :]))
    texts = tuple(surveyed.texts[place] for place in places)
    peak = torch.cuda.max_memory_allocated() if cuda else None
    return ResponseKernel(
        settings,
        texts,
        roles,
        surveyed.correct[list(places)],
        kernel,
        step,
        drive,
        displaced,
        time.perf_counter() - begun,
        peak,
    )


def write_kernel(result: ResponseKernel) -> Group:
    """Return the report, as texts and a table."""
    step, settings = result.step, result.settings
    predicted, actual = step.predicted_log_change.numpy(), step.actual_log_change.numpy()
    table = plain_table("response", "role", "log pi", "|g|", "change predicted", "change actual")
    norms = result.kernel.norms().numpy()
    for n, (text, role) in enumerate(zip(result.texts, result.roles, strict=True)):
        told = f"{role}, right" if result.correct[n] and role != "chosen" else role
        numbers = (f"{float(step.log_probs[n]):.3f}", f"{norms[n]:.3g}", f"{predicted[n]:+.3e}", f"{actual[n]:+.3e}")
        table.add_row(escape(repr(text)), told, *numbers)
    same = int((np.sign(predicted) == np.sign(actual)).sum())
    error = float(np.abs(predicted - actual).max() / np.abs(actual).max())
    lowered = int(result.displaced.sum())
    count = len(result.displaced)
    return Group(
        f"DPO (beta {settings.beta:g}) on {count} pairs at once, one plain gradient step, "
        f"learning rate {settings.learning_rate:g}, {settings.dtype}",
        "",
        table,
        "",
        f"A step on its own pair would lower the chosen response of {lowered} of the {count} pairs.",
        f"The predicted change has the sign of the actual one for {same} of {len(predicted)} responses; the largest "
        f"difference is {error:.1e} of the largest change.",
        f"This took {result.seconds:.1f} s"
        + ("." if result.peak_bytes is None else f" and {result.peak_bytes / 1e9:.1f} GB on the GPU."),
    )


def as_json(result: ResponseKernel) -> dict[str, Any]:
    """Return everything as numbers and texts that JSON can hold."""
    step = result.step
    return {
        "settings": {**asdict(result.settings), "rule": str(result.settings.rule)},
        "texts": list(result.texts),
        "roles": list(result.roles),
        "correct": [bool(one) for one in result.correct],
        "log_probs": step.log_probs.tolist(),
        "kernel": result.kernel.kernel.tolist(),
        "drives": result.drive.tolist(),
        "predicted_log_change": step.predicted_log_change.tolist(),
        "actual_log_change": step.actual_log_change.tolist(),
        "chosen_response_falls": result.displaced.tolist(),
        "seconds": result.seconds,
        "peak_bytes": result.peak_bytes,
    }
