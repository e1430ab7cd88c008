"""Footnote 3 of Appendix C: pairs drawn from the reference, in which a response may meet itself."""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import CONDITIONALLY, MISPRINT
from theory.evidence import CONDITIONAL, CORRECTED
from theory.proof import Named, Numbers, log, setting
from theory.wipf2024.claims import claim


def drawn_loss(reference, cost, of_itself):
    """Return the expected cost of two independent draws of y_1 or y_2 from the reference, by those of a pair."""
    both, equal = reference * (1 - reference), reference**2 + (1 - reference) ** 2
    return both * cost + both * cost + equal * of_itself


def draws(reference, wins, policy):
    """Return the two losses of two responses: of different ones, and of two independent draws from the reference.

    A response against itself costs ln 2. Beta is 1; ``wins`` is the probability that y_1 is preferred.
    """
    odds = policy * (1 - reference) / ((1 - policy) * reference)
    differ = wins * log(1 + 1 / odds) + (1 - wins) * log(1 + odds)
    return Named(differ=differ, drawn=drawn_loss(reference, differ, log(F(2))))


@setting("0 < p*, ref(y_1), pi(y_1) < 1; the cost of a pair is any number")
def two_draws(numbers: Numbers) -> Named:
    """Two responses with any reference, and the cost of the pair at two policies."""
    reference = numbers.between("reference", 0, 1)
    first, second, ln2 = numbers.real("first"), numbers.real("second"), numbers.positive("ln2")
    drawn = [drawn_loss(reference, cost, ln2) for cost in (first, second)]
    return Named(reference=reference, first=first, second=second, ln2=ln2, drawn=drawn)


@claim("footnote-3", "footnote 3, used in the second equality of Eq. (22)", MISPRINT)
def footnote_3(pair):
    r"""\ell_{\mathrm{DPO}}^{\text{with}\ y_1=y_2}=\ell_{\mathrm{DPO}}^{y_1\ne y_2}+C

    Assumes: two responses drawn independently from a uniform reference
    Because: Equal draws do not only add a constant, they also take weight from the others: the two losses are related
    by $\frac12\ell+\frac12\ln 2$. The factor is harmless as long as it is the same at every prompt.
    Proof: Two draws differ with probability $2\pi_{\mathrm{ref}}(y_1)\pi_{\mathrm{ref}}(y_2)=\frac12$, and equal ones
    cost $\ln 2$ each.
    """
    one, other = (draws(**vars(case)) for case in pair)
    return abs((one.drawn - other.drawn) - (one.differ - other.differ)) < F(1, 10**20)


def affine(c, share=1):
    both = 2 * c.reference * (1 - c.reference)
    return c.drawn[0] == share * both * c.first + (1 - both) * c.ln2


def half_at_uniform(c, room=0):
    return c.reference - c.reference**2 <= F(1, 4) + room and (
        (2 * c.reference * (1 - c.reference) == F(1, 2)) == (c.reference == F(1, 2) + room)
    )


HALF = F(1, 2)
footnote_3.false(
    at=tuple(Named(reference=HALF, wins=F(3, 4), policy=p) for p in (F(1, 4), HALF)),
    true_at=tuple(Named(reference=HALF, wins=HALF, policy=p) for p in (F(1, 5), F(4, 5))),
)
footnote_3.proved(over=two_draws, of=affine, role=CORRECTED, wrong={"share": F(11, 10)})
footnote_3.proved(over=two_draws, of=half_at_uniform, role=CORRECTED, wrong={"room": F(1, 100)})


# --- with more than one prompt -------------------------------------------------------------------------------------


@setting("change of the loss at two prompts, any; probabilities of the references on y_1")
def shared(numbers: Numbers) -> Named:
    """Two prompts of equal weight that share one policy; the references are equally skewed."""
    reference = numbers.between("reference", 0, 1)
    return Named(changes=(numbers.real("first"), numbers.real("second")), references=(reference, 1 - reference))


@setting("change of the loss, any; probability of the reference on y_1")
def alone(numbers: Numbers) -> Named:
    """One prompt, with any reference."""
    return Named(changes=(numbers.real("change"),), references=(numbers.between("reference", 0, 1),))


def changes(c):
    """Return the change of both losses, without and with equal draws, by that of each prompt; ln 2 does not change."""
    return sum(c.changes), sum(drawn_loss(*pair, 0) for pair in zip(c.references, c.changes, strict=True))


@claim("footnote-3-minimiser", "footnote 3, for any reference", CONDITIONALLY)
def footnote_3_minimiser(c, least=0):
    r"""\arg\min_{\pi\in S}\ell_{\mathrm{DPO}}^{\text{with}\ y_1=y_2}=\arg\min_{\pi\in
    S}\ell_{\mathrm{DPO}}^{y_1\ne y_2}

    Assumes: a reference equally skewed at all prompts (the uniform one is), or a constraint that does not couple
    prompts
    Because: Two draws differ with probability $2\pi_{\mathrm{ref}}(y_1)\pi_{\mathrm{ref}}(y_2)$. Where the reference
    differs between prompts this weights them, and a policy shared by the prompts goes elsewhere.
    Proof: With one factor for all prompts both losses order any two policies alike; without coupling each prompt has
    a factor of its own, and its own minimiser.
    """
    plain, drawn = changes(c)  # from any policy to any other
    return (plain > 0) == (drawn > least) and (plain < 0) == (drawn < least)


def at_even(p_uniform, p_skewed, skew):
    """Return the two slopes at pi(y_1) = 1/2 of a prompt with a uniform and one with a skewed reference, beta = 1."""
    odds = [(1 - r) / r for r in (HALF, skew)]
    found = [2 * (o / (1 + o) - wins) * 2 for o, wins in zip(odds, (p_uniform, p_skewed), strict=True)]
    return Named(changes=tuple(found), references=(HALF, skew))


footnote_3_minimiser.false(at=at_even(F(1, 5), HALF, F(9, 10)), true_at=at_even(F(1, 5), F(1, 5), HALF))
footnote_3_minimiser.proved(over=shared, role=CONDITIONAL, wrong={"least": F(1, 10)})
footnote_3_minimiser.proved(over=alone, role=CONDITIONAL, wrong={"least": F(1, 10)})
