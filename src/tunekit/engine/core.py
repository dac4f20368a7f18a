"""What every verb needs: a provider, the ledger, the settings, and the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import SecretStr

from tunekit.capabilities import Capability
from tunekit.config import Config, Profile
from tunekit.engine.plans import Clock, Plan, iterate, run
from tunekit.errors import UnsupportedError
from tunekit.ledger import Ledger
from tunekit.providers.base import FineTuneProvider, ProviderSettings

M = TypeVar("M")
T = TypeVar("T")


def public_settings(settings: ProviderSettings) -> dict[str, Any]:
    """The settings that may be written down: everything that is not a secret."""
    secret = {key for key, value in settings if isinstance(value, SecretStr) or callable(value)}
    return settings.model_dump(mode="json", exclude=secret, exclude_none=True)


@dataclass(frozen=True)
class Core:
    """A connected provider.

    Attributes:
        profile: What was connected to; its name goes into the ledger.
    """

    provider: FineTuneProvider
    ledger: Ledger
    config: Config
    profile: Profile
    clock: Clock

    def run(self, plan: Plan[T]) -> T:
        """Run a plan to its end in the calling thread."""
        return run(plan, self.clock)

    def iterate(self, plan: Plan[Any]) -> Iterator[Any]:
        """Run a plan in the calling thread and give each value that it emits."""
        return iterate(plan, self.clock)

    def need(self, capability: Capability) -> None:
        """Go on only if the provider can do this.

        Raises:
            UnsupportedError: It cannot; the message gives its reason.
        """
        support = self.provider.capabilities[capability]
        if not support:
            raise UnsupportedError(
                f"Provider {self.provider.name!r} cannot do this ({capability.value}): "
                f"{support.note}."
            )

    def able(self, mixin: type[M], capability: Capability) -> M:
        """The provider, known to have the methods of `mixin`.

        Raises:
            UnsupportedError: It cannot do this; the message gives its reason.
        """
        self.need(capability)
        if not isinstance(self.provider, mixin):
            raise UnsupportedError(
                f"Provider {self.provider.name!r} does not implement {mixin.__name__}."
            )
        return self.provider
