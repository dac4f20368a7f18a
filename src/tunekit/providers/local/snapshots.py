"""From the files of a run directory to the snapshots of the contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tunekit.providers.base import (
    Checkpoint,
    JobEvent,
    JobFault,
    JobProgress,
    JobSnapshot,
    JobStatus,
    ModelRef,
)
from tunekit.providers.local.checkpoints import SavedState
from tunekit.providers.local.rundir import MODEL_MARKER, RunDir
from tunekit.providers.local.supervisor import View


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _status(word: str) -> JobStatus:
    try:
        return JobStatus(word)
    except ValueError:
        return JobStatus.UNKNOWN


def model_of(run: RunDir, spec: dict[str, Any], status: dict[str, Any]) -> ModelRef | None:
    """The tuned model, once it is there and for as long as it has not been deleted."""
    if status.get("status") != "succeeded" or not (run.model / MODEL_MARKER).is_file():
        return None
    return ModelRef(
        id=str(run.model),
        provider=spec["provider"],
        base_model=str(spec["spec"]["model"]),
        job_id=run.tag,
        system_prompt=status.get("system_prompt"),
    )


def snapshot_of(view: View) -> JobSnapshot:
    """The job as its files show it."""
    spec, status, run = view.spec, view.status, view.run
    word = view.word
    over = _status(word).is_terminal
    error = status.get("error") if word == "failed" else None
    chosen = status.get("settings") or {}
    progress = None
    if status.get("total_steps") or status.get("step"):
        progress = JobProgress(
            step=status.get("step") or 0,
            total_steps=status.get("total_steps"),
            epoch=status.get("epoch"),
        )
    created = _moment(spec["created_at"])
    assert created is not None  # noqa: S101 - for the type checker; it was given a number
    return JobSnapshot(
        id=run.tag,
        provider=spec["provider"],
        status=_status(word),
        provider_status=word,
        model=str(spec["spec"]["model"]),
        fine_tuned_model=model_of(run, spec, status),
        created_at=created,
        started_at=_moment(status.get("started_at")),
        finished_at=_moment(status.get("finished_at")) if over else None,
        estimated_finish=_moment(status.get("expected_at")) if word == "running" else None,
        trained_tokens=status.get("tokens_seen"),
        progress=progress,
        hyperparameters={name: choice["value"] for name, choice in chosen.items()},
        metadata=dict(spec["spec"].get("metadata") or {}),
        error=None if error is None else JobFault(code=error["code"], message=error["message"]),
        tag=run.tag,
        raw={"directory": str(run.path), "launch": view.launch, "status": status},
    )


def event_of(event: dict[str, Any]) -> JobEvent:
    """One line of `events.jsonl`."""
    level = event.get("level")
    return JobEvent(
        id=str(event["id"]),
        created_at=datetime.fromtimestamp(event["at"], UTC),
        level=level if level in ("info", "warning", "error") else "info",
        type=event.get("type", "message"),
        message=event["message"],
        data=event.get("data") or {},
    )


def checkpoint_of(run: RunDir, state: SavedState) -> Checkpoint:
    """One complete checkpoint."""
    spec = run.spec()
    metrics = state.marker.get("metrics") or {}
    return Checkpoint(
        id=state.path.name,
        job_id=run.tag,
        step=state.step,
        created_at=datetime.fromtimestamp(state.marker["at"], UTC),
        metrics={k: float(v) for k, v in metrics.items() if isinstance(v, int | float)},
        model=ModelRef(
            id=str(state.path),
            provider=spec["provider"],
            base_model=str(spec["spec"]["model"]),
            job_id=run.tag,
            step=state.step,
            system_prompt=state.marker.get("system_prompt"),
        ),
    )
