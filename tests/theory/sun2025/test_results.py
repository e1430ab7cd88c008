from fractions import Fraction as F

from theory.sun2025.results import ACTIVATIONS, GEMMA, LC, METHODS, METRICS, MODELS, SCORES, SFT_WEIGHTS, ZEPHYR, lead


def test_tables_are_complete() -> None:
    assert set(SCORES) == set(MODELS)
    for rows in SCORES.values():
        assert tuple(rows) == METHODS
        assert all(tuple(row) == METRICS for row in rows.values())


def test_tables_that_repeat_the_main_result_agree_with_it() -> None:
    main = SCORES[ZEPHYR]["SPO"]
    assert ACTIVATIONS["SiLU"] == main
    assert SFT_WEIGHTS[F(0)] == main


def test_a_lead_is_a_difference_of_exact_decimals() -> None:
    assert lead(GEMMA, "SimPO", LC) == F("57.1") - F("49.84") == F("7.26")
