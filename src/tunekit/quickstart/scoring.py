"""Scoring a deployment on held-out rows: exact match with an interval."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tunekit.deployments import Deployment

Z_95 = 1.959963984540054
"""The 97.5th percentile of the standard normal distribution."""


@dataclass(frozen=True)
class Answer:
    """One held-out row: what was asked, what was expected, what came."""

    question: str
    expected: str
    text: str
    right: bool


@dataclass(frozen=True)
class Score:
    """Exact match over all rows.

    Attributes:
        seconds: Wall time for all rows together.
    """

    answers: tuple[Answer, ...]
    seconds: float

    @property
    def right(self) -> int:
        """Rows that were answered exactly."""
        return sum(answer.right for answer in self.answers)

    @property
    def accuracy(self) -> float:
        """0 to 1."""
        return self.right / len(self.answers)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy."""
        return wilson_interval(self.right, len(self.answers))


def wilson_interval(right: int, of: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson, 1927, JASA 22:209-212).

    Unlike the textbook normal interval it stays inside 0 to 1 and is sound near both ends.
    """
    if of <= 0:
        raise ValueError("an interval needs at least one row")
    share = right / of
    scale = 1 + Z_95**2 / of
    centre = (share + Z_95**2 / (2 * of)) / scale
    spread = Z_95 / scale * math.sqrt(share * (1 - share) / of + Z_95**2 / (4 * of**2))
    return max(0.0, centre - spread), min(1.0, centre + spread)


def score(
    deployment: Deployment,
    rows: Sequence[dict[str, Any]],
    is_right: Callable[[str, str], bool],
    *,
    max_tokens: int,
    concurrency: int = 8,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Score:
    """Ask each row's question without sampling and compare with its answer.

    Args:
        deployment: What to ask.
        rows: Chat rows whose last message is the expected answer.
        is_right: Compares the answer with what was expected.
        max_tokens: Longest answer.
        concurrency: Questions under way at once.
        progress: Called with (rows done, rows in all).
    """
    started = time.monotonic()

    def ask(row: dict[str, Any]) -> Answer:
        *prompt, expected = row["messages"]
        reply = deployment.chat(prompt, temperature=0, max_tokens=max_tokens)
        return Answer(
            question=prompt[-1]["content"],
            expected=expected["content"],
            text=reply.text,
            right=is_right(reply.text, expected["content"]),
        )

    answers = []
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        for answer in pool.map(ask, rows):
            answers.append(answer)
            progress(len(answers), len(rows))
    return Score(tuple(answers), time.monotonic() - started)
