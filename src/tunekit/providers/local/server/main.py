"""The server process of a deployment: loads the model and answers until its host is gone.

The key comes through standard input, so it stands in no argument and no environment variable. The
same pipe is the tie to the host: its end means that the host is gone, and so is this process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path

from tunekit.providers.local.server.record import Record

_PR_SET_PDEATHSIG = 1

PACKAGES = "'torch>=2.13' 'transformers>=5.23' 'peft>=0.21'"
"""What serving needs, as `pip install` takes it."""


def _die_with_parent() -> None:
    """Have the kernel kill us with our host, even while a library holds the interpreter."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _end_with_pipe() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


def _explain(error: BaseException, model: str) -> tuple[str, str]:
    kind, text = type(error).__name__, " ".join(str(error).split())
    memory = ("can't allocate memory", "out of memory", "Cannot allocate memory")
    starved = isinstance(error, MemoryError) or any(words in text for words in memory)
    if starved or "OutOfMemory" in kind:
        return (
            "out-of-memory",
            f"There is not enough memory for {model!r}: {text}. End other processes, set `dtype`"
            " to 'bfloat16', or take a smaller model.",
        )
    if isinstance(error, ImportError):
        return (
            "missing-package",
            f"{sys.executable} lacks a package: {text}. Run there: `pip install {PACKAGES}`, or"
            " set `python` in the profile to an interpreter that has them.",
        )
    if "trust_remote_code" in text:
        return (
            "remote-code",
            f"The model {model!r} brings Python code of its own, which is not run unless that is"
            " asked for by name. If you have read and trust it, set `trust_remote_code` to true in"
            " the profile.",
        )
    if isinstance(error, OSError) and not os.path.isdir(model):
        return (
            "unknown-model",
            f"The model {model!r} is no folder, and could not be fetched from the Hugging Face Hub"
            f" either. Give the folder of a model, or the name of a run. ({text})",
        )
    return (
        "model-load-failed",
        f"The model {model!r} cannot be loaded ({kind}): {text} Copy or download it again if it is"
        " damaged.",
    )


def serve(path: Path, descriptor: int) -> int:
    """Serve the deployment in this directory; the exit code of the process.

    Args:
        path: The deployment's directory.
        descriptor: File descriptor of the socket on which the host listens.
    """
    _die_with_parent()
    os.dup2(2, 1)  # what libraries print belongs in the log
    key = b""
    while not key.endswith(b"\n"):
        part = os.read(0, 4096)
        if not part:
            return 1
        key += part
    threading.Thread(target=_end_with_pipe, name="host-watch", daemon=True).start()
    record = Record(path)
    asked = record.asked()
    if asked is None:
        return 2
    started = time.monotonic()
    try:
        from tunekit.providers.local.server.api import Front
        from tunekit.providers.local.server.model import load

        model = load(asked)
    except Exception as error:
        traceback.print_exc()
        record.write_fault(*_explain(error, asked["source"]["model"]))
        return 1
    bound = socket.socket(fileno=descriptor)
    front = Front(bound, name=asked["name"], key=key.decode().strip(), model=model)
    print(f"model loaded in {time.monotonic() - started:.1f} s", file=sys.stderr)  # noqa: T201
    front.serve_forever()
    return 0
