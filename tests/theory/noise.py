"""Claims in worlds whose numbers are noise: every finding that reads them must fail, or it would hold of anything.

    python -m tests.theory.noise [keys or globs of claims]

In such a world the inner products of scores, the drives, the first-order changes and the probabilities after a step
have nothing to do with each other. Symbols of their own stand for them in a proof, arbitrary fractions in a search.
What is left of a world is its probabilities. A finding that reads a noisy number and passes in several such worlds
compares a formula with itself, or says nothing of what it seems to be about.
"""

from __future__ import annotations

import argparse
import inspect
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any
from unittest import mock

from theory import statement
from theory.claim import Claim
from theory.evidence import ALSO, Evidence
from theory.ledger import select_claims
from theory.proof import refutation
from theory.proof.log_linear import LogLinear, Stepped
from theory.proof.symbols import Number
from theory.proof.worlds import AnyPolicy, SymbolicWorld, Tabular
from theory.worlds import World

SEEDS = tuple(range(1, 11))  # noise that a frozen counterexample may survive by chance
PAIRS = {"kernel": 2, "drive": 1, "change": 1, "log_change": 1}

ARITHMETIC = {
    "jian2025.corollary-1-equality": "an identity of three numbers",
    "jian2025.remark-2-upper-bound": "a product of positive numbers",
    "jian2025.eq-46": "an inequality between means, times any number that is not negative",
    "jian2025.theorem-2-case-2": "changes that add up to zero, whatever they are",
    "jian2025.figure-1c": "the order of two negative numbers and of their sizes",
}
"""Claims with a finding that is true of any numbers, and what it says of them."""


@dataclass
class Noise:
    """Arbitrary numbers in the place of those of a world, and whether any were asked for.

    Attributes:
        seed: of the numbers.
        read: whether one was asked for since this was last set to False.
    """

    seed: int
    read: bool = False

    def fraction(self, world: World, name: str, *responses: Any) -> Fraction:
        """Return an arbitrary number, the same each time for the same world and responses."""
        self.read = True
        key = (self.seed, world.p, world.features, name, tuple(sorted(map(str, responses))))
        source = random.Random(repr(key))
        return Fraction(source.randint(-30, 30), source.choice((1, 2, 3, 7)))

    def symbol(self, world: SymbolicWorld, name: str, *responses: Any) -> Number:
        """Return a symbol about which nothing is known, the same each time for the same world and responses."""
        self.read = True
        run = world._run
        for y in responses:
            world.index(y)
        word = f"noise_{name}_{'_'.join(sorted(y.letter for y in responses))}_{id_of(world)}"
        known = run.names.get(word)
        return run.real(word) if known is None else Number(run, known)

    def after(self, world: World, factor: Any) -> World:
        """Return a world with the same responses and arbitrary probabilities."""
        self.read = True
        source = random.Random(repr((self.seed, world.p, world.features, str(factor))))
        weights = [Fraction(source.randint(1, 40)) for _ in world.p]
        return replace(world, p=tuple(w / sum(weights) for w in weights))

    def stepped(self, world: SymbolicWorld, factor: Any) -> SymbolicWorld:
        """Return a world in symbols that has nothing to do with another one."""
        self.read = True
        _ = factor
        return Elsewhere(world)


class Elsewhere(SymbolicWorld):
    """A world in symbols of arbitrary probabilities, beside another one with the same responses."""

    __slots__ = ("_before",)

    def __init__(self, before: SymbolicWorld) -> None:
        super().__init__(before._run, before._n)
        self._before = before

    def introduce_other(self) -> None:
        """Nothing is known of it."""

    def probability(self, y: Any) -> Number:
        """Return a share about which nothing else is known."""
        run, word = self._run, f"noise_p_{'wly'[self.index(y)]}_{id_of(self)}"
        if word in run.names:
            return Number(run, run.names[word])
        share = run.real(word)
        run.assume(share > 0, share < 1)
        return share


def id_of(world: SymbolicWorld) -> int:
    """Return how many steps a world in symbols is away from the first one."""
    return 1 + id_of(world._before) if isinstance(world, Elsewhere) else 0


@contextmanager
def noisy(seed: int) -> Iterator[Noise]:
    """Put noise into all worlds."""
    noise = Noise(seed)
    patches = [mock.patch.object(World, "after", lambda world, factor: noise.after(world, factor))]  # noqa: PLW0108 - a method
    for kind in (Tabular, LogLinear, Stepped):
        patches.append(mock.patch.object(kind, "after", lambda world, factor: noise.stepped(world, factor)))  # noqa: PLW0108
    for name in PAIRS:
        patches.append(mock.patch.object(World, name, lambda world, *ys, name=name: noise.fraction(world, name, *ys)))
        for kind in (SymbolicWorld, AnyPolicy, Tabular, Stepped):
            if name in vars(kind) or kind is SymbolicWorld:
                patches.append(
                    mock.patch.object(
                        kind, name, lambda world, *ys, name=name: noise.symbol(world, name, *ys), create=True
                    )
                )
    nothing = mock.patch.object(refutation, "exact_counterexample", return_value=(None, "noise"))
    unprinted = mock.patch.object(statement, "show", return_value="")  # the table of a case prints numbers of its own
    with nothing, unprinted:
        for patch in patches:
            patch.start()
        try:
            yield noise
        finally:
            for patch in reversed(patches):
                patch.stop()


def survivors(claim: Claim, worlds: int = 60) -> list[str]:
    """Return the findings of a claim that read noise and pass all the same, in words.

    Args:
        claim: one whose statement is a function; others have none.
        worlds: cases of a search.
    """
    if not hasattr(claim.evidence, "statement"):
        return []
    checks = inspect.getclosurevars(claim.evidence).nonlocals["checks"]  # type: ignore[arg-type]
    found = []
    for number, check in enumerate(checks):
        passed = []
        for seed in SEEDS:
            with noisy(seed) as noise:
                evidence = Evidence(worlds, seed)
                try:
                    check(evidence)
                except Exception:
                    passed.append("")
                    break
                finding = evidence.findings[0]
                fine = noise.read and finding.passed and finding.control
                passed.append(f"{finding.kind} {finding.of}".strip() if fine else "")
                if not fine:
                    break
        if all(passed):
            found.append(
                f"{claim.key}, line {number + 1}: {passed[0]}, {finding.role}"
                + (" (a further fact)" if finding.role == ALSO else "")
            )
    return found


def main() -> int:
    """Put noise into the claims, print what does not notice, and return 1 if anything does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keys", nargs="*", help="keys or globs of claims; all for none")
    wrong = 0
    claims = select_claims(parser.parse_args().keys)
    for claim in claims:
        for line in survivors(claim):
            reason = ARITHMETIC.get(claim.key, "")
            print(line + (f": {reason}" if reason else ""), flush=True)
            wrong += not reason
    print(f"{len(claims)} claims: {wrong or 'no'} findings that do not notice noise")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
