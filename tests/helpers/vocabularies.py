"""tiktoken's vocabulary files, which tests read from the environment's own folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunekit.data.tokens.encodings import FILES, load_encoding

FOLDER = Path(sys.prefix) / "vocabularies"


@pytest.fixture
def vocabularies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let encodings load without a network; import this fixture to use it."""
    missing = [file.name for file in FILES.values() if not (FOLDER / file.name).is_file()]
    if missing:
        pytest.fail(f"{FOLDER} lacks {', '.join(sorted(set(missing)))}; run `make .venv/.dev`")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(FOLDER))
    monkeypatch.setenv("TUNEKIT_OFFLINE", "1")
    yield FOLDER
    load_encoding.cache_clear()
