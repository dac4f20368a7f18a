"""From tokens to text, one token at a time. Needs only the standard library."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_HALF = "\ufffd"
_LONGEST_CHARACTER = 5


class TextStream:
    """Gives out text as soon as it is certain, and never a half character or part of a stop text.

    A token can end in the middle of a UTF-8 character, and the text of a token can depend on the
    one before. So each new token is decoded together with the tokens of the last piece.
    """

    def __init__(self, decode: Callable[[list[int]], str], stops: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stops = tuple(stops)
        self._ids: list[int] = []
        self._piece = 0
        self._given = 0
        self._held = ""
        self.stopped = False

    def feed(self, token: int) -> str:
        """Take one token and give the text that is certain now; `stopped` says whether to end."""
        self._ids.append(token)
        return self._release(self._fresh(final=False), final=False)

    def flush(self) -> str:
        """Give what was still held back."""
        return "" if self.stopped else self._release(self._fresh(final=True), final=True)

    def _fresh(self, *, final: bool) -> str:
        before = self._decode(self._ids[self._piece : self._given])
        text = self._decode(self._ids[self._piece :])
        waiting = len(self._ids) - self._given
        if text.endswith(_HALF) and waiting < _LONGEST_CHARACTER and not final:
            return ""
        self._piece, self._given = self._given, len(self._ids)
        return text[len(before) :]

    def _release(self, fresh: str, *, final: bool) -> str:
        text = self._held + fresh
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        keep = 0 if final else max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` could be the beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
