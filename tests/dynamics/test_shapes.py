"""The shapes in the annotations are those of the arrays: every call is checked by jaxtyping and beartype."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CHECKED = """
from jaxtyping import TypeCheckError, install_import_hook
modules = ["dynamics.evaluation", "dynamics.gradient", "dynamics.optimizers", "dynamics.policies", "dynamics.scores"]
modules += ["dynamics.finite.state", "dynamics.finite.trajectory"]
with install_import_hook(modules, "beartype.beartype"):
    import dynamics.gradient, dynamics.finite.state
    import torch
    from dynamics import *
from dynamics import DPO, IPO, SFT, AdamW, gradient_flow, init, pairs, simulate, stable_po, step, update
from tests.dynamics.strategies import KINDS, make_policy

for kind in KINDS:
    policy, theta = make_policy(kind)
    told = pairs([0, 2], [1, 3], shape=policy.shape, weight=[1.0, 0.5])
    many = {"generator": torch.Generator().manual_seed(0), "seeds": 2, "minibatch": 3, "steps": 2}
    losses = [DPO(), DPO(1.0), IPO()]
    runs = simulate(policy, theta, told, loss=losses, learning_rate=[0.1, 0.2], optimizer=AdamW(), **many)
    runs.log_ratio(0, 1)
    stable_po(policy, theta, told, lower=[0], penalty=[0.0, 1.0], gamma=[0.0, 0.5], **many)
    step(policy, theta, preferences=told, loss=DPO() + 0.1 * SFT(), optimizer=AdamW())
    gradient_flow(policy, theta, told, [0.0, 0.1])
    state = init(policy, theta.expand(2, 3, -1), optimizer=AdamW())
    update(state, told.sample(4, many["generator"], runs=(3,)), loss=[DPO(), IPO()])

# what the checker must see: a gradient of another shape, a policy whose log_probs lose the runs, a wrong reference, a
# kernel of fewer pairs, a record without an axis
from dataclasses import replace
from dynamics.losses import pair_log_probs
from dynamics.scores import chosen_slope
from dynamics.finite.state import descend
from dynamics.evaluation import flat_log_probs
from dynamics.gradient import objective_gradient

class Forgetful(Tabular):
    def log_probs(self, theta):
        return super().log_probs(theta)[:1]

told = pairs(0, 1, shape=(3,))
wrong = {
    "gradient": lambda: descend(init(Tabular(3), torch.zeros(2, 3)), torch.zeros(4), 0.1),
    "runs": lambda: flat_log_probs(Forgetful(3), torch.zeros(2, 3, dtype=torch.float64)),
    "reference": lambda: objective_gradient(
        Tabular(3), torch.zeros(2, 3, dtype=torch.float64), told, DPO(), torch.zeros(5, 3, dtype=torch.float64)
    ),
    "kernel": lambda: chosen_slope(DPO(), pair_log_probs([-1.0] * 2, -1.0), *torch.ones(2, 2), torch.ones(1), 1e-12),
    "record": lambda: replace(runs, theta=runs.theta[0]),
}
for name, call in wrong.items():
    try:
        call()
    except TypeCheckError:
        print(name)
"""


def test_every_call_has_the_shapes_of_its_annotations() -> None:
    done = subprocess.run([sys.executable, "-c", CHECKED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["gradient", "runs", "reference", "kernel", "record"]
