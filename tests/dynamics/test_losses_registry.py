"""Losses by name, sums of losses, and what a loss refuses."""

from __future__ import annotations

import math

import pytest
import torch

from dynamics import DPO, IPO, LOSSES, SFT, Hinge, InvalidArgument, SelfPO, SimPO, get_loss
from dynamics.losses import TRL_NAMES, NaiveBDPO, PreferenceLoss, WeightedSum
from dynamics.losses.as_printed import NaiveBDPOAsPrinted


@pytest.mark.parametrize("name", LOSSES)
def test_every_name_gives_a_loss_with_a_formula_and_a_source(name: str) -> None:
    loss = get_loss(name)
    assert isinstance(loss, PreferenceLoss)
    assert loss.formula
    assert loss.source
    assert torch.isfinite(loss(-1.0, -2.0, -1.5, -1.5))
    assert loss == get_loss(name)
    assert hash(loss) == hash(get_loss(name))


def test_names_of_trl() -> None:
    assert get_loss("sigmoid", beta=0.5) == DPO(beta=0.5)
    assert type(get_loss("ipo")) is IPO  # the paper's; TRL's is another
    assert get_loss("hinge") == Hinge()
    assert get_loss("simpo", gamma=1.0) == SimPO(gamma=1.0)
    assert get_loss("nll") == SFT()
    assert set(TRL_NAMES.values()) <= set(LOSSES)


def test_ipo_of_trl_is_per_token() -> None:
    assert TRL_NAMES["ipo"] == "ipo_per_token"
    sequences = (-22.0, -7.0, -20.0, -10.0, 20, 10)  # log-ratios -2 and 3, lengths 20 and 10
    assert float(get_loss(TRL_NAMES["ipo"], beta=0.1)(*sequences)) == pytest.approx(29.16, rel=1e-14)
    assert float(get_loss("ipo", beta=0.1)(*sequences)) == pytest.approx(100.0, rel=1e-14)
    one_token = (*sequences[:4], 1, 1)
    assert get_loss("ipo_per_token")(*one_token) == get_loss("ipo")(*one_token)
    assert "not TRL's" in IPO.source


def test_names_of_ablations_and_variants() -> None:
    assert get_loss("self_po_gelu") == SelfPO(activation="gelu")
    assert get_loss("naive_bdpo_symmetric") == NaiveBDPO(symmetric=True)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidArgument, match=r"^name: got dop; allowed: one of .*\bdpo\b.*\bsigmoid\b"):
        get_loss("dop")


@pytest.mark.parametrize(
    ("name", "hyper_parameters", "argument"),
    [
        ("dpo", {"betta": 0.1}, "hyper_parameters"),
        ("sft", {"beta": 0.1}, "hyper_parameters"),
        ("dpo", {"beta": 0.0}, "beta"),
        ("dpo", {"beta": -0.1}, "beta"),
        ("dpo", {"beta": math.nan}, "beta"),
        ("dpo", {"beta": "0.1"}, "beta"),
        ("dpo", {"beta": True}, "beta"),
        ("dpo", {"beta": torch.tensor([0.1, -0.1])}, "beta"),
        ("ipo", {"beta": 0.0}, "beta"),
        ("slic", {"delta": -1.0}, "delta"),
        ("cpo", {"sft_weight": -1.0}, "sft_weight"),
        ("simpo", {"gamma": math.inf}, "gamma"),
        ("simpo", {"beta": -1.0}, "beta"),
        ("self_po", {"activation": "swish"}, "activation"),
        ("self_po", {"gamma": torch.tensor(math.nan)}, "gamma"),
        ("naive_bdpo", {"clip": -0.1}, "clip"),
        ("naive_bdpo_v2", {"clip": math.inf}, "clip"),
        ("probability_margin", {"scale": 0.0}, "scale"),
    ],
)
def test_wrong_hyper_parameters(name: str, hyper_parameters: dict, argument: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        get_loss(name, **hyper_parameters)
    assert caught.value.argument == argument
    assert str(caught.value).startswith(f"{argument}: got ")
    assert "; allowed: " in str(caught.value)


def test_the_printed_variant_refuses_them_too() -> None:
    with pytest.raises(InvalidArgument, match=r"^clip"):
        NaiveBDPOAsPrinted(clip=-1.0)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"chosen": 0.1, "rejected": -1.0}, "chosen"),
        ({"chosen": -1.0, "rejected": math.nan}, "rejected"),
        ({"chosen": -1.0, "rejected": -1.0, "reference_chosen": 1e-9}, "reference_chosen"),
        ({"chosen": -1.0, "rejected": -1.0, "chosen_length": 0}, "chosen_length"),
        ({"chosen": "a", "rejected": -1.0}, "chosen"),
        ({"chosen": [-1.0, -2.0], "rejected": [-1.0, -2.0, -3.0]}, "chosen, rejected, ..."),
    ],
)
def test_wrong_log_probabilities(arguments: dict, argument: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        DPO()(**arguments)
    assert caught.value.argument == argument


def test_a_sum_reports_the_margin_of_its_first_term() -> None:
    loss = 0.5 * DPO(beta=1.0) + SFT()
    pair = (-1.0, -3.0)
    assert isinstance(loss, WeightedSum)
    assert [weight for weight, _ in loss.terms] == [0.5, 1.0]
    torch.testing.assert_close(loss(*pair), 0.5 * DPO(beta=1.0)(*pair) + SFT()(*pair))
    with pytest.raises(TypeError):
        DPO() + 1.0
    with pytest.raises(InvalidArgument, match=r"^weight"):
        math.nan * DPO()


def test_float32_stays_float32_and_numbers_become_float64() -> None:
    assert DPO()(torch.tensor([-1.0]), torch.tensor([-2.0])).dtype == torch.float32
    assert DPO()([-1.0], [-2.0]).dtype == torch.float64
