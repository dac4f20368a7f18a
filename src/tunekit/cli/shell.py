"""What every command shares: its options, its output, its connection, and how errors end it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from rich.console import Console

from tunekit.cli.exits import Exit

if TYPE_CHECKING:
    from tunekit.client import Client
    from tunekit.config import Config

_CONNECTION = "Connection"
_OUTPUT = "Output"


def option_group(cls: type[Any]) -> type[Any]:
    """Mark a dataclass whose fields become options of each command that takes one of it."""
    cls.__option_group__ = True
    return cls


@option_group
@dataclass(frozen=True)
class Shared:
    """The options of every command."""

    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", "-p", help="Profile of `tunekit.toml`.", rich_help_panel=_CONNECTION
        ),
    ] = None
    provider: Annotated[
        str | None,
        typer.Option(help="Provider by name, without a profile.", rich_help_panel=_CONNECTION),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the provider; may be repeated.",
            rich_help_panel=_CONNECTION,
        ),
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(
            help="A `tunekit.toml`, instead of the one found.", rich_help_panel=_CONNECTION
        ),
    ] = None
    as_json: Annotated[
        bool,
        typer.Option("--json", help="JSON on stdout and nothing else.", rich_help_panel=_OUTPUT),
    ] = False
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=_OUTPUT),
    ] = False


def parse_assignments(
    pairs: list[str] | None, option: str, *, scalars: bool = True
) -> dict[str, Any]:
    """Read `key=value` pairs.

    Args:
        pairs: What was given on the command line.
        option: The option's name, for messages.
        scalars: Read numbers and booleans as JSON, too, and not only lists, tables and quoted text.
            Settings stay text, like those of the environment, and get their type from their field.

    Raises:
        typer.BadParameter: A pair has no `=` or no key.
    """
    found: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not (equals and key.strip()):
            raise typer.BadParameter(f"{pair!r} is not of the form key=value.", param_hint=option)
        found[key.strip()] = text
        if scalars or text.lstrip()[:1] in ("[", "{", '"'):
            with suppress(ValueError):
                found[key.strip()] = json.loads(text)
    return found


def consoles() -> tuple[Console, Console]:
    """Consoles for stdout and stderr that neither colour figures nor read markup or emoji."""
    out = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    err = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    return out, err


class Shell:
    """One running command.

    Attributes:
        out: Stdout. With `--json` only `emit` writes to it.
        err: Stderr.
        tell: Where messages for people go: stdout, or stderr with `--json`.
        way_back: What an interrupted command says about the thing that goes on.
        default_provider: What to connect to where neither profile nor provider was named; None
            means the default profile.
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.out, self.err = consoles()
        self.tell = self.err if shared.as_json else self.out
        self.way_back: Callable[[], list[str]] | None = None
        self.default_provider: str | None = None

    @property
    def as_json(self) -> bool:
        """Whether a program reads the answer."""
        return self.shared.as_json

    @cached_property
    def config(self) -> Config:
        """The configuration. Raises `ConfigError` when it cannot be read."""
        from tunekit.config import Config

        return Config(self.shared.config)

    @cached_property
    def client(self) -> Client:
        """The client of the profile or provider that was asked for; made at the first use."""
        from tunekit.client import connect
        from tunekit.errors import ConfigError

        if self.shared.profile and self.shared.provider:
            raise ConfigError(
                f"Both a profile ({self.shared.profile!r}) and a provider "
                f"({self.shared.provider!r}) were named.",
                next_step="Give one of `--profile` and `--provider`.",
            )
        settings = parse_assignments(self.shared.settings, "--set", scalars=False)
        fallback = None if self.shared.profile else self.default_provider
        return connect(
            self.shared.profile,
            provider=self.shared.provider or fallback,
            config=self.config,
            **settings,
        )

    def close(self) -> None:
        """Free connections, if there are any."""
        if "client" in self.__dict__:
            self.client.close()

    def say(self, *lines: Any, style: str | None = None) -> None:
        """Print lines for people. A line is never wrapped, so that ids stay whole."""
        for line in lines:
            self.tell.print(line, style=style, soft_wrap=True)

    def warn(self, *lines: Any) -> None:
        """Print lines for people on stderr."""
        for line in lines:
            self.err.print(line, soft_wrap=True)

    def emit(self, document: Any) -> None:
        """Write one JSON document on a line of its own."""
        self.out.file.write(json.dumps(document, default=str) + "\n")
        self.out.file.flush()

    def command_line(self, *words: str) -> str:
        """A command that the user can type, with the options that lead to the same account."""
        from tunekit._text import is_secret_name

        shared = self.shared
        flags: list[str] = []
        for flag, value in (
            ("-p", shared.profile),
            ("--provider", shared.provider),
            ("--config", shared.config and str(shared.config)),
        ):
            flags += [flag, value] if value else []
        for pair in shared.settings or []:
            key = pair.partition("=")[0]
            if not is_secret_name(key):
                flags += ["--set", pair]
        return shlex.join(["tunekit", *words, *flags])


@contextmanager
def ending_well(shell: Shell) -> Iterator[None]:
    """Turn errors and interrupts into clear words and an exit code.

    Raises:
        typer.Exit: With the code of `tunekit.cli.exits`.
    """
    from tunekit.errors import TunekitError

    try:
        yield
    except TunekitError as error:
        from tunekit.cli.failures import show_failure

        raise typer.Exit(show_failure(shell, error)) from None
    except (KeyboardInterrupt, typer.Abort):
        shell.warn("", "Interrupted.")
        shell.warn(*(shell.way_back() if shell.way_back else ()))
        raise typer.Exit(Exit.INTERRUPTED) from None
    finally:
        shell.close()


def command(func: Callable[..., None]) -> Callable[..., None]:
    """Make a function into a command body.

    Its first parameter gets the `Shell`. A parameter whose type is an option group is filled from
    the group's options; all others are typer's as usual.
    """
    _, *own = inspect.signature(func, eval_str=True).parameters.values()
    groups = {p.name: p.annotation for p in own if hasattr(p.annotation, "__option_group__")}
    parameters: list[inspect.Parameter] = []
    for parameter in own:
        if parameter.name in groups:
            parameters += _parameters_of(groups[parameter.name])
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    parameters += _parameters_of(Shared)

    @functools.wraps(func)
    def body(**values: Any) -> None:
        shell = Shell(_take(Shared, values))
        for name, group in groups.items():
            values[name] = _take(group, values)
        with ending_well(shell):
            func(shell, **values)

    vars(body).pop("__wrapped__", None)  # or the type hints would be those of `func`
    body.__annotations__ = {p.name: p.annotation for p in parameters}
    # Typer keeps the line breaks of all paragraphs but the first.
    paragraphs = inspect.cleandoc(func.__doc__ or "").split("\n\n")
    body.__doc__ = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return body


def _parameters_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
    ]


def _take(group: type[Any], values: dict[str, Any]) -> Any:
    """Make a group out of its values and take them away."""
    return group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})


def public(snapshot: Any) -> Mapping[str, Any]:
    """A snapshot as JSON without the provider's own reply."""
    document: dict[str, Any] = snapshot.model_dump(mode="json", exclude={"raw"})
    return document
