"""Weight files looked at without loading them: a few milliseconds whatever the size of the model.

Layout of a safetensors file: eight bytes with the length of the header, the header as JSON, the
data (https://huggingface.co/docs/safetensors, "Format"). Standard library only.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunekit.providers.local.statefile import read_json

MAX_HEADER = 100_000_000
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model or adapter folder."""
    return sorted(folder.glob("*.safetensors"))


def safetensors_header(path: Path) -> dict[str, Any]:
    """The tensors of one file: name to `dtype`, `shape` and `data_offsets`.

    Raises:
        ValueError: The file is cut off or is no safetensors file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise ValueError("the file is empty or cut off")
        (length,) = struct.unpack("<Q", start)
        if length > min(size - 8, MAX_HEADER):
            raise ValueError("its header is cut off")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    try:
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError("its header makes no sense") from error
    if size != 8 + length + end:
        raise ValueError(f"it has {size} bytes and should have {8 + length + end}")
    return tensors


def weight_faults(folder: Path) -> Iterator[str]:
    """What is wrong with a folder's weights, each to complete "it cannot be used: ..."."""
    files = weight_files(folder)
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    if not files and not indexes:
        yield _no_weights(folder)
    for path in files:
        try:
            safetensors_header(path)
        except (OSError, ValueError) as error:
            yield f"{path.name} is damaged: {error}"
    for index in indexes:
        try:
            named = {str(name) for name in (read_json(index) or {})["weight_map"].values()}
        except (ValueError, KeyError, AttributeError) as error:
            yield f"{index.name} is damaged: {error!r}"
            continue
        missing = sorted(name for name in named if not (folder / name).is_file())
        if missing:
            yield f"missing: {', '.join(missing[:5])}"


def _no_weights(folder: Path) -> str:
    pickles = sorted(
        path.name for path in folder.iterdir() if path.suffix in PICKLES and path.is_file()
    )
    if not pickles:
        return "it holds no weights (`*.safetensors`)"
    return (
        f"it holds weights only as pickle ({pickles[0]}), which can run code when it is read. If"
        " you trust it, load it once with transformers and save it again as safetensors"
    )
