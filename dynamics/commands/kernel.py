"""``python -m dynamics kernel``: norms and cosines of the scores of a few pairs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape

from dynamics.commands.inputs import open_data_and_model, printing_memory, take_first, take_rows
from dynamics.commands.printing import TEXT, plain_table, print_lines, print_remarks, shorten
from dynamics.commands.shared import Options
from dynamics.errors import InvalidArgument
from dynamics.files import write_atomically
from dynamics.language_model.kernel.sequence_kernel import SequenceKernel, sequence_kernel
from dynamics.language_model.loading import DTYPES

LEAST_TEXT = 8  # characters of a response that are always shown
NUMBERS = 28  # width of the columns tokens, log pi and |g|
COSINE = 7  # width of a cosine


def kernel_command(
    options: Options, console: Console, first: int, rows: str | None = None, out: Path | None = None
) -> None:
    """Compute the kernel of the responses of some rows, print it, and write it to a file.

    Args:
        options: the shared options.
        console: where to print.
        first: take this many rows, the first ones that can be used.
        rows: take these rows instead, such as ``"0,3,17"``.
        out: a file ``.npz`` for ``kernel``, ``log_probs`` and ``names``; ``"3w"`` names the chosen and ``"3l"`` the
            rejected response of row 3.
    """
    numbers = None if rows is None else _parse_numbers(rows)
    if out is not None and (out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK)):
        raise InvalidArgument("out", str(out), "the name of a file in a folder that exists and can be written")
    source, loaded = open_data_and_model(options, console)
    taken = (
        take_first(source, loaded, options, first) if numbers is None else take_rows(source, loaded, options, numbers)
    )
    sequences = [sequence for _, pair in taken for sequence in pair.sequences]
    names = [f"{row.number}{side}" for row, _ in taken for side in "wl"]
    texts = [text for row, _ in taken if row.pair for text in row.pair.texts]
    print_remarks(console, taken)
    with printing_memory(console):
        kernel = sequence_kernel(loaded.model, sequences, parameters=options.parameters, dtype=DTYPES[options.dtype])
    print_kernel(console, kernel, names, texts, [sequence.length for sequence in sequences])
    print_lines(console, kernel.remarks)
    if out is not None:
        arrays = {"kernel": kernel.kernel.numpy(), "log_probs": kernel.log_probs.numpy(), "names": np.array(names)}
        write_atomically(out, lambda temporary: _save(temporary, arrays))
        print_lines(console, [f"written: {out} (kernel, log_probs, names)"])


def print_kernel(
    console: Console, kernel: SequenceKernel, names: Sequence[str], texts: Sequence[str], lengths: Sequence[int]
) -> None:
    """Print log-probabilities, norms and as many columns of cosines as there is room for.

    Args:
        console: where to print.
        kernel: the kernel.
        names: names of the responses, such as ``"3w"``.
        texts: texts of the responses.
        lengths: numbers of their tokens.
    """
    room = console.width - NUMBERS - max(map(len, names))
    shown = min(len(names), max(2, (room - LEAST_TEXT) // COSINE))
    limit = max(LEAST_TEXT, min(TEXT, room - shown * COSINE))
    table = plain_table("row", "response", "tokens", "log pi", "|g|", *names[:shown])
    for number, column in enumerate(table.columns):
        column.justify, column.no_wrap = "left" if number < 2 else "right", True
    cosine, norms = kernel.cosine(), kernel.norms()
    for i, name in enumerate(names):
        cosines = [f"{float(value):+.2f}" for value in cosine[i, :shown]]
        own = f"{float(kernel.log_probs[i]):.2f}", f"{float(norms[i]):.4g}"
        table.add_row(name, escape(shorten(texts[i], limit)), str(lengths[i]), *own, *cosines)
    console.print(table)
    rest = "" if shown == len(names) else f" (the first {shown} of {len(names)} columns; --out writes all)"
    print_lines(
        console,
        [
            "w: chosen, l: rejected response of the row; log pi in nats; |g|: norm of the score, the gradient of "
            f"log pi; then the cosines with the scores of the responses named above{rest}"
        ],
    )


def _parse_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InvalidArgument("rows", text, "whole numbers with commas between them, such as 0,3,17") from None


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:  # numpy would add .npz to a name that does not end in it
        np.savez(file, **arrays)  # type: ignore[arg-type]
