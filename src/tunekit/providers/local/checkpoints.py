"""Checkpoint folders: which are complete, which is the newest, and which may go.

A checkpoint is complete when its marker, written last, lists every file with its size and all of
them are there with that size. Everything else is the remains of a crash and is never shown, resumed
from or served. Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.providers.local.rundir import MODEL_MARKER
from tunekit.providers.local.statefile import read_json, write_json

_NAME = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True, slots=True)
class SavedState:
    """A complete checkpoint: its step, its folder, and what its marker says."""

    step: int
    path: Path
    marker: dict[str, Any]


def sync_folder(folder: Path) -> None:
    """Have every file of the folder, and the folder itself, on disk before going on."""
    for path in [*(p for p in folder.rglob("*") if p.is_file()), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def mark_complete(folder: Path, marker: Mapping[str, Any]) -> None:
    """Declare that the folder is whole; the last thing that is done to it."""
    files = {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MODEL_MARKER
    }
    write_json(folder / MODEL_MARKER, {**marker, "files": files})


def read_marker(folder: Path) -> dict[str, Any] | None:
    """The marker of a folder that is whole; None for any other."""
    try:
        marker = read_json(folder / MODEL_MARKER)
    except (OSError, ValueError):
        return None
    if marker is None or not isinstance(marker.get("files"), dict):
        return None
    for name, size in marker["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            return None
    return marker


def complete_checkpoints(folder: Path) -> list[SavedState]:
    """The complete checkpoints in `checkpoints/`, oldest first."""
    found = []
    if folder.is_dir():
        for path in folder.iterdir():
            name = _NAME.fullmatch(path.name)
            marker = read_marker(path) if name else None
            if name and marker is not None:
                found.append(SavedState(int(name[1]), path, marker))
    return sorted(found, key=lambda state: state.step)


def remove_checkpoint(path: Path) -> None:
    """Delete a checkpoint; interrupted at any point, what is left does not look complete."""
    (path / MODEL_MARKER).unlink(missing_ok=True)
    shutil.rmtree(path)


def keep_newest(folder: Path, limit: int) -> None:
    """Delete all but the newest `limit` complete checkpoints."""
    states = complete_checkpoints(folder)
    for state in states[: max(0, len(states) - limit)]:
        remove_checkpoint(state.path)


def remove_incomplete(folder: Path) -> list[Path]:
    """Delete the remains of checkpoints that were never finished, and name them."""
    whole = {state.path for state in complete_checkpoints(folder)}
    remains = [path for path in folder.glob("checkpoint-*") if path not in whole]
    for path in remains:
        shutil.rmtree(path)
    return remains
