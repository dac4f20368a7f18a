"""Is this folder a whole model that can be served? Looked at before anything is started.

Reads configuration files and the headers of weight files, never the weights: a few milliseconds
whatever the size of the model.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.errors import ConfigError, CorruptModelError
from tunekit.providers.local.weights import weight_faults

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
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
    _check_weights(folder)
    _read(folder / "config.json")
    _check_tokenizer(folder)
    _check_template(folder)
    return Source(str(folder), None, str(folder), offline=True)


def _locate_adapter(folder: Path, base_model: str | None) -> Source:
    config = _read(folder / "adapter_config.json")
    _check_weights(folder)
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
    _check_weights(base)
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


def _check_weights(folder: Path) -> None:
    for why in weight_faults(folder):
        raise CorruptModelError(
            f"The model folder {str(folder)!r} cannot be used: {why}.",
            next_step="" if "pickle" in why else "Copy or download the folder again.",
        )


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
