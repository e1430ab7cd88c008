"""Table 2: the objectives as printed, against what they are called."""

from __future__ import annotations

import math
import random
from fractions import Fraction as F

import sympy as sp

from dynamics import CPO, DPO, IPO, SelfPO, SimPO, SLiC
from dynamics.losses.as_printed import IPOAsPrinted
from theory.claim import MISPRINT, PROVED, claim
from theory.evidence import ALSO, CORRECTED, Evidence

TOLERANCE = 1e-10


def any_pair(source: random.Random) -> dict[str, float]:
    """Draw log-probabilities of policy and reference, lengths, and hyper-parameters."""
    names = ("chosen", "rejected", "reference_chosen", "reference_rejected")
    logs = {name: -source.uniform(0, 8) for name in names}
    lengths = {"chosen_length": float(source.randint(1, 6)), "rejected_length": float(source.randint(1, 6))}
    return {**logs, **lengths, "beta": source.uniform(0.1, 3), "gamma": source.uniform(0.1, 2)}


def arguments(case: dict[str, float]) -> list[float]:
    """Return the six arguments of a loss."""
    names = ("chosen", "rejected", "reference_chosen", "reference_rejected", "chosen_length", "rejected_length")
    return [case[name] for name in names]


def logistic(margin: float) -> float:
    """Return -log sigma(margin), as a table writes it."""
    return -math.log(1 / (1 + math.exp(-margin)))


@claim(
    "sun2025.table-2-dpo",
    source="Table 2, DPO; Eqs. (5) and (9)",
    says=r"-\log\sigma\Bigl(\beta\log\frac{\pi(y_w)}{\mathrm{ref}(y_w)}-"
    r"\beta\log\frac{\pi(y_l)}{\mathrm{ref}(y_l)}\Bigr)",
    verdict=PROVED,
    proof="Term by term; the index t of one y in the conversion of the table is an l.",
)
def table_2_dpo(evidence: Evidence) -> None:
    """The printed formula against the loss of ``dynamics``, and at pi = ref, where DPO is ln 2."""

    def agrees(case: dict[str, float], sign: int = 1) -> bool:
        gain = case["chosen"] - case["reference_chosen"]
        margin = case["beta"] * gain - sign * case["beta"] * (case["rejected"] - case["reference_rejected"])
        return abs(logistic(margin) - float(DPO(beta=case["beta"])(*arguments(case)))) < TOLERANCE

    evidence.holds(agrees, any_pair, control=lambda case: agrees(case, -1), worlds=100)


@claim(
    "sun2025.table-2-simpo",
    source="Table 2, SimPO; Eq. (6)",
    says=r"-\log\sigma\Bigl(\frac{\beta}{|y_w|}\log\pi(y_w)-\frac{\beta}{|y_l|}\log\pi(y_l)-\gamma\Bigr)"
    r"=-\log\sigma\Bigl(\beta\bigl[\bar\ell_w-\bar\ell_l-\tfrac\gamma\beta\bigr]\Bigr)",
    verdict=PROVED,
    because=r"The second form is that of public SimPO code, whose hyper-parameter is $\gamma/\beta$: see "
    "sun2025.section-4.3-ratio.",
    proof=r"Take $\beta$ out; $\bar\ell$ is the mean log-probability per token.",
)
def table_2_simpo(evidence: Evidence) -> None:
    """Both forms."""

    def agrees(case: dict[str, float], divisor: str = "beta") -> bool:
        means = case["chosen"] / case["chosen_length"], case["rejected"] / case["rejected_length"]
        first = case["beta"] * means[0] - case["beta"] * means[1] - case["gamma"]
        second = case["beta"] * (means[0] - means[1] - case["gamma"] / case[divisor])
        seen = float(SimPO(beta=case["beta"], gamma=case["gamma"])(*arguments(case)))
        return max(abs(logistic(first) - seen), abs(logistic(second) - seen)) < TOLERANCE

    evidence.holds(agrees, any_pair, control=lambda case: agrees(case, "gamma"), worlds=100)


@claim(
    "sun2025.table-2-cpo",
    source="Table 2, CPO",
    says=r"-\log\sigma(\beta\log\pi(y_w)-\beta\log\pi(y_l))-\lambda\log\pi(y_w)",
    verdict=PROVED,
    because=r"The original has $\lambda=1$; the table's weight is a generalisation.",
    proof="Term by term.",
)
def table_2_cpo(evidence: Evidence) -> None:
    """The printed formula against the loss of ``dynamics``, lambda = gamma of the case."""

    def agrees(case: dict[str, float], term: str = "chosen") -> bool:
        margin = case["beta"] * (case["chosen"] - case["rejected"])
        printed = logistic(margin) - case["gamma"] * case[term]
        seen = float(CPO(beta=case["beta"], sft_weight=case["gamma"])(*arguments(case)))
        return abs(printed - seen) < TOLERANCE

    evidence.holds(agrees, any_pair, control=lambda case: agrees(case, "rejected"), worlds=100)


@claim(
    "sun2025.table-2-slic",
    source="Table 2, SLiC, its first term",
    says=r"\max(0,\delta-\log\pi(y_w)+\log\pi(y_l))",
    verdict=PROVED,
    because="The hinge is that of SLiC. Which response the second term regularises is not decided here.",
    proof="Term by term.",
)
def table_2_slic(evidence: Evidence) -> None:
    """The printed hinge against the loss of ``dynamics``, delta = gamma of the case."""

    def agrees(case: dict[str, float], sign: int = 1) -> bool:
        printed = max(0.0, case["gamma"] - sign * (case["chosen"] - case["rejected"]))
        return abs(printed - float(SLiC(delta=case["gamma"])(*arguments(case)))) < TOLERANCE

    evidence.holds(agrees, any_pair, control=lambda case: agrees(case, -1), worlds=100)


@claim(
    "sun2025.table-2-spo",
    source="Table 2, SPO; Eqs. (7) and (17)",
    says=r"\mathrm{SiLU}\Bigl(-\Bigl(\frac{\beta}{|y_w|}\log\pi(y_w)-"
    r"\frac{\beta}{|y_l|}\log\pi(y_l)-\gamma\Bigr)\Bigr)",
    verdict=PROVED,
    because="Eq. (17) has an opening bracket more than it closes; Table 2 is right.",
    proof="Term by term; Eq. (7) is the case of length 1.",
)
def table_2_spo(evidence: Evidence) -> None:
    """The printed formula against the loss of ``dynamics``."""

    def agrees(case: dict[str, float], sign: int = -1) -> bool:
        means = case["chosen"] / case["chosen_length"], case["rejected"] / case["rejected_length"]
        x = sign * (case["beta"] * means[0] - case["beta"] * means[1] - case["gamma"])
        seen = float(SelfPO(beta=case["beta"], gamma=case["gamma"])(*arguments(case)))
        return abs(x / (1 + math.exp(-x)) - seen) < TOLERANCE

    evidence.holds(agrees, any_pair, control=lambda case: agrees(case, 1), worlds=100)


@claim(
    "sun2025.gamma-from-k",
    source="Section 3.2: the margin from another perspective",
    says=r"-\log\sigma(\beta\log\pi_w-\beta\log\pi_l-\gamma)=L(\pi;\tilde\pi)\quad\text{for}\quad\gamma=\beta\log k,\ "
    r"\frac{\tilde\pi(y_w)}{\tilde\pi(y_l)}=k",
    verdict=PROVED,
    because=r"A $\gamma>0$ is therefore an ideal reference that prefers $y_w$ by $e^{\gamma/\beta}$ on every pair.",
    proof=r"$\beta\log\frac{\tilde\pi(y_w)}{\tilde\pi(y_l)}=\beta\log k$.",
)
def gamma_from_k(evidence: Evidence) -> None:
    """SimPO of two single tokens is DPO against the idealized reference."""

    def agrees(case: dict[str, float], power: int = 1) -> bool:
        simpo = SimPO(beta=case["beta"], gamma=case["gamma"])(case["chosen"], case["rejected"])
        ideal = (-1.0, -1.0 - case["gamma"] / case["beta"] ** power)  # log k = gamma / beta
        return abs(float(simpo) - float(DPO(beta=case["beta"])(case["chosen"], case["rejected"], *ideal))) < TOLERANCE

    evidence.holds(agrees, any_pair, control=lambda case: agrees(case, 2), worlds=100)


@claim(
    "sun2025.table-2-ipo",
    source="Table 2, IPO",
    says=r"\Bigl(\log\frac{\pi(y_w)}{\mathrm{ref}(y_w)}-\log\frac{\pi(y_l)}{\mathrm{ref}(y_l)}\Bigr)^2",
    verdict=MISPRINT,
    because=r"Least at log-ratio 0, that is at the reference: it teaches nothing. IPO pulls the log-ratio h to "
    r"$\frac{1}{2\tau}$: $\bigl(h-\frac{1}{2\tau}\bigr)^2$.",
    proof=r"For two responses and a certain preference, $\frac34\pi_w+\frac14\pi_l-\tau\,\mathrm{KL}"
    r"(\pi\|\mathrm{ref})$, the objective that IPO solves, is greatest at $h=\frac{1}{2\tau}$.",
    instead="sun2025.table-5-square",
)
def table_2_ipo(evidence: Evidence) -> None:
    """What the regularised objective of IPO asks for, derived from it, and where the two losses are least."""
    p, r = sp.symbols("p r", positive=True)
    h, tau = sp.symbols("h tau", positive=True)

    def least_at_the_solution(tau_and_form: tuple[F, str]) -> bool:
        strength, form = tau_and_form
        loss = {"printed": IPOAsPrinted, "IPO": IPO}[form](beta=float(strength))
        target = 1 / (2 * float(strength))
        values = [float(loss(-1.0, -1.0 - ratio, -1.0, -1.0)) for ratio in (target - 0.01, target, target + 0.01)]
        return values[1] < min(values[0], values[2])

    def solution(two: int = 2) -> bool:
        # win rates against a uniform opponent: 3/4 for the preferred response (it ties with itself), 1/4 for the other
        divergence = p * sp.log(p / r) + (1 - p) * sp.log((1 - p) / (1 - r))
        slope = sp.diff(p * sp.Rational(3, 4) + (1 - p) / 4 - tau * divergence, p)
        log_ratio = sp.log(p / r) - sp.log((1 - p) / (1 - r))
        return bool(sp.simplify(sp.expand(slope + tau * (log_ratio - 1 / (two * tau)))) == 0)

    def minimiser(goal: sp.Expr) -> bool:
        return bool(sp.solve(sp.diff((h - goal) ** 2, h), h) == [1 / (2 * tau)])

    evidence.fails(least_at_the_solution, at=(F(1, 10), "printed"), control=(F(1, 10), "IPO"))
    evidence.proves(
        solution,
        control=lambda: solution(1),
        by="SymPy: the slope of IPO's objective is tau (1 / (2 tau) - h)",
        role=ALSO,
    )
    evidence.proves(
        lambda: minimiser(1 / (2 * tau)),
        control=lambda: minimiser(1 / tau),
        by="SymPy: the mended square is least there",
        role=CORRECTED,
    )
    evidence.holds(
        lambda case: least_at_the_solution((F(case["beta"]), "IPO")),
        any_pair,
        role=CORRECTED,
        control=lambda case: least_at_the_solution((F(case["beta"]), "printed")),
        worlds=50,
    )
