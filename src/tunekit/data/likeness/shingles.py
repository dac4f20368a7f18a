"""Texts as sets of hashed shingles: runs of a few characters, whatever the language.

Words would need spaces, which Chinese, Japanese and Thai do not write. So a text is folded first
(see `_folded`), and then every run of `WIDTH` characters is one shingle.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDTH: Final = 5
"""Characters in a shingle, counted after folding."""

_PLANE: Final = 0x10000
_END: Final = _PLANE
"""Stands behind every text; no character folds to it, nor to a number above a code point."""

_WITHOUT_CASE: Final = (range(0x3400, 0xA000), range(0xAC00, 0xD7A4), range(0xE000, 0xF900))
"""Han, Hangul and private characters fold to themselves."""

_ACCENTS: Final = range(0x300, 0x370)


class Shingles(NamedTuple):
    """The shingles of some texts.

    Attributes:
        hashes: Those of all texts, one text after the other, repeated ones included.
        counts: How many each text has, of shape `(texts,)`.
        numbers: A hash for each text, the same for texts with the same numbers in any order.
    """

    hashes: NDArray[np.uint32]
    counts: NDArray[np.int64]
    numbers: NDArray[np.uint32]


def shingles(texts: Sequence[str]) -> Shingles:
    """Hash the shingles of some texts, the same way on every machine.

    Args:
        texts: Some hundred of them; more at once is slower, since they no longer fit the cache.
            A text of fewer than `WIDTH` characters has no shingle.
    """
    import numpy as np

    raw = _codes(texts)
    numbers = _numbers(raw, np.flatnonzero(raw == 0))
    codes = _folded(raw)
    ends = np.flatnonzero(codes == _END)
    counts = np.maximum(np.diff(ends, prepend=-1) - WIDTH, 0)
    starts = len(codes) - WIDTH + 1
    if starts <= 0:
        return Shingles(np.empty(0, np.uint32), counts, numbers)
    hashes = codes[:starts] * np.uint32(0x9E3779B1)
    for offset in range(1, WIDTH):
        hashes += codes[offset : offset + starts]
        hashes *= np.uint32(0x9E3779B1)
    # A run that begins `WIDTH - 1` characters or less before an end is not within one text.
    within = np.ones(starts, np.bool_)
    for offset in range(WIDTH):
        before = ends - offset
        within[before[(before >= 0) & (before < starts)]] = False
    return Shingles(mixed(hashes[within]), counts, numbers)


def _numbers(codes: NDArray[np.uint32], ends: NDArray[np.intp]) -> NDArray[np.uint32]:
    """For each text, which ends at one of the places, the sum of the hashes of its numbers."""
    import numpy as np

    sums = np.zeros(len(ends), np.uint32)
    places = np.flatnonzero(codes - np.uint32(ord("0")) < 10)
    if not len(places):
        return sums
    begins = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    lengths = np.diff(begins, append=len(places))
    within = np.arange(len(places)) - np.repeat(begins, lengths)
    digits = mixed(codes[places] + (within.astype(np.uint32) << np.uint32(8)))
    numbers = mixed(np.add.reduceat(digits, begins))
    np.add.at(sums, np.searchsorted(ends, places[begins]), numbers)
    return sums


def mixed(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spread the bits of each value over all its bits, in place; each value keeps its own image."""
    import numpy as np

    values ^= values >> np.uint32(16)
    values *= np.uint32(0x7FEB352D)
    values ^= values >> np.uint32(15)
    values *= np.uint32(0x846CA68B)
    values ^= values >> np.uint32(16)
    return values


def _codes(texts: Sequence[str]) -> NDArray[np.uint32]:
    """Code points of all texts, with a 0 after each and nowhere else."""
    import numpy as np

    block = "\0".join([*texts, ""])
    if block.count("\0") != len(texts):
        block = "\0".join([*(text.replace("\0", " ") for text in texts), ""])
    return np.frombuffer(block.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def _folded(codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The same without case, accents, spaces and punctuation, and with `_END` after each text."""
    import numpy as np

    folded = _fold_table()[np.minimum(codes, _PLANE)]
    beyond = codes >= _PLANE
    if beyond.any():
        folded[beyond] = codes[beyond] + np.uint32(1)
    kept: NDArray[np.uint32] = folded[folded != 0]
    return kept


@cache
def _fold_table() -> NDArray[np.uint32]:
    """What each character below U+10000 folds to; 0 leaves it out.

    A table and not `unicodedata.normalize`, whose time grows with the square of the length on long
    runs of combining marks.
    """
    import numpy as np

    table = np.arange(_PLANE + 1, dtype=np.uint32)
    for code in range(1, _PLANE):
        if not any(code in codes for codes in _WITHOUT_CASE):
            table[code] = _fold(code)
    table[0] = _END
    return table


def _fold(code: int) -> int:
    character = chr(code)
    if code in _ACCENTS or unicodedata.category(character) in _LEFT_OUT:
        return 0
    plain = unicodedata.normalize("NFKD", character).casefold()
    plain = "".join(letter for letter in plain if ord(letter) not in _ACCENTS)
    return ord(plain) if len(plain) == 1 else code


_LEFT_OUT: Final = frozenset(
    ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po")
)
"""Categories of controls, spaces and punctuation. Marks stay, since Thai writes vowels with them;
so do symbols, since `<` and `>` change what a formula says."""
