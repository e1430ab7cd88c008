"""The commands of ``python -m dynamics``: load, compute, print."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dynamics.commands import printing
from dynamics.errors import InvalidArgument, check_count
from dynamics.files import write_atomically
from dynamics.language_model.kernel.sequence_kernel import sequence_kernel
from dynamics.language_model.loading import DTYPES, LanguageModel, load, load_tokenizer, require
from dynamics.language_model.pair_audit import results as pair_results
from dynamics.language_model.pair_audit.data import PairSource, Row, check_rows, open_pairs
from dynamics.language_model.pair_audit.fingerprint import model_digest
from dynamics.language_model.pair_audit.processes import Processes, join_processes
from dynamics.language_model.pair_audit.run import AuditSettings, refuse, run_audit
from dynamics.language_model.pair_audit.show import show_rows
from dynamics.language_model.pair_audit.summary import AuditSummary, summarise
from dynamics.language_model.pair_audit.tokens import TokenizedPair, tokenize_pair
from dynamics.language_model.parameters import Filter
from dynamics.language_model.prediction.model_step import model_step
from dynamics.losses import LOSSES, TRL_NAMES, PreferenceLoss, get_loss
from dynamics.optimizers import SGD, AdamW, Optimizer

OPTIMIZERS: dict[str, Optimizer] = {"sgd": SGD(), "adamw": AdamW()}


@dataclass(frozen=True)
class Options:
    """What all commands are told.

    Attributes:
        model: folder or hub id.
        revision: of the hub.
        data: file, folder or hub id of preference pairs.
        split: of a folder or hub data set.
        parameters: globs; empty for all parameters.
        dtype: ``"float32"`` or ``"float64"``.
        device: where to compute; None for a GPU if there is one.
        max_tokens: longest sequence; None for the model's own limit.
        threads: of torch; None for its own choice.
        prompt_columns: columns that hold the prompt; empty where it is ``prompt``.
    """

    model: str
    data: str
    revision: str | None = None
    split: str = "train"
    parameters: tuple[str, ...] = ()
    dtype: str = "float32"
    device: str | None = None
    max_tokens: int | None = None
    threads: int | None = None
    prompt_columns: tuple[str, ...] = ()

    @property
    def filter(self) -> Filter:
        """Return the filter of parameters."""
        return list(self.parameters) or None


def kernel_command(
    options: Options, console: Console, first: int, rows: tuple[int, ...] = (), out: Path | None = None
) -> None:
    """Print the kernel of the responses of some rows, and write it.

    Args:
        options: common options.
        console: where to print.
        first: take so many of the first rows that can be used.
        rows: take these instead.
        out: a file ``.npz`` for ``kernel``, ``log_probs`` and ``names``: ``"3w"`` and ``"3l"`` are the chosen and the
            rejected response of row 3.
    """
    if out is not None:
        _check_place(out)
    source, loaded = _open(options, console)
    taken = _take(source, loaded, options, first, rows)
    sequences = [sequence for _, pair in taken for sequence in pair.sequences]
    names = [f"{row.number}{side}" for row, _ in taken for side in "wl"]
    texts = [text for row, _ in taken if row.pair for text in row.pair.texts]
    printing.print_remarks(console, taken)
    with _telling(console):
        account = sequence_kernel(loaded.model, sequences, parameters=options.filter, dtype=DTYPES[options.dtype])
    printing.print_kernel(console, account, names, texts, [sequence.length for sequence in sequences])
    if out is not None:
        arrays = {"kernel": account.kernel.numpy(), "log_probs": account.log_probs.numpy(), "names": np.array(names)}
        write_atomically(out, lambda temporary: _save(temporary, arrays))
        console.print(f"written: {out} (kernel, log_probs, names)", markup=False, soft_wrap=True)


def step_command(
    options: Options,
    console: Console,
    row: int,
    learning_rates: tuple[float, ...],
    loss: str,
    beta: float | None,
    optimizer: str,
) -> None:
    """Print what a step on one pair does to both responses, predicted and really.

    Args:
        options: common options.
        console: where to print.
        row: number of the row.
        learning_rates: one step for each, always from the model as it is.
        loss: name of a preference loss.
        beta: its beta; None for its own default.
        optimizer: ``"sgd"`` or ``"adamw"``.
    """
    if optimizer not in OPTIMIZERS:
        raise InvalidArgument("optimizer", optimizer, " or ".join(OPTIMIZERS))
    found = choose_loss(loss, beta)
    source, loaded = _open(options, console)
    ((taken, made),) = _take(source, loaded, options, 1, (row,))
    printing.print_remarks(console, [(taken, made)])
    pair = made.sequences
    steps = [
        model_step(
            *(loaded.model, pair),
            loss=found,
            optimizer=OPTIMIZERS[optimizer],
            learning_rate=rate,
            parameters=options.filter,
            dtype=DTYPES[options.dtype],
        )
        for rate in learning_rates
    ]
    printing.print_step(console, taken, pair, found, learning_rates, steps, optimizer)


def choose_loss(name: str, beta: float | None) -> PreferenceLoss:
    """Return the loss that ``--loss`` and ``--beta`` ask for.

    Args:
        name: of the loss.
        beta: its beta; None for its own default.

    Raises:
        InvalidArgument: an unknown name, with those that are spelt nearly so; a beta for a loss without one.

    Example:
        >>> choose_loss("dpo", 0.5)
        DPO(beta=0.5)
    """
    known = {*LOSSES, *TRL_NAMES}
    if name not in known:
        near = get_close_matches(name.lower(), sorted(known), n=3)
        raise InvalidArgument(
            "loss", name, f"{' or '.join(near)}, or another loss" if near else "one of " + ", ".join(sorted(known))
        )
    found = get_loss(name)
    if beta is None:
        return found
    if not hasattr(found, "beta"):
        raise InvalidArgument("beta", beta, f"no beta: the loss {name} has none")
    return get_loss(name, beta=beta)


def show_command(options: Options, console: Console, count: int) -> None:
    """Print rows as the model will see them; only its tokenizer is loaded.

    Args:
        options: common options.
        console: where to print.
        count: how many of the first rows.
    """
    source = _open_data(options, console)
    tokenizer, config = load_tokenizer(options.model, revision=options.revision)
    console.print()
    show_rows(console, source, tokenizer, _longest(config, options), check_count("show", count))


def pairs_command(options: Options, console: Console, out: Path, settings: AuditSettings) -> AuditSummary:
    """Audit a data set and print the summary; it is written beside the results too.

    Args:
        options: common options.
        console: where to print; only the first of several processes does.
        out: file for the results, one line for each row.
        settings: how.
    """
    processes = join_processes(options.device)
    try:
        return _pairs(options, console if processes.rank == 0 else Console(quiet=True), out, settings, processes)
    finally:
        processes.leave()


def _pairs(
    options: Options, console: Console, out: Path, settings: AuditSettings, processes: Processes
) -> AuditSummary:
    pair_results.look(out)
    source, loaded = _open(options, console, processes.device)
    longest = _longest(loaded.model.config, options)
    first = check_rows(source, lambda row: _tokenize(loaded, row, longest))
    printing.print_remarks(console, [(first, _tokenize(loaded, first, longest))])
    depends_on = {
        "model": model_digest(loaded),
        "data": source.fingerprint,
        "columns": source.reading.settings(),
        "parameters": list(options.parameters),
        "dtype": options.dtype,
        "max_tokens": longest,
        "loss": str(settings.loss),  # beta and all
    }
    made = replace(settings, parameters=options.filter, dtype=DTYPES[options.dtype], max_tokens=longest)
    total = source.rows if settings.first is None else min(settings.first, source.rows or settings.first)
    with ExitStack() as stack:
        if processes.rank == 0:
            stack.enter_context(pair_results.begun(out, depends_on))
        processes.wait()
        stack.enter_context(_telling(console, once=True))
        bar = stack.enter_context(_bar(console))
        task = bar.add_task("rows", total=total)
        run_audit(loaded, source, out, made, processes, lambda rows: bar.update(task, completed=rows))
    summary = summarise(out)
    if processes.rank == 0:
        account = {**asdict(summary), "model": options.model, "data": options.data, "settings": depends_on}
        pair_results.write_json(pair_results.summary_file(out), account)
        printing.print_summary(console, summary, settings.loss, out)
    if settings.strict and summary.skipped:
        raise refuse(summary.skipped_rows[0][1])
    return summary


def _open_data(options: Options, console: Console) -> PairSource:
    """Open the data, say what is read, and refuse what holds no pairs."""
    source = open_pairs(options.data, options.split, options.prompt_columns)
    check_rows(source)
    printing.print_reading(console, source.reading)
    transformers = require("transformers")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()  # a sequence longer than the model's is reported by its row
    return source


def _open(options: Options, console: Console, device: str | None = None) -> tuple[PairSource, LanguageModel]:
    """Open the data first: a mistake there should not wait for the model."""
    if options.dtype not in ("float32", "float64"):
        raise InvalidArgument("dtype", options.dtype, "float32 or float64")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    source = _open_data(options, console)
    place = options.device or device or ("cuda" if torch.cuda.is_available() else "cpu")
    loaded = load(options.model, revision=options.revision, dtype=options.dtype, device=place)
    return source, loaded


def _longest(config: Any, options: Options) -> int | None:
    if options.max_tokens is not None:
        return check_count("max_tokens", options.max_tokens)
    return getattr(config, "max_position_embeddings", None)


def _tokenize(loaded: LanguageModel, row: Row, longest: int | None) -> TokenizedPair:
    if row.pair is None:
        raise InvalidArgument("data", row.place, row.problem)
    return tokenize_pair(loaded.tokenizer, row.pair, longest)


def _take(
    source: PairSource, loaded: LanguageModel, options: Options, first: int, rows: tuple[int, ...]
) -> list[tuple[Row, TokenizedPair]]:
    """Return the first rows that can be used, or certain rows, which must be such."""
    longest = _longest(loaded.model.config, options)
    if not rows:
        check_count("first", first)
        check_rows(source, lambda row: _tokenize(loaded, row, longest))
        return list(islice(_usable(source, loaded, longest), first))
    wanted: dict[int, Any] = dict.fromkeys(check_count("rows", row, minimum=0) for row in rows)
    for row in source.read():
        if row.number in wanted:
            try:
                wanted[row.number] = row, _tokenize(loaded, row, longest)
            except InvalidArgument as problem:
                why = row.problem or str(problem)
                raise InvalidArgument("row", row.number, f"a row with a pair; {row.place}: {why}") from None
        if row.number >= max(wanted):
            break
    for number, found in wanted.items():
        if found is None:
            raise InvalidArgument("row", number, f"a row that {source.name} has")
    return list(wanted.values())


def _usable(source: PairSource, loaded: LanguageModel, longest: int | None) -> Iterator[Any]:
    for row in source.read():
        try:
            yield row, _tokenize(loaded, row, longest)
        except InvalidArgument:
            continue


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:  # numpy would add .npz to a name that does not end in it
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _check_place(out: Path) -> None:
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InvalidArgument("out", str(out), "a file in a folder that exists and can be written")


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class _Teller(logging.Handler):
    def __init__(self, console: Console, once: bool) -> None:
        super().__init__(logging.INFO)
        self._console, self._once, self._told = console, once, False

    def emit(self, record: logging.LogRecord) -> None:
        if not (self._once and self._told):
            self._console.print(record.getMessage(), markup=False, soft_wrap=True)
        self._told = True


@contextmanager
def _telling(console: Console, once: bool = False) -> Iterator[None]:
    """Print what the kernel says before it starts: the bytes that it needs."""
    log = logging.getLogger(sequence_kernel.__module__)
    handler, level = _Teller(console, once), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
