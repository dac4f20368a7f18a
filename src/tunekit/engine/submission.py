"""Submit once: a job is written down before it is sent, and created at most once.

The plan may be cut off between any two of its steps, by an exception or by the death of the
process. Whatever it was doing, the next call with the same run name goes on from the ledger:

========== ===========================================================================
state      what the next call does
========== ===========================================================================
prepared   upload what is missing, then create
submitting look for the tag; create only when the provider is sure that it has no such job
submitted  return the job
refused    the provider had clearly refused: look once, then create again with the same tag
========== ===========================================================================

The name belongs to its request as soon as a job may have come of it. Until then (prepared, refused)
a corrected request takes the name over.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tunekit._text import show_duration, slug
from tunekit.data import Dataset
from tunekit.engine.plans import Call, Clock, Plan, Sleep
from tunekit.engine.retrying import WAITS, retried
from tunekit.errors import (
    NotFoundError,
    ProviderError,
    RateLimitError,
    RunConflictError,
    UnclearReplyError,
    WaitTimeoutError,
)
from tunekit.ledger import Ledger, Run, RunState
from tunekit.providers.base import FileRef, FineTuneProvider, JobSnapshot, Progress, Stop
from tunekit.spec import FineTuneSpec, fingerprint

CREATE_ATTEMPTS = 3
"""How often the create call is made when the provider is sure each time that no job came of it."""

RATE_LIMIT_PATIENCE = 900.0
"""Seconds for which a rate limit on the create call is waited out."""

LOCK_PATIENCE = 1800.0
"""Seconds to wait for another process that is submitting the same run."""


def no_progress(done: int, total: int) -> None:
    """Report no progress."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Submission:
    """Everything that a launch needs.

    Attributes:
        run: Name of the run; None derives one from the request, so that the same request is the
            same run.
        profile: The profile's name, to find the job again from another process.
        settings: The provider's settings without secrets, for the same reason.
    """

    spec: FineTuneSpec
    train: Dataset
    validation: Dataset | None = None
    run: str | None = None
    profile: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress = no_progress
    stop: Stop = _never

    def to_run(self, provider: FineTuneProvider, now: datetime) -> Run:
        """Describe the launch as a line of the ledger. Reads the data once, to hash it."""
        # Without the defaults, so that a field which a later version adds changes nothing.
        spec = self.spec.model_dump(mode="json", exclude_defaults=True)
        spec["method"] = {"type": self.spec.method.type, **spec.get("method", {})}
        # Options of other providers do not reach this one, so they do not make another request.
        spec["options"] = spec.get("options", {}).get(provider.name, {})
        request = {
            "spec": spec,
            "train": self.train.fingerprint,
            "validation": None if self.validation is None else self.validation.fingerprint,
        }
        mark = fingerprint(provider.account, request)
        name = self.run or f"{slug(self.spec.suffix or self.spec.model)}-{mark[:10]}"
        return Run(
            account=provider.account,
            name=name,
            tag=new_tag(now),
            provider=provider.name,
            profile=self.profile,
            settings=dict(self.settings),
            fingerprint=mark,
            request=request,
            created_at=now,
            updated_at=now,
        )


def new_tag(now: datetime) -> str:
    """A fresh mark for a job: sorts by time, and is a valid folder name and metadata value."""
    return f"tk-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(5)}"


def submit(
    submission: Submission,
    provider: FineTuneProvider,
    ledger: Ledger,
    clock: Clock,
    *,
    preflight: Callable[[], object],
) -> Plan[JobSnapshot]:
    """Bring a run to the point where its job exists, and return that job.

    Args:
        submission: What to launch.
        provider: Where.
        ledger: Where it is written down.
        clock: The time.
        preflight: Raises when the launch must be refused. Not called for a run whose job exists.

    Raises:
        PreflightError: From `preflight`; nothing was sent.
        RunConflictError: The name belongs to a different request.
        UnclearReplyError: The provider could not be asked whether the job exists; call again.
        ProviderError: The provider clearly refused; nothing exists.
    """
    try:
        wanted: Run = yield Call(lambda: submission.to_run(provider, clock.now()))
    except ValueError:  # the data cannot be read, or an option is no JSON
        yield Call(preflight)  # says everything that is wrong, at once
        raise
    known: Run | None = yield Call(partial(ledger.run, wanted.account, wanted.name))
    if known is None or known.job_id is None:
        if known is None or known.state is not RunState.SUBMITTING:
            yield Call(preflight)
        if known is not None and known.fingerprint != wanted.fingerprint:
            yield from _free_name(known, wanted, provider, ledger, clock)
        known = yield Call(partial(ledger.open_run, wanted))
    _refuse_conflict(known, wanted)
    if known.job_id is None:
        with _lock_of(provider.home, known.tag) as try_lock:
            yield from _take(try_lock, known, clock)
            fresh: Run = (yield Call(partial(ledger.run_of_tag, known.tag))) or known
            if fresh.job_id is None:
                return (yield from _bring_into_being(fresh, submission, provider, ledger, clock))
            known = fresh
    return (yield from retried(partial(provider.fetch, str(known.job_id)), clock, WAITS))


def _free_name(
    known: Run, wanted: Run, provider: FineTuneProvider, ledger: Ledger, clock: Clock
) -> Plan[None]:
    """Let a corrected request have the name of one of which nothing came.

    Raises:
        RunConflictError: Something may have come of it.
    """
    with _lock_of(provider.home, known.tag) as try_lock:
        yield from _take(try_lock, known, clock)
        fresh: Run | None = yield Call(partial(ledger.run_of_tag, known.tag))
        if fresh is None:
            return
        if fresh.state is RunState.REFUSED:
            found = yield from retried(partial(provider.find, fresh.tag), clock, WAITS)
            if found is not None:
                submitted = partial(
                    ledger.set_state, fresh.tag, RunState.SUBMITTED, job_id=found.id
                )
                fresh = yield Call(submitted)
        if fresh is not None and fresh.state in (RunState.PREPARED, RunState.REFUSED):
            yield Call(partial(ledger.remove_run, fresh.tag))
            return
    _refuse_conflict(known, wanted)


def recover(run: Run, provider: FineTuneProvider, ledger: Ledger, clock: Clock) -> Plan[Run]:
    """Settle a run that was interrupted while it was being submitted, without creating anything.

    Returns:
        The run: `submitted` when its job was found, `prepared` when the provider is sure that
        there is none, unchanged when there was nothing to settle.
    """
    if run.state is not RunState.SUBMITTING:
        return run
    with _lock_of(provider.home, run.tag) as try_lock:
        yield from _take(try_lock, run, clock)
        fresh: Run = (yield Call(partial(ledger.run_of_tag, run.tag))) or run
        if fresh.state is not RunState.SUBMITTING:
            return fresh  # whoever held the lock has settled it
        found = yield from _look_for(run.tag, provider, clock)
        state = RunState.PREPARED if found is None else RunState.SUBMITTED
        job_id = None if found is None else found.id
        settled: Run = yield Call(partial(ledger.set_state, run.tag, state, job_id=job_id))
        return settled


def _bring_into_being(
    run: Run, submission: Submission, provider: FineTuneProvider, ledger: Ledger, clock: Clock
) -> Plan[JobSnapshot]:
    """Upload and create. The caller holds the run's lock."""
    found: JobSnapshot | None = None
    if run.state is RunState.SUBMITTING:
        found = yield from _look_for(run.tag, provider, clock)
    elif run.state is RunState.REFUSED:
        found = yield from retried(partial(provider.find, run.tag), clock, WAITS)
    if found is not None:
        yield Call(partial(ledger.set_state, run.tag, RunState.SUBMITTED, job_id=found.id))
        return found
    work = provider.home / "prepared" / run.tag
    try:
        files = yield from _send_files(work, submission, provider, ledger, clock)
        return (yield from _create(run.tag, submission.spec, files, provider, ledger, clock))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _send_files(
    work: Path, submission: Submission, provider: FineTuneProvider, ledger: Ledger, clock: Clock
) -> Plan[tuple[FileRef, FileRef | None]]:
    work.mkdir(mode=0o700, parents=True, exist_ok=True)

    def prepare_and_send(dataset: Dataset, name: str) -> FileRef:
        prepared = provider.prepare(dataset, work / name)
        held = ledger.file(provider.account, prepared.sha256)
        if held is None:
            held = provider.upload(prepared, progress=submission.progress, stop=submission.stop)
            ledger.add_file(provider.account, held)
        return held

    send = partial(prepare_and_send, submission.train, "train.jsonl")
    train = yield from retried(send, clock, WAITS, atomic=True)
    if submission.validation is None:
        return train, None
    send = partial(prepare_and_send, submission.validation, "validation.jsonl")
    return train, (yield from retried(send, clock, WAITS, atomic=True))


def _create(
    tag: str,
    spec: FineTuneSpec,
    files: tuple[FileRef, FileRef | None],
    provider: FineTuneProvider,
    ledger: Ledger,
    clock: Clock,
) -> Plan[JobSnapshot]:
    create = partial(_create_and_record, tag, spec, files, provider, ledger)
    limited_until = clock.monotonic() + RATE_LIMIT_PATIENCE
    unclear = 0
    while True:
        try:
            job: JobSnapshot = yield Call(create, atomic=True)
        except RateLimitError as error:
            pause = 10.0 if error.retry_after is None else max(error.retry_after, 1.0)
            if clock.monotonic() + pause > limited_until:
                raise
            yield Sleep(pause)
        except UnclearReplyError as error:
            unclear += 1
            found = yield from _look_for(tag, provider, clock)
            if found is not None:
                yield Call(partial(ledger.set_state, tag, RunState.SUBMITTED, job_id=found.id))
                return found
            if unclear >= CREATE_ATTEMPTS:
                yield Call(partial(ledger.set_state, tag, RunState.REFUSED, detail=error.message))
                raise
        else:
            return job


def _create_and_record(
    tag: str,
    spec: FineTuneSpec,
    files: tuple[FileRef, FileRef | None],
    provider: FineTuneProvider,
    ledger: Ledger,
) -> JobSnapshot:
    """Make the one create call between two lines of the ledger.

    It is one step of the plan, so that a cancelled caller cannot come between answer and ledger.
    """
    ledger.set_state(tag, RunState.SUBMITTING)
    try:
        job = provider.submit(spec, *files, tag=tag)
    except UnclearReplyError:
        raise  # still submitting: the tag settles it
    except ProviderError as error:
        if isinstance(error, NotFoundError):  # perhaps a file has expired: send it anew next time
            for file in filter(None, files):
                ledger.forget_file(provider.account, file.sha256)
        ledger.set_state(tag, RunState.REFUSED, detail=str(error))
        raise
    ledger.set_state(tag, RunState.SUBMITTED, job_id=job.id)
    return job


def _look_for(tag: str, provider: FineTuneProvider, clock: Clock) -> Plan[JobSnapshot | None]:
    """Look for the job with patience; None means that the provider is sure to have none.

    Raises:
        UnclearReplyError: The provider could not be asked for too long. The run stays as it is.
    """
    look = partial(provider.find, tag)
    found = yield from retried(look, clock, WAITS)
    for delay in provider.settle_delays:
        if found is not None:
            break
        yield Sleep(delay)
        found = yield from retried(look, clock, WAITS)
    return found


def _refuse_conflict(known: Run, wanted: Run) -> None:
    if known.fingerprint == wanted.fingerprint:
        return
    differences = sorted(_differences(known.request, wanted.request))
    raise RunConflictError(
        f"Run {known.name!r} already belongs to another request, which differs in "
        f"{', '.join(f'`{path}`' for path in differences) or 'its account'}.",
        run=known.name,
        differences=differences,
        next_step="Use another run name for a new job, or repeat the first request to get its job.",
    )


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            found
            for key in keys
            for found in _differences(
                old.get(key), new.get(key), f"{path}.{key}" if path else str(key)
            )
        ]
    return [] if old == new else [path]


@contextmanager
def _lock_of(home: Path, tag: str) -> Iterator[Callable[[], bool]]:
    """Give a function that tries to take the run's lock. The system frees it if we die."""
    folder = home / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(folder / f"{tag}.lock", thread_local=False)

    def try_lock() -> bool:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        return True

    try:
        yield try_lock
    finally:
        with suppress(OSError):
            lock.release()


def _take(try_lock: Callable[[], bool], run: Run, clock: Clock) -> Plan[None]:
    started = clock.monotonic()
    while not (yield Call(try_lock, atomic=True)):
        waited = clock.monotonic() - started
        if waited >= LOCK_PATIENCE:
            raise WaitTimeoutError(
                f"Another process has been submitting run {run.name!r} for "
                f"{show_duration(waited)}.",
                next_step="See whether it hangs; once it has ended, call again.",
            )
        yield Sleep(0.25)
