"""`preview`: what a model will see of a data file, and what of that it is trained on."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunekit.cli.shell import Shell, command

if TYPE_CHECKING:
    from rich.text import Text

    from tunekit.data import Dataset
    from tunekit.data.preview import Piece, PreviewRow
    from tunekit.data.records import Row
    from tunekit.data.tokens.counting import TokenCounter
    from tunekit.data.tokens.statistics import TokenStatistics

_INDENT = 12
TRAINED, READ, CUT = "green", "dim", "red strike"
_BRACKETS = {TRAINED: ("⟦", "⟧"), CUT: ("✂", "✂")}
_SECOND = "and again, with the output that is not preferred:"


@command
def preview(
    shell: Shell,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A data file.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Logical name or model id.")
    ] = None,
    rows: Annotated[str, typer.Option(metavar="N|N-M", help="Which rows, counted from 1.")] = "1-3",
    tokens: Annotated[bool, typer.Option("--tokens", help="Show where tokens end.")] = False,
    stats: Annotated[
        bool, typer.Option("--stats", help="Count every row, and show how long they are.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Most tokens of a row, for a hosted model; the rest is cut off."),
    ] = None,
    histogram: Annotated[
        Path | None,
        typer.Option(metavar="OUT.png", help="Draw the lengths of all rows to a picture."),
    ] = None,
) -> None:
    """Show what a model will see of a data file, and what it is trained on.

    With a profile (the default one, too) or `--provider` that renders rows itself, this is the
    text, the tokens and the loss mask of the training. Otherwise `--model` names a hosted model,
    and the picture follows the provider's published counting rule.
    """
    from tunekit.cli.datafiles import open_file
    from tunekit.cli.failures import show_problem
    from tunekit.data.sources import passed_over

    first, last = _range(rows)
    data = open_file(file)
    view = _view(shell, model, limit)
    shown = []
    there = ((line, row) for line, row in data.entries() if not passed_over(row))
    for number, (line, row) in enumerate(islice(there, first - 1, last), first):
        if not isinstance(row, dict):
            show_problem(shell.err, row)
            continue
        shown.append(view.preview(row, line, tokens))
        if not shell.as_json:
            _show(shell, shown[-1], number=number)
    if not shell.as_json:
        _legend(shell) if shown else shell.say(f"{data.source} has no row {rows}.")
    document: dict[str, Any] = {
        "source": data.source,
        "model": view.model,
        "rows": [one.model_dump(mode="json") for one in shown],
    }
    if stats or histogram is not None:
        found = _statistics(shell, data, view, histogram, shown=stats)
        document["statistics"] = found.figures()
    if shell.as_json:
        shell.emit(document)


@dataclass(frozen=True)
class _View:
    """How rows of one request are looked at.

    Attributes:
        model: The model's own name.
        counter: What counts its tokens, or None.
        limit: The most tokens of a row, where it is known.
        preview: Shows a row: `(row, line, tokens)`.
    """

    model: str
    counter: TokenCounter | None
    limit: int | None
    preview: Callable[[Row, int, bool], PreviewRow]


def _view(shell: Shell, model: str | None, limit: int | None) -> _View:
    """Look through the provider where it renders rows itself, otherwise by the published rules."""
    from tunekit.data.limits import published_limits
    from tunekit.errors import ConfigError
    from tunekit.providers import registry

    if model is None:
        raise ConfigError(
            "How a row looks to a model depends on the model, and none was named.",
            next_step="Give `--model`, for example `--model gpt-4.1-mini`.",
        )
    service = shell.shared.provider
    published = published_limits(service, model=model) if service else None
    if published is not None and service not in registry.available():
        return _hosted_view(model, limit or published.max_row_tokens)
    chosen = shell.shared.profile or service or os.environ.get("TUNEKIT_PROFILE")
    if chosen or shell.config.file.default_profile:
        return _provider_view(shell, model, limit)
    return _hosted_view(model, limit)


def _hosted_view(model: str, limit: int | None) -> _View:
    from tunekit.data.preview import preview_hosted
    from tunekit.data.tokens.hosted import hosted_counter

    counter = hosted_counter(model)

    def show(row: Row, line: int, tokens: bool) -> PreviewRow:
        return preview_hosted(row, counter, line=line, limit=limit, tokens=tokens)

    return _View(model, counter, limit, show)


def _provider_view(shell: Shell, model: str, limit: int | None) -> _View:
    from tunekit.providers.base import SupportsTokens
    from tunekit.spec import FineTuneSpec

    provider = shell.client.provider
    named = shell.config.model(model, provider.name)
    if not isinstance(provider, SupportsTokens):
        return _hosted_view(named, limit)
    spec = FineTuneSpec(model=named)

    def show(row: Row, line: int, tokens: bool) -> PreviewRow:
        return provider.preview(spec, row, line=line, tokens=tokens)

    return _View(named, provider.token_counter(spec), limit, show)


def _range(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last:
        raise typer.BadParameter(f"{text!r} is no row or range such as 1-3.", param_hint="--rows")
    return first, last


def _statistics(
    shell: Shell, data: Dataset, view: _View, picture: Path | None, *, shown: bool
) -> TokenStatistics:
    from tunekit.data.tokens import pictures
    from tunekit.data.tokens.statistics import token_statistics
    from tunekit.errors import DataError

    if view.counter is None:
        raise DataError(f"The tokenizer of {view.model!r} is not on this machine.")
    found = token_statistics(data, view.counter, limit=view.limit)
    if shown and not shell.as_json:
        shell.say("", *pictures.table(found), "", "Rows by their tokens")
        shell.say(*pictures.bars(found.tokens, width=min(shell.tell.width, 80)))
    if picture is not None:
        pictures.histogram(found, picture)
        shell.say("", f"Picture {picture}")
    return found


def _show(shell: Shell, row: PreviewRow, *, number: int) -> None:
    from rich.text import Text

    from tunekit.cli.words import wrapped

    counted = f"{row.tokens:,} tokens, {row.trained:,} trained on"
    if row.truncated_after is not None:
        counted += f", cut after {row.truncated_after:,}"
    head = Text.assemble((f"Row {number}", "bold"), f"  line {row.line}: {counted}")
    shell.say(head)
    width = min(shell.tell.width, 100)
    coloured = shell.tell.color_system is not None
    text_of = 0
    for block in _blocks(row.pieces):
        if block.text_of != text_of:
            shell.say(Text(f"  {_SECOND}", style="italic"))
            text_of = block.text_of
        indent = _INDENT if block.label else 2
        lines = _styled(block.pieces, coloured).wrap(shell.tell, width - indent, tab_size=1)
        if len(lines) > 1 and not lines[-1]:
            lines.pop()  # what follows the end of the last line
        for place, line in enumerate(lines or [Text()]):
            line.rstrip()
            margin = f"  {block.label:<{indent - 2}}" if place == 0 else " " * indent
            shell.say(Text.assemble((margin, "bold"), line))
    for said in wrapped(row.note, width - 2):
        shell.say(Text(f"  {said}", style="italic dim"))
    shell.say("")


@dataclass
class _Block:
    """Pieces that are shown as one paragraph, beside the name of who speaks."""

    label: str
    pieces: list[Piece]
    text_of: int = 0


def _blocks(pieces: tuple[Piece, ...]) -> list[_Block]:
    """Gather pieces by message; the text of a chat template is one block without a label."""
    blocks: list[_Block] = []
    for piece in pieces:
        opens = piece.part in ("role", "tools", "functions")
        if opens or not blocks or blocks[-1].text_of != piece.text_of:
            blocks.append(_Block(piece.role if opens else "", [], piece.text_of))
        if piece.part not in ("role", "reply"):
            blocks[-1].pieces.append(piece)
    return [block for block in blocks if block.label or block.pieces]


def _styled(pieces: list[Piece], coloured: bool) -> Text:
    from rich.text import Text

    text = Text()
    for place, piece in enumerate(pieces):
        style = CUT if piece.cut else TRAINED if piece.trained else READ
        # A call's name and arguments, or an id and a content, are no running text.
        if place and piece.part and (piece.part, pieces[place - 1].part) != ("content", "content"):
            text.append(" ")
        before, after = ("", "") if coloured else _BRACKETS.get(style, ("", ""))
        text.append(before)
        for number, word in enumerate(piece.tokens or (piece.text,)):
            text.append("│ " if number else "", style="yellow")  # lines may break at the blank
            text.append(visible(word), style=style)
        text.append(after)
    return text


_SEEN = {"\n": "↵\n", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"}


def visible(text: str) -> str:
    """Show blanks that are easily overlooked, and whatever would upset a terminal.

    A line's end is `↵`, a tab `⇥`, a space that does not break `⍽`; blanks in a row, or at either
    end of a line, are `·`; every other control or invisible character is its code in `⟨⟩`.
    """
    shown = "".join(_SEEN.get(character) or _printable(character) for character in text)
    return re.sub(r" (?= )|(?<= ) |^ | $", "·", shown, flags=re.MULTILINE)


def _printable(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return f"⟨{ord(character):02x}⟩"


def _legend(shell: Shell) -> None:
    from rich.text import Text

    if shell.tell.color_system is None:
        shell.say("⟦trained on⟧  read only  ✂cut off✂")
        return
    shell.say(
        Text.assemble(
            ("trained on", TRAINED), "  ", ("read, not trained on", READ), "  ", ("cut off", CUT)
        )
    )
