"""Tabular softmax policies, flat or autoregressive: every step of any size in closed form, and no displacement."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from fractions import Fraction as F

import torch
from torch import Tensor

from dynamics.policies import PrefixTree
from theory.claim import PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.jian2025.cases import BOTH_RISE
from theory.worlds import World, tabular

FACTORS = (F(11, 10), F(3), F(1000))  # e^c of the steps, c = learning rate x beta x urgency


@claim(
    "jian2025.tabular-step",
    source="not in the paper; every step in a tabular softmax",
    says=r"\pi_w'=\frac{\pi_we^c}{Z'},\quad\pi_l'=\frac{\pi_le^{-c}}{Z'},\quad\pi_y'=\frac{\pi_y}{Z'},\qquad "
    r"Z'-1=(1-e^{-c})(\pi_we^c-\pi_l),\quad c=\eta\beta\sigma(-z)",
    assumes="tabular softmax, one pair, any step size",
    verdict=PROVED,
    proof=r"$g_w-g_l=e_w-e_l$: the two logits move by $\pm c$.",
)
def closed_form(evidence: Evidence) -> None:
    """The step in exact rationals against its closed form."""

    def stepped(w: World, rejected_power: int = -1) -> bool:
        return all(_closed_form(w, f, rejected_power) == w.after(f).p for f in FACTORS)

    evidence.holds(stepped, tabular, control=lambda w: stepped(w, rejected_power=0))


def _closed_form(w: World, f: F, rejected_power: int) -> tuple[F, ...]:
    p, q = w.p[w.chosen], w.p[w.rejected]
    z = 1 + (1 - 1 / f) * (p * f - q)
    powers = {w.chosen: 1, w.rejected: rejected_power}
    return tuple(w.p[y] * f ** powers.get(y, 0) / z for y in w.responses)


@claim(
    "jian2025.tabular-signs",
    source="not in the paper; Theorem 1 without shared parameters",
    says=r"\Delta_w>0>\Delta_l\ \text{and}\ \Delta\bigl[\log\pi_w-\log\pi_l\bigr]=2c\quad\text{for every step size}",
    assumes="tabular softmax, one pair: no displacement, so that case 1 of Theorem 2 never occurs",
    verdict=PROVED,
    proof=r"$\pi_w'>\pi_w$ iff $e^c>Z'$, that is $(e^c-1)(1-\pi_w)+(1-e^{-c})\pi_l>0$; likewise for $\pi_l$.",
)
def no_displacement(evidence: Evidence) -> None:
    """Signs of exact steps of three sizes; with shared parameters the same statement fails."""

    def apart(w: World, growth: int = 2) -> bool:
        chosen, rejected = w.chosen, w.rejected
        for f in FACTORS:
            p = w.after(f).p
            odds = (p[chosen] / p[rejected]) / (w.p[chosen] / w.p[rejected])
            if not p[chosen] > w.p[chosen] or not p[rejected] < w.p[rejected] or odds != f**growth:
                return False
        return True

    evidence.holds(apart, tabular, control=lambda w: apart(w, growth=1))
    evidence.fails(apart, at=BOTH_RISE, control=World.tabular([F(1, 2), F(1, 3), F(1, 6)]), role=ALSO)


@claim(
    "jian2025.tabular-drives",
    source="not in the paper; Eqs. (2), (3) in a tabular softmax",
    says=r"A_w=1-\pi_w+\pi_l,\quad A_l=-(1+\pi_w-\pi_l),\quad A_y=\pi_l-\pi_w\ \text{for all others}",
    assumes="tabular softmax",
    verdict=PROVED,
    proof=r"$g_y=e_y-\pi$, so $g_y\cdot g_{y'}=[y=y']-\pi_y-\pi_{y'}+\|\pi\|^2$.",
)
def drives(evidence: Evidence) -> None:
    """All three formulas in exact worlds."""

    def formulas(w: World, sign: int = 1) -> bool:
        p, q = w.p[w.chosen], w.p[w.rejected]
        expected = {w.chosen: 1 - p + q, w.rejected: -(1 + p - q)}
        return all(w.drive(y) == expected.get(y, sign * (q - p)) for y in w.responses)

    evidence.holds(formulas, tabular, control=lambda w: formulas(w, sign=-1))


@claim(
    "jian2025.tabular-others",
    source="not in the paper; where the mass goes in a tabular softmax",
    says=r"y\notin\{y_w,y_l\}:\quad\Delta\pi_y>0\iff\pi_l>\pi_we^c,\qquad\frac{\pi_y'}{\pi_y}=\frac1{Z'}\ \text{for "
    r"all of them},"
    r"\qquad\frac{\Delta\pi_{y^*}}{\sum_{y}\Delta\pi_y}=\frac{\pi_{y^*}}{\sum_y\pi_y}",
    assumes="tabular softmax, one pair, any step size; sums over the others",
    verdict=PROVED,
    proof=r"jian2025.tabular-step: $Z'<1$ iff $\pi_we^c<\pi_l$.",
)
def others(evidence: Evidence) -> None:
    """All others move by one factor; the most probable one is special in mass only. They all lose when p_w > p_l."""

    def together(w: World, margin: F = F(1)) -> bool:
        for f in FACTORS:
            p = w.after(f).p
            ratios = {p[y] / w.p[y] for y in w.others}
            gains = w.p[w.rejected] > margin * w.p[w.chosen] * f
            if len(ratios) > 1 or any((ratio > 1) != gains for ratio in ratios):
                return False
            if w.p[w.chosen] > w.p[w.rejected] and not all(ratio < 1 for ratio in ratios):
                return False
        return True

    evidence.holds(together, tabular, control=lambda w: together(w, margin=F(1, 4)))


@dataclass(frozen=True)
class TreeStep:
    """One DPO step of an autoregressive policy with separate logits for every prefix, or tied ones.

    Attributes:
        responses: strings of equal length, the chosen and the rejected one first.
        logits: one for each edge of the tree.
        size: learning rate x beta x urgency.
        tied: whether the step moves all logits of a token together, whatever its prefix: a shared bias.
    """

    responses: tuple[str, ...]
    logits: tuple[float, ...]
    size: float
    tied: bool = False

    def __str__(self) -> str:
        """Return the responses and the kind of step."""
        shared = "one bias for each token, shared by all prefixes" if self.tied else "separate logits for every prefix"
        logits = ", ".join(f"{x:g}" for x in self.logits)
        return f"chosen, rejected, others: {', '.join(self.responses)}; {shared}; logits {logits}; step {self.size:g}"

    @property
    def tree(self) -> PrefixTree:
        """Return the policy."""
        return PrefixTree(self.responses)

    def change(self) -> Tensor:
        """Return the exact change of log pi of every response in the step, along the gradient by autograd."""
        tree = self.tree
        theta = torch.tensor(self.logits, dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            log_p = tree.log_probs(theta)
            (direction,) = torch.autograd.grad(log_p[0] - log_p[1], theta)
        if self.tied:
            tokens = [token for _, token in tree.edges]
            same = torch.tensor([[a == b for b in tokens] for a in tokens], dtype=torch.float64)
            direction = same @ direction
        return tree.log_probs(theta.detach() + self.size * direction) - log_p.detach()


def tree_step(source: random.Random) -> TreeStep:
    """Draw 3 to 7 words of three letters and a step of size up to 25."""
    words = tuple("".join(source.choice("abc") for _ in range(3)) for _ in range(12))
    responses = tuple(dict.fromkeys(words))[: source.randint(3, 7)]
    count = len({word[: i + 1] for word in responses for i in range(3)})
    size = source.choice((0.01, 0.3, 2.0, 25.0))
    return TreeStep(responses, tuple(source.gauss(0, 1) for _ in range(count)), size)


def tree_changes(case: TreeStep, tail_sign: int = 1) -> tuple[float, float]:
    """Return the change of log pi of the chosen and the rejected response in closed form.

    Nothing moves before the words part. Where they part, the node takes a tabular step. Afterwards every token of
    either word takes a step on its own log-probability, up or down.

    Args:
        case: the step.
        tail_sign: 1; -1 for a wrong sign in the nodes after the parting.
    """
    chosen, rejected = case.responses[:2]
    logits = {(*prefix, token): x for (prefix, token), x in zip(case.tree.edges, case.logits, strict=True)}
    parting = next(i for i in range(len(chosen)) if chosen[i] != rejected[i])
    changes = []
    for word, sign in ((chosen, 1), (rejected, -1)):
        total = 0.0
        for i in range(parting, len(word)):
            edges = [edge for edge in logits if edge[:-1] == tuple(word[:i])]
            norm = math.fsum(math.exp(logits[edge]) for edge in edges)
            p = {edge[-1]: math.exp(logits[edge]) / norm for edge in edges}
            if i == parting:
                push = {token: float((token == chosen[i]) - (token == rejected[i])) for token in p}
            else:
                push = {token: tail_sign * sign * ((token == word[i]) - p[token]) for token in p}
            own = push[word[i]]
            total -= math.log(math.fsum(q * math.exp(case.size * (push[token] - own)) for token, q in p.items()))
        changes.append(total)
    return changes[0], changes[1]


@claim(
    "jian2025.prefix-tree",
    source="not in the paper; Theorem 1 for autoregressive policies without shared parameters",
    says=r"\Delta\log\pi_w>0>\Delta\log\pi_l\ \text{for every step size},\qquad "
    r"\Delta\log\pi(y_{<t})=0\ \text{for the shared prefix}",
    assumes="separate next-token logits for every prefix, one pair: displacement needs parameters that are shared",
    verdict=PROVED,
    proof=r"The gradients of the shared prefix cancel. Where the responses part, jian2025.tabular-signs. After it, a "
    r"token "
    r"with probability $p_t$ takes a step on its own log-probability and moves by "
    r"$-\log\bigl(p_t+\sum_{k\ne t}p_ke^{\mp c(1-p_t+p_k)}\bigr)$.",
)
def prefix_tree(evidence: Evidence) -> None:
    """Closed form against autograd (to 1e-9), the signs, the prefix; a bias shared by all prefixes displaces."""

    def apart(case: TreeStep, tail_sign: int = 1) -> bool:
        expected, change = tree_changes(case, tail_sign), case.change()
        agrees = torch.allclose(change[:2], torch.tensor(expected, dtype=change.dtype), rtol=1e-9, atol=1e-12)
        return bool(agrees) and expected[0] > 0 > expected[1]

    def prefix_stays(case: TreeStep, extra: int = 0) -> bool:
        chosen, rejected = case.responses[:2]
        shared = next(i for i in range(3) if chosen[i] != rejected[i]) + extra
        inside = [word[:shared] == chosen[:shared] for word in case.responses]
        before = case.tree.log_probs(torch.tensor(case.logits, dtype=torch.float64))
        after = before + case.change()
        kept = [float(torch.logsumexp(log_p[inside], 0)) for log_p in (before, after)]
        return abs(kept[1] - kept[0]) < 1e-12

    def signs(case: TreeStep) -> bool:
        change = case.change()
        return bool(change[0] > 0 > change[1])

    evidence.holds(apart, tree_step, control=lambda case: apart(case, tail_sign=-1), worlds=80)
    evidence.holds(prefix_stays, tree_step, control=lambda case: prefix_stays(case, extra=1), worlds=80)
    tied, untied = (TreeStep(("bab", "aba", "bbc"), (0.0,) * 8, size=0.3, tied=shared) for shared in (True, False))
    evidence.fails(signs, at=tied, control=untied, role=ALSO)
