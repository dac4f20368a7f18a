"""Pairs of rows whose signatures say that their texts may be much alike.

Rows with the same key in the same band form a bucket. In a file of rows made from templates,
buckets grow with the file. So a row is compared only with a few of its bucket: the first, and its
neighbours in an order by the key of the next band, since rows that share two keys stand side by
side in it. The work grows with the number of rows, not with that of pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tunekit.data.likeness.groups import HELD, partitions
from tunekit.data.likeness.signatures import BANDS, BINS
from tunekit.data.likeness.spill import Column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CANDIDATE_BYTES: Final = 24
"""Three 64-bit numbers: the asking row's ordinal, its distance from the other, the other's."""

FIRSTS: Final = 2
"""How many of the first rows of a bucket all others are compared with."""

_PLACE_BITS: Final = 22


@dataclass(frozen=True, slots=True)
class Signed:
    """The signatures of one index.

    Attributes:
        bands: For each band a column of 4-byte keys.
        sketches: A column of 16-byte sketches; those of zeros are like no other.
        left_out: A bit for each row, the lowest first, that is set where it is not looked at.
    """

    bands: Sequence[Column]
    sketches: Column
    left_out: NDArray[np.uint8] | None = None


def candidates(asking: Signed, base: Signed | None, threshold: float, out: Column) -> None:
    """Find pairs of rows that may have a Jaccard similarity of `threshold` or more.

    Args:
        asking: Rows for which others are looked for.
        base: The rows among which they are looked for; None for earlier rows of the same index.
        threshold: From which similarity on a pair counts; reliable from 0.8 up.
        out: Gets the pairs, of `CANDIDATE_BYTES`, in no order and some of them repeatedly.
    """
    import numpy as np

    if base is not None and not base.sketches.rows:
        return
    search = _Search(base.sketches.rows if base else 0, most_distance(threshold), out)
    sources = [asking] if base is None else [base, asking]
    count = partitions(sum(source.sketches.rows for source in sources))
    for band in range(BANDS):
        for number in range(count):
            held = _nothing()
            waiting: list[NDArray[np.uint64]] = []
            limit = 2 * HELD
            for cells in _partition(sources, band, number, count):
                waiting.append(cells)
                if len(held) + sum(map(len, waiting)) > limit:
                    cells = np.concatenate([held, *waiting])
                    search.pair_off(cells)
                    held = search.firsts(cells)
                    waiting.clear()
                    limit = max(limit, 2 * len(held))
            search.pair_off(np.concatenate([held, *waiting]))


def most_distance(threshold: float) -> int:
    """In how many bits the sketches of two texts of this similarity may differ.

    A bit differs with probability (1 - s) / 2. Three standard deviations more are allowed.
    """
    expected = (1 - threshold) / 2
    return math.floor(BINS * expected + 3 * math.sqrt(BINS * expected * (1 - expected)))


def _nothing() -> NDArray[np.uint64]:
    import numpy as np

    return np.empty((0, 4), np.uint64)


def _partition(
    sources: Sequence[Signed], band: int, number: int, count: int
) -> Iterator[NDArray[np.uint64]]:
    """Rows of a partition: key with the next band's upper bits, both sketch halves, ordinal."""
    import numpy as np

    before = 0
    for source in sources:
        following = source.bands[(band + 1) % BANDS]
        for start, cells in source.bands[band].chunks():
            keys = np.frombuffer(cells, "<u4")
            sketches = np.frombuffer(source.sketches.read(start, len(keys)), np.uint64)
            sketches = sketches.reshape(-1, 2)
            chosen = (keys % np.uint32(count) == number) & ((sketches[:, 0] | sketches[:, 1]) != 0)
            if source.left_out is not None:
                bits = source.left_out[start // 8 : -(-(start + len(keys)) // 8)]
                chosen &= np.unpackbits(bits, count=len(keys), bitorder="little") == 0
            places = np.flatnonzero(chosen)
            second = np.frombuffer(following.read(start, len(keys)), "<u4")[places]
            ranks = keys[places].astype(np.uint64) << np.uint64(32) | second
            ordinals = (places + (before + start)).astype(np.uint64)
            yield np.column_stack([ranks, sketches[places], ordinals])
        before += source.sketches.rows


class _Search:
    """Pairs the rows of one partition after the other.

    Args:
        base_rows: Rows with lower ordinals are looked for, all others ask; 0 where all do both.
        most: How far apart the sketches of a pair may be, in bits.
        out: Gets the pairs.
    """

    def __init__(self, base_rows: int, most: int, out: Column) -> None:
        self._base_rows = base_rows
        self._most = most
        self._out = out

    def pair_off(self, cells: NDArray[np.uint64]) -> None:
        """Write the pairs among these rows."""
        import numpy as np

        order, keys = _in_buckets(cells)
        equal = np.zeros(len(keys) + 1, np.bool_)
        equal[1:-1] = keys[1:] == keys[:-1]
        shared = equal[1:] | equal[:-1]
        order, keys = order[shared], keys[shared]
        base, before, begins = self._base(cells[order, 3], keys)
        # In `base`, the places of the rows looked for, each bucket has a range of its own.
        bucket = np.cumsum(begins) - 1
        first = before[begins][bucket]
        last = np.append(before[begins][1:], len(base))[bucket]
        if self._base_rows:
            asks = np.flatnonzero((cells[order, 3] >= self._base_rows) & (last > first))
        else:
            asks = np.arange(len(order))
        here, start, end = before[asks], first[asks], last[asks]
        others = [start + number for number in range(FIRSTS)]
        others += [here - 1, here] if self._base_rows else [here - 2, here - 1]
        for other in others:
            valid = (other >= start) & (other < end)
            self._compare(cells, order[asks[valid]], order[base[other[valid]]])

    def firsts(self, cells: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The rows with which those that follow are compared: the first of each bucket."""
        import numpy as np

        order, keys = _in_buckets(cells)
        base, before, begins = self._base(cells[order, 3], keys)
        first = before[begins][np.cumsum(begins) - 1]
        kept: NDArray[np.uint64] = cells[order[base[np.arange(len(base)) - first[base] < FIRSTS]]]
        return kept

    def _base(
        self, ordinals: NDArray[np.uint64], keys: NDArray[np.uint64]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """Places of the rows looked for, how many stand before each row, where buckets begin."""
        import numpy as np

        is_base = ordinals < self._base_rows if self._base_rows else np.ones(len(keys), np.bool_)
        begins = np.ones(len(keys), np.bool_)
        begins[1:] = keys[1:] != keys[:-1]
        return np.flatnonzero(is_base), np.cumsum(is_base) - is_base, begins

    def _compare(
        self, cells: NDArray[np.uint64], left: NDArray[np.intp], right: NDArray[np.intp]
    ) -> None:
        import numpy as np

        differing = np.bitwise_count(cells[left, 1:3] ^ cells[right, 1:3]).sum(axis=1)
        near = (differing <= self._most) & (left != right)
        one, other = cells[left[near], 3], cells[right[near], 3]
        found = [np.maximum(one, other), differing[near].astype(np.uint64), np.minimum(one, other)]
        self._out.append(np.column_stack(found).tobytes())


def _in_buckets(cells: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Places of the rows sorted by key, then by the next band's; and the sorted keys."""
    import numpy as np

    low = np.uint64((1 << _PLACE_BITS) - 1)
    packed = cells[:, 0] & ~low | np.arange(len(cells), dtype=np.uint64)
    packed.sort()
    return (packed & low).astype(np.intp), packed >> np.uint64(32)
