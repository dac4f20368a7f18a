"""The rules about a whole file's rows, bytes and images; those on tokens are in `lengths`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tunekit.data.checks.catalogue import error, rule, warning
from tunekit.data.checks.conversation import Faults
from tunekit.data.checks.options import CheckOptions
from tunekit.problems import Problem

FEW_ROWS: Final = 10
"""OpenAI and Azure OpenAI refuse training files with fewer rows (fine-tuning guides, 2026)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was counted of a file.

    Attributes:
        rows: Rows, faulty ones included.
        bytes: The file's size; None where there is no file.
        image_rows: Rows that hold an image.
        tokens: Tokens of all rows together; None where they were not counted.
    """

    rows: int
    bytes: int | None = None
    image_rows: int = 0
    tokens: int | None = None


def check_bounds(figures: Figures, options: CheckOptions) -> Iterator[Problem]:
    """Hold a file's figures against the limits; the problems name no line, as none is at fault."""
    for bound in (
        enough_rows,
        not_too_many_rows,
        not_too_many_bytes,
        not_too_many_image_rows,
        token_limit_is_known,
    ):
        yield from bound(figures, options)


@rule("limits", errors=("no-rows", "too-few-rows"), warnings=("few-rows",))
def enough_rows(figures: Figures, options: CheckOptions) -> Faults:
    """There are rows, and as many as the service wants of a training file."""
    limits, rows = options.limits, figures.rows
    if rows == 0:
        yield error("no-rows", "", "There are no rows.", "Check that it is this file.")
        return
    there_are = "There is only one row" if rows == 1 else f"There are only {rows} rows"
    least = limits.min_rows
    if options.role != "train":
        return
    if least is not None and rows < least:
        message = f"{there_are}; {_service(options)} wants at least {least} for training."
        yield error("too-few-rows", "", message, "Add rows.")
    elif not limits.service and rows < FEW_ROWS:
        fix = f"Hosted services refuse training files with fewer than {FEW_ROWS} rows."
        yield warning("few-rows", "", f"{there_are}.", fix)


@rule("limits", errors=("too-many-rows",))
def not_too_many_rows(figures: Figures, options: CheckOptions) -> Faults:
    """There are no more rows than the service takes, for training and for validation."""
    limits = options.limits
    most = {"train": limits.max_rows, "validation": limits.max_validation_rows}.get(options.role)
    if most is not None and figures.rows > most:
        use = "training" if options.role == "train" else "validation"
        message = f"There are {figures.rows:,} rows; {_service(options)} takes {most:,} for {use}."
        yield error("too-many-rows", "", message, "Take a sample with `.sample(n)`.")


@rule("limits", errors=("file-too-large",))
def not_too_many_bytes(figures: Figures, options: CheckOptions) -> Faults:
    """The file is no larger than the service takes."""
    most = options.limits.max_bytes
    if most is not None and figures.bytes is not None and figures.bytes > most:
        message = f"The file has {figures.bytes:,} bytes; {_service(options)} takes {most:,}."
        yield error("file-too-large", "", message, "Take a sample with `.sample(n)`.")


@rule("limits", errors=("too-many-image-rows",))
def not_too_many_image_rows(figures: Figures, options: CheckOptions) -> Faults:
    """There are no more rows with images than the service takes."""
    most = options.limits.max_image_rows
    if most is not None and figures.image_rows > most:
        message = f"{figures.image_rows:,} rows hold images; {_service(options)} takes {most:,}."
        yield error("too-many-image-rows", "", message, "Take a sample with `.sample(n)`.")


@rule("limits", warnings=("token-limit-unknown",))
def token_limit_is_known(figures: Figures, options: CheckOptions) -> Faults:
    """It is known how many tokens of a row the model takes; longer rows are cut unseen."""
    model = options.limits.row_tokens_unknown
    if model and figures.rows:
        message = f"No limit on the tokens of one row is known for the model {model!r:.80}."
        fix = "Look the limit up: rows that are longer may be cut without a word."
        yield warning("token-limit-unknown", "", message, fix)


@rule("limits", errors=("validation-missing",))
def validation_is_given(given: bool, options: CheckOptions) -> Faults:
    """There is validation data where the service wants some; reinforcement training does."""
    if options.limits.validation_required and not given:
        message = f"{_service(options)} wants validation data for this method."
        fix = "Give some; `split` takes a part of the training data."
        yield error("validation-missing", "", message, fix)


def _service(options: CheckOptions) -> str:
    return options.limits.service or "the service"
