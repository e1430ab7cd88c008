"""Finite policies, in one process on one thread: batched trajectories, and a step in closed form. CPU time.

    python tests/benchmarks/trajectory.py [--repeats 3] [--out out/benchmarks/trajectory.json]

432 DPO runs (6 betas x 3 learning rates x 24 seeds) of a tabular policy with 20 prompts x 20 responses, minibatch 64,
300 steps. The loop gets its minibatches for nothing (they are drawn before the clock starts); the batched program pays
for drawing its own. Both start from the same parameters and see the same draws, and must end at the same policy.

Then one ``step`` of a policy over 20 responses, whose scores have a closed form, against the same step of a policy for
which they come from autograd, as they once did for every policy.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from environment import write_report
from targets import Target, show_targets
from torch.nn.functional import logsigmoid

from dynamics import (
    DPO,
    Preferences,
    StepAccount,
    Tabular,
    Trajectory,
    bradley_terry,
    preference_matrix,
    simulate,
    step,
)

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


class ByAutograd(Tabular):
    """A tabular policy whose derivatives ``dynamics`` takes by autograd, because it has a ``log_probs`` of its own."""

    def log_probs(self, theta: torch.Tensor) -> torch.Tensor:
        """Return log pi, in nats."""
        return torch.log_softmax(theta.unflatten(-1, self.shape), -1)


def time_steps(repeats: int, inner: int = 50) -> dict[str, list[float]]:
    """Return the CPU seconds of a step of both policies, in turn; raise if they disagree."""
    theta = torch.randn(RESPONSES, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def take(policy: Tabular) -> StepAccount:
        return step(policy, theta, chosen=0, rejected=1, loss=DPO(beta=0.1), learning_rate=0.1)

    policies = {"closed form": Tabular(RESPONSES), "autograd": ByAutograd(RESPONSES)}
    one, other = map(take, policies.values())
    if not (one.actual - other.actual).abs().max() < 1e-14:
        raise SystemExit("the two steps do not agree")
    seconds: dict[str, list[float]] = {name: [] for name in policies}
    for _ in range(repeats):
        for name, policy in policies.items():
            begun = time.process_time()
            for _ in range(inner):
                take(policy)
            seconds[name].append((time.process_time() - begun) / inner)
    return seconds


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
    steps = time_steps(5 * arguments.repeats)
    closed, autograd = (min(seconds) for seconds in steps.values())
    print(
        f"a step over {RESPONSES} responses: {1e6 * closed:.0f} us in closed form, {1e6 * autograd:.0f} us by autograd"
    )
    why = "most of the batched time goes into reading and writing memory, which batching does not save"
    targets = [
        Target(f"plain loop / {RUNS} batched runs", loop / batch, ">=", 60.0, why),
        Target("step of a finite policy, closed form / autograd", closed / autograd, "<=", 0.8),
    ]
    report = {"runs": RUNS, "loop_s": loops, "batched_s": times, "ratio": loop / batch, "step_s": steps}
    report |= {"largest_difference": difference, "targets": show_targets(targets)}
    write_report(arguments.out, report)


if __name__ == "__main__":
    main()
