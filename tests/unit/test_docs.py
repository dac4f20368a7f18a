from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from helpers.blocks import ROOT, blocks

PAGES = ["README.md", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/**/*.md")))]


def test_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_docs.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_are_valid(page: str) -> None:
    for block in blocks(page, "python"):
        compile(block, page, "exec")


@pytest.mark.parametrize("page", PAGES)
def test_toml_blocks_are_accepted_as_configuration(page: str) -> None:
    from tunekit.config import ConfigFile

    for block in blocks(page, "toml"):
        ConfigFile.model_validate(tomllib.loads(block))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", (ROOT / page).read_text("utf-8")):
        assert (folder / target).exists(), target


def test_blocks_of_the_data_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("docs/data.md", "python"):
        exec(compile(block, "docs/data.md", "exec"), names)  # noqa: S102 - our own page
    assert len(names["train"]) == 1  # type: ignore[arg-type]


def test_nothing_installs_the_package_of_another_project() -> None:
    wrong = re.compile(r"(pip|uv) +(install|add) +(-\S+ +)*['\"]?tunekit(?!-sdk)\b")
    files = [
        path
        for folder in ("src", "docs", "examples", "scripts", "bench")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".toml", ".txt", ".jinja"}
    ]
    found = [str(p) for p in [*files, ROOT / "README.md"] if wrong.search(p.read_text("utf-8"))]
    assert found == []
