"""Rows of one index that are also in another, exactly or nearly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tunekit.data.likeness.candidates import CANDIDATE_BYTES, candidates
from tunekit.data.likeness.groups import PAIR_BYTES, equal_pairs, in_order
from tunekit.data.likeness.index import THRESHOLD, LikenessIndex, ReadLine, marked
from tunekit.data.likeness.verify import verified
from tunekit.data.records import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def exact_leaks(train: LikenessIndex, other: LikenessIndex) -> Iterator[tuple[int, int]]:
    """Give `(line, training line)` for each row of `other` that is the same as a training row.

    In the order of `other`; the training line is the first of that row.
    """
    for pairs in _equal(train, other):
        for ordinal, first in pairs.tolist():
            yield other.line(ordinal), train.line(first)


def near_leaks(
    train: LikenessIndex,
    other: LikenessIndex,
    read_train: ReadLine,
    read_other: ReadLine,
    threshold: float = THRESHOLD,
) -> Iterator[tuple[int, int, float]]:
    """Give `(line, training line, similarity)` for rows nearly the same as a training row.

    In the order of `other`, each at most once. Rows that `exact_leaks` gives are left out.

    Args:
        train: The training rows.
        other: The rows that are looked for among them.
        read_train: Reads the training row of a line again.
        read_other: Reads the row of a line of `other` again.
        threshold: The least similarity; see `LikenessIndex.near_duplicates`.
    """

    def again(ordinal: int) -> Row:
        return read_other(other.line(ordinal - train.rows))

    def train_again(ordinal: int) -> Row:
        return read_train(train.line(ordinal))

    asking = other.signed(marked(other.rows, _equal(train, other)))
    base = train.signed(marked(train.rows, iter(())))
    out = other.column(CANDIDATE_BYTES)
    try:
        candidates(asking, base, threshold, out)
        pairs = in_order(out, train.rows + other.rows)
        for ordinal, first, similarity in verified(pairs, again, train_again, threshold):
            yield other.line(ordinal - train.rows), train.line(first), similarity
    finally:
        out.close()


def _equal(train: LikenessIndex, other: LikenessIndex) -> Iterator[NDArray[np.uint64]]:
    """Pairs of ordinals, the other row's before the training row's, in order."""
    import numpy as np

    out = other.column(PAIR_BYTES)
    try:
        equal_pairs([train.digests, other.digests], out)
        for pairs in in_order(out, train.rows + other.rows):
            across = pairs[(pairs[:, 0] >= train.rows) & (pairs[:, 1] < train.rows)]
            yield across - np.array([train.rows, 0], np.uint64)
    finally:
        out.close()
