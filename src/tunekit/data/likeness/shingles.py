"""Texts as sets of hashed shingles: runs of a few characters, whatever the language.

Words would need spaces, which Chinese, Japanese and Thai do not write. So a text is folded first
(see `_folded`), and then every run of `WIDTH` characters is one shingle.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

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


def shingles(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Hash the shingles of some texts, the same way on every machine.

    Args:
        texts: Some hundred of them; more at once is slower, since they no longer fit the cache.

    Returns:
        The hashes of all texts, one text after the other, repeated ones included; and how many
        each text has, of shape `(texts,)`. A text of fewer than `WIDTH` characters has none.
    """
    import numpy as np

    codes = _folded(texts)
    ends = np.flatnonzero(codes == _END)
    counts = np.maximum(np.diff(ends, prepend=-1) - WIDTH, 0)
    starts = len(codes) - WIDTH + 1
    if starts <= 0:
        return np.empty(0, np.uint32), counts
    hashes = codes[:starts] * np.uint32(0x9E3779B1)
    for offset in range(1, WIDTH):
        hashes += codes[offset : offset + starts]
        hashes *= np.uint32(0x9E3779B1)
    # A run that begins `WIDTH - 1` characters or less before an end is not within one text.
    within = np.ones(starts, np.bool_)
    for offset in range(WIDTH):
        before = ends - offset
        within[before[(before >= 0) & (before < starts)]] = False
    return mixed(hashes[within]), counts


def mixed(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spread the bits of each value over all its bits, in place; each value keeps its own image."""
    import numpy as np

    values ^= values >> np.uint32(16)
    values *= np.uint32(0x7FEB352D)
    values ^= values >> np.uint32(15)
    values *= np.uint32(0x846CA68B)
    values ^= values >> np.uint32(16)
    return values


def _folded(texts: Sequence[str]) -> NDArray[np.uint32]:
    """Code points of all texts without case, accents, spaces and punctuation; `_END` after each."""
    import numpy as np

    block = "\0".join(texts) + "\0"
    if block.count("\0") != len(texts):
        block = "\0".join(text.replace("\0", "") for text in texts) + "\0"
    codes = np.frombuffer(block.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    fold = _fold_table()
    folded = fold[codes] if block.isascii() else fold[np.minimum(codes, _PLANE)]
    if not block.isascii():
        np.copyto(folded, codes + np.uint32(1), where=codes >= _PLANE)
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
