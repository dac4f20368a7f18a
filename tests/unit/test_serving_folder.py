"""What is looked at before a model folder is served; nothing here needs torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tunekit.errors import ConfigError, CorruptModelError
from tunekit.providers.local.server.folder import locate


def write_weights(path: Path, *, cut: int = 0) -> None:
    data = b"\0" * 16
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    whole = struct.pack("<Q", len(header)) + header + data
    path.write_bytes(whole[: len(whole) - cut])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "llama"}')
    (path / "tokenizer.json").write_text("{}")
    (path / "chat_template.jinja").write_text("{{ messages }}")
    write_weights(path / "model.safetensors")
    return path


@pytest.fixture
def adapter(tmp_path: Path, folder: Path) -> Path:
    path = tmp_path / "adapter"
    path.mkdir()
    (path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(folder)}))
    write_weights(path / "adapter_model.safetensors")
    return path


def test_a_whole_folder_is_found_and_needs_no_network(folder: Path) -> None:
    source = locate(str(folder))
    assert source.model == source.tokenizer == str(folder)
    assert source.base is None
    assert source.offline


def test_a_template_in_the_tokenizers_settings_counts(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    assert locate(str(folder)).offline


def test_an_adapter_takes_the_tokenizer_of_its_base(adapter: Path, folder: Path) -> None:
    source = locate(str(adapter))
    assert (source.model, source.base, source.tokenizer) == (str(adapter), str(folder), str(folder))
    assert source.offline


def test_an_adapter_with_a_tokenizer_of_its_own_keeps_it(adapter: Path) -> None:
    (adapter / "tokenizer.json").write_text("{}")
    (adapter / "chat_template.jinja").write_text("{{ messages }}")
    assert locate(str(adapter)).tokenizer == str(adapter)


def test_an_adapter_that_names_no_base_takes_the_one_that_is_known(
    adapter: Path, folder: Path
) -> None:
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(CorruptModelError, match="which base model"):
        locate(str(adapter))
    assert locate(str(adapter), base_model=str(folder)).base == str(folder)


def test_an_adapter_whose_base_is_gone_says_so(adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "/no/such/folder"}')
    with pytest.raises(CorruptModelError, match=r"'/no/such/folder'.*not there"):
        locate(str(adapter))


def test_an_adapter_of_a_hub_base_needs_the_hub(adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    source = locate(str(adapter))
    assert (source.base, source.tokenizer, source.offline) == ("owner/base", "owner/base", False)


def test_a_hub_id_is_passed_on(tmp_path: Path) -> None:
    assert locate("owner/name").model == "owner/name"
    assert not locate("owner/name").offline


@pytest.mark.parametrize("name", ["/no/such/folder", "./nowhere", "a/b/c", "-x"])
def test_a_path_that_leads_nowhere_is_not_taken_for_a_hub_id(name: str) -> None:
    with pytest.raises(CorruptModelError, match="no model folder"):
        locate(name)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("config.json", "config.json"),
        ("tokenizer.json", "no tokenizer"),
        ("model.safetensors", "no weights"),
    ],
)
def test_a_missing_file_is_named(folder: Path, missing: str, said: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(CorruptModelError, match=said):
        locate(str(folder))


def test_no_chat_template_says_what_to_do(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ConfigError, match=r"chat_template\.jinja"):
        locate(str(folder))


def test_pickled_weights_are_refused_as_such(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80")
    (folder / "training_args.bin").write_bytes(b"\x80")
    with pytest.raises(CorruptModelError, match=r"pickle \(pytorch_model.bin\)"):
        locate(str(folder))


def test_a_pickle_beside_the_weights_is_left_alone(folder: Path) -> None:
    (folder / "training_args.bin").write_bytes(b"\x80")
    assert locate(str(folder)).offline


@pytest.mark.parametrize("cut", [1, 20, 80])
def test_weights_that_were_cut_off_are_damaged(folder: Path, cut: int) -> None:
    write_weights(folder / "model.safetensors", cut=cut)
    with pytest.raises(CorruptModelError, match="damaged"):
        locate(str(folder))


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, struct.pack("<Q", 4) + b"nope", struct.pack("<Q", 2) + b"[]"]
)
def test_a_file_that_is_no_safetensors_is_damaged(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CorruptModelError, match="damaged"):
        locate(str(folder))


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CorruptModelError, match=r"missing: model-2\.safetensors"):
        locate(str(folder))
    write_weights(folder / "model-2.safetensors", cut=3)
    with pytest.raises(CorruptModelError, match=r"model-2\.safetensors.* damaged"):
        locate(str(folder))
    write_weights(folder / "model-2.safetensors")
    assert locate(str(folder)).offline


def test_settings_that_are_no_json_are_damaged(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(CorruptModelError, match=r"config\.json"):
        locate(str(folder))
