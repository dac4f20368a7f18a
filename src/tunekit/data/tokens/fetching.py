"""The one place under `data` that reaches the network: it fetches a vocabulary, within bounds."""

from __future__ import annotations

import time
from typing import Final

CONNECT_SECONDS: Final = 10.0
TOTAL_SECONDS: Final = 120.0
LARGEST: Final = 64 * 1024 * 1024
"""Bytes; the largest vocabulary has under 4 million."""


class FetchError(Exception):
    """Nothing usable came back; the message says why."""


def fetch(url: str) -> bytes:
    """Read a file over HTTP, or give up.

    Raises:
        FetchError: No connection within 10 seconds, no whole answer within two minutes, an answer
            that is no success, or one that is too large.
    """
    import httpx2

    timeout = httpx2.Timeout(CONNECT_SECONDS)
    until = time.monotonic() + TOTAL_SECONDS
    content = bytearray()
    try:
        with httpx2.stream("GET", url, timeout=timeout, follow_redirects=True) as reply:
            reply.raise_for_status()
            for piece in reply.iter_bytes():
                content += piece
                if time.monotonic() > until or len(content) > LARGEST:
                    raise FetchError("the answer was too slow or too large")
    except httpx2.HTTPStatusError as error:
        raise FetchError(f"HTTP {error.response.status_code}") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise FetchError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
    return bytes(content)
