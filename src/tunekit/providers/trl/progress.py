"""Figures of a running training, in the contract's words. Free of torch; standard library only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tunekit.providers.local.reporter import Reporter

NAMES = {
    "loss": "train_loss",
    "mean_token_accuracy": "train_mean_token_accuracy",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "eval_loss": "valid_loss",
    "eval_mean_token_accuracy": "valid_mean_token_accuracy",
}
"""TRL 1.16's names of its figures, and ours."""


class Meter:
    """Turns what the trainer says into progress and `metrics` events.

    Attributes:
        latest: The newest value of each figure.
    """

    def __init__(self, reporter: Reporter, *, total_steps: int) -> None:
        self.reporter = reporter
        self.total_steps = total_steps
        self.latest: dict[str, float] = {}
        self._began = time.monotonic()
        self._first_step = 0
        self._first_tokens = 0
        self._tokens = 0
        self._marked = (self._began, 0)

    def resume(self, step: int, tokens: int) -> None:
        """Go on from a checkpoint."""
        self._first_step, self._first_tokens, self._tokens = step, tokens, tokens
        self._marked = (self._began, tokens)

    def begin(self) -> None:
        """Start the clock: what came before was loading."""
        self._began = time.monotonic()
        self._marked = (self._began, self._tokens)

    def step(self, step: int, epoch: float | None, tokens: int) -> None:
        """Take note of a finished update."""
        self._tokens = int(tokens)
        spent = time.monotonic() - self._began
        done = step - self._first_step
        left = spent / done * (self.total_steps - step) if done else None
        self.reporter.note(
            step=step,
            epoch=epoch,
            tokens_seen=self._tokens,
            expected_at=None if left is None else time.time() + left,
        )

    def log(self, step: int, epoch: float | None, logs: Mapping[str, Any]) -> None:
        """Write a metrics event, if the trainer said anything that belongs in one."""
        figures = {ours: float(logs[theirs]) for theirs, ours in NAMES.items() if theirs in logs}
        if "train_loss" not in figures and "valid_loss" not in figures:
            return
        data: dict[str, Any] = {"step": step, "total_steps": self.total_steps, "epoch": epoch}
        if "train_loss" in figures:
            now = time.monotonic()
            before, tokens = self._marked
            self._marked = (now, self._tokens)
            data["tokens_seen"] = self._tokens
            data["tokens_per_second"] = round((self._tokens - tokens) / max(1e-9, now - before), 1)
        self.latest.update(figures)
        data.update(figures)
        name = "train_loss" if "train_loss" in figures else "valid_loss"
        self.reporter.event(
            "metrics",
            f"Step {step}/{self.total_steps}: {name.replace('_', ' ')} {figures[name]:.4f}",
            data=data,
        )

    def totals(self, step: int) -> dict[str, Any]:
        """What this attempt did, for the record and for later estimates."""
        seconds = time.monotonic() - self._began
        return {
            "step": step,
            "tokens_seen": self._tokens,
            "metrics": dict(self.latest),
            "throughput": {
                "tokens": self._tokens - self._first_tokens,
                "steps": step - self._first_step,
                "seconds": round(seconds, 3),
            },
        }
