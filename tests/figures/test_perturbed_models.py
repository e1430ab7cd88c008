"""A figure of another model does not pass for the figure of this one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from dynamics import DPO, IPO
from figures import jian2025
from figures.catalog import FIGURES
from toy_models import displacement


def failed(key: str) -> set[str]:
    figure = FIGURES[key]
    return {check.name for check in figure.failures(figure.compute())}


def test_the_models_as_they_are_pass() -> None:
    assert failed("jian2025-1a") == failed("jian2025-1b") == set()


def test_if_nothing_is_ahead_of_the_chosen_response_it_does_not_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    between = dataclasses.replace(displacement.LADDER, features=((1.0,), (0.0,), (0.5,)))  # 2 for the third, as it is
    monkeypatch.setattr(jian2025, "LADDER", between)
    assert {"chosen_rises_then_falls", "mass_goes_to_the_third"} <= failed("jian2025-1a")


def test_a_loss_that_stops_at_a_margin_is_not_dpo(monkeypatch: pytest.MonkeyPatch) -> None:
    def ipo(**settings: Any) -> IPO:
        return IPO(beta=settings.get("beta", 0.5))

    assert DPO is displacement.DPO
    monkeypatch.setattr(displacement, "DPO", ipo)
    assert failed("jian2025-1a")
