"""What the training tests share: a tiny base model, rows, and a provider in a home of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tunekit.data import Dataset
from tunekit.providers.base import FileRef, JobSnapshot
from tunekit.providers.local.rundir import RunDir
from tunekit.providers.trl.options import TrlSettings
from tunekit.providers.trl.provider import TrlProvider
from tunekit.spec import SFT, FineTuneSpec

PATIENCE = 150.0
Row = dict[str, Any]


def rows(count: int = 24, *, first: int = 0) -> list[Row]:
    return [
        {
            "messages": [
                {"role": "system", "content": "Add."},
                {"role": "user", "content": f"{number} and {number}"},
                {"role": "assistant", "content": f"{2 * number}"},
            ]
        }
        for number in range(first, first + count)
    ]


def make_provider(home: Path, *, python: Path | None = None) -> TrlProvider:
    home.mkdir(parents=True, exist_ok=True)
    return TrlProvider(TrlSettings(python=python or Path(sys.executable)), home=home)


def spec_of(model: Path | str, *, method: SFT | None = None, **fields: Any) -> FineTuneSpec:
    """One thread each, so that runs give the same numbers and share the cores."""
    options = {"torch_threads": 1, **fields.pop("trl", {})}
    return FineTuneSpec(
        model=str(model),
        method=method or SFT(n_epochs=2, batch_size=4),
        options={"trl": options},
        **fields,
    )


def upload(provider: TrlProvider, data: Sequence[Row]) -> FileRef:
    prepared = provider.prepare(Dataset.from_records(data), provider.home / "prepared.jsonl")
    return provider.upload(prepared, progress=lambda done, total: None, stop=lambda: False)


def submit(
    provider: TrlProvider,
    tag: str,
    spec: FineTuneSpec,
    data: Sequence[Row] | None = None,
    validation: Sequence[Row] | None = None,
) -> JobSnapshot:
    train = upload(provider, rows() if data is None else data)
    valid = None if validation is None else upload(provider, validation)
    return provider.submit(spec, train, valid, tag=tag)


def until(
    look: Callable[[], Any], wanted: Callable[[Any], bool] = bool, *, seconds: float = PATIENCE
) -> Any:
    deadline = time.monotonic() + seconds
    while not wanted(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {seen!r} after {seconds} s")
        time.sleep(0.05)
    return seen


def wait_for(provider: TrlProvider, tag: str, *words: str) -> JobSnapshot:
    """Wait for one of these words; any other end is a failure that shows the job's own reason."""

    def over(job: JobSnapshot) -> bool:
        return job.status.value in words or job.is_terminal

    job: JobSnapshot = until(lambda: provider.fetch(tag), over)
    assert job.status.value in words, f"{job.status}: {job.error}"
    return job


def run_of(provider: TrlProvider, tag: str) -> RunDir:
    return RunDir(provider.runs / tag)


def metrics_of(provider: TrlProvider, tag: str) -> list[dict[str, Any]]:
    return [event.data for event in provider.list_events(tag).data if event.type == "metrics"]
