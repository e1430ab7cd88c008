"""The trial by TRL's own trainer: one small step does what was predicted; the loaded model stays as it was."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.run import run_audit
from dynamics.language_model.pair_audit.measuring.set_run import run_set
from dynamics.language_model.pair_audit.measuring.trial_run import Trial, run_trials
from dynamics.language_model.pair_audit.measuring.trl_run import trl_can_train, trl_settings
from dynamics.language_model.pair_audit.reading.data import open_pairs
from dynamics.language_model.pair_audit.reading.rows import parse_pair
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.losses import DPO, IPO, LOSSES, PreferenceLoss, SimPO, get_loss
from dynamics.losses.batch import SFTPerToken
from dynamics.optimizers import SGD, Optimizer
from tests.dynamics.language_model.saved import products, tiny, write_lines

loaded = cache(tiny)


def trials(
    folder: Path, loss: PreferenceLoss, rates: tuple[float, ...], optimizer: Optimizer, **how: Any
) -> list[Trial]:
    source, results = open_pairs(write_lines(folder / "pairs.jsonl", products(6))), Results(folder / "out.jsonl")
    settings = AuditSettings(loss=loss, dtype=torch.float64)
    with results.begin({}):
        audit = Audit(loaded(), source, results, settings)
        run_audit(audit)
        pairs = run_set(audit, optimizer)
    return run_trials(audit, pairs, optimizer, rates, **how)


@pytest.mark.filterwarnings("ignore")  # of TRL and transformers, about settings
@pytest.mark.parametrize("loss", [DPO(), DPO() + 0.5 * SFTPerToken(), get_loss("ipo_per_token")], ids=str)
def test_a_small_step_of_the_trainer_is_the_prediction(tmp_path: Path, loss: PreferenceLoss) -> None:
    before = {name: tensor.clone() for name, tensor in loaded().model.state_dict().items()}
    small, large = trials(tmp_path, loss, (1e-8, 1e-1), SGD())
    assert small.trainer == "TRL's DPOTrainer"
    assert (small.steps, small.pairs) == (1, 6)
    assert small.size == pytest.approx(1, abs=1e-3)
    assert small.rank_correlation == pytest.approx(1)
    assert abs(large.size - 1) > 1e-2  # the measure sees that a large step does something else
    after = loaded().model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_the_trainer_does_not_have_is_trained_by_our_loop(tmp_path: Path) -> None:
    (found,) = trials(tmp_path, SimPO(), (1e-7,), SGD())
    assert found.trainer == "our loop"
    (own,) = (
        trials(tmp_path / "own", DPO(), (1e-7,), SGD(), own_loop=True) if (tmp_path / "own").mkdir() is None else ()
    )
    assert own.trainer == "our loop"


def test_only_losses_that_are_the_same_there_have_settings() -> None:
    assert trl_settings(DPO(beta=0.3)) == {"loss_type": ["sigmoid"], "beta": 0.3}
    assert trl_settings(IPO()) is None  # TRL's averages over tokens
    assert trl_settings(SimPO()) is None
    assert trl_settings(DPO(beta=0.1) + get_loss("hinge", beta=0.2)) is None  # one beta for both
    known = [name for name in LOSSES if trl_settings(get_loss(name)) is not None]
    assert {"dpo", "ipo_per_token", "hinge"} <= set(known)
    assert not {"ipo", "sft", "cpo", "simpo", "rpo"} & set(known)


ASKED = [{"role": "user", "content": "2 + 2?"}]
TALK = {
    "prompt": ASKED,
    "chosen": [{"role": "assistant", "content": "4"}],
    "rejected": [{"role": "assistant", "content": "5"}],
}


def calling(**arguments: Any) -> dict[str, Any]:
    """Return a pair whose chosen response is a tool call."""
    call = {"type": "function", "function": {"name": "add", "arguments": arguments}}
    return {**TALK, "chosen": [{"role": "assistant", "content": "4", "tool_calls": [call]}]}


@pytest.mark.parametrize(
    ("rows", "by_trl"),
    [
        ([TALK, TALK], True),
        ([TALK, calling(a=2)], True),
        ([TALK, products(1)[0]], False),  # a column of texts and messages
        ([calling(a=2), calling(b=2)], False),  # a table would say {"a": 2, "b": None}
        ([calling(a=2), calling(a="2")], False),
    ],
)
def test_pairs_that_a_table_would_change_are_trained_by_our_loop(rows: list[dict[str, Any]], by_trl: bool) -> None:
    pairs = [parse_pair(row) for row in rows]
    assert trl_can_train(loaded(), pairs, AuditSettings(), SGD()) is by_trl
