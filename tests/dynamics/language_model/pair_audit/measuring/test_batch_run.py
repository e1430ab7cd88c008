"""The step of a batch: drawn as the trainer draws it, equal to the kernel's sums, resumed, and shared."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from dynamics.language_model import sequence_kernel
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.batch_run import Batches, run_in_batches
from dynamics.language_model.pair_audit.measuring.pair_set import read_pair_set
from dynamics.language_model.pair_audit.measuring.run import run_audit
from dynamics.language_model.pair_audit.measuring.set_run import run_set
from dynamics.language_model.pair_audit.reading.data import open_pairs
from dynamics.language_model.pair_audit.reading.rows import parse_pair
from dynamics.language_model.pair_audit.reading.tokens import tokenize_pair
from dynamics.language_model.pair_audit.results.joined import batch_results, read_joined
from dynamics.language_model.pair_audit.results.processes import Processes
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.language_model.prediction.drives import NotFinite
from dynamics.losses import DPO
from dynamics.optimizers import SGD
from tests.dynamics.language_model.saved import products, tiny, write_lines
from tests.dynamics.language_model.tokenizers import byte_tokenizer

loaded = cache(tiny)
ROWS: list[Any] = products(8)
ROWS[2] = "{broken"
HOW = AuditSettings(dtype=torch.float64)


def audited(folder: Path) -> tuple[Any, Results]:
    source, results = open_pairs(write_lines(folder / "pairs.jsonl", ROWS)), Results(folder / "out.jsonl")
    with results.begin({}):
        run_audit(Audit(loaded(), source, results, HOW))
        run_set(Audit(loaded(), source, results, HOW), SGD())
    return source, results


def run(source: Any, results: Results, batches: Batches, processes: Processes | None = None) -> bytes:
    pairs = read_pair_set(results, DPO())
    with results.begin({}):
        audit = Audit(loaded(), source, results, HOW, processes=processes or Processes())
        run_in_batches(audit, pairs, batches, SGD())
    place = batch_results(results).path
    return place.read_bytes() if place.exists() else b""


def test_the_changes_are_sums_of_the_kernel_over_the_batch(tmp_path: Path) -> None:
    source, results = audited(tmp_path)
    run(source, results, Batches(3, seed=7))
    records = {record["row"]: record for record in read_joined(results)}
    assert "batch" not in records[2]
    pairs = read_pair_set(results, DPO())
    drawn = [[int(pairs.rows[place]) for place in batch] for batch in Batches(3, seed=7).draw(7)]
    assert len(drawn) == Batches(3, seed=7).count(7)
    assert [len(rows) for rows in drawn] == [3, 3, 1]
    for number, rows in enumerate(drawn):
        sequences = [s for row in rows for s in tokenize_pair(loaded().tokenizer, parse_pair(ROWS[row])).sequences]
        kernel = sequence_kernel(loaded().model, sequences, dtype=torch.float64).kernel
        weight = 0.1 * 0.5 / len(rows)  # beta sigma(0), with the model as its own reference
        signs = torch.tensor([1.0, -1.0] * len(rows), dtype=torch.float64)
        changes = weight * kernel @ signs
        for place, row in enumerate(rows):
            record = records[row]
            assert record["batch"] == number
            assert record["batch_chosen_change"] == pytest.approx(float(changes[2 * place]), rel=1e-9)
            assert record["batch_rejected_change"] == pytest.approx(float(changes[2 * place + 1]), rel=1e-9)
            assert record["displaced_by_batch"] == (float(changes[2 * place]) < 0)


def test_an_interruption_and_other_processes_change_no_bit(tmp_path: Path) -> None:
    source, results = audited(tmp_path)
    whole = run(source, results, Batches(2))
    place = batch_results(results).path
    place.write_bytes(whole[: len(whole) // 2])  # in the middle of a line
    assert next(read_joined(results)).keys().isdisjoint({"batch", "batch_chosen_change"})
    assert run(source, results, Batches(2)) == whole
    place.unlink()
    for rank in (1, 0):  # one after the other: the first process merges
        run(source, results, Batches(2), Processes(rank, 2))
    assert place.read_bytes() == whole
    assert run(source, results, Batches(2, seed=1)) != whole


def test_a_batch_of_one_is_the_step_of_the_pair_alone_and_one_of_all_that_of_the_set(tmp_path: Path) -> None:
    source, results = audited(tmp_path)
    run(source, results, Batches(1))
    for record in read_joined(results):
        if "skipped" not in record:
            assert record["batch_chosen_change"] == pytest.approx(record["own_chosen_change"], rel=1e-9)
    run(source, results, Batches(len(ROWS) - 1))
    for record in read_joined(results):
        if "skipped" not in record:
            assert record["batch"] == 0
            assert record["batch_chosen_change"] == pytest.approx(record["set_chosen_change"], rel=1e-9)
            assert record["batch_rejected_change"] == pytest.approx(record["set_rejected_change"], rel=1e-9)


def test_a_derivative_that_is_not_finite_names_the_rows_of_its_batch(tmp_path: Path) -> None:
    source, results = audited(tmp_path)
    pairs = read_pair_set(results, DPO())
    pairs.pair.chosen[-1] = torch.nan
    with results.begin({}), pytest.raises(NotFinite, match=r"on the batch of rows \[.*7.*\] is not finite"):
        run_in_batches(Audit(loaded(), source, results, HOW), pairs, Batches(7), SGD())


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_batches_are_those_of_the_trainer(tmp_path: Path) -> None:
    """The data loader of TRL's DPOTrainer, seen through its prompts, which are all different here."""
    import datasets
    import trl

    from dynamics.language_model import tiny_model

    rows = [{"prompt": f"{n} + 1 = ", "chosen": f"{n + 1}", "rejected": f"{n}"} for n in range(11)]
    tokenizer = byte_tokenizer()
    for seed in (42, 5):
        arguments = trl.DPOConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=4,
            seed=seed,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            bf16=False,
        )
        trainer = trl.DPOTrainer(
            model=tiny_model(vocabulary=258),
            ref_model=tiny_model(vocabulary=258, seed=1),
            args=arguments,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        seen = []
        for batch in trainer.get_train_dataloader():
            texts = [tokenizer.decode(ids) for ids in batch["input_ids"]]
            seen.append([int(text.split(" ")[0]) for text in texts[: len(texts) // 2]])
        assert seen == Batches(4, seed).draw(len(rows))
        assert seen != Batches(4, seed + 1).draw(len(rows))
