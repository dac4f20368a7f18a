"""Why a training stopped, as stable codes with advice. Free of torch; standard library only."""

from __future__ import annotations

import errno


class TrainingFault(Exception):
    """A training cannot start or go on.

    Attributes:
        code: Stable, kebab-case name.
        message: What happened, to what, and what to do next.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Stopped(BaseException):
    """The worker was asked to end; not an error, and not to be caught as one."""


OUT_OF_MEMORY = (
    "Memory ran out. Lower `batch_size` or raise `options.trl.gradient_accumulation_steps` (the"
    " same result in smaller pieces), shorten the rows or `max_length`, turn on"
    " `options.trl.gradient_checkpointing`, train a LoRA adapter instead of all weights, or take a"
    " smaller model."
)
DISK_FULL = (
    "The disk is full; nothing half-made was left. Free some space or set `runs_dir` to another"
    " disk, then launch again; lower `options.trl.save_total_limit` to keep fewer checkpoints."
)
NOT_FINITE = (
    "Training was stopped before the weights were spoiled. Lower the learning rate"
    " (`learning_rate_multiplier`), use `precision` bf16 or fp32 instead of fp16, or look for"
    " broken rows near that step."
)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def describe(error: BaseException, *, free_bytes: int | None = None) -> TrainingFault:
    """Put an exception into words.

    Classified by type, then by error number, and by the text last. The types of torch and
    safetensors are told by name, so that neither has to be importable.

    Args:
        error: What was raised.
        free_bytes: Free space of the run's disk now; some writers report a full disk without
            saying so.
    """
    if isinstance(error, TrainingFault):
        return error
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = str(error)
    first = text.splitlines()[0] if text else type(error).__name__
    if isinstance(error, MemoryError) or "OutOfMemoryError" in kinds or _no_memory(text):
        return TrainingFault("out-of-memory", f"{OUT_OF_MEMORY} ({first})")
    if isinstance(error, OSError) and error.errno in _FULL:
        return TrainingFault("disk-full", f"{DISK_FULL} ({first})")
    if "No space left on device" in text or "File too large" in text:
        return TrainingFault("disk-full", f"{DISK_FULL} ({first})")
    writer = "PytorchStreamWriter" in text or "inline_container" in text
    if writer and free_bytes is not None and free_bytes < (1 << 24):
        return TrainingFault("disk-full", f"{DISK_FULL} ({first})")
    if isinstance(error, ImportError):
        return TrainingFault(
            "missing-packages", f"A package is missing in the worker's interpreter: {first}."
        )
    return TrainingFault(
        "training-error", f"Training stopped with {type(error).__name__}: {text or 'no message'}"
    )


def _no_memory(text: str) -> bool:
    return "can't allocate memory" in text or "CUDA out of memory" in text
