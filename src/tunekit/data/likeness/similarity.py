"""How alike texts truly are: the Jaccard similarity of their sets of shingles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tunekit.data.likeness.shingles import shingles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def similarities(texts: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[float]:
    """Compare texts two by two.

    Args:
        texts: Some hundred texts.
        pairs: Which are compared, by their places in `texts`.

    Returns:
        For each pair the number of different shingles in both, divided by that in either; 0 where
        neither has any.
    """
    import numpy as np

    if not pairs:
        return []
    hashes, counts, _ = shingles(texts)
    rows = np.repeat(np.arange(len(texts), dtype=np.uint64), counts)
    members = rows << np.uint64(32) | hashes
    members.sort()  # `np.unique` takes ten times as long
    different = members[np.append(True, members[1:] != members[:-1])[: len(members)]]
    sizes = np.bincount((different >> np.uint64(32)).astype(np.intp), minlength=len(texts))
    sets = different & np.uint64(0xFFFFFFFF)
    left, right = np.array(pairs, np.intp).T
    both = np.concatenate([_tagged(sets, sizes, left), _tagged(sets, sizes, right)])
    both.sort()
    shared = both[1:][both[1:] == both[:-1]] >> np.uint64(32)
    common = np.bincount(shared.astype(np.intp), minlength=len(pairs))
    either = sizes[left] + sizes[right] - common
    result: list[float] = (common / np.maximum(either, 1)).tolist()
    return result


def _tagged(
    sets: NDArray[np.uint64], sizes: NDArray[np.intp], chosen: NDArray[np.intp]
) -> NDArray[np.uint64]:
    """The chosen sets one after the other, each member with its set's place above its 32 bits."""
    import numpy as np

    starts = np.cumsum(sizes) - sizes
    lengths = sizes[chosen]
    ends = np.cumsum(lengths)
    members = np.arange(int(ends[-1])) + np.repeat(starts[chosen] - (ends - lengths), lengths)
    tags = np.repeat(np.arange(len(chosen), dtype=np.uint64), lengths)
    tagged: NDArray[np.uint64] = tags << np.uint64(32) | sets[members]
    return tagged
