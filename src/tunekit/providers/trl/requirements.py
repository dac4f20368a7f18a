"""The packages that a training needs, and whether they are there. Standard library only."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from tunekit.providers.trl.faults import TrainingFault

NEEDED = {
    "torch": "2.13",
    "transformers": "5.23",
    "trl": "1.16",
    "peft": "0.21",
    "datasets": "5.2",
    "accelerate": "1.15",
}
"""Import name and lowest version of each package; the names on the index are the same."""

INSTALL = " ".join(
    f"'{name}>={lowest},<2'" if name == "trl" else f"'{name}>={lowest}'"
    for name, lowest in NEEDED.items()
)
"""The packages as `pip install` takes them."""


def _installed(name: str) -> str | None:
    if importlib.util.find_spec(name) is None:
        return None
    try:
        return version(name)
    except PackageNotFoundError:
        return "0"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("+")[0].split(".")[:2] if part.isdigit())


def missing_packages(installed: Callable[[str], str | None] = _installed) -> list[str]:
    """Name what is missing or too old in this interpreter; imports nothing."""
    found = []
    for name, lowest in NEEDED.items():
        there = installed(name)
        if there is None:
            found.append(name)
        elif _numbers(there) < _numbers(lowest):
            found.append(f"{name}>={lowest} (here: {there})")
        elif name == "trl" and _numbers(there) >= (2,):
            found.append(f"trl<2 (here: {there})")
    return found


def check_packages(installed: Callable[[str], str | None] = _installed) -> None:
    """Refuse to begin without them.

    Raises:
        TrainingFault: With the line that installs them.
    """
    missing = missing_packages(installed)
    if missing:
        raise TrainingFault(
            "missing-packages",
            f"The worker's interpreter lacks: {', '.join(missing)}. Run there:"
            f" `pip install {INSTALL}`, or set `python` in the profile to an interpreter that has"
            " them.",
        )
