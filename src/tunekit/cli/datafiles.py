"""The `[data]` table of a job file: files, a split, and columns that become messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit._text import did_you_mean
from tunekit.data import Dataset
from tunekit.data.encoding import RowError
from tunekit.errors import ConfigError

_KEYS = ("train", "validation", "split", "seed", "columns", "delimiter")
_ROLES = ("system", "user", "assistant")
_COLUMN = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


def open_file(path: Path, *, delimiter: str = ",") -> Dataset:
    """Open a data file by its ending: CSV or TSV, otherwise JSONL."""
    ending = path.suffix.lower()
    if ending == ".csv":
        return Dataset.from_csv(path, delimiter=delimiter)
    if ending == ".tsv":
        return Dataset.from_csv(path, delimiter="\t")
    return Dataset.from_jsonl(path)


def read_splits(
    table: Mapping[str, Any], folder: Path, *, origin: str
) -> tuple[Dataset, Dataset | None]:
    """Open what a `[data]` table names.

    Args:
        table: Its content; `train` is there.
        folder: What relative paths start from.
        origin: What messages call the place of the table.

    Returns:
        Training data, and validation data if there is any. A third part of a split, meant for
        testing, is left out.

    Raises:
        ConfigError: A key is unknown, or a value cannot be used.
        DataError: A file cannot be used.
    """
    for key in table:
        if key not in _KEYS:
            raise ConfigError(
                f"Unknown setting `data.{key}` in {origin}.", next_step=did_you_mean(key, _KEYS)
            )
    columns = _Columns.read(table["columns"], origin) if "columns" in table else None

    def opened(key: str) -> Dataset:
        value = table[key]
        if not isinstance(value, str):
            raise ConfigError(f"`data.{key}` in {origin} must be a path, got {value!r}.")
        data = open_file(folder / Path(value).expanduser(), delimiter=table.get("delimiter", ","))
        return data if columns is None else data.map(columns)

    train = opened("train")
    if "split" not in table:
        return train, opened("validation") if "validation" in table else None
    if "validation" in table:
        raise ConfigError(
            f"`data.split` and `data.validation` in {origin} contradict each other.",
            next_step="Keep one of them.",
        )
    return _split(train, table["split"], table.get("seed", 0), origin)


def _split(train: Dataset, parts: Any, seed: Any, origin: str) -> tuple[Dataset, Dataset | None]:
    numbers = isinstance(parts, list) and all(
        isinstance(part, int | float) and not isinstance(part, bool) for part in parts
    )
    if not numbers or len(parts) not in (2, 3) or not isinstance(seed, int):
        raise ConfigError(
            f"`data.split` in {origin} must be two or three numbers and `data.seed` one, got "
            f"{parts!r} and {seed!r}.",
            next_step="Write `split = [0.9, 0.1]`: training, then validation; a third part is "
            "kept out of the job.",
        )
    made = train.split(*parts, seed=seed)
    return made[0], made[1]


@dataclass(frozen=True)
class _Columns:
    """Makes messages from columns; each template holds `{column}` wherever a value belongs."""

    templates: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, table: Any, origin: str) -> _Columns:
        if not isinstance(table, Mapping):
            raise ConfigError(f"`data.columns` in {origin} must be a table.")
        for role, template in table.items():
            if role not in _ROLES:
                raise ConfigError(
                    f"Unknown setting `data.columns.{role}` in {origin}.",
                    next_step=did_you_mean(role, _ROLES),
                )
            if not isinstance(template, str):
                raise ConfigError(f"`data.columns.{role}` in {origin} must be text.")
            if role != "system" and not any(m[1] for m in _COLUMN.finditer(template)):
                raise ConfigError(
                    f"`data.columns.{role}` in {origin} names no column: {template!r}.",
                    next_step=f"Put the column's name in braces, for example "
                    f'`{role} = "{{{template or "column"}}}"`.',
                )
        for role in ("user", "assistant"):
            if role not in table:
                raise ConfigError(f"`data.columns` in {origin} lacks `{role}`.")
        return cls(tuple((role, table[role]) for role in _ROLES if role in table))

    def __call__(self, row: Mapping[str, Any]) -> list[dict[str, str]]:
        return [
            {"role": role, "content": _filled(template, row)} for role, template in self.templates
        ]


def _filled(template: str, row: Mapping[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        column = match[1]
        if column is None:
            return match[0][0]  # a doubled brace stands for one
        if column not in row:
            raise RowError(
                "missing-column",
                f"There is no column {column!r}, which `data.columns` asks for.",
                did_you_mean(column, row),
            )
        found = row[column]
        if found is None:
            return ""
        return found if isinstance(found, str) else str(found)

    return _COLUMN.sub(value, template)
