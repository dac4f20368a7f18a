"""Percentiles, epochs, and how statistics are shown."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.data import Dataset
from tunekit.data.records import Row
from tunekit.data.tokens.counting import BATCH_ROWS, RowTokens
from tunekit.data.tokens.pictures import bars, bins, histogram, table
from tunekit.data.tokens.statistics import (
    Distribution,
    TokenStatistics,
    billed_tokens,
    default_epochs,
    token_statistics,
)
from tunekit.errors import ConfigError, DataError, MissingExtraError

values = st.lists(st.integers(0, 100_000), min_size=1, max_size=60)


class WordCounter:
    """A token for each word; the row's last word is trained on."""

    name = "words"
    exact = True

    def __init__(self) -> None:
        self.batches: list[int] = []

    def count(self, rows: Sequence[Row]) -> list[RowTokens | None]:
        self.batches.append(len(rows))
        return [self._one(row) for row in rows]

    def _one(self, row: Row) -> RowTokens | None:
        words = row["text"].split() if isinstance(row.get("text"), str) else None
        return None if words is None else RowTokens(len(words), min(1, len(words)))


def texts(*lengths: int) -> Dataset:
    return Dataset.from_records([{"text": "a " * length} for length in lengths], source="texts")


def statistics(*lengths: int, limit: int | None = None) -> TokenStatistics:
    return token_statistics(texts(*lengths), WordCounter(), limit=limit)


@given(values, st.floats(0, 1))
def test_a_quantile_is_numpys(some: list[int], share: float) -> None:
    import numpy as np

    found = Distribution.of(Counter(some))
    assert found.quantile(share) == pytest.approx(float(np.quantile(some, share)), abs=1e-5)


@given(values)
def test_a_distribution_says_of_values_what_is_true_of_them(some: list[int]) -> None:
    found = Distribution.of(Counter(some))
    assert (found.min, found.max, found.total) == (min(some), max(some), sum(some))
    assert found.mean == pytest.approx(sum(some) / len(some))
    assert found.p5 == found.quantile(0.05)
    assert found.p95 == found.quantile(0.95)
    assert found.min <= found.p5 <= found.median <= found.p95 <= found.max


def test_p95_is_exceeded_by_a_twentieth_of_the_rows() -> None:
    found = Distribution.of(dict.fromkeys(range(1, 1001), 1))
    assert sum(1 for value in found.counts if value > found.p95) == 50
    assert sum(1 for value in found.counts if value < found.p5) == 50


def test_a_share_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        Distribution.of({1: 1}).quantile(1.5)


@pytest.mark.parametrize(
    ("rows", "epochs"),
    [
        (1, 25),
        (4, 25),
        (5, 20),
        (10, 10),
        (33, 3),
        (34, 3),
        (8333, 3),
        (8334, 2),
        (12_501, 1),
        (1_000_000, 1),
        (0, 3),
    ],
)
def test_the_default_of_epochs_is_the_guides(rows: int, epochs: int) -> None:
    assert default_epochs(rows) == epochs


def test_a_row_is_billed_up_to_the_limit_and_a_preference_by_its_two_texts() -> None:
    assert billed_tokens(RowTokens(90, 5), None) == 90
    assert billed_tokens(RowTokens(90, 5), 50) == 50
    assert billed_tokens(RowTokens(90, 5, longest=70), 50) == 50 + 20
    assert billed_tokens(RowTokens(90, 5, longest=50), 50) == 90


def test_rows_that_cannot_be_read_or_counted_are_numbered_only(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text('{"text": "a b"}\nno json\n\n{"messages": []}\n{"text": "a"}\n')
    found = token_statistics(Dataset.from_jsonl(file), WordCounter())
    assert (found.rows, found.uncounted) == (2, 2)
    assert found.tokens.total == 3


def test_data_without_a_countable_row_is_refused() -> None:
    with pytest.raises(DataError, match="no row whose tokens can be counted"):
        token_statistics(Dataset.from_records([{"x": 1}]), WordCounter())


def test_rows_are_counted_in_batches_of_bounded_size() -> None:
    counter = WordCounter()
    found = token_statistics(texts(*[1] * (2 * BATCH_ROWS + 5)), counter)
    assert counter.batches == [BATCH_ROWS, BATCH_ROWS, 5]
    assert found.tokens.counts == {1: 2 * BATCH_ROWS + 5}


def test_statistics_survive_json_and_their_figures_leave_single_values_out() -> None:
    found = statistics(1, 2, 3, limit=2)
    assert TokenStatistics.model_validate_json(found.model_dump_json()) == found
    figures = json.loads(json.dumps(found.figures()))
    assert figures["tokens"] == {
        "total": 6, "min": 1, "max": 3, "mean": 2.0, "median": 2.0, "p5": 1.1, "p95": 2.9,
    }  # fmt: skip
    assert figures["over_limit"] == 1
    assert figures["job_tokens"] == (1 + 2 + 2) * 25


def test_epochs_that_were_asked_for_replace_the_default() -> None:
    assert token_statistics(texts(10), WordCounter(), n_epochs=2).job_tokens == 20


@given(values, st.integers(2, 50))
def test_bins_hold_every_row_once_and_are_no_more_than_asked(some: list[int], most: int) -> None:
    distribution = Distribution.of(Counter(some))
    found = bins(distribution, at_most=most)
    assert sum(one.rows for one in found) == len(some)
    assert len(found) <= most + 1  # the first bin begins at a round number
    for one in found:
        inside = [v for v in some if v >= one.low and (one.high is None or v <= one.high)]
        assert one.rows == len(inside)


def test_a_long_tail_shares_one_bin_so_that_the_others_can_be_seen() -> None:
    found = bins(Distribution.of({**dict.fromkeys(range(1, 200), 5), 60_000: 1}))
    assert found[-1].high is None
    assert found[-1].rows >= 1
    assert sum(1 for one in found if one.rows) > 5
    assert found[-1].label.endswith("+")


@given(values, st.sampled_from([None, 1, 4096]))
def test_table_and_bars_fit_into_80_columns(some: list[int], limit: int | None) -> None:
    distribution = Distribution.of(Counter(some))
    made = statistics(1, 2).model_copy(
        update={"tokens": distribution, "trained": distribution, "limit": limit}
    )
    for line in (*table(made), *bars(distribution)):
        assert len(line) <= 80


def test_the_table_says_how_the_figures_came_about() -> None:
    said = "\n".join(table(statistics(10, 20, 30, limit=25)))
    assert "3 rows, counted with words, exactly." in said
    assert "1 row is longer than 25 tokens." in said
    assert "25 passes over 55 tokens: 1,375 tokens in all." in said


def test_the_least_that_is_not_nothing_has_a_bar() -> None:
    lines = bars(Distribution.of({5: 100_000, 95: 1}))
    assert "▏" in lines[-1]
    assert all("█" not in line and "▏" not in line for line in lines[1:-1])


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_histogram_is_a_picture(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"lengths.{ending}"
    histogram(statistics(*range(1, 300), 40_000, limit=100), file)
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    if ending == "svg":
        text = content.decode()
        assert "limit 100" in text
        assert "median 150.5" in text


def test_a_picture_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lengths\.nothing"):
        histogram(statistics(1, 2), tmp_path / "lengths.nothing")
    with pytest.raises(ConfigError, match="cannot be written"):
        histogram(statistics(1, 2), tmp_path / "no-folder" / "lengths.png")


def test_without_matplotlib_the_error_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden: dict[str, Any] = {"matplotlib.figure": None, "matplotlib.backends.backend_agg": None}
    for name, value in hidden.items():
        monkeypatch.setitem(sys.modules, name, value)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        histogram(statistics(1), tmp_path / "lengths.png")
