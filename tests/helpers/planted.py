"""Bad data files in which every fault is known: what it is, on which line, at which place.

The file of conversations has most kinds of fault, each among good rows; smaller ones have what a
file can only have once, what depends on a service, or what needs another kind of row. All text is
made of random words, so that rows are alike only where that is the fault.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from helpers import planted_faults as faults
from helpers.planted_faults import Fault, one
from helpers.planted_rows import (
    WordCounter,
    answer,
    as_line,
    chat,
    data_url,
    good_chat,
    picture,
    png,
    preference,
    user,
    words,
)
from tunekit.data import Dataset
from tunekit.data.checks.options import CheckOptions
from tunekit.data.limits import DataLimits
from tunekit.problems import Problem

Place = tuple[int | None, str, str | None]
"""Line, code and path of a problem."""


@dataclass
class PlantedFile:
    """A file and everything that a check must say of it, no more and no less.

    Attributes:
        path: JSON Lines, or CSV by its name.
        expected: Where which problem stands.
        faults: Their names.
        options: What the file is held against.
    """

    path: Path
    expected: set[Place] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    options: CheckOptions = field(default_factory=CheckOptions)

    def check(self) -> list[Problem]:
        read = Dataset.from_csv if self.path.suffix == ".csv" else Dataset.from_jsonl
        return read(self.path).check(self.options)


def plant(
    path: Path,
    planted: Sequence[Fault],
    good: Callable[[], Any],
    options: CheckOptions | None = None,
) -> PlantedFile:
    """Write a file with these faults, each between good rows."""
    found = PlantedFile(path, options=options or CheckOptions())
    lines = [as_line(good()), as_line(good()) + b"\r"]  # a carriage return is no fault
    for fault in planted:
        first = len(lines) + 1
        for code, place, *later in fault.found:
            found.expected.add((first + sum(later), code, place))
        found.faults.append(fault.name)
        lines += as_line(fault.make()).split(b"\n")
        lines.append(as_line(good()))
    lines += [as_line(good()) for _ in range(10)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return found


def written(path: Path, content: bytes, *expected: Place, **options: Any) -> PlantedFile:
    """Write a file as it is."""
    path.write_bytes(content)
    return PlantedFile(path, set(expected), [path.stem], CheckOptions(**options))


def _lines(*rows: Any) -> bytes:
    return b"".join(as_line(row) + b"\n" for row in rows)


def _many(count: int = 12) -> list[Any]:
    return [good_chat() for _ in range(count)]


def _utf16(path: Path) -> PlantedFile:
    content = _lines(*_many()).decode().encode("utf-16")
    return written(path, content, (1, "bad-utf8", None), (None, "few-rows", None))


def _array(path: Path) -> PlantedFile:
    content = json.dumps(_many()).encode()
    return written(path, content, (1, "not-an-object", None), (None, "few-rows", None))


def _indented_array(path: Path) -> PlantedFile:
    content = json.dumps([{"text": words()} for _ in range(9)], indent=1).encode()
    lines = range(1, content.count(b"\n") + 2)
    return written(path, content, *((line, "invalid-json", None) for line in lines))


def _unmapped(path: Path) -> PlantedFile:
    content = _lines(*({"question": words(), "reply": words()} for _ in range(12)))
    return written(path, content, (1, "unrecognised-structure", None))


def _torn(path: Path) -> PlantedFile:
    content = _lines(*_many(), good_chat())[:-20]
    return written(path, content, (13, "invalid-json", None))


def _windows(path: Path) -> PlantedFile:
    return written(path, b"\xef\xbb\xbf" + _lines(*_many()).replace(b"\n", b"\r\n"))


def _alike(path: Path) -> PlantedFile:
    rows = [chat(user(), answer(words(40))) for _ in range(12)]
    question = rows[3]["messages"][0]
    near = rows[5]["messages"][1]["content"]
    rows.append({"messages": [dict(reversed(message.items())) for message in rows[2]["messages"]]})
    rows.append(chat(question, answer()))
    rows.append(chat(rows[5]["messages"][0], answer(near + " ba")))
    return written(
        path,
        _lines(*rows),
        (13, "duplicate-row", None),
        (14, "conflicting-answers", None),
        (15, "near-duplicate-row", None),
        (15, "conflicting-answers", None),
    )


def _long(policy: Any) -> Callable[[Path], PlantedFile]:
    def make(path: Path) -> PlantedFile:
        rows = _many()
        rows[4] = chat(user(words(20)), answer(words(20)))
        rows[6] = chat(user(words(40)), answer())
        found = {(5, "row-too-long", None), (7, "row-too-long", None)}
        if policy == "truncate":
            found.add((7, "row-trains-on-nothing", None))
        options = {"limits": DataLimits(max_row_tokens=30), "counter": WordCounter()}
        return written(path, _lines(*rows), *found, over_length=policy, **options)

    return make


def _big_job(path: Path) -> PlantedFile:
    limits = DataLimits(max_job_tokens=12 * 18 * 3 - 1)
    expected = (None, "job-too-large", None)
    return written(
        path, _lines(*_many()), expected, limits=limits, counter=WordCounter(), n_epochs=3
    )


_URL = "https://x.org/{}.png"


def _service(path: Path) -> PlantedFile:
    limits = DataLimits(max_row_images=2, max_image_bytes=110)
    image = "messages[0].content[{}].image_url.url"
    planted = [
        one("three images", lambda: chat(picture(*map(_URL.format, "abc")), answer()),
            "too-many-images", image.format(3)),
        one("a large image", lambda: chat(picture(data_url(png() + bytes(200))), answer()),
            "image-too-large", image.format(1)),
    ]  # fmt: skip
    return plant(path, planted, good_chat, CheckOptions(limits=limits))


def _prompts_only(path: Path) -> PlantedFile:
    planted = [
        one("a system message",
            lambda: faults.prompt(messages=[{"role": "system", "content": words()}, user()]),
            "system-message-not-accepted", "messages[0]"),
    ]  # fmt: skip
    limits = DataLimits(system_messages=False)
    return plant(path, planted, faults.prompt, CheckOptions(method="reinforcement", limits=limits))


def _wrong_kind(path: Path) -> PlantedFile:
    expected = (None, "wrong-kind-for-method", None)
    return written(path, _lines(*_many()), expected, method="dpo")


def _text_only(path: Path) -> PlantedFile:
    planted = [
        one("an image where none is taken", lambda: preference(None, None, picture(_URL)),
            "images-not-accepted", "input.messages[0].content[1].image_url.url"),
    ]  # fmt: skip
    options = CheckOptions(method="dpo", limits=DataLimits(images=False))
    return plant(path, planted, preference, options)


def _bounds(path: Path) -> PlantedFile:
    rows = [chat(picture(_URL), answer()) for _ in range(12)]
    limits = DataLimits(
        service="a service",
        max_rows=11,
        max_bytes=100,
        max_image_rows=3,
        row_tokens_unknown="a model",
    )
    codes = "too-many-rows", "file-too-large", "too-many-image-rows", "token-limit-unknown"
    return written(path, _lines(*rows), *((None, code, None) for code in codes), limits=limits)


def _too_few(path: Path) -> PlantedFile:
    limits = DataLimits(service="a service", min_rows=20)
    return written(path, _lines(*_many()), (None, "too-few-rows", None), limits=limits)


def _table(path: Path) -> PlantedFile:
    good = [f"{words()},{words()}" for _ in range(12)]
    bad = [b'a,"b" c', b"a,b,c", b"a,\xff"]
    content = b"\n".join([b"prompt,completion", *map(str.encode, good), *bad]) + b"\n"
    return written(
        path, content,
        (14, "bad-csv", None), (15, "csv-field-count", None), (16, "bad-utf8", None),
    )  # fmt: skip


def _table_header(path: Path) -> PlantedFile:
    content = b"text,text\na,b\n"
    return written(path, content, (1, "csv-header", None), (None, "few-rows", None))


def _of(planted: Sequence[Fault], good: Callable[[], Any], **options: Any) -> Any:
    return lambda path: plant(path, planted, good, CheckOptions(**options))


FILES: Mapping[str, Callable[[Path], PlantedFile]] = {
    "chat.jsonl": _of(faults.CHAT, good_chat),
    "preference.jsonl": _of(faults.PREFERENCE, preference),
    "reinforcement.jsonl": _of(faults.REINFORCEMENT, faults.prompt, method="reinforcement"),
    "pairs.jsonl": _of(faults.PROMPT_COMPLETION, faults.pair),
    "text.jsonl": _of(faults.TEXT, lambda: {"text": words()}),
    "empty.jsonl": lambda path: written(path, b"", (None, "no-rows", None)),
    "blank.jsonl": lambda path: written(
        path, b"\n \n", (1, "empty-line", None), (2, "empty-line", None), (None, "no-rows", None)
    ),
    "few.jsonl": lambda path: written(path, _lines(*_many(9)), (None, "few-rows", None)),
    "utf-16.jsonl": _utf16,
    "array.jsonl": _array,
    "indented-array.jsonl": _indented_array,
    "unmapped.jsonl": _unmapped,
    "torn.jsonl": _torn,
    "windows.jsonl": _windows,
    "alike.jsonl": _alike,
    "long.jsonl": _long("error"),
    "long-dropped.jsonl": _long("drop"),
    "long-cut.jsonl": _long("truncate"),
    "big-job.jsonl": _big_job,
    "service.jsonl": _service,
    "prompts-only.jsonl": _prompts_only,
    "text-only.jsonl": _text_only,
    "wrong-kind.jsonl": _wrong_kind,
    "bounds.jsonl": _bounds,
    "too-few.jsonl": _too_few,
    "table.csv": _table,
    "table-header.csv": _table_header,
}
"""How each bad file is made, by its name."""


def planted_file(name: str, folder: Path, **changes: Any) -> PlantedFile:
    """Make one bad file in a folder, the same each time."""
    words.restart()
    made = FILES[name](folder / name)
    return replace(made, options=replace(made.options, **changes))
