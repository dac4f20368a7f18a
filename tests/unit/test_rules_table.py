"""The table of rules in the documentation is the register of rules."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from helpers.blocks import ROOT
from tunekit.data.checks.catalogue import GROUPS, Rule, all_rules

PAGE = ROOT / "docs" / "rules.md"
ROW = re.compile(r"^\| (`.+`) \| (error|warning) \| (.+) \|$", re.M)


def written() -> set[tuple[str, str, str]]:
    return {
        (code, severity, about.replace("\\|", "|"))
        for codes, severity, about in ROW.findall(PAGE.read_text("utf-8"))
        for code in re.findall(r"`([^`]+)`", codes)
    }


def registered(rules: list[Rule]) -> set[tuple[str, str, str]]:
    return {(code, "error", one.about) for one in rules for code in one.errors} | {
        (code, "warning", one.about) for one in rules for code in one.warnings
    }


def test_the_page_is_what_the_script_makes_of_the_rules() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "make_docs.py"))
    assert PAGE.read_text("utf-8") == script["rules_page"]()


def test_every_code_stands_in_the_table_with_its_severity_and_its_sentence() -> None:
    assert written() == registered(all_rules())


def test_every_rule_says_what_must_hold_in_a_sentence_and_names_a_code() -> None:
    for one in all_rules():
        assert one.errors or one.warnings, one
        assert one.about.endswith("."), one
        assert one.group in GROUPS


def test_codes_are_kebab_case() -> None:
    codes = {code for one in all_rules() for code in (*one.errors, *one.warnings)}
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) for code in codes)


def test_every_group_has_a_title() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "make_docs.py"))
    assert tuple(script["_GROUPS"]) == GROUPS


def codes_in_source() -> set[str]:
    """The codes that are named where a check makes a problem, or gets one from a reader."""
    folder = ROOT / "src" / "tunekit" / "data"
    readers = [folder / f"{name}.py" for name in ("encoding", "files", "sources", "views")]
    return {code for path in (*folder.glob("checks/*.py"), *readers) for code in _codes(path)}


def _codes(path: Path) -> list[str]:
    pattern = r'(?:\berror\(|\bwarning\(|\bcode=|\bRowError\()\s*"([a-z0-9-]+)"'
    return re.findall(pattern, path.read_text("utf-8"))


def test_no_code_is_used_that_is_not_registered() -> None:
    known = {code for one in all_rules() for code in (*one.errors, *one.warnings)}
    assert codes_in_source() - known == set()
