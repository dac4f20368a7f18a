"""Small fixtures that every test may use: nothing here needs torch or the network."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tunekit.client import Client, connect
from tunekit.config import Config
from tunekit.data import Dataset
from tunekit.ledger import Ledger
from tunekit.spec import FineTuneSpec
from tunekit.testing import FakeProvider, VirtualClock


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep a developer's own settings and state out of the tests, and the tests out of theirs."""
    for name in list(os.environ):
        if name.startswith("TUNEKIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.setenv("TUNEKIT_HOME", str(tmp_path / "home"))


def chat_rows(count: int, *, about: str = "dish") -> list[dict[str, object]]:
    return [
        {
            "messages": [
                {"role": "user", "content": f"What goes into {about} {number}?"},
                {"role": "assistant", "content": f"Item {number} and salt."},
            ]
        }
        for number in range(count)
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def provider(home: Path, clock: VirtualClock) -> FakeProvider:
    return FakeProvider(home=home, clock=clock)


@pytest.fixture
def ledger(home: Path) -> Ledger:
    return Ledger(home / "ledger.sqlite3")


@pytest.fixture
def config() -> Config:
    """No file, no environment."""
    return Config(environ={})


@pytest.fixture
def client(provider: FakeProvider, config: Config, clock: VirtualClock) -> Client:
    return connect(provider=provider, config=config, clock=clock)


@pytest.fixture
def train() -> Dataset:
    return Dataset.from_records(chat_rows(12), source="train")


@pytest.fixture
def validation() -> Dataset:
    return Dataset.from_records(chat_rows(3, about="drink"), source="validation")


@pytest.fixture
def spec() -> FineTuneSpec:
    return FineTuneSpec(model="small", suffix="recipes", seed=7)


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[str], Path]:
    """Write a `tunekit.toml` and give its path."""

    def write(text: str) -> Path:
        path = tmp_path / "tunekit.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
