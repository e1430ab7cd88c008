"""The gradient of the expected reward and the variance of the reward, for a tabular softmax."""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import FALSE, PROVED
from theory.proof import Named, sums_of
from theory.statement import claims_of
from theory.worlds import Vector

claim = claims_of("razin2025")


@sums_of(
    "0 < p <= m, m the largest probability; any centred reward c = r - V", fixed=lambda numbers: numbers.positive("m")
)
def centred_rewards(numbers, m):
    """Responses with probabilities up to the largest."""
    p, c = numbers.within("p", 0, m), numbers.real("c")
    return Named(gradient=p * p * c * c, variance=p * c * c)


@claim("flat-where-variance-is-small", "not read in full; ours, after its first theorem", PROVED)
def flat_where_variance_is_small(s, times=1):
    r"""\bigl\|\nabla\mathbb{E}_\pi[r]\bigr\|^2=\sum_y\pi_y^2(r_y-V)^2\le\max_y\pi_y\cdot\mathrm{Var}_\pi[r]

    Assumes: tabular softmax; V is the mean reward
    Because: So a reward model that hardly tells the responses of the policy apart gives a small gradient, however
    accurate it is. The natural gradient has the variance itself.
    Proof: The derivative by the logit of y is $\pi_y(r_y-V)$; each term of the sum has $\pi_y\le\max\pi$.
    """
    return s.gradient <= times * s.fixed * s.variance


flat_where_variance_is_small.by_induction(**centred_rewards, wrong={"times": F(9, 10)})


def moments(p: Vector, r: Vector) -> tuple[F, F]:
    """Return the variance of r and the squared length of the gradient of its mean, which has the entries p (r - V)."""
    mean = sum((x * y for x, y in zip(p, r, strict=True)), F(0))
    centred = [y - mean for y in r]
    variance = sum((x * c * c for x, c in zip(p, centred, strict=True)), F(0))
    return variance, sum(((x * c) ** 2 for x, c in zip(p, centred, strict=True)), F(0))


@claim("order-by-variance", "not read in full; ours, after its first theorem", FALSE, "flat-where-variance-is-small")
def order_by_variance(case):
    r"""\mathrm{Var}_\pi[r_1]<\mathrm{Var}_\pi[r_2]\ \Rightarrow\
    \|\nabla\mathbb{E}_\pi[r_1]\|\le\|\nabla\mathbb{E}_\pi[r_2]\|

    Assumes: one tabular policy, two rewards; the plain gradient
    Because: The variance bounds the gradient from above and does not order it: with $\pi=(5,4,1)/10$ the reward
    $(1,0,0)$ has the variance 0.25 and a squared gradient of 0.105, the reward $(0,0,2)$ has 0.36 and 0.0488.
    """
    p, first, second = case
    (less, one), (more, two) = moments(p, first), moments(p, second)
    return not less < more or one <= two


POLICY_ = (F(5, 10), F(4, 10), F(1, 10))
ON_THE_FIRST, ON_THE_LAST = (F(1), F(0), F(0)), (F(0), F(0), F(2))
order_by_variance.false(at=(POLICY_, ON_THE_FIRST, ON_THE_LAST), true_at=(POLICY_, ON_THE_FIRST, (F(2), F(0), F(0))))
