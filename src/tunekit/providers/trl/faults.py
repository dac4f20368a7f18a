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
    " disk, then launch again under another run name; lower `options.trl.save_total_limit` to keep"
    " fewer checkpoints."
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
    starved = isinstance(error, MemoryError) or "OutOfMemoryError" in kinds
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        starved = True  # a weights file that cannot be mapped
    if starved or _no_memory(text):
        return TrainingFault("out-of-memory", f"{OUT_OF_MEMORY} ({first})")
    if isinstance(error, OSError) and error.errno in _FULL:
        return TrainingFault("disk-full", f"{DISK_FULL} ({first})")
    if "No space left on device" in text or "File too large" in text:
        return TrainingFault("disk-full", f"{DISK_FULL} ({first})")
    writer = "PytorchStreamWriter" in text or "inline_container" in text
    if writer and free_bytes is not None and free_bytes < (1 << 24):
        return TrainingFault("disk-full", f"{DISK_FULL} ({first})")
    if "SafetensorError" in kinds:
        return TrainingFault(
            "corrupt-base", f"A weights file is damaged: {first}. Copy or download it again."
        )
    if isinstance(error, ImportError):
        from tunekit.providers.trl.requirements import INSTALL  # it imports this module

        return TrainingFault(
            "missing-packages",
            f"A package cannot be imported by the worker's interpreter: {first}. Run there:"
            f" `pip install {INSTALL}`.",
        )
    return TrainingFault(
        "training-error",
        f"Training stopped with {type(error).__name__}: {text or 'no message'}. Where it came from"
        " stands at the end of the run's worker.log.",
    )


def cannot_load(base: str, error: Exception, *, what: str) -> Exception:
    """What to raise when transformers refuses a base model.

    Args:
        base: The folder or Hub id.
        error: What it raised.
        what: What could not be loaded, for example `tokenizer`.

    Returns:
        A `TrainingFault`, or the error itself where it says more about this machine (no memory, no
        space for a download) than about the model.
    """
    if isinstance(error, OSError) and error.errno in (*_FULL, errno.ENOMEM):
        return error
    text = " ".join(str(error).split())  # theirs is a small page
    if "trust_remote_code" in text:
        return TrainingFault("remote-code", remote_code(base))
    if isinstance(error, OSError):
        return TrainingFault(
            "unknown-model",
            f"The {what} of {base!r} cannot be loaded. Give an existing folder, or a Hub id that"
            " this machine can reach or has in its cache; a private one needs `hf_token` or `hf"
            f" auth login`. ({text})",
        )
    return TrainingFault(
        "corrupt-base",
        f"The {what} of {base!r} cannot be read: {text}. Copy or download the model again, or take"
        " one that the installed transformers knows.",
    )


def remote_code(base: str) -> str:
    """Why a model that brings its own code is refused, and how to allow it."""
    return (
        f"The model {base!r} brings Python code of its own (`auto_map`), which is not run unless"
        " that is asked for by name. If you have read and trust it, set `trust_remote_code` to true"
        " in `options.trl` or in the profile; otherwise take a model that transformers knows."
    )


def _no_memory(text: str) -> bool:
    """Whether a message is one of those by which allocators and loaders say that memory ran out."""
    return any(
        words in text
        for words in (
            "can't allocate memory",  # torch on a CPU
            "out of memory",  # CUDA, MPS
            "CUBLAS_STATUS_ALLOC_FAILED",
            "Cannot allocate memory",  # the C library, and Rust's safetensors
            "failed to map segment from shared object",  # a library that no longer fits
            "can't start new thread",
            "bad_alloc",
        )
    )
