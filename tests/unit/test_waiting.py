"""One contract for every wait, on a virtual clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from helpers.points import ScheduledClock
from tunekit.client import Client, connect
from tunekit.config import Config
from tunekit.data import Dataset
from tunekit.engine import waiting
from tunekit.engine.plans import Call, Plan, Sleep, iterate, run
from tunekit.errors import (
    DeploymentFailedError,
    JobCancelledError,
    JobFailedError,
    JobPausedError,
    NotFoundError,
    ProviderError,
    RateLimitError,
    UnclearReplyError,
    UnknownStatusError,
    WaitTimeoutError,
)
from tunekit.jobs import Job
from tunekit.providers.base import (
    DeploymentSnapshot,
    DeploymentStatus,
    JobEvent,
    JobSnapshot,
    JobStatus,
    ModelRef,
    Page,
    PollPolicy,
)
from tunekit.spec import FineTuneSpec
from tunekit.testing import FakeProvider, VirtualClock

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
POLL = PollPolicy(initial=2, factor=1.5, maximum=30, unknown_for=3600)
GOES_ON = [
    JobStatus.VALIDATING,
    JobStatus.QUEUED,
    JobStatus.RUNNING,
    JobStatus.PAUSING,
    JobStatus.RESUMING,
    JobStatus.CANCELLING,
    JobStatus.UNKNOWN,
]
ENDS = {
    JobStatus.FAILED: JobFailedError,
    JobStatus.CANCELLED: JobCancelledError,
    JobStatus.PAUSED: JobPausedError,
}


def job(status: JobStatus, word: str = "") -> JobSnapshot:
    return JobSnapshot(
        id="job-1",
        provider="fake",
        status=status,
        provider_status=word or status.value,
        model="m",
        created_at=WHEN,
    )


def deployment(status: DeploymentStatus) -> DeploymentSnapshot:
    return DeploymentSnapshot(
        name="d",
        provider="fake",
        model=ModelRef(id="m", provider="fake"),
        status=status,
        provider_status=status.value,
        created_at=WHEN,
    )


class Answers:
    """A `fetch` that gives these answers in turn, and the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self) -> Any:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def wait_for(
    fetch: Callable[[], JobSnapshot], clock: VirtualClock, timeout: float | None = None
) -> Plan[JobSnapshot]:
    return waiting.wait(
        fetch,
        waiting.job_is_over,
        what="Job 'job-1'",
        clock=clock,
        poll=POLL,
        timeout=timeout,
    )


def pauses(poll: PollPolicy) -> Iterator[float]:
    """The pauses of a wait whose status does not change, from the policy alone."""
    number = 0
    while True:
        yield min(poll.initial * poll.factor ** min(number, 99), poll.maximum)
        number += 1


def requests_within(poll: PollPolicy, seconds: float) -> int:
    """How often a wait of so many seconds asks: at its start, after each pause, and at its end."""
    count, elapsed = 1, 0.0
    for pause in pauses(poll):
        count += 1
        elapsed += pause
        if elapsed >= seconds:
            return count
    raise AssertionError


def test_every_status_is_in_the_table() -> None:
    assert {*GOES_ON, *ENDS, JobStatus.SUCCEEDED} == set(JobStatus)
    assert {status for status in JobStatus if status.is_terminal} == {
        JobStatus.SUCCEEDED,
        JobStatus.FAILED,
        JobStatus.CANCELLED,
    }


@pytest.mark.parametrize("status", GOES_ON)
def test_a_wait_goes_on_while_the_job_does(clock: VirtualClock, status: JobStatus) -> None:
    fetch = Answers(job(status), job(status), job(JobStatus.SUCCEEDED))
    assert run(wait_for(fetch, clock), clock).status is JobStatus.SUCCEEDED
    assert fetch.asked == 3


@pytest.mark.parametrize(("status", "error"), ENDS.items())
def test_a_wait_ends_in_an_error_with_the_snapshot(
    clock: VirtualClock, status: JobStatus, error: type[JobFailedError]
) -> None:
    fetch = Answers(job(JobStatus.RUNNING), job(status))
    with pytest.raises(error, match="'job-1'") as caught:
        run(wait_for(fetch, clock), clock)
    assert caught.value.snapshot == job(status)


@pytest.mark.parametrize("status", DeploymentStatus)
def test_every_status_of_a_deployment_is_ready_goes_on_or_fails(status: DeploymentStatus) -> None:
    seen = deployment(status)
    if status in (DeploymentStatus.FAILED, DeploymentStatus.DELETED, DeploymentStatus.DELETING):
        said = "failed" if status is DeploymentStatus.FAILED else f"is {status.value}"
        with pytest.raises(DeploymentFailedError, match=f"'d' {said}") as caught:
            waiting.deployment_is_ready(seen)
        assert caught.value.snapshot == seen
    else:
        assert waiting.deployment_is_ready(seen) is (status is DeploymentStatus.READY)


def test_a_wait_emits_every_snapshot_that_it_gets(clock: VirtualClock) -> None:
    fetch = Answers(job(JobStatus.QUEUED), job(JobStatus.RUNNING), job(JobStatus.SUCCEEDED))
    seen = [snapshot.status.value for snapshot in iterate(wait_for(fetch, clock), clock)]
    assert seen == ["queued", "running", "succeeded"]


def test_the_pauses_are_those_of_the_policy_and_start_anew_with_each_status(
    clock: VirtualClock,
) -> None:
    fetch = Answers(
        *[job(JobStatus.QUEUED)] * 9, *[job(JobStatus.RUNNING)] * 3, job(JobStatus.SUCCEEDED)
    )
    run(wait_for(fetch, clock), clock)
    grown = [2 * 1.5**n for n in range(7)]
    assert clock.sleeps == pytest.approx([*grown, 30, 30, 2, 3, 4.5])


@pytest.mark.parametrize("timeout", [0.5, 2, 10, 60, 3600, 86400])
def test_a_wait_is_clipped_to_its_deadline_and_asks_as_often_as_planned(
    clock: VirtualClock, timeout: float
) -> None:
    fetch = Answers(job(JobStatus.RUNNING))
    with pytest.raises(WaitTimeoutError, match=r"still running after .* It goes on") as caught:
        run(wait_for(fetch, clock, timeout), clock)
    assert clock.monotonic() == pytest.approx(timeout)
    assert caught.value.snapshot == job(JobStatus.RUNNING)
    assert fetch.asked == requests_within(POLL, timeout)


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_wait_without_time_looks_once(clock: VirtualClock, timeout: float) -> None:
    fetch = Answers(job(JobStatus.RUNNING))
    with pytest.raises(WaitTimeoutError):
        run(wait_for(fetch, clock, timeout), clock)
    assert (fetch.asked, clock.sleeps) == (1, [])
    fetch = Answers(job(JobStatus.SUCCEEDED))
    assert run(wait_for(fetch, clock, timeout), clock).status is JobStatus.SUCCEEDED


def test_an_unknown_word_is_tolerated_and_then_ends_the_wait(clock: VirtualClock) -> None:
    fetch = Answers(job(JobStatus.RUNNING), job(JobStatus.UNKNOWN, "pondering"))
    with pytest.raises(UnknownStatusError, match="'pondering' for 1 h") as caught:
        run(wait_for(fetch, clock), clock)
    assert caught.value.snapshot is not None
    assert caught.value.snapshot.provider_status == "pondering"
    assert 3600 <= clock.monotonic() <= 3600 + 2 + POLL.maximum


def test_an_unknown_word_that_passes_is_forgotten(clock: VirtualClock) -> None:
    strange = [job(JobStatus.UNKNOWN)] * 100  # about 49 minutes
    fetch = Answers(*strange, job(JobStatus.RUNNING), *strange, job(JobStatus.SUCCEEDED))
    assert run(wait_for(fetch, clock), clock).status is JobStatus.SUCCEEDED


def test_an_outage_during_a_wait_is_waited_out(clock: VirtualClock) -> None:
    fetch = Answers(
        job(JobStatus.RUNNING), *[UnclearReplyError("down")] * 10, job(JobStatus.SUCCEEDED)
    )
    assert run(wait_for(fetch, clock), clock).status is JobStatus.SUCCEEDED
    assert fetch.asked == 12


def test_an_outage_that_lasts_too_long_ends_the_wait(clock: VirtualClock) -> None:
    fetch = Answers(job(JobStatus.RUNNING), UnclearReplyError("down"))
    with pytest.raises(UnclearReplyError):
        run(wait_for(fetch, clock), clock)
    assert clock.monotonic() <= 2 + 300
    assert fetch.asked < 20


@pytest.mark.parametrize("timeout", [1, 5, 10, 100])
def test_an_outage_does_not_carry_a_wait_past_its_deadline(
    clock: VirtualClock, timeout: float
) -> None:
    fetch = Answers(job(JobStatus.RUNNING), UnclearReplyError("down"))
    with pytest.raises(WaitTimeoutError) as caught:
        run(wait_for(fetch, clock, timeout), clock)
    assert clock.monotonic() == pytest.approx(timeout)
    assert caught.value.snapshot == job(JobStatus.RUNNING)


def test_an_outage_from_the_start_to_the_deadline_is_a_timeout_too(clock: VirtualClock) -> None:
    with pytest.raises(WaitTimeoutError, match="could not be asked.*: down") as caught:
        run(wait_for(Answers(UnclearReplyError("down")), clock, 10), clock)
    assert clock.monotonic() == pytest.approx(10)
    assert caught.value.snapshot is None


def test_a_pause_that_the_provider_asks_for_is_kept_in_a_wait(clock: VirtualClock) -> None:
    fetch = Answers(RateLimitError("slow", retry_after=21), job(JobStatus.SUCCEEDED))
    run(wait_for(fetch, clock), clock)
    assert clock.sleeps == [21]


def test_a_refusal_ends_a_wait_at_once(clock: VirtualClock) -> None:
    with pytest.raises(NotFoundError):
        run(wait_for(Answers(NotFoundError("gone")), clock), clock)
    assert clock.sleeps == []


def drive_together(plans: Iterable[Plan[Any]], clock: ScheduledClock, until: float) -> int:
    """Run plans side by side on one clock up to a moment; returns how many calls they made."""
    calls = 0
    queue: list[tuple[float, int, Plan[Any]]] = []

    def step(number: int, plan: Plan[Any]) -> None:
        nonlocal calls
        answer: Any = None
        while True:
            command = plan.send(answer)
            answer = None
            if isinstance(command, Sleep):
                heapq.heappush(queue, (clock.monotonic() + command.seconds, number, plan))
                return
            if isinstance(command, Call):
                calls += 1
                answer = command.func()

    for number, plan in enumerate(plans):
        step(number, plan)
    while queue and queue[0][0] <= until:
        moment, number, plan = heapq.heappop(queue)
        clock.set(moment)
        step(number, plan)
    for _, _, plan in queue:
        plan.close()
    return calls


def test_a_thousand_waits_ask_exactly_as_often_as_the_policy_says() -> None:
    clock = ScheduledClock()
    fetch = Answers(job(JobStatus.RUNNING))
    plans = [wait_for(fetch, clock) for _ in range(1000)]
    hours = 2 * 3600
    asked = drive_together(plans, clock, until=hours)
    # At the start, and after every pause that ends within the two hours.
    each, elapsed = 1, 0.0
    for pause in pauses(POLL):
        elapsed += pause
        if elapsed > hours:
            break
        each += 1
    assert asked == fetch.asked == 1000 * each
    assert asked / 1000 / hours < 1 / (POLL.maximum - 1)


# -- events ------------------------------------------------------------------------------------


class Script(FakeProvider):
    """A job whose status and visible events are a matter of how often one has looked."""

    poll = PollPolicy(initial=2, factor=1.5, maximum=30)

    def __init__(
        self, home: Path, clock: VirtualClock, statuses: list[JobStatus], shown: list[int]
    ) -> None:
        super().__init__(home=home, clock=clock)
        self.statuses = statuses
        self.shown = shown
        self.rounds = 0

    @override
    def fetch(self, job_id: str) -> JobSnapshot:
        return job(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    @override
    def list_events(self, job_id: str, cursor: str | None = None) -> Page[JobEvent]:
        start = int(cursor or 0)
        now = self.shown[min(self.rounds, len(self.shown) - 1)]
        end = min(start + 2, now)
        more = end < now
        if not more:
            self.rounds += 1
        events = [JobEvent(id=f"e{n}", created_at=WHEN, message=str(n)) for n in range(start, end)]
        return Page(data=tuple(events), cursor=str(end), has_more=more)


def messages(plan: Plan[None], clock: VirtualClock) -> list[str]:
    return [event.message for event in iterate(plan, clock)]


def test_events_come_oldest_first_and_each_once_over_all_pages(
    home: Path, clock: VirtualClock
) -> None:
    provider = Script(home, clock, [JobStatus.RUNNING], [7])
    plan = waiting.follow_events(provider, "job-1", follow=False, clock=clock)
    assert messages(plan, clock) == [str(n) for n in range(7)]
    assert clock.sleeps == []


def test_following_goes_on_until_the_job_rests(home: Path, clock: VirtualClock) -> None:
    statuses = [JobStatus.RUNNING, JobStatus.RUNNING, JobStatus.SUCCEEDED]
    provider = Script(home, clock, statuses, [1, 3, 5])
    plan = waiting.follow_events(provider, "job-1", follow=True, clock=clock)
    assert messages(plan, clock) == [str(n) for n in range(5)]


def test_following_ends_when_the_job_is_paused(home: Path, clock: VirtualClock) -> None:
    provider = Script(home, clock, [JobStatus.RUNNING, JobStatus.PAUSED], [1, 2])
    plan = waiting.follow_events(provider, "job-1", follow=True, clock=clock)
    assert messages(plan, clock) == ["0", "1"]


def test_events_that_show_only_after_the_job_has_ended_are_given(
    home: Path, clock: VirtualClock
) -> None:
    provider = Script(home, clock, [JobStatus.RUNNING, JobStatus.SUCCEEDED], [1, 2, 4])
    plan = waiting.follow_events(provider, "job-1", follow=True, clock=clock)
    assert messages(plan, clock) == ["0", "1", "2", "3"]


def test_following_a_job_that_is_over_does_not_wait(home: Path, clock: VirtualClock) -> None:
    provider = Script(home, clock, [JobStatus.SUCCEEDED], [3])
    plan = waiting.follow_events(provider, "job-1", follow=True, clock=clock)
    assert messages(plan, clock) == ["0", "1", "2"]
    assert clock.sleeps == []


def test_following_goes_on_behind_an_event(home: Path, clock: VirtualClock) -> None:
    provider = Script(home, clock, [JobStatus.SUCCEEDED], [5])
    second = provider.list_events("job-1").data[-1]
    plan = waiting.follow_events(provider, "job-1", follow=True, clock=clock, after=second.id)
    assert messages(plan, clock) == ["2", "3", "4"]


def test_going_on_behind_an_event_that_is_not_there_is_refused(
    home: Path, clock: VirtualClock
) -> None:
    provider = Script(home, clock, [JobStatus.SUCCEEDED], [5])
    plan = waiting.follow_events(provider, "job-1", follow=True, clock=clock, after="never")
    with pytest.raises(NotFoundError, match="'never'"):
        messages(plan, clock)


def test_a_provider_that_promises_more_but_stands_still_is_an_error(
    home: Path, clock: VirtualClock
) -> None:
    class Stuck(Script):
        @override
        def list_events(self, job_id: str, cursor: str | None = None) -> Page[JobEvent]:
            page = super().list_events(job_id, "0")
            return Page(data=page.data, cursor="1", has_more=True)

    provider = Stuck(home, clock, [JobStatus.RUNNING], [3])
    plan = waiting.follow_events(provider, "job-1", follow=False, clock=clock)
    with pytest.raises(ProviderError, match="gives the same page again"):
        messages(plan, clock)


def test_a_provider_that_gives_an_event_twice_is_seen_through(
    home: Path, clock: VirtualClock
) -> None:
    class Repeating(Script):
        @override
        def list_events(self, job_id: str, cursor: str | None = None) -> Page[JobEvent]:
            start = max(0, int(cursor or 0) - 1)
            return super().list_events(job_id, str(start))

    statuses = [*[JobStatus.RUNNING] * 4, JobStatus.SUCCEEDED]
    provider = Repeating(home, clock, statuses, [1, 2, 3, 4])
    plan = waiting.follow_events(provider, "job-1", follow=True, clock=clock)
    assert messages(plan, clock) == ["0", "1", "2", "3"]


def test_a_quiet_job_is_asked_less_and_less_often(home: Path, clock: VirtualClock) -> None:
    statuses = [*[JobStatus.RUNNING] * 12, JobStatus.SUCCEEDED]
    provider = Script(home, clock, statuses, [0])
    messages(waiting.follow_events(provider, "job-1", follow=True, clock=clock), clock)
    assert clock.sleeps[:-1] == sorted(clock.sleeps[:-1])
    assert max(clock.sleeps) == 30
    assert clock.sleeps[-1] == 2  # the last look


def test_following_outlasts_an_outage(
    client: Client, provider: FakeProvider, spec: FineTuneSpec, train: Dataset
) -> None:
    job = client.fine_tune(spec, train)
    provider.faults["list_events"] = [UnclearReplyError("down")] * 5
    provider.faults["fetch"] = [UnclearReplyError("down")] * 3
    found = [event.id for event in job.events(follow=True)]
    assert found == [event.id for event in provider.jobs[job.id].events]
    assert len(found) == len(set(found)) >= 4


def test_following_an_unknown_status_ends_after_the_bound(home: Path, clock: VirtualClock) -> None:
    provider = Script(home, clock, [JobStatus.RUNNING, JobStatus.UNKNOWN], [1])
    plan = waiting.follow_events(provider, "job-1", follow=True, clock=clock)
    with pytest.raises(UnknownStatusError, match="'job-1'"):
        messages(plan, clock)
    assert 3600 <= clock.monotonic() < 3700


# -- interrupting ------------------------------------------------------------------------------


@pytest.fixture
def running(
    home: Path, config: Config, clock: VirtualClock, spec: FineTuneSpec, train: Dataset
) -> Job:
    """A job that runs for a hundred looks, then succeeds."""
    provider = FakeProvider(home=home, clock=clock)
    provider.script = [*[JobStatus.RUNNING] * 100, JobStatus.SUCCEEDED]
    return connect(provider=provider, config=config, clock=clock).fine_tune(spec, train)


def test_an_interrupted_wait_leaves_the_job_alone(
    running: Job, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(clock, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            running.wait()
    assert running.refresh().status is JobStatus.RUNNING
    assert running.wait().status is JobStatus.SUCCEEDED


def test_a_timeout_leaves_the_job_alone_and_it_can_be_waited_for_again(running: Job) -> None:
    with pytest.raises(WaitTimeoutError):
        running.wait(timeout=5)
    assert running.result().id == f"tuned-{running.id}"


def test_an_abandoned_watch_leaves_the_job_alone(running: Job) -> None:
    for snapshot in running.watch():
        assert snapshot.status is JobStatus.RUNNING
        break
    assert running.status is JobStatus.RUNNING
    assert running.wait().status is JobStatus.SUCCEEDED
