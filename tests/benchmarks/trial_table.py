"""Does the audit come true: the table of the documentation, as it comes out.

    python tests/benchmarks/trial_table.py [--pairs 64] [--own-loop]

On the shipped model and on one of another architecture (a small GPT-2 that is trained here for a
moment on the same kind of text), for DPO, DPO + SFT, IPO and SimPO with SGD and with AdamW, at TRL's default learning
rate and at ten times that: a short real training run beside the prediction, by TRL's DPOTrainer where it has the loss
and else by our loop.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dynamics.language_model import LanguageModel, load
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.run import run_audit
from dynamics.language_model.pair_audit.measuring.set_run import run_set
from dynamics.language_model.pair_audit.measuring.trial_run import Trial, run_trials
from dynamics.language_model.pair_audit.reading.data import open_pairs
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.losses import DPO, PreferenceLoss, SimPO, get_loss
from dynamics.losses.batch import SFTPerToken
from dynamics.optimizers import SGD, AdamW, Optimizer

SHIPPED = Path(__file__).parents[2] / "toy_models" / "multiplication" / "weights"
LOSSES: dict[str, PreferenceLoss] = {
    "DPO": DPO(),
    "DPO + SFT": DPO() + 1.0 * SFTPerToken(),
    "IPO": get_loss("ipo_per_token"),
    "SimPO": SimPO(),
}
OPTIMIZERS: dict[str, Optimizer] = {"SGD": SGD(), "AdamW": AdamW(weight_decay=0.0)}
COLUMNS = (
    *("model", "loss", "optimizer", "trained by", "learning rate", "predicted to fall", "fell", "both"),
    *("rank correlation (95 %)", "actual / predicted, median"),
)


def make_pairs(count: int) -> list[dict[str, str]]:
    """Return multiplications in the form that the shipped model knows, each with a wrong answer of several kinds."""
    draw = np.random.default_rng(0)
    made = []
    for number in range(count):
        left, right = (int(n) for n in draw.integers(2, 20, 2))
        true, wrong = left * right, left * right + int(draw.choice([-10, -1, 1, 10]))
        chosen = [f"{left} x {right} = {true}", f"{true}", f"{true}."][number % 3]
        rejected = [f"{left} x {right} = {wrong}", f"{wrong}.", f"It is {wrong}"][(number // 3) % 3]
        made.append({"prompt": f"{left} x {right} = ?\n", "chosen": chosen, "rejected": rejected})
    return made


def gpt2(pairs: list[dict[str, str]]) -> LanguageModel:
    """Return a small GPT-2 after 60 steps of AdamW on the chosen responses, with the tokenizer of the shipped model."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from dynamics.language_model import differentiable_log_probs, tokenize

    tokenizer = load(SHIPPED).tokenizer
    torch.manual_seed(0)
    size = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128}
    model: Any = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=None, **size))
    model.eval()
    sequences = [tokenize(tokenizer, pair["prompt"], pair["chosen"]) for pair in pairs]
    rule = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for step in range(60):
        some = [sequences[(16 * step + n) % len(sequences)] for n in range(16)]
        rule.zero_grad()
        (-differentiable_log_probs(model, some).mean()).backward()
        rule.step()
    return LanguageModel(model, tokenizer)


def trials(
    loaded: LanguageModel, data: Path, loss: PreferenceLoss, optimizer: Optimizer, own_loop: bool
) -> list[Trial]:
    """Audit the data and train."""
    with tempfile.TemporaryDirectory() as folder:
        source, results = open_pairs(data), Results(Path(folder) / "audit.jsonl")
        settings = AuditSettings(loss=loss)
        with results.begin({}):
            audit = Audit(loaded, source, results, settings)
            run_audit(audit)
            pairs = run_set(audit, optimizer)
        return run_trials(audit, pairs, optimizer, own_loop=own_loop)


def line(names: tuple[str, ...], trial: Trial) -> str:
    """Return a line of the table."""
    correlation = "undefined"
    if trial.rank_correlation is not None and trial.interval is not None:
        correlation = f"{trial.rank_correlation:.2f} ({trial.interval[0]:.2f} to {trial.interval[1]:.2f})"
    cells = (*names, trial.trainer, f"{trial.learning_rate:g}", trial.predicted_to_fall, trial.fell, trial.both)
    return "| " + " | ".join(map(str, (*cells, correlation, f"{trial.size:.2g}"))) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--own-loop", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pairs = make_pairs(arguments.pairs)
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pairs.jsonl"
        data.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
        for model, loaded in (("shipped", load(SHIPPED)), ("GPT-2", gpt2(pairs))):
            for loss_name, loss in LOSSES.items():
                for optimizer_name, optimizer in OPTIMIZERS.items():
                    for trial in trials(loaded, data, loss, optimizer, arguments.own_loop):
                        print(line((model, loss_name, optimizer_name), trial), flush=True)


if __name__ == "__main__":
    main()
