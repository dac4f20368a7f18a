"""Images are told by their bytes: format, colours and size, without decoding a pixel."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.data.checks.images import check_images, has_images, read_header
from tunekit.data.limits import DataLimits
from tunekit.problems import Problem, Severity

NOBODY = DataLimits()


def row(*urls: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"type": "text", "text": "?"}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    answer = {"role": "assistant", "content": "A cat."}
    return {"messages": [{"role": "user", "content": parts}, answer]}


def data_url(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def found(url: str, limits: DataLimits = NOBODY) -> list[str]:
    return [problem.code for problem in check_images(row(url), limits)]


def picture(form: str, mode: str = "RGB") -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new(mode, (3, 2)).save(stream, form)
    return stream.getvalue()


PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 3, 2, 8, 2, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("form", "mode", "colours"),
    [
        ("PNG", "RGB", "RGB"),
        ("PNG", "RGBA", "RGBA"),
        ("PNG", "L", "grey"),
        ("PNG", "LA", "grey with alpha"),
        ("PNG", "P", "a palette"),
        ("JPEG", "RGB", "RGB"),
        ("JPEG", "L", "grey"),
        ("JPEG", "CMYK", "CMYK"),
        ("WEBP", "RGB", "RGB"),
        ("WEBP", "RGBA", "RGB"),
        ("GIF", "P", "unknown"),
        ("BMP", "RGB", "unknown"),
        ("TIFF", "RGB", "unknown"),
    ],
)
def test_headers_say_format_and_colours(form: str, mode: str, colours: str) -> None:
    pytest.importorskip("PIL")
    assert read_header(picture(form, mode)) == (form, colours)


@given(st.binary(max_size=64) | st.binary(max_size=40).map(lambda tail: b"\xff\xd8\xff" + tail))
def test_any_bytes_have_a_header_or_none(content: bytes) -> None:
    kind, colours = read_header(content)
    assert bool(kind) == bool(colours)


def test_a_whole_image_passes_and_problems_name_its_place() -> None:
    assert found(data_url(PNG)) == []
    (problem,) = check_images(row("https://x.org/a.png", "ftp://x.org/b.png"), NOBODY)
    assert problem.path == "messages[0].content[2].image_url.url"
    assert problem.code == "bad-image-url"
    assert problem.severity is Severity.ERROR


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("cat.png", "bad-image-url"),
        ("", "bad-image-url"),
        ("file:///tmp/cat.png", "bad-image-url"),
        ("https:/x.org", "bad-image-url"),
        ("https://", "bad-image-url"),
        ("http://x.org/cat.png", "insecure-image-url"),
        ("data:image/png,abc", "bad-image-data"),
        ("data:image/png;base64", "bad-image-data"),
        ("data:image/png;base64,a*b=", "bad-image-data"),
        ("data:image/png;base64,\u00e9", "bad-image-data"),
        ("data:image/png;base64,", "bad-image-data"),
        (data_url(b"plain text"), "bad-image-data"),
        (data_url(PNG[:20]), "bad-image-data"),
        (data_url(b"GIF89a", "image/gif"), "image-type-not-accepted"),
        (data_url(PNG, "image/jpeg"), "image-type-differs"),
        (data_url(PNG[:25] + b"\0" + PNG[26:]), "image-mode-not-accepted"),
    ],
)
def test_each_fault_of_an_image_is_found(url: str, code: str) -> None:
    assert found(url) == [code]


def test_media_types_are_read_as_their_standard_says() -> None:
    url = data_url(PNG, "IMAGE/PNG;charset=x")
    assert found(url.replace("base64", "BASE64").replace("data:", "DATA:")) == []


def test_size_is_that_of_the_image_and_not_of_its_text() -> None:
    content = PNG + bytes(100)
    assert found(data_url(content), DataLimits(max_image_bytes=len(content))) == []
    assert found(data_url(content), DataLimits(max_image_bytes=len(content) - 1)) == [
        "image-too-large"
    ]


def test_a_bomb_of_compressed_data_is_not_unpacked() -> None:
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    bomb = PNG[:12] + b"IHDR" + header + bytes(4) + zlib.compress(bytes(10**6))
    assert found(data_url(bomb)) == []


def test_images_are_counted_over_the_whole_row() -> None:
    two = row("https://x.org/a.png", "https://x.org/b.png")
    assert list(check_images(two, DataLimits(max_row_images=2))) == []
    problems: list[Problem] = list(check_images(two, DataLimits(max_row_images=1, service="S")))
    assert [(p.code, p.path) for p in problems] == [
        ("too-many-images", "messages[0].content[2].image_url.url")
    ]


def test_images_are_refused_where_only_text_is_taken() -> None:
    limits = DataLimits(images=False, service="S")
    assert [p.code for p in check_images(row("https://x.org/a.png"), limits)] == [
        "images-not-accepted"
    ]
    assert list(check_images(row(), limits)) == []


def test_rows_with_images_are_told() -> None:
    assert has_images(row("https://x.org/a.png"))
    assert not has_images(row())
    assert not has_images({"messages": [{"content": [{"image_url": 3}, 4]}, 5]})
