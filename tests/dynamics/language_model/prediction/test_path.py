"""Many predicted steps against training steps that are taken, and against a linear model that torch trains."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.optional import needs

needs("transformers")

from dynamics import DPO, SGD, AdamW, InvalidArgument
from dynamics.language_model import (
    predict_flow,
    predict_path,
    sequence_log_probs,
    train,
)
from dynamics.losses import CPO, IPO, SFT, PreferenceLoss, SPPOHard
from tests.dynamics.language_model.prediction.linear_model import (
    ARCHITECTURES,
    BATCHES,
    OTHERS,
    PAIRS,
    RATES,
    by_hand,
    predicted,
    smooth_model,
)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    "loss", [DPO(beta=0.5), IPO(beta=0.5), SFT(), CPO(beta=0.3)], ids=lambda loss: type(loss).__name__
)
def test_the_frozen_kernel_is_a_linear_model_that_sgd_trains(architecture: str, loss: PreferenceLoss) -> None:
    model = smooth_model(architecture)
    wanted = by_hand(model, loss, lambda theta: torch.optim.SGD([theta], lr=0.0))
    found = predicted(model, loss=loss)
    assert float((found - wanted).abs().max()) < 1e-9
    assert float((wanted[-1] - wanted[0]).abs().max()) > 1e-3
    other = predicted(model, loss=loss, batches=[*BATCHES[:-1], [0]])  # the negative control: another last batch
    assert float((other - wanted).abs().max()) > 1e-6


@pytest.mark.parametrize("every", [None, 1, 3])
def test_a_kernel_that_is_computed_again_follows_the_parameters(every: int | None) -> None:
    model = smooth_model()
    wanted = by_hand(model, DPO(beta=0.5), lambda theta: torch.optim.SGD([theta], lr=0.0), every)
    found = predicted(model, loss=DPO(beta=0.5), every=every)
    assert float((found - wanted).abs().max()) < 1e-9
    other = predicted(model, loss=DPO(beta=0.5), every=2)
    assert float((other - wanted).abs().max()) > 1e-7


@pytest.mark.parametrize("every", [None, 2])
def test_adamw_with_its_second_moment_followed(every: int | None) -> None:
    model = smooth_model()
    rule = AdamW(weight_decay=0.1, eps=1e-4)
    how = {"lr": 0.0, "eps": rule.eps, "weight_decay": rule.weight_decay}
    wanted = by_hand(model, DPO(beta=0.5), lambda theta: torch.optim.AdamW([theta], **how), every)
    found = predicted(model, loss=DPO(beta=0.5), optimizer=rule, every=every)
    assert float((found - wanted).abs().max()) < 1e-8
    without = predicted(model, loss=DPO(beta=0.5), optimizer=AdamW(weight_decay=0.0, eps=1e-4), every=every)
    assert float((without - wanted).abs().max()) > 1e-5


def test_an_optimizer_of_torch_and_its_rule_predict_the_same() -> None:
    model = smooth_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=0.02, betas=(0.8, 0.99))
    rule = AdamW(betas=(0.8, 0.99), weight_decay=0.02)
    one = predict_path(model, PAIRS, 3, optimizer=optimizer)
    other = predict_path(model, PAIRS, 3, optimizer=rule, learning_rate=5e-4)
    assert torch.equal(one.log_probs, other.log_probs)
    assert torch.allclose(one.times, torch.tensor([0, 5e-4, 1e-3, 1.5e-3], dtype=torch.float64))
    assert not optimizer.state


# ---------------------------------------------------------------- against training


def errors(sizes: list[float], predict: Callable[[float], Tensor], happened: Callable[[float], Tensor]) -> Tensor:
    return torch.stack([(predict(size) - happened(size)).abs().max() for size in sizes])


def slope(sizes: list[float], found: Tensor) -> float:
    logs = torch.tensor(sizes, dtype=torch.float64).log()
    return float(
        ((logs - logs.mean()) * (found.log() - found.log().mean())).sum() / (logs - logs.mean()).square().sum()
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("rule", "sizes"), [(SGD(), [1e-3, 3e-4, 1e-4]), (AdamW(eps=1e-3), [1e-4, 3e-5, 1e-5])])
def test_the_error_of_one_step_is_of_second_order(architecture: str, rule: Any, sizes: list[float]) -> None:
    model = smooth_model(architecture)

    def happened(rate: float) -> Tensor:
        return train(copy.deepcopy(model), PAIRS, 1, loss=DPO(beta=0.5), learning_rate=rate, optimizer=rule).change[-1]

    def predict(beta: float) -> Callable[[float], Tensor]:
        return lambda rate: predict_path(
            model, PAIRS, 1, loss=DPO(beta=beta), learning_rate=rate, optimizer=rule
        ).change[-1]

    assert slope(sizes, errors(sizes, predict(0.5), happened)) == pytest.approx(2, abs=0.15)
    # the twin that drops an assumption: of another loss, it is of first order
    assert slope(sizes, errors(sizes, predict(0.4), happened)) == pytest.approx(1, abs=0.15)


def test_with_the_kernel_read_at_every_step_the_prediction_converges_to_the_training() -> None:
    """Twin: with a frozen kernel the error stays, however small the steps are."""
    model, total, counts = smooth_model(), 0.02, [4, 8, 16]

    def happened(steps: int) -> Tensor:
        how = {"loss": DPO(beta=0.5), "learning_rate": total / steps}
        return train(copy.deepcopy(model), PAIRS, steps, others=OTHERS, **how).change[-1]

    def predict(steps: int, every: int | None) -> Tensor:
        how: dict[str, Any] = {"loss": DPO(beta=0.5), "learning_rate": total / steps, "every": every}
        return predict_path(model, PAIRS, steps, others=OTHERS, **how).change[-1]

    sizes = [1 / n for n in counts]
    reread = torch.stack([(predict(n, 1) - happened(n)).abs().max() for n in counts])
    frozen = torch.stack([(predict(n, None) - happened(n)).abs().max() for n in counts])
    assert slope(sizes, reread) == pytest.approx(1, abs=0.2)
    assert float(reread[-1]) < 0.2 * float(frozen[-1])
    assert abs(slope(sizes, frozen)) < 0.3
    assert float(happened(4).abs().max()) > 0.1


def test_the_model_is_not_changed() -> None:
    model = smooth_model()
    before = {name: p.clone() for name, p in model.named_parameters()}
    for options in ({}, {"every": 2}, {"optimizer": AdamW(), "every": 3, "preconditioner": "held"}):
        predicted(model, **options)
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in model.named_parameters())


def test_parameters_that_are_left_out_do_not_move() -> None:
    model = smooth_model()
    some = "*mlp*"
    found = predicted(model, parameters=some, every=2)
    trained = copy.deepcopy(model)
    how: dict[str, Any] = {"others": OTHERS, "batches": BATCHES, "learning_rate": RATES, "parameters": some}
    actual = train(trained, PAIRS, len(BATCHES), **how)
    moved = {name for name, p in trained.named_parameters() if not torch.equal(p, model.get_parameter(name))}
    assert moved
    assert all("mlp" in name for name in moved)
    error = (found - actual.log_probs).abs().max() / actual.change.abs().max()
    assert float(error) < 0.1


BAD: list[tuple[dict[str, Any], str]] = [
    ({"kernel": "fresh"}, "kernel: got fresh; allowed: 'frozen'"),
    ({"kernel": "frozen", "every": 2}, "every: a frozen kernel is not computed again"),
    ({"every": 0}, "every"),
    ({"preconditioner": "none"}, "preconditioner: got none; allowed: 'held' or 'reread'"),
    ({"learning_rate": [0.1]}, "learning_rate: there are 1 rates for 4 steps"),
    ({"batches": [[0]]}, "batches: there are 1 batches for 4 steps"),
    ({"batches": [[0], [0], [0], [3]]}, r"batches\[3\]: got \[3\]; allowed: numbers of pairs below 3"),
    ({"batches": [[0], [0], [0], []]}, r"batches\[3\]"),
    ({"batches": [[0], [0], [0], [1, 1]]}, r"batches\[3\]"),
    ({"reference": [-1.0]}, "reference"),
    ({"optimizer": "sgd"}, "optimizer"),
    ({"learning_rate": 1e300, "loss": IPO()}, "learning_rate: the predicted .* overflow|loss: the derivative"),
]


@pytest.mark.parametrize(("options", "says"), BAD, ids=str)
def test_arguments_that_do_not_fit_are_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        predicted(smooth_model(), **options)


def test_optimizers_of_torch_that_are_not_predicted_are_refused() -> None:
    model = smooth_model()
    parameters = list(model.parameters())
    refused: list[tuple[torch.optim.Optimizer, str]] = [
        (torch.optim.SGD(parameters, lr=0.1, momentum=0.9), "momentum"),
        (torch.optim.Adagrad(parameters), "Adagrad"),
        (torch.optim.AdamW(parameters, amsgrad=True), "amsgrad"),
        (torch.optim.AdamW(parameters[:1]), "an optimizer without"),
        (torch.optim.AdamW([{"params": parameters[:1], "lr": 1.0}, {"params": parameters[1:]}]), "settings differ"),
    ]
    for optimizer, says in refused:
        with pytest.raises(InvalidArgument, match=says):
            predict_path(model, PAIRS, 2, optimizer=optimizer)


# ---------------------------------------------------------------- the flow


def flows() -> Iterator[tuple[PreferenceLoss, list[Any]]]:
    yield DPO(beta=0.5), PAIRS[:1]
    yield from ((loss, PAIRS) for loss in (IPO(beta=0.5), SFT(), SPPOHard(beta=0.5)))


@pytest.mark.parametrize(("loss", "pairs"), list(flows()), ids=lambda value: type(value).__name__)
def test_the_flow_is_the_limit_of_small_steps_with_a_frozen_kernel(loss: PreferenceLoss, pairs: list[Any]) -> None:
    model, total = smooth_model(), 0.02
    start = sequence_log_probs(model, [s for pair in pairs for s in pair]).total
    reference = start + torch.linspace(-0.5, 0.7, len(start), dtype=torch.float64)
    how: dict[str, Any] = {"loss": loss, "reference": reference, "others": OTHERS}
    flow = predict_flow(model, pairs, [total / 2, total], **how)
    found = []
    for steps in (100, 200):
        path = predict_path(model, pairs, steps, learning_rate=total / steps, **how)
        found.append(float((path.log_probs[[steps // 2, steps]] - flow.log_probs[1:]).abs().max()))
    moved = float(flow.change.abs().max())
    assert moved > 1e-2
    assert found[1] < 0.02 * moved
    if isinstance(loss, SFT):  # it pushes with a constant force, so that steps of any size are on the flow
        assert found[1] < 1e-9
    else:
        assert found[0] / found[1] == pytest.approx(2, abs=0.1)


def test_a_flow_without_a_closed_form_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"loss: the flow of DPO.* on 3 pairs has no closed form"):
        predict_flow(smooth_model(), PAIRS, [0.1])
    with pytest.raises(InvalidArgument, match="times"):
        predict_flow(smooth_model(), PAIRS[:1], [0.2, 0.1])
