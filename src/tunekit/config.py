"""Settings: where each one stands, which one wins, and where it came from.

An explicit argument wins over the environment, the environment over `tunekit.toml`, the file over
the default. `tunekit doctor` prints every value with its source.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tunekit._text import did_you_mean, is_secret_name, validation_faults
from tunekit.errors import ConfigError, UnknownModelError, UnknownProfileError

FILE_NAME = "tunekit.toml"


class Budget(BaseModel):
    """Limits that a launch must keep.

    Attributes:
        max_usd_per_job: US dollars that one job may cost by its estimate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_usd_per_job: Annotated[float, Field(gt=0)] | None = None


class ConfigFile(BaseModel):
    """What `tunekit.toml` may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default_profile: str | None = None
    profiles: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    models: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    budget: Budget = Budget()


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it came from, for example `environment TUNEKIT_HOME`.

    The value may be a credential, so it is left out of the text form.
    """

    value: Any = field(repr=False)
    source: str


@dataclass(frozen=True)
class Profile:
    """One resolved profile.

    Attributes:
        name: Its name in the file, or None for `connect(provider=...)`.
        provider: The provider's name.
        settings: The provider's settings, each with its source.
    """

    name: str | None
    provider: Setting
    settings: Mapping[str, Setting] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, Any]:
        """The settings without their sources."""
        return {key: setting.value for key, setting in self.settings.items()}


class Config:
    """All settings outside a single call.

    Args:
        path: The file to read; otherwise `TUNEKIT_CONFIG`, then `tunekit.toml` in this folder or a
            folder above it, then the one in the user's configuration folder. No file is fine.
        environ: The environment; `os.environ` by default.

    Raises:
        ConfigError: The file is missing where it was named, is no TOML, or holds unknown keys or
            secrets.
    """

    def __init__(
        self, path: str | Path | None = None, *, environ: Mapping[str, str] | None = None
    ) -> None:
        self.environ = os.environ if environ is None else environ
        self.path = self._find(path)
        self.file = self._read(self.path)

    def _find(self, path: str | Path | None) -> Path | None:
        named = path or self.environ.get("TUNEKIT_CONFIG")
        if named:
            found = Path(named).expanduser()
            if not found.is_file():
                raise ConfigError(f"There is no configuration file {str(found)!r}.")
            return found
        here = Path.cwd()
        candidates = [folder / FILE_NAME for folder in (here, *here.parents)]
        candidates.append(Path(platformdirs.user_config_dir("tunekit")) / FILE_NAME)
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    @staticmethod
    def _read(path: Path | None) -> ConfigFile:
        if path is None:
            return ConfigFile()
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{str(path)!r} cannot be read: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{str(path)!r} is not valid TOML: {error}.") from error
        _refuse_secrets(content, path)
        try:
            return ConfigFile.model_validate(content)
        except ValidationError as error:
            faults = validation_faults(
                error, known=[*ConfigFile.model_fields, *Budget.model_fields]
            )
            lines = "\n".join(
                f"  - `{where}`: {what} {hint}".rstrip() for where, what, hint in faults
            )
            raise ConfigError(f"{str(path)!r} cannot be used:\n{lines}") from error

    @property
    def home(self) -> Setting:
        """The folder for the ledger, local runs and deployments."""
        named = self.environ.get("TUNEKIT_HOME")
        if named:
            return Setting(Path(named).expanduser().absolute(), "environment TUNEKIT_HOME")
        return Setting(Path(platformdirs.user_data_dir("tunekit")), "default")

    @property
    def budget(self) -> Budget:
        """The limits of every launch."""
        return self.file.budget

    def profile(self, name: str | None = None) -> Profile:
        """Resolve a profile: the named one, else `TUNEKIT_PROFILE`, else `default_profile`.

        Raises:
            UnknownProfileError: There is no such profile, or none was named anywhere.
            ConfigError: The profile names no provider.
        """
        wanted = name or self.environ.get("TUNEKIT_PROFILE") or self.file.default_profile
        where = f"file {self.path}"
        if wanted is None:
            raise UnknownProfileError(
                "No profile was named.",
                next_step="Pass one, set `TUNEKIT_PROFILE`, put `default_profile` into "
                f"{FILE_NAME}, or name the provider itself: `--provider trl` on the command line, "
                "`connect(provider='trl')` in Python.",
            )
        if wanted not in self.file.profiles:
            raise UnknownProfileError(
                f"There is no profile {wanted!r} in {str(self.path) if self.path else FILE_NAME}.",
                next_step=did_you_mean(wanted, self.file.profiles),
            )
        settings = dict(self.file.profiles[wanted])
        provider = settings.pop("provider", None)
        if not isinstance(provider, str):
            raise ConfigError(
                f"Profile {wanted!r} names no provider.",
                next_step='Add a line like `provider = "trl"`.',
            )
        return self._with_environment(
            Profile(
                wanted,
                Setting(provider, where),
                {key: Setting(value, where) for key, value in settings.items()},
            )
        )

    def explicit(self, provider: str, settings: Mapping[str, Any]) -> Profile:
        """Resolve `connect(provider=..., **settings)`, where no profile is asked for."""
        base = self._with_environment(Profile(None, Setting(provider, "argument")))
        return self.with_arguments(base, settings)

    @staticmethod
    def with_arguments(profile: Profile, settings: Mapping[str, Any]) -> Profile:
        """Let explicit arguments win over everything else."""
        merged = dict(profile.settings)
        merged.update({key: Setting(value, "argument") for key, value in settings.items()})
        return Profile(profile.name, profile.provider, merged)

    def _with_environment(self, profile: Profile) -> Profile:
        prefix = f"TUNEKIT_{profile.provider.value.upper().replace('-', '_')}_"
        found = {
            name.removeprefix(prefix).lower(): Setting(value, f"environment {name}")
            for name, value in self.environ.items()
            if name.startswith(prefix)
        }
        return Profile(profile.name, profile.provider, {**profile.settings, **found})

    def model(self, name: str, provider: str) -> str:
        """What a logical model name is on this provider; other names pass through unchanged.

        Raises:
            UnknownModelError: The name is in `[models]`, but not for this provider.
        """
        ids = self.file.models.get(name)
        if ids is None:
            return name
        if provider not in ids:
            raise UnknownModelError(
                f"Model {name!r} is not defined for provider {provider!r}.",
                next_step=f'Add `{provider} = "..."` under `[models.{name}]` in {self.path}.',
            )
        return ids[provider]


def _refuse_secrets(content: Mapping[str, Any], path: Path, inside: str = "") -> None:
    for key, value in content.items():
        if isinstance(value, Mapping):
            _refuse_secrets(value, path, f"{inside}{key}.")
        elif is_secret_name(key):
            raise ConfigError(
                f"{str(path)!r} holds a secret, `{inside}{key}`.",
                next_step="Take it out, revoke it if the file was shared, and pass it through "
                "the environment instead.",
            )
