"""What sets the balanced losses of ma2025 apart from DPO, and from one another."""

from __future__ import annotations

import torch
from hypothesis import assume, given, strategies as st

from dynamics.losses import BDPO, DPO, SFT, NaiveBDPO, NaiveBDPOv2, SelfPO, pair_log_probs
from dynamics.losses.balanced import imbalance_ratio
from tests.dynamics.strategies import close

log_prob = st.floats(-40, -0.01)
quadruple = st.tuples(log_prob, log_prob, log_prob, log_prob)


@given(quadruple, st.floats(0.05, 2), st.floats(0, 2), st.booleans())
def test_naive_bdpo_has_the_value_of_dpo_and_an_sft_step_more(
    point: tuple[float, ...], beta: float, clip: float, symmetric: bool
) -> None:
    pair = pair_log_probs(*point)
    naive, dpo = NaiveBDPO(beta=beta, clip=clip, symmetric=symmetric), DPO(beta=beta)
    close(naive.value(pair), dpo.value(pair), 1e-15)
    close(naive.margin(pair), dpo.margin(pair), 1e-15)
    ratio, _ = imbalance_ratio(pair, clip, symmetric=symmetric)
    extra = (ratio - 1) * beta * dpo.urgency(pair) * SFT().partials(pair).chosen
    close(naive.partials(pair).chosen, dpo.partials(pair).chosen + extra)
    close(naive.partials(pair).rejected, dpo.partials(pair).rejected)


def test_without_the_mending_term_the_value_is_not_dpos() -> None:
    pair = pair_log_probs(-1.0, -3.0, -2.0, -2.0)
    assert abs(float(NaiveBDPOv2(beta=1.0).value(pair) - DPO(beta=1.0).value(pair))) > 0.01


@given(quadruple, st.floats(0, 2), st.booleans())
def test_imbalance_ratio_stays_in_its_clip(point: tuple[float, ...], clip: float, symmetric: bool) -> None:
    ratio, _ = imbalance_ratio(pair_log_probs(*point), clip, symmetric=symmetric)
    lower = 1 / (1 + clip) if symmetric else 1.0
    assert lower - 1e-12 <= float(ratio) <= 1 + clip + 1e-12


@given(quadruple, st.floats(0.05, 2), st.booleans())
def test_margin_of_bdpo_is_a_function_of_two_products(point: tuple[float, ...], beta: float, detach: bool) -> None:
    a, b, ref_w, ref_l = point
    want = beta * (a * ref_l - b * ref_w) / (a + b)
    scale = beta * (abs(a * ref_l) + abs(b * ref_w)) / abs(a + b)
    got = float(BDPO(beta=beta, detach=detach).margin(pair_log_probs(*point)))
    assert abs(got - want) <= 1e-13 * max(1.0, scale + abs(a) + abs(b))


@given(quadruple, st.floats(0.05, 2), st.floats(0.1, 3))
def test_bdpo_sees_the_policy_through_a_quotient_of_logarithms_only(
    point: tuple[float, ...], beta: float, factor: float
) -> None:
    a, b, ref_w, ref_l = point
    loss = BDPO(beta=beta)
    close(
        loss.margin(pair_log_probs(a, b, ref_w, ref_l)),
        loss.margin(pair_log_probs(factor * a, factor * b, ref_w, ref_l)),
        1e-11,
    )


@given(quadruple)
def test_bdpo_detached_pulls_in_other_proportion_than_live(point: tuple[float, ...]) -> None:
    a, b, ref_w, ref_l = point
    common = (ref_w + ref_l) / (a + b)
    assume(abs(common - 1) > 1e-3)
    pair = pair_log_probs(*point)
    live, detached = BDPO(beta=1.0).margin_partials(pair), BDPO(beta=1.0, detach=True).margin_partials(pair)
    close(live.chosen, common * detached.chosen)
    close(live.rejected, common * detached.rejected)


@given(st.floats(-30, 30))
def test_silu_loss_is_the_logistic_loss_less_the_binary_entropy(margin: float) -> None:
    z = torch.tensor(margin, dtype=torch.float64)
    p, q = torch.sigmoid(z), torch.sigmoid(-z)
    log_p, log_q = torch.nn.functional.logsigmoid(z), torch.nn.functional.logsigmoid(-z)
    close(SelfPO().of_margin(z), DPO().of_margin(z) + p * log_p + q * log_q)
