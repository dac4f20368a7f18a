"""`doctor`: what is installed, what is set and where it came from, and what is left standing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tunekit.cli.shell import Shell, command

if TYPE_CHECKING:
    from rich.text import Text


@command
def doctor(shell: Shell) -> None:
    """Examine what is installed, set and left standing.

    Asks no provider. The exit code says whether something keeps tunekit from working.
    """
    from tunekit.cli.examine import examine

    found = examine(shell.shared.config, profile=shell.shared.profile)
    if shell.as_json:
        shell.emit(found)
    else:
        shell.say(*_lines(found))
    if found["problems"]:
        raise typer.Exit(max(problem["exit_code"] for problem in found["problems"]))


def _lines(found: dict[str, Any]) -> list[str | Text]:
    lines: list[str | Text] = []
    for title, section in (
        ("Versions", _versions),
        ("Providers", _providers),
        ("Settings", _settings),
        ("State", _state),
        ("Hardware", _hardware),
        ("Left standing", _leftovers),
    ):
        lines += [_heading(title), *section(found), ""]
    if not found["problems"]:
        return [*lines, _mark("✓", "green", "Nothing keeps tunekit from working.")]
    for problem in found["problems"]:
        lines.append(_mark("✗", "red", problem["message"]))
        if problem["next_step"]:
            lines.append(f"  {problem['next_step']}")
    return lines


def _heading(title: str) -> Text:
    from rich.text import Text

    return Text(title, style="bold")


def _mark(mark: str, style: str, text: str) -> Text:
    from rich.text import Text

    return Text.assemble((f"{mark} ", style), text)


def _versions(found: dict[str, Any]) -> list[Text]:
    from tunekit.cli.words import columns, pairs

    packages = found["packages"]
    there = [f"{name} {version}" for name, version in packages.items() if version]
    absent = [name for name, version in packages.items() if not version]
    rows = [("tunekit", found["tunekit"]), ("python", f"{found['python']}, {found['platform']}")]
    lines = pairs([(label, value) for label, value in rows])
    lines += columns([["  " + "".join(three[:1]), *three[1:]] for three in _threes(there)])
    if absent:
        from rich.text import Text

        lines.append(Text(f"  not installed: {', '.join(absent)}", style="dim"))
    return lines


def _threes(words: list[str]) -> list[list[str]]:
    return [words[i : i + 3] for i in range(0, len(words), 3)]


def _providers(found: dict[str, Any]) -> list[Text]:
    from rich.text import Text

    lines = []
    for provider in found["providers"]:
        if provider["problem"]:
            lines.append(Text("  ") + _mark("✗", "red", provider["name"]))
            lines.append(Text(f"      {provider['problem']}"))
        elif provider["missing"]:
            lines.append(Text("  ") + _mark("!", "yellow", provider["name"]))
            lines.append(Text(f"      missing: {', '.join(provider['missing'])}"))
        else:
            lines.append(Text("  ") + _mark("✓", "green", provider["name"]))
    return lines or [Text("  none installed")]


def _settings(found: dict[str, Any]) -> list[Text]:
    from rich.text import Text

    from tunekit.cli.words import columns

    lines = [Text(f"  file: {found['config_file'] or 'none'}")]
    for title, settings in (("home", [found["home"]]), *_profiles(found)):
        if title != "home":
            lines.append(Text(f"  {title}", style="bold"))
        rows: list[list[str | Text]] = [
            [f"    {one['name']}", _shown(one["value"]), Text(one["source"], style="dim")]
            for one in settings
        ]
        if title == "home":
            rows = [["  home:", str(rows[0][1]), rows[0][2]]]
        lines += columns(rows)
    return lines


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)


def _profiles(found: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [
        (
            f"profile {one['name']}{' (default)' if one['default'] else ''}: {one['provider']}",
            one["settings"],
        )
        for one in found["profiles"]
    ]


def _state(found: dict[str, Any]) -> list[Text]:
    from tunekit.cli.words import pairs

    ledger = found["ledger"]
    if not ledger["exists"]:
        state = "none yet; the first run makes it"
    elif ledger["runs"] is None:
        state = "cannot be read"
    else:
        counts = ", ".join(f"{n} {word}" for word, n in ledger["runs"].items())
        state = counts or "no run yet"
    return pairs(
        [
            ("home", "writable" if found["home"]["writable"] else "not writable"),
            ("ledger", state),
        ]
    )


def _hardware(found: dict[str, Any]) -> list[Text]:
    from tunekit._text import show_bytes
    from tunekit.cli.words import pairs

    hardware = found["hardware"]
    memory, free = hardware["memory_bytes"], hardware["memory_available_bytes"]
    shown = "not known" if memory is None else show_bytes(memory)
    if free is not None:
        shown += f", {show_bytes(free)} free"
    disk = hardware["disk_free_bytes"]
    gpus: list[tuple[str, str | Text]] = [("gpu", gpu) for gpu in hardware["gpus"]]
    return pairs(
        [
            ("cpu", f"{hardware['cores']} cores"),
            ("memory", shown),
            (
                "disk",
                "not known" if disk is None else f"{show_bytes(disk)} free in the home folder",
            ),
            *(gpus or [("gpu", "none found (asked nvidia-smi)")]),
        ]
    )


def _leftovers(found: dict[str, Any]) -> list[Text]:
    from rich.text import Text

    lines = []
    for run in found["interrupted_runs"]:
        lines.append(_mark("!", "yellow", f"run {run['name']} was interrupted while it was sent"))
        lines.append(Text(f"    settle it: tunekit jobs --recover {run['flags']}"))
    for one in found["deployments"]:
        lines.append(_mark("!", "yellow", f"deployment {one['name']}, ends {one['ends']}"))
        lines.append(Text(f"    look: tunekit deployments {one['flags']}"))
    return [Text("  ") + line for line in lines] or [Text("  nothing")]
