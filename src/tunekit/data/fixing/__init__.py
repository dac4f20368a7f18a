"""Mended copies of data files: only what is safe, everything told, nothing lost."""

from __future__ import annotations

from tunekit.data.fixing.copying import fix_file
from tunekit.data.fixing.report import Change, FixReport

__all__ = ["Change", "FixReport", "fix_file"]
