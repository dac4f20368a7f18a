"""What a check is to hold the data against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tunekit.data.limits import DataLimits
from tunekit.data.tokens.counting import TokenCounter

MethodName = Literal["supervised", "dpo", "reinforcement"]
"""A method's `type` in OpenAI's words."""

Role = Literal["train", "validation", "test"]
"""What a part of the data is for."""

OverLength = Literal["error", "truncate", "drop"]
"""What happens to rows with more tokens than the model takes: `error` refuses them; `truncate` and
`drop` accept that they are cut or left out, and say which."""


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """What a check is to hold the data against; the defaults know no service and no model.

    Attributes:
        method: How the data will be used; None accepts whatever kind the rows are of.
        limits: What the service accepts.
        role: Which part of the data this is.
        over_length: What happens to rows that are too long.
        counter: Counts tokens, for the rules about length; without one they are left out.
        n_epochs: Passes over the data, for the limit on tokens times epochs.
        duplicates: Whether to look for rows that are the same, or have the same prompt.
        near_duplicates: Whether to look for rows that are nearly the same; needs `duplicates`.
        personal_data: Whether to look for secrets and personal data.
        processes: How many processes share the reading of a big file, this one included; None for
            one per core, at most four.
    """

    method: MethodName | None = None
    limits: DataLimits = field(default_factory=DataLimits)
    role: Role = "train"
    over_length: OverLength = "error"
    counter: TokenCounter | None = None
    n_epochs: int | None = None
    duplicates: bool = True
    near_duplicates: bool = True
    personal_data: bool = True
    processes: int | None = None
