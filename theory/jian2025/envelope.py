"""The gradient of the lower level's value, Eqs. (10), (11), (74), (75): the envelope theorem and K inner steps."""

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FIRST_ORDER, PROVED
from theory.evidence import CONDITIONAL, FAILS, ORDER
from theory.jian2025.cases import NEAR, after_inner_step
from theory.proof import Named, exp, log, same, setting, sums_of
from theory.statement import claims_of

claim = claims_of("jian2025")


@claim("eq-10", "Eqs. (10), (74), (75), first equality: at any optimal solution", CONDITIONALLY)
def eq_10(c, times=1):
    r"""\nabla_\theta L^*_{\mathrm{sft}}(\theta)=\nabla_\theta
    L_{\mathrm{sft}}(\theta,\phi)\big|_{\phi=\phi^*},\quad\phi^*\in\arg\min_{\phi'}L_{\mathrm{sft}}(\theta,\phi')\
    \text{any}

    Assumes: $L_{\mathrm{sft}}$ is continuously differentiable, $\Phi$ is compact and $\phi^*(\theta)$ is unique
    Because: With log-odds $-(\phi^2-1)^2-\theta\phi$ both $\phi=\pm 1$ are optimal at $\theta=0$, with gradients $\pm
    1/2$. There $L^*_{\mathrm{sft}}\le\log(1+e^{-|\theta|})$ has a kink, and neither is its gradient.
    Proof: From $\theta$ to $\theta'$ the change of $L^*$ lies between the change of $L$ at the fixed $\phi^*(\theta')$
    and that at the fixed $\phi^*(\theta)$. Divided by $h=\theta'-\theta$ both are within some $m$ of $\partial_\theta
    L(\theta,\phi^*(\theta))$ that tends to 0 with $h$, since a unique minimiser in a compact set is continuous in
    $\theta$; so is the change of $L^*$.
    """
    return abs(c.change - c.h * c.partial) <= times * c.h * c.modulus


def slope_in_a_well(t, f, phi, other, times=1):
    """Wells at phi and at another place; at theta = 0 the log-odds are nowhere above their value 0 there."""
    loss = sp.log(1 + sp.exp((f - phi) ** 2 * (f - other) ** 2 + t * f))
    return same(sp.diff(loss, t).subs({t: 0, f: phi}), times * phi / 2)


def below_the_branch(h, curvature=F(1, 8)):
    """L*(h) <= log(1 + e^-h), and its change is at most -h / 2 + h^2 / 8: the branch of phi = -1."""
    return log(1 + exp(-h)) - log(2) <= -h / 2 + curvature * h**2


@setting("L(theta, .) least at phi*, L(theta', .) least at phi*'")
def two_minima(numbers):
    """The loss at two values of theta and at both minimisers."""
    best, best_later = numbers.real("best"), numbers.real("best_later")
    return Named(
        change=best_later - best,
        at_new=best_later - (best + numbers.at_least("excess", 0)),
        at_old=best_later + numbers.at_least("excess_later", 0) - best,
    )


def lies_between(c, times=1):
    return times * c.at_new <= c.change <= c.at_old


@setting("h > 0; the change of L* lies between; slopes of L at both fixed minimisers are within m of the partial one")
def squeezed(numbers):
    """The change of L* between theta and theta' = theta + h; m tends to 0 with h."""
    c = numbers.case_of(two_minima, lies_between, keep="change at_new at_old")
    h, partial = numbers.positive("h"), numbers.real("partial")
    modulus = max(abs(at / h - partial) for at in (c.at_new, c.at_old)) + numbers.at_least("more", 0)
    return Named(h=h, modulus=modulus, partial=partial, change=c.change)


# at phi = 1 the partial derivative is 1/2 at theta = 0, within 1/40 of it up to theta = 1/10; L* falls at least so much
KINK = Named(h=F(1, 10), partial=F(1, 2), modulus=F(1, 40), change=-F(1, 20) + F(1, 800))
ONE_WELL = Named(h=F(1, 10), partial=F(1, 2), modulus=F(1, 40), change=F(1, 20))
ANYWHERE = {"t": "real", "f": "real", "phi": "real", "other": "real"}
eq_10.false(at=KINK, true_at=ONE_WELL)
eq_10.derived(of=slope_in_a_well, symbols=ANYWHERE, role=FAILS, wrong={"times": NEAR})
eq_10.enclosed(F(1, 10), F(1, 10), of=below_the_branch, role=FAILS, wrong={"curvature": F(1, 10)})
eq_10.proved(over=two_minima, of=lies_between, role=CONDITIONAL, wrong={"times": F(9, 10)})
eq_10.proved(
    over=squeezed, role=CONDITIONAL, wrong={"times": F(9, 10)}, lemma="mean value, order of limits, compactness"
)


@sums_of("p > 0; x, y in [0, 1]: the features a and b from their minimum, in units of their ranges")
def features(numbers):
    """Any number of responses."""
    p, x, y = numbers.positive("p"), numbers.within("x", 0, 1), numbers.within("y", 0, 1)
    u, v = x + y, x - y
    return Named(p=p, pu=p * u, puu=p * u * u, pv=p * v, pvv=p * v * v)


def moments(s, room=0):
    """u = x + y lies in [0, 2] and v = x - y in [-1, 1]; and squares have a mean of at least that of the mean."""
    in_range = s.puu + room * s.p <= 2 * s.pu and s.pvv + room * s.p <= s.p
    return s.p > 0 and in_range and s.pu**2 <= s.p * s.puu and s.pv**2 <= s.p * s.pvv


@setting("what moments says of x + y and x - y")
def covariance(numbers):
    """Any number of responses, their covariance through (x + y)^2 - (x - y)^2 = 4 x y."""
    s = numbers.case_of(features["states"], moments, keep="p pu puu pv pvv")
    return (s.puu - s.pvv) / (4 * s.p) - (s.pu**2 - s.pv**2) / (4 * s.p**2)


@claim("eq-10-error", "Eqs. (10) and (75), the approximation; not in the paper: its error", PROVED)
def eq_10_error(cov, share=F(1, 4)):
    r"""\bigl|\nabla_\theta L_{\mathrm{sft}}(\theta,\phi'^{(K)})-\nabla_\theta L^*_{\mathrm{sft}}(\theta)\bigr|\le
    \tfrac14 R_aR_b\,\bigl|\phi'^{(K)}-\phi^*(\theta)\bigr|,\qquad
    \partial_\theta\partial_\phi L_{\mathrm{sft}}=\mathrm{Cov}_\pi(a,b)

    Assumes: logits $a_y\theta+b_y\phi$, any number of responses; $R_a,R_b$ are the ranges of $a$ and $b$ over them
    Proof: Mean value theorem in $\phi$. In units of the ranges $4\,\mathrm{Cov}(x,y)=\mathrm{Var}(x+y)-
    \mathrm{Var}(x-y)$, and a variable of range 2 has a variance of at most 1. In general the constant is the largest
    mixed derivative.
    """
    return abs(cov) <= share


def mixed_derivative(t, u, a, b, Z, times=1):
    """Of log pi = a t + b u - log Z; as Z = sum e^(a t + b u), Z_t / Z is the mean of all a and Z_tu / Z of all a b."""
    z = Z(t, u)
    covariance = z.diff(t, u) / z - times * z.diff(t) * z.diff(u) / z**2
    return same(sp.diff(a * t + b * u - sp.log(z), t, u), -covariance)


OF_Z = dict.fromkeys("tuab", "real") | {"Z": "function"}
eq_10_error.by_induction(of=moments, **features, wrong={"room": F(1, 100)})
eq_10_error.proved(over=covariance, wrong={"share": F(6, 25)}, lemma="mean value")
eq_10_error.derived(
    of=mixed_derivative,
    symbols=OF_Z,
    wrong={"times": NEAR},
    part=r"\partial_\theta\partial_\phi L_{\mathrm{sft}}=\mathrm{Cov}_\pi(a,b)",
)


@claim("eq-10-one-step", "not in the paper; term (b) of Eq. (13) with K = 1, as in Table 2", FIRST_ORDER)
def eq_10_one_step(eta, t, f, g, L, half=F(1, 2)):
    r"""\nabla_\theta L_{\mathrm{sft}}(\theta,\phi)-\nabla_\theta L_{\mathrm{sft}}(\theta,\phi'^{(1)})=
    \eta_{\phi'}\nabla_\theta\tfrac12\|\nabla_\phi L_{\mathrm{sft}}(\theta,\phi)\|^2+O(\eta_{\phi'}^2)

    Assumes: a twice differentiable loss, any number of parameters: it is shown along one of $\theta$ and one of $\phi$,
    over which both sides are sums
    Because: With one inner step term (b) is $\lambda\eta_{\phi'}$ times the gradient of a squared norm: at the rates in
    use (1e-5 and 2e-5) hardly more than nothing, so that the $\theta$-block is DPO with the regularizer.
    Proof: Along $\phi'^{(1)}=\phi-\eta\nabla_\phi L$ the gradient $\nabla_\theta L$ falls at the rate
    $\nabla_\phi\nabla_\theta L\cdot\nabla_\phi L$, the derivatives by $\theta$ and $\phi$ being exchanged.
    """
    step = -eta * L(t, f).diff(f)
    here, moved = L(t, f).diff(t), L(t, g).diff(t).subs(g, f + step)
    return same(sp.diff(here - moved, eta).subs(eta, 0).doit(), sp.diff(half * L(t, f).diff(f) ** 2, t))


def exactly(c):
    """Two responses with log-odds theta + phi = log 2, half of the data each: sigma before and after an inner step."""
    return F(2, 3) - 1 / (1 + exp(c.rate / 6) / 2) == c.rate / 27


eq_10_one_step.derived(
    symbols=dict.fromkeys(("eta", "t", "f", "g"), "real") | {"L": "function"}, role=ORDER, wrong={"half": F(11, 20)}
)
eq_10_one_step.false(of=exactly, at=Named(rate=F(1, 10)), true_at=Named(rate=F(0)))


@claim("eq-11", "Eq. (11) and the text after it: after K iterations the inner solution is approximated", CONDITIONALLY)
def eq_11(s, times=1):
    r"""\|\phi'^{(K)}-\phi^*\|\le(1-\eta_{\phi'}\mu)^K\,\|\phi'^{(0)}-\phi^*\|

    Assumes: $\eta_{\phi'}\le 1/\ell$; on the segment from every iterate to $\phi^*$ the loss is $\ell$-smooth and
    $\mu$-strongly convex
    Because: A rate of $4/\ell$ moves away from $\phi^*$. Curvature between $\phi'^{(0)}$ and $\phi^*$ alone is not
    enough with several parameters, since the path need not follow the segment. At the rates of Table 2, 1e-5 and 2e-5
    with $K=1$, the bound leaves the start where it is.
    Proof: $\phi^{(k+1)}-\phi^*=(1-\eta H_k)(\phi^{(k)}-\phi^*)$, with the mean $H_k$ of the Hessian over the segment.
    In its eigenvectors every component is multiplied by $1-\eta h$ with $\mu\le h\le\ell$.
    """
    return times * s.after <= s.before * s.bound  # squares of the distances, and of (1 - rate mu)^K


def in_an_inner_step(c):
    """Two responses with pi_w = sigma(phi), half of the data each: phi* = 0, l = 1/4, mu the curvature at the start."""
    mu, after = c.odds / (1 + c.odds) ** 2, after_inner_step(c.odds, c.rate)
    return eq_11(Named(before=log(c.odds) ** 2, after=after**2, bound=(1 - c.rate * mu) ** 2))


def steepness(numbers):
    mu = numbers.positive("mu")
    smooth = mu + numbers.at_least("wider", 0)
    return Named(mu=mu, smooth=smooth, rate=numbers.within("rate", 0, 1 / smooth))


@sums_of("mu <= h <= l of the mean Hessian, rate <= 1/l", fixed=steepness)
def eigenvectors(numbers, level):
    """Any number of parameters, the distance from the solution in the eigenvectors of the mean Hessian."""
    square, h = numbers.positive("c") ** 2, numbers.within("h", level.mu, level.smooth)
    return Named(before=square, after=square * (1 - level.rate * h) ** 2)


def one_step(s, times=1):
    return s.before > 0 and s.after <= s.before * (1 - times * s.fixed.rate * s.fixed.mu) ** 2


def of_one_step(numbers):
    """Return what is proved of a step from anywhere, with its own rate and curvature."""
    s = numbers.case_of(eigenvectors["states"], one_step)
    return Named(before=s.before, after=s.after, bound=(1 - s.fixed.rate * s.fixed.mu) ** 2)


@setting(
    "the squared distance at the start and now, the square of the bound so far; one more inner step, scaled to now"
)
def one_more_step(numbers):
    """Any number of steps and one more."""
    so_far = {name: numbers.at_least(f"{name}_so_far", 0) for name in ("before", "after", "bound")}
    return Named(**so_far, step=of_one_step(numbers))


def after_one_more(s):
    return Named(before=s.before, after=s.after * s.step.after / s.step.before, bound=s.bound * s.step.bound)


# features and shares of the data of three responses in two parameters; phi* = 0, and phi'^(0) = (-1, -1)
SHARES, FEATURES = (F(4, 29), F(1, 29), F(24, 29)), ((-2, -1), (1, -2), (-3, 3))


def probabilities(phi):
    weights = [q * exp(a * phi[0] + b * phi[1]) for q, (a, b) in zip(SHARES, FEATURES, strict=True)]
    return [w / (weights[0] + weights[1] + weights[2]) for w in weights]


def curvature_on_the_segment(t, least=F(3, 20), most=5):
    """Both eigenvalues of the Hessian at (-t, -t) lie between the two numbers: by its trace and its determinant."""
    p, q, r = probabilities((-t, -t))
    trace, determinant = 10 * p * q + 17 * p * r + 41 * q * r, 121 * p * q * r
    return determinant > least * (trace - least) and 2 * least < trace < most


def bound_after(c, least=F(3, 20), most=5):
    phi = (-1, -1)
    for _ in range(c.steps):
        excess = [p - q for p, q in zip(probabilities(phi), SHARES, strict=True)]
        phi = tuple(phi[i] - sum(e * row[i] for e, row in zip(excess, FEATURES, strict=True)) / most for i in (0, 1))
    return phi[0] ** 2 + phi[1] ** 2 <= 2 * (1 - least / most) ** (2 * c.steps)


eq_11.false(of=in_an_inner_step, at=Named(odds=F(2), rate=16), true_at=Named(odds=F(2), rate=4))
eq_11.false(of=bound_after, at=Named(steps=20), true_at=Named(steps=1))
eq_11.enclosed(0, 1, of=curvature_on_the_segment, role=FAILS, wrong={"least": F(1, 5)})
eq_11.by_induction(of=one_step, **eigenvectors, role=CONDITIONAL, wrong={"times": NEAR}, lemma="mean value, spectral")
eq_11.by_induction(
    base=setting("one inner step")(of_one_step),
    step=one_more_step,
    after=after_one_more,
    role=CONDITIONAL,
    wrong={"times": NEAR},
)
