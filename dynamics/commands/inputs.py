"""What a command needs before it computes: the data set, the model, certain rows, a loss."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from dynamics.commands.printing import print_lines
from dynamics.commands.shared import Options
from dynamics.errors import InvalidArgument, check_count
from dynamics.language_model.kernel import computation
from dynamics.language_model.loading import LanguageModel, ModelUnavailable, load, load_tokenizer, require
from dynamics.language_model.pair_audit.reading.data import PairSource, Row, check_rows, open_pairs
from dynamics.language_model.pair_audit.reading.tokens import TokenizedPair, tokenize_pair
from dynamics.language_model.pair_audit.reading.truncation import Truncation
from dynamics.losses import LOSSES, TRL_NAMES, PreferenceLoss, get_loss
from dynamics.optimizers import SGD, AdamW, Optimizer

OPTIMIZERS: dict[str, Optimizer] = {"sgd": SGD(), "adamw": AdamW(weight_decay=0.0)}
"""By name; AdamW as trainers of transformers use it by default: without weight decay."""
TEMPLATE_SUFFIXES = (".jinja", ".jinja2", ".j2", ".txt", ".tpl")
"""Endings of files, and not of hub ids."""


def open_data(options: Options, console: Console) -> PairSource:
    """Open the data set, print which columns are read, and refuse one that holds no pairs.

    Args:
        options: the shared options.
        console: where to print.
    """
    source = open_pairs(options.data, options.split, options.prompt_columns)
    check_rows(source)
    print_lines(console, source.reading.lines())
    transformers = require("transformers")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()  # a sequence that is too long for the model is reported by its row
    return source


def open_data_and_model(
    options: Options, console: Console, device: str | None = None
) -> tuple[PairSource, LanguageModel]:
    """Open the data set, and then the model, so that a mistake in the data does not wait for the model.

    Args:
        options: the shared options.
        console: where to print.
        device: where to compute if the options do not say; by default a GPU if there is one.
    """
    if options.dtype not in ("float32", "float64"):
        raise InvalidArgument("dtype", options.dtype, "float32 or float64")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    source = open_data(options, console)
    place = options.device or device or ("cuda" if torch.cuda.is_available() else "cpu")
    first = check_rows(source).pair
    how: dict[str, Any] = {"dtype": options.dtype, "device": place, "adapter": options.adapter}
    how["tokenizer"] = first is None or first.ids is None  # token ids need none
    loaded = load(options.model, revision=options.revision, **how)
    set_chat_template(loaded.tokenizer, options)
    return source, loaded


def set_chat_template(tokenizer: Any, options: Options) -> None:
    """Give a tokenizer the chat template that the options ask for, if they ask for one.

    Args:
        tokenizer: a Hugging Face tokenizer; it is changed. None if the data are token ids.
        options: the shared options.

    Raises:
        InvalidArgument: the file cannot be read, the model that is named has no template, or the data are token ids.
    """
    if options.chat_template is None:
        return
    if tokenizer is None:
        raise InvalidArgument("chat-template", "the rows hold token ids, which need none; leave it out")
    tokenizer.chat_template = _read_template(options.chat_template)


def _read_template(name: str) -> str:
    path = Path(name).expanduser()
    if path.suffix in TEMPLATE_SUFFIXES and not path.exists():
        raise InvalidArgument("chat-template", f"there is no file {name}; give one that exists")
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8")
        transformers = require("transformers")
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(path)) if path.is_dir() else load_tokenizer(name)[0]
    except ModelUnavailable as problem:
        raise InvalidArgument("chat-template", f"there is no file {name}, and no such model: {problem}") from problem
    except (OSError, ValueError) as problem:
        why = next(iter(str(problem).splitlines()), type(problem).__name__)
        raise InvalidArgument("chat-template", f"{name} cannot be read ({why})") from problem
    found = getattr(tokenizer, "chat_template", None)
    if not isinstance(found, str):
        raise InvalidArgument("chat-template", f"the tokenizer of {name} has no chat template; give another one")
    return found


def find_max_tokens(config: Any, options: Options) -> int | None:
    """Return the most tokens that a sequence may have: as the options say, or as the model is made for.

    Args:
        config: configuration of the model.
        options: the shared options.
    """
    if options.max_tokens is not None:
        return check_count("max_tokens", options.max_tokens)
    return getattr(config, "max_position_embeddings", None)


def tokenize_row(
    loaded: LanguageModel, row: Row, max_tokens: int | None, truncation: Truncation | None = None
) -> TokenizedPair:
    """Tokenise the pair of a row.

    Args:
        loaded: model and tokenizer.
        row: the row.
        max_tokens: most tokens of a sequence.
        truncation: how the trainer truncates; by default not at all.

    Raises:
        InvalidArgument: the row holds no pair, or one that cannot be used.
    """
    if row.pair is None:
        raise InvalidArgument("data", f"{row.place}: {row.problem}")
    return tokenize_pair(loaded.tokenizer, row.pair, max_tokens, truncation)


def take_first(
    source: PairSource, loaded: LanguageModel, options: Options, count: int
) -> list[tuple[Row, TokenizedPair]]:
    """Return the first rows that can be used.

    Args:
        source: the data set.
        loaded: model and tokenizer.
        options: the shared options.
        count: how many rows.
    """
    max_tokens = find_max_tokens(loaded.model.config, options)
    check_rows(source, lambda row: tokenize_row(loaded, row, max_tokens))
    return list(islice(_usable(source, loaded, max_tokens), check_count("first", count)))


def take_rows(
    source: PairSource, loaded: LanguageModel, options: Options, numbers: tuple[int, ...]
) -> list[tuple[Row, TokenizedPair]]:
    """Return the rows with certain numbers, in the order of the numbers.

    Args:
        source: the data set.
        loaded: model and tokenizer.
        options: the shared options.
        numbers: which rows, counted from 0.

    Raises:
        InvalidArgument: there is no such row, or it cannot be used.
    """
    max_tokens = find_max_tokens(loaded.model.config, options)
    wanted = list(dict.fromkeys(check_count("rows", number, minimum=0) for number in numbers))
    found: dict[int, tuple[Row, TokenizedPair]] = {}
    last = -1
    for row in source.read():
        last = row.number
        if row.number in wanted:
            try:
                found[row.number] = row, tokenize_row(loaded, row, max_tokens)
            except InvalidArgument as problem:
                why = row.problem or str(problem)
                raise InvalidArgument("row", f"row {row.number} cannot be used; {row.place}: {why}") from None
        if row.number >= max(wanted):
            break
    for number in wanted:
        if number not in found:
            what = f"ends with row {last}" if number > last else "has no pair there: the line is blank"
            raise InvalidArgument("row", f"there is no row {number}: {source.name} {what} (rows are counted from 0)")
    return [found[number] for number in wanted]


def choose_loss(name: str, beta: float | None) -> PreferenceLoss:
    """Return the loss that ``--loss`` and ``--beta`` ask for.

    Args:
        name: of the loss.
        beta: its beta; None for its own default.

    Raises:
        InvalidArgument: an unknown name, with the names that are spelt nearly so; a beta for a loss without one.

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
        raise InvalidArgument("beta", f"the loss {name} has no beta; leave out --beta")
    return get_loss(name, beta=beta)


def choose_optimizer(name: str) -> Optimizer:
    """Return the optimizer that ``--optimizer`` asks for.

    Args:
        name: ``"sgd"`` or ``"adamw"``.

    Raises:
        InvalidArgument: another name.

    Example:
        >>> choose_optimizer("adamw").weight_decay
        0.0
    """
    if name not in OPTIMIZERS:
        raise InvalidArgument("optimizer", name, " or ".join(OPTIMIZERS))
    return OPTIMIZERS[name]


def _usable(source: PairSource, loaded: LanguageModel, max_tokens: int | None) -> Iterator[tuple[Row, TokenizedPair]]:
    for row in source.read():
        try:
            yield row, tokenize_row(loaded, row, max_tokens)
        except InvalidArgument:
            continue


class _PrintingHandler(logging.Handler):
    def __init__(self, console: Console, once: bool) -> None:
        super().__init__(logging.INFO)
        self._console, self._once, self._printed = console, once, False

    def emit(self, record: logging.LogRecord) -> None:
        if not (self._once and self._printed):
            self._console.print(record.getMessage(), markup=False, soft_wrap=True)
        self._printed = True


@contextmanager
def printing_memory(console: Console, once: bool = False) -> Iterator[None]:
    """Print the bytes that the kernel says it needs before it starts.

    Args:
        console: where to print.
        once: print only the first such line, not one for every batch.
    """
    log = logging.getLogger(computation.__name__)
    handler, level = _PrintingHandler(console, once), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
