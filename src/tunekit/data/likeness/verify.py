"""From pairs that may be alike to those that are: their rows are read again and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tunekit.data.likeness.keys import marks_of, text_of
from tunekit.data.likeness.similarity import similarities
from tunekit.data.records import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMPARED: Final = 3
"""With how many others a row is compared at most, those of the nearest signatures first."""

_BATCH_PAIRS: Final = 256
_BATCH_CHARACTERS: Final = 1_000_000

ReadRow = Callable[[int], Row]
"""Reads the row with this ordinal again."""


def verified(
    candidates: Iterable[NDArray[np.uint64]],
    read: ReadRow,
    read_other: ReadRow,
    threshold: float,
) -> Iterator[tuple[int, int, float]]:
    """Give the row most like it for each row that has one, in the order of the rows.

    Two rows are nearly the same when the Jaccard similarity of their texts' shingles is at least
    `threshold`, and their numbers and images are equal.

    Args:
        candidates: Arrays of `(ordinal, distance, other ordinal)`, sorted.
        read: Reads the row of the first ordinal.
        read_other: Reads the row of the other.
        threshold: Similarity from 0 to 1.

    Returns:
        `(ordinal, other ordinal, similarity)`.
    """
    batch = _Batch(read, read_other, threshold)
    for array in candidates:
        for ordinal, other in _nearest(array):
            if batch.is_full and ordinal != batch.last:
                yield from batch.take()
            batch.add(ordinal, other)
    yield from batch.take()


def _nearest(array: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """The first few different pairs of each row."""
    import numpy as np

    new = np.ones(len(array), np.bool_)
    new[1:] = (array[1:] != array[:-1]).any(axis=1)
    array = array[new]
    places = np.arange(len(array))
    begins = np.ones(len(array), np.bool_)
    begins[1:] = array[1:, 0] != array[:-1, 0]
    rank = places - np.maximum.accumulate(np.where(begins, places, 0))
    for ordinal, _, other in array[rank < COMPARED].tolist():
        yield ordinal, other


@dataclass(frozen=True, slots=True)
class _Read:
    place: int
    row: Row


class _Batch:
    """Pairs that are compared at once, and the texts of their rows."""

    def __init__(self, read: ReadRow, read_other: ReadRow, threshold: float) -> None:
        self._read = read
        self._read_other = read_other
        self._threshold = threshold
        self.last = -1
        self._clear()

    def _clear(self) -> None:
        self._pairs: list[tuple[int, int]] = []
        self._texts: list[str] = []
        self._rows: dict[tuple[ReadRow, int], _Read] = {}
        self._characters = 0

    @property
    def is_full(self) -> bool:
        return len(self._pairs) >= _BATCH_PAIRS or self._characters >= _BATCH_CHARACTERS

    def add(self, ordinal: int, other: int) -> None:
        self.last = ordinal
        self._pairs.append((ordinal, other))
        self._known(self._read, ordinal)
        self._known(self._read_other, other)

    def _known(self, read: ReadRow, ordinal: int) -> _Read:
        known = self._rows.get((read, ordinal))
        if known is None:
            row = read(ordinal)
            known = self._rows[read, ordinal] = _Read(len(self._texts), row)
            self._texts.append(text_of(row))
            self._characters += len(self._texts[-1])
        return known

    def take(self) -> Iterator[tuple[int, int, float]]:
        """Compare what was added, give the best pair of each row, and begin anew."""
        rows = [
            (self._known(self._read, ordinal), self._known(self._read_other, other))
            for ordinal, other in self._pairs
        ]
        found = similarities(self._texts, [(one.place, other.place) for one, other in rows])
        best: dict[int, tuple[float, int]] = {}
        for (ordinal, other), (one, two), similarity in zip(self._pairs, rows, found, strict=True):
            if similarity < self._threshold or not self._same_marks(one, two):
                continue
            if ordinal not in best or (similarity, -other) > (best[ordinal][0], -best[ordinal][1]):
                best[ordinal] = similarity, other
        self._clear()
        for ordinal, (similarity, other) in best.items():
            yield ordinal, other, similarity

    def _same_marks(self, one: _Read, other: _Read) -> bool:
        return marks_of(one.row, self._texts[one.place]) == marks_of(
            other.row, self._texts[other.place]
        )
