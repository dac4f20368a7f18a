"""Finds providers: those that come with tunekit and those of third parties, in the same way.

A package offers a provider through the entry-point group `tunekit.providers`; the name of the entry
point is the provider's name in `tunekit.toml`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tunekit._text import did_you_mean, validation_faults
from tunekit.errors import ConfigError, MissingExtraError, UnknownProviderError
from tunekit.providers.base import FineTuneProvider

if TYPE_CHECKING:
    from tunekit.config import Profile

GROUP = "tunekit.providers"


def available() -> dict[str, EntryPoint]:
    """The entry point of each installed provider, by name. Imports none of them."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load(name: str) -> type[FineTuneProvider]:
    """Import the provider class of this name.

    Raises:
        UnknownProviderError: No installed package offers it.
        MissingExtraError: It is there, but a package it needs is not.
        ConfigError: The entry point does not lead to a provider.
    """
    points = available()
    if name not in points:
        raise UnknownProviderError(
            f"There is no provider {name!r}.", next_step=did_you_mean(name, points)
        )
    rivals = {point.value for point in entry_points(group=GROUP, name=name)}
    if len(rivals) > 1:
        raise ConfigError(
            f"Several installed packages offer a provider {name!r}: {', '.join(sorted(rivals))}.",
            next_step="Uninstall all but one of them.",
        )
    try:
        loaded = points[name].load()
    except MissingExtraError:
        raise
    except ImportError as error:
        raise MissingExtraError(
            f"Provider {name!r} cannot be imported: {error}.",
            next_step="Install the package that it misses.",
        ) from error
    except Exception as error:  # whatever a third party's module raises while it is imported
        raise ConfigError(
            f"The entry point {points[name].value!r} of provider {name!r} cannot be loaded: "
            f"{type(error).__name__}: {error}."
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, FineTuneProvider)):
        raise ConfigError(
            f"The entry point {points[name].value!r} of provider {name!r} is no FineTuneProvider."
        )
    return loaded


def create(profile: Profile, *, home: Path) -> FineTuneProvider:
    """Make the provider of a resolved profile.

    Raises:
        ConfigError: A setting is unknown, missing or out of bounds; all of them are listed.
    """
    provider = load(profile.provider.value)
    try:
        settings = provider.Settings.model_validate(profile.values)
    except ValidationError as error:
        lines = []
        for path, what, hint in validation_faults(
            error, known=list(provider.Settings.model_fields)
        ):
            setting = profile.settings.get(path.split(".")[0])
            source = f" (from {setting.source})" if setting else ""
            lines.append(f"  - `{path}`{source}: {what} {hint}".rstrip())
        subject = f"Profile {profile.name!r}" if profile.name else f"Provider {provider.name!r}"
        raise ConfigError(f"{subject} cannot be used:\n" + "\n".join(lines)) from error
    return provider(settings, home=home)
