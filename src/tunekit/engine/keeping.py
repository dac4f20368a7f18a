"""What a job left: its files, and what is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tunekit.capabilities import Capability
from tunekit.engine.core import Core
from tunekit.engine.plans import Plan
from tunekit.engine.retrying import retried
from tunekit.providers.base import Artifact, ModelRef, SupportsArtifacts, SupportsModelDeletion


@dataclass(frozen=True)
class Keeping(Core):
    """The verbs on models."""

    def artifacts(self, model: ModelRef) -> Plan[Sequence[Artifact]]:
        """The files of the model."""
        provider = self.able(SupportsArtifacts, Capability.DOWNLOAD)
        return retried(partial(provider.list_artifacts, model), self.clock)

    def download(self, model: ModelRef, to: Path) -> Plan[Path]:
        """Copy the model's files."""
        provider = self.able(SupportsArtifacts, Capability.DOWNLOAD)
        return retried(partial(provider.download, model, to), self.clock)

    def merge(self, model: ModelRef, to: Path | None) -> Plan[ModelRef]:
        """Merge an adapter into its base, in a folder of its own."""
        provider = self.able(SupportsArtifacts, Capability.MERGE)
        return retried(partial(provider.merge, model, to), self.clock)

    def push(self, model: ModelRef, repo_id: str, *, private: bool) -> Plan[str]:
        """Send the model to the Hub."""
        provider = self.able(SupportsArtifacts, Capability.PUSH)
        return retried(partial(provider.push, model, repo_id, private=private), self.clock)

    def delete_model(self, model: ModelRef) -> Plan[None]:
        """Delete the model."""
        provider = self.able(SupportsModelDeletion, Capability.DELETE_MODEL)
        return retried(partial(provider.delete_model, model), self.clock)
