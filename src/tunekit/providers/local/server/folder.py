"""Is this folder a whole model that can be served? Looked at before anything is started.

Reads configuration files and the headers of weight files, never the weights: a few milliseconds
whatever the size of the model. Format of safetensors: eight bytes with the length of the header,
the header as JSON, the data (https://huggingface.co/docs/safetensors, "Format").
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.errors import ConfigError, CorruptModelError

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
MAX_HEADER = 100_000_000
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the server takes a model from.

    Attributes:
        model: An absolute folder, or a Hub model id.
        base: For an adapter: the folder or Hub id that it was trained on.
        tokenizer: The folder or Hub id that holds tokenizer and chat template.
        offline: Whether everything lies on this machine, so that no network is needed.
    """

    model: str
    base: str | None
    tokenizer: str
    offline: bool


def locate(model_id: str, *, base_model: str | None = None) -> Source:
    """Find the model, and check it if it is a folder.

    Args:
        model_id: A folder, or a Hub model id.
        base_model: What an adapter was trained on, used when its own file names none.

    Raises:
        CorruptModelError: The folder is not there, not whole, or cannot be served.
        ConfigError: It is neither a folder nor a Hub model id.
    """
    folder = Path(model_id).expanduser()
    if not folder.is_dir():
        if folder.exists() or not _HUB_ID.fullmatch(model_id):
            raise CorruptModelError(
                f"There is no model folder {model_id!r}.",
                next_step="Give the folder that a job left, or a Hub model id like 'owner/name'.",
            )
        return Source(model_id, None, model_id, offline=False)
    folder = folder.resolve()
    if (folder / "adapter_config.json").is_file():
        return _locate_adapter(folder, base_model)
    _check_weights(folder, "model")
    _read(folder / "config.json")
    _check_tokenizer(folder)
    _check_template(folder)
    return Source(str(folder), None, str(folder), offline=True)


def _locate_adapter(folder: Path, base_model: str | None) -> Source:
    config = _read(folder / "adapter_config.json")
    _check_weights(folder, "adapter_model")
    named = config.get("base_model_name_or_path") or base_model
    if not named:
        raise CorruptModelError(
            f"The adapter in {str(folder)!r} does not say which base model it belongs to.",
            next_step="Set `base_model_name_or_path` in its adapter_config.json.",
        )
    base = Path(str(named)).expanduser()
    if not base.is_dir() and (base.is_absolute() or not _HUB_ID.fullmatch(str(named))):
        raise CorruptModelError(
            f"The adapter in {str(folder)!r} belongs to the base model {str(named)!r}, "
            "which is not there.",
            next_step="Put it back, or correct `base_model_name_or_path` in adapter_config.json.",
        )
    if not base.is_dir():
        own = any((folder / name).is_file() for name in TOKENIZERS)
        return Source(str(folder), str(named), str(folder) if own else str(named), offline=False)
    base = base.resolve()
    _check_weights(base, "model")
    _read(base / "config.json")
    own = any((folder / name).is_file() for name in TOKENIZERS)
    tokenizer = folder if own else base
    _check_tokenizer(tokenizer)
    _check_template(tokenizer)
    return Source(str(folder), str(base), str(tokenizer), offline=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CorruptModelError(
            f"The model folder {str(path.parent)!r} has no {path.name}.",
            next_step="It is incomplete: copy or download it again.",
        ) from None
    except (OSError, ValueError) as error:
        raise CorruptModelError(
            f"{str(path)!r} cannot be read: {error}.",
            next_step="The folder is damaged: copy or download it again.",
        ) from error
    if not isinstance(content, dict):
        raise CorruptModelError(
            f"{str(path)!r} holds no JSON object.",
            next_step="The folder is damaged: copy or download it again.",
        )
    return content


def _check_weights(folder: Path, stem: str) -> None:
    index = folder / f"{stem}.safetensors.index.json"
    single = folder / f"{stem}.safetensors"
    if single.is_file():
        files = [single]
    elif index.is_file():
        names = sorted({str(name) for name in _read(index).get("weight_map", {}).values()})
        missing = [name for name in names if not (folder / name).is_file()]
        if missing or not names:
            what = ", ".join(missing[:5]) if missing else "its index names no file"
            raise CorruptModelError(
                f"The weights in {str(folder)!r} are incomplete; missing: {what}.",
                next_step="Copy or download the folder again.",
            )
        files = [folder / name for name in names]
    else:
        _refuse_pickles(folder, stem)
        raise CorruptModelError(
            f"The folder {str(folder)!r} holds no weights ({stem}.safetensors).",
            next_step="Give the folder of a finished job, or copy the model again.",
        )
    for file in files:
        _check_safetensors(file)


def _refuse_pickles(folder: Path, stem: str) -> None:
    prefixes = ("pytorch_model", stem)
    found = sorted(
        path.name
        for pattern in PICKLES
        for path in folder.glob(pattern)
        if path.name.startswith(prefixes)
    )
    if found:
        raise CorruptModelError(
            f"The folder {str(folder)!r} holds weights only as pickle ({found[0]}), "
            "which can run code when it is read.",
            next_step="If you trust it, load it once with transformers and save it as safetensors.",
        )


def _check_safetensors(file: Path) -> None:
    def broken(why: str) -> CorruptModelError:
        return CorruptModelError(
            f"The weights {str(file)!r} are damaged: {why}.",
            next_step="Copy or download the file again.",
        )

    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(8)
            if len(start) < 8:
                raise broken("the file is empty or cut off")
            (length,) = struct.unpack("<Q", start)
            if length > min(size - 8, MAX_HEADER):
                raise broken("its header is cut off")
            header = json.loads(stream.read(length))
        ends = [
            int(entry["data_offsets"][1])
            for name, entry in header.items()
            if name != "__metadata__"
        ]
    except OSError as error:
        raise broken(error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise broken("its header makes no sense") from error
    wanted = 8 + length + max(ends, default=0)
    if size != wanted:
        raise broken(f"it has {size} bytes and should have {wanted}")


def _check_tokenizer(folder: Path) -> None:
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise CorruptModelError(
            f"The folder {str(folder)!r} holds no tokenizer.",
            next_step="Copy tokenizer.json and tokenizer_config.json from the base model.",
        )


def _check_template(folder: Path) -> None:
    if (folder / "chat_template.jinja").is_file():
        return
    config = folder / "tokenizer_config.json"
    if config.is_file() and _read(config).get("chat_template"):
        return
    raise ConfigError(
        f"The model in {str(folder)!r} has no chat template, so it cannot answer chat calls.",
        next_step=(
            "Put the template of the model family beside it as chat_template.jinja "
            "(the same that the training data was rendered with)."
        ),
    )
