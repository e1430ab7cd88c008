"""``python -m theory decide "drive(w) >= 0"``: a conjecture in one line, decided."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from theory.proof.family import Family

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Kind(StrEnum):
    """What a conjecture is about."""

    EVERY = "every"
    TABULAR = "tabular"
    LOG_LINEAR = "log-linear"
    TWO = "two-responses"
    WEIGHTS = "weights"
    SECOND_ORDER = "second-order"
    BLOCKS = "two-blocks"


@app.command()
def main(
    conjecture: Annotated[str, typer.Argument(help="Such as 'drive(w) >= 0', 'D_w >= D_l' or 'A_y**2 <= yy * dd'.")],
    given: Annotated[str | None, typer.Option(help="A premise, written in the same way.")] = None,
    exists: Annotated[bool, typer.Option("--exists", help="Ask whether there is a world in which it is true.")] = False,
    over: Annotated[Kind, typer.Option(help="The policies that it is about.")] = Kind.EVERY,
    loss: Annotated[
        str | None, typer.Option(help="The step is one of this loss, such as ipo or simpo, at any reference.")
    ] = None,
    responses: Annotated[int, typer.Option(min=2, help="Largest number of responses of random worlds.")] = 8,
    worlds: Annotated[int, typer.Option(min=1, help="Random worlds of each kind.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random worlds.")] = 0,
    work: Annotated[
        int, typer.Option(min=1, help="Limit of the solver's work for one question, in its own units.")
    ] = 2_400_000,
    certificate: Annotated[
        Path | None, typer.Option(help="Write the questions that a proof rests on into this folder.")
    ] = None,
) -> None:
    """Prove a conjecture, refute it by a small exact world, or say what was tried.

    w is the chosen response, l the rejected one, y any other. Names: p_w, p_l, p_y (probabilities), ww, wl, ... (inner
    products of scores), A_w, ... (drives), D_w, ... (first-order changes), dd = |g_w - g_l|^2. With --loss or
    --over weights also d_w, d_l (the weights of the two), with --loss ref_w, r_w = p_w / ref_w, n_w (lengths), extra;
    with --over second-order V, T, S_w; with --over two-blocks outer(w), inner(w), K, eta, eta_in.

    The exit code is 0 if it is proved, 1 if not, 2 if it cannot be read.
    """
    from dynamics.errors import InvalidArgument  # noqa: PLC0415 - not needed for --help
    from theory.decision.decide import decide  # noqa: PLC0415
    from theory.decision.recipes import Bounds  # noqa: PLC0415

    console = Console(highlight=False)
    try:
        decision = decide(
            conjecture,
            _family(over, loss),
            given=given,
            exists=exists,
            within=Bounds(responses=responses),
            worlds=worlds,
            seed=seed,
            work=work,
        )
        console.print(str(decision), markup=False, soft_wrap=True)
        if certificate is not None:
            paths = decision.write_certificate(certificate)
            console.print(f"{len(paths)} questions written to {certificate}", markup=False, soft_wrap=True)
    except InvalidArgument as problem:
        console.print(f"[red]error[/red] {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    except OSError as problem:
        console.print(f"[red]error[/red] cannot write: {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    if decision.verdict != "proved":
        raise typer.Exit(1)


def _family(over: Kind, loss: str | None) -> Family | str | None:
    """Return what a conjecture is about.

    Raises:
        InvalidArgument: no such loss, or a kind of worlds whose step is not that of a loss.
    """
    from dynamics.errors import InvalidArgument  # noqa: PLC0415
    from theory.decision.blocks import two_blocks  # noqa: PLC0415
    from theory.decision.second_order import second_order  # noqa: PLC0415
    from theory.decision.weighted import with_loss, with_weights  # noqa: PLC0415
    from theory.proof.families import POLICY, TABULAR, TWO_RESPONSES  # noqa: PLC0415
    from theory.worlds import LOG_LINEAR_KIND  # noqa: PLC0415

    policies = {Kind.EVERY: POLICY, Kind.TABULAR: TABULAR, Kind.TWO: TWO_RESPONSES}
    if loss is not None:
        if over not in policies:
            raise InvalidArgument("over", str(over), f"with a loss one of {', '.join(policies)}")
        return with_loss(loss, policies[over])
    if over is Kind.EVERY:
        return None  # or every log-linear policy, if the conjecture takes a step
    made: dict[Kind, Callable[[], Family]] = {
        Kind.WEIGHTS: with_weights,
        Kind.SECOND_ORDER: second_order,
        Kind.BLOCKS: two_blocks,
    }
    if over is Kind.LOG_LINEAR:
        return LOG_LINEAR_KIND
    return made[over]() if over in made else policies[over]
