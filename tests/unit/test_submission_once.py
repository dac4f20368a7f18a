"""Submit once, exhaustively: a launch that is cut off anywhere still comes to exactly one job."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from helpers.points import Abandoned, Points, When, drive, watch_both
from helpers.processes import child, together
from helpers.shared import SPEC, TRAIN, VALIDATION, shared
from tunekit.engine.plans import Plan, run
from tunekit.engine.submission import Submission, submit
from tunekit.errors import InvalidRequestError, ProviderError, RateLimitError, UnclearReplyError
from tunekit.ledger import Ledger, RunState
from tunekit.providers.base import FileRef, JobSnapshot, PreparedFile, Progress, Stop
from tunekit.testing import FakeProvider, VirtualClock

LAUNCH = Submission(SPEC, TRAIN, VALIDATION, run="r1")


class Careful(FakeProvider):
    """The fake, with a list that shows new jobs late, and an eye on needless uploads."""

    hidden_looks = 0
    needless: list[str]

    @override
    def upload(self, file: PreparedFile, *, progress: Progress, stop: Stop) -> FileRef:
        if Ledger(self.home / "ledger.sqlite3").file(self.account, file.sha256) is not None:
            self.needless.append(file.sha256)
        return super().upload(file, progress=progress, stop=stop)

    @override
    def find(self, tag: str) -> JobSnapshot | None:
        found = super().find(tag)
        if found is not None and self.world.hidden > 0:
            self.world.hidden -= 1
            return None
        return found

    world: World


@dataclass
class World:
    """What outlives a process: the provider's side, the ledger's file, and the time."""

    home: Path
    faults: dict[str, list[Any]] = field(default_factory=dict)
    hidden: int = 0
    clock: VirtualClock = field(default_factory=VirtualClock)
    jobs: dict[str, Any] = field(default_factory=dict)
    files: dict[str, FileRef] = field(default_factory=dict)
    needless: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def handles(self) -> tuple[Careful, Ledger]:
        """A provider and a ledger as a new process would make them."""
        provider = Careful(home=self.home, clock=self.clock)
        provider.world = self
        provider.jobs, provider.files, provider.faults = self.jobs, self.files, self.faults
        provider.needless, provider.calls = self.needless, self.calls
        return provider, Ledger(self.home / "ledger.sqlite3")

    def plan(self) -> Plan[JobSnapshot]:
        provider, ledger = self.handles()
        return submit(LAUNCH, provider, ledger, self.clock, preflight=lambda: None)

    def until_done(self) -> JobSnapshot:
        """Launch again, as a person would after each error."""
        for _ in range(4):
            with suppress(ProviderError):
                return run(self.plan(), self.clock)
        return run(self.plan(), self.clock)

    def assert_one_job(self, result: JobSnapshot) -> None:
        assert list(self.jobs) == [result.id]
        provider, ledger = self.handles()
        line = ledger.run(provider.account, "r1")
        assert line is not None
        assert (line.state, line.job_id, line.tag) == (RunState.SUBMITTED, result.id, result.tag)
        assert not self.needless
        assert not list(self.home.glob("prepared/*"))

    def assert_each_file_once(self) -> None:
        assert max(Counter(ref.sha256 for ref in self.files.values()).values()) == 1
        assert len(self.files) == 2


SCENARIOS: dict[str, tuple[dict[str, list[Any]], int]] = {
    "all-is-well": ({}, 0),
    "create-dropped-before": ({"submit": ["drop-before"]}, 0),
    "create-dropped-after": ({"submit": ["drop-after"]}, 0),
    "create-dropped-before-and-after": ({"submit": ["drop-before", "drop-after"]}, 0),
    "create-dropped-after-and-find-fails-for-a-while": (
        {"submit": ["drop-after"], "find": ["drop-before"] * 4},
        0,
    ),
    "create-dropped-after-and-find-is-down": (
        {"submit": ["drop-after"], "find": ["drop-before"] * 20},
        0,
    ),
    "create-dropped-after-and-the-list-is-late": ({"submit": ["drop-after"]}, 4),
    "rate-limited-with-a-wish": ({"submit": [RateLimitError("slow down", retry_after=45)]}, 0),
    "rate-limited-without": ({"submit": [RateLimitError("slow down")] * 3}, 0),
    "refused-then-accepted": ({"submit": [InvalidRequestError("no such model")]}, 0),
    "upload-dropped": ({"upload": ["drop-before", UnclearReplyError("503")]}, 0),
    "refused-then-dropped-after": (
        {"submit": [InvalidRequestError("not now"), "drop-after"]},
        0,
    ),
}


@pytest.fixture
def new_world() -> Iterator[Callable[[str], World]]:
    """Make worlds whose ledger lies in memory where that can be had, since there are many."""
    shm = Path("/dev/shm")  # noqa: S108 - only for speed
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        made = 0

        def make(scenario: str = "all-is-well") -> World:
            nonlocal made
            made += 1
            faults, hidden = SCENARIOS[scenario]
            fresh = {method: list(entries) for method, entries in faults.items()}
            return World(Path(folder) / str(made), faults=fresh, hidden=hidden)

        yield make


NewWorld = Callable[..., World]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_launch_that_was_left_at_any_step_comes_to_one_job(
    new_world: NewWorld, scenario: str, when: When
) -> None:
    left = 0
    for number in range(1000):
        world = new_world(scenario)
        try:
            result, _ = drive(world.plan(), world.clock, leave=(number, when))
        except Abandoned:
            left += 1
            result = world.until_done()
            world.assert_one_job(result)
            world.assert_each_file_once()
        except ProviderError:  # the end of a launch that fails by itself
            world.assert_one_job(world.until_done())
            break
        else:
            world.assert_one_job(result)
            break
    assert left >= 8


def test_a_launch_that_was_left_twice_comes_to_one_job(new_world: NewWorld) -> None:
    left = 0
    for first in range(100):
        for second in range(100):
            world = new_world("create-dropped-after")
            try:
                drive(world.plan(), world.clock, leave=(first, "after"))
            except Abandoned:
                pass
            else:
                assert left > 50
                return
            try:
                result, _ = drive(world.plan(), world.clock, leave=(second, "before"))
            except Abandoned:
                left += 1
                world.assert_one_job(world.until_done())
            else:
                world.assert_one_job(result)
                break
    raise AssertionError("the plan does not end")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("scenario", ["all-is-well", "create-dropped-after", "upload-dropped"])
def test_an_interrupt_within_any_operation_comes_to_one_job(
    new_world: NewWorld, scenario: str, when: When
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    names = []
    for number in range(1000):
        world = new_world(scenario)
        points = Points(number, when, interrupt)
        provider, ledger = watch_both(*world.handles(), points)
        plan = submit(LAUNCH, provider, ledger, world.clock, preflight=lambda: None)
        try:
            run(plan, world.clock)
        except KeyboardInterrupt:
            names.append(points.passed[-1])
            world.assert_one_job(world.until_done())
        else:
            break
    assert {"prepare", "upload", "submit", "set_state", "add_file", "open_run"} <= set(names)
    assert names.count("upload") >= 2


DEATHS = [
    *((name, "before") for name in ("open_run", "upload", "submit")),
    *((name, "after") for name in ("upload", "add_file", "submit", "set_state")),
]


@pytest.mark.parametrize(("name", "when"), DEATHS)
def test_a_process_that_dies_at_an_operation_leaves_a_run_that_comes_to_one_job(
    home: Path, tmp_path: Path, name: str, when: When
) -> None:
    rehearsal = Points(None, "before", lambda: None)
    provider, ledger = watch_both(
        shared(tmp_path / "rehearsal"), Ledger(tmp_path / "rehearsal" / "l"), rehearsal
    )
    run(submit(LAUNCH, provider, ledger, VirtualClock(), preflight=lambda: None), VirtualClock())
    number = rehearsal.passed.index(name)

    died = child("helpers.dying", home, number, when)
    assert (died.returncode, died.stdout) == (9, ""), died.stderr

    alive = shared(home)
    plan = submit(
        LAUNCH, alive, Ledger(home / "ledger.sqlite3"), VirtualClock(), preflight=lambda: None
    )
    result = run(plan, VirtualClock())
    assert [job.id for job in alive.found()] == [result.id]
    assert not [known for _, known in alive.uploads() if known]


def test_two_processes_that_launch_the_same_run_at_once_get_the_same_job(home: Path) -> None:
    printed = together([["-m", "helpers.racing", str(home)] for _ in range(3)])
    provider = shared(home)
    assert [job.id for job in provider.found()] == ["job-1"]
    assert printed == ["job-1\n"] * 3
    assert len(provider.uploads()) == 2
