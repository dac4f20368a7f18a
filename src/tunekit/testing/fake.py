"""A provider in memory, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import SecretStr
from typing_extensions import override

from tunekit.capabilities import YES, Capability, Support, no
from tunekit.data import Dataset
from tunekit.engine.plans import Clock, SystemClock
from tunekit.errors import NotFoundError, ProviderError, UnclearReplyError
from tunekit.providers.base import (
    Checkpoint,
    DeploymentSnapshot,
    DeploymentStatus,
    Endpoint,
    Estimate,
    FileRef,
    FineTuneProvider,
    JobEvent,
    JobFault,
    JobProgress,
    JobSnapshot,
    JobStatus,
    ModelRef,
    Page,
    PreparedFile,
    Progress,
    ProviderSettings,
    Stop,
    SupportsCheckpoints,
    SupportsDeployment,
    SupportsEstimate,
    SupportsModelDeletion,
    SupportsPause,
)
from tunekit.spec import FineTuneSpec

Fault = Exception | Literal["drop-before", "drop-after"]
"""What goes wrong with a call: an error, or a connection that drops before or after it worked."""


class FakeSettings(ProviderSettings):
    """Settings of the fake.

    Attributes:
        account: Any text; two fakes with the same text share nothing but the name.
        base_url: Where its deployments say that they answer.
    """

    account: str = "tests"
    base_url: str = "http://127.0.0.1:9/v1"


@dataclass
class FakeJob:
    """A job of the fake: `polls` looks pass before the next status of `script` shows."""

    snapshot: JobSnapshot
    script: list[JobStatus]
    events: list[JobEvent] = field(default_factory=list)


class FakeProvider(
    FineTuneProvider,
    SupportsPause,
    SupportsCheckpoints,
    SupportsDeployment,
    SupportsModelDeletion,
    SupportsEstimate,
):
    """Jobs that live in memory and move one status on at each look.

    Attributes:
        calls: How often each method was called, also the failing calls.
        faults: What goes wrong, by method name; the first entry is used up by the next call.
        script: The statuses that new jobs go through, one per `fetch`.
        jobs: All jobs by id, in the order in which they were created.
        clock: The time that snapshots carry.
    """

    name: ClassVar[str] = "fake"
    Settings: ClassVar[type[ProviderSettings]] = FakeSettings
    capabilities: ClassVar[Mapping[Capability, Support]] = {
        **dict.fromkeys(Capability, YES),
        Capability.RFT: no("the fake has no graders"),
        Capability.DOWNLOAD: no("there are no weights"),
        Capability.MERGE: no("there are no weights"),
        Capability.PUSH: no("there are no weights"),
    }

    def __init__(
        self, settings: ProviderSettings | None = None, *, home: Path, clock: Clock | None = None
    ) -> None:
        super().__init__(settings or FakeSettings(), home=home)
        self.clock = clock or SystemClock()
        self.calls: Counter[str] = Counter()
        self.faults: dict[str, list[Fault]] = {}
        self.script = [JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.RUNNING, JobStatus.SUCCEEDED]
        self.jobs: dict[str, FakeJob] = {}
        self.files: dict[str, FileRef] = {}
        self.standing: dict[str, DeploymentSnapshot] = {}
        self._lock = threading.RLock()

    @property
    def _own(self) -> FakeSettings:
        assert isinstance(self.settings, FakeSettings)  # noqa: S101 - set by the constructor
        return self.settings

    @property
    @override
    def account(self) -> str:
        return f"fake:{self._own.account}"

    def _served(self, method: str, work: Callable[[], Any]) -> Any:
        """Do the work under the lock, with the next fault of this method."""
        with self._lock:
            self.calls[method] += 1
            waiting = self.faults.get(method)
            fault = waiting.pop(0) if waiting else None
            if isinstance(fault, Exception):
                raise fault
            if fault == "drop-before":
                raise UnclearReplyError("the connection dropped", provider=self.name)
            done = work()
            if fault == "drop-after":
                raise UnclearReplyError("the connection dropped", provider=self.name)
            return done

    @override
    def prepare(self, dataset: Dataset, to: Path) -> PreparedFile:
        rows = dataset.write_jsonl(to)
        content = to.read_bytes()
        return PreparedFile(to, rows, len(content), hashlib.sha256(content).hexdigest())

    @override
    def upload(self, file: PreparedFile, *, progress: Progress, stop: Stop) -> FileRef:
        def work() -> FileRef:
            ref = FileRef(id=f"file-{len(self.files)}", sha256=file.sha256, bytes=file.bytes)
            self.files[ref.id] = ref
            progress(file.bytes, file.bytes)
            return ref

        done: FileRef = self._served("upload", work)
        return done

    @override
    def submit(
        self, spec: FineTuneSpec, train: FileRef, validation: FileRef | None, *, tag: str
    ) -> JobSnapshot:
        def work() -> JobSnapshot:
            job_id = f"job-{len(self.jobs)}"
            snapshot = JobSnapshot(
                id=job_id,
                provider=self.name,
                status=self.script[0],
                provider_status=self.script[0].value,
                model=spec.model,
                created_at=self.clock.now(),
                metadata=dict(spec.metadata),
                tag=tag,
            )
            self.jobs[job_id] = FakeJob(snapshot, list(self.script[1:]))
            self._note(job_id, f"Created with {train.id}")
            return snapshot

        done: JobSnapshot = self._served("submit", work)
        return done

    def _note(self, job_id: str, message: str, **data: Any) -> None:
        events = self.jobs[job_id].events
        events.append(
            JobEvent(
                id=f"{job_id}-{len(events)}",
                created_at=self.clock.now(),
                type="metrics" if data else "message",
                message=message,
                data=data,
            )
        )

    @override
    def find(self, tag: str) -> JobSnapshot | None:
        def work() -> JobSnapshot | None:
            for job in self.jobs.values():
                if job.snapshot.tag == tag:
                    return job.snapshot
            return None

        found: JobSnapshot | None = self._served("find", work)
        return found

    def _job(self, job_id: str) -> FakeJob:
        if job_id not in self.jobs:
            raise NotFoundError(f"There is no job {job_id!r}.", provider=self.name)
        return self.jobs[job_id]

    def _move(self, job_id: str, status: JobStatus) -> JobSnapshot:
        job = self._job(job_id)
        if status is job.snapshot.status:
            return job.snapshot
        update: dict[str, Any] = {"status": status, "provider_status": status.value}
        if status is JobStatus.RUNNING:
            update["started_at"] = self.clock.now()
            update["progress"] = JobProgress(step=1, total_steps=2)
            self._note(job_id, "step 1", step=1, train_loss=1.0)
        if status.is_terminal:
            update["finished_at"] = self.clock.now()
        if status is JobStatus.SUCCEEDED:
            update["fine_tuned_model"] = ModelRef(
                id=f"tuned-{job_id}",
                provider=self.name,
                base_model=job.snapshot.model,
                job_id=job_id,
            )
        if status is JobStatus.FAILED:
            update["error"] = JobFault(code="fake-failure", message="it was told to fail")
        job.snapshot = job.snapshot.model_copy(update=update)
        self._note(job_id, f"Now {status.value}")
        return job.snapshot

    @override
    def fetch(self, job_id: str) -> JobSnapshot:
        def work() -> JobSnapshot:
            job = self._job(job_id)
            if job.script and not job.snapshot.is_terminal:
                return self._move(job_id, job.script.pop(0))
            return job.snapshot

        done: JobSnapshot = self._served("fetch", work)
        return done

    @override
    def cancel(self, job_id: str) -> JobSnapshot:
        def work() -> JobSnapshot:
            job = self._job(job_id)
            if job.snapshot.is_terminal:
                return job.snapshot
            job.script.clear()
            return self._move(job_id, JobStatus.CANCELLED)

        done: JobSnapshot = self._served("cancel", work)
        return done

    @override
    def pause(self, job_id: str) -> JobSnapshot:
        def work() -> JobSnapshot:
            job = self._job(job_id)
            if job.snapshot.is_terminal:
                return job.snapshot
            job.script.clear()
            return self._move(job_id, JobStatus.PAUSED)

        done: JobSnapshot = self._served("pause", work)
        return done

    @override
    def resume(self, job_id: str) -> JobSnapshot:
        def work() -> JobSnapshot:
            job = self._job(job_id)
            if job.snapshot.status is not JobStatus.PAUSED:
                return job.snapshot
            job.script = [JobStatus.SUCCEEDED]
            return self._move(job_id, JobStatus.RUNNING)

        done: JobSnapshot = self._served("resume", work)
        return done

    @override
    def list_jobs(self, cursor: str | None = None, limit: int = 20) -> Page[JobSnapshot]:
        def work() -> Page[JobSnapshot]:
            newest_first = [job.snapshot for job in reversed(self.jobs.values())]
            start = int(cursor or 0)
            end = start + limit
            more = end < len(newest_first)
            return Page(
                data=tuple(newest_first[start:end]),
                cursor=str(end) if more else None,
                has_more=more,
            )

        done: Page[JobSnapshot] = self._served("list_jobs", work)
        return done

    @override
    def list_events(self, job_id: str, cursor: str | None = None) -> Page[JobEvent]:
        def work() -> Page[JobEvent]:
            events = self._job(job_id).events
            start = int(cursor or 0)
            end = min(start + 2, len(events))
            return Page(data=tuple(events[start:end]), cursor=str(end), has_more=end < len(events))

        done: Page[JobEvent] = self._served("list_events", work)
        return done

    @override
    def list_checkpoints(self, job_id: str) -> Sequence[Checkpoint]:
        job = self._job(job_id).snapshot
        if job.status is not JobStatus.SUCCEEDED or job.fine_tuned_model is None:
            return []
        model = job.fine_tuned_model.model_copy(update={"step": 1})
        return [
            Checkpoint(
                id=f"{job_id}-step-1", job_id=job_id, step=1, created_at=job.created_at, model=model
            )
        ]

    @override
    def deploy(
        self, model: ModelRef, *, name: str, ttl: float | None, options: Mapping[str, Any]
    ) -> DeploymentSnapshot:
        def work() -> DeploymentSnapshot:
            if options:
                raise ProviderError(f"Unknown option {next(iter(options))!r}.", provider=self.name)
            now = self.clock.now()
            return self.standing.setdefault(
                name,
                DeploymentSnapshot(
                    name=name,
                    provider=self.name,
                    model=model,
                    status=DeploymentStatus.READY,
                    provider_status="ready",
                    base_url=self._own.base_url,
                    created_at=now,
                    expires_at=None if ttl is None else now + timedelta(seconds=ttl),
                    usd_per_hour=0.0,
                ),
            )

        done: DeploymentSnapshot = self._served("deploy", work)
        return done

    @override
    def fetch_deployment(self, name: str) -> DeploymentSnapshot:
        if name not in self.standing:
            raise NotFoundError(f"There is no deployment {name!r}.", provider=self.name)
        return self.standing[name]

    @override
    def delete_deployment(self, name: str) -> None:
        self._served("delete_deployment", lambda: self.standing.pop(name, None))

    @override
    def list_deployments(self) -> Sequence[DeploymentSnapshot]:
        return list(self.standing.values())

    @override
    def endpoint(self, deployment: DeploymentSnapshot) -> Endpoint:
        return Endpoint(
            base_url=self._own.base_url, model=deployment.model.id, api_key=SecretStr("fake")
        )

    @override
    def delete_model(self, model: ModelRef) -> None:
        self._served("delete_model", lambda: None)

    @override
    def estimate(self, spec: FineTuneSpec, train: Dataset, validation: Dataset | None) -> Estimate:
        tokens = sum(len(json.dumps(row)) // 4 for row in train)
        return Estimate(tokens=tokens, usd=tokens / 1000, notes=("a made-up price",))
