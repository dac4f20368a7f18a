"""Small helpers for words in messages: nearest names, durations, sizes."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from pydantic import ValidationError

from tunekit.errors import ConfigError

SECRET_WORDS = ("api_key", "token", "secret", "password")

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """A sentence that names the nearest option, or all of them when none is near."""
    known = sorted(options)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(known)}." if known else ""


def is_secret_name(key: str) -> bool:
    """Whether a setting of this name holds a credential."""
    return any(key.lower() == word or key.lower().endswith(f"_{word}") for word in SECRET_WORDS)


def parse_duration(value: str | float | timedelta | None) -> float | None:
    """Read a duration into seconds: `90`, `"90"`, `"15m"`, `"1h"`, `"2d"` or a `timedelta`.

    Raises:
        ConfigError: The text is no duration, or it is not above zero.
    """
    if value is None:
        return None
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float):
        seconds = float(value)
    else:
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", value)
        if not found:
            raise ConfigError(
                f"{value!r} is not a duration.", next_step="Write it like '90s', '15m' or '1h'."
            )
        seconds = float(found[1]) * _UNITS[found[2] or "s"]
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(f"A duration must be above zero, not {value!r}.")
    return seconds


def show_duration(seconds: float) -> str:
    """Write seconds the way people do: `45 s`, `2 min 5 s`, `1 h 30 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 and seconds != whole else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def show_bytes(count: float) -> str:
    """Write a size with a decimal unit: `512 B`, `1.4 MB`, `2.0 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def slug(text: str, *, limit: int = 40) -> str:
    """Lower-case letters, digits and single hyphens only; never empty."""
    made = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:limit].strip("-")
    return made or "run"


def validation_faults(
    error: ValidationError, *, known: Sequence[str] = ()
) -> list[tuple[str, str, str]]:
    """Turn a pydantic error into `(path, message, hint)` rows, one per fault.

    Unknown keys get the nearest name of `known` as their hint. The value is shown only where it is
    a plain one that is no secret: a whole table may hold a credential that came from elsewhere.
    """
    rows = []
    for fault in error.errors(include_url=False):
        path = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            name = str(fault["loc"][-1])
            rows.append((path, f"Unknown setting {name!r}.", did_you_mean(name, known)))
        else:
            value = fault["input"]
            plain = value is None or isinstance(value, bool | int | float | str)
            shown = plain and not any(is_secret_name(str(part)) for part in fault["loc"])
            got = f", got {value!r}" if shown else ""
            rows.append((path, f"{fault['msg']}{got}.", ""))
    return rows
