"""What a trainer's arguments mean: losses as the table of agreement with TRL has them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.optional import needs

needs("trl")

import dynamics.losses as ours
from dynamics import InvalidArgument
from dynamics.language_model.watching.trainer_settings import trl_loss
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
