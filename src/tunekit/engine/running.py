"""A job that exists: find it, wait for it, read it, steer it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tunekit.capabilities import Capability
from tunekit.engine import submission, waiting
from tunekit.engine.core import Core
from tunekit.engine.plans import Call, Plan
from tunekit.engine.retrying import WAITS, retried
from tunekit.errors import JobFailedError, NotFoundError
from tunekit.ledger import Run, RunState
from tunekit.providers.base import (
    Checkpoint,
    JobSnapshot,
    ModelRef,
    Page,
    SupportsCheckpoints,
    SupportsPause,
)


@dataclass(frozen=True)
class Running(Core):
    """The verbs on jobs."""

    def run_name(self, job_id: str) -> str | None:
        """The run that this job belongs to; blocking."""
        found = self.ledger.run_of_job(self.provider.account, job_id)
        return found.name if found else None

    def find_job(self, ref: str) -> Plan[JobSnapshot]:
        """The job with this run name or id; settles a run that was interrupted.

        Raises:
            NotFoundError: Neither the ledger nor the provider knows it.
        """
        known: Run | None = yield Call(partial(self.ledger.run, self.provider.account, ref))
        if known is not None and known.state is RunState.SUBMITTING:
            known = yield from submission.recover(known, self.provider, self.ledger, self.clock)
        if known is None:
            return (yield from self.fetch_job(ref))
        if known.job_id is None:
            reason = f": {known.detail}" if known.detail else ""
            raise NotFoundError(
                f"Run {known.name!r} was never submitted{reason}.",
                provider=self.provider.name,
                next_step="Call `fine_tune` again with the same run name to submit it.",
            )
        return (yield from self.fetch_job(known.job_id))

    def fetch_job(self, job_id: str) -> Plan[JobSnapshot]:
        """The job as it is now."""
        return retried(partial(self.provider.fetch, job_id), self.clock)

    def jobs_page(self, cursor: str | None, limit: int) -> Plan[Page[JobSnapshot]]:
        """One page of the provider's jobs, newest first."""
        return retried(partial(self.provider.list_jobs, cursor, limit), self.clock)

    def recover(self) -> Plan[list[Run]]:
        """Settle every run of this account that was interrupted while it was submitted."""
        runs: list[Run] = yield Call(partial(self.ledger.runs, self.provider.account))
        settled = []
        for line in runs:
            if line.state is RunState.SUBMITTING:
                done = yield from submission.recover(line, self.provider, self.ledger, self.clock)
                settled.append(done)
        return settled

    def wait_job(self, job_id: str, timeout: float | None) -> Plan[JobSnapshot]:
        """Wait until the job is over; emits each snapshot."""
        return waiting.wait(
            partial(self.provider.fetch, job_id),
            waiting.job_is_over,
            what=f"Job {job_id!r}",
            clock=self.clock,
            poll=self.provider.poll,
            timeout=timeout,
        )

    def tuned_model(self, job: JobSnapshot) -> ModelRef:
        """The model of a job that has succeeded."""
        if job.fine_tuned_model is None:
            raise JobFailedError(
                f"Job {job.id!r} succeeded, but the provider names no tuned model.",
                snapshot=job,
                next_step="It was deleted, or a safety check held it back; its events may say.",
            )
        return job.fine_tuned_model

    def events(self, job_id: str, *, follow: bool, after: str | None) -> Plan[None]:
        """Emit the job's events, oldest first; those behind the event `after`, when it is given."""
        return waiting.follow_events(
            self.provider, job_id, after=after, follow=follow, clock=self.clock
        )

    def metrics(self, job_id: str) -> Plan[list[dict[str, Any]]]:
        """The figures of all metric events, in the order of training."""
        events, _ = yield from waiting.events_behind(self.provider, job_id, None, self.clock)
        return [dict(event.data) for event in events if event.type == "metrics"]

    def checkpoints(self, job_id: str) -> Plan[Sequence[Checkpoint]]:
        """Complete checkpoints, oldest first."""
        provider = self.able(SupportsCheckpoints, Capability.CHECKPOINTS)
        return retried(partial(provider.list_checkpoints, job_id), self.clock)

    def cancel(self, job_id: str) -> Plan[JobSnapshot]:
        """Ask for the job to be cancelled."""
        self.need(Capability.CANCEL)
        return retried(partial(self.provider.cancel, job_id), self.clock, WAITS)

    def pause(self, job_id: str) -> Plan[JobSnapshot]:
        """Ask the job to save a checkpoint and stop."""
        provider = self.able(SupportsPause, Capability.PAUSE)
        return retried(partial(provider.pause, job_id), self.clock, WAITS)

    def resume(self, job_id: str) -> Plan[JobSnapshot]:
        """Let a paused job go on."""
        provider = self.able(SupportsPause, Capability.PAUSE)
        return retried(partial(provider.resume, job_id), self.clock, WAITS)
