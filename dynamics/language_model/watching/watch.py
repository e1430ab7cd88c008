"""What is measured of a trainer's model and when, shared among its processes; nothing here writes or logs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from dynamics.errors import InvalidArgument, Unsupported, check_count
from dynamics.language_model.causal_lm import unwrapped
from dynamics.language_model.tokens import Pair, TokenSequence
from dynamics.language_model.watching.beside import Failed, first_problem, share
from dynamics.language_model.watching.looks import Drives, Scores, probe_drives, score, score_probes
from dynamics.language_model.watching.panel import GREEDY, PANEL, greedy_responses, with_panel
from dynamics.language_model.watching.prediction import RunDirection, run_direction, run_slopes
from dynamics.language_model.watching.probes import (
    PAIR,
    Probe,
    collated_pair,
    draw_probes,
    draw_rows,
    given_probes,
    named_sets,
)
from dynamics.language_model.watching.run_log import Line, RunLog, digest
from dynamics.language_model.watching.trainer_settings import batch_pairs, decayed, reference_model, trainer_optimizer
from dynamics.losses import PreferenceLoss
from dynamics.optimizers import Optimizer

ByRole = dict[str, list[float | None]]


class Watch:
    """The probes of one trainer, and what is known of them since training began.

    Attributes:
        probes: the probes, once they are prepared.
        start: their scores before training.
        reference: log ref of every response, by role; None where a probe has no such response.
    """

    def __init__(
        self,
        trainer: Any,
        wanted: int | Iterable[Mapping[str, TokenSequence]],
        panel: tuple[str, ...],
        loss: PreferenceLoss | None,
        seed: int,
        greedy_tokens: int,
    ) -> None:
        self._trainer, self._panel, self._loss, self._seed = trainer, panel, loss, seed
        self._greedy_tokens = greedy_tokens
        self._left_out: list[str] = []
        self._bare: list[Probe] = []
        columns = [role for role in panel if role not in PANEL]
        if isinstance(wanted, int) and not isinstance(wanted, bool):
            check_count("probes", wanted)
            sets = named_sets(trainer.train_dataset, trainer.eval_dataset)
            if not sets:
                raise Unsupported("probes", "the trainer has no data set", "give probes=[...]")
            tokenizer = trainer.processing_class
            self._bare, self._left_out = draw_probes(sets, self._pair_of, wanted, seed, tokenizer, columns)
        else:
            if columns:
                raise InvalidArgument(
                    "panel", columns[0], f"{', '.join(PANEL)}; probes bring their other responses along"
                )
            self._bare = given_probes(wanted)  # type: ignore[arg-type]
        self.probes: list[Probe] = []
        self.start: Line = {}
        self.reference: ByRole = {}
        self._slopes: ByRole = {}

    @property
    def names(self) -> list[str]:
        """Return the names of the probes."""
        return [probe.name for probe in self.probes]

    def _pair_of(self, row: Mapping[str, Any]) -> dict[str, TokenSequence]:
        """Return the pair of a row with the trainer's own tokens. TRL before 1.0 truncates after its collator."""
        arguments = self._trainer.args
        limit = getattr(arguments, "max_length", None), getattr(arguments, "truncation_mode", "keep_start")
        return collated_pair(self._trainer.data_collator, row, *limit)

    @property
    def _model(self) -> Any:
        return unwrapped(self._trainer.model)

    def _share(self, compute: Callable[[slice], Sequence[Any]], items: list[Any] | None = None) -> list[Any]:
        where = self._trainer.accelerator
        return share(self.probes if items is None else items, compute, where.process_index, where.num_processes)

    def prepare(self, log: RunLog | None = None) -> None:
        """Complete the probes with the panel; the greedy responses come from a run that is resumed, or the model.

        Those of a run whose pairs are others belong to other prompts, and are not used.
        """
        best: list[TokenSequence | None] = [None] * len(self._bare)
        told = [] if log is None else log.run.get("probes", [])
        pairs = [[_told(probe.responses[side]) for side in PAIR] for probe in self._bare]
        if [[roles.get(side) for side in PAIR] for roles in told] == pairs:
            known = [roles.get(GREEDY) for roles in told]
            best = [None if ids is None else TokenSequence(tuple(ids[1:]), ids[0]) for ids in known]
        elif GREEDY in self._panel:
            end = getattr(self._trainer.processing_class, "eos_token_id", None)

            def continue_(part: slice) -> list[TokenSequence]:
                prompts = [probe.chosen.prompt for probe in self._bare[part]]
                return greedy_responses(self._model, prompts, end, self._greedy_tokens)

            best = [*self._share(continue_, self._bare)]
        self.probes = with_panel(self._bare, best, self._seed, self._panel)

    def begin(self) -> Line:
        """Score the probes before training, under the model and under the reference, and return the scores."""
        self.start = self.look()
        self.reference = self._measure_reference() or self.start["log_probs"]
        return {**self.start, "reference": self.reference}

    def resume(self, log: RunLog) -> None:
        """Take over what a run has measured before training."""
        if log.start is not None:
            self.start, self.reference = log.start, log.start["reference"]
        self._slopes = (log.prediction or {}).get("slope", {})

    def look(self) -> Line:
        """Return the scores of the probes, and the mass outside of their responses."""
        if self.start and getattr(self._trainer.args, "sync_ref_model", False):
            self.reference = self._measure_reference() or self.reference
        found: list[Scores] = self._share(lambda part: score_probes(self._model, self.probes[part]))
        outside = [_mass_outside(probe, one) for probe, one in zip(self.probes, found, strict=True)]
        return {
            "log_probs": by_role([one.log_probs for one in found]),
            "entropy": [one.entropy for one in found],
            "mass_outside": outside,
        }

    def drives(self) -> Line:
        """Return the drives of the probes by the present kernel."""

        def compute(part: slice) -> list[Drives]:
            reference = [
                {role: float(self.reference[role][n] or 0.0) for role in PAIR} for n in range(len(self.probes))[part]
            ]
            return probe_drives(self._model, self.probes[part], self._loss, reference)

        found: list[Drives] = self._share(compute)
        slopes = [one.own_chosen_change for one in found]
        squares = [one.squares for one in found]
        return {"drive": by_role([one.drive for one in found]), "own_chosen_change": slopes, "squares": squares}

    def audit(self, drives: Line) -> list[dict[str, Any]]:
        """Return what the kernel says about every pair before training, named as by ``python -m dynamics pairs``.

        Args:
            drives: what ``drives`` returned before training.
        """
        found = []
        for number, probe in enumerate(self.probes):
            ww, wl, ll = drives["squares"][number]
            norms = [math.sqrt(max(0.0, square)) for square in (ww, ll)]
            slope = drives["own_chosen_change"][number]
            numbers: dict[str, Any] = {}
            for side in PAIR:
                numbers[f"log_prob_{side}"] = self.start["log_probs"][side][number]
                numbers[f"reference_{side}"] = self.reference[side][number]
                numbers[f"tokens_{side}"] = probe.responses[side].length
                numbers[f"drive_{side}"] = drives["drive"][side][number]
            numbers |= {"norm_chosen": norms[0], "norm_rejected": norms[1], "inner_product": wl}
            numbers["cosine"] = wl / (norms[0] * norms[1]) if norms[0] * norms[1] > 0 else None
            found.append(numbers | {"own_chosen_change": slope, "displaced": None if slope is None else slope < 0})
        return found

    def predict(self, sample: int, remark: str) -> Line:
        """Return the predicted change of every response per unit of learning rate, or the reason why there is none."""
        if self._loss is None or not sample:
            return {"reason": remark or "no training pairs were asked for (sample=0)"}
        direction, problem = None, ""
        try:
            optimizer = trainer_optimizer(self._trainer.args)
            direction = self._direction(sample, optimizer)
        except InvalidArgument as found:  # too little memory is one of them
            problem = str(found)
        except Exception as found:
            problem = f"{type(found).__name__}: {found}"
        problem = first_problem(problem, self._trainer.accelerator.num_processes)
        if direction is None or problem:
            return {"reason": problem}
        known = direction
        try:
            slopes = self._share(lambda part: run_slopes(self._model, known, self.probes[part]))
        except Failed as found:
            return {"reason": str(found)}
        self._slopes = by_role(slopes)
        return {"slope": self._slopes, "pairs": known.pairs, "optimizer": str(optimizer)}

    def _direction(self, sample: int, optimizer: Optimizer) -> RunDirection:
        """Return the direction of the run from the gradients of some training pairs."""
        assert self._loss is not None
        arguments = self._trainer.args
        pairs = self._sample(sample)
        names = [name for name, parameter in self._model.named_parameters() if parameter.requires_grad]
        return run_direction(
            *(self._model, pairs, self._reference_of(pairs), self._loss, optimizer, batch_pairs(arguments)),
            clip=arguments.max_grad_norm or 0.0,
            decay=decayed(self._trainer, names) if arguments.weight_decay else (),
        )

    def predicted_change(self, role: str, rate_sum: float) -> float | None:
        """Return the mean of the predicted changes of a role; None without a prediction."""
        known = [slope for slope in self._slopes.get(role, []) if slope is not None]
        return rate_sum * math.fsum(known) / len(known) if known else None

    def describe(self) -> Line:
        """Return what the line says that begins a run."""
        return {
            "digest": digest(self.probes),
            "names": self.names,
            "probes": [{role: _told(s) for role, s in probe.responses.items()} for probe in self.probes],
            "left_out": self._left_out,
            "loss": None if self._loss is None else str(self._loss),
            "seed": self._seed,
        }

    def texts(self) -> list[tuple[str, str, str]]:
        """Return prompt, chosen and rejected response of every probe as text; token ids without a tokenizer."""
        tokenizer = self._trainer.processing_class
        say = getattr(tokenizer, "decode", lambda ids: " ".join(map(str, ids)))
        return [
            (say(list(p.chosen.prompt)), say(list(p.chosen.response)), say(list(p.rejected.response)))
            for p in self.probes
        ]

    def _measure_reference(self) -> ByRole | None:
        """Return log ref of every response under the trainer's reference model; None if it has no other."""
        with reference_model(self._trainer) as model:
            if model is None:
                return None
            found: list[Scores] = self._share(lambda part: score_probes(model, self.probes[part]))
        return by_role([one.log_probs for one in found])

    def _sample(self, count: int) -> list[Pair]:
        """Return training pairs for the prediction; the rows are not those of the probes unless by chance."""
        trainer, found = self._trainer, []
        for _, row in draw_rows(trainer.train_dataset, count, self._seed + 1):
            try:
                pair = self._pair_of(row)
            except Unsupported:
                raise
            except InvalidArgument:
                continue
            found.append((pair["chosen"], pair["rejected"]))
        if not found:
            raise Unsupported("sample", "the trainer's data hold no pair that can be used", "give probes= and sample=0")
        return found

    def _reference_of(self, pairs: list[Pair]) -> Tensor | None:
        with reference_model(self._trainer) as model:
            if model is None:
                return None
            sequences = [sequence for pair in pairs for sequence in pair]
            found, _ = score(model, sequences, [False] * len(sequences))
        return found.reshape(-1, 2)


def _told(sequence: TokenSequence) -> list[int]:
    """Return a sequence as the log has it: the number of tokens of its prompt, then all tokens."""
    return [sequence.prompt_tokens, *sequence.ids]


def _mass_outside(probe: Probe, scores: Scores) -> float:
    """Return the probability of all responses but those of the probe; NaN if one of these is NaN."""
    distinct = {sequence: scores.log_probs[role] for role, sequence in probe.responses.items()}
    rest = 1 - math.fsum(math.exp(value) for value in distinct.values())
    return rest if math.isnan(rest) else max(0.0, rest)


def by_role(rows: list[dict[str, float]]) -> ByRole:
    """Return one list for each role that occurs, with None for the probes that lack it.

    Example:
        >>> by_role([{"chosen": 1.0}, {"chosen": 2.0, "greedy": 3.0}])
        {'chosen': [1.0, 2.0], 'greedy': [None, 3.0]}
    """
    roles = dict.fromkeys(role for row in rows for role in row)
    return {role: [row.get(role) for row in rows] for role in roles}
