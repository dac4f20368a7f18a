"""Waiting: one contract for everything that is waited for.

It returns on success, raises on failure with the snapshot attached, raises `WaitTimeoutError` on
the deadline, measures with the monotonic clock, and never sleeps past the time that is left.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from tunekit._text import show_duration
from tunekit.engine.plans import Clock, Emit, Plan, Sleep
from tunekit.engine.retrying import WAITS, retried
from tunekit.errors import (
    DeploymentError,
    DeploymentFailedError,
    JobCancelledError,
    JobFailedError,
    JobPausedError,
    NotFoundError,
    ProviderError,
    UnknownStatusError,
    WaitTimeoutError,
)
from tunekit.providers.base import (
    DeploymentSnapshot,
    DeploymentStatus,
    FineTuneProvider,
    JobEvent,
    JobSnapshot,
    JobStatus,
    PollPolicy,
)

S = TypeVar("S", JobSnapshot, DeploymentSnapshot)


def job_is_over(job: JobSnapshot) -> bool:
    """Whether the job succeeded.

    Raises:
        JobFailedError: It failed; the message carries the provider's reason.
        JobCancelledError: It was cancelled.
        JobPausedError: It is paused, and nothing will happen until somebody resumes it.
    """
    match job.status:
        case JobStatus.SUCCEEDED:
            return True
        case JobStatus.FAILED:
            reason = f"{job.error.message} [{job.error.code}]" if job.error else "no reason given"
            raise JobFailedError(
                f"Job {job.id!r} failed: {reason}",
                snapshot=job,
                next_step="The run keeps this job; once the cause is mended, launch under another "
                "run name.",
            )
        case JobStatus.CANCELLED:
            raise JobCancelledError(f"Job {job.id!r} was cancelled.", snapshot=job)
        case JobStatus.PAUSED:
            raise JobPausedError(
                f"Job {job.id!r} is paused.",
                snapshot=job,
                next_step="Resume it with `job.resume()` or `tunekit resume`.",
            )
        case _:
            return False


def deployment_is_ready(deployment: DeploymentSnapshot) -> bool:
    """Whether the provider calls the deployment ready.

    Raises:
        DeploymentFailedError: It failed or is gone.
    """
    match deployment.status:
        case DeploymentStatus.READY:
            return True
        case DeploymentStatus.FAILED | DeploymentStatus.DELETED | DeploymentStatus.DELETING:
            reason = deployment.error.message if deployment.error else "no reason given"
            failed = deployment.status is DeploymentStatus.FAILED
            what = "failed" if failed else f"is {deployment.status.value}"
            raise DeploymentFailedError(
                f"Deployment {deployment.name!r} {what}: {reason}", snapshot=deployment
            )
        case _:
            return False


def wait(
    fetch: Callable[[], S],
    is_over: Callable[[S], bool],
    *,
    what: str,
    clock: Clock,
    poll: PollPolicy,
    timeout: float | None = None,
) -> Plan[S]:
    """Ask until it is over. Emits each snapshot that it gets.

    Args:
        fetch: One short round trip.
        is_over: True ends the wait; raises when what is waited for failed.
        what: For messages, for example `job 'ft-1'`.
        clock: The time.
        poll: How often to ask.
        timeout: Seconds to wait at most; None means for ever.

    Raises:
        WaitTimeoutError: The deadline passed. What was waited for goes on.
        UnknownStatusError: A status word stayed unknown for longer than `poll.unknown_for`.
    """
    started = clock.monotonic()
    until = None if timeout is None else started + timeout
    unknown = _Unknown(what, poll.unknown_for)
    interval = poll.initial
    snapshot: S | None = None
    last_status = ""
    while True:
        try:
            snapshot = yield from retried(fetch, clock, WAITS, until=until)
        except ProviderError as error:
            if not error.retryable or until is None or clock.monotonic() < until:
                raise
            raise WaitTimeoutError(
                f"{what} could not be asked for until the time was up: {error}",
                snapshot=snapshot,
                next_step="It goes on; wait again whenever you like.",
            ) from error
        yield Emit(snapshot)
        if is_over(snapshot):
            return snapshot
        now = clock.monotonic()
        unknown.note(snapshot, now)
        if snapshot.status.value != last_status:
            interval, last_status = poll.initial, snapshot.status.value
        left = None if until is None else until - now
        if left is not None and left <= 0:
            raise WaitTimeoutError(
                f"{what} is still {snapshot.status.value} after {show_duration(now - started)}.",
                snapshot=snapshot,
                next_step="It goes on; wait again whenever you like.",
            )
        yield Sleep(interval if left is None else min(interval, left))
        interval = min(interval * poll.factor, poll.maximum)


class _Unknown:
    """Bounds how long a status word that this version does not know is tolerated."""

    def __init__(self, what: str, seconds: float) -> None:
        self.what = what
        self.seconds = seconds
        self.since: float | None = None

    def note(self, snapshot: JobSnapshot | DeploymentSnapshot, now: float) -> None:
        """Look at the next snapshot.

        Raises:
            UnknownStatusError: A job's word stayed unknown for too long.
            DeploymentError: A deployment's word did.
        """
        if snapshot.status.value != "unknown":
            self.since = None
            return
        if self.since is None:
            self.since = now
        if now - self.since < self.seconds:
            return
        message = (
            f"{self.what} has reported the unknown status {snapshot.provider_status!r} for "
            f"{show_duration(now - self.since)}."
        )
        advice = (
            "It goes on; look at it at the provider, and see whether a newer version of this "
            "library knows the word."
        )
        if isinstance(snapshot, JobSnapshot):
            raise UnknownStatusError(message, snapshot=snapshot, next_step=advice)
        raise DeploymentError(message, snapshot=snapshot, next_step=advice)


def events_behind(
    provider: FineTuneProvider, job_id: str, cursor: str | None, clock: Clock
) -> Plan[tuple[list[JobEvent], str | None]]:
    """Read all events that stand behind the cursor now, and the cursor behind the last of them.

    Raises:
        ProviderError: The provider says that there is more, but does not get on.
    """
    events: list[JobEvent] = []
    while True:
        fetch = partial(provider.list_events, job_id, cursor)
        page = yield from retried(fetch, clock, WAITS)
        events += page.data
        stuck = page.has_more and page.cursor in (None, cursor)
        cursor = page.cursor if page.cursor is not None else cursor
        if stuck:
            raise ProviderError(
                f"The events of job {job_id!r} cannot be read to their end: the provider says that "
                "there are more, but gives the same page again.",
                provider=provider.name,
            )
        if not page.has_more:
            return events, cursor


def follow_events(
    provider: FineTuneProvider,
    job_id: str,
    *,
    follow: bool,
    clock: Clock,
    after: str | None = None,
) -> Plan[None]:
    """Emit a job's events, oldest first and each once; with `follow`, until the job rests.

    A job rests when it is over or paused. When it came to rest meanwhile, the events are looked at
    once more after a pause: a hosted service may show the last of them late.

    Args:
        provider: Where the job runs.
        job_id: Whose events.
        follow: Go on until the job rests.
        clock: The time.
        after: Id of an event; only what stands behind it is emitted.

    Raises:
        NotFoundError: The job has no event `after`.
        UnknownStatusError: The status stayed unknown for longer than `poll.unknown_for`.
    """
    seen: set[str] = set()
    unknown = _Unknown(f"Job {job_id!r}", provider.poll.unknown_for)
    interval = provider.poll.initial
    cursor: str | None = None
    was_busy = False
    last_look = False
    while True:
        # The status is read before the events: what is written until then is not missed.
        resting = True
        if follow and not last_look:
            job = yield from retried(partial(provider.fetch, job_id), clock, WAITS)
            resting = job.is_terminal or job.status is JobStatus.PAUSED
            unknown.note(job, clock.monotonic())
        events, cursor = yield from events_behind(provider, job_id, cursor, clock)
        if after is not None:
            events, after = _behind(events, after, job_id, provider.name), None
        fresh = [event for event in events if event.id not in seen]
        for event in fresh:
            seen.add(event.id)
            yield Emit(event)
        if resting:
            if last_look or not was_busy:
                return
            last_look = True
            yield Sleep(provider.poll.initial)
            continue
        was_busy = True
        interval = provider.poll.initial if fresh else interval * provider.poll.factor
        interval = min(interval, provider.poll.maximum)
        yield Sleep(interval)


def _behind(events: list[JobEvent], after: str, job_id: str, provider: str) -> list[JobEvent]:
    """The events behind the one with this id; those up to it count as seen."""
    for index, event in enumerate(events):
        if event.id == after:
            return events[index + 1 :]
    raise NotFoundError(
        f"Job {job_id!r} has no event {after!r}.",
        provider=provider,
        next_step="Leave `after` out to read its events from the first.",
    )
