"""Mathematics for a terminal leaves nothing out that a statement says."""

import re

import pytest

from theory.ledger import load_claims
from theory.terminal import _converter, readable

SIZES = {"Bigl", "Bigr", "bigl", "bigr", "Big", "big", "left", "right"}  # of brackets, which stand as they are
FONTS_AND_TABLES = {"mathrm", "text", "begin", "end", "tfrac"}


@pytest.mark.parametrize(
    ("latex", "shown"),
    [
        (r"a\implies b\iff c", "a ⇒ b ⇔ c"),
        (r"w\ne l", "w≠l"),
        (r"\tfrac12\le x", "1/2≤x"),
        (r"\frac{x}{1+y}z", "x/(1+y)z"),
        (r"\frac{x+y}{z}", "(x+y)/z"),
        (r"\frac{a}{\pi_w\log\pi_w}", "a/(π_wlogπ_w)"),
        (r"\frac{\pi_w}{\pi_l}", "π_w/π_l"),
        (r"e^{\beta(x+y)}z", "e^(β(x+y))z"),
        (r"e^{-x}", "e^(-x)"),
        (r"x^{\beta}y^{2}z^{10}", "x^βy^2z^10"),
        (r"\sum_{y\ne w}\pi_y", "∑_(y≠w)π_y"),
        (r"x^{a_{i,j}+1}", "x^(a_(i,j)+1)"),
        (r"\pi_{\mathrm{ref}}(y)", "π_ref(y)"),
        (r"2^{\frac{1}{n}}", "2^(1/n)"),
        (r"-\frac{1}{\beta}\frac{\partial L}{\partial s_i}", "-1/β∂L/∂s_i"),
    ],
)
def test_a_statement_reads_as_it_is_meant(latex: str, shown: str) -> None:
    assert readable(latex) == shown


def test_every_macro_of_the_ledger_is_known() -> None:
    texts = []
    for made in load_claims().values():
        texts += [made.says, *re.findall(r"\$([^$]+)\$", f"{made.assumes} {made.because} {made.proof}")]
    used = {name for text in texts for name in re.findall(r"\\([a-zA-Z]+)", text)}
    database = _converter().latex_context
    specs = {name: database.get_macro_spec(name) for name in used - SIZES - FONTS_AND_TABLES}
    assert not {name for name, spec in specs.items() if spec is None or spec.simplify_repl in (None, "")}
