"""The tree of tokens as a decision process: what the optimal policy says about returns, and about parts of
responses.
"""

from __future__ import annotations

from fractions import Fraction as F
from typing import NamedTuple

from theory.claim import FALSE, PROVED
from theory.proof import Named, setting
from theory.statement import claims_of

claim = claims_of("rafailov2024")


def one_step(numbers, value):
    """Return a step from a state of e^(V*/beta) = ``value``: the action's share of the reference, what others earn."""
    q = numbers.between("q", 0, 1)
    others = numbers.between("others", 0, value / (1 - q))
    after = numbers.positive("after")
    gain = (value - (1 - q) * others) / (q * after)  # e^(r/beta), from e^(V*/beta) = sum of pi_ref e^(Q*/beta)
    return Named(q=q, after=after, gain=gain)


@setting("one action from the first state: pi_ref(a) = q, the mean of e^(Q*/beta) over other actions, V* after it")
def first_action(numbers):
    """The first action."""
    start = numbers.positive("start")
    return taken((start, start, 1, 1), one_step(numbers, start))


@setting("any actions so far; one more")
def one_more_action(numbers):
    """Any number of actions, and one more."""
    start, value, gain, ratio = (numbers.positive(name) for name in ("start", "value", "gain_so_far", "ratio"))
    return start, value, gain, ratio, one_step(numbers, value)


def taken(state, step):
    """Return e^(V*/beta) of the first and the present state, e^(return/beta), and the product of pi*/pi_ref."""
    start, value, gain, ratio = state
    chosen = step.q * step.gain * step.after / value  # pi*(a) = pi_ref(a) e^((Q* - V*)/beta)
    return start, step.after, gain * step.gain, ratio * chosen / step.q


@claim("eq-8", "Eq. (8)", PROVED)
def eq_8(state, times=1):
    r"""\sum_tr(s_t,a_t)=V^*(s_0)+\beta\sum_t\log\frac{\pi^*(a_t\mid s_t)}{\pi_{\mathrm{ref}}(a_t\mid s_t)}

    Assumes: deterministic transitions, finite horizon, $V^*=0$ at the end, no discount; shown for every part of a
    response, with $-V^*$ of the state that it reaches on the right side
    Proof: $\pi^*=\pi_{\mathrm{ref}}e^{(Q^*-V^*)/\beta}$ with $Q^*=r+V^*(s')$: the values telescope, by induction.
    """
    start, value, gain, ratio, *_ = state
    return gain * value == times * start * ratio


eq_8.by_induction(
    base=first_action, step=one_more_action, after=lambda state: taken(state[:4], state[4]), wrong={"times": F(11, 10)}
)


class TwoActions(NamedTuple):
    """A state with two actions, uniform reference, beta = 1: e^r of each, and e^V* of the state that each reaches."""

    gain: tuple[F, F]
    value: tuple[F, F]

    def log_ratio_prefers_the_first(self) -> bool:
        """Return whether pi* / pi_ref of the first action is larger."""
        return self.gain[0] * self.value[0] > self.gain[1] * self.value[1]


@claim("theorem-1-segments", "not in the paper; Theorem 1 read of parts of responses", FALSE, "eq-8")
def theorem_1_segments(state):
    r"""\text{the reward }\beta\log\frac{\pi^*}{\pi_{\mathrm{ref}}}\text{ prefers the same parts of responses as }r

    Assumes: parts that start in one state, which need not end at the end of a response
    Because: The paper restricts its theorem to responses that start in one state and end. On parts the values of the
    states that they reach differ: $e^r=2,1$ but $e^{V^*}=1,10$ make r prefer the first action and the log-ratio the
    second.
    """
    return (state.gain[0] > state.gain[1]) == state.log_ratio_prefers_the_first()


theorem_1_segments.false(at=TwoActions((F(2), F(1)), (F(1), F(10))), true_at=TwoActions((F(2), F(1)), (F(1), F(1))))
