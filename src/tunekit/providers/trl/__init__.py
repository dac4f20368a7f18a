"""Fine-tuning on this machine with Hugging Face TRL.

The provider class is loaded when it is asked for: the worker, which runs under an interpreter with
torch but perhaps without pydantic, imports its own modules through this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunekit.providers.trl.options import TrlOptions, TrlSettings
    from tunekit.providers.trl.provider import TrlProvider

__all__ = ["TrlOptions", "TrlProvider", "TrlSettings"]


def __getattr__(name: str) -> Any:
    if name == "TrlProvider":
        from tunekit.providers.trl.provider import TrlProvider

        return TrlProvider
    if name in ("TrlOptions", "TrlSettings"):
        from tunekit.providers.trl import options

        return getattr(options, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
