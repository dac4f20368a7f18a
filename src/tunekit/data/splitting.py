"""Which row goes to which part of a split.

The shuffle is a Fisher-Yates shuffle driven by SplitMix64 (Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014), written out here so that a split is the same under
every Python version, on every platform, for ever:

1. state = the first 8 bytes, big-endian, of SHA-256 of the ASCII text `tunekit split <seed>`
2. for `last` from `n - 1` down to 1: draw 64 bits, `other = draw * (last + 1) >> 64`, swap the two
3. the parts are consecutive stretches of the result

Splits by group and by label use the same shuffle; see `tunekit.data.groups` and
`tunekit.data.strata`.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from tunekit.errors import DataError

_MASK: Final = (1 << 64) - 1
TOLERANCE: Final = Fraction(1, 10**6)
"""How far from 1 fractions may add up and still mean "all rows", and how far from a whole number
of rows a share may fall and still mean that number: floats are not exact."""


def permutation(count: int, seed: int) -> array[int]:
    """Shuffle `0 .. count - 1` in the way that the module describes; 8 bytes a row."""
    order = array("Q", range(count))
    state = int.from_bytes(hashlib.sha256(b"tunekit split %d" % seed).digest()[:8], "big")
    for last in range(count - 1, 0, -1):
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        mixed ^= mixed >> 31
        other = (mixed * (last + 1)) >> 64
        order[last], order[other] = order[other], order[last]
    return order


def part_sizes(count: int, parts: Sequence[float], *, method: str = "split") -> list[int]:
    """Say how many of `count` rows each part gets.

    Fractions are shared out by largest remainder, ties to the earlier part. They are read as the
    decimals that were written (0.1 is one tenth), and together they get the whole number of rows
    next below `count` times their sum; all rows when they add up to 1.

    Args:
        count: How many rows there are.
        parts: Fractions, or numbers of rows.
        method: What messages call the caller.

    Raises:
        DataError: The parts are no sizes, are mixed, or add up to more than there is.
    """
    if not parts:
        raise DataError(
            f"`{method}` needs at least one part.", next_step=f"For example `{method}(0.9, 0.1)`."
        )
    if any(isinstance(part, bool) or not isinstance(part, int | float) for part in parts):
        raise DataError(f"`{method}` takes numbers, not {parts!r}.")
    if all(isinstance(part, int) for part in parts):
        return _counts(count, [int(part) for part in parts])
    if any(isinstance(part, int) for part in parts):
        raise DataError(
            f"`{method}{tuple(parts)!r}` mixes fractions and numbers of rows.",
            next_step="Use only fractions (with a decimal point) or only whole numbers.",
        )
    return _fractions(count, parts)


def _counts(count: int, sizes: list[int]) -> list[int]:
    if min(sizes) < 1:
        raise DataError(f"A part of {min(sizes)} rows is none.")
    if sum(sizes) > count:
        raise DataError(
            f"The parts need {sum(sizes)} rows, but there are {count}.",
            next_step="Ask for fewer rows, or for fractions.",
        )
    return sizes


def _fractions(count: int, parts: Sequence[float]) -> list[int]:
    if not all(0 < part <= 1 for part in parts):
        raise DataError(f"Each fraction must be above 0 and at most 1, not {tuple(parts)!r}.")
    # float() first: the repr of a NumPy number is no decimal.
    shares = [Fraction(repr(float(part))) for part in parts]
    total = sum(shares, Fraction(0))
    if total > 1 + TOLERANCE:
        raise DataError(f"The fractions {tuple(parts)!r} add up to more than 1.")
    if abs(total - 1) <= TOLERANCE:
        shares = [share / total for share in shares]
        total = Fraction(1)
    quotas = [share * count for share in shares]
    sizes = [math.floor(quota) for quota in quotas]
    # 46 / 61 as a float is a hair below; 61 rows times it must still be 46.
    left = math.floor(total * count + TOLERANCE) - sum(sizes)
    by_remainder = sorted(range(len(sizes)), key=lambda part: sizes[part] - quotas[part])
    for part in by_remainder[:left]:
        sizes[part] += 1
    return sizes
