"""The mathematics of titles, captions and checks: as MathML for a page, as plain characters for everything else."""

from __future__ import annotations

import re
from typing import Literal

from latex2mathml.converter import convert
from markupsafe import escape
from pylatexenc.latex2text import LatexNodes2Text

GREEK = (
    *("alpha", "beta", "gamma", "delta", "Delta", "eta", "theta", "lambda", "mu", "pi", "sigma", "tau"),
    *("phi", "chi", "omega"),
)
_NAME = "|".join(GREEK)
# a letter or the name of a Greek one, with a star, an index or an exponent, as prose has it: pi_w, y*, e^-m, x1^2
SYMBOL = re.compile(
    rf"(?<![\w\\])(?<!\w-)(?P<base>{_NAME}|[A-Za-z](?=[_^*]|\d\^))(?P<star>\*(?!\*))?(?P<digit>\d(?=\^))?"
    rf"(?:_(?P<index>{_NAME}|[A-Za-z0-9]+))?(?:\^(?P<power>-?(?:{_NAME}|\d+|[A-Za-z])))?(?![\w*])"
)
NORM = re.compile(r"\|[A-Za-z_ +-]+\|\^2")  # a squared norm, which is one formula
FOLLOWED = re.compile(r"(<math(?:(?!</math>).)*</math>[,.;:)\]]+)", re.DOTALL)  # a line must not begin with a comma
# where the converter differs from how LaTeX sets a formula
MENDED = (
    # a bar is no relation, which would have spaces on both sides
    (re.compile(r'<mo ((?:fence="false" )?stretchy="false">&#x(?:0007C|02016);)'), r'<mo lspace="0" rspace="0" \1'),
    (re.compile(r"<mi>(&#x(?:027F9|027FA|02AB0|0007E|000B1|0003A|0003B);|[:;])</mi>"), r"<mo>\1</mo>"),
    (
        re.compile(r"<mo>(?=&#x(?:0002F|02202|02207);)"),
        '<mo lspace="0" rspace="0">',
    ),  # / and derivatives have none, too
    # the name of a function is followed by a space, unless a script or a bracket follows
    (
        re.compile(
            r"(?<!<msub>)(?<!<msup>)(?<!<msubsup>)(<mi>(?:log|ln|exp|cos|tanh)</mi>)(?=<m(?:i|n|sub|sup|frac|row)\b)"
        ),
        r'\1<mspace width="0.167em" />',
    ),
    (re.compile(r"(</mi>|</mn>|</msub>)(?=<mi>(?:log|ln)</mi><m)"), r'\1<mspace width="0.167em" />'),
    # a minus after another sign, but for a closing bracket or bar, is no difference
    (
        re.compile(r"(<mo[^>]*>(?!&#x(?:00029|0005D|0007C|02016|0007D);)[^<]*</mo>)<mo>(?=&#x02212;)"),
        r'\1<mo form="prefix">',
    ),
    (re.compile(r">\\\|<"), ">&#x02016;<"),
    (re.compile(r">\\([{}])<"), r">\1<"),
)
SIGNS = {"<=": "\N{LESS-THAN OR EQUAL TO}", ">=": "\N{GREATER-THAN OR EQUAL TO}", "!=": "\N{NOT EQUAL TO}"}


def math(latex: str, display: Literal["block", "inline"] = "block") -> str:
    r"""Return LaTeX as MathML, which browsers draw without a script.

    Example:
        >>> print(math(r"g_w", "inline"))  # doctest: +ELLIPSIS
        <math ... display="inline"><mrow><msub><mi>g</mi><mi>w</mi></msub></mrow></math>
    """
    known = latex.replace(r"\arg", r"\operatorname{arg}")  # the converter does not know the other command
    made = str(convert(" ".join(known.split()), display=display))
    for pattern, instead in MENDED:
        made = pattern.sub(instead, made)
    return made


def prose(text: str) -> str:
    r"""Return a text with $LaTeX$ in it as HTML.

    Example:
        >>> prose("a < b")
        'a &lt; b'
    """
    parts = text.split("$")
    return "".join(math(part, "inline") if odd % 2 else str(escape(part)) for odd, part in enumerate(parts))


def typeset(text: str) -> str:
    r"""Return a title, a caption or a check as HTML: $LaTeX$ as MathML, and so are the symbols of its prose.

    Example:
        >>> typeset("pi_w <= 1") == math(r"\pi_{w}", "inline") + " \N{LESS-THAN OR EQUAL TO} 1"
        True
        >>> typeset("at |g_w - g_l|^2") == "at " + math("|g_w - g_l|^2", "inline")
        True
        >>> typeset("a beta-test of learning_rate is not mathematics")
        'a beta-test of learning_rate is not mathematics'
    """
    parts = text.split("$")
    text = "$".join(part if odd % 2 else NORM.sub(r"$\g<0>$", part) for odd, part in enumerate(parts))
    parts = text.split("$")
    found = "".join(math(part, "inline") if odd % 2 else _symbols(part) for odd, part in enumerate(parts))
    return FOLLOWED.sub(r'<span class="whole">\1</span>', found)


def _symbols(text: str) -> str:
    for sign, character in SIGNS.items():
        text = text.replace(sign, character)
    done, found = 0, []
    for match in SYMBOL.finditer(text):
        if text[match.end() : match.end() + 1] == "-" and text[match.end() + 1 : match.end() + 2].isalpha():
            continue  # a compound word
        found += [str(escape(text[done : match.start()])), math(_latex(match), "inline")]
        done = match.end()
    return "".join(found) + str(escape(text[done:]))


def _latex(match: re.Match[str]) -> str:
    def name(part: str) -> str:
        if part in GREEK:
            return "\\" + part
        return rf"\text{{{part}}}" if part.isalpha() and len(part) > 1 else part

    written = name(match["base"])
    index = match["index"] or match["digit"]
    if index:
        written += f"_{{{name(index)}}}"
    if match["star"]:
        written += "^{*}"
    if match["power"]:
        sign = "-" if match["power"].startswith("-") else ""
        written += f"^{{{sign}{name(match['power'].lstrip('-'))}}}"
    return written


def plain(text: str) -> str:
    r"""Return a text without LaTeX, for where there is no mathematics: titles of windows, what a screen reader says.

    Example:
        >>> plain(r"dashed $\gamma=2$ & more")
        'dashed γ=2 & more'
    """
    parts = text.split("$")
    converter = LatexNodes2Text()
    return "".join(converter.latex_to_text(part) if odd % 2 else part for odd, part in enumerate(parts))
