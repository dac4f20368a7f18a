"""What is found before a training starts, and in what words a failing one ends."""

from __future__ import annotations

import errno
import hashlib
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from tunekit.capabilities import Capability, missing_answers
from tunekit.data import Dataset, summarize
from tunekit.errors import ConfigError
from tunekit.providers.base import FileRef
from tunekit.providers.trl import TrlOptions, TrlProvider, TrlSettings
from tunekit.providers.trl.faults import TrainingFault, describe
from tunekit.providers.trl.masks import Encoded, MaskError
from tunekit.providers.trl.modelfiles import (
    check_local_model,
    count_parameters,
    folder_hash,
)
from tunekit.providers.trl.requirements import INSTALL, NEEDED, check_packages, missing_packages
from tunekit.providers.trl.rows import SystemPromptWatch, encode_rows, read_rows
from tunekit.spec import SFT, FineTuneSpec, LoRA, Quantization


@pytest.fixture
def trl(tmp_path: Path) -> TrlProvider:
    return TrlProvider(TrlSettings(), home=tmp_path / "home")


def model_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"hidden_size": 4}', encoding="utf-8")
    write_safetensors(folder / "model.safetensors")
    return folder


def write_safetensors(path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(24))


def problems(trl: TrlProvider, spec: FineTuneSpec) -> list[str]:
    train = Dataset.from_records([{"text": "a"}])
    return [problem.code for problem in trl.check(spec, summarize(train))]


# The provider's own rules ------------------------------------------------------------------------


def test_every_capability_is_answered_with_a_reason() -> None:
    assert missing_answers(TrlProvider.capabilities) == []
    assert not TrlProvider.capabilities[Capability.IMAGES]


def test_a_sound_request_for_a_local_model_has_no_problem(trl: TrlProvider, tmp_path: Path) -> None:
    assert problems(trl, FineTuneSpec(model=str(model_folder(tmp_path / "m")))) == []
    assert problems(trl, FineTuneSpec(model="owner/name")) == []


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("quantization-needs-adapter", {"adapter": "none", "quantization": Quantization()}),
        ("adapter-on-output-head", {"adapter": LoRA(target_modules=("lm_head",))}),
        (
            "batch-not-divisible",
            {
                "method": SFT(batch_size=5),
                "options": {"trl": {"gradient_accumulation_steps": 2}},
            },
        ),
        (
            "two-learning-rates",
            {
                "method": SFT(learning_rate_multiplier=2.0),
                "options": {"trl": {"learning_rate": 1e-3}},
            },
        ),
        ("no-chat-template", {"options": {"trl": {"chat_template": "/nowhere.jinja"}}}),
        ("unknown-model", {"model": "/no/such/folder"}),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(
    trl: TrlProvider, code: str, fields: dict[str, Any]
) -> None:
    assert problems(trl, FineTuneSpec(**{"model": "owner/name", **fields})) == [code]


def test_an_interpreter_that_is_not_there_is_refused(tmp_path: Path) -> None:
    trl = TrlProvider(TrlSettings(python=Path("/no/python")), home=tmp_path)
    assert problems(trl, FineTuneSpec(model="owner/name")) == ["no-interpreter"]


def test_a_bare_interpreter_name_is_looked_up_as_a_shell_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    trl = TrlProvider(TrlSettings(python=Path(Path(sys.executable).name)), home=tmp_path)
    assert problems(trl, FineTuneSpec(model="owner/name")) == []


def test_an_unknown_option_is_refused_by_name(trl: TrlProvider) -> None:
    spec = FineTuneSpec(model="m", options={"trl": {"max_lenght": 5}, "azure": {"any": 1}})
    with pytest.raises(ValueError, match="max_lenght"):
        trl.options(spec)


def test_a_template_that_cannot_be_read_stops_the_submit(trl: TrlProvider, tmp_path: Path) -> None:
    spec = FineTuneSpec(model="m", options={"trl": {"chat_template": str(tmp_path / "no.jinja")}})
    ref = FileRef(id="x", sha256="x", bytes=1)
    with pytest.raises(ConfigError, match="cannot be read"):
        trl.submit(spec, ref, None, tag="job-1")


def test_the_token_reaches_the_worker_and_no_file(tmp_path: Path) -> None:
    trl = TrlProvider(TrlSettings.model_validate({"hf_token": "a-token"}), home=tmp_path)
    assert trl.worker_environment()["HF_TOKEN"] == "a-token"  # noqa: S105
    assert "a-token" not in json.dumps(trl.worker_spec(FineTuneSpec(model="owner/name")))
    assert "a-token" not in repr(trl.settings)


def test_a_relative_model_folder_is_pinned_down_before_the_worker_starts(
    trl: TrlProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_folder(tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    assert trl.worker_spec(FineTuneSpec(model="m"))["model"] == str(tmp_path / "m")
    assert trl.worker_spec(FineTuneSpec(model="owner/name"))["model"] == "owner/name"


def test_the_worker_reports_nothing_to_anybody(trl: TrlProvider) -> None:
    assert trl.worker_environment()["HF_HUB_DISABLE_TELEMETRY"] == "1"


# Packages ---------------------------------------------------------------------------------------


def test_missing_and_old_packages_are_named_with_the_line_that_installs_them() -> None:
    there = {**NEEDED, "trl": "1.16.0", "torch": "2.13.0+cpu"}
    assert missing_packages(there.get) == []
    assert missing_packages({**there, "trl": "2.0.1"}.get) == ["trl<2 (here: 2.0.1)"]
    assert missing_packages({**there, "peft": "0.9.1"}.get) == ["peft>=0.21 (here: 0.9.1)"]
    with pytest.raises(TrainingFault) as caught:
        check_packages(lambda name: None)
    assert caught.value.code == "missing-packages"
    assert f"pip install {INSTALL}" in caught.value.message
    assert "tunekit" not in INSTALL


# Model folders ----------------------------------------------------------------------------------


def test_parameters_are_counted_from_the_headers_alone(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    write_safetensors(folder / "model-2.safetensors")
    assert count_parameters(folder) == 12
    assert count_parameters(tmp_path) is None


def test_the_hash_of_a_model_changes_with_its_make_up(tmp_path: Path) -> None:
    one, two = model_folder(tmp_path / "1"), model_folder(tmp_path / "2")
    assert folder_hash(one) == folder_hash(two)
    (two / "config.json").write_text('{"hidden_size": 8}', encoding="utf-8")
    assert folder_hash(one) != folder_hash(two)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "no JSON"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"12"), "cut off"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(
                (folder / "model.safetensors").read_bytes()[:-1]
            ),
            "should have",
        ),
        (
            lambda folder: (folder / "model.safetensors.index.json").write_text(
                '{"weight_map": {"w": "model-9.safetensors"}}'
            ),
            "missing: model-9.safetensors",
        ),
        (
            lambda folder: (folder / "adapter_config.json").write_text("{}"),
            "does not say which model",
        ),
        (
            lambda folder: (folder / "adapter_config.json").write_text(
                '{"base_model_name_or_path": "/gone"}'
            ),
            "'/gone' is not there",
        ),
    ],
)
def test_a_model_that_is_not_whole_is_refused_with_the_reason(
    tmp_path: Path, damage: Any, message: str
) -> None:
    folder = model_folder(tmp_path / "m")
    check_local_model(folder)
    damage(folder)
    with pytest.raises(TrainingFault, match=message) as caught:
        check_local_model(folder)
    assert caught.value.code == "corrupt-base"


# Rows -------------------------------------------------------------------------------------------


class Letters:
    """Encodes `{"text": "abC"}` with one token per letter, capitals being trained on."""

    def encode(self, row: dict[str, Any]) -> Encoded:
        if "text" not in row:
            raise MaskError("unknown-row-form", "no text", path="here")
        return Encoded([ord(c) for c in row["text"]], [int(c.isupper()) for c in row["text"]])


def table_of(*texts: str, **options: Any) -> Any:
    rows = list(enumerate(({"text": text} for text in texts), start=1))
    return encode_rows(rows, Letters(), **{"max_length": None, **options})  # type: ignore[arg-type]


def test_rows_are_packed_one_after_another_with_their_labels() -> None:
    table = table_of("aB", "abC")
    assert len(table) == 2
    assert table.row(0) == ([97, 66], [-100, 66])
    assert table.row(1) == ([97, 98, 67], [-100, -100, 67])
    assert (table.tokens, table.trained_tokens, table.longest) == (5, 2, 3)


def test_a_row_that_is_too_long_is_refused_cut_or_left_out_as_asked() -> None:
    assert [fault.line for fault in table_of("aB", "aaaaB", max_length=3).faults] == [2]
    cut = table_of("aBBB", max_length=3, over_long="truncate")
    assert (cut.truncated, cut.row(0)[0]) == (1, [97, 66, 66])
    left = table_of("aBBB", "aB", max_length=3, over_long="drop")
    assert (left.dropped, len(left)) == (1, 1)


@pytest.mark.parametrize("text", ["", "abc", "Abc"])
def test_a_row_without_a_token_to_learn_is_refused(text: str) -> None:
    """The first token does not count: nothing comes before it to predict it from."""
    (fault,) = table_of(text).faults
    assert fault.code == "row-trains-on-nothing"


def test_a_row_whose_answer_was_cut_off_is_refused() -> None:
    (fault,) = table_of("aaaaB", max_length=3, over_long="truncate").faults
    assert fault.code == "row-trains-on-nothing"


def test_faults_name_the_first_lines_and_count_the_rest() -> None:
    table = table_of(*(["abc"] * 14), "aB")
    table.faults.append(table.faults[0].__class__(99, "row-too-long", "long"))
    with pytest.raises(TrainingFault) as caught:
        table.raise_on_fault("training data")
    assert caught.value.code == "row-trains-on-nothing"
    assert "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 4 more" in caught.value.message
    assert "1 rows have other faults" in caught.value.message


def test_rows_are_read_with_the_users_own_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b", "_line": 7}\n', encoding="utf-8")
    assert list(read_rows(path)) == [(1, {"text": "a"}), (7, {"text": "b"})]


def test_data_that_changed_after_it_was_handed_over_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "a"}\n', encoding="utf-8")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(list(read_rows(path, sha256=digest))) == 1
    path.write_text('{"text": "b"}\n', encoding="utf-8")
    with pytest.raises(TrainingFault) as caught:
        list(read_rows(path, sha256=digest))
    assert caught.value.code == "data-changed"


@pytest.mark.parametrize(
    ("prompts", "shared"),
    [(["a", "a"], "a"), (["a", "b"], None), (["a", None], None), ([None, None], None)],
)
def test_a_system_prompt_counts_only_when_every_row_has_it(
    prompts: list[str | None], shared: str | None
) -> None:
    watch = SystemPromptWatch()
    rows = [
        {"messages": [{"role": "system", "content": prompt}] if prompt else [{"role": "user"}]}
        for prompt in prompts
    ]
    assert list(watch.passing(enumerate(rows))) == list(enumerate(rows))
    assert watch.prompt == shared


# Words for what went wrong ----------------------------------------------------------------------


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OutOfMemoryError("CUDA out of memory"), "out-of-memory"),
        (MemoryError(), "out-of-memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out-of-memory"),
        (RuntimeError("MPS backend out of memory"), "out-of-memory"),
        (RuntimeError("can't start new thread"), "out-of-memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out-of-memory"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "out-of-memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full"),
        (OSError(errno.EFBIG, "File too large"), "disk-full"),
        (RuntimeError("Error: No space left on device (os error 28)"), "disk-full"),
        (RuntimeError("[enforce fail at inline_container.cc:672]"), "disk-full"),
        (ImportError("No module named 'x'"), "missing-packages"),
        (ValueError("else"), "training-error"),
        (TrainingFault("loss-not-finite", "nan"), "loss-not-finite"),
    ],
)
def test_each_way_to_fail_has_its_code(error: Exception, code: str) -> None:
    assert describe(error, free_bytes=1000).code == code


def test_a_writer_that_fails_with_room_left_is_not_called_a_full_disk() -> None:
    error = RuntimeError("[enforce fail at inline_container.cc:672]")
    assert describe(error, free_bytes=1 << 40).code == "training-error"


def test_an_error_that_is_not_known_keeps_its_own_words() -> None:
    message = describe(KeyError("loss")).message
    assert message.startswith("Training stopped with KeyError: 'loss'.")
    assert "worker.log" in message


def test_options_have_bounds() -> None:
    for wrong in (
        {"max_length": 1},
        {"warmup_ratio": 1.0},
        {"packing": "wrapped"},
        {"learning_rate": 0},
    ):
        with pytest.raises(ValueError, match="validation error"):
            TrlOptions.model_validate(wrong)
