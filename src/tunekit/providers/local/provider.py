"""`LocalProvider`: what every provider that runs on this machine has in common."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import field_validator
from typing_extensions import override

from tunekit.errors import (
    ConflictError,
    LocalRunError,
    NotFoundError,
    UnsupportedError,
)
from tunekit.providers.base import (
    Checkpoint,
    FileRef,
    FineTuneProvider,
    JobEvent,
    JobSnapshot,
    Page,
    PollPolicy,
    PreparedFile,
    Progress,
    ProviderSettings,
    Stop,
    SupportsCheckpoints,
    SupportsPause,
)
from tunekit.providers.local.checkpoints import complete_checkpoints
from tunekit.providers.local.files import FULL, FileStore, cannot_write, write_rows
from tunekit.providers.local.rundir import FORMAT, RunDir
from tunekit.providers.local.snapshots import checkpoint_of, event_of, snapshot_of
from tunekit.providers.local.statefile import PRIVATE_DIR, make_private_dir, write_json
from tunekit.providers.local.supervisor import Supervisor, View, stale_builds

if TYPE_CHECKING:
    from tunekit.data import Dataset
    from tunekit.spec import FineTuneSpec

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class LocalSettings(ProviderSettings):
    """What every local provider can be told.

    Attributes:
        runs_dir: Where the run directories lie; None means `runs` in tunekit's home.
        python: The interpreter under which workers run.
    """

    runs_dir: Path | None = None
    python: Path = Path(sys.executable)

    @field_validator("python", "runs_dir")
    @classmethod
    def _expand_home(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()


class LocalProvider(FineTuneProvider, SupportsPause, SupportsCheckpoints):
    """Jobs as run directories with a detached worker each.

    A subclass says how its worker is started (`worker_command`, `worker_environment`) and what the
    worker must know (`worker_spec`). The job's id is its tag, which is the directory's name.
    """

    poll: ClassVar[PollPolicy] = PollPolicy(initial=0.5, factor=1.5, maximum=5.0)
    # Submitting a tag twice is harmless here: the directory is there or not, and of two workers
    # one gets the lock. So one look settles an interrupted submission.
    settle_delays: ClassVar[Sequence[float]] = ()
    events_per_page: ClassVar[int] = 1000

    settings: LocalSettings

    def __init__(self, settings: ProviderSettings, *, home: Path) -> None:
        if not isinstance(settings, LocalSettings):
            raise TypeError(f"settings must be LocalSettings, not {type(settings).__name__}")
        super().__init__(settings, home=home)
        self.supervisor = Supervisor(self.worker_command, self.worker_environment)

    @property
    def runs(self) -> Path:
        """The folder of all run directories, absolute."""
        chosen = self.settings.runs_dir
        return (self.home / "runs" if chosen is None else chosen).absolute()

    @property
    @override
    def account(self) -> str:
        return f"local:{self.runs}"

    @abstractmethod
    def worker_command(self, run: RunDir) -> Sequence[str]:
        """The command line of the worker for this run."""

    @abstractmethod
    def worker_spec(self, spec: FineTuneSpec) -> dict[str, Any]:
        """What the worker must know beyond the spec itself; JSON, and no secret."""

    def worker_environment(self) -> Mapping[str, str]:
        """The environment of the worker."""
        return {**os.environ, "PYTHONUNBUFFERED": "1"}

    @override
    def prepare(self, dataset: Dataset, to: Path) -> PreparedFile:
        return write_rows(dataset, to)

    @override
    def upload(self, file: PreparedFile, *, progress: Progress, stop: Stop) -> FileRef:
        return FileStore(self._private_runs()).add(file, progress=progress, stop=stop)

    @override
    def submit(
        self, spec: FineTuneSpec, train: FileRef, validation: FileRef | None, *, tag: str
    ) -> JobSnapshot:
        if not _TAG.fullmatch(tag):
            raise ValueError(f"{tag!r} cannot be the name of a run directory")
        run = RunDir(self._private_runs() / tag)
        asked = {
            "format": FORMAT,
            "provider": self.name,
            "tag": tag,
            "created_at": time.time(),
            "spec": spec.model_dump(mode="json"),
            "train": train.model_dump(),
            "validation": None if validation is None else validation.model_dump(),
            **self.worker_spec(spec),
        }
        if not run.exists:
            self._build(run, asked, train, validation)
        known = run.spec()
        if any(known.get(key) != asked[key] for key in ("spec", "train", "validation", "provider")):
            raise ConflictError(
                f"The run directory {str(run.path)!r} belongs to another request.",
                provider=self.name,
                next_step="Use another tag, or another `runs_dir`.",
            )
        with self._writing(run, "The worker of job {tag!r} could not be started"):
            return snapshot_of(self.supervisor.start(run))

    @contextmanager
    def _writing(self, run: RunDir, what: str) -> Iterator[None]:
        """Put what the system says about a run directory or an interpreter into words."""
        try:
            yield
        except OSError as error:
            what = what.format(tag=run.tag)
            place = Path(os.fsdecode(error.filename)) if error.filename else run.path
            if error.errno in FULL or run.path in (place, *place.parents):
                raise cannot_write(f"{what} in {str(run.path)!r}", error) from error
            raise LocalRunError(
                f"{what}: {error.strerror or error} ({error.filename!r}).",
                next_step="Set `python` in the profile to an interpreter that exists.",
            ) from error

    def _private_runs(self) -> Path:
        if sys.platform == "win32":
            raise UnsupportedError(
                "Local jobs need process groups and file locks of POSIX.",
                next_step="Run tunekit under Linux, macOS or WSL.",
            )
        try:
            return make_private_dir(self.runs)
        except OSError as error:
            raise cannot_write(f"The folder {str(self.runs)!r} cannot be made", error) from error

    def _build(
        self, run: RunDir, asked: Mapping[str, Any], train: FileRef, validation: FileRef | None
    ) -> None:
        """Make the directory under another name and rename it, so that it is whole or not there."""
        for leftover in stale_builds(self.runs, older_than=3600.0):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary: RunDir | None = None
        try:
            temporary = RunDir(Path(tempfile.mkdtemp(prefix=f".new-{run.tag}-", dir=self.runs)))
            temporary.path.chmod(PRIVATE_DIR)
            store = FileStore(self.runs)
            store.place(train, temporary.train_file)
            if validation is not None:
                store.place(validation, temporary.validation_file)
            temporary.checkpoints.mkdir()
            write_json(temporary.spec_file, asked)
            try:
                temporary.path.rename(run.path)
            except OSError:
                if not run.exists:  # else somebody was faster, with the same request
                    raise
        except OSError as error:
            raise cannot_write(
                f"The run directory {str(run.path)!r} could not be made", error
            ) from error
        finally:
            if temporary is not None:
                with suppress(FileNotFoundError):
                    shutil.rmtree(temporary.path)

    def _known(self, job_id: str) -> RunDir:
        """The directory of a job that was launched.

        Raises:
            NotFoundError: There is none.
        """
        run = RunDir(self.runs / job_id)
        if not (_TAG.fullmatch(job_id) and run.exists and View.of(run).launched):
            raise NotFoundError(
                f"There is no job {job_id!r} in {str(self.runs)!r}.",
                provider=self.name,
                next_step="`tunekit jobs` lists what is there.",
            )
        return run

    @override
    def find(self, tag: str) -> JobSnapshot | None:
        try:
            return self.fetch(tag)
        except NotFoundError:
            return None

    @override
    def fetch(self, job_id: str) -> JobSnapshot:
        return snapshot_of(self._settled(self._known(job_id)))

    def _settled(self, run: RunDir) -> View:
        with self._writing(run, "How job {tag!r} ended could not be written down"):
            return self.supervisor.look(run)

    @override
    def cancel(self, job_id: str) -> JobSnapshot:
        run = self._known(job_id)
        with self._writing(run, "Job {tag!r} could not be cancelled"):
            return snapshot_of(self.supervisor.cancel(run))

    @override
    def pause(self, job_id: str) -> JobSnapshot:
        run = self._known(job_id)
        with self._writing(run, "Job {tag!r} could not be paused"):
            view = self.supervisor.pause(run)
        if view.ended or view.asked_for == "cancel":
            raise ConflictError(
                f"Job {job_id!r} cannot be paused: it is {view.word}.", provider=self.name
            )
        return snapshot_of(view)

    @override
    def resume(self, job_id: str) -> JobSnapshot:
        run = self._known(job_id)
        with self._writing(run, "The worker of job {tag!r} could not be started"):
            view = self.supervisor.resume(run)
        if view.word in ("pausing", "cancelling", "cancelled", "failed"):
            raise ConflictError(
                f"Job {job_id!r} cannot be resumed: it is {view.word}.",
                provider=self.name,
                next_step="Wait until it is paused."
                if view.word == "pausing"
                else "Launch it again under another run name.",
            )
        return snapshot_of(view)

    @override
    def list_jobs(self, cursor: str | None = None, limit: int = 20) -> Page[JobSnapshot]:
        before = _read_cursor(cursor)
        page: list[JobSnapshot] = []
        last: tuple[float, str] | None = None
        for key, run in self._newest_first():
            if before is not None and key >= before:
                continue
            view = self._settled(run)
            if not view.launched:
                continue
            if last is not None and len(page) == limit:
                return Page(data=tuple(page), cursor=f"{last[0]!r}|{last[1]}", has_more=True)
            page.append(snapshot_of(view))
            last = key
        return Page(data=tuple(page))

    def _newest_first(self) -> list[tuple[tuple[float, str], RunDir]]:
        """This provider's run directories with their sort keys `(created_at, tag)`."""
        found = []
        for path in self.runs.glob("[!.]*"):
            run = RunDir(path)
            spec = run.spec()
            if spec.get("provider") == self.name:
                found.append(((float(spec["created_at"]), run.tag), run))
        return sorted(found, key=lambda entry: entry[0], reverse=True)

    @override
    def list_events(self, job_id: str, cursor: str | None = None) -> Page[JobEvent]:
        run = self._known(job_id)
        offset = int(cursor) if cursor else 0
        events: list[JobEvent] = []
        for after, event in run.events(offset):
            if len(events) == self.events_per_page:
                return Page(data=tuple(events), cursor=str(offset), has_more=True)
            events.append(event_of(event))
            offset = after
        return Page(data=tuple(events), cursor=str(offset))

    @override
    def list_checkpoints(self, job_id: str) -> Sequence[Checkpoint]:
        run = self._known(job_id)
        return [checkpoint_of(run, state) for state in complete_checkpoints(run.checkpoints)]


def _read_cursor(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    at, _, tag = cursor.partition("|")
    return float(at), tag
