"""What is measured of a trainer's model and when, shared among its processes; nothing here writes or logs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, Unsupported, check_count
from dynamics.language_model.causal_lm import as_module, unwrapped
from dynamics.language_model.tokens import Pair, TokenSequence
from dynamics.language_model.watching.beside import Failed, failure, first_problem, from_first, share_each
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
from dynamics.language_model.watching.reference import (
    OF_COLUMNS,
    OF_MODEL,
    OF_START,
    UNKNOWN,
    reference_model,
    row_reference,
    uses_reference,
)
from dynamics.language_model.watching.run_log import Line, RunLog, digest
from dynamics.language_model.watching.trainer_optimizer import RunOptimizer, read_optimizer
from dynamics.language_model.watching.trainer_settings import batch_pairs
from dynamics.losses import PreferenceLoss

ByRole = dict[str, list[float | None]]
Measured = tuple[Line, list[str]]
"""What was measured, and sentences about the probes that could not be."""
Sampled = tuple[Pair, tuple[float, float] | None]
"""A training pair, and log ref of its responses if the trainer has computed it in advance."""


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
            how = (wanted, seed, tokenizer, columns)
            self._bare, self._left_out = draw_probes(sets, self._pair_of, *how, reference_of=self._row_reference)
        else:
            if columns:
                raise InvalidArgument(
                    "panel", columns[0], f"{', '.join(PANEL)}; probes bring their other responses along"
                )
            self._bare = given_probes(wanted)  # type: ignore[arg-type]
        self.probes: list[Probe] = []
        self.start: Line = {}
        self.reference: ByRole = {}
        self._fresh = False
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

    def _row_reference(self, row: Mapping[str, Any]) -> tuple[float, float] | None:
        return row_reference(self._trainer, row)

    @property
    def _model(self) -> Any:
        return unwrapped(self._trainer.model)

    @property
    def _process(self) -> tuple[int, int]:
        """Return the number of this process, and how many there are."""
        return self._trainer.accelerator.process_index, self._trainer.accelerator.num_processes

    def _each(
        self, compute: Callable[[slice], Sequence[Any]], probes: Sequence[Probe], failed: str = ""
    ) -> tuple[list[Any], list[str]]:
        """Return the result of every probe, None for those that failed, and a sentence about each of these."""
        found = share_each(probes, compute, *self._process)
        said = [
            f"{probe.name}: {failed}{one}" for probe, one in zip(probes, found, strict=True) if isinstance(one, Failed)
        ]
        return [None if isinstance(one, Failed) else one for one in found], said

    def prepare(self, log: RunLog | None = None) -> None:
        """Complete the probes with the panel; the greedy responses come from a run that is resumed, or the model.

        The probes are those of the first process, since each may hold other rows of a stream. The greedy responses of
        a run whose pairs are others belong to other prompts, and are not used.
        """
        self._bare, self._left_out = from_first(lambda: (self._bare, self._left_out), *self._process)
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

            try:
                best, said = self._each(continue_, self._bare, "no greedy response: ")
            except Failed as problem:
                said = [f"no greedy responses: {problem}"]
            self._left_out = [*self._left_out, *said]
        self.probes = with_panel(self._bare, best, self._seed, self._panel)

    def begin(self, *, fresh: bool = True) -> Measured:
        """Score the probes before training, under the model and under the reference, and return the scores.

        Args:
            fresh: whether the model is as it was when training began, so that it may be its own reference.
        """
        self._fresh = fresh
        self.start, said = self.look()
        self.reference, origin = self._find_reference()
        return {**self.start, "reference": self.reference, "reference_from": origin}, said

    def resume(self, log: RunLog) -> None:
        """Take over what a run has measured before training."""
        if log.start is not None:
            self.start, self.reference = log.start, log.start["reference"]
        self._slopes = (log.prediction or {}).get("slope", {})

    def look(self) -> Measured:
        """Return the scores of the probes, and the mass outside of their responses.

        Raises:
            Failed: no probe could be measured.
        """
        if self.start and getattr(self._trainer.args, "sync_ref_model", False):
            self.reference = self._measure_reference() or self.reference
        found, said = self._each(lambda part: score_probes(self._model, self.probes[part]), self.probes)
        known: list[tuple[Probe, Scores | None]] = list(zip(self.probes, found, strict=True))
        line: Line = {
            "log_probs": self._by_role([one and one.log_probs for one in found]),
            "entropy": [one and one.entropy for one in found],
            "mass_outside": [None if one is None else _mass_outside(probe, one) for probe, one in known],
        }
        return line, said

    def _by_role(self, rows: Sequence[dict[str, float] | None]) -> ByRole:
        """Return one list for each role that any probe has, with None where there is no number."""
        roles = dict.fromkeys(role for probe in self.probes for role in probe.responses)
        return {role: [None if row is None else row.get(role) for row in rows] for role in roles}

    def drives(self) -> Measured:
        """Return the drives of the probes by the present kernel.

        Raises:
            Failed: of no probe.
        """
        loss = self._loss
        needed = loss is not None and uses_reference(loss)

        def reference(number: int) -> dict[str, float] | None:
            known = {role: self.reference[role][number] for role in PAIR}
            return None if needed and None in known.values() else {role: known[role] or 0.0 for role in PAIR}

        def compute(part: slice) -> list[Drives]:
            references = [reference(number) for number in range(len(self.probes))[part]]
            return probe_drives(self._model, self.probes[part], loss, references)

        found, said = self._each(compute, self.probes, "no drives: ")
        line: Line = {
            "drive": self._by_role([one and one.drive for one in found]),
            "own_chosen_change": [one and one.own_chosen_change for one in found],
            "squares": [one and one.squares for one in found],
        }
        return line, said

    def audit(self, drives: Line) -> list[dict[str, Any]]:
        """Return what the kernel says about every pair before training, named as by ``python -m dynamics pairs``.

        Of a pair whose drives could not be measured it says nothing.

        Args:
            drives: what ``drives`` returned before training.
        """
        found: list[dict[str, Any]] = []
        for number, probe in enumerate(self.probes):
            if drives["squares"][number] is None:
                found.append({})
                continue
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
            drawn = from_first(lambda: self._sample(sample), *self._process)
            optimizer = read_optimizer(self._trainer.optimizer, as_module(self._model))
            direction = self._direction(drawn, optimizer)
        except Exception as found:  # too little memory is one of them
            problem = str(failure(found))
        problem = first_problem(problem, self._process[1])
        if direction is None or problem:
            return {"reason": problem}
        known = direction
        try:
            slopes, said = self._each(lambda part: run_slopes(self._model, known, self.probes[part]), self.probes)
        except Failed as found:
            return {"reason": str(found)}
        self._slopes = self._by_role(slopes)
        line: Line = {"slope": self._slopes, "pairs": known.pairs, "optimizer": str(optimizer.rule)}
        return line | ({"problems": said} if said else {})

    def _direction(self, drawn: list[Sampled], optimizer: RunOptimizer) -> RunDirection:
        """Return the direction of the run from the gradients of some training pairs."""
        assert self._loss is not None
        arguments = self._trainer.args
        pairs = [pair for pair, _ in drawn]
        return run_direction(
            *(self._model, pairs, self._reference_of(drawn), self._loss, optimizer.rule, batch_pairs(arguments)),
            clip=arguments.max_grad_norm or 0.0,
            rates=optimizer.rates,
            decay=optimizer.decay,
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

    def _find_reference(self) -> tuple[ByRole, str]:
        """Return log ref of every response, None where it is unknown, and where it comes from."""
        measured = self._measure_reference()
        if measured is not None:
            return measured, OF_MODEL
        if self._fresh:
            return self.start["log_probs"], OF_START
        rows = [probe.reference and dict(zip(PAIR, probe.reference, strict=True)) for probe in self.probes]
        return self._by_role(rows), OF_COLUMNS if any(rows) else UNKNOWN

    def _measure_reference(self) -> ByRole | None:
        """Return log ref of every response under the trainer's reference model; None if it keeps none."""
        with reference_model(self._trainer) as model:
            if model is None:
                return None
            found, _ = self._each(lambda part: score_probes(model, self.probes[part]), self.probes)
        return self._by_role([one and one.log_probs for one in found])

    def _sample(self, count: int) -> list[Sampled]:
        """Return training pairs for the prediction; the rows are not those of the probes unless by chance."""
        trainer, found = self._trainer, []
        for _, row in draw_rows(trainer.train_dataset, count, self._seed + 1):
            try:
                pair = self._pair_of(row)
            except Unsupported:
                raise
            except InvalidArgument:
                continue
            found.append(((pair["chosen"], pair["rejected"]), self._row_reference(row)))
        if not found:
            raise Unsupported("sample", "the trainer's data hold no pair that can be used", "give probes= and sample=0")
        return found

    def _reference_of(self, drawn: list[Sampled]) -> Tensor | None:
        """Return log ref of pairs, ``(pairs, 2)``; None where the model is its own reference, or the loss needs none.

        Raises:
            Unsupported: the loss needs the reference, and it is unknown.
        """
        with reference_model(self._trainer) as model:
            if model is not None:
                sequences = [sequence for pair, _ in drawn for sequence in pair]
                return score(model, sequences, [False] * len(sequences))[0].reshape(-1, 2)
        if self._fresh or self._loss is None or not uses_reference(self._loss):
            return None
        known = [reference for _, reference in drawn if reference is not None]
        if len(known) < len(drawn):
            problem = "the loss needs the reference, which the trainer does not keep"
            raise Unsupported("reference", problem, "watch from the beginning of training")
        return torch.tensor(known, dtype=torch.float64)


def _told(sequence: TokenSequence) -> list[int]:
    """Return a sequence as the log has it: the number of tokens of its prompt, then all tokens."""
    return [sequence.prompt_tokens, *sequence.ids]


def _mass_outside(probe: Probe, scores: Scores) -> float:
    """Return the probability of all responses but those of the probe; NaN if one of these is NaN."""
    distinct = {sequence: scores.log_probs[role] for role, sequence in probe.responses.items()}
    rest = 1 - math.fsum(math.exp(value) for value in distinct.values())
    return rest if math.isnan(rest) else max(0.0, rest)
