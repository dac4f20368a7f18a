"""Counts the tokens of rows for hosted models, by the rule of the published guide."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from tunekit.data.records import Row
from tunekit.data.tokens.batches import token_lengths
from tunekit.data.tokens.counting import RowTokens, TokenCounter
from tunekit.data.tokens.encodings import encoding_name, load_encoding
from tunekit.data.tokens.rules import Span, UncountableError, sequences


class HostedCounter(TokenCounter):
    """Counts rows with a tiktoken encoding; see `tunekit.data.tokens.rules` for what counts.

    It is never exact: a service renders rows in a way of its own, which it does not publish.
    `follows_guide` tells the rows that the published guide counts the same way. Pickles; the
    encoding is loaded when it is first needed.

    Args:
        encoding: Name of the encoding, such as `o200k_base`.
        method: `supervised`, `dpo` or `reinforcement`: a reinforcement prompt trains on nothing of
            its own.
        threads: How many threads; None for one per core.
    """

    def __init__(
        self, encoding: str, *, method: str | None = None, threads: int | None = None
    ) -> None:
        self.name = encoding
        self.exact = False
        self.method = method
        self.threads = threads

    @override
    def __repr__(self) -> str:
        return f"HostedCounter({self.name!r}, method={self.method!r})"

    @override
    def count(self, rows: Sequence[Row]) -> list[RowTokens | None]:
        """Count a batch of rows on all cores, in order; None where a row has not its kind's shape.

        Raises:
            TokenizerUnavailableError: The vocabulary is not here and cannot be fetched.
        """
        taken = [self.sequences(row) for row in rows]
        texts = list(dict.fromkeys(s.text for one in taken for spans in one for s in spans))
        counted = token_lengths(load_encoding(self.name), texts, threads=self.threads)
        lengths = dict(zip(texts, counted, strict=True))
        return [_added_up(one, lengths) if one else None for one in taken]

    def sequences(self, row: Row) -> tuple[list[Span], ...]:
        """The texts that the model reads of a row; none where it has not its kind's shape."""
        try:
            return sequences(row, method=self.method)
        except UncountableError:
            return ()


def _added_up(taken: tuple[list[Span], ...], lengths: dict[str, int]) -> RowTokens:
    total = trained = longest = 0
    start: int | None = None
    for spans in taken:
        read = 0
        for _, _, text, fixed, is_trained in spans:
            length = lengths[text]
            if is_trained and length:
                trained += length + fixed
                start = read if start is None else min(start, read)
            read += length + fixed
        total += read
        longest = max(longest, read)
    return RowTokens(total, trained, longest if len(taken) > 1 else None, start)


def hosted_counter(model: str, *, method: str | None = None) -> HostedCounter:
    """Make the counter of a hosted model, or of a model tuned from it.

    Raises:
        UnknownModelError: It is not known how the model splits text.
        TokenizerUnavailableError: The vocabulary is not here and cannot be fetched.
    """
    name = encoding_name(model)
    load_encoding(name)
    return HostedCounter(name, method=method)
