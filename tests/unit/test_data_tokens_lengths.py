"""The rules about the length of rows and the size of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tunekit.data.checks.lengths import LengthCheck
from tunekit.data.checks.options import CheckOptions, OverLength
from tunekit.data.limits import DataLimits
from tunekit.data.records import Row
from tunekit.data.tokens.counting import RowTokens
from tunekit.problems import Problem, Severity

LIMITS = DataLimits(service="acme", max_row_tokens=100, max_job_tokens=1000)


class Given:
    """Counts a row by what it says of itself."""

    name = "given"

    def __init__(self, *, exact: bool = True) -> None:
        self.exact = exact

    def count(self, rows: Sequence[Row]) -> list[RowTokens | None]:
        return [row["tokens"] for row in rows]


def look(
    *tokens: RowTokens | None, over_length: OverLength = "error", **options: Any
) -> tuple[list[tuple[int, Problem]], list[Problem]]:
    asked: dict[str, Any] = {"limits": LIMITS, "counter": Given(), "n_epochs": 1, **options}
    check = LengthCheck(CheckOptions(over_length=over_length, **asked))
    lines = range(5, 5 + len(tokens))
    found = list(check.see(lines, [{"tokens": one} for one in tokens]))
    return found, list(check.finish())


def row(total: int, **more: Any) -> RowTokens:
    return RowTokens(total, 10, **more)


def test_a_row_as_long_as_the_limit_is_taken_and_one_more_is_not() -> None:
    found, _ = look(row(100), row(101))
    ((line, problem),) = found
    assert line == 6
    assert (problem.code, problem.severity) == ("row-too-long", Severity.ERROR)
    assert "101 tokens, and acme takes 100" in problem.message
    assert problem.fix


@pytest.mark.parametrize(("policy", "says"), [("truncate", "50 tokens"), ("drop", "left out")])
def test_under_a_policy_a_long_row_is_a_warning_that_says_what_happens(
    policy: OverLength, says: str
) -> None:
    found, _ = look(row(150), over_length=policy)
    ((_, problem),) = found
    assert problem.severity is Severity.WARNING
    assert says in problem.message


def test_an_estimate_is_called_one() -> None:
    ((_, problem),), _ = look(row(101), counter=Given(exact=False))
    assert "about 101 tokens" in problem.message


def test_a_row_that_is_cut_before_its_answer_trains_on_nothing() -> None:
    found, _ = look(
        row(150, untrained_start=100), row(150, untrained_start=99), over_length="truncate"
    )
    assert [(line, problem.code) for line, problem in found] == [
        (5, "row-too-long"),
        (5, "row-trains-on-nothing"),
        (6, "row-too-long"),
    ]
    assert found[1][1].severity is Severity.ERROR


def test_a_preference_is_as_long_as_the_longer_of_its_texts() -> None:
    found, _ = look(row(180, longest=95))
    assert found == []


def test_without_limit_or_counter_nothing_is_too_long() -> None:
    assert look(row(10**6), limits=DataLimits()) == ([], [])
    assert look(row(10**6), counter=None) == ([], [])


def test_rows_that_cannot_be_counted_are_left_to_other_rules() -> None:
    assert look(None, row(5)) == ([], [])


def test_a_job_with_more_tokens_than_the_service_takes_is_an_error() -> None:
    rows = [row(100)] * 5
    assert look(*rows, n_epochs=2)[1] == []
    (problem,) = look(*rows, n_epochs=3)[1]
    assert problem.code == "job-too-large"
    assert "500 tokens in 3 passes are 1,500; acme takes 1,000" in problem.message


def test_epochs_that_nobody_named_are_the_published_default() -> None:
    (problem,) = look(*[row(100)] * 5, n_epochs=None)[1]
    assert "20 passes" in problem.message


def test_what_is_cut_or_left_out_is_not_in_the_jobs_tokens() -> None:
    rows = [row(100)] * 5 + [row(900)] * 5
    assert look(*rows, over_length="truncate")[1] == []
    assert look(*rows, over_length="drop", n_epochs=2)[1] == []


def test_only_training_data_makes_a_job_large() -> None:
    assert look(row(100), role="validation", n_epochs=50)[1] == []


def test_several_batches_add_up() -> None:
    check = LengthCheck(CheckOptions(limits=LIMITS, counter=Given(), n_epochs=1))
    for start in (1, 8):
        lines = range(start, start + 7)
        assert not list(check.see(lines, [{"tokens": row(80)}] * 7))
    assert check.tokens == 14 * 80
    assert [problem.code for problem in check.finish()] == ["job-too-large"]
