"""When Proposition 3.1 can not happen: two responses for each prompt, which is the setting of the paper's own proof."""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import PROVED
from theory.proof import Named, Numbers, derivative, exp, log, setting
from theory.proof.settings import either
from theory.wipf2024.backward_forward import backward, forward
from theory.wipf2024.claims import claim


@claim("two-responses", "not in the paper; Appendix C ends where this begins", PROVED)
def two_responses(c, times=1):
    r"""\arg\min_{p\in\prod_x[a_x,b_x]}\ell_{\mathrm{RLHF}}=\arg\min_{p\in\prod_x[a_x,b_x]}\ell_{\mathrm{DPO}},
    \quad p_x=\mathrm{clip}(p^{**}_x,a_x,b_x),\quad\mathrm{logit}\,p^{**}_x=\mathrm{logit}\,\pi_{\mathrm{ref}}(y_1|x)
    +\tfrac1\lambda\bigl(r^*(y_1,x)-r^*(y_2,x)\bigr)

    Assumes: two responses for each prompt, any $\pi_{\mathrm{ref}}$, $r^*$ and $\lambda>0$, expected loss under
    Bradley-Terry labels, and a constraint that is an interval at each prompt
    Because: So Eq. (7) needs a constraint with a hole at some prompt, a constraint that couples prompts, or a third
    response. The setting of Appendix C, two responses, offers the first two only, and the proof exhibits neither.
    Proof: By the logit of $p=\pi(y_1)$:
    $\ell_{\mathrm{RLHF}}'=\lambda p(1-p)(\mathrm{logit}\,p-\mathrm{logit}\,p^{**})$ and
    $\ell_{\mathrm{DPO}}'=\lambda\bigl[\sigma(\lambda(\mathrm{logit}\,p-\mathrm{logit}\,\pi_{\mathrm{ref}}))
    -\sigma(r_1^*-r_2^*)\bigr]$. Both have the sign of $p-p^{**}$: both losses fall strictly up to $p^{**}$ and rise
    strictly beyond, and both are sums over prompts.
    """
    slope = derivative(*OF_A_PAIR[c.loss])(c.logit, c.strength, c.reference, c.first, c.second)
    beyond = c.strength * (c.logit - c.reference) - times * (c.first - c.second)  # lambda (logit p - logit p**)
    return (slope > 0) == (beyond > 0) and (slope < 0) == (beyond < 0)


def sigmoid(t):
    return exp(t) / (1 + exp(t))


def rlhf(logit, strength, reference, first, second):
    """Return RLHF's loss of two responses by the logit of the policy, that of the reference, and both rewards."""
    p, q = sigmoid(logit), sigmoid(reference)
    return p * (strength * log(p / q) - first) + (1 - p) * (strength * log((1 - p) / (1 - q)) - second)


def slope_of_rlhf(logit, strength, reference, first, second):
    return exp(logit) / (1 + exp(logit)) ** 2 * (strength * (logit - reference) - first + second)


def dpo(logit, strength, reference, first, second):
    """Return DPO's expected loss of two responses with labels by these rewards."""
    margin, wins = strength * (logit - reference), sigmoid(first - second)
    return wins * log(1 + exp(-margin)) + (1 - wins) * log(1 + exp(margin))


def slope_of_dpo(logit, strength, reference, first, second):
    return strength * (sigmoid(strength * (logit - reference)) - sigmoid(first - second))


OF_A_PAIR = {"RLHF": (rlhf, slope_of_rlhf), "DPO": (dpo, slope_of_dpo)}


def logits(loss):
    @setting("logits of the policy and of the reference, both rewards, lambda > 0")
    def of_two(numbers: Numbers) -> Named:
        """Two responses: every policy, reward, reference and lambda."""
        real = {name: numbers.real(name) for name in ("logit", "reference", "first", "second")}
        return Named(loss=loss, strength=numbers.positive("lambda_"), **real)

    return of_two


two_responses.proved(
    over=either("either loss of every policy, reward, reference and lambda", "", {n: logits(n) for n in OF_A_PAIR}),
    wrong={"times": F(11, 10)},
    lemma="monotone",
)


# --- which sets can part the two, with one prompt ------------------------------------------------------------------


@claim("every-constraint-set", "not in the paper; when Proposition 3.1 needs no third response", PROVED)
def every_constraint_set(c, times=1):
    r"""\Bigl[\forall S:\ \arg\min_{S}\mathrm{KL}(\pi\|\pi^*)=\arg\min_{S}\mathrm{KL}(\pi^*\|\pi)\Bigr]
    \iff\pi^*(y_1|x)=\tfrac12

    Assumes: one prompt, two responses, $\lambda=1$, uniform reference: the setting of Appendix C
    Proof: At $\pi^*(y_1)=\frac12$ both divergences rank every two policies by $|p-\frac12|$. Otherwise two policies are
    a set on which the minimisers differ; say $\pi^*(y_1)>\frac12$, with log-odds L. One has the odds $y^2$, where $y<1$
    and $2y\le L$: its backward divergence is above $-\log\pi^*(y_1)$, since $-y^2\log y^2+(1+y^2)\log(1+y^2)<2y$. The
    other has p near 1: its backward divergence is below that level, and its forward divergence as large as one likes.
    """
    (b_one, b_other), (f_one, f_other) = ([d(c, pi) for pi in (c.one, c.other)] for d in (backward, forward))
    alike = (b_one < times * b_other) == (f_one < f_other) and (b_other < b_one) == (f_other < f_one)
    return alike == (c.tilt[0] == c.tilt[1])


def two_policies(tilt, rewards, ln_z, policies, *, exchanged=False):
    """Name e^r, r and ln Z of two responses and two policies; ``exchanged``, with the responses in the other order."""
    turn = -1 if exchanged else 1
    one, other = (Named(p=p[::turn], ln=ln[::turn]) for p, ln in policies)
    return Named(tilt=tilt[::turn], rewards=rewards[::turn], ln_z=ln_z, one=one, other=other)


@setting("pi*(y_1) = 1/2; |p - 1/2| of the first policy is no larger than that of the other")
def at_one_half(numbers: Numbers) -> Named:
    """Every two policies."""
    half, shifts = F(1, 2), [numbers.between(name, F(-1, 2), F(1, 2)) for name in ("u", "v")]
    numbers.assume(shifts[0] ** 2 <= shifts[1] ** 2)
    pairs = [(half + shift, half - shift) for shift in shifts]
    ln_z = numbers.real("ln_2")
    return two_policies((F(1), F(1)), (0, 0), ln_z, [(p, (log(p[0]), log(p[1]))) for p in pairs])


def with_logit(t):
    """Return the probabilities of a policy with this logit, and their logarithms."""
    ln_total = log(1 + exp(t))
    return (sigmoid(t), 1 - sigmoid(t)), (t - ln_total, -ln_total)


def elsewhere(*, exchanged):
    @setting(
        "0 < y < 1; log-odds L >= 2 y of pi*; logits 2 log y, and L + (1 + e^L) log(1 + y^2) - 2 e^L log y or more"
    )
    def parted(numbers: Numbers) -> Named:
        """Every target but 1/2, and two policies that are ranked in opposite ways."""
        ln_y = -numbers.positive("minus_ln_y")
        odds_ln = 2 * exp(ln_y) + numbers.at_least("more", 0)
        odds, low = exp(odds_ln), 2 * ln_y
        high = odds_ln + (1 + odds) * log(1 + exp(low)) - odds * low + numbers.at_least("further", 0)
        policies = [with_logit(t) for t in (high, low)]
        return two_policies((odds, F(1)), (odds_ln, 0), numbers.real("ln_z"), policies, exchanged=exchanged)

    return parted


every_constraint_set.proved(
    over=either(
        "every target",
        "",
        {
            "pi* = 1/2": at_one_half,
            "pi* > 1/2": elsewhere(exchanged=False),
            "pi* < 1/2": elsewhere(exchanged=True),
        },
    ),
    wrong={"times": F(11, 10)},
)
