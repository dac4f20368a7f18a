"""Short signatures of texts, from which those that are much alike can be told without the texts.

A signature holds `BANDS` keys and a sketch. Two texts that share a key in the same place may be
alike, and the share of equal bits in their sketches says how much. How it was chosen is in
`docs/decisions/near-duplicates.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from tunekit.data.likeness.shingles import mixed, shingles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BINS: Final = 128
"""Values of one MinHash, one from each bin of the hashes' range."""

BANDS: Final = 16
"""Keys of a signature; each is made of `BINS / BANDS` = 8 values and the text's numbers.

Two texts of Jaccard similarity s with the same numbers share at least one with probability
1 - (1 - s^8)^16: 0.9999 for 0.9, 0.95 for 0.8, 0.24 for 0.6 and 0.06 for 0.5.
"""

KEY_BYTES: Final = 4
SKETCH_BYTES: Final = BINS // 8
SIGNATURE_BYTES: Final = BANDS * KEY_BYTES + SKETCH_BYTES
"""80 bytes: the keys as 32-bit numbers with the lowest byte first, then one bit of each value."""

FEW: Final = 16
"""Texts with fewer shingles share keys only where all their shingles are the same."""

_BLOCK_ROWS: Final = 256
_BLOCK_CHARACTERS: Final = 100_000
"""A block of texts is worked on at once; its arrays should fit the processor's cache."""

_EMPTY: Final = 0xFFFFFFFF


def signatures(texts: Sequence[str]) -> bytes:
    """Make a signature of `SIGNATURE_BYTES` for each text, one after the other.

    The same text gives the same bytes in every process and on every machine. The signature of a
    text without shingles (fewer than 5 letters) is all zeros, and like no other.

    One-permutation hashing (Li, Owen and Zhang, 2012): each shingle is hashed once and counts in
    one bin only. Empty bins are filled from others, in an order of their own, which leaves the
    estimate without bias (Shrivastava, 2017, "optimal densification").
    """
    return b"".join(_signatures(block) for block in _blocks(texts))


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    start = characters = 0
    for place, text in enumerate(texts):
        if place - start == _BLOCK_ROWS or characters > _BLOCK_CHARACTERS:
            yield texts[start:place]
            start, characters = place, 0
        characters += len(text)
    if start < len(texts):
        yield texts[start:]


def _signatures(texts: Sequence[str]) -> bytes:
    import numpy as np

    hashes, counts, numbers = shingles(texts)
    rows = np.repeat(np.arange(len(texts), dtype=np.uint32), counts)
    flat = np.full(len(texts) * BINS, _EMPTY, np.uint32)
    # The 7 highest bits choose the bin, the others are the value. Its low bits are 0: not `_EMPTY`.
    bins = rows * np.uint32(BINS) + (hashes >> np.uint32(25))
    np.minimum.at(flat, bins, hashes << np.uint32(7))
    values = flat.reshape(len(texts), BINS)
    few = np.flatnonzero(counts < FEW)
    if len(few):
        totals = np.bincount(rows, hashes, len(texts))[few].astype(np.uint64).astype(np.uint32)
        spread = np.add.outer(totals, np.arange(BINS, dtype=np.uint32))
        values[few] = mixed(spread.astype(np.uint32))
    _fill_empty(values)
    mixed(values)

    result = np.empty((len(texts), SIGNATURE_BYTES), np.uint8)
    # Rows with different numbers are never nearly the same (see `marks_of`), so that they need not
    # share a key; those made from one template would fill the buckets.
    keys = np.repeat(numbers[:, None], BANDS, axis=1)
    for place in range(BINS // BANDS):
        keys += values[:, place :: BINS // BANDS]
        keys *= np.uint32(0x9E3779B1)
    result[:, : BANDS * KEY_BYTES] = mixed(keys).astype("<u4").view(np.uint8)
    result[:, BANDS * KEY_BYTES :] = np.packbits((values & np.uint32(1)).astype(np.bool_), axis=1)
    result[counts == 0] = 0
    return result.tobytes()


def _fill_empty(values: NDArray[np.uint32]) -> None:
    """Give each empty bin the value of the first full one in the bin's own order, in place."""
    import numpy as np

    rows, bins = np.nonzero(values == _EMPTY)
    full = values.copy()
    orders = _orders()
    for step in range(BINS):
        if not len(rows):
            return
        found = full[rows, orders[bins, step]]
        values[rows, bins] = found
        left = found == _EMPTY
        rows, bins = rows[left], bins[left]


@cache
def _orders() -> NDArray[np.intp]:
    """For each bin an order of all bins, of shape `(BINS, BINS)`, the same everywhere."""
    import numpy as np

    ranks = mixed(np.arange(1, BINS * BINS + 1, dtype=np.uint32)).reshape(BINS, BINS)
    return np.argsort(ranks, axis=1, kind="stable")
