"""Splits that give each part its share of every label.

A label's exact share in a part, `rows of the label * size of the part / all rows`, is seldom whole.
Each share is rounded up or down such that labels and parts both add up, which is always possible
(controlled rounding: Cox, "A constructive procedure for unbiased controlled rounding", Journal of
the American Statistical Association 82, 1987; here without chance):

1. The rows that no part asked for count as one more part. Every share is rounded down, and what is
   cut off is kept as a whole number of `1 / all rows`.
2. Labels are taken by their first row. Where the cut-off shares of this label and of earlier ones
   form a loop (label, part, other label, other part, ... and back), an equal amount is added to
   and taken from every second share around the loop, the shorter way, until one of them is whole.
   Sums of labels and parts stay what they were. In the end no loop is left, and then every share is
   whole.
3. The rows are shuffled (see `tunekit.data.splitting`); each label's rows go, in this order, to the
   first part until it has its share, then to the second, and so on. Within a part they stand in the
   order of the shuffle.

The parts have exactly the sizes asked for, and no share is a whole row off. What the labels are
called plays no part.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from tunekit.data.keys import Classes
from tunekit.data.splitting import permutation

_Cell = tuple[int, int]
"""A label and a part."""

_Shares = dict[int, dict[int, int]]
"""What is cut off, by label and part."""


def stratified_parts(labels: Classes, sizes: Sequence[int], seed: int) -> list[array[int]]:
    """Say which rows go to which part, 8 bytes a row, as the module describes.

    Args:
        labels: Which rows have the same label.
        sizes: Rows that each part gets; together at most as many as there are.
        seed: Any whole number.
    """
    count = len(labels.of_row)
    left = share_out(labels.rows, [*sizes, count - sum(sizes)])
    parts = [array("Q") for _ in range(len(sizes) + 1)]
    turn = array("I", bytes(4 * len(left)))
    for row in permutation(count, seed):
        label = labels.of_row[row]
        shares, part = left[label], turn[label]
        while not shares[part]:
            part += 1
        turn[label] = part
        shares[part] -= 1
        parts[part].append(row)
    return parts[:-1]


def share_out(rows: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """Say how many rows of each label each part gets.

    Args:
        rows: How many rows each label has.
        sizes: How many each part gets; as many in all.

    Returns:
        For each label, the number for each part: its exact share, rounded up or down.
    """
    count = sum(rows)
    table = [[total * size // count for size in sizes] for total in rows]
    open_shares: _Shares = {}
    for label, total in enumerate(rows):
        cut = {part: total * size % count for part, size in enumerate(sizes)}
        if any(cut.values()):
            open_shares[label] = {part: share for part, share in cut.items() if share}
        while loop := _loop(open_shares, label):
            for rounded_up, part in _turn(open_shares, loop, count):
                table[rounded_up][part] += 1
    return table


def _loop(shares: _Shares, label: int) -> list[_Cell]:
    """A loop through a label, if there is one; neighbours share a part and a label by turns."""
    own = shares.get(label, {})
    for start in own:
        walks: dict[int, list[_Cell]] = {start: [(label, start)]}
        parts = [start]
        for part in parts:  # grows
            for other, cells in shares.items():
                if other == label or part not in cells:
                    continue
                for reached in cells:
                    if reached in walks:
                        continue
                    walks[reached] = [*walks[part], (other, part), (other, reached)]
                    if reached in own:
                        return [*walks[reached], (label, reached)]
                    parts.append(reached)
    return []


def _turn(shares: _Shares, loop: Sequence[_Cell], one: int) -> list[_Cell]:
    """Shift along a loop until a share is whole; give the shares that have become a whole row."""
    values = [shares[label][part] for label, part in loop]
    up = min(one - value if i % 2 == 0 else value for i, value in enumerate(values))
    down = min(value if i % 2 == 0 else one - value for i, value in enumerate(values))
    shift = up if up <= down else -down
    full = []
    for i, (label, part) in enumerate(loop):
        value = values[i] + (shift if i % 2 == 0 else -shift)
        if value in (0, one):
            del shares[label][part]
            full += [(label, part)] if value else []
            if not shares[label]:
                del shares[label]
        else:
            shares[label][part] = value
    return full
