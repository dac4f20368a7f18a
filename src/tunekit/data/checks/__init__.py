"""The rules that training data must keep, and the pass that holds a whole file against them."""

from __future__ import annotations

from tunekit.data.checks.whole import FEW_ROWS, check_entries, check_leakage

__all__ = ["FEW_ROWS", "check_entries", "check_leakage"]
