"""All rows of a training, encoded: ids and labels packed tightly, and every unusable row.

Free of torch; standard library only, besides the tokenizer that the encoder holds.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tunekit.providers.trl.faults import TrainingFault
from tunekit.providers.trl.masks import MaskError, RowEncoder

IGNORED = -100
"""The label of a token that is not trained on; torch's cross entropy leaves it out."""

SHOWN = 10
"""Faulty rows that a message names; the rest are counted."""

LINE_KEY = "_line"

OverLong = Literal["error", "truncate", "drop"]


@dataclass(frozen=True, slots=True)
class RowFault:
    """Why one row cannot be trained on."""

    line: int
    code: str
    message: str
    path: str = ""


@dataclass
class EncodedRows:
    """Rows one after another in flat arrays; row `i` is `ids[offsets[i]:offsets[i + 1]]`.

    Eight bytes per token, where lists of numbers would take nine times as much.
    """

    ids: array[int] = field(default_factory=lambda: array("i"))
    labels: array[int] = field(default_factory=lambda: array("i"))
    offsets: array[int] = field(default_factory=lambda: array("q", [0]))
    longest: int = 0
    largest_id: int = 0
    trained_tokens: int = 0
    truncated: int = 0
    dropped: int = 0
    faults: list[RowFault] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def tokens(self) -> int:
        """Tokens of all rows together, counted once."""
        return len(self.ids)

    def row(self, index: int) -> tuple[list[int], list[int]]:
        """Ids and labels of one row."""
        start, end = self.offsets[index], self.offsets[index + 1]
        return list(self.ids[start:end]), list(self.labels[start:end])

    def raise_on_fault(self, what: str) -> None:
        """Refuse to go on with rows that cannot be used.

        Args:
            what: What the rows are, for example `training data`.

        Raises:
            TrainingFault: With the code of the first faulty row, naming the first few lines.
        """
        if not self.faults:
            return
        first = self.faults[0]
        alike = [fault for fault in self.faults if fault.code == first.code]
        lines = ", ".join(str(fault.line) for fault in alike[:SHOWN])
        if len(alike) > SHOWN:
            lines += f" and {len(alike) - SHOWN} more"
        others = len(self.faults) - len(alike)
        rest = f" {others} rows have other faults." if others else ""
        plural = "lines" if len(alike) > 1 else "line"
        raise TrainingFault(first.code, f"{plural} {lines} of the {what}: {first.message}{rest}")


def read_rows(path: Path, *, sha256: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give `(line in the user's file, row)` for each row of a run's data file.

    Raises:
        TrainingFault: The file is not the one that was handed over (found at its end).
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            digest.update(line)
            row = json.loads(line)
            yield int(row.pop(LINE_KEY, number)), row
    if sha256 is not None and digest.hexdigest() != sha256:
        raise TrainingFault(
            "data-changed",
            f"{path.name} is not the file that was handed over: its content has changed since."
            " Launch a new job with the data as it should be.",
        )


def encode_rows(
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    encoder: RowEncoder,
    *,
    max_length: int | None,
    over_long: OverLong = "error",
) -> EncodedRows:
    """Encode all rows and note every one that cannot be used.

    Args:
        rows: `(line, row)` pairs.
        encoder: Turns a row into ids and a mask.
        max_length: Longest row in tokens; None for no limit.
        over_long: What to do with longer rows.
    """
    table = EncodedRows()
    for line, row in rows:
        try:
            encoded = encoder.encode(row)
        except MaskError as error:
            table.faults.append(RowFault(line, error.code, str(error), error.path))
            continue
        ids, mask = encoded.input_ids, encoded.mask
        if max_length is not None and len(ids) > max_length:
            if over_long == "drop":
                table.dropped += 1
                continue
            if over_long == "error":
                message = (
                    f"The row has {len(ids)} tokens, and at most {max_length} are allowed. Shorten"
                    " it, raise `options.trl.max_length` if the model can take more, or set"
                    " `options.trl.over_long` to 'truncate' or 'drop'."
                )
                table.faults.append(RowFault(line, "row-too-long", message))
                continue
            table.truncated += 1
            ids, mask = ids[:max_length], mask[:max_length]
        trained = sum(mask[1:])  # nothing comes before the first token to predict it from
        if not trained:
            message = (
                "The row has no token that is trained on: its answers are empty, have weight 0, or"
                " were cut off."
            )
            table.faults.append(RowFault(line, "row-trains-on-nothing", message))
            continue
        table.ids.extend(ids)
        table.labels.extend(t if flag else IGNORED for t, flag in zip(ids, mask, strict=True))
        table.offsets.append(len(table.ids))
        table.longest = max(table.longest, len(ids))
        table.largest_id = max(table.largest_id, max(ids))
        table.trained_tokens += trained
    return table


def system_prompt_of(row: Mapping[str, Any]) -> str | None:
    """The system prompt with which a conversation begins."""
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        return None
    first = messages[0]
    if first.get("role") not in ("system", "developer") or not isinstance(first["content"], str):
        return None
    return str(first["content"])


class SystemPromptWatch:
    """Notes, while rows pass by, whether all of them begin with the same system prompt."""

    def __init__(self) -> None:
        self._seen: set[str | None] = set()

    def passing(
        self, rows: Iterable[tuple[int, dict[str, Any]]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Give the rows on as they are."""
        for line, row in rows:
            if len(self._seen) < 2:
                self._seen.add(system_prompt_of(row))
            yield line, row

    @property
    def prompt(self) -> str | None:
        """The prompt that all rows share; None when they do not."""
        return next(iter(self._seen)) if len(self._seen) == 1 else None
