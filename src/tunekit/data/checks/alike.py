"""The rules about rows that are the same as others, or nearly, in one file or in two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from tunekit.data.checks.catalogue import rule, warning
from tunekit.data.checks.findings import Findings
from tunekit.data.likeness import (
    LikenessIndex,
    RowReader,
    exact_leaks,
    indexed,
    near_leaks,
)
from tunekit.data.records import Row
from tunekit.problems import Problem

if TYPE_CHECKING:
    from tunekit.data.dataset import Dataset

Role = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Noted:
    """Rows that were noted in an index, and the way back to them.

    Attributes:
        index: Holds the rows by numbers, such as their lines or positions.
        read: Reads the row with a number again.
        place: The file and the line of the row with a number.
    """

    index: LikenessIndex
    read: Callable[[int], Row]
    place: Callable[[int], tuple[str, int]]

    def where(self, number: int) -> str:
        """Name a row's file and line as messages do."""
        file, line = self.place(number)
        return f"{file}:{line}"

    def other(self, number: int, other: int) -> str:
        """Name another row as seen from a row, with its file where that is another one."""
        (file, _), (other_file, line) = self.place(number), self.place(other)
        return f"line {line}" if file == other_file else f"{other_file}:{line}"

    def at(self, number: int, problem: Problem) -> Problem:
        """Say where a problem stands."""
        file, line = self.place(number)
        return problem.model_copy(update={"file": file, "line": line, "path": None})


def alike_rows(noted: Noted) -> Iterator[Problem]:
    """Find all rows of one file that are too much like another, rule by rule.

    Raises:
        DataError: The disk is full, or the file has changed since its rows were noted.
    """
    yield from duplicate_row(noted)
    yield from conflicting_answers(noted)
    if noted.index.near:
        yield from near_duplicate_row(noted)


@rule("likeness", warnings=("duplicate-row",))
def duplicate_row(noted: Noted) -> Iterator[Problem]:
    """No row is the same as an earlier one, whatever the order of its keys."""
    for number, first in noted.index.duplicates():
        message = f"The row is the same as that of {noted.other(number, first)}."
        fix = "Remove it, unless it should count twice."
        yield noted.at(number, warning("duplicate-row", "", message, fix))


@rule("likeness", warnings=("near-duplicate-row",))
def near_duplicate_row(noted: Noted) -> Iterator[Problem]:
    """No row says nearly the same as an earlier one: 9 of 10 runs of five letters are in both.

    Case, spaces, punctuation and system messages do not count. Rows with different numbers or
    images are never nearly the same.
    """
    for number, other, similarity in noted.index.near_duplicates(noted.read):
        message = (
            f"The row is nearly the same as that of {noted.other(number, other)}: "
            f"{_percent(similarity)} alike."
        )
        fix = "Remove one of them, or leave all such rows out with `.dedup(near=True)`."
        yield noted.at(number, warning("near-duplicate-row", "", message, fix))


@rule("likeness", warnings=("conflicting-answers",))
def conflicting_answers(noted: Noted) -> Iterator[Problem]:
    """Rows with the same prompt have the same answer."""
    for number, first in noted.index.conflicts(noted.read):
        message = (
            f"The row has the same prompt as that of {noted.other(number, first)}, and another "
            "answer."
        )
        fix = "Keep the better of the two, unless both are right."
        yield noted.at(number, warning("conflicting-answers", "", message, fix))


_NAMES: Final = {"train": "training", "validation": "validation", "test": "test"}


def leaked_rows(
    base: Noted, other: Noted, *, base_role: Role = "train", role: Role = "validation"
) -> Iterator[Problem]:
    """Find the rows of one part of the data that are also in another, exactly or nearly.

    Args:
        base: The rows that are learnt, or, for test data, also those that steer the training.
        other: The rows that must be new.
        base_role: What `base` is.
        role: What `other` is.

    Raises:
        DataError: The disk is full, or a file has changed since its rows were noted.
    """
    yield from row_in_other_part(base, other, base_role, role)
    if base.index.near and other.index.near:
        yield from row_near_other_part(base, other, base_role, role)


@rule(
    "likeness",
    warnings=("validation-row-in-train", "test-row-in-train", "test-row-in-validation"),
)
def row_in_other_part(base: Noted, other: Noted, base_role: Role, role: Role) -> Iterator[Problem]:
    """No validation or test row is also in the data that it must be new to."""
    for number, first in exact_leaks(base.index, other.index):
        message = f"The row is also in the {_NAMES[base_role]} data ({base.where(first)})."
        fix = "Take it out of one of the two; `split` never puts a row into both."
        yield other.at(number, warning(f"{role}-row-in-{base_role}", "", message, fix))


@rule(
    "likeness",
    warnings=("validation-row-near-train", "test-row-near-train", "test-row-near-validation"),
)
def row_near_other_part(
    base: Noted, other: Noted, base_role: Role, role: Role
) -> Iterator[Problem]:
    """No validation or test row says nearly the same as a row that it must be new to."""
    found = near_leaks(base.index, other.index, base.read, other.read)
    for number, first, similarity in found:
        message = (
            f"The row is nearly the same as one of the {_NAMES[base_role]} data "
            f"({base.where(first)}): {_percent(similarity)} alike."
        )
        fix = "Take one of the two out: remove near duplicates before you split."
        yield other.at(number, warning(f"{role}-row-near-{base_role}", "", message, fix))


def check_leakage(
    train: Dataset,
    validation: Dataset,
    *,
    near: bool = True,
    train_role: Role = "train",
    role: Role = "validation",
) -> list[Problem]:
    """Find the validation rows that are also in the training data, exactly or nearly.

    They are warnings: the tuned model is as good, and nothing fails, but the validation loss looks
    better than it is, so that early stopping and comparisons mislead. Rows that cannot be read are
    left to `Dataset.check`.

    Args:
        train: The training data.
        validation: The rows that should be new to the model.
        near: Whether to look also for rows that are nearly the same.
        train_role: What the first is, where it is not training data.
        role: What the second is, where it is not validation data.

    Raises:
        DataError: One of the two cannot be read at all, or the disk is full.
    """
    findings = Findings()
    try:
        with ExitStack() as stack:
            base, other = (
                _noted(stack.enter_context(indexed(data, near=near)), data)
                for data in (train, validation)
            )
            findings.extend(leaked_rows(base, other, base_role=train_role, role=role))
        return findings.listed()
    finally:
        findings.close()


def _noted(index: LikenessIndex, data: Dataset) -> Noted:
    reader = RowReader(data)
    return Noted(index, reader, lambda position: reader.at(position)[:2])


def _percent(similarity: float) -> str:
    """Whole percents, rounded down, so that 100 % means that no shingle differs."""
    return f"{int(similarity * 100 + 1e-9)} %"
