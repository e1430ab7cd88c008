"""One pair, tracked step by step (jian2025, Figure 1 and Theorem 1): log pi(y_w) rises at first and falls later.

DPO on a single pair moves log pi(y) by eta beta sigma(-z) g_y . (g_w - g_l) to first order. For y_w this is a multiple
of ||g_w||^2 - g_w . g_l, whose sign can change during training; for y_l, of g_w . g_l - ||g_l||^2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dynamics import DPO, InvalidArgument
from dynamics.errors import check_count, check_positive
from dynamics.language_model import (
    TokenSequence,
    model_step,
    sequence_kernel,
    sequence_log_probs,
    tokenize,
)
from dynamics.language_model.causal_lm import CausalLM
from toy_models.multiplication.corpus import RESPONSES, Problem, ask
from toy_models.multiplication.methods import Descent, DescentLearner, PairSequences
from toy_models.multiplication.responses import as_sequences, decode_response, encode_prompt
from toy_models.multiplication.search import most_probable
from toy_models.multiplication.shipped import QUESTION

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

W, L, Y_STAR = range(3)
"""Positions of y_w, y_l and y* in the recorded arrays."""


@dataclass(frozen=True)
class PairSettings:
    """One pair, and how it is trained: plain gradient descent on DPO.

    Attributes:
        question: as asked.
        chosen: text of y_w.
        rejected: text of y_l.
        beta: of DPO.
        learning_rate: of plain gradient descent.
        steps: number of updates.
        every: number of steps between two comparisons of the scores.
        others: number of most probable responses that are tracked beside the pair.
    """

    question: str = QUESTION
    chosen: str = "The answer is 132."
    rejected: str = "The answer is 121."
    beta: float = 0.1
    learning_rate: float = 3e-4
    steps: int = 150
    every: int = 5
    others: int = 40

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_positive("learning_rate", self.learning_rate)
        for name in ("steps", "every", "others"):
            check_count(name, getattr(self, name))
        if self.chosen == self.rejected:
            raise InvalidArgument("rejected", self.rejected, "a response that is not the chosen one")


@dataclass(frozen=True, eq=False)
class PairRun:
    """One pair, step by step.

    Attributes:
        settings: the settings of the run.
        texts: the texts of the tracked responses: y_w, y_l, y* and the others.
        log_probs: log pi in nats, ``(steps + 1, responses)``.
        at: steps (from 0) just before which ``kernel`` and ``predicted`` were computed, ``(points,)``.
        kernel: inner products of the scores of y_w, y_l and y* before these steps, ``(points, 3, 3)``.
        predicted: first-order change of log pi of y_w, y_l and y* in these steps, ``(points, 3)``, nats.
        actual: the actual change of log pi in these steps, ``(points, 3)``, nats.
    """

    settings: PairSettings
    texts: tuple[str, ...]
    log_probs: np.ndarray
    at: np.ndarray
    kernel: np.ndarray
    predicted: np.ndarray
    actual: np.ndarray

    @property
    def chosen_term(self) -> np.ndarray:
        """Return ||g_w||^2 - g_w . g_l, which has the sign of the next change of log pi(y_w), ``(points,)``."""
        return self.kernel[:, W, W] - self.kernel[:, W, L]

    @property
    def rejected_term(self) -> np.ndarray:
        """Return g_w . g_l - ||g_l||^2, which has the sign of the next change of log pi(y_l), ``(points,)``."""
        return self.kernel[:, W, L] - self.kernel[:, L, L]

    @property
    def y_star_term(self) -> np.ndarray:
        """Return g* . (g_w - g_l), the sign of the next change of y*, ``(points,)``; Eq. (64) prints another term."""
        return self.kernel[:, Y_STAR, W] - self.kernel[:, Y_STAR, L]

    @property
    def margin(self) -> np.ndarray:
        """Return log(pi_w / pi_l) against its start, nats, ``(steps + 1,)``: DPO's z over beta, which always grows."""
        ratio = self.log_probs[:, W] - self.log_probs[:, L]
        return ratio - ratio[0]

    @property
    def log_ratio_of_changes(self) -> np.ndarray:
        """Return log(D pi_w / D pi_l) step by step, the quantity on the axis of Figure 1c, ``(steps,)``.

        NaN where the two changes have different signs, which is the usual case: there the logarithm is undefined.
        """
        change = np.diff(np.exp(self.log_probs[:, [W, L]]), axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(change[:, 0] / change[:, 1])

    @property
    def rise(self) -> Rise:
        """Return the peak and the end of the curve of log pi(y_w)."""
        return Rise.of(self.log_probs[:, W])


@dataclass(frozen=True)
class Rise:
    """The peak and the end of a curve.

    Attributes:
        peak_step: step at which it is largest.
        peak: its value there minus its value at the start, nats.
        end: its value at the end minus its value at the start, nats.
    """

    peak_step: int
    peak: float
    end: float

    @classmethod
    def of(cls, curve: np.ndarray) -> Rise:
        """Return the peak and the end of a curve.

        Example:
            >>> Rise.of(np.array([-3.0, -2.5, -4.0]))
            Rise(peak_step=1, peak=0.5, end=-1.0)
        """
        top = int(curve.argmax())
        return cls(top, float(curve[top] - curve[0]), float(curve[-1] - curve[0]))

    @property
    def is_rise_then_fall(self) -> bool:
        """Return whether it rose by more than 0.01 nats and ended below its start: the shape of Figure 1a."""
        return self.peak > 0.01 and self.end < 0


def follow_pair(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    settings: PairSettings | None = None,
    callback: Callable[[int], None] | None = None,
) -> PairRun:
    """Train on one pair by plain gradient descent, and compare Theorem 1 with what happens, every few steps.

    Args:
        model: a causal language model; left as it was.
        tokenizer: its tokenizer.
        settings: pair, beta, learning rate, ...; if not given, the default.
        callback: called after every update with the number of updates made.

    Example:
        >>> from toy_models.multiplication.shipped import load_checkpoint
        >>> run = follow_pair(*load_checkpoint(), PairSettings(steps=4, every=2, others=5))
        >>> bool((run.rejected_term < 0).all() and (np.diff(run.margin) > 0).all())
        True
    """
    settings = PairSettings() if settings is None else settings
    tracked = _pair_and_others(model, tokenizer, settings)
    student = _student(model, tracked, settings)
    record, at, kernels, predicted = [_track(student, tracked)], [], [], []
    for step in range(settings.steps):
        if step % settings.every == 0:
            kernel = sequence_kernel(student.model, tracked[:3]).kernel.cpu().numpy()
            change = record[-1] - record[0]
            z = settings.beta * (change[W] - change[L])
            speed = settings.learning_rate * settings.beta / (1 + np.exp(z))
            at.append(step)
            kernels.append(kernel)
            predicted.append(speed * (kernel[:, W] - kernel[:, L]))
        student.step()
        record.append(_track(student, tracked))
        if callback is not None:
            callback(step + 1)
    log_probs, steps = np.stack(record), np.array(at)
    texts = tuple(decode_response(tokenizer, s.response) for s in tracked)
    actual = (log_probs[steps + 1] - log_probs[steps])[:, :3]
    return PairRun(settings, texts, log_probs, steps, np.stack(kernels), np.stack(predicted), actual)


@dataclass(frozen=True, eq=False)
class Theorem1Errors:
    """What one step of plain gradient descent does to log pi of y_w, y_l and y*: predicted and actual, in float64.

    Attributes:
        settings: the pair.
        learning_rates: ``(rates,)``.
        log_probs: log pi before the step, ``(3,)``, nats.
        predicted: first-order change of log pi, ``(rates, 3)``, nats.
        actual: the actual change of log pi, ``(rates, 3)``, nats.
    """

    settings: PairSettings
    learning_rates: np.ndarray
    log_probs: np.ndarray
    predicted: np.ndarray
    actual: np.ndarray

    @property
    def relative_error(self) -> np.ndarray:
        """Return |predicted - actual| / |predicted| of the change of log pi, ``(rates, 3)``."""
        return np.abs(self.predicted - self.actual) / np.abs(self.predicted)

    @property
    def probability_relative_error(self) -> np.ndarray:
        """Return the same of the change of pi, as Eqs. (2) and (3) have it, ``(rates, 3)``."""
        p = np.exp(self.log_probs)
        predicted, actual = p * self.predicted, p * np.expm1(self.actual)
        return np.abs(predicted - actual) / np.abs(predicted)

    @property
    def slope(self) -> np.ndarray:
        """Return the slope of log error against log learning rate, ``(3,)``: 1 for a first-order prediction."""
        rates = np.log(self.learning_rates)
        return np.array([np.polyfit(rates, np.log(column), 1)[0] for column in self.relative_error.T])


def theorem_1_errors(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    learning_rates: Sequence[float] = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4),
    settings: PairSettings | None = None,
) -> Theorem1Errors:
    """Compare Theorem 1 with single steps of several sizes from the untrained model.

    Args:
        model: a causal language model; left as it was.
        tokenizer: its tokenizer.
        learning_rates: of plain gradient descent, at least one.
        settings: the pair and beta; if not given, the default.

    Example:
        >>> from toy_models.multiplication.shipped import load_checkpoint
        >>> errors = theorem_1_errors(*load_checkpoint(), [1e-6, 1e-5])
        >>> bool((np.abs(errors.slope - 1) < 0.05).all())
        True
    """
    settings = PairSettings() if settings is None else settings
    rates = list(learning_rates)
    if not rates:
        raise InvalidArgument("learning_rates", "the list is empty; give at least one")
    for rate in rates:
        check_positive("learning_rates", rate)
    tracked = _pair_and_others(model, tokenizer, settings)[:3]
    loss = DPO(beta=settings.beta)
    everything = {name for name, _ in model.named_parameters()}
    accounts = [
        model_step(model, tracked, W, L, loss=loss, learning_rate=rate, parameters=everything.__contains__)
        for rate in rates
    ]
    return Theorem1Errors(
        settings,
        np.array(rates),
        accounts[0].log_probs.cpu().numpy(),
        np.stack([account.predicted_log_change.cpu().numpy() for account in accounts]),
        np.stack([account.actual_log_change.cpu().numpy() for account in accounts]),
    )


@dataclass(frozen=True)
class ScannedPair:
    """How log pi(y_w) and log pi(y_l) of one pair changed in training.

    Attributes:
        chosen: y_w.
        rejected: y_l.
        start: log pi of both before training, nats.
        rise: peak and end of log pi(y_w).
        rejected_end: change of log pi(y_l) at the end, nats.
    """

    chosen: str
    rejected: str
    start: tuple[float, float]
    rise: Rise
    rejected_end: float


def scan_pairs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    settings: PairSettings | None = None,
    *,
    right: int = 132,
    wrong: Iterable[int] = (121, 144, 122),
    problem: Problem | None = None,
) -> Iterator[ScannedPair]:
    """Train on every pair of responses with the same wording, one after the other, each from the initial model.

    Args:
        model: a causal language model; left as it was.
        tokenizer: its tokenizer.
        settings: question, beta, learning rate and steps; the pair in it is not used.
        right: the answer of y_w.
        wrong: answers of y_l.
        problem: the problem as it is written in responses that repeat it; by default 11 x 12.

    Yields:
        The result of each pair.
    """
    settings = PairSettings() if settings is None else settings
    problem = Problem(11, "x", 12) if problem is None else problem
    for number in wrong:
        for template in RESPONSES:
            texts = [template.format(problem=problem, answer=answer) for answer in (right, number)]
            pair = tuple(tokenize(tokenizer, ask(settings.question), text) for text in texts)
            student = _student(model, pair, settings)
            record = [_track(student, pair)]
            for _ in range(settings.steps):
                student.step()
                record.append(_track(student, pair))
            curves = np.stack(record)
            change = curves[-1] - curves[0]
            start = (float(curves[0, W]), float(curves[0, L]))
            yield ScannedPair(texts[0], texts[1], start, Rise.of(curves[:, W]), float(change[L]))


def _pair_and_others(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: PairSettings
) -> tuple[TokenSequence, ...]:
    prompt = encode_prompt(tokenizer, ask(settings.question))
    ranking = most_probable(model, prompt, tokenizer.eos_token_id, top=settings.others)
    pair = [tokenize(tokenizer, ask(settings.question), text) for text in (settings.chosen, settings.rejected)]
    if not ranking.responses:
        raise InvalidArgument("question", f"the search found no response to {settings.question}; use another question")
    ranked = as_sequences(prompt, ranking.responses)
    # y* is third even if it is in the pair
    return (*pair, ranked[0], *(sequence for sequence in ranked[1:] if sequence not in pair))


def _student(model: CausalLM, tracked: Sequence[TokenSequence], settings: PairSettings) -> DescentLearner:
    method = Descent(DPO(beta=settings.beta), "sgd", settings.learning_rate)
    return DescentLearner(model, PairSequences((tracked[W],), (tracked[L],)), method)


def _track(student: DescentLearner, sequences: Sequence[TokenSequence]) -> np.ndarray:
    return sequence_log_probs(student.model, sequences).total.cpu().numpy()
