"""The asynchronous mirror: the same names and verbs, to be awaited.

::

    from tunekit.aio import connect

    async with connect("laptop") as client:
        job = await client.fine_tune(spec, train, run="recipes-v1")
        model = await job.result()

Loops never run in threads, so a thousand waits are cheap and end as soon as they are cancelled;
only the short blocking calls of a provider do.
"""

from __future__ import annotations

from tunekit import (
    DPO,
    RFT,
    SFT,
    ChatReply,
    Config,
    Dataset,
    FineTuneSpec,
    JobStatus,
    LoRA,
    Problem,
    Quantization,
    Report,
    TunekitError,
    __version__,
)
from tunekit.aio.client import Client, connect
from tunekit.aio.deployments import Deployment
from tunekit.aio.jobs import Job
from tunekit.aio.models import TunedModel

__all__ = [
    "DPO",
    "RFT",
    "SFT",
    "ChatReply",
    "Client",
    "Config",
    "Dataset",
    "Deployment",
    "FineTuneSpec",
    "Job",
    "JobStatus",
    "LoRA",
    "Problem",
    "Quantization",
    "Report",
    "TunedModel",
    "TunekitError",
    "__version__",
    "connect",
]
