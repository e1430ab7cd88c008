"""The bilevel problem, Eq. (7): what its regularizer certifies, when it has solutions, and with LoRA."""

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, EMPTY, PROVED
from theory.evidence import CONDITIONAL, FAILS, VACUOUS
from theory.jian2025.cases import BOTH_RISE, NEAR, Batch
from theory.proof import POLICY, Named, beside, exp, log, same, setting, sums_of
from theory.statement import claims_of
from theory.worlds import World, dot

claim = claims_of("jian2025")


@beside(POLICY, "a second block with any scores h_w = (a, 0), h_l = (b, c); learning rates > 0")
def two_blocks(numbers):
    """Both blocks of parameters, each with a learning rate."""
    a, b, c = (numbers.real(name) for name in "abc")
    rates = {name: numbers.positive(f"rate_{name}") for name in ("theta", "phi")}
    return Named(ww=a * a, wl=a * b, ll=b * b + c * c, **rates)


@beside(POLICY, "any learning rate of theta, none of phi")
def phi_frozen(numbers):
    """A step of theta alone."""
    return Named(ww=0, wl=0, ll=0, theta=numbers.positive("rate"), phi=0)


def log_changes(case):
    """Return the first-order changes of log pi_w and log pi_l in a DPO step on both blocks, per unit of beta x urgency.

    Args:
        case: a world, whose scores are those of theta, and the Gram matrix and learning rates beside it.
    """
    w, block = case
    by_theta, by_phi = (w.A_w, w.A_l), (block.ww - block.wl, block.wl - block.ll)
    return tuple(block.theta * a + block.phi * b for a, b in zip(by_theta, by_phi, strict=True))


@claim("eq-7-certificate", "Eq. (7) with the update (12); Abstract", CONDITIONALLY, "regularizer-region")
def eq_7_certificate(case, longer=1):
    r"""L_{\mathrm{reg}}(\theta,\phi)=0\implies\Delta\pi_w\ge 0

    Assumes: only $\theta$ moves, in a step of plain gradient descent on the DPO loss of one pair; first order
    Because: The norms are those of the $\theta$-block. When $\phi$ moves as well, with AdamW, or when other pairs share
    the step, $\pi_w$ can fall although $L_{\mathrm{reg}}=0$.
    Proof: $\|g_w\|\ge\|g_l\|$ gives $g_w\cdot g_l\le\|g_w\|^2$.
    """
    return case[0].ll > longer * case[0].ww or log_changes(case)[0] >= 0


def of_adam(w):
    """The first step of AdamW without weight decay is along the sign of the gradient."""
    signs = [F((a > b) - (a < b)) for a, b in zip(w.scores[w.chosen], w.scores[w.rejected], strict=True)]
    return w.ll > w.ww or dot(w.scores[w.chosen], signs) >= 0


def of_a_batch(pairs: Batch) -> bool:
    longer = [dot(r, r) > dot(w, w) for w, r in pairs.scores]
    return any(longer) or all(pairs.log_change(i, chosen=True) >= 0 for i in range(len(longer)))


def block(w_score: int, l_score: int) -> Named:
    return Named(ww=w_score**2, wl=w_score * l_score, ll=l_score**2, theta=1, phi=1)


UNIFORM, ONE, HALF = World.log_linear([[2], [0], [-2]], at=[1]), F(1), F(1, 2)
OPPOSED = Batch((((ONE,), (-ONE,)), ((-2 * ONE,), (2 * ONE,))), (HALF, HALF))
eq_7_certificate.false(at=(UNIFORM, block(2, 8)), true_at=(UNIFORM, block(2, 0)))
eq_7_certificate.false(of=of_adam, at=World.log_linear([[3, -4], [0, -5], [-3, 9]], at=[1, 1]), true_at=BOTH_RISE)
eq_7_certificate.false(of=of_a_batch, at=OPPOSED, true_at=Batch(OPPOSED.scores[:1] * 2, (HALF, HALF)))
eq_7_certificate.proved(over=phi_frozen, role=CONDITIONAL, wrong={"longer": NEAR})


@sums_of("q, p > 0")
def divergence(numbers):
    """Any number of responses, all of them in the SFT data with a share q."""
    q, p = numbers.positive("q"), numbers.positive("p")
    return Named(worse=q * log(q / p), here=q, other=p, apart=(q - p) ** 2)


@setting("a response with probability p is not in the data; its logit is lowered by t > 0")
def without_label(numbers):
    """Any policy, and one that takes probability from a response without a label."""
    p, t = numbers.between("p", 0, 1), numbers.positive("t")
    others = 1 / (1 - p + p * exp(-t))  # what every other response is multiplied by
    return Named(worse=-log(others), here=1, other=1, apart=(p - p * exp(-t) * others) ** 2)


@claim("eq-7-lower-level", "Eq. (7), its constraint; Eq. (74)", CONDITIONALLY)
def eq_7_lower_level(s, times=1):
    r"""\arg\min_{\phi'\in\Phi}L_{\mathrm{sft}}(\theta,\phi')\ne\emptyset

    Assumes: a tabular softmax, and every response to a prompt is in $\mathcal D_{\mathrm{sft}}$; or $\Phi$ is compact
    Because: With one response to every prompt and $\Phi=\mathbb R^n$ the loss of a softmax has no least value: as long
    as a response is not in the data, lowering its logit lowers the loss. There is then no $\phi^*(\theta)$, and no pair
    $(\theta,\phi)$ is feasible.
    Proof: With shares $q$ the loss at $\pi=q$ is less than anywhere else, by $\sum q\log(q/\pi)>\sum q-\sum\pi=0$
    unless $\pi=q$. Compact $\Phi$: a continuous function has a least value.
    """
    least = times * s.here - s.other  # s.worse is the loss of another policy less the loss here
    return s.apart >= 0 and s.worse >= least and (s.apart == 0 or s.worse > least)


@setting("two responses with the label of one, phi <= B for its log-odds")
def up_to_an_end(numbers):
    """A loss that falls with phi: on an interval its end is the minimiser."""
    end, less = numbers.real("B"), numbers.at_least("less", 0)
    return Named(worse=log(1 + exp(less - end)) - log(1 + exp(-end)), here=1, other=1, apart=less**2)


eq_7_lower_level.proved(
    over=without_label, of=lambda s: not eq_7_lower_level(s), role=FAILS, wrong=lambda s: s.worse < -F(1, 100)
)
eq_7_lower_level.by_induction(**divergence, role=CONDITIONAL, wrong={"times": NEAR})
eq_7_lower_level.proved(over=up_to_an_end, role=CONDITIONAL, wrong={"times": NEAR}, lemma="compactness")


# --- phi the backbone, theta a LoRA adapter: weights W = phi + psi(theta) ------------------------------------------


def weights_at_optimum(t, best, psi, undone):
    """Return the weights where phi is phi*(theta) = W* - psi(theta)."""
    return [w - undone * f(t) + f(t) for w, f in zip(best, psi, strict=True)]


@claim("eq-7-lora", "Eq. (7) with the choice of Section 3.3: LoRA", EMPTY, "eq-10-lora")
def eq_7_lora(t, w, v, psi, chi, margin, undone=1):
    r"""\min_{\theta}\ L_{\mathrm{dpo}}(\theta,\phi)\quad\text{s.t.}\quad
    \phi\in\arg\min_{\phi'}L_{\mathrm{sft}}(\theta,\phi')

    Assumes: weights $W=\phi+\psi(\theta)$, any number of them, $\Phi=\mathbb R^n$, one minimiser $W^*$ of the SFT loss
    Because: The backbone can undo whatever the adapter does: the constraint fixes $\pi$, and $L_{\mathrm{dpo}}$ is the
    same number for every $\theta$. Only $L_{\mathrm{reg}}$, which sees the parametrisation, still varies.
    Proof: $\phi^*(\theta)=W^*-\psi(\theta)$, weight by weight.
    """
    return same(sp.diff(margin(*weights_at_optimum(t, (w, v), (psi, chi), undone)), t), 0)


def regularizer(theta):
    """Return |theta|^2 L_reg^2 on the feasible set, for logits (1, 3, -1) theta_1 theta_2 and shares 1/2, 1/6, 1/3."""
    adapter, shares = (F(1), F(3), F(-1)), (F(1, 2), F(1, 6), F(1, 3))
    mean = sum(q * a for q, a in zip(shares, adapter, strict=True))
    return max(F(0), abs(adapter[1] - mean) - abs(adapter[0] - mean)) ** 2 * (theta[0] ** 2 + theta[1] ** 2)


ADAPTER = {"t": "real", "psi": "function", "chi": "function"}
eq_7_lora.derived(symbols={**ADAPTER, "margin": "function"}, role=VACUOUS, wrong={"undone": F(9, 10)})
eq_7_lora.false(
    of=lambda pair: regularizer(pair[0]) == regularizer(pair[1]),
    at=((0, 1), (0, 2)),
    true_at=((0, 1), (1, 0)),
    also=True,
)


@claim("eq-10-lora", "not in the paper; Eqs. (10) and (13) for an adapter on a trained backbone", PROVED)
def eq_10_lora(t, w, v, penalty, psi, chi, sft, rest, undone=1):
    r"""W=\phi+\psi(\theta)\implies\nabla_\theta L^*_{\mathrm{sft}}(\theta)=0,\quad
    \nabla_\theta L=\nabla_\theta\bigl(L_{\mathrm{dpo}}+\lambda L_{\mathrm{sft}}+\gamma L_{\mathrm{reg}}\bigr)

    Assumes: $\Phi=\mathbb R^n$ and an exact $\phi^*(\theta)$, any number of weights
    Proof: $L^*_{\mathrm{sft}}(\theta)=\min_WL_{\mathrm{sft}}(W)$ is constant. The method is then DPO with an NLL term
    and a regularizer; the bilevel structure adds nothing.
    """
    here, best = sft(w + psi(t), v + chi(t)), sft(*weights_at_optimum(t, (w, v), (psi, chi), undone))
    return same(sp.diff(rest(t) + penalty * (here - best), t), sp.diff(rest(t) + penalty * here, t))


eq_10_lora.derived(symbols={**ADAPTER, "sft": "function", "rest": "function"}, wrong={"undone": F(9, 10)})
