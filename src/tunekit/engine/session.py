"""Every verb of the library as a plan; the synchronous and the asynchronous handles run these."""

from __future__ import annotations

from dataclasses import dataclass

from tunekit.engine.deploying import Deploying
from tunekit.engine.keeping import Keeping
from tunekit.engine.launching import Launching
from tunekit.engine.running import Running


@dataclass(frozen=True)
class Session(Launching, Running, Keeping, Deploying):
    """A connected provider with all its verbs."""
