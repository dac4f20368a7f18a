"""Rows with equal keys, found in bounded memory.

The keys of all rows may be more than fits into memory. So they are read several times, and each
time only those of one partition are held: keys that leave the same remainder. Equal keys are in one
partition. Rows are called by their ordinals here: 0 for the first that was added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from tunekit.data.likeness.spill import Column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HELD: Final = 1 << 18
"""Rows that a partition holds on average; some 200 bytes of memory each while it is sorted."""

PAIR_BYTES: Final = 16
"""Two ordinals as 64-bit numbers, the later row's before the earlier's."""


def partitions(rows: int) -> int:
    """How many partitions rows are parted into."""
    return max(1, -(-rows // HELD))


def equal_pairs(
    keys: Sequence[Column], out: Column, *, unlike: Sequence[Column] | None = None
) -> None:
    """Pair each row with the first that has the same key. Keys of zeros are like no other.

    Args:
        keys: Columns of 16-byte digests, taken as one long column.
        out: Gets the pairs, of `PAIR_BYTES`, in no order.
        unlike: Columns of 16-byte digests beside them; pairs whose digests are equal are left out.
    """
    import numpy as np

    count = partitions(sum(column.rows for column in keys))
    for number in range(count):
        held = np.empty((0, 4), np.uint64)
        waiting: list[NDArray[np.uint64]] = []
        limit = 2 * HELD
        for cells in _partition(keys, unlike or keys, number, count):
            waiting.append(cells)
            if len(held) + sum(map(len, waiting)) > limit:
                held = _pair_off(np.concatenate([held, *waiting]), out)
                waiting.clear()
                limit = max(limit, 2 * len(held))
        _pair_off(np.concatenate([held, *waiting]), out)


def _partition(
    keys: Sequence[Column], beside: Sequence[Column], number: int, count: int
) -> Iterator[NDArray[np.uint64]]:
    """The rows of a partition: both halves of the key, half of the digest beside it, ordinal."""
    import numpy as np

    before = 0
    for column, other in zip(keys, beside, strict=True):
        for start, cells in column.chunks():
            key = np.frombuffer(cells, np.uint64).reshape(-1, 2)
            second = key
            if other is not column:
                second = np.frombuffer(other.read(start, len(key)), np.uint64).reshape(-1, 2)
            chosen = np.flatnonzero(
                (key[:, 0] % np.uint64(count) == number) & ((key[:, 0] | key[:, 1]) != 0)
            )
            ordinals = (chosen + (before + start)).astype(np.uint64)
            yield np.column_stack([key[chosen], second[chosen, 0], ordinals])
        before += column.rows


def _pair_off(cells: NDArray[np.uint64], out: Column) -> NDArray[np.uint64]:
    """Write the pairs among these rows; give back the first row of each key."""
    import numpy as np

    unlike = cells[:, 2]
    seen_twice = _perhaps_equal(cells[:, 1])
    order = seen_twice[
        np.lexsort((cells[seen_twice, 3], cells[seen_twice, 0], cells[seen_twice, 1]))
    ]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (cells[order[1:], :2] != cells[order[:-1], :2]).any(axis=1)
    first = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
    later, first = order[~begins], first[~begins]
    # Where the digests beside the keys are the keys themselves, nothing is left out.
    same = (unlike[later] == unlike[first]) & (unlike[later] != cells[later, 0])
    pairs = cells[np.column_stack([later, first])[~same], 3]
    out.append(pairs.tobytes())
    kept = np.ones(len(cells), np.bool_)
    kept[later] = False
    return cells[kept]


def _perhaps_equal(values: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Places of values whose upper halves are not unique: all equal ones, and hardly any other.

    Sorting numbers is many times faster than sorting places by number.
    """
    import numpy as np

    places = np.arange(len(values), dtype=np.uint64)
    packed = values >> np.uint64(32) << np.uint64(32) | places
    packed.sort()
    high = packed >> np.uint64(32)
    equal = np.zeros(len(values) + 1, np.bool_)
    equal[1:-1] = high[1:] == high[:-1]
    return (packed[equal[1:] | equal[:-1]] & np.uint64(0xFFFFFFFF)).astype(np.intp)


def in_order(column: Column, rows: int) -> Iterator[NDArray[np.uint64]]:
    """Give the tuples of a column sorted by their first number, in arrays that fit into memory.

    Args:
        column: Tuples of 64-bit numbers, in any order.
        rows: Is above each first number.
    """
    import numpy as np

    step = -(-rows // partitions(column.rows)) or 1
    for start in range(0, rows, step):
        found = [np.empty((0, column.width // 8), np.uint64)]
        for _, cells in column.chunks():
            numbers = np.frombuffer(cells, np.uint64).reshape(-1, column.width // 8)
            found.append(numbers[(numbers[:, 0] >= start) & (numbers[:, 0] < start + step)])
        together = np.concatenate(found)
        if len(together):
            yield together[np.lexsort(together.T[::-1])]
