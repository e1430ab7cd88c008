"""What a trainer's arguments mean: losses as the table of agreement with TRL has them, optimizers, references."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.optional import needs

needs("trl", "peft")

import dynamics.losses as ours
from dynamics import SGD, AdamW, InvalidArgument
from dynamics.language_model.watching.trainer_settings import reference_model, trainer_optimizer, trl_loss
from tests.dynamics.trl_agreement import TABLE, Row

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers, about a setting of TRL's
ROWS = [row for row in TABLE if row.trainer == "DPO" and not row.extra]


def config(**settings: Any) -> Any:
    import trl

    return trl.DPOConfig(output_dir="unused", use_cpu=True, report_to=[], **settings)


@pytest.mark.parametrize("row", [row for row in ROWS if "ld_alpha" not in row.settings], ids=lambda row: row.name)
def test_the_loss_is_that_of_the_table_of_agreement(row: Row) -> None:
    """The table holds TRL's own numbers to these losses."""
    wanted = eval(row.loss, {name: getattr(ours, name) for name in ours.__all__})
    assert trl_loss(config(**row.settings)) == wanted
    assert trl_loss(config(**row.settings | {"beta": 0.2})) != wanted or row.settings.get("loss_type") == "sft"


def test_what_has_no_counterpart_is_refused_and_names_the_remedy() -> None:
    refused = [config(ld_alpha=0.5), config(use_weighting=True), SimpleNamespace(learning_rate=1e-5)]
    refused += [SimpleNamespace(loss_type="sigmoid", beta=0.1, cpo_alpha=1.0)]
    refused += [SimpleNamespace(loss_type="of one's own", beta=0.1)]
    for arguments in refused:
        with pytest.raises(InvalidArgument, match=r"loss: .*give loss="):
            trl_loss(arguments)


def test_the_update_rule_of_a_trainer() -> None:
    chosen = config(adam_beta1=0.8, adam_beta2=0.99, adam_epsilon=1e-6, weight_decay=0.1)
    assert trainer_optimizer(chosen) == AdamW(betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1)
    assert trainer_optimizer(config(optim="sgd")) == SGD()
    with pytest.raises(InvalidArgument, match="adafactor"):
        trainer_optimizer(config(optim="adafactor"))


def test_the_reference_is_the_one_that_trl_finds() -> None:
    import peft

    from dynamics.language_model import TokenSequence, sequence_log_probs, tiny_model

    model, other = tiny_model(), tiny_model(seed=1)
    sequence = [TokenSequence((1, 2, 3), 1)]

    def under(trainer: Any) -> float | None:
        with reference_model(trainer) as found:
            return None if found is None else float(sequence_log_probs(found, sequence).total)

    assert under(SimpleNamespace(model=model, ref_model=other)) == float(sequence_log_probs(other, sequence).total)
    assert under(SimpleNamespace(model=model, ref_model=None)) is None
    adapted = peft.get_peft_model(
        tiny_model(), peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    )
    without = float(sequence_log_probs(model, sequence).total)
    assert under(SimpleNamespace(model=adapted)) == pytest.approx(without, abs=1e-12)
    assert float(sequence_log_probs(adapted, sequence).total) != pytest.approx(without, abs=1e-6)
