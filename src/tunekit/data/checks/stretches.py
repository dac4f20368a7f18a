"""A big file, scanned in stretches: by this process, or by several.

Each process reads its stretches itself, so that no row travels between processes. Workers are
started as programs of their own, not as copies of this process, and are only an offer: what a
worker does not answer, for whatever reason, this process scans itself.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, Final

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

MOST_WORKERS: Final = 4
"""How many are started unless a number is given: each takes some 60 MB of memory."""

Span = tuple[int, int]
"""A stretch: from the first of these bytes up to, and not including, the second."""


def scan_span(file: IO[bytes], scanner: Scanner, span: Span) -> Seen:
    """Scan the lines that begin within a stretch."""
    position, end = span
    if position:
        file.seek(position - 1)
        position += len(file.readline()) - 1
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
    return scanner.take()


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
    processes = options.processes or min(_cores(), MOST_WORKERS)
    alone = options.processes is None and size < WORTH_WORKERS
    with path.open("rb") as file:
        scanner = Scanner(kind, options)
        if alone or processes < 2 or len(spans) < 2:
            for span in spans:
                yield scan_span(file, scanner, span)
                if on_progress is not None:
                    on_progress(span[1], size)
            return
        workers = _Workers(min(processes, len(spans)), path, kind, options)
        with workers:
            for span, seen in workers.scan(spans):
                yield scan_span(file, scanner, span) if seen is None else seen
                if on_progress is not None:
                    on_progress(span[1], size)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Workers:
    """Processes that scan stretches of one file."""

    def __init__(
        self, count: int, path: Path, kind: DataKind | None, options: CheckOptions
    ) -> None:
        self._job = path, kind, replace(options, counter=None)
        self._count = count
        self._processes: list[subprocess.Popen[bytes]] = []
        self._free: SimpleQueue[subprocess.Popen[bytes] | None] = SimpleQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="tunekit-scan")

    def __enter__(self) -> _Workers:
        # The same modules as here, wherever this process has them from.
        paths = os.pathsep.join(path for path in sys.path if path)
        for _ in range(self._count):
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "tunekit.data.checks.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": paths},
                )
            except OSError:
                self._free.put(None)
                continue
            self._processes.append(process)
            try:
                send(process.stdin, self._job)
            except OSError:
                self._free.put(None)
            else:
                self._free.put(process)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()  # it only reads
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.communicate()

    def scan(self, spans: list[Span]) -> Iterator[tuple[Span, Seen | None]]:
        """Give each stretch with what it holds; None for one that was not scanned."""
        waiting: deque[tuple[Span, Future[Seen | None]]] = deque()
        for span in spans:
            waiting.append((span, self._threads.submit(self._ask, span)))
            if len(waiting) > 2 * self._count:
                done, future = waiting.popleft()
                yield done, future.result()
        for span, future in waiting:
            yield span, future.result()

    def _ask(self, span: Span) -> Seen | None:
        process = self._free.get()
        try:
            if process is None or process.stdout is None:
                return None
            send(process.stdin, span)
            seen = pickle.load(process.stdout)  # noqa: S301 - from our own worker
            return seen if isinstance(seen, Seen) else None
        except (OSError, EOFError, pickle.UnpicklingError):
            process = None
            return None
        finally:
            self._free.put(process)


def send(stream: IO[bytes] | None, value: Any) -> None:
    """Write one value where the other side waits for it."""
    if stream is None:
        raise BrokenPipeError
    pickle.dump(value, stream, protocol=5)
    stream.flush()
