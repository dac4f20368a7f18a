from __future__ import annotations

import io
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_support import World
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tunekit.cli.charts import Curve, chart, curves
from tunekit.cli.progress import Progress, follow, sparkline
from tunekit.cli.words import columns, figure, middle, span, wrapped
from tunekit.client import connect
from tunekit.providers.base import JobEvent, JobProgress, JobSnapshot, JobStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def _snapshot(step: int, total: int | None = 100, status: str = "running") -> JobSnapshot:
    return JobSnapshot(
        id="j",
        provider="fake",
        status=JobStatus(status),
        provider_status=status,
        model="m",
        created_at=NOW,
        progress=JobProgress(step=step, total_steps=total),
    )


def _metrics(**data: float) -> JobEvent:
    return JobEvent(id=str(data), created_at=NOW, type="metrics", message="", data=dict(data))


def test_a_sparkline_goes_from_lowest_to_highest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([3, 3]) == "▁▁"
    assert sparkline([]) == ""


def test_a_sparkline_leaves_gaps_for_what_is_no_figure() -> None:
    assert sparkline([0, None, math.nan, math.inf, 7]) == "▁   █"


def test_a_long_series_is_averaged_into_the_width() -> None:
    assert sparkline([0] * 50 + [7] * 50, width=4) == "▁▁██"


@given(st.lists(st.floats() | st.none(), max_size=200), st.integers(0, 60))
def test_a_sparkline_is_never_wider_than_asked(values: list[float | None], width: int) -> None:
    assert len(sparkline(values, width)) <= width


def test_time_left_follows_the_pace_of_the_last_steps() -> None:
    progress = Progress("r")
    for second, step in ((0, 10), (10, 20), (20, 30)):
        progress.see(_snapshot(step), at=float(second))
    assert progress.seconds_left(now=20.0) == pytest.approx(70.0)
    assert progress.seconds_left(now=25.0) == pytest.approx(65.0)


def test_time_left_is_unknown_before_two_steps_and_after_the_end() -> None:
    progress = Progress("r")
    progress.see(_snapshot(10), at=0.0)
    assert progress.seconds_left(now=1.0) is None
    progress.see(_snapshot(20), at=1.0)
    progress.see(_snapshot(20, status="succeeded"), at=2.0)
    assert progress.seconds_left(now=2.0) is None


def test_a_pause_does_not_spoil_the_pace() -> None:
    progress = Progress("r")
    progress.see(_snapshot(10), at=0.0)
    progress.see(_snapshot(20), at=10.0)
    progress.see(_snapshot(20, status="paused"), at=11.0)
    progress.see(_snapshot(20), at=5000.0)
    progress.see(_snapshot(30), at=5010.0)
    assert progress.seconds_left(now=5010.0) == pytest.approx(70.0)


def test_the_providers_own_estimate_counts_first() -> None:
    progress = Progress("r")
    finish = datetime.now(UTC) + timedelta(minutes=10)
    progress.see(_snapshot(1).model_copy(update={"estimated_finish": finish}))
    left = progress.seconds_left()
    assert left is not None
    assert left == pytest.approx(600, abs=5)


def test_the_display_shows_everything_in_80_columns() -> None:
    progress = Progress("a-run-name-that-is-rather-long-0123456789-abcdefghij")
    for step in range(0, 12000, 100):
        progress.see(_snapshot(step, 12000), at=step * 30.0)
        progress.note(
            _metrics(
                step=step,
                train_loss=2.0 - step / 12000,
                valid_loss=1.2345,
                learning_rate=1.234e-05,
                tokens_per_second=51234.5,
            )
        )
    out = io.StringIO()
    Console(file=out, width=80, highlight=False).print(progress)
    first, bar, last = out.getvalue().splitlines()
    assert "running  step 11,900/12,000  99%" in first
    assert max(len(line) for line in (first, bar, last)) <= 80
    for said in ("loss 1.008 █", "valid 1.234", "lr 1.234e-05", "51,234 tokens/s"):
        assert said in last


def test_following_gives_each_event_once_and_shows_warnings(world: World) -> None:
    world.run_job("first", "--detach")
    job = world.fake.jobs["job-0"]
    warning = JobEvent(id="w", created_at=NOW, level="warning", message="a row was cut")
    job.events.append(warning)
    out = io.StringIO()
    with connect(provider=world.fake, clock=world.clock) as client:
        handle = client.job("first")
        progress = follow(client, handle, Console(file=out, width=80))
    assert out.getvalue().count("warning: a row was cut") == 1
    assert progress.losses == [1.0]
    assert handle.status is JobStatus.SUCCEEDED


def test_curves_are_gathered_in_the_order_of_steps_and_without_bad_figures() -> None:
    rows: list[dict[str, float | None]] = [
        {"step": 2, "train_loss": 1.0, "learning_rate": 1e-4},
        {"step": 1, "train_loss": 2.0, "valid_loss": 2.5},
        {"step": 3, "train_loss": math.nan, "valid_loss": None},
        {"train_loss": 9.0},
    ]
    assert curves(rows) == [
        Curve("training loss", [(1, 2.0), (2, 1.0)]),
        Curve("validation loss", [(1, 2.5)]),
        Curve("learning rate", [(2, 1e-4)]),
    ]


def test_a_falling_curve_is_drawn_from_top_left_to_bottom_right() -> None:
    lines = chart(Curve("training loss", [(i, 100.0 - i) for i in range(101)]), width=40, height=4)
    assert lines[0] == "training loss: 100 → 0, lowest 0"
    plot = [line.partition("┤")[2] for line in lines[1:-1]]
    starts = [len(row) - len(row.lstrip("\u2800")) for row in plot]
    assert starts == sorted(starts)
    assert plot[0][0] != "\u2800"
    assert max(len(line) for line in lines) <= 40


_VALUES = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.dictionaries(st.integers(0, 10**6), _VALUES, min_size=1, max_size=60))
def test_any_curve_fits_its_width(points: dict[int, float]) -> None:
    lines = chart(Curve("learning rate", sorted(points.items())), width=80)
    assert max(len(line) for line in lines[1:]) <= 80


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "-"), (0.0, "0"), (1.23456, "1.235"), (2e-05, "2.000e-05"), (math.inf, "inf")],
)
def test_figures_are_short(value: float | None, said: str) -> None:
    assert figure(value) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s"), (59.4, "59 s"), (59.9, "1 min"), (3599, "1 h"), (1e6, "12 d")],
)
def test_spans_have_one_unit(seconds: float, said: str) -> None:
    assert span(seconds) == said


@given(st.text(max_size=60), st.integers(3, 40))
def test_what_is_shortened_keeps_its_ends(text: str, width: int) -> None:
    made = middle(text, width)
    assert len(made) <= max(width, 0)
    if len(text) > width:
        assert made[0] == text[0]
        assert made[-1] == text[-1]


def test_columns_cut_nothing() -> None:
    lines = columns([["a", "b" * 100], ["cc", "d"]])
    assert [line.plain for line in lines] == ["a   " + "b" * 100, "cc  d"]


def test_wrapping_breaks_no_word() -> None:
    assert wrapped("see /a/long-path/to-it now", 10, rest=2) == [
        "see",
        "  /a/long-path/to-it",
        "  now",
    ]
