"""A local provider whose worker, a real process, only counts: for tests of what is around it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

import tunekit
from tunekit.capabilities import YES, Capability, Support
from tunekit.data import Dataset
from tunekit.providers.base import FileRef, JobSnapshot
from tunekit.providers.local.provider import LocalProvider, LocalSettings
from tunekit.providers.local.rundir import RunDir
from tunekit.spec import FineTuneSpec

WORKER = Path(__file__).with_name("toy_worker.py")
ROWS: list[dict[str, Any]] = [{"text": "one"}, {"text": "two"}]


class ToyProvider(LocalProvider):
    """`spec.options["toy"]` is what the worker does; see `toy_worker`."""

    name: ClassVar[str] = "toy"
    capabilities: ClassVar[Mapping[Capability, Support]] = dict.fromkeys(Capability, YES)

    @override
    def worker_command(self, run: RunDir) -> Sequence[str]:
        return [sys.executable, str(WORKER), str(run.path)]

    @override
    def worker_environment(self) -> Mapping[str, str]:
        source = str(Path(str(tunekit.__file__)).parents[1])
        return {**super().worker_environment(), "PYTHONPATH": source}

    @override
    def worker_spec(self, spec: FineTuneSpec) -> dict[str, Any]:
        return {"model": spec.model, "toy": dict(spec.options.get("toy", {}))}


def make(home: Path) -> ToyProvider:
    return ToyProvider(LocalSettings(), home=home)


def upload(provider: LocalProvider, rows: Sequence[dict[str, Any]] = ROWS) -> FileRef:
    provider.home.mkdir(parents=True, exist_ok=True)
    prepared = provider.prepare(Dataset.from_records(rows), provider.home / "prepared.jsonl")
    return provider.upload(prepared, progress=lambda done, total: None, stop=lambda: False)


def submit(provider: LocalProvider, tag: str, **toy: Any) -> JobSnapshot:
    return provider.submit(spec_of(**toy), upload(provider), None, tag=tag)


def spec_of(**toy: Any) -> FineTuneSpec:
    return FineTuneSpec(model="toy", options={"toy": toy})


def until(
    look: Callable[[], Any], wanted: Callable[[Any], bool] = bool, *, seconds: float = 20.0
) -> Any:
    """Look again and again until it is as wanted."""
    deadline = time.monotonic() + seconds
    while not wanted(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {seen!r} after {seconds} s")
        time.sleep(0.02)
    return seen


def wait_for(provider: LocalProvider, tag: str, *words: str, seconds: float = 20.0) -> JobSnapshot:
    found: JobSnapshot = until(
        lambda: provider.fetch(tag), lambda job: job.status.value in words, seconds=seconds
    )
    return found


def end_all(provider: LocalProvider) -> None:
    """End the workers that a test left, each by its own identity."""
    for run in workers(provider):
        identity = run.identity()
        if identity is not None:
            identity.end_group(grace=0.1)


def workers(provider: LocalProvider) -> Iterator[RunDir]:
    for path in provider.runs.glob("[!.]*"):
        yield RunDir(path)
