"""``DynamicsCallback``: what a trainer of preference pairs calls, so that it says what happens to single pairs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dynamics.errors import InvalidArgument, Unsupported, check_count, check_kind
from dynamics.language_model.loading import MissingExtra
from dynamics.language_model.tokens import TokenSequence
from dynamics.language_model.watching.beside import Failed, from_first, keeping_random_state
from dynamics.language_model.watching.comparison import summarize, table, worst
from dynamics.language_model.watching.page import write_page
from dynamics.language_model.watching.panel import PANEL
from dynamics.language_model.watching.run_log import RunLog, append, digest, read_run
from dynamics.language_model.watching.trainer_optimizer import RateSum, loss_scale, step_was_taken
from dynamics.language_model.watching.trainer_settings import trl_loss
from dynamics.language_model.watching.watch import Watch
from dynamics.losses import PreferenceLoss

try:
    from transformers import Trainer, TrainerCallback
except ImportError as problem:
    raise MissingExtra("transformers") from problem

LOG = logging.getLogger(__name__)
PREFIX = "dynamics/"
"""What the names of the numbers begin with that a tracker gets."""
MOVED_APART = (
    "the learning rates of the groups of parameters no longer have the ratio that they had before the schedule, on "
    "which the prediction relies; from here on it is wrong"
)


class DynamicsCallback(TrainerCallback):
    """Watch single pairs while a trainer trains: log pi of both responses and of others, beside a prediction.

    Some pairs of the training and evaluation data, the *probes*, are audited before training. Then, every few steps,
    their responses are scored under the model as it is: outside of autocast, in eval mode and in float32 (float64 for a
    float64 model), with the trainer's own token ids. Whatever is measured, the training goes on as if nobody had
    looked: not a bit of the weights differs.

    Where to find the outcome: the mean numbers of every look in the trainer's own log, under ``dynamics/``; everything,
    pair by pair, in ``watch.jsonl``; a page for a browser in ``watch.html`` at the end of training.

    A look that fails is recorded with its reason, and the training goes on; so it does where a file cannot be written.
    If the measurements before training fail, nothing is watched, and a warning says why.

    Args:
        trainer: TRL's DPOTrainer, or any transformers Trainer; of one without pairs, give ``probes``.
        every: steps between two looks.
        drives_every: steps between two looks at the kernel, which cost more; 0 for none, by default 5 times ``every``.
        probes: how many pairs to watch, drawn in equal parts from the data sets; or the pairs, each a mapping of
            ``"chosen"``, ``"rejected"`` and any other role to a ``TokenSequence``.
        panel: further responses to each prompt: ``"other_prompt"`` (the answer to another prompt), ``"random"`` and
            ``"greedy"`` (the most likely response before training), and names of columns of the data set that hold
            responses as text, such as a paraphrase of the chosen one.
        loss: the loss of the training; by default as the trainer's arguments say.
        sample: number of training pairs from whose gradients the run is predicted; 0 for no prediction.
        seed: seed of all draws.
        folder: where the files go; by default the folder ``dynamics`` in the trainer's output directory.
        greedy_tokens: at most how many tokens a greedy response has.

    Raises:
        InvalidArgument: an argument that cannot be used; a trainer whose data hold no pairs, without ``probes``.

    Example:
        ::

            trainer = DPOTrainer(model=model, args=DPOConfig(...), train_dataset=pairs, processing_class=tokenizer)
            watch = DynamicsCallback(trainer, every=20)
            trainer.add_callback(watch)
            trainer.train()
            print(watch.table())
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        every: int = 20,
        drives_every: int | None = None,
        probes: int | Iterable[Mapping[str, TokenSequence]] = 32,
        panel: Sequence[str] = PANEL,
        loss: PreferenceLoss | None = None,
        sample: int = 64,
        seed: int = 0,
        folder: str | Path | None = None,
        greedy_tokens: int = 64,
    ) -> None:
        allowed = "the trainer, as in trainer.add_callback(DynamicsCallback(trainer))"
        check_kind("trainer", trainer, Trainer, allowed)
        check_count("every", every)
        check_count("seed", seed, minimum=0)
        check_count("sample", sample, minimum=0)
        check_count("greedy_tokens", greedy_tokens)
        if drives_every is not None:
            check_count("drives_every", drives_every, minimum=0)
        if not isinstance(panel, (list, tuple)) or not all(isinstance(role, str) for role in panel):
            raise InvalidArgument("panel", panel, f"names such as {', '.join(PANEL)}, or columns of the data set")
        if loss is not None:
            check_kind("loss", loss, PreferenceLoss, "a loss such as DPO(beta=0.1)")
        if folder is not None and not isinstance(folder, (str, Path)):
            raise InvalidArgument("folder", folder, "the path of a folder")
        self.every = every
        self.drives_every = 5 * every if drives_every is None else drives_every
        self.folder = Path(trainer.args.output_dir or ".") / "dynamics" if folder is None else Path(folder)
        self._trainer, self._sample = trainer, sample
        self._remark = ""
        if loss is None:
            try:
                loss = trl_loss(trainer.args)
            except Unsupported as problem:
                self._remark = str(problem)
        with keeping_random_state():  # a collator or a data set may draw
            self._watch = Watch(trainer, probes, tuple(panel), loss, seed, greedy_tokens)
        self._rates, self._looked, self._watching = RateSum(), -1, False
        self._scale: float | None = None
        self._trained = trainer.state.global_step > 0  # by an earlier call of train()
        self._unwritten = False  # a run whose beginning is not in the file; its looks would count as those of another

    @property
    def path(self) -> Path:
        """Return the file of the JSON lines."""
        return self.folder / "watch.jsonl"

    @property
    def page(self) -> Path:
        """Return the file of the page."""
        return self.folder / "watch.html"

    def read(self) -> RunLog | None:
        """Return what the file of the JSON lines says about the last run; None if there is none yet."""
        return read_run(self.path)

    def table(self, most: int | None = None) -> str:
        """Return the outcome as text: how the prediction did, then one line for each pair.

        Args:
            most: at most how many pairs, those whose chosen response fell most; None for all.
        """
        log = self.read()
        return "\n".join(["there is no run yet"] if log is None else table(log, most))

    # what the trainer calls; the order is that of a run, and the arguments are those that a trainer passes
    # ruff: noqa: ARG002

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Draw the probes, audit them and predict the run; or continue the run that a checkpoint belongs to."""
        self._rates, self._looked, self._watching = RateSum(), state.global_step, True
        with keeping_random_state():
            try:
                self._begin(state.global_step)
            except Failed as problem:
                self._watching = False
                LOG.warning("nothing is watched in this run: %s", problem)
        self._trained = True

    def _begin(self, step: int) -> None:
        begun = time.perf_counter()
        before = self._earlier() if step else None
        self._watch.prepare(before)
        known = before is not None and before.run.get("digest") == digest(self._watch.probes)
        if known and before is not None and before.start is not None:
            told = any(MOVED_APART in problem for problem in before.problems)
            self._rates = RateSum(*before.rates_at(step), moved_apart=told)
            self._watch.resume(before)
            self._append({"kind": "resume", "step": step, **self._counted})
            return
        start, problems = self._watch.begin(fresh=step == 0 and not self._trained)
        drives, failed = self._try_drives()
        prediction = self._watch.predict(self._sample, self._remark)
        failed += prediction.pop("problems", [])
        run = self._watch.describe() | {"every": self.every, "drives_every": self.drives_every}
        self._append(
            {"kind": "run", "step": step, **run, "remark": self._remark},
            {"kind": "start", "step": step, "rate_sum": 0.0, **start},
            *([] if drives is None else [{"kind": "audit", "step": step, "pairs": self._watch.audit(drives)}]),
            {"kind": "prediction", **prediction},
        )
        self._keep_problems(step, [*problems, *failed])
        numbers = summarize(start, start, self._watch.reference)
        self._tell(numbers | {"seconds_before_training": time.perf_counter() - begun})
        if self.drives_every and drives is not None:
            self._keep_drives(step, drives, seconds=None)

    @property
    def _counted(self) -> dict[str, Any]:
        """Return the sum of the learning rates so far, and how many steps were skipped, if any were."""
        skipped = {"skipped": self._rates.skipped} if self._rates.skipped else {}
        return {"rate_sum": self._rates.total, **skipped}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Remember by what the loss is multiplied, which tells afterwards whether the step was taken."""
        self._scale = loss_scale(self._trainer.accelerator)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Add up the learning rate of the step, if it was taken: the scaler of float16 skips those that overflow."""
        before = self._rates.moved_apart
        taken = step_was_taken(self._trainer.accelerator, self._scale)
        self._rates.add(given["optimizer"].param_groups, taken=taken)
        if self._watching and self._rates.moved_apart and not before:
            self._keep_problems(state.global_step + 1, [MOVED_APART])

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look at the probes, if it is time."""
        step = state.global_step
        if not self._watching:
            return
        with keeping_random_state():
            if step % self.every == 0 or step >= state.max_steps:
                self._look(step)
            if self.drives_every and step % self.drives_every == 0:
                self._look_at_drives(step)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the sum of the learning rates, with which a run that resumes here goes on."""
        if self._watching:
            self._append({"kind": "saved", "step": state.global_step, **self._counted})

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the last look, if training ended between two, and write the page."""
        if not self._watching:
            return
        if self._looked < state.global_step and not args.load_best_model_at_end:
            with keeping_random_state():
                self._look(state.global_step)
        self._append({"kind": "end", "step": state.global_step, **self._counted})
        try:
            log = self.read() if self._first and not self._unwritten else None
            if log is not None:
                write_page(log, self.page, state.log_history, self._watch.texts())
        except Exception as problem:  # the trained model is still to be saved
            LOG.warning("no page: %s: %s", type(problem).__name__, problem)

    # what these events have in common

    @property
    def _first(self) -> bool:
        """Return whether this is the process that writes."""
        return bool(self._trainer.is_world_process_zero())

    def _earlier(self) -> RunLog | None:
        """Return what the first process reads of the run that is resumed; other machines need not have the file."""

        def found() -> RunLog | None:
            try:
                return self.read()
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
                LOG.warning("%s is damaged, so a new run begins: %s: %s", self.path, type(problem).__name__, problem)
                return None

        accelerator = self._trainer.accelerator
        return from_first(found, accelerator.process_index, accelerator.num_processes)

    def _append(self, *lines: dict[str, Any]) -> None:
        begins = lines[0]["kind"] == "run"
        if not self._first or (self._unwritten and not begins):
            return
        try:
            self._unwritten = begins
            append(self.path, *lines)
            self._unwritten = False
        except (OSError, InvalidArgument) as problem:  # the disk is full, or another process writes the file
            LOG.warning("%s was not written: %s", self.path, problem)

    def _look(self, step: int) -> None:
        begun = time.perf_counter()
        self._looked = step
        try:
            look, problems = self._watch.look()
        except Failed as problem:
            self._keep_problems(step, [str(problem)])
            return
        self._keep_problems(step, problems)
        start, names = self._watch.start, self._watch.names
        numbers = summarize(start, look, self._watch.reference)
        fallen = worst(start, look, names)
        seconds = time.perf_counter() - begun
        self._append({"kind": "look", "step": step, **self._counted, "seconds": seconds, **look, "worst": fallen})
        predicted = self._watch.predicted_change("chosen", self._rates.total)
        if predicted is not None:
            numbers["predicted_change_chosen"] = predicted
        self._tell(numbers | {"seconds_per_probe": seconds / len(names)})

    def _keep_problems(self, step: int, problems: Sequence[str]) -> None:
        if problems:
            self._append(*({"kind": "problem", "step": step, "problem": problem} for problem in problems))

    def _try_drives(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Return the drives, None if there are none, and what failed."""
        try:
            return self._watch.drives()
        except Failed as problem:
            return None, [f"no drives: {problem}"]

    def _look_at_drives(self, step: int) -> None:
        begun = time.perf_counter()
        drives, problems = self._try_drives()
        self._keep_problems(step, problems)
        if drives is not None:
            self._keep_drives(step, drives, time.perf_counter() - begun)

    def _keep_drives(self, step: int, drives: dict[str, Any], seconds: float | None) -> None:
        self._append({"kind": "drives", "step": step, **self._counted, "seconds": seconds, **drives})
        chosen = [value for value in drives["drive"]["chosen"] if value is not None]
        numbers = {"share_negative_drive": sum(value < 0 for value in chosen) / len(chosen)}
        slopes = [slope for slope in drives["own_chosen_change"] if slope is not None]
        if slopes:
            numbers["share_displaced_alone"] = sum(slope < 0 for slope in slopes) / len(slopes)
        if seconds is not None:
            numbers["seconds_per_probe_drives"] = seconds / len(self._watch.names)
        self._tell(numbers)

    def _tell(self, numbers: Mapping[str, float]) -> None:
        """Hand numbers to the trackers of the trainer.

        TRL's ``log`` ends the averaging interval of its own metrics; that of transformers, which it extends, does not.
        It takes back the request to log that may stand for the end of this step, so that is restored.
        """
        wanted = self._trainer.control.should_log
        Trainer.log(self._trainer, {f"{PREFIX}{name}": value for name, value in numbers.items()})
        self._trainer.control.should_log = wanted
