"""The rules that training data must keep, and the pass that holds a whole file against them."""

from __future__ import annotations

from tunekit.data.checks import reading as reading
from tunekit.data.checks.alike import check_leakage
from tunekit.data.checks.bounds import FEW_ROWS, Figures
from tunekit.data.checks.catalogue import Rule, all_rules
from tunekit.data.checks.findings import Findings
from tunekit.data.checks.options import CheckOptions, MethodName, OverLength, Role
from tunekit.data.checks.whole import Examination, Part, examine

__all__ = [
    "FEW_ROWS",
    "CheckOptions",
    "Examination",
    "Figures",
    "Findings",
    "MethodName",
    "OverLength",
    "Part",
    "Role",
    "Rule",
    "all_rules",
    "check_leakage",
    "examine",
]
