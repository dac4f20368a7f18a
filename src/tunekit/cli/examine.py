"""Looking at this machine and this configuration, for `tunekit doctor`. Asks no provider."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from tunekit._text import is_secret_name
from tunekit._version import __version__
from tunekit.cli.exits import Exit, exit_code
from tunekit.cli.words import until
from tunekit.config import FILE_NAME, Config, Profile, Setting
from tunekit.errors import ConfigError, LedgerError, TunekitError
from tunekit.ledger import KnownDeployment, Ledger, Run, RunState
from tunekit.providers import registry

PACKAGES = (
    "openai",
    "pydantic",
    "httpx2",
    "typer",
    "rich",
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "accelerate",
    "huggingface-hub",
    "azure-identity",
    "matplotlib",
)
MASK = "********"


def examine(config_path: Path | None, *, profile: str | None = None) -> dict[str, Any]:
    """Gather everything as one JSON-able document; what is wrong is in `problems`.

    Args:
        config_path: The configuration file that was named, if one was.
        profile: Only this profile's settings; all of them by default.
    """
    problems: list[dict[str, Any]] = []
    config = _config(config_path, problems)
    home = config.home
    ledger, runs, deployments = _ledger(home.value, problems)
    return {
        "tunekit": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version_of(name) for name in PACKAGES},
        "providers": [
            _provider(name, point) for name, point in sorted(registry.available().items())
        ],
        "config_file": str(config.path) if config.path else None,
        "home": {
            "name": "home",
            "value": str(home.value),
            "source": home.source,
            "writable": _writable(home.value, problems),
        },
        "profiles": _profiles(config, profile, problems),
        "ledger": ledger,
        "interrupted_runs": [
            {"name": run.name, "account": run.account, "flags": _flags(run)}
            for run in runs
            if run.state is RunState.SUBMITTING
        ],
        "deployments": [
            {
                "name": one.name,
                "account": one.account,
                "ends": until(one.expires_at),
                "flags": _flags(one),
            }
            for one in deployments
        ],
        "hardware": _hardware(home.value),
        "problems": problems,
    }


def version_of(package: str) -> str | None:
    """The installed version, without importing the package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _note(problems: list[dict[str, Any]], error: TunekitError) -> None:
    problems.append(
        {
            "message": error.message,
            "next_step": error.next_step,
            "exit_code": int(exit_code(error)),
        }
    )


def _config(path: Path | None, problems: list[dict[str, Any]]) -> Config:
    """The configuration; a file that cannot be read is a finding, and the rest is examined."""
    try:
        return Config(path)
    except ConfigError as error:
        _note(problems, error)
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / FILE_NAME
        empty.touch()
        config = Config(empty)
    config.path = None
    return config


def _provider(name: str, point: metadata.EntryPoint) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "missing": _missing(name, point), "problem": None}
    try:
        registry.load(name)
    except TunekitError as error:
        found["problem"] = str(error)
    return found


def _missing(name: str, point: metadata.EntryPoint) -> list[str]:
    """Packages of the extra that is named like the provider and that are not installed."""
    requirements = (point.dist.requires if point.dist is not None else None) or []
    wanted = []
    for requirement in requirements:
        spec, _, marker = requirement.partition(";")
        if re.search(rf"extra\s*==\s*['\"]{re.escape(name)}['\"]", marker):
            wanted.append(spec.strip())
    return [spec for spec in wanted if version_of(re.split(r"[\s<>=!~\[(]", spec)[0]) is None]


def _profiles(
    config: Config, only: str | None, problems: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    found = []
    wanted = os.environ.get("TUNEKIT_PROFILE") or config.file.default_profile
    for name in [only] if only else sorted(config.file.profiles):
        try:
            profile = config.profile(name)
        except ConfigError as error:
            _note(problems, error)
            continue
        found.append(
            {
                "name": profile.name,
                "provider": profile.provider.value,
                "default": profile.name == wanted,
                "settings": _settings(profile, config.home, problems),
            }
        )
    return found


def _settings(
    profile: Profile, home: Setting, problems: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Every setting of a profile, defaults included, with its source and without its secrets."""
    values: dict[str, tuple[Any, str]] = {
        key: (setting.value, setting.source) for key, setting in profile.settings.items()
    }
    try:
        made = registry.create(profile, home=home.value).settings
    except TunekitError as error:
        _note(problems, error)
    else:
        for key, value in made:
            source = values[key][1] if key in values else "default"
            values[key] = (value, source)
    return [
        {"name": key, "value": _masked(key, value), "source": source}
        for key, (value, source) in values.items()
    ]


def _masked(key: str, value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if is_secret_name(key):
        return None if value is None else MASK
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return f"<{type(value).__name__}>" if callable(value) else str(value)


def _writable(home: Path, problems: list[dict[str, Any]]) -> bool:
    """Whether the home folder, or the folder in which it would be made, takes a file."""
    place = next((folder for folder in (home, *home.parents) if folder.exists()), home)
    try:
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError as error:
        problems.append(
            {
                "message": f"The home folder {str(home)!r} cannot be written: {error.strerror}.",
                "next_step": "Make it writable, or set `TUNEKIT_HOME` to another folder.",
                "exit_code": int(Exit.MACHINE),
            }
        )
        return False


def _ledger(
    home: Path, problems: list[dict[str, Any]]
) -> tuple[dict[str, Any], list[Run], list[KnownDeployment]]:
    ledger = Ledger(home / "ledger.sqlite3")
    state: dict[str, Any] = {"path": str(ledger.path), "exists": ledger.path.exists(), "runs": None}
    if not state["exists"]:
        return state, [], []
    try:
        runs, deployments = ledger.runs(), ledger.deployments()
    except LedgerError as error:
        _note(problems, error)
        return state, [], []
    except ValidationError as error:
        _note(problems, LedgerError(f"The ledger {str(ledger.path)!r} holds bad lines: {error}."))
        return state, [], []
    state["runs"] = dict(Counter(run.state.value for run in runs))
    return state, runs, deployments


def _flags(line: Run | KnownDeployment) -> str:
    """The options that lead a command to the account of a ledger's line."""
    if line.profile:
        return shlex.join(["-p", line.profile])
    words = ["--provider", line.provider]
    try:
        fields = registry.load(line.provider).Settings.model_fields
    except TunekitError:  # it stands among the findings about providers, if it is installed at all
        fields = {}
    for key, value in line.settings.items():
        default = fields[key].default if key in fields else None
        if isinstance(value, str | int | float) and str(value) != str(default):
            words += ["--set", f"{key}={value}"]
    return shlex.join(words)


def _hardware(home: Path) -> dict[str, Any]:
    place = next((folder for folder in (home, *home.parents) if folder.exists()), None)
    memory, available = _memory()
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": memory,
        "memory_available_bytes": available,
        "disk_free_bytes": shutil.disk_usage(place).free if place else None,
        "gpus": _gpus(),
    }


def _memory() -> tuple[int | None, int | None]:
    """Bytes of memory in all and free, as far as the system says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        return sizes["MemTotal"], sizes.get("MemAvailable")
    except (OSError, KeyError, ValueError, IndexError):
        pass  # no Linux
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), None
    except (AttributeError, ValueError, OSError):
        return None, None


def _gpus() -> list[str]:
    """Name and memory of each GPU, as `nvidia-smi` gives them; torch is not imported for it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ["nvidia-smi does not answer"]
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
