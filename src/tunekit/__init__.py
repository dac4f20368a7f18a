"""Write a fine-tune once; run it on OpenAI, Azure OpenAI, your own machines, or AutoTrain.

Importing this package loads no provider, no SDK and no torch; each name is loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from tunekit._version import __version__

if TYPE_CHECKING:
    from tunekit.client import Client as Client
    from tunekit.client import connect as connect
    from tunekit.config import Config as Config
    from tunekit.data import Dataset as Dataset
    from tunekit.deployments import Deployment as Deployment
    from tunekit.errors import TunekitError as TunekitError
    from tunekit.inference import ChatReply as ChatReply
    from tunekit.jobs import Job as Job
    from tunekit.models import TunedModel as TunedModel
    from tunekit.problems import Problem as Problem
    from tunekit.problems import Report as Report
    from tunekit.providers.base import JobStatus as JobStatus
    from tunekit.spec import DPO as DPO
    from tunekit.spec import RFT as RFT
    from tunekit.spec import SFT as SFT
    from tunekit.spec import FineTuneSpec as FineTuneSpec
    from tunekit.spec import LoRA as LoRA
    from tunekit.spec import Quantization as Quantization

_HOMES = {
    "ChatReply": "inference",
    "Client": "client",
    "Config": "config",
    "DPO": "spec",
    "Dataset": "data",
    "Deployment": "deployments",
    "FineTuneSpec": "spec",
    "Job": "jobs",
    "JobStatus": "providers.base",
    "LoRA": "spec",
    "Problem": "problems",
    "Quantization": "spec",
    "RFT": "spec",
    "Report": "problems",
    "SFT": "spec",
    "TunedModel": "models",
    "TunekitError": "errors",
    "connect": "client",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
