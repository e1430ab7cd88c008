"""Table 2: the objectives as printed, against the losses of ``dynamics``, whose code is run on symbols."""

from fractions import Fraction as F

import sympy as sp

from dynamics import CPO, DPO, IPO, SFT, SelfPO, SimPO, SLiC
from dynamics.losses.as_printed import IPOAsPrinted
from theory.claim import CONDITIONALLY, MISPRINT, PROVED
from theory.evidence import CONDITIONAL, CORRECTED
from theory.proof import Named, same, world_of
from theory.proof.losses import loss_in_symbols
from theory.sun2025.axis import claim
from theory.sun2025.silu import silu, softplus

LOGS = tuple(sp.Symbol(name, negative=True) for name in ("log_pi_w", "log_pi_l", "log_ref_w", "log_ref_l"))
PAIR = (*LOGS, *(sp.Symbol(name, positive=True) for name in ("length_w", "length_l")))
W, L, REF_W, REF_L, LENGTH_W, LENGTH_L = PAIR
H = (W - REF_W) - (L - REF_L)


@claim("table-2-sft", "Table 2, SFT; Section 4.1, on SFT", PROVED)
def table_2_sft(weight, sign=-1):
    r"""-\lambda\log\pi(y_w)

    Because: A sum over the tokens of the response, and no function of $\pi(y_l)$: only positive samples, as the text
    says. Public code means over the tokens of a batch.
    Proof: Term by term.
    """
    loss = weight * loss_in_symbols(SFT, PAIR)
    return same(loss, sign * weight * W) & same(sp.diff(loss, L), 0)


table_2_sft.derived(wrong={"sign": F(-11, 10)})


@claim("table-2-dpo", "Table 2, DPO; Eqs. (5) and (9)", PROVED)
def table_2_dpo(beta, sign=-1):
    r"""-\log\sigma\Bigl(\beta\log\frac{\pi(y_w)}{\mathrm{ref}(y_w)}-
    \beta\log\frac{\pi(y_l)}{\mathrm{ref}(y_l)}\Bigr)

    Proof: Term by term; the index t of one y in the conversion of the table is an l.
    """
    return same(loss_in_symbols(DPO, PAIR, beta=beta), softplus(-beta * (W - REF_W) - sign * beta * (L - REF_L)))


table_2_dpo.derived(wrong={"sign": F(-11, 10)})


@claim("table-2-slic", "Table 2, SLiC, its first term", PROVED)
def table_2_slic(delta, sign=1):
    r"""\max(0,\delta-\log\pi(y_w)+\log\pi(y_l))

    Because: The hinge is that of SLiC; for the second term see sun2025.table-2-slic-regulariser.
    Proof: Term by term.
    """
    return same(loss_in_symbols(SLiC, PAIR, delta=delta), sp.Max(0, delta - W + sign * L))


table_2_slic.derived(wrong={"sign": F(11, 10)})


@claim("table-2-slic-regulariser", "Table 2, SLiC, its second term", CONDITIONALLY)
def slic_regulariser(c):
    r"""-\lambda\log\pi(y_w)=-\lambda\log\pi(y_{\mathrm{ref}})

    Assumes: the regularised response $y_{\mathrm{ref}}$ is the chosen one
    Because: SLiC-HF, as others quote it (its text was not at hand), adds the cross-entropy of a target of supervised
    fine-tuning, which need not be a response of the pair. The table has the chosen response instead; beyond the
    hinge, $\log\pi(y_w)-\log\pi(y_l)>\delta$, its row is SFT on it, where SLiC is SFT on the target.
    Proof: The same response has the same probability.
    """
    return -c.weight * c.chosen == -c.weight * c.target


AT = Named(weight=F(1, 10), chosen=F(-2), target=F(-3))
slic_regulariser.false(at=AT, true_at=Named(weight=F(1, 10), chosen=F(-2), target=F(-2)))
slic_regulariser.proved(
    over=world_of("lambda > 0; one response", weight="positive", chosen="negative"),
    of=lambda c, times=1: slic_regulariser(Named(weight=c.weight, chosen=c.chosen, target=times * c.chosen)),
    role=CONDITIONAL,
    wrong={"times": F(11, 10)},
)


@claim("table-2-ipo", "Table 2, IPO", MISPRINT, "table-5-square")
def table_2_ipo(c):
    r"""\Bigl(\log\frac{\pi(y_w)}{\mathrm{ref}(y_w)}-\log\frac{\pi(y_l)}{\mathrm{ref}(y_l)}\Bigr)^2

    Because: Least at log-ratio 0, that is at the reference: it teaches nothing. IPO pulls the log-ratio h to
    $\frac{1}{2\tau}$: $\bigl(h-\frac{1}{2\tau}\bigr)^2$.
    Proof: For two responses and a certain preference, $\frac34\pi_w+\frac14\pi_l-\tau\,\mathrm{KL}(\pi\|\mathrm{ref})$,
    the objective that IPO solves, has the slope $\tau(\frac{1}{2\tau}-h)$ in $\pi_w$: it is greatest at
    $h=\frac{1}{2\tau}$.
    """
    return least_at_the_solution(c, target=0)


def least_at_the_solution(c, target=1):
    """Return whether (h - target / (2 tau))^2 is less at h = 1 / (2 tau) than at any other h."""
    solution = 1 / (2 * c.tau)
    return c.h == solution or (solution - target * solution) ** 2 < (c.h - target * solution) ** 2


def is_the_code(tau, lost=0):
    printed, mended = (loss_in_symbols(loss, PAIR, beta=tau) for loss in (IPOAsPrinted, IPO))
    return same(printed, (H - lost) ** 2) & same(mended, (H - 1 / (2 * tau)) ** 2)


def slope_of_the_objective(p, r, tau, two=2):
    """Win rates against a uniform opponent: 3/4 for the preferred response, which ties with itself, else 1/4."""
    divergence = p * sp.log(p / r) + (1 - p) * sp.log((1 - p) / (1 - r))
    slope = sp.diff(p * sp.Rational(3, 4) + (1 - p) / 4 - tau * divergence, p)
    log_ratio = sp.log(p / r) - sp.log((1 - p) / (1 - r))
    return same(slope, tau * (1 / (two * tau) - log_ratio))


ratios = world_of("tau > 0, any other log-ratio h", tau="positive", h="real")
table_2_ipo.false(at=Named(tau=F(1, 10), h=F(0)), true_at=Named(tau=F(1, 10), h=F(5)))
table_2_ipo.proved(over=ratios, of=least_at_the_solution, role=CORRECTED, wrong={"target": F(9, 10)})
table_2_ipo.derived(of=is_the_code, role=CORRECTED, wrong={"lost": F(1, 10)})
table_2_ipo.derived(of=slope_of_the_objective, also=True, wrong={"two": F(21, 10)})


@claim("table-2-cpo", "Table 2, CPO", PROVED)
def table_2_cpo(beta, weight, sign=-1):
    r"""-\log\sigma(\beta\log\pi(y_w)-\beta\log\pi(y_l))-\lambda\log\pi(y_w)

    Because: The original has $\lambda=1$; the table's weight is a generalisation.
    Proof: Term by term.
    """
    loss = loss_in_symbols(CPO, PAIR, beta=beta, sft_weight=weight, label_smoothing=0)
    return same(loss, softplus(beta * L - beta * W) + sign * weight * W)


table_2_cpo.derived(wrong={"sign": F(-11, 10)})


@claim("table-2-simpo", "Table 2, SimPO; Eq. (6)", PROVED)
def table_2_simpo(beta, gamma, times=1):
    r"""-\log\sigma\Bigl(\frac{\beta}{|y_w|}\log\pi(y_w)-\frac{\beta}{|y_l|}\log\pi(y_l)-\gamma\Bigr)
    =-\log\sigma\Bigl(\beta\bigl[\bar\ell_w-\bar\ell_l-\tfrac\gamma\beta\bigr]\Bigr)

    Because: The second form is that of public SimPO code, whose hyper-parameter is $\gamma/\beta$: see
    sun2025.section-4.3-ratio.
    Proof: Take $\beta$ out; $\bar\ell$ is the mean log-probability per token.
    """
    loss = loss_in_symbols(SimPO, PAIR, beta=beta, gamma=gamma, label_smoothing=0)
    first = beta / LENGTH_W * W - beta / LENGTH_L * L - gamma
    second = beta * (W / LENGTH_W - L / LENGTH_L - times * gamma / beta)
    return same(loss, softplus(-first)) & same(loss, softplus(-second))


table_2_simpo.derived(wrong={"times": F(11, 10)})


@claim("table-2-spo", "Table 2, SPO; Eqs. (7) and (17)", PROVED)
def table_2_spo(beta, gamma, sign=-1):
    r"""\mathrm{SiLU}\Bigl(-\Bigl(\frac{\beta}{|y_w|}\log\pi(y_w)-
    \frac{\beta}{|y_l|}\log\pi(y_l)-\gamma\Bigr)\Bigr)

    Because: In the machine conversion that was read, Eq. (17) closes its square bracket by a round one.
    Proof: Term by term; Eq. (7) is the case of length 1.
    """
    words = {"activation": "silu", "length_normalized": True}
    loss = loss_in_symbols(SelfPO, PAIR, beta=beta, gamma=gamma, **words)
    return same(loss, silu(sign * (beta / LENGTH_W * W - beta / LENGTH_L * L - gamma)))


table_2_spo.derived(wrong={"sign": F(-11, 10)})


@claim("gamma-from-k", "Section 3.2: the margin from another perspective", PROVED)
def gamma_from_k(beta, k, times=1):
    r"""-\log\sigma(\beta\log\pi_w-\beta\log\pi_l-\gamma)=L(\pi;\tilde\pi)\quad\text{for}\quad\gamma=\beta\log k,\
    \frac{\tilde\pi(y_w)}{\tilde\pi(y_l)}=k

    Because: A $\gamma>0$ is therefore an ideal reference that prefers $y_w$ by $e^{\gamma/\beta}$ on every pair.
    Proof: $\beta\log\frac{\tilde\pi(y_w)}{\tilde\pi(y_l)}=\beta\log k$.
    """
    ideal = loss_in_symbols(DPO, (W, L, REF_W, REF_W - sp.log(k), 1, 1), beta=beta)
    margin = times * beta * sp.log(k)
    return same(loss_in_symbols(SimPO, (W, L, 0, 0, 1, 1), beta=beta, gamma=margin, label_smoothing=0), ideal)


gamma_from_k.derived(wrong={"times": F(11, 10)})
