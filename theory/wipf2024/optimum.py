"""Section 2.2, Eqs. (4) to (6): RLHF's optimum, rewards as log-ratios, and what DPO minimises without constraints."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL, FAILS
from theory.proof import Named, Numbers, exp, log, power, same, setting, sums_of
from theory.wipf2024 import background
from theory.wipf2024.background import is_least_where_both_agree
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


def strength_and_partition(numbers: Numbers) -> Named:
    """Ask for lambda and ln Z."""
    return Named(strength=numbers.positive("lambda_"), ln_z=numbers.real("ln_z"))


@sums_of("p, q, lambda > 0; any ln Z and r / lambda; pi_ref = q Z e^(-r / lambda)", fixed=strength_and_partition)
def policy_and_optimum(numbers: Numbers, c: Named) -> Named:
    """A policy p and the printed one q, with any number of responses, and the loss at both."""
    p, q, reward = numbers.positive("p"), numbers.positive("q"), numbers.real("reward")  # r / lambda
    printed, other = (ln_ratio + reward - c.ln_z for ln_ratio in (0, log(p / q)))  # ln q / pi_ref, ln p / pi_ref
    losses = {"printed": q * c.strength * (printed - reward), "other": p * c.strength * (other - reward)}
    return Named(p=p, q=q, distance=(p - q) ** 2, **losses)


def least_at_the_printed_policy(s, times=1):
    """Return the statement of the losses, after a term that is 0 where p and q have the same sum."""
    no_difference = s.fixed.strength * (times - s.fixed.ln_z) * (s.p - s.q)
    losses = Named(printed=s.printed, other=s.other - no_difference, same=s.distance == 0)
    return s.distance >= 0 and rlhf_optimum(losses)


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
    Proof: Each pair's loss is least where its margin is $r^*_i-r^*_j$ alone (as in wipf2024.eq-2, with the margin as
    reward), and there the ratio of the probabilities is that of $\pi_r$ of Eq. (4). Along a walk of pairs through all
    responses all ratios to the first follow, and with the sum the policy: it is $\pi_r$.
    """
    return c.excess >= 0 and (c.excess > 0 or c.policy == c.optimum)


class Asked(Named):
    """RLHF's optimum, another policy, and the pairs that are compared; uniform reference, lambda = 1."""

    optimum: Vector
    policy: Vector
    pairs: Pairs

    @property
    def excess(self):
        """Return DPO's loss above its least value."""
        return background.Comparisons(self.optimum, self.policy, self.pairs).excess

    def __str__(self) -> str:
        """Return the case in numbers."""
        return f"pi** = {show(self.optimum)}, policy = {show(self.policy)}, pairs {self.pairs}"


@setting("what is proved of the odds e^(r_i - r_j) of a label and of the odds e^margin; reference ratio, lambda > 0")
def ratios_of_a_pair(numbers: Numbers) -> Named:
    """A pair that is compared: the ratio of its probabilities by RLHF's optimum and by any policy."""
    odds = numbers.case_of(background.a_pair, is_least_where_both_agree, keep="best other excess")
    reference, exponent = numbers.positive("reference"), 1 / numbers.positive("lambda_")
    optimum, policy = (reference * power(value, exponent) for value in (odds.best, odds.other))
    return Named(best=optimum, other=policy, excess=odds.excess)


def is_all_of_the_optimum(s, times=1):
    """Return whether the statement is true of the first response and all others together, and where the walk ends."""
    positive = all(value > 0 for value in (s.true[1], s.other[1], *s.rest))
    optimum, policy = ((1 / (1 + rest), rest / (1 + rest)) for rest in s.rest)
    ends_agree = s.excess > 0 or s.other[1] == times * s.true[1]
    return positive and ends_agree and dpo_is_rlhf(Named(optimum=optimum, policy=policy, excess=s.excess))


FOUR = tuple(F(k, 10) for k in (1, 2, 3, 4))
MOVED = (F(1, 15), F(2, 15), F(12, 35), F(16, 35))  # the ratios of FOUR within {0, 1} and within {2, 3}
dpo_is_rlhf.false(
    at=Asked(optimum=FOUR, policy=MOVED, pairs=((0, 1), (2, 3))),
    true_at=Asked(optimum=FOUR, policy=MOVED, pairs=((0, 1), (1, 2), (2, 3))),
)
for odds_or_ratios in (background.a_pair, ratios_of_a_pair):
    dpo_is_rlhf.proved(over=odds_or_ratios, of=is_least_where_both_agree, role=CONDITIONAL, wrong={"times": F(11, 10)})
dpo_is_rlhf.by_induction(
    **background.walks(ratios_of_a_pair), of=is_all_of_the_optimum, role=CONDITIONAL, wrong={"times": F(11, 10)}
)


@claim("degenerate-minimisers", "Section 3, second paragraph", PROVED)
def degenerate(s, times=1):
    r"""\inf_\pi\ell_{\mathrm{DPO}}=0\ \text{for every}\ \pi_{\mathrm{ref}},\ \text{approached as}\
    \pi(y_l)/\pi(y_w)\to 0

    Assumes: a finite sample whose labels are deterministic and have no cycle
    Because: An infimum only; it is attained at no policy that is positive everywhere.
    Proof: The loss of a pair is $\ln(1+c\,(\pi_l/\pi_w)^\lambda)$ with $c>0$ from the reference: positive, and below
    any bound M once $\pi_l/\pi_w<(M/c)^{1/\lambda}$, whatever $c$ is. Without a cycle the responses can be ranked, and
    a policy proportional to $\epsilon^{\text{rank}}$, $\epsilon<1$, takes all ratios to $\epsilon$ or less.
    """
    return 0 < s.loss < times * s.bound  # for every bound, with ratios close enough to 0


@setting("c, M, lambda > 0; pi_l / pi_w = epsilon^k, k >= 1, 0 < epsilon < min(1, (M / c)^(1/lambda))")
def ranked_pair(numbers: Numbers) -> Named:
    """Every reference and every bound, and a pair of a policy that is proportional to epsilon^rank."""
    c, bound, strength = (numbers.positive(name) for name in ("c", "M", "lambda_"))
    step = numbers.between("epsilon", 0, power(bound / c, 1 / strength))
    numbers.assume(step < 1)
    return Named(c=c, power=power(power(step, numbers.natural("k", 1)), strength), bound=bound)


def is_small(c, times=1):
    return all(value > 0 for value in vars(c).values()) and c.c * c.power < times * c.bound


@sums_of("what is proved of c (pi_l / pi_w)^lambda and M")
def sample(numbers: Numbers) -> Named:
    """The loss of any number of pairs, and the sum of their bounds."""
    pair = numbers.case_of(ranked_pair, is_small, keep="c power bound")
    return Named(loss=log(1 + pair.c * pair.power), bound=pair.bound)


degenerate.proved(over=ranked_pair, of=is_small, wrong={"times": F(9, 10)})
degenerate.by_induction(**sample, wrong={"times": F(9, 10)})
