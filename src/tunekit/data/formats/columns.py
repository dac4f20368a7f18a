"""How the columns of a table become rows, and rows columns: templates with `{column}` in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tunekit._text import did_you_mean
from tunekit.data.encoding import RowError
from tunekit.data.formats.base import Loss, unheld
from tunekit.data.formats.shapes import (
    kind_to_write,
    note_parallel,
    note_tools,
    other_fields,
    plain_turns,
    with_one_system,
)
from tunekit.data.records import DataKind, Row, key_names
from tunekit.errors import ConfigError

Columns = Mapping[str, str | Sequence[tuple[str, str]]]
"""What `columns=` takes; see `ColumnMapping.parse`."""

Texts = list[tuple[str, str]]


class Form(NamedTuple):
    """One form of a mapping: the keys that it needs, and all that it may have, in order."""

    kind: DataKind
    needed: tuple[str, ...]
    known: tuple[str, ...]


FORMS: Final = (
    Form(DataKind.CHAT, ("user", "assistant"), ("system", "user", "assistant")),
    Form(DataKind.PROMPT_COMPLETION, ("prompt", "completion"), ("prompt", "completion")),
    Form(
        DataKind.PREFERENCE,
        ("prompt", "chosen", "rejected"),
        ("system", "prompt", "chosen", "rejected"),
    ),
    Form(DataKind.TEXT, ("text",), ("text",)),
)

_ROLES: Final = ("system", "user", "assistant")
_KEYS: Final = ("messages", *dict.fromkeys(key for form in FORMS for key in form.known))
_FIX: Final = (
    "Give `user` and `assistant` (and `system`), or `messages`, or `prompt` and `completion`, or "
    "`prompt`, `chosen` and `rejected`, or `text`."
)
_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


@dataclass(frozen=True)
class ColumnMapping:
    """Makes rows from columns; each template holds `{column}` wherever a value belongs.

    A doubled brace stands for one. A value that is null is an empty text, and one that is no text
    is written as JSON. A system text that comes out empty is left out. Calling a mapping with a row
    of a table gives a row in OpenAI's form.

    Attributes:
        kind: What comes out.
        templates: Role, or name of the field, and template, in their order.
        setting: What messages call the mapping.
    """

    kind: DataKind
    templates: tuple[tuple[str, str], ...]
    setting: str = "columns"

    @classmethod
    def parse(cls, table: Columns, *, setting: str = "columns", origin: str = "") -> ColumnMapping:
        """Read a mapping in one of its five forms.

        - `{"user": ..., "assistant": ...}` and perhaps `system`;
        - `{"messages": [(role, template), ...]}`, for more turns or an order of their own;
        - `{"prompt": ..., "completion": ...}`;
        - `{"prompt": ..., "chosen": ..., "rejected": ...}` and perhaps `system`;
        - `{"text": ...}`.

        Args:
            table: The mapping; values are templates.
            setting: What messages call it.
            origin: Where it stands, such as a file, for messages.

        Raises:
            ConfigError: It is of none of these forms, or a template names no column.
        """
        place = f" in {origin}" if origin else ""
        if not isinstance(table, Mapping):
            raise ConfigError(f"`{setting}`{place} must be a table.")
        for key in table:
            if key not in _KEYS:
                raise ConfigError(
                    f"Unknown setting `{setting}.{key}`{place}.",
                    next_step=did_you_mean(str(key), _KEYS),
                )
        if "messages" in table:
            return cls(DataKind.CHAT, _turns(table, setting, place), setting)
        forms = [form for form in FORMS if set(form.known) >= set(table)]
        if not forms:
            raise ConfigError(
                f"The keys of `{setting}`{place} contradict each other: {key_names(table)}.",
                next_step=_FIX,
            )
        form = max(forms, key=lambda form: len(set(form.needed) & set(table)))
        for key, template in table.items():
            _check_template(key, template, setting, place)
        for key in form.needed:
            if key not in table:
                raise ConfigError(f"`{setting}`{place} lacks `{key}`.", next_step=_FIX)
        templates = tuple((key, str(table[key])) for key in form.known if key in table)
        return cls(form.kind, templates, setting)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the templates name, each once, in their order."""
        return tuple(dict.fromkeys(name for _, text in self.templates for name in _names(text)))

    def __call__(self, row: Row) -> Row:
        """Make a row from the columns of one.

        Raises:
            RowError: A column is not there.
        """
        filled = [(key, self._filled(template, row)) for key, template in self.templates]
        filled = [(key, text) for key, text in filled if text or key != "system"]
        if self.kind is DataKind.CHAT:
            return {"messages": [{"role": role, "content": text} for role, text in filled]}
        return _preference(filled) if self.kind is DataKind.PREFERENCE else dict(filled)

    def _filled(self, template: str, row: Row) -> str:
        def value(match: re.Match[str]) -> str:
            column = match[1]
            if column is None:
                return match[0][0]  # a doubled brace stands for one
            if column not in row:
                raise RowError(
                    "missing-column",
                    f"There is no column {column!r}, which `{self.setting}` asks for.",
                    did_you_mean(column, row),
                )
            return _as_text(row[column])

        return _PIECE.sub(value, template)

    def check_invertible(self) -> None:
        """Make sure that a table can be written with this mapping.

        Raises:
            ConfigError: A template names several columns, whose values cannot be told apart again.
        """
        for key, template in self.templates:
            if len(_names(template)) > 1:
                raise ConfigError(
                    f"`{self.setting}.{key}` names several columns, whose values cannot be told "
                    "apart again.",
                    next_step="To write a table, give templates with one column each.",
                )

    def write_row(self, row: Row) -> tuple[Row, list[Loss]]:
        """Take the columns out of a row: the inverse of calling the mapping.

        Raises:
            RowError: The row is not what the templates give.
        """
        losses: list[Loss] = []
        kind = kind_to_write(row)
        if kind is not self.kind:
            raise unheld(self.setting, f"the columns hold no rows of the kind {kind.value}")
        texts = _texts(row, kind, losses)
        made: Row = {}
        for key, template in self.templates:
            if texts and texts[0][0] == key:
                text = texts.pop(0)[1]
            elif key == "system":
                text = ""
            else:
                raise unheld(self.setting, f"its turns are not those of the columns: no {key}")
            for column, value in self._taken_out(key, template, text):
                if made.setdefault(column, value) != value:
                    raise unheld(self.setting, f"the column {column!r} would have two values")
        if texts:
            raise unheld(self.setting, "it has more turns than there are columns")
        for field, value in other_fields(row, kind, frozenset(made), losses).items():
            if value is not None:
                said = "The table has columns for what is learnt only; the field is left out."
                losses.append(Loss("field", field, said))
        return made, losses

    def _taken_out(self, key: str, template: str, text: str) -> Iterator[tuple[str, str]]:
        names = _names(template)
        before, *behind = [_PIECE.sub(lambda m: m[0][0], part) for part in _around(template)]
        if not names:
            if text != before:
                raise unheld(self.setting, f"its {key} is not {template!r:.80}")
            return
        end = behind[0]
        if len(text) < len(before + end) or not (text.startswith(before) and text.endswith(end)):
            raise unheld(self.setting, f"its {key} does not fit {template!r:.80}")
        yield names[0], text[len(before) : len(text) - len(end)]


def _turns(table: Columns, setting: str, place: str) -> tuple[tuple[str, str], ...]:
    turns = table["messages"]
    fix = "Write a list of pairs such as ('user', '{question}')."
    if len(table) > 1 or isinstance(turns, str) or not isinstance(turns, Sequence) or not turns:
        raise ConfigError(f"`{setting}.messages`{place} must stand alone, a list.", next_step=fix)
    made = []
    for number, pair in enumerate(turns):
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise ConfigError(
                f"`{setting}.messages[{number}]`{place} is no pair of role and template.",
                next_step=fix,
            )
        role, template = pair
        if role not in _ROLES:
            raise ConfigError(
                f"`{setting}.messages[{number}]`{place} has the role {role!r}.",
                next_step=did_you_mean(str(role), _ROLES),
            )
        _check_template(role, template, setting, place)
        made.append((role, template))
    return tuple(made)


def _check_template(key: str, template: Any, setting: str, place: str) -> None:
    if not isinstance(template, str):
        raise ConfigError(f"`{setting}.{key}`{place} must be text.")
    if key != "system" and not _names(template):
        raise ConfigError(
            f"`{setting}.{key}`{place} names no column: {template!r}.",
            next_step=f"Put the column's name in braces, for example "
            f'`{key} = "{{{template or "column"}}}"`.',
        )


def _names(template: str) -> list[str]:
    return [match[1] for match in _PIECE.finditer(template) if match[1] is not None]


def _around(template: str) -> list[str]:
    """What stands before and behind a template's first column; all of it where there is none."""
    for match in _PIECE.finditer(template):
        if match[1] is not None:
            return [template[: match.start()], template[match.end() :]]
    return [template]


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _preference(texts: Texts) -> Row:
    fields = dict(texts)
    before = [{"role": "system", "content": fields["system"]}] if "system" in fields else []
    return {
        "input": {"messages": [*before, {"role": "user", "content": fields["prompt"]}]},
        "preferred_output": [{"role": "assistant", "content": fields["chosen"]}],
        "non_preferred_output": [{"role": "assistant", "content": fields["rejected"]}],
    }


def _texts(row: Row, kind: DataKind, losses: list[Loss]) -> Texts:
    """A row as texts, named by role for a conversation and by field otherwise."""
    if kind is DataKind.TEXT:
        return [("text", row["text"])]
    if kind is DataKind.PROMPT_COMPLETION:
        if not isinstance(row["prompt"], str):
            raise unheld("columns", "its prompt and completion are lists of messages")
        note_tools(row, "", losses)
        return [("prompt", row["prompt"]), ("completion", row["completion"])]
    holder, path = (row["input"], "input.") if kind is DataKind.PREFERENCE else (row, "")
    note_parallel(holder, path, losses)
    note_tools(holder, path, losses)
    made = _said(holder["messages"], f"{path}messages", losses)
    if kind is not DataKind.PREFERENCE:
        return made
    if not made or made[-1][0] != "user":
        raise unheld("columns", "its prompt is not one question")
    made[-1] = ("prompt", made[-1][1])
    for ours, column in (("preferred_output", "chosen"), ("non_preferred_output", "rejected")):
        answer = _said(row[ours], ours, losses, first=False)
        if [role for role, _ in answer] != ["assistant"]:
            raise unheld("columns", f"its `{ours}` is not one answer")
        made.append((column, answer[0][1]))
    return made


def _said(messages: list[Row], path: str, losses: list[Loss], *, first: bool = True) -> Texts:
    turns = with_one_system(plain_turns("columns", messages, path, losses), losses, first=first)
    return [(role, text) for role, text, _ in turns]
