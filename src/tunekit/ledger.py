"""The ledger: what was asked for, written down before it is sent.

One SQLite file (`<home>/ledger.sqlite3`, write-ahead log) that several processes share. A run is in
one of these states::

    prepared ──> submitting ──> submitted      the job exists, its id is known
                     │
                     └────────> refused        the provider clearly refused; nothing exists

A run found in `submitting` was interrupted between the create call and its answer: the next call
looks for the job by its tag instead of creating a second one.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tunekit.errors import LedgerError, LedgerUnavailableError, LedgerVersionError
from tunekit.providers.base import FileRef, ModelRef

SCHEMA_VERSION = 1

PATIENCE = 30.0
"""Seconds to wait for other processes that write."""

_SCHEMA = """
CREATE TABLE runs (
    account     TEXT NOT NULL,
    name        TEXT NOT NULL,
    tag         TEXT NOT NULL UNIQUE,
    provider    TEXT NOT NULL,
    profile     TEXT,
    settings    TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    request     TEXT NOT NULL,
    state       TEXT NOT NULL,
    job_id      TEXT,
    detail      TEXT NOT NULL DEFAULT '',
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    PRIMARY KEY (account, name)
) STRICT;
CREATE INDEX runs_by_job ON runs (account, job_id);
CREATE TABLE files (
    account     TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    file_id     TEXT NOT NULL,
    bytes       INTEGER NOT NULL,
    created_at  TEXT NOT NULL,
    PRIMARY KEY (account, sha256)
) STRICT;
CREATE TABLE deployments (
    account     TEXT NOT NULL,
    name        TEXT NOT NULL,
    provider    TEXT NOT NULL,
    profile     TEXT,
    settings    TEXT NOT NULL,
    model       TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    expires_at  TEXT,
    PRIMARY KEY (account, name)
) STRICT;
"""


class RunState(StrEnum):
    """How far the submission of a run has come."""

    PREPARED = "prepared"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    REFUSED = "refused"


class Run(BaseModel):
    """One line of the ledger.

    Attributes:
        account: Whose run it is; names are unique within an account.
        tag: The mark that the job carries at the provider.
        settings: The provider's settings without secrets, to find the job from another process.
        fingerprint: Hash of spec, data and account.
        request: What was asked for, to say what differs when a name is used twice.
        detail: The last refusal, for people.
    """

    model_config = ConfigDict(frozen=True)

    account: str
    name: str
    tag: str
    provider: str
    profile: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    fingerprint: str
    request: dict[str, Any] = Field(default_factory=dict)
    state: RunState = RunState.PREPARED
    job_id: str | None = None
    detail: str = ""
    created_at: datetime
    updated_at: datetime


class KnownDeployment(BaseModel):
    """A deployment that was started from here, so that it is never forgotten."""

    model_config = ConfigDict(frozen=True)

    account: str
    name: str
    provider: str
    profile: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    model: ModelRef
    created_at: datetime
    expires_at: datetime | None = None


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The runs, files and deployments of one home folder.

    Every method is one short transaction on a connection of its own, so a ledger may be shared by
    threads, and its file by processes.

    Args:
        path: The SQLite file; it and its folder are made when the first line is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._unavailable(error) from error
        try:
            connection.row_factory = sqlite3.Row
            self._refuse_newer(connection)  # before anything in the file is touched
            _use_write_ahead_log(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            self._migrate(connection)
            yield connection
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise self._unavailable(error) from error
        except sqlite3.DatabaseError as error:
            raise LedgerError(
                f"The ledger {str(self.path)!r} cannot be read: {error}.",
                next_step="Move it away and run `tunekit jobs --recover`; jobs themselves are "
                "not touched by this.",
            ) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.close()

    def _refuse_newer(self, connection: sqlite3.Connection) -> int:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise LedgerVersionError(
                f"The ledger {str(self.path)!r} has version {version}; this library knows "
                f"{SCHEMA_VERSION}.",
                next_step="Use the newer version that wrote it, or set `TUNEKIT_HOME` to another "
                "folder.",
            )
        return int(version)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = self._refuse_newer(connection)
        if version == 0:
            for statement in _SCHEMA.split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _unavailable(self, error: Exception) -> LedgerUnavailableError:
        return LedgerUnavailableError(
            f"The ledger {str(self.path)!r} cannot be opened or written: {error}.",
            next_step="Make the folder writable, free some disk space, or set `TUNEKIT_HOME` to "
            "another folder. A job that was already sent is found again by its tag.",
        )

    def open_run(self, run: Run) -> Run:
        """Write the run down, or return the one that already has this account and name."""
        with self._transaction() as connection:
            found = connection.execute(
                "SELECT * FROM runs WHERE account = ? AND name = ?", (run.account, run.name)
            ).fetchone()
            if found is not None:
                return _run(found)
            connection.execute(
                "INSERT INTO runs (account, name, tag, provider, profile, settings, fingerprint,"
                " request, state, job_id, detail, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.account,
                    run.name,
                    run.tag,
                    run.provider,
                    run.profile,
                    json.dumps(run.settings),
                    run.fingerprint,
                    json.dumps(run.request),
                    run.state.value,
                    run.job_id,
                    run.detail,
                    run.created_at.isoformat(),
                    run.updated_at.isoformat(),
                ),
            )
        return run

    def set_state(
        self, tag: str, state: RunState, *, job_id: str | None = None, detail: str = ""
    ) -> Run:
        """Move a run to another state; it is on disk when this returns."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE runs SET state = ?, job_id = COALESCE(?, job_id), detail = ?,"
                " updated_at = ? WHERE tag = ?",
                (state.value, job_id, detail, _now().isoformat(), tag),
            )
            found = connection.execute("SELECT * FROM runs WHERE tag = ?", (tag,)).fetchone()
        if found is None:
            raise LedgerError(f"The ledger {str(self.path)!r} has no run with tag {tag!r}.")
        return _run(found)

    def remove_run(self, tag: str) -> None:
        """Strike a run off of which nothing came."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM runs WHERE tag = ?", (tag,))

    def run(self, account: str, name: str) -> Run | None:
        """The run of this name."""
        return self._one("SELECT * FROM runs WHERE account = ? AND name = ?", account, name)

    def run_of_tag(self, tag: str) -> Run | None:
        """The run with this tag."""
        return self._one("SELECT * FROM runs WHERE tag = ?", tag)

    def run_of_job(self, account: str, job_id: str) -> Run | None:
        """The run whose job this is."""
        return self._one("SELECT * FROM runs WHERE account = ? AND job_id = ?", account, job_id)

    def runs(self, account: str | None = None) -> list[Run]:
        """All runs, newest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM runs WHERE ? IS NULL OR account = ? ORDER BY created_at DESC",
                (account, account),
            ).fetchall()
        return [_run(row) for row in rows]

    def _one(self, query: str, *values: str) -> Run | None:
        with self._transaction() as connection:
            row = connection.execute(query, values).fetchone()
        return None if row is None else _run(row)

    def file(self, account: str, sha256: str) -> FileRef | None:
        """The file with this content, when the account already has it."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT file_id, bytes FROM files WHERE account = ? AND sha256 = ?",
                (account, sha256),
            ).fetchone()
        return None if row is None else FileRef(id=row[0], sha256=sha256, bytes=row[1])

    def add_file(self, account: str, file: FileRef) -> None:
        """Note that the account has this file."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO files (account, sha256, file_id, bytes, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (account, file.sha256, file.id, file.bytes, _now().isoformat()),
            )

    def forget_file(self, account: str, sha256: str) -> None:
        """Note that the account has lost this file."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM files WHERE account = ? AND sha256 = ?", (account, sha256)
            )

    def note_deployment(self, deployment: KnownDeployment) -> bool:
        """Note a deployment before it is started; False when the name was noted already."""
        return self._write_deployment("INSERT OR IGNORE", deployment)

    def add_deployment(self, deployment: KnownDeployment) -> None:
        """Note a deployment that was started, in the place of whatever had its name."""
        self._write_deployment("INSERT OR REPLACE", deployment)

    def _write_deployment(self, verb: str, deployment: KnownDeployment) -> bool:
        with self._transaction() as connection:
            written = connection.execute(
                f"{verb} INTO deployments (account, name, provider, profile, settings,"
                " model, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    deployment.account,
                    deployment.name,
                    deployment.provider,
                    deployment.profile,
                    json.dumps(deployment.settings),
                    deployment.model.model_dump_json(),
                    deployment.created_at.isoformat(),
                    deployment.expires_at.isoformat() if deployment.expires_at else None,
                ),
            )
        return written.rowcount > 0

    def forget_deployment(self, account: str, name: str) -> None:
        """Note that a deployment is gone."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM deployments WHERE account = ? AND name = ?", (account, name)
            )

    def deployments(self, account: str | None = None) -> list[KnownDeployment]:
        """Deployments that were started from here and not ended from here, newest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM deployments WHERE ? IS NULL OR account = ? ORDER BY created_at DESC",
                (account, account),
            ).fetchall()
        return [_known_deployment(row) for row in rows]


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch a new file over. SQLite does not queue for this lock, so several processes try."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _decoded(row: Mapping[str, Any] | sqlite3.Row, *columns: str) -> dict[str, Any]:
    values = {key: row[key] for key in row.keys()}  # noqa: SIM118 - sqlite3.Row is no dict
    values.update({column: json.loads(values[column]) for column in columns})
    return values


def _run(row: sqlite3.Row) -> Run:
    return Run.model_validate(_decoded(row, "settings", "request"))


def _known_deployment(row: sqlite3.Row) -> KnownDeployment:
    return KnownDeployment.model_validate(_decoded(row, "settings", "model"))
