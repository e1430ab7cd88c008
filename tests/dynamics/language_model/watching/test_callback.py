"""The callback inside of TRL's DPOTrainer: it changes nothing, and what it tells is so."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dynamics import InvalidArgument
from dynamics.language_model import TokenSequence, sequence_log_probs, tiny_model
from tests.dynamics.language_model.saved import products, tiny
from tests.dynamics.language_model.watching.runs import QUIET, Run, build, lines, run, same_weights
from tests.optional import needs

needs("trl", "peft", "accelerate")
pytestmark = pytest.mark.filterwarnings("ignore")  # of TRL, accelerate and transformers

TIMES = ("runtime", "samples_per_second", "steps_per_second")


def lora() -> Any:
    import peft

    return peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")


def given_adapters() -> Any:
    import peft

    return peft.LoraConfig(r=2, target_modules=["c_attn"], init_lora_weights=False, task_type="CAUSAL_LM")


def dropping() -> Any:
    """Return a model that draws random numbers at every step of the training."""
    return tiny_model("gpt2", vocabulary=258, dtype=torch.float32, resid_pdrop=0.2, embd_pdrop=0.1, attn_pdrop=0.1)


SETTINGS: dict[str, dict[str, Any]] = {
    "TRL's defaults": {},
    "adapters": {"peft_config": True},
    "adapters that were given": {"model": True, "bf16": False},
    "precomputed reference": {"precompute_ref_log_probs": True, "bf16": False},
    "accumulated, with evaluations": {
        "gradient_accumulation_steps": 2,
        "per_device_train_batch_size": 2,
        "bf16": False,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "eval_dataset": True,
    },
    "dropout": {"model": True, "ref_model": True, "disable_dropout": False, "bf16": False},
}


def options(name: str) -> dict[str, Any]:
    found = dict(SETTINGS[name])
    if "peft_config" in found:
        found["peft_config"] = lora()
    if "eval_dataset" in found:
        import datasets

        found["eval_dataset"] = datasets.Dataset.from_list(products(4))
    if name == "adapters that were given":
        import peft

        torch.manual_seed(1)
        model = peft.get_peft_model(tiny_model("gpt2", vocabulary=258, dtype=torch.float32), given_adapters())
        found |= {"model": model, "ref_model": None}  # TRL copies them, and switches to the copy
    elif "model" in found:
        found |= {"model": dropping(), "ref_model": dropping()}
    return found


@pytest.fixture(scope="module", params=SETTINGS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Return the same training without the callback and with it."""
    place = tmp_path_factory.mktemp("run")
    return run(place / "alone", **options(request.param)), run(place / "watched", watch={}, **options(request.param))


def without_times(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if not key.endswith(TIMES)} for entry in history]


def test_not_a_bit_of_the_training_changes(both: tuple[Run, Run]) -> None:
    alone, watched = both
    assert same_weights(alone, watched)
    assert torch.equal(alone.random, watched.random)
    assert without_times(alone.history) == without_times(watched.history)
    states = [list(r.trainer.optimizer.state.values()) for r in both]
    for one, other in zip(*states, strict=True):
        assert all(torch.equal(torch.as_tensor(one[key]), torch.as_tensor(other[key])) for key in one)


def test_the_model_is_left_as_it_was(both: tuple[Run, Run]) -> None:
    models = [r.trainer.model for r in both]
    for one, other in zip(*(m.modules() for m in models), strict=True):
        assert one.training == other.training
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks"):
            assert len(getattr(one, kind)) == len(getattr(other, kind))
    flags = [[p.requires_grad for p in m.parameters()] for m in models]
    assert flags[0] == flags[1]
    assert all(p.grad is None for p in models[1].parameters())


def test_the_last_look_is_at_the_weights_that_were_trained(both: tuple[Run, Run]) -> None:
    watched = both[1]
    log = watched.watch.read()
    assert [look["step"] for look in log.looks] == [2, 4, 6]
    assert [line["step"] for line in log.drives] == [0, 4]
    for roles, number in zip(log.run["probes"], range(5), strict=True):
        sequences = {role: TokenSequence(tuple(ids[1:]), ids[0]) for role, ids in roles.items()}
        found = sequence_log_probs(watched.trainer.model, sequences.values()).total.tolist()
        for role, value in zip(sequences, found, strict=True):
            assert log.looks[-1]["log_probs"][role][number] == pytest.approx(value, abs=1e-5)
    assert log.looks[-1]["log_probs"] != log.looks[0]["log_probs"]


def test_the_audit_before_training_is_that_of_the_audit_of_data_sets(both: tuple[Run, Run]) -> None:
    from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs

    log = both[1].watch.read()
    model = both[1].trainer.ref_model
    if model is None:  # adapters: the model before training is no longer there
        return
    pairs = [
        tuple(TokenSequence(tuple(roles[side][1:]), roles[side][0]) for side in ("chosen", "rejected"))
        for roles in log.run["probes"]
    ]
    for ours, theirs in zip(log.audit["pairs"], audit_pairs(model, pairs), strict=True):  # type: ignore[arg-type]
        for name, value in ours.items():
            wanted = getattr(theirs, name)
            assert value == (wanted if isinstance(wanted, bool) else pytest.approx(wanted, rel=1e-4, abs=1e-4)), name


def test_the_trackers_get_the_numbers_of_every_look(both: tuple[Run, Run]) -> None:
    told = [entry for entry in both[1].trainer.state.log_history if "dynamics/log_prob_chosen" in entry]
    assert [entry["step"] for entry in told] == [0, 2, 4, 6]
    last = both[1].watch.read().looks[-1]["log_probs"]["chosen"]
    assert told[-1]["dynamics/log_prob_chosen"] == pytest.approx(sum(last) / len(last))
    wanted = {"change_rejected", "share_below_reference", "mass_outside", "entropy", "seconds_per_probe"}
    assert wanted <= {key.removeprefix("dynamics/") for key in told[-1]}


def test_a_tracker_is_handed_them_at_their_step(tmp_path: Path) -> None:
    """As the callbacks of wandb, trackio and tensorboard are."""
    from transformers import TrainerCallback

    got: list[tuple[int, dict[str, float]]] = []

    class Tracker(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            got.append((state.global_step, dict(logs)))

    run(tmp_path, watch={}, callbacks=[Tracker()], bf16=False)
    ours = [(step, logs) for step, logs in got if "dynamics/entropy" in logs]
    assert [step for step, _ in ours] == [0, 2, 4, 6]
    assert all(isinstance(value, (int, float)) for _, logs in ours for value in logs.values())
    assert [step for step, logs in got if "loss" in logs] == [2, 4, 6]


def test_a_callback_that_draws_one_number_would_be_noticed(tmp_path: Path) -> None:
    """The negative control: of a training with dropout, which draws random numbers itself."""
    from transformers import TrainerCallback

    class Drawing(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            torch.rand(1)

    alone = run(tmp_path / "a", **options("dropout"))
    assert not same_weights(alone, run(tmp_path / "b", callbacks=[Drawing()], **options("dropout")))


def test_a_request_to_log_that_is_taken_back_would_be_noticed(tmp_path: Path) -> None:
    """The negative control: handing numbers to trackers in the plain way loses the trainer's own line of that step."""
    from transformers import Trainer, TrainerCallback

    class Telling(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
            Trainer.log(trainer, {"own": 1.0})

    trainer, _ = build(tmp_path, callbacks=[], bf16=False)
    trainer.add_callback(Telling())
    trainer.train()
    assert not any("loss" in entry for entry in trainer.state.log_history)


# ---------------------------------------------------------------- tokens and probes


def test_the_tokens_are_the_trainers_own_also_where_it_truncates(tmp_path: Path) -> None:
    _, watch = build(tmp_path, watch={"probes": 12, "panel": ()}, max_length=14)
    trainer = watch._trainer
    held = {tuple((row["prompt_ids"] + row["rejected_ids"])[:14]) for row in trainer.train_dataset}
    watch._watch.prepare()
    assert {probe.rejected.ids for probe in watch._watch.probes} == held
    assert max(map(len, held)) == 14
    assert max(len(row["prompt_ids"] + row["rejected_ids"]) for row in trainer.train_dataset) > 14


def test_probes_are_drawn_from_both_data_sets_and_a_column_joins_the_panel(tmp_path: Path) -> None:
    import datasets

    rows = [row | {"again": f"Namely {row['chosen']}"} for row in products(12)]
    how: dict[str, Any] = {"rows": rows[:8], "eval_dataset": datasets.Dataset.from_list(rows[8:])}
    _, watch = build(tmp_path, watch={"panel": ("again", "random")}, **how)
    watch._watch.prepare()
    probes = watch._watch.probes
    assert [probe.name.split()[0] for probe in probes] == ["train"] * 3 + ["eval"] * 2
    for probe in probes:
        text = tiny().tokenizer.decode(probe.responses["again"].response)
        assert text.startswith("Namely ")
        assert probe.responses["again"].prompt == probe.chosen.prompt
    with pytest.raises(InvalidArgument, match="panel: got nowhere; allowed: columns of the data set"):
        build(tmp_path, watch={"panel": ("nowhere",)}, **how)


def test_the_seed_decides_which_pairs_are_watched(tmp_path: Path) -> None:
    names = [build(tmp_path, watch={"seed": seed})[1]._watch._bare for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]


def test_arguments_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    from dynamics.language_model import DynamicsCallback

    with pytest.raises(InvalidArgument, match=r"trainer: got .*add_callback"):
        DynamicsCallback("trainer")  # type: ignore[arg-type]
    bad: list[tuple[dict[str, Any], str]] = [
        ({"every": 0}, "every"),
        ({"probes": []}, "probes"),
        ({"probes": [{"chosen": TokenSequence((1, 2), 1)}]}, "probes"),
        ({"panel": "random"}, "panel"),
        ({"loss": "dpo"}, "loss"),
        ({"sample": -1}, "sample"),
        ({"folder": 3}, "folder"),
    ]
    for given, name in bad:
        with pytest.raises(InvalidArgument, match=name):
            build(tmp_path, watch=given)


# ---------------------------------------------------------------- resuming


def test_a_run_that_resumes_goes_on_where_its_checkpoint_is(tmp_path: Path) -> None:
    saving: dict[str, Any] = {"save_strategy": "steps", "save_steps": 3, "bf16": False}
    whole = run(tmp_path / "a", watch={}, **saving)
    run(tmp_path / "b", watch={}, **saving)
    resumed = run(tmp_path / "b", watch={}, resume=str(tmp_path / "b" / "checkpoint-3"), **saving)
    assert same_weights(whole, resumed)
    one, other = whole.watch.read(), resumed.watch.read()
    assert [line["kind"] for line in lines(resumed.watch)].count("resume") == 1
    assert one.run == other.run
    for kind in ("start", "prediction"):
        assert getattr(one, kind) == getattr(other, kind)
    for ours, theirs in zip(one.looks, other.looks, strict=True):
        same = {key for key in ours if key != "seconds"}
        assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}


def test_a_new_run_in_the_same_folder_begins_anew(tmp_path: Path) -> None:
    run(tmp_path, watch={"probes": 3}, max_steps=2, bf16=False)
    second = run(tmp_path, watch={"probes": 4}, max_steps=2, bf16=False)
    assert len(second.watch.read().run["names"]) == 4
    assert [line["kind"] for line in lines(second.watch)].count("run") == 2


# ---------------------------------------------------------------- prediction and outcome


def test_the_prediction_is_right_to_first_order(tmp_path: Path) -> None:
    """Of full batches, the error of the prediction shrinks with the learning rate, for both optimizers."""
    for optimizer in ("sgd", "adamw_torch"):
        errors = []
        for rate in (1e-5, 1e-6):
            settings = {"optim": optimizer, "lr_scheduler_type": "constant", "max_grad_norm": 0.0, "bf16": False}
            sizes = {"per_device_train_batch_size": 12, "learning_rate": rate * (100 if optimizer == "sgd" else 1)}
            model = tiny(dtype=torch.float64).model
            given = {"model": model, "ref_model": tiny(dtype=torch.float64).model}
            found = run(tmp_path / optimizer, watch={"sample": 12}, **settings, **sizes, **given)
            log = found.watch.read()
            predicted = np.array(log.prediction["slope"]["chosen"]) * log.looks[-1]["rate_sum"]
            actual = np.array(log.looks[-1]["log_probs"]["chosen"]) - np.array(log.start["log_probs"]["chosen"])
            errors.append(float(np.abs(predicted - actual).max() / np.abs(actual).max()))
        assert errors[1] < 0.02, (optimizer, errors)
        assert errors[1] < errors[0] / 3, (optimizer, errors)


def test_the_table_names_the_pairs_from_the_largest_fall(tmp_path: Path) -> None:
    watched = run(tmp_path, watch={}, bf16=False)
    text = watched.watch.table()
    assert "6 steps" in text.splitlines()[0]
    changes = [float(line.split()[-2]) for line in text.splitlines()[3:]]
    assert changes == sorted(changes)
    assert len(changes) == 5
    page = watched.watch.page.read_text()
    assert page.count("<svg") >= 2
    assert page.count("<circle") == 5
    assert "rewards/accuracies" in page


def test_any_trainer_can_be_watched_if_it_is_given_pairs(tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    from dynamics import DPO
    from dynamics.language_model import DynamicsCallback

    model = tiny_model(dtype=torch.float32)
    rows = [{"input_ids": [1, 2, 3, n], "labels": [1, 2, 3, n]} for n in range(4, 12)]
    arguments = TrainingArguments(str(tmp_path), max_steps=4, use_cpu=True, learning_rate=1e-2, **QUIET)
    trainer = Trainer(model=model, args=arguments, train_dataset=rows)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="probes: a row of the trainer's data set does not become a pair"):
        DynamicsCallback(trainer)
    pair = {"chosen": TokenSequence((1, 2, 3, 4), 2), "rejected": TokenSequence((1, 2, 5), 2)}
    watch = DynamicsCallback(trainer, probes=[pair], every=2, loss=DPO(), sample=0)
    trainer.add_callback(watch)
    trainer.train()
    log = watch.read()
    assert log is not None
    assert len(log.looks) == 2
    assert "no prediction" in watch.table()
    assert math.isfinite(log.looks[-1]["log_probs"]["chosen"][0])
