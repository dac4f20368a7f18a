"""The rules about how many tokens rows and jobs have.

They need a counter, so they run in the pass over a file, batch by batch, and not with the rules for
a single row. Limits are those of `DataLimits`; what a service does with longer rows is published
for OpenAI and Azure, which cut them at the end (fine-tuning best practices, 2026).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tunekit.data.checks.catalogue import error, rule, warning
from tunekit.data.checks.options import CheckOptions
from tunekit.data.records import Row
from tunekit.data.tokens.counting import RowTokens
from tunekit.data.tokens.statistics import billed_tokens, default_epochs
from tunekit.problems import Problem


@rule(
    "limits",
    errors=("row-too-long", "row-trains-on-nothing", "job-too-large"),
    warnings=("row-too-long",),
)
class LengthCheck:
    """No row has more tokens than the model takes, and the job no more than the service allows.

    Attributes:
        tokens: Tokens of one pass over what was seen so far, each row cut at the limit.
        cut: How many rows were longer than the limit.

    Args:
        options: The limits, and `counter`; without a counter nothing is found.
    """

    def __init__(self, options: CheckOptions) -> None:
        self._options = options
        self._limit = options.limits.max_row_tokens
        self._rows = 0
        self.tokens = 0
        self.cut = 0

    def see(self, lines: Sequence[int], rows: Sequence[Row]) -> Iterator[tuple[int, Problem]]:
        """Count a batch and give `(line, problem)` for each row that is too long.

        Args:
            lines: The lines of the rows.
            rows: Rows of any kind; those that cannot be counted are left to the rules of structure.

        Raises:
            TokenizerUnavailableError: The counter needs a file that is not here.
        """
        counter = self._options.counter
        if counter is None:
            return
        for line, found in zip(lines, counter.count(rows), strict=True):
            if found is None:
                continue
            if self._limit is not None and found.length > self._limit:
                self.cut += 1
                yield line, self._too_long(found, self._limit)
                if problem := self._nothing_left(found, self._limit):
                    yield line, problem
                if self._options.over_length == "drop":
                    continue
            self._rows += 1
            self.tokens += billed_tokens(found, self._limit)

    def finish(self) -> Iterator[Problem]:
        """Give what is wrong with all rows together."""
        limits = self._options.limits
        if self._options.role != "train" or limits.max_job_tokens is None or not self._rows:
            return
        epochs = self._options.n_epochs or default_epochs(self._rows)
        tokens = self.tokens * epochs
        if tokens > limits.max_job_tokens:
            passes = "one pass" if epochs == 1 else f"{epochs} passes"
            yield error(
                "job-too-large",
                "",
                f"{self.tokens:,} tokens in {passes} are {tokens:,}; {_service(limits.service)} "
                f"takes {limits.max_job_tokens:,} for a job.",
                "Train fewer epochs, or on fewer or shorter rows.",
            )

    def _too_long(self, found: RowTokens, limit: int) -> Problem:
        about = "" if self._options.counter and self._options.counter.exact else "about "
        who = _service(self._options.limits.service)
        message = f"The row has {about}{found.length:,} tokens, and {who} takes {limit:,}."
        if self._options.over_length == "error":
            return error("row-too-long", "", message, _SHORTEN)
        if self._options.over_length == "drop":
            return warning("row-too-long", "", f"{message} It will be left out.", "")
        return warning(
            "row-too-long",
            "",
            f"{message} The end, {found.length - limit:,} tokens, will be cut off.",
            "",
        )

    def _nothing_left(self, found: RowTokens, limit: int) -> Problem | None:
        """A row that will be cut before its first trained token."""
        start = found.untrained_start
        if self._options.over_length != "truncate" or start is None or start < limit:
            return None
        message = (
            f"What is trained on begins after {start:,} tokens, and the row is cut at {limit:,}: "
            "nothing is left to learn."
        )
        fix = "Shorten what stands before the answer."
        return error("row-trains-on-nothing", "", message, fix)


_SHORTEN: Final = "Shorten or split it, or accept longer rows: truncate them or leave them out."


def _service(name: str) -> str:
    return name or "the model"
