"""Batched trajectories against one plain PyTorch loop for each run, in one process on one thread: CPU time.

    python tests/benchmarks/trajectory.py [--repeats 3] [--out out/benchmarks/trajectory.json]

432 DPO runs (6 betas x 3 learning rates x 24 seeds) of a tabular policy with 20 prompts x 20 responses, minibatch 64,
300 steps. The loop gets its minibatches for nothing (they are drawn before the clock starts); the batched program pays
for drawing its own. Both start from the same parameters and see the same draws, and must end at the same policy.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from environment import write_report
from torch.nn.functional import logsigmoid

from dynamics import DPO, Preferences, Tabular, Trajectory, bradley_terry, preference_matrix, simulate

PROMPTS = RESPONSES = 20
BETAS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
LEARNING_RATES = (0.1, 0.3, 1.0)
SEEDS, MINIBATCH, STEPS = 24, 64, 300
RUNS = len(BETAS) * len(LEARNING_RATES) * SEEDS


def batched(start: torch.Tensor, preferences: Preferences) -> Trajectory:
    """Run all runs as one tensor program."""
    return simulate(
        Tabular(RESPONSES, PROMPTS),
        start,
        preferences,
        loss=[DPO(beta) for beta in BETAS],
        learning_rate=LEARNING_RATES,
        seeds=SEEDS,
        steps=STEPS,
        minibatch=MINIBATCH,
        generator=torch.Generator().manual_seed(1),
        record_every=STEPS,
    )


def looped(start: torch.Tensor, draws: list[Preferences]) -> torch.Tensor:
    """Run one run after the other, as a researcher's script does; return the parameters at the end."""
    ends = torch.empty(len(BETAS), len(LEARNING_RATES), SEEDS, PROMPTS * RESPONSES, dtype=torch.float64)
    with torch.no_grad():
        references = torch.log_softmax(start.reshape(SEEDS, PROMPTS, RESPONSES), dim=-1).flatten(1)
    for b, beta in enumerate(BETAS):
        for r, rate in enumerate(LEARNING_RATES):
            for seed in range(SEEDS):
                theta = start[seed].clone().requires_grad_()
                optimizer = torch.optim.SGD([theta], lr=rate)
                reference = references[seed]
                for batch in draws:
                    chosen, rejected = batch.chosen[seed], batch.rejected[seed]
                    optimizer.zero_grad()
                    log_probs = torch.log_softmax(theta.reshape(PROMPTS, RESPONSES), dim=-1).flatten()
                    gain = (log_probs - reference)[chosen] - (log_probs - reference)[rejected]
                    loss = -logsigmoid(beta * gain).mean()
                    loss.backward()
                    optimizer.step()
                ends[b, r, seed] = theta.detach()
    return ends


def main() -> None:
    """Measure, print the table and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2, help="timings of the loop; of the batched, three times that")
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/trajectory.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(SEEDS, PROMPTS * RESPONSES, generator=generator, dtype=torch.float64)
    rewards = torch.randn(PROMPTS, RESPONSES, generator=generator, dtype=torch.float64)
    asked = preference_matrix(bradley_terry(rewards))
    source = torch.Generator().manual_seed(1)
    draws = [asked.sample(MINIBATCH, source, runs=(SEEDS,)) for _ in range(STEPS)]

    runs = batched(start, asked)  # warm-up
    times, loops = [], []
    for _ in range(arguments.repeats):
        for _ in range(3):
            begun = time.process_time()
            runs = batched(start, asked)
            times.append(time.process_time() - begun)
        begun = time.process_time()
        ends = looped(start, draws)
        loops.append(time.process_time() - begun)
    batch, loop = min(times), min(loops)
    difference = float((runs.theta - ends).abs().max())

    print(f"{RUNS} runs, {PROMPTS} x {RESPONSES}, minibatch {MINIBATCH}, {STEPS} steps, one thread")
    each = 1e6 / (RUNS * STEPS)
    print(f"{'plain loop':<12}{loop:8.2f} s   {each * loop:8.1f} us a step and run (least of {len(loops)})")
    print(f"{'batched':<12}{batch:8.2f} s   {each * batch:8.1f} us a step and run (least of {len(times)})")
    print(f"{'ratio':<12}{loop / batch:8.1f}")
    print(f"largest difference of a parameter at the end: {difference:.1e}")
    if not difference < 1e-9:
        raise SystemExit("the two programs do not agree")
    write_report(
        arguments.out,
        {"runs": RUNS, "loop_s": loops, "batched_s": times, "ratio": loop / batch, "largest_difference": difference},
    )


if __name__ == "__main__":
    main()
