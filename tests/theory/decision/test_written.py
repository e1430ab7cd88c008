"""A conjecture in one line says what the same function says, and nothing else can be smuggled in."""

import random
import subprocess
import sys
from fractions import Fraction as F

import pytest
from hypothesis import given, strategies as st
from typer.testing import CliRunner

from dynamics.errors import InvalidArgument
from theory import decide, falsify
from theory.decision.command import app
from theory.decision.recipes import KINDS, Bounds, draw
from theory.decision.written import NAMES, Written
from theory.proof import holds_at, sqrt
from theory.worlds import World

RUN = CliRunner()
SAME = {
    "drive(w) >= 0": lambda w: w.A_w >= 0,
    "change(w) - change(l) >= -0.1": lambda w: w.D_w - w.D_l >= F(-1, 10),
    "not A_w < 0 or A_l < 0": lambda w: not w.A_w < 0 or w.A_l < 0,
    "0 < p_w <= 1/2 and kernel(w, l) != 0": lambda w: 0 < w.p_w <= F(1, 2) and w.wl != 0,
    "abs(wl)**2 == ww * ll": lambda w: w.wl**2 == w.ww * w.ll,
    "max(A_w, -A_l, 0.25) > p(l)**-1 - 3": lambda w: max(w.A_w, -w.A_l, F(1, 4)) > 1 / w.p_l - 3,
    "sqrt(p_w * p_l) * 2 < p_w + p_l": lambda w: sqrt(w.p_w * w.p_l) * 2 < w.p_w + w.p_l,
    "A_y**2 <= yy * dd": lambda w: w.A_y**2 <= w.yy * w.dd,
    "D_w >= D_l or p_w < p_l and ww < ll": lambda w: w.D_w >= w.D_l or (w.p_w < w.p_l and w.ww < w.ll),
    "S2 - p_w**2 > 1e-1": lambda w: w.S2 - w.p_w**2 > F(1, 10),
    "A_w >= 1 if wl <= 0 else A_l < 1 / 2": lambda w: w.A_w >= 1 if w.wl <= 0 else w.A_l < F(1, 2),
    "squared_norm(w) > log_change(w)": lambda w: w.ww > w.A_w,
}


@pytest.mark.parametrize("text", SAME)
@given(seed=st.integers(0, 10**6))
def test_it_says_what_the_function_says(text: str, seed: int) -> None:
    source = random.Random(seed)
    world = draw(source, source.choice(KINDS), Bounds(responses=4)).world
    assert holds_at(Written(text), world) == holds_at(SAME[text], world)


def test_a_step_in_one_line() -> None:
    ladder = World.log_linear([[0], [1], [2]], at=[3])
    assert Written("after(2).p_w > p_w and after(1/2).p_w < p_w")(ladder) is True


@pytest.mark.parametrize(
    "text",
    [
        *(
            "__import__('os').system('true')",
            "w.__class__",
            "A_w.__class__",
            "(lambda: 1)()",
            "[A_w][0] > 0",
            "open('x')",
        ),
        *(
            "{A_w: 1}",
            "f'{A_w}' == ''",
            "A_w >= 0 if A_l > 0",
            "A_w >= 0 if A_l",
            "(A_w := 1) > 0",
            "A_w is A_l",
            "A_w in (1, 2)",
        ),
        *("A_w % 2 > 0", "A_w // 2 > 0", "A_w & 1", "~A_w > 0", "A_w ^ 2 > 1", "'a' < 'b'", "True", "None", "..."),
        *("__doc__ == p_w", "__slots__ == p_w", "p_w.real > 0", "after(2).__class__", "after(2).after(2)", "after(2)"),
        *("2**2**9 > 1", "A_w**0.5 > 1", "A_w**A_w > 1", "A_w**10**9 > 1", "9**999999999 > 0", "1j > 0", "max(*p_w)"),
        *("drive(1) > 0", "drive() > 0", "kernel(w) > 0", "kernel(w, l, y) > 0", "drive(y=w) > 0", "p[w] > 0", "w > 0"),
        *("", "A_w >", "A_w > 0; A_l > 0", "A_w > 0\nimport os", "nan > 0", "yield A_w", "await A_w", "print(A_w)"),
        *("max(A_w) > 0", "sqrt(A_w, A_l) > 0", "not " * 100 + "A_w > 0", "(" * 500 + "A_w" + ")" * 500, "A_w " * 999),
    ],
)
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^conjecture: "):
        Written(text)


def test_the_names_are_those_of_a_world_and_no_others() -> None:
    ladder = World.log_linear([[0], [1], [2]], at=[3])
    assert all(isinstance(getattr(ladder, name), F) for name in NAMES)
    assert not [name for name in NAMES if name.startswith("_")]


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (["drive(w) >= 0"], 1, "not drive(w) >= 0: -3/7 < 0"),
        (["A_w >= A_l"], 0, "A_w >= A_l: proved for every policy"),
        (["D_w >= D_l", "--given", "wl <= 0"], 0, "those that meet the premise"),
        (["D_w >= D_l", "--over", "tabular"], 0, "proved for every tabular softmax"),
        (["A_w < 0 < A_y", "--exists"], 0, "true at"),
        (["p_w <= 12/13", "--over", "tabular"], 1, "refuted"),
        (["nonsense(w)"], 2, "not on the list"),
        (["A_w >= A_l", "--loss", "ipo"], 0, "a step of ipo at any reference"),
        (["A_w > 0", "--loss", "simpo", "--over", "two-responses"], 1, "refuted"),
        (["A_w >= A_l if n_w == n_l else d_w != d_l", "--loss", "simpo"], 0, "proved"),
        (["A_w >= A_l", "--loss", "ipo", "--over", "two-blocks"], 2, "over: "),
        (["A_w >= A_l", "--loss", "nonsense"], 2, "loss: "),
        (["d_w * A_w >= d_l * A_l", "--over", "weights"], 0, "proved"),
        (["S_w == p_w * (A_w**2 - V)", "--over", "second-order"], 0, "proved"),
        (["A_w == outer(w) + inner(w)", "--over", "two-blocks"], 0, "proved"),
        (["d_w > 0"], 2, "has no d_w"),
        (["S_w <= p_w * A_w**2", "--over", "second-order", "--work", "2000"], 1, "gave up"),
        (["D_w >= D_l", "--given", "nonsense"], 2, "given: "),
        (["p_w"], 2, "a statement is True or False"),
    ],
)
def test_the_command(arguments: list[str], code: int, shown: str) -> None:
    result = RUN.invoke(app, [*arguments, "--worlds", "5"])
    assert result.exit_code == code, result.output
    assert shown in result.output


def test_a_text_is_a_conjecture_everywhere() -> None:
    assert decide("D_w >= D_l", given="wl <= 0", worlds=5).verdict == "proved"
    assert falsify("D_w >= D_l", max_examples=400)
    for call in (decide, falsify):
        with pytest.raises(InvalidArgument, match=r"^given: "):
            call("D_w >= D_l", given="nonsense")


def test_a_certificate_from_the_command(tmp_path) -> None:
    result = RUN.invoke(app, ["A_w >= A_l", "--worlds", "5", "--certificate", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert list((tmp_path / "out").glob("*.smt2"))
    assert RUN.invoke(app, ["A_w >= 0", "--certificate", str(tmp_path / "no")]).exit_code == 2


def test_the_module_hands_decide_over() -> None:
    command = [sys.executable, "-m", "theory", "decide", "A_w >= A_l", "--worlds", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "proved for every policy" in done.stdout
