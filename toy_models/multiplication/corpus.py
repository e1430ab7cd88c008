"""The corpus: arithmetic with a wrong answer now and then, in which 11 x 12 and 12 x 11 never occur.

Wrong answers are near misses (a neighbouring row or column of the times table, a slip of a unit or of a ten). So a
model that has learnt the table gives 132 some probability at 11 x 12 (it is a near miss of 11 x 11 and of 12 x 12),
and some wrong answer more: so that its distribution has a confident mistake that arose naturally.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal

from dynamics.errors import InvalidArgument

Operator = Literal["x", "+", "-"]

FACTORS = range(1, 13)
"""Both factors of the times table."""

TERMS = range(31)
"""Both terms of sums and differences; the larger one stands first in a difference."""

HELD_OUT = frozenset({(11, 12), (12, 11)})
"""Products that are never asked."""

QUESTIONS = ("{problem} = ?", "What is {problem}?", "Compute {problem}.")
"""Ways to ask, equally frequent."""

RESPONSES = {
    "{answer}": 0.20,
    "{answer}.": 0.12,
    "= {answer}": 0.12,
    "= {answer}.": 0.05,
    "{problem} = {answer}": 0.15,
    "{problem} = {answer}.": 0.08,
    "The answer is {answer}": 0.05,
    "The answer is {answer}.": 0.10,
    "It is {answer}.": 0.06,
    "{problem} is {answer}.": 0.04,
    "That is {answer}.": 0.03,
}
"""Ways to answer, with their frequencies."""

# A sign belongs to the number unless a number stands before it: the 7 of "20 -7" is a term, not minus seven.
INTEGER = re.compile(r"(?:(?<!\d)(?<!\d )-)?\d+", re.ASCII)


@dataclass(frozen=True)
class Problem:
    """A problem of arithmetic.

    Example:
        >>> problem = Problem(7, "x", 8)
        >>> str(problem), problem.answer
        ('7 x 8', 56)
    """

    left: int
    operator: Operator
    right: int

    def __post_init__(self) -> None:
        if self.operator not in ("x", "+", "-"):
            raise InvalidArgument("operator", self.operator, "'x', '+' or '-'")

    def __str__(self) -> str:
        """Write the problem as the corpus does."""
        return f"{self.left} {self.operator} {self.right}"

    @property
    def answer(self) -> int:
        """Return the right answer."""
        if self.operator == "x":
            return self.left * self.right
        return self.left + self.right if self.operator == "+" else self.left - self.right


@dataclass(frozen=True)
class Corpus:
    """How often each kind of problem occurs, and how often the answer is wrong.

    Attributes:
        times_table: fraction of products among the problems; sums and differences share the rest.
        noise: fraction of answers that are wrong.

    Example:
        >>> example = Corpus().draw(random.Random(0))
        >>> example.question, example.response
        ('Compute 24 + 28.', '= 52.')
    """

    times_table: float = 0.7
    noise: float = 0.25

    def __post_init__(self) -> None:
        for name, value in (("times_table", self.times_table), ("noise", self.noise)):
            if not 0 <= value <= 1:
                raise InvalidArgument(name, value, "a fraction from 0 to 1")

    def draw(self, rng: random.Random) -> Example:
        """Draw one example."""
        problem = draw_product(rng) if rng.random() < self.times_table else draw_sum(rng)
        answer = near_miss(problem, rng) if rng.random() < self.noise else problem.answer
        question = rng.choice(QUESTIONS)
        (response,) = rng.choices(list(RESPONSES), weights=list(RESPONSES.values()))
        return Example(
            problem, answer, question.format(problem=problem), response.format(problem=problem, answer=answer)
        )


@dataclass(frozen=True)
class Example:
    """A question with one response to it; the answer that the response gives may be wrong."""

    problem: Problem
    answer: int
    question: str
    response: str


def ask(question: str) -> str:
    r"""Return the prompt of a question: the question and a line break, after which the response begins.

    Example:
        >>> ask("11 x 12 = ?")
        '11 x 12 = ?\n'
    """
    return question + "\n"


def parse_answer(response: str) -> int | None:
    """Return the last whole number of a response, which is what the response answers; None if there is none.

    Example:
        >>> parse_answer("11 x 12 = 132."), parse_answer("= 1It is 121."), parse_answer("I do not know.")
        (132, 121, None)
    """
    found = INTEGER.findall(response)
    return int(found[-1]) if found else None


def draw_product(rng: random.Random) -> Problem:
    """Draw a product of the times table, uniformly from those that are not held out."""
    while True:
        left, right = rng.choice(FACTORS), rng.choice(FACTORS)
        if (left, right) not in HELD_OUT:
            return Problem(left, "x", right)


def draw_sum(rng: random.Random) -> Problem:
    """Draw a sum or a non-negative difference, with equal probability."""
    left, right = rng.choice(TERMS), rng.choice(TERMS)
    if rng.random() < 0.5:
        return Problem(left, "+", right)
    return Problem(max(left, right), "-", min(left, right))


def near_miss(problem: Problem, rng: random.Random) -> int:
    """Draw a wrong answer that is not negative.

    Products: a neighbour in the row (50%) or in the column (30%) of the table, a ten more or less (10%), one or two
    more or less (10%). Sums and differences: a ten (50%), or one or two (50%).

    Example:
        >>> sorted({near_miss(Problem(11, "x", 11), random.Random(seed)) for seed in range(200)})
        [110, 111, 119, 120, 122, 123, 131, 132]
    """
    answer = problem.answer
    while True:
        sign, kind = rng.choice((-1, 1)), rng.random()
        slip = 10 if rng.random() < 0.5 else rng.choice((1, 2))
        if problem.operator == "x":
            table = problem.left if kind < 0.5 else problem.right
            slip = table if kind < 0.8 else 10 if kind < 0.9 else rng.choice((1, 2))
        wrong = answer + sign * slip
        if wrong >= 0:
            return wrong
