"""jian2025 Figure 1 on a language model: checks hold, and fail on wrong arrays; the drives are plain autograd's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch

from dynamics.errors import InvalidArgument
from figures.language_model_pair import L, W, load_policy, one_pair, plain
from figures.registry import Arrays
from figures.style import paper_style
from tests.figures.computed import computed
from tests.figures.controls import add_controls, in_place
from tests.optional import needs
from toy_models.multiplication.responses import encode_response

needs("transformers")
Change = Callable[[Arrays], None]


def arrays() -> Arrays:
    return computed(one_pair.key)


def bump(name: str, where: object, by: float) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name][where] += by

    return change


def cut(steps: int) -> Change:
    """Stop the run early."""

    def change(arrays: Arrays) -> None:
        looks = int((arrays["at"] < steps).sum())
        for name in ("step", "log_probs", "margin"):
            arrays[name] = arrays[name][: steps + 1]
        for name in ("literal", "absolute"):
            arrays[name] = arrays[name][:steps]
        for name in ("at", "drive", "predicted", "actual"):
            arrays[name] = arrays[name][:looks]

    return change


def negate(name: str, column: int) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name][:, column] *= -1

    return change


def as_in_print(arrays: Arrays) -> None:
    """Draw what the paper draws: a value from the first step on."""
    arrays["literal"] = arrays["absolute"].copy()


def positive_as_in_print(arrays: Arrays) -> None:
    """Draw what the paper draws: positive throughout."""
    arrays["literal"] = arrays["literal"] + 10


def swap(arrays: Arrays) -> None:
    """Let the rejected response fall more at the end."""
    arrays["log_probs"][:, [W, L]] = arrays["log_probs"][:, [L, W]]


WRONG: dict[str, tuple[Change, ...]] = {
    "chosen_rises_then_falls_below_its_start": (cut(25), cut(60), bump("log_probs", (100, W), 0.1)),
    "rejected_falls_at_every_step": (bump("log_probs", (100, L), 0.2), negate("drive", L)),
    "chosen_drive_crosses_zero_at_the_peak": (
        cut(25),
        negate("drive", W),
        bump("drive", (slice(None), W), 200.0),
        bump("drive", (12, W), 300.0),
    ),
    "margin_grows_as_predicted": (
        bump("margin", 100, 1.0),
        bump("margin", slice(None), 0.1),
        bump("predicted", (5, W), 0.01),
    ),
    "theorem_1_has_the_signs": (negate("predicted", L), negate("actual", W), negate("predicted", 2)),
    "literal_has_no_value_before_the_peak": (as_in_print, bump("literal", 100, np.nan), cut(25)),
    "positive_literal_is_a_violation_of_corollary_2": (positive_as_in_print, swap, cut(100)),
}
for name, changes in WRONG.items():
    add_controls(one_pair.key, name, map(in_place, changes))


def test_drives_are_those_of_plain_autograd() -> None:
    policy, tokenizer = load_policy()
    prompt = tokenizer("11 x 12 = ?\n")["input_ids"]
    scores = []
    for text in ("The answer is 132.", "The answer is 121.", "121"):
        response = encode_response(tokenizer, text)
        logits = policy(input_ids=torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
        value = logits.log_softmax(-1).gather(1, torch.tensor(response)[:, None]).sum()
        gradient = torch.autograd.grad(value, list(policy.parameters()))
        scores.append(torch.cat([g.flatten() for g in gradient]).double())
    gap = scores[0] - scores[1]
    expected = [float(score @ gap) for score in scores]
    np.testing.assert_allclose(arrays()["drive"][0], expected, rtol=1e-4)
    assert list(arrays()["texts"][:3]) == ["The answer is 132.", "The answer is 121.", "121"]


def test_margin_is_the_log_ratio_gained() -> None:
    log_probs = arrays()["log_probs"]
    ratio = log_probs[:, W] - log_probs[:, L]
    np.testing.assert_allclose(arrays()["margin"], ratio - ratio[0], rtol=0, atol=1e-12)


def drawing_of(spec: Any, arrays: Arrays) -> list[str]:
    """Draw and return all words on the page."""
    mpl.use("agg")
    with paper_style():
        drawing = spec.drawers[0](arrays)
        drawing.canvas.draw()
        words = [text.get_text() for text in drawing.findobj(mpl.text.Text)]
        inside = [t for axes in drawing.axes for t in axes.texts if t.get_text()]
        for text in inside:
            box = text.get_window_extent()
            assert drawing.bbox.x0 - 1 <= box.x0 < box.x1 <= drawing.bbox.x1 + 1, text.get_text()
            assert drawing.bbox.y0 - 1 <= box.y0 < box.y1 <= drawing.bbox.y1 + 1, text.get_text()
        assert all(axes.get_ylabel() or axes.get_title("left") for axes in drawing.axes)
        mpl.pyplot.close(drawing)
    return words


def test_drawing_names_the_pair() -> None:
    words = "\n".join(drawing_of(one_pair, arrays()))
    assert "The answer is 132." in words
    assert "peak at step 30" in words


def test_text_is_no_formula() -> None:
    assert plain("$x_2$\n") == r"\$x_2\$⏎"
    assert len(plain("a" * 50)) == 26


def random_model(folder: Path) -> str:
    """Save a random model of the toy's kind, and its tokenizer."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from toy_models.multiplication.tokenizer import byte_tokenizer

    tokenizer = byte_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        intermediate_size=16,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_another_model_is_drawn_and_fails_honestly(tmp_path: Path) -> None:
    found = one_pair.with_settings(model=random_model(tmp_path), device="cpu", steps=4, every=2).compute()
    failed = {check.name for check in one_pair.failures(found)}
    assert "chosen_rises_then_falls_below_its_start" in failed
    assert "margin_grows_as_predicted" not in failed
    drawing_of(one_pair, found)


def test_settings_reach_the_loading_code() -> None:
    with pytest.raises(InvalidArgument, match="there is no such folder"):
        one_pair.with_settings(model="./no-such-folder").compute()
    with pytest.raises(InvalidArgument, match="device"):
        one_pair.with_settings(device="nonsense").compute()


def test_loading_leaves_progress_bars_as_they_were() -> None:
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    load_policy()
    assert logging.is_progress_bar_enabled() == before
