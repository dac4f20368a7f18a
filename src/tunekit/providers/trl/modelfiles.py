"""Model folders looked at without loading them. Free of torch; standard library only."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator
from pathlib import Path

from tunekit.providers.local.statefile import read_json
from tunekit.providers.local.weights import (
    MAX_HEADER,
    safetensors_header,
    weight_faults,
    weight_files,
)
from tunekit.providers.trl.faults import TrainingFault


def count_parameters(folder: Path) -> int | None:
    """Weights in all safetensors files of the folder; None when there is none or one is damaged."""
    files = weight_files(folder)
    try:
        return (
            sum(
                math.prod(entry["shape"])
                for path in files
                for entry in safetensors_header(path).values()
            )
            if files
            else None
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def folder_hash(folder: Path) -> str:
    """What pins a local model: hash of its configuration and of the make-up of its weights.

    Names, sizes and headers of the weight files go in, the weights themselves do not: hashing
    those would take minutes for a large model.
    """
    digest = hashlib.sha256()
    for name in ("config.json", "adapter_config.json"):
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    for path in weight_files(folder):
        digest.update(f"{path.name}:{path.stat().st_size}".encode())
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            digest.update(file.read(min(length, MAX_HEADER)))
    return digest.hexdigest()


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter and not a whole model."""
    return (folder / "adapter_config.json").is_file()


def adapter_base(folder: Path) -> str:
    """What an adapter was trained on.

    Raises:
        TrainingFault: Its configuration does not say.
    """
    try:
        config = read_json(folder / "adapter_config.json") or {}
    except ValueError as error:
        raise TrainingFault(
            "corrupt-base",
            f"The adapter in {str(folder)!r} cannot be used: adapter_config.json is no JSON"
            f" ({error}). Copy or download it again.",
        ) from error
    base = config.get("base_model_name_or_path")
    if not base:
        raise TrainingFault(
            "corrupt-base",
            f"The adapter in {str(folder)!r} does not say which model it belongs to. Set"
            " `base_model_name_or_path` in its adapter_config.json.",
        )
    return str(base)


def check_local_model(folder: Path) -> None:
    """Refuse a local model that is not whole, before anything is loaded.

    Raises:
        TrainingFault: `corrupt-base`, naming the file.
    """
    faults = _adapter_faults(folder) if is_adapter(folder) else _config_faults(folder)
    for why in (*faults, *weight_faults(folder)):
        advice = "" if "pickle" in why else " Copy or download it again."
        raise TrainingFault(
            "corrupt-base", f"The base model {str(folder)!r} cannot be used: {why}.{advice}"
        )


def _adapter_faults(folder: Path) -> Iterator[str]:
    base = Path(adapter_base(folder))
    if base.is_absolute() and not base.is_dir():
        yield f"its own base {str(base)!r} is not there"
    elif base.is_dir():
        check_local_model(base)


def _config_faults(folder: Path) -> Iterator[str]:
    try:
        if read_json(folder / "config.json") is None:
            yield "it has no config.json"
    except ValueError as error:
        yield f"config.json is no JSON ({error})"
