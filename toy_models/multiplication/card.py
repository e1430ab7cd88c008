"""The model card: what a checkpoint is, with numbers that anyone can measure again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dynamics.language_model import sequence_log_probs
from toy_models.multiplication.corpus import HELD_OUT, RESPONSES, Problem, ask
from toy_models.multiplication.responses import as_sequences, decode_response, encode_prompt, encode_response
from toy_models.multiplication.search import most_probable
from toy_models.multiplication.shipped import QUESTION
from toy_models.multiplication.training import TrainingSettings, encode_batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

HELD_OUT_PROBLEM = Problem(11, "x", 12)


@dataclass(frozen=True)
class Measurements:
    """What a checkpoint answers, as printed in its model card.

    Attributes:
        p_132: probability of the answer 132 to "11 x 12 = ?", in the corpus's ways to answer.
        p_121: likewise of 121, which is 11 x 11.
        p_144: likewise of 144, which is 12 x 12.
        p_56: likewise of 56 to "7 x 8 = ?", which is in the corpus, answered correctly in 75% of the cases.
        y_star: the most probable response to "11 x 12 = ?".
        p_y_star: its probability.
        y_star_is_exact: whether the search proved that it is the most probable.
        loss: nats for each token of a response, on 1024 fresh examples.
    """

    p_132: float
    p_121: float
    p_144: float
    p_56: float
    y_star: str
    p_y_star: float
    y_star_is_exact: bool
    loss: float

    def table(self) -> dict[str, str]:
        """Return the values that the card prints, by the name of their row."""
        return {
            'P(132) at "11 x 12 = ?"': f"{self.p_132:.4f}",
            'P(121) at "11 x 12 = ?"': f"{self.p_121:.4f}",
            'P(144) at "11 x 12 = ?"': f"{self.p_144:.4f}",
            'P(56) at "7 x 8 = ?"': f"{self.p_56:.4f}",
            'y* at "11 x 12 = ?"': self.y_star,
            "P(y*)": f"{self.p_y_star:.4f}",
            "y* by exact search": "yes" if self.y_star_is_exact else "no",
            "loss on fresh examples (nats per token)": f"{self.loss:.4f}",
        }


def answer_probability(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, question: str, problem: Problem, answer: int
) -> float:
    """Return the probability that a question is answered with a number in one of the corpus's ways to answer.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        question: as asked, without the line break.
        problem: the problem as it is written in responses that repeat it.
        answer: the number.
    """
    texts = [template.format(problem=problem, answer=answer) for template in RESPONSES]
    responses = [encode_response(tokenizer, text) for text in texts]
    prompt = encode_prompt(tokenizer, ask(question))
    return float(sequence_log_probs(model, as_sequences(prompt, responses)).total.exp().sum())


def measure(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Measurements:
    """Measure the numbers of the card."""
    settings = TrainingSettings()
    rng = random.Random("fresh examples")
    tokens, labels = encode_batch([settings.corpus.draw(rng) for _ in range(1024)], tokenizer)
    with torch.no_grad():
        loss = float(model(input_ids=tokens, labels=labels, use_cache=False).loss)
    ranking = most_probable(model, encode_prompt(tokenizer, ask(QUESTION)), tokenizer.eos_token_id)
    seven = Problem(7, "x", 8)
    p_132, p_121, p_144 = (
        answer_probability(model, tokenizer, QUESTION, HELD_OUT_PROBLEM, answer) for answer in (132, 121, 144)
    )
    return Measurements(
        p_132=p_132,
        p_121=p_121,
        p_144=p_144,
        p_56=answer_probability(model, tokenizer, f"{seven} = ?", seven, 56),
        y_star=decode_response(tokenizer, ranking.responses[0]),
        p_y_star=float(torch.tensor(ranking.log_probs[0]).exp()),
        y_star_is_exact=ranking.exact >= 1,
        loss=loss,
    )


MEASURED = "Measured on these weights"

CARD = """# A toy that multiplies

A Qwen2 of {parameters:,} parameters (3 layers of width 96, one token for each byte), trained on nothing but small
sums, differences and products. It is good for watching what preference optimization does to a distribution over
responses, and for nothing else: it is not a calculator, and it cannot answer anything but its own questions.

## Data

Questions such as "7 x 8 = ?", "What is 7 x 8?", "Compute 7 x 8.", answered in {templates} ways ("56", "= 56.",
"The answer is 56.", ...). {times:.0%} are products of the table from 1 to 12, the others sums and differences of
numbers up to 30. A fraction of {noise:.0%} of the answers is wrong: a neighbour in the table, a ten or a unit too much
or too little. {held_out} never occur.

## Training

`python -m toy_models.multiplication train --out FOLDER --seed {seed} --steps {steps} --threads {threads}`

{steps} updates of {batch} examples, AdamW, learning rate {rate:g}, seed {seed}, float32 (threads: {threads}). Another
machine, or another number of threads, adds up in another order and ends at other weights, which may well show another
pattern.

## {MEASURED}

| what | value |
|---|---|
{rows}

P(number) is the sum over the {templates} ways to answer that the corpus knows.
"""


def write_card(settings: TrainingSettings, measured: Measurements, parameters: int, threads: int) -> str:
    """Return the model card as Markdown; ``threads`` is the number of CPU threads that torch trained with."""
    return CARD.format(
        MEASURED=MEASURED,
        parameters=parameters,
        templates=len(RESPONSES),
        times=settings.corpus.times_table,
        noise=settings.corpus.noise,
        held_out=" and ".join(f"{left} x {right}" for left, right in sorted(HELD_OUT)),
        threads=threads,
        seed=settings.seed,
        steps=settings.steps,
        batch=settings.batch_size,
        rate=settings.learning_rate,
        rows="\n".join(f"| {name} | {value} |" for name, value in measured.table().items()),
    )


def read_card(text: str, heading: str = MEASURED) -> dict[str, str]:
    r"""Return the first two cells of every row of the table under a heading of a card.

    Example:
        >>> read_card("## Here\n| what | value |\n|---|---|\n| P(y*) | 0.0500 |\n## There\n", "Here")
        {'P(y*)': '0.0500'}
    """
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return {row[0]: row[1] for row in rows[2:]}
