"""Which rows are the same as others, or nearly: within a file, and between two.

`keys` says what of a row is compared, `signatures` makes short signatures of texts, and
`LikenessIndex` finds the rows that belong together.
"""

from __future__ import annotations

from tunekit.data.likeness.datasets import RowReader, duplicate_lines, indexed
from tunekit.data.likeness.index import LOWEST_THRESHOLD, THRESHOLD, LikenessIndex
from tunekit.data.likeness.keys import RowKeys, row_keys
from tunekit.data.likeness.leaks import exact_leaks, near_leaks
from tunekit.data.likeness.signatures import SIGNATURE_BYTES

__all__ = [
    "LOWEST_THRESHOLD",
    "SIGNATURE_BYTES",
    "THRESHOLD",
    "LikenessIndex",
    "RowKeys",
    "RowReader",
    "duplicate_lines",
    "exact_leaks",
    "indexed",
    "near_leaks",
    "row_keys",
]
