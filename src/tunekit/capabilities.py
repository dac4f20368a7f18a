"""What a provider can do, as data that every provider must answer in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from typing_extensions import override


class Capability(StrEnum):
    """One thing that a provider either does, does in part, or does not do."""

    SFT = "sft"
    DPO = "dpo"
    RFT = "rft"
    VALIDATION = "validation"
    TOOLS = "tools"
    IMAGES = "images"
    MESSAGE_WEIGHTS = "message_weights"
    PROMPT_COMPLETION = "prompt_completion"
    PLAIN_TEXT = "plain_text"
    SUFFIX = "suffix"
    SEED = "seed"
    METADATA = "metadata"
    FULL_WEIGHTS = "full_weights"
    LORA = "lora"
    QUANTIZATION = "quantization"
    EVENTS = "events"
    METRICS = "metrics"
    CHECKPOINTS = "checkpoints"
    CANCEL = "cancel"
    PAUSE = "pause"
    DEPLOY = "deploy"
    STREAM = "stream"
    DOWNLOAD = "download"
    MERGE = "merge"
    PUSH = "push"
    DELETE_MODEL = "delete_model"
    ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True)
class Support:
    """How far a capability goes.

    Attributes:
        level: `yes`, `partial` (with a note that is shown as a warning) or `no` (with the reason
            that a refused launch gives).
        note: The note or reason; empty for a plain yes.
    """

    level: Literal["yes", "partial", "no"]
    note: str = ""

    def __bool__(self) -> bool:
        return self.level != "no"

    @override
    def __str__(self) -> str:
        return f"{self.level}: {self.note}" if self.note else self.level


YES = Support("yes")


def partial(note: str) -> Support:
    """It works, with a limit that the user must know of."""
    return Support("partial", note)


def no(reason: str) -> Support:
    """It does not work; `reason` completes the sentence "not supported: ..."."""
    return Support("no", reason)


def missing_answers(answers: Mapping[Capability, Support]) -> list[str]:
    """Name the capabilities without an answer, and the partial or negative ones without a note."""
    missing = [capability.value for capability in Capability if capability not in answers]
    unexplained = [
        f"{capability.value} (no reason given)"
        for capability, support in answers.items()
        if support.level != "yes" and not support.note
    ]
    return missing + unexplained
