import json
from pathlib import Path
from typing import Any

import pytest

from tunekit.data import Dataset
from tunekit.data.checks.alike import Noted, alike_rows, check_leakage
from tunekit.data.likeness import RowReader, duplicate_lines, indexed
from tunekit.errors import DataError
from tunekit.problems import Problem, Severity

RECIPE = (
    "Cream the butter with the sugar until it is light, then fold in the flour and the beaten "
    "eggs, pour the batter into a tin and bake it in a hot oven until a skewer comes out clean."
)
OTHER = (
    "Rinse the rice until the water runs clear, cover it with twice as much stock, bring it to a "
    "boil and let it rest under a lid on the lowest flame without lifting the lid even once."
)


def chat(question: str, answer: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **more}


CAKE, RICE = chat("How do I bake a cake?", RECIPE), chat("How do I cook rice?", OTHER)
LOUD_CAKE = chat("HOW do I bake a cake???", RECIPE.upper())
TURNED_CAKE = {"messages": [dict(reversed(list(m.items()))) for m in CAKE["messages"]]}


def written(path: Path, *lines: object) -> Dataset:
    text = "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
    path.write_text(text, encoding="utf-8")
    return Dataset.from_jsonl(path)


def test_positions_of_later_copies_are_given_in_order(tmp_path: Path) -> None:
    lines = [CAKE, "", RICE, "not json", CAKE, "not json", LOUD_CAKE, TURNED_CAKE, RICE]
    data = written(tmp_path / "a.jsonl", *lines)
    # The empty line is no row; the two faulty lines are, and are like no other.
    assert list(duplicate_lines(data, near=False)) == [3, 6, 7]
    assert list(duplicate_lines(data, near=True)) == [3, 5, 6, 7]


def test_rows_from_memory_and_mapped_rows_are_compared_as_they_are_read() -> None:
    data = Dataset.from_records([CAKE, RICE, CAKE])
    assert list(duplicate_lines(data, near=True)) == [2]
    same = data.map(lambda row: RICE)
    assert list(duplicate_lines(same, near=True)) == [1, 2]


@pytest.mark.parametrize("threshold", [0.5, 1.01, float("nan")])
def test_a_threshold_that_cannot_be_kept_is_refused(threshold: float) -> None:
    data = Dataset.from_records([CAKE])
    with pytest.raises(DataError, match="threshold"):
        duplicate_lines(data, near=True, threshold=threshold)


def test_a_file_that_changes_meanwhile_is_named(tmp_path: Path) -> None:
    data = written(tmp_path / "a.jsonl", CAKE, LOUD_CAKE)
    with indexed(data, near=True) as index:
        (tmp_path / "a.jsonl").write_text("not json\nnot json\n", encoding="utf-8")
        with pytest.raises(DataError, match="has changed"):
            list(index.near_duplicates(RowReader(data)))


def check(data: Dataset) -> list[Problem]:
    reader = RowReader(data)
    with indexed(data, near=True) as index:
        return list(alike_rows(Noted(index, reader, lambda place: reader.at(place)[:2])))


def test_each_rule_names_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    better = chat("How do I cook rice?", "Ask your grandmother.")
    found = check(written(path, CAKE, "", RICE, CAKE, LOUD_CAKE, better))
    assert [(problem.code, problem.line, problem.severity) for problem in found] == [
        ("duplicate-row", 4, Severity.WARNING),
        ("conflicting-answers", 6, Severity.WARNING),
        ("near-duplicate-row", 5, Severity.WARNING),
    ]
    assert all(problem.file == str(path) and problem.path is None for problem in found)
    assert [problem.message for problem in found] == [
        "The row is the same as that of line 1.",
        "The row has the same prompt as that of line 3, and another answer.",
        "The row is nearly the same as that of line 1: 100 % alike.",
    ]


def test_a_row_of_another_file_is_named_with_its_file(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    (found,) = check(Dataset.concat(written(one, RICE, CAKE), written(two, CAKE)))
    assert (found.file, found.line) == (str(two), 1)
    assert found.message == f"The row is the same as that of {one}:2."


def test_one_question_about_two_images_is_no_near_duplicate() -> None:
    def about(url: str) -> dict[str, Any]:
        image = {"type": "image_url", "image_url": {"url": url}}
        content = [{"type": "text", "text": RECIPE}, image]
        asked = [{"role": "user", "content": content}, {"role": "assistant", "content": OTHER}]
        return {"messages": asked}

    urls = [f"https://example.com/{name}.png" for name in ("a", "b")]
    assert check(Dataset.from_records([about(url) for url in urls])) == []


def test_leakage_is_found_exactly_and_nearly(tmp_path: Path) -> None:
    train = written(tmp_path / "train.jsonl", "", RICE, "not json", CAKE)
    validation = written(tmp_path / "val.jsonl", TURNED_CAKE, "not json", LOUD_CAKE)
    found = check_leakage(train, validation)
    assert [(problem.code, problem.line) for problem in found] == [
        ("validation-row-in-train", 1),
        ("validation-row-near-train", 3),
    ]
    exact, nearly = found
    assert exact.message == f"The row is also in the training data ({tmp_path}/train.jsonl:4)."
    assert f"training data ({tmp_path}/train.jsonl:4): 100 % alike" in nearly.message
    assert exact.file == nearly.file == validation.source
    assert {exact.severity, nearly.severity} == {Severity.WARNING}
    assert check_leakage(train, validation, near=False) == [exact]


def test_leakage_of_test_data_says_which_part_it_is_in() -> None:
    one, two = Dataset.from_records([CAKE]), Dataset.from_records([CAKE, LOUD_CAKE])
    found = check_leakage(one, two, train_role="validation", role="test")
    assert [problem.code for problem in found] == [
        "test-row-in-validation",
        "test-row-near-validation",
    ]
    assert all("validation data" in problem.message for problem in found)
    codes = [problem.code for problem in check_leakage(one, two, role="test")]
    assert codes == ["test-row-in-train", "test-row-near-train"]


def test_the_parts_of_a_split_do_not_leak() -> None:
    rows = [chat(f"Question {number}?", f"{RECIPE} {number}") for number in range(40)]
    train, validation = Dataset.from_records(rows).split(0.5, 0.5)
    assert check_leakage(train, validation) == []
