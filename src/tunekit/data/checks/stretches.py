"""A big file, scanned in stretches: by this process, or by several.

Each process reads its stretches itself, so that no row travels between processes. Workers are
started as programs of their own, not as copies of this process, and are only a help: this process
scans, too, from the beginning, and does what a worker does not answer, for whatever reason.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any, Final, Self

from tunekit.data.checks.options import CheckOptions
from tunekit.data.checks.scan import Scanner, Seen
from tunekit.data.progress import Progress
from tunekit.data.records import DataKind

BLOCK: Final = 1 << 16
"""Bytes that are read and decoded at once; they stay in the processor's cache."""

STRETCH: Final = 1 << 22
"""Bytes of a stretch: 0.03 to 0.1 seconds of work."""

WORTH_WORKERS: Final = 1 << 25
"""Bytes of a file from which on starting workers, 0.3 seconds, pays."""

MOST_PROCESSES: Final = 4
"""How many share the work unless a number is given: each takes some 60 MB of memory."""

AHEAD: Final = 4
"""Stretches for each process that may be scanned before the first of them is."""

Span = tuple[int, int]
"""A stretch: from the first of these bytes up to, and not including, the second."""


def scan_span(file: IO[bytes], scanner: Scanner, span: Span) -> Iterator[Seen]:
    """Scan the lines that begin within a stretch; in pieces where there is much to report."""
    position, end = span
    if position:
        file.seek(position - 1)
        # No further than the end: a line of a gigabyte is not read again for each of its stretches.
        position += len(file.readline(end - position + 1)) - 1
    else:
        file.seek(0)
    while position < end:
        block = file.read(min(BLOCK, end - position))
        if not block.endswith(b"\n"):
            block += file.readline()
        if not block:
            break
        scanner.block(block, first=position == 0)
        position += len(block)
        if scanner.is_full:
            yield scanner.take()
    yield scanner.take()


def scan_at_once(file: IO[bytes], scanner: Scanner, span: Span) -> Seen | None:
    """Scan a stretch before its turn; None where it has too much to report to wait for that."""
    seen = next(scan_span(file, scanner, span))
    return None if seen.is_large else seen


def scan_file(
    path: Path,
    kind: DataKind | None,
    options: CheckOptions,
    on_progress: Progress | None = None,
) -> Iterator[Seen]:
    """Scan all lines of a file; give what each stretch holds, in their order.

    Args:
        path: A file of JSON Lines in UTF-8.
        kind: What its rows are taken for.
        options: What they are held against. `processes` says how many share the work.
        on_progress: Is told after each stretch how many bytes are done.
    """
    size = path.stat().st_size
    spans = [(start, min(start + STRETCH, size)) for start in range(0, size, STRETCH)]
    processes = options.processes or min(_cores(), MOST_PROCESSES)
    alone = options.processes is None and size < WORTH_WORKERS
    helpers = 0 if alone else min(processes, len(spans)) - 1
    job = path, kind, replace(options, counter=None)
    with path.open("rb") as file, ExitStack() as stack:
        scanner = Scanner(kind, options)
        workers = [stack.enter_context(_Worker(job)) for _ in range(helpers)]
        for span, seen in _shared(spans, workers, lambda span: scan_at_once(file, scanner, span)):
            yield from scan_span(file, scanner, span) if seen is None else (seen,)
            if on_progress is not None:
                on_progress(span[1], size)


def _shared(
    spans: list[Span], workers: list[_Worker], here: Callable[[Span], Seen | None]
) -> Iterator[tuple[Span, Seen | None]]:
    """Scan stretches here and by workers at once, and give them in their order.

    None comes in place of one that is still to be scanned.
    """
    waiting: deque[tuple[Span, Seen | Future[Seen | None] | None]] = deque()

    def first() -> tuple[Span, Seen | None]:
        span, found = waiting.popleft()
        return span, found.result() if isinstance(found, Future) else found

    for span in spans:
        worker = next((one for one in workers if one.has_room), None)
        waiting.append((span, here(span) if worker is None else worker.ask(span)))
        while waiting and (_done(waiting[0][1]) or len(waiting) > AHEAD * (len(workers) + 1)):
            yield first()
    while waiting:
        yield first()


def _done(found: Seen | Future[Seen | None] | None) -> bool:
    return not isinstance(found, Future) or found.done()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """A process that scans stretches of one file, and the thread that talks to it."""

    def __init__(self, job: tuple[Path, DataKind | None, CheckOptions]) -> None:
        self._asked: list[Future[Seen | None]] = []
        self._process: subprocess.Popen[bytes] | None = None
        # The same modules as here, wherever this process has them from.
        paths = os.pathsep.join(path for path in sys.path if path)
        if _is_python(sys.executable):
            with suppress(OSError):
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "tunekit.data.checks.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,  # what ends a worker is seen here again
                    env={**os.environ, "PYTHONPATH": paths},
                )
        self._tasks: SimpleQueue[tuple[Any, Future[Any]] | None] = SimpleQueue()
        # A daemon, and no executor: one that an interrupt hits while it starts its thread makes
        # the interpreter wait for that thread for ever (CPython 3.11).
        self._thread = Thread(target=self._work, name="tunekit-scan", daemon=True)
        self._ready = self._do(job)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()  # it only reads
        self._tasks.put(None)
        self._thread.join()
        if self._process is not None:
            self._process.communicate()

    @property
    def has_room(self) -> bool:
        """Whether the process is up, and has less than it is working on and one more to do."""
        self._asked = [one for one in self._asked if not one.done()]
        return self._ready.done() and self._ready.result() is True and len(self._asked) < 2

    def ask(self, span: Span) -> Future[Seen | None]:
        """Let a stretch be scanned; None comes back if it was not."""
        asked = self._do(span)
        self._asked.append(asked)
        return asked

    def _do(self, value: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._tasks.put((value, future))
        return future

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            value, future = task
            future.set_result(self._say(value))

    def _say(self, value: Any) -> Seen | bool | None:
        """Send a value and give the answer; None, now and from now on, where none comes."""
        process = self._process
        if process is None or process.stdout is None:
            return None
        try:
            send(process.stdin, value)
            answer = pickle.load(process.stdout)  # noqa: S301 - from our own worker
        except Exception:  # a reply that is none can make pickle raise anything
            process.kill()
            return None
        return answer if isinstance(answer, Seen | bool) else None


def _is_python(executable: str | None) -> bool:
    """Whether it can be started as an interpreter: a program that embeds Python may name itself."""
    frozen = getattr(sys, "frozen", False)
    return not frozen and Path(executable or "").stem.lower().startswith(("python", "pypy"))


def send(stream: IO[bytes] | None, value: Any) -> None:
    """Write one value where the other side waits for it."""
    if stream is None:
        raise BrokenPipeError
    pickle.dump(value, stream, protocol=5)
    stream.flush()
