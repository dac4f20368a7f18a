"""What the page about tokens promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.blocks import blocks
from helpers.vocabularies import vocabularies

pytestmark = pytest.mark.usefixtures(vocabularies.__name__)


def test_blocks_of_the_tokens_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("docs/tokens.md", "python"):
        exec(compile(block, "docs/tokens.md", "exec"), names)  # noqa: S102 - our own page
    assert "59 rows, counted with o200k_base" in capsys.readouterr().out
    assert (tmp_path / "lengths.png").stat().st_size > 10_000
