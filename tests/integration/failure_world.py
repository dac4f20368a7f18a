"""Places in which things go wrong for real: full and read-only disks, interpreters that lack much.

A mount needs rights that not every machine gives; a test that asks for one is skipped there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tunekit import Client, connect

SOURCES = Path(__file__).resolve().parents[2] / "src"
TRAINING = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")


@contextmanager
def mounted(folder: Path, *, size: str, read_only: bool = False) -> Iterator[Path]:
    """A file system of its own in memory."""
    folder.mkdir()
    asked = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `mount` here")
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, leave: int) -> Path:
    """Fill the file system of the folder up to so many bytes."""
    filler = folder / "filler"
    size = shutil.disk_usage(folder).free - leave
    with filler.open("ab") as file:
        file.write(bytes(max(0, size)))
    return filler


def interpreter_without(folder: Path, *absent: str) -> Path:
    """An environment that holds everything that ours does, but not these packages."""
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        name = path.name.replace("_", "-").lower()
        gone = any(name == one or name.startswith((f"{one}-", f"{one}.")) for one in absent)
        if not gone and not (site / path.name).exists():
            (site / path.name).symlink_to(path)
    return folder / "bin" / "python"


def tunekit(
    *words: str, python: Path | str = sys.executable, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [str(python), "-m", "tunekit", *words],
        env={**os.environ, "PYTHONPATH": str(SOURCES), "COLUMNS": "500", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def client_of(home: Path, **settings: Any) -> Client:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEKIT_HOME", str(home))
        return connect(provider="trl", **settings)


def nothing_was_launched(home: Path) -> bool:
    """No run directory, whole or half-made."""
    runs = home / "runs"
    return (
        not runs.exists() or [path.name for path in runs.iterdir() if path.name != ".files"] == []
    )


def with_own_code(folder: Path, *, ran: Path, model_type: str = "strange") -> Path:
    """Let a model folder bring Python code that leaves a trace when it is run."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["model_type"] = model_type
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\n", encoding="utf-8")
    return folder
