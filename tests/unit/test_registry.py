"""Providers of this package and of third parties are found in the same way."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tunekit.client import connect
from tunekit.config import Config
from tunekit.errors import ConfigError, MissingExtraError, UnknownProviderError
from tunekit.providers import registry
from tunekit.providers.base import FineTuneProvider
from tunekit.testing import FakeProvider

MODULE = """
from pydantic import SecretStr
from tunekit.providers.base import ProviderSettings
from tunekit.testing import FakeProvider

class Settings(ProviderSettings):
    account: str = "acme"
    base_url: str = "http://127.0.0.1:9/v1"
    region: str
    size: int = 1
    api_key: SecretStr | None = None

class AcmeProvider(FakeProvider):
    name = "acme"
    Settings = Settings

    @property
    def account(self):
        return f"acme:{self.settings.account}"

NOT_A_PROVIDER = 3
"""

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution with one entry point and one module on the path, as pip would."""
    site = tmp_path / "site"

    def put(entry_point: str, module: str = MODULE) -> None:
        info = site / "acme_tunes-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-tunes\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[tunekit.providers]\nacme = {entry_point}\n")
        (site / "acme_tunes.py").write_text(module)

    monkeypatch.syspath_prepend(str(site))
    yield put
    sys.modules.pop("acme_tunes", None)


def settings(**values: object) -> Config:
    """A configuration whose environment holds these settings of `acme`."""
    return Config(environ={f"TUNEKIT_ACME_{key.upper()}": str(v) for key, v in values.items()})


def test_a_third_party_provider_is_found_and_made(install: Install, tmp_path: Path) -> None:
    install("acme_tunes:AcmeProvider", MODULE)
    assert "acme" in registry.available()
    made = registry.create(settings(region="north").explicit("acme", {"size": 4}), home=tmp_path)
    assert isinstance(made, FakeProvider)
    assert made.account == "acme:acme"
    assert made.settings.model_dump(include={"region", "size"}) == {"region": "north", "size": 4}
    assert made.home == tmp_path


def test_a_client_connects_to_a_third_party_provider_by_name(install: Install) -> None:
    install("acme_tunes:AcmeProvider", MODULE)
    with connect(provider="acme", region="north") as client:
        assert client.provider.name == "acme"


def test_asking_what_is_there_imports_nothing(install: Install) -> None:
    install("acme_tunes:AcmeProvider", "raise RuntimeError('imported')")
    assert "acme" in registry.available()
    assert "acme_tunes" not in sys.modules


def test_the_built_in_provider_comes_by_an_entry_point_too() -> None:
    assert registry.available()["trl"].value == "tunekit.providers.trl:TrlProvider"


def test_every_installed_provider_loads_and_bears_its_name() -> None:
    for name in registry.available():
        loaded = registry.load(name)
        assert issubclass(loaded, FineTuneProvider)
        assert loaded.name == name


def test_an_unknown_provider_names_the_nearest(install: Install) -> None:
    install("acme_tunes:AcmeProvider", MODULE)
    with pytest.raises(UnknownProviderError, match=r"no provider 'acm'. Did you mean 'acme'\?"):
        registry.load("acm")


@pytest.mark.parametrize(
    ("entry_point", "module", "fault"),
    [
        ("acme_tunes:NOT_A_PROVIDER", MODULE, "is no FineTuneProvider"),
        ("acme_tunes:Missing", MODULE, "cannot be loaded: AttributeError"),
        ("acme_tunes:X", "def broken(:", "cannot be loaded: SyntaxError"),
        ("acme_tunes:X", "raise RuntimeError('no')", "cannot be loaded: RuntimeError: no"),
        (
            "acme_tunes:X",
            "from tunekit.providers.base import FineTuneProvider\n"
            "class X(FineTuneProvider):\n    name = 'x'\n",
            "cannot be loaded: TypeError: X.capabilities must answer",
        ),
    ],
)
def test_a_broken_entry_point_is_a_clear_error(
    install: Install, entry_point: str, module: str, fault: str
) -> None:
    install(entry_point, module)
    with pytest.raises(ConfigError, match=fault) as caught:
        registry.load("acme")
    assert "'acme'" in str(caught.value)


def test_a_provider_that_misses_a_package_says_which(install: Install) -> None:
    install("acme_tunes:X", "import a_package_that_nobody_has")
    with pytest.raises(MissingExtraError, match="'acme' .* 'a_package_that_nobody_has'"):
        registry.load("acme")


def test_a_provider_s_own_word_about_its_missing_package_is_kept(install: Install) -> None:
    install(
        "acme_tunes:X",
        "from tunekit.errors import missing_extra\n"
        "raise missing_extra('acme', 'acme-sdk>=1', needed_for='Acme')\n",
    )
    with pytest.raises(MissingExtraError, match="`pip install acme-sdk>=1`"):
        registry.load("acme")


def test_all_bad_settings_are_listed_with_their_source(install: Install, tmp_path: Path) -> None:
    install("acme_tunes:AcmeProvider", MODULE)
    profile = settings(size="many").explicit("acme", {"regoin": "north"})
    with pytest.raises(ConfigError) as caught:
        registry.create(profile, home=tmp_path)
    text = str(caught.value)
    assert "Provider 'acme' cannot be used" in text
    assert "`region`: Field required" in text
    assert "`size` (from environment TUNEKIT_ACME_SIZE): " in text
    assert "got 'many'" in text
    assert "`regoin` (from argument): Unknown setting 'regoin'. Did you mean 'region'?" in text


@pytest.mark.parametrize("wrong", [{"api_key": "hush-hush"}, {"region": "x", "api_key": 12345678}])
def test_a_fault_in_the_settings_never_shows_a_credential(
    install: Install, tmp_path: Path, wrong: dict[str, object]
) -> None:
    install("acme_tunes:AcmeProvider", MODULE)
    with pytest.raises(ConfigError) as caught:
        registry.create(Config(environ={}).explicit("acme", wrong), home=tmp_path)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "hush-hush" not in shown
    assert "12345678" not in shown


def test_a_credential_shows_in_no_text_form_of_the_handles(install: Install) -> None:
    install("acme_tunes:AcmeProvider", MODULE)
    client = connect(provider="acme", region="x", api_key="hush-hush")
    key = client.provider.settings.model_dump()["api_key"]
    assert isinstance(key, SecretStr)
    assert key.get_secret_value() == "hush-hush"
    shown = [client, client.session, client.session.profile, client.provider.settings]
    assert not [form for form in map(repr, shown) if "hush-hush" in form]
