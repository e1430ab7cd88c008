"""The short names of a preference world, the same in fractions and in symbols."""

from __future__ import annotations

from typing import Any


class ShortNames:
    """Letters for the pair and for one other response: w is the chosen one, l the rejected one, y any other.

    ``p_w`` is a probability, ``ww`` and ``wl`` inner products of scores, ``A_w`` a drive g_w . (g_w - g_l), ``D_w`` a
    first-order change p_w A_w in units of learning rate x beta x urgency, ``dd`` is |g_w - g_l|^2. The long names
    (``p``, ``kernel``, ``drive``, ``change``) take any response.

    Example:
        >>> from theory.worlds import World
        >>> w = World.log_linear([[1], [0], [2]], at=[3])
        >>> (w.A_w, w.D_w) == (w.drive(w.chosen), w.change(w.chosen)), w.wl == w.kernel(w.chosen, w.rejected)
        (True, True)
    """

    __slots__ = ()
    p: Any
    chosen: Any
    rejected: Any

    @property
    def y(self) -> Any:
        """Return a response outside the pair; raise ``NoSuchResponse`` if there is none."""
        raise NotImplementedError

    def kernel(self, y: Any, z: Any) -> Any:
        """Return <g_y, g_z>."""
        raise NotImplementedError

    def drive(self, y: Any) -> Any:
        """Return A_y = g_y . (g_w - g_l)."""
        raise NotImplementedError

    def change(self, y: Any) -> Any:
        """Return p_y A_y."""
        raise NotImplementedError

    @property
    def p_w(self) -> Any:
        """Return the probability of the chosen response."""
        return self.p[self.chosen]

    @property
    def p_l(self) -> Any:
        """Return the probability of the rejected response."""
        return self.p[self.rejected]

    @property
    def p_y(self) -> Any:
        """Return the probability of a response outside the pair."""
        return self.p[self.y]

    @property
    def ww(self) -> Any:
        """Return |g_w|^2."""
        return self.kernel(self.chosen, self.chosen)

    @property
    def ll(self) -> Any:
        """Return |g_l|^2."""
        return self.kernel(self.rejected, self.rejected)

    @property
    def yy(self) -> Any:
        """Return |g_y|^2."""
        return self.kernel(self.y, self.y)

    @property
    def wl(self) -> Any:
        """Return <g_w, g_l>."""
        return self.kernel(self.chosen, self.rejected)

    @property
    def wy(self) -> Any:
        """Return <g_w, g_y>."""
        return self.kernel(self.chosen, self.y)

    @property
    def ly(self) -> Any:
        """Return <g_l, g_y>."""
        return self.kernel(self.rejected, self.y)

    @property
    def dd(self) -> Any:
        """Return |g_w - g_l|^2, which is A_w - A_l."""
        return self.drive(self.chosen) - self.drive(self.rejected)

    @property
    def A_w(self) -> Any:
        """Return the drive of the chosen response."""
        return self.drive(self.chosen)

    @property
    def A_l(self) -> Any:
        """Return the drive of the rejected response."""
        return self.drive(self.rejected)

    @property
    def A_y(self) -> Any:
        """Return the drive of a response outside the pair."""
        return self.drive(self.y)

    @property
    def D_w(self) -> Any:
        """Return p_w A_w, the first-order change of the probability of the chosen response."""
        return self.change(self.chosen)

    @property
    def D_l(self) -> Any:
        """Return p_l A_l, the first-order change of the probability of the rejected response."""
        return self.change(self.rejected)

    @property
    def D_y(self) -> Any:
        """Return p_y A_y, the first-order change of the probability of a response outside the pair."""
        return self.change(self.y)
