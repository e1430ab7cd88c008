"""``python -m dynamics step``: one step on one pair, its prediction beside what really happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from dynamics.commands.inputs import choose_loss, choose_optimizer, open_data_and_model, take_rows
from dynamics.commands.printing import per_cent, plain_table, print_lines, print_remarks, shorten
from dynamics.commands.shared import Options
from dynamics.language_model.loading import DTYPES
from dynamics.language_model.pair_audit.reading.rows import Pair
from dynamics.language_model.prediction.model_step import ModelStep, StepChange, model_step
from dynamics.language_model.tokens import TokenSequence
from dynamics.losses import PreferenceLoss


def step_command(
    options: Options,
    console: Console,
    row: int,
    learning_rates: tuple[float, ...],
    loss: str,
    beta: float | None,
    optimizer: str,
) -> None:
    """Print how a step on one pair changes log pi of both responses: as predicted, and in fact.

    Args:
        options: the shared options.
        console: where to print.
        row: number of the row.
        learning_rates: one step is taken for each, always from the model as it was loaded.
        loss: name of a preference loss.
        beta: its beta; None for its own default.
        optimizer: ``"sgd"`` or ``"adamw"``.
    """
    rule, chosen_loss = choose_optimizer(optimizer), choose_loss(loss, beta)
    source, loaded = open_data_and_model(options, console)
    ((taken, tokenized),) = take_rows(source, loaded, options, (row,))
    print_remarks(console, [(taken, tokenized)])
    how: dict[str, Any] = {"loss": chosen_loss, "optimizer": rule, "parameters": options.parameters}
    pair = loaded.model, tokenized.sequences
    first, *others = learning_rates
    before = model_step(*pair, learning_rate=first, dtype=DTYPES[options.dtype], **how)
    later = [model_step(*pair, learning_rate=r, dtype=DTYPES[options.dtype], kernel=False, **how) for r in others]
    if taken.pair is not None:
        print_step(console, taken.pair, pair[1], chosen_loss, learning_rates, before, [before, *later], optimizer)
        print_lines(console, before.cross_kernel.remarks)


def print_step(
    console: Console,
    pair: Pair,
    sequences: tuple[TokenSequence, TokenSequence],
    loss: PreferenceLoss,
    learning_rates: Sequence[float],
    first: ModelStep,
    steps: Sequence[StepChange],
    optimizer: str,
) -> None:
    """Print the pair, and one line for each step.

    Args:
        console: where to print.
        pair: the pair.
        sequences: its tokens.
        loss: the loss.
        learning_rates: learning rates of the steps.
        first: a step with the drives before it, which are the same for all of them.
        steps: the steps.
        optimizer: ``"sgd"`` or ``"adamw"``.
    """
    for side, (name, text) in enumerate(zip(("chosen", "rejected"), pair.texts, strict=True)):
        numbers = f"{sequences[side].length} tokens, log pi {float(first.log_probs[side]):.4f}"
        drive = f"drive {float(first.drive[0, side]):+.5g}"
        print_lines(console, [f"{name:<9}{shorten(text, 48)}  {numbers}, {drive}"])
    about = f"{loss}, margin {float(first.margin[0]):.4g}, urgency {float(first.urgency[0]):.4g}"
    verb = _verb(float(first.chosen_slope[0]))
    print_lines(console, [f"{about}: to first order an SGD step {verb} log pi of the chosen response"])
    if optimizer != "sgd":
        print_lines(
            console,
            [
                f"the sentence above is about SGD; the table below is about the first step of {optimizer}, which goes "
                "in another direction"
            ],
        )
    table = plain_table(
        "learning rate", "chosen: predicted", "actual", "rejected: predicted", "actual", "largest error"
    )
    for rate, step in zip(learning_rates, steps, strict=True):
        cells = [
            f"{float(v):+.4e}"
            for side in (0, 1)
            for v in (step.predicted_log_change[side], step.actual_log_change[side])
        ]
        table.add_row(f"{rate:g}", *cells, per_cent(float(step.relative_error.max())))
    console.print(table)
    print_lines(
        console,
        [
            "predicted and actual: change of log pi in nats; largest error: the larger |actual - predicted| / |actual| "
            "of the two responses, which grows with the learning rate"
        ],
    )


def _verb(slope: float) -> str:
    if slope == 0:
        return "does not move"
    return "raises" if slope > 0 else "lowers"
