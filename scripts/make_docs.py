"""Write the generated parts of the documentation anew.

Run: python scripts/make_docs.py          to write them
     python scripts/make_docs.py --check  to fail when they are out of date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

import typer
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from tunekit.capabilities import Capability
from tunekit.cli.app import app
from tunekit.data.checks.catalogue import GROUPS, all_rules
from tunekit.providers import registry
from tunekit.providers.base import FineTuneProvider

ROOT = Path(__file__).parent.parent


def providers() -> list[type[FineTuneProvider]]:
    """The providers that come with this distribution, by name."""
    return [
        registry.load(name)
        for name, point in sorted(registry.available().items())
        if point.value.startswith("tunekit.")
    ]


def capability_table() -> str:
    """One row per capability, one column per provider; notes as numbered lines below."""
    columns = providers()
    lines = [
        "| | " + " | ".join(f"`{provider.name}`" for provider in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    notes: list[str] = []
    for capability in Capability:
        cells = []
        for provider in columns:
            support = provider.capabilities[capability]
            cell: str = support.level
            if support.note:
                if support.note not in notes:
                    notes.append(support.note)
                cell += f" <sup>{notes.index(support.note) + 1}</sup>"
            cells.append(cell)
        lines.append(f"| {capability.value.replace('_', ' ')} | " + " | ".join(cells) + " |")
    lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]
    return "\n".join(lines)


def command_reference() -> str:
    """Every command with its arguments and options, from the command line itself."""
    root = get_command(app)
    assert isinstance(root, TyperGroup)  # noqa: S101 - what typer makes of an app
    context = typer.Context(root, info_name="tunekit")
    parts = [
        "# The command line",
        "",
        "This page is written by `make docs` from the commands themselves.",
        "",
        "```text",
        (root.epilog or "").replace("\b", "").strip(),
        "```",
        "",
    ]
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = typer.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(inner))
        parts += [f"## `tunekit {name}`", "", (command.help or "").strip(), ""]
        parts += ["```text", f"tunekit {name} {usage}", "```", ""]
        rows = [
            (" ".join(f"`{word}`" for word in parameter.opts), " ".join(parameter.help.split()))
            for parameter in command.params
            if isinstance(parameter, TyperOption) and parameter.help and not parameter.hidden
        ]
        if rows:
            parts += ["| option | |", "|---|---|"]
            parts += [f"| {option} | {text.replace('|', chr(92) + '|')} |" for option, text in rows]
            parts.append("")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


_GROUPS: Final = {
    "file": ("The file", "Whether it can be read at all, line by line."),
    "structure": ("Rows", "What a row of each kind is made of."),
    "messages": ("Messages", "Roles, their order, and what a message holds."),
    "tools": ("Tools", "Definitions, calls, and the answers to calls."),
    "images": ("Images", "Pictures in user messages."),
    "learning": ("What is learnt", "Whether a row teaches anything."),
    "content": ("Text", "What the text of rows holds."),
    "limits": ("Limits", "What a service or a model takes."),
    "likeness": ("Likeness", "Rows that repeat or contradict each other."),
}


def rules_page() -> str:
    """Every rule of the data check, from the register that the check itself uses."""
    rules = all_rules()
    parts = [
        "# What `check` looks for",
        "",
        "This page is written by `make docs` from the rules themselves. An error stops a launch; a",
        "warning is shown. Each problem names its code, the line, and the place in the row.",
        "",
    ]
    for group in GROUPS:
        chosen = [one for one in rules if one.group == group]
        if not chosen:
            continue
        title, about = _GROUPS[group]
        parts += [
            f"## {title}",
            "",
            about,
            "",
            "| code | severity | what must hold |",
            "|---|---|---|",
        ]
        for one in chosen:
            holds = one.about.replace("|", "\\|")
            for severity, codes in (("error", one.errors), ("warning", one.warnings)):
                if codes:
                    named = ", ".join(f"`{code}`" for code in codes)
                    parts.append(f"| {named} | {severity} | {holds} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def between(text: str, mark: str, content: str) -> str:
    """Replace what stands between the two comments of this mark."""
    pattern = rf"(<!-- {mark}: begin -->\n).*?(<!-- {mark}: end -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{content}\n{found[2]}", text, flags=re.S)


def pages() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    readme = ROOT / "README.md"
    return {
        readme: between(readme.read_text(encoding="utf-8"), "capabilities", capability_table()),
        ROOT / "docs" / "cli.md": command_reference(),
        ROOT / "docs" / "rules.md": rules_page(),
    }


def main() -> int:
    """Write, or check."""
    stale = [
        path
        for path, content in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date; run `make docs`")
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages()[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
