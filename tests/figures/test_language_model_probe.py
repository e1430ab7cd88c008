"""jian2025 Figure 2a on a language model: checks hold, and fail on wrong arrays; a right y* is said to be void."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dynamics.errors import InvalidArgument
from figures import language_model_probe
from figures.language_model_probe import Y_STAR, L, W, dpo_probe, record, survey_question, train_on
from figures.registry import Arrays
from tests.figures.computed import computed
from tests.figures.controls import add_controls, in_place
from tests.figures.test_language_model_pair import drawing_of, random_model
from tests.optional import needs
from toy_models.multiplication.methods import Descent
from toy_models.multiplication.probe import ProbeSettings, follow
from toy_models.multiplication.shipped import PINNED_REJECTED, answers

needs("transformers")
Change = Callable[[Arrays], None]


def arrays() -> Arrays:
    return computed(dpo_probe.key)


def bump(name: str, where: object, by: float) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name][where] += by

    return change


def negate(name: str, where: object) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name][where] *= -1

    return change


def void(arrays: Arrays) -> None:
    arrays["void"] = np.array(True)


def forget_unsampled(arrays: Arrays) -> None:
    """Count only what was sampled, as if it were all."""
    arrays["mass"] = arrays["mass"] / arrays["mass"][:, :5].sum(1, keepdims=True)
    arrays["mass"][:, 5] = 0


def misplace(arrays: Arrays) -> None:
    """Count a response in another group than its own."""
    arrays["group"][arrays["group"] == 4] = 3


def from_the_rejected(arrays: Arrays) -> None:
    """Let D_l hold what the others give."""
    arrays["mass"][:, [1, 4]] = arrays["mass"][:, [4, 1]]


def all_alike(sign: float) -> Change:
    """Let every draw send y* the same way."""

    def change(arrays: Arrays) -> None:
        arrays["forecast"][..., Y_STAR] = sign * np.abs(arrays["forecast"][..., Y_STAR])

    return change


WRONG: dict[str, tuple[Change, ...]] = {
    "the_pattern_of_the_paper": (
        void,
        negate("change", (-1, W)),
        negate("change", (-1, L)),
        negate("change", (-1, Y_STAR)),
    ),
    "six_masses_sum_to_one": (forget_unsampled, misplace, bump("mass", (3, 5), 0.01), bump("mass", (3, 5), -1.0)),
    "the_mass_comes_from_others": (from_the_rejected, negate("mass", slice(None)), bump("mass", (-1, 4), 0.5)),
    "chosen_up_and_rejected_down_in_every_draw": (
        negate("forecast", (0, 3, W)),
        negate("forecast", (1, 5, L)),
        negate("draw_change", (2, slice(None), L)),
        bump("draw_change", (1, 10, W), -5.0),
    ),
    "y_star_depends_on_the_draw": (
        all_alike(1.0),
        all_alike(-1.0),
        bump("draw_change", (slice(None), -1, Y_STAR), 5.0),
        bump("draw_change", (slice(None), -1, Y_STAR), -5.0),
    ),
    "the_kernel_predicts_the_first_move": (negate("predicted", Y_STAR), negate("change", (1, L))),
}
for name, changes in WRONG.items():
    add_controls(dpo_probe.key, name, map(in_place, changes))


def test_arrays_are_of_the_pinned_pairs() -> None:
    found = arrays()
    assert set(found["texts"][found["group"] == 1]) == set(PINNED_REJECTED)
    assert list(found["texts"][found["group"] == 2]) == ["121"]
    assert list(found["draw"]) == [f"{kind} {i}" for i in range(3) for kind in ("weighted", "uniform")]
    assert found["forecast"].shape == (2, 100, 3)


def test_following_fewer_responses_changes_nothing() -> None:
    policy, surveyed, rule = survey_question("", "")
    few = train_on(policy, surveyed, rule, Descent(), 3)
    all_of_them = follow(policy, surveyed, ProbeSettings(rule=rule, steps=3))
    assert len(few.survey.responses) == 11
    np.testing.assert_allclose(few.change, all_of_them.change, rtol=0, atol=1e-5)
    assert np.abs(few.change[-1]).min() > 0.01


def test_drawing_says_what_is_too_thin() -> None:
    words = "\n".join(drawing_of(dpo_probe, arrays()))
    assert "too thin" in words
    assert "'121', wrong" in words


def test_a_right_y_star_is_void_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model_probe, "answers", lambda _, response: answers(121, response))
    found = dpo_probe.compute(steps=2, draws=2, trained=1)
    assert found["void"]
    assert "the_pattern_of_the_paper" in {check.name for check in dpo_probe.failures(found)}
    assert any("RIGHT: this is void" in word for word in drawing_of(dpo_probe, found))


def test_a_model_without_right_answers_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"correct responses|no sample ended"):
        dpo_probe.with_settings(model=random_model(tmp_path), steps=1).compute()
    with pytest.raises(InvalidArgument, match="there is no such folder"):
        dpo_probe.with_settings(model="./no-such-folder").compute()


def test_another_model_has_no_pinned_pairs(tmp_path: Path) -> None:
    policy, tokenizer = language_model_probe.load_policy()
    policy.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    _, surveyed, rule = survey_question(str(tmp_path), "cpu")
    assert rule.rejected == "weighted"
    assert not surveyed.is_void
    run = train_on(policy, surveyed, rule, Descent(), 1)
    assert record(run)["mass"].shape == (2, 6)
