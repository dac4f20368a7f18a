"""The rules about images, and a reader of the few bytes that say what an image is.

Only headers are read and nothing is ever decoded into pixels, so that no file can be a bomb of
compressed data. Sources: the vision fine-tuning guides of OpenAI and Microsoft (JPEG, PNG and WEBP
in RGB or RGBA, as a web address or a `data:` URL); the headers as in PNG (third edition), JPEG (ITU
T.81) and the WebP container specification.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Final, Literal

from tunekit.data.checks.catalogue import error, rule, warning
from tunekit.data.checks.conversation import Faults
from tunekit.data.limits import DataLimits
from tunekit.data.records import Row, messages_of

ImageFault = tuple[Literal["error", "warning"], str, str, str]
"""Severity, code, message and fix."""


def check_images(row: Row, limits: DataLimits) -> Faults:
    """Hold the images of a row against the rules; their shape is `check_row`'s business."""
    places = list(image_urls(row))
    yield from number_of_images(places, limits)
    for path, url in places:
        yield from image_can_be_used(path, url, limits)


def has_images(row: Row) -> bool:
    """Whether a row holds an image, for the limit on rows with images."""
    return next(image_urls(row), None) is not None


def image_urls(row: Row) -> Iterator[tuple[str, str]]:
    """Give `(path, url)` for each image of a row."""
    for path, message in messages_of(row):
        content = message.get("content")
        for number, part in enumerate(content if isinstance(content, list) else ()):
            image = part.get("image_url") if isinstance(part, dict) else None
            url = image.get("url") if isinstance(image, dict) else None
            if isinstance(url, str):
                yield f"{path}.content[{number}].image_url.url", url


@rule("images", errors=("images-not-accepted", "too-many-images"))
def number_of_images(places: list[tuple[str, str]], limits: DataLimits) -> Faults:
    """A row has no more images than the service accepts, and none where it takes text only."""
    if not places:
        return
    service = limits.service or "The service"
    if not limits.images:
        message = f"{service} accepts no images for this method."
        yield error("images-not-accepted", places[0][0], message, "Remove the row's images.")
    elif limits.max_row_images is not None and len(places) > limits.max_row_images:
        message = f"The row has {len(places)} images; {service} takes {limits.max_row_images}."
        path = places[limits.max_row_images][0]
        yield error("too-many-images", path, message, "Remove some, or split the row.")


@rule(
    "images",
    errors=("bad-image-url", "bad-image-data", "image-too-large"),
    warnings=(
        "image-type-not-accepted",
        "image-mode-not-accepted",
        "image-type-differs",
        "insecure-image-url",
    ),
)
def image_can_be_used(path: str, url: str, limits: DataLimits) -> Faults:
    """An image is at a web address, or stands in the row as JPEG, PNG or WEBP in RGB or RGBA."""
    scheme, _, rest = url.partition(":")
    scheme = scheme.lower()
    if scheme == "data":
        found = _data_faults(rest, limits)
    elif scheme in ("http", "https") and rest.startswith("//") and rest[2:3] not in ("", "/"):
        found = iter(() if scheme == "https" else (_INSECURE,))
    else:
        message = f"The image's address is {url!r:.60}, which no service can load."
        fix = "Give an `https:` address, or a `data:` URL that holds the image itself."
        found = iter((("error", "bad-image-url", message, fix),))
    for severity, code, message, fix in found:
        yield (error if severity == "error" else warning)(code, path, message, fix)


_INSECURE: Final[ImageFault] = (
    "warning",
    "insecure-image-url",
    "The image's address begins with `http:`; it has to be reachable when the job starts.",
    "Use an `https:` address, or a `data:` URL that holds the image itself.",
)


def _data_faults(rest: str, limits: DataLimits) -> Iterator[ImageFault]:
    head, comma, body = rest.partition(",")
    declared, *parameters = head.lower().split(";")
    if not comma or "base64" not in parameters:
        fix = "Write it as `data:image/png;base64,...`."
        yield "error", "bad-image-data", "The image is no `data:` URL in base64.", fix
        return
    size = len(body) * 3 // 4 - body[-2:].count("=")
    if limits.max_image_bytes is not None and size > limits.max_image_bytes:
        message = f"The image has {size:,} bytes; the limit is {limits.max_image_bytes:,}."
        yield "error", "image-too-large", message, "Make it smaller."
    try:
        data = binascii.a2b_base64(body, strict_mode=True)
    except (binascii.Error, ValueError):
        fix = "Encode the file's bytes again."
        yield "error", "bad-image-data", "The image's data is not base64.", fix
        return
    kind, mode = read_header(data)
    if not kind:
        message = "The image's data is not of a known image format, or is cut off."
        yield "error", "bad-image-data", message, "Encode the file's bytes again."
    elif kind not in ACCEPTED:
        message = f"The image is {kind}; hosted services take JPEG, PNG and WEBP."
        yield "warning", "image-type-not-accepted", message, "Convert it to PNG."
    elif mode not in ("RGB", "RGBA"):
        message = f"The image's colours are {mode}; hosted services take RGB and RGBA."
        yield "warning", "image-mode-not-accepted", message, "Convert it to RGB."
    if kind and declared not in _MEDIA_TYPES[kind]:
        message = f"The image is {kind}, but its URL says {declared!r:.60}."
        fix = f"Write `data:{_MEDIA_TYPES[kind][0]};base64,...`."
        yield "warning", "image-type-differs", message, fix


ACCEPTED: Final = ("JPEG", "PNG", "WEBP")
_MEDIA_TYPES: Final = {
    "JPEG": ("image/jpeg", "image/jpg"),
    "PNG": ("image/png",),
    "WEBP": ("image/webp",),
    "GIF": ("image/gif",),
    "BMP": ("image/bmp",),
    "TIFF": ("image/tiff",),
}


def read_header(data: bytes) -> tuple[str, str]:
    """Tell an image's format and colours from its first bytes.

    Returns:
        The format, such as `PNG`, empty where it is unknown or the header is cut off; and the
        colours: `RGB`, `RGBA`, `grey`, `grey with alpha`, `a palette`, `CMYK` or `unknown`.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        whole = len(data) >= 33 and data[12:16] == b"IHDR"
        return ("PNG", _PNG_COLOURS.get(data[25], "unknown")) if whole else ("", "")
    if data.startswith(b"\xff\xd8\xff"):
        colours = _jpeg_colours(data)
        return ("JPEG", colours) if colours else ("", "")
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        # Every WebP image decodes to RGB or RGBA.
        whole = len(data) >= 25 and data[12:16] in (b"VP8 ", b"VP8L", b"VP8X")
        return ("WEBP", "RGB") if whole else ("", "")
    for start, name in ((b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF")):
        if data.startswith(start):
            return name, "unknown"
    return "", ""


_PNG_COLOURS: Final = {0: "grey", 2: "RGB", 3: "a palette", 4: "grey with alpha", 6: "RGBA"}


def _jpeg_colours(data: bytes) -> str:
    """Find the frame header, which counts the components; "" if there is none."""
    place = 2
    while place + 9 < len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return {1: "grey", 3: "RGB", 4: "CMYK"}.get(data[place + 9], "unknown")
        else:
            place += 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
    return ""
