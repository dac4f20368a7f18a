"""Importing the library is quick and loads only what is used."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

import tunekit
import tunekit.aio

HEAVY = {
    "accelerate",
    "azure",
    "datasets",
    "fastapi",
    "httpx2",
    "huggingface_hub",
    "matplotlib",
    "numpy",
    "openai",
    "peft",
    "pydantic",
    "rich",
    "torch",
    "transformers",
    "trl",
    "typer",
}


def loaded_by(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after this code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_importing_tunekit_loads_no_third_party_package() -> None:
    assert not loaded_by("import tunekit; dir(tunekit)") & HEAVY


def test_importing_tunekit_takes_less_than_its_budget() -> None:
    code = "import time; a = time.perf_counter(); import tunekit; print(time.perf_counter() - a)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(seconds) < 0.150  # the budget of the design; a few milliseconds as a rule


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("from tunekit import FineTuneSpec", {"pydantic"}),
        ("from tunekit import Dataset", {"pydantic"}),
        ("from tunekit import connect, Client, Job", {"pydantic"}),
        ("import tunekit.aio", {"pydantic"}),
        ("import tunekit.testing", {"pydantic"}),
        ("import tunekit.providers.trl", {"pydantic"}),
        ("import tunekit.providers.local", {"pydantic"}),
    ],
)
def test_names_load_no_sdk_and_no_torch(code: str, allowed: set[str]) -> None:
    assert loaded_by(code) & HEAVY <= allowed


def test_every_public_name_resolves() -> None:
    for name in tunekit.__all__:
        assert getattr(tunekit, name) is not None
        assert name in dir(tunekit)


def test_every_public_name_is_found_by_a_star_import() -> None:
    assert not loaded_by("from tunekit import *; assert connect and FineTuneSpec") & {"torch"}


def test_names_for_type_checkers_are_the_real_ones() -> None:
    for name, home in tunekit._HOMES.items():
        assert getattr(tunekit, name) is getattr(importlib.import_module(f"tunekit.{home}"), name)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'tunekit' has no attribute 'nothing'"):
        _ = tunekit.nothing


def test_the_asynchronous_mirror_has_the_same_names() -> None:
    assert sorted(tunekit.aio.__all__) == sorted(tunekit.__all__)
    mirrored = {"Client", "Deployment", "Job", "TunedModel", "connect"}
    for name in tunekit.__all__:
        same = getattr(tunekit, name) is getattr(tunekit.aio, name)
        assert same is (name not in mirrored), name
