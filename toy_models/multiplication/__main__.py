"""Train the toy and probe it: ``python -m toy_models.multiplication train | probe | pair | kernel``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dynamics.errors import InvalidArgument
from dynamics.progress import progress_bar
from toy_models.multiplication.checkpoint import QUESTION, WEIGHTS

if TYPE_CHECKING:
    from dynamics.language_model import StablePO
    from toy_models.multiplication.methods import Descent

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
console = Console(highlight=False)
MOST_SEED = 2**63 - 1  # torch takes no more
MODEL_HELP = "Folder or hub name of a causal language model; a revision may follow after an @."
DEVICE_HELP = "Where it runs: cpu, cuda, ... By default a GPU if there is one, but the CPU for the shipped model."


def _threads(threads: int | None) -> None:
    import torch  # noqa: PLC0415 - not needed for --help

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        import transformers  # noqa: PLC0415
    except ImportError:
        console.print("[red]error[/red] this needs the extra lm: pip install 'preference-dynamics\\[lm]'")
        raise typer.Exit(2) from None
    transformers.utils.logging.disable_progress_bar()


def _place(device: str, model: str) -> str:
    """Return the device: the one asked for, or a GPU if there is one and the model is not the small shipped one."""
    import torch  # noqa: PLC0415 - not needed for --help

    return device or ("cuda" if model != str(WEIGHTS) and torch.cuda.is_available() else "cpu")


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder for weights, tokenizer and model card.")],
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of the initial weights and of the corpus.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Number of updates.")] = 1200,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Number of threads; torch's own choice if not given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder if it exists.")] = False,
) -> None:
    """Train a model from nothing (a few minutes) and write it with its model card.

    The exit code is 2 if the folder exists already or cannot be written.
    """
    _threads(threads)
    import torch  # noqa: PLC0415

    from toy_models.multiplication import training  # noqa: PLC0415
    from toy_models.multiplication.card import measure, write_card  # noqa: PLC0415

    try:
        there = out.exists()
    except OSError as problem:  # for example a name that is too long
        console.print(f"[red]error[/red] cannot write to {escape(f'{out}: {problem}')}", soft_wrap=True)
        raise typer.Exit(2) from None
    if there and not force:
        console.print(f"[red]error[/red] {escape(str(out))} exists already; --force replaces it", soft_wrap=True)
        raise typer.Exit(2)
    settings = training.TrainingSettings(seed=seed, steps=steps)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)  # checked first, since training takes minutes
        with progress_bar(steps, "training", console) as advance:
            model, tokenizer, _ = training.train(settings, lambda step, loss: advance(step, f"loss {loss:.3f}"))
        measured = measure(model, tokenizer)
        card = write_card(settings, measured, sum(p.numel() for p in model.parameters()), torch.get_num_threads())
        training.save(model, tokenizer, out, card)
    except OSError as problem:
        console.print(f"[red]error[/red] cannot write to {escape(f'{out}: {problem}')}", soft_wrap=True)
        raise typer.Exit(2) from None
    for name, value in measured.table().items():
        console.print(f"{name:<42} {escape(value)}")


@app.command()
def probe(
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = str(WEIGHTS),
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "",
    question: Annotated[str, typer.Option(help="The question.")] = QUESTION,
    answer: Annotated[int, typer.Option(help="The right answer: the last whole number of a correct response.")] = 132,
    rejected: Annotated[
        str | None,
        typer.Option(help="How D_l is chosen: top, weighted, uniform, or pinned (for the shipped model; the default)."),
    ] = None,
    rejected_seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of that draw.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="Number of responses that are drawn.")] = 500,
    temperature: Annotated[float, typer.Option(help="Temperature of the sampling.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of the sampling.")] = 0,
    method: Annotated[str, typer.Option(help="Training method: dpo, dpo+nll or stable-po.")] = "dpo",
    beta: Annotated[float, typer.Option(help="The beta of DPO.")] = 0.5,
    penalty: Annotated[
        float, typer.Option("--lambda", help="Weight of the NLL term, or of Stable PO's SFT penalty.")
    ] = 1.0,
    gamma: Annotated[
        float | None, typer.Option(help="Weight of Stable PO's L_reg; by default 0, or 0.01 with --compare.")
    ] = None,
    inner_steps: Annotated[
        int, typer.Option("--inner-steps", "-K", help="Number of steps of Stable PO's lower level.")
    ] = 1,
    optimizer: Annotated[str, typer.Option(help="Optimizer: adamw or sgd.")] = "adamw",
    learning_rate: Annotated[float, typer.Option(help="Learning rate of the training.")] = 1e-5,
    steps: Annotated[int, typer.Option(min=0, help="Number of updates.")] = 50,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Train with all methods and compare them at equal step and at equal margin."),
    ] = False,
    draws: Annotated[
        int | None, typer.Option(min=1, help="Train on this many random draws of D_l and show the spread.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Number of threads; if not given, 1 for the shipped model, else torch's own choice."),
    ] = None,
) -> None:
    """Train on responses to one question and show where the probability goes (jian2025, Figures 2a and 2b).

    The default is DPO on the shipped model, with rejected responses that were selected to show the paper's pattern.
    """
    _threads(
        1 if threads is None and model == str(WEIGHTS) else threads
    )  # more threads do not speed up so small a model
    from dynamics.language_model import MissingExtra, StablePO  # noqa: PLC0415
    from toy_models.multiplication import compare as comparing, report  # noqa: PLC0415
    from toy_models.multiplication.methods import Descent  # noqa: PLC0415
    from toy_models.multiplication.probe import ProbeSettings, follow  # noqa: PLC0415
    from toy_models.multiplication.responses import as_prompt  # noqa: PLC0415
    from toy_models.multiplication.shipped import PINNED, answers, load_checkpoint  # noqa: PLC0415
    from toy_models.multiplication.survey import PairRule, SurveySettings, survey  # noqa: PLC0415

    if rejected is None:
        rejected = "pinned" if model == str(WEIGHTS) and question == QUESTION else "weighted"
    pinned = rejected == "pinned" and draws is None
    try:
        if compare and draws is not None:
            raise InvalidArgument("compare", "give either --compare or --draws, not both")
        stable_po = StablePO(
            beta=beta,
            penalty=penalty,
            gamma=(0.01 if compare else 0.0) if gamma is None else gamma,
            inner_steps=inner_steps,
            learning_rate=learning_rate,
            optimizer=optimizer,  # type: ignore[arg-type]
        )
        rule = PINNED if pinned else PairRule(rejected="top" if draws else rejected, seed=rejected_seed)  # type: ignore[arg-type]
        settings = ProbeSettings(
            survey=SurveySettings(samples=samples, temperature=temperature, seed=seed),
            rule=rule,
            method=_method(method, stable_po, compare=compare),
            steps=steps,
        )
        policy, tokenizer = load_checkpoint(model, _place(device, model))
        prompt = as_prompt(tokenizer, question)
        surveyed = survey(policy, tokenizer, prompt, partial(answers, answer), settings.survey, settings.rule.named)
        if compare:
            methods = comparing.standard_methods(stable_po)
            with progress_bar(steps * len(methods), console=console) as advance:
                runs = comparing.run_methods(policy, surveyed, settings, methods, lambda name, _: advance(label=name))
            written = report.write_comparison(comparing.compare(runs), question)
        elif draws is not None:
            rules = comparing.draw_rules(draws)
            with progress_bar(steps * draws, console=console) as advance:
                drawn = comparing.run_draws(
                    policy, surveyed, rules, settings, callback=lambda draw, _: advance(label=str(rules[draw]))
                )
            written = report.write_draws(drawn, question)
        else:
            with progress_bar(steps, "training", console) as advance:
                run = follow(policy, surveyed, settings, advance)
            written = report.write_report(run, question)
        report.show(written, console)
        if pinned and not compare:
            others = comparing.draw_rules(200)
            first = comparing.predict_first_move(policy, surveyed, others, Descent())[:, 2]
            console.print(report.searched_note({"weighted": first[::2], "uniform": first[1::2]}))
    except (InvalidArgument, MissingExtra) as problem:
        console.print(f"[red]error[/red] {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None


def _method(name: str, stable_po: StablePO, *, compare: bool) -> Descent | StablePO:
    """Return the method that the options describe; ``stable_po`` holds the settings of all methods."""
    from dynamics import DPO  # noqa: PLC0415 - not needed for --help
    from toy_models.multiplication.methods import Descent, dpo_with_nll  # noqa: PLC0415

    if name not in ("dpo", "dpo+nll", "stable-po"):
        raise InvalidArgument("method", name, "dpo, dpo+nll or stable-po")
    if compare or name == "stable-po":
        return stable_po
    loss = DPO(beta=stable_po.beta) if name == "dpo" else dpo_with_nll(stable_po.beta, stable_po.penalty)
    return Descent(loss, stable_po.optimizer, stable_po.learning_rates[1])


@app.command()
def pair(
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = str(WEIGHTS),
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "",
    question: Annotated[str, typer.Option(help="The question.")] = QUESTION,
    chosen: Annotated[str, typer.Option(help="y_w.")] = "The answer is 132.",
    rejected: Annotated[str, typer.Option(help="y_l.")] = "The answer is 121.",
    beta: Annotated[float, typer.Option(help="The beta of DPO.")] = 0.1,
    learning_rate: Annotated[float, typer.Option(help="Learning rate of plain gradient descent.")] = 3e-4,
    steps: Annotated[int, typer.Option(min=1, help="Number of updates.")] = 150,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Number of threads; if not given, 1 for the shipped model, else torch's own choice."),
    ] = None,
) -> None:
    """Train on one pair and compare Theorem 1 with what happens, every few steps (jian2025, Figure 1)."""
    _threads(
        1 if threads is None and model == str(WEIGHTS) else threads
    )  # more threads do not speed up so small a model
    from toy_models.multiplication import single_pair  # noqa: PLC0415
    from toy_models.multiplication.pair_report import write_pair  # noqa: PLC0415
    from toy_models.multiplication.shipped import load_checkpoint  # noqa: PLC0415

    try:
        settings = single_pair.PairSettings(
            question=question, chosen=chosen, rejected=rejected, beta=beta, learning_rate=learning_rate, steps=steps
        )
        policy, tokenizer = load_checkpoint(model, _place(device, model))
        with progress_bar(steps, "training", console) as advance:
            run = single_pair.follow_pair(policy, tokenizer, settings, advance)
        errors = single_pair.theorem_1_errors(policy, tokenizer, settings=settings)
    except InvalidArgument as problem:
        console.print(f"[red]error[/red] {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    console.print(write_pair(run, errors))


@app.command()
def kernel(
    out: Annotated[Path, typer.Option(help="JSON file for all results.")],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = str(WEIGHTS),
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "",
    question: Annotated[str, typer.Option(help="The question.")] = QUESTION,
    answer: Annotated[int, typer.Option(help="The right answer: the last whole number of a correct response.")] = 132,
    pairs: Annotated[int, typer.Option(min=1, help="Number of pairs.")] = 5,
    chosen: Annotated[str, typer.Option(help="Text of y_w, to use one given pair instead of sampled ones.")] = "",
    rejected: Annotated[str, typer.Option(help="Text of y_l of that pair.")] = "",
    responses: Annotated[int, typer.Option(min=3, help="Number of responses in the kernel.")] = 20,
    samples: Annotated[int, typer.Option(min=1, help="Number of responses that are drawn.")] = 500,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of the sampling.")] = 0,
    beta: Annotated[float, typer.Option(help="The beta of DPO.")] = 0.1,
    learning_rate: Annotated[float, typer.Option(help="Learning rate of one plain gradient step.")] = 1e-7,
    dtype: Annotated[
        str, typer.Option(help="float64 or float32. By default float64, or float32 where it would not fit.")
    ] = "",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Number of threads; torch's own choice if not given.")
    ] = None,
) -> None:
    """Compute the kernel of a model's responses to one question, the drives of pairs of them, and one step.

    The expected time and memory are printed before the computation begins.
    """
    _threads(threads)
    from dynamics.files import write_atomically  # noqa: PLC0415
    from dynamics.language_model import MissingExtra  # noqa: PLC0415
    from toy_models.multiplication import response_kernel as kernels  # noqa: PLC0415
    from toy_models.multiplication.responses import as_prompt  # noqa: PLC0415
    from toy_models.multiplication.shipped import PINNED, answers, load_checkpoint  # noqa: PLC0415
    from toy_models.multiplication.survey import PairRule, SurveySettings, survey  # noqa: PLC0415

    ours = model == str(WEIGHTS) and question == QUESTION and pairs == PINNED.pairs
    rule = PINNED if ours else PairRule(pairs=pairs)
    try:
        if bool(chosen) != bool(rejected):
            raise InvalidArgument("chosen", "give both --chosen and --rejected, or neither")
        if not out.parent.is_dir():
            raise InvalidArgument("out", str(out), "a file in a folder that exists")
        place = _place(device, model)
        policy, tokenizer = load_checkpoint(model, place)
        console.print(f"sampling {samples} responses on {place}")
        prompt = as_prompt(tokenizer, question)
        settings = SurveySettings(samples=samples, seed=seed)
        pair = (chosen, rejected) if chosen else None
        named = rule.named if pair is None else pair
        surveyed = survey(policy, tokenizer, prompt, partial(answers, answer), settings, named)
        kind = dtype or kernels.dtype_that_fits(policy)
        asked = kernels.KernelSettings(rule, pair, responses, beta, learning_rate, kind)  # type: ignore[arg-type]
        found = kernels.measure_kernel(
            policy, surveyed, asked, lambda cost: console.print(f"the kernel and one step will need {cost}")
        )
        record = {"model": model, "device": place, "question": question, **kernels.as_json(found)}
        write_atomically(out, lambda path: path.write_text(json.dumps(record, indent=1), encoding="utf-8"))
    except (InvalidArgument, MissingExtra, OSError) as problem:
        console.print(f"[red]error[/red] {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    console.print(kernels.write_kernel(found))
    console.print(f"written to {escape(str(out))}", soft_wrap=True)


if __name__ == "__main__":
    app()
