"""What the tests of the command line share: two fake providers and a chat server."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result
from typing_extensions import override

from tunekit.cli.app import app
from tunekit.providers import registry
from tunekit.testing import FakeProvider, FakeSettings, VirtualClock

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"What is {n} + {n}?"},
            {"role": "assistant", "content": f"It is {n + n}."},
        ]
    }
    for n in range(40)
]


def write_rows(path: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    lines = [json.dumps(row) for row in (ROWS if rows is None else rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class World:
    """A folder, a home, a virtual clock, and the provider `fake` in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith("TUNEKIT_")]:
            monkeypatch.delenv(name)
        self.folder = folder
        self.home = folder / "home"
        monkeypatch.setenv("TUNEKIT_HOME", str(self.home))
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.chdir(folder)
        self.clock = VirtualClock()
        self.fake = FakeProvider(home=self.home, clock=self.clock)
        self.data = write_rows(folder / "data.jsonl")
        self.created = registry.create

        def create(profile: Any, *, home: Path) -> Any:
            if profile.provider.value == "fake":
                return self.fake
            return self.created(profile, home=home)

        monkeypatch.setattr("tunekit.providers.registry.create", create)
        monkeypatch.setattr("tunekit.client.SystemClock", lambda: self.clock)

    def serve_chat_at(self, base_url: str) -> None:
        """Let the fake's deployments answer at this address."""
        self.fake.settings = FakeSettings(base_url=base_url)

    def call(self, *words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=stdin, catch_exceptions=False)

    def fake_call(self, *words: str, code: int = 0, stdin: str | None = None) -> Result:
        done = self.call(*words, "--provider", "fake", stdin=stdin)
        assert done.exit_code == code, (done.exit_code, done.stdout, done.stderr)
        return done

    def run_job(self, name: str = "first", *words: str, code: int = 0) -> Result:
        return self.fake_call(
            "run", "-m", "base", "--train", str(self.data), "--run", name, *words, code=code
        )


class _Chat(BaseHTTPRequestHandler):
    asked: list[dict[str, Any]]

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        said = f"You said: {body['messages'][-1]['content']}"
        common = {"id": "chat-1", "created": 1, "model": body["model"]}
        if body.get("stream"):
            chunks = [
                {
                    **common,
                    "object": "chat.completion.chunk",
                    "choices": [{"index": 0, "delta": {"content": word + " "}}],
                }
                for word in said.split()
            ]
            text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
            self._answer((text + "data: [DONE]\n\n").encode(), "text/event-stream")
            return
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": said},
        }
        whole = {**common, "object": "chat.completion", "choices": [choice]}
        self._answer(json.dumps(whole).encode(), "application/json")

    def _answer(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def chat_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give the base URL of a server that repeats what it is told, and the requests it got."""
    asked: list[dict[str, Any]] = []
    handler = type("Chat", (_Chat,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


PLUGIN = '''
"""A provider of a third party: one job in memory that runs on until somebody ends the process."""

import os
from tunekit.providers.base import JobProgress, JobStatus, PollPolicy
from tunekit.testing import FakeProvider


class EndlessProvider(FakeProvider):
    name = "endless"
    poll = PollPolicy(initial=0.05, factor=1.0, maximum=0.05)

    def __init__(self, settings, *, home):
        super().__init__(settings, home=home)
        self.script = [JobStatus.RUNNING]
        self.step = 0

    def _served(self, method, work):
        with open(os.environ["ENDLESS_LOG"], "a") as log:
            log.write(method + "\\n")
        return super()._served(method, work)

    def fetch(self, job_id):
        self.step += 1
        if self.step < 100:
            self._note(job_id, f"step {self.step}", step=self.step, train_loss=2 - self.step / 100,
                       learning_rate=1e-4, tokens_per_second=5120.0)
        progress = JobProgress(step=self.step, total_steps=int(os.environ.get("STEPS", "100000")))
        job = self.jobs[job_id]
        job.snapshot = job.snapshot.model_copy(update={"progress": progress})
        if progress.fraction == 1.0:
            self._move(job_id, JobStatus.SUCCEEDED)
        return super().fetch(job_id)
'''


def install_plugin(folder: Path) -> dict[str, str]:
    """Install the provider `endless` into a folder, as pip would; give the environment for it."""
    site = folder / "site"
    info = site / "endless-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "endless.py").write_text(PLUGIN, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: endless\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tunekit.providers]\nendless = endless:EndlessProvider\n"
    )
    return clean_environment(
        folder, PYTHONPATH=f"{ROOT / 'src'}{os.pathsep}{site}", ENDLESS_LOG=str(folder / "log")
    )


def clean_environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TUNEKIT_", "COV_"))}
    return {
        **kept,
        "PYTHONPATH": str(ROOT / "src"),
        "TUNEKIT_HOME": str(folder / "home"),
        "COLUMNS": "80",
        **more,
    }


COMMAND = [sys.executable, "-m", "tunekit"]
