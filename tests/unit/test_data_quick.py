"""The quick ways of a check say what the rules say: plain rows, blocks, stretches and processes."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from tunekit.data import DataKind, Dataset, parse_record
from tunekit.data.checks import CheckOptions, examine, scan, stretches
from tunekit.data.checks.findings import IN_MEMORY, LISTED, Findings
from tunekit.data.checks.quick import IS_CLEAN, text_of
from tunekit.data.checks.rows import check_content, check_row, maybe_content
from tunekit.data.checks.scan import Scanner
from tunekit.data.checks.stretches import scan_span
from tunekit.data.encoding import decode
from tunekit.data.likeness.keys import row_keys
from tunekit.data.likeness.keys import text_of as text_of_any
from tunekit.data.limits import DataLimits
from tunekit.data.plain import NO_PROMPT, SHAPES, as_plain, decode_lines, digests_of
from tunekit.data.records import kind_of
from tunekit.errors import DataError
from tunekit.problems import Problem, Severity

texts = st.sampled_from(
    [
        "Salt?",
        "Yes.",
        "",
        " ",
        "\t\n",
        "\0",
        "a\0b",
        "é",
        "水",
        "\ud83d",
        "<|im_end|>",
        "x@y.org",
        "1",
    ]
) | st.text(max_size=8)
roles = st.sampled_from(["system", "developer", "user", "assistant", "assistant", "tool", "User"])
extras = st.dictionaries(
    st.sampled_from(["weight", "name", "refusal", "strange"]),
    st.sampled_from([0, 1, 1.0, True, None, "x"]),
    max_size=1,
)
messages = st.builds(
    lambda role, content, extra: {"role": role, "content": content, **extra},
    roles,
    texts | st.sampled_from([None, 3, [{"type": "text", "text": "x"}]]),
    st.just({}) | extras,
)
talks = st.lists(messages, max_size=5)
usual = st.builds(
    lambda system, question, answer: [
        *([{"role": "system", "content": "Be brief."}] if system else []),
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ],
    st.booleans(),
    texts,
    texts,
)
chats = st.builds(
    lambda talk, more: {"messages": talk, **more},
    usual | talks,
    st.just({}) | st.sampled_from([{"tools": []}, {"extra": 1}, {"parallel_tool_calls": True}]),
)
answers = st.lists(messages, min_size=1, max_size=2)
preferences = st.builds(
    lambda talk, better, worse: {
        "input": {"messages": talk},
        "preferred_output": better,
        "non_preferred_output": worse,
    },
    usual.map(lambda talk: talk[:-1]) | talks,
    texts.map(lambda text: [{"role": "assistant", "content": text}]) | answers,
    texts.map(lambda text: [{"role": "assistant", "content": text}]) | answers,
)
pairs = st.fixed_dictionaries({"prompt": texts, "completion": texts | st.none()})
plain_texts = st.fixed_dictionaries({"text": texts | st.integers()})
rows = chats | preferences | pairs | plain_texts


def write(path: Path, lines: list[str]) -> Path:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"))
    return path


def told(problems: list[Problem]) -> list[tuple[str, int | None, str | None, str]]:
    return sorted(
        ((p.code, p.line, p.path, p.message.replace(str(p.file), "FILE")) for p in problems),
        key=str,
    )


@settings(max_examples=400, deadline=None)
@given(row=rows)
def test_what_is_clean_at_a_glance_has_no_problem_and_a_typed_view(row: dict[str, Any]) -> None:
    kind = kind_of(row)
    plain = as_plain(row, kind)
    assert kind is not None
    if plain is not None and IS_CLEAN[type(plain)](plain):
        line = json.dumps(row).encode()
        found = list(check_row(row, kind))
        if not maybe_content(line, CheckOptions()):
            found += check_content(row, CheckOptions())
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            assert "\\ud" in line.decode()  # a file's line with it is not plain
        else:
            assert found == []
        parse_record(row)


@settings(max_examples=300, deadline=None)
@given(row=rows)
def test_plain_rows_are_compared_by_the_same_keys_as_any_row(row: dict[str, Any]) -> None:
    plain = as_plain(row, kind_of(row))
    if plain is None:
        return
    keys = row_keys(row)
    assert digests_of(plain) == (keys.row, keys.prompt or NO_PROMPT)
    assert text_of(plain) == text_of_any(row)


@settings(max_examples=300, deadline=None)
@given(one=chats, other=chats)
def test_rows_have_equal_digests_exactly_if_they_are_equal(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (row_keys(one).row == row_keys(other).row) is same


@pytest.mark.parametrize("ensure_ascii", [True, False])
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.lists(rows, min_size=1, max_size=12), broken=st.booleans())
def test_a_file_is_told_the_same_as_its_rows_one_by_one(
    tmp_path: Path, ensure_ascii: bool, content: list[dict[str, Any]], broken: bool
) -> None:
    lines = [json.dumps(row, ensure_ascii=ensure_ascii) for row in content]
    path = write(tmp_path / "rows.jsonl", [*lines, "{"] if broken else lines)
    quick = Dataset.from_jsonl(path)
    # `map` makes the rows pass by one by one.
    assert told(quick.check()) == told(quick.filter(lambda _: True).check())


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b'{"text":"a"}',
                b'{"text":\n"a"}',
                b"\n",
                b" ",
                b'{"text":"}\\n{"}',
                b"\r\n",
                b"{",
                b"}",
            ]
        ),
        max_size=8,
    )
)
def test_lines_decoded_at_once_are_the_lines_decoded_one_by_one(pieces: list[bytes]) -> None:
    block = b"".join(pieces)
    decoder = msgspec.json.Decoder(SHAPES[DataKind.TEXT])
    found = decode_lines(decoder, block)
    if found is None:
        return
    decoded, ends = found
    lines = block.split(b"\n")[:-1]
    assert [msgspec.to_builtins(row) for row in decoded] == [decode(line) for line in lines]
    assert [block[: end + 1].count(b"\n") for end in ends] == list(range(1, len(lines) + 1))


@pytest.fixture
def mixed_file(tmp_path: Path) -> Path:
    """Rows of many lengths, faults, empty lines, a byte-order mark and no last line break."""
    good = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}
    lines = []
    for number in range(400):
        row = json.loads(json.dumps(good))
        row["messages"][0]["content"] = f"Question {number % 350} " + "x" * (number % 7)
        if number % 20 == 3:
            row["messages"][1]["weight"] = 1
        if number % 50 == 7:
            row["messages"].pop()
        if number % 60 == 9:
            row["extra"] = number
        lines.append("" if number % 90 == 11 else "{" if number % 70 == 13 else json.dumps(row))
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "\n".join(lines).encode())
    return path


@pytest.mark.parametrize(("block", "stretch"), [(1, 1), (7, 50), (100, 1000), (1 << 16, 64)])
def test_where_a_file_is_cut_into_pieces_changes_nothing(
    mixed_file: Path, monkeypatch: pytest.MonkeyPatch, block: int, stretch: int
) -> None:
    data = Dataset.from_jsonl(mixed_file)
    expected = told(data.check())
    assert {"invalid-json", "empty-line", "duplicate-row"} <= {code for code, *_ in expected}
    monkeypatch.setattr(stretches, "BLOCK", block)
    monkeypatch.setattr(stretches, "STRETCH", stretch)
    assert told(data.check()) == expected


def same_as_row_by_row(path: Path, options: CheckOptions | None = None) -> list[str]:
    """The codes that a file's check gives, which are those of its rows one by one."""
    data = Dataset.from_jsonl(path)
    found = data.check(options)
    assert told(found) == told(data.filter(lambda _: True).check(options))
    return [problem.code for problem in found]


GOOD = '{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ho"}]}'


@pytest.mark.parametrize("role", ['"role":"user",', '"role":"assistant",'])
def test_a_message_without_a_role_is_seen_among_rows_of_one_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    monkeypatch.setattr(stretches, "BLOCK", 1)  # from the second block on, a form is expected
    path = write(tmp_path / "rows.jsonl", [GOOD, GOOD, GOOD.replace(role, ""), GOOD])
    assert "missing-role" in same_as_row_by_row(path)


def test_rows_of_one_form_are_compared_by_the_same_keys_as_any_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "BLOCK", 1)
    row = GOOD.replace("[", '[{"role":"system","content":"Be brief."},')
    odd = [row.replace("Hi", "a\\u0000b"), row.replace("Hi", "a").replace("Ho", "b\\u0000")]
    path = write(tmp_path / "rows.jsonl", [row, row.replace("Hi", "Salt?"), *odd, row])
    (quick,) = stretches.scan_file(path, DataKind.CHAT, CheckOptions())
    scanner = Scanner(DataKind.CHAT, CheckOptions())
    scanner.located(Dataset.from_jsonl(path).located())
    slow = scanner.take()
    assert quick.positions == slow.positions
    assert quick.digests == slow.digests
    assert quick.prompts == slow.prompts
    assert quick.sketches == slow.sketches


def test_an_answer_of_a_pair_without_a_role_is_seen(tmp_path: Path) -> None:
    row = (
        '{"input":{"messages":[{"role":"user","content":"q"}]},'
        '"preferred_output":[{"content":"a"}],'
        '"non_preferred_output":[{"role":"assistant","content":"b"}]}'
    )
    assert "missing-role" in same_as_row_by_row(write(tmp_path / "rows.jsonl", [row]))


def test_plain_rows_are_held_against_a_service_that_accepts_no_system_message(
    tmp_path: Path,
) -> None:
    row = GOOD.replace("[", '[{"role":"system","content":"Be brief."},')
    options = CheckOptions(limits=DataLimits(system_messages=False))
    path = write(tmp_path / "rows.jsonl", [row, GOOD])
    assert "system-message-not-accepted" in same_as_row_by_row(path, options)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\r\n\0",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\n",
        b'\xef\xbb\xbf\xef\xbb\xbf{"text":"a"}',
        b'{"text":"a"}\r\n{"text":"b"}\r\n',
        b'{"text":"a","\\ud83d":1}\n',
        b'{"te\\ud83dxt":"a"}',
    ],
)
def test_odd_bytes_are_told_the_same_as_row_by_row(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_bytes(content)
    same_as_row_by_row(path)


def test_a_line_over_many_stretches_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "STRETCH", 64)
    path = write(tmp_path / "long.jsonl", [GOOD.replace("Hi", "Hi" * 20_000), GOOD])
    read = 0

    class Counting(io.BytesIO):
        @override
        def readline(self, size: int | None = -1) -> bytes:
            nonlocal read
            line = super().readline(size)
            read += len(line)
            return line

    content = path.read_bytes()
    scanner = Scanner(DataKind.CHAT, CheckOptions())
    spans = [(start, min(start + 64, len(content))) for start in range(0, len(content), 64)]
    seen = [one for span in spans for one in scan_span(Counting(content), scanner, span)]
    assert sum(one.rows for one in seen) == 2
    assert read < 3 * len(content)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_stretch_with_much_to_report_comes_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr(scan, "MANY_PROBLEMS", 10)
    monkeypatch.setattr(stretches, "BLOCK", 16)
    path = write(tmp_path / "rows.jsonl", [GOOD, *["{"] * 300, GOOD])
    seen = list(stretches.scan_file(path, DataKind.CHAT, CheckOptions(processes=processes)))
    assert max(len(one.problems) for one in seen) < 30
    assert sum(len(one.problems) for one in seen) == 300
    assert "invalid-json" in same_as_row_by_row(path, CheckOptions(processes=processes))


@pytest.mark.parametrize("change", ["shrunk", "grown", "gone"])
def test_a_file_that_changes_while_it_is_checked_is_refused(tmp_path: Path, change: str) -> None:
    path = write(tmp_path / "rows.jsonl", [GOOD] * 50)

    def meddle(done: int, total: int | None) -> None:
        if change == "gone":
            path.unlink(missing_ok=True)
        else:
            path.write_text(GOOD if change == "shrunk" else GOOD * 100)

    with pytest.raises(DataError, match=r"changed while|cannot be opened"):
        Dataset.from_jsonl(path).check(on_progress=meddle)


def test_a_file_that_changes_while_another_is_checked_is_refused(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", [GOOD] * 5)
    other = write(tmp_path / "other.jsonl", [GOOD] * 9)

    def meddle(done: int, total: int | None) -> None:
        if total == other.stat().st_size:
            train.write_text(GOOD * 3)

    parts = {"train": Dataset.from_jsonl(train), "validation": Dataset.from_jsonl(other)}
    with pytest.raises(DataError, match="has changed|changed while"):
        examine(parts, CheckOptions(duplicates=False), on_progress=meddle)  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux")
def test_a_file_that_cannot_be_read_to_its_end_is_a_typed_error() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Dataset.from_jsonl("/proc/self/mem").check()


def test_halves_of_surrogate_pairs_in_problems_can_be_kept_and_written() -> None:
    with Findings() as findings:
        for _ in range(IN_MEMORY + 5):
            findings.add(Problem(code="a", message="m", file="f", path="x.\ud83d"))
        assert {problem.path for problem in findings.every()} == {"x.\\ud83d"}


@pytest.fixture
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "STRETCH", 4096)


@pytest.mark.usefixtures("small_stretches")
def test_several_processes_find_what_one_finds(mixed_file: Path) -> None:
    data = Dataset.from_jsonl(mixed_file)
    assert told(data.check(CheckOptions(processes=3))) == told(
        data.check(CheckOptions(processes=1))
    )


@pytest.mark.usefixtures("small_stretches")
@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/python"])
def test_workers_that_do_not_answer_are_done_without(
    mixed_file: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    data = Dataset.from_jsonl(mixed_file)
    expected = told(data.check())
    monkeypatch.setattr(sys, "executable", program)
    assert told(data.check(CheckOptions(processes=2))) == expected


@pytest.mark.usefixtures("small_stretches")
def test_progress_grows_to_the_size_of_the_file(mixed_file: Path) -> None:
    said: list[tuple[int, int | None]] = []
    Dataset.from_jsonl(mixed_file).check(on_progress=lambda done, total: said.append((done, total)))
    size = mixed_file.stat().st_size
    assert said == sorted(said)
    assert said[-1] == (size, size)


def test_findings_beyond_memory_are_kept_on_disk_and_given_in_order() -> None:
    with Findings() as findings:
        count = max(IN_MEMORY, LISTED[Severity.ERROR]) + 500
        for line in range(1, count + 1):
            findings.add(Problem(code="a", message="m", line=line, file="f"))
        assert [problem.line for problem in findings.every()] == list(range(1, count + 1))
        listed = findings.listed()
        assert len(listed) == LISTED[Severity.ERROR] + 1
        assert f"({count} in all)" in listed[-1].message
        assert not findings.ok
