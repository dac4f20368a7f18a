"""Watching a job: its figures, a live display, and plain lines where there is no terminal."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from tunekit.cli.words import figure, middle, paragraphs, span, status_text

if TYPE_CHECKING:
    from tunekit.client import Client
    from tunekit.jobs import Job
    from tunekit.providers.base import JobEvent, JobSnapshot

BLOCKS = "▁▂▃▄▅▆▇█"
BAR_WIDTH = 78


def sparkline(values: Iterable[float | None], width: int = 24) -> str:
    """Draw values as a row of blocks, lowest to highest.

    Args:
        values: In the order of time. None, nan and infinities leave a gap.
        width: Cells at most; more values than that are averaged in groups of equal size.
    """
    if width < 1:
        return ""
    series = [v if v is not None and math.isfinite(v) else None for v in values]
    if len(series) > width:
        edges = [round(i * len(series) / width) for i in range(width + 1)]
        series = [_mean(series[a:b]) for a, b in pairwise(edges)]
    known = [v for v in series if v is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    top = len(BLOCKS) - 1

    def cell(value: float | None) -> str:
        if value is None:
            return " "
        share = (value - low) / (high - low) if high > low else 0.0
        return BLOCKS[round(share * top)]

    return "".join(cell(value) for value in series)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


@dataclass
class Progress:
    """What is known of a job while it is watched.

    Attributes:
        name: What the display calls the job.
        snapshot: The job as it was last seen.
        losses: Training losses in the order of the steps.
        latest: The last value of every figure, by the names of metric events.
    """

    name: str
    snapshot: JobSnapshot | None = None
    losses: list[float] = field(default_factory=list)
    latest: dict[str, float] = field(default_factory=dict)
    _pace: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=30))

    def see(self, snapshot: JobSnapshot, *, at: float | None = None) -> None:
        """Take in a snapshot.

        Args:
            snapshot: The job now.
            at: Monotonic seconds of that moment; now by default.
        """
        self.snapshot = snapshot
        if snapshot.progress is None or snapshot.status.value != "running":
            self._pace.clear()
            return
        step = snapshot.progress.step
        if not self._pace or step > self._pace[-1][1]:
            self._pace.append((time.monotonic() if at is None else at, step))

    def note(self, event: JobEvent) -> None:
        """Take in an event; only metrics matter."""
        if event.type != "metrics":
            return
        for key, value in event.data.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self.latest[key] = float(value)
        loss = event.data.get("train_loss")
        if isinstance(loss, int | float):
            self.losses.append(float(loss))

    @property
    def status(self) -> str:
        """The job's status word."""
        return self.snapshot.status.value if self.snapshot else "starting"

    @property
    def fraction(self) -> float | None:
        """0 to 1, or None while it is unknown."""
        if self.snapshot is None or self.snapshot.progress is None:
            return None
        return self.snapshot.progress.fraction

    def seconds_left(self, *, now: float | None = None) -> float | None:
        """Seconds until the last step, by the provider's word or by the pace of the last steps."""
        snapshot = self.snapshot
        if snapshot is None or snapshot.is_terminal:
            return None
        if snapshot.estimated_finish is not None:
            left = (snapshot.estimated_finish.timestamp()) - time.time()
            return max(0.0, left)
        progress = snapshot.progress
        if progress is None or not progress.total_steps or len(self._pace) < 2:
            return None
        (first_at, first_step), (last_at, last_step) = self._pace[0], self._pace[-1]
        per_step = (last_at - first_at) / (last_step - first_step)
        since = (time.monotonic() if now is None else now) - last_at
        return max(0.0, (progress.total_steps - last_step) * per_step - since)

    def headline(self) -> Text:
        """Status, steps, percentage and time left, on one line."""
        line = status_text(self.status)
        progress = self.snapshot.progress if self.snapshot else None
        if progress is not None:
            total = f"/{progress.total_steps:,}" if progress.total_steps else ""
            line.append(f"  step {progress.step:,}{total}", style="default")
        if self.fraction is not None:
            line.append(f"  {self.fraction:.0%}", style="bold")
        left = self.seconds_left()
        if left is not None:
            line.append(f"  {span(left)} left", style="default")
        return line

    def figures(self, *, spark: int = 24) -> Text:
        """Loss with its curve, validation loss, learning rate and speed, on one line."""
        line = Text()
        if "train_loss" in self.latest:
            line.append(f"loss {figure(self.latest['train_loss'])}")
            curve = sparkline(self.losses, spark)
            line.append(f" {curve}" if curve else "", style="cyan")
        for key, label in (("valid_loss", "valid"), ("learning_rate", "lr")):
            if key in self.latest:
                line.append(f"  {label} {figure(self.latest[key])}")
        if "tokens_per_second" in self.latest:
            line.append(f"  {self.latest['tokens_per_second']:,.0f} tokens/s")
        return line

    def __rich__(self) -> Group:
        """The live display: three lines of at most 80 columns."""
        title = Text.assemble((middle(self.name, 32), "bold"), "  ")
        done = round((self.fraction or 0.0) * BAR_WIDTH)
        bar = Text.assemble(("━" * done, "green"), ("━" * (BAR_WIDTH - done), "bright_black"))
        return Group(title + self.headline(), bar, self.figures())


class _Lines:
    """Progress for a file or a pipe: a line whenever something changed that is worth one."""

    step = 0.1
    silence = 60.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = ""
        self._fraction = 0.0
        self._at = time.monotonic()

    def update(self, progress: Progress) -> None:
        now = time.monotonic()
        fraction = progress.fraction or 0.0
        changed = progress.status != self._status
        if not (changed or fraction >= self._fraction + self.step or now - self._at > self.silence):
            return
        self._status, self._fraction, self._at = progress.status, fraction, now
        parts = [progress.name, progress.headline().plain, progress.figures(spark=0).plain]
        self._console.print(Text("  ".join(part for part in parts if part)), soft_wrap=True)


class _EventFeed:
    """Gives each event of a job once, without reading the old ones again."""

    def __init__(self, client: Client, job_id: str) -> None:
        self._session = client.session
        self._job_id = job_id
        self._cursor: str | None = None
        self._seen: set[str] = set()

    def fresh(self) -> Iterable[JobEvent]:
        from tunekit.engine.retrying import WAITS, retried

        while True:
            fetch = partial(self._session.provider.list_events, self._job_id, self._cursor)
            page: Any = self._session.run(retried(fetch, self._session.clock, WAITS))
            self._cursor = page.cursor if page.cursor is not None else self._cursor
            for event in page.data:
                if event.id not in self._seen:
                    self._seen.add(event.id)
                    yield event
            if not page.has_more:
                return


def follow(
    client: Client,
    job: Job,
    console: Console,
    *,
    name: str | None = None,
    timeout: float | None = None,
) -> Progress:
    """Show a job's progress until it has succeeded.

    On a terminal the display renews itself in place; elsewhere a line is printed per change.
    Warnings and errors of the job are printed as they come. An interrupt leaves the job running.

    Args:
        client: The client that the job belongs to.
        job: What to follow; its snapshot is kept up to date.
        console: Where to show it.
        name: What to call it; the run name or job id by default.
        timeout: Seconds; None follows for as long as it takes.

    Returns:
        The figures as they were at the end.

    Raises:
        TunekitError: What `Job.wait` raises.
    """
    progress = Progress(name or job.run or job.id)
    feed = _EventFeed(client, job.id)
    if not console.is_terminal:
        lines = _Lines(console)
        for snapshot in job.watch(timeout=timeout):
            _take_in(progress, snapshot, feed, console)
            lines.update(progress)
        return progress
    with Live(progress, console=console, refresh_per_second=4, transient=False):
        for snapshot in job.watch(timeout=timeout):
            _take_in(progress, snapshot, feed, console)
    return progress


def _take_in(progress: Progress, snapshot: JobSnapshot, feed: _EventFeed, console: Console) -> None:
    progress.see(snapshot)
    for event in feed.fresh():
        progress.note(event)
        if event.level != "info":
            style = "red" if event.level == "error" else "yellow"
            said = f"{event.level}: {event.message}"
            if console.is_terminal:
                said = paragraphs(said, console.width, indent=len(event.level) + 2)
            console.print(Text(said, style=style), soft_wrap=True)
