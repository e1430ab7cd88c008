"""What the commands share: the options for model, data and computation, and how a command ends when it cannot go on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer
from rich.console import Console
from rich.markup import escape

FIRST = ("model", "data")  # the required options stand at the top of --help, the others at its end


@dataclass(frozen=True)
class Options:
    """The options that every command has. The annotations are what typer reads."""

    model: Annotated[
        str,
        typer.Option(
            help="Folder or hub id of a causal language model, such as toy_models/multiplication/weights.",
            show_default=False,
        ),
    ]
    data: Annotated[
        str,
        typer.Option(
            help="Preference pairs with the columns prompt, chosen and rejected: JSON lines, a JSON array, CSV, "
            "Parquet, a folder, or a data set of the hub (owner/name or owner/name:subset). The columns hold texts or "
            "chat messages. The columns tools and chat_template_kwargs are passed to the chat template; others are not "
            "read.",
            show_default=False,
        ),
    ]
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the hub.")] = None
    adapter: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder with an adapter for the model (LoRA, DoRA, ...), as save_pretrained of peft writes it. Then "
            "only the gradients with respect to its parameters are used, unless --parameters is given.",
        ),
    ] = None
    split: Annotated[str, typer.Option(help="Split to read, if the data are a folder or a data set of the hub.")] = (
        "train"
    )
    prompt_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Column that holds the prompt, if its name is not prompt. Several columns are joined by line breaks: "
            "instruction,input, or the option twice. With none, the prompt is what both responses begin with.",
        ),
    ] = None
    chat_template: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Chat template for data of messages: a file in the language Jinja, or the folder or hub id of a model "
            "whose template is taken. By default the model's own; models that were not trained on chats have none.",
        ),
    ] = None
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Use only the gradients with respect to parameters whose names match this pattern, such as '*mlp*'; "
            "'!*embed*' leaves parameters out; adapter stands for the parameters of adapters. Can be given "
            "several times.",
        ),
    ] = None
    dtype: Annotated[str, typer.Option(help="Precision of the computation: float32 or float64.")] = "float32"
    device: Annotated[
        str | None, typer.Option(help="Device to compute on, such as cpu or cuda:0. By default a GPU if there is one.")
    ] = None
    max_tokens: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Most tokens of a prompt and a response together; a longer pair is not used. By default the limit "
            "of the model.",
        ),
    ] = None
    threads: Annotated[int | None, typer.Option(min=1, help="Number of CPU threads. By default torch decides.")] = None

    @property
    def prompt_columns(self) -> tuple[str, ...]:
        """Return the columns that hold the prompt; empty if none were named."""
        return tuple(part.strip() for names in self.prompt_column or () for part in names.split(","))


def command(app: typer.Typer, **defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes a function a command of an app, with the shared options beside its own.

    The function gets the shared options as its first argument, ``options``. An error of the user ends the command
    with one line on the standard error and exit code 2.

    Args:
        app: the app.
        **defaults: defaults of this command for some of the shared options.
    """
    hints = get_type_hints(Options, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(field.name, inspect.Parameter.empty if field.default is MISSING else field.default),
            annotation=hints[field.name],
        )
        for field in fields(Options)
    ]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        parameters = [
            *(parameter for parameter in shared if parameter.name in FIRST),
            *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
            *(parameter for parameter in shared if parameter.name not in FIRST),
        ]

        @wraps(function)
        def run(**values: Any) -> None:
            with reporting():
                options = Options(**{parameter.name: values.pop(parameter.name) for parameter in shared})
                function(options, **values)

        del vars(run)["__wrapped__"]  # whose signature is not that of the command
        vars(run)["__signature__"] = inspect.Signature(parameters)
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return app.command()(run)

    return decorate


@contextmanager
def reporting() -> Iterator[None]:
    """Turn an error of the user into one line on the standard error and exit code 2, and Ctrl-C into exit code 130."""
    console = Console(stderr=True, highlight=False)
    try:
        from dynamics.errors import InvalidArgument  # noqa: PLC0415

        try:
            yield
        except (InvalidArgument, ImportError, OSError) as problem:
            console.print("[red]error[/red]", escape(" ".join(str(problem).split())), soft_wrap=True)
            raise typer.Exit(2) from None
    except KeyboardInterrupt as stop:
        console.print(str(stop) or "stopped", markup=False, soft_wrap=True)
        raise typer.Exit(130) from None
