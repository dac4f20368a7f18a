"""Which tiktoken encoding a hosted model uses, and where its vocabulary file is.

tiktoken fetches a vocabulary when an encoding is first used, without a limit of time. Here a file
is looked for on this machine first, the fetch is bounded, and what is missing is said by name.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tunekit._text import did_you_mean
from tunekit.data.tokens.fetching import FetchError, fetch
from tunekit.errors import TokenizerUnavailableError, UnknownModelError

if TYPE_CHECKING:
    import tiktoken


@dataclass(frozen=True, slots=True)
class VocabularyFile:
    """A file that tiktoken needs.

    Attributes:
        url: Where its publisher keeps it.
        sha256: Its content, as 64 hex digits.
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """Its name in tiktoken's cache: the SHA-1 of the address."""
        return hashlib.sha1(self.url.encode(), usedforsecurity=False).hexdigest()


_PUBLISHED: Final = "https://openaipublic.blob.core.windows.net/encodings"
_O200K: Final = VocabularyFile(
    f"{_PUBLISHED}/o200k_base.tiktoken",
    "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
)
FILES: Final = {
    "cl100k_base": VocabularyFile(
        f"{_PUBLISHED}/cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
    "o200k_base": _O200K,
    "o200k_harmony": _O200K,
}
"""The file of each encoding of models that are or were tuned as chat models.

Addresses and hashes are those of `tiktoken_ext.openai_public`, against which a test holds them.
"""

_OWN_NAMES: Final = {"gpt-4.5": "o200k_base", "o4": "o200k_base", "chatgpt-4o": "o200k_base"}
"""Names that tiktoken's tables lack."""

_SMALLER: Final = ("gpt-4o-mini", "gpt-4.1-mini", "gpt-4.1-nano", "o3-mini")
"""Names that tiktoken knows by their beginning only, for the sentence that names the nearest."""

_AZURE_TUNED: Final = re.compile(r"\.ft-[0-9a-f]+")
_OFFLINE: Final = ("TUNEKIT_OFFLINE", "HF_HUB_OFFLINE")


def base_model(model: str) -> str:
    """Take the base out of the name of a tuned model; any other name is returned as it is.

    OpenAI writes `ft:<base>:<organisation>:<suffix>:<id>`, Azure `<base>.ft-<hex>`.
    """
    if model.startswith("ft:"):
        return model.split(":")[1]
    return _AZURE_TUNED.split(model)[0]


def encoding_name(model: str) -> str:
    """Name the tiktoken encoding of a hosted model or of a model tuned from it.

    The table is tiktoken's own, with what it lacks added. It is asked for the base, because its
    entry for `ft:gpt-4` would take `ft:gpt-4.1` for a model of an older encoding.

    Raises:
        UnknownModelError: No table knows the model; the message names the nearest.
    """
    from tiktoken.model import MODEL_TO_ENCODING, encoding_name_for_model

    base = base_model(model)
    try:
        name = encoding_name_for_model(base)
    except KeyError:
        name = _OWN_NAMES.get(base, "")
    if name in FILES:
        return name
    known = [key for key, value in MODEL_TO_ENCODING.items() if value in FILES]
    chat = [key for key in (*known, *_OWN_NAMES, *_SMALLER) if not key.startswith("text-")]
    raise UnknownModelError(
        f"It is not known how {model!r} splits text into tokens.",
        next_step=did_you_mean(base, chat),
    )


@lru_cache(maxsize=len(FILES))
def load_encoding(name: str) -> tiktoken.Encoding:
    """Load an encoding, from this machine if its file is there.

    Args:
        name: A key of `FILES`.

    Raises:
        TokenizerUnavailableError: The file is not here and cannot be fetched.
    """
    import tiktoken

    folder = _find(FILES[name]) or _fetch(name, FILES[name])
    # tiktoken takes the folder from the environment and in no other way.
    with _LOADING:
        before = os.environ.get("TIKTOKEN_CACHE_DIR")
        os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
        try:
            return tiktoken.get_encoding(name)
        finally:
            if before is None:
                del os.environ["TIKTOKEN_CACHE_DIR"]
            else:
                os.environ["TIKTOKEN_CACHE_DIR"] = before


_LOADING: Final = threading.Lock()


def own_cache() -> Path:
    """The folder into which vocabularies are fetched."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("tunekit")) / "tiktoken"


def cache_folders() -> Iterator[Path]:
    """Folders in which a vocabulary is looked for, in this order: tiktoken's, then tunekit's."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if os.environ.get(variable):  # empty means to tiktoken: no cache
            yield Path(os.environ[variable])
    yield Path(tempfile.gettempdir()) / "data-gym-cache"
    yield own_cache()


def forbidden_by() -> str | None:
    """The variable of the environment that forbids fetching, if one does."""
    for name in _OFFLINE:
        if os.environ.get(name, "").lower() not in ("", "0", "false", "no", "off"):
            return name
    return None


def _find(file: VocabularyFile) -> Path | None:
    """The first folder with the whole, unchanged file.

    A file with other content is passed over here, because tiktoken would delete and fetch it.
    """
    for folder in cache_folders():
        try:
            content = (folder / file.name).read_bytes()
        except OSError:
            continue
        if hashlib.sha256(content).hexdigest() == file.sha256:
            return folder
    return None


def _fetch(name: str, file: VocabularyFile) -> Path:
    """Fetch a file into tunekit's cache and give the folder."""
    if variable := forbidden_by():
        raise _unavailable(name, file, f"`{variable}` forbids fetching it")
    folder = own_cache()
    temporary = folder / f".{file.name}.{os.getpid()}.{threading.get_ident()}"
    try:
        content = fetch(file.url)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise _unavailable(name, file, f"what {file.url} sent is not the expected file")
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(folder / file.name)
    except FetchError as error:
        raise _unavailable(name, file, f"it could not be fetched ({error})") from error
    except OSError as error:
        why = f"it cannot be kept in {str(folder)!r} ({error.strerror})"
        raise _unavailable(name, file, why) from error
    return folder


def _unavailable(name: str, file: VocabularyFile, why: str) -> TokenizerUnavailableError:
    places = ", ".join(repr(str(folder)) for folder in dict.fromkeys(cache_folders()))
    return TokenizerUnavailableError(
        f"Tokens cannot be counted: the vocabulary {name!r} is in none of {places} with the "
        f"expected content, and {why}.",
        next_step=f"On a machine with network, download {file.url}; put it here as "
        f"{str(own_cache() / file.name)!r}, or under the name {file.name} into a folder that "
        "`TIKTOKEN_CACHE_DIR` names.",
    )
