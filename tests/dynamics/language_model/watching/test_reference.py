"""The reference is the trainer's own, also where a run is resumed that nobody watched; or it is said to be unknown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.optional import needs

needs("trl", "peft", "accelerate")

from dynamics.language_model import TokenSequence, sequence_log_probs, tiny_model
from dynamics.language_model.watching.reference import OF_COLUMNS, SENTENCES, reference_model, uses_reference
from dynamics.losses import AOT, CPO, DPO, IPO, SFT, SimPO, SLiC, SPPOHard
from tests.dynamics.language_model.saved import tiny
from tests.dynamics.language_model.watching.runs import QUIET, build, lines, run

pytestmark = pytest.mark.filterwarnings("ignore")  # of TRL, accelerate and transformers


ONE = TokenSequence((1, 2, 3), 1)


def log_prob(model: Any, sequence: TokenSequence = ONE) -> float:
    return float(sequence_log_probs(model, [sequence]).total)


def under(trainer: Any) -> float | None:
    with reference_model(trainer) as found:
        return None if found is None else log_prob(found)


def adapted(seed: int = 1) -> Any:
    """Return a tiny model with adapters that change it."""
    import peft

    torch.manual_seed(seed)
    settings = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    return peft.get_peft_model(tiny_model(vocabulary=258), settings)


def test_the_reference_is_the_one_that_trl_finds() -> None:
    model, other = tiny_model(vocabulary=258), tiny_model(vocabulary=258, seed=1)
    assert under(SimpleNamespace(model=model, ref_model=other)) == log_prob(other)
    assert under(SimpleNamespace(model=model, ref_model=None)) is None
    with_adapters = adapted()
    assert under(SimpleNamespace(model=with_adapters)) == pytest.approx(log_prob(model), abs=1e-12)
    assert log_prob(with_adapters) != pytest.approx(log_prob(model), abs=1e-6)


def test_the_copy_of_given_adapters_is_the_reference_and_nothing_stays_switched(tmp_path: Path) -> None:
    trainer, _ = build(tmp_path, model=adapted(), ref_model=None, bf16=False)
    model = trainer.model
    begun = log_prob(model)
    with torch.no_grad():  # as a checkpoint that is loaded does
        for name, parameter in model.named_parameters():
            if ".default." in name:
                parameter.add_(0.1)
    flags = [p.requires_grad for p in model.parameters()]
    assert under(trainer) == pytest.approx(begun, abs=1e-5)
    assert abs(log_prob(model) - begun) > 1e-3
    assert model.active_adapter == "default"
    assert [p.requires_grad for p in model.parameters()] == flags
    assert any(flags)


def test_which_losses_need_a_reference() -> None:
    assert all(uses_reference(loss) for loss in (DPO(), IPO(), SPPOHard(), DPO(beta=1e-3), AOT(), 0.1 * DPO() + SFT()))
    assert not any(uses_reference(loss) for loss in (SFT(), CPO(), SimPO(), SLiC(), 2.0 * SimPO() + SFT()))


# ---------------------------------------------------------------- resuming a run that nobody watched

SAVING: dict[str, Any] = {"save_strategy": "steps", "save_steps": 3, "bf16": False, "learning_rate": 1e-2}
PRECOMPUTED: dict[str, Any] = SAVING | {"precompute_ref_log_probs": True, "ref_model": None}


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a run with a precomputed reference."""
    import trl

    if trl.__version__.startswith("0."):
        pytest.skip("this TRL keeps a reference model also where it computes the reference in advance")
    folder = tmp_path_factory.mktemp("unwatched")
    run(folder, **PRECOMPUTED, max_steps=3, save_only_model=True)  # the optimizer of the resumed run begins anew
    return folder / "checkpoint-3"


def test_a_precomputed_reference_is_used_where_a_run_is_resumed(unwatched: Path, tmp_path: Path) -> None:
    watched = run(tmp_path, watch={}, resume=str(unwatched), **PRECOMPUTED)
    log, base = watched.watch.read(), tiny(dtype=torch.float32).model
    reference, start = log.start["reference"], log.start["log_probs"]
    for role in ("chosen", "rejected"):
        for number, roles in enumerate(log.run["probes"]):
            wanted = log_prob(base, TokenSequence(tuple(roles[role][1:]), roles[role][0]))
            assert reference[role][number] == pytest.approx(wanted, abs=1e-3)
            assert abs(start[role][number] - wanted) > 1e-2  # what was taken for the reference before
    assert all(
        value is None for role, values in reference.items() if len(role) < 8 and role != "chosen" for value in values
    )
    assert log.start["reference_from"] == OF_COLUMNS
    assert SENTENCES[OF_COLUMNS] in watched.watch.page.read_text()
    assert "slope" in log.prediction
    assert log.audit["pairs"][0]["own_chosen_change"] is not None
    assert watched.watch.table().startswith("steps 4 to 6: ")
    assert "since step 3" in watched.watch.page.read_text()


def test_the_prediction_of_a_resumed_run_has_the_urgencies_of_its_reference(unwatched: Path, tmp_path: Path) -> None:
    """With the checkpoint as reference all margins would be 0, and the gradient another."""
    settings = PRECOMPUTED | {"learning_rate": 1e-5, "optim": "sgd", "lr_scheduler_type": "constant"}
    settings |= {"max_grad_norm": 0.0, "per_device_train_batch_size": 12, "beta": 5.0}
    trainer, watch = build(tmp_path, watch={"sample": 12}, **settings)
    trainer.train(resume_from_checkpoint=str(unwatched))
    log = watch.read()
    predicted = torch.tensor(log.prediction["slope"]["chosen"]) * log.looks[-1]["rate_sum"]
    before, after = (torch.tensor(one["log_probs"]["chosen"]) for one in (log.start, log.looks[-1]))
    assert torch.allclose(predicted, after - before, rtol=0.05, atol=1e-5)
    watch._watch._fresh = True  # the negative control: the model as its own reference
    wrong = torch.tensor(watch._watch.predict(12, "")["slope"]["chosen"]) * log.looks[-1]["rate_sum"]
    assert not torch.allclose(wrong, after - before, rtol=0.2, atol=1e-5)


def of_plain_trainer(folder: Path, loss: Any, **settings: Any) -> tuple[Any, Any]:
    """Return a Trainer that knows of no pairs and no reference, and its callback."""
    from transformers import Trainer, TrainingArguments

    from dynamics.language_model import DynamicsCallback

    rows = [{"input_ids": [1, 2, 3, n], "labels": [1, 2, 3, n]} for n in range(4, 12)]
    arguments = TrainingArguments(str(folder), max_steps=4, use_cpu=True, learning_rate=1e-2, **(QUIET | settings))
    trainer = Trainer(model=tiny_model(dtype=torch.float32), args=arguments, train_dataset=rows)  # type: ignore[arg-type]
    pair = {"chosen": TokenSequence((1, 2, 3, 4), 2), "rejected": TokenSequence((1, 2, 5), 2)}
    watch = DynamicsCallback(trainer, probes=[pair], every=2, loss=loss, sample=2, folder=folder / "log")
    trainer.add_callback(watch)
    return trainer, watch


@pytest.mark.parametrize(("loss", "needed"), [(DPO(), True), (SimPO(), False)], ids=["DPO", "SimPO"])
def test_where_the_reference_is_unknown_it_is_said_and_nothing_is_made_up(
    loss: Any, needed: bool, tmp_path: Path
) -> None:
    trainer, watch = of_plain_trainer(tmp_path, loss)
    trainer.train()
    first = watch.read()
    assert first.start["reference"] == first.start["log_probs"]
    trainer.train()  # goes on from the trained weights
    log = watch.read()
    assert log.start["reference_from"] == "unknown"
    assert log.start["reference"] == {role: [None] for role in log.start["log_probs"]}
    assert (log.audit["pairs"][0]["own_chosen_change"] is None) == needed
    told = [entry for entry in trainer.state.log_history if "dynamics/entropy" in entry]
    assert not any("dynamics/share_below_reference" in entry for entry in told)
    assert SENTENCES["unknown"] in watch.page.read_text()
    assert [line["kind"] for line in lines(watch)].count("run") == 2
