"""The `[data]` table of a job file: files, a split, and columns that become messages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunekit._text import did_you_mean
from tunekit.data import Dataset
from tunekit.data.formats import ColumnMapping
from tunekit.errors import ConfigError

_KEYS = ("train", "validation", "split", "seed", "columns", "delimiter")


def open_file(path: Path, *, delimiter: str = ",", columns: ColumnMapping | None = None) -> Dataset:
    """Open a data file by its ending: CSV, TSV or Parquet, otherwise JSONL in OpenAI's form."""
    ending = path.suffix.lower()
    if columns is not None or ending == ".parquet":
        return Dataset.read(path, columns=columns, delimiter=delimiter)
    if ending in (".csv", ".tsv"):
        return Dataset.from_csv(path, delimiter="\t" if ending == ".tsv" else delimiter)
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
    columns = None
    if "columns" in table:
        columns = ColumnMapping.parse(table["columns"], setting="data.columns", origin=origin)

    def opened(key: str) -> Dataset:
        value = table[key]
        if not isinstance(value, str):
            raise ConfigError(f"`data.{key}` in {origin} must be a path, got {value!r}.")
        path = folder / Path(value).expanduser()
        return open_file(path, delimiter=table.get("delimiter", ","), columns=columns)

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
