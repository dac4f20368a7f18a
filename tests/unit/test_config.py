"""Settings: which one wins, where it came from, and what is refused."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tunekit._text import parse_duration
from tunekit.config import Config
from tunekit.errors import ConfigError, UnknownModelError, UnknownProfileError

WriteConfig = Callable[[str], Path]

TOML = """
default_profile = "laptop"

[profiles.laptop]
provider = "trl"
region = "file"
size = 3

[profiles.prod]
provider = "azure"

[models.small]
azure = "gpt-4.1-mini-2025-04-14"
trl = "Qwen/Qwen3-0.6B"

[budget]
max_usd_per_job = 25
"""


def test_each_setting_comes_from_the_strongest_source_and_says_so(
    write_config: WriteConfig,
) -> None:
    path = write_config(TOML)
    environ = {"TUNEKIT_TRL_REGION": "environment", "TUNEKIT_TRL_COLOUR": "environment"}
    config = Config(path, environ=environ)

    profile = config.with_arguments(config.profile(), {"colour": "argument"})

    assert profile.name == "laptop"
    assert profile.provider.value == "trl"
    assert profile.provider.source == f"file {path}"
    found = {key: (setting.value, setting.source) for key, setting in profile.settings.items()}
    assert found == {
        "region": ("environment", "environment TUNEKIT_TRL_REGION"),
        "size": (3, f"file {path}"),
        "colour": ("argument", "argument"),
    }
    assert profile.values == {"region": "environment", "size": 3, "colour": "argument"}


def test_a_provider_named_by_argument_takes_environment_and_arguments_only(
    write_config: WriteConfig,
) -> None:
    config = Config(write_config(TOML), environ={"TUNEKIT_TRL_REGION": "environment"})
    profile = config.explicit("trl", {"size": 5})
    assert profile.name is None
    assert profile.provider.source == "argument"
    assert profile.values == {"region": "environment", "size": 5}


def test_the_environment_of_one_provider_does_not_reach_another(write_config: WriteConfig) -> None:
    config = Config(write_config(TOML), environ={"TUNEKIT_AZURE_REGION": "x"})
    assert config.profile("laptop").values["region"] == "file"


def test_the_profile_is_the_named_one_then_the_environment_s_then_the_default(
    write_config: WriteConfig,
) -> None:
    path = write_config(TOML)
    assert Config(path, environ={"TUNEKIT_PROFILE": "prod"}).profile("laptop").name == "laptop"
    assert Config(path, environ={"TUNEKIT_PROFILE": "prod"}).profile().name == "prod"
    assert Config(path, environ={}).profile().name == "laptop"


def test_an_unknown_profile_names_the_nearest(write_config: WriteConfig) -> None:
    with pytest.raises(UnknownProfileError, match=r"'latop' in .* Did you mean 'laptop'\?"):
        Config(write_config(TOML), environ={}).profile("latop")


def test_no_profile_at_all_says_what_can_be_done(config: Config) -> None:
    with pytest.raises(UnknownProfileError, match="`default_profile`"):
        config.profile()


def test_a_profile_without_a_provider_is_refused(write_config: WriteConfig) -> None:
    config = Config(write_config("[profiles.p]\nsize = 1\n"), environ={})
    with pytest.raises(ConfigError, match="'p' names no provider"):
        config.profile("p")


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        ('default_profil = "x"', "Unknown setting 'default_profil'. Did you mean 'default_pro"),
        ("[budget]\nmax_usd_per_jbo = 1", "Unknown setting 'max_usd_per_jbo'. Did you mean 'max_u"),
        ("[budget]\nmax_usd_per_job = 0", "`budget.max_usd_per_job`: .*greater than 0, got 0"),
        ('profiles = "x"', "`profiles`: "),
        ("[models.small]\nopenai = 3", r"`models.small.openai`: "),
        ("profiles = [", "is not valid TOML"),
    ],
)
def test_a_faulty_file_is_refused_with_path_and_fault(
    write_config: WriteConfig, toml: str, fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault) as caught:
        Config(write_config(toml), environ={})
    assert "tunekit.toml" in str(caught.value)


def test_all_faults_of_a_file_are_listed_at_once(write_config: WriteConfig) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(write_config("colour = 1\nshape = 2\n"), environ={})
    assert "'colour'" in str(caught.value)
    assert "'shape'" in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tunekit.toml"
    path.write_bytes(b'default_profile = "\xff\xfe"')
    with pytest.raises(ConfigError, match="is not valid TOML"):
        Config(path, environ={})


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no configuration file"):
        Config(tmp_path / "nowhere.toml", environ={})
    with pytest.raises(ConfigError, match="There is no configuration file"):
        Config(environ={"TUNEKIT_CONFIG": str(tmp_path)})


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
def test_a_file_that_cannot_be_read_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="'/proc/self/mem' cannot be read"):
        Config("/proc/self/mem", environ={})


@pytest.mark.parametrize(
    ("toml", "name"),
    [
        ('[profiles.p]\nprovider = "x"\napi_key = "hush"', "profiles.p.api_key"),
        ('[profiles.p]\nprovider = "x"\nhf_token = "hush"', "profiles.p.hf_token"),
        ('[profiles.p]\nprovider = "x"\nClient_Secret = "hush"', "profiles.p.Client_Secret"),
        ('[profiles.p.deeper]\npassword = "hush"', "profiles.p.deeper.password"),
        ('api_key = "hush"', "api_key"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(
    write_config: WriteConfig, toml: str, name: str
) -> None:
    with pytest.raises(ConfigError, match=f"holds a secret, `{name}`") as caught:
        Config(write_config(toml), environ={})
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_a_table_may_be_called_like_a_secret(write_config: WriteConfig) -> None:
    config = Config(write_config('[profiles.token]\nprovider = "x"\n'), environ={})
    assert config.profile("token").provider.value == "x"


def test_the_text_form_of_settings_shows_no_value(write_config: WriteConfig) -> None:
    config = Config(write_config(TOML), environ={"TUNEKIT_TRL_API_KEY": "hush"})
    profile = config.with_arguments(config.profile(), {"hf_token": "hush"})
    assert "hush" not in repr(profile)
    assert "environment TUNEKIT_TRL_API_KEY" in repr(profile)


def test_a_logical_model_is_what_the_file_says_for_the_provider(write_config: WriteConfig) -> None:
    config = Config(write_config(TOML), environ={})
    assert config.model("small", "trl") == "Qwen/Qwen3-0.6B"
    assert config.model("small", "azure") == "gpt-4.1-mini-2025-04-14"
    assert config.model("some-other-id", "trl") == "some-other-id"


def test_a_logical_model_without_this_provider_is_an_error(write_config: WriteConfig) -> None:
    config = Config(write_config(TOML), environ={})
    with pytest.raises(UnknownModelError, match=r"`openai = \"...\"` under `\[models.small\]`"):
        config.model("small", "openai")


def test_the_budget_is_read_from_the_file(write_config: WriteConfig, config: Config) -> None:
    assert Config(write_config(TOML), environ={}).budget.max_usd_per_job == 25
    assert config.budget.max_usd_per_job is None


def test_the_home_folder_comes_from_the_environment_or_the_default(
    tmp_path: Path, config: Config
) -> None:
    named = Config(environ={"TUNEKIT_HOME": str(tmp_path)}).home
    assert (named.value, named.source) == (tmp_path, "environment TUNEKIT_HOME")
    assert config.home.source == "default"
    assert config.home.value.is_absolute()


def test_the_file_is_found_in_a_folder_above(
    write_config: WriteConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_config(TOML)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert Config(environ={}).path == path


def test_the_file_of_the_user_is_found_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "tunekit"
    folder.mkdir(parents=True)
    (folder / "tunekit.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    assert Config(environ={}).path == folder / "tunekit.toml"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        (90, 90.0),
        ("90", 90.0),
        ("1.5h", 5400.0),
        (" 15 m ", 900.0),
        ("2d", 172800.0),
        (timedelta(minutes=1), 60.0),
    ],
)
def test_durations_are_read_into_seconds(
    text: str | float | timedelta | None, seconds: float | None
) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["soon", "1w", "-1h", "", 0, -3, "0", float("nan"), float("inf")])
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(ConfigError, match="duration"):
        parse_duration(text)
