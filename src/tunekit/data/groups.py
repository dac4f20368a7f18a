"""Splits that keep groups whole: all rows of a group land in one part.

Sizes cannot be exact then. The rows that no part asked for count as one more part, and:

1. The groups are shuffled like rows (see `tunekit.data.splitting`), then put in order of size
   class, largest first: 2^n to 2^(n+1) - 1 rows are a class, within which the shuffle stands.
2. Each group goes to the part that lacks the largest share of what it should get, among those that
   have room for the whole group; where none has, to the one that has most room. Ties go to the
   earlier part.
3. While that brings the sizes of the fullest and the emptiest part nearer to what was asked, one
   group is moved from the first to the second, or two are swapped.
4. Within a part, rows stand in the order of the plain shuffle.

No part misses its size by as much as the largest group has rows. A group outgrows its part only if
no part has room for it, and then it goes where most room is: what this part has too much and what
any other one lacks are together at most that group. Step 3 only makes misses smaller.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from tunekit.data.keys import Classes
from tunekit.data.splitting import permutation


def group_parts(groups: Classes, sizes: Sequence[int], seed: int) -> list[array[int]]:
    """Say which rows go to which part, 8 bytes a row, as the module describes.

    Args:
        groups: Which rows belong together.
        sizes: Rows that each part should get; together at most as many as there are.
        seed: Any whole number.
    """
    count = len(groups.of_row)
    sharing = _Sharing(groups.rows, [*sizes, count - sum(sizes)])
    shuffled = permutation(len(groups.rows), seed)
    for group in sorted(shuffled, key=lambda group: -groups.rows[group].bit_length()):
        sharing.place(group)
    sharing.improve()
    parts = [array("Q") for _ in range(len(sizes) + 1)]
    for row in permutation(count, seed):
        parts[sharing.part_of[groups.of_row[row]]].append(row)
    return parts[:-1]


class _Sharing:
    """Groups on their way into parts.

    Attributes:
        part_of: The part of each group.
        room: Rows that each part still lacks; below zero where it has too many.
    """

    def __init__(self, rows: Sequence[int], sizes: Sequence[int]) -> None:
        self._rows = rows
        self._sizes = sizes
        self.part_of = array("I", bytes(4 * len(rows)))
        self.room = list(sizes)

    def place(self, group: int) -> None:
        """Put a group into the part that needs it most."""
        rows, room, sizes = self._rows[group], self.room, self._sizes
        chosen, most = -1, 0.0
        for part, left in enumerate(room):
            # Dividing two integers is rounded correctly, hence the same on every machine.
            if left >= rows and left / sizes[part] > most:
                chosen, most = part, left / sizes[part]
        if chosen < 0:
            chosen = max(range(len(room)), key=room.__getitem__)
        self._put(group, chosen)

    def _put(self, group: int, part: int) -> None:
        self.part_of[group] = part
        self.room[part] -= self._rows[group]

    def improve(self) -> None:
        """Move or swap groups for as long as that brings the sizes nearer."""
        while any(self.room):
            parts = range(len(self.room))
            full = min(parts, key=self.room.__getitem__)
            empty = max(parts, key=self.room.__getitem__)
            step = self._best_step(full, empty)
            if step is None:
                return
            given, taken = step
            self.room[full] += self._rows[given]
            self._put(given, empty)
            if taken is not None:
                self.room[empty] += self._rows[taken]
                self._put(taken, full)

    def _best_step(self, full: int, empty: int) -> tuple[int, int | None] | None:
        """The group to give and the one to take back that leave the smallest miss."""
        here, there = self._by_size(full), self._by_size(empty)
        sizes_there = [0, *sorted(there)]
        over, under = -self.room[full], self.room[empty]
        least, best = over + under, None
        for size in sorted(here):
            near = bisect_left(sizes_there, size - min(over, under))
            for back in sizes_there[max(0, near - 1) : near + 1]:
                miss = abs(over - (size - back)) + abs(under - (size - back))
                if miss < least:
                    least, best = miss, (here[size], there.get(back))
        return best

    def _by_size(self, part: int) -> dict[int, int]:
        """A group of each size that the part has."""
        rows = self._rows
        return {rows[group]: group for group, where in enumerate(self.part_of) if where == part}
