"""Saddle points and local minima: there are none, although the curvature is that of a saddle everywhere."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, PROVED
from theory.evidence import FAILS
from theory.feng2024.ratios import D1, D2, PLANE, X1, X2, Place, Point, claim
from theory.proof import Numbers, beside, power, same


@claim("no-critical-point", "not in the paper; replaces its saddle points and local minima", PROVED)
def no_critical_point(p, least=0):
    r"""\frac{\partial L}{\partial x_1}<0<\frac{\partial L}{\partial x_2}\qquad\text{for all }x_1,x_2>0

    Proof: Every factor in Eq. 2 is positive.
    """
    return p.d1 < 0 and p.d2 > least


no_critical_point.proved(over=PLANE, wrong={"least": F(1, 10)})


@claim("saddle-points", "Section 3.2, second regime", FALSE, "no-critical-point", "hessian-determinant")
def saddle_points(p):
    r"""\exists\,x_1,x_2>0:\ \nabla L(x_1,x_2)=0

    Because: The gradient has no zero, so there is no saddle to escape from; what is saddle-like is the curvature.
    """
    return p.d1 == 0 and p.d2 == 0


WITHOUT_BETA = Place(x1=F(1), x2=F(1), beta=F(0), a=F(1), b=F(1))  # the loss is then constant
saddle_points.false(at=Point(F(1), F(1)), true_at=WITHOUT_BETA, also=True)
saddle_points.proved(over=PLANE, of=lambda p: not saddle_points(p), role=FAILS, wrong=lambda p: p.d1 + p.d2 != 0)


@beside(PLANE, "a step of x1, of any size")
def with_step_of_x1(numbers: Numbers) -> object:
    """Any step to the right."""
    return numbers.positive("step")


@claim("local-minima", "Section 3.3.2, on the upper right corner", FALSE, "no-critical-point")
def local_minima(case):
    r"""\exists\,x_1,x_2>0\ \exists\,\epsilon>0:\ L\ge L(x_1,x_2)\ \text{within }\epsilon\text{ of }(x_1,x_2)

    Because: Raising x1 alone, by however little, lowers the loss at every point. Its infimum 0 belongs to the edge
    $x_2=0$ alone.
    Proof: $e^{-L}=x_1^\beta/(x_1^\beta+x_2^\beta)$ rises with x1.
    """
    return not lowers(case)


def lowers(case, times=1):
    p, step = case
    a = power(p.x1 + step, p.beta)
    return a / (a + p.b) > times * p.preference


local_minima.proved(
    over=with_step_of_x1,
    of=lambda case, times=1: not local_minima(case) and lowers(case, times),
    role=FAILS,
    wrong={"times": F(11, 10)},
)


@claim("hessian-determinant", "not in the paper; replaces its saddle points", PROVED)
def hessian_determinant(share=1):
    r"""\det\nabla^2L=-\Bigl(\frac1{x_1}\frac{\partial L}{\partial x_2}\Bigr)^2<0,\qquad x^\top\nabla^2L\,x=0,
    \qquad\nabla^2L\,x=-\nabla L

    Because: One curvature is positive and one negative at every point.
    Proof: The gradient is homogeneous of degree -1 (Euler), and $x\cdot\nabla L=0$.
    """
    x, gradient = sp.Matrix([X1, X2]), sp.Matrix([D1, D2])
    hessian = gradient.jacobian(x)
    euler = same((hessian * x)[0], -D1) & same((hessian * x)[1], -D2) & same((x.T * hessian * x)[0], 0)
    return euler & same(hessian.det(), -share * (D2 / X1) ** 2)


hessian_determinant.derived(wrong={"share": F(9, 10)})
