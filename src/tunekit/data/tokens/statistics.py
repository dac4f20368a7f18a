"""How long the rows of a dataset are, in figures.

A percentile here is what its name says. The published data-preparation guide prints quantiles 0.1
and 0.9 under the names p5 and p95; `Distribution.quantile` gives those too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import BaseModel, ConfigDict

from tunekit.data.records import Row, messages_of
from tunekit.data.sources import Entry, passed_over
from tunekit.data.tokens.counting import BATCH_ROWS, RowTokens, TokenCounter
from tunekit.errors import DataError
from tunekit.problems import Problem

if TYPE_CHECKING:
    from tunekit.data.dataset import Dataset

TARGET_EPOCHS: Final = 3
FEWEST_EXAMPLES, MOST_EXAMPLES = 100, 25_000
FEWEST_EPOCHS, MOST_EPOCHS = 1, 25


def default_epochs(rows: int) -> int:
    """How often a hosted service passes over so many rows when nobody says, by the guide's rule.

    Three times, unless that trains on fewer than 100 or more than 25,000 examples; then as many
    times as come closest to that, between 1 and 25.
    """
    if 0 < rows * TARGET_EPOCHS < FEWEST_EXAMPLES:
        return min(MOST_EPOCHS, FEWEST_EXAMPLES // rows)
    if rows * TARGET_EPOCHS > MOST_EXAMPLES:
        return max(FEWEST_EPOCHS, MOST_EXAMPLES // rows)
    return TARGET_EPOCHS


class Distribution(BaseModel):
    """How a whole number is distributed over the rows.

    Attributes:
        total: The sum over all rows.
        min: The smallest.
        max: The largest.
        mean: The average.
        median: The 50th percentile.
        p5: The 5th percentile.
        p95: The 95th percentile.
        counts: How many rows have each value, by value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    total: int
    min: int
    max: int
    mean: float
    median: float
    p5: float
    p95: float
    counts: dict[int, int]

    @classmethod
    def of(cls, counts: Mapping[int, int]) -> Self:
        """Describe values by how often each occurs; at least one."""
        ordered = {value: counts[value] for value in sorted(counts)}
        total = sum(value * count for value, count in ordered.items())
        return cls(
            total=total,
            min=min(ordered),
            max=max(ordered),
            mean=total / sum(ordered.values()),
            median=_quantile(ordered, 0.5),
            p5=_quantile(ordered, 0.05),
            p95=_quantile(ordered, 0.95),
            counts=ordered,
        )

    def quantile(self, share: float) -> float:
        """The value that this share of the rows, from 0 to 1, does not exceed.

        Between two rows the value lies on the straight line between theirs (Hyndman and Fan's
        definition 7, which is numpy's default).
        """
        return _quantile(self.counts, share)


def _quantile(ordered: Mapping[int, int], share: float) -> float:
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies between 0 and 1, not at {share}")
    place = (sum(ordered.values()) - 1) * share
    below = int(place)
    first = second = 0
    passed = 0
    for value, count in ordered.items():
        if passed <= below < passed + count:
            first = second = value
        if passed <= below + 1 < passed + count:
            second = value
            break
        passed += count
    return round(first + (second - first) * (place - below), 6)


class TokenStatistics(BaseModel):
    """How long the rows of a dataset are, and what training on them is charged for.

    Attributes:
        source: Where the rows come from.
        counter: What counted them, for example `o200k_base`.
        exact: Whether the model will see just so many tokens; see `TokenCounter`.
        rows: How many rows were counted.
        uncounted: How many rows could not be read or counted.
        tokens: All tokens of a row.
        trained: Those of them that are trained on.
        messages: Messages of a row.
        limit: The most tokens that a row may have; None for no limit.
        over_limit: How many rows are longer.
        billed_tokens: Tokens of one pass, each row cut at the limit.
        n_epochs: Passes over the data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    counter: str
    exact: bool
    rows: int
    uncounted: int
    tokens: Distribution
    trained: Distribution
    messages: Distribution
    limit: int | None
    over_limit: int
    billed_tokens: int
    n_epochs: int

    @property
    def job_tokens(self) -> int:
        """Tokens of all passes: what hosted services charge for."""
        return self.billed_tokens * self.n_epochs

    def figures(self) -> dict[str, Any]:
        """The statistics as JSON, without the count of every single value."""
        without = {name: {"counts"} for name in ("tokens", "trained", "messages")}
        document = self.model_dump(mode="json", exclude=without)
        return {**document, "job_tokens": self.job_tokens}


def token_statistics(
    dataset: Dataset,
    counter: TokenCounter,
    *,
    limit: int | None = None,
    n_epochs: int | None = None,
) -> TokenStatistics:
    """Count the tokens of every row in one pass; memory grows with distinct lengths only.

    Args:
        dataset: The rows. Those that cannot be read or counted are only numbered.
        counter: Counts their tokens.
        limit: The most tokens of a row, at which longer rows are cut.
        n_epochs: Passes over the data; by default what `default_epochs` says.

    Raises:
        DataError: No row could be counted.
    """
    tokens: Counter[int] = Counter()
    trained: Counter[int] = Counter()
    messages: Counter[int] = Counter()
    uncounted = over = billed = 0
    for rows in _batches(dataset.entries()):
        readable = [row for row in rows if not isinstance(row, Problem)]
        uncounted += len(rows) - len(readable)
        for row, found in zip(readable, counter.count(readable), strict=True):
            if found is None:
                uncounted += 1
                continue
            tokens[found.total] += 1
            trained[found.trained] += 1
            messages[sum(1 for _ in messages_of(row))] += 1
            over += limit is not None and found.length > limit
            billed += billed_tokens(found, limit)
    if not tokens:
        raise DataError(
            f"{dataset.source!r} holds no row whose tokens can be counted.",
            next_step="`tunekit check` says what is wrong with its rows.",
        )
    count = tokens.total()
    return TokenStatistics(
        source=dataset.source,
        counter=counter.name,
        exact=counter.exact,
        rows=count,
        uncounted=uncounted,
        tokens=Distribution.of(tokens),
        trained=Distribution.of(trained),
        messages=Distribution.of(messages),
        limit=limit,
        over_limit=over,
        billed_tokens=billed,
        n_epochs=default_epochs(count) if n_epochs is None else n_epochs,
    )


def billed_tokens(row: RowTokens, limit: int | None) -> int:
    """What one pass over a row is charged for: its texts, each cut at the limit."""
    if limit is None:
        return row.total
    return min(row.length, limit) + min(row.total - row.length, limit)


def _batches(entries: Iterable[Entry]) -> Iterator[list[Row | Problem]]:
    """Rows in runs of equal length; empty lines, which are no rows, are left out."""
    rows = (
        content
        for _, content in entries
        if not (isinstance(content, Problem) and passed_over(content))
    )
    while batch := list(islice(rows, BATCH_ROWS)):
        yield batch
