"""A provider whose jobs live in a file, so that several processes reach the same ones."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from tunekit.data import Dataset
from tunekit.errors import NotFoundError
from tunekit.ledger import Ledger
from tunekit.providers.base import FileRef, JobSnapshot, JobStatus, PreparedFile, Progress, Stop
from tunekit.spec import FineTuneSpec
from tunekit.testing import FakeProvider

SPEC = FineTuneSpec(model="small", suffix="recipes")


def rows(count: int, about: str) -> Dataset:
    return Dataset.from_records(
        [
            {
                "messages": [
                    {"role": "user", "content": f"What goes into {about} {number}?"},
                    {"role": "assistant", "content": "Salt."},
                ]
            }
            for number in range(count)
        ],
        source=about,
    )


TRAIN = rows(12, "dish")
VALIDATION = rows(3, "drink")


class SharedProvider(FakeProvider):
    """The fake, with a server that outlives a process and takes `delay` seconds to create a job."""

    name: ClassVar[str] = "shared"
    settle_delays = ()
    delay = 0.0

    @contextmanager
    def server(self) -> Iterator[sqlite3.Connection]:
        self.home.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.home / "server.sqlite3", timeout=30, isolation_level=None)
        try:
            connection.execute("CREATE TABLE IF NOT EXISTS jobs (tag TEXT)")
            connection.execute("CREATE TABLE IF NOT EXISTS uploads (sha256 TEXT, known INTEGER)")
            yield connection
        finally:
            connection.close()

    @override
    def upload(self, file: PreparedFile, *, progress: Progress, stop: Stop) -> FileRef:
        known = Ledger(self.home / "ledger.sqlite3").file(self.account, file.sha256) is not None
        with self.server() as server:
            made = server.execute("INSERT INTO uploads VALUES (?, ?)", (file.sha256, known))
            return FileRef(id=f"file-{made.lastrowid}", sha256=file.sha256, bytes=file.bytes)

    @override
    def submit(
        self, spec: FineTuneSpec, train: FileRef, validation: FileRef | None, *, tag: str
    ) -> JobSnapshot:
        time.sleep(self.delay)
        with self.server() as server:
            server.execute("INSERT INTO jobs VALUES (?)", (tag,))
        return self.found("tag = ?", tag)[0]

    @override
    def find(self, tag: str) -> JobSnapshot | None:
        return next(iter(self.found("tag = ?", tag)), None)

    @override
    def fetch(self, job_id: str) -> JobSnapshot:
        jobs = self.found("'job-' || rowid = ?", job_id)
        if not jobs:
            raise NotFoundError(f"There is no job {job_id!r}.", provider=self.name)
        return jobs[0]

    def found(self, condition: str = "? = ''", value: str = "") -> list[JobSnapshot]:
        """The jobs of the server for which the condition on `tag` and `rowid` holds."""
        with self.server() as server:
            query = f"SELECT rowid, tag FROM jobs WHERE {condition}"  # noqa: S608 - our own words
            return [
                JobSnapshot(
                    id=f"job-{number}",
                    provider=self.name,
                    status=JobStatus.QUEUED,
                    provider_status="queued",
                    model="small",
                    created_at=self.clock.now(),
                    tag=tag,
                )
                for number, tag in server.execute(query, (value,))
            ]

    def uploads(self) -> list[tuple[str, int]]:
        """Each upload: the digest, and whether the ledger knew the content already."""
        with self.server() as server:
            return server.execute("SELECT sha256, known FROM uploads").fetchall()


def shared(home: Path) -> SharedProvider:
    return SharedProvider(home=home)
