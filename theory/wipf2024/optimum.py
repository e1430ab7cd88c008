"""Section 2.2, Eqs. (4) to (6): RLHF's optimum, rewards as log-ratios, and what DPO minimises without constraints."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL, FAILS
from theory.proof import Named, Numbers, exp, log, over_responses, power, same, setting, sums_of
from theory.proof.family import Family
from theory.proof.settings import either
from theory.wipf2024 import background
from theory.wipf2024.claims import claim
from theory.wipf2024.objectives import Pairs, Vector, show


@claim("eq-4", "Eq. (4)", CONDITIONALLY)
def rlhf_optimum(c):
    r"""\arg\min_{\pi}\ell_{\mathrm{RLHF}}(\pi,\pi_{\mathrm{ref}},r,\lambda)=\frac{1}{Z(x)}\,
    \pi_{\mathrm{ref}}(y|x)\exp\Bigl[\frac{1}{\lambda}r(y,x)\Bigr]

    Assumes: $Z(x)<\infty$ (finitely many responses, say) and a policy that is free at every prompt;
    $\pi_{\mathrm{ref}}=0$ is allowed
    Because: With $\pi_{\mathrm{ref}}(y)=2^{-y}$ and $e^{r(y)/\lambda}=2^y$, $y=1,2,\dots$, every term of $Z$ is 1: the
    loss on the first $n$ responses is $-\lambda\ln n$, and there is no minimiser.
    Proof: $\ell_{\mathrm{RLHF}}=\lambda\,\mathrm{KL}(\pi\|\pi_r)-\lambda\ln Z$, and a divergence is positive unless its
    arguments agree.
    """
    return c.printed <= c.other and (c.printed == c.other) == c.same  # the losses at the printed policy and at another


def loss_is_a_divergence(y, share=1):
    """State that the loss is lambda KL(pi, pi_r) - lambda ln Z, for any number of responses."""
    strength, log_z = y.one("lambda").reward, y.one("log Z").reward  # any numbers
    from_optimum = strength * (y.log_ratio + log_z) - y.reward  # lambda (ln pi - ln pi_r)
    loss = y.sum(y.p * (strength * y.log_ratio - y.reward))
    return same(loss, y.sum(y.p * from_optimum) - share * strength * log_z)


@sums_of("p, q > 0")
def two_policies(numbers: Numbers) -> Named:
    """Two policies with any number of responses."""
    p, q = numbers.positive("p"), numbers.positive("q")
    return Named(p=p, q=q, divergence=p * log(p / q), distance=(p - q) ** 2)


def gibbs(s, times=1):
    excess = s.divergence - times * (s.p - s.q)
    return excess >= 0 and s.distance >= 0 and (excess == 0) == (s.distance == 0)


def strength_and_partition(numbers: Numbers) -> Named:
    """Ask for lambda and ln Z."""
    return Named(strength=numbers.positive("lambda_"), ln_z=numbers.real("ln_z"))


@sums_of("p, q > 0; lambda > 0, any ln Z", fixed=strength_and_partition)
def policy_and_optimum(numbers: Numbers, _: Named) -> Named:
    """A policy p and the printed one q, with any number of responses."""
    p, q = numbers.positive("p"), numbers.positive("q")
    return Named(p=p, q=q, divergence=p * log(p / q), distance=(p - q) ** 2)


def least_at_the_printed_policy(s, times=1):
    """Return whether Gibbs' inequality holds, and the statement of the losses where p and q have the same sum."""
    printed, excess = -s.fixed.strength * s.fixed.ln_z, s.divergence - times * (s.p - s.q)
    losses = Named(printed=printed, other=s.fixed.strength * excess + printed, same=s.distance == 0)
    return gibbs(s, times) and rlhf_optimum(losses)


@setting("any loss that were the least, lambda > 0; more than e^(-loss / lambda) responses")
def many_responses(numbers: Numbers) -> Named:
    """The example in which Z is infinite: the first n responses of it, and any candidate for the least loss."""
    strength, least = numbers.positive("lambda_"), numbers.real("least")
    n = exp(-least / strength) + numbers.positive("more")
    return Named(printed=least, other=-strength * log(n), same=False)


def is_undercut(c, margin=0):
    return not rlhf_optimum(c) and c.other < c.printed - margin


def never_settles(n, base=2):
    index = sp.Symbol("y", integer=True, positive=True)
    partition = sp.summation(sp.Rational(1, 2) ** index * sp.sympify(base) ** index, (index, 1, n))
    return same(partition, n) & same(sp.limit(1 / sp.log(n), n, sp.oo), 0)


rlhf_optimum.derived(of=never_settles, role=FAILS, symbols={"n": "positive"}, wrong={"base": F(3, 2)})
rlhf_optimum.proved(over=many_responses, of=is_undercut, role=FAILS, wrong={"margin": F(1, 10)})
rlhf_optimum.derived(
    of=loss_is_a_divergence,
    sums=over_responses(p="probability", log_ratio="any", reward="any"),
    role=CONDITIONAL,
    wrong={"share": F(11, 10)},
)
rlhf_optimum.by_induction(
    **policy_and_optimum, of=least_at_the_printed_policy, role=CONDITIONAL, wrong={"times": F(11, 10)}
)


@claim("eq-5", "Eq. (5)", PROVED)
def reparameterisation(r, reference, z, strength, times=1):
    r"""r(y,x)=\lambda\log\frac{\pi_r(y|x)}{\pi_{\mathrm{ref}}(y|x)}+\lambda\log Z(x)

    Assumes: $\pi_{\mathrm{ref}}(y|x)>0$, as printed
    Proof: The logarithm of Eq. (4), solved for the reward.
    """
    optimum = reference * sp.exp(r / strength) / z
    return same(strength * sp.log(optimum / reference) + times * strength * sp.log(z), r)


reparameterisation.derived(symbols={"r": "real"}, wrong={"times": F(11, 10)})


@claim("eq-6", "Eq. (6)", PROVED)
def partition_cancels(r_w, r_l, ref_w, ref_l, z, strength, share=1):
    r"""\lambda\log\frac{\pi_r(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\lambda\log\frac{\pi_r(y_l)}{\pi_{\mathrm{ref}}(y_l)}
    =r(y_w)-r(y_l)

    Proof: Subtract Eq. (5) at $y_l$ from Eq. (5) at $y_w$; $\lambda\log Z$ is the same at both.
    """
    pi_w, pi_l = ref_w * sp.exp(r_w / strength) / z, ref_l * sp.exp(r_l / strength) / z
    return same(strength * sp.log(pi_w / ref_w) - strength * sp.log(pi_l / ref_l**share), r_w - r_l)


partition_cancels.derived(symbols={"r_w": "real", "r_l": "real"}, wrong={"share": F(11, 10)})


# --- what DPO minimises without constraints ------------------------------------------------------------------------


@claim("dpo-is-rlhf", "Section 3, first sentence", CONDITIONALLY)
def dpo_is_rlhf(c):
    r"""\arg\min_\pi\ell_{\mathrm{DPO}}(\pi,\pi_{\mathrm{ref}},\lambda)
    =\arg\min_\pi\ell_{\mathrm{RLHF}}(\pi,\pi_{\mathrm{ref}},r^*,\lambda)

    Assumes: expected loss under Bradley-Terry labels of the same $r^*$; a policy free on exactly the responses
    compared; pairs that connect them; the same reference and $\lambda$ in both
    Because: If the pairs asked do not connect all responses, DPO says nothing of how much mass each component holds;
    RLHF does.
    Proof: Each pair's loss is least where its margin is $r^*_i-r^*_j$ alone (wipf2024.eq-2, with the margin as reward).
    If the pairs connect all responses, all ratios of probabilities are fixed, and with the sum the policy: it is
    $\pi_r$ of Eq. (4).
    """
    optimum, policy, pairs = c.optimum, c.policy, c.pairs
    least = all(policy[i] * optimum[j] == policy[j] * optimum[i] for i, j in pairs)  # no loss is lower
    return not least or policy == optimum


class Asked(Named):
    """RLHF's optimum, another policy, and the pairs of responses that are compared."""

    optimum: Vector
    policy: Vector
    pairs: Pairs

    def __str__(self) -> str:
        """Return the case in numbers."""
        return f"pi** = {show(self.optimum)}, policy = {show(self.policy)}, pairs {self.pairs}"


def with_policies(pairs: Pairs) -> Family:
    """Return the family of every optimum and every policy on the responses that a tree of pairs connects."""

    @setting("pi(y), pi_r(y) > 0, both sum to 1")
    def policies(numbers: Numbers) -> Asked:
        """Every optimum and every policy."""
        n = len(pairs) + 1
        drawn = [[numbers.positive(f"{name}_{k}") for k in range(n)] for name in ("optimum", "policy")]
        optimum, policy = (tuple(weight / sum(weights) for weight in weights) for weights in drawn)
        return Asked(optimum=optimum, policy=policy, pairs=pairs)

    return policies


connected = either(
    "any policy on connected responses",
    "pi(y), pi_r(y) > 0, both sum to 1",
    {name: with_policies(tree) for name, tree in background.TREES.items()},
)


def without_a_pair(c):
    """Return the statement of all pairs but the first, which do not connect all responses."""
    return dpo_is_rlhf(Asked(optimum=c.optimum, policy=c.policy, pairs=c.pairs[1:]))


def shared_ratio(numbers: Numbers) -> Named:
    """Ask for the ratio of the policy to the optimum, and for one response."""
    return Named(ratio=numbers.positive("ratio"), one=numbers.positive("one"))


@sums_of(
    "pi_r(y) > 0 of every other response, before normalisation; the ratio pi / pi_r is the same", fixed=shared_ratio
)
def others(numbers: Numbers, shared: Named) -> Named:
    """Any number of other responses, each with the ratio of the one it is compared with."""
    optimum = numbers.positive("optimum")
    return Named(optimum=optimum, policy=shared.ratio * optimum)


def equal_at_one(s, times=1):
    """Return whether the statement is true at a response and all others together, without asking for a pair."""
    one = s.fixed.one
    seen = [(a / (a + rest), rest / (a + rest)) for a, rest in ((one, s.optimum), (s.fixed.ratio * one, s.policy))]
    positive = s.optimum > 0 and s.policy == times * s.fixed.ratio * s.optimum
    return positive and dpo_is_rlhf(Asked(optimum=seen[0], policy=seen[1], pairs=()))


FOUR = tuple(F(k, 10) for k in (1, 2, 3, 4))
MOVED = (F(1, 15), F(2, 15), F(12, 35), F(16, 35))  # the ratios of FOUR within {0, 1} and within {2, 3}
dpo_is_rlhf.false(
    at=Asked(optimum=FOUR, policy=MOVED, pairs=((0, 1), (2, 3))),
    true_at=Asked(optimum=FOUR, policy=MOVED, pairs=((0, 1), (1, 2), (2, 3))),
)
dpo_is_rlhf.by_induction(**background.asked, of=background.least_where_all_agree, role=CONDITIONAL, wrong={"least": 5})
dpo_is_rlhf.by_induction(**background.ANY_CHAIN, of=background.ends_agree, role=CONDITIONAL, wrong={"times": F(11, 10)})
dpo_is_rlhf.proved(over=connected, role=CONDITIONAL, wrong=without_a_pair)
dpo_is_rlhf.by_induction(**others, of=equal_at_one, role=CONDITIONAL, wrong={"times": F(11, 10)})


@claim("degenerate-minimisers", "Section 3, second paragraph", PROVED)
def degenerate(c, times=1):
    r"""\inf_\pi\ell_{\mathrm{DPO}}=0\ \text{for every}\ \pi_{\mathrm{ref}},\ \text{approached as}\
    \pi(y_l)/\pi(y_w)\to 0

    Assumes: a finite sample whose labels are deterministic and have no cycle
    Because: An infimum only; it is attained at no policy that is positive everywhere.
    Proof: The loss of a pair is $\ln(1+c\,(\pi_l/\pi_w)^\lambda)$ with $c>0$ from the reference: positive, and it falls
    to 0 with the ratio whatever $c$ is. Without a cycle the responses can be ranked, and a policy proportional to
    $\epsilon^{\text{rank}}$ takes all ratios to 0 with $\epsilon$.
    """
    smaller, larger = (log(1 + c.c * u) for u in (c.smaller, c.larger))
    return times * larger > smaller > 0


@setting("lambda > 0, 0 < u < v")
def two_ratios(numbers: Numbers) -> Named:
    """Every two ratios and every lambda."""
    u, strength = numbers.positive("u"), numbers.positive("lambda_")
    return Named(smaller=power(u, strength), larger=power(u + numbers.positive("more"), strength))


def powers_rise(c, times=1):
    return times * c.larger > c.smaller > 0


@setting("c > 0; u^lambda and v^lambda, of which is known what is proved")
def two_powers(numbers: Numbers) -> Named:
    """Every reference, and powers of every two ratios pi_l / pi_w."""
    powers = numbers.case_of(two_ratios, powers_rise, keep="smaller larger")
    return Named(c=numbers.positive("c"), **vars(powers))


def vanishes(c, step, ranks, strength, rest=0):
    return same(sp.limit(sp.log(1 + rest + c * step ** (ranks * strength)), step, 0, "+"), 0)


degenerate.proved(over=two_ratios, of=powers_rise, wrong={"times": F(9, 10)})
degenerate.proved(over=two_powers, wrong={"times": F(9, 10)})
degenerate.derived(of=vanishes, wrong={"rest": F(1, 10)})
