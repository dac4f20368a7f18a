"""What a finished job left: listing, copying, merging, pushing and deleting model folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from typing_extensions import override

from tunekit.errors import (
    ConfigError,
    ConflictError,
    CorruptModelError,
    DiskSpaceError,
    LocalRunError,
    NotFoundError,
    missing_extra,
)
from tunekit.providers.base import (
    Artifact,
    ModelRef,
    SupportsArtifacts,
    SupportsModelDeletion,
)
from tunekit.providers.local.checkpoints import complete_checkpoints, read_marker
from tunekit.providers.local.rundir import RunDir, exclusive
from tunekit.providers.local.statefile import read_json, write_json
from tunekit.providers.trl.modelfiles import is_adapter
from tunekit.providers.trl.options import TrlSettings

WORKER = Path(__file__).with_name("worker.py")

_KINDS = {
    ".safetensors": "weights",
    ".jinja": "chat_template",
}


class ModelFolders(SupportsArtifacts, SupportsModelDeletion):
    """Model folders of run directories; mixed into `TrlProvider`."""

    settings: TrlSettings

    @property
    def runs(self) -> Path:
        """The folder of all run directories."""
        raise NotImplementedError

    def worker_environment(self) -> Mapping[str, str]:
        """The environment of the worker."""
        raise NotImplementedError

    def _whole(self, model: ModelRef) -> Path:
        folder = Path(model.id).expanduser()
        if not folder.is_dir():
            raise NotFoundError(
                f"There is no model folder {model.id!r}.",
                provider=model.provider,
                next_step="It was deleted or moved; `tunekit jobs` lists what is there.",
            )
        if read_marker(folder) is None:
            raise CorruptModelError(
                f"The model folder {model.id!r} is not whole: files are missing or cut off.",
                next_step="Restore it, or train again.",
            )
        return folder

    @override
    def list_artifacts(self, model: ModelRef) -> Sequence[Artifact]:
        folder = self._whole(model)
        return [
            Artifact(
                name=str(path.relative_to(folder)),
                bytes=path.stat().st_size,
                kind=_kind_of(path),
            )
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]

    @override
    def download(self, model: ModelRef, to: Path) -> Path:
        source = self._whole(model)
        to = to.expanduser().absolute()
        if to.exists() and (not to.is_dir() or any(to.iterdir())):
            raise ConfigError(
                f"{str(to)!r} exists and is not an empty folder.", next_step="Give a new folder."
            )
        to.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
        try:
            shutil.copytree(source, temporary, dirs_exist_ok=True)
            temporary.chmod(0o755 & ~_umask())
            temporary.rename(to)
        except OSError as error:
            raise DiskSpaceError(
                f"The model could not be copied to {str(to)!r}: {error.strerror or error}.",
                next_step="Nothing was left there. Free some space or choose another folder.",
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return to

    @override
    def merge(self, model: ModelRef, to: Path | None = None) -> ModelRef:
        """Merge an adapter into its base, in a folder of its own; takes as long as loading it.

        Args:
            model: A tuned model that is an adapter. A whole model is returned as it is.
            to: The new folder; None means `merged` in the job's directory.

        Raises:
            LocalRunError: The worker could not merge; the message says why.
        """
        source = self._whole(model)
        if not is_adapter(source):
            return model
        target = (source.parent / "merged" if to is None else to.expanduser()).absolute()
        merged = model.model_copy(update={"id": str(target)})
        marker = read_marker(target)
        if marker is not None and marker.get("merged_from") == str(source):
            return merged
        if target.exists():
            raise ConflictError(
                f"{str(target)!r} is there already and is not this model merged.",
                provider=model.provider,
                next_step="Give another folder.",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(  # noqa: S603 - our own worker, under the profile's interpreter
            [str(self.settings.python), str(WORKER), "merge", str(source), str(target)],
            capture_output=True,
            text=True,
            env=dict(self.worker_environment()),
            check=False,
        )
        if done.returncode or read_marker(target) is None:
            raise LocalRunError(f"Merging {model.id!r} failed: {_fault_in(done.stderr)}")
        return merged

    @override
    def push(self, model: ModelRef, repo_id: str, *, private: bool = True) -> str:
        folder = self._whole(model)
        try:
            from huggingface_hub import HfApi
            from huggingface_hub.errors import HfHubHTTPError
        except ImportError as error:
            raise missing_extra(
                "hub", "'huggingface-hub>=2.4'", needed_for="Sending a model to the Hub"
            ) from error
        token = self.settings.hf_token
        api = HfApi(token=None if token is None else token.get_secret_value())
        try:
            created = api.create_repo(repo_id, private=private, exist_ok=True)
            # The record holds the spec and local paths; it stays here.
            api.upload_folder(
                repo_id=created.repo_id, folder_path=str(folder), ignore_patterns=["tunekit.json"]
            )
        except (HfHubHTTPError, OSError) as error:
            raise LocalRunError(
                f"The model could not be sent to {repo_id!r}: {error}",
                next_step="Look at the token (`hf auth whoami`) and the name, then push again.",
            ) from error
        return str(created)

    @override
    def delete_model(self, model: ModelRef) -> None:
        folder = Path(model.id).expanduser().absolute()
        run = RunDir(folder.parent)
        if folder.parent.parent != self.runs or folder not in (run.model, run.merged):
            raise ConfigError(
                f"{model.id!r} is not a model in {str(self.runs)!r}, and nothing else is deleted."
            )
        if not run.exists:
            return
        with exclusive(run.supervision_file):
            status = read_json(run.status_file)
            if folder == run.model and status is not None and "model_deleted_at" not in status:
                write_json(run.status_file, {**status, "model_deleted_at": time.time()})
            doomed = [run.merged] if folder == run.merged else [run.model, run.merged]
            if folder == run.model and not complete_checkpoints(run.checkpoints):
                doomed.append(run.base)  # else the checkpoints' adapters still need it
            for path in doomed:
                # Renamed first, so that no half of it ever looks like a model.
                gone = run.path / f".deleted-{path.name}-{os.getpid()}"
                with suppress(FileNotFoundError):
                    path.rename(gone)
                    shutil.rmtree(gone)


def _kind_of(path: Path) -> str:
    if path.name == "adapter_model.safetensors":
        return "adapter"
    if path.name.startswith("tokenizer"):
        return "tokenizer"
    return _KINDS.get(path.suffix, "config" if path.suffix == ".json" else "file")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _fault_in(text: str) -> str:
    """The worker's own words for what went wrong: its last line, if that is one of its faults."""
    lines = text.strip().splitlines()
    try:
        return str(json.loads(lines[-1])["message"])
    except (IndexError, ValueError, KeyError, TypeError):
        return "\n".join(lines[-5:]) or "the worker said nothing"
