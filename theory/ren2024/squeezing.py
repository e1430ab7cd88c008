r"""One negative gradient step on a label y of a softmax: z_y falls by eta (1 - p_y), every other z_i rises by eta p_i.

Two public texts quote what the appendix of the paper says of this step; the exact borders are ours.
"""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import PROVED
from theory.proof import TABULAR, Named, exp, setting, sums_of
from theory.ren2024.dynamics import claim


@sums_of(
    "0 < p < 1 of the label itself, step c > 0; q > 0 of another label",
    fixed=lambda numbers: (numbers.between("p", 0, 1), numbers.positive("c")),
)
def other_labels(numbers, shared):
    """What the other labels weigh before and after a negative step, relative to the label itself."""
    (p, c), q = shared, numbers.positive("q")
    return Named(rest=q, up=q * exp(c * (1 - p + q)))


def others_gain(s, times=1):
    """Return whether the other labels gain weight relative to the label."""
    return s.up > times * s.rest > 0


@setting("0 < p < 1; the other labels weigh more than 1 - p after the step")
def label_after(numbers):
    """The label and what the others weigh after the step."""
    p = numbers.between("p", 0, 1)
    return Named(p=p, up=1 - p + numbers.positive("more"))


@claim("label-falls", "Appendix E, the squeezing effect: the label itself falls", PROVED)
def label_falls(s, share=1):
    r"""\text{a negative step on y of any size lowers }\pi_y

    Assumes: one softmax, any number of labels. The two texts that were read give the direction; any size is shown here.
    Proof: Relative to y the weight of another label i grows by $e^{\eta(1-\pi_y+\pi_i)}>1$.
    """
    return s.p / (s.p + s.up) < share * s.p


label_falls.by_induction(**other_labels, of=others_gain, wrong={"times": F(11, 10)})
label_falls.proved(over=label_after, wrong={"share": F(9, 10)})


@sums_of(
    "m > 0 of the most probable other label, step c > 0; 0 < q <= m of a label",
    fixed=lambda numbers: (numbers.positive("m"), numbers.positive("c")),
)
def below_the_greatest(numbers, shared):
    """What the labels weigh relative to the most probable one, which itself is among them."""
    m, c = shared
    q = numbers.within("q", 0, m)
    return Named(rest=q, down=q * exp(c * (q - m)))


def none_gains(s, times=1):
    """Return whether no label gains weight relative to the most probable one."""
    return s.down <= times * s.rest


@setting("p > 0 of the label, p + rest = 1; the other labels weigh at most rest after the step, y less than p")
def greatest_after(numbers):
    """The most probable other label, and what all labels weigh relative to it after the step."""
    p = numbers.between("p", 0, 1)
    m = numbers.within("m", 0, 1 - p)
    numbers.assume(m > 0)
    down, own = numbers.within("down", 0, 1 - p), numbers.between("own", 0, p)
    return Named(m=m, down=down, own=own)


@claim("greatest-other-rises", "Appendix E, the squeezing effect: the most probable other label rises", PROVED)
def greatest_other_rises(s, share=1):
    r"""\text{a negative step on y of any size raises }\pi_{i^*},\qquad i^*=\arg\max_{i\ne y}\pi_i

    Assumes: one softmax, any number of labels. The two texts that were read give the direction; any size is shown here.
    Proof: Relative to $i^*$ the weight of another label i changes by $e^{\eta(\pi_i-\pi_{i^*})}\le 1$, and that of y by
    $e^{-\eta(1-\pi_y+\pi_{i^*})}<1$.
    """
    return s.m / (s.down + s.own) > share * s.m


greatest_other_rises.by_induction(**below_the_greatest, of=none_gains, wrong={"times": F(9, 10)})
greatest_other_rises.proved(over=greatest_after, wrong={"share": F(11, 10)})


@claim("squeezed-iff", "not read in full; ours, after Appendix E on the squeezing effect", PROVED)
def squeezed_iff(w, times=1):
    r"""\frac{d}{d\eta}\log\pi_i=\pi_i+\pi_y-S,\quad S=\sum_j\pi_j^2:\qquad i\ne y\ \text{falls to first
    order iff}\ \pi_i<S-\pi_y

    Assumes: a negative step on label y of a tabular softmax, any number of labels; y is the rejected response of the
    world, i its chosen one, so that two labels are asked as well
    Proof: $-\langle g_i,g_y\rangle=\pi_i+\pi_y-S$.
    """
    return (-w.wl < 0) == (w.p_w < times * w.S2 - w.p_l)


squeezed_iff.proved(over=TABULAR, wrong={"times": F(11, 10)})


@sums_of("0 < q <= m, m the largest probability", fixed=lambda numbers: numbers.positive("m"))
def up_to_the_largest(numbers, m):
    """Probabilities up to the largest."""
    q = numbers.within("q", 0, m)
    return Named(one=q, two=q * q)


def squares_are_small(s, times=1):
    """Return whether the sum of the squares is at most the largest probability (times their sum, 1)."""
    return s.two <= times * s.fixed * s.one


@claim("greedy-label", "not read in full; ours, after Appendix E on the squeezing effect", PROVED)
def greedy_label(w, times=1):
    r"""\pi_y\ge S\ \Rightarrow\ \text{a negative step on y squeezes nobody};\qquad\text{so it is where y is the most
    probable label}

    Assumes: tabular softmax, any number of labels, first order in the step; y is the rejected response of the world,
    i its chosen one
    Proof: $\pi_i>0\ge S-\pi_y$; and $S\le\max_j\pi_j\sum_j\pi_j=\max_j\pi_j$.
    """
    return not w.p_l >= times * w.S2 or -w.wl > 0


greedy_label.proved(over=TABULAR, wrong={"times": F(9, 10)})
greedy_label.by_induction(**up_to_the_largest, of=squares_are_small, wrong={"times": F(9, 10)})
