"""Data files and chat content of local jobs."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_provider import make, upload

from tunekit.data import Dataset
from tunekit.errors import DiskSpaceError, LocalRunError, NotFoundError
from tunekit.providers.base import FileRef, PreparedFile
from tunekit.providers.local.chat import ChatContentError, template_messages, template_tools
from tunekit.providers.local.checkpoints import (
    complete_checkpoints,
    keep_newest,
    mark_complete,
    read_marker,
    remove_incomplete,
)
from tunekit.providers.local.files import FileStore, write_rows
from tunekit.providers.local.rundir import EventLog, RunDir, exclusive, take_lock
from tunekit.providers.local.statefile import read_lines
from tunekit.spec import FineTuneSpec


def quiet(done: int, total: int) -> None:
    pass


def never() -> bool:
    return False


def prepared(path: Path, content: bytes = b"{}\n") -> PreparedFile:
    path.write_bytes(content)
    return PreparedFile(path, 1, len(content), hashlib.sha256(content).hexdigest())


def test_rows_are_written_as_they_are_and_keep_the_line_they_came_from(tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"
    source.write_text('{"text": "a"}\n\n{"text": "ü"}\n{"text": "c"}\n', encoding="utf-8")
    file = write_rows(Dataset.from_jsonl(source), tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in file.path.read_text(encoding="utf-8").splitlines()]
    assert lines == [{"text": "a"}, {"text": "ü", "_line": 3}, {"text": "c", "_line": 4}]
    assert file.rows == 3
    assert file.bytes == file.path.stat().st_size
    assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()


def test_a_dataset_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    class Broken:
        def numbered(self) -> Iterator[tuple[int, dict[str, Any]]]:
            yield 1, {"text": "a"}
            raise RuntimeError("gone")

    with pytest.raises(RuntimeError):
        write_rows(Broken(), tmp_path / "out.jsonl")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_same_content_is_stored_once_and_shared_with_the_runs(tmp_path: Path) -> None:
    toy = make(tmp_path / "home")
    first, second = upload(toy), upload(toy)
    assert first == second
    stored = list((toy.runs / ".files").iterdir())
    assert [path.name for path in stored] == [f"{first.sha256}.jsonl"]
    run = tmp_path / "train.jsonl"
    FileStore(toy.runs).place(first, run)
    assert run.stat().st_ino == stored[0].stat().st_ino, "no second copy on the disk"


def test_a_stored_file_does_not_change_when_the_prepared_one_does(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "runs")
    file = prepared(tmp_path / "a.jsonl")
    ref = store.add(file, progress=quiet, stop=never)
    with file.path.open("r+b") as open_file:
        open_file.write(b"XX")
    assert store.path(ref.id).read_bytes() == b"{}\n"


def test_a_file_that_changed_since_it_was_prepared_is_not_stored(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "runs")
    file = prepared(tmp_path / "a.jsonl")
    file.path.write_bytes(b"[]\n")
    with pytest.raises(LocalRunError, match="has changed"):
        store.add(file, progress=quiet, stop=never)
    assert list(store.folder.iterdir()) == []


def test_an_upload_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "runs")
    with pytest.raises(InterruptedError):
        store.add(prepared(tmp_path / "a.jsonl"), progress=quiet, stop=lambda: True)
    assert list(store.folder.iterdir()) == []


def test_a_file_that_the_store_does_not_hold_is_named(tmp_path: Path) -> None:
    toy = make(tmp_path / "home")
    ref = FileRef(id="0" * 64, sha256="0" * 64, bytes=1)
    with pytest.raises(NotFoundError, match="Hand it over again"):
        toy.submit(FineTuneSpec(model="toy"), ref, None, tag="job-1")
    assert [path.name for path in toy.runs.iterdir()] == []


def test_a_full_disk_is_named_and_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = make(tmp_path / "home")
    ref = upload(toy)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tunekit.providers.local.provider.write_json", full)
    with pytest.raises(DiskSpaceError, match="No space left"):
        toy.submit(FineTuneSpec(model="toy"), ref, None, tag="job-1")
    assert toy.find("job-1") is None
    assert [path.name for path in toy.runs.iterdir()] == [".files"]


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    toy = make(tmp_path / "home")
    toy.supervisor.command = lambda run: ["/no/such/python", str(run.path)]
    with pytest.raises(LocalRunError, match="/no/such/python"):
        toy.submit(FineTuneSpec(model="toy"), upload(toy), None, tag="job-1")
    assert toy.find("job-1") is None


def test_what_a_killed_launcher_left_half_made_is_cleared_away_later(tmp_path: Path) -> None:
    toy = make(tmp_path / "home")
    ref = upload(toy)
    old, fresh = toy.runs / ".new-job-0-old", toy.runs / ".new-job-0-fresh"
    for path in (old, fresh):
        path.mkdir()
        (path / "train.jsonl").touch()
    os.utime(old, (1, 1))
    toy.supervisor.command = lambda run: ["/bin/true"]
    toy.submit(FineTuneSpec(model="toy"), ref, None, tag="job-1")
    assert not old.exists()
    assert fresh.exists(), "its launcher may still be at it"


def test_a_status_file_that_a_power_cut_emptied_does_not_break_reading(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.status_file.write_bytes(b"")
    assert run.status() == {}


def test_only_one_holder_of_a_lock_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = take_lock(path)
    assert held is not None
    assert take_lock(path) is None
    os.close(held)
    with exclusive(path):
        assert take_lock(path) is None


def test_event_numbers_go_on_after_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog.open(path)
    log.append("message", "one")
    log.append("message", "two")
    with path.open("ab") as file:
        file.write(b'{"id": 3, "mess')
    EventLog.open(path).append("message", "three")
    found = [(event["id"], event["message"]) for _, event in read_lines(path)]
    assert found == [(1, "one"), (2, "two"), (3, "three")]


@given(cut=st.integers(0, 10))
def test_reading_from_any_offset_after_a_line_gives_the_rest(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    log = EventLog.open(path)
    for number in range(10):
        log.append("message", f"{number}ä")
    offsets = [0, *(offset for offset, _ in read_lines(path))]
    rest = [event["message"] for _, event in read_lines(path, offsets[cut])]
    assert rest == [f"{number}ä" for number in range(cut, 10)]


def checkpoint(folder: Path, step: int) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "weights").write_bytes(bytes(step))
    mark_complete(path, {"at": 1.0})
    return path


def test_checkpoints_are_ordered_by_step_and_the_oldest_go(tmp_path: Path) -> None:
    for step in (100, 20, 3):
        checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-7").mkdir()
    (tmp_path / "notes").mkdir()
    assert [state.step for state in complete_checkpoints(tmp_path)] == [3, 20, 100]
    keep_newest(tmp_path, 2)
    assert [state.step for state in complete_checkpoints(tmp_path)] == [20, 100]
    assert [path.name for path in remove_incomplete(tmp_path)] == ["checkpoint-7"]
    assert (tmp_path / "notes").is_dir()


def test_a_folder_with_a_file_of_another_size_or_none_is_not_whole(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 5)
    assert read_marker(path) is not None
    (path / "weights").write_bytes(bytes(4))
    assert read_marker(path) is None
    (path / "weights").unlink()
    assert read_marker(path) is None


# What a template is given -----------------------------------------------------------------------


def test_messages_become_what_templates_expect() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": [1]}'}}
    turned = template_messages(
        [
            {"role": "developer", "content": [{"type": "text", "text": "a"}, {"text": "b"}]},
            {"role": "assistant", "content": None, "tool_calls": [call], "weight": 1, "name": None},
            {"role": "tool", "content": "ok", "tool_call_id": "1"},
        ]
    )
    assert turned == [
        {"role": "system", "content": "ab"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{**call, "function": {"name": "f", "arguments": {"x": [1]}}}],
        },
        {"role": "tool", "content": "ok", "tool_call_id": "1"},
    ]
    assert call["function"] == {"name": "f", "arguments": '{"x": [1]}'}, "the input is untouched"


def test_the_older_form_of_function_calls_is_turned_into_tool_calls() -> None:
    old = {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}
    answer = {"role": "function", "name": "f", "content": "1"}
    assert template_messages([old, answer]) == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}],
        },
        {"role": "tool", "name": "f", "content": "1"},
    ]
    assert template_tools({"functions": [{"name": "f"}]}) == [
        {"type": "function", "function": {"name": "f"}}
    ]
    assert template_tools({"messages": []}) is None


def test_arguments_that_are_no_json_object_stay_as_they_are() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": "not json"}}
    assert template_messages([{"role": "assistant", "tool_calls": [call]}])[0]["tool_calls"] == [
        call
    ]


def test_a_part_that_is_no_text_is_refused_with_its_path() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "input_audio", "input_audio": {}}]
    with pytest.raises(ChatContentError, match="input_audio") as caught:
        template_messages([{"role": "user", "content": parts}])
    assert caught.value.path == "messages[0].content[1]"
