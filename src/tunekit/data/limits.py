"""What services accept as training data.

The figures are published facts with a date, not code: a provider gives its own through
`FineTuneProvider.data_limits`, and those of the hosted services stand here with their source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final


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
        row_tokens_unknown: The model for which no `max_row_tokens` is published; empty where the
            bound is known, or where no model was named.
        max_job_tokens: Most tokens times epochs of a job.
        images: Whether image parts are accepted at all.
        max_row_images: Most images of one row.
        max_image_bytes: Largest image, in bytes.
        max_image_rows: Most rows with images.
        system_messages: Whether system and developer messages are accepted.
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
    row_tokens_unknown: str = ""
    max_job_tokens: int | None = None
    images: bool = True
    max_row_images: int | None = None
    max_image_bytes: int | None = None
    max_image_rows: int | None = None
    system_messages: bool = True
    source: str = ""
    as_of: str = ""


def published_limits(
    service: str, *, model: str | None = None, method: str | None = None
) -> DataLimits | None:
    """The limits that a hosted service publishes; None for a service that is not known here.

    For a model whose bound on tokens is not known, `max_row_tokens` is None and
    `row_tokens_unknown` names the model; `check_bounds` then says that long rows go unseen.

    Args:
        service: `openai` or `azure`.
        model: The base model, or a model that was tuned from it; None for none in particular.
        method: `supervised`, `dpo` or `reinforcement`, or None.
    """
    limits = _SERVICES.get(service)
    if limits is None:
        return None
    if model is not None:
        tokens = _row_tokens(model)
        unknown = "" if tokens is not None else model
        limits = replace(limits, max_row_tokens=tokens, row_tokens_unknown=unknown)
    if method == "dpo":
        # Both services: preference data is text only (guides to direct preference optimisation).
        return replace(limits, images=False)
    if method == "reinforcement":
        return replace(
            limits,
            max_rows=50_000,
            max_validation_rows=1_000,
            validation_required=True,
            system_messages=service not in _NO_SYSTEM_MESSAGES,
        )
    return limits


def _row_tokens(model: str) -> int | None:
    """The bound of a base, of its dated versions, and of what was tuned from it.

    OpenAI writes a tuned model as `ft:<base>:...`, Azure as `<base>.ft-...`.
    """
    base = model.removeprefix("ft:").split(":")[0].split(".ft-")[0].lower()
    known = [name for name in ROW_TOKENS if base == name or base.startswith(f"{name}-")]
    return ROW_TOKENS[max(known, key=len)] if known else None


ROW_TOKENS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "gpt-4.1": 65_536,
        "gpt-4.1-mini": 65_536,
        "gpt-4.1-nano": 65_536,
        "gpt-4o-2024-08-06": 65_536,
        "gpt-4o-mini": 65_536,
        "gpt-3.5-turbo": 16_385,
        "gpt-35-turbo": 16_385,
        "gpt-3.5-turbo-0613": 4_096,
        "gpt-35-turbo-0613": 4_096,
    }
)
"""Most tokens of one training row, by base model. Longer rows are cut at their end, not refused.

Sources: OpenAI's fine-tuning best practices, copy of 2026-07-15, for the first five; its data
preparation notebook for gpt-3.5-turbo; Azure's fine-tuning tutorial for the version 0613.
"""

_MIB: Final = 1024 * 1024
_NO_SYSTEM_MESSAGES: Final = frozenset({"azure"})
"""Whose reinforcement prompts have no system message (Azure's page on the method, 2026-10)."""

_SERVICES: Final[Mapping[str, DataLimits]] = MappingProxyType(
    {
        "openai": DataLimits(
            service="OpenAI",
            min_rows=10,
            max_bytes=512 * _MIB,
            max_row_images=10,
            max_image_bytes=10 * _MIB,
            max_image_rows=50_000,
            source="OpenAI's fine-tuning guides (2026-07-15) and OpenAPI document (2026-08-21)",
            as_of="2026-11-23",
        ),
        "azure": DataLimits(
            service="Azure OpenAI",
            min_rows=10,
            max_bytes=512 * _MIB,
            max_job_tokens=2_000_000_000,
            max_row_images=64,
            max_image_bytes=10 * _MIB,
            max_image_rows=50_000,
            source="Microsoft's fine-tuning pages (2026-07-31) and quotas page (2026-02-17)",
            as_of="2026-11-23",
        ),
    }
)
