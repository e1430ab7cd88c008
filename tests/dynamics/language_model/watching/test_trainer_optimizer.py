"""What an optimizer does with every parameter: its rule, learning rates and weight decay, by the names of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.optional import needs

needs("trl", "accelerate")

from dynamics import AdamW, InvalidArgument
from dynamics.language_model import tiny_model
from dynamics.language_model.causal_lm import unwrapped
from dynamics.language_model.watching.trainer_optimizer import RateSum, rate_ratios, read_optimizer
from tests.dynamics.language_model.saved import tiny
from tests.dynamics.language_model.watching.runs import build, note_moves, run

pytestmark = pytest.mark.filterwarnings("ignore")  # of TRL, accelerate and transformers


def test_the_optimizer_is_read_as_the_trainer_made_it(tmp_path: Path) -> None:
    how = {"adam_beta1": 0.8, "adam_beta2": 0.99, "adam_epsilon": 1e-6, "weight_decay": 0.1}
    trainer, _ = build(tmp_path, **how)
    found = read_optimizer(trainer.create_optimizer(), trainer.model)
    assert found.rule == AdamW(betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1)
    assert set(found.rates.values()) == {1.0}
    wanted = set(trainer.get_decay_parameter_names(trainer.model)) - {"lm_head.weight"}  # tied to the embedding
    assert {name for name, decay in found.decay.items() if decay} == wanted
    assert {name for name, decay in found.decay.items() if not decay} >= {"model.norm.weight"}


@pytest.mark.parametrize(("optim", "says"), [("adafactor", "Adafactor"), ("rmsprop", "RMSprop")])
def test_other_optimizers_are_refused(optim: str, says: str, tmp_path: Path) -> None:
    trainer, _ = build(tmp_path, optim=optim)
    with pytest.raises(InvalidArgument, match=says):
        read_optimizer(trainer.create_optimizer(), trainer.model)


def test_settings_that_are_not_predicted_are_refused() -> None:
    model = nn.Linear(2, 1)
    weights = {"params": [model.weight]}
    refused: list[tuple[torch.optim.Optimizer, str]] = [
        (torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), "momentum"),
        (torch.optim.AdamW(model.parameters(), amsgrad=True), "amsgrad"),
        (torch.optim.AdamW([weights, {"params": [model.bias], "eps": 1e-3}]), "different betas or eps"),
        (torch.optim.AdamW([nn.Parameter(torch.ones(1))]), "no parameter of the trainer's model"),
        (torch.optim.Adam(model.parameters()), "Adam"),
    ]
    for optimizer, says in refused:
        with pytest.raises(InvalidArgument, match=says):
            read_optimizer(optimizer, model)


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel], ids=["torch.compile", "DataParallel"])
def test_the_prefixes_of_wrappers_do_not_hide_which_parameters_decay(wrap: Any) -> None:
    model: Any = tiny_model()
    wrapped = wrap(model)
    prefixed = [name for name, _ in wrapped.named_parameters()]
    assert all(name.startswith(("_orig_mod.", "module.")) for name in prefixed)
    groups = [
        {"params": [p for name, p in wrapped.named_parameters() if "mlp" in name], "weight_decay": 0.1},
        {"params": [p for name, p in wrapped.named_parameters() if "mlp" not in name], "weight_decay": 0.0},
    ]
    found = read_optimizer(torch.optim.AdamW(groups, lr=1e-3), unwrapped(wrapped))
    assert {name for name, decay in found.decay.items() if decay == 0.1} == {
        name for name, _ in model.named_parameters() if "mlp" in name
    }
    assert found.rates.keys() == dict(model.named_parameters()).keys()


def test_the_sum_of_rates_counts_the_steps_that_are_taken() -> None:
    groups: list[dict[str, Any]] = [
        {"params": [1], "lr": 1.0, "initial_lr": 2.0},
        {"params": [2], "lr": 4.0, "initial_lr": 8.0},
        {"params": [], "lr": 100.0},
    ]
    assert rate_ratios(groups[:2]) == [0.25, 1.0]
    rates = RateSum()
    rates.add(groups)
    rates.add(groups, taken=False)
    assert (rates.total, rates.skipped, rates.moved_apart) == (4.0, 1, False)
    groups[0]["lr"] = 1.5
    rates.add(groups)
    assert (rates.total, rates.moved_apart) == (8.0, True)


def error(log: Any) -> float:
    """Return the largest error of the prediction for the chosen responses, as a share of the largest change."""
    predicted = np.array(log.prediction["slope"]["chosen"]) * log.looks[-1]["rate_sum"]
    actual = np.array(log.looks[-1]["log_probs"]["chosen"]) - np.array(log.start["log_probs"]["chosen"])
    return float(np.abs(predicted - actual).max() / np.abs(actual).max())


def model_of_its_own() -> Any:
    return tiny(dtype=torch.float32).model


EXACT: dict[str, Any] = {"max_grad_norm": 0.0, "bf16": False, "per_device_train_batch_size": 12, "max_steps": 3}


def in_two_groups(model: Any, kind: Any) -> Any:
    """Return an optimizer that moves the layers' norms not at all, some parameters slowly, and the others fast."""
    parts: dict[str, list[nn.Parameter]] = {"mlp": [], "other": []}
    for name, p in model.named_parameters():
        if "norm" not in name:
            parts["mlp" if "mlp" in name else "other"].append(p)
    rate = 1e-5 if kind is torch.optim.SGD else 1e-7
    slow = {"params": parts["other"], "lr": rate, "weight_decay": 0.0}
    return kind([slow, {"params": parts["mlp"], "lr": 20 * rate, "weight_decay": 30.0}], lr=rate)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_groups_with_different_rates_and_decays_are_predicted(kind: Any, tmp_path: Path) -> None:
    """The optimizer is the user's own; the arguments of the trainer say nothing of it."""
    model = tiny(dtype=torch.float64).model
    optimizer = in_two_groups(model, kind)
    given = {"model": model, "ref_model": tiny(dtype=torch.float64).model, "optimizers": (optimizer, None)}
    watch = run(tmp_path, watch={"sample": 12}, warmup_steps=2, **EXACT, **given).watch
    log = watch.read()
    assert error(log) < 0.02
    log.prediction["slope"]["chosen"] = [20 * slope for slope in log.prediction["slope"]["chosen"]]
    assert error(log) > 0.5  # the rate of the other group would be as wrong as this


def test_an_optimizer_of_ones_own_that_is_not_predicted_is_refused(tmp_path: Path) -> None:
    """The arguments of the trainer say AdamW."""
    model = tiny(dtype=torch.float32).model
    optimizer = torch.optim.Adagrad(model.parameters(), lr=1e-3)
    watch = run(
        tmp_path, model=model, ref_model=model_of_its_own(), optimizers=(optimizer, None), watch={}, **EXACT
    ).watch
    assert "Adagrad is not predicted" in watch.table()


def test_rates_that_part_are_told_once_also_in_a_run_that_resumes(tmp_path: Path) -> None:
    def watched(**more: Any) -> list[str]:
        model = tiny(dtype=torch.float32).model
        optimizer = in_two_groups(model, torch.optim.AdamW)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda n: 1.0, lambda n: 1.0 / (1 + n)])
        given = {"model": model, "ref_model": model_of_its_own(), "optimizers": (optimizer, schedule)}
        saved = {"save_strategy": "steps", "save_steps": 3}
        problems = run(tmp_path, watch={}, **EXACT | saved | more, **given).watch.read().problems
        return [line for line in problems if "no longer have the ratio" in line]

    first = watched()
    assert [line.split(":")[0] for line in first] == ["step 2"]
    assert watched(resume=str(tmp_path / "checkpoint-3"), max_steps=5) == first


@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused", "sgd"])
def test_steps_that_a_scaler_skips_are_not_counted(optim: str, tmp_path: Path) -> None:
    """torch's own scaler, on the CPU; a fused optimizer is called in a step that it does not take."""
    settings: dict[str, Any] = {"lr_scheduler_type": "constant", "bf16": False, "max_steps": 6, "optim": optim}
    trainer, watch = build(tmp_path, watch={}, **settings)
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    overflows = iter([True, True, False, True, False, False])
    now = {"overflows": False}
    bias = next(p for name, p in trainer.model.named_parameters() if name.endswith("bias"))
    bias.register_hook(lambda gradient: gradient * torch.inf if now["overflows"] else gradient)
    moved = note_moves(trainer)
    trainer.add_callback(_at_the_start_of_a_step(lambda: now.update(overflows=next(overflows))))
    trainer.train()
    log = watch.read()
    assert moved == [False, False, True, False, True, True]
    assert log.looks[-1]["rate_sum"] == pytest.approx(3 * 1e-3)
    assert log.looks[-1]["skipped"] == 3
    assert "3 steps were not taken" in watch.table()


def _at_the_start_of_a_step(act: Any) -> Any:
    from transformers import TrainerCallback

    class Start(TrainerCallback):
        def on_step_begin(self, *given: Any, **more: Any) -> None:
            act()

    return Start()
