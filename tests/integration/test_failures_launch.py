"""What stops a launch: each is refused in words, and leaves nothing that looks like a job."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from failure_world import (
    TRAINING,
    client_of,
    interpreter_without,
    nothing_was_launched,
    tunekit,
    with_own_code,
)
from trl_world import rows

from helpers.tiny_model import PLAIN, UNSTABLE, make_model, make_tokenizer
from tunekit import Client, Dataset, FineTuneSpec
from tunekit.errors import (
    CorruptModelError,
    PreflightError,
)
from tunekit.providers.trl.requirements import INSTALL

pytestmark = [pytest.mark.torch, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base"))


@pytest.fixture
def train() -> Dataset:
    return Dataset.from_records(rows(12), source="sums")


@pytest.fixture
def client(home: Path) -> Client:
    return client_of(home)


def refused(client: Client, model: Path | str, train: Dataset, home: Path) -> dict[str, str]:
    """Launch, be refused, and give what each problem says by its code."""
    with pytest.raises(PreflightError) as caught:
        client.fine_tune(FineTuneSpec(model=str(model)), train, run="refused")
    assert nothing_was_launched(home)
    assert client.session.ledger.runs() == []
    return {problem.code: str(problem) for problem in caught.value.problems}


# Packages -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def without_training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return interpreter_without(tmp_path_factory.mktemp("lean") / "venv", *TRAINING, "matplotlib")


def test_a_launcher_without_the_packages_names_the_line_that_installs_them(
    without_training: Path, base: Path, train: Dataset, tmp_path: Path, home: Path
) -> None:
    train.write_jsonl(tmp_path / "sums.jsonl")
    done = tunekit(
        *(
            "run",
            "--provider",
            "trl",
            "--model",
            str(base),
            "--train",
            str(tmp_path / "sums.jsonl"),
        ),
        python=without_training,
        TUNEKIT_HOME=str(home),
    )
    assert done.returncode == 3, done.stderr
    assert "[missing-packages]" in done.stderr
    assert f"pip install {INSTALL}" in done.stderr
    assert "Traceback" not in done.stderr
    assert nothing_was_launched(home)


@pytest.mark.parametrize(
    ("code", "line", "extra"),
    [
        (
            "from tunekit.providers.trl import TrlProvider\n"
            "from tunekit.providers.trl.options import TrlSettings\n"
            "from tunekit.providers.base import FileRef\n"
            "from tunekit import FineTuneSpec\n"
            "from pathlib import Path\n"
            "ref = FileRef(id='x', sha256='x', bytes=1)\n"
            "trl = TrlProvider(TrlSettings(), home=Path('.'))\n"
            "trl.submit(FineTuneSpec(model='owner/name'), ref, None, tag='job-1')",
            f"pip install {INSTALL}",
            "trl",
        ),
        (
            "from tunekit import Dataset\nlist(Dataset.from_hub('owner/name'))",
            "pip install 'datasets>=5.2'",
            "trl",
        ),
        (
            "from tunekit.cli.charts import picture\nfrom pathlib import Path\n"
            "picture([], Path('out.png'), title='', model='')",
            "pip install 'matplotlib>=3.10'",
            "plots",
        ),
    ],
    ids=["submit", "from_hub", "picture"],
)
def test_each_missing_extra_names_packages_with_versions_and_its_extra(
    without_training: Path, tmp_path: Path, code: str, line: str, extra: str
) -> None:
    program = f"try:\n{_indented(code)}\nexcept ImportError as e:\n print(type(e).__name__, e)"
    done = subprocess.run(
        [str(without_training), "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("MissingExtraError"), done.stderr
    assert line in done.stdout
    assert f"pip install '.[{extra}]'" in done.stdout
    assert list(tmp_path.iterdir()) == []


def _indented(code: str) -> str:
    return "\n".join(f" {line}" for line in code.splitlines())


# The base model -----------------------------------------------------------------------------------


def cut_off(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def lose_a_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def damage_the_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text('{"weight_map": ["a"')


def damage_the_configuration(folder: Path) -> None:
    (folder / "config.json").write_text('{"hidden_size"')


def damage_the_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{")


def damage_the_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8")[:500], encoding="utf-8")


def keep_only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut_off, "should have"),
        (lose_a_shard, "missing: model-00002-of-00002"),
        (damage_the_index, "index.json is damaged"),
        (damage_the_configuration, "config.json is no JSON"),
        (damage_the_adapter, "adapter_config.json is no JSON"),
        (damage_the_tokenizer, "cannot be read"),
        (keep_only_pickle, "only as pickle (pytorch_model.bin)"),
    ],
)
def test_a_base_that_is_not_whole_is_refused_before_anything_starts(
    client: Client,
    home: Path,
    base: Path,
    train: Dataset,
    tmp_path: Path,
    damage: Callable[[Path], None],
    words: str,
) -> None:
    broken = shutil.copytree(base, tmp_path / "broken")
    damage(broken)
    found = refused(client, broken, train, home)
    assert list(found) == ["corrupt-base"]
    assert words in found["corrupt-base"]
    assert "again" in found["corrupt-base"], "it says what to do"


def test_an_estimate_for_a_damaged_base_is_a_typed_error(
    client: Client, base: Path, train: Dataset, tmp_path: Path
) -> None:
    broken = shutil.copytree(base, tmp_path / "broken")
    damage_the_configuration(broken)
    with pytest.raises(CorruptModelError, match="no JSON"):
        client.estimate(FineTuneSpec(model=str(broken)), train)


def test_a_base_with_code_of_its_own_is_refused_and_its_code_is_not_run(
    client: Client, home: Path, base: Path, train: Dataset, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    folder = with_own_code(shutil.copytree(base, tmp_path / "own"), ran=ran)
    found = refused(client, folder, train, home)
    assert list(found) == ["remote-code"]
    assert "`trust_remote_code`" in found["remote-code"]
    assert not ran.exists()
    # A known architecture is loaded with the code that is installed, whatever lies beside it.
    folder = with_own_code(folder, ran=ran, model_type="llama")
    assert client.check(FineTuneSpec(model=str(folder)), train).ok
    assert not ran.exists()


def test_a_model_folder_that_is_not_there_is_refused(
    client: Client, home: Path, train: Dataset
) -> None:
    found = refused(client, "./no-such-folder", train, home)
    assert "Give an existing folder or a Hub id" in found["unknown-model"]


# Templates and rows -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "code"),
    [(UNSTABLE, "template-not-stable"), (None, "no-chat-template")],
    ids=["unstable", "none"],
)
def test_a_template_that_cannot_be_trained_with_is_refused_with_a_way_out(
    client: Client,
    home: Path,
    base: Path,
    train: Dataset,
    tmp_path: Path,
    template: str | None,
    code: str,
) -> None:
    folder = shutil.copytree(base, tmp_path / "other")
    (folder / "chat_template.jinja").unlink()
    make_tokenizer(template).save_pretrained(folder)
    if template is not None:
        two_turns = [{"messages": [*row["messages"], *row["messages"][1:]]} for row in rows(12)]
        train = Dataset.from_records(two_turns, source="sums")
    found = refused(client, folder, train, home)
    assert "`options.trl.chat_template`" in found[code]


def test_a_template_without_markers_is_no_obstacle(
    client: Client, base: Path, train: Dataset, tmp_path: Path
) -> None:
    folder = shutil.copytree(base, tmp_path / "plain")
    make_tokenizer(PLAIN).save_pretrained(folder)
    assert len(client.check(FineTuneSpec(model=str(folder)), train)) == 0


def test_rows_that_cannot_be_trained_on_are_named_with_their_lines(
    client: Client, home: Path, base: Path
) -> None:
    data: list[dict[str, Any]] = rows(12)
    data[2]["messages"][1]["content"] = "x" * 400
    long = Dataset.from_records(data, source="sums")
    (said,) = refused(client, base, long, home).values()
    assert said.startswith("sums:3: The row has")
    assert "`options.trl.over_long`" in said
    # Cut off before its answer begins, it would train on nothing.
    report = client.check(
        FineTuneSpec(model=str(base), options={"trl": {"over_long": "truncate"}}), long
    )
    (problem,) = report.errors
    assert (problem.code, problem.line) == ("row-trains-on-nothing", 3)
    assert "cut off" in problem.message


def test_a_row_whose_answers_all_have_weight_zero_is_named(
    client: Client, home: Path, base: Path
) -> None:
    data: list[dict[str, Any]] = rows(12)
    data[5]["messages"][2]["weight"] = 0
    (said,) = refused(client, base, Dataset.from_records(data, source="sums"), home).values()
    assert said.startswith("sums:6")
