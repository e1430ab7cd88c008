"""Section 3: what a constraint does to Eq. (5), and in which sense weight decay and early stopping are constraints.

Where two responses are needed for an example, theta is the logit of y_1, the reference is uniform and lambda is 1: then
the loss of RLHF has the slope p (1 - p) (theta - theta*) and that of DPO the slope p - p*.
"""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import PROVED
from theory.proof import Named, Numbers, log, setting, sums_of
from theory.wipf2024.claims import claim


@claim("eq-5-constrained", "Section 3, first paragraph, on Eq. (5)", PROVED)
def eq_5_constrained(c, times=1):
    r"""r(y,x)=\lambda\log\frac{\hat\pi(y|x)}{\pi_{\mathrm{ref}}(y|x)}+C(x)\ \forall y\iff\hat\pi=\pi_r;\qquad
    \hat\pi=\arg\min_{\pi\in S_\pi}\ell_{\mathrm{RLHF}}

    Assumes: $\pi_{\mathrm{ref}}>0$, finitely many responses
    Because: So Eq. (5) holds of no constrained optimum, unless the set contains the unconstrained one; and C is then
    $\lambda\log Z$.
    Proof: Eq. (5) says that $\hat\pi(y)$ is proportional to $\pi_{\mathrm{ref}}(y)e^{r(y)/\lambda}$; it sums to 1.
    """
    proportional = c.policy * c.others == times * (1 - c.policy) * c.weight
    return proportional == (c.policy == c.weight / (c.weight + c.others))


@setting("0 < pi(y) < 1; pi_ref e^(r / lambda) of y, and of all other responses together, > 0")
def any_policy(numbers: Numbers) -> Named:
    """Every policy and every reward, seen from one response."""
    weight, others = numbers.positive("weight"), numbers.positive("others")
    return Named(policy=numbers.between("policy", 0, 1), weight=weight, others=others)


eq_5_constrained.proved(over=any_policy, wrong={"times": F(11, 10)})


@claim("weight-decay", "Introduction; Section 3, second paragraph", PROVED)
def weight_decay(c, least=0):
    r"""\hat\theta=\arg\min_\theta\ell(\theta)+\frac\alpha2\|\theta\|^2\implies
    \hat\theta\in\arg\min_{\theta\in S}\ell(\theta),\qquad S=\{\|\theta\|\le\|\hat\theta\|\}

    Assumes: $\alpha\ge 0$; any loss
    Because: The set is made by the loss: with one $\alpha$, RLHF and DPO have different radii. With two responses,
    where they agree on every interval (wipf2024.two-responses), they differ under the same weight decay.
    Proof: For $\theta\in S$,
    $\ell(\hat\theta)\le\ell(\theta)+\frac\alpha2(\|\theta\|^2-\|\hat\theta\|^2)\le\ell(\theta)$.
    """
    best = c.loss + c.alpha * c.square <= c.other_loss + c.alpha * c.other_square
    return not (best and c.other_square <= c.square + least) or c.loss <= c.other_loss


@setting("alpha >= 0; loss and squared norm of two parameter vectors")
def two_parameters(numbers: Numbers) -> Named:
    """Any loss, at its minimiser with weight decay and elsewhere."""
    squares = {name: numbers.at_least(name, 0) for name in ("square", "other_square", "alpha")}
    return Named(loss=numbers.real("loss"), other_loss=numbers.real("other_loss"), **squares)


def both_at_log_2(share=1):
    """At theta = ln 2, p = 2/3 and p* = 3/4, is the decay that stops DPO too weak, by ``share``, to stop RLHF?"""
    decay = F(3, 4) - F(2, 3)  # alpha theta
    pull = F(2, 9) * (log(F(3)) - log(F(2)))  # p (1 - p) (theta* - theta)
    return pull > share * decay


weight_decay.proved(over=two_parameters, wrong={"least": F(1, 10)})
weight_decay.enclosed(of=both_at_log_2, wrong={"share": F(11, 10)}, also=True)


@claim("early-stopping", "Introduction; Section 3, second paragraph", PROVED)
def early_stopping(sums, least=0):
    r"""\theta(T)=\arg\min_{\theta\in S}\ell(\theta),\qquad S=\{\theta(t):0\le t\le T\},\quad\dot\theta=-\nabla\ell

    Assumes: gradient flow; any differentiable loss, any number of parameters
    Because: The set is the path, which is made by the loss as well: with two responses it is an interval, and after the
    same time that of RLHF is another than that of DPO.
    Proof: $\dot\ell=-\|\nabla\ell\|^2\le 0$: the loss does not rise along the path.
    """
    return -sums.squares <= least


@sums_of("any slope")
def slopes(numbers: Numbers) -> Named:
    """Any number of parameters."""
    slope = numbers.real("slope")
    return Named(squares=slope * slope)


def first_steps(share=1):
    """At theta = 0 and p* = 3/4: is RLHF's speed, ln(3) / 4, above DPO's, 1/4, by ``share``?"""
    return log(F(3)) / 4 > share * F(1, 4)


early_stopping.by_induction(**slopes, wrong={"least": F(-1, 10)}, lemma="monotone")
early_stopping.enclosed(of=first_steps, wrong={"share": F(11, 10)}, also=True)
