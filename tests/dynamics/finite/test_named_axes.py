"""Runs by label are the runs by number, and a wrong label is refused by the name of its axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dynamics import DPO, IPO, InvalidArgument, LogLinear, Tabular, pairs, simulate, stable_po

LOSSES = [DPO(beta=0.1), DPO(beta=1.0), IPO(beta=0.5)]
STARTS = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
RUNS = simulate(
    Tabular(3, prompts=2), STARTS, pairs(0, 1, shape=(2, 3), prompt=[0, 1]),
    loss=LOSSES, learning_rate=[0.1, 0.3], steps=5, record_every=2, seeds=2,
)  # fmt: skip


def test_labels_are_those_of_the_settings() -> None:
    found = RUNS.to_xarray()
    assert found.log_probs.dims == RUNS.axes
    assert found.step.values.tolist() == [0, 2, 4, 5]
    assert found.loss.values.tolist() == [repr(loss) for loss in LOSSES]
    assert found.learning_rate.values.tolist() == [0.1, 0.3]
    assert np.array_equal(found.log_probs.values, RUNS.log_probs.numpy())
    assert found.theta.dims == ("loss", "learning_rate", "seed", "parameter")
    assert np.array_equal(found.theta.sel(seed=1, learning_rate=0.3).values, RUNS.theta[:, 1, 1].numpy())


def test_selection_by_label_is_selection_by_number() -> None:
    got = RUNS.sel(loss=LOSSES[1], learning_rate=0.3, seed=1, prompt=1, response=2)
    assert got.dims == ("step",)
    assert got.values.tolist() == RUNS.log_probs[:, 1, 1, 1, 1, 2].tolist()
    assert got.values.tolist() != RUNS.log_probs[:, 1, 0, 1, 1, 2].tolist()
    several = RUNS.sel(loss=[LOSSES[2], LOSSES[0]], step=5)
    assert np.array_equal(several.values, RUNS.log_probs[-1, [2, 0]].numpy())
    assert np.array_equal(RUNS.sel(loss=repr(LOSSES[0])).values, RUNS.log_probs[:, 0].numpy())
    assert np.array_equal(RUNS.sel(step=slice(2, 4)).values, RUNS.log_probs[1:3].numpy())


def test_runs_of_stable_po_have_names() -> None:
    runs = stable_po(
        LogLinear([[2.0, 2.0], [3.0, 3.0], [0.0, 0.0]]), [0.0, 0.0], pairs(0, 1, shape=(3,)),
        lower=[1], penalty=[0.0, 5.0], gamma=[0.0, 0.1], steps=3,
    )  # fmt: skip
    found = runs.to_xarray()
    assert np.array_equal(found.excess.sel(penalty=5.0, gamma=0.1, seed=0).values, runs.excess[:, 1, 1, 0].numpy())
    assert np.array_equal(runs.sel(penalty=5.0, seed=0, response=2).values, runs.log_probs[:, 1, :, 0, 2].numpy())


@pytest.mark.parametrize(
    ("labels", "axis"),
    [
        ({"pair": 0}, "pair"),
        ({"seed": 2}, "seed"),
        ({"step": 1}, "step"),
        ({"loss": DPO(beta=0.2)}, "loss"),
        ({"loss": [LOSSES[0], IPO(beta=3.0)]}, "loss"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"response": [[0]]}, "response"),
        ({"response": None}, "response"),
    ],
    ids=str,
)
def test_a_wrong_label_is_named(labels: dict[str, Any], axis: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        RUNS.sel(**labels)
    assert caught.value.argument == axis
