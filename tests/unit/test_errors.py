"""The tree of errors: what each carries, and that the drawing of it is true."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import tunekit.errors
from tunekit.errors import (
    BudgetExceededError,
    DataError,
    PreflightError,
    RunConflictError,
    TunekitError,
    missing_extra,
)
from tunekit.problems import Problem, Severity
from tunekit.providers.base import (
    DeploymentSnapshot,
    DeploymentStatus,
    JobSnapshot,
    JobStatus,
    ModelRef,
)

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
JOB = JobSnapshot(
    id="job-1",
    provider="fake",
    status=JobStatus.FAILED,
    provider_status="failed",
    model="m",
    created_at=WHEN,
)
DEPLOYMENT = DeploymentSnapshot(
    name="d",
    provider="fake",
    model=ModelRef(id="m", provider="fake"),
    status=DeploymentStatus.FAILED,
    provider_status="Failed",
    created_at=WHEN,
)
VALUES: dict[str, Any] = {
    "next_step": "Do this now.",
    "problems": (Problem(code="c", message="m", line=3),),
    "run": "r1",
    "differences": ("spec.seed",),
    "provider": "fake",
    "status_code": 418,
    "code": "teapot",
    "request_id": "req-1",
    "retry_after": 2.5,
    "snapshot": JOB,
}


def tree(cls: type[TunekitError] = TunekitError) -> Iterator[type[TunekitError]]:
    """Every class of `tunekit.errors` under `cls`, itself included."""
    if cls.__module__ == tunekit.errors.__name__:
        yield cls
    for child in cls.__subclasses__():
        yield from tree(child)


ALL = sorted(set(tree()), key=lambda cls: cls.__name__)


def full(cls: type[TunekitError]) -> TunekitError:
    """An error of this class with every attribute that its constructor takes."""
    parameters = inspect.signature(cls.__init__).parameters
    values = {name: VALUES[name] for name in parameters if name in VALUES}
    if cls.__name__.startswith("Deployment"):
        values["snapshot"] = DEPLOYMENT
    return cls("It broke.", **values)


def test_the_tree_is_walked_as_a_whole() -> None:
    public = {
        cls
        for _, cls in inspect.getmembers(tunekit.errors, inspect.isclass)
        if issubclass(cls, Exception)
    }
    assert set(ALL) == public
    assert len(ALL) > 30


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_error_goes_through_pickle_whole(cls: type[TunekitError]) -> None:
    error = full(cls)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is cls
    assert str(again) == str(error)
    assert again.args == error.args
    assert again.__dict__ == error.__dict__
    assert again.next_step == "Do this now."


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_message_carries_its_next_step(cls: type[TunekitError]) -> None:
    error = full(cls)
    assert str(error) == "It broke. Do this now."
    assert error.message == "It broke."
    assert str(cls("It broke.")) == "It broke."


@pytest.mark.parametrize("cls", [PreflightError, BudgetExceededError])
def test_a_preflight_error_keeps_its_problems_through_pickle(cls: type[PreflightError]) -> None:
    error = cls.of([Problem(code="c", message="m")])
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert again.problems == error.problems
    assert str(again) == str(error)


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    drawn: dict[str, tuple[str, set[str]]] = {}
    stack: list[str] = []
    for line in (tunekit.errors.__doc__ or "").splitlines():
        found = re.match(r"^    ([│ ├└─]*)([A-Z]\w+Error)(?: \((\w+)\))?", line)
        if not found:
            continue
        depth = len(found[1]) // 4
        del stack[depth:]
        drawn[found[2]] = (stack[-1] if stack else "Exception", {found[3]} - {None})
        stack.append(found[2])

    real = {}
    for cls in ALL:
        ours = [base for base in cls.__bases__ if base.__module__ == tunekit.errors.__name__]
        theirs = {base.__name__ for base in cls.__bases__ if base not in ours}
        parent = ours[0].__name__ if ours else "Exception"
        real[cls.__name__] = (parent, theirs if ours else set())
    assert drawn == real


def test_a_preflight_error_lists_errors_only_and_counts_them() -> None:
    error = PreflightError.of(
        [
            Problem(code="a", message="First."),
            Problem(code="b", message="Only shown.", severity=Severity.WARNING),
        ]
    )
    assert "1 problem must be mended" in str(error)
    assert "First." in str(error)
    assert "Only shown." not in str(error)
    assert len(error.problems) == 2


def test_a_preflight_error_with_many_problems_shows_some_and_keeps_all() -> None:
    error = PreflightError.of([Problem(code="x", message=f"p{n}") for n in range(50)])
    assert "50 problems" in str(error)
    assert "and 30 more" in str(error)
    assert len(error.problems) == 50


def test_errors_can_be_caught_as_the_standard_ones() -> None:
    assert issubclass(DataError, ValueError)
    assert issubclass(tunekit.errors.WaitTimeoutError, TimeoutError)
    assert issubclass(tunekit.errors.LedgerUnavailableError, OSError)
    assert issubclass(tunekit.errors.MissingExtraError, ImportError)
    assert issubclass(tunekit.errors.OutOfMemoryError, MemoryError)


def test_a_conflict_names_run_and_differences() -> None:
    error = RunConflictError("Taken.", run="r", differences=["spec.seed"])
    assert (error.run, error.differences) == ("r", ("spec.seed",))


def test_a_missing_extra_never_names_the_foreign_package() -> None:
    text = str(missing_extra("trl", "'torch>=2.13' trl", needed_for="Training here"))
    assert "pip install 'torch>=2.13' trl" in text
    assert "'.[trl]'" in text
    assert not re.search(r"pip install ['\"]?tunekit(?!-sdk)", text)
