"""Several methods on the same pairs, and one method on many random draws of the rejected responses.

After the same number of steps, a method with an additional term has often merely moved less along DPO's direction:
AdamW's steps are about equally long, whatever terms the gradient has. Methods are therefore compared at the same margin
as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from torch import Tensor

from dynamics import DPO, SFT, InvalidArgument, PreferenceLoss, pairs
from dynamics.errors import check_count, check_positive
from dynamics.language_model import StablePO, add_adapters, predict_change, sequence_kernel
from dynamics.language_model.causal_lm import CausalLM
from toy_models.multiplication.methods import ADAPTER_RANK, Descent, Method, dpo_with_nll
from toy_models.multiplication.probe import ProbeRun, ProbeSettings, follow, is_pattern
from toy_models.multiplication.survey import PairRule, Survey, select_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods on the same pairs, at the same step and at the same margin.

    Attributes:
        names: of the methods.
        runs: of each method, on the same survey.
        margin: the margin at which they are compared, nats.
        change_at_step: mean change of log pi of D_w, D_l and y* at the last step, ``(methods, 3)``, nats.
        change_at_margin: likewise where the margin is first reached, ``(methods, 3)``; NaN if it is not.
        step_at_margin: the step (not whole) where it is, ``(methods,)``; NaN if it is not.
        mass_at_step: probability of every group of ``GROUPS`` at the last step, ``(methods, 6)``.
        mass_at_margin: likewise at the margin.
    """

    names: tuple[str, ...]
    runs: tuple[ProbeRun, ...]
    margin: float
    change_at_step: np.ndarray
    change_at_margin: np.ndarray
    step_at_margin: np.ndarray
    mass_at_step: np.ndarray
    mass_at_margin: np.ndarray


def compare(runs: Mapping[str, ProbeRun], margin: float | None = None) -> Comparison:
    """Compare runs at their last step and at a margin.

    Args:
        runs: by the name of the method; all of the same pairs and of the same number of steps.
        margin: nats; by default the largest that all of them reach.

    Raises:
        InvalidArgument: no runs, or runs of different pairs or lengths.
    """
    names, found = tuple(runs), tuple(runs.values())
    if not found:
        raise InvalidArgument("runs", "there are none; give at least one")
    for run in found[1:]:
        same = run.survey is found[0].survey and np.array_equal(run.rejected, found[0].rejected)
        if not same or len(run.log_probs) != len(found[0].log_probs):
            raise InvalidArgument("runs", "they must all be of the same survey, pairs and number of steps")
    margin = common_margin(found) if margin is None else margin
    steps = np.arange(len(found[0].log_probs), dtype=float)
    return Comparison(
        names,
        found,
        margin,
        np.stack([run.change[-1] for run in found]),
        np.stack([run.at_margin(margin, run.change) for run in found]),
        np.array([run.at_margin(margin, steps) for run in found]),
        np.stack([run.mass[-1] for run in found]),
        np.stack([run.at_margin(margin, run.mass) for run in found]),
    )


def common_margin(runs: Iterable[ProbeRun]) -> float:
    """Return the largest margin that all runs reach, nats."""
    return float(min(run.margin.max() for run in runs))


def standard_methods(settings: StablePO | None = None) -> dict[str, Method]:
    """Return DPO, DPO with a likelihood term of weight lambda, and Stable PO without and with its further terms.

    Args:
        settings: of Stable PO; the others take beta, lambda, the optimizer and phi's learning rate from it.

    Example:
        >>> list(standard_methods(StablePO(penalty=2.0, gamma=0.01)))
        ['DPO', 'DPO + 2 NLL', 'Stable PO 2, 0, 1', 'Stable PO 2, 0, 5', 'Stable PO 2, 0.01, 1']
    """
    spo = StablePO(gamma=0.01) if settings is None else settings
    common: dict[str, Any] = {"optimizer": spo.optimizer, "learning_rate": spo.learning_rates[1]}
    bare = replace(spo, gamma=0.0)
    methods: dict[str, Method] = {
        "DPO": Descent(DPO(beta=spo.beta), **common),
        f"DPO + {spo.penalty:g} NLL": Descent(dpo_with_nll(spo.beta, spo.penalty), **common),
    }
    for one in (bare, replace(bare, inner_steps=max(5, spo.inner_steps)), spo):
        methods[f"Stable PO {one.penalty:g}, {one.gamma:g}, {one.inner_steps}"] = one
    return methods


def run_methods(
    model: PreTrainedModel,
    surveyed: Survey,
    settings: ProbeSettings,
    methods: Mapping[str, Method],
    callback: Callable[[str, int], None] | None = None,
) -> dict[str, ProbeRun]:
    """Run several methods on the same survey and pairs.

    Args:
        model: the model of the survey.
        surveyed: the survey of its responses before training.
        settings: pairs and number of steps; the method in it is not used.
        methods: by name.
        callback: called after every update with the method's name and the number of its updates.
    """
    return {
        name: follow(model, surveyed, replace(settings, method=method), _with_key(callback, name))
        for name, method in methods.items()
    }


Key = TypeVar("Key")


def _with_key(callback: Callable[[Key, int], None] | None, key: Key) -> Callable[[int], None] | None:
    return None if callback is None else partial(callback, key)


# ---------------------------------------------------------------- draws of the rejected responses


@dataclass(frozen=True, eq=False)
class Draws:
    """One method on several draws of D_l.

    Attributes:
        survey: the survey that all draws share.
        method: how they were trained.
        rules: how each D_l was chosen.
        rejected: texts of each D_l.
        rejected_mass: probability of each D_l at the start, ``(draws,)``.
        predicted: first-order change of log pi of D_w, D_l and y* in a plain gradient step, from the kernel of the
            untrained model, ``(draws, 3)``, nats.
        first: the change of log pi in the first step, ``(draws, 3)``, nats.
        change: the change of log pi at the last step, ``(draws, 3)``, nats.
        peak: highest change of log pi(y*) during training, ``(draws,)``, nats.
        margin: a margin that all of them reach, nats.
        change_at_margin: the change of log pi where that margin is reached, ``(draws, 3)``, nats.
    """

    survey: Survey
    method: Method
    rules: tuple[PairRule, ...]
    rejected: tuple[tuple[str, ...], ...]
    rejected_mass: np.ndarray
    predicted: np.ndarray
    first: np.ndarray
    change: np.ndarray
    peak: np.ndarray
    margin: float
    change_at_margin: np.ndarray

    def counts(self) -> dict[str, dict[str, int]]:
        """Return in how many draws D_w, D_l and y* move as in the paper's figure, at several times."""

        def count(change: np.ndarray) -> dict[str, int]:
            return {
                "D_w up": int((change[:, 0] > 0).sum()),
                "D_l down": int((change[:, 1] < 0).sum()),
                "y* up": int((change[:, 2] > 0).sum()),
                "all three": sum(is_pattern(row) for row in change),
            }

        return {
            "predicted by the kernel": count(self.predicted),
            "in the first step": count(self.first),
            "at the last step": count(self.change),
            "at equal margin": count(self.change_at_margin),
        }

    @property
    def predicted_signs(self) -> int:
        """Return in how many draws the kernel predicted the sign of the first change of log pi(y*)."""
        return int((np.sign(self.predicted[:, 2]) == np.sign(self.first[:, 2])).sum())


def draw_rules(count: int, pairs: int = 5) -> tuple[PairRule, ...]:
    """Return rules that draw D_l, weighted and uniform in turn, with seeds 0, 1, 2, ... that were not selected.

    Example:
        >>> [str(rule) for rule in draw_rules(3)]
        ['weighted 0', 'uniform 0', 'weighted 1']
    """
    check_count("count", count)
    kinds = ("weighted", "uniform")
    return tuple(PairRule(pairs, kinds[i % 2], seed=i // 2) for i in range(count))  # type: ignore[arg-type]


def run_draws(
    model: PreTrainedModel,
    surveyed: Survey,
    rules: Iterable[PairRule],
    settings: ProbeSettings,
    margin: float | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> Draws:
    """Train on several draws of D_l, each from the same start.

    Args:
        model: the model of the survey.
        surveyed: the survey of its responses before training.
        rules: how each D_l is chosen.
        settings: method and number of steps, at least one.
        margin: nats; by default the largest that all of them reach.
        callback: called after every update with the number of the draw and of its updates.

    Raises:
        InvalidArgument: no rules, or no steps.
    """
    taken = tuple(rules)
    if not taken:
        raise InvalidArgument("rules", "there are none; give at least one rule for D_l")
    check_count("steps", settings.steps)
    if margin is not None:
        check_positive("margin", margin)
    runs = [
        follow(model, surveyed, replace(settings, rule=rule), _with_key(callback, number))
        for number, rule in enumerate(taken)
    ]
    margin = common_margin(runs) if margin is None else margin
    texts = [tuple(surveyed.texts[i] for i in run.rejected) for run in runs]
    return Draws(
        surveyed,
        settings.method,
        taken,
        tuple(texts),
        np.array([np.exp(surveyed.log_probs[run.rejected]).sum() for run in runs]),
        predict_first_move(model, surveyed, taken, settings.method),
        np.stack([run.first_move.actual for run in runs if run.first_move is not None]),
        np.stack([run.change[-1] for run in runs]),
        np.array([run.change[:, 2].max() for run in runs]),
        margin,
        np.stack([run.at_margin(margin, run.change) for run in runs]),
    )


def predict_first_move(model: CausalLM, surveyed: Survey, rules: Iterable[PairRule], method: Method) -> np.ndarray:
    """Return the first-order change of log pi of D_w, D_l and y* in a plain gradient step from the start.

    One kernel, that of the untrained model, serves any number of draws. For Stable PO there are two: of the backbone
    and of the adapters (where the gradient of the first factors is zero at the start). Terms that are not sums of
    scores are left out: term (b), which is negligible, and the gradient of L_reg.

    Args:
        model: the model of the survey.
        surveyed: the survey of its responses before training.
        rules: how each D_l is chosen.
        method: its loss, or lambda, and its learning rates.

    Returns:
        First-order changes of log pi in nats, ``(draws, 3)``.
    """
    everything = surveyed.sequences
    parts: list[tuple[Tensor, PreferenceLoss, float]] = []
    backbone = sequence_kernel(model, everything, parameters=lambda _: True).kernel
    if isinstance(method, StablePO):
        dpo = DPO(beta=method.beta)
        adapters = sequence_kernel(
            add_adapters(model, rank=ADAPTER_RANK).model, everything, parameters="*lora_*"
        ).kernel
        parts.append((backbone, dpo + method.penalty * SFT(), method.learning_rates[1]))
        parts.append((adapters, dpo, method.learning_rates[0]))
    else:
        parts.append((backbone, method.loss, method.learning_rate))
    lengths = [float(len(y)) for y in surveyed.responses]
    moves = []
    for rule in rules:
        chosen, rejected = select_pairs(surveyed, rule)
        preferences = pairs(chosen, rejected, shape=(len(everything),))
        change = np.zeros(len(everything))
        for kernel, loss, rate in parts:
            change += predict_change(
                kernel.cpu(), surveyed.log_probs, preferences, loss=loss, learning_rate=rate, lengths=lengths
            ).numpy()
        moves.append([change[chosen].mean(), change[rejected].mean(), change[surveyed.y_star]])
    return np.array(moves)
