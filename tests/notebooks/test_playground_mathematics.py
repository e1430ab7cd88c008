"""The playground's JavaScript computes what `dynamics` computes: losses, steps, flows, fields, in headless Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from dynamics import Tabular, gradient_flow, pairs, ratio_field, replicator_fitness, simulate, step
from dynamics.losses import pair_log_probs
from tests.notebooks.playground_worlds import (
    IN_THE_PLAYGROUND,
    KINKED,
    SLIDING,
    World,
    as_javascript,
    defaults,
    losses,
    put_together,
    python_loss,
    worlds,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SOURCE = Path(__file__).parents[2] / "notebooks" / "playground" / "source" / "preference-dynamics.js"
STEP, FLOW = 1e-12, 1e-6  # relative to the size of the terms that a number is the sum of
UNDERFLOW = 1e-290
LOAD = "source => { globalThis.P = new Function(source + '; return PreferenceDynamics')(); }"
# worlds are drawn, not shrunk, where many go through one call
DRAWN = settings(max_examples=5, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """Yield an empty page that knows the mathematics as ``P``."""
    view = browser.new_page()
    view.evaluate(LOAD, SOURCE.read_text(encoding="utf-8"))
    yield view
    view.close()


def assert_within(found: Any, wanted: Any, allowed: np.ndarray, what: str) -> None:
    """Assert equality to an allowance for each number; say which is furthest beyond it."""
    excess = np.abs(np.asarray(found) - np.asarray(wanted)) / (allowed + UNDERFLOW)
    at = np.unravel_index(np.argmax(np.nan_to_num(excess, nan=np.inf)), excess.shape)
    assert excess[at] <= 1, f"{what}{at}: {np.asarray(found)[at]}, and dynamics has {np.asarray(wanted)[at]}"


# ---------------------------------------------------------------- losses


def test_the_same_losses_with_the_same_defaults(page: Page) -> None:
    known = page.evaluate("Object.fromEntries(Object.entries(P.LOSSES).map(([name, loss]) => [name, loss.parameters]))")
    assert known == {name: defaults(name) for name in IN_THE_PLAYGROUND}


LOGS = [-1e-300, -1e-9, -0.1, -0.7, -1.0, -1.0, -2.5, -30.0, -745.0, -1e4]


def pairs_of_losses(name: str) -> tuple[list[dict[str, float]], list[dict[str, Any]]]:
    """Return hyper-parameters and pairs of log-probabilities from certainty to the far tail, with ties."""
    rng = np.random.default_rng(0)
    near = np.log(rng.uniform(1e-3, 1, (40, 4)))
    rows = [*near.tolist(), *rng.choice(LOGS, (80, 4)).tolist(), *[[a, a, b, b] for a in LOGS for b in LOGS]]
    keys = ("chosen", "rejected", "referenceChosen", "referenceRejected")
    ready = [
        {"name": name, **defaults(name)},
        {"name": name, **{key: 3.0 * value + 0.25 for key, value in defaults(name).items()}},
    ]
    return [dict(zip(keys, row, strict=True)) for row in rows], ready


def check_losses(page: Page, name: str) -> None:
    given_pairs, variants = pairs_of_losses(name)
    columns = [[row[key] for row in given_pairs] for key in given_pairs[0]]
    for loss in variants:
        made, pair = python_loss(loss), pair_log_probs(*columns)
        along = made.partials(pair)
        wanted = torch.stack([made.value(pair), made.margin(pair), made.urgency(pair), *along]).numpy()
        got = page.evaluate("([loss, rows]) => rows.map(row => P.evaluateLoss(loss, row))", [loss, given_pairs])
        keys = ("value", "margin", "urgency", "chosen", "rejected")
        found = np.array([[row[key] for row in got] for key in keys])
        size = np.abs(wanted)
        if name == "self_po_gelu":  # its slope is a difference near the floor
            x = -wanted[1]
            size[2:] = np.maximum(size[2:], np.exp(-x * x / 2) * np.abs(wanted[3:]).max(initial=1))
        assert_within(found, wanted, STEP * size, name)


@pytest.mark.parametrize("name", IN_THE_PLAYGROUND)
def test_losses_to_the_ends_of_the_range(page: Page, name: str) -> None:
    check_losses(page, name)


# ---------------------------------------------------------------- steps


def check_steps(page: Page, batch: list[World], loss: dict[str, Any]) -> None:
    """Compare the accounts of one step in many worlds."""
    together = put_together(batch)
    made = python_loss(loss)
    account = step(
        together.policy,
        together.theta,
        preferences=together.preferences,
        loss=made,
        learning_rate=together.learning_rate,
        reference=together.reference,
    )
    got = page.evaluate("worlds => worlds.map(P.step)", [as_javascript(world, loss) for world in batch])
    wanted = account.log_probs.numpy()

    phi = np.stack([np.abs(world.features).max() for world in batch])[:, None]
    reference = np.abs(together.reference.numpy()).max(1, keepdims=True)
    logs = np.maximum(1, np.maximum(np.abs(wanted), np.abs(account.new_log_probs.numpy())).max(1, keepdims=True))
    p, new_p = np.exp(wanted), np.exp(account.new_log_probs.numpy())
    # a push is a sum over pairs of weight times partial derivatives; the loss is steeper by its margin's rounding
    strength = 1 + max(loss.get("beta", 1.0), loss.get("scale", 1.0))
    partials = np.stack([np.abs(np.array(row["push"])).max() for row in got])[:, None]
    push = np.maximum(partials, strength) * strength * (logs + reference)
    rate = np.array([world.learning_rate for world in batch])[:, None]
    first = rate * push * phi**2
    sizes = {
        "logProbs": logs,
        "newLogProbs": logs + first,
        "actual": np.maximum(p, new_p) * (logs + first),
        "predicted": p * first,
        "secondOrder": p * (first + first**2),
    }
    python = dict(
        zip(
            sizes,
            (account.log_probs, account.new_log_probs, account.actual, account.predicted, account.second_order),
            strict=True,
        )
    )
    for key, size in sizes.items():
        found = np.array([row[key] for row in got])
        assert_within(found, python[key].numpy(), STEP * size, key)
    gram = np.stack([account.kernel[x, :, x, :].numpy() for x in range(len(batch))])
    found = np.array([row["kernel"] for row in got])
    assert_within(found, gram, STEP * phi[..., None] ** 2, "kernel")
    check_pairs(account, got, phi, strength * (logs + reference))


def check_pairs(account: Any, got: list[dict[str, Any]], phi: np.ndarray, margins: np.ndarray) -> None:
    """Compare what belongs to single pairs: drives, margins, urgencies."""
    row = 0
    for x, one in enumerate(got):
        for k, drive in enumerate(one["drive"]):
            wanted = account.drive[row, x].numpy()
            assert_within(drive, wanted, 2 * STEP * phi[x] ** 2, "drive")
            for key, values in (("margin", account.margin), ("newMargin", account.new_margin)):
                assert abs(one[key][k] - float(values[row])) <= STEP * float(margins[x, 0]) ** 2, key
            wanted_urgency = float(account.urgency[row])
            assert abs(one["urgency"][k] - wanted_urgency) <= STEP * max(abs(wanted_urgency), 1) * float(margins[x, 0])
            row += 1


@pytest.mark.parametrize("extreme", [False, True], ids=["usual", "extreme"])
@pytest.mark.parametrize("name", IN_THE_PLAYGROUND)
def test_steps_in_a_thousand_worlds(page: Page, name: str, extreme: bool) -> None:
    """18 losses, usual and extreme, twice 15 worlds each and once 15 equal ones, ties in everything."""

    @settings(max_examples=3, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(losses(name), st.lists(worlds(extreme), min_size=15, max_size=15))
    def check(loss: dict[str, Any], batch: list[World]) -> None:
        check_steps(page, batch, loss)

    check()


@cache
def drawn(name: str, size: int, extreme: bool = False) -> tuple[dict[str, Any], list[World]]:
    """Draw worlds for one call; the first of every run of Hypothesis is the simplest."""
    found: list[tuple[dict[str, Any], list[World]]] = []

    @DRAWN
    @given(losses(name), st.lists(worlds(extreme), min_size=size // 4, max_size=size // 4))
    def collect(loss: dict[str, Any], batch: list[World]) -> None:
        found.append((loss, batch))

    collect()
    return found[-1][0], [world for _, batch in found[1:] for world in batch]


def test_many_steps(page: Page) -> None:
    loss, batch = drawn("dpo", 24)
    together = put_together(batch)
    run = simulate(
        together.policy,
        together.theta,
        together.preferences,
        loss=python_loss(loss),
        learning_rate=together.learning_rate,
        steps=50,
        reference=together.reference,
    )
    got = page.evaluate("worlds => worlds.map(w => P.walk(w, 50).logProbs)", [as_javascript(w, loss) for w in batch])
    wanted = run.log_probs[:, 0, 0, 0].numpy().transpose(1, 0, 2)
    np.testing.assert_allclose(np.array(got), wanted, rtol=50 * STEP, atol=50 * STEP)


# ---------------------------------------------------------------- continuous time


TIMES = (0.3, 2.0)
FINER = {"relative": 1e-10, "absolute": 1e-12}  # for an integrator that must find a kink


def check_flows(page: Page, batch: list[World], loss: dict[str, Any]) -> None:
    """Compare gradient flows, whose time here runs with the learning rate."""
    together = put_together(batch)
    wanted = gradient_flow(
        together.policy,
        together.theta,
        together.preferences,
        [together.learning_rate * t for t in TIMES],
        loss=python_loss(loss),
        reference=together.reference,
    )
    code = "([worlds, times, how]) => worlds.map(w => P.flow(w, times.map(t => w.learningRate * t), how).logProbs)"
    how = FINER if loss["name"] in KINKED else {}
    got = page.evaluate(code, [[as_javascript(world, loss) for world in batch], TIMES, how])
    np.testing.assert_allclose(np.array(got).transpose(1, 0, 2), wanted.log_probs, rtol=FLOW, atol=FLOW)
    moved = np.abs(wanted.log_probs[-1] - put_together(batch).policy.log_probs(together.theta).numpy())
    assert moved.max() > 0.01, "nothing moved, so nothing was compared"


@pytest.mark.parametrize("name", [name for name in IN_THE_PLAYGROUND if name not in SLIDING])
def test_flows_in_a_thousand_worlds(page: Page, name: str) -> None:
    if name in KINKED:  # every kink makes the steps of all the worlds beside it small
        loss, batch = drawn(name, 12)
        check_flows(page, [world._replace(pairs=world.pairs[:1]) for world in batch], loss)
    else:
        loss, batch = drawn(name, 88)
        check_flows(page, batch, loss)


def test_a_flow_that_takes_too_many_steps_is_none(page: Page) -> None:
    world, loss = drawn("dpo", 4)[1][0], {"name": "dpo", "beta": 0.5}
    assert page.evaluate("world => P.flow(world, [1e6], { most: 3 })", as_javascript(world, loss)) is None
    assert page.evaluate("world => P.flow(world, [0])", as_javascript(world, loss))["thetas"] == [world.theta.tolist()]


# ---------------------------------------------------------------- fields


def test_the_replicator_is_the_tabular_flow(page: Page) -> None:
    rng = np.random.default_rng(1)
    log_p = np.log(rng.dirichlet(np.ones(3), 40))
    asked = pairs([0, 1, 2], [1, 2, 0], shape=(3,), weight=[1.0, 0.5, 0.25])
    for name in ("dpo", "ipo", "bdpo", "cpo"):
        loss = {"name": name, **defaults(name)}
        world = {
            "features": np.eye(3).tolist(),
            "reference": np.log([0.2, 0.3, 0.5]).tolist(),
            "pairs": [
                {"chosen": int(w), "rejected": int(r), "weight": float(v)}
                for w, r, v in zip(asked.chosen, asked.rejected, asked.weight, strict=True)
            ],
            "loss": loss,
        }
        code = "([world, rows]) => rows.map(row => [P.replicatorFitness(world, row), P.velocity(world, row)])"
        got = np.array(page.evaluate(code, [world, log_p.tolist()]))
        fitness = np.stack(
            [replicator_fitness(row, asked, python_loss(loss), np.log([0.2, 0.3, 0.5])).numpy() for row in log_p]
        )
        p = np.exp(log_p)
        np.testing.assert_allclose(got[:, 0], fitness, rtol=STEP, atol=STEP)
        velocity = p * (fitness - (p * fitness).sum(1, keepdims=True))
        np.testing.assert_allclose(got[:, 1], velocity, rtol=STEP, atol=STEP)
        assert np.abs(velocity).max() > 1e-3


def test_the_field_in_ratios(page: Page) -> None:
    x1, x2, beta = (np.random.default_rng(2).uniform(1e-3, 3, (3, 60))).tolist()
    got = page.evaluate("rows => rows.map(row => P.ratioField(...row))", list(zip(x1, x2, beta, strict=True)))
    wanted = [ratio_field(*row) for row in zip(x1, x2, beta, strict=True)]
    np.testing.assert_allclose(got, wanted, rtol=STEP)


def test_tabular_is_the_identity(page: Page) -> None:
    theta = [1e4, 0.0, -1e4]
    world = {"features": np.eye(3).tolist(), "base": [0, 0, 0], "theta": theta}
    wanted = Tabular(3).log_probs(torch.tensor(theta, dtype=torch.float64)).tolist()
    assert page.evaluate("P.logProbs", world) == wanted


# ---------------------------------------------------------------- each check fails on mathematics near the right one


def stepped(page: Page) -> None:
    loss, batch = drawn("dpo", 12)
    check_steps(page, batch, loss)


def flowed(page: Page) -> None:
    loss, batch = drawn("dpo", 4)  # a wrong integrator takes very many steps
    check_flows(page, batch, loss)


def valued(name: str) -> Callable[[Page], None]:
    return partial(check_losses, name=name)


SECOND = "(p[y] * (value * value - variance)) / 2"
LOG_RATIO = "pair.chosen - pair.referenceChosen - (pair"
WRONG: dict[str, tuple[str, str, Callable[[Page], None]]] = {
    "a drive of the wrong sign": ("row[chosen] - row[rejected]", "row[rejected] - row[chosen]", stepped),
    "a step twice as long": ("world.learningRate * sum(push", "2 * world.learningRate * sum(push", stepped),
    "a change of log pi": ("predicted: slope.map((value, y) => p[y] * value)", "predicted: slope", stepped),
    "a second order without its half": (SECOND, SECOND.replace(" / 2", ""), stepped),
    "no push upon the rejected": ("push[rejected] -= share[k] * found[k].rejected;", "", stepped),
    "weights left out": ("push[chosen] -= share[k] * found", "push[chosen] -= found", stepped),
    "scores that are not centred": ("p[z] * (value - other[i])", "p[z] * value", stepped),
    "a reference of the wrong sign": (LOG_RATIO, LOG_RATIO.replace(" - pair", " + pair"), valued("dpo")),
    "an urgency that loses its tail": ("slope: (z) => -sigmoid(-z)", "slope: (z) => sigmoid(z) - 1", valued("dpo")),
    "a short continued fraction": ("let n = 120", "let n = 6", valued("self_po_gelu")),
    "IPO with half its target": ("2 * (z - 1 / (2 * h.beta))", "2 * (z - 1 / (4 * h.beta))", valued("ipo")),
    "a wrong stage of the integrator": ("44 / 45", "43 / 45", flowed),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_mathematics_is_caught(browser: Browser, fault: str) -> None:
    right, wrong, check = WRONG[fault]
    source = SOURCE.read_text(encoding="utf-8")
    assert source.count(right) == 1, "the fault must be put in exactly one place"
    view = browser.new_page()
    view.evaluate(LOAD, source)
    check(view)  # the check passes on what is right
    view.evaluate(LOAD, source.replace(right, wrong))
    with pytest.raises(AssertionError):
        check(view)
    view.close()
