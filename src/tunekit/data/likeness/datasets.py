"""The likeness of a dataset's rows, which are called by their positions here."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from typing import TYPE_CHECKING, Final

from tunekit.data.likeness.index import LOWEST_THRESHOLD, THRESHOLD, LikenessIndex
from tunekit.data.likeness.keys import DIGEST_BYTES, row_keys
from tunekit.data.likeness.signatures import signatures
from tunekit.data.records import Row
from tunekit.data.sources import Located, passed_over
from tunekit.errors import DataError
from tunekit.problems import Problem

if TYPE_CHECKING:
    from tunekit.data.dataset import Dataset

_BATCH: Final = 512


def duplicate_lines(dataset: Dataset, *, near: bool, threshold: float = THRESHOLD) -> Iterator[int]:
    """Give the 0-based positions of rows that are the same as an earlier one, in order.

    Rows that cannot be read are like no other. Memory does not grow with the rows, except for what
    finding rows by position takes.

    Args:
        dataset: The rows; read once, and those in doubt once more.
        near: Whether rows that are nearly the same as an earlier one are given too.
        threshold: The least Jaccard similarity of those.

    Raises:
        DataError: The threshold is not from `LOWEST_THRESHOLD` to 1, or the disk is full.
    """
    if near and not LOWEST_THRESHOLD <= threshold <= 1:
        raise DataError(
            f"`threshold` is {threshold!r}; similar rows are found from {LOWEST_THRESHOLD} to 1.",
            next_step=f"Rows count as nearly the same from {THRESHOLD} on by default.",
        )
    return _duplicate_lines(dataset, near, threshold)


def _duplicate_lines(dataset: Dataset, near: bool, threshold: float) -> Iterator[int]:
    with indexed(dataset, near=near) as index:
        same = (position for position, _ in index.duplicates())
        if not near:
            yield from same
            return
        found = index.near_duplicates(RowReader(dataset), threshold)
        yield from merge(same, (position for position, _, _ in found))


def indexed(dataset: Dataset, *, near: bool) -> LikenessIndex:
    """Note all rows of a dataset that can be read, by their positions. Close the index after use.

    Raises:
        DataError: The dataset cannot be read at all, or the disk is full.
    """
    index = LikenessIndex(near)
    try:
        batch = _Batch(index)
        position = 0
        for _, content in dataset.entries():
            if not isinstance(content, Problem):
                batch.add(position, content)
            position += not passed_over(content)
        batch.flush()
    except BaseException:
        index.close()
        raise
    return index


class _Batch:
    """Rows whose signatures are made at once."""

    def __init__(self, index: LikenessIndex) -> None:
        self._index = index
        self._clear()

    def _clear(self) -> None:
        self._positions: list[int] = []
        self._digests = bytearray()
        self._prompts = bytearray()
        self._texts: list[str] = []

    def add(self, position: int, row: Row) -> None:
        keys = row_keys(row)
        self._positions.append(position)
        self._digests += keys.row
        self._prompts += keys.prompt or bytes(DIGEST_BYTES)
        self._texts.append(keys.text)
        if len(self._positions) == _BATCH:
            self.flush()

    def flush(self) -> None:
        sketches = signatures(self._texts) if self._index.near else b""
        self._index.add(self._positions, bytes(self._digests), bytes(self._prompts), sketches)
        self._clear()


class RowReader:
    """Reads rows of a dataset again, by position."""

    def __init__(self, dataset: Dataset) -> None:
        self._name = dataset.source
        self._source = dataset._source

    def at(self, position: int) -> Located:
        """Give the file's name, the line, and what stands there.

        Raises:
            DataError: There is no such row any more: the file has changed.
        """
        try:
            return next(self._source.located([position]))
        except (IndexError, StopIteration):
            raise self._changed() from None

    def __call__(self, position: int) -> Row:
        """Give the row at a position that was read before.

        Raises:
            DataError: It cannot be read any more: the file has changed.
        """
        _, _, content = self.at(position)
        if isinstance(content, Problem):
            raise self._changed()
        return content

    def _changed(self) -> DataError:
        return DataError(
            f"The data {self._name!r} has changed since it was first read.",
            next_step="Load it again, so that every part comes from the same file.",
        )
