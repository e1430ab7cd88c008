"""Worlds in which a step pushes the two responses of a pair with weights of their own, as most losses but DPO do.

A loss L moves the parameters along d_w g_w - d_l g_l, with d_w = -dL/dlog pi_w and d_l = dL/dlog pi_l. The same class
serves exact worlds and worlds in symbols: drive and change are those of the weighted step,
A_y = d_w <g_y, g_w> - d_l <g_y, g_l>, in units of the learning rate. What does not depend on the loss (p, kernel, dd)
is the same as without weights.
"""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from dynamics.errors import InvalidArgument
from theory.decision.loss_rules import LOSSES, OF_A_BATCH
from theory.decision.view import WHATEVER_THE_STEP, View, unknown_name
from theory.proof.families import POLICY
from theory.proof.family import Family
from theory.proof.settings import Named, Numbers, beside, mapped
from theory.proof.worlds import TWO, SymbolicWorld

SHOWN = ("d_w", "d_l", "ref_w", "ref_l", "beta", "E", "u", "n_w", "n_l", "extra")


class WeightedWorld(View):
    """A world with one pair, whose responses are pushed with the weights d_w and d_l.

    Args:
        world: exact or in symbols.
        d_w: weight of the chosen response.
        d_l: weight of the rejected one.
        numbers: further numbers of the loss, under the names of ``SHOWN``: the reference ``ref_w`` and ``ref_l``,
            ``beta``, ``E`` = e^margin, ``u`` (beta times the urgency), the lengths ``n_w`` and ``n_l``, ``extra``
            (lambda of DPOP, the weight of an NLL).

    Example:
        >>> from theory.worlds import World
        >>> ladder = World.log_linear([[0], [1], [2]], at=[3])
        >>> w = WeightedWorld(ladder, Fraction(1), Fraction(2))
        >>> w.A_w == w.d_w * w.ww - w.d_l * w.wl, w.A_w - w.A_l == w.dd
        (True, False)
    """

    __slots__ = ("_numbers", "d_l", "d_w")

    def __init__(self, world: Any, d_w: Any, d_l: Any, numbers: SimpleNamespace | None = None) -> None:
        super().__init__(world)
        self.d_w, self.d_l, self._numbers = d_w, d_l, numbers or SimpleNamespace()

    def squared_norm(self, y: Any) -> Any:
        """Return |g_y|^2."""
        return self._world.kernel(y, y)

    def drive(self, y: Any) -> Any:
        """Return A_y = d_w <g_y, g_w> - d_l <g_y, g_l>."""
        return self.d_w * self.kernel(y, self.chosen) - self.d_l * self.kernel(y, self.rejected)

    def log_change(self, y: Any) -> Any:
        """Return the drive."""
        return self.drive(y)

    def change(self, y: Any) -> Any:
        """Return p_y A_y."""
        return self.p[y] * self.drive(y)

    @property
    def dd(self) -> Any:
        """Return |g_w - g_l|^2, which is A_w - A_l only where both weights are 1."""
        return self.ww - 2 * self.wl + self.ll

    @property
    def r_w(self) -> Any:
        """Return p_w / ref_w."""
        return self.p_w / self.ref_w

    @property
    def r_l(self) -> Any:
        """Return p_l / ref_l."""
        return self.p_l / self.ref_l

    @property
    def caption(self) -> str:
        """Return the weights and the other numbers of the loss in words, for a table."""
        numbers = {"d_w": self.d_w, "d_l": self.d_l} | vars(self._numbers)
        shown = ", ".join(f"{name} = {value}" for name, value in numbers.items())
        return f"{self._world.kind}, {len(self.p)} responses, {shown}, learning rate = 1"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in SHOWN:
            try:
                return getattr(self._numbers, name)
            except AttributeError:
                own = ", ".join(["d_w", "d_l", *vars(self._numbers)])
                raise InvalidArgument("conjecture", f"this loss has no {name}; it has {own}") from None
        if name not in WHATEVER_THE_STEP:  # such as after(), the step of DPO: not to be mixed with the weighted step
            raise InvalidArgument("conjecture", unknown_name("a world with weights", name, self))
        return getattr(self._world, name)

    def __str__(self) -> str:
        """Return the world as a table, with the drives and changes of the weighted step."""
        from theory.decision.typeset import world_text  # noqa: PLC0415

        return world_text(self)

    def _repr_html_(self) -> str:
        from theory.decision.typeset import world_html  # noqa: PLC0415

        return world_html(self)

    def _repr_latex_(self) -> str:
        from theory.decision.typeset import case_latex, world_latex  # noqa: PLC0415

        numbers = SimpleNamespace(d_w=self.d_w, d_l=self.d_l, **vars(self._numbers))
        return f"{world_latex(self)}\n\n{case_latex(numbers)}"


def with_weights(family: Family = POLICY) -> Family:
    """Return the worlds of a family with any two positive weights d_w and d_l: a step of any loss that has them.

    Example:
        >>> from theory import decide
        >>> decide(lambda w: w.A_w >= w.A_l, with_weights()).verdict
        'refuted'
        >>> decide(lambda w: w.d_w * w.A_w >= w.d_l * w.A_l, with_weights()).verdict
        'proved'
    """
    _check_family(family)

    @beside(family, "d_w, d_l > 0")
    def weights(numbers: Numbers) -> Named:
        """Any two positive weights."""
        return Named(d_w=numbers.positive("d_w"), d_l=numbers.positive("d_l"))

    return mapped(weights, lambda pair: WeightedWorld(pair[0], pair[1].d_w, pair[1].d_l))


def with_loss(loss: str, family: Family = POLICY, *, beta: int | None = None) -> Family:
    """Return the worlds of a family with the weights of a loss, at any reference policy.

    Weights are given up to a common factor u > 0, beta times the urgency, since no sign depends on it; for ``"dpo"``
    with a whole ``beta`` it is exact: u = beta / (1 + E), with E = e^margin = (r_w / r_l)^beta and r = p / ref.

    Args:
        loss: one of ``LOSSES``, which are names of ``dynamics.losses``. Those of ``OF_A_BATCH`` are missing: their
            weights depend on more than the pair.
        family: the policies.
        beta: a whole number, for ``"dpo"`` and the losses that use beta as an exponent (``"kto"``, ...); without it
            any beta, and for ``"dpo"`` any urgency.

    Raises:
        InvalidArgument: an unknown loss, or a family that is not a kind of worlds.

    Example:
        >>> from theory import decide
        >>> rises = lambda w: w.A_w >= w.A_l
        >>> decide(rises, with_loss("dpo")).verdict, decide(rises, with_loss("simpo")).verdict
        ('proved', 'refuted')
    """
    if loss in OF_A_BATCH:
        raise InvalidArgument(
            "loss", loss, "a loss of one pair: this one sorts a batch; with_weights() has any weights"
        )
    if loss not in LOSSES:
        raise InvalidArgument("loss", loss, f"one of {', '.join(LOSSES)}")
    needs, weights, words, where = LOSSES[loss]
    exponents = loss == "dpo" or "beta" in needs
    if beta is not None and (not exponents or type(beta) is not int or not 0 < beta <= LARGEST_BETA):
        with_exponents = ", ".join(repr(name) for name in LOSSES if name == "dpo" or "beta" in LOSSES[name].needs)
        raise InvalidArgument(
            "beta", beta, f"a whole number up to {LARGEST_BETA} with one of the losses {with_exponents}, or None"
        )
    _check_family(family)

    @beside(family, f"ref_w, ref_l > 0 of a policy, u > 0; {words}")
    def numbers_of(numbers: Numbers) -> Named:
        share, mass = numbers.between("ref_share", 0, 1), numbers.between("ref_mass", 0, 1)
        found = Named(share=share, mass=mass)
        if loss != "dpo" or beta is None:
            found.u = numbers.positive("u")
        for name in needs:
            if name == "beta" and beta is not None:
                found.beta = Fraction(beta)
                continue
            at_least_one = name in ("n_w", "n_l")
            vars(found)[name] = numbers.natural(name, 1) if at_least_one else numbers.positive(name)
        return found

    def make(pair: Any) -> WeightedWorld:
        world, found = pair
        mass = 1 if _only_pair(world) else found.mass  # with two responses the reference has no other either
        loss_numbers = SimpleNamespace(ref_w=found.share * mass, ref_l=(1 - found.share) * mass)
        if loss != "dpo" or beta is None:
            loss_numbers.u = found.u
        else:
            ratio = (world.p_w / loss_numbers.ref_w) / (world.p_l / loss_numbers.ref_l)
            loss_numbers.beta, loss_numbers.E = Fraction(beta), ratio**beta
            loss_numbers.u = beta / (1 + loss_numbers.E)
        for name in needs:
            vars(loss_numbers)[name] = vars(found)[name]
        view = WeightedWorld(world, None, None, loss_numbers)
        d_w, d_l = weights(view)
        return WeightedWorld(world, d_w, d_l, loss_numbers)

    return mapped(numbers_of, make, f"{family.name}, a step of {loss} at any reference{where}")


LARGEST_BETA = 8


def _check_family(family: object) -> None:
    if not isinstance(family, Family):
        raise InvalidArgument("family", family, "a kind of worlds from theory.proof, such as POLICY or TABULAR")


def _only_pair(world: Any) -> bool:
    return bool(world._n == TWO) if isinstance(world, SymbolicWorld) else len(world.p) == 2
