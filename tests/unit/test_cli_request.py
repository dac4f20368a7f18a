from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from cli_support import ROWS, World, write_rows

from tunekit.cli.exits import Exit
from tunekit.cli.request import RequestFlags, read_request
from tunekit.data import DataKind
from tunekit.errors import ConfigError, DataError
from tunekit.spec import DPO, SFT, FineTuneSpec, LoRA

JOB = """
model = "base"
suffix = "recipes"
seed = 7

[method]
n_epochs = 3
learning_rate_multiplier = 2.0

[adapter]
r = 8
target_modules = ["q_proj"]

[metadata]
team = "kitchen"

[options.trl]
packing = true

[data]
train = "data.jsonl"
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def _job(world: World, text: str, name: str = "job.toml") -> Path:
    path = world.folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_job_file_is_a_spec_and_its_data(world: World) -> None:
    request = read_request(_job(world, JOB), RequestFlags())
    assert request.spec == FineTuneSpec(
        model="base",
        method=SFT(n_epochs=3, learning_rate_multiplier=2.0),
        suffix="recipes",
        seed=7,
        adapter=LoRA(r=8, target_modules=("q_proj",)),
        metadata={"team": "kitchen"},
        options={"trl": {"packing": True}},
    )
    assert list(request.train) == ROWS
    assert request.validation is None


def test_flags_alone_say_the_same_as_a_job_file(world: World) -> None:
    flags = RequestFlags(
        model="base",
        train=Path("data.jsonl"),
        suffix="recipes",
        seed=7,
        metadata=["team=kitchen"],
        epochs="3",
        learning_rate_multiplier="2",
        lora_r=8,
        option=["trl.packing=true", 'trl.target="q"'],
    )
    spec = read_request(None, flags).spec
    expected = read_request(_job(world, JOB), RequestFlags()).spec
    assert spec.method == expected.method
    assert spec.metadata == expected.metadata
    assert spec.adapter == LoRA(r=8)
    assert spec.options == {"trl": {"packing": True, "target": "q"}}


def test_flags_win_over_the_job_file_line_by_line(world: World) -> None:
    flags = RequestFlags(epochs="auto", lora_alpha=4.0, option=["trl.bf16=false"], metadata=["a=1"])
    spec = read_request(_job(world, JOB), flags).spec
    assert spec.method == SFT(n_epochs="auto", learning_rate_multiplier=2.0)
    assert spec.adapter == LoRA(r=8, alpha=4.0, target_modules=("q_proj",))
    assert spec.options == {"trl": {"packing": True, "bf16": False}}
    assert spec.metadata == {"team": "kitchen", "a": "1"}


def test_paths_of_a_job_file_start_from_its_folder_and_those_of_flags_from_here(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = world.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    write_rows(elsewhere / "v.jsonl", ROWS[:3])
    request = read_request(_job(world, JOB), RequestFlags(validation=Path("v.jsonl")))
    assert len(request.train) == 40
    assert request.validation is not None
    assert len(request.validation) == 3


def test_other_methods_and_full_weights_can_be_asked_for(world: World) -> None:
    flags = RequestFlags(
        model="m", train=world.data, method="dpo", beta="0.5", batch_size="4", adapter="none"
    )
    spec = read_request(None, flags).spec
    assert spec.method == DPO(beta=0.5, batch_size=4)
    assert spec.adapter == "none"


def test_lora_options_with_another_adapter_are_a_usage_error(world: World) -> None:
    flags = RequestFlags(model="m", train=world.data, adapter="none", lora_r=4)
    with pytest.raises(typer.BadParameter):
        read_request(None, flags)


@pytest.mark.parametrize("option", ["packing=true", "trl.=1", ".x=1"])
def test_an_option_without_its_provider_is_a_usage_error(world: World, option: str) -> None:
    flags = RequestFlags(model="m", train=world.data, option=[option])
    with pytest.raises(typer.BadParameter):
        read_request(None, flags)


def test_a_split_is_exact_disjoint_and_the_same_each_time(world: World) -> None:
    job = _job(world, JOB + "split = [0.75, 0.2, 0.05]\nseed = 3\n")
    first, second = read_request(job, RequestFlags()), read_request(job, RequestFlags())
    assert first.validation is not None
    assert second.validation is not None
    train = [json.dumps(row) for row in first.train]
    validation = [json.dumps(row) for row in first.validation]
    assert (len(train), len(validation)) == (30, 8)
    assert not set(train) & set(validation)
    assert list(second.validation) == list(first.validation)


def test_columns_of_a_csv_become_messages(world: World) -> None:
    (world.folder / "qa.csv").write_text('question,answer,lang\n"Why, {x}?",Because.,en\n')
    columns = (
        '[data]\ntrain = "qa.csv"\n[data.columns]\nsystem = "Answer in {lang}, {{sir}}."\n'
        'user = "Q: {question}"\nassistant = "{answer}"\n'
    )
    request = read_request(_job(world, 'model = "m"\n' + columns), RequestFlags())
    assert list(request.train) == [
        {
            "messages": [
                {"role": "system", "content": "Answer in en, {sir}."},
                {"role": "user", "content": "Q: Why, {x}?"},
                {"role": "assistant", "content": "Because."},
            ]
        }
    ]
    assert request.train.kind is DataKind.CHAT


def test_a_column_that_is_missing_is_named_with_its_line(world: World) -> None:
    (world.folder / "qa.csv").write_text("question,answer\nWhy?,Because.\n")
    columns = (
        '[data]\ntrain = "qa.csv"\n[data.columns]\nuser = "{questoin}"\nassistant = "{answer}"\n'
    )
    request = read_request(_job(world, 'model = "m"\n' + columns), RequestFlags())
    problem = next(p for p in request.train.check() if p.severity.value == "error")
    assert (problem.code, problem.line) == ("missing-column", 2)
    assert "'questoin'" in problem.message
    assert "'question'" in problem.fix


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model = ", "not valid TOML"),
        ('model = "m"\ndata = 3\n', "must be a table"),
        ('modle = "m"\n[data]\ntrain = "data.jsonl"\n', "lacks `--model`"),
        ('model = "m"\nsufix = "x"\n[data]\ntrain = "data.jsonl"\n', "Did you mean 'suffix'?"),
        ('model = "m"\n[data]\ntrain = "data.jsonl"\nvalid = "x"\n', "data.valid"),
        ('model = "m"\n[data]\ntrain = 3\n', "must be a path"),
        ('model = "m"\n[data]\ntrain = "data.jsonl"\nsplit = 0.9\n', "two or three numbers"),
        (
            'model = "m"\n[data]\ntrain = "data.jsonl"\nvalidation = "data.jsonl"\nsplit = [1, 2]',
            "contradict",
        ),
        (
            'model = "m"\n[data]\ntrain = "data.jsonl"\n[data.columns]\nuser = "question"\n'
            'assistant = "{answer}"\n',
            "names no column",
        ),
        (
            'model = "m"\n[data]\ntrain = "data.jsonl"\n[data.columns]\nuser = "{q}"\n',
            "lacks `assistant`",
        ),
    ],
)
def test_a_faulty_job_file_is_refused_with_its_reason(world: World, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_request(_job(world, text), RequestFlags())
    assert said in str(caught.value)
    assert "job.toml" in str(caught.value)


def test_every_wrong_field_is_named_once_under_the_path_that_the_user_wrote(world: World) -> None:
    flags = RequestFlags(model="m", train=world.data, epochs="many", lora_r=0, seed=-1)
    with pytest.raises(ConfigError) as caught:
        read_request(None, flags)
    lines = caught.value.message.splitlines()[1:]
    assert [line.split("`")[1] for line in lines] == ["method.n_epochs", "seed", "adapter.r"]
    assert "literal" not in caught.value.message


def test_a_data_file_that_does_not_exist_is_refused(world: World) -> None:
    with pytest.raises(DataError):
        read_request(None, RequestFlags(model="m", train=Path("nowhere.jsonl")))


def test_check_reads_a_job_file_and_asks_the_provider(world: World) -> None:
    done = world.fake_call("check", str(_job(world, JOB)), "--json")
    document = json.loads(done.stdout)
    assert (document["ok"], document["problems"]) == (True, [])
    assert document["files"][0]["rows"] == 40


def test_check_of_a_whole_request_names_what_the_provider_cannot_do(world: World) -> None:
    job = 'model = "m"\n[method]\ntype = "reinforcement"\ngrader = {type = "x"}\n'
    path = _job(world, job + '[data]\ntrain = "data.jsonl"\n')
    done = world.fake_call("check", str(path), "--json", code=Exit.REFUSED)
    problems = json.loads(done.stdout)["problems"]
    assert "unsupported-rft" in [problem["code"] for problem in problems]


def test_estimate_gives_the_figures(world: World) -> None:
    words = ("estimate", "-m", "base", "--train", "data.jsonl")
    document = json.loads(world.fake_call(*words, "--json").stdout)
    assert document["tokens"] > 0
    done = world.fake_call(*words)
    assert f"tokens in the file  {document['tokens']:,}" in done.stdout
    assert "made-up price" in done.stdout
