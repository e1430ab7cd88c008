"""The probe of jian2025, Section 2.3: where does DPO send the mass of the responses to one prompt?

Responses are sampled; the most probable correct ones are the chosen (D_w), some incorrect ones the rejected (D_l), and
y*, the most probable response of all, is in neither. Jian et al. see log pi of D_w and of y* rise while that of D_l
falls (their Figure 2a), y* being wrong. They do not say how the incorrect responses were taken. That choice decides
what becomes of y*, so here it is a setting, and every response is followed, with what was not sampled as one mass:
six masses that sum to one at every step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from dynamics import DPO, InvalidArgument, PreferenceLoss
from dynamics.errors import check_count, check_nonnegative, check_positive
from dynamics.losses.base import PairLogProbs
from toy_models.multiplication.scoring import Tokens, decode_response, encode, encode_response, response_log_probs
from toy_models.multiplication.search import most_probable, sample

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RejectedRule = Literal["top", "weighted", "uniform"]

GROUPS = ("chosen", "rejected", "y*", "other correct", "other incorrect", "unsampled")
"""Where the mass can be; each response is in one group."""

CHOSEN, REJECTED, Y_STAR, OTHER_CORRECT, OTHER_INCORRECT, UNSAMPLED = range(len(GROUPS))


@dataclass(frozen=True)
class ProbeSettings:
    """How to sample, whom to reject, how to train.

    Attributes:
        samples: responses that are drawn.
        temperature: of the sampling; 1 is the model's own distribution.
        max_tokens: longest response.
        sample_seed: of the sampling.
        pairs: size of D_w and of D_l; the i-th most probable of the one is paired with the i-th of the other.
        rejected: how D_l is taken from the incorrect responses other than y*: the most probable ("top"), a draw in
            proportion to their probabilities ("weighted"), a draw with equal chances ("uniform"), or these texts, in
            this order, whether sampled or not.
        rejected_seed: of that draw.
        loss: the preference loss, such as ``DPO(beta=0.5)`` or ``DPO(beta=0.5) + 1.0 * SFT()``.
        optimizer: "adamw" (without weight decay) or "sgd", over all parameters and all pairs at once.
        learning_rate: its learning rate.
        steps: number of updates.
    """

    samples: int = 500
    temperature: float = 1.0
    max_tokens: int = 32
    sample_seed: int = 0
    pairs: int = 5
    rejected: RejectedRule | tuple[str, ...] = "weighted"
    rejected_seed: int = 0
    loss: PreferenceLoss = field(default_factory=lambda: DPO(beta=0.5))
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-5
    steps: int = 50

    def __post_init__(self) -> None:
        for name in ("samples", "max_tokens", "pairs"):
            check_count(name, getattr(self, name))
        check_count("steps", self.steps, minimum=0)
        check_positive("temperature", self.temperature)
        check_nonnegative("learning_rate", self.learning_rate)
        if self.optimizer not in ("adamw", "sgd"):
            raise InvalidArgument("optimizer", self.optimizer, "'adamw' or 'sgd'")
        if isinstance(self.rejected, str):
            if self.rejected not in get_args(RejectedRule):
                raise InvalidArgument(
                    "rejected", self.rejected, f"one of {get_args(RejectedRule)}, or a tuple of texts"
                )
        elif len(self.rejected) != self.pairs or len(set(self.rejected)) != self.pairs:
            raise InvalidArgument("rejected", self.rejected, f"{self.pairs} different texts, one for each pair")


@dataclass(frozen=True, eq=False)
class Survey:
    """What a model says to a prompt, before any training.

    Attributes:
        prompt: token ids of the prompt.
        responses: distinct responses with their ends, most probable first.
        texts: the same as text.
        log_probs: log pi(y | x) in nats, ``(responses,)``.
        correct: whether the response is right, ``(responses,)``.
        y_star: index of the most probable response: 0.
        y_star_is_exact: whether y* is certainly the most probable of all responses, not just of those sampled.
        truncated: samples that did not come to an end.
    """

    prompt: Tokens
    responses: tuple[Tokens, ...]
    texts: tuple[str, ...]
    log_probs: np.ndarray
    correct: np.ndarray
    y_star: int
    y_star_is_exact: bool
    truncated: int

    @property
    def is_void(self) -> bool:
        """Return whether y* is right: then the story of a wrong y* that gains from DPO is about nothing."""
        return bool(self.correct[self.y_star])


@dataclass(frozen=True, eq=False)
class FirstMove:
    """The first step, as the gradients at the start tell it and as it was; the mean over D_w, over D_l, and y*.

    Attributes:
        slope: speed of log pi along the negative gradient of the loss, nats per unit of learning rate, ``(3,)``. For
            DPO at its reference that is beta / 2 times g . (mean g_w - mean g_l), with g of the group.
        predicted: first-order change of log pi in the step that the optimizer made, ``(3,)``, nats.
        actual: the change, ``(3,)``, nats.
    """

    slope: np.ndarray
    predicted: np.ndarray
    actual: np.ndarray


@dataclass(frozen=True, eq=False)
class ProbeRun:
    """A probe, step by step.

    Attributes:
        settings: what was asked for.
        survey: the responses before training; the columns of ``log_probs`` are its responses.
        chosen: indices of D_w, one for each pair.
        rejected: indices of D_l, one for each pair.
        group: index into ``GROUPS`` of every response.
        log_probs: log pi(y | x) in nats, ``(steps + 1, responses)``.
        first_move: prediction and truth of the first step; None if there was no step.
    """

    settings: ProbeSettings
    survey: Survey
    chosen: np.ndarray
    rejected: np.ndarray
    group: np.ndarray
    log_probs: np.ndarray
    first_move: FirstMove | None

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
        """Return the mean log-ratio of the pairs against the start, ``(steps + 1,)``, nats: D_w's change less D_l's."""
        return self.change[:, 0] - self.change[:, 1]


def survey(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    is_correct: Callable[[str], bool],
    settings: ProbeSettings,
) -> Survey:
    """Sample responses and find y*, by an exact search, or among the samples if the search gives up.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer.
        prompt: text of the prompt, as the model is to see it.
        is_correct: whether a response (text) is right.
        settings: the probe's.
    """
    x, end = encode(tokenizer, prompt), tokenizer.eos_token_id
    generator = torch.Generator().manual_seed(settings.sample_seed)
    drawn = sample(
        model,
        x,
        end,
        count=settings.samples,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        generator=generator,
    )
    ranking = most_probable(model, x, end, max_tokens=settings.max_tokens)
    named = () if isinstance(settings.rejected, str) else settings.rejected
    found = ranking.responses if ranking.exact else ()
    extra = [encode_response(tokenizer, text) for text in named]
    responses = tuple(dict.fromkeys([*found, *drawn.distinct, *extra]))
    with torch.no_grad():
        log_probs = response_log_probs(model, x, responses).cpu().numpy()
    order = np.argsort(-log_probs, kind="stable")
    responses = tuple(responses[i] for i in order)
    texts = tuple(decode_response(tokenizer, y) for y in responses)
    correct = np.array([is_correct(text) for text in texts])
    exact = bool(found) and responses[0] == found[0]
    return Survey(x, responses, texts, log_probs[order], correct, 0, exact, drawn.truncated)


def select_pairs(surveyed: Survey, settings: ProbeSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of D_w and D_l, ``(pairs,)`` each; y* is in neither.

    Raises:
        InvalidArgument: too few correct or incorrect responses, or a named one that is right, or y*, or not a text
            that the tokenizer gives back.
    """
    others = np.arange(len(surveyed.responses)) != surveyed.y_star
    correct, incorrect = np.flatnonzero(surveyed.correct & others), np.flatnonzero(~surveyed.correct & others)
    for kind, indices in (("correct", correct), ("incorrect", incorrect)):
        if len(indices) < settings.pairs:
            wanted = f"at most {len(indices)}, as many {kind} responses other than y* as there are; or more samples"
            raise InvalidArgument("pairs", settings.pairs, wanted)
    chosen = correct[: settings.pairs]
    if not isinstance(settings.rejected, str):
        places = {surveyed.texts[i]: i for i in incorrect}
        missing = [text for text in settings.rejected if text not in places]
        if missing:
            raise InvalidArgument("rejected", missing, "incorrect responses other than y*")
        return chosen, np.array([places[text] for text in settings.rejected])
    if settings.rejected == "top":
        return chosen, incorrect[: settings.pairs]
    rng = np.random.default_rng(settings.rejected_seed)
    p = np.exp(surveyed.log_probs[incorrect])
    weights = p / p.sum() if settings.rejected == "weighted" else None
    return chosen, np.sort(rng.choice(incorrect, settings.pairs, replace=False, p=weights))


def run_probe(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    is_correct: Callable[[str], bool],
    settings: ProbeSettings | None = None,
    watch: Callable[[int], None] | None = None,
) -> ProbeRun:
    r"""Survey a prompt, select the pairs, train on them and follow every response.

    Args:
        model: a causal language model of transformers; it is left as it is, a copy is trained.
        tokenizer: its tokenizer.
        prompt: text of the prompt, as the model is to see it.
        is_correct: whether a response (text) is right.
        settings: if not given, the default.
        watch: called after every update with the number of updates made.

    Raises:
        InvalidArgument: from ``select_pairs``.

    Example:
        >>> from functools import partial
        >>> from toy_models.multiplication.shipped import PINNED_REJECTED, answers, load
        >>> settings = ProbeSettings(rejected=PINNED_REJECTED, steps=5)
        >>> run = run_probe(*load(), "11 x 12 = ?\n", partial(answers, 132), settings)
        >>> (run.change[-1] > 0).tolist()  # D_w, D_l and the wrong y*
        [True, False, True]
    """
    settings = ProbeSettings() if settings is None else settings
    surveyed = survey(model, tokenizer, prompt, is_correct, settings)
    chosen, rejected = select_pairs(surveyed, settings)
    group = np.where(surveyed.correct, OTHER_CORRECT, OTHER_INCORRECT)
    group[chosen], group[rejected], group[surveyed.y_star] = CHOSEN, REJECTED, Y_STAR
    log_probs, first = _train(model, surveyed, chosen, rejected, settings, watch)
    return ProbeRun(settings, surveyed, chosen, rejected, group, log_probs, first)


def _train(
    model: PreTrainedModel,
    surveyed: Survey,
    chosen: np.ndarray,
    rejected: np.ndarray,
    settings: ProbeSettings,
    watch: Callable[[int], None] | None,
) -> tuple[np.ndarray, FirstMove | None]:
    policy = copy.deepcopy(model).eval()
    if next(policy.parameters()).dtype in (torch.float16, torch.bfloat16):
        policy = policy.float()  # a step of 1e-5 is lost in half precision
    policy.requires_grad_()
    # autograd leaves out the embedding of a padding token, which for a response that holds one is a wrong gradient
    policy.get_input_embeddings().padding_idx = None
    x, y_w, y_l = surveyed.prompt, *([surveyed.responses[i] for i in side] for side in (chosen, rejected))
    lengths = [torch.tensor([len(y) for y in side], device=policy.device, dtype=torch.float64) for side in (y_w, y_l)]
    parameters = list(policy.parameters())

    def track() -> Tensor:
        with torch.no_grad():
            return response_log_probs(policy, x, surveyed.responses)

    record = [track()]
    reference = [record[0][torch.as_tensor(side, device=policy.device)] for side in (chosen, rejected)]

    def loss() -> Tensor:
        both = response_log_probs(policy, x, [*y_w, *y_l])
        pair = PairLogProbs(both[: len(y_w)], both[len(y_w) :], *reference, *lengths)
        return settings.loss.value(pair).mean()

    if not settings.steps:
        return torch.stack(record).cpu().numpy(), None
    groups = (y_w, y_l, [surveyed.responses[surveyed.y_star]])
    scores = [_gradient(response_log_probs(policy, x, side).mean(), parameters) for side in groups]
    downhill = -_gradient(loss(), parameters)
    start = _flat(parameters)

    kinds = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    optimizer = kinds[settings.optimizer](parameters, lr=settings.learning_rate, weight_decay=0.0)
    predicted = np.zeros(len(groups))
    for step in range(settings.steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        record.append(track())
        if step == 0:
            predicted = _dots(scores, _flat(parameters) - start)
        if watch is not None:
            watch(step + 1)
    log_probs = torch.stack(record).cpu().numpy()
    moved = log_probs[1] - log_probs[0]
    actual = np.array([moved[chosen].mean(), moved[rejected].mean(), moved[surveyed.y_star]])
    return log_probs, FirstMove(_dots(scores, downhill), predicted, actual)


def _gradient(value: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    return torch.cat([g.flatten().double() for g in torch.autograd.grad(value, parameters)])


def _flat(parameters: Sequence[Tensor]) -> Tensor:
    return torch.cat([p.detach().flatten().double() for p in parameters])


def _dots(scores: Sequence[Tensor], direction: Tensor) -> np.ndarray:
    return np.array([float(score @ direction) for score in scores])
