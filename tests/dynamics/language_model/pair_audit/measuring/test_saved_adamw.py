"""The state of AdamW from a checkpoint: the next step of the optimizer that was saved, and no other model's."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from dynamics import InvalidArgument
from dynamics.language_model import LanguageModel, TokenSequence, log_probs_vjp, tiny_model
from dynamics.language_model.pair_audit.measuring.saved_adamw import FILE, read_adamw
from dynamics.language_model.pair_audit.measuring.set_gradient import set_step
from dynamics.language_model.pair_audit.measuring.trial_run import _torch_optimizer
from dynamics.optimizers import AdamW

SEQUENCES = [TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)]
WEIGHTS = torch.tensor([1.0, -0.5])


def gradient_of(model: Any) -> dict[str, torch.Tensor]:
    return log_probs_vjp(model, SEQUENCES, WEIGHTS)


def trained(folder: Path) -> tuple[Any, torch.optim.Optimizer]:
    """Return a model after two steps of the optimizer that the trainer of transformers makes, and save that."""
    from transformers import Trainer, TrainingArguments

    model = tiny_model(dtype=torch.float32)
    arguments = TrainingArguments(str(folder), use_cpu=True, report_to=[], weight_decay=0.1, learning_rate=0.01)
    optimizer = Trainer(model, arguments).create_optimizer()
    for scale in (1.0, 3.0):
        step(model, optimizer, scale)
    torch.save(optimizer.state_dict(), folder / FILE)
    return model, optimizer


def step(model: Any, optimizer: torch.optim.Optimizer, scale: float = 1.0) -> None:
    found = gradient_of(model)
    for name, parameter in model.named_parameters():
        parameter.grad = scale * found[name]
    optimizer.step()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, torch.optim.Optimizer]:
    folder = tmp_path_factory.mktemp("checkpoint")
    return folder, *trained(folder)


def test_the_step_is_the_next_one_of_the_saved_optimizer(checkpoint: Any) -> None:
    folder, model, optimizer = checkpoint
    saved = read_adamw(folder, model)
    assert saved.updates == 2
    loaded, gradient = LanguageModel(model, None), gradient_of(model)
    predicted = set_step(loaded, gradient, saved)
    fresh = set_step(loaded, gradient, AdamW(weight_decay=0.0))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    state = {name: p.clone() for name, p in model.state_dict().items()}
    kept = copy.deepcopy(optimizer.state_dict())
    ours = _torch_optimizer(saved, dict(model.named_parameters()), rate=0.01)
    step(model, ours)
    also = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.load_state_dict(state)
    optimizer.load_state_dict(kept)
    step(model, optimizer)
    for name, parameter in model.named_parameters():
        actual = (parameter.detach() - before[name]) / 0.01
        assert torch.allclose(actual, predicted[name], atol=1e-4), name
        assert not torch.allclose(actual, fresh[name], atol=1e-2), name  # the control: a first step goes elsewhere
        assert torch.equal(also[name], parameter), name
    model.load_state_dict(state)


def test_weight_decay_is_that_of_each_group(checkpoint: Any) -> None:
    folder, model, _ = checkpoint
    saved = read_adamw(folder, model)
    decay = {name: rule.weight_decay for name, rule in saved.rules.items()}
    none = [name for name in decay if "norm" in name or "bias" in name]
    assert {decay[name] for name in none} == {0.0}
    assert {decay[name] for name in decay.keys() - none} == {0.1}
    assert str(read_adamw(folder / FILE, model)) == str(saved)


def changed(folder: Path, change: Any) -> Path:
    state = torch.load(folder / FILE, weights_only=True)
    place = folder / f"changed-{change.__name__}.pt"
    change(state)
    torch.save(state, place)
    return place


def swap(state: Any) -> None:
    numbers = state["param_groups"][0]["params"]
    shapes = [state["state"][number]["exp_avg"].shape for number in numbers]
    other = next(place for place, shape in enumerate(shapes) if shape != shapes[0])
    numbers[0], numbers[other] = numbers[other], numbers[0]


def one_less(state: Any) -> None:
    state["param_groups"][0]["params"].pop()


def of_sgd(state: Any) -> None:
    for group in state["param_groups"]:
        del group["betas"]


def no_moments(state: Any) -> None:
    del state["state"][0]["exp_avg_sq"]


def not_finite(state: Any) -> None:
    state["state"][0]["exp_avg"].view(-1)[0] = float("nan")


def negative(state: Any) -> None:
    state["state"][0]["exp_avg_sq"].view(-1)[0] = -1.0


def made_by(kind: Any, state: Any, **options: Any) -> None:
    """Put the state of another optimizer of torch, after a step with the same groups, in the place of the state."""
    groups = [
        {"params": [torch.zeros_like(state["state"][number]["exp_avg"]) for number in group["params"]], **options}
        for group in state["param_groups"]
    ]
    for parameter in (parameter for group in groups for parameter in group["params"]):
        parameter.grad = torch.ones_like(parameter)
    optimizer = kind(groups)
    optimizer.step()
    state.update(optimizer.state_dict())


def of_adam(state: Any) -> None:
    made_by(torch.optim.Adam, state, weight_decay=0.1)


def of_adam_without_decay(state: Any) -> None:
    made_by(torch.optim.Adam, state)


def of_nadam(state: Any) -> None:
    made_by(torch.optim.NAdam, state)


def of_radam(state: Any) -> None:
    made_by(torch.optim.RAdam, state)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (swap, "has the shape"),
        (one_less, "form groups of"),
        (of_sgd, "is not the state of AdamW"),
        (of_adam, "is not the state of AdamW"),
        (of_nadam, "is not the state of AdamW"),
        (of_radam, "is not the state of AdamW"),
        (no_moments, "has no moments of"),
        (not_finite, "is not finite"),
        (negative, "is negative"),
    ],
)
def test_what_cannot_be_mapped_surely_is_refused(checkpoint: Any, change: Any, said: str) -> None:
    folder, model, _ = checkpoint
    with pytest.raises(InvalidArgument, match=said):
        read_adamw(changed(folder, change), model)


def test_adam_without_weight_decay_is_adamw(checkpoint: Any) -> None:
    folder, model, _ = checkpoint
    saved = read_adamw(changed(folder, of_adam_without_decay), model)
    assert {rule.weight_decay for rule in saved.rules.values()} == {0.0}


def test_other_files_and_other_models_are_refused(checkpoint: Any, tmp_path: Path) -> None:
    folder, model, _ = checkpoint
    with pytest.raises(InvalidArgument, match="give the folder of a trainer's checkpoint"):
        read_adamw(tmp_path, model)
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(InvalidArgument, match="cannot be read as the state of an optimizer"):
        read_adamw(tmp_path, model)
    with pytest.raises(InvalidArgument, match="has the shape"):
        read_adamw(folder, tiny_model(vocabulary=40))
    with pytest.raises(InvalidArgument, match="form groups of"):
        read_adamw(folder, model, ["*mlp*"])
