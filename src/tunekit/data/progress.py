"""How long work on data says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

Progress = Callable[[int, int | None], None]
"""Called with what is done and what there is in all, or None where nobody knows that yet.

Both are bytes while the rows of a file are being found, and rows otherwise. Work in several steps
begins again at 0 with each of them, and each ends with a call in which both are equal.
"""

ROWS_A_CALL: Final = 1_000
BYTES_A_CALL: Final = 1 << 22

T = TypeVar("T")


def reported(items: Iterable[T], on_progress: Progress, total: int) -> Iterator[T]:
    """Pass items on, and say after every thousand of them, and at the end, how many there were."""
    for done, item in enumerate(items, start=1):
        yield item
        if done % ROWS_A_CALL == 0 and done < total:
            on_progress(done, total)
    on_progress(total, total)
