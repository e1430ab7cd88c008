"""Single steps on a language model: checks hold, and fail on arrays that are wrong in their own respect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dynamics.errors import InvalidArgument
from figures.language_model_pair import Y_STAR, L, W, load_policy
from figures.language_model_step import theorem_1, token_shift
from figures.registry import Arrays, Figure
from tests.figures.computed import computed
from tests.figures.controls import add_controls, in_place
from tests.figures.test_language_model_pair import drawing_of, random_model
from tests.optional import needs

needs("transformers")
Change = Callable[[Arrays], None]
FIGURES: dict[str, Figure] = {"theorem-1": theorem_1, "shift": token_shift}


def arrays(key: str) -> Arrays:
    return computed(FIGURES[key].key)


def scale(name: str, where: object, by: float) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name][where] *= by

    return change


def second_order(arrays: Arrays) -> None:
    """Let the error shrink with the square of the learning rate, as that of a better prediction would."""
    rates = arrays["learning_rate"]
    error = (arrays["actual"] - arrays["predicted"]) * (rates / rates[0])[:, None]
    arrays["actual"] = arrays["predicted"] + error


def no_slope(arrays: Arrays) -> None:
    """Be wrong by the same part at every rate, as with a wrong factor."""
    arrays["actual"] = 1.1 * arrays["predicted"]


def forget_half(arrays: Arrays) -> None:
    """Predict with the kernel of half the parameters."""
    arrays["kernel"] = arrays["kernel"] / 2


def corrected(arrays: Arrays) -> None:
    """Put g* . g_w into Eq. (64)."""
    arrays["as_printed"] = arrays["predicted"][:, Y_STAR].copy()


def swap_pair(arrays: Arrays) -> None:
    for name in ("predicted", "actual"):
        arrays[name][:, [W, L]] = arrays[name][:, [L, W]]


def tabular(arrays: Arrays) -> None:
    """Leave the shared beginning where it is, as without shared parameters."""
    arrays["actual"][:, : int(arrays["fork"])] = 0.0


def at_once(arrays: Arrays) -> None:
    """Let the pair part at once."""
    arrays["fork"] = np.array(0)


def own_gains_most(arrays: Arrays) -> None:
    fork, own = int(arrays["fork"]), int(arrays["y_w"][int(arrays["fork"])])
    row = arrays["actual"][0][fork]
    most = int(row.argmax())
    row[own], row[most] = row[most], row[own]


def other_loses_least(arrays: Arrays) -> None:
    arrays["y_l_at_fork"] = np.array((int(arrays["y_l_at_fork"]) + 1) % arrays["predicted"].shape[1])


WRONG: dict[tuple[str, str], tuple[Change, ...]] = {
    ("theorem-1", "error_is_first_order"): (second_order, no_slope, scale("slope", 0, 1.01)),
    ("theorem-1", "small_steps_are_predicted"): (swap_pair, no_slope, scale("predicted", (0, L), 1.01)),
    ("theorem-1", "large_steps_are_not"): (no_slope, swap_pair),
    ("theorem-1", "kernel_and_forward_mode_agree"): (forget_half, scale("kernel", (2, L), 1.001)),
    ("theorem-1", "eq_64_as_printed_is_wrong_at_every_step"): (corrected, scale("as_printed", 2, -1.0)),
    ("shift", "shift_is_predicted"): (scale("predicted", 0, 1.05), scale("actual", (0, 15), -1.0)),
    ("shift", "shift_error_is_first_order"): (scale("predicted", 0, 1.05), scale("actual", (1, 15), 1.01)),
    ("shift", "probability_is_conserved"): (scale("predicted", (15, 22), 1.1), scale("actual", (0, 0, 22), 1.1)),
    ("shift", "tokens_add_up_to_theorem_1"): (scale("push", 0, 1.00001), scale("log_change", 0, 1.01)),
    ("shift", "shared_beginning_moves"): (tabular, at_once),
    ("shift", "a_third_token_gains_most"): (own_gains_most, other_loses_least),
}
for (key, name), changes in WRONG.items():
    add_controls(FIGURES[key].key, name, map(in_place, changes))


def test_shift_is_the_difference_of_two_plain_forward_passes() -> None:
    """Before and after a step made by torch.optim.SGD, without this package."""
    policy, tokenizer = load_policy()
    found = arrays("shift")
    prompt = tokenizer("11 x 12 = ?\n")["input_ids"]
    texts = ["The answer is 132.", "The answer is 121."]
    answers = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]

    def logits(response: list[int]) -> torch.Tensor:
        table: torch.Tensor = policy(input_ids=torch.tensor([[*prompt, *response]])).logits
        return table[0, len(prompt) - 1 : -1].double()

    def log_prob(response: list[int]) -> torch.Tensor:
        return logits(response).log_softmax(-1).gather(1, torch.tensor(response)[:, None]).sum()

    optimizer = torch.optim.SGD(policy.parameters(), lr=3e-4)
    before = logits(answers[0]).softmax(-1).detach()
    ratio = log_prob(answers[0]) - log_prob(answers[1])
    (-torch.nn.functional.logsigmoid(0.1 * (ratio - ratio.detach()))).backward()
    optimizer.step()
    change = (logits(answers[0]).softmax(-1) - before).detach().numpy()
    fork = int(found["fork"])
    for place in (0, fork):
        np.testing.assert_allclose(found["actual"][0][place], change[place], rtol=0, atol=2e-6)
    assert np.abs(change[fork]).max() > 4e-3


def test_fork_is_where_the_pair_parts() -> None:
    found = arrays("shift")
    assert "".join(found["y_w_text"][: int(found["fork"])]) == "The␣answer␣is␣1"
    assert found["y_w_text"][-1] == "end"
    assert set(found["y_w"]) <= set(found["token"])


@pytest.mark.parametrize("key", FIGURES)
def test_drawings(key: str) -> None:
    words = drawing_of(FIGURES[key], arrays(key))
    assert any("1.000" in word for word in words) == (key == "theorem-1")


def test_another_model(tmp_path: Path) -> None:
    other = random_model(tmp_path)
    for figure in FIGURES.values():
        found = figure.with_settings(model=other, learning_rates=(1e-5, 1e-6, 1e-4)).compute()
        failed = {check.name for check in figure.failures(found)}
        assert not failed & {"probability_is_conserved", "tokens_add_up_to_theorem_1"}
        drawing_of(figure, found)
        with pytest.raises(InvalidArgument, match="there is no such folder"):
            figure.with_settings(model="./no-such-folder").compute()
