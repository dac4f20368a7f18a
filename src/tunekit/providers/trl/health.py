"""Is what is being trained still sound? Free of torch: tensors are asked through their methods."""

from __future__ import annotations

import math
from typing import Any

from tunekit.providers.trl.faults import TrainingFault

BROKEN_BASE = (
    "No weight had been changed by then, so the base model itself gives no number: its weights hold"
    " NaN or infinity, or are too large for `options.trl.precision`. Copy or download the base"
    " again, or set the precision to 'fp32'."
)
SPOILED = (
    "Lower the learning rate (`learning_rate_multiplier` or `options.trl.learning_rate`), use"
    " `precision` bf16 or fp32 instead of fp16, or look for broken rows near that step."
)


def check_loss(loss: float, *, step: int) -> None:
    """Refuse to go on from a loss that is no number.

    Args:
        loss: The loss of this update, computed before the weights are changed.
        step: Which update, counted from 1.

    Raises:
        TrainingFault: `loss-not-finite`.
    """
    if not math.isfinite(loss):
        why = SPOILED if step > 1 else BROKEN_BASE
        raise TrainingFault("loss-not-finite", f"The loss became {loss} at step {step}. {why}")


def check_weights(model: Any, *, step: int) -> None:
    """Refuse to save weights that are no numbers.

    The loss of the next update would tell, but a checkpoint and the end come before it.

    Raises:
        TrainingFault: `weights-not-finite`, naming the first of them.
    """
    for name, weights in model.named_parameters():
        if weights.requires_grad and not weights.isfinite().all().item():
            raise TrainingFault(
                "weights-not-finite",
                f"The weights {name!r} held NaN or infinity after step {step} and were not saved."
                f" {SPOILED}",
            )
