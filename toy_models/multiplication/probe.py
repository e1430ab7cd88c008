"""The 11 x 12 probe of jian2025, Section 2.3: which responses gain when a model is trained on one prompt?

Responses are sampled; the most probable correct ones are the chosen (D_w), some incorrect ones the rejected (D_l), and
y*, the most probable response of all, is in neither. Jian et al. see log pi of D_w and of y* rise while that of D_l
falls (their Figure 2a), y* being wrong. They do not say how the incorrect responses were taken. That choice determines
whether y* rises, so here it is a setting. All responses are tracked, those that were not sampled as one group, so that
the probabilities of six groups sum to one at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from dynamics.errors import check_count
from dynamics.language_model import StablePOAccount, TokenSequence, sequence_log_probs
from toy_models.multiplication.methods import Descent, Learner, Method, PairSequences, Values, dot, learner, mean_score
from toy_models.multiplication.responses import Prompt
from toy_models.multiplication.survey import PairRule, Survey, SurveySettings, select_pairs, survey

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

GROUPS = ("chosen", "rejected", "y*", "other correct", "other incorrect", "unsampled")
"""The groups of responses; each response is in exactly one of them."""

CHOSEN, REJECTED, Y_STAR, OTHER_CORRECT, OTHER_INCORRECT, UNSAMPLED = range(len(GROUPS))


@dataclass(frozen=True)
class ProbeSettings:
    """How to sample, which responses to reject, how to train.

    Attributes:
        survey: settings of the sampling.
        rule: which responses are chosen and which rejected.
        method: ``Descent`` (DPO, or DPO with a likelihood term, ...) or ``StablePO``.
        steps: number of updates.
    """

    survey: SurveySettings = field(default_factory=SurveySettings)
    rule: PairRule = field(default_factory=PairRule)
    method: Method = field(default_factory=Descent)
    steps: int = 50

    def __post_init__(self) -> None:
        check_count("steps", self.steps, minimum=0)


@dataclass(frozen=True, eq=False)
class FirstMove:
    """The first step, predicted and actual: mean change of log pi over D_w, mean over D_l, and change of y*.

    Attributes:
        plain: first-order change of log pi in a plain gradient step with the method's learning rates, ``(3,)``, nats:
            what the kernel predicts. For DPO at its reference that is eta beta / 2 times g . (mean g_w - mean g_l),
            with g of the group. Stable PO adds its terms, and its two blocks.
        predicted: first-order change of log pi in the step that the optimizer made, ``(3,)``, nats. With SGD it is
            ``plain``; AdamW's first step follows the signs of the gradient instead.
        actual: the change of log pi, ``(3,)``, nats.
    """

    plain: np.ndarray
    predicted: np.ndarray
    actual: np.ndarray

    @property
    def sign_is_predicted(self) -> np.ndarray:
        """Return whether ``plain`` has the sign of ``actual``, ``(3,)``."""
        return np.sign(self.plain) == np.sign(self.actual)


@dataclass(frozen=True, eq=False)
class ProbeRun:
    """The result of a probe, step by step.

    Attributes:
        settings: the settings of the run.
        survey: the tracked responses, as found before training; ``log_probs`` has one column for each.
        chosen: column of the chosen response of each pair (the set D_w), ``(pairs,)``.
        rejected: column of the rejected response of each pair (the set D_l), ``(pairs,)``.
        group: index into ``GROUPS`` of every response, ``(responses,)``.
        log_probs: log pi(y | x) in nats, ``(steps + 1, responses)``.
        first_move: predicted and actual change in the first step; None if there was no step.
        accounts: the account of every iteration of Stable PO; empty for other methods.
    """

    settings: ProbeSettings
    survey: Survey
    chosen: np.ndarray
    rejected: np.ndarray
    group: np.ndarray
    log_probs: np.ndarray
    first_move: FirstMove | None
    accounts: tuple[StablePOAccount, ...] = ()

    @property
    def change(self) -> np.ndarray:
        """Return the mean change of log pi since the start of D_w, D_l and y*, ``(steps + 1, 3)``, nats."""
        moved = self.log_probs - self.log_probs[0]
        return np.stack([moved[:, self.group == g].mean(1) for g in (CHOSEN, REJECTED, Y_STAR)], axis=1)

    @property
    def mass(self) -> np.ndarray:
        """Return the probability of every group of ``GROUPS``, ``(steps + 1, 6)``; each row sums to one."""
        p = np.exp(self.log_probs)
        tracked = [p[:, self.group == g].sum(1) for g in range(UNSAMPLED)]
        return np.stack([*tracked, 1 - p.sum(1)], axis=1)

    @property
    def margin(self) -> np.ndarray:
        """Return the mean log-ratio of the pairs against the start, nats, ``(steps + 1,)``: D_w's change less D_l's."""
        return self.change[:, 0] - self.change[:, 1]

    @property
    def is_pattern(self) -> bool:
        """Return whether the run ends as in jian2025's Figure 2a: D_w up, D_l down, and a wrong y* up."""
        return not self.survey.is_void and is_pattern(self.change[-1])

    def at_margin(self, margin: float, column: np.ndarray) -> np.ndarray:
        """Return the row of a recorded quantity at the point where the margin first reaches a value.

        Args:
            margin: nats.
            column: the quantity, such as ``change`` or ``mass``, ``(steps + 1, ...)``; linear between two steps.

        Returns:
            One row; NaN if the margin is not reached.
        """
        reached = np.flatnonzero(self.margin >= margin)
        if not len(reached):
            return np.full(column.shape[1:], np.nan)
        after = int(reached[0])
        if after == 0:
            return column[0]
        low, high = self.margin[after - 1], self.margin[after]
        part = (margin - low) / (high - low)
        return (1 - part) * column[after - 1] + part * column[after]


def is_pattern(change: np.ndarray) -> bool:
    """Return whether a run shows the pattern of jian2025's Figure 2a: D_w and y* rose, and D_l fell.

    Args:
        change: change of log pi of D_w, D_l and y*, ``(3,)``.

    Example:
        >>> is_pattern(np.array([0.2, -1.0, 0.1])), is_pattern(np.array([0.2, -1.0, -0.1]))
        (True, False)
    """
    return bool(change[0] > 0 > change[1] and change[2] > 0)


def run_probe(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Prompt,
    is_correct: Callable[[str], bool],
    settings: ProbeSettings | None = None,
    callback: Callable[[int], None] | None = None,
) -> ProbeRun:
    r"""Survey a prompt, select the pairs, train on them and track every response.

    Args:
        model: a causal language model of transformers; it is left as it is, a copy is trained.
        tokenizer: its tokenizer.
        prompt: text of the prompt in the form that the model receives, or the messages of a chat.
        is_correct: whether a response (text) is right.
        settings: if not given, the default.
        callback: called after every update with the number of updates made.

    Raises:
        InvalidArgument: from ``select_pairs``.

    Example:
        >>> from functools import partial
        >>> from toy_models.multiplication.shipped import PINNED, answers, load_checkpoint
        >>> settings = ProbeSettings(rule=PINNED, steps=5)
        >>> run = run_probe(*load_checkpoint(), "11 x 12 = ?\n", partial(answers, 132), settings)
        >>> (run.change[-1] > 0).tolist()  # D_w, D_l and the wrong y*
        [True, False, True]
    """
    settings = ProbeSettings() if settings is None else settings
    surveyed = survey(model, tokenizer, prompt, is_correct, settings.survey, settings.rule.named)
    return follow(model, surveyed, settings, callback)


def follow(
    model: PreTrainedModel,
    surveyed: Survey,
    settings: ProbeSettings,
    callback: Callable[[int], None] | None = None,
) -> ProbeRun:
    """Select pairs from an existing survey, train on them and track every response.

    Args:
        model: the model of the survey; it is left as it is, a copy is trained.
        surveyed: the survey of its responses before training.
        settings: which responses to reject and how to train; its settings of the sampling are not used.
        callback: called after every update with the number of updates made.

    Raises:
        InvalidArgument: from ``select_pairs``.
    """
    chosen, rejected = select_pairs(surveyed, settings.rule)
    group = np.where(surveyed.correct, OTHER_CORRECT, OTHER_INCORRECT)
    group[chosen], group[rejected], group[surveyed.y_star] = CHOSEN, REJECTED, Y_STAR
    everything = surveyed.sequences
    sides = [tuple(everything[i] for i in side) for side in (chosen, rejected)]
    student = learner(model, PairSequences(*sides), settings.method)
    record, accounts = [_track(student, everything)], []
    first, start = None, {}
    if settings.steps:
        scores = [mean_score(student.model, side) for side in (*sides, [everything[surveyed.y_star]])]
        down = student.gradient()
        plain = np.array([-dot(s, {name: student.rate(name) * g for name, g in down.items()}) for s in scores])
        start = _values(student)
    for step in range(settings.steps):
        account = student.step()
        record.append(_track(student, everything))
        if account is not None:
            accounts.append(account)
        if step == 0:
            moved = {name: value - start[name] for name, value in _values(student).items()}
            change = record[1] - record[0]
            actual = np.array([change[chosen].mean(), change[rejected].mean(), change[surveyed.y_star]])
            first = FirstMove(plain, np.array([dot(s, moved) for s in scores]), actual)
            del scores, start, down, moved
        if callback is not None:
            callback(step + 1)
    return ProbeRun(settings, surveyed, chosen, rejected, group, np.stack(record), first, tuple(accounts))


def _track(student: Learner, sequences: tuple[TokenSequence, ...]) -> np.ndarray:
    return sequence_log_probs(student.model, sequences).total.cpu().numpy()


def _values(student: Learner) -> Values:
    with torch.no_grad():
        return {name: value.detach().clone() for name, value in student.model.named_parameters()}
