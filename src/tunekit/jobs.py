"""A job: the handle on a fine-tune that runs somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from typing_extensions import override

from tunekit.engine.session import Session
from tunekit.models import TunedModel
from tunekit.providers.base import Checkpoint, JobEvent, JobSnapshot, JobStatus


class Job:
    """A fine-tune that was started. Dropping the handle leaves the job alone.

    Any process gets it again with `client.job(run_or_id)`.
    """

    def __init__(self, session: Session, snapshot: JobSnapshot) -> None:
        self._session = session
        self.snapshot = snapshot

    @property
    def id(self) -> str:
        """The provider's id of the job."""
        return self.snapshot.id

    @property
    def status(self) -> JobStatus:
        """Where the job stood when it was last looked at; `refresh` looks again."""
        return self.snapshot.status

    @property
    def run(self) -> str | None:
        """The run name under which it was started, when it was started from here."""
        return self._session.run_name(self.id)

    def refresh(self) -> Job:
        """Look at the job again and return this handle."""
        self.snapshot = self._session.run(self._session.fetch_job(self.id))
        return self

    def watch(self, *, timeout: float | None = None) -> Iterator[JobSnapshot]:
        """Wait like `wait`, and give each snapshot on the way; for progress displays."""
        for snapshot in self._session.iterate(self._session.wait_job(self.id, timeout)):
            self.snapshot = snapshot
            yield snapshot

    def wait(self, *, timeout: float | None = None) -> Job:
        """Wait until the job has succeeded and return this handle.

        An interrupted wait leaves the job running.

        Args:
            timeout: Seconds; None waits for as long as it takes.

        Raises:
            JobFailedError: It failed, with the provider's reason.
            JobCancelledError: It was cancelled.
            JobPausedError: It is paused and waits for `resume`.
            UnknownStatusError: Its status stayed unknown for too long.
            WaitTimeoutError: The time is up; the job goes on.
        """
        for _ in self.watch(timeout=timeout):
            pass  # the last snapshot is what counts
        return self

    def result(self, *, timeout: float | None = None) -> TunedModel:
        """Wait for the job and return its tuned model. Raises what `wait` raises."""
        self.wait(timeout=timeout)
        return TunedModel(self._session, self._session.tuned_model(self.snapshot))

    def events(self, *, follow: bool = False, after: str | None = None) -> Iterator[JobEvent]:
        """The job's events, oldest first and each once.

        Args:
            follow: Go on until the job is over or paused.
            after: Id of an event, to go on behind it; None starts at the beginning.

        Raises:
            NotFoundError: The job has no event `after`.
        """
        return self._session.iterate(self._session.events(self.id, follow=follow, after=after))

    def metrics(self) -> list[dict[str, Any]]:
        """One row of figures per metric event: `step`, `train_loss`, `valid_loss`, ..."""
        return self._session.run(self._session.metrics(self.id))

    def checkpoints(self) -> Sequence[Checkpoint]:
        """Complete checkpoints, oldest first.

        Raises:
            UnsupportedError: The provider shows none.
        """
        return self._session.run(self._session.checkpoints(self.id))

    def cancel(self) -> Job:
        """Ask for the job to be cancelled; harmless when it is over. `wait` tells when it is."""
        self.snapshot = self._session.run(self._session.cancel(self.id))
        return self

    def pause(self) -> Job:
        """Ask the job to save a whole checkpoint and stop.

        Raises:
            UnsupportedError: The provider cannot pause.
        """
        self.snapshot = self._session.run(self._session.pause(self.id))
        return self

    def resume(self) -> Job:
        """Let a paused job go on from its checkpoint.

        Raises:
            UnsupportedError: The provider cannot pause.
        """
        self.snapshot = self._session.run(self._session.resume(self.id))
        return self

    @override
    def __repr__(self) -> str:
        return f"<Job {self.id!r} {self.status.value}>"
