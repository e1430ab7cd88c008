"""Tables 1 to 3: what their numbers show. No table gives a spread or a number of seeds."""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import PROVED
from theory.ma2025.covariance import claim
from theory.statement import ALL_CASES

Rows = dict[str, tuple[F, ...]]


def _rows(text: str) -> Rows:
    lines = (line.rsplit(": ") for line in text.strip().split("\n"))
    return {name.strip(): tuple(map(F, values.split())) for name, values in lines}


TABLE_1 = _rows("""
    baseline: 4.28 3.98 4.71
    nbDPO (asymm): 4.56 4.46 5.02
    nbDPO (symm): 5.40 5.30 6.15
    nbDPOv2 (asymm): 3.79 4.05 4.04
    nbDPOv2 (symm): 4.45 4.24 4.82
    bDPO: 4.45 4.40 4.68
""")
"""Reward at mask rates 0, 0.2 and 0.4."""

TABLE_2 = _rows("""
    DPO: -0.69 -1.94 68.2
    nbDPO (asymm): -0.21 -2.55 77.7
    nbDPO (symm): -0.81 -1.82 67.6
    nbDPOv2 (asymm): -0.22 -2.49 77.5
    nbDPOv2 (symm): -0.81 -1.82 67.6
    bDPO: 0.78 -4.13 86.2
""")
"""SafeRLHF: help (higher is better), harm (lower is better), safety rate in per cent."""

TABLE_3 = _rows("""
    baseline: 1.38 -2.98 78.3
    bDPO: 1.45 -3.81 81.9
""")
"""Anthropic HH: the same three."""


def better(row: tuple[F, ...], than: tuple[F, ...]) -> bool:
    """Return whether a row of Table 2 or 3 has more help, less harm and a higher safety rate."""
    return row[0] > than[0] and row[1] < than[1] and row[2] > than[2]


@claim("table-1-baseline", "Section 6.1.2, Table 1: most methods beat the baseline, especially symmetric nbDPO", PROVED)
def table_1_baseline(mask: int, share: F = F(1, 2), best: str = "nbDPO (symm)") -> bool:
    r"""\text{at every mask rate more than half of the methods have more reward than DPO, and nbDPO (symm) has the most}

    Because: The asymmetric version 2 loses at mask rates 0 and 0.4 (3.79 against 4.28, 4.04 against 4.71), and bDPO,
    the method that the paper proposes, at 0.4 (4.68 against 4.71). 12 of the 15 entries are above the baseline.
    Proof: Compare.
    """
    rewards = {method: row[mask] for method, row in TABLE_1.items()}
    above = [method for method, reward in rewards.items() if reward > rewards["baseline"]]
    return len(above) > share * (len(rewards) - 1) and max(rewards, key=rewards.__getitem__) == best


table_1_baseline.evaluated([0, 1, 2], meaning=ALL_CASES, wrong={"share": F(3, 5)})
table_1_baseline.evaluated([0, 1, 2], meaning=ALL_CASES, wrong={"best": "bDPO"}, also=True)


@claim("table-1-version-2", "Section 6.1.2, finding 1: version 2 performs worse than version 1", PROVED)
def table_1_version_2(kind: str, first: str = "nbDPO", second: str = "nbDPOv2") -> bool:
    r"""\text{reward of nbDPOv2}<\text{reward of nbDPO for either kind of clipping, at every mask rate}

    Proof: Compare.
    """
    rows = TABLE_1[f"{second} ({kind})"], TABLE_1[f"{first} ({kind})"]
    return all(a < b for a, b in zip(*rows, strict=True))


table_1_version_2.evaluated(["asymm", "symm"], meaning=ALL_CASES, wrong={"first": "nbDPOv2"})


@claim(
    "table-1-mask", "Section 6.1.2, finding 2: a higher mask ratio does not necessarily lead to worse results", PROVED
)
def table_1_mask(method: str, later: int = 2) -> bool:
    r"""\text{reward at mask rate}\ 0.4>\text{reward at}\ 0\ \text{for every method}

    Because: A mask of 0.2 is worse than none for five of the six rows, and one run of each cannot tell.
    Proof: Compare.
    """
    return TABLE_1[method][later] > TABLE_1[method][0]


table_1_mask.evaluated(list(TABLE_1), meaning=ALL_CASES, wrong={"later": 1})


@claim("table-2-advantage", "Section 6.2, Table 2: a significant advantage compared with the baseline", PROVED)
def table_2_advantage(method: str, baseline: str = "DPO") -> bool:
    r"""\text{bDPO and both asymmetric methods have more help, less harm and a higher safety rate than DPO}

    Because: Both symmetric methods are worse than DPO in all three numbers, as the text says of the first.
    Proof: Compare.
    """
    return better(TABLE_2[method], TABLE_2[baseline])


def symmetric_is_worse(method: str) -> bool:
    return better(TABLE_2["DPO"], TABLE_2[method])


table_2_advantage.evaluated(
    ["nbDPO (asymm)", "nbDPOv2 (asymm)", "bDPO"], meaning=ALL_CASES, wrong={"baseline": "nbDPO (asymm)"}
)
SYMMETRIC = ["nbDPO (symm)", "nbDPOv2 (symm)"]
table_2_advantage.evaluated(SYMMETRIC, of=symmetric_is_worse, meaning=ALL_CASES, wrong=table_2_advantage, also=True)


@claim("table-2-identical-rows", "not in the paper; Table 2, both symmetric rows", PROVED)
def table_2_identical_rows(first: str, kind: str = "symm") -> bool:
    r"""\text{nbDPO (symm) and nbDPOv2 (symm) agree in all three numbers}

    Because: Their losses differ in value and gradient (ma2025.eq-27-value), and the asymmetric ones differ in all three
    numbers: one of the two rows is most likely a copy of the other.
    Proof: Compare.
    """
    return TABLE_2[f"{first} ({kind})"] == TABLE_2[f"nbDPOv2 ({kind})"]


table_2_identical_rows.evaluated(["nbDPO"], meaning=ALL_CASES, wrong={"kind": "asymm"})


@claim("table-3-harmlessness", "Section 6.2, Table 3: comparable helpfulness, advantage in harmlessness", PROVED)
def table_3(table: Rows, share: F = F(1, 10)) -> bool:
    r"""\text{bDPO is better in all three, and its gain in help is below a tenth of that in harm}

    Proof: Compare: 0.07 in help, 0.83 in harm, 3.6 per cent in safety rate.
    """
    new, old = table["bDPO"], table["baseline"]
    return better(new, old) and new[0] - old[0] < share * (old[1] - new[1])


table_3.evaluated([TABLE_3], meaning=ALL_CASES, wrong={"share": F(1, 20)})
