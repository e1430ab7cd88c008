"""A gradient step of any size in a world, in float64: what first-order predictions are compared with."""

import math
from collections.abc import Callable
from fractions import Fraction

from theory.worlds import Vector, World, dot


def step_change(world: World, size: float, direction: Vector | None = None) -> tuple[float, ...]:
    """Return the exact change of every probability in a step.

    Args:
        world: log-linear, at the point from which the step starts.
        size: learning rate x beta x urgency.
        direction: of the step; the DPO direction phi_w - phi_l if not given.

    Example:
        >>> ladder = World.log_linear([[1], [0], [2]], at=[1])
        >>> [round(21 * change, 9) for change in step_change(ladder, math.log(2))]
        [-1.0, -4.0, 5.0]
    """
    chosen, rejected = world.features[world.chosen], world.features[world.rejected]
    d = direction or tuple(a - b for a, b in zip(chosen, rejected, strict=True))
    growth = [math.expm1(size * float(dot(phi, d))) for phi in world.features]
    # p e^x / Z - p = p (expm1(x) - mean) / (1 + mean): no cancellation in small steps
    mean = math.fsum(float(q) * g for q, g in zip(world.p, growth, strict=True))
    return tuple(float(q) * (g - mean) / (1 + mean) for q, g in zip(world.p, growth, strict=True))


def residual(
    world: World, responses: tuple[int, ...], predicted: Fraction, direction: Vector | None = None
) -> Callable[[float], float]:
    """Return the distance of the change of some responses' mass from a prediction, as a function of the step's size.

    Args:
        world: where the step starts.
        responses: whose mass is meant.
        predicted: change of their mass per unit of size.
        direction: of the step, as in ``step_change``.

    Example:
        >>> ladder = World.log_linear([[1], [0], [2]], at=[1])
        >>> off = residual(ladder, (2,), ladder.change(2))
        >>> 3 < off(0.02) / off(0.01) < 5
        True
    """

    def distance(size: float) -> float:
        change = step_change(world, size, direction)
        return abs(math.fsum(change[y] for y in responses) - size * float(predicted))

    return distance
