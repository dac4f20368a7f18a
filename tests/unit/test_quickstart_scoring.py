from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.quickstart.scoring import Answer, Score, wilson_interval


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [
        # The worked examples of Newcombe (1998), Statistics in Medicine 17:857-872, method 3.
        (81, 263, 0.2553, 0.3662),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_interval_equals_published_examples(right: int, of: int, low: float, high: float) -> None:
    assert wilson_interval(right, of) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_interval_holds_the_share_and_stays_in_bounds(case: tuple[int, int]) -> None:
    right, of = case
    low, high = wilson_interval(right, of)
    assert 0.0 <= low <= right / of + 1e-12
    assert right / of - 1e-12 <= high <= 1.0


def test_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        wilson_interval(0, 0)


def test_score_counts_exact_answers() -> None:
    answers = tuple(Answer("q", "a", "a" if right else "b", right) for right in (True, False))
    scored = Score(answers, seconds=1.0)
    assert (scored.right, scored.accuracy) == (1, 0.5)
