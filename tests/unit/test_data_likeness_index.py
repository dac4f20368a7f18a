import random
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunekit.data.likeness import candidates, groups
from tunekit.data.likeness.index import LikenessIndex
from tunekit.data.likeness.keys import row_keys, text_of
from tunekit.data.likeness.leaks import exact_leaks, near_leaks
from tunekit.data.likeness.signatures import signatures
from tunekit.data.likeness.spill import Column
from tunekit.data.likeness.verify import COMPARED
from tunekit.errors import DataError

Row = dict[str, Any]
ON_DISK = {"in_memory": 1}

_syllables = ["ka", "ro", "mi", "ten", "sol", "va", "ber", "lin", "do", "pre", "sta", "nor"]
_random = random.Random(1)
WORDS = ["".join(_random.choices(_syllables, k=_random.randint(1, 4))) for _ in range(3000)]


@pytest.fixture(params=["memory", "disk", "small partitions"])
def options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    if request.param == "small partitions":
        for module in (groups, candidates):
            monkeypatch.setattr(module, "HELD", 150)
        monkeypatch.setattr(Column.chunks, "__defaults__", (64,))
    return {} if request.param == "memory" else ON_DISK


def fill(index: LikenessIndex, rows: Sequence[Row], batch: int = 100) -> LikenessIndex:
    """Note rows by their 1-based numbers."""
    for start in range(0, len(rows), batch):
        keys = [row_keys(row) for row in rows[start : start + batch]]
        index.add(
            range(start + 1, start + 1 + len(keys)),
            b"".join(key.row for key in keys),
            b"".join(key.prompt or bytes(16) for key in keys),
            signatures([key.text for key in keys]) if index.near else b"",
        )
    return index


def near(rows: Sequence[Row], threshold: float = 0.9, **options: Any) -> list[tuple[int, int]]:
    with fill(LikenessIndex(**options), rows) as index:
        found = list(index.near_duplicates(lambda line: rows[line - 1], threshold))
    assert [line for line, _, _ in found] == sorted({line for line, _, _ in found})
    assert all(threshold <= similarity <= 1 for _, _, similarity in found)
    return [(line, other) for line, other, _ in found]


def chat(question: str, answer: str) -> Row:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages}


def prose(source: random.Random, words: int) -> str:
    return " ".join(source.choices(WORDS, k=words))


def unrelated(count: int, seed: int, words: int = 40) -> list[Row]:
    source = random.Random(seed)
    return [chat(prose(source, words // 4), prose(source, words)) for _ in range(count)]


@given(numbers=st.lists(st.integers(0, 12), max_size=80))
def test_exact_duplicates_are_found_completely_and_only(numbers: list[int]) -> None:
    rows = [{"text": f"row {number}"} for number in numbers]
    first: dict[int, int] = {}
    expected = []
    for line, number in enumerate(numbers, start=1):
        if first.setdefault(number, line) != line:
            expected.append((line, first[number]))
    with fill(LikenessIndex(near=False), rows) as index:
        assert list(index.duplicates()) == expected
        assert list(index.conflicts(lambda line: rows[line - 1])) == []


def test_exact_duplicates_are_the_same_wherever_they_are_kept(options: dict[str, int]) -> None:
    source = random.Random(2)
    numbers = [source.choice([0, source.randrange(300)]) for _ in range(500)]
    rows = [{"text": str(number)} for number in numbers]
    with fill(LikenessIndex(near=False, **options), rows) as index:  # type: ignore[arg-type]
        expected = [
            (line, numbers.index(number) + 1)
            for line, number in enumerate(numbers, start=1)
            if numbers.index(number) + 1 != line
        ]
        assert list(index.duplicates()) == expected
        assert list(index.duplicates()) == expected


@settings(max_examples=50)
@given(pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=40))
def test_conflicts_are_rows_with_the_prompt_of_an_earlier_one_and_another_answer(
    pairs: list[tuple[int, int]],
) -> None:
    rows = [chat(f"question {question}", f"answer {answer}") for question, answer in pairs]
    first: dict[int, int] = {}
    expected = []
    for line, (question, answer) in enumerate(pairs, start=1):
        before = first.setdefault(question, line)
        if pairs[before - 1][1] != answer:
            expected.append((line, before))
    with fill(LikenessIndex(near=False), rows) as index:
        assert list(index.conflicts(lambda line: rows[line - 1])) == expected


def test_conflicts_are_the_same_wherever_they_are_kept(options: dict[str, int]) -> None:
    rows = [chat(f"q{number % 37}", f"a{number % 5}") for number in range(300)]
    with fill(LikenessIndex(near=False, **options), rows) as index:  # type: ignore[arg-type]
        found = list(index.conflicts(lambda line: rows[line - 1]))
    expected = [
        (line, (line - 1) % 37 + 1)
        for line in range(1, 301)
        if (line - 1) % 5 != (line - 1) % 37 % 5
    ]
    assert found == expected


def test_rows_that_differ_beside_the_answer_do_not_conflict() -> None:
    rows = [{**chat("q", "a"), "id": number} for number in range(3)]
    with fill(LikenessIndex(near=False), rows) as index:
        assert list(index.conflicts(lambda line: rows[line - 1])) == []
        assert list(index.duplicates()) == []


def test_rows_without_a_prompt_do_not_conflict() -> None:
    rows: list[Row] = [{"text": f"text {number}"} for number in range(20)]
    with fill(LikenessIndex(near=False), rows) as index:
        assert list(index.conflicts(lambda line: rows[line - 1])) == []


def _one_word(source: random.Random, text: str) -> str:
    words = text.split()
    words[source.randrange(len(words))] = source.choice(WORDS)
    return " ".join(words)


def _form(source: random.Random, text: str) -> str:
    return source.choice([text.upper(), text.title() + "!", text.replace(" ", ",  "), f"\n{text}."])


def _changed(change: str, seed: int) -> tuple[list[Row], list[tuple[int, int]]]:
    """Unrelated rows of some 450 bytes, and behind them a changed copy of each."""
    source = random.Random(seed)
    rows = unrelated(400, seed)
    copies = []
    for row in rows:
        question, answer = (message["content"] for message in row["messages"])
        if change == "form":
            copies.append(chat(_form(source, question), _form(source, answer)))
        elif change == "word":
            copies.append(chat(question, _one_word(source, answer)))
        else:
            copies.append(chat(question, f"{answer} {prose(source, 3)}"))
    return rows + copies, [(line + 400, line) for line in range(1, 401)]


@pytest.mark.parametrize(("change", "recall"), [("form", 1.0), ("word", 0.97), ("added", 0.95)])
def test_planted_near_duplicates_are_found(
    change: str, recall: float, options: dict[str, int]
) -> None:
    rows, planted = _changed(change, seed=5)
    found = near(rows, **options)
    assert set(found) <= set(planted)
    assert len(found) >= recall * len(planted)


def test_the_results_are_the_same_in_memory_and_on_disk() -> None:
    rows, _ = _changed("word", seed=6)
    assert near(rows) == near(rows, **ON_DISK)


def test_all_pairs_above_the_threshold_are_found_and_no_others() -> None:
    rows, planted = _changed("word", seed=7)
    with fill(LikenessIndex(), rows) as index:
        found = list(index.near_duplicates(lambda line: rows[line - 1]))
    shingles = [_runs(text_of(row)) for row in rows]
    alike = {
        (later, earlier): len(shingles[later - 1] & shingles[earlier - 1])
        / len(shingles[later - 1] | shingles[earlier - 1])
        for later, earlier in planted
        if rows[later - 1] != rows[earlier - 1]  # a word was changed into itself
    }
    expected = {pair for pair, similarity in alike.items() if similarity >= 0.9}
    assert {(later, earlier) for later, earlier, _ in found} == expected
    assert all(similarity == alike[later, earlier] for later, earlier, similarity in found)


def _runs(text: str) -> set[str]:
    letters = text.replace(" ", "").replace("\n", "")
    return {letters[start : start + 5] for start in range(len(letters) - 4)}


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_unrelated_rows_are_never_near_duplicates(seed: int) -> None:
    assert near(unrelated(200, seed, words=8), 0.8) == []


def test_exact_duplicates_are_not_repeated_among_the_near_ones() -> None:
    rows = unrelated(50, seed=8)
    assert near([*rows, *rows, *rows]) == []


@pytest.mark.parametrize("text", ["", "a", "ok", "?!"])
def test_very_short_texts_are_not_near_duplicates_of_each_other(text: str) -> None:
    rows = [{"messages": [{"role": "user", "content": text}], "id": number} for number in range(20)]
    assert near(rows) == []


def test_short_texts_that_differ_by_more_than_form_are_not_near_duplicates() -> None:
    rows = [chat(f"Who is {word}?", "A cook.") for word in ("Anna", "Hanna", "Anne", "Ann", "Nan")]
    assert near(rows, 0.8) == []


def test_rows_of_one_template_with_different_numbers_are_not_near_duplicates() -> None:
    text = " ".join(WORDS[:60])
    rows = [chat(f"{text} What is {n} plus {n + 1}?", f"{n} plus {n + 1}.") for n in range(100)]
    with fill(LikenessIndex(), rows) as index:
        assert list(index.near_duplicates(_never)) == []  # nor is any of them read again


def test_work_on_rows_of_one_template_grows_with_their_number_only() -> None:
    source = random.Random(9)
    template = prose(source, 38)
    rows = [chat(template, prose(source, 3)) for _ in range(1500)]
    reads = 0

    def read(line: int) -> Row:
        nonlocal reads
        reads += 1
        return rows[line - 1]

    with fill(LikenessIndex(), rows) as index:
        found = sum(1 for _ in index.near_duplicates(read, 0.8))
    assert found > 1000
    assert reads <= (1 + COMPARED) * len(rows)


def test_near_duplicates_within_templates_are_found(options: dict[str, int]) -> None:
    source = random.Random(10)
    templates = [prose(source, 30) for _ in range(5)]
    rows = [chat(source.choice(templates), prose(source, 20)) for _ in range(1000)]
    copies = [chat(r["messages"][0]["content"], r["messages"][1]["content"] + " ") for r in rows]
    found = near(rows + copies, 0.95, **options)
    assert {line for line, _ in found} >= set(range(1001, 2001))


@pytest.mark.parametrize("near_rows", [True, False])
def test_an_index_without_rows_finds_nothing(near_rows: bool) -> None:
    with LikenessIndex(near_rows) as index:
        index.add([], b"", b"", b"")
        assert list(index.duplicates()) == []
        assert list(index.conflicts(_never)) == []
        if near_rows:
            assert list(index.near_duplicates(_never)) == []


def _never(line: int) -> Row:
    raise AssertionError(f"line {line} was read")


def test_leaks_are_found_exactly_and_nearly(options: dict[str, int]) -> None:
    train = unrelated(300, seed=11)
    other = unrelated(300, seed=12)
    source = random.Random(13)
    for line in range(10, 300, 10):
        other[line] = train[line + 1]
        question, answer = (message["content"] for message in train[line + 2]["messages"])
        other[line + 1] = chat(question, _form(source, answer))
    train += train[:50]  # a row leaks from its first copy
    with (
        fill(LikenessIndex(**options), train) as learnt,  # type: ignore[arg-type]
        fill(LikenessIndex(**options), other) as new,  # type: ignore[arg-type]
    ):
        exact = list(exact_leaks(learnt, new))
        nearly = list(
            near_leaks(learnt, new, lambda line: train[line - 1], lambda line: other[line - 1])
        )
    assert exact == [(line + 1, line + 2) for line in range(10, 300, 10)]
    assert [line for line, _, _ in nearly] == [line + 2 for line in range(10, 300, 10)]
    assert all((first - 1) % 300 + 1 == line + 1 for line, first, _ in nearly)
    assert all(similarity == 1 for _, _, similarity in nearly)


def test_rows_alike_within_one_part_are_no_leak() -> None:
    train, other = unrelated(50, seed=14), unrelated(50, seed=15)
    with fill(LikenessIndex(), train * 2) as learnt, fill(LikenessIndex(), other * 2) as new:
        assert list(exact_leaks(learnt, new)) == []
        assert list(near_leaks(learnt, new, _never, _never)) == []


def test_nothing_leaks_from_or_into_no_rows() -> None:
    rows = unrelated(10, seed=18)
    with LikenessIndex() as nothing, fill(LikenessIndex(), rows + _loud(rows)) as some:
        for one, other in ((nothing, some), (some, nothing), (nothing, nothing)):
            assert list(exact_leaks(one, other)) == []
            assert list(near_leaks(one, other, _never, _never)) == []


def _loud(rows: Sequence[Row]) -> list[Row]:
    return [chat(*(message["content"].upper() for message in row["messages"])) for row in rows]


def test_keys_that_are_not_those_of_the_lines_are_refused() -> None:
    with LikenessIndex(near=False) as index, pytest.raises(ValueError, match="2 rows"):
        index.add([1, 2], bytes(16), bytes(32), b"")


def test_an_index_without_signatures_cannot_find_near_duplicates() -> None:
    with LikenessIndex(near=False) as index, pytest.raises(ValueError, match="no signatures"):
        next(index.near_duplicates(_never))


def _stop(results: Iterator[object]) -> None:
    next(results, None)
    raise RuntimeError("stop")


def test_nothing_is_left_in_the_folder_after_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="stop"),
        fill(LikenessIndex(folder=tmp_path, in_memory=1), unrelated(20, seed=16)) as index,
    ):
        _stop(index.duplicates())
    assert list(tmp_path.iterdir()) == []


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond a few bytes: writing fails as on a full disk.

    That holds for the file that the tests' output may go to, so not a moment longer than needed.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_named_with_the_next_step(tmp_path: Path) -> None:
    rows = unrelated(2000, seed=17)
    with (
        pytest.raises(DataError, match="cannot keep its notes") as caught,
        LikenessIndex(folder=tmp_path, in_memory=1) as index,
        full_disk(),
    ):
        fill(index, rows)
    assert str(tmp_path) in str(caught.value)
    assert "TMPDIR" in caught.value.next_step


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="No such file"),
        LikenessIndex(False, tmp_path / "absent", in_memory=1) as index,
    ):
        index.add([1], bytes(16), bytes(16), b"")


@given(st.lists(st.binary(max_size=9).map(lambda data: data * 3), max_size=10), st.booleans())
def test_a_column_gives_back_what_it_was_given(parts: list[bytes], spilled: bool) -> None:
    column = Column(3, in_memory=1 if spilled else 1000)
    for number, part in enumerate(parts, start=1):
        column.append(part)
        assert b"".join(cells for _, cells in column.chunks(2)) == b"".join(parts[:number])
    assert column.rows == len(b"".join(parts)) // 3
    column.close()
