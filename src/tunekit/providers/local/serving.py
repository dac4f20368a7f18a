"""Brings a local model up behind an OpenAI-compatible endpoint on loopback.

A deployment is a directory (see `server.record`) with a detached host process that looks after one
server process. Nothing about it lives in this process: any other can list, use or delete it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import SecretStr
from typing_extensions import override

from tunekit.errors import (
    ConfigError,
    ConflictError,
    DeploymentError,
    InvalidRequestError,
    LocalRunError,
    NotFoundError,
    UnsupportedError,
)
from tunekit.providers.base import SupportsDeployment
from tunekit.providers.local.process import ProcessIdentity, spawn_detached
from tunekit.providers.local.server.folder import locate
from tunekit.providers.local.server.options import ServeOptions
from tunekit.providers.local.server.port import require_free
from tunekit.providers.local.server.record import Record, ask_for, lock_name, name_is_locked, now
from tunekit.providers.local.statefile import PRIVATE_DIR, make_private_dir, tail
from tunekit.providers.snapshots import (
    DeploymentSnapshot,
    DeploymentStatus,
    Endpoint,
    JobFault,
    ModelRef,
)

__all__ = ["LocalDeployments", "ServeOptions"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_GRACE_SECONDS = 5.0
_LOG_LINES = 20
_ENDED = ("deleted", "failed")


class ServingSettings(Protocol):
    """What the settings of a provider must hold so that it can serve.

    Attributes:
        python: The interpreter that has torch and transformers.
        trust_remote_code: Whether code that comes with a model may run.
    """

    @property
    def python(self) -> str | Path: ...
    @property
    def trust_remote_code(self) -> bool: ...


class LocalDeployments(SupportsDeployment):
    """Deployments on this machine, for a provider that leaves model folders.

    The class that mixes it in is a `FineTuneProvider` whose settings are `ServingSettings`.
    """

    name: ClassVar[str]
    home: Path
    settings: ServingSettings

    @override
    def deploy(
        self, model: ModelRef, *, name: str, ttl: float | None, options: Mapping[str, Any]
    ) -> DeploymentSnapshot:
        """Start the deployment, or return it when it is there already.

        Args:
            model: A folder (whole weights or an adapter) or a Hub model id.
            name: Letters, digits, `.`, `_` and `-`; up to 64 characters.
            ttl: Seconds from being ready after which it ends by itself.
            options: See `ServeOptions`.

        Raises:
            InvalidRequestError: The name or `ttl` cannot be used.
            ConfigError: An option is unknown or out of bounds, or there is no chat template.
            CorruptModelError: The model folder is not whole.
            PortInUseError: The port that was asked for is taken.
            ConflictError: The name serves another model already, or this one with other settings
                than those that are asked for now.
            LocalRunError: The home folder cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise InvalidRequestError(
                f"{name!r} cannot be the name of a local deployment.",
                provider=self.name,
                next_step="Use up to 64 letters, digits, '.', '_' or '-', a letter or digit first.",
            )
        if ttl is not None and not ttl > 0:
            raise InvalidRequestError(f"`ttl` must be above zero, not {ttl!r}.", provider=self.name)
        chosen = ServeOptions.read(options)
        with self._holding(name):
            there = self._there_already(
                name, model, ttl=ttl, options=chosen.model_dump(mode="json", include=set(options))
            )
            if there is not None:
                return there
            return self._start(model, name=name, ttl=ttl, options=chosen)

    @override
    def fetch_deployment(self, name: str) -> DeploymentSnapshot:
        snapshot = self._look(name)
        if snapshot is None:
            raise NotFoundError(
                f"There is no deployment {name!r} on this machine.",
                provider=self.name,
                next_step="`tunekit deployments` lists those that are there.",
            )
        return snapshot

    @override
    def delete_deployment(self, name: str) -> None:
        if self._look(name) is None:
            return
        with self._holding(name):
            record = self._record(name)
            if record.asked() is None:
                return
            record.request_delete()
            host = record.host()
            if host is not None and not host.end_group(grace=_GRACE_SECONDS):
                raise DeploymentError(
                    f"The processes of deployment {name!r} (group {host.pid}) do not end.",
                    next_step=f"Look at them with `ps -g {host.pid}`; the log is {record.log}.",
                )
            self._remove(record)

    @override
    def list_deployments(self) -> Sequence[DeploymentSnapshot]:
        if not self._root.is_dir():
            return ()
        names = sorted(path.name for path in self._root.iterdir() if _NAME.fullmatch(path.name))
        found = (self._look(name) for name in names)
        return tuple(
            snapshot
            for snapshot in found
            if snapshot is not None and snapshot.status is not DeploymentStatus.DELETED
        )

    @override
    def endpoint(self, deployment: DeploymentSnapshot) -> Endpoint:
        key = self._record(deployment.name).key()
        if key is None or deployment.base_url is None:
            raise DeploymentError(
                f"Deployment {deployment.name!r} is {deployment.provider_status}; "
                "there is nothing to talk to.",
                snapshot=deployment,
                next_step="Wait until it is ready, or deploy it again.",
            )
        return Endpoint(base_url=deployment.base_url, model=deployment.name, api_key=SecretStr(key))

    @override
    def adopt(self, name: str) -> None:
        self.fetch_deployment(name)
        self._record(name).write_owner(ProcessIdentity.mine())

    @property
    def _root(self) -> Path:
        return self.home / "deployments"

    def _record(self, name: str) -> Record:
        return Record(self._root / name)

    @contextmanager
    def _holding(self, name: str) -> Iterator[None]:
        """Keep other processes from making or removing this deployment meanwhile."""
        if sys.platform == "win32":
            raise UnsupportedError(
                "Local deployments need process groups and file locks of POSIX.",
                next_step="Run tunekit under Linux, macOS or WSL.",
            )
        try:
            held = lock_name(make_private_dir(self._root), name)
        except OSError as error:
            raise LocalRunError(
                f"The folder {str(self._root)!r} cannot be written: {error.strerror}.",
                next_step="Make it writable, or set another `home`.",
            ) from error
        if held is None:
            raise ConflictError(
                f"Another process starts or deletes deployment {name!r} just now.",
                provider=self.name,
                next_step="Try again in a moment.",
            )
        with held:
            for leftover in self._root.glob(f".???-????????-{name}"):
                shutil.rmtree(leftover, ignore_errors=True)
            yield

    def _there_already(
        self, name: str, model: ModelRef, *, ttl: float | None, options: Mapping[str, Any]
    ) -> DeploymentSnapshot | None:
        record = self._record(name)
        asked = record.asked()
        if asked is None:
            return None
        if asked["provider"] == self.name:
            there = self._snapshot(record, asked)
            if there.status.is_terminal:
                self._remove(record)
                return None
            wanted = {**options, **({} if ttl is None else {"ttl": ttl})}
            stands = {**asked["options"], "ttl": asked["ttl"]}
            other = [f"`{key}` {stands[key]!r}" for key in wanted if wanted[key] != stands[key]]
            if there.model.id == model.id and not other:
                return there
            what = f"serves {there.model.id!r}"
            if there.model.id == model.id:
                what = f"stands with {' and '.join(other)}"
        else:
            what = f"belongs to provider {asked['provider']!r}"
        raise ConflictError(
            f"Deployment {name!r} {what} already.",
            provider=self.name,
            next_step="Choose another name, or delete that deployment first.",
        )

    def _start(
        self, model: ModelRef, *, name: str, ttl: float | None, options: ServeOptions
    ) -> DeploymentSnapshot:
        source = locate(model.id, base_model=model.base_model)
        if options.port:
            require_free(options.port)
        python = shutil.which(Path(self.settings.python).expanduser())
        if python is None:
            raise ConfigError(
                f"There is no interpreter {str(self.settings.python)!r}.",
                next_step="Set `python` in the profile to one that has torch and transformers.",
            )
        record = self._record(name)
        making = self._root / f".new-{secrets.token_hex(4)}-{name}"
        try:
            making.mkdir(mode=PRIVATE_DIR)
            ask_for(
                making,
                {
                    "name": name,
                    "provider": self.name,
                    "model": model.model_dump(mode="json"),
                    "source": asdict(source),
                    "offline": source.offline and not self.settings.trust_remote_code,
                    "ttl": ttl,
                    "options": options.model_dump(mode="json"),
                    "trust_remote_code": self.settings.trust_remote_code,
                    "created_at": now(),
                },
            )
            draft = Record(making)
            draft.write_key(secrets.token_urlsafe(32))
            draft.write_status("creating")
            making.rename(record.path)
            entry = Path(__file__).parent / "server" / "entry.py"
            spawned = spawn_detached(
                [python, str(entry), "host", str(record.path)], log=record.log, cwd=record.path
            )
        except OSError as error:
            shutil.rmtree(making, ignore_errors=True)
            shutil.rmtree(record.path, ignore_errors=True)
            raise LocalRunError(
                f"Deployment {name!r} cannot be started: {error}.",
                next_step=f"Check that {python!r} runs and {str(self._root)!r} can be written.",
            ) from error
        if spawned.identity is not None:
            record.write_host(spawned.identity)
        return self._snapshot(record, record.asked() or {})

    def _look(self, name: str) -> DeploymentSnapshot | None:
        """The deployment as it is now; None when there is none of this provider."""
        if not _NAME.fullmatch(name):
            return None
        record = self._record(name)
        try:
            asked = record.asked()
        except NotADirectoryError:
            return None
        if asked is None or asked["provider"] != self.name:
            return None
        return self._snapshot(record, asked, held_by_others=True)

    def _snapshot(
        self, record: Record, asked: Mapping[str, Any], *, held_by_others: bool = False
    ) -> DeploymentSnapshot:
        said = self._truth(record, held_by_others=held_by_others)
        status = DeploymentStatus(said["status"])
        expires = said.get("expires_at")
        return DeploymentSnapshot(
            name=asked["name"],
            provider=self.name,
            model=ModelRef.model_validate(asked["model"]),
            status=status,
            provider_status=str(status),
            base_url=None if status.is_terminal else said.get("base_url"),
            created_at=datetime.fromisoformat(asked["created_at"]),
            expires_at=None if expires is None else datetime.fromisoformat(expires),
            usd_per_hour=0.0,
            error=_fault(said, record) if status is DeploymentStatus.FAILED else None,
            raw={"directory": str(record.path), "log": str(record.log), **said},
        )

    def _truth(self, record: Record, *, held_by_others: bool) -> dict[str, Any]:
        """What the files say, corrected by whether the host still lives.

        Args:
            record: The deployment.
            held_by_others: Whether another process may be starting it just now, so that a host
                that cannot be seen yet is no fault. False for one who holds the name.
        """
        said = record.status()
        host = record.host()
        alive = host is not None and host.alive
        if not alive and said.get("status") not in _ENDED:
            if held_by_others and name_is_locked(self._root, record.path.name):
                return said
            said = record.status()  # the host may have written its last word in between
            if said.get("status") not in _ENDED:
                return {
                    "status": "failed",
                    "reason": "server-died",
                    "message": "The host process ended without a last word: it was killed, or the "
                    "machine was restarted. Deploy it again.",
                    "log_tail": tail(record.log, _LOG_LINES),
                }
        if said.get("status") in ("creating", "ready") and record.delete_requested:
            said = {**said, "status": "deleting"}
        return said

    def _remove(self, record: Record) -> None:
        """Take the directory away, at once for everybody who looks."""
        gone = self._root / f".old-{secrets.token_hex(4)}-{record.path.name}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(record.path, gone)
        shutil.rmtree(gone, ignore_errors=True)


def _fault(said: Mapping[str, Any], record: Record) -> JobFault:
    log = str(said.get("log_tail") or "").strip()
    message = str(said.get("message") or "The server failed.")
    message += f"\nThe end of {record.log}:\n{log}" if log else f"\nThe log is {record.log}."
    return JobFault(code=str(said.get("reason") or "failed"), message=message)
