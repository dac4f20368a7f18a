"""Problems and reports."""

from __future__ import annotations

import pytest

from tunekit.errors import PreflightError
from tunekit.problems import Problem, Report, Severity

WARNING = Problem(code="w", message="Shown.", severity=Severity.WARNING)
ERROR = Problem(code="e", message="Wrong.", fix="Mend it.", file="a.jsonl", line=3, path="x[0]")


def test_a_problem_says_where_what_and_how_to_mend_it() -> None:
    assert str(ERROR) == "a.jsonl:3 x[0]: Wrong. Mend it. [e]"


@pytest.mark.parametrize(
    ("problem", "where"),
    [
        (Problem(code="c", message="m"), ""),
        (Problem(code="c", message="m", line=4), "line 4"),
        (Problem(code="c", message="m", file="f"), "f"),
        (Problem(code="c", message="m", path="spec.seed"), "spec.seed"),
    ],
)
def test_the_place_is_said_as_far_as_it_is_known(problem: Problem, where: str) -> None:
    assert problem.where == where


def test_a_report_puts_errors_first_and_keeps_the_order_otherwise() -> None:
    other = Problem(code="e2", message="Also wrong.")
    report = Report.of([WARNING, ERROR], [other])
    assert list(report) == [ERROR, other, WARNING]
    assert report.errors == (ERROR, other)
    assert report.warnings == (WARNING,)
    assert len(report) == 3


def test_a_report_with_an_error_is_false_and_raises_with_everything() -> None:
    report = Report.of([WARNING, ERROR])
    assert not report
    with pytest.raises(PreflightError, match="Wrong") as caught:
        report.raise_on_error()
    assert caught.value.problems == (ERROR, WARNING)


def test_warnings_alone_do_not_stop_a_launch() -> None:
    report = Report.of([WARNING])
    assert report
    assert report.raise_on_error() is report
    assert str(report) == "warning: Shown. [w]"


def test_an_empty_report_says_so() -> None:
    assert str(Report()) == "No problem found."
    assert Report()


def test_a_report_goes_through_json() -> None:
    report = Report.of([WARNING, ERROR])
    assert Report.model_validate_json(report.model_dump_json()) == report
