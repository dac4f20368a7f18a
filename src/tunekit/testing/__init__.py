"""What tests of providers and of applications need: a provider in memory, and a clock to turn.

Nothing in the library imports this package.
"""

from __future__ import annotations

from tunekit.testing.clock import VirtualClock
from tunekit.testing.fake import FakeProvider, FakeSettings

__all__ = ["FakeProvider", "FakeSettings", "VirtualClock"]
