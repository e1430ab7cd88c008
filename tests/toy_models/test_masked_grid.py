"""ma2025's 20 x 20 toy against a plain loop, one run at a time, and its random numbers, masks and rewards."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import example, given, strategies as st
from torch.nn.functional import logsigmoid
from typer.testing import CliRunner

from dynamics import InvalidArgument, Preferences, Table, sweep, update
from toy_models.masked_grid import table_1, training, world
from toy_models.masked_grid.__main__ import app
from toy_models.masked_grid.table_1 import BASELINES, COMPARISONS, MASKS, PRINTED, READINGS, ROWS
from toy_models.masked_grid.training import METHODS, PAIRS, Setting, train

SHORT = {"steps": 6, "reference_steps": 4, "minibatch": 8}
ALMOST_ONE = 1 - 2**-53

# ---------------------------------------------------------------- a plain loop


def plain_margin(method: str, w: torch.Tensor, l: torch.Tensor, rw: float, rl: float) -> torch.Tensor:  # noqa: E741
    """The margin of one pair from the equations in print (Eq. 25 with its bracket mended), for autograd."""
    if method.startswith("dpo"):
        return (0.5 if "half" in method else 1.0) * ((w - rw) - (l - rl))
    if method.startswith("bdpo"):
        lam = l / (w + l)
        lam = lam.detach() if "detached" in method else lam
        return lam * (w - rw) - (1 - lam) * (l - rl)
    low = 1 / 1.5 if "-symmetric" in method else 1.0
    lam = torch.clamp(1 + w - l, low, 1.5)
    if "v2" in method:
        lam = lam.detach() if "detached" in method else lam
        return lam * (w - rw) - (l - rl)
    return lam * (w - rw) - (l - rl) - (lam - 1) * (w - rw).detach()


def scan(weights: list[float], u: float) -> int:
    """Walk along the weights until the uniform number is used up."""
    left = u * math.fsum(weights)
    for index, weight in enumerate(weights):
        if left < weight:
            return index
        left -= weight
    return max(i for i, weight in enumerate(weights) if weight > 0)


def plain_log_probs(setting: Setting, theta: torch.Tensor) -> torch.Tensor:
    if setting.policy == "tabular":
        return torch.log_softmax(theta.reshape(20, 20), -1)
    w1, b1, w2, b2 = theta.split([64 * 20, 64, 20 * 64, 20])
    hidden = torch.relu(w1.reshape(64, 20).T + b1)
    return torch.log_softmax(hidden @ w2.reshape(20, 64).T + b2, -1)


def plain_train(method: str, rate: float, seed: int, setting: Setting) -> torch.Tensor:
    """Train one run pair by pair, with autograd for the gradient and Adam written out."""
    masked = world.draw_mask(rate, seed).tolist()
    source = world.generator(seed, world.DRAW_STREAM)
    theta = torch.zeros(400, dtype=torch.float64)
    if setting.policy == "mlp":
        theta = setting.finite_policy().initial(world.generator(seed, world.START_STREAM))
    beginning, reference = theta, plain_log_probs(setting, theta)
    data_reference = reference

    def labelled(numbers: list[float], now: torch.Tensor, phase: int) -> tuple[int, int, int]:
        u0, u1, u2, u3 = numbers
        x = scan([float(row.count(False) >= 2) for row in masked], u0)
        d = [1.0] * 20
        if setting.pairs == "concentrated":
            d = [math.exp(-setting.concentration * (y - x) ** 2) for y in range(20)]
        elif setting.pairs == "online":
            d = now[x].exp().tolist()
        elif setting.pairs == "reference" and phase == 1:
            d = data_reference[x].exp().tolist()
        d = [0.0 if out else weight for out, weight in zip(masked[x], d, strict=True)]
        i = scan(d, u1)
        j = scan([0.0 if y == i else weight for y, weight in enumerate(d)], u2)
        log_odds = -0.6 * (i - x) ** 2 + 0.6 * (j - x) ** 2
        wins = 1 / (1 + math.exp(-log_odds))
        if setting.labels == "certain":
            wins = 0.5 if log_odds == 0 else float(log_odds > 0)
        return (x, i, j) if u3 < wins else (x, j, i)

    data: list[tuple[int, int, int]] = []
    for phase, (steps, loss) in enumerate(((setting.reference_steps, "dpo"), (setting.steps, method))):
        first, second = torch.zeros_like(theta), torch.zeros_like(theta)
        if setting.fixed_pairs and (phase == 0 or setting.pairs == "reference"):
            numbers = torch.rand(setting.fixed_pairs, 4, generator=source, dtype=torch.float64).tolist()
            data = [labelled(row, reference, phase) for row in numbers]
        for step in range(1, steps + 1):
            theta = theta.detach().requires_grad_()
            now = plain_log_probs(setting, theta)
            uniforms = torch.rand(setting.minibatch, 4, generator=source, dtype=torch.float64).tolist()
            total = torch.zeros((), dtype=torch.float64)
            for row in uniforms:
                x, w, l = data[int(row[0] * len(data))] if data else labelled(row, now, phase)  # noqa: E741
                margin = plain_margin(loss, now[x, w], now[x, l], float(reference[x, w]), float(reference[x, l]))
                total = total - logsigmoid(margin) / setting.minibatch
            (gradient,) = torch.autograd.grad(total, theta)
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            root = (second / (1 - 0.999**step)).sqrt() + 1e-8
            change = gradient if setting.optimizer == "sgd" else (first / (1 - 0.9**step)) / root
            theta = theta.detach() - setting.learning_rate * change
        if phase == 0:
            data_reference = plain_log_probs(setting, theta).detach()
            if method == "dpo-scratch":  # trained from the beginning, against the policy there
                theta = beginning
            else:
                reference = data_reference
    return plain_log_probs(setting, theta).detach()


@pytest.mark.parametrize("policy", ["tabular", "mlp"])
@pytest.mark.parametrize("pairs", PAIRS)
def test_every_method_equals_a_plain_loop(policy: str, pairs: str) -> None:
    # where the gradient is 0, Adam makes of a rounding error of 1e-17 a step of 1e-9 learning rates
    setting = Setting(pairs=pairs, policy=policy, learning_rate=0.02 if policy == "tabular" else 0.003, **SHORT)
    methods = [*METHODS, *METHODS]
    rates = [0.4 if index % 2 else 0.0 for index in range(len(methods))]
    seeds = [index // len(METHODS) for index in range(len(methods))]
    batched = train(methods, rates, seeds, setting).log_probs
    for index in range(len(methods)) if policy == "tabular" and pairs == "uniform" else (2, 7, 15):
        plain = plain_train(methods[index], rates[index], seeds[index], setting)
        torch.testing.assert_close(batched[index], plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pairs", ["uniform", "reference"])
@pytest.mark.parametrize("choice", [{"optimizer": "sgd"}, {"labels": "certain"}, {"fixed_pairs": 5}])
def test_the_other_choices_equal_a_plain_loop(choice: dict, pairs: str) -> None:
    short = {"policy": "tabular", "pairs": pairs, "learning_rate": 0.1, **SHORT}
    methods = ["bdpo", "dpo-scratch", "nbdpo-symmetric"]
    batched, without = (
        train(methods, [0.4] * 3, [0, 1, 2], Setting(**short, **more)).log_probs for more in (choice, {})
    )
    assert (batched - without).abs().max() > 1e-6
    for run, method in enumerate(methods):
        plain = plain_train(method, 0.4, run, Setting(**short, **choice))
        torch.testing.assert_close(batched[run], plain, rtol=0, atol=1e-9)  # a rounded gradient of 0, times Adam


def test_the_plain_loop_tells_methods_masks_and_seeds_apart() -> None:
    setting = Setting(policy="tabular", learning_rate=0.1, **SHORT)
    true = train(["nbdpo-symmetric"], [0.2], [0], setting).log_probs[0]
    for method, rate, seed in (("nbdpo-asymmetric", 0.2, 0), ("nbdpo-symmetric", 0.4, 0), ("nbdpo-symmetric", 0.2, 1)):
        assert (true - plain_train(method, rate, seed, setting)).abs().max() > 1e-6


# ---------------------------------------------------------------- common random numbers and the mask


def record(monkeypatch: pytest.MonkeyPatch) -> list[Preferences]:
    """Keep every minibatch as the updates get it."""
    seen: list[Preferences] = []

    def watch(state, batch, **settings):
        seen.append(batch)
        return update(state, batch, **settings)

    monkeypatch.setattr(training, "update", watch)
    return seen


@pytest.mark.parametrize("pairs", PAIRS)
def test_methods_share_their_pairs(monkeypatch: pytest.MonkeyPatch, pairs: str) -> None:
    seen = record(monkeypatch)
    setting = Setting(pairs=pairs, policy="tabular", learning_rate=0.5, **SHORT)
    trained = train(["bdpo", "dpo"] * 2, [0.2] * 4, [0, 0, 5, 5], setting)
    assert torch.equal(trained.reference[0], trained.reference[1])
    assert not torch.equal(trained.reference[0], trained.reference[2])
    later = seen[setting.reference_steps :]
    assert len(later) == setting.steps
    # the runs are ordered by method: two of bDPO, then two of DPO
    same = [
        torch.equal(batch.chosen[:2], batch.chosen[2:]) and torch.equal(batch.rejected[:2], batch.rejected[2:])
        for batch in later
    ]
    # pairs from the policies in training part with the policies, from the second update on
    assert all(same) if pairs != "online" else same[0] and not all(same)
    assert not any(torch.equal(batch.chosen[0], batch.chosen[1]) for batch in later)


def test_a_run_does_not_depend_on_its_company() -> None:
    setting = Setting(**SHORT)
    together = train(["bdpo", "dpo", "bdpo"], [0.2, 0.2, 0.4], [3, 4, 3], setting)
    alone = train(["bdpo"], [0.4], [3], setting)
    torch.testing.assert_close(together.log_probs[2], alone.log_probs[0], rtol=0, atol=1e-12)
    assert torch.equal(together.mask[2], alone.mask[0])


def uses_masked(batches: list[Preferences], mask: torch.Tensor) -> bool:
    flat = mask.flatten()
    return any(bool(flat[batch.chosen].any() or flat[batch.rejected].any()) for batch in batches)


@pytest.mark.parametrize("pairs", PAIRS)
def test_masked_pairs_are_never_used(monkeypatch: pytest.MonkeyPatch, pairs: str) -> None:
    seen = record(monkeypatch)
    setting = Setting(pairs=pairs, policy="tabular", learning_rate=0.5, steps=20, reference_steps=20)
    mask = train(["nbdpo-symmetric"], [0.4], [1], setting).mask[0]
    assert len(seen) == 40
    assert not uses_masked(seen, mask)
    seen.clear()
    monkeypatch.setattr(training, "draw_mask", lambda rate, seed: torch.zeros(20, 20, dtype=torch.bool))
    train(["nbdpo-symmetric"], [0.4], [1], setting)
    assert uses_masked(seen, mask)  # without the mask they are


uniform_numbers = st.sampled_from([0.0, 0.5, ALMOST_ONE]) | st.floats(0, 1, exclude_max=True)


@given(
    st.lists(st.sampled_from([0.0, 0.0, 1e-12, 0.1, 1.0, 3.0]), min_size=5, max_size=5).filter(
        lambda row: sum(weight > 0 for weight in row) >= 2
    ),
    st.lists(uniform_numbers, min_size=4, max_size=4),
)
@example([0.1, 0.1, 1.0, 0.0, 0.0], [ALMOST_ONE] * 4)
@example([0.0, 1e-12, 3.0, 0.0, 0.0], [ALMOST_ONE] * 4)
def test_pairs_are_different_possible_responses_of_a_prompt_that_has_two(row: list, numbers: list) -> None:
    weights = torch.tensor([[[0.0] * 4 + [1.0], row, [0.0] * 5]], dtype=torch.float64)
    batch = world.draw_pairs(weights, torch.zeros(3, 5, dtype=torch.float64), torch.tensor([[numbers]]))
    chosen, rejected = int(batch.chosen), int(batch.rejected)
    assert chosen != rejected
    assert chosen // 5 == rejected // 5 == 1
    assert weights.flatten()[chosen] > 0
    assert weights.flatten()[rejected] > 0


def test_pairs_have_the_frequencies_of_the_model() -> None:
    weights = torch.zeros(1, 20, 20, dtype=torch.float64)
    weights[0, 3, 2:5] = torch.tensor([1.0, 2.0, 5.0])
    count = 40_000
    uniforms = torch.rand(1, count, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = world.draw_pairs(weights, world.log_utility(), uniforms)
    d, u = {2: 1 / 8, 3: 2 / 8, 4: 5 / 8}, {2: math.exp(-0.6), 3: 1.0, 4: math.exp(-0.6)}
    for w, l in permutations(d, 2):  # noqa: E741
        asked = d[w] * d[l] / (1 - d[w]) + d[l] * d[w] / (1 - d[l])
        p = asked * u[w] / (u[w] + u[l])
        seen = float(((batch.chosen == 60 + w) & (batch.rejected == 60 + l)).double().mean())
        assert abs(seen - p) < 5 * math.sqrt(p * (1 - p) / count)


@given(st.integers(0, 10**6), st.floats(0, 0.85), st.floats(0, 0.85))
def test_masks_are_exact_and_nested(seed: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    small, large = world.draw_mask(low, seed), world.draw_mask(high, seed)
    assert int(small.sum()) == round(400 * low)
    assert not (small & ~large).any()


def test_streams_and_seeds_differ() -> None:
    draws = [float(torch.rand(1, generator=world.generator(seed, stream))) for seed in range(5) for stream in range(3)]
    assert len(set(draws)) == len(draws)
    assert draws[0] == float(torch.rand(1, generator=world.generator(0, 0)))


def policies(seed: int, count: int = 2) -> torch.Tensor:
    logits = 3 * torch.randn(count, 20, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.log_softmax(logits, -1)


@given(st.integers(0, 10**6))
def test_rewards_are_sums_over_prompts_and_responses(seed: int) -> None:
    log_probs = policies(seed, 1)[0]
    first = second = 0.0
    for x in range(20):
        utility = [math.exp(-0.6 * (y - x) ** 2) for y in range(20)]
        mean = sum(math.exp(float(log_probs[x, y])) * utility[y] for y in range(20))
        first, second = first + mean, second + mean / sum(utility)
    r1, r2 = world.rewards(log_probs)
    assert float(r1) == pytest.approx(first, rel=1e-12)
    assert float(r2) == pytest.approx(second, rel=1e-12)


@given(st.integers(0, 10**6), st.floats(0.01, 0.99))
def test_rewards_are_linear_bounded_and_rise_towards_the_diagonal(seed: int, share: float) -> None:
    two = policies(seed)
    mixed = torch.log(share * two[0].exp() + (1 - share) * two[1].exp())
    better = torch.log((1 - share) * two[0].exp() + share * torch.eye(20, dtype=torch.float64))
    for reward, most in zip(range(2), world.largest_rewards(), strict=True):
        a, b = world.rewards(two)[reward].tolist()
        assert float(world.rewards(mixed)[reward]) == pytest.approx(share * a + (1 - share) * b, rel=1e-12)
        assert 0 < a < float(world.rewards(better)[reward]) < most


def test_rewards_have_the_audited_levels() -> None:
    r1, r2 = world.rewards(torch.log_softmax(world.log_utility(), -1))
    assert float(r1) == pytest.approx(14.4, abs=0.05)
    assert float(r2) == pytest.approx(6.59, abs=0.005)


def test_masked_mass_counts_masked_responses() -> None:
    uniform = torch.full((20, 20), -math.log(20), dtype=torch.float64)
    mask = world.draw_mask(0.4, 2)
    assert float(world.masked_mass(uniform, mask)) == pytest.approx(0.4)
    assert float(world.masked_mass(uniform, ~mask)) == pytest.approx(0.6)


# ---------------------------------------------------------------- sweep, table, command


def test_the_batch_size_does_not_matter() -> None:
    grid = {"method": ["dpo", "bdpo"], "mask": [0.0, 0.2]} | {name: [value] for name, value in SHORT.items()}
    whole, cut = (sweep(training.train_batch, grid, range(3), static=list(SHORT), batch_size=size) for size in (256, 5))
    assert whole["method"].tolist() == cut["method"].tolist()
    for name in whole.results:
        np.testing.assert_allclose(whole[name], cut[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: Setting(pairs="all"), "pairs"),
        (lambda: Setting(policy="linear"), "policy"),
        (lambda: Setting(minibatch=0), "minibatch"),
        (lambda: Setting(learning_rate=-1.0), "learning_rate"),
        (lambda: train(["ppo"], [0.0], [0], Setting(**SHORT)), "methods"),
        (lambda: train(["dpo"], [0.0, 0.2], [0], Setting(**SHORT)), "methods"),
        (lambda: world.draw_mask(1.0, 0), "rate"),
        (lambda: world.draw_mask(-0.1, 0), "rate"),
        (lambda: Setting(pairs="online", fixed_pairs=9), "fixed_pairs"),
        (lambda: training.train_batch({"seed": np.arange(2), "steps": np.array([1, 2])}), "steps"),
        (lambda: training.train_batch({"seed": np.arange(2), "stpes": 1}), "batch"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], argument: str) -> None:
    with pytest.raises(InvalidArgument) as problem:
        call()
    assert problem.value.argument == argument


def made_up(rows: dict[str, np.ndarray]) -> Table:
    """A table with these rewards (mask,) for two seeds that differ by 0.1; the rows that are not printed are 0."""
    columns: dict[str, list] = {"method": [], "mask": [], "seed": [], "reward_2": [], "reference_reward_2": []}
    for method in ROWS[1:]:
        for index, mask in enumerate(MASKS):
            for seed in (1, 0):
                reward = rows.get(method, np.zeros(3))[index] + seed / 10
                values = (method, mask, seed, reward, rows["reference"][index])
                for name, value in zip(columns, values, strict=True):
                    columns[name].append(value)
    return Table({name: np.array(values) for name, values in columns.items()}, ("method", "mask", "seed"))


def test_a_table_like_print_agrees_and_its_opposite_does_not() -> None:
    printed = {name: np.array(values) for name, values in PRINTED.items()}
    rows = printed | dict.fromkeys(BASELINES, printed["baseline"])
    found = table_1.compare([made_up(rows)] * len(READINGS), READINGS)
    known = ~np.isnan(found.printed)
    assert found.tau[0] == pytest.approx(1.0)
    assert found.rms[0] == pytest.approx(0.05, abs=1e-9)  # the seeds' 0, 0.1 on top
    assert (found.verdict[0][known] == 1).all()
    np.testing.assert_allclose(found.difference[0][known], found.printed[known], atol=1e-9)
    opposite = table_1.compare([made_up({name: -values for name, values in rows.items()})] * len(READINGS), READINGS)
    assert opposite.tau[0] == pytest.approx(-1.0)
    assert (opposite.verdict[0][known] == -1).all()
    lines = "\n".join(table_1.conclusions(opposite))
    assert "nbDPO (symm) − baseline: the opposite in every reading." in lines
    assert "nbDPO (symm) − baseline: as printed in every reading." in "\n".join(table_1.conclusions(found))


def test_printed_differences_are_those_of_the_table() -> None:
    row = {(c.above, c.below): values for c, values in zip(COMPARISONS, table_1.printed_differences(), strict=True)}
    np.testing.assert_allclose(row["nbdpo-symmetric", "baseline"], [1.12, 1.32, 1.44])
    np.testing.assert_allclose(row["baseline", "baseline"], [np.nan, -0.30, 0.43], equal_nan=True, atol=1e-12)
    assert np.isnan(row["bdpo", "dpo-half-beta"]).all()


def test_paired_errors_leave_out_what_seeds_share() -> None:
    shared = np.random.default_rng(0).normal(size=50)
    noise = np.random.default_rng(1).normal(size=50) / 100
    mean, error = table_1.paired(shared + noise + 1, shared)
    assert mean == pytest.approx(1 + noise.mean())
    assert error == pytest.approx(noise.std(ddof=1) / math.sqrt(50))
    assert error < table_1.paired(shared, 0 * shared)[1] / 20


def test_the_command_prints_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    short = Setting(policy="tabular", learning_rate=0.1, **SHORT)
    readings = tuple(table_1.Reading(r.name, short, r.baseline) for r in table_1.READINGS)
    monkeypatch.setattr(table_1, "READINGS", readings)
    monkeypatch.setenv("COLUMNS", "220")
    result = CliRunner().invoke(app, ["--seeds", "2", "--folder", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "nbDPOv2 (asymm)" in result.output
    assert "baseline = reference: Kendall tau" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["uniform-pairs.jsonl"]
    own = CliRunner().invoke(app, ["--seeds", "2", "--steps", "3", "--policy", "tabular", "--pairs", "online"])
    assert own.exit_code == 0
    assert "R1, your reading" in own.output
    assert "What a reader of the paper may conclude" in own.output
    assert CliRunner().invoke(app, ["--pairs", "none"]).exit_code == 2
